// Asks the authorization server about a token (RFC 7662, RFC 9701), by oauth4webapi. Keeps no answer and judges none:
// an answer or no verdict, nothing between.

import {
  type Client,
  clockTolerance,
  introspectionRequest,
  processIntrospectionResponse,
  ResponseBodyError,
  validateApplicationLevelSignature,
  WWWAuthenticateChallengeError,
} from 'oauth4webapi'
import { elapsedBy, milliseconds, unlessAborted } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { Fetch } from '../http/fetched-documents.js'
import { outline, statusOf } from '../http/outline.js'
import { safeUrlOption } from '../http/safe-url.js'
import { assertNumberIfGiven, assertOptions, isText, type OptionNames } from '../option-checks.js'
import { type ClientAuthentication, clientAuth, isByCertificate } from '../providers/client-authentication.js'
import { oauthClient, oauthTransport } from '../providers/oauth-transport.js'
import { audienceWatch } from './audience-watch.js'
import { noVerdict } from './no-verdict.js'
import { type MetadataOptions, serverMetadata } from './server-metadata.js'
import type { TokenClaims } from './token-claims.js'

/** How the authorization server is asked about tokens (RFC 7662), and as whom. */
export interface IntrospectionOptions {
  /** Issuer identifier of the authorization server, exactly as in its metadata, its tokens and its Logout Tokens. */
  readonly issuer: string
  /** Client id of **this API** at the authorization server: not that of the Relying Party whose tokens it gets. */
  readonly clientId: string
  readonly clientAuthentication: ClientAuthentication
  /** Default: `introspection_endpoint` of the discovered metadata. */
  readonly introspectionEndpoint?: string
  /**
   * Where the metadata is: `oidc` (default) for OpenID Connect Discovery, `oauth2` for RFC 8414. It is fetched once, at
   * the first question, where the endpoint or the keys are not given.
   */
  readonly discovery?: 'oidc' | 'oauth2'
  /**
   * Demands signed answers (RFC 9701) with this algorithm; plain JSON is then refused. Without it an answer that is
   * signed all the same is verified, by its content type, with the keys of the metadata.
   */
  readonly signed?: {
    readonly algorithm: string
    /** Default: `jwks_uri` of the discovered metadata. */
    readonly jwksUri?: string
  }
  /** The resources (RFC 8707) of this API, for servers that answer about a token for one of them. Absolute URIs. */
  readonly resource?: string | readonly string[]
  /** Sends the requests in place of the global `fetch`: with a client certificate, through a proxy. */
  readonly fetch?: Fetch
  /** From question to answer, keys and metadata included. Seconds; default 5. */
  readonly timeoutSeconds?: number
  /** Lets tokens and secrets travel without TLS. For tests and loopback interfaces only. */
  readonly dangerouslyAllowHttp?: boolean
}

/** Asks one authorization server about one token. Rejects with `ERR_NO_VERDICT`; `active: false` is an answer. */
export type Introspect = (token: string) => Promise<TokenClaims>

/** How long an authorization server is waited for, whoever asks it. */
export const DEFAULT_TIMEOUT_SECONDS = 5
const CLOCK_TOLERANCE_SECONDS = 30
const SIGNED_TYPE = 'application/token-introspection+jwt'

/**
 * `TypeError` where the options cannot work. `clock` is the one clock; signed answers and client assertions use it too.
 * `warn` hears what a server does to every token. `monotonic`: seconds that only go forward, for pauses.
 */
export function introspectionClient(
  options: IntrospectionOptions,
  clock: () => number,
  warn: (error: LogoutError) => void = () => {},
  monotonic = elapsedBy(clock),
): Introspect {
  assertUsable(options)
  const authentication = clientAuth(options.clientAuthentication, 'introspection.clientAuthentication')
  const timeoutSeconds = options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS
  const metadata = serverMetadata({ ...options, ...knownOf(options), timeoutSeconds, monotonic })
  const watch = audienceWatch(options, clock, warn)
  return async (token) => {
    const signal = AbortSignal.timeout(milliseconds(timeoutSeconds))
    const http = { signal, ...oauthTransport(options.fetch, options.dangerouslyAllowHttp) }
    const client = clientOf(options, clock)
    const asked = async () => {
      const server = await metadata.get(signal)
      const response = await introspectionRequest(server, client, authentication, token, {
        ...http,
        additionalParameters: parametersOf(options),
      })
      try {
        const isSigned = response.status === 200 && isJwt(response)
        // Plain JSON in place of a signed answer would be a way around the signature.
        if (response.status === 200 && options.signed !== undefined && !isSigned) throw noVerdict('answer_malformed')
        const claims = await processIntrospectionResponse(server, client, response)
        if (isSigned) await validateApplicationLevelSignature(server, response, http)
        if (!claims.active) watch(token)
        return claims
      } finally {
        // A body that nobody reads keeps its connection from being used again.
        if (!response.bodyUsed) await response.body?.cancel().catch(() => {})
      }
    }
    try {
      // A `fetch` of somebody's own may not heed its signal.
      return await unlessAborted(asked(), signal)
    } catch (error) {
      const isOurs = error instanceof LogoutError
      const failure = isOurs
        ? error
        : noVerdict(signal.aborted ? 'introspection_late' : reasonOf(error), outline(error))
      // Whose question failed waits for it, as long as there is time: no other question does.
      await unlessAborted(metadata.doubt(), signal).catch(() => {})
      throw failure
    }
  }
}

function parametersOf({ resource = [] }: IntrospectionOptions): URLSearchParams {
  const resources = typeof resource === 'string' ? [resource] : resource
  const parameters = new URLSearchParams({ token_type_hint: 'access_token' })
  for (const each of resources) parameters.append('resource', each)
  return parameters
}

function knownOf({ introspectionEndpoint, signed }: IntrospectionOptions): Pick<MetadataOptions, 'given' | 'needed'> {
  return {
    given: {
      ...(introspectionEndpoint !== undefined && { introspection_endpoint: introspectionEndpoint }),
      ...(signed?.jwksUri !== undefined && { jwks_uri: signed.jwksUri }),
    },
    needed: signed === undefined ? ['introspection_endpoint'] : ['introspection_endpoint', 'jwks_uri'],
  }
}

function clientOf({ clientId, signed, clientAuthentication }: IntrospectionOptions, clock: () => number): Client {
  return {
    ...oauthClient(clientId, clock),
    ...(isByCertificate(clientAuthentication) && { use_mtls_endpoint_aliases: true }),
    [clockTolerance]: CLOCK_TOLERANCE_SECONDS,
    ...(signed !== undefined && { introspection_signed_response_alg: signed.algorithm }),
  }
}

function isJwt(response: Response): boolean {
  return response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase() === SIGNED_TYPE
}

function reasonOf(error: unknown) {
  if (error instanceof WWWAuthenticateChallengeError || error instanceof ResponseBodyError)
    return 'introspection_refused'
  const status = statusOf(error)
  if (status === undefined) return isNetworkFailure(error) ? 'introspection_failed' : 'answer_malformed'
  if (status === 401 || status === 403 || status === 400) return 'introspection_refused'
  return status === 200 ? 'answer_malformed' : 'introspection_failed'
}

/** What `fetch` throws for a refused connection, an unknown host, a reset. */
function isNetworkFailure(error: unknown): boolean {
  return error instanceof TypeError
}

const NAMES: OptionNames<IntrospectionOptions> = {
  issuer: true,
  clientId: true,
  clientAuthentication: true,
  introspectionEndpoint: true,
  discovery: true,
  signed: true,
  resource: true,
  fetch: true,
  timeoutSeconds: true,
  dangerouslyAllowHttp: true,
}

function assertUsable(options: IntrospectionOptions): void {
  assertOptions('createClaims() option introspection', options, NAMES)
  if (options.signed !== undefined) {
    assertOptions('createClaims() option introspection.signed', options.signed, { algorithm: true, jwksUri: true })
  }
  const {
    issuer,
    clientId,
    introspectionEndpoint,
    signed,
    timeoutSeconds,
    dangerouslyAllowHttp,
    resource = [],
  } = options
  safeUrlOption('introspection.issuer', issuer, dangerouslyAllowHttp === true)
  if (!isText(clientId)) {
    throw new TypeError('introspection.clientId must be the client id of this API at the authorization server')
  }
  if (introspectionEndpoint !== undefined) {
    safeUrlOption('introspection.introspectionEndpoint', introspectionEndpoint, dangerouslyAllowHttp === true)
  }
  if (signed !== undefined && !/^(RS|PS|ES)(256|384|512)$|^Ed25519$|^EdDSA$/.test(signed.algorithm)) {
    throw new TypeError('introspection.signed.algorithm must be an asymmetric JWS algorithm such as RS256')
  }
  if (signed?.jwksUri !== undefined)
    safeUrlOption('introspection.signed.jwksUri', signed.jwksUri, dangerouslyAllowHttp === true)
  if (options.fetch !== undefined && typeof options.fetch !== 'function') {
    throw new TypeError('introspection.fetch must be a function like the global fetch')
  }
  if (isByCertificate(options.clientAuthentication) && options.fetch === undefined) {
    throw new TypeError('introspection.fetch must present the client certificate: tls_client_auth has no other proof')
  }
  for (const each of typeof resource === 'string' ? [resource] : resource) {
    if (!URL.canParse(each) || each.includes('#')) {
      throw new TypeError('introspection.resource must be an absolute URI without a fragment, or a list of them')
    }
  }
  assertNumberIfGiven('introspection.timeoutSeconds', timeoutSeconds, { above: 0, most: 60 })
}

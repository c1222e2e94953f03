// Asks the authorization server about a token (RFC 7662, RFC 9701), by oauth4webapi. Keeps no answer and judges none: an answer
// or no verdict, nothing between.
import type { webcrypto } from 'node:crypto'
import {
  type AuthorizationServer,
  allowInsecureRequests,
  type Client,
  type ClientAuth,
  ClientSecretBasic,
  ClientSecretPost,
  clockSkew,
  clockTolerance,
  discoveryRequest,
  introspectionRequest,
  PrivateKeyJwt,
  processDiscoveryResponse,
  processIntrospectionResponse,
  ResponseBodyError,
  validateApplicationLevelSignature,
  WWWAuthenticateChallengeError,
} from 'oauth4webapi'
import { noVerdict, outline, statusOf } from './no-verdict.js'
import type { TokenClaims } from './token-claims.js'

/** How this API proves to the authorization server who it is. */
export type ClientAuthentication =
  | { readonly method: 'client_secret_basic' | 'client_secret_post'; readonly clientSecret: string }
  | { readonly method: 'private_key_jwt'; readonly privateKey: webcrypto.CryptoKey; readonly keyId?: string }
  /** Any other method, as a `ClientAuth` of oauth4webapi. */
  | ClientAuth

export interface IntrospectionOptions {
  /** Issuer identifier of the authorization server, exactly as in its metadata, its tokens and its Logout Tokens. */
  readonly issuer: string
  /** Client id of **this API** at the authorization server: not that of the Relying Party whose tokens it gets. */
  readonly clientId: string
  readonly clientAuthentication: ClientAuthentication
  /** Default: `introspection_endpoint` of the discovered metadata. */
  readonly introspectionEndpoint?: string
  /**
   * Where the metadata is: `oidc` (default) for OpenID Connect Discovery, `oauth2` for RFC 8414. It is fetched once, at the
   * first question, where the endpoint or the keys are not given.
   */
  readonly discovery?: 'oidc' | 'oauth2'
  /** Demands signed answers (RFC 9701) with one of these algorithms; plain JSON is then refused. */
  readonly signed?: {
    readonly algorithm: string
    /** Default: `jwks_uri` of the discovered metadata. */
    readonly jwksUri?: string
  }
  /** From question to answer, keys and metadata included. Seconds; default 5. */
  readonly timeoutSeconds?: number
  /** Lets tokens and secrets travel without TLS. For tests and loopback interfaces only. */
  readonly dangerouslyAllowHttp?: boolean
}

/** Asks one authorization server about one token. Rejects with `ERR_NO_VERDICT`; `active: false` is an answer. */
export type Introspect = (token: string) => Promise<TokenClaims>

const DEFAULT_TIMEOUT_SECONDS = 5
const CLOCK_TOLERANCE_SECONDS = 30
const SIGNED_TYPE = 'application/token-introspection+jwt'

/** `TypeError` where the options cannot work. `clock` is the one clock; signed answers and client assertions use it too. */
export function introspectionClient(options: IntrospectionOptions, clock: () => number): Introspect {
  assertOptions(options)
  const authentication = clientAuth(options.clientAuthentication)
  const metadata = metadataOf(options)
  const timeoutSeconds = options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS
  return async (token) => {
    const signal = AbortSignal.timeout(timeoutSeconds * 1000)
    const http = { signal, [allowInsecureRequests]: options.dangerouslyAllowHttp === true }
    const client = clientOf(options, clock)
    try {
      const server = await metadata(http)
      const response = await introspectionRequest(server, client, authentication, token, {
        ...http,
        additionalParameters: { token_type_hint: 'access_token' },
      })
      try {
        if (response.status === 200) assertType(response, options.signed !== undefined)
        const claims = await processIntrospectionResponse(server, client, response)
        if (options.signed !== undefined) await validateApplicationLevelSignature(server, response, http)
        return claims
      } finally {
        // A body that nobody reads keeps its connection from being used again.
        if (!response.bodyUsed) await response.body?.cancel()
      }
    } catch (error) {
      throw noVerdict(signal.aborted ? 'introspection_late' : reasonOf(error), outline(error))
    }
  }
}

type Http = Pick<Parameters<typeof introspectionRequest>[4] & object, 'signal' | typeof allowInsecureRequests>

/** Given, or discovered once: a failed discovery is tried again by the next question. */
function metadataOf(options: IntrospectionOptions): (http: Http) => Promise<AuthorizationServer> {
  const { issuer, introspectionEndpoint, signed } = options
  const given = {
    issuer,
    ...(introspectionEndpoint !== undefined && { introspection_endpoint: introspectionEndpoint }),
    ...(signed?.jwksUri !== undefined && { jwks_uri: signed.jwksUri }),
  }
  if (introspectionEndpoint !== undefined && (signed === undefined || signed.jwksUri !== undefined)) {
    return () => Promise.resolve(given)
  }
  let discovered: Promise<AuthorizationServer> | undefined
  return (http) => {
    discovered ??= discover(options, http).then(
      (metadata) => ({ ...metadata, ...given }),
      (error) => {
        discovered = undefined
        throw error
      },
    )
    return discovered
  }
}

async function discover({ issuer, discovery }: IntrospectionOptions, http: Http): Promise<AuthorizationServer> {
  const url = new URL(issuer)
  const response = await discoveryRequest(url, { ...http, algorithm: discovery ?? 'oidc' })
  const metadata = await processDiscoveryResponse(url, response)
  // Issuers are compared as strings (OpenID Connect Discovery 4.3); marks are keyed by this one.
  if (metadata.issuer !== issuer) throw noVerdict('answer_malformed')
  return metadata
}

function clientOf({ clientId, signed }: IntrospectionOptions, clock: () => number): Client {
  return {
    client_id: clientId,
    [clockSkew]: Math.round(clock() - Date.now() / 1000),
    [clockTolerance]: CLOCK_TOLERANCE_SECONDS,
    ...(signed !== undefined && { introspection_signed_response_alg: signed.algorithm }),
  }
}

/** Plain JSON in place of a signed answer would be a way around the signature; a JWT that nobody asked for is not verified. */
function assertType(response: Response, signed: boolean): void {
  const type = response.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  if ((type === SIGNED_TYPE) !== signed) throw noVerdict('answer_malformed')
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

function clientAuth(authentication: ClientAuthentication): ClientAuth {
  if (typeof authentication === 'function') return authentication
  switch (authentication.method) {
    case 'client_secret_basic':
      return ClientSecretBasic(authentication.clientSecret)
    case 'client_secret_post':
      return ClientSecretPost(authentication.clientSecret)
    case 'private_key_jwt': {
      const { privateKey: key, keyId: kid } = authentication
      return PrivateKeyJwt(kid === undefined ? { key } : { key, kid })
    }
    default:
      throw new TypeError(
        'introspection.clientAuthentication.method must be client_secret_basic, client_secret_post or private_key_jwt',
      )
  }
}

function assertOptions(options: IntrospectionOptions): void {
  const { issuer, clientId, introspectionEndpoint, signed, timeoutSeconds, dangerouslyAllowHttp } = options
  assertUrl('introspection.issuer', issuer, dangerouslyAllowHttp)
  if (typeof clientId !== 'string' || clientId === '') {
    throw new TypeError('introspection.clientId must be the client id of this API at the authorization server')
  }
  if (introspectionEndpoint !== undefined) {
    assertUrl('introspection.introspectionEndpoint', introspectionEndpoint, dangerouslyAllowHttp)
  }
  if (signed !== undefined && !/^(RS|PS|ES)(256|384|512)$|^Ed25519$|^EdDSA$/.test(signed.algorithm)) {
    throw new TypeError('introspection.signed.algorithm must be an asymmetric JWS algorithm such as RS256')
  }
  if (signed?.jwksUri !== undefined) assertUrl('introspection.signed.jwksUri', signed.jwksUri, dangerouslyAllowHttp)
  if (timeoutSeconds !== undefined && !(timeoutSeconds > 0 && timeoutSeconds <= 60)) {
    throw new TypeError('introspection.timeoutSeconds must be more than 0 and at most 60')
  }
}

function assertUrl(option: string, value: string, http: boolean | undefined): void {
  const protocol = URL.canParse(value) ? new URL(value).protocol : undefined
  if (protocol === 'https:' || (http === true && protocol === 'http:')) return
  throw new TypeError(`${option} must be an https URL; for a test on a loopback interface, set dangerouslyAllowHttp`)
}

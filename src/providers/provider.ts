// One provider as it was configured: the check and the default of every option. Fetches nothing and reads no token.

import type { ClientAuth } from 'oauth4webapi'
import type { Fetch } from '../http/fetched-documents.js'
import { safeUrlOption } from '../http/safe-url.js'
import { isJsonObject, type JsonObject, own } from '../json-object.js'
import type { Client } from '../marks/target.js'
import { LONGEST_LIFETIME_SECONDS } from '../option-checks.js'
import { algorithmsOf } from './algorithms.js'
import { type ClientAuthentication, clientAuth, isByCertificate } from './client-authentication.js'
import { type Decryption, decryptionOf } from './decryption-option.js'
import { type EndSessionDialect, endSessionDialect } from './end-session-dialect.js'
import { isJwk, type JSONWebKeySet } from './jwk.js'
import { type DecidedPolicy, logoutPolicy } from './logout-policy.js'
import type { Budgets } from './lookup-budget.js'
import { closed, flag, oneOf, seconds, text, texts } from './option-values.js'
import { PROVIDER_OPTION_NAMES, type ProviderOptions } from './provider-options.js'
import { assertSamlOptions, entityId, NO_END_SESSION } from './saml-provider.js'
import { isHmac, SigningKeys } from './signing-keys.js'

/**
 * A provider with every option decided. Frozen, and without secrets: they are out of reach inside `keys` and
 * `decryption`.
 */
export interface Provider {
  readonly client: Client
  readonly protocol: 'oidc' | 'saml'
  readonly algorithms: readonly string[]
  readonly typ: 'interop' | 'strict'
  /** In lower case. */
  readonly additionalTyp: readonly string[]
  readonly allowMissingExp: boolean
  readonly maxAgeSeconds: number
  readonly clockToleranceSeconds: number
  readonly backchannelLogoutSessionRequired: boolean
  readonly trustedAudiences: readonly string[]
  readonly ignoreSid: boolean
  readonly replay: 'refuse' | 'acknowledge'
  readonly transientFailureStatus: 400 | 503
  readonly keys: SigningKeys
  readonly decryption: Decryption | undefined
  readonly sessionMaxAgeSeconds: number | undefined
  readonly sessionIdleSeconds: number | undefined
  readonly endSession: EndSessionDialect
  /** `undefined`: this client cannot revoke its tokens. */
  readonly authentication: Authentication | undefined
  readonly policy: DecidedPolicy
  /** Plain `http` is taken beyond loopback. */
  readonly dangerouslyAllowHttp: boolean
  /** Fetches what is this provider's. */
  readonly fetch: Fetch | undefined
}

/** Decided `ClientAuthentication`. */
export interface Authentication {
  readonly authenticate: ClientAuth
  readonly byCertificate: boolean
}

/**
 * Decides every option. Throws a `TypeError` that names the option and the remedy. `clock`: epoch seconds, dates the
 * keys. `before`: of the providers that stood here before; what they fetched for the same client is still known.
 * `budgets`: how often each client's keys may be asked for, where they are not.
 */
export function resolveProvider(
  options: ProviderOptions,
  clock: () => number,
  before: readonly SigningKeys[] = [],
  budgets?: Budgets,
): Provider {
  const given = closed('provider', options, PROVIDER_OPTION_NAMES)
  const protocol = oneOf('protocol', own(given, 'protocol'), ['oidc', 'saml'])
  const isSaml = protocol === 'saml'
  if (isSaml) assertSamlOptions(given)
  const dangerouslyAllowHttp = flag('dangerouslyAllowHttp', own(given, 'dangerouslyAllowHttp'))
  const client = Object.freeze({
    issuer: isSaml ? entityId(own(given, 'issuer')) : issuerOf(own(given, 'issuer'), dangerouslyAllowHttp),
    clientId: text('clientId', own(given, 'clientId')),
  })
  const algorithms = algorithmsOf(own(given, 'algorithms'))
  const fetch = fetchOf(own(given, 'fetch'))
  const transientFailureStatus = oneOf('transientFailureStatus', own(given, 'transientFailureStatus'), [400, 503])
  const provider: Provider = {
    client,
    protocol,
    algorithms,
    typ: oneOf('typ', own(given, 'typ'), ['interop', 'strict']),
    additionalTyp: texts('additionalTyp', own(given, 'additionalTyp')).map((typ) => typ.toLowerCase()),
    allowMissingExp: flag('allowMissingExp', own(given, 'allowMissingExp')),
    maxAgeSeconds: seconds('maxAgeSeconds', own(given, 'maxAgeSeconds'), { fallback: 300, above: 0, max: 86_400 }),
    clockToleranceSeconds: seconds('clockToleranceSeconds', own(given, 'clockToleranceSeconds'), {
      fallback: 60,
      max: 600,
    }),
    backchannelLogoutSessionRequired: flag(
      'backchannelLogoutSessionRequired',
      own(given, 'backchannelLogoutSessionRequired'),
    ),
    trustedAudiences: texts('trustedAudiences', own(given, 'trustedAudiences')),
    ignoreSid: flag('ignoreSid', own(given, 'ignoreSid')),
    replay: oneOf('replay', own(given, 'replay'), ['refuse', 'acknowledge']),
    transientFailureStatus,
    fetch,
    decryption: decryptionOf(own(given, 'decryption')),
    sessionMaxAgeSeconds: lifetime('sessionMaxAgeSeconds', own(given, 'sessionMaxAgeSeconds')),
    sessionIdleSeconds: lifetime('sessionIdleSeconds', own(given, 'sessionIdleSeconds')),
    endSession: isSaml ? NO_END_SESSION : endSessionDialect(own(given, 'endSession'), dangerouslyAllowHttp),
    authentication: authenticationOf(options.clientAuthentication, fetch),
    policy: logoutPolicy(own(given, 'policy')),
    dangerouslyAllowHttp,
    keys: new SigningKeys(
      secretOf(own(given, 'clientSecret'), algorithms),
      isSaml || algorithms.every(isHmac)
        ? undefined
        : publishedKeysOf(given, { client, dangerouslyAllowHttp, transientFailureStatus, fetch }),
      clock,
      before,
      budgets,
    ),
  }
  if (provider.ignoreSid && provider.backchannelLogoutSessionRequired) {
    throw new TypeError(
      'provider option ignoreSid says that the sid is of no use, but backchannelLogoutSessionRequired demands one: leave one of them out',
    )
  }
  return deepFrozen(provider)
}

function publishedKeysOf(
  given: JsonObject,
  about: {
    readonly client: Client
    readonly dangerouslyAllowHttp: boolean
    readonly transientFailureStatus: 400 | 503
    readonly fetch: Fetch | undefined
  },
) {
  const requestTimeoutSeconds = seconds('requestTimeoutSeconds', own(given, 'requestTimeoutSeconds'), {
    fallback: 1.5,
    above: 0,
    max: 30,
  })
  const jwks = own(given, 'jwks')
  const jwksUri = own(given, 'jwksUri')
  if (jwks === undefined) {
    return {
      client: about.client,
      jwksUri:
        jwksUri === undefined
          ? undefined
          : safeUrlOption('provider option jwksUri', jwksUri, about.dangerouslyAllowHttp),
      dangerouslyAllowHttp: about.dangerouslyAllowHttp,
      requestTimeoutSeconds,
      transientFailureStatus: about.transientFailureStatus,
      fetch: about.fetch,
    }
  }
  if (jwksUri !== undefined) throw new TypeError('provider options jwks and jwksUri exclude each other: leave one out')
  return { jwks: publicKeysIn(jwks) }
}

function fetchOf(value: unknown): Fetch | undefined {
  if (value === undefined || typeof value === 'function') return value as Fetch | undefined
  throw new TypeError('provider option fetch must be a function like the global fetch')
}

function authenticationOf(
  given: ClientAuthentication | undefined,
  fetch: Fetch | undefined,
): Authentication | undefined {
  if (given === undefined) return undefined
  if (typeof given !== 'function' && !isJsonObject(given)) {
    throw new TypeError('provider option clientAuthentication must be an object with a method, or a ClientAuth')
  }
  const authenticate = clientAuth(given, 'provider option clientAuthentication')
  const byCertificate = isByCertificate(given)
  if (byCertificate && fetch === undefined) {
    throw new TypeError('provider option fetch must present the client certificate: tls_client_auth has no other proof')
  }
  return Object.freeze({ authenticate, byCertificate })
}

function publicKeysIn(jwks: unknown): JSONWebKeySet {
  const keys = isJsonObject(jwks) ? own(jwks, 'keys') : undefined
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every(isJwk)) {
    throw new TypeError('provider option jwks must be a JSON Web Key Set: an object with an array of JWKs named keys')
  }
  if (keys.some((key) => key.d !== undefined || key.k !== undefined)) {
    throw new TypeError(
      'provider option jwks holds a private or symmetric key: it takes the public keys of the provider',
    )
  }
  return { keys }
}

function secretOf(value: unknown, algorithms: readonly string[]): string | undefined {
  const secret = value === undefined ? undefined : text('clientSecret', value)
  if (!algorithms.some(isHmac)) return undefined
  if (secret === undefined) {
    throw new TypeError('provider option algorithms has an HMAC algorithm (HS…), which needs the option clientSecret')
  }
  return secret
}

/** OpenID Connect Core 2: a URL without query and fragment. */
function issuerOf(value: unknown, dangerouslyAllowHttp: boolean): string {
  const issuer = safeUrlOption('provider option issuer', text('issuer', value), dangerouslyAllowHttp)
  if (/[?#]/.test(issuer)) throw new TypeError('provider option issuer must not have a query or fragment')
  if (issuer.includes('/.well-known/')) {
    throw new TypeError('provider option issuer appears to be a metadata URL: leave out /.well-known/ and what follows')
  }
  return issuer
}

function lifetime(name: string, value: unknown): number | undefined {
  return value === undefined
    ? undefined
    : seconds(name, value, { fallback: 0, above: 0, max: LONGEST_LIFETIME_SECONDS })
}

function deepFrozen(provider: Provider): Provider {
  for (const list of [provider.algorithms, provider.additionalTyp, provider.trustedAudiences]) Object.freeze(list)
  if (provider.decryption !== undefined) {
    Object.freeze(provider.decryption.keyManagementAlgorithms)
    Object.freeze(provider.decryption.contentEncryptionAlgorithms)
    Object.freeze(provider.decryption)
  }
  return Object.freeze(provider)
}

// One provider as it was configured: every option, its default and its check. Fetches nothing and reads no token.

import type { ClientAuth } from 'oauth4webapi'
import type { Fetch } from '../http/fetched-documents.js'
import { safeUrlOption } from '../http/safe-url.js'
import { isJsonObject, type JsonObject, own } from '../json-object.js'
import type { Client } from '../marks/target.js'
import { assertOptions, type OptionNames } from '../option-checks.js'
import { type ClientAuthentication, clientAuth, isByCertificate } from './client-authentication.js'
import { DecryptionKeys } from './decryption-keys.js'
import { type EndSessionDialect, endSessionDialect } from './end-session-dialect.js'
import { isJwk, type JSONWebKeySet, type JWK } from './jwk.js'
import { isHmac, SigningKeys } from './signing-keys.js'

/**
 * An OpenID Provider and the client registered there. Every default is the letter of Back-Channel Logout 1.0; each option that
 * weakens a check is named for what it weakens and holds for this provider alone. `preset` has what known providers need.
 */
export interface ProviderOptions {
  /** Issuer identifier, exactly as in its tokens: no slash more or less. `https`, or `http` on loopback. */
  readonly issuer: string
  /** This client's id at that provider. */
  readonly clientId: string
  /**
   * Signature algorithms taken, as registered by `id_token_signed_response_alg`. Default: `['RS256']`. `none` is never taken.
   * `HS256`, `HS384` and `HS512` need `clientSecret`.
   */
  readonly algorithms?: readonly string[] | undefined
  /** The client secret, of any length, as the OP has it. Used for the HMAC algorithms only. */
  readonly clientSecret?: string | undefined
  /** Where the keys are. Default: what the provider's metadata say (OpenID Connect Discovery). */
  readonly jwksUri?: string | undefined
  /** The keys themselves, public halves only; nothing is fetched then. */
  readonly jwks?: JSONWebKeySet | undefined
  /** For encrypted Logout Tokens. Encryption is then required. Default: none are taken. */
  readonly decryption?: DecryptionOptions | undefined
  /**
   * Which `typ` headers are taken. `interop` (default): absent, `JWT`, `logout+jwt`, `application/logout+jwt`. `strict`: only
   * the last two, as OWASP ASVS 5.0 V10.5.5 asks; many providers do not send them.
   */
  readonly typ?: 'interop' | 'strict' | undefined
  /** Further `typ` headers that are taken, in any case of letters: `['at+jwt']` for IdentityServer4. */
  readonly additionalTyp?: readonly string[] | undefined
  /** Takes tokens without `exp`; `maxAgeSeconds` alone then ends their life. Default: false. */
  readonly allowMissingExp?: boolean | undefined
  /** How long after `iat` a token is taken, whatever its `exp`. Bounds how long replays are remembered. Default: 300, at most 86,400. */
  readonly maxAgeSeconds?: number | undefined
  /** By how much the provider's clock may differ. Default: 60, at most 600. */
  readonly clockToleranceSeconds?: number | undefined
  /** As registered: the provider sends a `sid` in every Logout Token, and one without is refused. Default: false. */
  readonly backchannelLogoutSessionRequired?: boolean | undefined
  /** Audiences that may stand in `aud` beside the client id. Default: none. */
  readonly trustedAudiences?: readonly string[] | undefined
  /**
   * The provider's `sid` is in no ID Token (Casdoor): acts on `sub`, so one session's end is the end of all sessions of that
   * subject, and refuses tokens without `sub`. Default: false.
   */
  readonly ignoreSid?: boolean | undefined
  /** The answer to a repeat of a completed logout: 400 (default) or 200. Neither does anything. */
  readonly replay?: 'refuse' | 'acknowledge' | undefined
  /** The status of a failure that a retry can cure. 503 for providers that retry on it and take 400 as final. Default: 400 (BCL 2.8). */
  readonly transientFailureStatus?: 400 | 503 | undefined
  /** Takes plain `http` for issuer and keys beyond loopback: whoever is on the network path can then forge logouts. Default: false. */
  readonly dangerouslyAllowHttp?: boolean | undefined
  /** Deadline of one fetch of metadata and keys. The OP waits meanwhile; stay under the answer's own. Default: 1.5, at most 30. */
  readonly requestTimeoutSeconds?: number | undefined
  /**
   * How long a sign-on of this provider may live, however much it is used: the bound on a user who was disabled there and of whom no
   * Logout Token comes. Default: no bound but the session's own, and the claim `session_expiry`. At most ten years.
   */
  readonly sessionMaxAgeSeconds?: number | undefined
  /** How long a session of this provider's may go unused. For sessions in a store; a cookie then needs `rolling`. At most ten years. */
  readonly sessionIdleSeconds?: number | undefined
  /** How the provider ends its own session when a logout begins here. Default: by the letter of RP-Initiated Logout 1.0. */
  readonly endSession?: EndSessionDialect | undefined
  /**
   * How this client proves who it is where its tokens are revoked (RFC 7009 2.1). Default: not at all, so none can be revoked. A
   * public client has `None()` of oauth4webapi.
   */
  readonly clientAuthentication?: ClientAuthentication | undefined
  /**
   * Fetches metadata and keys, and revokes tokens, in place of the global `fetch`: through a proxy, with a client certificate, to an internal address. It
   * must not follow redirects when it is told `redirect: 'manual'`.
   */
  readonly fetch?: Fetch | undefined
}

/** How Logout Tokens are encrypted for this client (`id_token_encrypted_response_alg` and `…_enc`). */
export interface DecryptionOptions {
  /** This client's private keys. */
  readonly keys: readonly JWK[]
  /** For example `['RSA-OAEP-256']`. */
  readonly keyManagementAlgorithms: readonly string[]
  /** For example `['A256GCM']`. */
  readonly contentEncryptionAlgorithms: readonly string[]
  /** Takes tokens that are only signed as well. Default: false. */
  readonly allowPlainJws?: boolean | undefined
}

/** A provider with every option decided. Frozen, and without secrets: they are out of reach inside `keys` and `decryption`. */
export interface Provider {
  readonly client: Client
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

/** Decided `DecryptionOptions`. */
export interface Decryption {
  readonly keys: DecryptionKeys
  readonly keyManagementAlgorithms: readonly string[]
  readonly contentEncryptionAlgorithms: readonly string[]
  readonly allowPlainJws: boolean
}

/** RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2. */
const SIGNATURE_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
  ...['HS256', 'HS384', 'HS512'],
]

/** RFC 7518 4.1. */
const KEY_MANAGEMENT_ALGORITHMS = [
  ...['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512', 'dir', 'A128KW', 'A192KW', 'A256KW'],
  ...['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW'],
  ...['PBES2-HS256+A128KW', 'PBES2-HS384+A192KW', 'PBES2-HS512+A256KW'],
]

/** RFC 7518 5.1. */
const CONTENT_ENCRYPTION_ALGORITHMS = [
  ...['A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512', 'A128GCM', 'A192GCM', 'A256GCM'],
]

const OPTION_NAMES: OptionNames<ProviderOptions> = {
  issuer: true,
  clientId: true,
  algorithms: true,
  clientSecret: true,
  jwksUri: true,
  jwks: true,
  decryption: true,
  typ: true,
  additionalTyp: true,
  allowMissingExp: true,
  maxAgeSeconds: true,
  clockToleranceSeconds: true,
  backchannelLogoutSessionRequired: true,
  trustedAudiences: true,
  ignoreSid: true,
  replay: true,
  transientFailureStatus: true,
  dangerouslyAllowHttp: true,
  requestTimeoutSeconds: true,
  sessionMaxAgeSeconds: true,
  sessionIdleSeconds: true,
  endSession: true,
  clientAuthentication: true,
  fetch: true,
}

const DECRYPTION_NAMES: OptionNames<DecryptionOptions> = {
  keys: true,
  keyManagementAlgorithms: true,
  contentEncryptionAlgorithms: true,
  allowPlainJws: true,
}

/** Decides every option. Throws a `TypeError` that names the option and the remedy. `clock`: epoch seconds, dates the keys. */
export function resolveProvider(options: ProviderOptions, clock: () => number): Provider {
  const given = closed('provider', options, OPTION_NAMES)
  const dangerouslyAllowHttp = flag('dangerouslyAllowHttp', own(given, 'dangerouslyAllowHttp'))
  const client = Object.freeze({
    issuer: issuerOf(own(given, 'issuer'), dangerouslyAllowHttp),
    clientId: text('clientId', own(given, 'clientId')),
  })
  const algorithms = algorithmsOf(own(given, 'algorithms'))
  const fetch = fetchOf(own(given, 'fetch'))
  const transientFailureStatus = oneOf('transientFailureStatus', own(given, 'transientFailureStatus'), [400, 503])
  const provider: Provider = {
    client,
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
    endSession: endSessionDialect(own(given, 'endSession'), dangerouslyAllowHttp),
    authentication: authenticationOf(options.clientAuthentication, fetch),
    dangerouslyAllowHttp,
    keys: new SigningKeys(
      secretOf(own(given, 'clientSecret'), algorithms),
      algorithms.every(isHmac)
        ? undefined
        : publishedKeysOf(given, { client, dangerouslyAllowHttp, transientFailureStatus, fetch }),
      clock,
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
      issuer: about.client.issuer,
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

function decryptionOf(value: unknown): Decryption | undefined {
  if (value === undefined) return undefined
  const given = closed('provider option decryption', value, DECRYPTION_NAMES)
  const keys = own(given, 'keys')
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every(isJwk)) {
    throw new TypeError('provider option decryption.keys must be a non-empty array of JWKs')
  }
  if (keys.some((key) => key.d === undefined && key.k === undefined)) {
    throw new TypeError('provider option decryption.keys holds a public key: decrypting takes the private one')
  }
  return {
    keys: new DecryptionKeys(keys),
    keyManagementAlgorithms: listed(
      'decryption.keyManagementAlgorithms',
      own(given, 'keyManagementAlgorithms'),
      KEY_MANAGEMENT_ALGORITHMS,
    ),
    contentEncryptionAlgorithms: listed(
      'decryption.contentEncryptionAlgorithms',
      own(given, 'contentEncryptionAlgorithms'),
      CONTENT_ENCRYPTION_ALGORITHMS,
    ),
    allowPlainJws: flag('decryption.allowPlainJws', own(given, 'allowPlainJws')),
  }
}

function algorithmsOf(value: unknown): readonly string[] {
  if (value === undefined) return ['RS256']
  if (Array.isArray(value) && value.some((name) => typeof name === 'string' && name.toLowerCase() === 'none')) {
    throw new TypeError('provider option algorithms has none: an unsigned Logout Token is never taken, leave it out')
  }
  return listed('algorithms', value, SIGNATURE_ALGORITHMS)
}

function listed(name: string, value: unknown, known: readonly string[]): readonly string[] {
  const names = texts(name, value)
  if (names.length === 0) throw new TypeError(`provider option ${name} must name at least one algorithm`)
  const unknownName = names.find((each) => !known.includes(each))
  if (unknownName === undefined) return names
  throw new TypeError(
    `provider option ${name} has ${JSON.stringify(unknownName)}, which is not one of ${known.join(', ')} (case matters)`,
  )
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

function closed(what: string, value: unknown, names: Readonly<Record<string, true>>): JsonObject {
  assertOptions(what, value, names)
  if (!isJsonObject(value)) throw new TypeError(`${what} must be an object of options`)
  return value
}

function text(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value
  throw new TypeError(`provider option ${name} must be a non-empty string`)
}

function texts(name: string, value: unknown): readonly string[] {
  if (value === undefined) return []
  if (Array.isArray(value) && value.every((each) => typeof each === 'string' && each !== '')) return [...value]
  throw new TypeError(`provider option ${name} must be an array of non-empty strings`)
}

function flag(name: string, value: unknown): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false
  throw new TypeError(`provider option ${name} must be true or false`)
}

/** The first choice is the default. */
function oneOf<const T extends string | number>(name: string, value: unknown, choices: readonly [T, ...T[]]): T {
  if (value === undefined) return choices[0]
  const chosen = choices.find((choice) => choice === value)
  if (chosen !== undefined) return chosen
  throw new TypeError(
    `provider option ${name} must be one of ${choices.map((each) => JSON.stringify(each)).join(', ')}`,
  )
}

function seconds(
  name: string,
  value: unknown,
  { fallback, above, max }: { readonly fallback: number; readonly above?: number; readonly max: number },
): number {
  if (value === undefined) return fallback
  const inRange = typeof value === 'number' && value <= max && (above === undefined ? value >= 0 : value > above)
  if (inRange) return value
  const range = above === undefined ? `from 0 to ${max}` : `above ${above} and at most ${max}`
  throw new TypeError(`provider option ${name} must be a number of seconds, not milliseconds, ${range}`)
}

const LONGEST_LIFETIME_SECONDS = 315_360_000

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

// Routes for JWT access tokens (RFC 9068) that this API verifies by itself. Knows the marks of logouts by one question
// only.

import type { JWTPayload, JWTVerifyGetKey, JWTVerifyOptions, ProtectedHeaderParameters } from 'jose'
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import { decodeJwt } from 'jose/jwt/decode'
import { LRUCache } from 'lru-cache'
import { ageOf, isToCome, type Moment, momentsBy } from '../deadline.js'
import type { Fetch } from '../http/fetched-documents.js'
import { safeUrl, safeUrlOption } from '../http/safe-url.js'
import { sha256, tokenKey } from '../marks/target.js'
import { assertNumberIfGiven, assertOptions, isText, type OptionNames } from '../option-checks.js'
import { INVALID_TOKEN, type TokenHandler, type TokenRequest } from './bearer.js'
import { bearerHandler, bearerRoute, type RouteOptions } from './bearer-route.js'
import type { AccessToken } from './require-token.js'
import { serverMetadata } from './server-metadata.js'
import { deepFreeze, expiryOf, ownKeys, type TokenClaims } from './token-claims.js'
import { givenKeys, type KeysToTry, publishedKeys, verifiedJwt } from './verified-jwt.js'

/** Options of `requireJwt`: how a JWT is verified here, and what the route asks of it. */
export interface RequireJwtOptions<Req = TokenRequest> extends RouteOptions<Req> {
  /** Issuer identifier of the authorization server, exactly as in its tokens. */
  readonly issuer: string
  /** What this API is called in the `aud` of tokens; one of them must be there. */
  readonly audience: string | readonly string[]
  /** Default: RS256 and ES256 with their kin, PS256, EdDSA. Never one with a shared secret. */
  readonly algorithms?: readonly string[]
  /**
   * Keys of the authorization server. Default: `jwks_uri` of the discovered metadata. They are fetched anew where a
   * token names another one, or is not signed by the one that it names; a token that this was not possible for yet is
   * answered 503. Known ones serve for a day while the server is down.
   */
  readonly jwksUri?: string
  /**
   * Any other source of keys, as jose takes it, e.g. `createLocalJWKSet(jwks)`. Where it fails, the answer is 503; what
   * it does not have is refused.
   */
  readonly keys?: JWTVerifyGetKey
  /** Where the metadata is: `oidc` (default) for OpenID Connect Discovery, `oauth2` for RFC 8414. */
  readonly discovery?: 'oidc' | 'oauth2'
  /**
   * Another header `typ` than `at+jwt` that is let in: `JWT` for Keycloak, Auth0 and others that do not follow
   * RFC 9068. An ID Token looks the same then and must be kept out by its `aud`: this API must be called otherwise than
   * any client.
   */
  readonly additionalTyp?: string
  /** How far the clocks may differ. Seconds; default 5. */
  readonly clockToleranceSeconds?: number
  /** Deadline of fetching metadata and keys. Seconds; default 5. */
  readonly timeoutSeconds?: number
  /**
   * Fetches metadata and keys in place of the global `fetch`: through a proxy, from an internal address. Not used with
   * `keys`.
   */
  readonly fetch?: Fetch
  /** Lets keys travel without TLS. For tests and loopback interfaces only. */
  readonly dangerouslyAllowHttp?: boolean
}

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA']
const DEFAULT_TOLERANCE_SECONDS = 5
const DEFAULT_TIMEOUT_SECONDS = 5
/** For how long a signature that was good is not computed again: far less than keys are gone by after one fetch. */
const VERIFIED_SECONDS = 60
const MOST_VERIFIED = 10_000

interface Verified {
  /** Frozen: all requests with the token see the same. */
  readonly claims: TokenClaims
  /** The keys of the token itself. */
  readonly own: readonly string[]
  readonly at: Moment
  readonly expiresAt: number
}

/** `isEnded` is asked of tokens that are good otherwise. Answers as `requireToken` does. */
export function requireJwt<Req extends TokenRequest>(
  isEnded: (claims: JWTPayload, own: readonly string[]) => boolean | Promise<boolean>,
  keep: (req: Req, token: AccessToken<undefined>) => void,
  options: RequireJwtOptions<Req>,
  clock: () => number,
  monotonic: () => number,
): TokenHandler<Req> {
  assertUsable(options)
  const route = bearerRoute(options, 'requireJwt')
  const verify = verifier(options, clock, monotonic)
  const admitted = (req: Req, { claims }: Verified, ended: boolean) =>
    ended ? INVALID_TOKEN : route.admitted(req, { claims, application: undefined })
  const unended = (req: Req, verified: Verified | undefined) => {
    if (verified === undefined) return INVALID_TOKEN
    const ended = isEnded(verified.claims, verified.own)
    return isToCome(ended) ? ended.then((is) => admitted(req, verified, is)) : admitted(req, verified, ended)
  }
  const admit = (req: Req) => {
    const token = route.tokenOf(req)
    if (typeof token !== 'string') return token
    const verified = verify(token)
    return isToCome(verified) ? verified.then((known) => unended(req, known)) : unended(req, verified)
  }
  return bearerHandler(admit, keep, route.challenges, ['requireJwt()', 'check.isRevoked(claims, token)'])
}

/** The claims of a token that passes RFC 9068 4, or nothing. Rejects where the keys cannot be had. */
function verifier(options: RequireJwtOptions<never>, clock: () => number, monotonic: () => number) {
  const { issuer, audience, algorithms = ALGORITHMS, additionalTyp, clockToleranceSeconds } = options
  const types = ['at+jwt', 'application/at+jwt', ...(additionalTyp === undefined ? [] : [additionalTyp.toLowerCase()])]
  const keys = options.keys === undefined ? remoteKeys(options, clock, monotonic) : givenKeys(options.keys)
  const tolerance = clockToleranceSeconds ?? DEFAULT_TOLERANCE_SECONDS
  const audiences = typeof audience === 'string' ? [audience] : [...audience]
  const rules: JWTVerifyOptions = {
    issuer,
    audience: audiences,
    algorithms: [...algorithms],
    clockTolerance: tolerance,
    requiredClaims: ['exp', 'iat', 'sub'],
  }
  /** Whether what it says, whoever signed it, is said of a token for this API. */
  const isMeant = ({ typ }: ProtectedHeaderParameters, claims: JWTPayload, now: number): boolean =>
    types.includes(typ?.toLowerCase() ?? '') &&
    claims.iss === issuer &&
    [claims.aud].flat().some((each) => each !== undefined && audiences.includes(each)) &&
    isAccessToken(claims) &&
    // Milliseconds are years ahead to jose, and are what they mean to us.
    typeof claims.exp === 'number' &&
    expiryOf(claims.exp) + tolerance > now
  const verify = async (token: string, now: number): Promise<JWTPayload | undefined> => {
    // Nobody is asked for the key of a token that is refused by whatever key: of one that expired long ago, say.
    const said = decoded(token)
    if (said === undefined || !isMeant(said.header, said.claims, now)) return undefined
    const found = await verifiedJwt(token, keys, { ...rules, currentDate: new Date(now * 1000) })
    return found !== undefined && isMeant(found.protectedHeader, found.payload, now) ? found.payload : undefined
  }
  const verified = new LRUCache<string, Verified>({ max: MOST_VERIFIED })
  const moment = momentsBy(clock, monotonic)
  const verifiedNow = async (token: string, key: string, at: Moment): Promise<Verified | undefined> => {
    const payload = await verify(token, at.wall)
    if (payload === undefined) return undefined
    const claims = { ...payload, active: true }
    deepFreeze(claims)
    const found = { claims, own: ownKeys(tokenKey(token)), at, expiresAt: expiryOf(claims.exp) }
    verified.set(key, found)
    return found
  }
  return (token: string): Verified | Promise<Verified | undefined> => {
    const now = moment()
    // By the whole text: under a forged signature nothing is found.
    const key = sha256(token)
    const known = verified.get(key)
    const isGood = known !== undefined && now.wall < known.expiresAt && ageOf(known.at, now) < VERIFIED_SECONDS
    return isGood ? known : verifiedNow(token, key, now)
  }
}

/** Not a Logout Token (`events`), not an ID Token (`at_hash`, `c_hash`); and somebody's. */
function isAccessToken({
  client_id: clientId,
  azp,
  events,
  at_hash: ofAccessToken,
  c_hash: ofCode,
}: JWTPayload): boolean {
  if (events !== undefined || ofAccessToken !== undefined || ofCode !== undefined) return false
  const client = clientId ?? azp
  return isText(client)
}

function decoded(token: string) {
  try {
    return { header: decodeProtectedHeader(token), claims: decodeJwt(token) }
  } catch {
    return undefined
  }
}

function remoteKeys(options: RequireJwtOptions<never>, clock: () => number, monotonic: () => number): KeysToTry {
  const { issuer, discovery, jwksUri, fetch, timeoutSeconds = DEFAULT_TIMEOUT_SECONDS, dangerouslyAllowHttp } = options
  const how = { discovery, fetch, timeoutSeconds, dangerouslyAllowHttp, monotonic }
  const metadata = serverMetadata({ issuer, given: {}, needed: ['jwks_uri'], ...how })
  const discovered = async (signal: AbortSignal): Promise<string> => {
    const { jwks_uri: uri } = await metadata.get(signal)
    // Keys that have moved are found by the next fetch. This one does not wait for metadata that cannot be had.
    metadata.doubt()
    return safeUrl(uri, dangerouslyAllowHttp === true)
  }
  return publishedKeys({ issuer, jwksUri: jwksUri ?? discovered, fetch, timeoutSeconds, clock, monotonic })
}

const NAMES: OptionNames<RequireJwtOptions> = {
  issuer: true,
  audience: true,
  algorithms: true,
  jwksUri: true,
  keys: true,
  discovery: true,
  additionalTyp: true,
  clockToleranceSeconds: true,
  timeoutSeconds: true,
  fetch: true,
  dangerouslyAllowHttp: true,
  scope: true,
  confirm: true,
  realm: true,
}

function assertUsable(options: RequireJwtOptions<never>): void {
  assertOptions('requireJwt()', options, NAMES)
  const { issuer, audience, algorithms, jwksUri, keys, fetch, additionalTyp, dangerouslyAllowHttp } = options
  safeUrlOption('requireJwt: issuer', issuer, dangerouslyAllowHttp === true)
  if (audience === undefined || audience.length === 0) {
    throw new TypeError('requireJwt: audience must be what this API is called in the aud of tokens')
  }
  if (algorithms !== undefined && (algorithms.length === 0 || algorithms.some((each) => !ALGORITHMS.includes(each)))) {
    throw new TypeError(`requireJwt: algorithms must be some of ${ALGORITHMS.join(', ')}`)
  }
  if (jwksUri !== undefined) safeUrlOption('requireJwt: jwksUri', jwksUri, dangerouslyAllowHttp === true)
  if (keys !== undefined && (typeof keys !== 'function' || jwksUri !== undefined)) {
    throw new TypeError('requireJwt: keys must be a function such as createLocalJWKSet(jwks), and without jwksUri')
  }
  if (fetch !== undefined && typeof fetch !== 'function') {
    throw new TypeError('requireJwt: fetch must be a function like the global fetch')
  }
  if (additionalTyp !== undefined && !isText(additionalTyp)) {
    throw new TypeError('requireJwt: additionalTyp must be a header typ such as JWT')
  }
  for (const name of ['clockToleranceSeconds', 'timeoutSeconds'] as const) {
    assertNumberIfGiven(`requireJwt: ${name}`, options[name], { most: 300 })
  }
}

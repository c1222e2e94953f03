// Whether a logout has ended an access token that the API verifies by itself. Asks the logout store once for each
// token; knows no authorization server and keeps nothing.
import { isDeepStrictEqual } from 'node:util'
import { decodeJwt } from 'jose/jwt/decode'
import { elapsedBy, isToCome, within } from '../deadline.js'
import type { LogoutError } from '../errors.js'
import { type EventListener, emitter } from '../events.js'
import { assertConnect } from '../http/node.js'
import { tokenKey } from '../marks/target.js'
import { listenerOf } from '../mistakes/console-warnings.js'
import { apiReads } from '../mistakes/mistake-watch.js'
import { assertNumber, assertOptions, functionIfGiven, isText, type OptionNames } from '../option-checks.js'
import type { FoundMarks } from '../stores/logout-store.js'
import { admittedTokens, answer, INVALID_TOKEN, NO_VERDICT, type TokenHandler, type TokenRequest } from './bearer.js'
import type { MarksStore } from './claims-cache.js'
import { judge, recordsOf } from './login-records.js'
import { noVerdict, storeFailed } from './no-verdict.js'
import { type RequireJwtOptions, requireJwt } from './require-jwt.js'
import type { AccessToken } from './require-token.js'
import { rememberedKeysOf } from './sign-on-keys.js'
import {
  datedOnly,
  type SignOnOf,
  sidless,
  signOnReader,
  tokenOutlivesMarks,
  userOfTwoNames,
} from './sign-on-reader.js'
import {
  namesAnother,
  ownKeys,
  standingOf,
  type TokenClaims,
  type TokenStanding,
  wasIssuedAfter,
} from './token-claims.js'

/** Options of `createJwtCheck`. */
export interface JwtCheckOptions {
  /** The logout store that the receiver writes to, or `boundedReads` of it, or what a relay keeps in step with it. */
  readonly store: Pick<MarksStore, 'marks' | 'read'>
  /** Issuer of tokens that name none. Default: a token without `iss` has no verdict. */
  readonly issuer?: string
  /**
   * Where an authorization server tells whose a token is by other claims than `iss`, `client_id` or `azp`, `sub`,
   * `sid`, `auth_time` and `iat`. Gets what those say.
   */
  readonly signOnOf?: SignOnOf
  /** How long the receiver keeps marks: a token that lives longer is told of. Seconds; default 86,400, its least. */
  readonly marksLifetimeSeconds?: number
  /** Deadline of the look-up. Seconds; default 2. */
  readonly storeTimeoutSeconds?: number
  /**
   * Hears, once each, of tokens that say too little to be reached by every logout. No event holds a token or a claim.
   */
  readonly onEvent?: EventListener
  /** The one clock: epoch seconds, fractions allowed. Default: the system clock. */
  readonly clock?: () => number
}

/** The claims of a JWT that was verified, as any library gives them. */
export type VerifiedClaims = Readonly<Record<string, unknown>>

/** What express-jwt hands to its hook `isRevoked`, as far as it is read. */
export interface VerifiedJwt {
  readonly payload: VerifiedClaims | string
  readonly signature?: string
}

/** Whether the sign-on behind verified claims was ended. Rejects where nobody can tell: answer 503. */
export interface IsRevoked {
  /**
   * Whether a logout has ended the sign-on that a verified token comes from. `token`, the JWT itself, finds also what
   * `bind` and `addTokens` recorded, and tokens that were evicted one by one. Whether a token that is bound to a key
   * (`cnf`) came with its proof is for the library that verified it: one that does not know DPoP takes it for a bearer
   * token, which `requireJwt` never does.
   *
   * @throws NoVerdictError where nobody can tell; Express, Fastify and Hono answer it 503 by themselves
   */
  (claims: VerifiedClaims, token?: string): Promise<boolean>
  /** The same as the option `isRevoked` of express-jwt. */
  (req: TokenRequest, jwt: VerifiedJwt | undefined): Promise<boolean>
}

/** A check of JWTs that were verified elsewhere, against the marks of logouts. */
export interface JwtCheck {
  readonly isRevoked: IsRevoked
  /**
   * A handler to stand behind any other that verified the token: 401 where a logout ended it, 503 where nobody can
   * tell. `read` finds what that one left; default `req.auth`, as express-jwt and express-oauth2-jwt-bearer leave it.
   * Where it finds the claims alone, the JWT is taken from the header `Authorization`, if it is the one that has them;
   * of a token that came in another way, a cookie say, `read` hands over the JWT as well.
   */
  requireLive<Req extends TokenRequest = TokenRequest>(
    read?: (
      req: Req,
    ) =>
      | VerifiedClaims
      | { readonly payload: VerifiedClaims; readonly token?: string }
      | undefined
      | Promise<VerifiedClaims | { readonly payload: VerifiedClaims; readonly token?: string } | undefined>,
  ): TokenHandler<Req>
  /**
   * A handler that verifies the token by RFC 9068 and asks about it: the whole check of a route. `TypeError` for bad
   * options.
   */
  requireJwt<Req extends TokenRequest = TokenRequest>(options: RequireJwtOptions<Req>): TokenHandler<Req>
  /** The token that `requireJwt` let in with this request. */
  tokenOf(req: object): AccessToken<undefined> | undefined
}

const NO_KEYS: readonly string[] = []
/** Of every token that lives: to make one more for each would be a good part of what asking costs. */
const LIVES = Promise.resolve(false)
const DEFAULT_TIMEOUT_SECONDS = 2
const DEFAULT_MARKS_LIFETIME_SECONDS = 86_400
const NAMES: OptionNames<JwtCheckOptions> = {
  store: true,
  issuer: true,
  signOnOf: true,
  marksLifetimeSeconds: true,
  storeTimeoutSeconds: true,
  onEvent: true,
  clock: true,
}

/** `TypeError` where the options cannot work; it names the option and the remedy. */
export function createJwtCheck(options: JwtCheckOptions): JwtCheck {
  const { store, issuer, signOnOf, storeTimeoutSeconds, marksLifetimeSeconds, clock } = resolve(options)
  apiReads(store)
  const emit = emitter(listenerOf(options))
  const warnOnce = onceEach((error) => emit({ type: 'warning', error }))
  const read = signOnReader({ issuer, signOnOf, clock, emit })
  const keysOf = rememberedKeysOf()

  const isCovered = async (standing: TokenStanding, found: FoundMarks | Promise<FoundMarks>): Promise<boolean> => {
    const judgedBy = async () => judge((await found).marks, standing, undefined, recordsOf(store))
    const judged = await within(storeTimeoutSeconds, judgedBy()).catch(storeFailed)
    if (judged === undefined) return false
    if (namesAnother(judged.mark, standing)) warnOnce(userOfTwoNames)
    if (judged.evidence === 'dates' && wasIssuedAfter(judged.mark, standing)) warnOnce(datedOnly)
    return true
  }
  const marksUnder = (keys: readonly string[]): FoundMarks | Promise<FoundMarks> => {
    try {
      return store.marks(keys)
    } catch (cause) {
      return storeFailed(cause)
    }
  }
  /**
   * The answer itself where the store has none of the token's marks, and has said so at once; else a promise of it.
   * `own`: the keys of the token itself, where it is at hand.
   */
  const isEnded = (claims: unknown, own: readonly string[]): boolean | Promise<boolean> => {
    if (!isClaims(claims)) throw noVerdict('claims_malformed')
    const signOn = read(claims)
    if (typeof claims.exp === 'number' && claims.exp - clock() > marksLifetimeSeconds) warnOnce(tokenOutlivesMarks)
    if (signOn.sid === undefined && signOn.sub !== undefined && signOn.sub !== signOn.clientId) warnOnce(sidless)
    const standing = standingOf(own, signOn, keysOf(signOn))
    const found = marksUnder(standing.keys)
    return isToCome(found) || found.marks.length > 0 ? isCovered(standing, found) : false
  }
  const isRevokedNow = (first: unknown, second: unknown): boolean | Promise<boolean> => {
    if (typeof second === 'string') return isEnded(first, ownKeys(tokenKey(second)))
    if (second === undefined && !isRequest(first)) return isEnded(first, NO_KEYS)
    const jwt = isClaims(second) ? second : {}
    const payload: unknown = Reflect.get(jwt, 'payload')
    const signature: unknown = Reflect.get(jwt, 'signature')
    const token = sentToken(first, signature)
    return isEnded(payload, token === undefined ? NO_KEYS : ownKeys(tokenKey(token)))
  }

  const isRevoked = (first: unknown, second?: unknown): Promise<boolean> => {
    try {
      const ended = isRevokedNow(first, second)
      return ended === false ? LIVES : Promise.resolve(ended)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  const { keep, tokenOf } = admittedTokens<AccessToken<undefined>>()
  return {
    isRevoked,
    requireLive: (readAuth = authOf) => {
      if (typeof readAuth !== 'function') {
        throw new TypeError('requireLive: read must be a function of the request that finds the claims of its token')
      }
      return (req, res, next) => {
        assertConnect('requireLive()', 'check.isRevoked(claims, token)', req, res, next)
        liveness(req, readAuth(req))
          .catch(() => NO_VERDICT)
          .then((refusal) => (refusal === undefined ? next() : answer(res, refusal, ['Bearer realm="api"'])))
          .catch(next)
      }
    },
    requireJwt: (route) => requireJwt(isEnded, keep, route, clock, elapsedBy(options.clock)),
    tokenOf,
  }

  async function liveness(req: TokenRequest, left: unknown) {
    const auth = await left
    if (!isClaims(auth)) return INVALID_TOKEN
    const { claims, token: given } = claimsIn(auth)
    const token = given ?? sentWith(req, claims)
    return (await isEnded(claims, token === undefined ? NO_KEYS : ownKeys(tokenKey(token)))) ? INVALID_TOKEN : undefined
  }
}

function authOf(req: object): VerifiedClaims | undefined {
  const auth: unknown = Reflect.get(req, 'auth')
  return isClaims(auth) ? auth : undefined
}

function isClaims(value: unknown): value is TokenClaims & VerifiedClaims {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isRequest(value: unknown): boolean {
  return isClaims(value) && isClaims(value.headers)
}

/**
 * The claims, bare or beside their token. What names an issuer or a user is claims itself, whatever a `payload` among
 * them may be; any other object with one is judged by that alone, so that nothing passes as claims that say nothing.
 */
function claimsIn(left: TokenClaims & VerifiedClaims): { readonly claims: unknown; readonly token?: string } {
  const { payload, token } = left
  if (isClaims(payload) && typeof token === 'string') return { claims: payload, token }
  const isBare = left.iss !== undefined || left.sub !== undefined || !('payload' in left)
  return { claims: isBare ? left : payload }
}

/** The JWT as it was sent, if it is the one that was verified: express-jwt does not hand it on. */
function sentToken(req: unknown, signature: unknown): string | undefined {
  const token = lastOf(req)
  return token !== undefined && typeof signature === 'string' && token.endsWith(`.${signature}`) ? token : undefined
}

/** The same where there are the claims alone: what both say is the same. More keys can only end more. */
function sentWith(req: unknown, claims: unknown): string | undefined {
  const token = lastOf(req)
  if (token === undefined || !isClaims(claims)) return undefined
  try {
    const sent = decodeJwt(token)
    const differs = (name: string) => claims[name] !== undefined && !isDeepStrictEqual(sent[name], claims[name])
    return Object.keys(sent).some(differs) ? undefined : token
  } catch {
    return undefined
  }
}

/** What the header `Authorization` ends with. */
function lastOf(req: unknown): string | undefined {
  const sent = isClaims(req) && isClaims(req.headers) ? req.headers.authorization : undefined
  if (typeof sent !== 'string') return undefined
  const header = sent.trimEnd()
  return header.slice(header.lastIndexOf(' ') + 1)
}

/** What is so for every token of a server is said for the first. */
function onceEach(say: (error: LogoutError) => void): (warning: () => LogoutError) => void {
  const said = new Set<() => LogoutError>()
  return (warning) => {
    if (said.has(warning)) return
    said.add(warning)
    say(warning())
  }
}

function resolve(options: JwtCheckOptions) {
  if (typeof options?.store?.marks !== 'function') {
    throw new TypeError('createJwtCheck() needs store: the logout store that the receiver writes to')
  }
  assertOptions('createJwtCheck()', options, NAMES)
  for (const name of ['signOnOf', 'onEvent', 'clock'] as const) functionIfGiven(name, options[name])
  if (options.issuer !== undefined && !isText(options.issuer)) {
    throw new TypeError('issuer must be the issuer identifier of the tokens, a non-empty string')
  }
  const resolved = {
    issuer: options.issuer,
    signOnOf: options.signOnOf,
    store: options.store,
    clock: options.clock ?? (() => Date.now() / 1000),
    storeTimeoutSeconds: options.storeTimeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
    marksLifetimeSeconds: options.marksLifetimeSeconds ?? DEFAULT_MARKS_LIFETIME_SECONDS,
  }
  for (const name of ['storeTimeoutSeconds', 'marksLifetimeSeconds'] as const) {
    assertNumber(name, resolved[name], { above: 0 })
  }
  return resolved
}

// Whose a token is and since when, by its claims or by what the application makes of them; and what is said, once,
// where they say too little. Knows no cache, no mark and no store.
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import { noVerdict } from './no-verdict.js'
import type { TokenClaims, TokenSignOn } from './token-claims.js'

/** The application's own reading of claims. Gets what the registered ones say. */
export type SignOnOf = (claims: TokenClaims, registered: TokenSignOn) => TokenSignOn

export interface SignOnReaderOptions {
  /** Used where the claims have no `iss`, which is optional in an introspection answer. */
  readonly issuer: string | undefined
  readonly signOnOf: SignOnOf | undefined
  readonly clock: () => number
  readonly emit: EventListener
}

/**
 * Reads the sign-on behind a token. The reader rejects nothing that is absent, and throws `ERR_NO_VERDICT` for what is
 * of the wrong type: ignoring it would ignore marks. A server that leaves `client_id` out does so for every token, so
 * it is said once.
 */
export function signOnReader({
  issuer,
  signOnOf,
  clock,
  emit,
}: SignOnReaderOptions): (claims: TokenClaims) => TokenSignOn {
  let warned = false
  return (claims) => {
    const now = clock()
    const registered = soundSignOn(registeredSignOn(claims, issuer), now)
    const signOn = signOnOf === undefined ? registered : soundSignOn(signOnOf(claims, registered), now)
    if (signOn.clientId === undefined && !warned) {
      warned = true
      emit({ type: 'warning', error: tokenOfNobodysClient() })
    }
    return signOn
  }
}

type SaidSignOn = { readonly [Claim in keyof TokenSignOn]?: unknown }

function registeredSignOn(claims: TokenClaims, issuer: string | undefined): SaidSignOn {
  const { iss, client_id: clientId, azp, sub, sid, auth_time: authTime, iat: issuedAt } = claims
  // Many servers name the client of a JWT by `azp` (OpenID Connect Core 2) and not as RFC 9068 does.
  return { issuer: text(iss) ?? issuer, clientId: text(clientId) ?? azp, sub, sid, authTime, issuedAt }
}

/**
 * What is said of a sign-on, by whomever, with the dates that can be true. A login that cannot have been when it is
 * said to be is of no known date at all, and so is its token: it counts as older than any mark.
 */
function soundSignOn(said: SaidSignOn, now: number): TokenSignOn {
  const issuer = typeof said === 'object' && said !== null ? text(said.issuer) : undefined
  if (issuer === undefined) throw noVerdict('claims_malformed')
  const authTime = date(said.authTime, now)
  const issuedAt = date(said.issuedAt, now)
  const isDated = authTime !== 'impossible' && issuedAt !== 'impossible'
  return {
    issuer,
    clientId: text(said.clientId),
    sub: text(said.sub),
    sid: text(said.sid),
    authTime: isDated ? authTime : undefined,
    issuedAt: isDated ? issuedAt : undefined,
  }
}

/** Clocks of the authorization server and of this API differ by less. */
const FUTURE_SECONDS = 300

/**
 * A moment that has been, in epoch seconds. Milliseconds, and what is yet to come, are later than any mark: they cannot
 * be true.
 */
function date(value: unknown, now: number): number | 'impossible' | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value) || value > now + FUTURE_SECONDS) return 'impossible'
  return value
}

/** A claim of another type than the registered one cannot be judged. */
function text(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw noVerdict('claims_malformed')
  return value
}

/**
 * Without its client a token is under no mark but its own: Logout Tokens are addressed to a client, and a `sub` alone
 * is nobody's.
 */
function tokenOfNobodysClient(): LogoutError {
  return new LogoutError(
    'ERR_CONFIGURATION',
    'An access token names no client_id: a logout ends such a token only if bind or addTokens was given it; ' +
      'where other claims tell the client, say so by signOnOf',
    { reason: 'client_id_missing', claim: 'client_id' },
  )
}

/** One user under two names: the `sub` of this server's answers is not that of its Logout Tokens. */
export function userOfTwoNames(): LogoutError {
  return new LogoutError(
    'ERR_CONFIGURATION',
    'An access token was ended by its sid, but names another sub than the Logout Token: logouts that name no sid do not reach ' +
      'such tokens; say by signOnOf which sub their ID Tokens have',
    { reason: 'sub_differs', claim: 'sub' },
  )
}

/** Said for the first such token: an authorization server puts `sid` into all of them or into none. */
export function sidless(): LogoutError {
  return new LogoutError(
    'ERR_CONFIGURATION',
    'An access token names no sid: a logout of one session ends it only if bind or addTokens was given it and this check gets ' +
      'the token itself; a logout of the user does all the same',
    { reason: 'sid_missing', claim: 'sid' },
  )
}

/** Marks are kept as long as tokens are said to live: one that lives longer could outlive the mark that denies it. */
export function tokenOutlivesMarks(): LogoutError {
  return new LogoutError(
    'ERR_CONFIGURATION',
    'An access token lives longer than marks are kept: raise tokenLifetimeSeconds and marksLifetimeSeconds',
    { reason: 'token_outlives_marks', claim: 'exp' },
  )
}

/** Said for the first token that was refused by its dates though it was issued after the logout. */
export function datedOnly(): LogoutError {
  return new LogoutError(
    'ERR_CONFIGURATION',
    'An access token that was issued after a logout was refused by its dates alone: whether it is of a later login or was refreshed ' +
      'from the ended one is not known; give the receiver and this check withLoginRecords(store), and tokens to bind and addTokens',
    { reason: 'login_unknown', claim: 'auth_time' },
  )
}

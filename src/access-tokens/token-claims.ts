// What one introspection answer says of its token: whose it is, since when, until when, and whether a mark ends it.
// Pure.
import type { IntrospectionResponse } from 'oauth4webapi'
import { covers, DEFAULT_TOLERANCE_SECONDS, type Mark } from '../marks/covering.js'
import { sha256 } from '../marks/target.js'
import { noVerdict } from './no-verdict.js'
import { keysOf, type NamedSignOn } from './sign-on-keys.js'

/** An introspection response (RFC 7662 2.2), frozen: every request with this token sees the same object. */
export type TokenClaims = IntrospectionResponse

/** The sign-on behind a token, as far as the authorization server tells. */
export interface TokenSignOn extends NamedSignOn {
  /** When the user authenticated; epoch seconds, OP clock. */
  readonly authTime?: number | undefined
  /** When the token was issued; epoch seconds, OP clock. Later than the sign-on itself after a refresh. */
  readonly issuedAt?: number | undefined
}

/**
 * No token lives until the year 5138; no clock shows 1973 any more. What is larger counts milliseconds, or parts of
 * them.
 */
const LARGEST_IN_SECONDS = 1e11

/**
 * When a token expires, in epoch seconds; `Infinity` if its answer does not say. Some servers send `exp` as a string,
 * as a date or in milli-, micro- or nanoseconds: reading those as what they mean can only end a token earlier than
 * ignoring them would.
 *
 * @throws LogoutError `ERR_NO_VERDICT` for what cannot be read: the token may have expired long ago
 */
export function expiryOf(exp: unknown): number {
  if (exp === undefined || exp === null || exp === '' || exp === Number.POSITIVE_INFINITY)
    return Number.POSITIVE_INFINITY
  let value = typeof exp === 'string' ? numberOrDate(exp) : exp
  if (typeof value !== 'number' || !Number.isFinite(value)) throw noVerdict('answer_malformed')
  while (value > LARGEST_IN_SECONDS) value /= 1000
  return value
}

/** ISO 8601, or the date of RFC 9110 5.6.7; `NaN` for anything else. */
function numberOrDate(text: string): number {
  return /^\s*-?\d+(\.\d+)?\s*$/.test(text) ? Number(text) : Date.parse(text) / 1000
}

/** What the marks need to know of a token: hashes and dates, nothing else. */
export interface TokenStanding {
  /** The keys under which marks against this token are found; its own come first. */
  readonly keys: readonly string[]
  /** Whether the first of them is that of the token itself: not where only its claims are at hand. */
  readonly isWhole: boolean
  readonly subKey: string | undefined
  readonly sidKey: string | undefined
  readonly authTime: number | undefined
  readonly issuedAt: number | undefined
}

/**
 * The key in the store of a token that was ended by its key: a client of the eviction endpoint may send any text of the
 * right shape, and must not be able to choose what lies beside the marks of others.
 */
export function evictedKey(given: string): string {
  return sha256(given)
}

/** The keys of one token: as it is recorded with its session, and as it is ended by its key. */
export function ownKeys(key: string): readonly string[] {
  return [key, evictedKey(key)]
}

/** `own`: the keys of the token itself; none where only its claims are at hand. `keys`: those of the sign-on. */
export function standingOf(own: readonly string[], signOn: TokenSignOn, keys = keysOf(signOn)): TokenStanding {
  const { authTime, issuedAt } = signOn
  const { subKey, sidKey } = keys
  const all = [...own]
  if (sidKey !== undefined) all.push(sidKey)
  if (subKey !== undefined) all.push(subKey)
  return { keys: all, isWhole: own.length > 0, subKey, sidKey, authTime, issuedAt }
}

/**
 * Whether a mark found under one of the token's keys ends it, whatever the authorization server says: marks are dated,
 * and end what was there before them. `boundAt`: when the token was known to exist, by the clock of the marks; nothing
 * where nobody remembers that: it may be as old as any mark.
 *
 * A token tells less than a login's ID Token, so the date differs by scope. Under a `sub` mark it is `auth_time`, else
 * `iat`: a token got by a refresh after the logout is not told apart from a later login without `auth_time`. Under a
 * `sid` mark a refresh must not count as a later login, so only `auth_time` can say that the user authenticated again.
 */
export function ends(mark: Mark, token: TokenStanding, boundAt: number | undefined): boolean {
  // That an answer names no `sid` does not say that the sign-on had none: the authorization server is asked again.
  if (mark.scope === 'sidless') return false
  const issuedAt = mark.scope === 'sid' ? token.authTime : (token.authTime ?? token.issuedAt)
  const signOn = { subKey: mark.subKey ?? token.subKey ?? '', issuedAt }
  if (mark.issuedAt !== undefined) return covers(mark, { ...signOn, boundAt: boundAt ?? Number.NEGATIVE_INFINITY })
  // With no Logout Token behind the mark, the store's clock alone dates it. A token that was first met after it may
  // have been issued before it all the same, by a clock that is another one.
  const issuedBy = (issuedAt ?? Number.NEGATIVE_INFINITY) - DEFAULT_TOLERANCE_SECONDS
  return covers(mark, { ...signOn, boundAt: Math.min(boundAt ?? Number.POSITIVE_INFINITY, issuedBy) })
}

/**
 * Whether the mark names another user than the token. The `sid` suffices to end it: an answer may have a pairwise or an
 * internal `sub` where ID Tokens have the public one. But marks of that `sub` alone then miss it, which is to be said.
 */
export function namesAnother(mark: Mark, token: TokenStanding): boolean {
  return mark.subKey !== undefined && token.subKey !== undefined && mark.subKey !== token.subKey
}

/** Whether the token is younger than the logout: of a later login, or refreshed from the ended one. */
export function wasIssuedAfter({ issuedAt, seenAt }: Mark, token: TokenStanding): boolean {
  return token.issuedAt !== undefined && token.issuedAt > (issuedAt ?? seenAt)
}

/**
 * Freezes JSON all the way down, so that no request can change what the next one sees; also below what comes frozen,
 * which says nothing of its members.
 */
export function deepFreeze(value: unknown, seen = new WeakSet()): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return
  seen.add(value)
  Object.freeze(value)
  for (const member of Object.values(value)) deepFreeze(member, seen)
}

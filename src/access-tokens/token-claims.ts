// What one introspection answer says of its token: whose it is, since when, until when, and whether a mark ends it. Pure.
import type { IntrospectionResponse } from 'oauth4webapi'
import { LogoutError } from '../errors.js'
import { covers, type Mark } from '../marks/covering.js'
import { sidKey, subKey } from '../marks/target.js'
import { noVerdict } from './no-verdict.js'

/** An introspection response (RFC 7662 2.2), frozen: every request with this token sees the same object. */
export type TokenClaims = IntrospectionResponse

/** The sign-on behind a token, as far as the authorization server tells. */
export interface TokenSignOn {
  /** Issuer of the ID Tokens and Logout Tokens of that sign-on. */
  readonly issuer: string
  /** `client_id` of the Relying Party that the token was issued to: Logout Tokens are addressed to it. */
  readonly clientId?: string | undefined
  readonly sub?: string | undefined
  readonly sid?: string | undefined
  /** When the user authenticated; epoch seconds, OP clock. */
  readonly authTime?: number | undefined
  /** When the token was issued; epoch seconds, OP clock. Later than the sign-on itself after a refresh. */
  readonly issuedAt?: number | undefined
}

/** The sign-on of an answer by its registered claims. `issuer` is used where the answer has no `iss`, which is optional. */
export function signOnOfClaims(claims: TokenClaims, issuer: string): TokenSignOn {
  return {
    issuer: text(claims.iss) ?? issuer,
    clientId: text(claims.client_id),
    sub: text(claims.sub),
    sid: text(claims.sid),
    authTime: seconds(claims.auth_time),
    issuedAt: seconds(claims.iat),
  }
}

/** Without its client a token is under no mark but its own: Logout Tokens are addressed to a client, and a `sub` alone is nobody's. */
export function tokenOfNobodysClient(): LogoutError {
  return new LogoutError(
    'ERR_EVICT',
    'An introspection answer names no client_id: a logout ends such a token only if bind or addTokens was given it; ' +
      'where other claims tell the client, say so by signOnOf',
    { reason: 'client_id_missing', claim: 'client_id' },
  )
}

/** A claim of another type than the registered one is an answer that cannot be judged: ignoring it would ignore marks. */
function text(value: unknown): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') throw noVerdict('answer_malformed')
  return value
}

/** Absent or unreadable counts as older than any mark, so nothing is gained by sending nonsense. */
function seconds(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

/** No token lives until the year 5138; no clock shows 1973 any more. What is larger counts milliseconds. */
const LARGEST_IN_SECONDS = 1e11

/**
 * When a token expires, in epoch seconds; `Infinity` if its answer does not say. Some servers send `exp` as a string or in
 * milliseconds: reading those as what they mean can only end a token earlier than ignoring them would.
 */
export function expiryOf(exp: unknown): number {
  const value = typeof exp === 'string' && exp.trim() !== '' ? Number(exp) : exp
  if (typeof value !== 'number' || !Number.isFinite(value)) return Number.POSITIVE_INFINITY
  return value > LARGEST_IN_SECONDS ? value / 1000 : value
}

/** What the marks need to know of a token: hashes and dates, nothing else. */
export interface TokenStanding {
  /** The keys under which marks against this token are found; the token's own comes first. */
  readonly keys: readonly string[]
  readonly subKey: string | undefined
  readonly authTime: number | undefined
  readonly issuedAt: number | undefined
}

export function standingOf(tokenKey: string, signOn: TokenSignOn): TokenStanding {
  const { issuer, clientId, sub, sid, authTime, issuedAt } = signOn
  const standing = { keys: [tokenKey], subKey: undefined, authTime, issuedAt }
  if (clientId === undefined) return standing
  const client = { issuer, clientId }
  const bySub = sub === undefined ? undefined : subKey(client, sub)
  const bySid = sid === undefined ? undefined : sidKey(client, sid)
  return { ...standing, keys: [tokenKey, bySid, bySub].filter((key) => key !== undefined), subKey: bySub }
}

/**
 * Whether a mark found under one of the token's keys ends it (law 6), whatever the authorization server says. `boundAt`: when
 * the token was known to exist, by the clock of the marks.
 *
 * A token tells less than a login's ID Token, so the date differs by scope. Under a `sub` mark it is `auth_time`, else `iat`: a
 * token got by a refresh after the logout is not told apart from a later login without `auth_time`. Under a `sid` mark a
 * refresh must not count as a later login, so only `auth_time` can say that the user authenticated again.
 */
export function ends(mark: Mark, token: TokenStanding, boundAt: number, toleranceSeconds: number): boolean {
  const issuedAt = mark.scope === 'sid' ? token.authTime : (token.authTime ?? token.issuedAt)
  // Without a `sub` of its own, a token of the ended `sid` belongs to whomever the mark names.
  const bySub = token.subKey ?? mark.subKey ?? ''
  return covers(mark, { subKey: bySub, issuedAt, boundAt }, toleranceSeconds)
}

/** Freezes JSON all the way down, so that no request can change what the next one sees. */
export function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return
  Object.freeze(value)
  for (const member of Object.values(value)) deepFreeze(member)
}

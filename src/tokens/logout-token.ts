// The rule set of Logout Tokens on top of the ladder that all tokens climb. Knows no HTTP and no sessions.
import { type JsonObject, own } from '../json-object.js'
import type { Provider } from '../providers/provider.js'
import { checkLogoutClaims, type LogoutClaims } from './logout-token-claims.js'
import { refusal } from './token-refusal.js'
import { type TokenRules, type Verification, verifyToken } from './verify-token.js'

/**
 * A Logout Token that passed every step of BCL 2.6 but the replay check, for one of our clients. Times are epoch
 * seconds.
 */
export interface LogoutToken extends LogoutClaims {
  /** Whose token it is; `provider.client` is the scope of everything that follows. */
  readonly provider: Provider
  /** All claims, as signed. */
  readonly claims: JsonObject
}

/** One for each of our clients that it is for. */
export type LogoutTokens = readonly [LogoutToken, ...LogoutToken[]]

/** Header `typ` in lower case. BCL 2.4: explicit typing is recommended, and demanding it breaks most deployed OPs. */
const LOGOUT_TYPES = ['logout+jwt', 'application/logout+jwt']
const INTEROP_TYPES = [...LOGOUT_TYPES, 'jwt']

const LOGOUT_TOKEN: TokenRules<LogoutClaims> = { checkType: typeIsTaken, checkClaims: checkLogoutClaims }

/**
 * Believes a Logout Token or says why not (BCL 2.6 steps 1 to 7; the replay check of step 8 needs a store and is the
 * engine's). Rejects with a `LogoutError` only: `ERR_TOKEN` with a `TokenRefusal` as `reason`, or
 * `ERR_KEYS_UNAVAILABLE`.
 */
export async function verifyLogoutToken(token: string, about: Verification): Promise<LogoutTokens> {
  const [first, ...others] = await verifyToken(token, LOGOUT_TOKEN, about)
  return [logoutTokenOf(first), ...others.map(logoutTokenOf)]
}

function logoutTokenOf({ provider, claims, says }: { provider: Provider; claims: JsonObject; says: LogoutClaims }) {
  return Object.freeze({ provider, claims, ...says })
}

/** RFC 8725 3.11: another kind of token of the same issuer is no Logout Token, whatever its claims. */
function typeIsTaken(header: JsonObject, { typ: profile, additionalTyp }: Provider): void {
  if (!Object.hasOwn(header, 'typ')) {
    if (profile === 'interop') return
    throw refusal('typ_missing', { claim: 'typ', option: 'typ' })
  }
  const typ = own(header, 'typ')
  if (typeof typ !== 'string') throw refusal('typ_invalid', { claim: 'typ' })
  const lower = typ.toLowerCase()
  const taken = profile === 'strict' ? LOGOUT_TYPES : INTEROP_TYPES
  if (taken.includes(lower) || additionalTyp.includes(lower)) return
  throw refusal('typ_refused', { claim: 'typ', option: INTEROP_TYPES.includes(lower) ? 'typ' : 'additionalTyp' })
}

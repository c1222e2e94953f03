// What the claims of a Logout Token must say, rule by rule in the order of BCL 2.6. Pure: who verifies the signature,
// and when, is elsewhere, and so are keys and clocks.

import { isJsonObject, type JsonObject, own } from '../json-object.js'
import type { LogoutTarget } from '../marks/target.js'
import type { Provider } from '../providers/provider.js'
import { clientIdRemedy } from '../providers/remedies.js'
import { audiencesOf } from './compact-token.js'
import { refusal, type TokenRefusal } from './token-refusal.js'
import type { ClaimsContext } from './verify-token.js'

/** The member of `events` that makes a JWT a Logout Token (BCL 2.4). */
export const LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/** OpenID Connect Core 2: a `sub` has at most 255 characters. */
export const MAX_SUB_LENGTH = 255
/** No specification bounds a `sid`; the longest seen is a tenth of this. */
export const MAX_SID_LENGTH = 1024

/** The options of a provider that its claims are judged by. */
export type ClaimRules = Pick<
  Provider,
  | 'client'
  | 'trustedAudiences'
  | 'clockToleranceSeconds'
  | 'maxAgeSeconds'
  | 'allowMissingExp'
  | 'ignoreSid'
  | 'backchannelLogoutSessionRequired'
>

/** What the claims say, once every rule has passed. Times are epoch seconds. */
export interface LogoutClaims {
  readonly target: LogoutTarget
  readonly issuedAt: number
  readonly jti: string
  /** From then on the token would be refused by its age, so its `jti` need not be remembered longer. */
  readonly replayUntil: number
  readonly revokeOfflineAccess: boolean
}

/**
 * Applies every rule (BCL 2.4 and 2.6 steps 4 to 7); throws `ERR_TOKEN` with the first that fails. Unknown claims are
 * ignored.
 */
export function checkLogoutClaims(
  claims: JsonObject,
  rules: ClaimRules,
  { now, singleAudience, ownClientIds }: ClaimsContext,
): LogoutClaims {
  issuerIsExact(claims, rules)
  audienceIsThisClient(claims, rules, singleAudience, ownClientIds)
  authorizedPartyIsThisClient(claims, rules)
  const issuedAt = issuedByNow(claims, rules, now)
  const expiresAt = notExpired(claims, rules, now)
  notTooOld(issuedAt, rules, now)
  alreadyValid(claims, rules, now)
  const target = targetOf(claims, rules)
  const events = eventsWithLogout(claims)
  noNonce(claims)
  const jti = tokenId(claims)
  return {
    target,
    issuedAt,
    jti,
    replayUntil: Math.min(expiresAt, issuedAt + rules.maxAgeSeconds) + rules.clockToleranceSeconds,
    // Keycloak's word, beside the event: the offline refresh tokens of this sign-on are dead as well.
    revokeOfflineAccess: own(events, 'revoke_offline_access') === true,
  }
}

function issuerIsExact(claims: JsonObject, { client }: ClaimRules): void {
  if (!Object.hasOwn(claims, 'iss')) throw refusal('iss_missing', { claim: 'iss' })
  if (own(claims, 'iss') !== client.issuer) throw refusal('iss_mismatch', { claim: 'iss' })
}

function audienceIsThisClient(
  claims: JsonObject,
  rules: ClaimRules,
  singleAudience: boolean,
  ownClientIds: readonly string[],
): void {
  if (!Object.hasOwn(claims, 'aud')) throw refusal('aud_missing', { claim: 'aud' })
  const audiences = audiencesOf(claims)
  if (audiences === undefined) throw refusal('aud_invalid', { claim: 'aud' })
  const { clientId } = rules.client
  if (!audiences.includes(clientId)) {
    throw refusal('aud_mismatch', { claim: 'aud', remedy: clientIdRemedy([rules.client]) })
  }
  // Whoever shares the secret could have made the token (OpenID Connect Core 16.19).
  if (singleAudience && audiences.length > 1) throw refusal('aud_not_single', { claim: 'aud' })
  const taken = [clientId, ...ownClientIds, ...rules.trustedAudiences]
  if (!audiences.every((each) => taken.includes(each))) {
    throw refusal('aud_untrusted', { claim: 'aud', option: 'trustedAudiences' })
  }
}

function authorizedPartyIsThisClient(claims: JsonObject, { client }: ClaimRules): void {
  if (Object.hasOwn(claims, 'azp') && own(claims, 'azp') !== client.clientId) {
    throw refusal('azp_mismatch', { claim: 'azp' })
  }
}

function issuedByNow(claims: JsonObject, { clockToleranceSeconds }: ClaimRules, now: number): number {
  if (!Object.hasOwn(claims, 'iat')) throw refusal('iat_missing', { claim: 'iat' })
  const issuedAt = numericDate(claims, 'iat', 'iat_invalid')
  if (issuedAt > now + clockToleranceSeconds) {
    throw refusal('iat_in_future', { claim: 'iat', option: 'clockToleranceSeconds' })
  }
  return issuedAt
}

/** Infinity where the provider may leave `exp` out: the age bound is the expiry then. */
function notExpired(claims: JsonObject, rules: ClaimRules, now: number): number {
  if (!Object.hasOwn(claims, 'exp')) {
    if (rules.allowMissingExp) return Number.POSITIVE_INFINITY
    throw refusal('exp_missing', { claim: 'exp', option: 'allowMissingExp' })
  }
  const expiresAt = numericDate(claims, 'exp', 'exp_invalid')
  if (now >= expiresAt + rules.clockToleranceSeconds) {
    throw refusal('exp_past', { claim: 'exp', option: 'clockToleranceSeconds' })
  }
  return expiresAt
}

/** Bounds the memory of replays, whatever `exp` says. */
function notTooOld(issuedAt: number, { maxAgeSeconds, clockToleranceSeconds }: ClaimRules, now: number): void {
  if (now >= issuedAt + maxAgeSeconds + clockToleranceSeconds) {
    throw refusal('too_old', { claim: 'iat', option: 'maxAgeSeconds' })
  }
}

/**
 * Not of BCL, yet several OPs send it: equal to `iat`, so without tolerance an OP clock ahead of ours would lose
 * logouts.
 */
function alreadyValid(claims: JsonObject, { clockToleranceSeconds }: ClaimRules, now: number): void {
  if (!Object.hasOwn(claims, 'nbf')) return
  if (numericDate(claims, 'nbf', 'nbf_invalid') > now + clockToleranceSeconds) {
    throw refusal('nbf_in_future', { claim: 'nbf', option: 'clockToleranceSeconds' })
  }
}

/**
 * BCL 2.6 step 5. A `sid` narrows to one session, and nothing ever widens it again but the provider's own `ignoreSid`.
 */
function targetOf(claims: JsonObject, rules: ClaimRules): LogoutTarget {
  const { client } = rules
  const sub = identifier(claims, 'sub', MAX_SUB_LENGTH, 'sub_invalid')
  const sid = identifier(claims, 'sid', MAX_SID_LENGTH, 'sid_invalid')
  if (sid === undefined && sub === undefined) throw refusal('target_missing', { claim: 'sub' })
  if (sid === undefined && rules.backchannelLogoutSessionRequired) {
    throw refusal('sid_missing', { claim: 'sid', option: 'backchannelLogoutSessionRequired' })
  }
  const { issuer, clientId } = client
  if (sid !== undefined && !rules.ignoreSid) return { issuer, clientId, sid, sub }
  if (sub === undefined) throw refusal('sub_missing', { claim: 'sub', option: 'ignoreSid' })
  return { issuer, clientId, sub }
}

/** A JSON null is an absent claim: Rauthy writes `sub: null` beside a `sid`. */
function identifier(
  claims: JsonObject,
  name: 'sub' | 'sid',
  maxLength: number,
  reason: TokenRefusal,
): string | undefined {
  const value = own(claims, name)
  if (value === undefined || value === null) return undefined
  if (!isUsableId(value, maxLength)) throw refusal(reason, { claim: name })
  return value
}

/** Whether a Logout Token may name somebody by it. */
export function isUsableId(value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value !== '' && value.length <= maxLength && !/\p{Cc}/u.test(value)
}

/** BCL 2.4: the event's value is a JSON object, SHOULD be empty, and other events may stand beside it. */
function eventsWithLogout(claims: JsonObject): JsonObject {
  if (!Object.hasOwn(claims, 'events')) throw refusal('events_missing', { claim: 'events' })
  const events = own(claims, 'events')
  if (!isJsonObject(events)) throw refusal('events_invalid', { claim: 'events' })
  if (!Object.hasOwn(events, LOGOUT_EVENT)) throw refusal('event_missing', { claim: 'events' })
  if (!isJsonObject(own(events, LOGOUT_EVENT))) throw refusal('event_invalid', { claim: 'events' })
  return events
}

/** BCL 2.4: a nonce is what tells an ID Token from a Logout Token, so its name alone is one too many. */
function noNonce(claims: JsonObject): void {
  if (Object.hasOwn(claims, 'nonce')) throw refusal('nonce_present', { claim: 'nonce' })
}

function tokenId(claims: JsonObject): string {
  if (!Object.hasOwn(claims, 'jti')) throw refusal('jti_missing', { claim: 'jti' })
  const jti = own(claims, 'jti')
  if (typeof jti !== 'string' || jti === '') throw refusal('jti_invalid', { claim: 'jti' })
  return jti
}

/** RFC 7519 2: a number of seconds, fractions allowed. JSON can write numbers that are infinite here. */
function numericDate(claims: JsonObject, claim: string, reason: TokenRefusal): number {
  const value = own(claims, claim)
  if (typeof value !== 'number' || !Number.isFinite(value)) throw refusal(reason, { claim })
  return value
}

// What a relay says to an API: one Security Event Token (RFC 8417) for each mark, and one that says that all has been said. Only the
// shape; knows no key, no store and no connection.
import type { Mark } from '../marks/covering.js'
import type { TargetKey } from '../marks/target.js'

/** Header `typ` (RFC 8417 2.3) and media type (RFC 8935 2.1) of a notice. */
export const NOTICE_TYP = 'secevent+jwt'
export const NOTICE_TYPE = `application/${NOTICE_TYP}`

/** OpenID CAEP 1.0, 3.1: the session of the subject has been revoked. */
const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
/** OpenID SSF 1.0, 8.1.4.1: the stream is alive; `state` is what the receiver gave. */
const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification'

/**
 * A mark as it travels: hashed keys, the OP's date, and spans in place of the store's dates, so that no clocks are compared.
 */
export interface RelayedMark {
  readonly target: TargetKey
  readonly issuedAt: number | undefined
  readonly seenSecondsAgo: number
  readonly lastsSeconds: number
}

export type Notice =
  | { readonly says: 'ended'; readonly mark: RelayedMark }
  /** All that was acknowledged before the receiver gave `nonce` has been said. */
  | { readonly says: 'complete'; readonly nonce: string | undefined }

/** The claims that say it, without those of every notice (`iss`, `aud`, `iat`, `jti`). `now`: the clock that dated the mark. */
export function endedClaims({ scope, key, subKey, issuedAt, seenAt, expiresAt }: Mark, now: number) {
  const session = scope === 'sid' ? { session: opaque(key) } : {}
  const user = scope === 'sub' ? { user: opaque(key) } : subKey === undefined ? {} : { user: opaque(subKey) }
  const event = {
    ...(issuedAt !== undefined && { event_timestamp: issuedAt }),
    seen_seconds_ago: Math.max(0, now - seenAt),
    lasts_seconds: expiresAt - now,
  }
  return {
    sub_id: scope === 'token' ? opaque(key) : { format: 'complex', ...session, ...user },
    events: { [SESSION_REVOKED]: event },
  }
}

export function completeClaims(nonce: string | undefined) {
  return { sub_id: opaque('all'), events: { [VERIFICATION]: nonce === undefined ? {} : { state: nonce } } }
}

function opaque(id: string) {
  return { format: 'opaque', id } as const
}

/** What verified claims say, or nothing if they are no notice of a relay. */
export function noticeOf({ sub_id: subject, events }: { readonly [claim: string]: unknown }): Notice | undefined {
  const all = members(events)
  if (all === undefined || Object.keys(all).length !== 1) return undefined
  const verification = members(all[VERIFICATION])
  if (verification !== undefined) {
    const nonce = verification.state
    return nonce === undefined || typeof nonce === 'string' ? { says: 'complete', nonce } : undefined
  }
  const event = members(all[SESSION_REVOKED])
  const target = targetOf(subject)
  if (event === undefined || target === undefined) return undefined
  const { event_timestamp: issuedAt, seen_seconds_ago: seenSecondsAgo, lasts_seconds: lastsSeconds } = event
  if (!(issuedAt === undefined || isSpan(issuedAt)) || !isSpan(seenSecondsAgo) || !isSpan(lastsSeconds))
    return undefined
  return { says: 'ended', mark: { target, issuedAt, seenSecondsAgo, lastsSeconds } }
}

function targetOf(subject: unknown): TargetKey | undefined {
  const { format, ...rest } = members(subject) ?? {}
  if (format === 'opaque') return typeof rest.id === 'string' ? { scope: 'token', key: rest.id } : undefined
  if (format !== 'complex') return undefined
  const session = idOf(rest.session)
  const user = idOf(rest.user)
  if (session === undefined) return user === undefined ? undefined : { scope: 'sub', key: user }
  return user === undefined ? { scope: 'sid', key: session } : { scope: 'sid', key: session, subKey: user }
}

function idOf(subject: unknown): string | undefined {
  const { format, id } = members(subject) ?? {}
  return format === 'opaque' && typeof id === 'string' ? id : undefined
}

function isSpan(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0
}

function members(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
}

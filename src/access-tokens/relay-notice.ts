// What a relay says to an API: a Security Event Token (RFC 8417) for a mark or for many of them, and one that says that
// all has been said. Only the shape; knows no key, no store and no connection.
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
 * Header of an answer: how many marks the receiver takes in one notice. Who does not say so takes one.
 */
export const MARKS_HEADER = 'relay-marks'
/** A mark is at most some 400 bytes of a notice. */
export const MOST_MARKS = 256
export const NOTICE_LIMIT_BYTES = 131_072

/**
 * A mark as it travels: hashed keys, the OP's date, and spans in place of the store's dates, so that no clocks are
 * compared.
 */
export interface RelayedMark {
  readonly target: TargetKey
  readonly issuedAt: number | undefined
  readonly seenSecondsAgo: number
  readonly lastsSeconds: number
}

export type Notice =
  /** `nonce`: one that the receiver gave before it was said; relays of before have none in it. */
  | { readonly says: 'ended'; readonly marks: readonly RelayedMark[]; readonly nonce: string | undefined }
  /** All that was acknowledged before the receiver gave `nonce` has been said. */
  | { readonly says: 'complete'; readonly nonce: string | undefined }

/**
 * The claims that say it, without those of every notice (`iss`, `aud`, `iat`, `jti`). `now`: the clock that dated the
 * marks. One mark is a notice as CAEP has it; several are its subjects and its spans, side by side in one event.
 */
export function endedClaims(marks: readonly Mark[], now: number, nonce?: string) {
  const [first, ...more] = marks
  const state = nonce === undefined ? {} : { state: nonce }
  if (first !== undefined && more.length === 0) {
    return { sub_id: subjectOf(first), events: { [SESSION_REVOKED]: { ...datesOf(first, now), ...state } } }
  }
  const ended = marks.map((mark) => ({ sub_id: subjectOf(mark), ...datesOf(mark, now) }))
  return { sub_id: opaque('several'), events: { [SESSION_REVOKED]: { ended, ...state } } }
}

function subjectOf({ scope, key, subKey }: Mark) {
  if (scope === 'token') return opaque(key)
  const session = scope === 'sid' ? { session: opaque(key) } : {}
  const user = scope === 'sub' ? { user: opaque(key) } : subKey === undefined ? {} : { user: opaque(subKey) }
  return { format: 'complex', ...session, ...user }
}

function datesOf({ issuedAt, seenAt, expiresAt }: Mark, now: number) {
  return {
    ...(issuedAt !== undefined && { event_timestamp: issuedAt }),
    seen_seconds_ago: Math.max(0, now - seenAt),
    lasts_seconds: expiresAt - now,
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
  if (event === undefined) return undefined
  const { ended, state } = event
  if (state !== undefined && typeof state !== 'string') return undefined
  if (ended === undefined) return saidOf([markOf(subject, event)], state)
  if (!Array.isArray(ended) || ended.length === 0 || ended.length > MOST_MARKS) return undefined
  return saidOf(
    ended.map((each: unknown) => markOf(members(each)?.sub_id, members(each) ?? {})),
    state,
  )
}

/** All of them or nothing: what is half understood is not confirmed. */
function saidOf(marks: readonly (RelayedMark | undefined)[], nonce: string | undefined): Notice | undefined {
  const known = marks.filter((mark) => mark !== undefined)
  return known.length === marks.length ? { says: 'ended', marks: known, nonce } : undefined
}

function markOf(subject: unknown, dates: Readonly<Record<string, unknown>>): RelayedMark | undefined {
  const target = targetOf(subject)
  const { event_timestamp: issuedAt, seen_seconds_ago: seenSecondsAgo, lasts_seconds: lastsSeconds } = dates
  if (target === undefined || !(issuedAt === undefined || isSpan(issuedAt))) return undefined
  return isSpan(seenSecondsAgo) && isSpan(lastsSeconds) ? { target, issuedAt, seenSecondsAgo, lastsSeconds } : undefined
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

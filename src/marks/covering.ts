// The one rule that decides which sign-ons a logout ends. Pure: every store, guard and cache asks here or proves,
// by the shared vectors of the store contract, that it decides the same.

/**
 * The durable record that a target was ended. Times are epoch seconds, fractions allowed.
 * Only time removes a mark; no login clears it.
 */
export interface Mark {
  /**
   * What it ends under its key: one session of the OP, every session of a subject, those sign-ons of a subject that
   * were made without a `sid` (a logout by `sid` cannot tell which of them it means), or one access token.
   */
  readonly scope: 'sid' | 'sub' | 'sidless' | 'token'
  readonly key: string
  readonly subKey?: string | undefined
  /** `iat` of the Logout Token: the OP's clock. Absent: no token is behind it (`terminate`, a local logout). */
  readonly issuedAt?: number | undefined
  /**
   * When the store first wrote it: the store's clock. `-Infinity`: the store has not said yet. `Infinity`: a process that
   * denies without the store does not know that clock yet.
   */
  readonly seenAt: number
  readonly expiresAt: number
}

/** What the rule needs to know of a sign-on. */
export interface SignOn {
  readonly subKey: string
  /** Absent: the login named no `sid`. */
  readonly sidKey?: string | undefined
  /** `iat` of the ID Token of the *login* (OP clock). Absent: the sign-on counts as older than any Logout Token. */
  readonly issuedAt?: number | undefined
  /** When the user was sent to the OP, at the earliest: the store's clock. Absent: not known. */
  readonly startedAt?: number | undefined
  /** When the binding was first written (store clock). */
  readonly boundAt: number
}

/**
 * By how much the clocks of one OP's machines may disagree, and by how much one back-dates its Logout Tokens: a second
 * or two. More would end the logins that were made after a logout whose token was delivered late.
 */
export const DEFAULT_SKEW_SECONDS = 5

/**
 * How long an authorization code that was issued before a logout may be redeemed after it (RFC 6749 4.1.2 allows ten
 * minutes, OPs one).
 */
export const UNDER_WAY_SECONDS = 60

/** By how much the clocks of OP, RP and store may differ: marks are kept that much longer than what they deny. */
export const DEFAULT_TOLERANCE_SECONDS = 60

/**
 * Whether a mark, found under one of the sign-on's own keys, ends that sign-on.
 *
 * - `token`: always; a token that was ended stays ended.
 * - A login that was begun after the mark was seen lives, whatever the dates say.
 * - Without a Logout Token: what was bound by then, by the store's clock alone.
 * - With one: what was issued by then. Both `iat` are the OP's, so they compare without skew and a tie fails closed;
 *   within the skew the store's own clock, the same for both, says which came first.
 * - `sid`: also a login that was under way, since an authorization code may outlive the session that it was issued in.
 */
export function covers(mark: Mark, signOn: SignOn): boolean {
  if (mark.scope === 'token') return true
  if (mark.scope === 'sidless' && signOn.sidKey !== undefined) return false
  if (mark.subKey !== undefined && mark.subKey !== signOn.subKey) return false
  if (wasBegunAfter(mark, signOn)) return false
  const wasBound = signOn.boundAt <= mark.seenAt
  if (mark.issuedAt === undefined) return wasBound
  if (signOn.issuedAt === undefined) return true
  const later = signOn.issuedAt - mark.issuedAt
  return (
    later <= 0 || (wasBound && later <= DEFAULT_SKEW_SECONDS) || (mark.scope === 'sid' && later <= UNDER_WAY_SECONDS)
  )
}

/**
 * What a logout by `sid` and `sub` writes beside its mark: it also ends that subject's sign-ons without a `sid`, since
 * nobody can tell which of them it means.
 */
export function sidlessMark(mark: Mark): Mark | undefined {
  if (mark.scope !== 'sid' || mark.subKey === undefined) return undefined
  return { ...mark, scope: 'sidless', key: mark.subKey, subKey: undefined }
}

/** Where the store has not said yet when it saw the mark, nothing is known to have begun after it. */
function wasBegunAfter({ seenAt }: Mark, { startedAt }: SignOn): boolean {
  return startedAt !== undefined && seenAt !== Number.NEGATIVE_INFINITY && startedAt > seenAt
}

/** Whether one mark ends everything that another of the same key ends. Expiry aside. */
export function coversAllOf(mark: Mark, other: Mark): boolean {
  if (mark.key !== other.key) return false
  if (mark.scope !== other.scope && !(mark.scope === 'sub' && other.scope === 'sidless')) return false
  if (mark.scope === 'token') return true
  if (mark.subKey !== undefined && mark.subKey !== other.subKey) return false
  if (mark.seenAt < other.seenAt) return false
  if (mark.issuedAt === undefined || other.issuedAt === undefined) return mark.issuedAt === other.issuedAt
  return mark.issuedAt >= other.issuedAt
}

/**
 * The marks of one key with one more. They stand side by side, whole: the larger of each date would end sign-ons that
 * neither ends. One that ends nothing beyond what another ends is dropped, and the other kept until the later end of
 * both, since forgetting early is the only harm that an expiry can do.
 */
export function withMark(marks: readonly Mark[], mark: Mark): readonly Mark[] {
  if (marks.length === 0) return [mark]
  const wider = marks.find((other) => coversAllOf(other, mark))
  if (wider !== undefined) {
    return wider.expiresAt >= mark.expiresAt
      ? marks
      : marks.map((other) => (other === wider ? { ...wider, expiresAt: mark.expiresAt } : other))
  }
  const kept = marks.filter((other) => !coversAllOf(mark, other))
  if (kept.length === marks.length) return [...marks, mark]
  const narrower = marks.filter((other) => !kept.includes(other))
  return [...kept, { ...mark, expiresAt: Math.max(mark.expiresAt, ...narrower.map((other) => other.expiresAt)) }]
}

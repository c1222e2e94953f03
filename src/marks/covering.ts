// The one rule that decides which sign-ons a logout ends. Pure: every store, guard and cache asks here or proves,
// by the shared vectors of the store contract, that it decides the same.

/**
 * The durable record that a target was ended. Times are epoch seconds, fractions allowed.
 * Only time removes a mark; no login clears it.
 */
export interface Mark {
  readonly scope: 'sid' | 'sub' | 'token'
  readonly key: string
  readonly subKey?: string | undefined
  /** `iat` of the Logout Token: the OP's clock. */
  readonly issuedAt: number
  /** When the store first wrote it: the store's clock. */
  readonly seenAt: number
  readonly expiresAt: number
}

/** What the rule needs to know of a sign-on. */
export interface SignOn {
  readonly subKey: string
  /** `iat` of the ID Token of the *login* (OP clock). Absent: the sign-on counts as older than any mark. */
  readonly issuedAt?: number | undefined
  /** When the binding was first written (store clock). */
  readonly boundAt: number
}

/** OP nodes disagree by a second or two, and some back-date tokens by one. */
export const DEFAULT_TOLERANCE_SECONDS = 60

/**
 * Whether a mark, found under one of the sign-on's own keys, ends that sign-on.
 *
 * - `token`: always; a token that was ended stays ended.
 * - `sid`: a `sid` is not reused, so only a sign-on issued clearly later escapes (a re-authentication that kept its `sid`).
 * - `sub`: a login after the logout lives. Both `iat` are the OP's, so they compare without skew and a tie fails
 *   closed; within the tolerance the store's own clock, the same for both, says which came first.
 */
export function covers(mark: Mark, signOn: SignOn, toleranceSeconds: number): boolean {
  if (mark.scope === 'token') return true
  if (mark.subKey !== undefined && mark.subKey !== signOn.subKey) return false
  if (signOn.issuedAt === undefined) return true
  const withinTolerance = signOn.issuedAt <= mark.issuedAt + toleranceSeconds
  if (mark.scope === 'sid') return withinTolerance
  return signOn.issuedAt <= mark.issuedAt || (withinTolerance && signOn.boundAt <= mark.seenAt)
}

/**
 * Two marks of one target become the one with the greater (`issuedAt`, `seenAt`), whole: the larger of each would cover
 * sign-ons that neither covers. Its expiry is the later of the two, since forgetting early is the only harm expiry can do.
 */
export function mergeMarks(a: Mark, b: Mark): Mark {
  const later = b.issuedAt > a.issuedAt || (b.issuedAt === a.issuedAt && b.seenAt > a.seenAt) ? b : a
  const expiresAt = Math.max(a.expiresAt, b.expiresAt)
  return later.expiresAt === expiresAt ? later : { ...later, expiresAt }
}

/** The marks of one key with one more: one for each `sub` named with it, the added one last. */
export function withMark(marks: readonly Mark[], mark: Mark): readonly Mark[] {
  if (marks.length === 0) return [mark]
  const same = marks.find((other) => other.subKey === mark.subKey)
  return [...marks.filter((other) => other !== same), same === undefined ? mark : mergeMarks(same, mark)]
}

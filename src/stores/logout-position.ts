// Where a page of a logout ended, as text: the next one goes on there, with the dates of the first. Knows no store.

/** When the OP issued the Logout Token, if there was one, and when the store first saw the logout. */
export interface LogoutDates {
  readonly issuedAt: number | undefined
  readonly seenAt: number
}

/** Dates of the logout, and where one of its lists of sessions was left. */
export interface LogoutPosition extends LogoutDates {
  /** Which of the target's lists of sessions. */
  readonly part: number
  /** A position in that list, in the store's own terms. */
  readonly after: string
}

export function writtenPosition({ issuedAt, seenAt, part, after }: LogoutPosition): string {
  return JSON.stringify([issuedAt ?? null, seenAt, part, after])
}

/** Throws for what no store wrote: a page that is not understood must not be taken for the last one. */
export function positionOf(cursor: string | undefined): LogoutPosition | undefined {
  if (cursor === undefined) return undefined
  const parts: unknown = JSON.parse(cursor)
  const [issuedAt, seenAt, part, after]: readonly unknown[] = Array.isArray(parts) ? parts : []
  const isDated = issuedAt === null || typeof issuedAt === 'number'
  if (!isDated || typeof seenAt !== 'number' || typeof part !== 'number' || typeof after !== 'string') {
    throw new Error('The cursor of a logout is none that a store returned')
  }
  return { issuedAt: issuedAt ?? undefined, seenAt, part, after }
}

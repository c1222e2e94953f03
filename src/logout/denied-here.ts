// What this process denies out of its own memory: targets whose logout is not finished yet, and sessions it ended
// a short while ago. The marks in the store are the truth; this covers the moments in which they could not be written
// or read.

import { ExpiringMap } from '../expiring-map.js'
import type { Mark } from '../marks/covering.js'

/** Longer than any request that was under way when its session was ended. */
const REMEMBERED_SECONDS = 900

export class DeniedHere {
  readonly #clock: () => number
  readonly #marks = new Map<string, Set<Mark>>()
  readonly #endedIds = new ExpiringMap<{ readonly expiresAt: number }>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Denies what this mark covers until the returned function is called. */
  deny(mark: Mark): () => void {
    const marks = this.#marks.get(mark.key) ?? new Set<Mark>()
    this.#marks.set(mark.key, marks.add(mark))
    return () => {
      if (marks.delete(mark) && marks.size === 0) this.#marks.delete(mark.key)
    }
  }

  marksUnder(keys: readonly (string | undefined)[]): readonly Mark[] {
    if (this.#marks.size === 0) return []
    return keys.flatMap((key) => (key === undefined ? [] : [...(this.#marks.get(key) ?? [])]))
  }

  sessionEnded(sessionId: string): void {
    const now = this.#clock()
    this.#endedIds.set(sessionId, { expiresAt: now + REMEMBERED_SECONDS }, now)
  }

  /** A fresh login was bound to this id after the store had said that it lives. */
  sessionLives(sessionId: string): void {
    this.#endedIds.delete(sessionId)
  }

  wasEnded(sessionId: string): boolean {
    return this.#endedIds.get(sessionId, this.#clock()) !== undefined
  }
}

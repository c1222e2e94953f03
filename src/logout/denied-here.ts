// What this process denies out of its own memory: targets whose logout is not finished yet, and sessions it ended
// a short while ago. The marks in the store are the truth; this covers the moments in which they could not be written
// or read.

import { ExpiringMap } from '../expiring-map.js'
import type { Mark } from '../marks/covering.js'

/** Longer than any request that was under way when its session was ended. */
const REMEMBERED_SECONDS = 900

/** A mark that this process denies by, for as long as nobody ends that. */
export interface Denial {
  mark: Mark
  expiresAt: number
}

export class DeniedHere {
  readonly #clock: () => number
  readonly #denials = new Map<string, Set<Denial>>()
  readonly #endedIds = new ExpiringMap<{ readonly expiresAt: number }>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** Denies what this mark covers until it is released. */
  deny(mark: Mark): Denial {
    const denial = { mark, expiresAt: Number.POSITIVE_INFINITY }
    this.#denials.set(mark.key, (this.#denials.get(mark.key) ?? new Set()).add(denial))
    return denial
  }

  /** The store could not say when it saw the mark, so what is known of it here has to do. */
  date(denial: Denial, seenAt: number): void {
    denial.mark = { ...denial.mark, seenAt }
  }

  /** Now, or after so many seconds. */
  release(denial: Denial, afterSeconds = 0): void {
    if (afterSeconds > 0) {
      denial.expiresAt = this.#clock() + afterSeconds
      return
    }
    const { key } = denial.mark
    const denials = this.#denials.get(key)
    if (denials?.delete(denial) && denials.size === 0) this.#denials.delete(key)
  }

  marksUnder(keys: readonly (string | undefined)[]): readonly Mark[] {
    if (this.#denials.size === 0) return []
    return keys.flatMap((key) => (key === undefined ? [] : this.#under(key)))
  }

  #under(key: string): readonly Mark[] {
    const now = this.#clock()
    const denials = [...(this.#denials.get(key) ?? [])]
    for (const denial of denials) if (denial.expiresAt <= now) this.release(denial)
    return denials.filter(({ expiresAt }) => expiresAt > now).map(({ mark }) => mark)
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

// What this process denies out of its own memory: targets whose logout is not finished yet, and sessions it ended
// a short while ago. The marks in the store are the truth; this covers the moments in which they could not be written
// or read.

import { ExpiringMap } from '../expiring-map.js'
import type { Mark } from '../marks/covering.js'
import type { StoreClock } from '../stores/store-clock.js'

/** Longer than any request that was under way when its session was ended. */
const REMEMBERED_SECONDS = 900

/** A mark that this process denies by, for as long as nobody ends that. */
export interface Denial {
  readonly mark: Mark
  /**
   * When it was seen, by the clock of a store, in place of what the mark says: it may be known later than the mark.
   * `Infinity`: not before that clock is known. The clock is of the receiver that asks, since several deny by the same.
   */
  seenAt?: ((storeClock: StoreClock) => number) | undefined
  expiresAt: number
}

export class DeniedHere {
  readonly #monotonic: () => number
  readonly #denials = new Map<string, Set<Denial>>()
  readonly #endedIds = new ExpiringMap<{ readonly expiresAt: number }>()
  #receivers = 0
  /** Until then a session is remembered, or a request may be under way at a receiver that was closed. */
  #neededUntil = Number.NEGATIVE_INFINITY

  /** Seconds that only go forward: a clock that is set must not end what is denied. */
  constructor(monotonic: () => number) {
    this.#monotonic = monotonic
  }

  /** One more receiver denies by this. */
  opened(): void {
    this.#receivers += 1
  }

  closed(): void {
    this.#receivers -= 1
    this.#neededUntil = Math.max(this.#neededUntil, this.#monotonic() + REMEMBERED_SECONDS)
  }

  /** A mark is denied that the store may not have. */
  hasDenials(): boolean {
    const now = this.#monotonic()
    for (const denials of this.#denials.values()) {
      for (const { expiresAt } of denials) if (expiresAt > now) return true
    }
    return false
  }

  /** Its receivers are closed, and nothing in it is live: it may be forgotten. */
  isOver(): boolean {
    return this.#receivers <= 0 && this.#neededUntil <= this.#monotonic() && !this.hasDenials()
  }

  /** Denies what this mark covers until it is released. */
  deny(mark: Mark, seenAt?: (storeClock: StoreClock) => number): Denial {
    const denial: Denial = { mark, seenAt, expiresAt: Number.POSITIVE_INFINITY }
    this.#denials.set(mark.key, (this.#denials.get(mark.key) ?? new Set()).add(denial))
    return denial
  }

  /** The store could not say when it saw the mark, so what is known of it here has to do. */
  date(denial: Denial, seenAt: (storeClock: StoreClock) => number): void {
    denial.seenAt = seenAt
  }

  /** Now, or after so many seconds. */
  release(denial: Denial, afterSeconds = 0): void {
    if (afterSeconds > 0) {
      denial.expiresAt = this.#monotonic() + afterSeconds
      return
    }
    const { key } = denial.mark
    const denials = this.#denials.get(key)
    if (denials?.delete(denial) && denials.size === 0) this.#denials.delete(key)
  }

  under(keys: readonly (string | undefined)[]): readonly Denial[] {
    if (this.#denials.size === 0) return []
    return keys.flatMap((key) => (key === undefined ? [] : this.#under(key)))
  }

  #under(key: string): readonly Denial[] {
    const now = this.#monotonic()
    const denials = [...(this.#denials.get(key) ?? [])]
    for (const denial of denials) if (denial.expiresAt <= now) this.release(denial)
    return denials.filter(({ expiresAt }) => expiresAt > now)
  }

  /** `forSeconds`: where its end may not be marked in the store, nor its row destroyed. What is denied longer stays so. */
  sessionEnded(sessionId: string, forSeconds = REMEMBERED_SECONDS): void {
    const now = this.#monotonic()
    const expiresAt = Math.max(now + forSeconds, this.#endedIds.get(sessionId, now)?.expiresAt ?? 0)
    this.#endedIds.set(sessionId, { expiresAt }, now)
    this.#neededUntil = Math.max(this.#neededUntil, expiresAt)
  }

  /** A fresh login was bound to this id after the store had said that it lives. */
  sessionLives(sessionId: string): void {
    this.#endedIds.delete(sessionId)
  }

  wasEnded(sessionId: string): boolean {
    return this.#endedIds.get(sessionId, this.#monotonic()) !== undefined
  }
}

/** With its date, as that clock tells it. */
export function markOf({ mark, seenAt }: Denial, storeClock: StoreClock): Mark {
  return seenAt === undefined ? mark : { ...mark, seenAt: seenAt(storeClock) }
}

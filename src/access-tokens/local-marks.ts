// The marks that reached this process, and the order in which they did. Forgets by time alone; knows no store and no
// token.

import { ExpiringMap } from '../expiring-map.js'
import { type Mark, withMark } from '../marks/covering.js'

interface MarksOfKey {
  /** One for each `sub` named with this `sid`; empty where only a narrower mark concerns this key. */
  readonly marks: readonly Mark[]
  readonly arrivedAt: number
  readonly expiresAt: number
}

const NONE: readonly Mark[] = []

/**
 * Marks told by logouts of this process or by the eviction endpoint. What was written first is found out by counting:
 * times of two clocks cannot tell what happened within one tick, numbers of one counter can.
 */
export class LocalMarks {
  readonly #byKey = new ExpiringMap<MarksOfKey>()
  readonly #clock: () => number
  #count = 0
  #latestArrival = 0

  constructor(clock: () => number) {
    this.#clock = clock
  }

  get size(): number {
    return this.#byKey.size
  }

  /** Number of the arrival of the latest mark, whomever it concerns. */
  get latestArrival(): number {
    return this.#latestArrival
  }

  /** The next number of the one sequence of everything that happens here. */
  next(): number {
    this.#count += 1
    return this.#count
  }

  /** A mark arrives, in any order and any number of times: what began before now is not trusted on what it concerns. */
  arrive(mark: Mark): void {
    this.#latestArrival = this.next()
    this.#put(mark.key, mark)
    // A `sid` mark that names its `sub` does not end that user's other tokens, but those without a `sid` must be asked
    // about again.
    if (mark.subKey !== undefined) this.#put(mark.subKey, undefined, mark.expiresAt)
  }

  /** Remembers that a token was found ended. Nothing new has happened, so nothing else is distrusted. */
  remember(mark: Mark): void {
    this.#put(mark.key, mark)
  }

  isMarked(key: string): boolean {
    return this.#byKey.size > 0 && (this.#byKey.get(key, this.#clock())?.marks.length ?? 0) > 0
  }

  under(keys: readonly string[]): readonly Mark[] {
    if (this.#byKey.size === 0) return NONE
    const now = this.#clock()
    return keys.flatMap((key) => this.#byKey.get(key, now)?.marks ?? [])
  }

  /** Whether a mark that concerns one of these keys has arrived since. */
  touchedSince(keys: readonly string[], sequence: number): boolean {
    if (this.#latestArrival <= sequence) return false
    const now = this.#clock()
    return keys.some((key) => (this.#byKey.get(key, now)?.arrivedAt ?? 0) > sequence)
  }

  #put(key: string, mark: Mark | undefined, expiresAt = mark?.expiresAt ?? 0): void {
    const now = this.#clock()
    const before = this.#byKey.get(key, now)
    const marks = mark === undefined ? (before?.marks ?? []) : withMark(before?.marks ?? [], mark)
    const kept = { marks, arrivedAt: this.#latestArrival, expiresAt: Math.max(expiresAt, before?.expiresAt ?? 0) }
    this.#byKey.set(key, kept, now)
  }
}

// Marks under their keys, until they end: what every place that holds marks in memory shares. Knows no clock and no
// store.
import { ExpiringMap } from '../expiring-map.js'
import { type Mark, withMark } from './covering.js'

interface MarksOfKey {
  readonly expiresAt: number
  /** Nearly always one. */
  readonly marks: readonly Mark[]
}

const NONE: readonly Mark[] = []

export class MarksByKey {
  readonly #byKey = new ExpiringMap<MarksOfKey>()

  /** Keys that have marks, those not swept yet included. */
  get size(): number {
    return this.#byKey.size
  }

  /** Puts a mark beside those of its key; one that ends nothing beyond what another ends is not kept twice. */
  add(mark: Mark, now: number): void {
    const marks = withMark(this.under(mark.key, now), mark)
    this.#byKey.set(mark.key, { marks, expiresAt: Math.max(...marks.map((each) => each.expiresAt)) }, now)
  }

  /** The live marks of a key. */
  under(key: string, now: number): readonly Mark[] {
    const marks = this.#byKey.get(key, now)?.marks
    if (marks === undefined) return NONE
    return marks.every((mark) => mark.expiresAt > now) ? marks : marks.filter((mark) => mark.expiresAt > now)
  }

  /** The live marks of several keys, in their order. */
  underAll(keys: readonly (string | undefined)[], now: number): readonly Mark[] {
    let found = NONE
    for (const key of keys) {
      const marks = key === undefined ? NONE : this.under(key, now)
      if (marks.length > 0) found = found.length === 0 ? marks : [...found, ...marks]
    }
    return found
  }
}

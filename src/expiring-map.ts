// A map whose entries end by time alone. No timer, no scan: every write sweeps a few entries on, so garbage never
// outgrows a fraction of what is alive, and an entry costs nothing beyond the map's own slot.

/** Entries a write looks at: two would bound the garbage by what is alive, four by a third of it. */
const SWEPT_PER_WRITE = 4

export class ExpiringMap<V extends { readonly expiresAt: number }> {
  readonly #entries = new Map<string, V>()
  readonly #onExpiry: ((key: string, value: V) => void) | undefined
  #sweeper: Iterator<[string, V]> | undefined

  constructor(onExpiry?: (key: string, value: V) => void) {
    this.#onExpiry = onExpiry
  }

  get size(): number {
    return this.#entries.size
  }

  get(key: string, now: number): V | undefined {
    const value = this.#entries.get(key)
    if (value === undefined || value.expiresAt > now) return value
    this.#expire(key, value)
    return undefined
  }

  set(key: string, value: V, now: number): void {
    this.#entries.set(key, value)
    this.#sweep(now)
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  #sweep(now: number): void {
    for (let i = 0; i < SWEPT_PER_WRITE; i++) {
      this.#sweeper ??= this.#entries.entries()
      const next = this.#sweeper.next()
      if (next.done) {
        this.#sweeper = undefined
        return
      }
      const [key, value] = next.value
      if (value.expiresAt <= now) this.#expire(key, value)
    }
  }

  #expire(key: string, value: V): void {
    this.#entries.delete(key)
    this.#onExpiry?.(key, value)
  }
}

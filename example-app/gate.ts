// Holds what comes until it is let through, so that a trial decides what happens first instead of hoping for it.

export class Gate {
  #waiting: (() => void)[] = []
  #closed = false
  #arrivals: (() => void)[] = []

  /** From now on whatever passes waits for `open`. */
  close(): void {
    this.#closed = true
  }

  open(): void {
    this.#closed = false
    for (const pass of this.#waiting.splice(0)) pass()
  }

  /** Resolves when the gate is open. */
  readonly pass = (): Promise<void> => {
    if (!this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      for (const look of this.#arrivals.splice(0)) look()
    })
  }

  /** Resolves when so many wait; rejects when `done` settles before, since then no more will come. */
  async reached(count: number, done: Promise<unknown>): Promise<void> {
    let ended = false
    const end = Promise.allSettled([done]).then(() => {
      ended = true
    })
    while (this.#waiting.length < count) {
      if (ended) throw new Error('It was over before it could be held')
      await Promise.race([end, new Promise<void>((resolve) => this.#arrivals.push(resolve))])
    }
  }
}

// Holds one request at one place, in its handler or at a call of the session store, until a test lets it go on.
import type { ExpressSessionStore } from '../sessions/express-session.js'

type Callback = (...outcome: unknown[]) => void

/** Where the request under way is stopped until the logout is over. */
export type Stop = { readonly at: 'handler' } | { readonly at: 'before' | 'after'; readonly call: number }

/**
 * Stops one request at one place. One request is under way at a time, so calls are counted without asking whose they
 * are.
 */
export class Gate {
  #stop: Stop | undefined
  #call = 0
  #reached: (moment: string) => void = () => {}
  #released: Promise<void> = Promise.resolve()
  #release: () => void = () => {}

  /** Resolves with the name of the moment when the request stands there. */
  hold(stop: Stop): Promise<string> {
    this.#stop = stop
    this.#call = 0
    this.#released = new Promise((resolve) => {
      this.#release = resolve
    })
    return new Promise((resolve) => {
      this.#reached = resolve
    })
  }

  release(): void {
    this.#stop = undefined
    this.#release()
  }

  async atHandler(): Promise<void> {
    if (this.#stop?.at === 'handler') await this.#stand('before the handler acts')
  }

  /** The store's own methods, with a place to stop before each call and one before each callback. */
  install(store: ExpressSessionStore): void {
    for (const method of ['get', 'set', 'touch', 'destroy'] as const) {
      const own = store[method]
      if (own === undefined) continue
      store[method] = (...args: unknown[]) => {
        const callback = args.at(-1)
        if (this.#stop === undefined || typeof callback !== 'function') return own.apply(store, args)
        return this.#between(
          method,
          (...outcome) => callback(...outcome),
          (answer) => own.apply(store, [...args.slice(0, -1), answer]),
        )
      }
    }
  }

  async #between(method: string, callback: Callback, callStore: (answer: Callback) => unknown): Promise<void> {
    const call = ++this.#call
    await this.#pass('before', call, method)
    callStore((...outcome: unknown[]) => {
      this.#pass('after', call, method).then(() => callback(...outcome))
    })
  }

  async #pass(at: 'before' | 'after', call: number, method: string): Promise<void> {
    if (this.#stop?.at === at && this.#stop.call === call) await this.#stand(`${at} ${method} (call ${call})`)
  }

  async #stand(moment: string): Promise<void> {
    this.#stop = undefined
    this.#reached(moment)
    await this.#released
  }
}

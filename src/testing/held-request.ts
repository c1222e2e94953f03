// Holds one request at one place, in its handler or at a call of the session store, until a test lets it go on. Says
// which call of the store never ends.
import { AssertionError } from 'node:assert'
import { isToCome, milliseconds } from '../deadline.js'
import type { ExpressSessionStore } from '../sessions/express-session.js'

type Callback = (...outcome: unknown[]) => void
const METHODS = ['get', 'set', 'touch', 'destroy'] as const
type Method = (typeof METHODS)[number]

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
  readonly #timeoutSeconds: number
  #silent: (error: AssertionError) => void = () => {}
  readonly #silence = new Promise<never>((_, reject) => {
    this.#silent = reject
  })

  constructor(timeoutSeconds: number) {
    this.#timeoutSeconds = timeoutSeconds
    this.#silence.catch(() => {}) // Heard by whoever waits, and by nobody between two requests.
  }

  /** The outcome of `work`; rejects with an `AssertionError` as soon as a call of the store is overdue. */
  unlessSilent<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#silence])
  }

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
    for (const method of METHODS) {
      const own = store[method]
      if (own === undefined) continue
      store[method] = (...args: unknown[]) => {
        const callback = args.at(-1)
        if (typeof callback !== 'function') return own.apply(store, args)
        const callStore = (answer: Callback) =>
          this.#watch(method, answer, (watched) => own.apply(store, [...args.slice(0, -1), watched]))
        if (this.#stop === undefined) return callStore((...outcome) => callback(...outcome))
        return this.#between(method, (...outcome) => callback(...outcome), callStore)
      }
    }
  }

  #watch(method: Method, answer: Callback, callStore: (answer: Callback) => unknown): unknown {
    let returned: unknown
    const overdue = setTimeout(() => {
      this.#silent(new AssertionError({ message: silenceOf(method, this.#timeoutSeconds, isToCome(returned)) }))
    }, milliseconds(this.#timeoutSeconds))
    returned = callStore((...outcome) => {
      clearTimeout(overdue)
      answer(...outcome)
    })
    return returned
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

const PARAMETERS: Readonly<Record<Method, string>> = {
  get: 'sid, callback',
  set: 'sid, session, callback',
  touch: 'sid, session, callback',
  destroy: 'sid, callback',
}

function silenceOf(method: Method, seconds: number, returnedPromise: boolean): string {
  const instead = returnedPromise ? ': it returned a promise, which express-session does not look at' : ''
  const outcome = method === 'get' ? '(null, session), or (null, null) where there is none,' : '(null)'
  return (
    `The session store is not usable: ${method}() did not call its callback within ${seconds} s${instead}. ` +
    `Have ${method}(${PARAMETERS[method]}) end with callback${outcome} or callback(error), on every path. ` +
    'For a store that is slow, raise storeTimeoutSeconds.'
  )
}

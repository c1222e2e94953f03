// Stores that break on demand: each method can fail before or after it did its work, never answer, or wait until
// mended.
import session from 'express-session'
import type { LogoutStore } from '../../src/index.js'

/**
 * - `refuses`: rejects, and nothing was done. `does it and fails`: the work is done, and the answer says otherwise.
 * - `never answers`, `does it and never answers`: until the end of time, mended or not.
 * - `waits`: does its work when mended.
 */
export type Breakage = 'refuses' | 'does it and fails' | 'never answers' | 'does it and never answers' | 'waits'

export const BREAKAGES: readonly Breakage[] = [
  'refuses',
  'does it and fails',
  'never answers',
  'does it and never answers',
  'waits',
]

/** The ways to break that end by themselves, so that nobody has to wait for a deadline. */
export const PROMPT_BREAKAGES = ['refuses', 'does it and fails'] as const satisfies readonly Breakage[]

export class Breakages<Method extends string> {
  readonly #broken = new Map<Method, { readonly how: Breakage; readonly only: string | undefined }>()
  readonly #calls = new Map<Method, number>()
  #waiting: (() => void)[] = []

  /** From now on. `only`: calls whose first argument is this. */
  break(method: Method, how: Breakage, only?: string): void {
    this.#broken.set(method, { how, only })
  }

  mend(): void {
    this.#broken.clear()
    for (const goOn of this.#waiting.splice(0)) goOn()
  }

  callsOf(method: Method): number {
    return this.#calls.get(method) ?? 0
  }

  /** The same function, breakable. */
  wrap<A extends unknown[], R>(method: Method, work: (...args: A) => R | Promise<R>): (...args: A) => Promise<R> {
    return async (...args) => {
      this.#calls.set(method, this.callsOf(method) + 1)
      const breakage = this.#broken.get(method)
      if (breakage === undefined || (breakage.only !== undefined && breakage.only !== args[0])) return work(...args)
      switch (breakage.how) {
        case 'refuses':
          throw new Error(`${method} refuses`)
        case 'does it and fails':
          await work(...args)
          throw new Error(`${method} failed after its work`)
        case 'never answers':
          return new Promise<never>(() => {})
        case 'does it and never answers':
          await work(...args)
          return new Promise<never>(() => {})
        case 'waits':
          await new Promise<void>((goOn) => this.#waiting.push(goOn))
          return work(...args)
      }
    }
  }
}

export interface BreakableLogoutStore {
  readonly store: LogoutStore
  readonly breakages: Breakages<keyof LogoutStore>
}

export function breakableLogoutStore(inner: LogoutStore): BreakableLogoutStore {
  const breakages = new Breakages<keyof LogoutStore>()
  const store: LogoutStore = {
    bind: breakages.wrap('bind', (binding) => inner.bind(binding)),
    rebind: breakages.wrap('rebind', (from, to, expiresAt) => inner.rebind(from, to, expiresAt)),
    list: breakages.wrap('list', (target, cursor) => inner.list(target, cursor)),
    renew: breakages.wrap('renew', (sessionId, expiresAt) => inner.renew(sessionId, expiresAt)),
    addTokens: breakages.wrap('addTokens', (sessionId, keys) => inner.addTokens(sessionId, keys)),
    read: breakages.wrap('read', (sessionId) => inner.read(sessionId)),
    marks: breakages.wrap('marks', (keys) => inner.marks(keys)),
    isBound: breakages.wrap('isBound', (key) => inner.isBound(key)),
    endSessions: breakages.wrap('endSessions', (ids, expiresAt) => inner.endSessions(ids, expiresAt)),
    unbind: breakages.wrap('unbind', (ids) => inner.unbind(ids)),
    begin: breakages.wrap('begin', (logout) => inner.begin(logout)),
    complete: breakages.wrap('complete', (logout) => inner.complete(logout)),
  }
  return { store, breakages }
}

/** express-session's own memory store, whose `destroy` breaks on demand. */
export class BreakableSessionStore extends session.MemoryStore {
  readonly breakages = new Breakages<'destroy'>()
  readonly #destroy = this.breakages.wrap(
    'destroy',
    (sessionId: string) =>
      new Promise<void>((resolve, reject) =>
        super.destroy(sessionId, (error: unknown) => (error ? reject(error) : resolve())),
      ),
  )

  override destroy(sessionId: string, callback: (error?: unknown) => void = () => {}): void {
    this.#destroy(sessionId).then(() => callback(), callback)
  }

  /** Session ids of the rows that are there. */
  rows(): Promise<string[]> {
    return new Promise((resolve, reject) =>
      this.all((error, sessions) => (error ? reject(error) : resolve(Object.keys(sessions ?? {})))),
    )
  }
}

// Stores that can be switched off for a while, as if their server were away: each question fails at once.
import type { Store } from 'express-session'
import type { LogoutStore } from 'oidc-backchannel-logout'

type Callback = (error?: unknown) => void

export class Outage {
  down = false

  /** The same store while its server is there. */
  logoutStore<S extends LogoutStore>(store: S): S {
    return new Proxy(store, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name)
        if (typeof member !== 'function') return member
        return (...args: unknown[]) =>
          this.down ? Promise.reject(new Error('The store is down')) : Reflect.apply(member, target, args)
      },
    })
  }

  /** Changes the store itself; to be called before anybody protects it. */
  sessionStore(store: Store): void {
    for (const name of ['get', 'set', 'destroy', 'touch'] as const) {
      const method: unknown = store[name]
      if (typeof method !== 'function') continue
      Reflect.set(store, name, (...args: unknown[]) => {
        if (!this.down) return Reflect.apply(method, store, args)
        const callback = args.at(-1)
        if (isCallback(callback)) setImmediate(callback, new Error('The store is down'))
      })
    }
  }
}

function isCallback(value: unknown): value is Callback {
  return typeof value === 'function'
}

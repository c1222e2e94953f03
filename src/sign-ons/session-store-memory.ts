// What this process remembers of one session store, for all receivers over it: which changes of a session id are under
// way, which failed logins are being undone, and what is denied. A receiver that is made once more, or stands beside
// another, knows what the other one knows.
import { ExpiringMap } from '../expiring-map.js'
import { DeniedHere } from '../logout/denied-here.js'
import type { SessionLimits } from '../sessions/session-backend.js'
import type { Binding, LogoutStore } from '../stores/logout-store.js'
import { Undoings } from './undoings.js'

/** A session id was left, and the new one is not written yet. Each receiver has one of its own for its logout store. */
export interface PendingChange {
  readonly signOn: Binding | undefined
  /** The sign-on gets to the new id. Rejects, and the new id is dead, if that could not be recorded. */
  readonly finish: () => Promise<void>
  /** The sign-on is left behind: a fresh login has the new id. Never rejects. */
  readonly leave: () => Promise<void>
  readonly limits: () => SessionLimits | undefined
}

interface PendingChanges {
  readonly changes: readonly PendingChange[]
  readonly expiresAt: number
}

export class SessionStoreMemory {
  readonly undoings = new Undoings()
  /** By new session id. */
  readonly #pending = new ExpiringMap<PendingChanges>()
  /** By session id: those that its sign-on had before, as far as it changed in this process. */
  readonly earlierIds = new ExpiringMap<{ readonly ids: readonly string[]; readonly expiresAt: number }>()
  readonly #denied = new Set<DeniedHere>()
  readonly #deniedByClients = new Map<string, DeniedHere>()
  readonly #deniedByStore = new WeakMap<LogoutStore, DeniedHere>()

  /**
   * Receivers of the same clients, or where these are not known of the same logout store, deny the same. Each that asks
   * says `closed` to it when it is closed: what nobody needs any more is forgotten as others come.
   */
  deniedBy(clients: string | undefined, store: LogoutStore, monotonic: () => number): DeniedHere {
    for (const [key, denied] of this.#deniedByClients) if (denied.isOver()) this.#deniedByClients.delete(key)
    for (const denied of this.#denied) if (denied.isOver()) this.#denied.delete(denied)
    const known = clients === undefined ? this.#deniedByStore.get(store) : this.#deniedByClients.get(clients)
    const denied = known ?? new DeniedHere(monotonic)
    denied.opened()
    this.#denied.add(denied)
    if (clients === undefined) this.#deniedByStore.set(store, denied)
    else this.#deniedByClients.set(clients, denied)
    return denied
  }

  /** A fresh login was bound to this id after the store had said that it lives: no receiver denies it. */
  sessionLives(sessionId: string): void {
    for (const denied of this.#denied) denied.sessionLives(sessionId)
  }

  changesTo(sessionId: string, now: number): readonly PendingChange[] {
    return this.#pending.get(sessionId, now)?.changes ?? []
  }

  addChange(sessionId: string, change: PendingChange, expiresAt: number, now: number): void {
    const pending = this.#pending.get(sessionId, now)
    const until = Math.max(expiresAt, pending?.expiresAt ?? 0)
    this.#pending.set(sessionId, { changes: [...(pending?.changes ?? []), change], expiresAt: until }, now)
  }

  removeChange(sessionId: string, change: PendingChange, now: number): void {
    const pending = this.#pending.get(sessionId, now)
    const changes = pending?.changes.filter((each) => each !== change) ?? []
    if (pending === undefined || changes.length === 0) this.#pending.delete(sessionId)
    else this.#pending.set(sessionId, { ...pending, changes }, now)
  }
}

const MEMORIES = new WeakMap<object, SessionStoreMemory>()

/** The same for the same session store. Without one that says which it is, a receiver remembers by itself. */
export function memoryOf(sessionStore: object | undefined): SessionStoreMemory {
  const known = sessionStore && MEMORIES.get(sessionStore)
  if (known !== undefined) return known
  const memory = new SessionStoreMemory()
  if (sessionStore !== undefined) MEMORIES.set(sessionStore, memory)
  return memory
}

// The least that express-session asks of a store: get, set and destroy, and no touch.
import { type SessionData, Store } from 'express-session'

type Done = (error?: unknown) => void

export class StoreWithoutTouch extends Store {
  readonly #rows = new Map<string, string>()

  override get(id: string, callback: (error: unknown, session?: SessionData | null) => void): void {
    const row = this.#rows.get(id)
    setImmediate(callback, null, row === undefined ? null : JSON.parse(row))
  }

  override set(id: string, session: SessionData, callback?: Done): void {
    this.#rows.set(id, JSON.stringify(session))
    if (callback) setImmediate(callback)
  }

  override destroy(id: string, callback?: Done): void {
    this.#rows.delete(id)
    if (callback) setImmediate(callback)
  }
}

// express-session as a session backend: any of its stores, patched in place so that a dead session stays dead.
// Knows the store contract of express-session 1.x and nothing of any driver.
import { within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import { assertOptions } from '../option-checks.js'
import type { LocalSession, SessionBackend, SessionGuard, SessionVerdict } from './session-backend.js'

/** A session's data as express-session hands it to its store: of it, only the cookie matters here. */
interface StoredSession {
  readonly cookie?:
    | {
        readonly expires?: Date | string | boolean | null | undefined
        readonly originalMaxAge?: number | null | undefined
        readonly maxAge?: number | null | undefined
      }
    | undefined
}

/** A request that went through `session()`, or the session's id and expiry where another framework holds the store. */
export type SessionRequest =
  | { readonly sessionID?: string | undefined; readonly session?: StoredSession | null | undefined }
  | LocalSession

// biome-ignore lint/suspicious/noExplicitAny: the stores' own types disagree on callbacks, promises and session data.
type StoreMethod = (...args: any[]) => unknown

/** The store contract of express-session, as its documentation has it. */
export interface ExpressSessionStore {
  get: StoreMethod
  set: StoreMethod
  destroy: StoreMethod
  touch?: StoreMethod
  regenerate?: StoreMethod
  generate?: StoreMethod
}

/** Options of `expressSessions`. */
export interface ExpressSessionsOptions {
  /**
   * Reads each destroyed session back, and takes it for failed if it is still there: for stores that report a success
   * they did not have (one read more per destroyed session). Default `false`.
   */
  readonly verifyDestroyed?: boolean
}

/**
 * Sessions of express-session. The store is patched in place when the receiver is created, so create the receiver
 * before `session({ store })` is called: express-session looks at `touch` only then.
 *
 * From then on a dead session's `get` finds nothing, a late `set` or `touch` does not bring it back, `regenerate`
 * carries the sign-on to the new id, and `destroy` ends the sign-on for good.
 */
export function expressSessions(
  store: ExpressSessionStore,
  options: ExpressSessionsOptions = {},
): SessionBackend<SessionRequest> {
  if (typeof store?.get !== 'function' || typeof store.set !== 'function' || typeof store.destroy !== 'function') {
    throw new TypeError(
      'expressSessions() needs the session store itself, the one that session({ store }) is given: an object with get, set and destroy',
    )
  }
  assertOptions('expressSessions()', options, { verifyDestroyed: true })
  const protection = protectionOf(store)
  return {
    sessionOf: localSessionOf,
    destroy: (sessionId) => protection.destroyRow(sessionId, options.verifyDestroyed ?? false),
    protect: (guard) => protection.add(guard),
    bound: (req) => {
      if ('session' in req && req.session) stamp(req.session)
    },
    released: (req) => protection.release(req),
  }
}

function localSessionOf(req: SessionRequest): LocalSession | undefined {
  // A request may carry a property named `sessionId` for reasons of its own: express-session's own name comes first.
  if (!('sessionID' in req)) return 'sessionId' in req && typeof req.sessionId === 'string' ? req : undefined
  if (typeof req.sessionID !== 'string' || !req.session) return undefined
  return { sessionId: req.sessionID, expiresAt: rowExpiry(req.session) }
}

/**
 * Says in the row itself that its session hangs on a sign-on. A row that says so while the logout store knows of no
 * binding (it expired, was evicted, or the store was restarted) is one that no logout could find: it is not believed.
 */
const STAMP = 'oidcBackchannelLogout'

function stamp(session: object): void {
  Reflect.set(session, STAMP, 'bound')
}

/** Until when the store may keep the row (epoch seconds), reading what a touch would make of it. */
function rowExpiry(session: StoredSession): number | undefined {
  const { cookie } = session
  const lifetime = cookie?.originalMaxAge ?? cookie?.maxAge
  if (typeof lifetime === 'number' && Number.isFinite(lifetime)) return (Date.now() + lifetime) / 1000
  const { expires } = cookie ?? {}
  if (!(expires instanceof Date) && typeof expires !== 'string') return undefined
  const at = new Date(expires).getTime() / 1000
  return Number.isFinite(at) ? at : undefined
}

const PROTECTION = Symbol('oidc-backchannel-logout.session-store-protection')

/**
 * One for each store, however many receivers share it: protecting twice is harmless. A second copy of this package has
 * a symbol of its own, and protects what the first one left.
 */
function protectionOf(store: ExpressSessionStore): StoreProtection {
  const known: unknown = Reflect.get(store, PROTECTION)
  if (known instanceof StoreProtection) return known
  const protection = new StoreProtection(store)
  Object.defineProperty(store, PROTECTION, { value: protection })
  return protection
}

/** How long a request waits for a dead session's row to be removed: it is dead with or without it. */
const DESTROY_QUIETLY_SECONDS = 1

type Callback = ((error: unknown, value?: unknown) => void) | undefined

class StoreProtection {
  readonly #store: ExpressSessionStore
  readonly #inner: Pick<ExpressSessionStore, 'get' | 'set' | 'destroy' | 'touch'>
  readonly #guards: SessionGuard[] = []
  readonly #released = new WeakSet<object>()

  constructor(store: ExpressSessionStore) {
    this.#store = store
    const { get, set, destroy, touch } = store
    this.#inner = touch === undefined ? { get, set, destroy } : { get, set, destroy, touch }
  }

  add(guard: SessionGuard): void {
    this.#guards.push(guard)
    if (this.#guards.length === 1) this.#patch()
  }

  release(req: object): void {
    this.#released.add(req)
  }

  async destroyRow(sessionId: string, verify: boolean): Promise<void> {
    await this.#call('destroy', sessionId).catch(unlessMissing)
    if (verify && (await this.#call('get', sessionId).catch(unlessMissing))) {
      throw new LogoutError('ERR_SESSIONS', 'The session store reported a destruction that did not happen')
    }
  }

  /** On the instance: a Proxy breaks stores with private fields, a wrapper loses their events and own methods. */
  #patch(): void {
    const store = this.#store
    store.get = (sessionId: string, callback?: Callback) => answerBy(this.#get(sessionId), callback)
    store.set = (sessionId: string, session: StoredSession, callback?: Callback) =>
      answerBy(this.#set(sessionId, session), callback)
    store.destroy = (sessionId: string, callback?: Callback) => answerBy(this.#destroy(sessionId), callback)
    if (store.touch !== undefined) {
      store.touch = (sessionId: string, session: StoredSession, callback?: Callback) =>
        answerBy(this.#touch(sessionId, session), callback)
    }
    if (store.regenerate !== undefined) {
      store.regenerate = (req: { sessionID: string }, callback?: Callback) => answerBy(this.#regenerate(req), callback)
    }
  }

  /** Reads, then asks: a row that came back in the meantime is found dead as well. */
  async #get(sessionId: string): Promise<unknown> {
    const session = await this.#call('get', sessionId)
    if (session === null || session === undefined) return session
    if (!(await this.#isDead(sessionId, Object(session)))) return session
    this.#blocked('read')
    await this.#destroyQuietly(sessionId)
    return null
  }

  /** Writes, then asks, then undoes: a check before the write would leave a window. */
  async #set(sessionId: string, session: StoredSession): Promise<void> {
    if (this.#guards.some((guard) => guard.wasEndedHere(sessionId))) return this.#keepDead(sessionId, session)
    for (const guard of this.#guards) if (await guard.finishChange(sessionId)) stamp(session)
    await this.#call('set', sessionId, session)
    let ended: boolean
    try {
      ended = await this.#isDead(sessionId, session)
    } catch {
      return // No verdict: the row stays, and no read will believe it without one.
    }
    if (ended) await this.#keepDead(sessionId, session)
  }

  /**
   * Asks nothing of the store, so that a request which only reads pays one look-up: few stores revive a row by `touch`,
   * and one that does meets this process's own memory of what it ended, or else the next read.
   */
  async #touch(sessionId: string, session: StoredSession): Promise<void> {
    const ended = () => this.#guards.some((guard) => guard.wasEndedHere(sessionId))
    if (ended()) return this.#keepDead(sessionId, session)
    await this.#call('touch', sessionId, session)
    if (ended()) await this.#keepDead(sessionId, session)
  }

  async #destroy(sessionId: string): Promise<void> {
    const destroyRow = () => this.destroyRow(sessionId, false)
    const endAll = this.#guards.reduce((next, guard) => () => guard.endLocally(sessionId, next), destroyRow)
    await endAll()
  }

  /**
   * What express-session's own `regenerate` does, and the sign-on goes along: the old id is marked before its row goes.
   */
  async #regenerate(req: { sessionID: string }): Promise<void> {
    const from = req.sessionID
    let failure: unknown
    const change = async () => {
      try {
        await this.destroyRow(from, false)
      } catch (error) {
        failure = error
      }
      this.#store.generate?.(req)
      return req.sessionID
    }
    const wasReleased = this.#released.delete(req)
    const changeAll = this.#guards.reduce((next, guard) => () => guard.changeSessionId(from, next), change)
    await (wasReleased ? change() : changeAll())
    if (failure !== undefined) throw failure
  }

  async #isDead(sessionId: string, session: StoredSession): Promise<boolean> {
    const verdicts: SessionVerdict[] = []
    for (const guard of this.#guards) {
      if (guard.wasEndedHere(sessionId)) return true
      verdicts.push(await guard.verdictOn(sessionId, rowExpiry(session)))
    }
    return verdicts.includes('ended') || (Reflect.has(session, STAMP) && !verdicts.includes('bound'))
  }

  /** The request that ended its own session still saves it at the end of its response: nothing to report. */
  async #keepDead(sessionId: string, session: StoredSession): Promise<void> {
    const req: unknown = Reflect.get(session, 'req')
    if (!(typeof req === 'object' && req !== null && this.#released.has(req))) this.#blocked('write')
    await this.#destroyQuietly(sessionId)
  }

  #blocked(how: 'read' | 'write'): void {
    for (const guard of this.#guards) guard.resurrectionBlocked(how)
  }

  /**
   * The mark denies this session whether or not its row goes now; the response under way is not to blame if it does
   * not.
   */
  async #destroyQuietly(sessionId: string): Promise<void> {
    try {
      await within(DESTROY_QUIETLY_SECONDS, this.#call('destroy', sessionId))
    } catch {}
  }

  /** A promise settles once: double, synchronous and late callbacks, rejections and throws all end here. */
  #call(method: 'get' | 'set' | 'destroy' | 'touch', ...args: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const done = (error: unknown, value?: unknown) => (error ? reject(error) : resolve(value))
      const returned: unknown = this.#inner[method]?.call(this.#store, ...args, done)
      if (returned instanceof Promise) returned.catch(reject)
    })
  }
}

/** Stores on a file system say ENOENT where express-session means: no such session. */
function unlessMissing(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}

/**
 * Answers by callback as the contract has it, outside of the promise so that a throwing callback is the caller's own.
 */
function answerBy(work: Promise<unknown>, callback: Callback): Promise<unknown> | undefined {
  if (callback === undefined) {
    work.catch(() => {}) // A caller who wants neither callback nor promise must not be ended by an unhandled rejection.
    return work
  }
  work.then(
    (value) => process.nextTick(callback, null, value),
    (error: unknown) => process.nextTick(callback, error),
  )
  return undefined
}

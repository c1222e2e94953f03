// An express-session store, patched in place so that a dead session stays dead. Asks its guards, decides nothing by itself.
import { AsyncLocalStorage } from 'node:async_hooks'
import { within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { JudgedSession, SessionGuard } from './session-backend.js'
import { capCookie, isStamped, looksSignedIn, rowExpiry, type StoredSession, stamp } from './session-row.js'

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

type MustBeBound = (session: Readonly<Record<string, unknown>>) => boolean

const PROTECTION = Symbol('oidc-backchannel-logout.session-store-protection')

/**
 * One for each store, however many receivers share it: protecting twice is harmless. A second copy of this package has
 * a symbol of its own, and protects what the first one left.
 */
export function protectionOf(store: ExpressSessionStore): StoreProtection {
  const known: unknown = Reflect.get(store, PROTECTION)
  if (known instanceof StoreProtection) return known
  const protection = new StoreProtection(store)
  Object.defineProperty(store, PROTECTION, { value: protection })
  return protection
}

/** How long a request waits for a dead session's row to be removed: it is dead with or without it. */
const DESTROY_QUIETLY_SECONDS = 1

/** `lost`: dead as well, since it says that a login was bound to it, and nobody knows of that; `over`: dead by itself. */
type Verdict = 'alive' | 'dead' | 'over' | 'lost' | 'not bound yet'

/** A row that is kept so much longer than its sign-on has left is not worth a second write. */
const SLACK_MILLISECONDS = 1000

type Callback = ((error: unknown, value?: unknown) => void) | undefined

interface Destroying {
  readonly store: ExpressSessionStore
  readonly sessionId: unknown
  isUnderWay: boolean
}

/**
 * The row that a store's own `destroy` is at: what it asks itself about that row is not a request's question. One for all stores,
 * since each of these costs every promise of the process a little.
 */
const destroying = new AsyncLocalStorage<Destroying>()

class StoreProtection {
  readonly #store: ExpressSessionStore
  readonly #inner: Pick<ExpressSessionStore, 'get' | 'set' | 'destroy' | 'touch'>
  #guards: readonly SessionGuard[] = []
  #isPatched = false
  readonly #rules = new Set<MustBeBound>()
  /** Requests whose sign-on was ended on purpose, and by which receivers. */
  readonly #released = new WeakMap<object, Set<SessionGuard>>()
  readonly #destroyedQuietly = new Set<string>()

  constructor(store: ExpressSessionStore) {
    this.#store = store
    const { get, set, destroy, touch } = store
    this.#inner = touch === undefined ? { get, set, destroy } : { get, set, destroy, touch }
  }

  /**
   * A receiver that was closed, or was made once more for the same clients (a hot reload), makes room for this one.
   * A closed one goes on guarding until then: requests are still under way while an application shuts down.
   */
  add(guard: SessionGuard): void {
    const { identity } = guard
    const isReplaced = (other: SessionGuard) =>
      other.isClosed() || (identity !== undefined && other.identity === identity)
    this.#guards = [...this.#guards.filter((other) => !isReplaced(other)), guard]
    if (!this.#isPatched) this.#patch()
    this.#isPatched = true
  }

  addRule(mustBeBound: MustBeBound): void {
    this.#rules.add(mustBeBound)
  }

  release(req: object, guard: SessionGuard): void {
    this.#released.set(req, (this.#released.get(req) ?? new Set()).add(guard))
  }

  /** A store may say by an error that there is no such row: then it is as good as destroyed. */
  async destroyRow(sessionId: string, verify: boolean): Promise<void> {
    try {
      await this.#call('destroy', sessionId)
    } catch (error) {
      if (!(await this.#isMissing(sessionId, error))) throw error
      return
    }
    if (verify && !(await this.#isMissing(sessionId))) {
      throw new LogoutError('ERR_SESSIONS', 'The session store reported a destruction that did not happen')
    }
  }

  /** On the instance: a Proxy breaks stores with private fields, a wrapper loses their events and own methods. */
  #patch(): void {
    const store = this.#store
    const isOwnCall = (sessionId: string) => {
      const current = destroying.getStore()
      return current?.isUnderWay === true && current.store === store && current.sessionId === sessionId
    }
    store.get = (sessionId: string, callback?: Callback) =>
      answerBy(isOwnCall(sessionId) ? this.#call('get', sessionId) : this.#get(sessionId), callback)
    store.set = (sessionId: string, session: StoredSession, callback?: Callback) =>
      answerBy(isOwnCall(sessionId) ? this.#call('set', sessionId, session) : this.#set(sessionId, session), callback)
    store.destroy = (sessionId: string, callback?: Callback) =>
      answerBy(isOwnCall(sessionId) ? this.#call('destroy', sessionId) : this.#destroy(sessionId), callback)
    if (store.touch !== undefined) {
      store.touch = (sessionId: string, session: StoredSession, callback?: Callback) =>
        answerBy(this.#touch(sessionId, session), callback)
    }
    if (store.regenerate !== undefined) {
      store.regenerate = (req: { sessionID: string }, callback?: Callback) => answerBy(this.#regenerate(req), callback)
    }
  }

  /**
   * Reads the row and asks for the verdict at the same time: what either finds was true after the request began. The
   * verdict may be older than the row, so one that contradicts the row (a login or a logout came between the two) is
   * asked for once more, after it.
   */
  async #get(sessionId: string): Promise<unknown> {
    const row = this.#call('get', sessionId)
    const early = this.#earlyVerdicts(sessionId, row)
    const session = await row
    if (session === null || session === undefined) return session
    // What this process ended needs no verdict, and is not believed without one that came after the row.
    const judged = this.#wasEndedHere(sessionId) ? undefined : await early
    if (judged !== undefined && !this.#wasEndedHere(sessionId) && this.#weigh(Object(session), judged) === 'alive') {
      if (!judged.some(({ verdict }) => verdict === 'bound')) this.#noteUnbound(Object(session))
      return session
    }
    const verdict = await this.#verdictOn(sessionId, Object(session))
    if (verdict === 'alive') return session
    if (verdict === 'lost') for (const guard of this.#guards) guard.unboundSession(true)
    if (verdict !== 'over') this.#blocked('read')
    // A row that is not bound yet may be one of a login that is being bound: it is not believed, and left alone.
    if (verdict !== 'not bound yet') await this.#destroyQuietly(sessionId)
    return null
  }

  /** Nobody's login, and perhaps one that should have been bound. */
  #noteUnbound(session: StoredSession): void {
    if (looksSignedIn(session)) for (const guard of this.#guards) guard.unboundSession(false)
  }

  /** Never rejects unheard: a request whose row is missing or cannot be read has no need of a verdict. */
  #earlyVerdicts(sessionId: string, row: Promise<unknown>): Promise<readonly JudgedSession[]> {
    const keptUntil = row
      .then((session) => (session === null || session === undefined ? undefined : rowExpiry(Object(session))))
      .catch(() => undefined)
    const judged = Promise.all(this.#guards.map((guard) => guard.judge(sessionId, keptUntil)))
    judged.catch(() => {})
    return judged
  }

  /** Writes, then asks, then undoes: a check before the write would leave a window. */
  async #set(sessionId: string, session: StoredSession): Promise<void> {
    if (this.#wasEndedHere(sessionId)) return this.#keepDead(sessionId, session)
    for (const guard of this.#guards) if (await guard.finishChange(sessionId)) stamp(session)
    try {
      await this.#call('set', sessionId, session)
    } catch (error) {
      if (await this.#isKnownDead(sessionId, session)) return this.#keepDead(sessionId, session)
      throw error
    }
    const maxAge = session.cookie?.originalMaxAge
    // Without a verdict the row stays, and no read will believe it without one.
    if (await this.#isKnownDead(sessionId, session)) return this.#keepDead(sessionId, session)
    // A row of a new session id has a whole new lifetime, of which its sign-on may have less left.
    const capped = session.cookie?.originalMaxAge
    const isCapped = typeof capped === 'number' && capped < (maxAge ?? Number.POSITIVE_INFINITY) - SLACK_MILLISECONDS
    if (isCapped) await this.#call('set', sessionId, session)
  }

  /**
   * Asks nothing of the store, so that a request which only reads pays one look-up: few stores revive a row by `touch`,
   * and one that does meets this process's own memory of what it ended, or else the next read. A store that finds no
   * row any more may call that an error: not one of the application's, if a logout ended the session meanwhile.
   */
  async #touch(sessionId: string, session: StoredSession): Promise<void> {
    if (this.#wasEndedHere(sessionId)) return this.#keepDead(sessionId, session)
    try {
      await this.#call('touch', sessionId, session)
    } catch (error) {
      if (await this.#isKnownDead(sessionId, session)) return this.#keepDead(sessionId, session)
      throw error
    }
    if (this.#wasEndedHere(sessionId)) await this.#keepDead(sessionId, session)
  }

  async #destroy(sessionId: string): Promise<void> {
    const destroyRow = () => this.destroyRow(sessionId, false)
    const endAll = this.#guards.reduce((next, guard) => () => guard.endLocally(sessionId, next), destroyRow)
    await endAll()
  }

  /** What express-session's own `regenerate` does, and the sign-on goes along: the old id is marked before its row goes. */
  async #regenerate(req: { sessionID: string; session?: StoredSession }): Promise<void> {
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
    const released = this.#released.get(req)
    this.#released.delete(req)
    const changeAll = this.#guards
      .filter((guard) => !released?.has(guard))
      .reduce((next, guard) => () => guard.changeSessionId(from, next), change)
    await changeAll()
    // Its cookie is sent before anything of it is saved.
    for (const guard of this.#guards) capCookie(Object(req.session), guard.limitsOfChange(req.sessionID) ?? {})
    if (failure !== undefined) throw failure
  }

  async #verdictOn(sessionId: string, session: StoredSession): Promise<Verdict> {
    const judged: JudgedSession[] = []
    for (const guard of this.#guards) {
      if (guard.wasEndedHere(sessionId)) return 'dead'
      judged.push(await guard.judge(sessionId, rowExpiry(session)))
    }
    return this.#weigh(session, judged)
  }

  /** Of a session that lives the cookie is capped by what its sign-on has left. */
  #weigh(session: StoredSession, judged: readonly JudgedSession[]): Verdict {
    const ended = judged.filter(({ verdict }) => verdict === 'ended')
    if (ended.length > 0) return ended.every(({ isOver }) => isOver) ? 'over' : 'dead'
    for (const limits of judged) capCookie(session, limits)
    if (judged.some(({ verdict }) => verdict === 'bound')) return 'alive'
    if (isStamped(session)) return 'lost'
    return [...this.#rules].some((rule) => says(rule, session)) ? 'not bound yet' : 'alive'
  }

  async #isKnownDead(sessionId: string, session: StoredSession): Promise<boolean> {
    try {
      return /^(?:dead|lost|over)$/.test(await this.#verdictOn(sessionId, session))
    } catch {
      return false
    }
  }

  #wasEndedHere(sessionId: string): boolean {
    return this.#guards.some((guard) => guard.wasEndedHere(sessionId))
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
   * not. One at a time for each row: a store whose `destroy` reads that row must not be sent round in circles.
   */
  async #destroyQuietly(sessionId: string): Promise<void> {
    if (this.#destroyedQuietly.has(sessionId)) return
    this.#destroyedQuietly.add(sessionId)
    try {
      await within(DESTROY_QUIETLY_SECONDS, this.#call('destroy', sessionId))
    } catch {
    } finally {
      this.#destroyedQuietly.delete(sessionId)
    }
  }

  /** Asked of the store itself. Where the question fails, its row is not known to be missing. */
  async #isMissing(sessionId: string, reported?: unknown): Promise<boolean> {
    if (saysMissing(reported)) return true
    try {
      const session = await this.#call('get', sessionId)
      return session === null || session === undefined
    } catch (error) {
      if (reported === undefined && !saysMissing(error)) throw error
      return saysMissing(error)
    }
  }

  /** A promise settles once: double, synchronous and late callbacks, rejections and throws all end here. */
  #call(method: 'get' | 'set' | 'destroy' | 'touch', ...args: unknown[]): Promise<unknown> {
    const call = (done: (error: unknown, value?: unknown) => void): unknown =>
      this.#inner[method]?.call(this.#store, ...args, done)
    // A connection that is opened meanwhile keeps this context for all its later callbacks: so it ends with the call.
    const context = { store: this.#store, sessionId: args[0], isUnderWay: true }
    const settled = new Promise((resolve, reject) => {
      const done = (error: unknown, value?: unknown) => (error ? reject(error) : resolve(value))
      const returned = method === 'destroy' ? destroying.run(context, call, done) : call(done)
      if (returned instanceof Promise) returned.catch(reject)
    })
    return method === 'destroy' ? settled.finally(() => (context.isUnderWay = false)) : settled
  }
}

/** A rule that cannot say is not one that says no. */
function says(rule: MustBeBound, session: StoredSession): boolean {
  try {
    return rule(Object(session)) !== false
  } catch {
    return true
  }
}

/** Stores on a file system say ENOENT where express-session means: no such session. */
function saysMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

/** Answers by callback as the contract has it, outside of the promise so that a throwing callback is the caller's own. */
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

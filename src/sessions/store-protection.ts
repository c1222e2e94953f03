// An express-session store, patched in place so that a dead session stays dead. Asks its guards, and
// weighs their verdicts with what the row itself says.
import { AsyncLocalStorage } from 'node:async_hooks'
import { within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import { mayAskItself } from './asks-itself.js'
import type { JudgedSession, SessionGuard, SessionLimits, SignOnNames } from './session-backend.js'
import {
  capCookie,
  isStamped,
  keepCookieCapped,
  looksSignedIn,
  namesIn,
  rowExpiry,
  type StoredSession,
  stamp,
  unstamp,
} from './session-row.js'

// biome-ignore lint/suspicious/noExplicitAny: the stores' own types disagree on callbacks, promises and session data.
type StoreMethod = (...args: any[]) => unknown

/** The store contract of express-session, as its documentation has it. */
export interface ExpressSessionStore {
  get: StoreMethod
  set: StoreMethod
  destroy: StoreMethod
  touch?: StoreMethod
  regenerate?: StoreMethod
  createSession?: StoreMethod
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

/**
 * `lost`: dead as well, since it says that a login was bound to it, and nobody knows of that; `over`: dead by itself.
 */
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
 * The row that a store's own `destroy` is at: what it asks itself about that row is not a request's question. One for
 * all stores, and used for those alone whose `destroy` may ask: on Node 20 and 22 every promise of the process pays.
 */
const destroying = new AsyncLocalStorage<Destroying>()

class StoreProtection {
  readonly #store: ExpressSessionStore
  readonly #inner: Pick<ExpressSessionStore, 'get' | 'set' | 'destroy' | 'touch'>
  readonly #mayAskItself: boolean
  #all: readonly SessionGuard[] = []
  /** Another came after they were closed. */
  readonly #succeeded = new WeakSet<SessionGuard>()
  #isPatched = false
  readonly #rules = new Set<MustBeBound>()
  /** Requests whose sign-on was ended on purpose, and by which receivers. */
  readonly #released = new WeakMap<object, Set<SessionGuard>>()
  /** When sessions end by themselves that were read, by what was read. */
  readonly #limits = new WeakMap<object, readonly SessionLimits[]>()
  readonly #destroyedQuietly = new Set<string>()
  /** Of sessions that were given their id by a change, and are not saved yet. */
  readonly #namesToCarry = new WeakMap<object, SignOnNames>()

  constructor(store: ExpressSessionStore) {
    this.#store = store
    this.#mayAskItself = mayAskItself(store)
    const { get, set, destroy, touch } = store
    this.#inner = touch === undefined ? { get, set, destroy } : { get, set, destroy, touch }
  }

  /**
   * A receiver that was made once more for the same clients (a hot reload), or was closed and remembered the same as
   * this one does, makes room for it. Any other that was closed is kept while it remembers something: what it could not
   * finish it alone denies.
   */
  add(guard: SessionGuard): void {
    const isReplaced = (other: SessionGuard) =>
      hasSameClients(guard, other) || (other.isClosed() && (denySame(guard, other) || other.isOver()))
    this.#all = [...this.#all.filter((other) => !isReplaced(other)), guard]
    for (const other of this.#all) if (other.isClosed()) this.#succeeded.add(other)
    if (!this.#isPatched) this.#patch()
    this.#isPatched = true
  }

  addRule(mustBeBound: MustBeBound): void {
    this.#rules.add(mustBeBound)
  }

  /**
   * With each guard that knows this very sign-on: it is ended for all of them. Where this guard knows nothing of the
   * session, it is ended by all: whose logout route it is, does not decide who is signed in there. Resolves to those
   * that are to end it.
   */
  async release(req: object, sessionId: string | undefined, guard: SessionGuard): Promise<readonly SessionGuard[]> {
    const released = (this.#released.get(req) ?? new Set()).add(guard)
    this.#released.set(req, released)
    let ending: readonly SessionGuard[] = [guard]
    const others = this.#guards.filter((other) => !released.has(other))
    for (const other of others) if (isSame(guard, other)) released.add(other)
    const unlike = others.filter((other) => !released.has(other))
    const unknowing = new Set<SessionGuard>()
    if (unlike.length > 0 && sessionId !== undefined) {
      const signOn = await signOnUnder(guard, sessionId)
      if (signOn === NOTHING) {
        for (const other of unlike) released.add(other)
        ending = [guard, ...unlike]
      } else if (signOn !== NO_ANSWER) {
        for (const other of unlike) {
          const theirs = await signOnUnder(other, sessionId)
          if (theirs === signOn) released.add(other)
          else if (theirs === NOTHING) unknowing.add(other)
        }
      }
    }
    const isSpoken = (each: SessionGuard) => released.has(each) || unknowing.has(each)
    if (this.#guards.every(isSpoken)) unstamp(Object(Reflect.get(req, 'session')))
    return ending
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

  /**
   * One that was closed after another had come that denies the same makes room for that. Any other that was closed goes
   * on guarding (requests are still under way while an application shuts down) until another stands in its place, by
   * its logout store or since it came afterwards. From then on it is asked only while it has something unfinished: its
   * store may be gone.
   */
  get #guards(): readonly SessionGuard[] {
    if (!this.#all.some((guard) => guard.isClosed())) return this.#all
    const isReplaced = (guard: SessionGuard) =>
      guard.isClosed() && this.#all.some((other) => !other.isClosed() && denySame(guard, other))
    if (this.#all.some(isReplaced)) this.#all = this.#all.filter((guard) => !isReplaced(guard))
    const isIdle = (guard: SessionGuard) =>
      guard.isClosed() &&
      !guard.hasUnfinished() &&
      (this.#succeeded.has(guard) ||
        this.#all.some((other) => !other.isClosed() && other.logoutStore === guard.logoutStore))
    return this.#all.filter((guard) => !isIdle(guard))
  }

  /** As the store itself has it, dead or alive. */
  async readRow(sessionId: string): Promise<object | undefined> {
    const row = await this.#call('get', sessionId)
    return typeof row === 'object' && row !== null ? row : undefined
  }

  /** On the instance: a Proxy breaks stores with private fields, a wrapper loses their events and own methods. */
  #patch(): void {
    const store = this.#store
    const isOwnCall = (sessionId: string) => {
      if (!this.#mayAskItself) return false
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
    const { createSession } = store
    if (createSession !== undefined) {
      store.createSession = (req: unknown, row: object) => {
        const session: unknown = Reflect.apply(createSession, store, [req, row])
        for (const limits of this.#limits.get(row) ?? []) keepCookieCapped(Object(session), limits)
        return session
      }
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
    for (const guard of this.#guards)
      if (await guard.finishChange(sessionId)) stamp(session, this.#namesToCarry.get(session))
    try {
      await this.#call('set', sessionId, session)
    } catch (error) {
      if (await this.#isKnownDead(sessionId, session)) return this.#keepDead(sessionId, session)
      throw error
    }
    const maxAge = session.cookie?.originalMaxAge
    const wasStamped = isStamped(session)
    // Without a verdict the row stays, and no read will believe it without one.
    if (await this.#isKnownDead(sessionId, session)) return this.#keepDead(sessionId, session)
    // A row of a new session id has a whole new lifetime, of which its sign-on may have less left.
    const capped = session.cookie?.originalMaxAge
    const isCapped = typeof capped === 'number' && capped < (maxAge ?? Number.POSITIVE_INFINITY) - SLACK_MILLISECONDS
    // A request that had read the row before the login was bound writes it back without the stamp.
    if (isCapped || isStamped(session) !== wasStamped) await this.#call('set', sessionId, session)
  }

  /**
   * Asks nothing of the store, so that a request which only reads pays one look-up: few stores revive a row by `touch`,
   * and one that does meets this process's own memory of what it ended, or else the next read. A store that finds no
   * row any more may call that an error: not one of the application's, if a logout ended the session meanwhile.
   */
  async #touch(sessionId: string, session: StoredSession): Promise<void> {
    if (this.#wasEndedHere(sessionId)) return this.#keepDead(sessionId, session)
    for (const limits of this.#limits.get(session) ?? []) capCookie(session, limits)
    try {
      await this.#call('touch', sessionId, session)
    } catch (error) {
      if (await this.#isKnownDead(sessionId, session)) return this.#keepDead(sessionId, session)
      throw error
    }
    if (this.#wasEndedHere(sessionId)) await this.#keepDead(sessionId, session)
  }

  async #destroy(sessionId: string): Promise<void> {
    await endBy(this.#guards, sessionId, () => this.destroyRow(sessionId, false))
  }

  /**
   * What express-session's own `regenerate` does, and the sign-on goes along: the old id is marked before its row goes.
   */
  async #regenerate(req: { sessionID: string; session?: StoredSession }): Promise<void> {
    const from = req.sessionID
    const names = namesIn(Object(req.session))
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
    if (names !== undefined && req.session) this.#namesToCarry.set(req.session, names)
    // Its cookie is sent before anything of it is saved.
    for (const guard of this.#guards) keepCookieCapped(Object(req.session), guard.limitsOfChange(req.sessionID) ?? {})
    if (failure !== undefined) throw failure
  }

  async #verdictOn(sessionId: string, session: StoredSession): Promise<Verdict> {
    const judged: JudgedSession[] = []
    for (const guard of this.#guards) {
      if (this.#wasEndedHere(sessionId)) return 'dead'
      judged.push(await guard.judge(sessionId, rowExpiry(session)))
    }
    return this.#weigh(session, judged)
  }

  /** Of a session that lives the cookie is capped by what its sign-on has left, and its row says that it was bound. */
  #weigh(session: StoredSession, judged: readonly JudgedSession[]): Verdict {
    const ended = judged.filter(({ verdict }) => verdict === 'ended')
    if (ended.length > 0) return ended.every(({ isOver }) => isOver) ? 'over' : 'dead'
    for (const limits of judged) capCookie(session, limits)
    this.#limits.set(session, judged)
    if (judged.some(({ verdict }) => verdict === 'bound')) {
      stamp(session)
      return 'alive'
    }
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
    return this.#all.some((guard) => guard.wasEndedHere(sessionId))
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
    const context =
      method === 'destroy' && this.#mayAskItself
        ? { store: this.#store, sessionId: args[0], isUnderWay: true }
        : undefined
    const settled = new Promise((resolve, reject) => {
      const done = (error: unknown, value?: unknown) => (error ? reject(error) : resolve(value))
      const returned = context === undefined ? call(done) : destroying.run(context, call, done)
      if (returned instanceof Promise) returned.catch(reject)
    })
    return context === undefined ? settled : settled.finally(() => (context.isUnderWay = false))
  }
}

/** By each of them, one inside the other: all have marked it before its row goes. */
export async function endBy(
  guards: readonly SessionGuard[],
  sessionId: string,
  destroyRow: () => Promise<void>,
): Promise<void> {
  const endAll = guards.reduce((next, guard) => () => guard.endLocally(sessionId, next), destroyRow)
  await endAll()
}

const NOTHING = Symbol('the store knows nothing of it')
const NO_ANSWER = Symbol('nobody knows')

async function signOnUnder(guard: SessionGuard, sessionId: string): Promise<string | symbol> {
  try {
    return (await guard.signOnUnder(sessionId)) ?? NOTHING
  } catch {
    return NO_ANSWER
  }
}

/** The same clients, as far as they are known. */
function hasSameClients(guard: SessionGuard, other: SessionGuard): boolean {
  return guard.identity !== undefined && guard.identity === other.identity
}

/** Made once more for the same clients, or looking into the same logout store. */
function isSame(guard: SessionGuard, other: SessionGuard): boolean {
  return hasSameClients(guard, other) || guard.logoutStore === other.logoutStore
}

/**
 * What the store could not be told is known to each receiver alone, and to those that share its memory (`deniedBy`):
 * the same logout store is not enough.
 */
function denySame(guard: SessionGuard, other: SessionGuard): boolean {
  return guard.identity === other.identity && (guard.identity !== undefined || guard.logoutStore === other.logoutStore)
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

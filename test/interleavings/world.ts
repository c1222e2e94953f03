// Two nodes of one Relying Party over one row store and one logout store, with the package's own engine and protection
// on each, and an application that does the worst: it ignores what bind says and saves whatever it holds.
import { Store } from 'express-session'
import type { LogoutEvent } from '../../src/events.js'
import { LogoutEngine } from '../../src/logout/engine.js'
import { jtiKey, type LogoutTarget, targetKey } from '../../src/marks/target.js'
import { type ExpressSessionStore, expressSessions } from '../../src/sessions/express-session.js'
import type { SessionBackend, SessionGuard } from '../../src/sessions/session-backend.js'
import { isStamped } from '../../src/sessions/session-row.js'
import { memoryOf } from '../../src/sign-ons/session-store-memory.js'
import { SignOns } from '../../src/sign-ons/sign-ons.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { StoreClock } from '../../src/stores/store-clock.js'
import { StepwiseData, StepwiseStore } from './stepwise-store.js'

type Step = (step: string) => Promise<void>
type StepAtNode = (step: string, node: number) => Promise<void>

export interface WorldOptions {
  readonly step?: StepAtNode
  /** `atomic`: a call is one step; `stepwise`: each read and write is; `check-then-write`: `bind` reads first. */
  readonly logoutStore?: 'atomic' | 'stepwise' | 'check-then-write' | 'follows nobody'
  /**
   * `check-then-write`: a session write asks before it writes, and not after. `early verdict`: a read believes the
   * verdict that was asked for while the row was read, and does not ask again where the two contradict each other.
   */
  readonly protection?: 'full' | 'none' | 'check-then-write' | 'early verdict'
  /** Answers of the logout store take their own time: they may arrive in another order than its work was done. */
  readonly lateAnswers?: boolean
  /** `touch` reads the row and writes it again, as session-file-store's does. */
  readonly touchRevives?: boolean
  /** What is made of the store that all nodes share, where it is atomic. */
  readonly broken?: (store: LogoutStore, clock: () => number) => LogoutStore
  /** How long a login that failed is undone in the background. */
  readonly retryForSeconds?: number
}

export interface SignOnOfUser {
  readonly sub: string
  /** Absent: its login names none. */
  readonly sid?: string | undefined
  readonly iat: number
  /** When the user was sent to the OP, where the application says so. */
  readonly startedAt?: number | undefined
}

/** Whom a session with this sign-on shows. */
export function userOf({ sub, sid }: SignOnOfUser): string {
  return sid ?? `${sub}, without a sid`
}

export interface Row {
  readonly cookie: { readonly originalMaxAge: null }
  /** Who is signed in: the `sid` of the sign-on, which no two sign-ons of a scenario share, or whose it is. */
  signOn?: string
  writes?: number
}

export interface Request {
  readonly node: Node
  sessionID: string
  session: Row
}

export interface Node {
  readonly store: ExpressSessionStore
  readonly sessions: SessionBackend<never>
  readonly signOns: SignOns
  readonly engine: LogoutEngine
}

export interface NodeOptions {
  readonly beside?: Node
  /** Absent: the one that all share. */
  readonly logoutStore?: LogoutStore
  /** What it remembers of the row store no other receiver knows. */
  readonly knowsAlone?: boolean
}

export const CLIENT = { issuer: 'https://op.example', clientId: 'rp' } as const

export class World {
  now = 1_000
  readonly rows = new Map<string, string>()
  readonly ids: string[] = []
  readonly events: LogoutEvent[] = []
  readonly #step: StepAtNode
  readonly #options: WorldOptions
  readonly #memory: LogoutStore
  readonly #stepwise = new StepwiseData()
  #nodes = 0
  readonly #toClose: (() => void)[] = []

  constructor(options: WorldOptions = {}) {
    this.#options = options
    this.#step = options.step ?? (async () => {})
    const clock = () => this.now
    const memory = memoryStore({ clock })
    this.#memory = options.broken?.(memory, clock) ?? memory
    // No time passes but by `now`: how long a step took on this machine would change which steps come after it.
    const at = performance.now()
    performance.now = () => at
    this.#toClose.push(() => Reflect.deleteProperty(performance, 'now'))
  }

  /**
   * A process of its own: it shares the two stores, and no memory. Or with `beside` another receiver in the same
   * process, over its row store.
   */
  addNode({ beside, logoutStore, knowsAlone = false }: NodeOptions = {}): Node {
    const number = ++this.#nodes
    const step: Step = (name) => this.#step(name, number)
    const newId = () => this.#newId(number)
    const store = beside?.store ?? new RowStore(this.rows, step, newId, this.#options.touchRevives ?? false)
    const own = { get: store.get, set: store.set, destroy: store.destroy }
    const backend = expressSessions(store)
    const memory = memoryOf(knowsAlone ? undefined : backend.sessionStore)
    const ownStore = this.#logoutStoreAt(step, logoutStore)
    const deniedHere = memory.deniedBy(undefined, ownStore, () => this.now)
    const shared = {
      store: ownStore,
      destroySession: (id: string) => backend.destroy(id),
      deniedHere,
      memory,
      emit: (event: LogoutEvent) => void this.events.push(event),
      clock: () => this.now,
      sessionLifetimeSeconds: 100_000,
      marksLifetimeSeconds: 100_000,
      stepTimeoutSeconds: 60,
      retryForSeconds: this.#options.retryForSeconds ?? 0,
      storeClock: new StoreClock(() => this.now),
      claims: undefined,
    }
    const signOns = new SignOns(shared)
    const retry = { firstDelaySeconds: 1, maxDelaySeconds: 1, giveUpAfterSeconds: 60 }
    const engine = new LogoutEngine({
      ...shared,
      retry,
      onSessionsEnded: undefined,
    })
    if (this.#options.protection !== 'none') backend.protect(signOns)
    if (this.#options.protection === 'check-then-write') checkThenWrite(store, own.set, signOns)
    if (this.#options.protection === 'early verdict') believeEarlyVerdict(store, own, signOns)
    this.#toClose.push(() => {
      engine.close()
      signOns.close()
    })
    return { store, sessions: backend, signOns, engine }
  }

  close(): void {
    for (const close of this.#toClose) close()
  }

  /** The beginning of a request: express-session reads the session its cookie names, or makes a new one. */
  async visit(node: Node, cookie?: string): Promise<Request> {
    const request: Request = { node, sessionID: '', session: emptyRow() }
    const row = cookie === undefined ? undefined : await this.#read(node, cookie)
    if (cookie === undefined || row === undefined) node.store.generate?.(request)
    else Object.assign(request, { sessionID: cookie, session: row })
    return request
  }

  async write(request: Request): Promise<void> {
    request.session.writes = (request.session.writes ?? 0) + 1
    await called((done) => request.node.store.set(request.sessionID, request.session, done))
  }

  async touch(request: Request): Promise<void> {
    await called((done) => request.node.store.touch?.(request.sessionID, request.session, done))
  }

  /** `regenerate`, and the user copied; not saved yet. */
  async changeId(request: Request): Promise<void> {
    const { signOn } = request.session
    await called((done) => request.node.store.regenerate?.(request, done))
    if (signOn !== undefined) request.session.signOn = signOn
  }

  async regenerate(request: Request): Promise<void> {
    await this.changeId(request)
    await this.write(request)
  }

  /** Resolves to whether a logout had come first. Saves nothing. */
  async bind(request: Request, signOn: SignOnOfUser): Promise<boolean> {
    const { sub, sid, iat, startedAt } = signOn
    request.session.signOn = userOf(signOn)
    const login = { client: CLIENT, sub, sid, issuedAt: iat, startedAt, tokenKeys: [] }
    request.node.sessions.bound(request as never)
    const { ended } = await request.node.signOns.bind({ sessionId: request.sessionID }, login)
    return ended
  }

  async logIn(request: Request, signOn: SignOnOfUser): Promise<boolean> {
    await called((done) => request.node.store.regenerate?.(request, done))
    const ended = await this.bind(request, signOn)
    await this.write(request)
    return ended
  }

  /** A login in a browser that has no session yet; returns its cookie. */
  async signIn(node: Node, signOn: SignOnOfUser): Promise<string> {
    const request = await this.visit(node)
    await this.logIn(request, signOn)
    return request.sessionID
  }

  async logOut(
    node: Node,
    target: { readonly sid: string; readonly sub?: string } | { readonly sub: string },
    iat?: number,
    jti?: string,
  ) {
    const key = targetKey({ ...CLIENT, ...target } as LogoutTarget)
    const order = {
      client: CLIENT,
      key,
      issuedAt: iat,
      jti: jti === undefined ? undefined : { key: jtiKey(CLIENT, jti), expiresAt: this.now + 10_000 },
      reason: 'test',
      revokeOfflineAccess: false,
    }
    const result = await node.engine.end(order, 60)
    if (!result.complete) throw result.error
    return result
  }

  async logOutLocally(request: Request): Promise<void> {
    const { node, sessionID } = request
    node.sessions.released(request as never, node.signOns)
    await node.signOns.endLocally(sessionID, () => node.sessions.destroy(sessionID))
  }

  /** Who is signed in with this cookie, asked at a node. */
  async whoIs(node: Node, cookie: string): Promise<string | undefined> {
    return (await this.#read(node, cookie))?.signOn
  }

  /** Every way in which these sign-ons are still there, rows first, since asking destroys what is dead. */
  async survivors(nodes: readonly Node[], signOns: readonly string[]): Promise<readonly string[]> {
    const found: string[] = []
    for (const row of this.rows.values()) {
      const { signOn }: Row = JSON.parse(row)
      if (signOn !== undefined && signOns.includes(signOn)) found.push(`a row of ${signOn} survives`)
    }
    for (const node of nodes) {
      for (const id of this.ids) {
        const who = await this.whoIs(node, id)
        if (who !== undefined && signOns.includes(who)) found.push(`a cookie of ${who} survives`)
      }
    }
    return found
  }

  async #read(node: Node, cookie: string): Promise<Row | undefined> {
    return ((await called((done) => node.store.get(cookie, done))) ?? undefined) as Row | undefined
  }

  /** Whatever other nodes do meanwhile. */
  #newId(node: number): string {
    const id = `s${node}.${this.ids.filter((each) => each.startsWith(`s${node}.`)).length + 1}`
    this.ids.push(id)
    return id
  }

  #logoutStoreAt(step: Step, own = this.#memory): LogoutStore {
    const clock = () => this.now
    const { logoutStore = 'atomic', lateAnswers = false } = this.#options
    if (logoutStore !== 'atomic') {
      const checkThenWrite = logoutStore === 'check-then-write'
      const followsNobody = logoutStore === 'follows nobody'
      return new StepwiseStore({ step, clock, checkThenWrite, followsNobody }, this.#stepwise)
    }
    return new Proxy(own, {
      get: (store, method) => {
        const call: unknown = Reflect.get(store, method)
        if (typeof call !== 'function') return call
        return async (...args: unknown[]) => {
          await step(String(method))
          const answer: unknown = await Reflect.apply(call, store, args)
          if (lateAnswers) await step(`answer to ${String(method)}`)
          return answer
        }
      },
    })
  }
}

/** A session store as they all are: `set` is an upsert, `touch` and `destroy` of an unknown id succeed. */
class RowStore extends Store {
  generate: (request: Request) => void
  readonly #rows: Map<string, string>
  readonly #step: Step
  readonly #touchRevives: boolean

  constructor(rows: Map<string, string>, step: Step, newId: () => string, touchRevives: boolean) {
    super()
    this.#touchRevives = touchRevives
    this.#rows = rows
    this.#step = step
    this.generate = (request) => {
      Object.assign(request, { sessionID: newId(), session: emptyRow() })
    }
  }

  override get(id: string, callback: (error?: unknown, row?: never) => void): void {
    this.#carryOut(`get row ${id}`, callback, () => {
      const row = this.#rows.get(id)
      return row === undefined ? undefined : JSON.parse(row)
    })
  }

  override set(id: string, row: object, callback?: () => void): void {
    const text = JSON.stringify(row)
    this.#carryOut(`set row ${id}`, callback, () => void this.#rows.set(id, text))
  }

  override touch(id: string, _row: object, callback?: () => void): void {
    this.#carryOut(`touch row ${id}`, callback, async () => {
      const row = this.#rows.get(id)
      if (!this.#touchRevives || row === undefined) return
      await this.#step(`touch row ${id}, second half`)
      this.#rows.set(id, row)
    })
  }

  override destroy(id: string, callback?: () => void): void {
    this.#carryOut(`destroy row ${id}`, callback, () => void this.#rows.delete(id))
  }

  #carryOut(step: string, callback: ((error?: unknown, row?: never) => void) | undefined, work: () => unknown): void {
    this.#step(step)
      .then(work)
      .then(
        (row) => callback?.(null, row as never),
        (error: unknown) => callback?.(error),
      )
  }
}

function checkThenWrite(store: ExpressSessionStore, ownSet: ExpressSessionStore['set'], guard: SessionGuard): void {
  store.set = async (id: string, row: Row, callback: () => void) => {
    if ((await guard.verdictOn(id)) === 'ended') callback()
    else ownSet.call(store, id, row, callback)
  }
}

type OwnMethods = Pick<ExpressSessionStore, 'get' | 'set' | 'destroy'>

function believeEarlyVerdict(store: ExpressSessionStore, own: OwnMethods, guard: SessionGuard): void {
  store.get = async (id: string, callback: (error: unknown, row?: unknown) => void) => {
    const [row, verdict] = await Promise.all([called((done) => own.get.call(store, id, done)), guard.verdictOn(id)])
    const isDead = verdict === 'ended' || (verdict === 'unbound' && isStamped(Object(row)))
    if (row === undefined || !isDead) callback(null, row)
    else own.destroy.call(store, id, () => callback(null))
  }
}

function called(call: (done: (error: unknown, value?: unknown) => void) => unknown): Promise<unknown> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value)))
  })
}

function emptyRow(): Row {
  return { cookie: { originalMaxAge: null } }
}

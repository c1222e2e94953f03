// The conformance matrix of express-session stores: whatever a request does, whenever the logout comes, who is still signed in?
// Knows the store contract of express-session, and of each store nothing but its methods.
import { AssertionError } from 'node:assert'
import { Agent, createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { type BackchannelLogout, createBackchannelLogout } from '../backchannel-logout.js'
import {
  type SessionRequest as ExpressSessionRequest,
  type ExpressSessionStore,
  expressSessions,
} from '../sessions/express-session.js'
import type { LogoutStore } from '../stores/logout-store.js'

/** What the matrix needs to be told. */
export interface SessionStoreMatrix {
  /** The default export of `express-session`. */
  // biome-ignore lint/suspicious/noExplicitAny: it is typed in terms of Express, which this suite does without.
  readonly session: (options: any) => (...args: any[]) => unknown
  /** A new store for each configuration; it may share its server with others. */
  readonly createStore: () => ExpressSessionStore | Promise<ExpressSessionStore>
  /** False: the same receiver destroys the same rows, and the session store is left as it is. */
  readonly isProtected: boolean
  /** A new logout store for each configuration. Default: `memoryStore`. */
  readonly createLogoutStore?: () => LogoutStore | Promise<LogoutStore>
  /** Default: all of them. */
  readonly configurations?: readonly SessionConfiguration[]
}

/** How `session()` is configured, and what that means for it. */
export const SESSION_CONFIGURATIONS = {
  'resave: false': { resave: false, rolling: false },
  'resave: true': { resave: true, rolling: false },
  rolling: { resave: false, rolling: true },
} as const
/** How express-session is configured in one run of the suite. */
export type SessionConfiguration = keyof typeof SESSION_CONFIGURATIONS

/** What the request under way does with its session. */
export const SESSION_OPERATIONS = {
  'reads only': async () => {},
  modifies: async (req) => {
    req.session.visits = (req.session.visits ?? 0) + 1
  },
  'save()': (req) => promised((done) => req.session.save(done)),
  'touch()': async (req) => {
    req.session.touch()
  },
  'reload()': (req) => promised((done) => req.session.reload(done)).catch(() => {}),
  'regenerate() and copies the user': async (req) => {
    const { signOn } = req.session
    await promised((done) => req.session.regenerate(done))
    if (signOn !== undefined) req.session.signOn = signOn
  },
  'destroy()': (req) => promised((done) => req.session.destroy(done)),
} as const satisfies Readonly<Record<string, (req: SessionRequest) => Promise<void>>>
/** What a request under way does while its session is ended. */
export type SessionOperation = keyof typeof SESSION_OPERATIONS

/** One cell of the matrix and what was seen in it. */
export interface SessionStoreCell {
  readonly configuration: SessionConfiguration
  readonly operation: SessionOperation
  /** When the logout came. `after set (call 2)`: the request's second call to the store was carried out, and not yet answered. */
  readonly moment: string
  readonly logoutBy: 'sid' | 'sub'
  /** What still shows the user: a cookie that was issued for the ended sign-on, or a row of the store. */
  readonly survivors: readonly ('first cookie' | 'new cookie' | 'row')[]
  /** Who should have lived and does not. */
  readonly wronglyEnded: readonly ('other device' | 'other user' | 'next login')[]
}

/**
 * Runs the matrix over real HTTP and the real session middleware: for each configuration and operation, a logout before the
 * handler acts, before and after each call that the request makes to the store's own methods, and after the response, by `sid`
 * and by `sub`. A store is safe if no cell has a survivor, and exact if no cell has wrongly ended anybody.
 */
export async function runSessionStoreMatrix(matrix: SessionStoreMatrix): Promise<readonly SessionStoreCell[]> {
  const cells: SessionStoreCell[] = []
  const configurations = matrix.configurations ?? names(SESSION_CONFIGURATIONS)
  for (const configuration of configurations) {
    const rp = await startRp(matrix, configuration)
    try {
      for (const operation of names(SESSION_OPERATIONS)) {
        for (const logoutBy of ['sid', 'sub'] as const) {
          for await (const seen of momentsOf(rp, operation, logoutBy)) {
            cells.push({ configuration, operation, logoutBy, ...seen })
          }
        }
      }
    } finally {
      await rp.close()
    }
  }
  return cells
}

/**
 * The matrix for your own store in one line: rejects with an `AssertionError` that says which requests bring an ended session back,
 * or sign somebody out who was not named. Takes about a minute.
 */
export async function assertSessionStoreIsSafe(matrix: Omit<SessionStoreMatrix, 'isProtected'>): Promise<void> {
  const cells = await runSessionStoreMatrix({ ...matrix, isProtected: true })
  const wrong = cells.flatMap(({ configuration, operation, moment, logoutBy, survivors, wronglyEnded }) => {
    const where = `a request that ${operation}, with ${configuration}, and a logout by ${logoutBy} ${moment}`
    return [
      ...survivors.map((each) => `${where}: the ${each} still shows the user`),
      ...wronglyEnded.map((each) => `${where}: the ${each} was signed out as well`),
    ]
  })
  if (wrong.length === 0) return
  const shown = wrong.slice(0, 10)
  const more = wrong.length > shown.length ? `\n  and ${wrong.length - shown.length} more` : ''
  throw new AssertionError({
    message: `The session store is not safe in ${wrong.length} of ${cells.length} cases:\n  ${shown.join('\n  ')}${more}`,
  })
}

interface SessionRequest extends IncomingMessage {
  readonly sessionID: string
  readonly session: {
    signOn?: string
    visits?: number
    readonly cookie: { readonly originalMaxAge?: number | null }
    save(done: Done): void
    touch(): void
    reload(done: Done): void
    regenerate(done: Done): void
    destroy(done: Done): void
  }
}

type Done = (error?: unknown) => void
type Callback = (...outcome: unknown[]) => void
type LogoutBy = SessionStoreCell['logoutBy']
type Seen = Pick<SessionStoreCell, 'moment' | 'survivors' | 'wronglyEnded'>

/** Where the request under way is stopped until the logout is over. */
type Stop = { readonly at: 'handler' } | { readonly at: 'before' | 'after'; readonly call: number }

async function* momentsOf(rp: Rp, operation: SessionOperation, logoutBy: LogoutBy): AsyncGenerator<Seen> {
  const cell = (stop: Stop | undefined) => runCell(rp, operation, logoutBy, stop)
  const before = await cell({ at: 'handler' })
  const after = await cell(undefined)
  if (before === undefined || after === undefined)
    throw new Error(`The request that ${operation} never came to its handler`)
  yield before
  for (let call = 1; ; call++) {
    const started = await cell({ at: 'before', call })
    const finished = started && (await cell({ at: 'after', call }))
    if (started === undefined || finished === undefined) break // The request makes no such call.
    yield started
    yield finished
  }
  yield after
}

async function runCell(
  rp: Rp,
  operation: SessionOperation,
  logoutBy: LogoutBy,
  stop: Stop | undefined,
): Promise<Seen | undefined> {
  const { user, gate } = rp.nextUser()
  const laptop = await rp.logIn(user, 'laptop')
  const phone = await rp.logIn(user, 'phone')
  const issuedBefore = rp.issuedIds.length

  const held = stop && gate.hold(stop)
  const response = rp.request(`/act?operation=${encodeURIComponent(operation)}`, laptop)
  let moment: string | undefined = 'after the response'
  if (held !== undefined) {
    moment = await Promise.race([held, response.then(() => undefined)])
    if (moment === undefined) gate.release()
    else await rp.endSignOn(user, logoutBy)
    gate.release()
  }
  const { cookie: newCookie } = await response
  if (moment === undefined) return undefined
  if (held === undefined) await rp.endSignOn(user, logoutBy)

  const ended = `${user}/laptop`
  const survivors: Seen['survivors'][number][] = []
  if ((await rp.whoIs(laptop)) === ended) survivors.push('first cookie')
  if (newCookie !== undefined && (await rp.whoIs(newCookie)) === ended) survivors.push('new cookie')
  const ids = [idOf(laptop), ...rp.issuedIds.slice(issuedBefore)]
  for (const id of ids) {
    if ((await rp.rowOf(id)) !== ended) continue
    survivors.push('row')
    break
  }

  const wronglyEnded: Seen['wronglyEnded'][number][] = []
  if (logoutBy === 'sid' && (await rp.whoIs(phone)) !== `${user}/phone`) wronglyEnded.push('other device')
  if ((await rp.whoIs(rp.otherUser)) !== 'other/laptop') wronglyEnded.push('other user')
  rp.advanceClock(1)
  const again = await rp.logIn(user, 'laptop-again', newCookie ?? laptop)
  if ((await rp.whoIs(again)) !== `${user}/laptop-again`) wronglyEnded.push('next login')
  return { moment, survivors, wronglyEnded }
}

/** Stops one request at one place. One request is under way at a time, so calls are counted without asking whose they are. */
class Gate {
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

const CLIENT = { issuer: 'https://op.example', clientId: 'rp' } as const

class Rp {
  readonly issuedIds: string[] = []
  otherUser = ''
  readonly #gate = new Gate()
  readonly #agent = new Agent({ keepAlive: true })
  readonly #server: Server
  readonly #logout: BackchannelLogout<ExpressSessionRequest>
  readonly #ownGet: (id: string) => Promise<unknown>
  #now = Math.floor(Date.now() / 1000)
  #users = 0

  constructor(
    { session, isProtected }: SessionStoreMatrix,
    configuration: SessionConfiguration,
    store: ExpressSessionStore,
    logoutStore: LogoutStore | undefined,
  ) {
    const ownGet = store.get
    this.#ownGet = (id) => promised((done) => ownGet.call(store, id, done)).catch(() => undefined)
    this.#gate.install(store)
    const sessions = expressSessions(store)
    this.#logout = createBackchannelLogout({
      provider: CLIENT,
      sessions: isProtected ? sessions : { ...sessions, protect: () => {} },
      clock: () => this.#now,
      ...(logoutStore && { store: logoutStore }),
    })
    const middleware = session({
      store,
      secret: 'the secret of a test',
      saveUninitialized: false,
      ...SESSION_CONFIGURATIONS[configuration],
      cookie: { maxAge: 3_600_000 },
      genid: () => {
        const id = crypto.randomUUID()
        this.issuedIds.push(id)
        return id
      },
    })
    this.#server = createServer((req, res) => {
      const failed = () => {
        if (!res.headersSent) res.writeHead(500).end() // After that, express-session reports and answers all the same.
      }
      middleware(req, res, (error: unknown) => {
        if (error) failed()
        else this.#route(req as SessionRequest, res).catch(failed)
      })
    })
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.otherUser = await this.logIn('other', 'laptop')
  }

  async close(): Promise<void> {
    this.#logout.close()
    this.#agent.destroy()
    this.#server.closeAllConnections()
    await promised((done) => this.#server.close(done))
  }

  nextUser(): { readonly user: string; readonly gate: Gate } {
    this.#users++
    return { user: `user-${this.#users}`, gate: this.#gate }
  }

  advanceClock(seconds: number): void {
    this.#now += seconds
  }

  /** Returns the cookie of the session that is signed in. */
  async logIn(user: string, device: string, cookie?: string): Promise<string> {
    const { cookie: issued } = await this.request(`/login?user=${user}&device=${device}`, cookie)
    if (issued === undefined) throw new Error('A login was answered without a session cookie')
    return issued
  }

  async whoIs(cookie: string): Promise<string> {
    return (await this.request('/me', cookie)).body
  }

  async rowOf(id: string): Promise<unknown> {
    const row: unknown = await this.#ownGet(id)
    return typeof row === 'object' && row !== null && 'signOn' in row ? row.signOn : undefined
  }

  async endSignOn(user: string, by: LogoutBy): Promise<void> {
    const target = by === 'sid' ? { ...CLIENT, sid: `${user}/laptop` } : { ...CLIENT, sub: user }
    const { complete, error } = await this.#logout.terminate(target)
    if (!complete) throw error
  }

  request(path: string, cookie: string | undefined): Promise<{ body: string; cookie: string | undefined }> {
    const { port } = this.#server.address() as AddressInfo
    const headers = cookie === undefined ? {} : { cookie }
    return new Promise((resolve, reject) => {
      const answered = async (response: IncomingMessage) => {
        const body = await text(response)
        if (response.statusCode !== 200) throw new Error(`${path} was answered ${response.statusCode}`)
        const [issued] = response.headers['set-cookie'] ?? []
        return { body, cookie: issued?.split(';')[0] }
      }
      get({ host: '127.0.0.1', port, path, headers, agent: this.#agent }, (response) => {
        answered(response).then(resolve, reject)
      }).once('error', reject)
    })
  }

  async #route(req: SessionRequest, res: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(req.url ?? '/', 'http://rp.example')
    if (pathname === '/me') {
      res.end(req.session.signOn ?? '')
    } else if (pathname === '/login') {
      await this.#signIn(req, searchParams.get('user') ?? '', searchParams.get('device') ?? '')
      res.end()
    } else {
      await this.#gate.atHandler()
      const operation = names(SESSION_OPERATIONS).find((name) => name === searchParams.get('operation'))
      if (operation === undefined) throw new Error('There is no such operation')
      await SESSION_OPERATIONS[operation](req)
      res.end('done')
    }
  }

  async #signIn(req: SessionRequest, user: string, device: string): Promise<void> {
    const signOn = `${user}/${device}`
    await promised((done) => req.session.regenerate(done))
    req.session.signOn = signOn
    await this.#logout.bind(req, { iss: CLIENT.issuer, aud: CLIENT.clientId, sub: user, sid: signOn, iat: this.#now })
  }
}

async function startRp(matrix: SessionStoreMatrix, configuration: SessionConfiguration): Promise<Rp> {
  const rp = new Rp(matrix, configuration, await matrix.createStore(), await matrix.createLogoutStore?.())
  await rp.start()
  return rp
}

/** The id in a cookie of express-session: `connect.sid=s:<id>.<signature>`. */
function idOf(cookie: string): string {
  const value = decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1))
  return value.slice(2, value.lastIndexOf('.'))
}

function promised(call: (done: (error?: unknown, value?: unknown) => void) => void): Promise<void>
function promised<T>(call: (done: (error: unknown, value: T) => void) => void): Promise<T>
function promised(call: (done: (error?: unknown, value?: unknown) => void) => void): Promise<unknown> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value)))
  })
}

function names<K extends string>(table: Readonly<Record<K, unknown>>): readonly K[] {
  return Object.keys(table) as K[]
}

// The Relying Party in which the matrix of session stores is run: real HTTP, the real session middleware, one store.
// Judges nothing.
import { Agent, createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createBackchannelLogout } from '../backchannel-logout.js'
import type { BackchannelLogout } from '../logout-methods.js'
import {
  type SessionRequest as ExpressSessionRequest,
  type ExpressSessionStore,
  expressSessions,
} from '../sessions/express-session.js'
import type { LogoutStore } from '../stores/logout-store.js'
import { Gate } from './held-request.js'
import {
  promised,
  SESSION_CONFIGURATIONS,
  SESSION_OPERATIONS,
  type SessionConfiguration,
  type SessionOperation,
  type SessionRequest,
} from './session-requests.js'

/** How `session()` of express-session is called. */
// biome-ignore lint/suspicious/noExplicitAny: it is typed in terms of Express, which this suite does without.
export type SessionMiddleware = (options: any) => (...args: any[]) => unknown

/** What one Relying Party is made of. */
export interface SessionStoreRpOptions {
  readonly session: SessionMiddleware
  readonly isProtected: boolean
  readonly configuration: SessionConfiguration
  readonly store: ExpressSessionStore
  readonly logoutStore: LogoutStore | undefined
  /** Deadline of each call of the session store. */
  readonly storeTimeoutSeconds: number
}

const CLIENT = { issuer: 'https://op.example', clientId: 'rp' } as const

const OPERATION_NAMES = Object.keys(SESSION_OPERATIONS) as readonly SessionOperation[]

export class SessionStoreRp {
  readonly issuedIds: string[] = []
  otherUser = ''
  readonly #gate: Gate
  readonly #agent = new Agent({ keepAlive: true })
  readonly #server: Server
  readonly #logout: BackchannelLogout<ExpressSessionRequest>
  readonly #ownGet: (id: string) => Promise<unknown>
  #now = Math.floor(Date.now() / 1000)
  #users = 0

  constructor(options: SessionStoreRpOptions) {
    const { session, isProtected, configuration, store, logoutStore, storeTimeoutSeconds } = options
    this.#gate = new Gate(storeTimeoutSeconds)
    const ownGet = store.get
    this.#ownGet = (id) => promised((done) => ownGet.call(store, id, done)).catch(() => undefined)
    this.#gate.install(store)
    const sessions = expressSessions(store)
    this.#logout = createBackchannelLogout({
      provider: CLIENT,
      sessions: isProtected ? sessions : { ...sessions, protect: () => {} },
      clock: () => this.#now,
      // Whoever waits for the session store is to hear of it from the gate, which knows the method.
      stepTimeoutSeconds: storeTimeoutSeconds + 5,
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
    try {
      this.otherUser = await this.logIn('other', 'laptop')
    } catch (error) {
      await this.close()
      throw error
    }
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
    const row: unknown = await this.#gate.unlessSilent(this.#ownGet(id))
    return typeof row === 'object' && row !== null && 'signOn' in row ? row.signOn : undefined
  }

  async endSignOn(user: string, by: 'sid' | 'sub'): Promise<void> {
    const target = by === 'sid' ? { ...CLIENT, sid: `${user}/laptop` } : { ...CLIENT, sub: user }
    const { complete, error } = await this.#gate.unlessSilent(this.#logout.terminate(target))
    if (!complete) throw error
  }

  request(path: string, cookie: string | undefined): Promise<{ body: string; cookie: string | undefined }> {
    const { port } = this.#server.address() as AddressInfo
    const headers = cookie === undefined ? {} : { cookie }
    const answer = new Promise<{ body: string; cookie: string | undefined }>((resolve, reject) => {
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
    return this.#gate.unlessSilent(answer)
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
      const operation = OPERATION_NAMES.find((name) => name === searchParams.get('operation'))
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

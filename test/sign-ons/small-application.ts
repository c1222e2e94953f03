// An application as small as one can be, by HTTP: logs in, changes its session id, and what else a test wants. Which of
// several receivers it calls is the caller's.
import { once } from 'node:events'
import { createServer } from 'node:http'
import express, { type Request, type Response } from 'express'
import session from 'express-session'
import type { BackchannelLogout } from '../../src/index.js'
import { createTestBrowser, createTokenMint, type TestBrowser } from '../../src/testing/index.js'

export const issuer = 'https://op.example.com'
export const clientId = 'my-rp'
export const mint = await createTokenMint({ issuer, clientId })
/** Of this client at the provider, or of one at another. */
export const providerAt = (iss = issuer) => ({ issuer: iss, clientId, jwks: mint.jwks })

declare module 'express-session' {
  interface SessionData {
    who?: string
    tokens?: unknown
  }
}

export type Receiver = BackchannelLogout<Request>
export type Handler = (req: Request, res: Response) => Promise<unknown>

export interface SmallApplication {
  browser(): Browser
  /** The OP logs out, at this receiver: the status that it hears. */
  logOut(target: { readonly sub?: string; readonly sid?: string }): Promise<number>
  close(): Promise<void>
}

export class Browser {
  readonly #url: string
  readonly #http: TestBrowser

  #cookie = ''

  constructor(url: string, http = createTestBrowser()) {
    this.#url = url
    this.#http = http
  }

  async go(path: string): Promise<string> {
    const { status, text, headers } = await this.#http.get(this.#url + path)
    this.#cookie = headers.getSetCookie().at(-1) ?? this.#cookie
    return status === 200 ? text : `${status} ${text}`
  }

  /** When the cookie of its session ends, in milliseconds since the epoch. */
  cookieEnds(): number {
    return Date.parse(/expires=([^;]+)/i.exec(this.#cookie)?.[1] ?? '')
  }

  /** Another request of the same browser, which sends the cookies that it has now. */
  copy(): Browser {
    return new Browser(this.#url, this.#http.copy())
  }

  logIn(sub: string, sid: string): Promise<string> {
    return this.go(`/login?${new URLSearchParams({ sub, sid })}`)
  }

  whoAmI(): Promise<string> {
    return this.go('/me')
  }
}

/** A request stands here until it is let go. */
export class Gate {
  readonly pass: () => Promise<void>
  /** Resolves when a request has come. */
  readonly reached: Promise<void>
  open: () => void = () => {}

  constructor() {
    const opened = new Promise<void>((resolve) => {
      this.open = resolve
    })
    let come = () => {}
    this.reached = new Promise((resolve) => {
      come = resolve
    })
    this.pass = () => {
      come()
      return opened
    }
  }
}

export const regenerate = (req: Request) =>
  new Promise<void>((resolve, reject) => req.session.regenerate((error) => (error ? reject(error) : resolve())))

/** `routes`: what else it does; the receiver is the one whose `bind` it calls. */
export async function startSmallApplication(
  rows: session.Store,
  receiver: Receiver,
  routes: Readonly<Record<string, Handler>> = {},
  before?: (req: Request) => void,
): Promise<SmallApplication> {
  const app = express()
  app.all('/backchannel-logout', receiver.receiver())
  app.use(session({ store: rows, secret: 'keyboard cat', resave: false, saveUninitialized: false, rolling: true }))
  if (before !== undefined)
    app.use((req, _res, next) => {
      before(req)
      next()
    })
  const all: Record<string, Handler> = {
    '/login': async (req, res) => {
      const { sub = '', sid = '' } = req.query
      const startedAt = Date.now() / 1000
      await regenerate(req)
      const { ended } = await receiver.bind(req, mint.idTokenClaims({ sub: String(sub), sid: String(sid) }), {
        startedAt,
        label: String(sid),
      })
      if (ended) return void res.status(403).send('ended')
      req.session.who = String(sub)
      res.send('in')
    },
    '/me': async (req, res) => res.send(req.session.who ?? 'nobody'),
    /** A step up: the id changes, the user stays. */
    '/rotate': async (req, res) => {
      const { who, tokens } = req.session
      await regenerate(req)
      Object.assign(req.session, { who, tokens })
      res.send('rotated')
    },
    ...routes,
  }
  for (const [path, handler] of Object.entries(all)) {
    app.get(path, (req, res, next) => {
      handler(req, res).catch(next)
    })
  }
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${Object(server.address()).port}`
  return {
    browser: () => new Browser(url),
    async logOut(payload) {
      const token = await mint.logoutToken({ payload: { sub: undefined, sid: undefined, ...payload } })
      const body = new URLSearchParams({ logout_token: token })
      return (await fetch(`${url}/backchannel-logout`, { method: 'POST', body })).status
    },
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}

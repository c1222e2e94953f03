// The application that people write by the quick start, in Express, with places to make a mistake in: what stands
// before the receiver, what the login does, which stores there are. Everything else is as it should be.
import { createServer } from 'node:http'
import type { Express, NextFunction, Request, Response } from 'express'
import expressOfToday from 'express'
import session from 'express-session'
import { decodeJwt } from 'jose'
import {
  type BackchannelLogout,
  type BackchannelLogoutOptions,
  createBackchannelLogout,
  expressSessions,
} from '../../src/index.js'

export type Logout = BackchannelLogout<Request>
export type Claims = Readonly<Record<string, unknown>>

export interface Mistaken {
  /** Differs from the provider and the sessions that are right. */
  readonly options?: Partial<BackchannelLogoutOptions<Request>>
  /** What `session({ store })` is given. */
  readonly sessionStore?: session.Store
  /** What `expressSessions(store)` is given. */
  readonly protectedStore?: session.Store
  /** Stands before the receiver. */
  readonly before?: (app: Express) => void
  readonly mount?: (app: Express, logout: Logout) => void
  /** Right: awaits `bind`, and looks at `ended`. */
  readonly bind?: (logout: Logout, req: Request, claims: Claims) => Promise<unknown>
  readonly express?: typeof expressOfToday
}

declare module 'express-session' {
  interface SessionData {
    user?: string
  }
}

export interface RunningApplication {
  readonly url: string
  readonly logout: Logout
  readonly sessionStore: session.Store
  /** Words of what a request failed with, as the developer sees them. */
  readonly failures: readonly string[]
  close(): Promise<void>
}

const SECRET = 'a secret that only this test knows'
const RECEIVER = '/backchannel-logout'

async function bindAndLook(logout: Logout, req: Request, claims: Claims): Promise<void> {
  const { ended } = await logout.bind(req, claims)
  if (ended) throw new Error('ended')
}

export async function startApplication(issuer: string, mistaken: Mistaken = {}): Promise<RunningApplication> {
  const { express = expressOfToday, before, mount, bind = bindAndLook } = mistaken
  const { sessionStore = new session.MemoryStore(), protectedStore = sessionStore } = mistaken
  const logout: Logout = createBackchannelLogout<Request>({
    provider: { issuer, clientId: 'my-rp' },
    sessions: expressSessions(protectedStore),
    ...mistaken.options,
  })
  const app = express()
  const server = createServer(app)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const redirectUri = `${url}/callback`
  const failures: string[] = []

  before?.(app)
  if (mount === undefined) app.all(RECEIVER, logout.receiver())
  else mount(app, logout)
  app.use(session({ store: sessionStore, secret: SECRET, resave: false, saveUninitialized: false }))
  app.get('/login', (_req: Request, res: Response) => {
    const query = { response_type: 'code', client_id: 'my-rp', redirect_uri: redirectUri, scope: 'openid' }
    res.redirect(`${issuer}/authorize?${new URLSearchParams(query)}`)
  })
  app.get('/callback', async (req: Request, res: Response) => {
    const grant = { grant_type: 'authorization_code', client_id: 'my-rp', redirect_uri: redirectUri }
    const body = new URLSearchParams({ ...grant, code: String(req.query.code) })
    const answer = await fetch(`${issuer}/token`, { method: 'POST', body })
    const { id_token: idToken } = (await answer.json()) as { id_token: string }
    const claims = decodeJwt(idToken)
    await new Promise<void>((done, failed) => req.session.regenerate((error) => (error ? failed(error) : done())))
    await bind(logout, req, claims)
    req.session.user = String(claims.sub)
    res.send(`Welcome, ${claims.sub}`)
  })
  app.get('/me', (req: Request, res: Response) => {
    if (req.session.user === undefined) res.sendStatus(401)
    else res.send(req.session.user)
  })
  app.use((error: Error & { remedy?: string; status?: number }, _req: Request, res: Response, _next: NextFunction) => {
    failures.push([error.message, error.remedy].filter((words) => words !== undefined).join('\n'))
    res.sendStatus(error.status ?? 500)
  })
  return {
    url,
    logout,
    sessionStore,
    failures,
    close: () => {
      logout.close()
      server.closeAllConnections()
      return new Promise((closed) => server.close(() => closed()))
    },
  }
}

// A Relying Party whose sessions live in a cookie, by the real cookie-session or the real iron-session.
import cookieSession from 'cookie-session'
import express, { type ErrorRequestHandler, type Express, type Request, type Response } from 'express'
import { getIronSession } from 'iron-session'
import supertest from 'supertest'
import { expect } from 'vitest'
import {
  createBackchannelLogout,
  type GuardOptions,
  type LogoutEvent,
  memoryStore,
  type StatelessSignOn,
} from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

export const ISSUER = 'https://op.example.com'
export const CLIENT_ID = 'rp'
export const SECRET = 'a secret of more than thirty-two characters'
export const DAY = 24 * 3600

/** What the app keeps in the cookie. */
export type Kept = Record<string, unknown> & { save?: () => Promise<void> }

export const isKept = (value: unknown): value is Kept => typeof value === 'object' && value !== null

export function sessionOf(req: Request): Kept | null {
  const session: unknown = Reflect.get(req, 'session')
  return isKept(session) ? session : null
}

export const LIBRARIES = {
  'cookie-session': (app: Express) => {
    app.use(cookieSession({ name: 'session', keys: [SECRET] }))
  },
  'iron-session': (app: Express) => {
    app.use((req, res, next) => {
      getIronSession<Record<string, unknown>>(req, res, { cookieName: 'session', password: SECRET }).then((session) => {
        Reflect.set(req, 'session', session)
        next()
      }, next)
    })
  },
} as const satisfies Readonly<Record<string, (app: Express) => void>>

export interface RpOptions {
  readonly library?: keyof typeof LIBRARIES
  readonly guard?: GuardOptions<Request>
  readonly read?: (req: Request) => unknown
  readonly sessionLifetimeSeconds?: number
}

export async function statelessRp({ library = 'cookie-session', guard, read, sessionLifetimeSeconds }: RpOptions = {}) {
  let now = 1_800_000_000
  const clock = () => now
  const mint = await createTokenMint({ issuer: ISSUER, clientId: CLIENT_ID, now: clock, sub: 'alice', sid: 'laptop' })
  const asked = { marks: 0, failing: false }
  const store = memoryStore({ clock })
  const marks = store.marks.bind(store)
  store.marks = (keys) => {
    asked.marks += 1
    return asked.failing ? Promise.reject(new Error('the store is down')) : marks(keys)
  }
  const events: LogoutEvent[] = []
  const logout = createBackchannelLogout({
    provider: { issuer: ISSUER, clientId: CLIENT_ID, jwks: mint.jwks },
    store,
    clock,
    onEvent: (event) => events.push(event),
    ...(sessionLifetimeSeconds !== undefined && { sessionLifetimeSeconds }),
  })
  const app = express()
  const reached: string[] = []
  const errors: unknown[] = []
  app.all('/backchannel-logout', logout.receiver())
  LIBRARIES[library](app)
  const keep = async (req: Request, kept: Record<string, unknown>) => {
    const session = sessionOf(req)
    Object.assign(session ?? {}, kept)
    await session?.save?.()
  }
  app.post('/sign-in', express.json(), async (req, res) => {
    const oidc = await logout.signOn(req.body)
    if (oidc !== undefined) await keep(req, { user: req.body.sub, oidc })
    res.status(oidc === undefined ? 403 : 204).end()
  })
  /** As if the app had signed a cookie with whatever is posted. */
  app.post('/keep', express.json(), async (req, res) => {
    await keep(req, req.body)
    res.status(204).end()
  })
  const given = read ?? ((req: Request) => sessionOf(req)?.oidc)
  app.use(logout.guard((req: Request) => given(req) as StatelessSignOn | undefined, guard))
  const me = async (req: Request, res: Response) => {
    reached.push(req.path)
    const user = sessionOf(req)?.user
    if (req.path === '/visit') await keep(req, { visits: 1 })
    res.status(user === undefined ? 401 : 200).json({ user })
  }
  app.get('/me', me)
  app.get('/visit', me)
  app.use(((error, _req, res, _next) => {
    errors.push(error)
    res.status(500).end()
  }) satisfies ErrorRequestHandler)

  const http = supertest(app)
  const cookieOf = (response: supertest.Response) => cookiesOf(response).join('; ')
  return {
    logout,
    mint,
    app,
    asked,
    events,
    reached,
    errors,
    advance: (seconds: number) => {
      now += seconds
    },
    async signIn(claims: Record<string, unknown> = {}): Promise<string> {
      const response = await http.post('/sign-in').send(mint.idTokenClaims(claims)).expect(204)
      return cookieOf(response)
    },
    async kept(session: Record<string, unknown>): Promise<string> {
      return cookieOf(await http.post('/keep').send(session).expect(204))
    },
    get: (path: string, cookie: string) => http.get(path).set('Cookie', cookie),
    deliver: async (payload: Record<string, unknown> = {}) =>
      http
        .post('/backchannel-logout')
        .type('form')
        .send({ logout_token: await mint.logoutToken({ payload }) })
        .expect(200),
  }
}

/** `name=value` of each cookie that a response sets. */
export function cookiesOf(response: supertest.Response): string[] {
  const header: unknown = response.headers['set-cookie']
  return (Array.isArray(header) ? header : []).map((cookie) => String(cookie).split(';', 1)[0] ?? '')
}

/** The session's cookie, and nothing else, is told to go. */
export function expectCleared(response: supertest.Response): void {
  expect(cookiesOf(response).filter((cookie) => cookie.startsWith('session='))).toEqual(['session='])
}

export const LIBRARY_NAMES = ['cookie-session', 'iron-session'] as const

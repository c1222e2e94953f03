// docs/moving-in.md: what its middleware makes of sessions that are older than the installation.
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import express from 'express'
import session from 'express-session'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions } from '../../src/index.js'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'
import { removeFolder } from '../servers/folders.js'

const page = readFileSync(path.join(import.meta.dirname, '../../docs/moving-in.md'), 'utf8')
const folder = path.join(import.meta.dirname, '.programs', `moving-in-${process.pid}`)
const sockets: Server[] = []
let mint: TokenMint
// biome-ignore lint/suspicious/noExplicitAny: the page's function, for a package of another path.
let adoptSessions: (logout: any) => express.RequestHandler

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  const [, code = ''] = /^```ts adopt\.ts\n([\s\S]*?)^```$/m.exec(page) ?? []
  writeFileSync(path.join(folder, 'adopt.ts'), code)
  const module: { adoptSessions: typeof adoptSessions } = await import(
    pathToFileURL(path.join(folder, 'adopt.ts')).href
  )
  adoptSessions = module.adoptSessions
  mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp' })
})

afterAll(() => {
  for (const server of sockets) server.close()
  removeFolder(folder)
})

async function listen(app: express.Express): Promise<string> {
  const server = app.listen(0, '127.0.0.1')
  sockets.push(server)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}`
}

const middleware = (store: session.Store) =>
  session({ store, secret: 'a secret', resave: false, saveUninitialized: false })

/** The application as it was yesterday: one login, and a cookie. */
async function cookieFromBefore(store: session.Store, row: object): Promise<string> {
  const app = express()
  app.use(middleware(store))
  app.get('/login', (req, res) => {
    Object.assign(req.session, row)
    res.end()
  })
  const answer = await fetch(`${await listen(app)}/login`)
  return answer.headers.getSetCookie()[0]?.split(';')[0] ?? ''
}

async function today({ isAdopted = true } = {}) {
  const store = new session.MemoryStore()
  const claims = mint.idTokenClaims({ sub: 'ada', sid: 'laptop' })
  const ada = await cookieFromBefore(store, { user: 'ada', claims })
  const grace = await cookieFromBefore(store, { user: 'grace' })
  const logout = createBackchannelLogout<express.Request>({
    provider: { issuer: 'https://op.example.com', clientId: 'rp', jwks: mint.jwks },
    sessions: expressSessions(store),
    onEvent: () => {},
  })
  const app = express()
  app.all('/backchannel-logout', logout.receiver())
  app.use(middleware(store))
  if (isAdopted) app.use(adoptSessions(logout))
  app.get('/me', (req, res) => {
    res.status(req.session.user === undefined ? 401 : 200).end()
  })
  app.use(((error, _req, res, _next) => res.status(error.status ?? 500).end()) as express.ErrorRequestHandler)
  const origin = await listen(app)
  return {
    ada,
    grace,
    me: async (cookie: string) => (await fetch(`${origin}/me`, { headers: { cookie } })).status,
    logOut: async () => {
      const body = new URLSearchParams({
        logout_token: await mint.logoutToken({ payload: { sub: 'ada', sid: 'laptop' } }),
      })
      return (await fetch(`${origin}/backchannel-logout`, { method: 'POST', body })).status
    },
  }
}

describe('sessions from before the installation', () => {
  it('bound at their next request: a logout ends them from then on', async () => {
    const { ada, me, logOut } = await today()
    expect(await me(ada)).toBe(200)
    expect(await me(ada)).toBe(200)
    expect(await logOut()).toBe(200)
    expect(await me(ada)).toBe(401)
  })

  it('logged out before their next request: not let in', async () => {
    const { ada, me, logOut } = await today()
    expect(await logOut()).toBe(200)
    expect(await me(ada)).toBe(401)
    expect(await me(ada)).toBe(401)
  })

  it('without claims: refused once, and signed out', async () => {
    const { grace, me } = await today()
    expect(await me(grace)).toBe(401)
    expect(await me(grace)).toBe(401)
  })

  it('without the middleware a logout does not find them, as the page says', async () => {
    const { ada, me, logOut } = await today({ isAdopted: false })
    expect(await logOut()).toBe(200)
    expect(await me(ada)).toBe(200)
  })
})

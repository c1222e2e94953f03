// A site with sessions: users sign in, then read a page that reads their session.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { createBackchannelLogout, expressSessions, memoryStore } from '../src/index.js'
import type { SessionRequest } from '../src/sessions/express-session.js'
import { redisStore } from '../src/stores/redis/index.js'
import { redisConnection } from './connections.js'
import { CLIENT_ID, sidOf, subOf } from './op.js'
import { absentProvider } from './receivers.js'
import { answer } from './remote.js'

const issuer = 'https://op.example.com'
// express-session warns of its memory store, which is what is measured.
console.warn = () => {}

let before = process.cpuUsage()

interface Site {
  readonly store: 'memory' | 'redis'
  readonly protect: boolean
  readonly redisUrl: string
  readonly users: number
}

const commands = {
  /** Starts the site and signs users in; gives their cookies. */
  async start(site: Site): Promise<{ port: number; cookies: readonly string[] }> {
    const server = createServer(await appOf(site))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const cookies: string[] = []
    for (let n = 0; n < site.users; n++) {
      const response = await fetch(`http://127.0.0.1:${port}/login/${n}`)
      cookies.push(response.headers.get('set-cookie')?.split(';', 1)[0] ?? '')
    }
    return { port, cookies }
  },
  measure() {
    before = process.cpuUsage()
  },
  measured() {
    const { user, system } = process.cpuUsage(before)
    return user + system
  },
}

export type SiteProcess = typeof commands

async function appOf({ store, protect, redisUrl }: Site) {
  // Protected and unprotected site share the Redis, but no key of it.
  const prefix = `${protect}:`
  const client = store === 'redis' ? await redisConnection(redisUrl) : undefined
  const sessionStore = client === undefined ? new session.MemoryStore() : new RedisStore({ client, prefix })
  const logoutStore = client === undefined ? memoryStore() : redisStore(client)
  const logout = protect
    ? createBackchannelLogout<SessionRequest>({
        provider: absentProvider(issuer),
        store: logoutStore,
        sessions: expressSessions(sessionStore),
      })
    : undefined
  const app = express()
  app.use(
    session({
      store: sessionStore,
      secret: 'a secret for the bench',
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: 3_600_000 },
    }),
  )
  app.get('/login/:n', async (req, res) => {
    const n = Number(req.params.n)
    Object.assign(req.session, { user: subOf(n) })
    const iat = Math.floor(Date.now() / 1000)
    await logout?.bind(req, { iss: issuer, aud: CLIENT_ID, sub: subOf(n), sid: sidOf(n), iat, exp: iat + 300 })
    res.end()
  })
  app.get('/', (req, res) => {
    const user: unknown = Reflect.get(req.session, 'user')
    if (typeof user !== 'string') return void res.status(401).end()
    res.end(`Hello ${user}`)
  })
  return app
}

answer(commands)

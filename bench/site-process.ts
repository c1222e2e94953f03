// A site with sessions: users sign in, then read a page that reads their session.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import { boundedReads, createBackchannelLogout, expressSessions, type LogoutStore, memoryStore } from '../src/index.js'
import type { SessionRequest } from '../src/sessions/express-session.js'
import { applySchema, type LogStore, postgresStore } from '../src/stores/postgres/index.js'
import { redisStore } from '../src/stores/redis/index.js'
import { postgresPool, redisConnection } from './connections.js'
import { CLIENT_ID, sidOf, subOf } from './op.js'
import { absentProvider } from './receivers.js'
import { answer } from './remote.js'

const issuer = 'https://op.example.com'
// express-session warns of its memory store, which is what is measured.
console.warn = () => {}

let before = process.cpuUsage()

interface Site {
  readonly store: 'memory' | 'redis' | 'postgres'
  readonly protect: 'no' | 'strict' | 'bounded'
  readonly redisUrl: string
  readonly postgresUrl: string
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

async function appOf(site: Site) {
  const { logoutStore, sessionStore } = await storesOf(site)
  const logout =
    site.protect === 'no'
      ? undefined
      : createBackchannelLogout<SessionRequest>({
          provider: absentProvider(issuer),
          store: site.protect === 'bounded' ? await bounded(logoutStore) : logoutStore,
          sessions: expressSessions(sessionStore),
        })
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

interface Stores {
  readonly logoutStore: LogStore | LogoutStore
  readonly sessionStore: session.Store
}

/** Sites share the server, but no key and no table of it. */
async function storesOf({ store, protect, redisUrl, postgresUrl }: Site): Promise<Stores> {
  if (store === 'memory') return { logoutStore: memoryStore(), sessionStore: new session.MemoryStore() }
  if (store === 'redis') {
    const client = await redisConnection(redisUrl)
    const logoutStore = redisStore(client, { prefix: `${protect}-bcl:` })
    return { logoutStore, sessionStore: new RedisStore({ client, prefix: `${protect}:` }) }
  }
  const pool = postgresPool({ connectionString: postgresUrl, max: 16 })
  await applySchema(pool)
  const PgSession = connectPgSimple(session)
  const tableName = `session_${protect}`
  // Made by the package itself, each table would have an index of the same name.
  await pool.query(`CREATE TABLE ${tableName} (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp NOT NULL)`)
  const sessionStore = new PgSession({ pool, tableName, pruneSessionInterval: false })
  return { logoutStore: postgresStore(pool), sessionStore }
}

async function bounded(store: LogStore | LogoutStore): Promise<LogoutStore> {
  if (!('pull' in store)) throw new Error('memory is not followed')
  const reads = boundedReads(store, { seconds: 5 })
  await reads.refresh()
  return reads
}

answer(commands)

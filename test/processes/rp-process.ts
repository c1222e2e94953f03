// One node of a Relying Party as a process: Express, express-session and the logout store of its settings, behind two doors, a
// strict and a bounded one. On command it kills itself at a named step of its next logout.
import { once } from 'node:events'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import express, { type Express } from 'express'
import session from 'express-session'
import { Redis } from 'ioredis'
import pg from 'pg'
import { createClient } from 'redis'
import { createBackchannelLogout, expressSessions, type LogoutStore } from '../../src/index.js'
import { boundedReads } from '../../src/stores/bounded-reads.js'
import { type LogStore, postgresStore } from '../../src/stores/postgres/index.js'
import { type RedisClient, redisStore } from '../../src/stores/redis/index.js'
import type { Login, RpReady, RpSettings, Step } from './rp.js'
import { onTold, sayReady, settings } from './settings.js'

declare module 'express-session' {
  interface SessionData {
    user?: string
    savedAt?: number
  }
}

interface Backend {
  /** `destroysSessions`: the store ends the rows by itself. */
  store(destroysSessions: boolean): LogStore
  sessions(): session.Store
  listen(ring: () => void): Promise<void>
}

const given = settings<RpSettings>()
let dieAt: Step | undefined
onTold((message: { readonly dieAt: Step }) => {
  dieAt = message.dieAt
})

async function dieIfAt(step: Step): Promise<void> {
  if (dieAt !== step) return
  process.kill(process.pid, 'SIGKILL')
  await new Promise(() => {})
}

/** Once: what is asked of the store after that is answered. */
async function hearNothingIfAt(step: Step): Promise<void> {
  if (dieAt !== step) return
  dieAt = undefined
  await new Promise(() => {})
}

function mortal<Store extends LogoutStore>(store: Store): Store {
  const begin = store.begin.bind(store)
  const complete = store.complete.bind(store)
  store.begin = async (logout) => {
    await dieIfAt('before begin')
    const begun = begin(logout)
    if (dieAt === 'begin sent') {
      begun.catch(() => {})
      for (let i = 0; i < 3; i++) await new Promise(setImmediate)
      await dieIfAt('begin sent')
    }
    await begun
    await dieIfAt('after begin')
    await hearNothingIfAt('begin, its reply lost')
    return begun
  }
  store.complete = async (logout) => {
    await dieIfAt('before complete')
    await complete(logout)
    await dieIfAt('before the answer')
    await hearNothingIfAt('complete, its reply lost')
  }
  return store
}

function mortalSessions(store: session.Store): session.Store {
  const destroy = store.destroy.bind(store)
  let destroyed = 0
  store.destroy = (id, callback) => {
    if (dieAt !== 'after the first destroy') return destroy(id, callback)
    if (destroyed++ > 0) return
    destroy(id, () => void dieIfAt('after the first destroy'))
  }
  return store
}

/** As docs/redis.md has it: while Redis is away commands fail at once, and the client comes back by itself. */
async function nodeRedis(url: string) {
  const reconnectStrategy = (tries: number) => Math.min(50 * 2 ** tries, 500)
  const client = createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy, connectTimeout: 1000 } })
  client.on('error', () => {})
  await client.connect()
  return client
}

async function ioRedis(url: string) {
  const client = new Redis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    connectTimeout: 1000,
    retryStrategy: (tries) => Math.min(50 * 2 ** tries, 500),
  })
  client.on('error', () => {})
  await once(client, 'ready')
  return client
}

async function redisBackend(): Promise<Backend> {
  const sessions = await nodeRedis(given.sessionsUrl)
  const client: RedisClient = await (given.driver === 'ioredis' ? ioRedis : nodeRedis)(given.storeUrl)
  return {
    store: (destroysSessions) => redisStore(client, destroysSessions ? { sessionPrefix: 'sess:' } : {}),
    sessions: () => new RedisStore({ client: sessions }),
    async listen(ring) {
      if (given.doorbellUrl === undefined) return
      const subscriber = await nodeRedis(given.doorbellUrl)
      await subscriber.subscribe('bcl:log', ring)
    },
  }
}

/** As docs/postgres.md has it. */
function postgresPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 8, connectionTimeoutMillis: 1000, query_timeout: 1500 })
  pool.on('error', () => {})
  return pool
}

async function postgresBackend(): Promise<Backend> {
  const pool = postgresPool(given.storeUrl)
  const sessions = postgresPool(given.sessionsUrl)
  const PgStore = connectPgSimple(session)
  return {
    store: (destroysSessions) => postgresStore(pool, destroysSessions ? { sessionTable: 'session' } : {}),
    sessions: () => new PgStore({ pool: sessions, pruneSessionInterval: false, errorLog: () => {} }),
    async listen(ring) {
      if (given.doorbellUrl === undefined) return
      const listener = new pg.Client({ connectionString: given.doorbellUrl })
      listener.on('error', () => {})
      listener.on('notification', ring)
      await listener.connect()
      await listener.query('LISTEN bcl_log')
    },
  }
}

function door(store: LogoutStore, sessionStore: session.Store): Express {
  const logout = createBackchannelLogout({
    provider: given.provider,
    store,
    sessions: expressSessions(sessionStore),
    stepTimeoutSeconds: 1.5,
  })
  const app = express()
  const slowRequests = new Set<() => void>()
  app.post('/backchannel-logout', logout.receiver())
  app.get(
    '/record',
    logout.guard((req) => JSON.parse(String(req.headers['x-sign-on'])), { whenEnded: 'unauthorized', clear() {} }),
    (req, res) => void res.send(JSON.parse(String(req.headers['x-sign-on'])).sub),
  )
  app.post('/finish-slow', (_req, res) => {
    for (const finish of slowRequests) finish()
    res.end()
  })
  app.use(session({ store: sessionStore, secret: 'test', resave: false, saveUninitialized: false, name: 'rp' }))
  app.post('/login', express.json(), (req, res, next) => {
    req.session.regenerate(async (failure) => {
      try {
        if (failure) throw failure
        const { claims, accessToken }: Login = req.body
        req.session.user = String(claims.sub)
        const { ended } = await logout.bind(req, claims, { accessToken })
        res.json({ ended, record: await logout.signOn(claims) })
      } catch (error) {
        next(error)
      }
    })
  })
  app.get('/me', (req, res) => {
    if (req.session.user === undefined) res.status(401).end()
    else res.send(req.session.user)
  })
  // Reads the session, says so, and writes it back when the test lets it.
  app.get('/slow', async (req, res) => {
    res.write(req.session.user ?? 'nobody')
    await new Promise<void>((resolve) => slowRequests.add(resolve))
    req.session.savedAt = Date.now()
    res.end()
  })
  return app
}

async function listening(app: Express): Promise<number> {
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

const backend = await (given.storeKind === 'redis' ? redisBackend() : postgresBackend())
const strict = door(mortal(backend.store(false)), mortalSessions(backend.sessions()))
const replica = boundedReads(mortal(backend.store(true)), { seconds: given.boundSeconds })
const bounded = door(replica, backend.sessions())
await backend.listen(replica.ring)
const ready: RpReady = { ports: { strict: await listening(strict), bounded: await listening(bounded) } }
sayReady(ready)

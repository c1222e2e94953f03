// One node of a Relying Party as a process: Express, express-session and the logout store of its settings, behind two
// doors, a strict and a bounded one. On command it kills itself at a named step of the next logout or login.
import { AsyncLocalStorage } from 'node:async_hooks'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import express, { type Express, type RequestHandler } from 'express'
import session from 'express-session'
import { Redis } from 'ioredis'
import pg from 'pg'
import { createBackchannelLogout, expressSessions, type LogoutStore } from '../../src/index.js'
import { boundedReads } from '../../src/stores/bounded-reads.js'
import { type LogStore, postgresStore } from '../../src/stores/postgres/index.js'
import { type RedisClient, redisStore } from '../../src/stores/redis/index.js'
import { nodeRedis, postgresPool } from './clients.js'
import type { Login, ManyLogins, RpReady, RpSettings, Step } from './rp.js'
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

/** Of one logout or login, also of what is tried again of it later. Another one at work meanwhile must not meet it. */
interface Fate {
  dieAt?: Step | undefined
}
const fates = new AsyncLocalStorage<Fate>()
/** Of the logout or login that is sent next. */
let nextFate: Fate = {}
onTold((fate: Fate) => {
  nextFate = fate
})

const meetFate: RequestHandler = (_req, _res, next) => {
  const fate = nextFate
  nextFate = {}
  fates.run(fate, next)
}

const isAt = (step: Step) => fates.getStore()?.dieAt === step

async function dieIfAt(step: Step): Promise<void> {
  if (!isAt(step)) return
  process.kill(process.pid, 'SIGKILL')
  await new Promise(() => {})
}

/** Once: what is asked of the store after that is answered. */
async function hearNothingIfAt(step: Step): Promise<void> {
  if (!isAt(step)) return
  delete fates.getStore()?.dieAt
  await new Promise(() => {})
}

/** What was asked is on its way; the answer is not read. */
async function dieIfSent(step: Step, asked: Promise<unknown>): Promise<void> {
  if (!isAt(step)) return
  asked.catch(() => {})
  for (let i = 0; i < 3; i++) await new Promise(setImmediate)
  await dieIfAt(step)
}

function mortal<Store extends LogoutStore>(store: Store): Store {
  const bind = store.bind.bind(store)
  const begin = store.begin.bind(store)
  const complete = store.complete.bind(store)
  store.bind = async (binding) => {
    const bound = bind(binding)
    await dieIfSent('bind sent', bound)
    return bound
  }
  store.begin = async (logout) => {
    await dieIfAt('before begin')
    if (logout.cursor !== undefined) await dieIfAt('before the second page')
    const begun = begin(logout)
    await dieIfSent('begin sent', begun)
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
    if (!isAt('after the first destroy')) return destroy(id, callback)
    if (destroyed++ > 0) return
    destroy(id, () => void dieIfAt('after the first destroy'))
  }
  return store
}

/** As docs/redis.md has it. */
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

/** As passport does, with the user in it, before `bind` can be called; and the browser has its cookie. */
async function saved(req: express.Request, res: express.Response): Promise<void> {
  await new Promise<void>((resolve, reject) => req.session.save((error) => (error ? reject(error) : resolve())))
  await new Promise((sent) => res.write('the cookie', sent))
}

function door(store: LogoutStore, sessionStore: session.Store): Express {
  const logout = createBackchannelLogout({
    provider: given.provider,
    store,
    sessions: expressSessions(sessionStore, { mustBeBound: ({ user }) => user !== undefined }),
    stepTimeoutSeconds: 1.5,
  })
  const app = express()
  const slowRequests = new Set<() => void>()
  app.post('/backchannel-logout', meetFate, logout.receiver())
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
  app.post('/login', express.json(), meetFate, (req, res, next) => {
    req.session.regenerate(async (failure) => {
      try {
        if (failure) throw failure
        const { claims, accessToken }: Login = req.body
        req.session.user = String(claims.sub)
        if (fates.getStore()?.dieAt !== undefined) await saved(req, res)
        await dieIfAt('row saved, before bind')
        const { ended } = await logout.bind(req, claims, { accessToken })
        res.json({ ended, record: await logout.signOn(claims) })
      } catch (error) {
        next(error)
      }
    })
  })
  app.post('/many-logins', express.json(), async (req, res) => {
    const { claims, count }: ManyLogins = req.body
    const ids = Array.from({ length: count }, () => randomUUID())
    const expires = new Date(Date.now() + 3_600_000)
    const row = { cookie: { originalMaxAge: 3_600_000, expires }, user: String(claims.sub) } as session.SessionData
    for (let first = 0; first < count; first += 50) {
      await Promise.all(
        ids.slice(first, first + 50).map(async (sessionId) => {
          await new Promise((resolve) => sessionStore.set(sessionId, row, resolve))
          await logout.bind({ sessionId, expiresAt: expires.getTime() / 1000 }, claims)
        }),
      )
    }
    res.json(ids)
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

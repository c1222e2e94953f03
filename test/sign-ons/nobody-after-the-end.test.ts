// One second after the end of a session nobody is in it: on every store, its rows in memory or where connect-redis and
// connect-pg-simple keep them, read strictly or within a bound, whether its cookie rolls, and whatever refreshed it,
// wrote it or changed its id.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import express from 'express'
import session from 'express-session'
import pg from 'pg'
import { createClient, createCluster } from 'redis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  boundedReads,
  createBackchannelLogout,
  expressSessions,
  type LogoutStore,
  memoryStore,
} from '../../src/index.js'
import type { LogStore } from '../../src/stores/log-store.js'
import { applySchema, postgresStore } from '../../src/stores/postgres/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { postgresServer, startPostgres } from '../servers/postgres.js'
import { describeWith } from '../servers/processes.js'
import { redisServer, startRedis, startRedisCluster } from '../servers/redis.js'
import { Gate } from './small-application.js'

declare module 'express-session' {
  interface SessionData {
    user?: string
    seen?: number
  }
}

const client = { issuer: 'https://op.example', clientId: 'rp' }
const LIFE_SECONDS = 1000
/** Rows of servers end by the servers' own clocks: so much of real time all browsers may take. */
const MOMENT_SECONDS = 60

/** An application whose clock is moved by hand; its stores have clocks of their own. */
async function application(store: LogoutStore, rows: session.Store, options: Partial<session.SessionOptions>) {
  let ahead = 0
  const clock = () => Date.now() / 1000 + ahead
  const end = clock() + LIFE_SECONDS
  const logout = createBackchannelLogout({
    provider: { ...client, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] } },
    store,
    sessions: expressSessions(rows),
    clock,
    onEvent() {},
  })
  const claims = (more: object = {}) => ({
    ...more,
    iss: client.issuer,
    aud: client.clientId,
    sub: 'alice',
    sid: 'S',
    iat: clock(),
  })
  const gate = new Gate()
  const app = express()
  app.use(
    session({
      store: rows,
      secret: 'keep it',
      resave: false,
      saveUninitialized: false,
      cookie: { maxAge: 9e6 },
      ...options,
    }),
  )
  app.get('/login', async (req, res) => {
    await logout.bind(req, claims({ session_expiry: end }))
    req.session.user = 'alice'
    res.send()
  })
  app.get('/add-tokens', async (req, res) => res.send(await logout.addTokens(req, { accessToken: `${Math.random()}` })))
  app.get('/bind-again', async (req, res) => res.send(await logout.bind(req, claims({ session_expiry: end + 9000 }))))
  app.get('/regenerate', (req, res) => {
    const { user } = req.session
    req.session.regenerate(() => {
      if (user !== undefined) req.session.user = user
      res.send()
    })
  })
  app.get('/write', (req, res) => {
    req.session.seen = Math.random()
    res.send()
  })
  app.get('/save', (req, res) => void req.session.touch().save(() => res.send()))
  app.get('/reload', (req, res) => void req.session.reload(() => res.send()))
  app.get('/held', async (req, res) => {
    await gate.pass()
    req.session.seen = Math.random()
    res.send()
  })
  app.get('/me', (req, res) => res.send(req.session.user ?? 'nobody'))
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const browser = () => {
    let cookie = ''
    let expires: number | undefined
    return {
      expires: () => expires,
      async get(path: string) {
        const answer = await fetch(origin + path, { headers: { cookie } })
        const [set] = answer.headers.getSetCookie()
        if (set !== undefined) {
          cookie = set.split(';')[0] ?? ''
          expires = Date.parse(/Expires=([^;]+)/.exec(set)?.[1] ?? '') / 1000
        }
        return answer.text()
      },
    }
  }
  return {
    end,
    browser,
    gate,
    secondsBeforeTheEnd: (seconds: number) => (ahead += end - seconds - clock()),
    close() {
      logout.close()
      server.close()
      server.closeAllConnections()
    },
  }
}

interface Opened {
  readonly store: LogoutStore
  /** Where sessions are. */
  readonly rows: Readonly<Record<string, () => session.Store>>
  close(): Promise<void> | void
}

const inMemory = () => new session.MemoryStore()
const PgStore = connectPgSimple(session)

const STORES: readonly (readonly [
  name: string,
  rows: readonly string[],
  program: string | undefined,
  open: () => Promise<Opened>,
])[] = [
  [
    'memory',
    ['memory'],
    process.execPath,
    async () => ({ store: memoryStore(), rows: { memory: inMemory }, close() {} }),
  ],
  [
    'Redis',
    ['memory', 'connect-redis'],
    redisServer,
    async () => {
      const server = await startRedis()
      const redis = await createClient({ url: server.url }).connect()
      return {
        store: redisStore(redis),
        rows: { memory: inMemory, 'connect-redis': () => new RedisStore({ client: redis }) },
        close() {
          redis.destroy()
          return server.stop()
        },
      }
    },
  ],
  [
    'Redis Cluster',
    ['connect-redis'],
    redisServer,
    async () => {
      const cluster = await startRedisCluster()
      const redis = await createCluster({ rootNodes: cluster.nodes.map(({ url }) => ({ url })) }).connect()
      return {
        store: redisStore(redis),
        rows: { 'connect-redis': () => new RedisStore({ client: redis }) },
        close() {
          redis.destroy()
          return cluster.stop()
        },
      }
    },
  ],
  [
    'PostgreSQL',
    ['memory', 'connect-pg-simple'],
    postgresServer,
    async () => {
      const server = await startPostgres()
      const pool = new pg.Pool({ connectionString: server.url })
      await applySchema(pool)
      return {
        store: postgresStore(pool),
        rows: {
          memory: inMemory,
          'connect-pg-simple': () => new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false }),
        },
        async close() {
          await pool.end()
          await server.stop()
        },
      }
    },
  ],
]

/** What a request does to a session between its login and its end. */
const WAYS = [
  [],
  ['/add-tokens'],
  ['/bind-again'],
  ['/regenerate'],
  ['/write'],
  ['/save'],
  ['/reload'],
  ['/bind-again', '/regenerate', '/add-tokens', '/write', '/save'],
]
const SETTINGS: readonly (readonly [string, Partial<session.SessionOptions>])[] = [
  ['stays', {}],
  ['rolls', { rolling: true }],
  ['rolls, each session saved again', { rolling: true, resave: true }],
]

for (const [name, rowStores, program, open] of STORES) {
  describeWith(program, name)(`on ${name}`, () => {
    let opened: Opened
    beforeAll(async () => {
      opened = await open()
    })
    afterAll(() => opened?.close())

    const cells = rowStores.flatMap((rows) =>
      (name === 'memory' ? ['strict'] : ['strict', 'bounded']).flatMap((reads) =>
        SETTINGS.map(([cookie, options]) => [rows, reads, cookie, options] as const),
      ),
    )
    it.each(cells)('rows in %s, %s reads, a cookie that %s', async (rows, reads, _cookie, options) => {
      const bounded = reads === 'bounded' ? boundedReads(opened.store as LogStore) : undefined
      const rowStore = opened.rows[rows]?.()
      if (rowStore === undefined) throw new Error('no such store of rows')
      const app = await application(bounded ?? opened.store, rowStore, options)
      try {
        const browsers = WAYS.map(() => app.browser())
        const underWay = app.browser()
        for (const browser of [...browsers, underWay]) await browser.get('/login')
        app.secondsBeforeTheEnd(LIFE_SECONDS / 2)
        for (const [i, way] of WAYS.entries()) for (const path of way) await browsers[i]?.get(path)
        app.secondsBeforeTheEnd(MOMENT_SECONDS)
        for (const browser of browsers) expect(await browser.get('/me')).toBe('alice')
        for (const browser of browsers) expect(browser.expires()).toBeLessThanOrEqual(Math.ceil(app.end))
        const late = underWay.get('/held')
        await app.gate.reached
        app.secondsBeforeTheEnd(-1)
        app.gate.open()
        await late
        for (const browser of [...browsers, underWay]) expect(await browser.get('/me')).toBe('nobody')
      } finally {
        app.close()
        bounded?.close()
      }
    })
  })
}

// One second after the end of a session nobody is in it: on every store, read strictly or within a bound, whether its cookie rolls,
// and whatever refreshed it or changed its id.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
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

declare module 'express-session' {
  interface SessionData {
    user?: string
  }
}

const client = { issuer: 'https://op.example', clientId: 'rp' }
const LIFE_SECONDS = 1000

/** An application whose clock is moved by hand; its stores have clocks of their own. */
async function application(store: LogoutStore, { rolling }: { readonly rolling: boolean }) {
  let ahead = 0
  const clock = () => Date.now() / 1000 + ahead
  const end = clock() + LIFE_SECONDS
  const rows = new session.MemoryStore()
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
  const app = express()
  app.use(
    session({
      store: rows,
      secret: 'keep it',
      resave: false,
      saveUninitialized: false,
      rolling,
      cookie: { maxAge: 9e6 },
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
  close(): Promise<void> | void
}

const STORES: readonly (readonly [name: string, program: string | undefined, open: () => Promise<Opened>])[] = [
  ['memory', process.execPath, async () => ({ store: memoryStore(), close() {} })],
  [
    'Redis',
    redisServer,
    async () => {
      const server = await startRedis()
      const redis = await createClient({ url: server.url }).connect()
      return {
        store: redisStore(redis),
        close() {
          redis.destroy()
          return server.stop()
        },
      }
    },
  ],
  [
    'Redis Cluster',
    redisServer,
    async () => {
      const cluster = await startRedisCluster()
      const redis = await createCluster({ rootNodes: cluster.nodes.map(({ url }) => ({ url })) }).connect()
      return {
        store: redisStore(redis),
        close() {
          redis.destroy()
          return cluster.stop()
        },
      }
    },
  ],
  [
    'PostgreSQL',
    postgresServer,
    async () => {
      const server = await startPostgres()
      const pool = new pg.Pool({ connectionString: server.url })
      await applySchema(pool)
      return {
        store: postgresStore(pool),
        async close() {
          await pool.end()
          await server.stop()
        },
      }
    },
  ],
]

for (const [name, program, open] of STORES) {
  describeWith(program, name)(`on ${name}`, () => {
    let opened: Opened
    beforeAll(async () => {
      opened = await open()
    })
    afterAll(() => opened?.close())

    for (const reads of name === 'memory' ? ['strict'] : ['strict', 'bounded'])
      for (const rolling of [false, true])
        it(`${reads} reads, a cookie that ${rolling ? 'rolls' : 'stays'}`, async () => {
          const bounded = reads === 'bounded' ? boundedReads(opened.store as LogStore) : undefined
          const app = await application(bounded ?? opened.store, { rolling })
          try {
            const ways = [
              [],
              ['/add-tokens'],
              ['/bind-again'],
              ['/regenerate'],
              ['/bind-again', '/regenerate', '/add-tokens'],
            ]
            const browsers = ways.map(() => app.browser())
            for (const browser of browsers) await browser.get('/login')
            app.secondsBeforeTheEnd(LIFE_SECONDS / 2)
            for (const [i, way] of ways.entries()) for (const path of way) await browsers[i]?.get(path)
            app.secondsBeforeTheEnd(2)
            for (const browser of browsers) expect(await browser.get('/me')).toBe('alice')
            for (const browser of browsers) expect(browser.expires()).toBeLessThanOrEqual(Math.ceil(app.end))
            app.secondsBeforeTheEnd(-1)
            for (const browser of browsers) expect(await browser.get('/me')).toBe('nobody')
          } finally {
            app.close()
            bounded?.close()
          }
        })
  })
}

// No express-session store brings a dead session back: the matrix on the stores of real servers.
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import pg from 'pg'
import { createClient } from 'redis'
import { afterAll, beforeAll } from 'vitest'
import { startPostgres } from '../servers/postgres.js'
import { startRedis } from '../servers/redis.js'
import { describeSessionStore } from './session-store-matrix.js'

const closers: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const close of closers.reverse()) await close()
})

let redis: ReturnType<typeof createClient>
let pool: pg.Pool
beforeAll(async () => {
  const redisServer = await startRedis()
  closers.push(() => redisServer.stop())
  redis = createClient({ url: redisServer.url })
  await redis.connect()
  closers.push(() => redis.close())

  const postgresServer = await startPostgres()
  closers.push(() => postgresServer.stop())
  pool = new pg.Pool({ connectionString: postgresServer.url })
  closers.push(() => pool.end())
})

describeSessionStore('connect-redis', () => new RedisStore({ client: redis }))

const PgStore = connectPgSimple(session)
describeSessionStore(
  'connect-pg-simple',
  () => new PgStore({ pool, createTableIfMissing: true, pruneSessionInterval: false }),
)

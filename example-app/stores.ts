// Where an RP keeps its sessions and its logouts: in its own memory, or in a Redis or PostgreSQL that all its nodes
// share.
import { promisify } from 'node:util'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import session, { type SessionData, type Store } from 'express-session'
import { type LogoutStore, memoryStore } from 'oidc-backchannel-logout'
import { applySchema, checkPostgres, postgresStore } from 'oidc-backchannel-logout/postgres'
import { checkRedis, redisStore } from 'oidc-backchannel-logout/redis'
import pg from 'pg'
import { createClient } from 'redis'

export interface Stores {
  readonly sessionStore: Store
  readonly logoutStore: LogoutStore
  /** Every session there is, for the demo's overview. */
  sessions(): Promise<readonly SessionData[]>
  close(): Promise<void>
}

/** The part of the environment that says where. */
export interface StoreSettings {
  readonly REDIS_URL?: string | undefined
  readonly DATABASE_URL?: string | undefined
}

/** Whether several nodes may use what `openStores` gives to each of them. */
export function areShared({ REDIS_URL, DATABASE_URL }: StoreSettings): boolean {
  return Boolean(REDIS_URL || DATABASE_URL)
}

/**
 * `report` hears, in a sentence with its remedy, what about the server would lose a logout. Rejects if it cannot be
 * reached.
 */
export async function openStores(settings: StoreSettings, report: (problem: string) => void): Promise<Stores> {
  const { REDIS_URL, DATABASE_URL } = settings
  if (REDIS_URL && DATABASE_URL) throw new TypeError('REDIS_URL and DATABASE_URL are both set; keep one of them')
  if (REDIS_URL) return openRedis(REDIS_URL, report).catch(unusable('REDIS_URL'))
  if (DATABASE_URL) return openPostgres(DATABASE_URL, report).catch(unusable('DATABASE_URL'))
  return openMemory()
}

function openMemory(): Stores {
  const sessionStore = new session.MemoryStore()
  return {
    sessionStore,
    logoutStore: memoryStore(),
    sessions: async () => Object.values((await promisify(sessionStore.all.bind(sessionStore))()) ?? {}),
    close: async () => {},
  }
}

async function openRedis(url: string, report: (problem: string) => void): Promise<Stores> {
  let connected = false
  let reported: string | undefined
  const client = createClient({
    url,
    // A question that waits for Redis to come back would hold the OP's request; one that fails is answered, and tried
    // again.
    disableOfflineQueue: true,
    socket: { reconnectStrategy: (tries, cause) => (connected ? Math.min(tries * 100, 2000) : cause) },
  })
  client.on('error', (error) => {
    // At each attempt to connect again, but said once.
    if (connected && reported !== reasonOf(error)) report(`Redis: ${reasonOf(error)}`)
    reported = reasonOf(error)
  })
  client.on('ready', () => {
    reported = undefined
  })
  await client.connect()
  connected = true
  for (const problem of await checkRedis(client)) report(problem)
  const sessionStore = new RedisStore({ client })
  return {
    sessionStore,
    logoutStore: redisStore(client),
    sessions: () => sessionStore.all(),
    close: async () => client.destroy(),
  }
}

async function openPostgres(connectionString: string, report: (problem: string) => void): Promise<Stores> {
  const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 1000 })
  // Of a connection that breaks while nobody uses it; without a listener it would end the process.
  pool.on('error', (error) => report(`PostgreSQL: ${reasonOf(error)}`))
  await applySchema(pool)
  for (const problem of await checkPostgres(pool)) report(problem)
  const sessionStore = new (connectPgSimple(session))({ pool, createTableIfMissing: true })
  await createSessionTable(pool, sessionStore)
  return {
    sessionStore,
    logoutStore: postgresStore(pool),
    sessions: async () =>
      (await pool.query('SELECT sess FROM session WHERE expire > now()')).rows.map(({ sess }) => sess),
    close: async () => {
      await sessionStore.close()
      await pool.end()
    },
  }
}

const CREATING_THE_SESSION_TABLE = 4_270_113

/**
 * connect-pg-simple looks and then creates: of two nodes that start at once, one would fail, and stay so. So one at a
 * time.
 */
async function createSessionTable(pool: pg.Pool, sessionStore: Store): Promise<void> {
  const turn = await pool.connect()
  try {
    await turn.query('SELECT pg_advisory_lock($1)', [CREATING_THE_SESSION_TABLE])
    await promisify(sessionStore.get.bind(sessionStore))('its first query creates the table')
    await turn.query('SELECT pg_advisory_unlock($1)', [CREATING_THE_SESSION_TABLE])
  } finally {
    turn.release()
  }
}

function unusable(setting: string): (cause: unknown) => never {
  return (cause) => {
    throw new Error(`${setting} cannot be used: ${reasonOf(cause)}`, { cause })
  }
}

/** A host with several addresses fails with one error that says nothing, and holds those that do. */
function reasonOf(error: unknown): string {
  const { message, code, name } = Object(error)
  return message || code || name || 'unknown reason'
}

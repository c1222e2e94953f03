// One process that uses a logout store in Redis and one in PostgreSQL, each at several sizes: fills them, and ends
// sessions in them.
import { hash, randomInt, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { jtiKey, sidKey, subKey } from '../src/marks/target.js'
import type { LogoutStore, NewBinding } from '../src/stores/logout-store.js'
import { applySchema, postgresStore } from '../src/stores/postgres/index.js'
import { redisStore } from '../src/stores/redis/index.js'
import { postgresPool, redisConnection } from './connections.js'
import { FORMER_BEGIN } from './former.js'
import { quantile } from './http-load.js'
import { CLIENT_ID, sidOf, subOf } from './op.js'
import { answer } from './remote.js'

const client = { issuer: 'https://op.example.com', clientId: CLIENT_ID }
const LIFETIME_SECONDS = 86_400
const IN_FLIGHT = 1000
/** Connections that fill PostgreSQL or bind anew; the measured logouts have one of their own. */
const POSTGRES_CONNECTIONS = 4

interface Filled {
  readonly store: LogoutStore
  /** The same through other connections, which are not accounted for. */
  readonly others: LogoutStore
  /** Sign-ons that are bound, by number. */
  readonly bound: number[]
  next: number
  readonly fill: (from: number, to: number) => Promise<void>
  readonly bytes: () => Promise<number>
  /** Microseconds of the server since the counter was last read, for all that this store's connection asked of it. */
  readonly insideMicros: () => Promise<number>
}

const stores = new Map<string, Filled>()

const commands = {
  async open({ name, kind, url }: { name: string; kind: 'redis' | 'postgres'; url: string }): Promise<void> {
    stores.set(name, kind === 'redis' ? await openRedis(url) : await openPostgres(url))
  },
  /** Resolves to the bytes that each binding takes; not a number where the server does not say. */
  async fill({ name, sessions }: { name: string; sessions: number }): Promise<number> {
    const filled = opened(name)
    await bindNumbers(filled, 1)
    const before = await filled.bytes()
    const from = filled.next
    await filled.fill(from, from + sessions)
    for (let n = from; n < from + sessions; n++) filled.bound.push(n)
    filled.next = from + sessions
    await check(filled, from)
    return ((await filled.bytes()) - before) / sessions
  },
  /**
   * Ends so many sessions picked at random, one at a time, and binds others in their place; then reads as many, as a
   * page view with strict reads does.
   */
  async round({ name, count }: { name: string; count: number }) {
    const filled = opened(name)
    const ended = Array.from({ length: count }, () => taken(filled.bound))
    const times: number[] = []
    await filled.insideMicros()
    for (const n of ended) {
      const started = performance.now()
      const begun = await filled.store.begin(logoutOf(n))
      times.push(performance.now() - started)
      if (begun.replayed || begun.sessionIds.length !== 1) throw new Error('the session was not ended')
    }
    const insideMicros = (await filled.insideMicros()) / count
    await bindNumbers(filled, count)
    return { p50Ms: quantile(times, 0.5), insideMicros, read: await readSome(filled, count) }
  },
}

export type SharedStoresProcess = typeof commands

function opened(name: string): Filled {
  const filled = stores.get(name)
  if (filled === undefined) throw new Error(`no store ${name}`)
  return filled
}

async function openRedis(url: string): Promise<Filled> {
  const connection = await redisConnection(url)
  const store = redisStore(connection, { sessionPrefix: 'sess:' })
  return {
    store,
    others: store,
    bound: [],
    next: 0,
    async fill(from, to) {
      for (let first = from; first < to; first += IN_FLIGHT) {
        const count = Math.min(IN_FLIGHT, to - first)
        await Promise.all(Array.from({ length: count }, (_, i) => store.bind(loginOf(first + i))))
      }
    },
    bytes: async () => Number(/used_memory:(\d+)/.exec(await connection.info('memory'))?.[1]),
    async insideMicros() {
      const statistics = await connection.info('commandstats')
      await connection.configResetStat()
      return Number(/cmdstat_evalsha:calls=\d+,usec=(\d+)/.exec(statistics)?.[1] ?? 0)
    },
  }
}

async function openPostgres(url: string): Promise<Filled> {
  const measured = postgresPool({ connectionString: url, max: 1, idleTimeoutMillis: 0 })
  const others = postgresPool({ connectionString: url, max: POSTGRES_CONNECTIONS })
  await applySchema(others)
  await others.query('CREATE TABLE session (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp NOT NULL)')
  const { rows } = await measured.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  let last = 0
  return {
    store: postgresStore(measured, { sessionTable: 'session' }),
    others: postgresStore(others),
    bound: [],
    next: 0,
    async fill(from, to) {
      await others.query(INSERT_BINDINGS, [
        ...['sid', 'sub'].map((kind) => JSON.stringify([kind, client.issuer, client.clientId])),
        from,
        to - 1,
        loginOf(0).issuedAt,
        loginOf(0).expiresAt,
      ])
      await others.query('VACUUM ANALYZE bcl_session')
      await others.query('CHECKPOINT')
    },
    bytes: async () => Number.NaN,
    async insideMicros() {
      const nanoseconds = Number(readFileSync(`/proc/${rows[0]?.pid}/schedstat`, 'utf8').split(' ')[0])
      const since = (nanoseconds - last) / 1000
      last = nanoseconds
      return since
    },
  }
}

/** The very rows that `bind` writes, at once: a million of its calls would take half an hour. */
const KEY = (head: string, value: string) =>
  `left(translate(encode(sha256(convert_to(left(${head}, -1) || ',"' || ${value} || '"]', 'UTF8')), 'base64'), '+/', '-_'), 22)`
const padded = (value: string) => `'${value.slice(0, -12)}' || lpad(n::text, 12, '0')`
const INSERT_BINDINGS = `
  INSERT INTO bcl_session (session_id, bound, sub_key, sid_key, issued_at, bound_at, expires_at, kept_until)
  SELECT md5(n::text), true, ${KEY('$2::text', padded(subOf(0)))}, ${KEY('$1::text', padded(sidOf(0)))},
    $5::double precision, bcl_now(), $6::double precision, $6::double precision
  FROM generate_series($3::bigint, $4::bigint) n`

/** What was filled is what the store itself would have written. */
async function check({ store, bound }: Filled, from: number): Promise<void> {
  for (const n of [from, bound.at(-1) ?? from]) {
    const { sessionId, ...written } = loginOf(n)
    const { ended, binding } = await store.read(sessionId)
    const { sessionId: _, boundAt, expiresAt, ...found } = binding ?? { sessionId, boundAt: 0, expiresAt: 0 }
    const { expiresAt: asked, ...expected } = written
    if (ended || boundAt === 0 || expiresAt > asked || !isSame(found, expected)) throw new Error(`${n} is not bound`)
  }
}

function isSame(one: object, other: object): boolean {
  const known = (of: object) =>
    JSON.stringify(
      Object.entries(of)
        .filter(([, value]) => value !== undefined)
        .sort(),
    )
  return known(one) === known(other)
}

async function bindNumbers(filled: Filled, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, () => filled.next++)
  await Promise.all(numbers.map((n) => filled.others.bind(loginOf(n))))
  filled.bound.push(...numbers)
}

async function readSome({ store, bound, insideMicros }: Filled, count: number) {
  const times: number[] = []
  await insideMicros()
  for (let i = 0; i < count; i++) {
    const { sessionId } = loginOf(bound[randomInt(bound.length)] ?? 0)
    const started = performance.now()
    const { binding } = await store.read(sessionId)
    times.push(performance.now() - started)
    if (binding === undefined) throw new Error('a bound session was not found')
  }
  return { p50Ms: quantile(times, 0.5), insideMicros: (await insideMicros()) / count }
}

function taken(numbers: number[]): number {
  const at = randomInt(numbers.length)
  const [one, last] = [numbers[at], numbers.pop()]
  if (one === undefined || last === undefined) throw new Error('no session is left')
  if (at < numbers.length) numbers[at] = last
  return one
}

const started = Math.floor(Date.now() / 1000)

function loginOf(n: number): NewBinding {
  return {
    sessionId: hash('md5', String(n)),
    subKey: subKey(client, subOf(n)),
    sidKey: sidKey(client, sidOf(n)),
    issuedAt: started,
    expiresAt: started + LIFETIME_SECONDS,
  }
}

function logoutOf(n: number) {
  const now = Date.now() / 1000
  return {
    target: { scope: 'sid', key: sidKey(client, sidOf(n)), subKey: subKey(client, subOf(n)) } as const,
    issuedAt: Math.floor(now),
    seenSecondsAgo: 0,
    jti: { key: jtiKey(client, randomUUID()), expiresAt: now + 480 },
    marksExpireAt: now + 30 * LIFETIME_SECONDS,
    mayDestroy: true,
    ...FORMER_BEGIN,
  }
}

answer(commands)

// A Relying Party where one user has very many sessions, and a bystander whose requests come meanwhile.
import { randomUUID } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import connectPgSimple from 'connect-pg-simple'
import { RedisStore } from 'connect-redis'
import session from 'express-session'
import { SignJWT } from 'jose'
import { createClient, createCluster } from 'redis'
import { createBackchannelLogout, expressSessions, type LogoutStore, memoryStore } from '../src/index.js'
import { applySchema, postgresStore } from '../src/stores/postgres/index.js'
import { redisStore } from '../src/stores/redis/index.js'
import { postgresPool } from './connections.js'
import { rsaKeyPair } from './key-pair.js'
import { CLIENT_ID, sidOf, subOf } from './op.js'
import { bindUser, newSessionId, saveSession } from './receivers.js'
import { answer } from './remote.js'

export type StoreKind = 'memory' | 'redis' | 'cluster' | 'postgres'

interface Where {
  readonly kind: StoreKind
  /** Of each node. */
  readonly urls: readonly string[]
}

const issuer = 'https://op.example.com'
const { privateKey, publicKey } = rsaKeyPair()
const jwks = { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'bench-key' }] }
// express-session warns of its memory store, which is what is measured.
console.warn = () => {}

const AT_ONCE = 200
const SAMPLED_MILLISECONDS = 20

interface Opened {
  readonly store: LogoutStore
  readonly sessionStore: session.Store
}

let opened: Opened
let logout: ReturnType<typeof relyingParty>
/** Called when a logout is complete, or failed with nobody to try it again. */
let heard: (destroyed: number) => void = () => {}
let stopped = false
let bystander: Promise<readonly number[]> = Promise.resolve([])

const commands = {
  async open(where: Where): Promise<void> {
    opened = await openedAt(where)
    logout = relyingParty(opened)
  },
  /** Signs one user in so many times, with a row for each session. */
  async fill({ user, sessions }: { user: number; sessions: number }): Promise<void> {
    for (let first = 0; first < sessions; first += AT_ONCE) {
      const count = Math.min(AT_ONCE, sessions - first)
      await Promise.all(Array.from({ length: count }, (_, i) => signIn(user, first + i)))
    }
  },
  /** Delivers a Logout Token that names the user alone; resolves when the last session is gone. */
  async end({ user }: { user: number }) {
    const token = await logoutToken(user)
    global.gc?.()
    const before = process.memoryUsage().heapUsed
    const memory = { most: before }
    const sampling = setInterval(() => {
      memory.most = Math.max(memory.most, process.memoryUsage().heapUsed)
    }, SAMPLED_MILLISECONDS)
    const loop = monitorEventLoopDelay({ resolution: 1 })
    loop.enable()
    const started = performance.now()
    const complete = new Promise<number>((resolve) => {
      heard = resolve
    })
    const body = new URLSearchParams({ logout_token: token })
    const response = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    const answered = performance.now() - started
    const destroyed = await complete
    loop.disable()
    clearInterval(sampling)
    return {
      status: response.status,
      answerMs: answered,
      totalMs: performance.now() - started,
      destroyed,
      loopMs: loop.max / 1e6,
      heapBytes: memory.most - before,
    }
  },
  /** Asks for another user's session again and again. */
  watch(): void {
    stopped = false
    bystander = (async () => {
      const times: number[] = []
      while (!stopped) {
        const started = performance.now()
        await opened.store.read('a session of somebody else')
        times.push(performance.now() - started)
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      return times
    })()
  },
  watched(): Promise<readonly number[]> {
    stopped = true
    return bystander
  },
}

export type BigUsersProcess = typeof commands

function relyingParty({ store, sessionStore }: Opened) {
  return createBackchannelLogout({
    provider: { issuer, clientId: CLIENT_ID, jwks },
    store,
    sessions: expressSessions(sessionStore),
    onEvent(event) {
      if (event.type === 'logout') heard(event.destroyed)
      if (event.type === 'logout-failed' && !event.retrying) heard(Number.NaN)
    },
  })
}

async function signIn(user: number, n: number): Promise<void> {
  const sessionId = newSessionId()
  await saveSession(opened.sessionStore, sessionId, subOf(user))
  await bindUser(logout, issuer, sessionId, user, sidOf(n))
}

function logoutToken(user: number): Promise<string> {
  return new SignJWT({ sub: subOf(user), events: { 'http://schemas.openid.net/event/backchannel-logout': {} } })
    .setProtectedHeader({ alg: 'RS256', typ: 'logout+jwt', kid: 'bench-key' })
    .setIssuer(issuer)
    .setAudience(CLIENT_ID)
    .setJti(randomUUID())
    .setIssuedAt()
    .setExpirationTime('2m')
    .sign(privateKey)
}

/** Marks, bindings and rows in one place, as most have them. */
async function openedAt({ kind, urls: [url = '', ...others] }: Where): Promise<Opened> {
  if (kind === 'memory') return { store: memoryStore(), sessionStore: new session.MemoryStore() }
  if (kind === 'redis') {
    const client = createClient({ url })
    client.on('error', () => {})
    await client.connect()
    return { store: redisStore(client, { sessionPrefix: 'sess:' }), sessionStore: new RedisStore({ client }) }
  }
  if (kind === 'cluster') {
    const client = createCluster({ rootNodes: [url, ...others].map((node) => ({ url: node })) })
    client.on('error', () => {})
    await client.connect()
    return { store: redisStore(client), sessionStore: new RedisStore({ client }) }
  }
  const pool = postgresPool({ connectionString: url, max: 16 })
  await applySchema(pool)
  const PgSession = connectPgSimple(session)
  const sessionStore = new PgSession({ pool, createTableIfMissing: true, pruneSessionInterval: false })
  await new Promise((resolve) => sessionStore.get('none', resolve)) // Its first call makes the table.
  return { store: postgresStore(pool, { sessionTable: 'session' }), sessionStore }
}

answer(commands)

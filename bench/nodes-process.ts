// A node that does nothing but follow the log of a store with bounded reads, and says what it read; or one that signs
// users in and out at a rate.
import { hash, randomUUID } from 'node:crypto'
import diagnostics from 'node:diagnostics_channel'
import net from 'node:net'
import pg from 'pg'
import { jtiKey, sidKey, subKey } from '../src/marks/target.js'
import { type BoundedReads, boundedReads } from '../src/stores/bounded-reads.js'
import type { LogStore } from '../src/stores/log-store.js'
import { postgresStore } from '../src/stores/postgres/index.js'
import { redisStore } from '../src/stores/redis/index.js'
import { postgresPool, redisConnection } from './connections.js'
import { CLIENT_ID, sidOf, subOf } from './op.js'
import { answer } from './remote.js'

export interface Where {
  readonly kind: 'redis' | 'postgres'
  readonly url: string
}

/** Since the node began to follow. */
export interface Followed {
  readonly pulls: number
  readonly commands: number
  readonly entries: number
  readonly bytes: number
  readonly doorbells: number
}

interface Opened {
  readonly store: LogStore
  subscribe(ring: () => void): Promise<void>
  close(): Promise<void>
}

const client = { issuer: 'https://op.example.com', clientId: CLIENT_ID }
const TICK_MILLISECONDS = 10
/** Of PostgreSQL: one waits for each commit. */
const WRITER_CONNECTIONS = 8

const sockets = new Set<net.Socket>()
diagnostics.subscribe('net.client.socket', (message) => {
  if (message instanceof Object && 'socket' in message && message.socket instanceof net.Socket)
    sockets.add(message.socket)
})

const counts = { pulls: 0, commands: 0, entries: 0, doorbells: 0 }
let opened: Opened | undefined
let follower: BoundedReads | undefined
let writing: NodeJS.Timeout | undefined
/** Begun, and done. */
const written = { begun: 0, done: 0 }
const underWay = new Set<Promise<void>>()

const commands = {
  async follow(where: Where): Promise<void> {
    opened = await openedAt(where)
    const { store, subscribe } = opened
    follower = boundedReads(counted(store))
    const { ring } = follower
    await subscribe(() => {
      counts.doorbells++
      ring()
    })
    await follower.refresh()
  },
  followed(): Followed {
    return { ...counts, bytes: [...sockets].reduce((total, { bytesRead }) => total + bytesRead, 0) }
  },
  /** So many logins a second from now on, each ended by a logout. */
  async write({ rate, ...where }: Where & { rate: number }): Promise<void> {
    opened ??= await openedAt(where, WRITER_CONNECTIONS)
    const { store } = opened
    const began = { at: performance.now(), from: written.begun }
    clearInterval(writing)
    writing = setInterval(() => {
      const due = Math.floor(((performance.now() - began.at) / 1000) * rate) - (written.begun - began.from)
      for (let i = 0; i < due; i++) {
        const work = loginAndLogout(store, written.begun++).finally(() => underWay.delete(work))
        underWay.add(work)
      }
    }, TICK_MILLISECONDS)
  },
  written(): number {
    return written.done
  },
  async stop(): Promise<void> {
    clearInterval(writing)
    follower?.close()
    await Promise.all(underWay)
    await opened?.close()
    opened = undefined
    sockets.clear()
    Object.assign(counts, { pulls: 0, commands: 0, entries: 0, doorbells: 0 })
  },
}

export type NodesProcess = typeof commands

async function openedAt({ kind, url }: Where, connections = 1): Promise<Opened> {
  return kind === 'redis' ? openedRedis(url) : openedPostgres(url, connections)
}

async function openedRedis(url: string): Promise<Opened> {
  const connection = await redisConnection(url)
  const subscriber = await redisConnection(url)
  return {
    store: redisStore((args) => {
      counts.commands++
      return connection.sendCommand([...args])
    }),
    subscribe: (ring) => subscriber.subscribe('bcl:log', ring),
    async close() {
      connection.destroy()
      subscriber.destroy()
    },
  }
}

async function openedPostgres(url: string, max: number): Promise<Opened> {
  // pg makes its sockets without a word to the channel above.
  const stream = () => {
    const socket = new net.Socket()
    sockets.add(socket)
    return socket
  }
  const pool = postgresPool({ connectionString: url, max, idleTimeoutMillis: 0, stream })
  const listener = new pg.Client({ connectionString: url, stream })
  listener.on('error', () => {})
  await listener.connect()
  return {
    store: postgresStore({
      query(text, values) {
        counts.commands++
        return pool.query(text, values)
      },
    }),
    async subscribe(ring) {
      listener.on('notification', ring)
      await listener.query('LISTEN bcl_log')
    },
    async close() {
      await Promise.all([listener.end(), pool.end()])
    },
  }
}

/** Counts pulls and what they bring. */
function counted(store: LogStore): LogStore {
  return new Proxy(store, {
    get(target, name: keyof LogStore) {
      if (name !== 'pull') return (...args: never[]) => (target[name] as (...args: never[]) => unknown)(...args)
      return async (cursor?: string) => {
        counts.pulls++
        const page = await target.pull(cursor)
        counts.entries += page.marks.length + page.sessionIds.length
        return page
      }
    },
  })
}

async function loginAndLogout(store: LogStore, n: number): Promise<void> {
  const now = Date.now() / 1000
  const of = { subKey: subKey(client, subOf(n)), sidKey: sidKey(client, sidOf(n)) }
  const sessionId = hash('md5', `${process.pid} ${n}`)
  const jti = { key: jtiKey(client, randomUUID()), expiresAt: now + 480 }
  await store.bind({ ...of, sessionId, issuedAt: Math.floor(now), expiresAt: now + 86_400 })
  const begun = await store.begin({
    target: { scope: 'sid', key: of.sidKey, subKey: of.subKey },
    issuedAt: Math.floor(now),
    seenSecondsAgo: 0,
    jti,
    marksExpireAt: now + 30 * 86_400,
    mayDestroy: false,
  })
  if (begun.replayed) throw new Error('a logout was taken for another')
  await store.complete({ jti, done: true, destroyedIds: [sessionId] })
  written.done++
}

answer(commands)

// Each kind of logout store on its real server, for tests of what a whole receiver does with it. Two calls of `open`
// are two nodes: each has connections of its own.
import { setTimeout as delay } from 'node:timers/promises'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import type { describe } from 'vitest'
import { memoryStore } from '../../src/index.js'
import type { LogStore } from '../../src/stores/log-store.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { applySchema, postgresStore } from '../../src/stores/postgres/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { postgresServer, startPostgres } from './postgres.js'
import { describeWith } from './processes.js'
import { redisServer, startRedis, startRedisCluster } from './redis.js'

export interface LogoutStoreServer<Store extends LogoutStore = LogoutStore> {
  open(): Store
  /** From now on it is read, and takes no write; or does again. */
  refuseWrites(refused: boolean): Promise<void>
  /** What readers follow is gone, where that can be without anything else. */
  deleteLog?(): Promise<void>
  stop(): Promise<void>
}

export interface LogoutStoreKind<Store extends LogoutStore = LogoutStore> {
  readonly name: string
  readonly describe: () => typeof describe | typeof describe.skip
  start(): Promise<LogoutStoreServer<Store>>
}

const describeRedis = () => describeWith(redisServer, 'redis-server')

/** No memory, and nothing is evicted. */
const limit = (refused: boolean) => (refused ? '1' : '0')

/** The kinds that several nodes share. */
export const SHARED_STORES: readonly LogoutStoreKind<LogStore>[] = [
  {
    name: 'Redis',
    describe: describeRedis,
    async start() {
      const server = await startRedis()
      const clients: Redis[] = []
      const connect = () => {
        const client = new Redis(server.port)
        clients.push(client)
        return client
      }
      return {
        open: () => redisStore(connect()),
        refuseWrites: async (refused) => void (await connect().config('SET', 'maxmemory', limit(refused))),
        deleteLog: async () => void (await connect().del('bcl:log')),
        async stop() {
          for (const client of clients) client.disconnect()
          await server.stop()
        },
      }
    },
  },
  {
    name: 'a Redis Cluster',
    describe: describeRedis,
    async start() {
      const server = await startRedisCluster()
      const clients: Cluster[] = []
      const connect = () => {
        const client = new Cluster(server.nodes.map(({ host, port }) => ({ host, port })))
        clients.push(client)
        return client
      }
      return {
        open: () => redisStore(connect()),
        async refuseWrites(refused) {
          for (const { port } of server.nodes) {
            const node = new Redis(port)
            await node.config('SET', 'maxmemory', limit(refused))
            node.disconnect()
          }
        },
        deleteLog: async () => void (await connect().del('bcl:log')),
        async stop() {
          for (const client of clients) client.disconnect()
          await server.stop()
        },
      }
    },
  },
  {
    name: 'PostgreSQL',
    describe: () => describeWith(postgresServer, 'PostgreSQL'),
    async start() {
      const server = await startPostgres()
      const pools: pg.Pool[] = []
      const connect = () => {
        const pool = new pg.Pool({ connectionString: server.url, max: 8 })
        pool.on('error', () => {})
        pools.push(pool)
        return pool
      }
      await applySchema(connect())
      return {
        open: () => postgresStore(connect()),
        async refuseWrites(refused) {
          const admin = new pg.Client({ connectionString: server.url })
          await admin.connect()
          await admin.query('SET default_transaction_read_only = off')
          await admin.query(`ALTER SYSTEM SET default_transaction_read_only = ${refused ? 'on' : 'off'}`)
          await admin.query('SELECT pg_reload_conf()')
          await admin.end()
          // Each process of the server reads it when it next looks.
          const [pool] = pools
          const isRefused = async () =>
            (await pool?.query('SHOW default_transaction_read_only'))?.rows[0].default_transaction_read_only === 'on'
          while ((await isRefused()) !== refused) await delay(10)
        },
        async stop() {
          await Promise.all(pools.map((pool) => pool.end()))
          await server.stop()
        },
      }
    },
  },
]

/** What a store does not do that takes no write. */
const WRITES = ['bind', 'rebind', 'addTokens', 'begin', 'complete', 'endSessions', 'unbind'] as const

/** All kinds. */
export const LOGOUT_STORES: readonly LogoutStoreKind[] = [
  {
    name: 'memory',
    describe: () => describeWith('none needed', 'memory'),
    async start() {
      const memory = memoryStore()
      let isRefused = false
      for (const name of WRITES) {
        const write: (...given: never[]) => unknown = memory[name]
        Reflect.set(memory, name, async (...given: never[]) => {
          if (isRefused) throw new Error('no room')
          return Reflect.apply(write, memory, given)
        })
      }
      return {
        open: () => memory,
        async refuseWrites(refused) {
          isRefused = refused
        },
        async stop() {},
      }
    },
  },
  ...SHARED_STORES,
]

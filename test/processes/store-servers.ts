// The servers that processes of this folder share: what they acknowledge survives a crash, and the tables of the logout
// store and of the sessions are there.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import pg from 'pg'
import { createClient } from 'redis'
import { applySchema } from '../../src/stores/postgres/index.js'
import { postgresServer, startPostgres } from '../servers/postgres.js'
import { describeWith } from '../servers/processes.js'
import { redisServer, startRedis } from '../servers/redis.js'
import type { RpSettings } from './rp.js'

export interface StoreServer {
  readonly port: number
  url(port: number): string
  hasRow(sessionId: string): Promise<boolean>
  /** A crash. What was acknowledged must survive it. */
  kill(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
}

export interface StoreKind {
  readonly name: RpSettings['storeKind']
  readonly describe: () => ReturnType<typeof describeWith>
  start(): Promise<StoreServer>
}

export const REDIS: StoreKind = {
  name: 'redis',
  describe: () => describeWith(redisServer, 'redis-server'),
  async start() {
    const redis = await startRedis(['--appendonly', 'yes', '--appendfsync', 'always'])
    return {
      port: redis.port,
      url: (port) => `redis://127.0.0.1:${port}`,
      async hasRow(sessionId) {
        const client = await createClient({ url: redis.url }).connect()
        try {
          return (await client.exists(`sess:${sessionId}`)) === 1
        } finally {
          client.destroy()
        }
      },
      kill: redis.kill,
      restart: redis.restart,
      stop: redis.stop,
    }
  },
}

export const POSTGRES: StoreKind = {
  name: 'postgres',
  describe: () => describeWith(postgresServer, 'postgres'),
  async start() {
    const postgres = await startPostgres()
    const query = async (text: string, values?: unknown[]) => {
      const client = new pg.Client({ connectionString: postgres.url })
      await client.connect()
      try {
        return await client.query(text, values)
      } finally {
        await client.end()
      }
    }
    await applySchema({ query })
    await query(readFileSync(createRequire(import.meta.url).resolve('connect-pg-simple/table.sql'), 'utf8'))
    return {
      port: postgres.port,
      url: (port) => `postgres://test@127.0.0.1:${port}/postgres`,
      hasRow: async (sessionId) => (await query('SELECT 1 FROM session WHERE sid = $1', [sessionId])).rowCount === 1,
      kill: postgres.kill,
      restart: postgres.restart,
      stop: postgres.stop,
    }
  },
}

// The clients of a store as the documentation has them: while the server is away commands fail at once or soon, and the
// client comes back by itself.
import pg from 'pg'
import { createClient } from 'redis'

/** As docs/redis.md has it. */
export async function nodeRedis(url: string) {
  const reconnectStrategy = (tries: number) => Math.min(50 * 2 ** tries, 500)
  const client = createClient({ url, disableOfflineQueue: true, socket: { reconnectStrategy, connectTimeout: 1000 } })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** As docs/postgres.md has it. */
export function postgresPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 8, connectionTimeoutMillis: 1000, query_timeout: 1500 })
  pool.on('error', () => {})
  return pool
}

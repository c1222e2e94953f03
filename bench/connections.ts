// Connections to the servers of a section, which end with it and may end first: losing one is no reason to die.
import pg from 'pg'
import { createClient } from 'redis'

export type RedisConnection = ReturnType<typeof createClient>

export async function redisConnection(url: string): Promise<RedisConnection> {
  // What is asked of a server that is gone fails, and does not wait for it.
  const client = createClient({ url, disableOfflineQueue: true })
  client.on('error', () => {})
  await client.connect()
  return client
}

export function postgresPool(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool(config)
  pool.on('error', () => {})
  return pool
}

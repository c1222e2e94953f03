// Four processes on one PostgreSQL.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import pg from 'pg'
import { applySchema } from '../../src/stores/postgres/index.js'
import { postgresServer, startPostgres } from '../servers/postgres.js'
import { describeWith } from '../servers/processes.js'
import { describeFaults } from './faults.js'

describeFaults(describeWith(postgresServer, 'postgres'), 'postgres', async () => {
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
})

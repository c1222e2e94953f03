import pg from 'pg'
import { afterAll, beforeAll, it } from 'vitest'
import { applySchema } from '../../../src/stores/postgres/apply-schema.js'
import { postgresStore } from '../../../src/stores/postgres/postgres-store.js'
import { logoutStoreContract } from '../../../src/testing/logout-store/contract.js'
import { postgresServer, type RunningPostgres, startPostgres } from '../../servers/postgres.js'
import { describeWith } from '../../servers/processes.js'

describeWith(postgresServer, 'PostgreSQL')('PostgreSQL store', () => {
  let server: RunningPostgres
  let pools: pg.Pool[] = []
  beforeAll(async () => {
    server = await startPostgres()
    pools = [1, 2].map(() => new pg.Pool({ connectionString: server.url, max: 8 }))
    await Promise.all(pools.map((pool) => applySchema(pool)))
  })
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()))
    await server.stop()
  })

  const cases = logoutStoreContract({
    async create() {
      const [one, two] = pools
      if (one === undefined || two === undefined) throw new Error('not connected')
      return {
        store: postgresStore(one),
        async now() {
          const { rows } = await one.query('SELECT extract(epoch FROM clock_timestamp())::double precision AS now')
          return Number(rows[0]?.now)
        },
        another: async () => postgresStore(two),
        dispose() {},
      }
    },
  })
  for (const { name, run } of cases) it(name, run)
})

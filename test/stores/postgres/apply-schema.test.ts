// A database of any earlier schema version, with data that its own functions wrote, is brought up to date: its sessions
// are ended by the logouts that come then, and what was ended stays so.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { covers } from '../../../src/marks/covering.js'
import type { BegunLogout } from '../../../src/stores/logout-store.js'
import { applySchema, checkPostgres } from '../../../src/stores/postgres/apply-schema.js'
import { postgresStore } from '../../../src/stores/postgres/postgres-store.js'
import { postgresServer, type RunningPostgres, startPostgres } from '../../servers/postgres.js'
import { describeWith } from '../../servers/processes.js'

const folder = path.join(import.meta.dirname, 'schemas')
const schemas = readdirSync(folder).sort()
const now = Date.now() / 1000
const LATER = now + 86_400
const LOGIN = { iat: now - 600, exp: LATER }

describeWith(postgresServer, 'PostgreSQL')('an earlier schema of the PostgreSQL store', () => {
  let server: RunningPostgres
  let fresh: pg.Pool
  beforeAll(async () => {
    server = await startPostgres()
    fresh = await schemaCalled('fresh')
    await applySchema(fresh)
  })
  afterAll(async () => {
    await fresh.end()
    await server.stop()
  })

  async function schemaCalled(name: string): Promise<pg.Pool> {
    const client = new pg.Client(server.url)
    await client.connect()
    await client.query(`CREATE SCHEMA "${name}"`)
    await client.end()
    return new pg.Pool({ connectionString: server.url, options: `-c search_path="${name}"` })
  }

  it('is kept of each version before this one', async () => {
    const { rows } = await fresh.query('SELECT bcl_version() AS version')
    const kept = new Set(schemas.map((name) => Number.parseInt(name, 10)))
    expect([...kept]).toEqual(Array.from({ length: Number(rows[0].version) - 1 }, (_, i) => i + 1))
  })

  describe.each(schemas)('%s', (name) => {
    let pool: pg.Pool
    beforeAll(async () => {
      pool = await schemaCalled(name)
      await pool.query(readFileSync(path.join(folder, name), 'utf8'))
      await writeAsThen(pool)
      expect(await checkPostgres(pool)).toEqual([expect.stringContaining('another version')])
      await Promise.all([1, 2, 3].map(() => applySchema(pool)))
    })
    afterAll(() => pool.end())

    it('has the tables, indexes and functions of a new database afterwards, and no others', async () => {
      expect(await checkPostgres(pool)).toEqual([])
      expect(await shapeOf(pool)).toEqual(await shapeOf(fresh))
    })

    it('ends the sessions that were bound under it: of a sid, without a sid, with their tokens, under a changed id', async () => {
      const store = postgresStore(pool)
      const bySid = { scope: 'sid', key: 'sid of anna', subKey: 'anna' } as const
      expect(began(await store.begin(logout({ target: bySid })))).toMatchObject({
        sessionIds: expect.arrayContaining(['annas session', 'annas session without sid']),
        tokenKeys: ['annas token'],
        withoutSid: 1,
      })
      expect(await store.read('annas session')).toMatchObject({ ended: true })
      expect(began(await store.begin(logout({ target: { scope: 'sub', key: 'berta' } }))).sessionIds).toEqual([
        'bertas new session',
      ])
    })

    it('lets sessions live that no logout named', async () => {
      const state = await postgresStore(pool).read('doras session')
      expect(state).toMatchObject({ ended: false, marks: [], binding: { subKey: 'dora', issuedAt: LOGIN.iat } })
    })

    it('still denies what was ended under it, and logins that its marks cover', async () => {
      const store = postgresStore(pool)
      expect(await store.read('claras session')).toMatchObject({ ended: true })
      const late = { sessionId: 'late', subKey: 'clara', issuedAt: LOGIN.iat, expiresAt: LATER }
      const { marks, binding } = await store.bind(late)
      expect(marks.some((mark) => binding !== undefined && covers(mark, binding))).toBe(true)
    })

    it('still knows the jti of a logout that was completed under it', async () => {
      const again = logout({ target: { scope: 'sub', key: 'clara' }, jti: { key: 'done', expiresAt: now } })
      expect(await postgresStore(pool).begin(again)).toEqual({ replayed: true })
    })

    it('follows a local logout to where a sign-on moves', async () => {
      const store = postgresStore(pool)
      await store.rebind('doras session', 'doras new session', LATER)
      expect((await store.endSessions(['doras session'], LATER)).sessionIds).toContain('doras new session')
    })
  })

  it('is refused, and nothing is changed, where it is of a newer package', async () => {
    const newer = await schemaCalled('newer')
    try {
      await applySchema(newer)
      await newer.query(`CREATE OR REPLACE FUNCTION bcl_version() RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 99';
        CREATE OR REPLACE FUNCTION bcl_now() RETURNS double precision LANGUAGE sql AS 'SELECT 1::double precision'`)
      await expect(applySchema(newer)).rejects.toThrow(/schema version 99, of a newer package/)
      expect((await newer.query('SELECT bcl_now() AS now')).rows).toEqual([{ now: 1 }])
      expect(await checkPostgres(newer)).toEqual([expect.stringContaining('another version')])
    } finally {
      await newer.end()
    }
  })

  it('is not current where a function has another text than in this package', async () => {
    const other = await schemaCalled('other')
    try {
      await applySchema(other)
      await other.query(`CREATE OR REPLACE FUNCTION bcl_functions() RETURNS text LANGUAGE sql AS $$ SELECT 'others' $$`)
      expect(await checkPostgres(other)).toEqual([expect.stringContaining('another version')])
    } finally {
      await other.end()
    }
  })
})

/** By the functions of that schema, as the package called them that had it: each takes of these what it knew. */
async function writeAsThen(pool: pg.Pool): Promise<void> {
  const call = (name: string, args: object) => pool.query(`SELECT ${name}($1::jsonb)`, [JSON.stringify(args)])
  await call('bcl_bind', { ...LOGIN, id: 'annas session', sub: 'anna', sid: 'sid of anna', tokens: ['annas token'] })
  await call('bcl_bind', { ...LOGIN, id: 'annas session without sid', sub: 'anna' })
  await call('bcl_bind', { ...LOGIN, id: 'bertas session', sub: 'berta', sid: 'sid of berta' })
  const [old, renamed] = ['bertas session', 'bertas new session']
  await call('bcl_rebind', { old, new: renamed, from: old, to: renamed, exp: LATER })
  await call('bcl_bind', { ...LOGIN, id: 'claras session', sub: 'clara', sid: 'sid of clara' })
  await call('bcl_bind', { ...LOGIN, id: 'doras session', sub: 'dora', sid: 'sid of dora' })
  const ofClara = { scope: 'sub', key: 'clara', sub: '', iat: now - 60, tolerance: 60, ago: 0, marksExp: LATER }
  await call('bcl_begin', { ...ofClara, jti: 'done', jtiExp: LATER, mayFinish: false, mayDestroy: false })
  await call('bcl_complete', { ids: ['claras session'], jti: 'done', jtiExp: LATER, done: true })
}

function logout(parts: Pick<Parameters<ReturnType<typeof postgresStore>['begin']>[0], 'target' | 'jti'>) {
  return { issuedAt: now, seenSecondsAgo: 0, marksExpireAt: LATER, mayDestroy: false, ...parts }
}

function began(begun: BegunLogout) {
  if (begun.replayed) throw new Error('taken for a replay')
  return begun
}

/** Columns, constraints, indexes and functions: everything that an upgrade could forget. */
async function shapeOf(pool: pg.Pool): Promise<unknown> {
  const { rows } = await pool.query(`
    SELECT 'column' AS kind, concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default) AS text
      FROM information_schema.columns WHERE table_schema = current_schema()
    UNION ALL SELECT 'constraint', conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
      FROM pg_constraint WHERE connamespace = quote_ident(current_schema())::regnamespace AND contype <> 'n'
    UNION ALL SELECT 'index', replace(indexdef, quote_ident(schemaname) || '.', '')
      FROM pg_indexes WHERE schemaname = current_schema()
    UNION ALL SELECT 'function', replace(pg_get_functiondef(oid), quote_ident(current_schema()) || '.', '')
      FROM pg_proc WHERE pronamespace = quote_ident(current_schema())::regnamespace
    ORDER BY 1, 2`)
  return rows
}

// What the PostgreSQL store promises beyond the port: statements, interleavings, the log, pruning, rows of
// connect-pg-simple.
import connectPgSimple from 'connect-pg-simple'
import session from 'express-session'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { sidKey, subKey, tokenKey } from '../../../src/marks/target.js'
import type { LogStore } from '../../../src/stores/log-store.js'
import type { BeginLogout, BegunLogout, NewBinding } from '../../../src/stores/logout-store.js'
import { applySchema, checkPostgres, prunePostgres } from '../../../src/stores/postgres/apply-schema.js'
import { type PostgresPool, postgresStore } from '../../../src/stores/postgres/postgres-store.js'
import { postgresServer, type RunningPostgres, startPostgres } from '../../servers/postgres.js'
import { describeWith } from '../../servers/processes.js'
import { loggedOut } from '../rows-elsewhere.js'

const client = { issuer: 'https://op.example.com', clientId: 'rp' }
const now = () => Date.now() / 1000

function login(i: number | string, parts: Partial<NewBinding> = {}): NewBinding {
  return {
    sessionId: `session ${i}`,
    subKey: subKey(client, `user ${i}`),
    sidKey: sidKey(client, `sid ${i}`),
    issuedAt: 1_700_000_000,
    expiresAt: now() + 86_400,
    ...parts,
  }
}

function logoutOf(key: string, parts: Partial<BeginLogout> = {}): BeginLogout {
  return {
    target: { scope: 'sub', key },
    issuedAt: 1_700_000_100,
    seenSecondsAgo: 0,
    marksExpireAt: now() + 90_000,
    mayDestroy: true,
    ...parts,
  }
}

describeWith(postgresServer, 'PostgreSQL')('PostgreSQL store, beyond the port', () => {
  let server: RunningPostgres
  let pool: pg.Pool
  let statements = 0
  let store: LogStore
  const counted: PostgresPool = {
    query(text, values) {
      statements++
      return pool.query(text, values)
    },
  }

  beforeAll(async () => {
    server = await startPostgres()
    pool = new pg.Pool({ connectionString: server.url, max: 8 })
    await Promise.all([1, 2, 3, 4].map(() => applySchema(pool)))
    await pool.query(
      'CREATE TABLE session (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp(6) NOT NULL); CREATE TABLE "odd; name" (sid text)',
    )
    store = postgresStore(counted)
  })
  afterAll(async () => {
    await pool.end()
    await server.stop()
  })
  beforeEach(async () => {
    await pool.query('TRUNCATE bcl_session, bcl_mark, bcl_jti, bcl_log, session')
    statements = 0
  })

  it('takes one statement for each method, whatever the number of sessions', async () => {
    const { subKey } = login('one')
    for (let i = 0; i < 100; i++) await store.bind(login(i, { subKey, tokenKeys: [tokenKey(`${i}`)] }))
    expect(statements).toBe(100)
    await store.read(login(1).sessionId)
    await store.marks([subKey, 'b'])
    expect(statements).toBe(102)
    const begun = await store.begin(logoutOf(subKey))
    expect(statements).toBe(103)
    expect(begun.replayed === false && begun.sessionIds.length).toBe(100)
    await store.complete({ destroyedIds: begun.replayed ? [] : begun.sessionIds, done: true })
    await store.rebind('x', 'y', now())
    await store.endSessions(['x'], now() + 1)
    expect(statements).toBe(106)
  })

  it('destroys the rows of connect-pg-simple, unbinds and remembers the jti in that one statement', async () => {
    const finishing = postgresStore(counted, { sessionTable: 'public.session' })
    const rows = new (connectPgSimple(session))({ pool, pruneSessionInterval: false })
    const logins = [1, 2, 3].map((i) => login(i, { subKey: login('one').subKey }))
    for (const { sessionId } of [...logins, login('bystander')]) {
      await pool.query("INSERT INTO session VALUES ($1, '{\"cookie\":{}}', now() + interval '1 day')", [sessionId])
    }
    for (const each of [...logins, login('bystander')]) await finishing.bind(each)
    statements = 0
    const jti = { key: 'the jti', expiresAt: now() + 600 }
    expect(await finishing.begin(logoutOf(login('one').subKey, { jti }))).toMatchObject({ finished: true })
    expect(statements).toBe(1)
    const get = (id: string) =>
      new Promise((resolve, reject) => rows.get(id, (e, row) => (e ? reject(e) : resolve(row))))
    for (const { sessionId } of logins) {
      expect(await get(sessionId)).toBeFalsy()
      expect(await finishing.read(sessionId)).toEqual({ ended: true, marks: [] })
    }
    expect(await get(login('bystander').sessionId)).toBeTruthy()
    expect(await finishing.begin(logoutOf(login('one').subKey, { jti }))).toEqual({ replayed: true })
    await rows.close()
  })

  it('destroys the rows of each page by itself, and gives back a page of which one is somewhere else', async () => {
    const finishing = postgresStore(pool, { sessionTable: 'public.session' })
    const many = Array.from({ length: 2100 }, (_, i) => login(i, { subKey: 'paged' }))
    for (let i = 0; i < many.length; i += 100) await Promise.all(many.slice(i, i + 100).map((each) => store.bind(each)))
    await pool.query("INSERT INTO session SELECT session_id, '{}', now() FROM bcl_session WHERE session_id <> $1", [
      login(2).sessionId,
    ])
    const pages: Exclude<BegunLogout, { readonly replayed: true }>[] = []
    let cursor: string | undefined
    do {
      const begun = await finishing.begin(logoutOf('paged', { cursor }))
      if (begun.replayed) throw new Error('a replay')
      pages.push(begun)
      expect(begun.finished).toBe(false)
      cursor = begun.cursor
    } while (cursor !== undefined)
    const left = pages.filter(({ destroyed }) => !destroyed)
    expect(left).toMatchObject([{ notDeleted: 1 }])
    expect(pages).toHaveLength(3)
    expect((await pool.query('SELECT FROM session')).rowCount).toBe(0)
    expect((await pool.query('SELECT FROM bcl_session WHERE bound')).rowCount).toBe(left[0]?.sessionIds.length)
  })

  it('keeps the mark and leaves the rows to the caller where their table cannot be written', async () => {
    for (const sessionTable of ['missing', '"odd; name', 'session; DROP TABLE bcl_mark']) {
      const finishing = postgresStore(pool, { sessionTable })
      await finishing.bind(login(1))
      const jti = { key: `jti of ${sessionTable}`, expiresAt: now() + 600 }
      const begun = await finishing.begin(logoutOf(login(1).subKey, { jti }))
      expect(begun).toMatchObject({ finished: false, sessionIds: [login(1).sessionId] })
      expect((await finishing.begin(logoutOf(login(1).subKey, { jti }))).replayed).toBe(false)
      expect((await finishing.marks([login(1).subKey])).marks).toHaveLength(1)
      expect((await finishing.read(login(1).sessionId)).ended).toBe(true)
    }
  })

  describe('two transactions at the same time', () => {
    /**
     * Begins a transaction, runs `first` in it, starts `second` elsewhere, waits until that waits for the first,
     * commits.
     */
    async function interleave<A, B>(
      first: (store: LogStore) => Promise<A>,
      second: (store: LogStore) => Promise<B>,
    ): Promise<readonly [A, B]> {
      const holder = await pool.connect()
      try {
        await holder.query('BEGIN')
        const one = await first(postgresStore(holder))
        const two = second(postgresStore(pool))
        two.catch(() => {})
        while ((await waiting()) === 0) await new Promise((resolve) => setImmediate(resolve))
        await holder.query('COMMIT')
        return [one, await two]
      } finally {
        await holder.query('ROLLBACK')
        holder.release()
      }
    }

    async function waiting(): Promise<number> {
      const { rows } = await pool.query('SELECT count(*)::integer AS n FROM pg_locks WHERE NOT granted')
      return rows[0]?.n
    }

    for (const scope of ['sub', 'sid'] as const) {
      const target = (of: NewBinding) => ({ scope, key: scope === 'sub' ? of.subKey : (of.sidKey ?? '') })

      it(`a logout by ${scope} waits for a login that has not committed, and finds it`, async () => {
        const [, begun] = await interleave(
          (one) => one.bind(login(1)),
          (two) => two.begin(logoutOf('', { target: target(login(1)) })),
        )
        expect(begun).toMatchObject({ sessionIds: [login(1).sessionId] })
      })

      it(`a login waits for a logout by ${scope} that has not committed, and sees its mark`, async () => {
        const [, { marks }] = await interleave(
          (one) => one.begin(logoutOf('', { target: target(login(1)) })),
          (two) => two.bind(login(1)),
        )
        expect(marks).toHaveLength(1)
      })

      it(`a logout by ${scope} waits for a change of id that has not committed, and finds the new id`, async () => {
        await store.bind(login(1))
        const [, begun] = await interleave(
          (one) => one.rebind(login(1).sessionId, 'new id', now() + 60),
          (two) => two.begin(logoutOf('', { target: target(login(1)) })),
        )
        expect(begun).toMatchObject({ sessionIds: ['new id'] })
      })

      it(`a change of id waits for a logout by ${scope} that has not committed, and inherits the end`, async () => {
        await store.bind(login(1))
        const [, state] = await interleave(
          (one) => one.begin(logoutOf('', { target: target(login(1)) })),
          (two) => two.rebind(login(1).sessionId, 'new id', now() + 60),
        )
        expect(state.ended).toBe(true)
      })
    }

    describe('a local logout', () => {
      const ended = (store: LogStore, id: string) => store.endSessions([id], now() + 60)

      it('waits for a change of id that has not committed, and ends the new id', async () => {
        await store.bind(login(1))
        const [, { sessionIds }] = await interleave(
          (one) => one.rebind(login(1).sessionId, 'new id', now() + 60),
          (two) => ended(two, login(1).sessionId),
        )
        expect([...sessionIds].sort()).toEqual(['new id', login(1).sessionId])
        expect((await store.read('new id')).ended).toBe(true)
      })

      it('waits for the next change of id of a sign-on that moved on before, and ends the last id', async () => {
        await store.bind(login(1))
        await store.rebind(login(1).sessionId, 'second', now() + 60)
        const [, { sessionIds }] = await interleave(
          (one) => one.rebind('second', 'third', now() + 60),
          (two) => ended(two, login(1).sessionId),
        )
        expect([...sessionIds].sort()).toEqual(['second', login(1).sessionId, 'third'])
        expect((await store.read('third')).ended).toBe(true)
      })

      it('waits for a login and a change of id that have not committed, though nothing was known of the id', async () => {
        const [, { sessionIds }] = await interleave(
          async (one) => {
            await one.bind(login(1))
            await one.rebind(login(1).sessionId, 'new id', now() + 60)
          },
          (two) => ended(two, login(1).sessionId),
        )
        expect([...sessionIds].sort()).toEqual(['new id', login(1).sessionId])
      })

      it('makes a change of id wait, which then inherits the end, also from where the sign-on had moved', async () => {
        await store.bind(login(1))
        await store.rebind(login(1).sessionId, 'second', now() + 60)
        const [, state] = await interleave(
          (one) => ended(one, login(1).sessionId),
          (two) => two.rebind('second', 'third', now() + 60),
        )
        expect(state.ended).toBe(true)
      })

      it('follows through an id that was bound anew since, and leaves what is bound there', async () => {
        await store.bind(login(1))
        await store.rebind(login(1).sessionId, 'second', now() + 60)
        await store.rebind('second', 'third', now() + 60)
        const { binding } = await store.bind(login(2, { sessionId: 'second' }))
        expect((await ended(store, login(1).sessionId)).sessionIds).toEqual([login(1).sessionId, 'third'])
        expect((await store.read('second')).binding).toEqual(binding)
      })

      it('does not follow another sign-on that took the same way since', async () => {
        await store.bind(login(1))
        await store.rebind(login(1).sessionId, 'second', now() + 60)
        await store.bind(login(2, { sessionId: 'second' }))
        await store.rebind('second', 'third', now() + 60)
        expect((await ended(store, login(1).sessionId)).sessionIds).toEqual([login(1).sessionId])
        expect((await store.read('third')).ended).toBe(false)
      })
    })

    it('a logout waits for a token that is being added, and marks it', async () => {
      await store.bind(login(1))
      const [, begun] = await interleave(
        (one) => one.addTokens(login(1).sessionId, [tokenKey('t')]),
        (two) => two.begin(logoutOf(login(1).subKey)),
      )
      expect(begun).toMatchObject({ tokenKeys: [tokenKey('t')] })
    })

    it('the same token delivered twice does the same work with the same dates', async () => {
      await store.bind(login(1))
      const logout = logoutOf(login(1).subKey, { jti: { key: 'jti', expiresAt: now() + 60 } })
      const [one, two] = await interleave(
        (first) => first.begin(logout),
        (second) => second.begin(logout),
      )
      expect(two).toEqual(one)
    })

    it('a login at the old id beside a change of id: the change is tried again with the fresh sign-on', async () => {
      await store.bind(login(1))
      const fresh = login(2, { sessionId: login(1).sessionId })
      const [, state] = await interleave(
        (one) => one.bind(fresh),
        (two) => two.rebind(fresh.sessionId, 'new id', now() + 60),
      )
      expect(state.binding?.subKey).toBe(fresh.subKey)
    })

    it('refuses isolation levels under which a look could be older than a lock', async () => {
      for (const level of ['repeatable read', 'serializable']) {
        const one = await pool.connect()
        await one.query(`BEGIN ISOLATION LEVEL ${level}`)
        await expect(postgresStore(one).bind(login(1))).rejects.toThrow(/read committed/)
        await one.query('ROLLBACK')
        one.release()
      }
      expect((await store.read(login(1).sessionId)).binding).toBeUndefined()
    })
  })

  describe('the log', () => {
    /** What lies a few seconds back is read twice; here only what is new is looked at. */
    const timePasses = () => pool.query('UPDATE bcl_log SET at = at - 10')

    it('misses nothing where a crash gave transaction ids a second time', async () => {
      const [xmin = ''] = (await store.pull()).cursor.split('|')
      await store.begin(logoutOf(login(1).subKey))
      const ahead = `${BigInt(xmin) + 1000n}|${now()}`
      expect(await store.pull(ahead)).toMatchObject({ reset: false, marks: [{ scope: 'sub' }] })
    })

    it('misses nothing that commits out of order', async () => {
      const start = await store.pull()
      expect(start).toMatchObject({ reset: true, marks: [], sessionIds: [] })
      const holder = await pool.connect()
      await holder.query('BEGIN')
      await postgresStore(holder).endSessions(['early, commits late'], now() + 60)
      await store.endSessions(['late, commits early'], now() + 60)
      const between = await store.pull(start.cursor)
      expect(between).toMatchObject({ reset: false, sessionIds: ['late, commits early'] })
      await holder.query('COMMIT')
      holder.release()
      expect((await store.pull(between.cursor)).sessionIds).toContain('early, commits late')
    })

    it('is not held up by a transaction that stays open', async () => {
      const holder = await pool.connect()
      await holder.query('BEGIN; SELECT pg_current_xact_id()')
      const { cursor } = await store.pull()
      await store.begin(logoutOf(login(1).subKey))
      expect((await store.pull(cursor)).marks).toHaveLength(1)
      await holder.query('ROLLBACK')
      holder.release()
    })

    it('tells of marks, ended, moved, replaced and unbound sessions, and not of first logins', async () => {
      let { cursor } = await store.pull()
      const told = async () => {
        const page = await store.pull(cursor)
        cursor = page.cursor
        await timePasses()
        return { marks: page.marks.length, ids: [...page.sessionIds].sort() }
      }
      await store.bind(login(1, { tokenKeys: [tokenKey('t')] }))
      expect(await told()).toEqual({ marks: 0, ids: [] })
      await store.bind(login(2, { sessionId: login(1).sessionId, tokenKeys: [tokenKey('t')] }))
      expect(await told()).toEqual({ marks: 0, ids: [login(1).sessionId] })
      await store.rebind(login(1).sessionId, 'new id', now() + 60)
      expect((await told()).ids).toContain(login(1).sessionId)
      await store.begin(logoutOf(login(2).subKey))
      expect(await told()).toMatchObject({ marks: 2, ids: ['new id'] })
      await store.unbind(['new id'])
      expect((await told()).ids).toEqual(['new id'])
    })

    it('starts afresh with all live marks where the cursor is too old', async () => {
      await store.begin(logoutOf(login(1).subKey))
      const [xmin] = (await store.pull()).cursor.split('|')
      expect(await store.pull(`${xmin}|${now() - 200}`)).toMatchObject({ reset: true, marks: [{ scope: 'sub' }] })
      await timePasses()
      expect(await store.pull(`${xmin}|${now()}`)).toMatchObject({ reset: false, marks: [] })
    })

    /** Counts what rings at a connection that listens. */
    async function doorbell() {
      const listener = await pool.connect()
      await listener.query('LISTEN bcl_log')
      let rung = 0
      listener.on('notification', () => rung++)
      return {
        /** What rang by now: it is told with the next answer. */
        rung: async () => {
          await listener.query('SELECT 1')
          return rung
        },
        release: async () => {
          await listener.query('UNLISTEN *')
          listener.removeAllListeners('notification')
          listener.release()
        },
      }
    }

    it.each<[string, () => Promise<unknown>]>([
      ['of the OP', () => store.begin(logoutOf(login(1).subKey))],
      ['that is local', () => store.endSessions([login(1).sessionId], now() + 60)],
    ])('rings a doorbell at each logout %s', async (_, logOut) => {
      const bell = await doorbell()
      await logOut()
      expect(await bell.rung()).toBe(1)
      await bell.release()
    })

    it('rings once for logouts at the same time: two that ring would wait for one another to reach the disk', async () => {
      const bell = await doorbell()
      const holder = await pool.connect()
      await holder.query('BEGIN')
      await postgresStore(holder).begin(logoutOf(login(1).subKey))
      await store.begin(logoutOf(login(2).subKey))
      expect(await bell.rung()).toBe(0)
      await holder.query('COMMIT')
      holder.release()
      expect(await bell.rung()).toBe(1)
      await bell.release()
    })
  })

  it('keeps the mark though a row that it should delete is locked', async () => {
    await pool.query('CREATE TABLE IF NOT EXISTS locked_session (sid varchar PRIMARY KEY)')
    await pool.query('INSERT INTO locked_session VALUES ($1)', [login(1).sessionId])
    const destroying = postgresStore(pool, { sessionTable: 'locked_session' })
    await destroying.bind(login(1))
    const holder = await pool.connect()
    await holder.query('BEGIN; SELECT * FROM locked_session FOR UPDATE')
    const begun = await destroying.begin(logoutOf(login(1).subKey, { mayDestroy: true }))
    expect(begun).toMatchObject({ finished: false, sessionIds: [login(1).sessionId] })
    expect((await store.read(login(1).sessionId)).ended).toBe(true)
    await holder.query('ROLLBACK')
    holder.release()
  })

  it('believes the count of the server: rows that are somewhere else come back to be destroyed, and are counted', async () => {
    await pool.query('CREATE TABLE IF NOT EXISTS other_session (sid varchar PRIMARY KEY)')
    const misled = postgresStore(pool, { sessionTable: 'other_session' })
    const [here, elsewhere] = [login('here', { subKey: 'misled' }), login('elsewhere', { subKey: 'misled' })]
    for (const each of [here, elsewhere]) await misled.bind(each)
    await pool.query('INSERT INTO other_session VALUES ($1)', [here.sessionId])
    const begun = await misled.begin(logoutOf('misled', { mayDestroy: true }))
    if (begun.replayed) throw new Error('a replay')
    expect(begun).toMatchObject({ finished: false, notDeleted: 1 })
    expect(begun.sessionIds).toContain(elsewhere.sessionId)
  })

  it.each([
    ['in another schema', 'elsewhere.session', 1],
    ['of another name', 'session_of_another', 1],
    ['that is right', 'public.session', 0],
  ])(
    'a Logout Token where sessionTable is one %s: the row is gone, and it is said',
    async (_, sessionTable, notDeleted) => {
      await pool.query('CREATE SCHEMA IF NOT EXISTS elsewhere')
      for (const table of ['elsewhere.session', 'session_of_another']) {
        await pool.query(`CREATE TABLE IF NOT EXISTS ${table} (LIKE session INCLUDING ALL)`)
      }
      const sessions = new (connectPgSimple(session))({ pool, pruneSessionInterval: false })
      const hasRow = async (id: string) => (await pool.query('SELECT FROM session WHERE sid = $1', [id])).rowCount === 1
      const about = { rows: [true, false], status: 200, said: [{ destroyed: 1, notDeleted }] }
      expect(await loggedOut(postgresStore(pool, { sessionTable }), sessions, hasRow)).toEqual(about)
      await sessions.close()
    },
  )

  describe('pruning', () => {
    it('keeps tables flat over logins and expiries, for sixteen logins at once at every sixteenth or so', async () => {
      const soon = { expiresAt: now() - 1 }
      const logins = Array.from({ length: 600 }, (_, i) => login(i, soon))
      while (logins.length > 0) await Promise.all(logins.splice(0, 8).map((each) => store.bind(each)))
      const { rows } = await pool.query('SELECT count(*)::integer AS n FROM bcl_session')
      // That 300 logins in a row prune nothing happens once in a hundred million runs.
      expect(rows[0]?.n).toBeLessThan(300)
    })

    it('prunes what expired and nothing else, on many nodes at once', async () => {
      await store.bind(login('alive'))
      await store.begin(
        logoutOf(login('other').subKey, { jti: { key: 'live', expiresAt: now() + 60 }, mayDestroy: false }),
      )
      await pool.query(`
        INSERT INTO bcl_session (session_id, bound, kept_until) SELECT 'dead ' || i, false, 1 FROM generate_series(1, 500) i;
        INSERT INTO bcl_mark SELECT 'dead ' || i, '', 'sub', 1, 1, 1 FROM generate_series(1, 500) i;
        INSERT INTO bcl_jti SELECT 'dead ' || i, 1, 1, true, 1 FROM generate_series(1, 500) i;
        INSERT INTO bcl_log (at, session_id) SELECT 1, 'dead' FROM generate_series(1, 500) i`)
      const pruned = await Promise.all([1, 2, 3].map(() => prunePostgres(pool, { batch: 50 })))
      expect(pruned.reduce((sum, each) => sum + each, 0)).toBe(2000)
      const { rows } = await pool.query(
        'SELECT (SELECT count(*) FROM bcl_session) + (SELECT count(*) FROM bcl_mark) + (SELECT count(*) FROM bcl_jti) AS n',
      )
      expect(Number(rows[0]?.n)).toBe(3)
      expect((await store.read(login('alive').sessionId)).binding).toBeDefined()
    })
  })

  it('finds everything by index, also with plans that were made when the tables were empty', async () => {
    const one = new pg.Client(server.url)
    await one.connect()
    const read = async () => {
      const { rows } = await one.query(
        `SELECT sum(seq_tup_read)::integer AS by_scan, sum(idx_tup_fetch)::integer AS by_index
         FROM pg_stat_xact_all_tables WHERE relname LIKE 'bcl\\_%' OR relname = 'session'`,
      )
      return rows[0]
    }
    const held = postgresStore(one, { sessionTable: 'session' })
    const everything = async (name: string, targets: readonly BeginLogout['target'][]) => {
      const fresh = login(name)
      await held.bind(fresh)
      await held.addTokens(fresh.sessionId, [tokenKey(name)])
      await held.renew(fresh.sessionId, now() + 90_000)
      await held.rebind(fresh.sessionId, `${name} moved`, now() + 90_000)
      await held.endSessions([fresh.sessionId], now() + 90_000)
      await held.read(`${name} moved`)
      await held.marks([fresh.subKey])
      // As the application does it: the row is where the store was told.
      await one.query(`INSERT INTO session VALUES ($1, '{}', now()) ON CONFLICT DO NOTHING`, [`${name} moved`])
      for (const [i, target] of targets.entries()) {
        const jti = { key: `jti ${name} ${i}`, expiresAt: now() + 600 }
        expect(await held.begin(logoutOf('', { target, jti }))).toMatchObject({ finished: true })
        await held.complete({ jti, destroyedIds: [`${name} moved`], done: true })
      }
      await held.unbind([`${name} moved`])
    }
    try {
      await held.unbind(['nobody'])
      await held.read('nobody')
      await held.begin(logoutOf('nobody'))
      // Left to itself, PostgreSQL settles for a plan at the sixth call.
      for (const name of ['1', '2', '3', '4', '5', '6', '7']) {
        await everything(name, [
          { scope: 'sub', key: login(name).subKey },
          { scope: 'sid', key: login(name).sidKey ?? '' },
        ])
      }
      await pool.query(`
        INSERT INTO bcl_session (session_id, bound, sub_key, sid_key, bound_at, expires_at, kept_until)
          SELECT 's' || i, true, 'sub ' || i, 'sid ' || i, 1, 4e9, 4e9 FROM generate_series(1, 20000) i;
        INSERT INTO bcl_mark SELECT 'key ' || i, '', 'sub', 1, 1, 4e9 FROM generate_series(1, 5000) i;
        INSERT INTO bcl_jti SELECT 'jti ' || i, 1, 1, true, 4e9 FROM generate_series(1, 5000) i;
        INSERT INTO bcl_log (at, session_id) SELECT 4e9, 's' FROM generate_series(1, 5000) i;
        INSERT INTO session SELECT 's' || i, '{}', now() FROM generate_series(1, 5000) i`)
      await one.query('BEGIN')
      // What this connection did before may not have been counted off yet.
      const before = await read()
      await everything('later', [
        { scope: 'sub', key: 'sub 777' },
        { scope: 'sid', key: 'sid 888' },
      ])
      const after = await read()
      expect(after.by_scan - before.by_scan).toBe(0)
      // An index that is read from end to end is a scan as well.
      expect(after.by_index - before.by_index).toBeLessThan(500)
      for (const id of ['s777', 's888']) expect((await held.read(id)).ended).toBe(true)
    } finally {
      await one.end()
    }
  })

  it('refuses what is no pool', () => {
    expect(() => Reflect.apply(postgresStore, undefined, [{}])).toThrow(TypeError)
  })

  describe('checkPostgres', () => {
    it('finds nothing to say about a primary with the schema', async () => {
      expect(await checkPostgres(pool, { sessionTable: 'session' })).toEqual([])
    })

    it('reports what is missing or set wrong, each in words', async () => {
      const other = new pg.Pool({
        connectionString: server.url,
        options: '-c search_path=pg_catalog -c synchronous_commit=off -c default_transaction_isolation=serializable',
      })
      try {
        expect(await checkPostgres(other, { sessionTable: 'nowhere' })).toEqual([
          expect.stringMatching(/missing.*applySchema/),
          expect.stringMatching(/isolation is serializable.*read committed/),
          expect.stringMatching(/synchronous_commit is off/),
          expect.stringMatching(/session table/),
        ])
      } finally {
        await other.end()
      }
    })

    it('reports a stand-by', async () => {
      const standby = await startPostgres()
      const connected = new pg.Pool({ connectionString: standby.url })
      connected.on('error', () => {})
      try {
        await applySchema(connected)
        await connected.end()
        await standby.becomeStandby()
        const reading = new pg.Pool({ connectionString: standby.url })
        reading.on('error', () => {})
        expect(await checkPostgres(reading)).toEqual([expect.stringMatching(/stand-by.*primary/)])
        await reading.end()
      } finally {
        await standby.stop()
      }
    })
  })
})

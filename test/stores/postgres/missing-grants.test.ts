// A database whose schema another role owns: what the application's role may not do is said before the first login,
// with the statements that mend it; and they do.
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { createBackchannelLogout } from '../../../src/index.js'
import { applySchema, checkPostgres } from '../../../src/stores/postgres/apply-schema.js'
import { postgresStore } from '../../../src/stores/postgres/postgres-store.js'
import { logoutStoreContract } from '../../../src/testing/logout-store/contract.js'
import { postgresServer, type RunningPostgres, startPostgres } from '../../servers/postgres.js'
import { describeWith } from '../../servers/processes.js'

const provider = { issuer: 'https://op.example.com', clientId: 'rp' }
const claims = () => ({ iss: provider.issuer, aud: 'rp', sub: 'ada', sid: 's', iat: Math.floor(Date.now() / 1000) })

describeWith(postgresServer, 'PostgreSQL')('a role that does not own the schema', () => {
  let server: RunningPostgres
  let owner: pg.Pool
  let application: pg.Pool
  beforeAll(async () => {
    server = await startPostgres()
    const url = new URL(server.url)
    url.username = 'Web app'
    const options = '-c search_path=own'
    owner = new pg.Pool({ connectionString: server.url, options })
    await owner.query('CREATE ROLE "Web app" LOGIN; CREATE SCHEMA own')
    await applySchema(owner)
    await owner.query('CREATE TABLE session (sid varchar PRIMARY KEY, sess json NOT NULL, expire timestamp NOT NULL)')
    application = new pg.Pool({ connectionString: url.href, options })
  })
  afterAll(async () => {
    await application.end()
    await owner.end()
    await server.stop()
  })
  beforeEach(() =>
    owner.query(`
      REVOKE ALL ON SCHEMA own FROM "Web app"; REVOKE ALL ON ALL TABLES IN SCHEMA own FROM "Web app";
      REVOKE ALL ON ALL FUNCTIONS IN SCHEMA own FROM "Web app"; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA own TO PUBLIC;
      GRANT USAGE ON SCHEMA own TO "Web app";
      GRANT SELECT, INSERT, UPDATE, DELETE ON bcl_session, bcl_mark, bcl_jti, bcl_log TO "Web app"`),
  )

  const lacking = {
    'the use of the schema': 'REVOKE ALL ON SCHEMA own FROM "Web app"',
    'every table': 'REVOKE ALL ON ALL TABLES IN SCHEMA own FROM "Web app"',
    'one right on one table': 'REVOKE UPDATE ON bcl_log FROM "Web app"',
    'the functions': 'REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA own FROM PUBLIC',
    'all of it': `REVOKE ALL ON SCHEMA own FROM "Web app"; REVOKE ALL ON ALL TABLES IN SCHEMA own FROM "Web app";
      REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA own FROM PUBLIC`,
  }

  it.each(Object.entries(lacking))(
    'without %s: is told so, once, and with statements that mend it',
    async (_, revoke) => {
      await owner.query(revoke)
      const problems = await checkPostgres(application)
      expect(problems).toEqual([expect.stringMatching(/^The role "Web app" may not use the logout store.*GRANT .*;$/)])
      await owner.query(problems[0]?.replace(/^.*?(?=GRANT)/, '') ?? '')
      expect(await checkPostgres(application)).toEqual([])
      await postgresStore(application).read('anything')
    },
  )

  it('with what is named has all that the store does, and pruning', async () => {
    await owner.query(Object.values(lacking).at(-1) ?? '')
    const [problem = ''] = await checkPostgres(application)
    await owner.query(problem.replace(/^.*?(?=GRANT)/, ''))
    const store = postgresStore(application)
    const now = async () => (await store.marks([])).now
    const cases = logoutStoreContract({
      create: async () => ({ store, now, another: async () => store, dispose() {} }),
    })
    // Those of a hundred sessions need no other right, and take a second each.
    for (const { name, run } of cases) if (!/many|hundred|thousand|page/.test(name)) await run()
    await application.query('SELECT bcl_prune(10)')
  })

  it('a login that is refused says what to do, and so does a logout that could not begin', async () => {
    await owner.query('REVOKE ALL ON ALL TABLES IN SCHEMA own FROM "Web app"')
    const logout = createBackchannelLogout({ provider, store: postgresStore(application), warnings: false })
    const denied = { reason: 'permission_denied', remedy: expect.stringContaining('checkPostgres(pool)') }
    await expect(logout.signOn(claims())).rejects.toMatchObject({ code: 'ERR_STORE', ...denied })
    expect((await logout.terminate({ ...provider, sub: 'ada' })).error).toMatchObject({ code: 'ERR_STORE', ...denied })
    logout.close()
  })

  it('the session table: rows that a logout may not delete are told, in a schema of its own too', async () => {
    const sessionTable = 'own.session'
    expect(await checkPostgres(application, { sessionTable })).toEqual([
      expect.stringMatching(/GRANT SELECT, DELETE ON own\.session TO "Web app"/),
    ])
    await owner.query('GRANT SELECT, DELETE ON session TO "Web app"')
    expect(await checkPostgres(application, { sessionTable })).toEqual([])
    await owner.query('CREATE SCHEMA hidden; CREATE TABLE hidden.session (sid text)')
    expect(await checkPostgres(application, { sessionTable: 'hidden.session' })).toEqual([
      expect.stringMatching(/GRANT USAGE on its schema/),
    ])
    expect(await checkPostgres(application, { sessionTable: 'own.nowhere' })).toEqual([
      expect.stringMatching(/not in this database/),
    ])
  })
})

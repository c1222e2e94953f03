// Creates what the store needs in a database, and looks whether it is there. Drops and changes nothing else.
import { assertOptions } from '../../option-checks.js'
import { FUNCTIONS_DIGEST, SCHEMA, SCHEMA_VERSION } from './generated/schema.js'
import { missingGrants, missingOfSessionTable } from './missing-grants.js'
import type { PostgresPool } from './postgres-store.js'

/**
 * Creates the tables and functions of the logout store in the first schema of the `search_path`, or brings those of an
 * earlier version of this package up to date with what is in them. May be called at every start and by every node at
 * once. Rejects, and changes nothing, where the schema is already that of a later version. The same as
 * `psql "$DATABASE_URL" --single-transaction -f schema.sql`, for which the file is in the package
 * (`src/stores/postgres/generated/schema.sql`). Needs the right to create tables and functions; where another role has
 * that, the application's needs what `checkPostgres` says.
 */
export async function applySchema(pool: { query(text: string): Promise<unknown> }): Promise<void> {
  await pool.query(SCHEMA)
}

/**
 * Deletes what expired, in batches, and resolves to the number of rows. The store prunes with one in sixteen of its
 * writes, so this is only for databases that stood idle; any node may call it at any time.
 */
export async function prunePostgres(pool: PostgresPool, options: { readonly batch?: number } = {}): Promise<number> {
  assertOptions('prunePostgres()', options, { batch: true })
  const { batch = 1000 } = options
  for (let total = 0; ; ) {
    const { rows } = await pool.query('SELECT bcl_prune($1)::integer AS pruned', [batch])
    const pruned = Number(rows[0]?.pruned)
    total += pruned
    if (pruned === 0) return total
  }
}

/**
 * What is amiss with this database, one sentence each with its remedy; empty if nothing is. Looks with the rights of
 * the pool's own role, and names the `GRANT` that this lacks. For the start of your application:
 *
 * `for (const problem of await checkPostgres(pool)) console.warn(problem)`
 *
 * Rejects if the database does not answer.
 */
export async function checkPostgres(
  pool: PostgresPool,
  options: { readonly sessionTable?: string } = {},
): Promise<readonly string[]> {
  assertOptions('checkPostgres()', options, { sessionTable: true })
  const { rows } = await pool.query(
    `SELECT to_regclass('bcl_session') IS NOT NULL AND to_regclass('bcl_log') IS NOT NULL AS has_tables,
            to_regprocedure('bcl_begin(jsonb)') IS NOT NULL AS has_functions,
            to_regprocedure('bcl_functions()') IS NOT NULL AS says_which,
            pg_is_in_recovery() AS is_standby,
            current_setting('default_transaction_isolation') AS isolation,
            current_setting('synchronous_commit') AS synchronous_commit,
            current_setting('server_version_num')::integer AS version`,
    [],
  )
  const grants = await missingGrants(pool)
  const found = rows[0] ?? {}
  const hasSchema = found.has_tables === true && found.has_functions === true
  const problems = [
    Number(found.version) < 130_000 && 'This PostgreSQL is too old: version 13 or later is needed.',
    grants?.problem,
    !hasSchema &&
      grants === undefined &&
      'The tables or functions of the logout store are missing (bcl_session, bcl_begin …): call applySchema(pool), or run ' +
        'psql with schema.sql, on this database and in the search_path of this pool.',
    hasSchema &&
      grants?.hidesFunctions !== true &&
      !(found.says_which === true && (await hasCurrentVersion(pool))) &&
      'The schema of the logout store is of another version than this package: call applySchema(pool) once more.',
    found.is_standby === true &&
      'The pool is connected to a stand-by. A stand-by may not have heard of a logout yet, so a session would live on: ' +
        'connect to the primary.',
    found.isolation !== 'read committed' &&
      `default_transaction_isolation is ${String(found.isolation)}, but the logout store needs read committed: set it for ` +
        'the role or the connections of this pool.',
    found.synchronous_commit === 'off' &&
      'synchronous_commit is off: a crash can lose a logout that was acknowledged. Set it to on for this role or database.',
    options.sessionTable !== undefined && (await missingOfSessionTable(pool, options.sessionTable)),
  ]
  return problems.filter((problem) => typeof problem === 'string')
}

async function hasCurrentVersion(pool: PostgresPool): Promise<boolean> {
  const { rows } = await pool.query('SELECT bcl_version() AS version, bcl_functions() AS functions', [])
  return rows[0]?.version === SCHEMA_VERSION && rows[0]?.functions === FUNCTIONS_DIGEST
}

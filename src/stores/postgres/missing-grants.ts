// What the role of a pool may not do of what the store's functions do, and the GRANT that mends it. The functions run
// with the rights of whoever calls them (SECURITY INVOKER), so each table of theirs has to be granted, too.
import type { PostgresPool } from './postgres-store.js'

/** `FOR UPDATE` needs UPDATE, also of the log, whose rows never change. */
const TABLES = ['bcl_session', 'bcl_mark', 'bcl_jti', 'bcl_log']

/**
 * The schema of the store's tables, whether or not this role can see them: names in a schema without USAGE are not
 * found, and would seem to be missing.
 */
const STORE = `
  SELECT quote_ident(current_user) AS role, quote_ident(n.nspname) AS schema,
         has_schema_privilege(n.oid, 'USAGE') AS may_use,
         ARRAY(SELECT c.relname::text FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = ANY ($1::text[])
           AND NOT (has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT')
             AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE')) ORDER BY 1) AS tables,
         ARRAY(SELECT p.proname::text FROM pg_proc p WHERE p.pronamespace = n.oid AND starts_with(p.proname, 'bcl_')
           AND NOT has_function_privilege(p.oid, 'EXECUTE') ORDER BY 1) AS functions
    FROM pg_namespace n JOIN pg_class s ON s.relnamespace = n.oid AND s.relname = 'bcl_session'
   WHERE s.oid = to_regclass('bcl_session')
      OR to_regclass('bcl_session') IS NULL AND NOT has_schema_privilege(n.oid, 'USAGE')
         AND (quote_ident(n.nspname) = ANY (regexp_split_to_array(current_setting('search_path'), '\\s*,\\s*'))
           OR n.nspname = current_user AND strpos(current_setting('search_path'), '"$user"') > 0)
   LIMIT 1`

/** connect-pg-simple's own rights are its own matter: a logout looks for rows here and deletes them. */
const SESSION_TABLE = `
  SELECT quote_ident(current_user) AS role, table_of.name IS NOT NULL AS is_there,
         has_table_privilege(table_of.name, 'SELECT') AND has_table_privilege(table_of.name, 'DELETE') AS may_delete
    FROM (SELECT to_regclass($1::text)::oid AS name) table_of`

export interface MissingGrants {
  /** One sentence, with the statements. */
  readonly problem: string
  /** The store's functions cannot even be called. */
  readonly hidesFunctions: boolean
}

/** Undefined where nothing is missing, or there is no store yet. */
export async function missingGrants(pool: PostgresPool): Promise<MissingGrants | undefined> {
  const { rows } = await pool.query(STORE, [TABLES])
  const { role, schema, may_use: mayUse, tables, functions } = rows[0] ?? {}
  if (rows[0] === undefined) return undefined
  const named = [tables, functions].map((names) => (Array.isArray(names) ? names.map(String) : []))
  const [denied = [], uncalled = []] = named
  const tablesDenied = denied.map((each) => `${schema}.${each}`).join(', ')
  const grants = [
    mayUse !== true && `USAGE ON SCHEMA ${schema}`,
    denied.length > 0 && `SELECT, INSERT, UPDATE, DELETE ON ${tablesDenied}`,
    uncalled.length > 0 && `EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema}`,
  ].flatMap((right) => (right === false ? [] : [`GRANT ${right} TO ${role};`]))
  if (grants.length === 0) return undefined
  return {
    problem:
      `The role ${role} may not use the logout store, so that each login and each logout would fail: let the owner of ` +
      `its schema run ${grants.join(' ')}`,
    hidesFunctions: mayUse !== true || uncalled.length > 0,
  }
}

/** One sentence, or undefined. */
export async function missingOfSessionTable(pool: PostgresPool, table: string): Promise<string | undefined> {
  // A schema that this role may not use: to_regclass gives null for what it cannot see only where none is named.
  const hidden: Awaited<ReturnType<PostgresPool['query']>> = { rows: [{ is_there: true, may_delete: false }] }
  const { rows } = await pool.query(SESSION_TABLE, [table]).catch((error: unknown) => {
    if (Reflect.get(Object(error), 'code') === '42501') return hidden
    throw error
  })
  const { role = '<role>', is_there: isThere, may_delete: mayDelete } = rows[0] ?? {}
  if (isThere !== true) {
    return 'The session table is not in this database: create it (table.sql of connect-pg-simple), or leave out sessionTable.'
  }
  if (mayDelete === true) return undefined
  return (
    `A logout may not destroy the rows of the session table: let its owner run GRANT SELECT, DELETE ON ${table} TO ${role}; ` +
    'and GRANT USAGE on its schema, or leave out sessionTable.'
  )
}

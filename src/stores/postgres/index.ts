// The face of `oidc-backchannel-logout/postgres`: named re-exports, nothing else.
/** @module oidc-backchannel-logout/postgres */
export type { LogPage, LogStore } from '../log-store.js'
export { applySchema, checkPostgres, prunePostgres } from './apply-schema.js'
export { type PostgresPool, type PostgresStoreOptions, postgresStore } from './postgres-store.js'

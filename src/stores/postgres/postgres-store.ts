// The logout store in PostgreSQL: each method is one statement, a call of a function of sql/functions. Knows a pool by
// its shape and imports no driver.
import type { TargetKey } from '../../marks/target.js'
import { assertOptions } from '../../option-checks.js'
import type { LogPage, LogStore } from '../log-store.js'
import { positionOf } from '../logout-position.js'
import type {
  BeginLogout,
  BegunLogout,
  BoundState,
  CompleteLogout,
  FoundMarks,
  ListedSessions,
  LocallyEnded,
  NewBinding,
  SessionState,
} from '../logout-store.js'
import { JTI_SPARE_SECONDS } from '../logout-store.js'
import { permissionDenied, Reply } from '../reply.js'

/** A pool of `pg`, or anything that runs one parametrized statement on the **primary**. */
export interface PostgresPool {
  query(text: string, values: unknown[]): Promise<{ readonly rows: readonly Readonly<Record<string, unknown>>[] }>
}

/** Options of `postgresStore`. */
export interface PostgresStoreOptions {
  /**
   * The table of connect-pg-simple, usually `session`, if its sessions are in this same database and nothing but
   * destroying them is to be done: a logout then destroys them in its one statement. A name as in SQL, with its schema
   * where needed.
   */
  readonly sessionTable?: string
}

/** Deadlock and serialization failure: the statement did nothing and may be said again. */
const AGAIN = ['40001', '40P01']
const TRIES = 5
const INSUFFICIENT_PRIVILEGE = '42501'

/**
 * A logout store for any number of nodes. One round trip per method.
 *
 * The schema must have been applied (`applySchema`, or `psql -f schema.sql`); `checkPostgres` says what is amiss. What
 * it acknowledged survives a crash if `synchronous_commit` is not off, and a fail-over if the stand-by is synchronous.
 */
export function postgresStore(pool: PostgresPool, options: PostgresStoreOptions = {}): LogStore {
  if (typeof pool?.query !== 'function') {
    throw new TypeError('postgresStore(pool): the pool has no query method; give a Pool of pg')
  }
  assertOptions('postgresStore()', options, { sessionTable: true })
  return new PostgresStore(pool, options.sessionTable)
}

class PostgresStore implements LogStore {
  readonly #pool: PostgresPool
  readonly #sessionTable: string | undefined

  constructor(pool: PostgresPool, sessionTable: string | undefined) {
    this.#pool = pool
    this.#sessionTable = sessionTable
  }

  async bind(login: NewBinding): Promise<BoundState> {
    const reply = await this.#call('bcl_bind', {
      id: login.sessionId,
      sub: login.subKey,
      sid: login.sidKey,
      iat: login.issuedAt,
      started: login.startedAt,
      exp: login.expiresAt,
      ends: login.endsAt,
      idle: login.idleSeconds,
      about: login.about,
      tokens: login.tokenKeys,
    })
    return { ...reply.boundState(login.sessionId), now: reply.number('now') }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    if (fromSessionId === toSessionId) return this.read(toSessionId)
    const reply = await this.#call('bcl_rebind', { old: fromSessionId, new: toSessionId, exp: expiresAt })
    return reply.state(toSessionId)
  }

  async list({ scope, key }: TargetKey, cursor?: string): Promise<ListedSessions> {
    return (await this.#call('bcl_list', { scope, key, after: cursor })).listedSessions()
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    await this.#call('bcl_renew', { id: sessionId, exp: expiresAt })
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    return (await this.#call('bcl_add_tokens', { id: sessionId, tokens: tokenKeys })).state(sessionId)
  }

  async read(sessionId: string): Promise<SessionState> {
    return (await this.#call('bcl_read', { id: sessionId })).state(sessionId)
  }

  async marks(keys: readonly string[]): Promise<FoundMarks> {
    const reply = await this.#call('bcl_marks', { keys })
    return { now: reply.number('now'), marks: reply.marks('marks') }
  }

  async endSessions(
    sessionIds: readonly string[],
    expiresAt: number,
    sparedIds: readonly string[] = [],
  ): Promise<LocallyEnded> {
    const reply = await this.#call('bcl_end_sessions', { ids: sessionIds, exp: expiresAt, spared: sparedIds })
    return { sessionIds: reply.texts('ids'), tokenKeys: reply.texts('tokens') }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await this.#call('bcl_unbind', { ids: sessionIds })
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const from = positionOf(logout.cursor)
    const reply = await this.#call('bcl_begin', {
      scope: logout.target.scope,
      key: logout.target.key,
      sub: logout.target.subKey ?? '',
      iat: from === undefined ? logout.issuedAt : from.issuedAt,
      seen: from?.seenAt,
      part: from?.part,
      after: from?.after,
      jti: logout.jti?.key,
      jtiExp: logout.jti && logout.jti.expiresAt + JTI_SPARE_SECONDS,
      marksExp: logout.marksExpireAt,
      ago: logout.seenSecondsAgo,
      mayDestroy: logout.mayDestroy,
      sessionTable: this.#sessionTable,
    })
    return reply.begunLogout()
  }

  async complete(logout: CompleteLogout): Promise<void> {
    const { jti, done, destroyedIds } = logout
    const remembered = jti && { jti: jti.key, jtiExp: jti.expiresAt + JTI_SPARE_SECONDS }
    await this.#call('bcl_complete', { ids: destroyedIds, done, ...remembered })
  }

  async pull(cursor?: string): Promise<LogPage> {
    const [after, readAt] = cursor?.split('|') ?? []
    const reply = await this.#call('bcl_pull', { after, readAt: readAt === undefined ? undefined : Number(readAt) })
    const now = reply.number('now')
    return {
      cursor: `${reply.text('xmin')}|${now}`,
      now,
      reset: reply.flag('reset'),
      marks: reply.marks('marks'),
      sessionIds: reply.texts('ids'),
      endedIds: reply.texts('ended'),
      moves: pairsOf(reply.texts('moves')),
    }
  }

  async isBound(key: string): Promise<boolean> {
    return (await this.#call('bcl_is_bound', { key })).flag('bound')
  }

  async #call(name: string, args: object): Promise<Reply> {
    const values = [JSON.stringify(args)]
    for (let left = TRIES; ; left--) {
      try {
        const { rows } = await this.#pool.query(`SELECT ${name}($1::jsonb) AS reply`, values)
        return new Reply(rows[0]?.reply)
      } catch (error) {
        if (sqlState(error) === INSUFFICIENT_PRIVILEGE) throw permissionDenied(error)
        if (left <= 1 || !AGAIN.includes(sqlState(error))) throw error
      }
    }
  }
}

/** All the first ones, then all the second ones. */
function pairsOf(texts: readonly string[]): readonly (readonly [string, string])[] {
  const half = texts.length / 2
  return texts.slice(0, half).map((text, i) => [text, texts[half + i] ?? ''])
}

function sqlState(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

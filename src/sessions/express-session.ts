// express-session as a session backend: any of its stores, and the requests that went through `session()`.
// Knows the store contract of express-session 1.x and nothing of any driver.
import { within } from '../deadline.js'
import { assertOptions } from '../option-checks.js'
import type { LocalSession, SessionBackend } from './session-backend.js'
import { keepCookieCapped, namesIn, rowExpiry, type StoredSession, stamp } from './session-row.js'
import { type ExpressSessionStore, protectionOf } from './store-protection.js'

export type { ExpressSessionStore } from './store-protection.js'

/** A request that went through `session()`, or the session's id and expiry where another framework holds the store. */
export type SessionRequest =
  | {
      readonly sessionID?: string | undefined
      readonly session?: StoredSession | null | undefined
      readonly sessionStore?: unknown
    }
  | LocalSession

/** Options of `expressSessions`. */
export interface ExpressSessionsOptions {
  /**
   * Reads each destroyed session back, and takes it for failed if it is still there: for stores that report a success
   * they did not have (one read more per destroyed session). Default `false`.
   */
  readonly verifyDestroyed?: boolean
  /**
   * Whether a stored session holds a user of the OpenID Provider, e.g. `(session) => session.passport !== undefined`.
   * Such a session is believed only while a login is bound to it. Passport saves the session with the user in it
   * *before* `bind` can be called; without this option, a process that dies in between leaves a session that no logout
   * finds. Sessions for which it says `false` (a password login) are left alone. What it throws counts as `true`.
   */
  readonly mustBeBound?: (session: Readonly<Record<string, unknown>>) => boolean
  /**
   * Every session of these clients is in this store, whichever application or process it is of. Then
   * `logout.sessions.list` and `.count` leave out those of which only the row is gone, by time or by hand (one read more
   * per session). Where it is not so they would hide sessions that live. Default `false`.
   */
  readonly holdsAllSessions?: boolean
}

/**
 * Sessions of express-session. The store is patched in place when the receiver is created, so create the receiver
 * before `session({ store })` is called: express-session looks at `touch` only then.
 *
 * From then on a dead session's `get` finds nothing, a late `set` or `touch` does not bring it back, `regenerate`
 * carries the sign-on to the new id, and `destroy` ends the sign-on for good.
 *
 * @throws TypeError for what is no session store, and for an option it does not know
 */
export function expressSessions(
  store: ExpressSessionStore,
  options: ExpressSessionsOptions = {},
): SessionBackend<SessionRequest> {
  if (typeof store?.get !== 'function' || typeof store.set !== 'function' || typeof store.destroy !== 'function') {
    throw new TypeError(
      'expressSessions() needs the session store itself, the one that session({ store }) is given: ' +
        'an object with get, set and destroy',
    )
  }
  assertOptions('expressSessions()', options, { verifyDestroyed: true, mustBeBound: true, holdsAllSessions: true })
  const { verifyDestroyed = false, mustBeBound, holdsAllSessions = false } = options
  if (mustBeBound !== undefined && typeof mustBeBound !== 'function') {
    throw new TypeError('mustBeBound must be a function of the stored session that returns true or false')
  }
  const protection = protectionOf(store)
  return {
    sessionStore: store,
    outlivesProcess: SHARED_STORES.includes(store.constructor?.name),
    sessionOf: (req) => {
      assertRequest(req)
      assertSameStore(req, store)
      return localSessionOf(req)
    },
    refuse: async (req) => {
      if (isRequest(req)) await endInItsOwnStore(req)
    },
    destroy: (sessionId) => protection.destroyRow(sessionId, verifyDestroyed),
    read: (sessionId) => protection.readRow(sessionId),
    ...(holdsAllSessions && { hasRow: async (id: string) => (await protection.readRow(id)) !== undefined }),
    namesOf: async (sessionId) => namesIn((await protection.readRow(sessionId)) ?? {}),
    protect: (guard) => {
      if (mustBeBound !== undefined) protection.addRule(mustBeBound)
      protection.add(guard)
    },
    bound: (req, limits = {}, names) => {
      if (!('session' in req) || !req.session) return
      stamp(req.session, names)
      keepCookieCapped(req.session, limits)
    },
    released: (req, guard) => protection.release(req, localSessionOf(req)?.sessionId, guard),
  }
}

/**
 * Class names of the stores whose rows outlive the process: connect-redis, connect-pg-simple, connect-mongo and their
 * like.
 */
const SHARED_STORES: readonly (string | undefined)[] = [
  'RedisStore',
  'PGStore',
  'MongoStore',
  'MongoDBStore',
  'MySQLStore',
  'SequelizeStore',
  'KnexStore',
  'TypeormStore',
  'PrismaSessionStore',
  'DynamoDBStore',
  'FirestoreStore',
  'MemcachedStore',
  'CassandraStore',
  'CouchbaseStore',
  'MSSQLStore',
  'SQLiteStore',
  'SqliteStore',
  'FileStore',
  'ValkeyStore',
  'IoRedisStore',
]

function isRequest(req: unknown): boolean {
  return typeof req === 'object' && req !== null
}

/** What was given instead may be a session id: it is not repeated. */
function assertRequest(req: unknown): void {
  if (!isRequest(req)) throw new TypeError('A session is found by its request: give req itself, not its id')
}

/** express-session leaves the store of a request at it: to bind a session of another store would protect nothing. */
function assertSameStore(req: SessionRequest, store: ExpressSessionStore): void {
  const used: unknown = Reflect.get(req, 'sessionStore')
  if (used === undefined || used === store) return
  throw new TypeError(
    'The session of this request is not in the store that expressSessions(store) protects: ' +
      'give one and the same store object to expressSessions(store) and to session({ store })',
  )
}

/** Passport has saved the user before `bind` can be called: by the session's own means, since its store is not ours. */
async function endInItsOwnStore(req: SessionRequest): Promise<void> {
  const session: { destroy?: (done: () => void) => unknown } = Object('session' in req ? req.session : undefined)
  if (typeof session.destroy !== 'function') return
  const gone = new Promise<void>((resolve) => session.destroy?.(resolve))
  await within(REFUSE_SECONDS, gone).catch(() => {})
}

/** The request that waits is one of a program that was put together wrongly. */
const REFUSE_SECONDS = 1

function localSessionOf(req: SessionRequest): LocalSession | undefined {
  // A request may carry a property named `sessionId` for reasons of its own: express-session's own name comes first.
  if (!('sessionID' in req)) return 'sessionId' in req && typeof req.sessionId === 'string' ? req : undefined
  if (typeof req.sessionID !== 'string' || !req.session) return undefined
  return { sessionId: req.sessionID, expiresAt: rowExpiry(req.session) }
}

// The conformance matrix of express-session stores: whatever a request does, whenever the logout comes, who is still
// signed in? Knows the store contract of express-session, and of each store nothing but its methods.
import { AssertionError } from 'node:assert'
import { assertOptions, type OptionNames } from '../option-checks.js'
import type { ExpressSessionStore } from '../sessions/express-session.js'
import type { LogoutStore } from '../stores/logout-store.js'
import type { Stop } from './held-request.js'
import {
  SESSION_CONFIGURATIONS,
  SESSION_OPERATIONS,
  type SessionConfiguration,
  type SessionOperation,
} from './session-requests.js'
import { type SessionMiddleware, SessionStoreRp } from './session-store-rp.js'

/** What the matrix needs to be told. */
export interface SessionStoreMatrix {
  /** The default export of `express-session`. */
  readonly session: SessionMiddleware
  /** A new store for each configuration; it may share its server with others. */
  readonly createStore: () => ExpressSessionStore | Promise<ExpressSessionStore>
  /** False: the same receiver destroys the same rows, and the session store is left as it is. */
  readonly isProtected: boolean
  /** A new logout store for each configuration. Default: `memoryStore`. */
  readonly createLogoutStore?: () => LogoutStore | Promise<LogoutStore>
  /** Default: all of them. */
  readonly configurations?: readonly SessionConfiguration[]
  /** How long a call of the store may take until its callback is called. Seconds; default 5. */
  readonly storeTimeoutSeconds?: number
}

const NAMES: OptionNames<SessionStoreMatrix> = {
  session: true,
  createStore: true,
  isProtected: true,
  createLogoutStore: true,
  configurations: true,
  storeTimeoutSeconds: true,
}

/** One cell of the matrix and what was seen in it. */
export interface SessionStoreCell {
  readonly configuration: SessionConfiguration
  readonly operation: SessionOperation
  /**
   * When the logout came. `after set (call 2)`: the request's second call to the store was carried out, and not yet
   * answered.
   */
  readonly moment: string
  readonly logoutBy: 'sid' | 'sub'
  /** What still shows the user: a cookie that was issued for the ended sign-on, or a row of the store. */
  readonly survivors: readonly ('first cookie' | 'new cookie' | 'row')[]
  /** Who should have lived and does not. */
  readonly wronglyEnded: readonly ('other device' | 'other user' | 'next login')[]
}

/**
 * Runs the matrix over real HTTP and the real session middleware: for each configuration and operation, a logout before
 * the handler acts, before and after each call that the request makes to the store's own methods, and after the
 * response, by `sid` and by `sub`. A store is safe if no cell has a survivor, and exact if no cell has wrongly ended
 * anybody. Rejects with an `AssertionError` that names the method where a call is not called back in time.
 */
export async function runSessionStoreMatrix(matrix: SessionStoreMatrix): Promise<readonly SessionStoreCell[]> {
  assertOptions('runSessionStoreMatrix()', matrix, NAMES)
  const cells: SessionStoreCell[] = []
  const configurations = matrix.configurations ?? names(SESSION_CONFIGURATIONS)
  for (const configuration of configurations) {
    const rp = await startRp(matrix, configuration)
    try {
      for (const operation of names(SESSION_OPERATIONS)) {
        for (const logoutBy of ['sid', 'sub'] as const) {
          for await (const seen of momentsOf(rp, operation, logoutBy)) {
            cells.push({ configuration, operation, logoutBy, ...seen })
          }
        }
      }
    } finally {
      await rp.close()
    }
  }
  return cells
}

/**
 * The matrix for your own store in one line: rejects with an `AssertionError` that says which requests bring an ended
 * session back, or sign somebody out who was not named, or which method of the store never calls back. Takes about a
 * minute.
 */
export async function assertSessionStoreIsSafe(matrix: Omit<SessionStoreMatrix, 'isProtected'>): Promise<void> {
  const { isProtected: _, ...names } = NAMES
  assertOptions('assertSessionStoreIsSafe()', matrix, names)
  const cells = await runSessionStoreMatrix({ ...matrix, isProtected: true })
  const wrong = cells.flatMap(({ configuration, operation, moment, logoutBy, survivors, wronglyEnded }) => {
    const where = `a request that ${operation}, with ${configuration}, and a logout by ${logoutBy} ${moment}`
    return [
      ...survivors.map((each) => `${where}: the ${each} still shows the user`),
      ...wronglyEnded.map((each) => `${where}: the ${each} was signed out as well`),
    ]
  })
  if (wrong.length === 0) return
  const shown = wrong.slice(0, 10)
  const more = wrong.length > shown.length ? `\n  and ${wrong.length - shown.length} more` : ''
  throw new AssertionError({
    message: `The session store is not safe in ${wrong.length} of ${cells.length} cases:\n  ${shown.join('\n  ')}${more}`,
  })
}

type LogoutBy = SessionStoreCell['logoutBy']
type Seen = Pick<SessionStoreCell, 'moment' | 'survivors' | 'wronglyEnded'>

async function* momentsOf(rp: SessionStoreRp, operation: SessionOperation, logoutBy: LogoutBy): AsyncGenerator<Seen> {
  const cell = (stop: Stop | undefined) => runCell(rp, operation, logoutBy, stop)
  const before = await cell({ at: 'handler' })
  const after = await cell(undefined)
  if (before === undefined || after === undefined)
    throw new Error(`The request that ${operation} never came to its handler`)
  yield before
  for (let call = 1; ; call++) {
    const started = await cell({ at: 'before', call })
    const finished = started && (await cell({ at: 'after', call }))
    if (started === undefined || finished === undefined) break // The request makes no such call.
    yield started
    yield finished
  }
  yield after
}

async function runCell(
  rp: SessionStoreRp,
  operation: SessionOperation,
  logoutBy: LogoutBy,
  stop: Stop | undefined,
): Promise<Seen | undefined> {
  const { user, gate } = rp.nextUser()
  const laptop = await rp.logIn(user, 'laptop')
  const phone = await rp.logIn(user, 'phone')
  const issuedBefore = rp.issuedIds.length

  const held = stop && gate.hold(stop)
  const response = rp.request(`/act?operation=${encodeURIComponent(operation)}`, laptop)
  let moment: string | undefined = 'after the response'
  if (held !== undefined) {
    moment = await Promise.race([held, response.then(() => undefined)])
    if (moment === undefined) gate.release()
    else await rp.endSignOn(user, logoutBy)
    gate.release()
  }
  const { cookie: newCookie } = await response
  if (moment === undefined) return undefined
  if (held === undefined) await rp.endSignOn(user, logoutBy)

  const ended = `${user}/laptop`
  const survivors: Seen['survivors'][number][] = []
  if ((await rp.whoIs(laptop)) === ended) survivors.push('first cookie')
  if (newCookie !== undefined && (await rp.whoIs(newCookie)) === ended) survivors.push('new cookie')
  const ids = [idOf(laptop), ...rp.issuedIds.slice(issuedBefore)]
  for (const id of ids) {
    if ((await rp.rowOf(id)) !== ended) continue
    survivors.push('row')
    break
  }

  const wronglyEnded: Seen['wronglyEnded'][number][] = []
  if (logoutBy === 'sid' && (await rp.whoIs(phone)) !== `${user}/phone`) wronglyEnded.push('other device')
  if ((await rp.whoIs(rp.otherUser)) !== 'other/laptop') wronglyEnded.push('other user')
  rp.advanceClock(1)
  const again = await rp.logIn(user, 'laptop-again', newCookie ?? laptop)
  if ((await rp.whoIs(again)) !== `${user}/laptop-again`) wronglyEnded.push('next login')
  return { moment, survivors, wronglyEnded }
}

async function startRp(matrix: SessionStoreMatrix, configuration: SessionConfiguration): Promise<SessionStoreRp> {
  const { session, isProtected, storeTimeoutSeconds = 5 } = matrix
  const [store, logoutStore] = [await matrix.createStore(), await matrix.createLogoutStore?.()]
  const rp = new SessionStoreRp({ session, isProtected, configuration, store, logoutStore, storeTimeoutSeconds })
  await rp.start()
  return rp
}

/** The id in a cookie of express-session: `connect.sid=s:<id>.<signature>`. */
function idOf(cookie: string): string {
  const value = decodeURIComponent(cookie.slice(cookie.indexOf('=') + 1))
  return value.slice(2, value.lastIndexOf('.'))
}

function names<K extends string>(table: Readonly<Record<K, unknown>>): readonly K[] {
  return Object.keys(table) as K[]
}

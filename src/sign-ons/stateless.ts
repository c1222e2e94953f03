// Sign-ons that a cookie carries: no session id and no row, so each record is judged by its own dates, and by its own
// id where it alone was ended. Knows no cookie.
import { randomUUID } from 'node:crypto'
import { LogoutError, NoVerdictError } from '../errors.js'
import { covers, type SignOn } from '../marks/covering.js'
import { type Client, sidKey, signOnKey, subKey } from '../marks/target.js'
import { isWholeSignOn } from '../sessions/stateless-guard.js'
import type { Login } from './login.js'
import { type SignOnsOptions, step } from './options.js'
import { isOver } from './session-limits.js'
import { askStoreTime, denialsUnder, startedAtStore } from './store-time.js'

/** A sign-on as a stateless session carries it: plain JSON, to be kept where the user cannot change it. */
export interface StatelessSignOn extends Client {
  /** Its own, so that it can be ended without the user's others. Records of earlier releases have none. */
  readonly id?: string
  readonly sub: string
  readonly sid?: string
  readonly issuedAt?: number
  /** When the login was begun, at the earliest, by the store's clock. */
  readonly startedAt?: number
  /** The store's clock when it was made; after `sessionLifetimeSeconds` it is over, since marks are kept no longer. */
  readonly boundAt: number
  /**
   * From then on it is over, whatever its cookie says: give the cookie the same end. Epoch seconds; absent where
   * nothing caps it.
   */
  readonly endsAt?: number
}

/** Makes the record of a stateless login, or `undefined` if a logout of that sign-on had come first. */
export async function signOn(login: Login, options: SignOnsOptions): Promise<StatelessSignOn | undefined> {
  const { client, sub, sid, issuedAt, endsAt } = login
  if (login.idleSeconds !== undefined) {
    throw new TypeError(
      'sessionIdleSeconds needs sessions in a store, since nothing here sees a cookie being used: leave it out for this provider and give the cookie a short life that rolls',
    )
  }
  let now: number
  try {
    now = await askStoreTime(options)
  } catch (cause) {
    throw new LogoutError('ERR_STORE', 'The login could not be checked against the marks', { cause })
  }
  const startedAt = await startedAtStore(login.startedAt, options)
  const { issuer, clientId } = client
  const record: StatelessSignOn = {
    id: randomUUID(),
    issuer,
    clientId,
    sub,
    ...(sid !== undefined && { sid }),
    ...(issuedAt !== undefined && { issuedAt }),
    ...(startedAt !== undefined && { startedAt }),
    boundAt: now,
    ...(endsAt !== undefined && { endsAt }),
  }
  const ended = !(await isLive(record, options))
  const isExpired = isOver(record, options.clock())
  options.emit({ type: 'bound', issuer, clientId, ended, ...(isExpired && { reason: 'session_expired' }) })
  return ended ? undefined : record
}

/**
 * Whether a stateless sign-on still lives. Rejects with `NoVerdictError` where that cannot be found out. One look-up.
 */
export async function isLive(record: StatelessSignOn, options: SignOnsOptions): Promise<boolean> {
  if (!isWholeSignOn(record) || isOver(record, options.clock())) return false
  if (options.deniedHere.wasEnded(signOnKey(record))) return false
  try {
    return await isUnmarked(record, options)
  } catch (cause) {
    throw new NoVerdictError(cause)
  }
}

/** Whether marks would still be there, and none of them covers it. */
async function isUnmarked(record: StatelessSignOn, options: SignOnsOptions): Promise<boolean> {
  const { store, storeClock, sessionLifetimeSeconds } = options
  const judged: SignOn = {
    subKey: subKey(record, record.sub),
    sidKey: record.sid === undefined ? undefined : sidKey(record, record.sid),
    issuedAt: record.issuedAt,
    startedAt: record.startedAt,
    boundAt: record.boundAt,
  }
  const keys = [judged.sidKey, judged.subKey, signOnKey(record)].filter((key) => key !== undefined)
  // One that is released while the store answers has a mark there that the answer may not have.
  const before = options.deniedHere.under(keys)
  const begun = storeClock.moment()
  const { now, marks, lags } = await step(options, store.marks(keys))
  if (lags !== true) storeClock.learn(now, begun)
  if (!(record.boundAt > now - sessionLifetimeSeconds)) return false
  const standing = [...marks, ...(await denialsUnder(keys, options, before))]
  return !standing.some((mark) => covers(mark, judged))
}

/**
 * Ends this one sign-on, wherever a copy of its cookie is; the user's others live, and so does the next login of the
 * same OP session. A record that is not whole is dead already. Rejects with `ERR_STORE` if its end could not be marked:
 * then only this process denies it, for a while.
 */
export async function endSignOn(record: StatelessSignOn | null | undefined, options: SignOnsOptions): Promise<void> {
  if (record === null || record === undefined || !isWholeSignOn(record)) return
  const { store, storeClock, deniedHere, emit, tell, marksLifetimeSeconds } = options
  const target = { scope: 'token', key: signOnKey(record) } as const
  deniedHere.sessionEnded(target.key)
  // Who was logged out before is not logged out by this. Where nobody knows, it is told.
  const isNews =
    tell !== undefined && !isOver(record, options.clock()) && (await isUnmarked(record, options).catch(() => true))
  const marksExpireAt = storeClock.expiry(marksLifetimeSeconds)
  try {
    await step(options, store.begin({ target, seenSecondsAgo: 0, marksExpireAt, mayDestroy: true }))
  } catch (cause) {
    throw new LogoutError('ERR_STORE', 'The end of the sign-on could not be marked', { cause })
  }
  emit({ type: 'unbound' })
  if (isNews) tell(record, record, { sessionIds: [], reason: 'local-logout', complete: true })
}

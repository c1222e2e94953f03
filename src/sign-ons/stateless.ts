// Sign-ons that a cookie carries: no session id and no row, so each record is judged by its own dates. Knows no cookie.
import { LogoutError, NoVerdictError } from '../errors.js'
import { covers } from '../marks/covering.js'
import { type Client, sidKey, subKey } from '../marks/target.js'
import { isWholeSignOn } from '../sessions/stateless-guard.js'
import type { Login } from './login.js'
import { type SignOnsOptions, step } from './options.js'

/** A sign-on as a stateless session carries it: plain JSON, to be kept where the user cannot change it. */
export interface StatelessSignOn extends Client {
  readonly sub: string
  readonly sid?: string
  readonly issuedAt?: number
  /** The store's clock when it was made; after `sessionLifetimeSeconds` it is over, since marks are kept no longer. */
  readonly boundAt: number
}

/** Makes the record of a stateless login, or `undefined` if a logout of that sign-on had come first. */
export async function signOn(login: Login, options: SignOnsOptions): Promise<StatelessSignOn | undefined> {
  const { client, sub, sid, issuedAt } = login
  let now: number
  try {
    now = (await step(options, options.store.marks([]))).now
  } catch (cause) {
    throw new LogoutError('ERR_STORE', 'The login could not be checked against the marks', { cause })
  }
  const { issuer, clientId } = client
  const record: StatelessSignOn = {
    issuer,
    clientId,
    sub,
    ...(sid !== undefined && { sid }),
    ...(issuedAt !== undefined && { issuedAt }),
    boundAt: now,
  }
  const ended = !(await isLive(record, options))
  options.emit({ type: 'bound', issuer, clientId, ended })
  return ended ? undefined : record
}

/**
 * Whether a stateless sign-on still lives. Rejects with `NoVerdictError` where that cannot be found out. One look-up.
 */
export async function isLive(record: StatelessSignOn, options: SignOnsOptions): Promise<boolean> {
  if (!isWholeSignOn(record)) return false
  const sub = subKey(record, record.sub)
  const sid = record.sid === undefined ? undefined : sidKey(record, record.sid)
  const keys = sid === undefined ? [sub] : [sid, sub]
  const judged = { subKey: sub, sidKey: sid, issuedAt: record.issuedAt, boundAt: record.boundAt }
  const { store, deniedHere, sessionLifetimeSeconds } = options
  try {
    const { now, marks } = await step(options, store.marks(keys))
    if (!(record.boundAt > now - sessionLifetimeSeconds)) return false
    const standing = [...marks, ...deniedHere.marksUnder(keys)]
    return !standing.some((mark) => covers(mark, judged))
  } catch (cause) {
    throw new NoVerdictError(cause)
  }
}

// One pass through a whole logout, page by page: mark -> evict claims -> destroy sessions -> announce -> unbind -> remember
// the jti. Whatever it could not do, the next pass finds again. Knows no answer and no retry.
import { monotonicSeconds, within } from '../deadline.js'
import { type ErrorCode, LogoutError } from '../errors.js'
import type { Mark } from '../marks/covering.js'
import type { Client } from '../marks/target.js'
import type { BegunLogout, LogoutStore } from '../stores/logout-store.js'
import type { StoreClock } from '../stores/store-clock.js'
import { inParallel, type Turns } from './background.js'
import type { ClaimsEvictor } from './claims-evictor.js'
import type { Denial, DeniedHere } from './denied-here.js'
import { isInterimId } from './interim-ids.js'
import type { EndedSessions, LogoutOrder } from './logout-order.js'

export interface PassOptions {
  readonly store: LogoutStore
  readonly destroySession: (sessionId: string) => Promise<void>
  readonly claims: ClaimsEvictor | undefined
  readonly onSessionsEnded: ((ended: EndedSessions) => void | Promise<void>) | undefined
  /** Ids that a session is known to have had before. */
  readonly earlierIds?: ((sessionId: string) => readonly string[]) | undefined
  readonly deniedHere: DeniedHere
  /** This process ends these sessions, and will have announced them. */
  readonly endedHere?: ((sessionIds: readonly string[]) => void) | undefined
  readonly clock: () => number
  readonly storeClock: StoreClock
  /** How long marks are kept: no session, token or cached claim may outlive them. */
  readonly marksLifetimeSeconds: number
  /** Deadline of each store call, each destruction and each hook. */
  readonly stepTimeoutSeconds: number
}

/** A logout that is not complete yet, over all its passes. */
export interface OpenLogout {
  readonly order: LogoutOrder
  /** By the monotonic clock. */
  readonly openedAt: number
  /** It came before now, as a pass was made of it or its token waited for keys: the next one is dated back to that. */
  tried: boolean
  /** The mark is in the store. */
  marked: boolean
  /** In this process alone. Once the mark is in the store, that denies on every node. */
  readonly denial: Denial
  /** Ids of the sessions that all its passes found, where somebody is to be told. */
  readonly foundIds?: Set<string> | undefined
  /**
   * The store was asked to remember the jti as completed, and the OP heard that it failed: to be opened again after each
   * pass, since the store may do the first as late as it likes.
   */
  toReopen: boolean
}

/** One pass, as whoever waits for its answer sees it. */
export interface PassUnderWay {
  /**
   * The OP has heard meanwhile that the logout is not complete. Then its jti is not remembered as completed, or the OP's
   * next try would be taken for a replay.
   */
  toldFailed: boolean
  /** The store was asked to remember the jti as completed. Until its reply, and without one, it may have done so. */
  mayBeCompleted: boolean
}

/** What came of one pass. */
export interface Passed {
  readonly replayed: boolean
  readonly marked: boolean
  readonly found: number
  readonly destroyed: number
  readonly mismatched: number
  readonly withoutSid: number
  readonly notDeleted: number
  readonly error?: LogoutError | undefined
}

export const NOTHING_DONE: Passed = {
  replayed: false,
  marked: false,
  found: 0,
  destroyed: 0,
  mismatched: 0,
  withoutSid: 0,
  notDeleted: 0,
}

/** Sessions destroyed at one time for one logout. */
const DESTROY_CONCURRENCY = 16

type BegunPage = Exclude<BegunLogout, { readonly replayed: true }>

/**
 * Never rejects. `turns`: where many logouts wait, each takes one to write its mark, and none to destroy: no mark waits
 * for another logout's sessions.
 */
export async function passThrough(
  open: OpenLogout,
  underWay: PassUnderWay,
  turns: Turns,
  options: PassOptions,
): Promise<Passed> {
  const passed = await pages(open, underWay, turns, options)
  const heardFailed = underWay.toldFailed || passed.error !== undefined
  const isOpen = heardFailed ? await reopen(open, underWay, options) : undefined
  return isOpen === undefined ? passed : { ...passed, error: passed.error ?? isOpen }
}

async function pages(open: OpenLogout, underWay: PassUnderWay, turns: Turns, options: PassOptions): Promise<Passed> {
  let total = NOTHING_DONE
  for (let cursor: string | undefined, page = 0; ; page++) {
    let begun: BegunLogout
    try {
      begun = await turns(() => step(options, begin(open, cursor, underWay, options)))
    } catch (cause) {
      const error = failure('ERR_STORE', 'The logout store could not begin the logout', cause)
      return { ...total, error: total.error ?? error }
    }
    if (begun.replayed) {
      underWay.mayBeCompleted = false
      return page === 0 ? { ...total, replayed: true } : total
    }
    underWay.mayBeCompleted = begun.finished && open.order.jti !== undefined
    open.marked = true
    options.deniedHere.release(open.denial)
    total = added(total, await endPage(open, begun, total.error, underWay, options))
    // The cursor goes past sessions that could not be destroyed: the others need not wait for them.
    if (!begun.more || begun.cursor === undefined) return total
    cursor = begun.cursor
  }
}

/** The first steps, up to the one after which the OP's tries may be refused, are the store's alone. */
function begin(
  open: OpenLogout,
  cursor: string | undefined,
  underWay: PassUnderWay,
  options: PassOptions,
): Promise<BegunLogout> {
  const { store, storeClock, claims, onSessionsEnded, marksLifetimeSeconds } = options
  const { key, issuedAt, jti } = open.order
  const seenSecondsAgo = open.tried ? Math.max(0, monotonicSeconds() - open.openedAt) : 0
  open.tried = true
  const mayDestroy = claims === undefined && onSessionsEnded === undefined && !underWay.toldFailed
  underWay.mayBeCompleted = mayDestroy && jti !== undefined
  return store.begin({
    target: key,
    issuedAt,
    seenSecondsAgo,
    jti,
    marksExpireAt: storeClock.expiry(marksLifetimeSeconds),
    mayDestroy,
    cursor,
  })
}

async function endPage(
  open: OpenLogout,
  begun: BegunPage,
  earlierError: LogoutError | undefined,
  underWay: PassUnderWay,
  options: PassOptions,
): Promise<Passed> {
  const { order } = open
  const { sessionIds, mismatched, withoutSid, notDeleted, finished, more } = begun
  for (const sessionId of sessionIds) {
    options.deniedHere.sessionEnded(sessionId)
    open.foundIds?.add(sessionId)
  }
  options.endedHere?.(sessionIds)
  const about = { replayed: false, marked: true, found: sessionIds.length, mismatched, withoutSid, notDeleted }
  if (finished) return { ...about, destroyed: sessionIds.length }

  const notEvicted = await evict(order, begun, options)
  const destroyedIds = await destroy(sessionIds, options)
  const notAnnounced = await announce(order, sessionIds, options)
  const notFollowed = notEvicted ?? notAnnounced
  const destroyed = destroyedIds.length
  const notDestroyed =
    destroyed === sessionIds.length
      ? undefined
      : failure('ERR_SESSIONS', 'Not every session of the logout could be destroyed', undefined)
  const failed = earlierError ?? notDestroyed ?? notFollowed
  const done = failed === undefined && !more
  // Told "failed", the OP is to hear 200 at its next try: its jti is not remembered before that.
  const jti = done && !underWay.toldFailed ? order.jti : undefined
  if (jti !== undefined) underWay.mayBeCompleted = true
  // A session stays bound until all that hangs on it is done: the retry knows tokens and connections only through its
  // binding.
  const unbind = notFollowed === undefined ? destroyedIds : []
  const notCompleted = await complete({ jti, destroyedIds: unbind, done }, options)
  return { ...about, destroyed, error: failed ?? notCompleted }
}

/**
 * The OP hears "failed", or has heard it: its next try is no replay, wherever it arrives. The store may have completed
 * the jti all the same, when only its reply was lost or late, so it is told to open it again. Resolves to what kept it
 * from that: then the next pass tries again.
 */
export async function reopen(
  open: OpenLogout,
  underWay: PassUnderWay,
  options: PassOptions,
): Promise<LogoutError | undefined> {
  if (underWay.mayBeCompleted) open.toReopen = true
  const { jti } = open.order
  if (!open.toReopen || jti === undefined) return undefined
  return complete({ jti, destroyedIds: [], done: false }, options)
}

async function evict(order: LogoutOrder, { mark, tokenKeys }: BegunPage, options: PassOptions) {
  const { claims } = options
  if (claims === undefined) return undefined
  const ended: { readonly mark: Mark; readonly tokenKeys: readonly string[] } = { mark, tokenKeys }
  return hook(
    ['ERR_EVICT', 'Cached claims could not be evicted'],
    () => claims.evict({ target: order.key, ...ended }),
    options,
  )
}

async function announce(order: LogoutOrder, sessionIds: readonly string[], options: PassOptions) {
  const { client, reason } = order
  return announceEnded(client, reason, sessionIds, options)
}

/** Calls the application's hook, if there is one and anybody to name. Resolves to what went wrong. */
export async function announceEnded(
  client: Client | undefined,
  reason: string,
  sessionIds: readonly string[],
  options: Pick<PassOptions, 'onSessionsEnded' | 'earlierIds' | 'stepTimeoutSeconds'>,
): Promise<LogoutError | undefined> {
  const { onSessionsEnded, earlierIds } = options
  if (onSessionsEnded === undefined || sessionIds.length === 0) return undefined
  const all = new Set<string>()
  for (const id of sessionIds) {
    // What came before it was walked with it; a long chain is not to be walked once for each of its ids.
    if (all.has(id)) continue
    all.add(id)
    for (const earlier of earlierIds?.(id) ?? []) all.add(earlier)
  }
  const ids = [...all].filter((id) => !isInterimId(id))
  if (ids.length === 0) return undefined
  return hook(
    ['ERR_HOOK', 'The hook onSessionsEnded failed', 'onSessionsEnded'],
    () => onSessionsEnded({ issuer: client?.issuer, clientId: client?.clientId, sessionIds: ids, reason }),
    options,
  )
}

/** Calls a function of the application, for no longer than a step. Resolves to what went wrong. */
export async function hook(
  [code, sentence, option]: readonly [code: ErrorCode, sentence: string, option?: string],
  call: () => void | Promise<void>,
  options: Pick<PassOptions, 'stepTimeoutSeconds'>,
): Promise<LogoutError | undefined> {
  try {
    await step(options, Promise.resolve(call())) // Whatever a hook returns is no promise to be relied on.
    return undefined
  } catch (cause) {
    return new LogoutError(code, sentence, { cause, option })
  }
}

async function destroy(sessionIds: readonly string[], options: PassOptions): Promise<readonly string[]> {
  const destroyed: string[] = []
  await inParallel(DESTROY_CONCURRENCY, sessionIds, async (sessionId) => {
    try {
      await step(options, options.destroySession(sessionId))
      destroyed.push(sessionId)
    } catch {
      // Counted by its absence: the session is marked, stays bound, and the next pass finds it.
    }
  })
  return destroyed
}

async function complete(
  logout: Parameters<LogoutStore['complete']>[0],
  options: PassOptions,
): Promise<LogoutError | undefined> {
  try {
    await step(options, options.store.complete(logout))
    return undefined
  } catch (cause) {
    return failure('ERR_STORE', 'The logout store could not complete the logout', cause)
  }
}

function step<T>({ stepTimeoutSeconds }: Pick<PassOptions, 'stepTimeoutSeconds'>, work: Promise<T>): Promise<T> {
  return within(stepTimeoutSeconds, work)
}

function added(total: Passed, page: Passed): Passed {
  return {
    replayed: false,
    marked: true,
    found: total.found + page.found,
    destroyed: total.destroyed + page.destroyed,
    mismatched: total.mismatched + page.mismatched,
    withoutSid: total.withoutSid + page.withoutSid,
    notDeleted: total.notDeleted + page.notDeleted,
    error: total.error ?? page.error,
  }
}

export function failure(code: ErrorCode, message: string, cause: unknown): LogoutError {
  return new LogoutError(code, message, { cause })
}

// One pass through a whole logout, page by page: mark -> evict claims -> destroy sessions -> announce -> unbind ->
// remember the jti. Whatever it could not do, the next pass finds again. Knows no answer and no retry.
import { monotonicSeconds } from '../deadline.js'
import { type ErrorCode, LogoutError } from '../errors.js'
import type { LogoutStep } from '../events.js'
import type { Mark } from '../marks/covering.js'
import type { BegunLogout, LogoutStore } from '../stores/logout-store.js'
import type { StoreClock } from '../stores/store-clock.js'
import { inParallel, type Turns } from './background.js'
import type { ClaimsEvictor } from './claims-evictor.js'
import type { Denial, DeniedHere } from './denied-here.js'
import { announceEnded, type HookOptions, hook, step } from './hooks.js'
import type { LogoutOrder } from './logout-order.js'
import type { StepTimes } from './step-times.js'
import type { Afterwards, EndingSessions, TokensOfSessions } from './tokens-of-sessions.js'

export interface PassOptions extends HookOptions {
  readonly store: LogoutStore
  readonly destroySession: (sessionId: string) => Promise<void>
  readonly claims: ClaimsEvictor | undefined
  /** Sees to the refresh tokens that are kept in sessions. */
  readonly tokens?: TokensOfSessions | undefined
  readonly deniedHere: DeniedHere
  /** This process ends these sessions, and is about to announce them: until the returned function is called. */
  readonly endsHere?: ((sessionIds: readonly string[]) => () => void) | undefined
  /** This process ended these sessions, and has announced them. */
  readonly endedHere?: ((sessionIds: readonly string[]) => void) | undefined
  readonly clock: () => number
  readonly storeClock: StoreClock
  /** How long marks are kept: no session, token or cached claim may outlive them. */
  readonly marksLifetimeSeconds: number
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
   * Ids of sessions that it ended, and of which the application's hook has not heard yet. Another node that finishes
   * the logout calls a hook of its own, and leaves nothing that a later pass could find.
   */
  readonly unannounced: Set<string>
  /** What is to be begun when it has its answer. */
  readonly afterwards: Afterwards[]
  /**
   * The store was asked to remember the jti as completed, and the OP heard that it failed: to be opened again after
   * each pass, since the store may do the first as late as it likes.
   */
  toReopen: boolean
}

/** One pass, as whoever waits for its answer sees it. */
export interface PassUnderWay {
  /**
   * The OP has heard meanwhile that the logout is not complete. Then its jti is not remembered as completed, or the
   * OP's next try would be taken for a replay.
   */
  toldFailed: boolean
  /** The store was asked to remember the jti as completed. Until its reply, and without one, it may have done so. */
  mayBeCompleted: boolean
  readonly steps: StepTimes<LogoutStep>
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
    const marked = underWay.steps.begin('mark')
    try {
      begun = await turns(() => step(options, begin(open, cursor, underWay, options)))
      marked(false)
    } catch (cause) {
      marked(true)
      const error = failure('ERR_STORE', 'The logout store could not begin the logout', cause)
      return { ...total, error: total.error ?? error }
    }
    if (begun.replayed) {
      underWay.mayBeCompleted = false
      if (page > 0) return total
      const error = await announce(open, [...open.unannounced], underWay, options)
      return { ...total, replayed: error === undefined, marked: error !== undefined, error }
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
  // No page but the first can complete the jti, and so be taken for done by who heard that it failed.
  const isFirst = cursor === undefined
  const isAlone = claims === undefined && onSessionsEnded === undefined && options.tokens?.isWanted !== true
  const mayDestroy = isAlone && !(isFirst && underWay.toldFailed)
  underWay.mayBeCompleted = mayDestroy && isFirst && jti !== undefined
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
  const { sessionIds, mismatched, withoutSid, notDeleted, finished } = begun
  for (const sessionId of sessionIds) {
    options.deniedHere.sessionEnded(sessionId)
    open.foundIds?.add(sessionId)
    open.unannounced.add(sessionId)
  }
  const about = { replayed: false, marked: true, found: sessionIds.length, mismatched, withoutSid, notDeleted }
  if (finished) return { ...about, destroyed: sessionIds.length }
  const tried = options.endsHere?.(sessionIds)
  try {
    return { ...about, ...(await endFound(open, begun, earlierError, underWay, options)) }
  } finally {
    tried?.()
  }
}

async function endFound(
  open: OpenLogout,
  begun: BegunPage,
  earlierError: LogoutError | undefined,
  underWay: PassUnderWay,
  options: PassOptions,
): Promise<Pick<Passed, 'destroyed' | 'error'>> {
  const { order } = open
  const { sessionIds, more } = begun
  const isGone = begun.destroyed === true

  // Unbound as well: there is nothing that the next page would have to wait for.
  if (isGone && more) return { destroyed: sessionIds.length, error: earlierError }

  const notEvicted = await evict(order, begun, underWay, options)
  const { client, reason, revokeOfflineAccess, refreshTokens } = order
  const ending = { client, reason, revokeOfflineAccess, refreshTokens, sessionIds }
  const kept = options.tokens?.isWanted ? underWay.steps.begin('keep-tokens') : undefined
  const begin = await keepTokens(options.tokens, ending)
  kept?.(false)
  if (begin !== undefined) open.afterwards.push(begin)
  const destroyedIds = isGone ? sessionIds : await destroy(sessionIds, underWay, options)
  const notAnnounced = await announce(open, more ? sessionIds : [...open.unannounced], underWay, options)
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
  const unbind = notFollowed === undefined && !isGone ? destroyedIds : []
  const notCompleted = await complete('remember', { jti, destroyedIds: unbind, done }, underWay, options)
  return { destroyed, error: failed ?? notCompleted }
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
  return complete('reopen', { jti, destroyedIds: [], done: false }, underWay, options)
}

async function evict(
  order: LogoutOrder,
  { mark, tokenKeys }: BegunPage,
  { steps }: PassUnderWay,
  options: PassOptions,
) {
  const { claims } = options
  if (claims === undefined) return undefined
  const ended: { readonly mark: Mark; readonly tokenKeys: readonly string[] } = { mark, tokenKeys }
  const evicted = steps.begin('evict')
  const notEvicted = await hook(
    ['ERR_EVICT', 'Cached claims could not be evicted'],
    () => claims.evict({ target: order.key, ...ended }),
    options,
  )
  evicted(notEvicted !== undefined)
  return notEvicted
}

async function announce(
  { order: { client, reason }, unannounced }: OpenLogout,
  sessionIds: readonly string[],
  { steps }: PassUnderWay,
  options: PassOptions,
) {
  const announced = options.onSessionsEnded && sessionIds.length > 0 ? steps.begin('announce') : undefined
  const notAnnounced = await announceEnded(client, reason, sessionIds, options)
  announced?.(notAnnounced !== undefined)
  if (notAnnounced === undefined) {
    for (const id of sessionIds) unannounced.delete(id)
    options.endedHere?.(sessionIds)
  }
  return notAnnounced
}

/** Before the rows go. Resolves to what is to be begun when the logout has its answer, if there is anything. */
export async function keepTokens(
  tokens: TokensOfSessions | undefined,
  ending: EndingSessions,
): Promise<Afterwards | undefined> {
  return tokens?.isWanted && ending.sessionIds.length > 0 ? tokens.keep(ending) : undefined
}

async function destroy(
  sessionIds: readonly string[],
  { steps }: PassUnderWay,
  options: PassOptions,
): Promise<readonly string[]> {
  const destroyed: string[] = []
  if (sessionIds.length === 0) return destroyed
  const done = steps.begin('destroy')
  await inParallel(DESTROY_CONCURRENCY, sessionIds, async (sessionId) => {
    try {
      await step(options, options.destroySession(sessionId))
      destroyed.push(sessionId)
    } catch {
      // Counted by its absence: the session is marked, stays bound, and the next pass finds it.
    }
  })
  done(destroyed.length < sessionIds.length)
  return destroyed
}

async function complete(
  what: 'remember' | 'reopen',
  logout: Parameters<LogoutStore['complete']>[0],
  { steps }: PassUnderWay,
  options: PassOptions,
): Promise<LogoutError | undefined> {
  const completed = steps.begin(what)
  try {
    await step(options, options.store.complete(logout))
    completed(false)
    return undefined
  } catch (cause) {
    completed(true)
    return failure('ERR_STORE', 'The logout store could not complete the logout', cause)
  }
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

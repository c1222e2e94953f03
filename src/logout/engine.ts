// The order in which a sign-on dies: replay? -> mark -> evict claims -> destroy sessions -> unbind -> remember the jti.
// Knows no HTTP and no token: it is handed a target that is believed already.

import { within } from '../deadline.js'
import { type ErrorCode, LogoutError } from '../errors.js'
import type { EventListener, LogoutReason } from '../events.js'
import { ExpiringMap } from '../expiring-map.js'
import type { Mark } from '../marks/covering.js'
import type { Client, TargetKey } from '../marks/target.js'
import type { BegunLogout, JtiKey, LogoutStore } from '../stores/logout-store.js'
import { Background, inParallel } from './background.js'
import type { ClaimsEvictor } from './claims-evictor.js'
import type { DeniedHere } from './denied-here.js'

/** A believed logout. */
export interface LogoutOrder {
  readonly client: Client
  readonly key: TargetKey
  /** `iat` of the Logout Token, or the time of the call where no token is behind it. */
  readonly issuedAt: number
  readonly jti?: JtiKey | undefined
  readonly reason: LogoutReason
  readonly revokeOfflineAccess: boolean
}

/** What came of a logout. */
export interface LogoutResult {
  /**
   * Nothing of what the target named survives here. False: it is denied all the same, and tried again in the
   * background.
   */
  readonly complete: boolean
  /** The durable mark is written: whatever else failed, no node lets these sign-ons in. */
  readonly marked: boolean
  /** Sessions that the target named. */
  readonly found: number
  readonly destroyed: number
  readonly failed: number
  /** What kept it from being complete. */
  readonly error?: LogoutError
}

/** The sessions that a logout ended. Ids are credentials: use them to close connections, keep them out of logs. */
export interface EndedSessions extends Client {
  readonly sessionIds: readonly string[]
  readonly reason: LogoutReason
}

export interface EngineOptions {
  readonly store: LogoutStore
  readonly destroySession: (sessionId: string) => Promise<void>
  readonly claims: ClaimsEvictor | undefined
  readonly onSessionsEnded: ((ended: EndedSessions) => void | Promise<void>) | undefined
  readonly deniedHere: DeniedHere
  readonly emit: EventListener
  readonly clock: () => number
  /** How long marks are kept: no session, token or cached claim may outlive them. */
  readonly marksLifetimeSeconds: number
  /** Deadline of each store call, each destruction and each hook. */
  readonly stepTimeoutSeconds: number
  readonly retry: {
    readonly firstDelaySeconds: number
    readonly maxDelaySeconds: number
    readonly giveUpAfterSeconds: number
  }
}

/** Sessions destroyed at one time for one logout. */
const DESTROY_CONCURRENCY = 16

interface OpenLogout {
  readonly order: LogoutOrder
  readonly openedAt: number
  /** A pass was made before: the next one is dated back to the first. */
  tried: boolean
  /** A pass failed before. */
  failed: boolean
  /** The mark is in the store: given up or not, the target stays denied. */
  marked: boolean
  readonly release: () => void
}

/**
 * Whether the OP has been told meanwhile that the logout is not complete. Its jti is not remembered as completed then,
 * or the OP's retry would be taken for a replay.
 */
type Answered = () => boolean

interface Attempt {
  readonly replayed: boolean
  readonly marked: boolean
  readonly found: number
  readonly destroyed: number
  readonly mismatched: number
  readonly error?: LogoutError | undefined
}

const NOTHING_DONE = { replayed: false, marked: false, found: 0, destroyed: 0, mismatched: 0 }

export class LogoutEngine {
  readonly #options: EngineOptions
  readonly #background: Background<OpenLogout>
  readonly #openByJti = new Map<string, OpenLogout>()
  /** Logouts of which the OP has heard from here that they failed: once they are complete, its retry is to hear 200. */
  readonly #toldFailed = new ExpiringMap<JtiKey>()

  constructor(options: EngineOptions) {
    this.#options = options
    this.#background = new Background<OpenLogout>({
      ...options.retry,
      attempt: (open) => this.#retry(open),
      abandon: (open) => this.#abandon(open),
    })
  }

  /**
   * Ends what the order names, and resolves to what came of it; never rejects. After `answerWithinSeconds` it resolves
   * as incomplete while the work goes on. `replayed`: this jti's logout was completed before, and nothing was done.
   */
  async end(order: LogoutOrder, answerWithinSeconds: number): Promise<LogoutResult & { readonly replayed: boolean }> {
    const open = this.#open(order)
    const started = this.#options.clock()
    let answered = false
    const attempt = this.#attempt(open, () => answered).then((outcome) => {
      this.#conclude(open, outcome, { started, background: answered })
      return outcome
    })
    try {
      const outcome = await within(answerWithinSeconds, attempt)
      if (outcome.error !== undefined) this.#noteToldFailed(order)
      // Once, whether this repeat found the logout complete or completed it again.
      const wasToldFailed = outcome.error === undefined && this.#takeToldFailed(order)
      return resultOf(outcome.replayed && wasToldFailed ? { ...outcome, replayed: false } : outcome)
    } catch (cause) {
      answered = true
      this.#noteToldFailed(order)
      const error = failure('ERR_DEADLINE', 'The answer was due before the logout was done; the work goes on', cause)
      return resultOf({ ...NOTHING_DONE, error })
    }
  }

  /** Logouts that are tried again. */
  get pending(): number {
    return this.#background.size
  }

  close(): void {
    this.#background.close()
  }

  #noteToldFailed({ jti }: LogoutOrder): void {
    if (jti !== undefined) this.#toldFailed.set(jti.key, jti, this.#options.clock())
  }

  #takeToldFailed({ jti }: LogoutOrder): boolean {
    if (jti === undefined || this.#toldFailed.get(jti.key, this.#options.clock()) === undefined) return false
    this.#toldFailed.delete(jti.key)
    return true
  }

  #open(order: LogoutOrder): OpenLogout {
    const known = order.jti && this.#openByJti.get(order.jti.key)
    if (known && known.order.key.key === order.key.key && known.order.key.subKey === order.key.subKey) return known
    const { clock, deniedHere } = this.#options
    // Whether this is a replay is not known yet, so nothing is denied by the time of its arrival: a later login lives.
    const seenAt = Number.NEGATIVE_INFINITY
    const { scope, key, subKey } = order.key
    const mark: Mark = { scope, key, subKey, issuedAt: order.issuedAt, seenAt, expiresAt: this.#marksExpireAt() }
    const open: OpenLogout = {
      order,
      openedAt: clock(),
      tried: false,
      failed: false,
      marked: false,
      release: deniedHere.deny(mark),
    }
    if (order.jti) this.#openByJti.set(order.jti.key, open)
    return open
  }

  #close(open: OpenLogout): void {
    open.release()
    this.#background.remove(open)
    const { jti } = open.order
    if (jti && this.#openByJti.get(jti.key) === open) this.#openByJti.delete(jti.key)
  }

  #conclude(open: OpenLogout, outcome: Attempt, about: { started: number; background: boolean }): void {
    const { emit, clock } = this.#options
    const summary = { ...this.#summary(open.order, outcome), durationSeconds: clock() - about.started }
    if (outcome.error === undefined) {
      this.#close(open)
      // Found complete after a failure: an earlier pass had done it all, and only its answer was lost.
      if (outcome.replayed && !open.failed) return
      const { revokeOfflineAccess } = open.order
      emit({ type: 'logout', ...summary, revokeOfflineAccess, background: about.background })
      return
    }
    open.failed = true
    const retrying = this.#background.add(open)
    if (!retrying) this.#close(open)
    emit({ type: 'logout-failed', ...summary, error: outcome.error, retrying, background: about.background })
  }

  async #retry(open: OpenLogout): Promise<boolean> {
    const started = this.#options.clock()
    const outcome = await this.#attempt(open, () => true)
    if (outcome.error !== undefined) return false
    this.#conclude(open, outcome, { started, background: true })
    return true
  }

  #abandon(open: OpenLogout): void {
    this.#close(open)
    const sentence = open.marked
      ? 'The logout could not be completed in its time; its marks still deny'
      : 'The logout could not be completed in its time; the store never took its mark, and nothing denies it any more'
    const error = failure('ERR_DEADLINE', sentence, undefined)
    const summary = this.#summary(open.order, NOTHING_DONE)
    this.#options.emit({
      type: 'logout-failed',
      ...summary,
      error,
      retrying: false,
      durationSeconds: this.#options.retry.giveUpAfterSeconds,
      background: true,
    })
  }

  #summary(order: LogoutOrder, { found, destroyed, mismatched }: Attempt) {
    const { issuer, clientId } = order.client
    const failed = found - destroyed
    return { issuer, clientId, scope: order.key.scope, reason: order.reason, found, destroyed, failed, mismatched }
  }

  /** One pass through the whole order. Whatever it could not do, the next pass finds again. Never rejects. */
  async #attempt(open: OpenLogout, answered: Answered): Promise<Attempt> {
    const { order } = open
    let begun: BegunLogout
    try {
      begun = await this.#step(this.#begin(open, answered))
    } catch (cause) {
      return { ...NOTHING_DONE, error: failure('ERR_STORE', 'The logout store could not begin the logout', cause) }
    }
    if (begun.replayed) return { ...NOTHING_DONE, replayed: true }

    open.marked = true
    const { sessionIds, mismatched, finished, more } = begun
    for (const sessionId of sessionIds) this.#options.deniedHere.sessionEnded(sessionId)
    const found = sessionIds.length
    if (finished) return { replayed: false, marked: true, found, destroyed: found, mismatched }

    const notEvicted = await this.#evict(order, begun)
    const destroyedIds = await this.#destroy(sessionIds)
    const notAnnounced = await this.#announce(order, sessionIds)
    const notFollowed = notEvicted ?? notAnnounced
    const destroyed = destroyedIds.length
    const done = notFollowed === undefined && destroyed === found && !more
    const notCompleted = await this.#complete({
      jti: answered() ? undefined : order.jti,
      // A session stays bound until all that hangs on it is done: the retry knows tokens and connections only through
      // its binding.
      destroyedIds: notFollowed === undefined ? destroyedIds : [],
      done,
    })
    const notDestroyed =
      destroyed === found
        ? undefined
        : failure('ERR_SESSIONS', 'Not every session of the logout could be destroyed', undefined)
    const notSeen = more
      ? failure('ERR_SESSIONS', 'Not every session of the logout has been destroyed yet; the work goes on', undefined)
      : undefined
    const error = notDestroyed ?? notFollowed ?? notCompleted ?? notSeen
    return { replayed: false, marked: true, found, destroyed, mismatched, error }
  }

  #begin(open: OpenLogout, answered: Answered): Promise<BegunLogout> {
    const { store, claims, onSessionsEnded, clock } = this.#options
    const { order } = open
    const seenSecondsAgo = open.tried ? Math.max(0, clock() - open.openedAt) : 0
    open.tried = true
    return store.begin({
      target: order.key,
      issuedAt: order.issuedAt,
      seenSecondsAgo,
      jti: order.jti,
      marksExpireAt: this.#marksExpireAt(),
      mayDestroy: claims === undefined && onSessionsEnded === undefined && !answered(),
    })
  }

  async #evict(order: LogoutOrder, { mark, tokenKeys }: { mark: Mark; tokenKeys: readonly string[] }) {
    const { claims } = this.#options
    if (claims === undefined) return undefined
    return this.#hook(['ERR_EVICT', 'Cached claims could not be evicted'], () =>
      claims.evict({ target: order.key, mark, tokenKeys }),
    )
  }

  async #announce({ client, reason }: LogoutOrder, sessionIds: readonly string[]) {
    const { onSessionsEnded } = this.#options
    if (onSessionsEnded === undefined || sessionIds.length === 0) return undefined
    const { issuer, clientId } = client
    return this.#hook(['ERR_HOOK', 'The hook onSessionsEnded failed', 'onSessionsEnded'], () =>
      onSessionsEnded({ issuer, clientId, sessionIds, reason }),
    )
  }

  async #hook(
    [code, sentence, option]: readonly [code: ErrorCode, sentence: string, option?: string],
    call: () => void | Promise<void>,
  ): Promise<LogoutError | undefined> {
    try {
      await this.#step(Promise.resolve(call())) // Whatever a hook returns is no promise to be relied on.
      return undefined
    } catch (cause) {
      return new LogoutError(code, sentence, { cause, option })
    }
  }

  async #destroy(sessionIds: readonly string[]): Promise<readonly string[]> {
    const destroyed: string[] = []
    await inParallel(DESTROY_CONCURRENCY, sessionIds, async (sessionId) => {
      try {
        await this.#step(this.#options.destroySession(sessionId))
        destroyed.push(sessionId)
      } catch {
        // Counted by its absence: the session is marked, stays bound, and the next pass finds it.
      }
    })
    return destroyed
  }

  async #complete(logout: Parameters<LogoutStore['complete']>[0]): Promise<LogoutError | undefined> {
    try {
      await this.#step(this.#options.store.complete(logout))
      return undefined
    } catch (cause) {
      return failure('ERR_STORE', 'The logout store could not complete the logout', cause)
    }
  }

  #step<T>(work: Promise<T>): Promise<T> {
    return within(this.#options.stepTimeoutSeconds, work)
  }

  #marksExpireAt(): number {
    return this.#options.clock() + this.#options.marksLifetimeSeconds
  }
}

function resultOf(attempt: Attempt): LogoutResult & { readonly replayed: boolean } {
  const { replayed, marked, found, destroyed, error } = attempt
  const failed = found - destroyed
  if (error === undefined) return { complete: true, replayed, marked, found, destroyed, failed }
  return { complete: false, replayed, marked, found, destroyed, failed, error }
}

function failure(code: ErrorCode, message: string, cause: unknown): LogoutError {
  return new LogoutError(code, message, { cause })
}

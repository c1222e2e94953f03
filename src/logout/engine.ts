// Ends what it is ordered to: answers in time, remembers what the OP was told, and sees to what could not be done at
// once. Knows no HTTP and no token: it is handed a target that is believed already.
import { monotonicSeconds, within } from '../deadline.js'
import type { EventListener } from '../events.js'
import { ExpiringMap } from '../expiring-map.js'
import type { Mark } from '../marks/covering.js'
import type { JtiKey } from '../stores/logout-store.js'
import type { StoreClock } from '../stores/store-clock.js'
import { Background, type Turns } from './background.js'
import type { TellLogout } from './logged-out.js'
import type { LogoutOrder, LogoutResult } from './logout-order.js'
import {
  failure,
  NOTHING_DONE,
  type OpenLogout,
  type Passed,
  type PassOptions,
  type PassUnderWay,
  passThrough,
  reopen,
} from './pass.js'
import { StepTimes } from './step-times.js'

export interface EngineOptions extends PassOptions {
  readonly emit: EventListener
  /** Tells the application who was logged out, once for each logout. */
  readonly tell?: TellLogout | undefined
  readonly retry: {
    readonly firstDelaySeconds: number
    readonly maxDelaySeconds: number
    readonly giveUpAfterSeconds: number
  }
}

interface Pending extends OpenLogout {
  /** When it came, by the clock of a store, at the latest: without end until that clock is known. */
  readonly cameAt: (storeClock: StoreClock) => number
  /** A pass failed before. */
  failed: boolean
  /** The application was told of it. */
  isTold: boolean
}

/** How much of the time for an answer is kept for the store to hear that the answer is "failed". */
const LAST_WORD = 0.05

/** Where one logout is answered, nobody else waits for its turn. */
const AT_ONCE: Turns = (work) => work()

export class LogoutEngine {
  readonly #options: EngineOptions
  readonly #background: Background<Pending>
  readonly #openByJti = new Map<string, Pending>()
  /** Logouts of which the OP has heard from here that they failed: once they are complete, its retry is to hear 200. */
  readonly #toldFailed = new ExpiringMap<JtiKey>()
  /** Logouts of which the application was told: the OP's next try of one that was late is a whole logout once more. */
  readonly #told = new ExpiringMap<JtiKey>()

  constructor(options: EngineOptions) {
    this.#options = options
    this.#background = new Background<Pending>({
      ...options.retry,
      attempt: (open, turns) => this.#retry(open, turns),
      abandon: (open) => this.#abandon(open),
    })
  }

  /**
   * Ends what the order names, and resolves to what came of it; never rejects. After `answerWithinSeconds` it resolves
   * as incomplete while the work goes on. `replayed`: this jti's logout was completed before, and nothing was done.
   */
  async end(order: LogoutOrder, answerWithinSeconds: number): Promise<LogoutResult & { readonly replayed: boolean }> {
    const open = this.#open(order)
    const underWay = newPass({ toldFailed: false })
    const pass = this.#pass(open, underWay, AT_ONCE)
    try {
      const outcome = await within(answerWithinSeconds * (1 - LAST_WORD), pass)
      if (outcome.error !== undefined) this.#noteToldFailed(order)
      // Once, whether this repeat found the logout complete or completed it again.
      const wasToldFailed = outcome.error === undefined && this.#takeToldFailed(order)
      return resultOf(outcome.replayed && wasToldFailed ? { ...outcome, replayed: false } : outcome)
    } catch (cause) {
      underWay.toldFailed = true
      this.#noteToldFailed(order)
      // Whether or not the store's reply comes: the OP may ask another node in a moment. Once more when it does come,
      // since nobody knows in which order the store heard of both.
      await within(answerWithinSeconds * LAST_WORD, reopen(open, underWay, this.#options)).catch(() => {})
      return notDoneInTime(cause)
    }
  }

  /** Logouts that are tried again. */
  get pending(): number {
    return this.#background.size
  }

  /**
   * The same where the OP has heard already that it failed, since the token could not be verified in time. It is dated
   * back to when it came: a login that was begun meanwhile lives. Nobody waits for what comes of it, and the OP's next
   * try is no replay, wherever it arrives. Never rejects.
   */
  async endLate(order: LogoutOrder, waitedSeconds: number): Promise<void> {
    this.#noteToldFailed(order)
    await this.#pass(this.#open(order, waitedSeconds), newPass({ toldFailed: true }), AT_ONCE)
  }

  /** Stops trying. What could not be finished stays denied here for as long as it would have been tried. */
  close(): void {
    for (const open of this.#background.close()) this.#releaseLater(open)
  }

  async #pass(open: Pending, underWay: PassUnderWay, turns: Turns): Promise<Passed> {
    const outcome = await passThrough(open, underWay, turns, this.#options)
    this.#conclude(open, outcome, underWay)
    beginAfterwards(open)
    return outcome
  }

  async #retry(open: Pending, turns: Turns): Promise<boolean> {
    const underWay = newPass({ toldFailed: true })
    const outcome = await passThrough(open, underWay, turns, this.#options)
    beginAfterwards(open)
    if (outcome.error !== undefined) return false
    this.#conclude(open, outcome, underWay)
    return true
  }

  #noteToldFailed({ jti }: LogoutOrder): void {
    if (jti !== undefined) this.#toldFailed.set(jti.key, jti, this.#options.clock())
  }

  #takeToldFailed({ jti }: LogoutOrder): boolean {
    if (jti === undefined || this.#toldFailed.get(jti.key, this.#options.clock()) === undefined) return false
    this.#toldFailed.delete(jti.key)
    return true
  }

  #open(order: LogoutOrder, waitedSeconds = 0): Pending {
    const known = order.jti && this.#openByJti.get(order.jti.key)
    if (known && known.order.key.key === order.key.key && known.order.key.subKey === order.key.subKey) return known
    const { storeClock, deniedHere, marksLifetimeSeconds } = this.#options
    const cameHereAt = storeClock.moment(waitedSeconds)
    const cameAtStore = storeClock.latest(cameHereAt)
    const cameAt = (of: StoreClock) =>
      of === storeClock && Number.isFinite(cameAtStore) ? cameAtStore : of.latest(cameHereAt)
    // Whether a token is a replay is not known yet, so it denies nothing by the time of its arrival: a later login
    // lives. Without a token there is no other time.
    const seenAt = Number.NEGATIVE_INFINITY
    const { scope, key, subKey } = order.key
    const expiresAt = storeClock.expiry(marksLifetimeSeconds)
    const mark: Mark = { scope, key, subKey, issuedAt: order.issuedAt, seenAt, expiresAt }
    const open: Pending = {
      order,
      cameAt,
      openedAt: monotonicSeconds() - waitedSeconds,
      tried: waitedSeconds > 0,
      failed: false,
      isTold: false,
      foundIds: this.#options.tell && new Set(),
      unannounced: new Set(),
      afterwards: [],
      marked: false,
      toReopen: false,
      denial: deniedHere.deny(mark, order.issuedAt === undefined ? cameAt : undefined),
    }
    if (order.jti) this.#openByJti.set(order.jti.key, open)
    return open
  }

  #close(open: Pending): void {
    this.#options.deniedHere.release(open.denial)
    this.#forget(open)
  }

  #forget(open: Pending): void {
    this.#background.remove(open)
    const { jti } = open.order
    if (jti && this.#openByJti.get(jti.key) === open) this.#openByJti.delete(jti.key)
  }

  /** Not tried again, and not done. Without a mark in the store, this process does what it can. */
  #releaseLater(open: Pending): void {
    this.#forget(open)
    if (open.marked) this.#tell(open, false)
    this.#options.deniedHere.release(open.denial, this.#options.retry.giveUpAfterSeconds)
  }

  #conclude(open: Pending, outcome: Passed, { steps, toldFailed: background }: PassUnderWay): void {
    const { emit } = this.#options
    const took = { durationSeconds: steps.elapsedSeconds(), steps: steps.taken }
    const summary = { ...this.#summary(open.order, outcome), ...took, background }
    if (outcome.error === undefined) {
      this.#close(open)
      // Found complete after a failure: an earlier pass had done it all, and only its answer was lost.
      if (outcome.replayed && !open.failed) return
      this.#tell(open, true)
      const { revokeOfflineAccess } = open.order
      emit({ type: 'logout', ...summary, revokeOfflineAccess })
      return
    }
    open.failed = true
    // The store takes no mark, and may be read all the same (a Redis without memory, a stand-by): then nothing else
    // denies the logins that were made before, and are newer by a second by the clocks of the OP.
    if (!open.marked) this.#options.deniedHere.date(open.denial, open.cameAt)
    const retrying = this.#background.add(open)
    if (!retrying) this.#releaseLater(open)
    emit({ type: 'logout-failed', ...summary, error: outcome.error, retrying })
  }

  #abandon(open: Pending): void {
    this.#close(open)
    if (open.marked) this.#tell(open, false)
    const sentence = open.marked
      ? 'The logout could not be completed in its time; its marks still deny'
      : 'The logout could not be completed in its time; the store never took its mark, and nothing denies it any more'
    this.#options.emit({
      type: 'logout-failed',
      ...this.#summary(open.order, NOTHING_DONE),
      error: failure('ERR_DEADLINE', sentence, undefined),
      retrying: false,
      durationSeconds: this.#options.retry.giveUpAfterSeconds,
      background: true,
      steps: [],
    })
  }

  /** Once, when it is complete or given up. A logout of which the store took no mark has logged nobody out. */
  #tell(open: Pending, complete: boolean): void {
    const { tell, clock } = this.#options
    const { client, target, key, jti, reason, isHearsay } = open.order
    const sessionIds = [...(open.foundIds ?? [])]
    if (tell === undefined || target === undefined || open.isTold) return
    if (isHearsay && sessionIds.length === 0) return
    open.isTold = true
    if (jti !== undefined) {
      const told = JSON.stringify([jti.key, key.key, key.subKey])
      if (this.#told.get(told, clock()) !== undefined) return
      this.#told.set(told, jti, clock())
    }
    tell(client, target, { sessionIds, reason, complete })
  }

  #summary(order: LogoutOrder, { found, destroyed, mismatched, withoutSid, notDeleted }: Passed) {
    const { client, key, reason } = order
    const counts = { found, destroyed, failed: found - destroyed, mismatched, withoutSid, notDeleted }
    return { issuer: client.issuer, clientId: client.clientId, scope: key.scope, reason, ...counts }
  }
}

/** Also where not all is done: these sessions are dead, whatever became of the others. */
function beginAfterwards({ afterwards }: OpenLogout): void {
  for (const begin of afterwards.splice(0)) begin()
}

function newPass({ toldFailed }: Pick<PassUnderWay, 'toldFailed'>): PassUnderWay {
  return { toldFailed, mayBeCompleted: false, steps: new StepTimes() }
}

/** The answer is due, and nobody knows yet what comes of the logout. */
export function notDoneInTime(cause: unknown): LogoutResult & { readonly replayed: boolean } {
  const error = failure('ERR_DEADLINE', 'The answer was due before the logout was done; the work goes on', cause)
  return resultOf({ ...NOTHING_DONE, error })
}

function resultOf(passed: Passed): LogoutResult & { readonly replayed: boolean } {
  const { replayed, marked, found, destroyed, error } = passed
  const failed = found - destroyed
  if (error === undefined) return { complete: true, replayed, marked, found, destroyed, failed }
  return { complete: false, replayed, marked, found, destroyed, failed, error }
}

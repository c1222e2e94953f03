// Reading marks without asking the store each time: a replica that follows its log, and the rule for when it may be
// believed. Knows no database; everything that is written goes to the store at once.
import { isLate, LONGEST_DELAY_SECONDS, type Moment, monotonicSeconds, within } from '../deadline.js'
import { MarksByKey } from '../marks/marks-by-key.js'
import type { TargetKey } from '../marks/target.js'
import { assertNumber, assertOptions, type OptionNames } from '../option-checks.js'
import type { LogPage, LogStore } from './log-store.js'
import type {
  BeginLogout,
  BegunLogout,
  Binding,
  BoundState,
  CompleteLogout,
  FoundMarks,
  ListedSessions,
  LocallyEnded,
  NewBinding,
  SessionState,
} from './logout-store.js'

/** Options of `boundedReads`. Seconds, counts, and the clocks that measure them. */
export interface BoundedReadsOptions {
  /** B: for how long after the store acknowledged a logout this node may still answer as before. Above 0; default 5. */
  readonly seconds?: number
  /**
   * The pause between pulls. Above 0; default a fifth of `seconds`, so that some pulls may fail before the node goes
   * strict.
   */
  readonly pullEverySeconds?: number
  /** Bindings kept in memory at most; the oldest go first and are asked for again. Default 100,000. */
  readonly maxSessions?: number
  /** A pull failed; the next one is tried all the same, and after `seconds` each read asks the store. */
  readonly onPullFailed?: (error: unknown) => void
  /**
   * Follow the store only to hear, within `seconds`, of what other nodes end (`onSessionsEnded`); each read asks the
   * store all the same. Default `false`.
   */
  readonly strict?: boolean
  /** Seconds of a clock that never goes back. Default `performance.now()`. */
  readonly monotonic?: () => number
  /** Epoch seconds. A suspended machine stops the monotonic clock, but not this one: the larger difference counts. */
  readonly clock?: () => number
}

/** A store whose `read` and `marks` may be up to B seconds old. */
export interface BoundedReads extends LogStore {
  /** B, as configured. */
  readonly staleSeconds: number
  /**
   * The doorbell: pull at once, or where the last pull began less than a tenth of a second ago, then. Wire it to Redis
   * pub/sub or `LISTEN`; nothing depends on it.
   */
  readonly ring: () => void
  /**
   * Each page of the log is handed to this as well, once it counts here: what other nodes ended, and what this one did.
   */
  hear(listener: (page: Pick<LogPage, 'reset' | 'endedIds' | 'moves'>) => void): void
  /** Pulls now; rejects if that fails. */
  refresh(): Promise<void>
  /** Stops pulling. From B seconds later on each read asks the store. */
  close(): void
}

const NAMES: OptionNames<BoundedReadsOptions> = {
  seconds: true,
  pullEverySeconds: true,
  maxSessions: true,
  onPullFailed: true,
  strict: true,
  monotonic: true,
  clock: true,
}

/**
 * How long a pull is waited for before another is begun beside it. One of a store that answers is done long before; but
 * one that reads very many marks is not, so after each that is late the next has twice as long.
 */
const PATIENCE_SECONDS = 60
const LONGEST_PATIENCE_SECONDS = 480

/**
 * From the start of a pull to that of one for which the doorbell rings. Each logout rings at every node: without a
 * pause a hundred logouts in a second are a hundred pulls in that second for each node there is.
 */
const DOORBELL_SECONDS = 0.1

interface Followed {
  readonly cursor: string
  /** When the last successful pull **began**. */
  readonly begun: Moment
  /** The store's clock as that pull told it, and when it had done so by the monotonic clock. */
  readonly storeNow: number
  readonly told: number
}

/**
 * Wraps a store so that `read` and `marks` are answered from memory while the replica is fresh, and by the store
 * otherwise.
 *
 * **The bound.** Let a logout be acknowledged at time *a*, and a read at time *t* be answered from memory as if it had
 * not been. Let *s* be when the last successful pull began; memory is used only if *t - s <= B*. If *a < s*, that pull,
 * or one before it, returned the logout's marks and session ids, since a pull returns everything acknowledged before it
 * began: marks are in the replica, and what was remembered of these sessions was dropped. A binding read from the store
 * *before* the logout but stored here *after* that pull was applied cannot exist: it is stored only if no pull was
 * applied while it was being read. So *a >= s*, and *t - a <= t - s <= B*. Doorbells, other nodes and synchronised
 * clocks do not occur in this argument; only that this node measures elapsed time truly, for which the larger of a
 * monotonic and a wall clock difference is taken.
 *
 * Not covered: reads from a replica of the database, and a fail-over that loses what was acknowledged.
 *
 * @throws TypeError for a number that cannot be meant
 */
export function boundedReads(store: LogStore, options: BoundedReadsOptions = {}): BoundedReads {
  assertOptions('boundedReads()', options, NAMES)
  const { seconds = 5, pullEverySeconds = seconds / 5, maxSessions = 100_000 } = options
  const delay = { above: 0, most: LONGEST_DELAY_SECONDS }
  assertNumber('boundedReads: seconds', seconds, { ...delay, remedy: 'for no bound at all use the store itself' })
  assertNumber('boundedReads: pullEverySeconds', pullEverySeconds, {
    ...delay,
    remedy: 'leave it out to pull five times within the bound',
  })
  assertNumber('boundedReads: maxSessions', maxSessions, { least: 1, remedy: 'leave it out to keep at most 100,000' })
  return new Replica(store, {
    seconds,
    pullEverySeconds,
    maxSessions,
    strict: options.strict === true,
    onPullFailed: options.onPullFailed ?? (() => {}),
    monotonic: options.monotonic ?? monotonicSeconds,
    clock: options.clock ?? (() => Date.now() / 1000),
  })
}

class Replica implements BoundedReads {
  readonly #store: LogStore
  readonly #options: Required<BoundedReadsOptions>
  readonly #marks = new MarksByKey()
  readonly #bindings = new Map<string, Binding>()
  readonly #listeners = new Set<Parameters<BoundedReads['hear']>[0]>()
  #followed: Followed | undefined
  /** Logouts of this node, and how many of them the last successful pull can have seen: it reads what it wrote. */
  #ownLogouts = 0
  #ownLogoutsSeen = 0
  /** Counts what may have made a read that is under way out of date. */
  #changes = 0
  #pulling: Promise<void> | undefined
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  /** Of a doorbell that rang too soon after a pull. */
  #rung: NodeJS.Timeout | undefined
  #lastBegun = Number.NEGATIVE_INFINITY
  #isClosed = false
  /** All marks were read, and that took longer than the bound: what happened meanwhile is to be read at once. */
  #isBehind = false
  #patienceSeconds = PATIENCE_SECONDS
  readonly staleSeconds: number

  constructor(store: LogStore, options: Required<BoundedReadsOptions>) {
    this.#store = store
    this.#options = options
    this.staleSeconds = options.seconds
    this.#pullSoon()
  }

  async read(sessionId: string, how?: { readonly current?: boolean }): Promise<SessionState> {
    if (!this.#isFresh()) return this.#store.read(sessionId, how)
    const known = how?.current ? undefined : this.#bindings.get(sessionId)
    const now = this.#storeNow()
    if (known !== undefined && known.expiresAt > now) {
      const marks = this.#marks.underAll([known.sidKey, known.subKey], now)
      return { ended: false, binding: known, marks, lags: true }
    }
    const changes = this.#changes
    const state = await this.#store.read(sessionId, how)
    if (changes === this.#changes && state.binding !== undefined && !state.ended) this.#remember(state.binding)
    return state
  }

  marks(keys: readonly string[]): FoundMarks | Promise<FoundMarks> {
    // Who asks for no marks wants to know the time, which is not known here to less than a pull takes.
    if (keys.length === 0 || !this.#isFresh()) return this.#store.marks(keys)
    const now = this.#storeNow()
    return { now, marks: this.#marks.underAll(keys, now), lags: true }
  }

  bind(binding: NewBinding): Promise<BoundState> {
    return this.#forgetting([binding.sessionId], () => this.#store.bind(binding))
  }

  rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    const ids = [fromSessionId, toSessionId]
    return this.#forgetting(ids, () => this.#store.rebind(fromSessionId, toSessionId, expiresAt))
  }

  list(target: TargetKey, cursor?: string): Promise<ListedSessions> {
    return this.#store.list(target, cursor)
  }

  renew(sessionId: string, expiresAt: number): Promise<void> {
    return this.#forgetting([sessionId], () => this.#store.renew(sessionId, expiresAt))
  }

  addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    return this.#store.addTokens(sessionId, tokenKeys)
  }

  isBound(key: string): Promise<boolean> {
    return this.#store.isBound(key)
  }

  async endSessions(...ending: Parameters<LogStore['endSessions']>): Promise<LocallyEnded> {
    const ended = await this.#forgetting(ending[0], () => this.#store.endSessions(...ending))
    this.#forget(ended.sessionIds)
    return ended
  }

  unbind(sessionIds: readonly string[]): Promise<void> {
    return this.#forgetting(sessionIds, () => this.#store.unbind(sessionIds))
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    try {
      return await this.#store.begin(logout)
    } finally {
      // Also after a failure: the mark may have been written.
      this.#changes++
      this.#ownLogouts++
      // Without the doorbell's pause: until that pull each read asks the store.
      this.#pullSoon()
    }
  }

  complete(logout: CompleteLogout): Promise<void> {
    return this.#forgetting(logout.destroyedIds, () => this.#store.complete(logout))
  }

  pull(cursor?: string): Promise<LogPage> {
    return this.#store.pull(cursor)
  }

  readonly ring = (): void => {
    if (this.#isClosed || this.#rung !== undefined) return
    const early = this.#lastBegun + DOORBELL_SECONDS - this.#options.monotonic()
    if (early > 0) this.#rung = setTimeout(this.#pullSoon, early * 1000).unref()
    else this.#pullSoon()
  }

  hear(listener: Parameters<BoundedReads['hear']>[0]): void {
    this.#listeners.add(listener)
  }

  refresh(): Promise<void> {
    if (this.#pulling === undefined) return this.#startPull()
    // The pull that is under way may have begun before what the caller wants to see.
    this.#next ??= this.#pulling
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.#startPull()
      })
    return this.#next
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    clearTimeout(this.#rung)
  }

  readonly #pullSoon = (): void => {
    if (this.#isClosed) return
    this.refresh().catch(() => {
      // Told to onPullFailed already, and tried again by the timer.
    })
  }

  #startPull(): Promise<void> {
    clearTimeout(this.#timer)
    this.#pulling ??= this.#pullOnce().finally(() => {
      this.#pulling = undefined
      if (this.#isClosed) return
      const pause = this.#isBehind ? 0 : this.#options.pullEverySeconds
      this.#timer = setTimeout(this.#pullSoon, pause * 1000).unref()
    })
    return this.#pulling
  }

  async #pullOnce(): Promise<void> {
    const begun = this.#moment()
    this.#lastBegun = begun.monotonic
    // What rang was acknowledged before this pull begins, so it is in it.
    clearTimeout(this.#rung)
    this.#rung = undefined
    const ownLogouts = this.#ownLogouts
    const pull = this.#store.pull(this.#followed?.cursor)
    try {
      this.#take(await within(this.#patienceSeconds, pull), begun, ownLogouts)
    } catch (error) {
      this.#isBehind = false
      if (isLate(error)) {
        // One that hangs must not keep the next from being tried; one that is slow must count whenever it comes, also
        // where it takes longer than the bound, else it would be begun again for ever. Meanwhile reads ask the store.
        this.#patienceSeconds = Math.min(this.#patienceSeconds * 2, LONGEST_PATIENCE_SECONDS)
        pull.then((page) => this.#take(page, begun, ownLogouts)).catch(() => {})
      }
      this.#options.onPullFailed(error)
      throw error
    }
  }

  #take(page: LogPage, begun: Moment, ownLogouts: number): void {
    // Overtaken: what it says is known from a pull that began later.
    if (this.#followed !== undefined && this.#followed.begun.monotonic > begun.monotonic) return
    this.#apply(page)
    this.#followed = { cursor: page.cursor, begun, storeNow: page.now, told: this.#options.monotonic() }
    this.#ownLogoutsSeen = ownLogouts
    this.#patienceSeconds = PATIENCE_SECONDS
    this.#isBehind = page.reset && !this.#options.strict && !this.#isFresh()
    for (const listener of this.#listeners) listener(page)
  }

  #apply(page: LogPage): void {
    if (!this.#options.strict) for (const mark of page.marks) this.#marks.add(mark, page.now)
    if (page.reset) this.#bindings.clear()
    for (const id of page.sessionIds) this.#bindings.delete(id)
    this.#changes++
  }

  async #forgetting<T>(sessionIds: readonly string[], write: () => Promise<T>): Promise<T> {
    try {
      return await write()
    } finally {
      this.#forget(sessionIds)
    }
  }

  #forget(sessionIds: readonly string[]): void {
    this.#changes++
    for (const id of sessionIds) this.#bindings.delete(id)
  }

  #remember(binding: Binding): void {
    const [oldest] = this.#bindings.keys()
    if (oldest !== undefined && this.#bindings.size >= this.#options.maxSessions) this.#bindings.delete(oldest)
    this.#bindings.set(binding.sessionId, binding)
  }

  #isFresh(): boolean {
    if (this.#options.strict) return false
    if (this.#followed === undefined || this.#ownLogoutsSeen !== this.#ownLogouts) return false
    return this.#secondsSince(this.#followed.begun) <= this.#options.seconds
  }

  /**
   * Never ahead of the store, so that no mark ends early here and no token is dated after a logout that came later.
   * Only the monotonic clock can promise that; what a suspension keeps from it, at most B seconds while fresh, only
   * ends things later.
   */
  #storeNow(): number {
    if (this.#followed === undefined) return 0
    return this.#followed.storeNow + this.#options.monotonic() - this.#followed.told
  }

  #moment(): Moment {
    return { monotonic: this.#options.monotonic(), wall: this.#options.clock() }
  }

  #secondsSince(moment: Moment): number {
    const now = this.#moment()
    return Math.max(now.monotonic - moment.monotonic, now.wall - moment.wall)
  }
}

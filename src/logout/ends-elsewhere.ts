// Sessions that were ended at another node, as the log of the store tells of them: the application's hook hears of
// each, so that it can close connections which are open here. Knows of the store one question, and that it tells.
import { monotonicSeconds, within } from '../deadline.js'
import type { LogoutError } from '../errors.js'
import { ExpiringMap } from '../expiring-map.js'
import type { BoundedReads } from '../stores/bounded-reads.js'
import type { LogoutStore } from '../stores/logout-store.js'
import { announceEnded } from './hooks.js'
import type { EndedSessions } from './logout-order.js'

/** What was heard at one time: every page of the log, also one that tells of nothing. */
export interface Heard {
  /** Something may have been missed. */
  readonly reset: boolean
  readonly endedIds: readonly string[]
  readonly moves: readonly (readonly [from: string, to: string])[]
}

export interface EndsElsewhereOptions {
  /** Calls the application's hook. Resolves to what went wrong. */
  readonly announce: (sessionIds: readonly string[]) => Promise<LogoutError | undefined>
  /** Whether a session id was ended or left, asked of the store. */
  readonly isEnded: (sessionId: string) => Promise<boolean>
  readonly onWarning: (error: LogoutError) => void
  readonly clock: () => number
  /** For how long ids are remembered that a session had before. */
  readonly sessionLifetimeSeconds: number
}

/** Where one comes from. */
export interface EndsElsewhereSources
  extends Pick<EndsElsewhereOptions, 'onWarning' | 'clock' | 'sessionLifetimeSeconds'> {
  readonly store: LogoutStore
  readonly onSessionsEnded?: ((ended: EndedSessions) => void | Promise<void>) | undefined
  readonly stepTimeoutSeconds: number
}

/** Longer than anybody reads the log again. */
const REMEMBERED_SECONDS = 900
/** For how long a hook that fails is called again, at each page of the log. */
const RETRY_SECONDS = 900
/** Sessions that may have connections here, at most: those that were asked about last. */
const MAX_SEEN = 100_000
const ASKED_AT_ONCE = 64
/** Changes of ids anywhere, of which the ids that a session had before are known. */
const MAX_MOVES = 200_000

export class EndsElsewhere {
  readonly #options: EndsElsewhereOptions
  readonly #announced = new ExpiringMap<{ readonly expiresAt: number }>()
  /** By session id: those from which it came, the ones heard of last. */
  readonly #cameFrom = new Map<string, { readonly ids: Set<string>; readonly expiresAt: number }>()
  /** To be announced, and since when, by the monotonic clock. */
  readonly #due = new Map<string, number>()
  /** How many logouts of this process are at them. */
  readonly #endingHere = new Map<string, number>()
  readonly #seen = new Set<string>()
  #announcing: Promise<void> | undefined
  #isAskingAboutAll = false
  #isFollowing = false

  constructor(options: EndsElsewhereOptions) {
    this.#options = options
  }

  /** This session was found alive here: it may have connections. */
  seen(sessionId: string): void {
    this.#seen.delete(sessionId)
    this.#seen.add(sessionId)
    const [oldest] = this.#seen
    if (oldest !== undefined && this.#seen.size > MAX_SEEN) this.#seen.delete(oldest)
  }

  /**
   * This process ends them, and is about to announce them by itself: until the returned function is called, and from
   * then on where that was not `endedHere`.
   */
  endsHere(sessionIds: readonly string[]): () => void {
    for (const id of sessionIds) this.#endingHere.set(id, (this.#endingHere.get(id) ?? 0) + 1)
    return () => {
      for (const id of sessionIds) {
        const others = (this.#endingHere.get(id) ?? 0) - 1
        if (others > 0) this.#endingHere.set(id, others)
        else this.#endingHere.delete(id)
      }
    }
  }

  /** This process ended them, and its hook has heard of them. */
  endedHere(sessionIds: readonly string[]): void {
    for (const id of sessionIds) this.#settle(id)
  }

  heard({ reset, endedIds, moves }: Heard): void {
    const now = this.#options.clock()
    for (const [from, to] of moves) {
      const ids = new Set(this.#cameFromOf(to, now)).add(from)
      this.#cameFrom.delete(to)
      this.#cameFrom.set(to, { ids, expiresAt: now + this.#options.sessionLifetimeSeconds })
      const [oldest] = this.#cameFrom.keys()
      if (oldest !== undefined && this.#cameFrom.size > MAX_MOVES) this.#cameFrom.delete(oldest)
    }
    this.#owe(endedIds)
    if (reset && this.#isFollowing && !this.#isAskingAboutAll) void this.#askAboutAll()
    this.#isFollowing = true
    this.#announce()
  }

  /** The ids that this session's sign-on had before, wherever they were changed. */
  earlierIds(sessionId: string): readonly string[] {
    const found = new Set([sessionId])
    const now = this.#options.clock()
    // Grows while it is walked; nothing is walked twice, so that circles end.
    for (const id of found) for (const from of this.#cameFromOf(id, now)) found.add(from)
    found.delete(sessionId)
    return [...found]
  }

  #cameFromOf(sessionId: string, now: number): Iterable<string> {
    const known = this.#cameFrom.get(sessionId)
    return known !== undefined && known.expiresAt > now ? known.ids : []
  }

  #owe(sessionIds: readonly string[]): void {
    for (const id of sessionIds) {
      if (this.#announced.get(id, this.#options.clock()) === undefined && !this.#due.has(id)) {
        this.#due.set(id, monotonicSeconds())
      }
    }
  }

  #settle(sessionId: string): void {
    const now = this.#options.clock()
    this.#due.delete(sessionId)
    this.#seen.delete(sessionId)
    this.#announced.set(sessionId, { expiresAt: now + REMEMBERED_SECONDS }, now)
  }

  #announce(): void {
    this.#announcing ??= this.#announceDue().finally(() => {
      this.#announcing = undefined
    })
  }

  async #announceDue(): Promise<void> {
    const ids = [...this.#due.keys()].filter((id) => !this.#endingHere.has(id))
    if (ids.length === 0) return
    const error = await this.#options.announce(ids)
    if (error === undefined) {
      for (const id of ids) this.#settle(id)
      return
    }
    this.#options.onWarning(error)
    const tooOld = monotonicSeconds() - RETRY_SECONDS
    for (const [id, since] of this.#due) if (since < tooOld) this.#due.delete(id)
  }

  /** The log was missed for a while. Whoever cannot be asked about now is asked about by the next request. */
  async #askAboutAll(): Promise<void> {
    this.#isAskingAboutAll = true
    const seen = [...this.#seen]
    for (let first = 0; first < seen.length; first += ASKED_AT_ONCE) {
      const asked = seen.slice(first, first + ASKED_AT_ONCE)
      const ended = await Promise.all(asked.map((id) => this.#options.isEnded(id).catch(() => false)))
      this.#owe(asked.filter((_, i) => ended[i]))
    }
    this.#isAskingAboutAll = false
    this.#announce()
  }
}

/** Where somebody wants to hear of ended sessions, and the store tells of those that other nodes ended. */
export function endsElsewhere({
  store,
  onSessionsEnded,
  stepTimeoutSeconds,
  clock,
  sessionLifetimeSeconds,
  onWarning,
}: EndsElsewhereSources): EndsElsewhere | undefined {
  if (onSessionsEnded === undefined || !hears(store)) return undefined
  const elsewhere: EndsElsewhere = new EndsElsewhere({
    announce: (sessionIds) =>
      announceEnded(undefined, 'elsewhere', sessionIds, {
        onSessionsEnded,
        earlierIds: (id) => elsewhere.earlierIds(id),
        stepTimeoutSeconds,
      }),
    isEnded: async (sessionId) => (await within(stepTimeoutSeconds, store.read(sessionId))).ended,
    onWarning,
    clock,
    sessionLifetimeSeconds,
  })
  store.hear((page) => elsewhere.heard(page))
  return elsewhere
}

function hears(store: LogoutStore): store is LogoutStore & Pick<BoundedReads, 'hear'> {
  return typeof Reflect.get(store, 'hear') === 'function'
}

// The application ends a session itself: marked first, destroyed, then unbound; and with it the ids its sign-on moved
// on to.
import { LogoutError } from '../errors.js'
import type { LogoutReason } from '../events.js'
import { ExpiringMap } from '../expiring-map.js'
import { announceEnded } from '../logout/pass.js'
import type { Client, LogoutTarget } from '../marks/target.js'
import { endTokens } from './end-tokens.js'
import { type SignOnsOptions, step } from './options.js'
import type { SessionIdChanges } from './session-id-change.js'
import type { Verdicts } from './verdicts.js'

/** Whose session it is, where that is known. */
export interface AboutLocalLogout {
  readonly target?: LogoutTarget
  /** It is one of many that are ended, of which whoever ordered it tells. */
  readonly order?: {
    readonly client: Client
    readonly reason: LogoutReason
    /** Is told of the ids that were marked. */
    readonly ended: (sessionIds: readonly string[]) => void
  }
}

interface MarkedSessions {
  /** This one, and those to which another request had moved its sign-on meanwhile. */
  readonly sessionIds: readonly string[]
  /** Nobody had ended its sign-on before. */
  readonly wasLive: boolean
  readonly error?: LogoutError
}

const LOCAL: LogoutReason = 'local-logout'

/** Longer than any request that was under way when its session was ended. */
const REMEMBERED_SECONDS = 900

export class LocalLogout {
  readonly #options: SignOnsOptions
  readonly #verdicts: Verdicts
  readonly #changes: SessionIdChanges

  readonly #earlierIds: (sessionId: string) => readonly string[]
  /** Sessions of which the application was told. */
  readonly #told = new ExpiringMap<{ readonly expiresAt: number }>()

  constructor(
    options: SignOnsOptions,
    verdicts: Verdicts,
    changes: SessionIdChanges,
    earlierIds: (sessionId: string) => readonly string[],
  ) {
    this.#options = options
    this.#verdicts = verdicts
    this.#changes = changes
    this.#earlierIds = earlierIds
  }

  /** See `SessionGuard`. */
  async end(sessionId: string, destroyRow: () => Promise<void>, about: AboutLocalLogout = {}): Promise<void> {
    const isOneOfMany = about.order !== undefined || about.target !== undefined
    const marked = await this.#markIfKnown(sessionId, isOneOfMany)
    about.order?.ended(marked.sessionIds)
    // Whoever is signed in without a binding is signed out as well: this very request must not save the session again.
    this.#options.deniedHere.sessionEnded(sessionId)
    let complete = false
    try {
      await this.#endMarked(sessionId, marked, destroyRow, about)
      complete = true
    } finally {
      if (about.order === undefined) this.#tell(marked, about.target, complete)
    }
  }

  async #endMarked(
    sessionId: string,
    marked: MarkedSessions,
    destroyRow: () => Promise<void>,
    { order }: AboutLocalLogout,
  ): Promise<void> {
    const { store, emit } = this.#options
    await destroyRow()
    if (marked.error !== undefined) throw marked.error
    if (marked.sessionIds.length === 0) return
    await this.#destroyMovedSessions(marked.sessionIds.filter((id) => id !== sessionId))
    // The binding goes last: a repeat finds what the hook did not hear.
    const { onSessionsEnded, stepTimeoutSeconds } = this.#options
    const { client, reason } = order ?? { client: this.#options.client, reason: LOCAL }
    const about = { onSessionsEnded, earlierIds: this.#earlierIds, stepTimeoutSeconds }
    const notAnnounced = await announceEnded(client, reason, marked.sessionIds, about)
    if (notAnnounced !== undefined) throw notAnnounced
    // Before this the log of the store announces them here as everywhere.
    this.#options.endedHere?.(marked.sessionIds)
    try {
      await step(this.#options, store.unbind([sessionId]))
    } catch (cause) {
      throw new LogoutError('ERR_STORE', 'The session is ended, but its binding could not be removed', { cause })
    }
    if (order === undefined) emit({ type: 'unbound' })
  }

  /** Once for each session: not of one that was dead already, nor again when an application destroys what it unbound. */
  #tell({ sessionIds, wasLive }: MarkedSessions, target: LogoutTarget | undefined, complete: boolean): void {
    const { tell, client, clock } = this.#options
    if (tell === undefined || !wasLive) return
    const now = clock()
    const untold = sessionIds.filter((id) => this.#told.get(id, now) === undefined)
    if (untold.length === 0) return
    for (const id of untold) this.#told.set(id, { expiresAt: now + REMEMBERED_SECONDS }, now)
    tell(target ?? client, target ?? {}, { sessionIds: untold, reason: LOCAL, complete })
  }

  /** A session nobody bound gets no mark in the store: visitors could fill it with marks. */
  async #markIfKnown(sessionId: string, isOneOfMany: boolean): Promise<MarkedSessions> {
    const { store, storeClock, sessionLifetimeSeconds } = this.#options
    let marked: MarkedSessions = { sessionIds: [], wasLive: false }
    try {
      await this.#changes.finish(sessionId)
      const state = await step(this.#options, store.read(sessionId))
      if (state.binding === undefined && !state.ended) return marked
      const expiresAt = Math.max(storeClock.expiry(sessionLifetimeSeconds), state.binding?.expiresAt ?? 0)
      // With the ids that it had before: a request that still holds one must not carry the sign-on on from there. Not so where
      // one session is picked out of many: another one may have come from the same id, and is not meant.
      const ids = isOneOfMany ? [sessionId] : [sessionId, ...this.#earlierIds(sessionId)]
      const { sessionIds, tokenKeys } = await step(this.#options, store.endSessions(ids, expiresAt))
      // An id that was only left behind is ended, and its sign-on may have lived on under another.
      const wasLive = !this.#verdicts.isDead(state) || sessionIds.some((id) => !ids.includes(id))
      marked = { sessionIds, wasLive }
      await endTokens(tokenKeys, this.#options)
      return marked
    } catch (cause) {
      const sentence = 'The session was destroyed, but its end could not be marked'
      const isOurs = cause instanceof LogoutError && cause.code === 'ERR_EVICT'
      return { ...marked, error: isOurs ? cause : new LogoutError('ERR_STORE', sentence, { cause }) }
    }
  }

  /**
   * Where a sign-on that was ended had moved to. The marks deny it whether or not its row goes now, and a fresh login
   * may have taken the id meanwhile: so it is looked at again, and its binding is left to expire.
   */
  async #destroyMovedSessions(sessionIds: readonly string[]): Promise<void> {
    for (const sessionId of sessionIds) {
      try {
        const verdict = await this.#verdicts.verdictOn(sessionId)
        if (verdict === 'ended') await step(this.#options, this.#options.destroySession(sessionId))
      } catch {
        // The next read of it destroys it.
      }
    }
  }
}

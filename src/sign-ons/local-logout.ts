// The application ends a session itself: marked first, destroyed, then unbound; and with it the ids its sign-on moved
// on to.
import { LogoutError } from '../errors.js'
import type { LogoutReason } from '../events.js'
import { announceEnded } from '../logout/pass.js'
import type { Client } from '../marks/target.js'
import { endTokens } from './end-tokens.js'
import { type SignOnsOptions, step } from './options.js'
import type { SessionIdChanges } from './session-id-change.js'
import type { Verdicts } from './verdicts.js'

export class LocalLogout {
  readonly #options: SignOnsOptions
  readonly #verdicts: Verdicts
  readonly #changes: SessionIdChanges

  readonly #earlierIds: (sessionId: string) => readonly string[]

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

  /** See `SessionGuard`. `order`: whose it is and why, where it is one of many that are ended, of which another tells. */
  async end(
    sessionId: string,
    destroyRow: () => Promise<void>,
    order?: { readonly client: Client; readonly reason: LogoutReason },
  ): Promise<void> {
    const { store, emit, deniedHere } = this.#options
    const marked = await this.#markIfKnown(sessionId)
    // Whoever is signed in without a binding is signed out as well: this very request must not save the session again.
    deniedHere.sessionEnded(sessionId)
    await destroyRow()
    if (marked.error !== undefined) throw marked.error
    if (marked.sessionIds.length === 0) return
    await this.#destroyMovedSessions(marked.sessionIds.filter((id) => id !== sessionId))
    // The binding goes last: a repeat finds what the hook did not hear.
    const { onSessionsEnded, stepTimeoutSeconds } = this.#options
    const { client, reason } = order ?? { client: this.#options.client, reason: 'local-logout' }
    const about = { onSessionsEnded, earlierIds: this.#earlierIds, stepTimeoutSeconds }
    const notAnnounced = await announceEnded(client, reason, marked.sessionIds, about)
    if (notAnnounced !== undefined) throw notAnnounced
    try {
      await step(this.#options, store.unbind([sessionId]))
    } catch (cause) {
      throw new LogoutError('ERR_STORE', 'The session is ended, but its binding could not be removed', { cause })
    }
    if (order === undefined) emit({ type: 'unbound' })
  }

  /**
   * A session nobody bound gets no mark in the store: visitors could fill it with marks. Resolves to the ids that were
   * marked: this one and those to which another request had moved its sign-on meanwhile.
   */
  async #markIfKnown(
    sessionId: string,
  ): Promise<{ readonly sessionIds: readonly string[]; readonly error?: LogoutError }> {
    const { store, storeClock, sessionLifetimeSeconds } = this.#options
    let sessionIds: readonly string[] = []
    try {
      await this.#changes.finish(sessionId)
      const state = await step(this.#options, store.read(sessionId))
      if (state.binding === undefined && !state.ended) return { sessionIds: [] }
      const expiresAt = Math.max(storeClock.expiry(sessionLifetimeSeconds), state.binding?.expiresAt ?? 0)
      // With the ids that it had before: a request that still holds one must not carry the sign-on on from there.
      const ids = [sessionId, ...this.#earlierIds(sessionId)]
      const ended = await step(this.#options, store.endSessions(ids, expiresAt))
      sessionIds = ended.sessionIds
      this.#options.endedHere?.(sessionIds)
      await endTokens(ended.tokenKeys, this.#options)
      return { sessionIds }
    } catch (cause) {
      const sentence = 'The session was destroyed, but its end could not be marked'
      const isOurs = cause instanceof LogoutError && cause.code === 'ERR_EVICT'
      return { sessionIds, error: isOurs ? cause : new LogoutError('ERR_STORE', sentence, { cause }) }
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

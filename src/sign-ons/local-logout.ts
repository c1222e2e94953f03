// The application ends a session itself: marked first, destroyed, then unbound; and with it the ids its sign-on moved
// on to.
import { within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { LogoutReason } from '../events.js'
import { ExpiringMap } from '../expiring-map.js'
import { inParallel } from '../logout/background.js'
import { announceEnded } from '../logout/hooks.js'
import { isInterimId } from '../logout/interim-ids.js'
import { keepTokens } from '../logout/pass.js'
import type { Afterwards } from '../logout/tokens-of-sessions.js'
import { type Client, type LogoutTarget, sidKey, subKey } from '../marks/target.js'
import type { SignOnNames } from '../sessions/session-backend.js'
import type { Binding } from '../stores/logout-store.js'
import { endTokens } from './end-tokens.js'
import { type SignOnsOptions, sessionMarksExpireAt, step } from './options.js'
import type { SessionIdChanges } from './session-id-change.js'
import type { Verdicts } from './verdicts.js'

/** Whose session it is, where that is known. */
export interface AboutLocalLogout {
  readonly target?: LogoutTarget
  /** Other sessions of the same sign-on, which live on. */
  readonly sparedIds?: readonly string[]
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
  readonly binding?: Binding | undefined
  readonly error?: LogoutError
}

const LOCAL: LogoutReason = 'local-logout'

/** Sessions destroyed at one time: a sign-on may have moved on any number of times. */
const CONCURRENCY = 32
/** A name is worth no more of a request's time. */
const NAMED_WITHIN_SECONDS = 0.4
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
    const { sparedIds = [] } = about
    // Before the row goes, and while the mark is written: nothing waits longer than a moment for a name.
    const named = about.order === undefined ? this.#namesOf(sessionId) : undefined
    const marked = await this.#markIfKnown(sessionId, sparedIds)
    about.order?.ended(marked.sessionIds)
    // Whoever is signed in without a binding is signed out as well: this very request must not save the session again.
    this.#options.deniedHere.sessionEnded(sessionId)
    let complete = false
    let begin: Afterwards | undefined
    let names: SignOnNames | undefined
    try {
      // Of the session that a request is in, the logout that it is part of sees to the tokens itself.
      const client = about.order?.client ?? about.target
      const reason = about.order?.reason ?? LOCAL
      const { sessionIds } = marked
      // Nor of a sign-on that lives on: an OP that revokes one refresh token of it revokes them all.
      if (client !== undefined && sparedIds.length === 0) {
        begin = await keepTokens(this.#options.tokens, { client, reason, revokeOfflineAccess: false, sessionIds })
      }
      names = ofBinding(await named, marked.binding)
      await this.#endMarked(sessionId, marked, destroyRow, about)
      complete = true
    } finally {
      begin?.()
      if (about.order === undefined) this.#tell(marked, about.target, names, complete)
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

  /**
   * Once for each session: not of one that was dead already, nor again when an application destroys what it unbound.
   */
  #tell(
    { sessionIds, wasLive }: MarkedSessions,
    target: LogoutTarget | undefined,
    names: SignOnNames | undefined,
    complete: boolean,
  ): void {
    const { tell, client, clock } = this.#options
    if (tell === undefined || !wasLive) return
    const now = clock()
    const untold = sessionIds.filter((id) => this.#told.get(id, now) === undefined)
    if (untold.length === 0) return
    for (const id of untold) this.#told.set(id, { expiresAt: now + REMEMBERED_SECONDS }, now)
    tell(target ?? names ?? client, { ...target, ...names }, { sessionIds: untold, reason: LOCAL, complete })
  }

  /** Never rejects. */
  async #namesOf(sessionId: string): Promise<SignOnNames | undefined> {
    const { tell, namesOf } = this.#options
    // No row is under an interim id.
    if (tell === undefined || namesOf === undefined || isInterimId(sessionId)) return undefined
    return within(NAMED_WITHIN_SECONDS, namesOf(sessionId)).catch(() => undefined)
  }

  /** A session nobody bound gets no mark in the store: visitors could fill it with marks. */
  async #markIfKnown(sessionId: string, sparedIds: readonly string[]): Promise<MarkedSessions> {
    const { store } = this.#options
    let marked: MarkedSessions = { sessionIds: [], wasLive: false }
    try {
      await this.#changes.finish(sessionId)
      const state = await step(this.#options, store.read(sessionId))
      if (state.binding === undefined && !state.ended) return marked
      const expiresAt = Math.max(sessionMarksExpireAt(this.#options), state.binding?.expiresAt ?? 0)
      // With the ids that it had before: a request that still holds one must not carry the sign-on on from there.
      const ids = [sessionId, ...this.#earlierIds(sessionId)]
      const { sessionIds, tokenKeys } = await step(this.#options, store.endSessions(ids, expiresAt, sparedIds))
      // An id that was only left behind is ended, and its sign-on may have lived on under another.
      const movedOn = sessionIds.some((id) => !ids.includes(id))
      const isTold = this.#options.tell !== undefined
      const wasDead = !isTold || movedOn ? false : this.#verdicts.isDead(state).catch(() => false)
      marked = { sessionIds, wasLive: true, binding: state.binding }
      try {
        await endTokens(tokenKeys, this.#options)
      } finally {
        marked = { ...marked, wasLive: !(await wasDead) }
      }
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
    // A sign-on has had a few ids. Thousands are of a client that changes its id on purpose, and are not waited for one
    // by one.
    const width = sessionIds.length > CONCURRENCY ? CONCURRENCY : 1
    await inParallel(width, sessionIds, async (sessionId) => {
      try {
        const verdict = await this.#verdicts.verdictOn(sessionId)
        if (verdict === 'ended') await step(this.#options, this.#options.destroySession(sessionId))
      } catch {
        // The next read of it destroys it.
      }
    })
  }
}

/**
 * A row is the application's to write, and of several sign-ons in one session it names the last: what it says counts
 * where the logout store knows the same, by its hash.
 */
function ofBinding(names: SignOnNames | undefined, binding: Binding | undefined): SignOnNames | undefined {
  if (names === undefined || binding?.subKey !== subKey(names, names.sub)) return undefined
  const { sid, ...rest } = names
  return sid !== undefined && binding.sidKey === sidKey(names, sid) ? names : rest
}

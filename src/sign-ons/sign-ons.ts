// What lives: binding a login to its local session, and the verdict on a session that is presented again.
// Writes first and then looks (law 7); where it cannot look, it says so and lets nobody in (law 8).
import { randomUUID } from 'node:crypto'
import { within } from '../deadline.js'
import { LogoutError, NoVerdictError } from '../errors.js'
import type { EventListener } from '../events.js'
import { ExpiringMap } from '../expiring-map.js'
import type { ClaimsEvictor } from '../logout/claims-evictor.js'
import type { DeniedHere } from '../logout/denied-here.js'
import { covers, DEFAULT_TOLERANCE_SECONDS, type Mark } from '../marks/covering.js'
import { type Client, sidKey, subKey } from '../marks/target.js'
import type { LocalSession, SessionGuard, SessionVerdict } from '../sessions/session-backend.js'
import { isWholeSignOn } from '../sessions/stateless-guard.js'
import type { Binding, LogoutStore, SessionState } from '../stores/logout-store.js'

/** What the ID Token of a login says of the sign-on. */
export interface Login {
  readonly client: Client
  readonly sub: string
  readonly sid?: string | undefined
  /** `iat` of the ID Token; absent counts as older than any logout. */
  readonly issuedAt?: number | undefined
  readonly tokenKeys: readonly string[]
}

/** A sign-on as a stateless session carries it: plain JSON, to be kept where the user cannot change it. */
export interface StatelessSignOn extends Client {
  readonly sub: string
  readonly sid?: string
  readonly issuedAt?: number
  /** The store's clock when it was made; after `sessionLifetimeSeconds` it is over, since marks are kept no longer. */
  readonly boundAt: number
}

export interface SignOnsOptions {
  readonly store: LogoutStore
  readonly claims: ClaimsEvictor | undefined
  readonly destroySession: (sessionId: string) => Promise<void>
  readonly deniedHere: DeniedHere
  readonly emit: EventListener
  readonly clock: () => number
  readonly sessionLifetimeSeconds: number
  readonly marksLifetimeSeconds: number
  readonly stepTimeoutSeconds: number
}

/** A sign-on whose old session id was left and whose new one is not written yet. */
interface Transit {
  /** The id under which the logout store knows it meanwhile. */
  readonly transitId: string
  readonly signOn: Binding | undefined
  readonly expiresAt: number
  arrival?: Promise<void>
}

export class SignOns implements SessionGuard {
  readonly #options: SignOnsOptions
  readonly #inTransit = new ExpiringMap<Transit>()

  constructor(options: SignOnsOptions) {
    this.#options = options
  }

  /**
   * Ties a login to its session, and resolves to whether a logout of that sign-on had come first: then the session is destroyed
   * and nobody is signed in. Rejects with `ERR_STORE` if it could not be recorded; the session id is dead in this process then.
   */
  async bind(session: LocalSession, login: Login): Promise<{ readonly ended: boolean }> {
    const { store, deniedHere, emit } = this.#options
    const { sessionId } = session
    const keys = {
      subKey: subKey(login.client, login.sub),
      sidKey: login.sid === undefined ? undefined : sidKey(login.client, login.sid),
    }
    await this.#makeWay(sessionId, keys)
    let state: SessionState
    try {
      state = await this.#step(
        store.bind({
          sessionId,
          ...keys,
          issuedAt: login.issuedAt,
          expiresAt: this.#outlasting(session.expiresAt),
          tokenKeys: login.tokenKeys,
        }),
      )
    } catch (cause) {
      // The response may still save this session with the user in it, and no logout would ever find it.
      deniedHere.sessionEnded(sessionId)
      throw new LogoutError('ERR_STORE', 'The login could not be bound to its session', { cause })
    }
    const ended = this.#isDead(state)
    if (ended) await this.#endNow(sessionId, state, login.tokenKeys)
    else deniedHere.sessionLives(sessionId)
    emit({ type: 'bound', issuer: login.client.issuer, clientId: login.client.clientId, ended })
    return { ended }
  }

  async verdictOn(sessionId: string, keptUntil?: number): Promise<SessionVerdict> {
    let state: SessionState
    try {
      state = await this.#step(this.#options.store.read(sessionId))
    } catch (cause) {
      throw new NoVerdictError(cause)
    }
    if (this.#isDead(state)) return 'ended'
    this.#renew(state, keptUntil)
    return state.binding === undefined ? 'unbound' : 'bound'
  }

  /** Records further access tokens with a bound session; where it is dead by now, they are denied like the first ones. */
  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<{ readonly ended: boolean }> {
    const { store, deniedHere } = this.#options
    try {
      await this.arrived(sessionId)
      const state = await this.#step(store.addTokens(sessionId, tokenKeys))
      if (!this.#isDead(state)) return { ended: false }
      deniedHere.sessionEnded(sessionId)
      await this.#endTokens(tokenKeys)
      return { ended: true }
    } catch (cause) {
      throw new LogoutError('ERR_STORE', 'The tokens could not be recorded with their session', { cause })
    }
  }

  /** Makes the record of a stateless login, or `undefined` if a logout of that sign-on had come first. */
  async signOn(login: Login): Promise<StatelessSignOn | undefined> {
    const { client, sub, sid, issuedAt } = login
    let now: number
    try {
      now = (await this.#step(this.#options.store.marks([]))).now
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
    const ended = !(await this.isLive(record))
    this.#options.emit({ type: 'bound', issuer, clientId, ended })
    return ended ? undefined : record
  }

  /** Whether a stateless sign-on still lives. Rejects with `NoVerdictError` where that cannot be found out. One look-up. */
  async isLive(record: StatelessSignOn): Promise<boolean> {
    if (!isWholeSignOn(record)) return false
    const sub = subKey(record, record.sub)
    const keys = record.sid === undefined ? [sub] : [sidKey(record, record.sid), sub]
    const signOn = { subKey: sub, issuedAt: record.issuedAt, boundAt: record.boundAt }
    const { store, deniedHere, sessionLifetimeSeconds } = this.#options
    try {
      const { now, marks } = await this.#step(store.marks(keys))
      if (!(record.boundAt > now - sessionLifetimeSeconds)) return false
      const standing = [...marks, ...deniedHere.marksUnder(keys)]
      return !standing.some((mark) => covers(mark, signOn, DEFAULT_TOLERANCE_SECONDS))
    } catch (cause) {
      throw new NoVerdictError(cause)
    }
  }

  wasEndedHere(sessionId: string): boolean {
    return this.#options.deniedHere.wasEnded(sessionId)
  }

  /**
   * The sign-on waits under an id of nobody's until the new one is written: a fresh login that takes the new id instead must not
   * inherit what a logout does to the old sign-on in between, since an id that a logout named is never used again.
   */
  async moved(fromSessionId: string, move: () => Promise<string>): Promise<string> {
    const { store, deniedHere, clock, sessionLifetimeSeconds } = this.#options
    const transitId = randomUUID()
    let state: SessionState
    try {
      await this.arrived(fromSessionId)
      state = await this.#step(store.rebind(fromSessionId, transitId, clock() + sessionLifetimeSeconds))
    } catch (cause) {
      deniedHere.sessionEnded(await move())
      throw new NoVerdictError(cause)
    }
    const wasEnded = deniedHere.wasEnded(fromSessionId)
    const toSessionId = await move()
    if (wasEnded || this.#isDead(state)) deniedHere.sessionEnded(toSessionId)
    if (state.ended || state.binding !== undefined) {
      const now = clock()
      const transit = { transitId, signOn: state.binding, expiresAt: now + sessionLifetimeSeconds }
      this.#inTransit.set(toSessionId, transit, now)
    }
    return toSessionId
  }

  async arrived(sessionId: string): Promise<boolean> {
    const transit = this.#inTransit.get(sessionId, this.#options.clock())
    if (transit === undefined) return false
    transit.arrival ??= this.#arrive(transit.transitId, sessionId)
    await transit.arrival
    return true
  }

  async #arrive(transitId: string, sessionId: string): Promise<void> {
    const { store, deniedHere, clock, sessionLifetimeSeconds } = this.#options
    try {
      const state = await this.#step(store.rebind(transitId, sessionId, clock() + sessionLifetimeSeconds))
      if (this.#isDead(state)) deniedHere.sessionEnded(sessionId)
    } catch (cause) {
      deniedHere.sessionEnded(sessionId)
      throw new NoVerdictError(cause)
    } finally {
      this.#inTransit.delete(sessionId)
    }
  }

  /**
   * A fresh login takes the id: what was on its way there is left behind. Unless it is the same sign-on, of whose first tokens the
   * logout must still know: then it arrives, and the store unites them. Never rejects.
   */
  async #makeWay(sessionId: string, keys: Pick<Binding, 'subKey' | 'sidKey'>): Promise<void> {
    const transit = this.#inTransit.get(sessionId, this.#options.clock())
    if (transit === undefined) return
    const { signOn } = transit
    const isSame = signOn?.subKey === keys.subKey && signOn.sidKey === keys.sidKey
    if (isSame) return void (await this.arrived(sessionId).catch(() => {}))
    this.#inTransit.delete(sessionId)
    try {
      if (transit.arrival !== undefined) await transit.arrival
      else await this.#step(this.#options.store.unbind([transit.transitId]))
    } catch {
      // It has no row, and expires like any other binding.
    }
  }

  async endLocally(sessionId: string, destroyRow: () => Promise<void>): Promise<void> {
    const { store, emit, deniedHere } = this.#options
    const marked = await this.#markIfKnown(sessionId)
    // Whoever is signed in without a binding is signed out as well: this very request must not save the session again.
    deniedHere.sessionEnded(sessionId)
    await destroyRow()
    if (marked.error !== undefined) throw marked.error
    if (marked.sessionIds.length === 0) return
    await this.#tidy(marked.sessionIds.filter((id) => id !== sessionId))
    try {
      await this.#step(store.unbind([sessionId]))
    } catch (cause) {
      throw new LogoutError('ERR_STORE', 'The session is ended, but its binding could not be removed', {
        cause,
      })
    }
    emit({ type: 'unbound' })
  }

  resurrectionBlocked(how: 'read' | 'write'): void {
    this.#options.emit({ type: 'resurrection-blocked', how })
  }

  /**
   * A session nobody bound gets no mark in the store: visitors could fill it with marks. Resolves to the ids that were marked: this one and
   * those to which another request had moved its sign-on meanwhile.
   */
  async #markIfKnown(
    sessionId: string,
  ): Promise<{ readonly sessionIds: readonly string[]; readonly error?: LogoutError }> {
    const { store, clock, sessionLifetimeSeconds } = this.#options
    let sessionIds: readonly string[] = []
    try {
      await this.arrived(sessionId)
      const state = await this.#step(store.read(sessionId))
      if (state.binding === undefined && !state.ended) return { sessionIds: [] }
      const expiresAt = Math.max(clock() + sessionLifetimeSeconds, state.binding?.expiresAt ?? 0)
      const ended = await this.#step(store.endSessions([sessionId], expiresAt))
      sessionIds = ended.sessionIds
      await this.#endTokens(ended.tokenKeys)
      return { sessionIds }
    } catch (cause) {
      const sentence = 'The session was destroyed, but its end could not be marked'
      const isOurs = cause instanceof LogoutError && cause.code === 'ERR_EVICT'
      return { sessionIds, error: isOurs ? cause : new LogoutError('ERR_STORE', sentence, { cause }) }
    }
  }

  /**
   * Where a sign-on that was ended had moved to. The marks deny it whether or not its row goes now, and a fresh login may have taken
   * the id meanwhile: so it is looked at again, and its binding is left to expire.
   */
  async #tidy(sessionIds: readonly string[]): Promise<void> {
    for (const sessionId of sessionIds) {
      try {
        if ((await this.verdictOn(sessionId)) === 'ended') await this.#step(this.#options.destroySession(sessionId))
      } catch {
        // The next read of it destroys it.
      }
    }
  }

  /** A session id that was ended already has its mark, and where its former sign-on moved to is nothing to this login. */
  async #endNow(sessionId: string, { ended }: SessionState, loginTokenKeys: readonly string[]): Promise<void> {
    const { store, deniedHere, destroySession, clock, sessionLifetimeSeconds } = this.#options
    deniedHere.sessionEnded(sessionId)
    const end = () => this.#step(store.endSessions([sessionId], clock() + sessionLifetimeSeconds))
    try {
      const tokenKeys = ended ? loginTokenKeys : (await end()).tokenKeys
      await this.#step(destroySession(sessionId))
      await this.#endTokens(tokenKeys)
      await this.#step(store.unbind([sessionId]))
    } catch (cause) {
      const error = new LogoutError('ERR_STORE', 'A login that was logged out could not be cleaned up', {
        cause,
      })
      this.#options.emit({ type: 'warning', error })
    }
  }

  /** Access tokens live and die with their session: marked on every node, and dropped from this process's cache. */
  async #endTokens(tokenKeys: readonly string[]): Promise<void> {
    const { store, claims, clock, marksLifetimeSeconds } = this.#options
    const issuedAt = clock()
    const about = { issuedAt, seenSecondsAgo: 0, marksExpireAt: issuedAt + marksLifetimeSeconds, mayFinish: true }
    const marks: Mark[] = []
    for (const key of tokenKeys) {
      const target = { scope: 'token', key } as const
      const begun = await this.#step(store.begin({ target, ...about, toleranceSeconds: DEFAULT_TOLERANCE_SECONDS }))
      if (!begun.replayed) marks.push(begun.mark)
    }
    if (claims === undefined) return
    try {
      for (const mark of marks) {
        const { scope, key } = mark
        await this.#step(Promise.resolve(claims.evict({ target: { scope, key }, mark, tokenKeys: [key] })))
      }
    } catch (cause) {
      throw new LogoutError('ERR_EVICT', 'The session is ended, but its cached claims were not evicted', {
        cause,
      })
    }
  }

  #isDead({ ended, binding, marks }: SessionState): boolean {
    if (ended) return true
    if (binding === undefined) return false
    const denied = this.#options.deniedHere.marksUnder([binding.sidKey, binding.subKey])
    return [...marks, ...denied].some((mark) => covers(mark, binding, DEFAULT_TOLERANCE_SECONDS))
  }

  /** A binding must outlast its session, or a logout would not find it; so it follows a session that is kept alive by use. */
  #renew({ binding }: SessionState, keptUntil: number | undefined): void {
    if (binding === undefined) return
    const { store, clock, sessionLifetimeSeconds, emit } = this.#options
    const needed = Math.max(keptUntil ?? 0, clock() + sessionLifetimeSeconds / 2)
    if (binding.expiresAt >= needed) return
    this.#step(store.renew(binding.sessionId, this.#outlasting(keptUntil))).catch((cause: unknown) => {
      const error = new LogoutError('ERR_STORE', 'A binding could not be renewed', { cause })
      emit({ type: 'warning', error })
    })
  }

  /** Half a lifetime beyond what is needed, so that renewals are rare; whole seconds, which are shorter to store. */
  #outlasting(keptUntil = 0): number {
    const { clock, sessionLifetimeSeconds } = this.#options
    const now = clock()
    return Math.ceil(Math.max(now + sessionLifetimeSeconds, keptUntil + sessionLifetimeSeconds / 2))
  }

  #step<T>(work: Promise<T>): Promise<T> {
    return within(this.#options.stepTimeoutSeconds, work)
  }
}

// What lives: a login is tied to its local session. Writes first and then looks, so that no interleaving with a logout
// is unsafe; where it cannot look, it says so and lets nobody in.
import { LogoutError, NoVerdictError } from '../errors.js'
import { idOfLateTokens } from '../logout/interim-ids.js'
import { sidKey, subKey } from '../marks/target.js'
import type {
  JudgedSession,
  KeptUntil,
  LocalSession,
  SessionGuard,
  SessionLimits,
  SessionVerdict,
} from '../sessions/session-backend.js'
import type { BoundState, LogoutStore, SessionState } from '../stores/logout-store.js'
import { endTokens } from './end-tokens.js'
import { FailedLogins, isLoginUndone, loginUndone } from './failed-logins.js'
import { LocalLogout } from './local-logout.js'
import type { Login } from './login.js'
import { type SignOnsOptions, sessionMarksExpireAt, step } from './options.js'
import { idReused, SessionIdChanges } from './session-id-change.js'
import { aboutOf, SessionList } from './session-list.js'
import { endSignOn, isLive, type StatelessSignOn, signOn } from './stateless.js'
import { startedAtStore } from './store-time.js'
import { Verdicts } from './verdicts.js'

export class SignOns implements SessionGuard {
  readonly #options: SignOnsOptions
  readonly #verdicts: Verdicts
  readonly #changes: SessionIdChanges
  readonly #localLogout: LocalLogout
  readonly #failedLogins: FailedLogins
  readonly list: SessionList
  #isClosed = false

  constructor(options: SignOnsOptions) {
    this.#options = options
    this.#verdicts = new Verdicts(options)
    this.#changes = new SessionIdChanges(options, this.#verdicts)
    this.#localLogout = new LocalLogout(options, this.#verdicts, this.#changes, (id) => this.earlierIds(id))
    this.#failedLogins = new FailedLogins(options)
    this.list = new SessionList(options, this.#verdicts, this.#changes, this.#localLogout)
  }

  /**
   * Ties a login to its session, and resolves to whether a logout of that sign-on had come first: then the session is
   * destroyed and nobody is signed in. Rejects with `ERR_STORE` if it could not be recorded; the session id is dead in
   * this process then.
   */
  async bind(session: LocalSession, login: Login): Promise<SessionLimits & { readonly ended: boolean }> {
    const { store, storeClock, clock, deniedHere, emit } = this.#options
    const { sessionId } = session
    const keys = {
      subKey: subKey(login.client, login.sub),
      sidKey: login.sid === undefined ? undefined : sidKey(login.client, login.sid),
    }
    const attempt = await this.#failedLogins.attempt(sessionId)
    await this.#changes.leaveBehind(sessionId, keys)
    let write: Promise<BoundState> | undefined
    let state: SessionState
    let ended: boolean
    try {
      if (!attempt.mayLive(clock())) throw loginUndone()
      const expiresAt = this.#verdicts.outlasting(session.expiresAt)
      const startedAt = await startedAtStore(login.startedAt, this.#options)
      const { issuedAt, tokenKeys, endsAt, idleSeconds } = login
      const limits = { ...(endsAt !== undefined && { endsAt }), ...(idleSeconds !== undefined && { idleSeconds }) }
      const about = aboutOf(login)
      const dates = { issuedAt, startedAt, expiresAt }
      const binding = { sessionId, ...keys, ...dates, tokenKeys, ...limits, ...(about !== undefined && { about }) }
      const begun = storeClock.moment()
      write = store.bind(binding)
      const bound = await step(this.#options, write)
      storeClock.learn(bound.now, begun)
      state = bound
      ended = await this.#verdicts.isDead(state)
      if (!ended && !attempt.lives(clock())) throw loginUndone()
    } catch (cause) {
      deniedHere.sessionEnded(sessionId)
      if (write !== undefined) this.#failedLogins.mayStillWrite(sessionId, write)
      if (isLoginUndone(cause)) throw cause
      throw new LogoutError('ERR_STORE', 'The login could not be bound to its session', { cause })
    } finally {
      attempt.isOver()
    }
    if (ended) await this.#endNow(sessionId, state, login.tokenKeys)
    else {
      deniedHere.sessionLives(sessionId)
      this.#options.memory?.sessionLives(sessionId)
      this.#options.seen?.(sessionId)
    }
    const { issuer, clientId } = login.client
    if (state.ended) emit({ type: 'warning', error: idReused() })
    const reason = state.ended ? 'session_id_reused' : this.#verdicts.isOver(state) ? 'session_expired' : undefined
    emit({ type: 'bound', issuer, clientId, ended, ...(reason && { reason }) })
    return { ended, ...this.#verdicts.limitsOf(state.binding ?? {}) }
  }

  /**
   * A login that failed, for whatever reason, does not stand: neither what was saved of it before, nor what is saved
   * after.
   */
  undoLogin(sessionId: string): void {
    this.#failedLogins.undo(sessionId)
  }

  /**
   * Records further access tokens with a bound session; where it is dead by now, they are denied like the first ones.
   */
  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<{ readonly ended: boolean }> {
    const { store, deniedHere } = this.#options
    try {
      await this.#changes.finish(sessionId)
      const state = await step(this.#options, store.addTokens(sessionId, tokenKeys))
      if (!(await this.#verdicts.isDead(state))) return { ended: false }
      if (state.binding === undefined && (await this.#addToMoved(sessionId, tokenKeys))) return { ended: false }
      deniedHere.sessionEnded(sessionId)
      await endTokens(tokenKeys, this.#options)
      return { ended: true }
    } catch (cause) {
      throw new LogoutError('ERR_STORE', 'The tokens could not be recorded with their session', { cause })
    }
  }

  /**
   * An id that was left behind is ended, and its sign-on may live under another, which another process may have given
   * it. The store knows: whoever moves from such an id gets the same sign-on. So an id of nobody's does, with these
   * tokens; it has no row, is found by a logout like any other, and expires.
   */
  async #addToMoved(sessionId: string, tokenKeys: readonly string[]): Promise<boolean> {
    const { store, storeClock, sessionLifetimeSeconds } = this.#options
    const ownId = idOfLateTokens()
    const expiresAt = storeClock.expiry(sessionLifetimeSeconds)
    const moved = await step(this.#options, store.rebind(sessionId, ownId, expiresAt))
    if (moved.binding === undefined || (await this.#verdicts.isDead(moved))) return false
    return !(await this.#verdicts.isDead(await step(this.#options, store.addTokens(ownId, tokenKeys))))
  }

  signOn(login: Login): Promise<StatelessSignOn | undefined> {
    return signOn(login, this.#options)
  }

  isLive(record: StatelessSignOn): Promise<boolean> {
    return isLive(record, this.#options)
  }

  endSignOn(record: StatelessSignOn | null | undefined): Promise<void> {
    return endSignOn(record, this.#options)
  }

  earlierIds(sessionId: string): readonly string[] {
    const elsewhere = this.#options.earlierIdsElsewhere?.(sessionId) ?? []
    return [...new Set([...this.#changes.earlierIds(sessionId), ...elsewhere])]
  }

  async verdictOn(sessionId: string, keptUntil?: KeptUntil): Promise<SessionVerdict> {
    return (await this.judge(sessionId, keptUntil)).verdict
  }

  async judge(sessionId: string, keptUntil?: KeptUntil): Promise<JudgedSession> {
    const judged = await this.#verdicts.judge(sessionId, keptUntil)
    if (judged.verdict === 'bound') this.#options.seen?.(sessionId)
    return judged
  }

  get identity(): string | undefined {
    return this.#options.identity
  }

  get logoutStore(): LogoutStore {
    return this.#options.store
  }

  isClosed(): boolean {
    return this.#isClosed
  }

  hasUnfinished(): boolean {
    return this.#options.deniedHere.hasDenials()
  }

  isOver(): boolean {
    return this.#isClosed && this.#options.deniedHere.isOver()
  }

  async signOnUnder(sessionId: string): Promise<string | undefined> {
    try {
      await this.#changes.finish(sessionId)
      const { binding, ended } = await step(this.#options, this.#options.store.read(sessionId, { current: true }))
      if (binding !== undefined) return JSON.stringify([binding.boundAt, binding.subKey, binding.sidKey])
      return ended ? 'ended' : undefined
    } catch (cause) {
      throw new NoVerdictError(cause)
    }
  }

  close(): void {
    if (!this.#isClosed) this.#options.deniedHere.closed()
    this.#isClosed = true
    this.#failedLogins.close()
  }

  wasEndedHere(sessionId: string): boolean {
    return this.#options.deniedHere.wasEnded(sessionId)
  }

  changeSessionId(fromSessionId: string, change: () => Promise<string>): Promise<string> {
    return this.#changes.begin(fromSessionId, change)
  }

  limitsOfChange(sessionId: string): SessionLimits | undefined {
    return this.#changes.limitsOf(sessionId)
  }

  finishChange(sessionId: string): Promise<boolean> {
    return this.#changes.finish(sessionId)
  }

  endLocally(sessionId: string, destroyRow: () => Promise<void>): Promise<void> {
    return this.#localLogout.end(sessionId, destroyRow)
  }

  unboundSession(wasBound: boolean): void {
    const { mistakes } = this.#options
    if (wasBound) mistakes?.report('binding_unknown')
    else mistakes?.metUnboundUser()
  }

  resurrectionBlocked(how: 'read' | 'write'): void {
    this.#options.emit({ type: 'resurrection-blocked', how })
  }

  /**
   * A session id that was ended already has its mark, and where its former sign-on moved to is nothing to this login.
   */
  async #endNow(sessionId: string, { ended }: SessionState, loginTokenKeys: readonly string[]): Promise<void> {
    const { store, deniedHere, destroySession } = this.#options
    deniedHere.sessionEnded(sessionId)
    const end = () => step(this.#options, store.endSessions([sessionId], sessionMarksExpireAt(this.#options)))
    try {
      const tokenKeys = ended ? loginTokenKeys : (await end()).tokenKeys
      await step(this.#options, destroySession(sessionId))
      await endTokens(tokenKeys, this.#options)
      await step(this.#options, store.unbind([sessionId]))
    } catch (cause) {
      const error = new LogoutError('ERR_STORE', 'A login that was logged out could not be cleaned up', { cause })
      this.#options.emit({ type: 'warning', error })
    }
  }
}

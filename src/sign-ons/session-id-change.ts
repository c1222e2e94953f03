// The change of a session id (`regenerate`), as one story: the sign-on goes along, and no id that it had lives on
// beside it. Knows session ids and bindings; which rows there are is the session backend's.
//
//   request        session store        logout store                          who may sign in by
//   -------        -------------        ------------                          ------------------
//                  row under old        binding under old                     old
//   regenerate()                        rebind old -> interim: old is marked  nobody
//                  row of old goes
//   generate()     (new id, no row)     binding under interim                 nobody
//     |
//     |  save()                         rebind interim -> new                 nobody
//     |            row under new        binding under new                     new
//     |
//     |  or bind(): another sign-on     binding under interim is removed      nobody
//     |            row under new        binding of the login under new        new
//
// Why two rebinds? Between `generate` and the first save the new id belongs to nobody: a fresh login may take it
// instead. An id that a logout named is never used again, so were the old sign-on there already, a logout of it in
// between would end the login as well. The interim id is known to this process alone and has no row. If the process
// dies in between, the old id is marked, the new one has no row, and the binding under the interim id expires like any
// other.
import { LogoutError, NoVerdictError } from '../errors.js'
import { interimId } from '../logout/interim-ids.js'
import type { SessionLimits } from '../sessions/session-backend.js'
import type { Binding, SessionState } from '../stores/logout-store.js'
import { type SignOnsOptions, sessionMarksExpireAt, step } from './options.js'
import { type PendingChange, SessionStoreMemory } from './session-store-memory.js'
import type { Verdicts } from './verdicts.js'

/**
 * The changes that this receiver makes in its logout store. Which of them are pending all receivers over one session
 * store know: a login that is bound by one of them takes the new id from all.
 */
export class SessionIdChanges {
  readonly #options: SignOnsOptions
  readonly #verdicts: Verdicts
  readonly #memory: SessionStoreMemory

  constructor(options: SignOnsOptions, verdicts: Verdicts) {
    this.#options = options
    this.#verdicts = verdicts
    this.#memory = options.memory ?? new SessionStoreMemory()
  }

  /** First half: the old id is marked before its row goes. See `SessionGuard`. */
  async begin(fromSessionId: string, change: () => Promise<string>): Promise<string> {
    const { store, deniedHere, clock, sessionLifetimeSeconds } = this.#options
    const interim = interimId()
    let state: SessionState
    try {
      await this.finish(fromSessionId)
      state = await step(this.#options, store.rebind(fromSessionId, interim, sessionMarksExpireAt(this.#options)))
    } catch (cause) {
      deniedHere.sessionEnded(await change())
      throw new NoVerdictError(cause)
    }
    const wasEnded = deniedHere.wasEnded(fromSessionId)
    const toSessionId = await change()
    // As it is now: a logout may have come in the meantime. Where nobody can tell, the next read will be told.
    if (wasEnded || (await this.#verdicts.isDead(state).catch(() => false))) deniedHere.sessionEnded(toSessionId)
    if (state.ended || state.binding !== undefined) {
      if (toSessionId === fromSessionId) throw idReused()
      const now = clock()
      const expiresAt = now + sessionLifetimeSeconds
      this.#memory.addChange(toSessionId, this.#pendingChange(interim, toSessionId, state.binding), expiresAt, now)
      const ids = [fromSessionId, ...this.earlierIds(fromSessionId), ...this.earlierIds(toSessionId)]
      this.#memory.earlierIds.set(toSessionId, { ids: [...new Set(ids)], expiresAt }, now)
      this.#memory.earlierIds.delete(fromSessionId)
    }
    return toSessionId
  }

  /**
   * Second half: the new id is about to be written, or asked about. Resolves to whether it was given to a sign-on by a
   * change, of this receiver or another, and whoever has finished that. See `SessionGuard`.
   */
  async finish(sessionId: string): Promise<boolean> {
    const changes = this.#changesTo(sessionId)
    for (const change of changes) await change.finish()
    return changes.length > 0 || this.earlierIds(sessionId).length > 0
  }

  /** When the sign-on ends by itself that is on its way to this id. */
  limitsOf(sessionId: string): SessionLimits | undefined {
    const limits = this.#changesTo(sessionId).flatMap((change) => change.limits() ?? [])
    if (limits.length === 0) return undefined
    return {
      secondsLeft: least(limits.map(({ secondsLeft }) => secondsLeft)),
      idleSeconds: least(limits.map(({ idleSeconds }) => idleSeconds)),
    }
  }

  /**
   * The ids that this session's sign-on had before, as far as this process changed them: connections may still bear
   * them.
   */
  earlierIds(sessionId: string): readonly string[] {
    return this.#memory.earlierIds.get(sessionId, this.#options.clock())?.ids ?? []
  }

  /**
   * Or else: a fresh login takes the new id, and the sign-on that was to come is left behind. Unless it is the same
   * sign-on, of whose first tokens the logout must still know: then it goes along, and the store unites them. Never
   * rejects.
   */
  async leaveBehind(sessionId: string, login: Pick<Binding, 'subKey' | 'sidKey'>): Promise<void> {
    const changes = this.#changesTo(sessionId)
    if (changes.length === 0) return
    const isSame = ({ signOn }: PendingChange) => signOn?.subKey === login.subKey && signOn.sidKey === login.sidKey
    if (!changes.some(isSame)) this.#memory.earlierIds.delete(sessionId)
    for (const change of changes) {
      if (isSame(change)) await change.finish().catch(() => {})
      else await change.leave()
    }
  }

  #changesTo(sessionId: string): readonly PendingChange[] {
    return this.#memory.changesTo(sessionId, this.#options.clock())
  }

  #pendingChange(interim: string, sessionId: string, signOn: Binding | undefined): PendingChange {
    let finishing: Promise<void> | undefined
    const remove = () => this.#memory.removeChange(sessionId, pending, this.#options.clock())
    const pending: PendingChange = {
      signOn,
      finish: () => {
        finishing ??= this.#finish(interim, sessionId).finally(remove)
        return finishing
      },
      leave: async () => {
        remove()
        try {
          if (finishing !== undefined) await finishing
          else await step(this.#options, this.#options.store.unbind([interim]))
        } catch {
          // It has no row, and expires like any other binding.
        }
      },
      limits: () => signOn && this.#verdicts.limitsOf(signOn),
    }
    return pending
  }

  async #finish(interim: string, sessionId: string): Promise<void> {
    const { store, deniedHere } = this.#options
    try {
      const state = await step(this.#options, store.rebind(interim, sessionId, sessionMarksExpireAt(this.#options)))
      if (await this.#verdicts.isDead(state).catch(() => false)) deniedHere.sessionEnded(sessionId)
    } catch (cause) {
      deniedHere.sessionEnded(sessionId)
      throw new NoVerdictError(cause)
    }
  }
}

function least(seconds: readonly (number | undefined)[]): number | undefined {
  const known = seconds.filter((each) => each !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

/**
 * With a `genid` that makes ids of something that stays the same, a user or a device; or where the id was not changed.
 */
export function idReused(): LogoutError {
  return new LogoutError(
    'ERR_SESSIONS',
    'A session id that was left or ended was used once more: it never lives again',
    {
      reason: 'session_id_reused',
      remedy: 'Change the session id at each login (regenerate), and let genid make a new one each time',
    },
  )
}

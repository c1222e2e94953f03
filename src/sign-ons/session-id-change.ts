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
import { ExpiringMap } from '../expiring-map.js'
import { interimId } from '../logout/interim-ids.js'
import type { SessionLimits } from '../sessions/session-backend.js'
import type { Binding, SessionState } from '../stores/logout-store.js'
import { type SignOnsOptions, step } from './options.js'
import type { Verdicts } from './verdicts.js'

/** A session id was left, and the new one is not written yet. */
interface PendingChange {
  /** The id under which the logout store knows the sign-on meanwhile. */
  readonly interimId: string
  readonly signOn: Binding | undefined
  readonly expiresAt: number
  finishing?: Promise<void>
}

export class SessionIdChanges {
  readonly #options: SignOnsOptions
  readonly #verdicts: Verdicts
  /** By new session id. */
  readonly #pending = new ExpiringMap<PendingChange>()
  /** By session id: those that its sign-on had before, as far as it changed in this process. */
  readonly #earlier = new ExpiringMap<{ readonly ids: readonly string[]; readonly expiresAt: number }>()

  constructor(options: SignOnsOptions, verdicts: Verdicts) {
    this.#options = options
    this.#verdicts = verdicts
  }

  /** First half: the old id is marked before its row goes. See `SessionGuard`. */
  async begin(fromSessionId: string, change: () => Promise<string>): Promise<string> {
    const { store, deniedHere, clock, sessionLifetimeSeconds } = this.#options
    const interim = interimId()
    let state: SessionState
    try {
      await this.finish(fromSessionId)
      state = await step(this.#options, store.rebind(fromSessionId, interim, clock() + sessionLifetimeSeconds))
    } catch (cause) {
      deniedHere.sessionEnded(await change())
      throw new NoVerdictError(cause)
    }
    const wasEnded = deniedHere.wasEnded(fromSessionId)
    const toSessionId = await change()
    if (wasEnded || this.#verdicts.isDead(state)) deniedHere.sessionEnded(toSessionId)
    if (state.ended || state.binding !== undefined) {
      if (toSessionId === fromSessionId) throw idReused()
      const now = clock()
      const pending = { interimId: interim, signOn: state.binding, expiresAt: now + sessionLifetimeSeconds }
      this.#pending.set(toSessionId, pending, now)
      const ids = [fromSessionId, ...this.earlierIds(fromSessionId)]
      this.#earlier.set(toSessionId, { ids, expiresAt: pending.expiresAt }, now)
      this.#earlier.delete(fromSessionId)
    }
    return toSessionId
  }

  /**
   * Second half: the new id is about to be written, or asked about. Resolves to whether a change was pending. See
   * `SessionGuard`.
   */
  async finish(sessionId: string): Promise<boolean> {
    const pending = this.#pending.get(sessionId, this.#options.clock())
    if (pending === undefined) return false
    pending.finishing ??= this.#finish(pending.interimId, sessionId)
    await pending.finishing
    return true
  }

  /** When the sign-on ends by itself that is on its way to this id. */
  limitsOf(sessionId: string): SessionLimits | undefined {
    const signOn = this.#pending.get(sessionId, this.#options.clock())?.signOn
    return signOn && this.#verdicts.limitsOf(signOn)
  }

  /** The ids that this session's sign-on had before, as far as this process changed them: connections may still bear them. */
  earlierIds(sessionId: string): readonly string[] {
    return this.#earlier.get(sessionId, this.#options.clock())?.ids ?? []
  }

  /**
   * Or else: a fresh login takes the new id, and the sign-on that was to come is left behind. Unless it is the same
   * sign-on, of whose first tokens the logout must still know: then it goes along, and the store unites them. Never
   * rejects.
   */
  async leaveBehind(sessionId: string, login: Pick<Binding, 'subKey' | 'sidKey'>): Promise<void> {
    const pending = this.#pending.get(sessionId, this.#options.clock())
    if (pending === undefined) return
    const { signOn } = pending
    const isSame = signOn?.subKey === login.subKey && signOn.sidKey === login.sidKey
    if (isSame) return void (await this.finish(sessionId).catch(() => {}))
    this.#pending.delete(sessionId)
    this.#earlier.delete(sessionId)
    try {
      if (pending.finishing !== undefined) await pending.finishing
      else await step(this.#options, this.#options.store.unbind([pending.interimId]))
    } catch {
      // It has no row, and expires like any other binding.
    }
  }

  async #finish(interimId: string, sessionId: string): Promise<void> {
    const { store, deniedHere, clock, sessionLifetimeSeconds } = this.#options
    try {
      const state = await step(this.#options, store.rebind(interimId, sessionId, clock() + sessionLifetimeSeconds))
      if (this.#verdicts.isDead(state)) deniedHere.sessionEnded(sessionId)
    } catch (cause) {
      deniedHere.sessionEnded(sessionId)
      throw new NoVerdictError(cause)
    } finally {
      this.#pending.delete(sessionId)
    }
  }
}

/** With a `genid` that makes ids of something that stays the same, a user or a device; or where the id was not changed. */
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

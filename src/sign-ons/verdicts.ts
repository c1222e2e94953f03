// Whether a session that is presented again still lives. A verdict that cannot be had is never "it lives".
import { isToCome } from '../deadline.js'
import { LogoutError, NoVerdictError } from '../errors.js'
import { covers, type Mark } from '../marks/covering.js'
import type { JudgedSession, KeptUntil, SessionLimits, SessionVerdict } from '../sessions/session-backend.js'
import type { SessionState, SignOnLimits } from '../stores/logout-store.js'
import { type SignOnsOptions, step } from './options.js'
import { isOver } from './session-limits.js'
import { denialsUnder } from './store-time.js'

export class Verdicts {
  readonly #options: SignOnsOptions

  constructor(options: SignOnsOptions) {
    this.#options = options
  }

  /** See `SessionGuard`. */
  async verdictOn(sessionId: string, keptUntil?: KeptUntil): Promise<SessionVerdict> {
    return (await this.judge(sessionId, keptUntil)).verdict
  }

  /** See `SessionGuard`. */
  async judge(sessionId: string, keptUntil?: KeptUntil): Promise<JudgedSession> {
    let state: SessionState
    let denials: readonly Mark[]
    try {
      state = await step(this.#options, this.#options.store.read(sessionId))
      const denied = this.#denials(state)
      denials = isToCome(denied) ? await denied : denied
    } catch (cause) {
      throw new NoVerdictError(cause)
    }
    const { binding } = state
    if (wasEnded(state, denials)) return { verdict: 'ended' }
    if (binding === undefined) return { verdict: 'unbound' }
    if (this.isOver(state)) return { verdict: 'ended', isOver: true }
    if (keptUntil instanceof Promise) void keptUntil.then((until) => this.#renew(state, until)).catch(() => {})
    else this.#renew(state, keptUntil)
    return { verdict: 'bound', ...this.limitsOf(binding) }
  }

  /**
   * Over by itself, dead by its id, by a mark in the store, or by a logout that this process could not finish yet.
   * Rejects where the store is to say when that logout came, and does not.
   */
  async isDead(state: SessionState): Promise<boolean> {
    return this.isOver(state) || wasEnded(state, await this.#denials(state))
  }

  /** Nobody ended it: its time was over. */
  isOver({ binding }: SessionState): boolean {
    return binding !== undefined && isOver(binding, this.#options.clock())
  }

  /** As a session backend is told them. */
  limitsOf({ endsAt, idleSeconds }: SignOnLimits): SessionLimits {
    return { secondsLeft: endsAt && endsAt - this.#options.clock(), idleSeconds }
  }

  #denials({ ended, binding }: SessionState): readonly Mark[] | Promise<readonly Mark[]> {
    if (ended || binding === undefined) return []
    return denialsUnder([binding.sidKey, binding.subKey], this.#options)
  }

  /**
   * Until when a binding is kept: half a lifetime beyond what is needed, so that renewals are rare; whole seconds,
   * which are shorter to store.
   */
  outlasting(keptUntil = 0): number {
    const { clock, sessionLifetimeSeconds } = this.#options
    const now = clock()
    return Math.ceil(Math.max(now + sessionLifetimeSeconds, keptUntil + sessionLifetimeSeconds / 2))
  }

  /**
   * A binding must outlast its session, or a logout would not find it; so it follows a session that is kept alive by
   * use.
   */
  #renew({ binding }: SessionState, keptUntil: number | undefined): void {
    if (binding === undefined) return
    const { store, clock, sessionLifetimeSeconds, emit } = this.#options
    const needed = Math.max(keptUntil ?? 0, clock() + sessionLifetimeSeconds / 2)
    if (binding.expiresAt >= needed) return
    const renewed = (async () => store.renew(binding.sessionId, this.outlasting(keptUntil)))()
    step(this.#options, renewed).catch((cause: unknown) => {
      const error = new LogoutError('ERR_STORE', 'A binding could not be renewed', { cause })
      emit({ type: 'warning', error })
    })
  }
}

function wasEnded({ ended, binding, marks }: SessionState, denials: readonly Mark[]): boolean {
  if (ended) return true
  return binding !== undefined && [...marks, ...denials].some((mark) => covers(mark, binding))
}

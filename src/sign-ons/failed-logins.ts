// A login that could not be bound does not stand: its session is denied here and destroyed, and if that fails too, kept
// and tried again, with a mark that every node reads. Knows nothing of why the login failed.
import { LogoutError } from '../errors.js'
import { Background, type Turns } from '../logout/background.js'
import { type SignOnsOptions, sessionMarksExpireAt, step } from './options.js'
import { type LoginAttempt, Undoings } from './undoings.js'

interface FailedLogin {
  readonly sessionId: string
}

const FIRST_DELAY_SECONDS = 0.5
const MAX_DELAY_SECONDS = 30

export class FailedLogins {
  readonly #options: SignOnsOptions
  readonly #undoings: Undoings
  readonly #background: Background<FailedLogin>

  constructor(options: SignOnsOptions) {
    this.#options = options
    this.#undoings = options.memory?.undoings ?? new Undoings()
    this.#background = new Background<FailedLogin>({
      attempt: (failed, turns) => this.#endOnEveryNode(failed, turns),
      abandon: (failed) => this.#giveUp(failed),
      firstDelaySeconds: FIRST_DELAY_SECONDS,
      maxDelaySeconds: MAX_DELAY_SECONDS,
      giveUpAfterSeconds: options.retryForSeconds,
    })
  }

  /** A login is about to be bound. Waits, for no longer than a step, until the row of one that failed is destroyed. */
  async attempt(sessionId: string): Promise<LoginAttempt> {
    await step(this.#options, this.#undoings.settled(sessionId)).catch(() => {})
    return this.#undoings.attempt(sessionId)
  }

  /** A write of a login that failed: what it writes late must not meet a login that lives. */
  mayStillWrite(sessionId: string, write: Promise<unknown>): void {
    this.#undoings.underWay(sessionId, write)
  }

  /**
   * The response may still save this session with the user in it, or has saved it already, and no logout would ever
   * find it. A row that can be destroyed now needs no mark: the same id may be bound by a later attempt.
   */
  undo(sessionId: string): void {
    const { deniedHere, destroySession } = this.#options
    deniedHere.sessionEnded(sessionId)
    this.#undoings.failed(sessionId)
    const destroyed = destroySession(sessionId)
    const destroyedOrKept = step(this.#options, destroyed).catch(() => this.#keep({ sessionId }))
    this.#undoings.underWay(
      sessionId,
      destroyedOrKept.then(() => destroyed),
    )
  }

  /** What is not undone by then stays denied in this process. */
  close(): void {
    for (const failed of this.#background.close()) this.#giveUp(failed)
  }

  #keep(failed: FailedLogin): void {
    this.#denyWhileRowLasts(failed)
    this.#undoings.waits(failed.sessionId, failed, () => this.#forget(failed))
    if (!this.#background.add(failed)) this.#giveUp(failed)
  }

  #forget(failed: FailedLogin): void {
    this.#background.remove(failed)
    this.#undoings.waitsNoLonger(failed.sessionId, failed)
  }

  #denyWhileRowLasts({ sessionId }: FailedLogin): void {
    const { deniedHere, clock } = this.#options
    deniedHere.sessionEnded(sessionId, sessionMarksExpireAt(this.#options) - clock())
  }

  /**
   * Marked first: a node that reads the row meanwhile finds it dead. Neither store has to wait for the other to be
   * back. From here on it cannot be cancelled.
   */
  async #endOnEveryNode(failed: FailedLogin, turns: Turns): Promise<boolean> {
    const { store, clock, destroySession } = this.#options
    const { sessionId } = failed
    const expiresAt = sessionMarksExpireAt(this.#options)
    this.#undoings.mayBeMarked(sessionId, expiresAt, clock())
    this.#denyWhileRowLasts(failed)
    const mark = () => step(this.#options, store.endSessions([sessionId], expiresAt))
    const marked = await turns(() => mark().then(yes, no))
    const destroyed = await step(this.#options, destroySession(sessionId)).then(yes, no)
    // The attempt to bind may have been written after all, and only its answer was lost.
    const unbound = marked && destroyed && (await step(this.#options, store.unbind([sessionId])).then(yes, no))
    if (unbound) this.#forget(failed)
    return unbound
  }

  #giveUp(failed: FailedLogin): void {
    this.#forget(failed)
    const sentence = 'A login that could not be bound could not be undone: its session may be believed by other nodes'
    this.#options.emit({ type: 'warning', error: new LogoutError('ERR_SESSIONS', sentence, { reason: 'not_undone' }) })
  }
}

export function loginUndone(): LogoutError {
  return new LogoutError(
    'ERR_SESSIONS',
    'Another login under this session id failed and is undone: no login lives under that id meanwhile',
    { reason: 'login_undone' },
  )
}

export function isLoginUndone(cause: unknown): boolean {
  return cause instanceof LogoutError && cause.reason === 'login_undone'
}

const yes = () => true
const no = () => false

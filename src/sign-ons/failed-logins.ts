// A login that could not be bound does not stand: its session is denied here and destroyed, and if that fails too, kept
// and tried again, with a mark that every node reads. Knows nothing of why the login failed.
import { LogoutError } from '../errors.js'
import { Background, type Turns } from '../logout/background.js'
import { type SignOnsOptions, sessionMarksExpireAt, step } from './options.js'

interface FailedLogin {
  readonly sessionId: string
}

const FIRST_DELAY_SECONDS = 0.5
/** Shorter than what this process remembers of the sessions that it ended. */
const MAX_DELAY_SECONDS = 30

export class FailedLogins {
  readonly #options: SignOnsOptions
  readonly #background: Background<FailedLogin>
  readonly #byId = new Map<string, FailedLogin>()

  constructor(options: SignOnsOptions) {
    this.#options = options
    this.#background = new Background<FailedLogin>({
      attempt: (failed, turns) => this.#endOnEveryNode(failed, turns),
      abandon: (failed) => this.#giveUp(failed),
      firstDelaySeconds: FIRST_DELAY_SECONDS,
      maxDelaySeconds: MAX_DELAY_SECONDS,
      giveUpAfterSeconds: options.retryForSeconds,
    })
  }

  /**
   * The response may still save this session with the user in it, or has saved it already, and no logout would ever
   * find it. A row that can be destroyed now needs no mark: the same id may be bound by a later attempt.
   */
  undo(sessionId: string): void {
    const { deniedHere, destroySession } = this.#options
    deniedHere.sessionEnded(sessionId)
    const failed = { sessionId }
    this.#byId.set(sessionId, failed)
    step(this.#options, destroySession(sessionId)).then(
      () => this.#forget(failed),
      () => {
        if (this.#byId.get(sessionId) === failed && !this.#background.add(failed)) this.#giveUp(failed)
      },
    )
  }

  /** A later attempt to bind the same id succeeded. */
  succeeded(sessionId: string): void {
    const failed = this.#byId.get(sessionId)
    if (failed !== undefined) this.#forget(failed)
  }

  close(): void {
    this.#background.close()
  }

  #forget(failed: FailedLogin): void {
    this.#background.remove(failed)
    if (this.#byId.get(failed.sessionId) === failed) this.#byId.delete(failed.sessionId)
  }

  /**
   * Marked first: a node that reads the row meanwhile finds it dead. Neither store has to wait for the other to be
   * back.
   */
  async #endOnEveryNode(failed: FailedLogin, turns: Turns): Promise<boolean> {
    const { store, deniedHere, destroySession } = this.#options
    const { sessionId } = failed
    deniedHere.sessionEnded(sessionId)
    const mark = () => step(this.#options, store.endSessions([sessionId], sessionMarksExpireAt(this.#options)))
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

const yes = () => true
const no = () => false

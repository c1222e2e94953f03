// How often somebody else may be asked for one document, whoever causes it: once at a time, and ever more seldom while
// it fails. Knows no document.
import { monotonicSeconds } from '../deadline.js'

/** After a failure nobody is asked for a second, and for twice as long after each further one, up to this. */
const MAX_BACK_OFF_SECONDS = 8

/** Asked now, and waited for. */
interface Running<T> {
  readonly outcome: Promise<T>
  readonly giveUp: AbortController
  waiting: number
}

/** One document that is asked for. `monotonic`: seconds that only go forward. */
export class OneQuestion<T> {
  readonly #monotonic: () => number
  #running: Running<T> | undefined
  #failure: { readonly error: unknown; readonly at: number; readonly backOffSeconds: number } | undefined

  constructor(monotonic = monotonicSeconds) {
    this.#monotonic = monotonic
  }

  /** The question that is under way. */
  get running(): Promise<T> | undefined {
    return this.#running?.outcome
  }

  /** It has just failed. */
  get isBackingOff(): boolean {
    // A clock that was set back makes things old, not eternal.
    return this.#failure !== undefined && Math.abs(this.#monotonic() - this.#failure.at) < this.#failure.backOffSeconds
  }

  /**
   * Joins the question that is under way; rejects as the last one did, without asking, soon after it failed. `closing`:
   * nobody waits from then on. A question for which all who ask say so is given up with the last of them.
   */
  ask(question: (givenUp: AbortSignal) => Promise<T>, closing?: AbortSignal): Promise<T> {
    if (closing?.aborted) return handled(Promise.reject(closing.reason))
    if (this.#running !== undefined) return this.#join(this.#running, closing)
    if (this.#failure !== undefined && this.isBackingOff) return handled(Promise.reject(this.#failure.error))
    const giveUp = new AbortController()
    this.#running = { outcome: handled(this.#outcomeOf(question, giveUp.signal)), giveUp, waiting: 0 }
    return this.#join(this.#running, closing)
  }

  #join(running: Running<T>, closing: AbortSignal | undefined): Promise<T> {
    const { outcome, giveUp } = running
    running.waiting += 1
    if (closing === undefined) return outcome
    const leave = () => {
      running.waiting -= 1
      if (running.waiting > 0) return
      // Whoever comes now asks anew.
      this.#running = undefined
      giveUp.abort(closing.reason)
    }
    closing.addEventListener('abort', leave, { once: true })
    handled(outcome.finally(() => closing.removeEventListener('abort', leave)))
    return outcome
  }

  async #outcomeOf(question: (givenUp: AbortSignal) => Promise<T>, givenUp: AbortSignal): Promise<T> {
    try {
      const answer = await question(givenUp)
      this.#failure = undefined
      return answer
    } catch (error) {
      if (givenUp.aborted) throw error
      const backOffSeconds = Math.min(2 * (this.#failure?.backOffSeconds ?? 0.5), MAX_BACK_OFF_SECONDS)
      this.#failure = { error, at: this.#monotonic(), backOffSeconds }
      throw error
    } finally {
      if (!givenUp.aborted) this.#running = undefined
    }
  }
}

/** Somebody may be waiting for this or not: a background failure is not an unhandled rejection. */
export function handled<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {})
  return work
}

// How often somebody else may be asked for one document, whoever causes it: once at a time, and ever more seldom while
// it fails. Knows no document.
import { monotonicSeconds } from '../deadline.js'

/** After a failure nobody is asked for a second, and for twice as long after each further one, up to this. */
const MAX_BACK_OFF_SECONDS = 8

/** One document that is asked for. `monotonic`: seconds that only go forward. */
export class OneQuestion<T> {
  readonly #monotonic: () => number
  #running: Promise<T> | undefined
  #failure: { readonly error: unknown; readonly at: number; readonly backOffSeconds: number } | undefined

  constructor(monotonic = monotonicSeconds) {
    this.#monotonic = monotonic
  }

  /** The question that is under way. */
  get running(): Promise<T> | undefined {
    return this.#running
  }

  /** It has just failed. */
  get isBackingOff(): boolean {
    // A clock that was set back makes things old, not eternal.
    return this.#failure !== undefined && Math.abs(this.#monotonic() - this.#failure.at) < this.#failure.backOffSeconds
  }

  /** Joins the question that is under way; rejects as the last one did, without asking, soon after it failed. */
  ask(question: () => Promise<T>): Promise<T> {
    if (this.#running !== undefined) return this.#running
    if (this.#failure !== undefined && this.isBackingOff) return handled(Promise.reject(this.#failure.error))
    this.#running = handled(this.#outcomeOf(question))
    return this.#running
  }

  async #outcomeOf(question: () => Promise<T>): Promise<T> {
    try {
      const answer = await question()
      this.#failure = undefined
      return answer
    } catch (error) {
      const backOffSeconds = Math.min(2 * (this.#failure?.backOffSeconds ?? 0.5), MAX_BACK_OFF_SECONDS)
      this.#failure = { error, at: this.#monotonic(), backOffSeconds }
      throw error
    } finally {
      this.#running = undefined
    }
  }
}

/** Somebody may be waiting for this or not: a background failure is not an unhandled rejection. */
export function handled<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {})
  return work
}

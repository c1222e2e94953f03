// How long each step of one piece of work took, for the event that tells of it. Knows no step by itself, and decides
// nothing.
import { monotonicSeconds } from '../deadline.js'
import type { StepTaken } from '../events.js'

/** A logout of a user with very many sessions goes page by page: of further steps nothing is kept. */
const KEPT = 100

export class StepTimes<Step extends string> {
  readonly #startedAt = monotonicSeconds()
  readonly #taken: StepTaken<Step>[] = []

  /** The steps that are over by now, in the order in which they ended. */
  get taken(): readonly StepTaken<Step>[] {
    return [...this.#taken]
  }

  /** Since the work began. */
  elapsedSeconds(): number {
    return monotonicSeconds() - this.#startedAt
  }

  /** To be called when the step begins; what it returns, when it is over. Adds no turn of the event loop to it. */
  begin(step: Step): (failed: boolean) => void {
    const afterSeconds = this.elapsedSeconds()
    return (failed) => {
      if (this.#taken.length === KEPT) return
      this.#taken.push({ step, afterSeconds, durationSeconds: this.elapsedSeconds() - afterSeconds, failed })
    }
  }
}

// How a step of a trial ends that did not hold, or that could not be tried: in words, with a remedy and the page about
// it.
import type { Explanation } from './receiver-answer.js'

/** A step did not hold. */
export class TrialFailure extends Error {
  readonly problem: string
  readonly remedy: string
  readonly page: string

  constructor({ problem, remedy, page }: Explanation) {
    super(problem)
    this.problem = problem
    this.remedy = remedy
    this.page = page
  }
}

/** A step that says nothing about this application. */
export class NotTried extends Error {}

export function demand(explanation: Explanation | undefined): void {
  if (explanation !== undefined) throw new TrialFailure(explanation)
}

export function fail(problem: string, remedy: string, anchor = 'the-test-kit'): never {
  throw new TrialFailure({ problem, remedy, page: `docs/troubleshooting.md#${anchor}` })
}

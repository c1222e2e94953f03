// The one question a user's test asks: does a logout at the OpenID Provider end what it names, here, in my application?
// Owns the order of the trial and the words of its verdict; what each step does is in the trial.
import { AssertionError } from 'node:assert'
import { assertOptions, type OptionNames } from '../option-checks.js'
import type { LogoutTrialOptions } from './application-on-trial.js'
import { LogoutTrial } from './logout-trial.js'
import { NotTried, TrialFailure } from './trial-failure.js'

/** What was tried, in words. */
export interface LogoutTrialReport {
  readonly passed: readonly string[]
  /** With the reason. */
  readonly notTried: readonly string[]
}

const NAMES: OptionNames<LogoutTrialOptions> = {
  op: true,
  url: true,
  signIn: true,
  isSignedIn: true,
  connect: true,
  sessionRequired: true,
  tolerated: true,
}

/**
 * Drives the application's real login and logout, by HTTP alone, and rejects with an `AssertionError` at the first
 * thing that is not as it should be: what was seen, the mistake that most often leads to it, its remedy, and the page
 * to read. Tries: the receiver's answers; exactly that device; an old cookie; a new login; all devices of a person and
 * nobody else; the same token twice; a login that cannot be bound; a logout in the midst of a login; broken tokens; a
 * Logout Token in place of an ID Token; open connections.
 */
export async function assertLogoutWorks(options: LogoutTrialOptions): Promise<LogoutTrialReport> {
  assertOptions('assertLogoutWorks()', options, NAMES)
  const trial = new LogoutTrial(options)
  const passed: string[] = []
  const notTried: string[] = []
  try {
    for (const [step, attempt] of trial.steps()) {
      try {
        await attempt()
        passed.push(step)
      } catch (error) {
        if (error instanceof NotTried) notTried.push(`${step} (${error.message})`)
        else if (error instanceof TrialFailure) throw failed(step, error, passed)
        else throw error
      }
    }
    return { passed, notTried }
  } finally {
    trial.close()
  }
}

function failed(step: string, { problem, remedy, page }: TrialFailure, passed: readonly string[]): AssertionError {
  const lines = [
    `Logout does not work yet: ${step}.`,
    '',
    `  What was seen: ${problem}.`,
    `  What to do:    ${remedy}`,
    `  Read on:       ${page}`,
    '',
    ...passed.map((each) => `  passed before: ${each}`),
  ]
  return new AssertionError({ message: lines.join('\n').trimEnd() })
}

// The one question a user's test asks: does a logout at the OpenID Provider end what it names, here, in my application? Owns the
// order of the trial and the words of its verdict; what each step does is in the trial.
import { AssertionError } from 'node:assert'
import type { TestBrowser, TestPage } from './browser.js'
import type { FakeOp } from './fake-op.js'
import { LogoutTrial, NotTried, TrialFailure } from './logout-trial.js'
import type { Defect } from './token-mint.js'

/** Options of `assertLogoutWorks`: where the application is, and how one signs in and out there. */
export interface LogoutTrialOptions {
  /** Running, and the application configured for its issuer and client id. */
  readonly op: FakeOp
  /** The `backchannel_logout_uri`, whole. */
  readonly url: string
  /** The path that begins a login, such as `/login`; or what a person does in the browser, which resolves to the page it ended at. */
  readonly signIn: string | ((browser: TestBrowser) => Promise<TestPage>)
  /** A path that is answered 2xx to who is signed in, and anything else to who is not; or how to find out. */
  readonly isSignedIn: string | ((browser: TestBrowser) => Promise<boolean>)
  /** The path of an event stream; or how to open a connection, whose `closed` settles when the application closes it. */
  readonly connect?: string | ((browser: TestBrowser) => Promise<{ readonly closed: Promise<unknown> }>)
  /** The application demands a `sid` in each Logout Token (`backchannelLogoutSessionRequired`). Default: false. */
  readonly sessionRequired?: boolean
  /** Defects that the application is configured to take, beside those of the OP's `as`: `exp-absent` with `allowMissingExp`. */
  readonly tolerated?: readonly Defect[]
}

/** What was tried, in words. */
export interface LogoutTrialReport {
  readonly passed: readonly string[]
  /** With the reason. */
  readonly notTried: readonly string[]
}

/**
 * Drives the application's real login and logout, by HTTP alone, and rejects with an `AssertionError` at the first thing that is not
 * as it should be: what was seen, the mistake that most often leads to it, its remedy, and the page to read. Tries: the receiver's
 * answers; exactly that device; an old cookie; a new login; all devices of a person and nobody else; the same token twice; a login
 * that cannot be bound; a logout in the midst of a login; broken tokens; a Logout Token in place of an ID Token; open connections.
 */
export async function assertLogoutWorks(options: LogoutTrialOptions): Promise<LogoutTrialReport> {
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

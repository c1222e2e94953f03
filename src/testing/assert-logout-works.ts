// The one question a user's test asks: does a logout at the OpenID Provider end what it names, here, in my application?
// Owns the order of the trial and the words of its verdict; what each step does is in the trial.
import { AssertionError } from 'node:assert'
import { assertOptions, type OptionNames } from '../option-checks.js'
import type { LogoutTrialOptions } from './application-on-trial.js'
import { NoPageError } from './browser.js'
import { LogoutTrial } from './logout-trial.js'
import type { Explanation } from './receiver-answer.js'
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
  assertUsable(options)
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
        else if (error instanceof NoPageError) throw failed(step, explainNoPage(error), passed)
        else throw error
      }
    }
    return { passed, notTried }
  } finally {
    trial.close()
  }
}

/** JavaScript has no compiler to say so, and what it would come to is a TypeError of `new URL` or of nobody. */
function assertUsable({ op, url, signIn, isSignedIn }: LogoutTrialOptions): void {
  const refuse = (sentence: string) => {
    throw new TypeError(`assertLogoutWorks(): ${sentence}`)
  }
  if (typeof op?.openBrowser !== 'function') {
    refuse("op must be the fake OP of this test, const op = await createFakeOp({ clientId: 'my-rp' }), awaited")
  }
  if (typeof url !== 'string' || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    refuse(
      'url must be the whole backchannel_logout_uri, such as http://127.0.0.1:3000/backchannel-logout: a text, with its origin',
    )
  }
  if (typeof signIn !== 'string' && typeof signIn !== 'function') {
    refuse("signIn must be the path that begins a login, such as '/login', or a function of the browser")
  }
  if (typeof isSignedIn !== 'string' && typeof isSignedIn !== 'function') {
    refuse("isSignedIn must be a path such as '/me', answered 2xx to who is signed in, or a function of the browser")
  }
}

function explainNoPage({ kind, message }: NoPageError): Explanation {
  const page = 'docs/troubleshooting.md#sign-in-fails'
  return kind === 'timeout'
    ? {
        problem: message,
        remedy:
          'A handler there ends on no path with an answer, or waits for what never comes: look for a forgotten res.end(), next() or callback, a store that does not call back, or an await of what never settles. Fake timers stop it, too.',
        page,
      }
    : {
        problem: message,
        remedy:
          'The application sends the browser in a circle, mostly because the session cookie does not come back (Secure over plain http, another path or host) or bind() said ended and nobody is told.',
        page,
      }
}

function failed(step: string, { problem, remedy, page }: Explanation, passed: readonly string[]): AssertionError {
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

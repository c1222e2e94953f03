// The application under trial, from outside: how one signs in, whether one is, how it is told of a logout; and what it
// most likely means where that does not work.
import { pageOf } from '../advice.js'
import type { LogoutError } from '../errors.js'
import type { TestBrowser, TestPage } from './browser.js'
import type { Defect } from './defects.js'
import type { EventEar } from './event-ear.js'
import { type FakeOp, type LogoutDelivery, NO_ENDPOINT, type SignedInBrowser } from './fake-op.js'
import { type Explanation, explainSuccess } from './receiver-answer.js'
import { demand, fail } from './trial-failure.js'

/** Options of `assertLogoutWorks`: where the application is, and how one signs in and out there. */
export interface LogoutTrialOptions {
  /** Running, and the application configured for its issuer and client id. */
  readonly op: FakeOp
  /** The `backchannel_logout_uri`, whole. */
  readonly url: string
  /**
   * The path that begins a login, such as `/login`; or what a person does in the browser, which resolves to the page it
   * ended at.
   */
  readonly signIn: string | ((browser: TestBrowser) => Promise<TestPage>)
  /** A path that is answered 2xx to who is signed in, and anything else to who is not; or how to find out. */
  readonly isSignedIn: string | ((browser: TestBrowser) => Promise<boolean>)
  /**
   * The path of an event stream; or how to open a connection, whose `closed` settles when the application closes it.
   */
  readonly connect?: string | ((browser: TestBrowser) => Promise<{ readonly closed: Promise<unknown> }>)
  /** The application demands a `sid` in each Logout Token (`backchannelLogoutSessionRequired`). Default: false. */
  readonly sessionRequired?: boolean
  /**
   * Defects that the application is configured to take, beside those of the OP's `as`: `exp-absent` with
   * `allowMissingExp`.
   */
  readonly tolerated?: readonly Defect[]
}

interface LogoutTarget {
  readonly sid?: string
  readonly sub?: string
}

export interface ExplainedDelivery {
  readonly delivery: LogoutDelivery
  /** Absent where the logout was done. */
  readonly explanation: Explanation | undefined
}

/**
 * ID Tokens are dated a minute back, Logout Tokens ten seconds and new logins now, so that no verdict hangs on the
 * second in which a login and a logout happen to fall together, and nobody has to wait.
 */
export const LOGIN_SECONDS_AGO = 60
const LOGOUT_SECONDS_AGO = 10

const SEE_LOG =
  'The callback, bind() or the session store refused: the application’s own log says why. Check isSignedIn, too.'

export class ApplicationOnTrial {
  readonly #options: LogoutTrialOptions
  readonly #ear: EventEar
  /** Where the first sign-in ended. */
  #landing: TestPage | undefined

  constructor(options: LogoutTrialOptions, ear: EventEar) {
    this.#options = options
    this.#ear = ear
  }

  /** Signs in, a minute ago by the dates of the ID Token; fails if it does not work. */
  async newSignIn(sub: string, browser?: TestBrowser): Promise<SignedInBrowser> {
    const about = browser === undefined ? { secondsAgo: LOGIN_SECONDS_AGO } : { in: browser }
    return this.signIn(this.#options.op.openBrowser(sub, about))
  }

  async signIn(browser: SignedInBrowser): Promise<SignedInBrowser> {
    const { op } = this.#options
    const before = op.seen
    this.#ear.takeRefusedLogin()
    const page = await this.visit(browser)
    this.#landing ??= page
    if (await this.isSignedIn(browser)) return browser
    const [reached, redeemed] = [op.seen.authorize > before.authorize, op.seen.token > before.token]
    const where = `the browser ended at ${page.url.pathname}, answered ${page.status}`
    if (!reached && page.text.startsWith(NO_ENDPOINT)) {
      return fail(
        `the sign-in came to ${page.url.origin}${page.url.pathname}, which the OpenID Provider of the test does not have`,
        `Let the application read the endpoints from the metadata of its issuer, or configure these: ${page.text.slice(NO_ENDPOINT.length + 2)}`,
        'sign-in-fails',
      )
    }
    if (!reached) {
      return fail(
        `the sign-in never came to the OpenID Provider of the test: ${where}`,
        `Configure the application for the issuer ${op.issuer} and the client id ${op.clientId}, and check signIn.`,
        'sign-in-fails',
      )
    }
    const refusal = this.#ear.takeRefusedLogin()
    if (refusal !== undefined) {
      demand(
        moreExact(
          { problem: 'bind() rejected, and nobody is signed in', remedy: SEE_LOG, page: pageOf('sign-in-fails') },
          refusal,
        ),
      )
    }
    return fail(
      `${redeemed ? 'the tokens were fetched' : 'the code was not redeemed'}, and nobody is signed in: ${where}${firstWords(page)}`,
      redeemed ? SEE_LOG : 'Does the callback run, with the same client id, secret and redirect_uri as the login?',
      'sign-in-fails',
    )
  }

  async visit(browser: TestBrowser): Promise<TestPage> {
    const { signIn, url } = this.#options
    return typeof signIn === 'string' ? browser.get(new URL(signIn, url)) : signIn(browser)
  }

  async isSignedIn(browser: TestBrowser): Promise<boolean> {
    const { isSignedIn, url } = this.#options
    if (typeof isSignedIn !== 'string') return isSignedIn(browser)
    const response = await browser.request(new URL(isSignedIn, url))
    await response.arrayBuffer()
    if (response.status < 500) return response.ok
    return fail(
      `${isSignedIn} was answered ${response.status}`,
      'The session or logout store could not be asked, or the application failed: its own log says why.',
      '5xx',
    )
  }

  /** Delivers a good Logout Token; fails unless it is answered as a logout that was done. */
  async logOut(target: LogoutTarget): Promise<LogoutDelivery> {
    const { delivery, explanation } = await this.deliverLogout(target, LOGOUT_SECONDS_AGO)
    demand(explanation)
    return delivery
  }

  /** The same, for a step that may not fail at once. */
  async deliverLogout(target: LogoutTarget, secondsAgo = 0): Promise<ExplainedDelivery> {
    const { op, url } = this.#options
    const { outcome, error } = await this.#ear.withRefusal(() => op.logOut(target, { to: url, secondsAgo }))
    const explanation = explainSuccess(outcome, op)
    return {
      delivery: outcome,
      explanation: explanation && error ? moreExact(explanation, error) : explanation,
    }
  }

  async mustBeOut(browser: TestBrowser): Promise<void> {
    if (!(await this.isSignedIn(browser))) return
    const seen = 'the logout was answered 200, and the person is still signed in'
    const logout = this.#ear.heard('logout').at(-1)
    if (logout === undefined) {
      fail(
        seen,
        'Sessions in a store, one of three: bind() is not called at sign-in; it is given other claims than those of the ID Token; or session({ store }) has another store than expressSessions(store). Sessions in cookies: what answered isSignedIn did not ask logout.isLive(signOn), or has no logout.guard() before it.',
        '200-and-still-signed-in',
      )
    }
    if (logout.found === 0) {
      fail(
        `${seen}: no session was found under what the Logout Token names`,
        'Call bind() in the process, or with the logout store, that hears the logout, and with the claims of the ID Token itself, sid included.',
        'found-is-0',
      )
    }
    fail(
      `${seen}: ${logout.destroyed} session was destroyed, but in another store than the one the application reads`,
      'Give the very same store object to session({ store }) and to expressSessions(store); for sessions in cookies mount logout.guard(), or ask logout.isLive(signOn).',
      'another-store',
    )
  }

  async mustBeIn(browser: TestBrowser, who: string): Promise<void> {
    if (await this.isSignedIn(browser)) return
    fail(
      `${who} was signed out as well`,
      'Call bind() with all claims of the ID Token, sid included, and with each login’s own; ignoreSid ends all devices by design.',
      'others-are-signed-out',
    )
  }

  /** Whether the page is where a sign-in that worked had ended. */
  isAsUsual({ url, status }: TestPage): boolean {
    return status < 400 && url.href === this.#landing?.url.href
  }

  lacks(claim: 'sid' | 'sub'): boolean {
    const { op } = this.#options
    const payload = op.shape.logoutToken?.({ clientId: op.clientId, now: 0 }).payload ?? {}
    return Object.hasOwn(payload, claim)
  }
}

/** The receiver's own word on which rule it was says more than its answer. */
function moreExact(seen: Explanation, { message, code, reason, option, remedy, page }: LogoutError): Explanation {
  const accepting = option === undefined ? seen.remedy : `The provider option ${option} would accept it.`
  return {
    problem: `${seen.problem}: ${message} (${reason === undefined ? code : `${code}, ${reason}`})`,
    remedy: remedy === undefined ? accepting : `${remedy}${remedy.endsWith('.') ? '' : '.'}`,
    page: page ?? seen.page,
  }
}

/** Development servers say why on the page. */
function firstWords({ status, text }: TestPage): string {
  if (status < 500) return ''
  const words = text
    .replaceAll(/<(style|title)[^>]*>.*?<\/\1>/gs, ' ')
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/&[^;\s]*;/g, ' ')
    .trim()
  return words === '' ? '' : ` (${words.split('\n')[0]?.slice(0, 200)})`
}

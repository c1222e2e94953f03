// Each thing that must hold of a logout, tried from outside at a running application, and what it most likely means if it does not.

import type { LogoutTrialOptions } from './assert-logout-works.js'
import { createTestBrowser, type TestBrowser, type TestPage } from './browser.js'
import { EventEar, withRejectionsHeard } from './event-ear.js'
import type { LogoutDelivery, SignedInBrowser } from './fake-op.js'
import { type Explanation, explainRefusal, explainSuccess } from './receiver-answer.js'
import { DEFECTS, type Defect, loginTraps } from './token-mint.js'

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

/**
 * ID Tokens are dated a minute back, Logout Tokens ten seconds and new logins now, so that no verdict hangs on the second in which
 * a login and a logout happen to fall together, and nobody has to wait.
 */
const LOGIN_SECONDS_AGO = 60
const LOGOUT_SECONDS_AGO = 10
const DELIVERIES_AT_ONCE = 8
const CLOSE_TIMEOUT_SECONDS = 2

type Step = readonly [name: string, attempt: () => Promise<void>]

export class LogoutTrial {
  readonly #options: LogoutTrialOptions
  readonly #ear: EventEar
  #landing: TestPage | undefined
  #spent: LogoutDelivery | undefined
  #people = 0
  /** Ends the streams that the trial itself holds open. */
  readonly #over = new AbortController()

  constructor(options: LogoutTrialOptions) {
    this.#options = options
    this.#ear = new EventEar(options.op.issuer)
  }

  close(): void {
    this.#over.abort()
    this.#ear.close()
  }

  steps(): readonly Step[] {
    return [
      ['the receiver refuses what is no Logout Token', () => this.#receiverIsMounted()],
      ['a person can sign in', () => this.#personSignsIn()],
      ['a Logout Token of one session ends it on that device alone', () => this.#oneDevice()],
      ['a Logout Token of a person ends all their devices, and nobody else’s', () => this.#allDevices()],
      ['the same Logout Token a second time ends nobody', () => this.#twice()],
      ['a login that cannot be bound does not stand', () => this.#unboundLogin()],
      ['a logout in the midst of a login leaves nobody signed in', () => this.#duringLogin()],
      ['broken Logout Tokens are refused and end nobody', () => this.#brokenTokens()],
      ['a Logout Token is not taken for an ID Token', () => this.#mirror()],
      ['a logout closes open connections', () => this.#connections()],
    ]
  }

  async #receiverIsMounted(): Promise<void> {
    demand(explainRefusal(await this.#options.op.deliver(this.#options.url, 'not.a.token')))
  }

  async #personSignsIn(): Promise<void> {
    if (await this.#isSignedIn(createTestBrowser())) {
      fail(
        'isSignedIn says yes of a browser that never signed in',
        'Name a path that answers 401, or redirects, to strangers.',
      )
    }
    await this.#newSignIn(this.#nextPerson())
    if (this.#ear.hears && this.#ear.heard('bound').length === 0) {
      fail(
        'the sign-in succeeded, and bind() was not called: no logout can find this session',
        'In the callback, once the session id is final: const { ended } = await logout.bind(req, tokens.claims()).',
        'found-is-0',
      )
    }
  }

  async #oneDevice(): Promise<void> {
    if (this.#lacks('sid') || this.#options.op.shape.sidInIdToken === false)
      throw new NotTried('this OP names no sessions')
    const [alice, bob] = [this.#nextPerson(), this.#nextPerson()]
    const laptop = await this.#newSignIn(alice)
    const phone = await this.#newSignIn(alice)
    const other = await this.#newSignIn(bob)
    const thief = laptop.copy()
    this.#spent = await this.#logOut({ sid: laptop.session.sid, sub: alice })
    await this.#mustBeOut(laptop)
    await this.#mustBeIn(phone, 'another device of the same person')
    await this.#mustBeIn(other, 'another person')
    await this.#newSignIn(alice, laptop)
    if (await this.#isSignedIn(thief)) {
      fail(
        'after a new login in the same browser, the cookie from before the logout is signed in again',
        'Give each login a new session id: req.session.regenerate() before bind().',
        'an-old-cookie-lives-again',
      )
    }
  }

  async #allDevices(): Promise<void> {
    if (this.#lacks('sub')) throw new NotTried('this OP names no persons')
    if (this.#options.sessionRequired) throw new NotTried('a sid is required')
    const [alice, bob] = [this.#nextPerson(), this.#nextPerson()]
    const devices = [await this.#newSignIn(alice), await this.#newSignIn(alice)]
    const other = await this.#newSignIn(bob)
    this.#spent = await this.#logOut({ sub: alice })
    for (const device of devices) await this.#mustBeOut(device)
    await this.#mustBeIn(other, 'another person')
    const again = await this.#signIn(this.#options.op.openBrowser(alice))
    await this.#mustBeIn(again, 'a login made after the logout')
  }

  async #twice(): Promise<void> {
    if (this.#spent === undefined) throw new NotTried('there was none')
    const bystander = await this.#newSignIn(this.#nextPerson())
    const { status } = await this.#options.op.deliver(this.#options.url, this.#spent.token)
    if (status !== 400 && status !== 200) {
      fail(
        `the second time the same token was answered ${status ?? 'not at all'}`,
        'See the application’s own log.',
        '5xx',
      )
    }
    await this.#mustBeIn(bystander, 'a person whom the token does not name')
  }

  /** An ID Token whose `sid` is no string: validators take it, `bind` does not. Whoever does not await `bind` never hears of that. */
  async #unboundLogin(): Promise<void> {
    const { op } = this.#options
    const browser = op.openBrowser(this.#nextPerson())
    op.nextIdToken((claims) => op.mint.idToken({ payload: { nonce: undefined, ...claims, sid: 7 } }))
    const { outcome: page, rejections } = await withRejectionsHeard(isLogoutError, () =>
      this.#visit(browser).catch(() => undefined),
    )
    if (page === undefined) {
      fail(
        'bind() rejected, and the browser got no answer at all',
        'Express 4 does not hear what an async handler rejects with: catch it and call next(error), or use Express 5.',
        'bind-rejects',
      )
    }
    const stands = await this.#isSignedIn(browser)
    if (rejections === 0 && (stands || !this.#isAsUsual(page))) return
    fail(
      'bind() rejected, and the login went on as if it had not: bind() is not awaited, or what it rejects with is ignored',
      'Write const { ended } = await logout.bind(req, claims), before the session holds the user and before the response.',
      'bind-rejects',
    )
  }

  async #duringLogin(): Promise<void> {
    const { op } = this.#options
    const browser = op.openBrowser(this.#nextPerson())
    const { authorize } = op.seen
    let delivery: LogoutDelivery | undefined
    op.duringNextLogin(async ({ sid, sub }) => {
      delivery = await op.logOut(this.#lacks('sid') ? { sub } : { sid, sub }, { to: this.#options.url })
    })
    const page = await this.#visit(browser)
    if (delivery === undefined) fail('the login fetched no tokens', 'Check signIn.', 'sign-in-fails')
    demand(explainSuccess(delivery))
    // Sent to log in once more, and did: that is a new login.
    if (op.seen.authorize > authorize + 1) return
    if (await this.#isSignedIn(browser)) {
      fail(
        'a logout was answered 200 while the login was under way, and the login stands all the same',
        'Call bind() with the claims of this login’s ID Token, await it, and look at ended before anybody is signed in.',
        'logged-out-during-login',
      )
    }
    if (!this.#isAsUsual(page)) return
    fail(
      'the OpenID Provider logged the person out during the login, and the application greeted them as after any login, though nobody is signed in: the result of bind(), ended, is ignored (or bind() is not awaited)',
      "Write const { ended } = await logout.bind(req, claims), and if (ended) send them to log in again: res.redirect('/login').",
      'logged-out-during-login',
    )
  }

  async #brokenTokens(): Promise<void> {
    const { op, url } = this.#options
    const { sub, sid } = op.mint.idTokenClaims()
    const named = await this.#signIn(op.openBrowser(sub, { sid, secondsAgo: LOGIN_SECONDS_AGO }))
    const tolerated: readonly Defect[] = [...(op.shape.tolerated ?? []), ...(this.#options.tolerated ?? [])]
    const wrong: string[] = []
    const waiting = DEFECTS.filter(({ name }) => !tolerated.includes(name))
    const deliverEach = async (): Promise<void> => {
      for (let defect = waiting.shift(); defect !== undefined; defect = waiting.shift()) {
        const { status } = await op.deliver(url, await op.mint.defective(defect.name))
        if (status === 429) demand(explainRefusal({ status, headers: new Headers(), body: '' }))
        if (status !== 400) wrong.push(`${defect.name} (${defect.rule}) was answered ${status ?? 'not at all'}`)
      }
    }
    await Promise.all(Array.from({ length: DELIVERIES_AT_ONCE }, deliverEach))
    if (wrong.length > 0) {
      fail(
        `${wrong.length} of ${DEFECTS.length} broken tokens were not refused with 400: ${wrong.join('; ')}`,
        'If the application is configured to take one, say so by tolerated; else let this package’s receiver answer.',
        'a-broken-token-is-taken',
      )
    }
    await this.#mustBeIn(named, 'the person whom only broken tokens named')
  }

  async #mirror(): Promise<void> {
    const { op } = this.#options
    for (const { name, token } of await loginTraps(op.mint)) {
      const browser = op.openBrowser(op.mint.idTokenClaims().sub)
      op.nextIdToken(async () => token)
      await withRejectionsHeard(isLogoutError, () => this.#visit(browser).catch(() => undefined))
      if (await this.#isSignedIn(browser)) {
        fail(
          `${name} was taken for an ID Token, and somebody is signed in by it`,
          'Let the login insist on the nonce that it sent, and refuse the header typ logout+jwt.',
          'a-logout-token-signs-in',
        )
      }
    }
  }

  async #connections(): Promise<void> {
    const { connect } = this.#options
    if (connect === undefined) throw new NotTried('no connect was given')
    const open = typeof connect === 'string' ? (browser: TestBrowser) => this.#openStream(browser, connect) : connect
    const alice = this.#nextPerson()
    const laptop = await this.#newSignIn(alice)
    const other = await this.#newSignIn(this.#nextPerson())
    const [ended, kept] = [await open(laptop), await open(other)]
    await this.#logOut(this.#lacks('sid') ? { sub: alice } : { sid: laptop.session.sid, sub: alice })
    const inTime = new Promise<'open'>((late) => setTimeout(late, CLOSE_TIMEOUT_SECONDS * 1000, 'open').unref())
    if ((await Promise.race([settled(ended.closed), inTime])) === 'open') {
      fail(
        `the connection of the ended session was still open after ${CLOSE_TIMEOUT_SECONDS} s`,
        'Close it in the option onSessionsEnded, by the session ids that it is given.',
        'a-connection-stays-open',
      )
    }
    if ((await Promise.race([settled(kept.closed), new Promise((next) => setImmediate(next, 'open'))])) !== 'open') {
      fail('the connection of another person was closed too', 'Close only those of the session ids given to the hook.')
    }
  }

  async #openStream(browser: TestBrowser, path: string): Promise<{ readonly closed: Promise<unknown> }> {
    const response = await browser.request(new URL(path, this.#options.url), { signal: this.#over.signal })
    if (!response.ok)
      fail(`the event stream ${path} was answered ${response.status} to who is signed in`, 'Check connect.')
    return { closed: settled(response.text()) }
  }

  /** Signs in, a minute ago by the dates of the ID Token; fails if it does not work. */
  async #newSignIn(sub: string, browser?: TestBrowser): Promise<SignedInBrowser> {
    const about = browser === undefined ? { secondsAgo: LOGIN_SECONDS_AGO } : { in: browser }
    return this.#signIn(this.#options.op.openBrowser(sub, about))
  }

  async #signIn(browser: SignedInBrowser): Promise<SignedInBrowser> {
    const { op } = this.#options
    const before = op.seen
    const page = await this.#visit(browser)
    this.#landing ??= page
    if (await this.#isSignedIn(browser)) return browser
    const [reached, redeemed] = [op.seen.authorize > before.authorize, op.seen.token > before.token]
    const where = `the browser ended at ${page.url.pathname}, answered ${page.status}`
    if (!reached) {
      return fail(
        `the sign-in never came to the OpenID Provider of the test: ${where}`,
        `Configure the application for the issuer ${op.issuer} and the client id ${op.clientId}, and check signIn.`,
        'sign-in-fails',
      )
    }
    return fail(
      `${redeemed ? 'the tokens were fetched' : 'the code was not redeemed'}, and nobody is signed in: ${where}${firstWords(page)}`,
      redeemed
        ? 'The callback, bind() or the session store refused: the application’s own log says why. Check isSignedIn, too.'
        : 'Does the callback run, with the same client id, secret and redirect_uri as the login?',
      'sign-in-fails',
    )
  }

  async #visit(browser: TestBrowser): Promise<TestPage> {
    const { signIn, url } = this.#options
    return typeof signIn === 'string' ? browser.get(new URL(signIn, url)) : signIn(browser)
  }

  async #isSignedIn(browser: TestBrowser): Promise<boolean> {
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
  async #logOut(target: { readonly sid?: string; readonly sub?: string }): Promise<LogoutDelivery> {
    const delivery = await this.#options.op.logOut(target, { to: this.#options.url, secondsAgo: LOGOUT_SECONDS_AGO })
    const explanation = explainSuccess(delivery)
    const refused = this.#ear.heard('refused').at(-1)?.error
    if (explanation !== undefined && refused?.reason !== undefined) {
      fail(
        `${explanation.problem}: ${refused.message} (${refused.code}, ${refused.reason})`,
        refused.option === undefined ? explanation.remedy : `The provider option ${refused.option} would accept it.`,
        'every-logout-token-is-refused',
      )
    }
    demand(explanation)
    return delivery
  }

  async #mustBeOut(browser: TestBrowser): Promise<void> {
    if (!(await this.#isSignedIn(browser))) return
    const seen = 'the logout was answered 200, and the person is still signed in'
    const logout = this.#ear.heard('logout').at(-1)
    if (logout === undefined) {
      fail(
        seen,
        'One of three: bind() is not called at sign-in; it is given other claims than those of the ID Token; or session({ store }) has another store than expressSessions(store).',
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
      'Give the very same store object to session({ store }) and to expressSessions(store); for sessions in cookies mount logout.guard().',
      'another-store',
    )
  }

  async #mustBeIn(browser: TestBrowser, who: string): Promise<void> {
    if (await this.#isSignedIn(browser)) return
    fail(
      `${who} was signed out as well`,
      'Call bind() with all claims of the ID Token, sid included, and with each login’s own; ignoreSid ends all devices by design.',
      'others-are-signed-out',
    )
  }

  /** Whether the page is where a sign-in that worked had ended. */
  #isAsUsual({ url, status }: TestPage): boolean {
    return status < 400 && url.href === this.#landing?.url.href
  }

  #lacks(claim: 'sid' | 'sub'): boolean {
    const { op } = this.#options
    const payload = op.shape.logoutToken?.({ clientId: op.clientId, now: 0 }).payload ?? {}
    return Object.hasOwn(payload, claim)
  }

  #nextPerson(): string {
    this.#people += 1
    return `person-${this.#people}`
  }
}

function demand(explanation: Explanation | undefined): void {
  if (explanation !== undefined) throw new TrialFailure(explanation)
}

function fail(problem: string, remedy: string, anchor = 'the-test-kit'): never {
  throw new TrialFailure({ problem, remedy, page: `docs/troubleshooting.md#${anchor}` })
}

function isLogoutError(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'LogoutError'
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

function settled(closed: Promise<unknown>): Promise<'closed'> {
  const done = () => 'closed' as const
  return closed.then(done, done)
}

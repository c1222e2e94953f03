// Each thing that must hold of a logout, tried from outside at a running application, and what it most likely means if
// it does not.

import {
  ApplicationOnTrial,
  type ExplainedDelivery,
  LOGIN_SECONDS_AGO,
  type LogoutTrialOptions,
} from './application-on-trial.js'
import { createTestBrowser, type TestBrowser } from './browser.js'
import { DEFECTS, type Defect } from './defects.js'
import { EventEar, withRejectionsHeard } from './event-ear.js'
import type { LogoutDelivery } from './fake-op.js'
import { explainRefusal } from './receiver-answer.js'
import { loginTraps } from './token-mint.js'
import { demand, fail, NotTried } from './trial-failure.js'

const DELIVERIES_AT_ONCE = 8
const CLOSE_TIMEOUT_SECONDS = 2

type Step = readonly [name: string, attempt: () => Promise<void>]

export class LogoutTrial {
  readonly #options: LogoutTrialOptions
  readonly #ear: EventEar
  readonly #app: ApplicationOnTrial
  #spent: LogoutDelivery | undefined
  #people = 0
  /** Ends the streams that the trial itself holds open. */
  readonly #over = new AbortController()

  constructor(options: LogoutTrialOptions) {
    this.#options = options
    this.#ear = new EventEar(options.op.issuer)
    this.#app = new ApplicationOnTrial(options, this.#ear)
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
    if (await this.#app.isSignedIn(createTestBrowser())) {
      fail(
        'isSignedIn says yes of a browser that never signed in',
        'Name a path that answers 401, or redirects, to strangers.',
      )
    }
    await this.#app.newSignIn(this.#nextPerson())
    if (this.#ear.hears && this.#ear.heard('bound').length === 0) {
      fail(
        'the sign-in succeeded, and bind() was not called: no logout can find this session',
        'In the callback, once the session id is final: const { ended } = await logout.bind(req, tokens.claims()).',
        'found-is-0',
      )
    }
  }

  async #oneDevice(): Promise<void> {
    if (this.#app.lacks('sid') || this.#options.op.shape.sidInIdToken === false)
      throw new NotTried('this OP names no sessions')
    const [alice, bob] = [this.#nextPerson(), this.#nextPerson()]
    const laptop = await this.#app.newSignIn(alice)
    const phone = await this.#app.newSignIn(alice)
    const other = await this.#app.newSignIn(bob)
    const thief = laptop.copy()
    this.#spent = await this.#app.logOut({ sid: laptop.session.sid, sub: alice })
    await this.#app.mustBeOut(laptop)
    await this.#app.mustBeIn(phone, 'another device of the same person')
    await this.#app.mustBeIn(other, 'another person')
    await this.#app.newSignIn(alice, laptop)
    if (await this.#app.isSignedIn(thief)) {
      fail(
        'after a new login in the same browser, the cookie from before the logout is signed in again',
        'Give each login a new session id: req.session.regenerate() before bind().',
        'an-old-cookie-lives-again',
      )
    }
  }

  async #allDevices(): Promise<void> {
    if (this.#app.lacks('sub')) throw new NotTried('this OP names no persons')
    if (this.#options.sessionRequired) throw new NotTried('a sid is required')
    const [alice, bob] = [this.#nextPerson(), this.#nextPerson()]
    const devices = [await this.#app.newSignIn(alice), await this.#app.newSignIn(alice)]
    const other = await this.#app.newSignIn(bob)
    this.#spent = await this.#app.logOut({ sub: alice })
    for (const device of devices) await this.#app.mustBeOut(device)
    await this.#app.mustBeIn(other, 'another person')
    const again = await this.#app.signIn(this.#options.op.openBrowser(alice))
    await this.#app.mustBeIn(again, 'a login made after the logout')
  }

  async #twice(): Promise<void> {
    if (this.#spent === undefined) throw new NotTried('there was none')
    const bystander = await this.#app.newSignIn(this.#nextPerson())
    const { status } = await this.#options.op.deliver(this.#options.url, this.#spent.token)
    if (status !== 400 && status !== 200) {
      fail(
        `the second time the same token was answered ${status ?? 'not at all'}`,
        'See the application’s own log.',
        '5xx',
      )
    }
    await this.#app.mustBeIn(bystander, 'a person whom the token does not name')
  }

  /**
   * An ID Token whose `sid` is no string: validators take it, `bind` does not. Whoever does not await `bind` never
   * hears of that.
   */
  async #unboundLogin(): Promise<void> {
    const { op } = this.#options
    const browser = op.openBrowser(this.#nextPerson())
    op.nextIdToken((claims) => op.mint.idToken({ payload: { nonce: undefined, ...claims, sid: 7 } }))
    const { outcome: page, rejections } = await withRejectionsHeard(isLogoutError, () =>
      this.#app.visit(browser).catch(() => undefined),
    )
    if (page === undefined) {
      fail(
        'bind() rejected, and the browser got no answer at all',
        'Express 4 does not hear what an async handler rejects with: catch it and call next(error), or use Express 5. Or the response was sent before bind(): await bind() first.',
        'bind-rejects',
      )
    }
    const stands = await this.#app.isSignedIn(browser)
    if (rejections === 0 && (stands || !this.#app.isAsUsual(page))) return
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
    let logout: ExplainedDelivery | undefined
    op.duringNextLogin(async ({ sid, sub }) => {
      logout = await this.#app.deliverLogout(this.#app.lacks('sid') ? { sub } : { sid, sub })
    })
    const page = await this.#app.visit(browser)
    if (logout === undefined) fail('the login fetched no tokens', 'Check signIn.', 'sign-in-fails')
    demand(logout.explanation)
    // Sent to log in once more, and did: that is a new login.
    if (op.seen.authorize > authorize + 1) return
    if (await this.#app.isSignedIn(browser)) {
      fail(
        'a logout was answered 200 while the login was under way, and the login stands all the same',
        'Call bind() with the claims of this login’s ID Token, await it, and look at ended before anybody is signed in.',
        'logged-out-during-login',
      )
    }
    if (!this.#app.isAsUsual(page)) return
    fail(
      'the OpenID Provider logged the person out during the login, and the application greeted them as after any login, though nobody is signed in: the result of bind(), ended, is ignored (or bind() is not awaited)',
      "Write const { ended } = await logout.bind(req, claims), and if (ended) send them to log in again: res.redirect('/login').",
      'logged-out-during-login',
    )
  }

  async #brokenTokens(): Promise<void> {
    const { op, url } = this.#options
    const { sub, sid } = op.mint.idTokenClaims()
    const named = await this.#app.signIn(op.openBrowser(sub, { sid, secondsAgo: LOGIN_SECONDS_AGO }))
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
    await this.#app.mustBeIn(named, 'the person whom only broken tokens named')
  }

  async #mirror(): Promise<void> {
    const { op } = this.#options
    for (const { name, token } of await loginTraps(op.mint)) {
      const browser = op.openBrowser(op.mint.idTokenClaims().sub)
      op.nextIdToken(async () => token)
      await withRejectionsHeard(isLogoutError, () => this.#app.visit(browser).catch(() => undefined))
      if (await this.#app.isSignedIn(browser)) {
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
    const laptop = await this.#app.newSignIn(alice)
    const other = await this.#app.newSignIn(this.#nextPerson())
    const [ended, kept] = [await open(laptop), await open(other)]
    await this.#app.logOut(this.#app.lacks('sid') ? { sub: alice } : { sid: laptop.session.sid, sub: alice })
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

  #nextPerson(): string {
    this.#people += 1
    return `person-${this.#people}`
  }
}

function isLogoutError(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'LogoutError'
}

function settled(closed: Promise<unknown>): Promise<'closed'> {
  const done = () => 'closed' as const
  return closed.then(done, done)
}

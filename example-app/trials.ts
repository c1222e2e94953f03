// What goes wrong at logouts, to be tried by a button each: what is done, in the place of whoever pressed it, and what
// came of it. Each outcome is what the applications say afterwards, not what is expected of them.
import type { Activity } from './activity.js'
import type { Deliveries } from './deliveries.js'
import type { Gate } from './gate.js'
import { HttpBrowser } from './http-browser.js'
import type { Op } from './op.js'
import { createSigningKey, type SigningKey } from './op-key.js'
import { USERS } from './op-pages.js'
import type { Outage } from './outage.js'
import { named } from './two-names.js'
import { keepReport, type Visitor, type Visitors } from './visitors.js'

/** An application that takes part. */
export interface Tried {
  readonly clientId: string
  readonly name: string
  readonly url: string
}

export interface TrialsOptions {
  readonly op: Op
  readonly issuer: string
  /** The ones to be compared. */
  readonly tried: readonly Tried[]
  /** Where uploads wait. */
  readonly uploads: Gate
  /** Where the OP's answers to redeemed codes wait. */
  readonly tokens: Gate
  readonly outage: Outage
  readonly visitors: Visitors
  readonly deliveries: Deliveries
  readonly activity: Activity
}

export interface Outcome {
  readonly clientId: string
  readonly name: string
  readonly good: boolean
  /** What it answered to the question who is signed in, where that was asked. */
  readonly status?: number
  readonly text: string
}

/** Whose place a trial takes. */
export interface Viewer {
  readonly visitor: Visitor
  readonly cookieHeader: string | undefined
  /** By which name its browser knows this machine. */
  readonly host: string
}

/** One run: the browser, the applications by the name that it uses, and who is signed in. */
export interface Run extends Omit<TrialsOptions, 'tried'> {
  readonly browser: HttpBrowser
  readonly visitor: Visitor
  readonly opUrl: string
  readonly tried: readonly Tried[]
  readonly sub: string
  readonly who: string
  /** A key that is not the OP's, under the key id that the OP's has. */
  readonly strangersKey: () => Promise<SigningKey>
  /** A second device of the same user. */
  readonly phone: HttpBrowser
  say(text: string): void
  /** Signs in wherever it is not signed in yet by the sign-on that it has at the OP. */
  signIn(): Promise<void>
  logOut(): Promise<void>
}

export interface Trial {
  readonly id: string
  readonly title: string
  readonly about: string
  /** Whether it begins with somebody who is signed in. */
  readonly signsIn: boolean
  /** What else there is before it begins. */
  readonly before?: (run: Run) => Promise<unknown>
  readonly run: (run: Run) => Promise<Outcome[]>
}

export interface Report {
  readonly id: string
  readonly title: string
  /** When it was over: ISO 8601. */
  readonly at: string
  /** Name of the user who was signed in. */
  readonly who: string
  readonly outcomes: readonly Outcome[]
  /** For the browser in whose place it was done. */
  readonly setCookies: readonly string[]
}

/** Runs one trial after the other, whoever asks: there is one database that can be down, and one upload to wait for. */
export class Trials {
  readonly #options: TrialsOptions
  #strangersKey: Promise<SigningKey> | undefined
  #turn: Promise<unknown> = Promise.resolve()

  constructor(options: TrialsOptions) {
    this.#options = options
  }

  run(trial: Trial, viewer: Viewer): Promise<Report> {
    return this.#inTurn(async () => {
      const { id, title, run, signsIn } = trial
      const { uploads, tokens, outage } = this.#options
      const all = this.#prepare(title, viewer)
      try {
        if (signsIn) await all.signIn()
        await trial.before?.(all)
        all.begin()
        const outcomes = await run(all)
        const report = { id, title, at: new Date().toISOString(), who: all.who, outcomes }
        keepReport(viewer.visitor, report)
        return { ...report, setCookies: all.browser.setCookies }
      } finally {
        outage.down = false
        uploads.open()
        tokens.open()
      }
    })
  }

  /** What a trial begins with, so that it can be looked at. Resolves to the cookies of it. */
  signIn(viewer: Viewer): Promise<readonly string[]> {
    return this.#inTurn(async () => {
      const { browser, signIn } = this.#prepare('Signs in', viewer)
      await signIn()
      return browser.setCookies
    })
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work)
    this.#turn = done.catch(() => {})
    return done
  }

  #prepare(title: string, { visitor, cookieHeader, host }: Viewer): Run & { begin(): void } {
    const { op, issuer, activity, visitors } = this.#options
    const browser = new HttpBrowser(cookieHeader)
    const opUrl = named(issuer, host)
    const tried = this.#options.tried.map((place) => ({ ...place, url: named(place.url, host) }))
    const sub = op.sessionOf(cookieHeader)?.sub ?? visitor.sub
    visitor.sub = sub
    const say = (text: string) => activity.add('you', { tone: 'plain', text }, visitor.id)
    const begin = () => activity.add('you', { tone: 'begin', text: title }, visitor.id)
    const sids = () => op.sessionOf(browser.cookieHeader)?.sids ?? {}
    const signIn = async () => {
      for (const { clientId, url } of tried) {
        const there = await browser.whoAt(url)
        // What an earlier sign-on left behind is told of no logout any more.
        const isOfThisSignOn = there.sid !== undefined && there.sid === sids()[clientId]
        if (there.sub !== sub || !isOfThisSignOn) await browser.signIn(url, sub)
      }
      visitors.hasSids(visitor, sids())
    }
    const logOut = async () => {
      visitors.hasSids(visitor, sids())
      say('Logs out at the provider')
      await browser.logOut(opUrl)
    }
    const who = USERS.get(sub) ?? sub
    const phone = visitor.phones.get(sub) ?? new HttpBrowser()
    visitor.phones.set(sub, phone)
    const strangersKey = () => {
      this.#strangersKey ??= createSigningKey(op.kid)
      return this.#strangersKey
    }
    const acts = { say, begin, signIn, logOut }
    return { ...this.#options, strangersKey, browser, visitor, opUrl, tried, sub, who, phone, ...acts }
  }
}

/** What each application says of the browser afterwards, in the trial's words for either answer. */
export async function afterwards(
  { browser, tried }: Pick<Run, 'browser' | 'tried'>,
  goodStatus: 200 | 401,
  words: (place: Tried) => { readonly good: string; readonly bad: string },
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  for (const place of tried) {
    const { status } = await browser.whoAt(place.url)
    const good = status === goodStatus
    const text = words(place)[good ? 'good' : 'bad']
    outcomes.push({ clientId: place.clientId, name: place.name, good, status, text })
  }
  return outcomes
}

/** Claims of a Logout Token to this client about the session that the browser has there. */
export async function logoutClaims({ browser, issuer, sub }: Run, { clientId, url }: Tried) {
  const { sid } = await browser.whoAt(url)
  const now = Math.floor(Date.now() / 1000)
  const events = { 'http://schemas.openid.net/event/backchannel-logout': {} }
  return { iss: issuer, aud: clientId, sub, sid, iat: now, exp: now + 120, jti: crypto.randomUUID(), events }
}

// Asks the provider now and then whether a session that is in use still stands there, for providers that never say so
// themselves. Knows when to ask and what to make of no answer; how to ask, and how a session ends, it is given.
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { elapsedBy, isLate, within } from '../deadline.js'
import { LogoutError, NoVerdictError } from '../errors.js'
import { type EventListener, emitter } from '../events.js'
import { isJsonObject } from '../json-object.js'
import { sha256 } from '../marks/target.js'
import { listenerOf } from '../mistakes/console-warnings.js'
import { type Mistake, reportOnce } from '../mistakes/mistakes.js'
import {
  assertNumber,
  assertNumberIfGiven,
  assertOptions,
  LONGEST_LIFETIME_SECONDS,
  type OptionNames,
} from '../option-checks.js'
import { type Pass, ProviderRest } from './provider-rest.js'
import type { RevalidationFinding, RevalidationQuestion, RevalidationTokens } from './revalidation-questions.js'
import { memoryRevalidationStates, type RevalidationStates } from './revalidation-states.js'
import { type SealedValues, sealedValues } from './sealed-values.js'

/** How often, how, and what then. */
export interface RevalidationOptions {
  /** Between two questions about one session that is in use, at most. Seconds. */
  readonly everySeconds: number
  /** `byRefreshToken`, `byIntrospection`, `byUserInfo`, one of your own; `browser`: by a top-level `prompt=none`. */
  readonly ask: RevalidationQuestion | 'browser'
  /** Seals refresh tokens where they are kept. 32 characters or more; a list, the newest first, to change it. */
  readonly secret: string | readonly string[]
  /** How long a request waits for the answer. Seconds; default 5. */
  readonly timeoutSeconds?: number
  /**
   * How long beyond `everySeconds` a session is served while the provider cannot be asked, or says neither yes nor no.
   * After that it is answered 503, and kept, until it can; a browser that was told neither is sent to the provider
   * (`reassert`). Seconds. Default: without end, since an outage of the provider must log nobody out.
   */
  readonly failClosedAfterSeconds?: number
  /** How long a session is remembered since it was last asked about. Seconds; default 30 days. */
  readonly keptSeconds?: number
  /** Shared by all nodes that share the sessions. Default: in this process's memory. */
  readonly states?: RevalidationStates
  /** Hears `revalidated` of each question, and its `warning`s. */
  readonly onEvent?: EventListener
  /** The one clock: epoch seconds. Default: the system clock. */
  readonly clock?: () => number
  /**
   * Seconds of a clock that never goes back, by which a provider that fails is left alone. Default: `clock`,
   * or else `performance.now()`.
   */
  readonly monotonic?: () => number
  /** Default: `Math.random`. */
  readonly random?: () => number
}

/**
 * What a session may do now.
 *
 * - `live`: go on.
 * - `ended`: the provider says that it is over: end it.
 * - `ask-browser`: it is this browser's turn to be sent to the provider with `prompt=none`, and then to `answered`.
 * - `reassert`: send the user to the provider, who is not logged out meanwhile: somebody has demanded it, or nobody can
 *   tell any more.
 */
export type RevalidationVerdict = 'live' | 'ended' | 'ask-browser' | 'reassert'

/** What became of a top-level `prompt=none`: the `error` of the answer, if it had one. */
export interface SilentAnswer {
  readonly error?: string | undefined
}

/** Made by `createRevalidation`. */
export interface Revalidation {
  /**
   * A session in use that is over at the provider is over here after so long, as long as the provider answers. Seconds;
   * `null` by the browser, where scripts and forms go on until the next navigation.
   */
  readonly boundSeconds: number | null
  /** A login: from here on the provider counts as asked. */
  begin(sessionId: string, tokens?: RevalidationTokens): Promise<void>
  /**
   * The session id was changed (`regenerate`) and the login is the same: what is known of it is found under the new id
   * from here on, the refresh token as the provider changed it last among it. One write, so it is done or not; call it
   * again where it rejected, or as often as you like. Under the new id nothing is replaced that a login began there.
   *
   * @throws NoVerdictError where the states cannot be read or written: do not go on with the new session
   */
  move(fromSessionId: string, toSessionId: string): Promise<void>
  /**
   * What this session may do now. Asks the provider if it is time; one request does, on one node, while the others go
   * on. `canNavigate`: this request may be answered by a redirect of the whole page.
   *
   * @throws NoVerdictError where `failClosedAfterSeconds` is over, or the states cannot be read: 503, and the session
   * is kept
   */
  check(sessionId: string, about?: { readonly canNavigate?: boolean }): Promise<RevalidationVerdict>
  /**
   * The browser is back: `login_required` ends the session. `interaction_required`, `consent_required` and
   * `account_selection_required` do not: the provider wants to show a page, which `prompt=none` forbids. They are no
   * proof that the user is signed in there either, and he can send them himself: the session is left alone until the
   * next pause, but after `failClosedAfterSeconds` without a proof the verdict is `reassert`. Any other error says
   * nothing: the browser is sent there again after a pause, longer each time. Without an `error`, call
   * it only once the ID Token of the answer was validated, and its `sub` is the session's.
   */
  answered(sessionId: string, answer: SilentAnswer): Promise<RevalidationVerdict>
  /** The user must show up at the provider before the next action: `check` says so, on every node, until `begin`. */
  demand(sessionId: string): Promise<void>
}

const DEFAULT_TIMEOUT_SECONDS = 5
const DEFAULT_KEPT_SECONDS = 30 * 24 * 3600
/** A question is given up by then, and its answer still counts: a refresh token may have been changed for it. */
const LONGEST_QUESTION_SECONDS = 30
/** While a browser is at the provider no other request is sent there. */
const BROWSER_TURN_SECONDS = 60
/**
 * Before a session is asked about again of which the provider would say neither yes nor no, twice as long each time and
 * at most the usual pause.
 */
const FIRST_PAUSE_SECONDS = 2
const LONGEST_PAUSE_SECONDS = 300
/** So long, or so often of one session, an outage or a whim of the provider lasts; what goes on is set up wrongly. */
const SILENT_SECONDS = 3600
const UNANSWERED = 8
/** So much earlier at most, so that sessions of one morning do not ask together for ever. */
const JITTER = 0.1
/** Writers of one session at the same time, beyond which something else is wrong. */
const MOST_SWAPS = 10
/**
 * A changed refresh token that is not kept is lost: the next question would be asked with the spent one, and end a
 * session that lives. So its write is tried again after so long, and so long.
 */
const WRITE_AGAIN_AFTER_SECONDS = [0.1, 0.5, 2, 5]
/** Nobody else asks before the answer of the longest question is written, tried again and all. */
const QUESTION_TURN_SECONDS = LONGEST_QUESTION_SECONDS + 10

const NAMES: OptionNames<RevalidationOptions> = {
  everySeconds: true,
  ask: true,
  secret: true,
  timeoutSeconds: true,
  failClosedAfterSeconds: true,
  keptSeconds: true,
  states: true,
  onEvent: true,
  clock: true,
  monotonic: true,
  random: true,
}

/**
 * Makes the revalidation of sessions at a provider that sends no Logout Tokens, or beside them.
 *
 * @throws TypeError for a missing, unknown or unusable option; the message names it and the remedy.
 */
export function createRevalidation(options: RevalidationOptions): Revalidation {
  assertUsable(options)
  return new Revalidator(options)
}

interface State {
  /** Of the login: an answer about an earlier one says nothing of this one. */
  readonly login?: string | undefined
  /** When the provider last said that the session lives. */
  readonly goodAt: number
  readonly dueAt: number
  /** Somebody is asking, at most until then. */
  readonly leaseUntil?: number | undefined
  readonly ended?: true | undefined
  readonly demanded?: true | undefined
  /** The refresh token was sent, and no answer came: that it is refused from then on may be of that. */
  readonly mayBeSpent?: true | undefined
  /** How often the provider would say neither yes nor no, since it last did; and until when it is left alone for it. */
  readonly unansweredCount?: number | undefined
  readonly pausedUntil?: number | undefined
  /** The provider wants to show a page: it has said neither that the session lives nor that it is over. */
  readonly wantsPage?: true | undefined
  readonly sub?: string | undefined
  /** The session id under which all this is to be found, sealed. Here it only stays where no secret opens it. */
  readonly moved?: string | undefined
  /** Sealed. */
  readonly refreshToken?: string | undefined
  readonly accessToken?: string | undefined
}

/** What is kept under one session id: a state, or where to find it. */
interface Read {
  readonly sessionId: string
  readonly key: string
  readonly text: string | undefined
  readonly state: State | undefined
  /** The id under which the state was begun. */
  readonly begunAs: string | undefined
  /** By this it was found, where that is another one. */
  readonly by?: Read | undefined
}

interface ChangeOptions {
  /** Where the write fails, after how many seconds it is tried once more, and once more. */
  readonly again?: readonly number[]
  /** Default: wherever the state is. */
  readonly reading?: (sessionId: string) => Promise<Read>
}

class Revalidator implements Revalidation {
  readonly #options: RevalidationOptions
  readonly #clock: () => number
  readonly #states: RevalidationStates
  readonly #sealed: SealedValues
  readonly #emit: EventListener
  readonly #report: (mistake: Mistake, cause?: unknown) => void
  readonly #monotonic: () => number
  readonly #rest: ProviderRest
  /** By the monotonic clock: since when the provider has had no answer to any question. */
  #silentSince: number | undefined

  constructor(options: RevalidationOptions) {
    this.#options = options
    this.#clock = options.clock ?? (() => Date.now() / 1000)
    this.#states = options.states ?? memoryRevalidationStates(this.#clock)
    this.#sealed = sealedValues([options.secret].flat(), 'createRevalidation(): secret')
    this.#emit = emitter(listenerOf(options))
    this.#report = reportOnce(this.#emit)
    this.#monotonic = options.monotonic ?? elapsedBy(options.clock)
    this.#rest = new ProviderRest(this.#monotonic, options.random ?? Math.random)
  }

  get boundSeconds(): number | null {
    const { ask, everySeconds } = this.#options
    return ask === 'browser' ? null : everySeconds + LONGEST_QUESTION_SECONDS
  }

  async begin(sessionId: string, tokens: RevalidationTokens = {}): Promise<void> {
    const begun = { login: randomUUID(), ...this.#fresh(), ...this.#kept(tokens, sessionId) }
    await this.#change(sessionId, () => begun, { reading: (id) => this.#readOwn(id) })
  }

  /**
   * The state stays where it is, and the new id leads there. So one write is the whole move, a question that is under
   * way finds its state, and there is at no time a second one that would be asked about with the same token.
   */
  async move(fromSessionId: string, toSessionId: string): Promise<void> {
    const from = await this.#read(fromSessionId)
    if (from.state === undefined || from.sessionId === toSessionId) return
    for (let i = 0; i < MOST_SWAPS; i++) {
      const to = await this.#readOwn(toSessionId)
      // What a request has left there, before the move, is of no login.
      if (to.begunAs === from.sessionId || to.state?.login !== undefined || to.state?.ended) return
      if (to.state?.demanded) await this.demand(from.sessionId)
      if (await this.#lead(to, from.sessionId)) return
    }
    throw contended()
  }

  async demand(sessionId: string): Promise<void> {
    await this.#change(sessionId, (state) => ({ ...(state ?? this.#unknown()), demanded: true }))
  }

  async check(sessionId: string, { canNavigate = false } = {}): Promise<RevalidationVerdict> {
    const read = await this.#read(sessionId)
    const state = read.state ?? this.#unknown()
    const settled = this.#verdictOn(state)
    if (settled) return settled
    const now = this.#clock()
    if (!this.#isDue(state, now)) return state.wantsPage ? this.#unanswered(state) : 'live'
    const isByBrowser = this.#options.ask === 'browser'
    const isAsked = isAhead(state.leaseUntil, now, BROWSER_TURN_SECONDS)
    const isPaused = isAhead(state.pausedUntil, now, LONGEST_PAUSE_SECONDS)
    if (isAsked || isPaused || (isByBrowser && !canNavigate)) return this.#unanswered(state)
    const pass = isByBrowser ? undefined : this.#rest.begin(read.key)
    if (!isByBrowser && pass === undefined) return this.#unanswered(await this.#known(read, state))
    const turn = isByBrowser ? BROWSER_TURN_SECONDS : QUESTION_TURN_SECONDS
    // A clock that went back must not leave a session good until it is there again.
    const taken = { ...state, goodAt: Math.min(state.goodAt, now), leaseUntil: now + turn }
    let isMine = false
    try {
      isMine = await this.#swap(read, taken)
    } finally {
      if (!isMine) pass?.notAsked()
    }
    if (!isMine) return this.#unanswered(state)
    // Both are kept for as long as the session is in use. If this fails, the next turn does it.
    if (read.by) await this.#lead(read.by, read.sessionId).catch(() => false)
    if (this.#options.ask === 'browser' || pass === undefined) return 'ask-browser'
    const signal = AbortSignal.timeout(LONGEST_QUESTION_SECONDS * 1000)
    // A question that does not heed its signal must not keep its pass; what it says late is heard all the same.
    const leftAlone = () => pass.failed()
    signal.addEventListener('abort', leftAlone)
    const answer = this.#ask(read.sessionId, taken, this.#options.ask, signal).then(async (finding) => {
      if (!signal.aborted) returnPass(pass, finding)
      signal.removeEventListener('abort', leftAlone)
      return this.#conclude(read.sessionId, finding, taken)
    })
    try {
      return await within(this.#options.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS, answer)
    } catch (error) {
      if (!isLate(error)) throw error
      answer.catch((cause: unknown) => this.#warn(cause))
      return this.#unanswered(taken)
    }
  }

  async answered(sessionId: string, { error }: SilentAnswer): Promise<RevalidationVerdict> {
    if (error !== undefined && WANTS_TO_SHOW_A_PAGE.includes(error)) return this.#leaveAlone(sessionId)
    if (error === undefined) return this.#conclude(sessionId, { found: 'live' })
    if (error === 'login_required') return this.#conclude(sessionId, { found: 'ended' })
    // A browser comes back at once: without a pause it would be sent there and back for ever.
    return this.#conclude(sessionId, { found: 'away', answered: true })
  }

  /** Asked again in the next pause, not at the next navigation. Nothing is proven: what was good before counts. */
  async #leaveAlone(sessionId: string): Promise<RevalidationVerdict> {
    this.#emit({ type: 'revalidated', found: 'away' })
    const state = await this.#change(sessionId, ({ leaseUntil: _, ...before } = this.#unknown()) => ({
      ...before,
      dueAt: this.#fresh().dueAt,
      wantsPage: true,
    }))
    return this.#verdictOn(state) ?? this.#unanswered(state)
  }

  async #ask(
    sessionId: string,
    state: State,
    ask: RevalidationQuestion,
    signal: AbortSignal,
  ): Promise<RevalidationFinding> {
    const { sub } = state
    const refreshToken = this.#sealed.open(sessionId, state.refreshToken)
    const accessToken = this.#sealed.open(sessionId, state.accessToken)
    try {
      return await ask({ refreshToken, accessToken, sub }, signal)
    } catch (cause) {
      return { found: 'away', cause }
    }
  }

  async #conclude(sessionId: string, finding: RevalidationFinding, asked?: State): Promise<RevalidationVerdict> {
    this.#emit({ type: 'revalidated', found: finding.found })
    const concluded = (before: State = this.#unknown()): State => {
      if (asked !== undefined && before.login !== asked.login) return before
      const { leaseUntil: _, wantsPage, mayBeSpent, unansweredCount, pausedUntil: _until, ...rest } = before
      if (finding.found === 'ended') return { ...rest, ...(mayBeSpent ? { demanded: true } : { ended: true }) }
      const { refreshToken } = finding
      if (finding.found === 'away') {
        const isSpent = refreshToken === undefined && (mayBeSpent || finding.mayBeSpent)
        const doubts = { ...(wantsPage && { wantsPage }), ...(isSpent && { mayBeSpent: true as const }) }
        const pause = (finding.answered || finding.asked === false) && this.#pauseAfter(unansweredCount)
        return { ...rest, ...doubts, ...pause, ...this.#kept({ refreshToken }, sessionId) }
      }
      const { accessToken } = finding
      return { ...rest, ...this.#fresh(), ...this.#kept({ refreshToken, accessToken, sub: rest.sub }, sessionId) }
    }
    const isRotated = finding.found !== 'ended' && finding.refreshToken !== undefined
    const state = await this.#change(sessionId, concluded, { again: isRotated ? WRITE_AGAIN_AFTER_SECONDS : [] })
    this.#sayIfNobodyTells(sessionId, finding, state)
    return this.#verdictOn(state) ?? (finding.found === 'live' ? 'live' : this.#unanswered(state))
  }

  /** Who is not asked about lives on: that is said, with what to do about it. */
  #sayIfNobodyTells(sessionId: string, finding: RevalidationFinding, state: State): void {
    const now = this.#monotonic()
    const isAway = finding.found === 'away'
    if (isAway && finding.asked === false) {
      const { moved, refreshToken, accessToken } = state
      const isShut = moved || [refreshToken, accessToken].some((token) => token && !this.#sealed.open(sessionId, token))
      this.#report(isShut ? 'revalidation_secret_unlisted' : 'revalidation_no_token')
      return
    }
    this.#silentSince = isAway && !finding.answered ? (this.#silentSince ?? now) : undefined
    if (!isAway) return
    const isSilent = this.#silentSince !== undefined && now - this.#silentSince >= SILENT_SECONDS
    if (finding.refusesClient) this.#report('revalidation_client_refused', finding.cause)
    else if (isSilent || (state.unansweredCount ?? 0) >= UNANSWERED) {
      this.#report('revalidation_unanswered', finding.cause)
    }
  }

  /** What is settled, whatever the time is. */
  #verdictOn({ ended, demanded }: State): RevalidationVerdict | undefined {
    return ended ? 'ended' : demanded && 'reassert'
  }

  /** Served all the same, until the bound. */
  #unanswered({ goodAt, wantsPage }: State): RevalidationVerdict {
    const { failClosedAfterSeconds = Number.POSITIVE_INFINITY, everySeconds } = this.#options
    if (this.#clock() <= goodAt + everySeconds + failClosedAfterSeconds) return 'live'
    if (wantsPage) return 'reassert'
    throw new NoVerdictError(
      undefined,
      'The provider could not be asked about this session for too long',
      'provider_away',
    )
  }

  #isDue({ dueAt }: State, now: number): boolean {
    return dueAt <= now || dueAt > now + this.#options.everySeconds
  }

  #fresh(): Pick<State, 'goodAt' | 'dueAt'> {
    const { everySeconds, random = Math.random } = this.#options
    const now = this.#clock()
    return { goodAt: now, dueAt: now + everySeconds * (1 - JITTER * random()) }
  }

  #pauseAfter(unansweredCount = 0): Pick<State, 'pausedUntil' | 'unansweredCount'> {
    const { everySeconds } = this.#options
    const pauseSeconds = Math.min(FIRST_PAUSE_SECONDS * 2 ** unansweredCount, LONGEST_PAUSE_SECONDS, everySeconds)
    return { pausedUntil: this.#clock() + pauseSeconds, unansweredCount: Math.min(unansweredCount + 1, 30) }
  }

  /** Never asked about, as far as anybody remembers: it is time, and the bound begins. */
  #unknown(): State {
    const now = this.#clock()
    return { goodAt: now, dueAt: now }
  }

  /** The bound of a session that nobody remembers begins at its first request, not at each. */
  async #known(read: Read, state: State): Promise<State> {
    if (read.state === undefined || read.state.goodAt > this.#clock()) {
      const begun = { ...state, goodAt: Math.min(state.goodAt, this.#clock()) }
      await this.#swap(read, begun)
      return begun
    }
    return state
  }

  #kept({ refreshToken, accessToken, sub }: RevalidationTokens, sessionId: string): Partial<State> {
    return {
      ...(sub !== undefined && { sub }),
      ...(refreshToken !== undefined && { refreshToken: this.#sealed.seal(sessionId, refreshToken) }),
      ...(accessToken !== undefined && { accessToken: this.#sealed.seal(sessionId, accessToken) }),
    }
  }

  /** What is known of this session, be it kept under this id or under the one that its login began. */
  async #read(sessionId: string): Promise<Read> {
    const own = await this.#readOwn(sessionId)
    return own.begunAs === undefined ? own : { ...(await this.#readOwn(own.begunAs)), by: own }
  }

  async #readOwn(sessionId: string): Promise<Read> {
    const key = sha256(JSON.stringify(['revalidation', sessionId]))
    try {
      const text = await this.#states.read(key)
      const state = text === undefined ? undefined : stateIn(text, this.#unknown())
      return { sessionId, key, text, state, begunAs: this.#sealed.open(movedTo(sessionId), state?.moved) }
    } catch (cause) {
      throw new NoVerdictError(cause, 'What is known of this session could not be read', 'states_failed')
    }
  }

  /** From this id to the state. Sealed: it is a session id. */
  #lead(at: Read, begunAs: string): Promise<boolean> {
    return this.#write(at, JSON.stringify({ moved: this.#sealed.seal(movedTo(at.sessionId), begunAs) }))
  }

  #swap(read: Read, state: State): Promise<boolean> {
    return this.#write(read, JSON.stringify(state))
  }

  async #write({ key, text }: Read, value: string): Promise<boolean> {
    const keptUntil = this.#clock() + (this.#options.keptSeconds ?? DEFAULT_KEPT_SECONDS)
    try {
      return await this.#states.swap(key, text, value, keptUntil)
    } catch (cause) {
      throw new NoVerdictError(cause, 'What is known of this session could not be written', 'states_failed')
    }
  }

  async #change(
    sessionId: string,
    change: (before: State | undefined) => State,
    { again = [], reading = (id) => this.#read(id) }: ChangeOptions = {},
  ): Promise<State> {
    const [wait, ...later] = again
    try {
      return await this.#changeNow(sessionId, change, reading)
    } catch (cause) {
      if (wait === undefined) throw cause
      await sleep(wait * 1000, undefined, { ref: false })
      return this.#change(sessionId, change, { again: later, reading })
    }
  }

  async #changeNow(
    sessionId: string,
    change: (before: State | undefined) => State,
    reading: NonNullable<ChangeOptions['reading']>,
  ): Promise<State> {
    for (let i = 0; i < MOST_SWAPS; i++) {
      const read = await reading(sessionId)
      const state = change(read.state)
      if (await this.#swap(read, state)) return state
    }
    throw contended()
  }

  #warn(cause: unknown): void {
    const error = new LogoutError('ERR_STORE', 'The late answer about a session could not be kept', { cause })
    this.#emit({ type: 'warning', error })
  }
}

function returnPass(pass: Pass, finding: RevalidationFinding): void {
  if (finding.found !== 'away' || finding.answered) pass.answered()
  else if (finding.asked === false) pass.notAsked()
  else pass.failed(finding.retryAfterSeconds)
}

/** OpenID Connect Core 3.1.2.6: a page would have to be shown. Whether the user is signed in, it leaves open. */
const WANTS_TO_SHOW_A_PAGE: readonly string[] = [
  'interaction_required',
  'consent_required',
  'account_selection_required',
]

/** An end that is further off than any is of a clock that has gone back. */
function isAhead(until: number | undefined, now: number, mostSeconds: number): boolean {
  return until !== undefined && until > now && until <= now + mostSeconds
}

function contended(): NoVerdictError {
  const sentence = 'What is known of this session is being changed by too many'
  return new NoVerdictError(undefined, sentence, 'states_failed')
}

/** A purpose of its own: what a session id leads to is no token. */
function movedTo(sessionId: string): string {
  return JSON.stringify(['moved', sessionId])
}

/** `unknown`: what is known of one that was moved here, where nobody can tell from where. */
function stateIn(text: string, unknown: State): State | undefined {
  const value: unknown = JSON.parse(text)
  if (!isJsonObject(value)) return undefined
  if (typeof value.moved === 'string') return { ...unknown, ...value }
  if (typeof value.goodAt !== 'number' || typeof value.dueAt !== 'number') return undefined
  return { goodAt: value.goodAt, dueAt: value.dueAt, ...value }
}

function assertUsable(options: RevalidationOptions): void {
  assertOptions('createRevalidation()', options, NAMES)
  const { everySeconds, ask, states } = options
  assertNumber('everySeconds', everySeconds, { above: 0, most: 86_400 })
  if (typeof ask !== 'function' && ask !== 'browser') {
    throw new TypeError("ask must be a question such as byRefreshToken({ … }), or 'browser'")
  }
  if (states !== undefined && (typeof states.read !== 'function' || typeof states.swap !== 'function')) {
    throw new TypeError('states must have read() and swap(), as memoryRevalidationStates() makes them')
  }
  for (const name of ['timeoutSeconds', 'failClosedAfterSeconds', 'keptSeconds'] as const) {
    assertNumberIfGiven(name, options[name], { most: LONGEST_LIFETIME_SECONDS })
  }
}

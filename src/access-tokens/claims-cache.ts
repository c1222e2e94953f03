// The life of a cached answer: asked for once, kept for a while, weighed against the marks at every use. Knows no HTTP
// and no authorization server; which token a mark ends is decided in login-records.ts.
import { LRUCache } from 'lru-cache'
import { ageOf, isToCome, type Moment, momentsBy, unlessAborted, within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import { ExpiringMap } from '../expiring-map.js'
import { outline } from '../http/outline.js'
import type { EndedClaims } from '../logout/claims-evictor.js'
import { type Mark, withMark } from '../marks/covering.js'
import { sha256, tokenKey } from '../marks/target.js'
import type { FoundMarks, LogoutStore } from '../stores/logout-store.js'
import { LocalMarks } from './local-marks.js'
import { type Judgement, judge, type LoginRecords, recordsOf } from './login-records.js'
import { noVerdict, storeFailed } from './no-verdict.js'
import { datedOnly, tokenOutlivesMarks, userOfTwoNames } from './sign-on-reader.js'
import {
  evictedKey,
  expiryOf,
  namesAnother,
  ownKeys,
  standingOf,
  type TokenClaims,
  type TokenSignOn,
  type TokenStanding,
  wasIssuedAfter,
} from './token-claims.js'

/** Whether a token may be used now. Inactive tokens are all alike: who is refused is not told why. */
export type Verdict<Application> =
  | { readonly active: true; readonly claims: TokenClaims; readonly application: Application }
  | { readonly active: false }

/** Options of one `lookup`. */
export interface LookupOptions {
  /**
   * Longest time ago that the authorization server was asked, in seconds. Default: any time within
   * `maximumLifetimeSeconds`. 0 asks each time. An older answer stays cached for those who may use it.
   */
  readonly maxAgeSeconds?: number | undefined
  /**
   * Stops this one wait, with the signal's reason. The question to the authorization server goes on, others wait for
   * it.
   */
  readonly signal?: AbortSignal | undefined
}

/**
 * What the authorization server says of a token, frozen, and what the application makes of it. Rejects without a
 * verdict.
 */
export type LoadClaims<Application> = (
  token: string,
) => Promise<{ readonly claims: TokenClaims; readonly application: Application }>

/** The part of the logout store that a claims cache needs. */
export type MarksStore = Pick<LogoutStore, 'marks' | 'begin'> & Partial<LoginRecords>

export interface ClaimsCacheOptions<Application> {
  readonly load: LoadClaims<Application>
  readonly signOnOf: (claims: TokenClaims) => TokenSignOn
  readonly store: MarksStore | undefined
  readonly clock: () => number
  /** Seconds that only go forward. */
  readonly monotonic: () => number
  readonly emit: EventListener
  readonly maximumLifetimeSeconds: number
  readonly negativeLifetimeSeconds: number
  readonly maxEntries: number
  readonly maxNegativeEntries: number
  readonly marksLifetimeSeconds: number
  readonly toleranceSeconds: number
  readonly storeTimeoutSeconds: number
}

interface Asked {
  /** Number of the question in this process's sequence of events. */
  readonly startedAt: number
  /** When the question began: a token's age counts from here, since the answer may be as old as that. */
  readonly askedAt: Moment
}

interface ActiveAnswer<Application> extends Asked, TokenStanding {
  readonly active: true
  readonly verdict: Verdict<Application>
  /** The key of the token's own marks: of all its spellings. */
  readonly tokenKey: string
  /** The marks' own clock, read before the question began: the token existed by then. */
  readonly boundAt: number
  readonly tokenExpiresAt: number
}

interface InactiveAnswer extends Asked {
  readonly active: false
}

type Answer<Application> = ActiveAnswer<Application> | InactiveAnswer

interface Question<Application> extends Asked {
  readonly answer: Promise<Answer<Application>>
}

/**
 * Why a token was refused, where a login that is recorded later may still say that it lives: judged anew at each use,
 * by what dated it first, and without the authorization server.
 */
interface Refusal extends TokenStanding {
  readonly tokenKey: string
  readonly boundAt: number
  readonly tokenExpiresAt: number
  /** What it was refused by, should the store forget that earlier than the token expires. */
  readonly marks: readonly Mark[]
  readonly expiresAt: number
}

type Judged = Pick<Refusal, keyof TokenStanding | 'tokenKey' | 'boundAt' | 'tokenExpiresAt'>

const INACTIVE = Object.freeze({ active: false } as const)

/** When a token was known to exist: there is one less to doubt where it was met before. */
function earliest({ boundAt }: Judged, before: Refusal | undefined): number {
  return Math.min(boundAt, before?.boundAt ?? boundAt)
}

/**
 * A cache of introspection answers that a logout ends.
 *
 * Write, then check: an answer is kept as soon as it is there, and at *every* use, the first included, the marks are
 * read after the answer and decide. So it does not matter in which order a logout and a question overlap, nor whether
 * the authorization server has heard of the logout. Deleting entries is tidiness, never the defence.
 */
export class ClaimsCache<Application> {
  readonly #options: ClaimsCacheOptions<Application>
  /** Answers are kept by the whole text of a token: a forged signature finds none of another's. */
  readonly #active: LRUCache<string, ActiveAnswer<Application>>
  /** Where the marks of a token have another key than its answer: that of the latest answer. */
  readonly #keptAs = new Map<string, string>()
  /** Apart, so that a flood of invented tokens pushes out no valid one. */
  readonly #inactive: LRUCache<string, InactiveAnswer>
  readonly #questions = new Map<string, Question<Application>>()
  readonly #now: () => Moment
  readonly #marks: LocalMarks
  readonly #refusals = new ExpiringMap<Refusal>()
  readonly #warned = new Set<() => LogoutError>()

  constructor(options: ClaimsCacheOptions<Application>) {
    this.#options = options
    this.#active = new LRUCache({
      max: options.maxEntries,
      dispose: ({ tokenKey: own }, key) => {
        if (this.#keptAs.get(own) === key) this.#keptAs.delete(own)
      },
    })
    this.#inactive = new LRUCache({ max: options.maxNegativeEntries })
    this.#now = momentsBy(options.clock, options.monotonic)
    this.#marks = new LocalMarks(options.clock)
  }

  /** How much is held, for gauges. */
  get size(): {
    readonly active: number
    readonly inactive: number
    readonly questions: number
    readonly marks: number
  } {
    return {
      active: this.#active.size,
      inactive: this.#inactive.size,
      questions: this.#questions.size,
      marks: this.#marks.size + this.#refusals.size,
    }
  }

  /**
   * The verdict itself where this process has all that it takes, else a promise of it. Throws or rejects with
   * `ERR_NO_VERDICT` where the authorization server or the store cannot tell: never let in, never refused.
   */
  lookup(
    token: string,
    { maxAgeSeconds = Number.POSITIVE_INFINITY, signal }: LookupOptions = {},
  ): Verdict<Application> | Promise<Verdict<Application>> {
    const verdict = this.#lookup(sha256(token), token, maxAgeSeconds)
    return signal === undefined ? verdict : unlessAborted(Promise.resolve(verdict), signal)
  }

  /**
   * Ends one token on every node that shares the store, by its key as a client gave it. Rejects if the store cannot be
   * written; it is ended here all the same.
   */
  async endToken(key: string): Promise<void> {
    const { clock, store, marksLifetimeSeconds, storeTimeoutSeconds } = this.#options
    const seenAt = clock()
    const expiresAt = seenAt + marksLifetimeSeconds
    this.#arrive({ scope: 'token', key, seenAt, expiresAt })
    if (store === undefined) return
    const target = { scope: 'token', key: evictedKey(key) } as const
    const order = { target, seenSecondsAgo: 0, marksExpireAt: expiresAt, mayDestroy: true }
    try {
      await within(storeTimeoutSeconds, store.begin(order))
    } catch (cause) {
      throw new LogoutError('ERR_EVICT', 'The mark of an access token could not be stored', {
        reason: 'store_failed',
        cause,
      })
    }
  }

  /** Takes a logout in. Synchronous: what begins after it sees it. */
  evict({ mark, tokenKeys }: EndedClaims): void {
    const expiresAt = Math.max(mark.expiresAt, this.#options.clock() + this.#options.marksLifetimeSeconds)
    this.#arrive({ ...mark, expiresAt })
    for (const key of tokenKeys) {
      this.#arrive({ scope: 'token', key, issuedAt: mark.issuedAt, seenAt: mark.seenAt, expiresAt })
    }
  }

  #arrive(mark: Mark): void {
    this.#marks.arrive(mark)
    if (mark.scope === 'token') this.#active.delete(this.#keptAs.get(mark.key) ?? mark.key)
  }

  #lookup(key: string, token: string, maxAgeSeconds: number): Verdict<Application> | Promise<Verdict<Application>> {
    const begun = this.#marks.next()
    const cached = this.#cached(key, maxAgeSeconds)
    if (cached !== undefined && !cached.active) return INACTIVE
    // What was found ended needs nobody's word any more, least of all that of a store that may be down.
    const own = cached?.tokenKey ?? tokenKey(token)
    if (this.#marks.isMarked(own)) return INACTIVE
    const refusal = this.#refusalOf(own)
    if (refusal !== undefined) return this.#revise(key, token, maxAgeSeconds, refusal)
    if (cached === undefined) return this.#ask(key, token, maxAgeSeconds, begun, 0)
    const found = this.#marksUnder(cached.keys)
    // No promise where nothing has to be waited for: it would be the larger part of what a use costs.
    if (isToCome(found) || found.marks.length > 0) return this.#reuse(key, token, cached, maxAgeSeconds, begun, found)
    return this.#unended(key, cached, begun, found.marks) ?? this.#ask(key, token, maxAgeSeconds, begun, 0)
  }

  async #reuse(
    key: string,
    token: string,
    cached: ActiveAnswer<Application>,
    maxAgeSeconds: number,
    begun: number,
    found: FoundMarks | Promise<FoundMarks>,
  ): Promise<Verdict<Application>> {
    const verdict = await this.#weigh(key, cached, begun, (await found).marks)
    return verdict ?? this.#ask(key, token, maxAgeSeconds, begun, 0)
  }

  /** Nobody is asked about a token that is refused for the same reason as before. */
  async #revise(key: string, token: string, maxAgeSeconds: number, refusal: Refusal): Promise<Verdict<Application>> {
    const { marks } = await this.#marksUnder(refusal.keys)
    if (await this.#isEnded(key, refusal, marks)) return INACTIVE
    return this.#lookup(key, token, maxAgeSeconds)
  }

  #cached(key: string, maxAgeSeconds: number): Answer<Application> | undefined {
    const answer = this.#active.get(key) ?? this.#inactive.get(key)
    if (answer === undefined) return undefined
    const now = this.#now()
    if (this.#isOver(answer, now)) {
      this.#forget(key)
      return undefined
    }
    return ageOf(answer.askedAt, now) < maxAgeSeconds ? answer : undefined
  }

  /** The smaller of its `exp` and the maximum. */
  #isOver(answer: Answer<Application>, now: Moment): boolean {
    const { maximumLifetimeSeconds, negativeLifetimeSeconds } = this.#options
    const age = ageOf(answer.askedAt, now)
    if (!answer.active) return age >= negativeLifetimeSeconds
    return age >= maximumLifetimeSeconds || answer.tokenExpiresAt <= now.wall
  }

  async #ask(
    key: string,
    token: string,
    maxAgeSeconds: number,
    begun: number,
    notBefore: number,
  ): Promise<Verdict<Application>> {
    const { now, marks } = await this.#marksUnder(ownKeys(tokenKey(token)))
    if (marks.length > 0) return INACTIVE
    const question = this.#joinable(key, maxAgeSeconds, notBefore) ?? this.#begin(key, token, now)
    const answer = await question.answer
    if (!answer.active) return INACTIVE
    const verdict = await this.#weigh(key, answer, begun, (await this.#marksUnder(answer.keys)).marks)
    // Only a question from before this request can be distrusted, so the second time round is the last.
    return verdict ?? this.#ask(key, token, maxAgeSeconds, begun, begun)
  }

  /** One question per token, but never one from before a mark: its answer may be older than the logout. */
  #joinable(key: string, maxAgeSeconds: number, notBefore: number): Question<Application> | undefined {
    const question = this.#questions.get(key)
    if (question === undefined) return undefined
    const { startedAt, askedAt } = question
    if (startedAt <= notBefore || startedAt < this.#marks.latestArrival) return undefined
    // What would be too old to be served from the cache is too old to be waited for.
    const age = ageOf(askedAt, this.#now())
    return age < Math.min(maxAgeSeconds, this.#options.maximumLifetimeSeconds) ? question : undefined
  }

  #begin(key: string, token: string, boundAt: number): Question<Application> {
    const asked = { startedAt: this.#marks.next(), askedAt: this.#now() }
    const question = { ...asked, answer: this.#answer(key, token, asked, boundAt) }
    // A rejection is for those who wait; when all of them have gone it is nobody's.
    question.answer.catch(() => {})
    this.#questions.set(key, question)
    return question
  }

  async #answer(key: string, token: string, asked: Asked, boundAt: number): Promise<Answer<Application>> {
    try {
      const { claims, application } = await this.#options.load(token)
      const answer = this.#judge(tokenKey(token), claims, application, asked, boundAt)
      // A question that was superseded may carry an older truth than the one that is kept.
      if (this.#isLatest(key, asked)) this.#keep(key, answer)
      return answer
    } catch (cause) {
      const error = cause instanceof LogoutError ? cause : noVerdict('introspection_failed', outline(cause))
      this.#options.emit({ type: 'warning', error })
      throw error
    } finally {
      if (this.#isLatest(key, asked)) this.#questions.delete(key)
    }
  }

  #isLatest(key: string, { startedAt }: Asked): boolean {
    return this.#questions.get(key)?.startedAt === startedAt
  }

  /** What an answer is worth. */
  #judge(
    own: string,
    claims: TokenClaims,
    application: Application,
    asked: Asked,
    boundAt: number,
  ): Answer<Application> {
    const tokenExpiresAt = expiryOf(claims.exp)
    if (!claims.active || tokenExpiresAt <= this.#options.clock()) return { ...asked, active: false }
    this.#warnOfLifetime(tokenExpiresAt)
    return {
      ...asked,
      ...standingOf(ownKeys(own), this.#options.signOnOf(claims)),
      active: true,
      tokenKey: own,
      verdict: Object.freeze({ active: true, claims, application }),
      boundAt,
      tokenExpiresAt,
    }
  }

  #keep(key: string, answer: Answer<Application>): void {
    this.#forget(key)
    if (this.#isOver(answer, this.#now())) return
    if (!answer.active) {
      this.#inactive.set(key, answer)
      return
    }
    this.#active.set(key, answer)
    if (answer.tokenKey !== key) this.#keptAs.set(answer.tokenKey, key)
  }

  #forget(key: string): void {
    this.#active.delete(key)
    this.#inactive.delete(key)
  }

  /**
   * A verdict, by marks that were read after the answer was there; or nothing where the authorization server must be
   * asked again.
   */
  async #weigh(
    key: string,
    answer: ActiveAnswer<Application>,
    begun: number,
    marks: readonly Mark[],
  ): Promise<Verdict<Application> | undefined> {
    const isEnded = await this.#isEnded(key, answer, marks)
    return isEnded ? INACTIVE : this.#unended(key, answer, begun, marks)
  }

  /** By the earliest that is known of the token: what was ended is not let in because it is met anew. */
  async #isEnded(key: string, token: Judged, found: readonly Mark[]): Promise<boolean> {
    const refusal = this.#refusalOf(token.tokenKey)
    const marks = refusal === undefined ? found : [...found, ...refusal.marks]
    if (marks.length === 0) return false
    const judged = await this.#judged(marks, token, earliest(token, refusal))
    if (judged === undefined) {
      // Unless somebody has found out meanwhile that it was ended after all.
      if (refusal === this.#refusalOf(token.tokenKey)) this.#refusals.delete(token.tokenKey)
      return false
    }
    const { mark, evidence } = judged
    if (namesAnother(mark, token)) this.#warnOnce(userOfTwoNames)
    if (evidence === 'dates' && wasIssuedAfter(mark, token)) this.#warnOnce(datedOnly)
    this.#end(key, judged, token)
    return true
  }

  #unended(
    key: string,
    answer: ActiveAnswer<Application>,
    begun: number,
    marks: readonly Mark[],
  ): Verdict<Application> | undefined {
    if (answer.startedAt < begun && this.#touched(answer, marks)) {
      if (this.#active.peek(key) === answer) this.#forget(key)
      return undefined
    }
    return answer.tokenExpiresAt <= this.#options.clock() ? INACTIVE : answer.verdict
  }

  async #judged(marks: readonly Mark[], token: Judged, boundAt: number): Promise<Judgement | undefined> {
    const { store, storeTimeoutSeconds } = this.#options
    try {
      return await within(storeTimeoutSeconds, judge(marks, token, boundAt, recordsOf(store)))
    } catch (cause) {
      return storeFailed(cause)
    }
  }

  /**
   * Whether a mark under the token's keys came after the question began. It does not end this token, but what the
   * authorization server said before it is not to be relied on after it.
   */
  #touched(answer: ActiveAnswer<Application>, marks: readonly Mark[]): boolean {
    const { keys, startedAt, boundAt } = answer
    return marks.some((mark) => mark.seenAt >= boundAt) || this.#marks.touchedSince(keys, startedAt)
  }

  /**
   * Once ended, a token stays ended here, also when it is met later without the entry that dated it; unless it turns
   * out to be of a login that was not ended. Once it has expired, that is enough.
   */
  #end(key: string, { mark, isFinal }: Judgement, token: Judged): void {
    const { clock, marksLifetimeSeconds, toleranceSeconds } = this.#options
    const { tokenKey: own, tokenExpiresAt, keys, isWhole, subKey, sidKey, authTime, issuedAt } = token
    const marksExpireAt = Math.max(mark.expiresAt, clock() + marksLifetimeSeconds)
    const expiresAt = Math.min(marksExpireAt, tokenExpiresAt + toleranceSeconds)
    this.#forget(key)
    if (isFinal) {
      this.#refusals.delete(own)
      this.#marks.remember({ scope: 'token', key: own, issuedAt: mark.issuedAt, seenAt: mark.seenAt, expiresAt })
      return
    }
    // Found by several at once, it is of the earliest of them.
    const before = this.#refusalOf(own)
    const known = { tokenKey: own, tokenExpiresAt, boundAt: earliest(token, before), expiresAt }
    const marks = withMark(before?.marks ?? [], mark)
    this.#refusals.set(own, { keys, isWhole, subKey, sidKey, authTime, issuedAt, ...known, marks }, clock())
  }

  #refusalOf(own: string): Refusal | undefined {
    return this.#refusals.size === 0 ? undefined : this.#refusals.get(own, this.#options.clock())
  }

  /** The store first, then what arrived here meanwhile: no mark that was written before the look-up began is missed. */
  #marksUnder(keys: readonly string[]): FoundMarks | Promise<FoundMarks> {
    const { store, storeTimeoutSeconds, clock } = this.#options
    if (store === undefined) return { now: clock(), marks: this.#marks.under(keys) }
    try {
      const stored = store.marks(keys)
      if (!isToCome(stored)) return this.#withLocal(stored, keys)
      return within(storeTimeoutSeconds, stored).then((found) => this.#withLocal(found, keys), storeFailed)
    } catch (cause) {
      return storeFailed(cause)
    }
  }

  #withLocal(stored: FoundMarks, keys: readonly string[]): FoundMarks {
    const local = this.#marks.under(keys)
    return local.length === 0 ? stored : { now: stored.now, marks: [...stored.marks, ...local] }
  }

  /** Marks are kept as long as tokens are said to live. One that lives longer could outlive the mark that denies it. */
  #warnOfLifetime(tokenExpiresAt: number): void {
    const { clock, marksLifetimeSeconds } = this.#options
    if (tokenExpiresAt - clock() <= marksLifetimeSeconds || tokenExpiresAt === Number.POSITIVE_INFINITY) return
    this.#warnOnce(tokenOutlivesMarks)
  }

  /** What a server does once it does for every token. */
  #warnOnce(warning: () => LogoutError): void {
    if (this.#warned.has(warning)) return
    this.#warned.add(warning)
    this.#options.emit({ type: 'warning', error: warning() })
  }
}

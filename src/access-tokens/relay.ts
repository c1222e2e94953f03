// Tells APIs that share no store with the Relying Party what was ended: follows the store's log and pushes signed
// notices, one after another, until each API has confirmed all of them. Knows no cache and believes no API but by its
// answers.
import { randomUUID } from 'node:crypto'
import type { CryptoKey, KeyObject } from 'jose'
import { SignJWT } from 'jose/jwt/sign'
import { monotonicSeconds, within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import { type EventListener, emitter } from '../events.js'
import { type Fetch, posted } from '../http/fetched-documents.js'
import { outline } from '../http/outline.js'
import type { ClaimsEvictor } from '../logout/claims-evictor.js'
import type { Mark } from '../marks/covering.js'
import { listenerOf } from '../mistakes/console-warnings.js'
import { assertNumberIfGiven, assertOptions, isText, type OptionNames } from '../option-checks.js'
import type { LogStore } from '../stores/log-store.js'
import { completeClaims, endedClaims, MARKS_HEADER, MOST_MARKS, NOTICE_TYP, NOTICE_TYPE } from './relay-notice.js'

/** One process of an API that is told. */
export interface RelayApi {
  /** Where the API has mounted its relay receiver. Each process of an API has an address of its own here. */
  readonly endpoint: string
  /** What the API expects as `aud`. Default: the endpoint. */
  readonly audience?: string
}

/** Whom to tell, what from, and as whom. */
export interface RelayOptions {
  /** The Relying Party's logout store, with its log: `redisStore` or `postgresStore`. */
  readonly store: Pick<LogStore, 'pull'>
  /** Who this is to the APIs: an URL of the Relying Party's. */
  readonly issuer: string
  /** Signs the notices; the APIs have the public half. */
  readonly privateKey: CryptoKey | KeyObject
  /** JWS algorithm of the key, e.g. `ES256`. */
  readonly algorithm: string
  readonly keyId?: string
  readonly apis: readonly RelayApi[]
  /** The pause between rounds where nothing happens. Far below the bound of the APIs. Seconds; default 1. */
  readonly everySeconds?: number
  /** Deadline of each request, and of what a logout waits for an API. Seconds; default 1. */
  readonly timeoutSeconds?: number
  /** Hears a `warning` (`relay_failed`) when an API cannot be told, once until it can. */
  readonly onEvent?: EventListener
  /** Sends the notices in place of the global `fetch`: through a proxy, with a client certificate. */
  readonly fetch?: Fetch
  /** Lets notices travel without TLS. For tests and loopback interfaces only. */
  readonly dangerouslyAllowHttp?: boolean
  /** The one clock: epoch seconds. Default: the system clock. */
  readonly clock?: () => number
}

/**
 * A relay. As the receiver's `claims` it has each logout told to every API before the OP hears 200; an API that cannot
 * be told is told as soon as it can, and serves nobody meanwhile, beginning with the bound that its receiver states.
 */
export interface Relay extends ClaimsEvictor {
  /** Says everything to every API now; rejects if one cannot be told. */
  refresh(): Promise<void>
  /** Stops. APIs serve nobody any more, beginning with their bound. */
  close(): void
}

const DEFAULTS = { everySeconds: 1, timeoutSeconds: 1 } as const
/** How long the store may take to read its log, which at first is all that is live. */
const PATIENCE_SECONDS = 60
/** Notices under way at one API. */
const CONCURRENCY = 8

/**
 * Processes of an API that may come one after another in one round; more are several behind one address, of which none
 * is told all.
 */
const MOST_MET = 3

const NAMES: OptionNames<RelayOptions> = {
  store: true,
  issuer: true,
  privateKey: true,
  algorithm: true,
  keyId: true,
  apis: true,
  everySeconds: true,
  timeoutSeconds: true,
  onEvent: true,
  fetch: true,
  dangerouslyAllowHttp: true,
  clock: true,
}

/**
 * Makes the Relying Party's end of a relay. It begins at once to tell every API of all live marks.
 *
 * @throws TypeError where the options cannot work
 */
export function createRelay(options: RelayOptions): Relay {
  assertUsable(options)
  const resolved = { clock: () => Date.now() / 1000, ...DEFAULTS, ...options }
  const emit = emitter(listenerOf(options))
  const lines = options.apis.map((api) => new Line(api, resolved, emit))
  for (const line of lines) line.ring()
  return {
    // An API that is away keeps no logout waiting: its own bound does the rest.
    async evict() {
      await Promise.allSettled(lines.map((line) => within(resolved.timeoutSeconds, line.refresh())))
    },
    async refresh() {
      await Promise.all(lines.map((line) => line.refresh()))
    },
    close() {
      for (const line of lines) line.close()
    },
  }
}

type Resolved = RelayOptions & Required<Pick<RelayOptions, keyof typeof DEFAULTS | 'clock'>>

/** The way to one API: rounds, one after another. */
class Line {
  readonly #api: RelayApi
  readonly #options: Resolved
  readonly #emit: EventListener
  /** Up to where the log was read for this process of the API, and what of it has not been confirmed yet. */
  #cursor: string | undefined
  #left: Mark[] = []
  /** What the API gave with its last answer: its process, and a nonce. */
  #instance: string | undefined
  #nonce: string | undefined
  /** How many marks it takes in one notice. */
  #marksPerNotice = 1
  /**
   * How often another process answered than before. Its name alone would not tell: in a rolling restart a late answer
   * of the old process comes after the first of the new one, and what was left to tell is gone.
   */
  #changes = 0
  #round: Promise<void> | undefined
  #next: Promise<void> | undefined
  #timer: NodeJS.Timeout | undefined
  #isClosed = false
  #isAway = false

  constructor(api: RelayApi, options: Resolved, emit: EventListener) {
    this.#api = api
    this.#options = options
    this.#emit = emit
  }

  ring(): void {
    this.refresh().catch(() => {
      // Told already, and tried again by the timer.
    })
  }

  /** A round that begins after this call. */
  refresh(): Promise<void> {
    if (this.#round === undefined) return this.#start()
    this.#next ??= this.#round
      .catch(() => {})
      .then(() => {
        this.#next = undefined
        return this.#start()
      })
    return this.#next
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
  }

  #start(): Promise<void> {
    clearTimeout(this.#timer)
    this.#round ??= this.#tell().finally(() => {
      this.#round = undefined
      if (!this.#isClosed) this.#timer = setTimeout(() => this.ring(), this.#options.everySeconds * 1000).unref()
    })
    return this.#round
  }

  async #tell(): Promise<void> {
    try {
      // A process of the API that is met for the first time is told everything, and only then that this is all.
      for (let met = 0; !(await this.#tellOnce()); met += 1) {
        if (met === MOST_MET) throw new Error('several processes answer at one endpoint')
      }
      this.#isAway = false
    } catch (cause) {
      const error = new LogoutError('ERR_EVICT', 'An API could not be told by the relay; it is tried again', {
        reason: 'relay_failed',
        cause: outline(cause),
      })
      if (!this.#isAway) this.#emit({ type: 'warning', error })
      this.#isAway = true
      // By the next round it would be too old to be of use.
      this.#nonce = undefined
      throw error
    }
  }

  /** Whether the API has confirmed all of the log up to now. */
  async #tellOnce(): Promise<boolean> {
    if (this.#nonce === undefined) await this.#post(completeClaims(undefined))
    // Given before the log is read: what was acknowledged before the API gave it is in the page.
    const nonce = this.#nonce
    const changes = this.#changes
    const page = await within(PATIENCE_SECONDS, this.#options.store.pull(this.#cursor))
    const readAt = monotonicSeconds()
    // The mark of a `sid` and its `sub` brings that of sign-ons without a `sid` with it.
    const marks = page.marks.filter(({ scope }) => scope !== 'sidless')
    this.#left = page.reset ? marks : [...this.#left, ...marks]
    this.#cursor = page.cursor
    await this.#push(changes, () => page.now + monotonicSeconds() - readAt)
    if (this.#changes === changes) await this.#post(completeClaims(nonce))
    return this.#changes === changes
  }

  /** What was confirmed is not said again to the same process, also where something else failed. */
  async #push(changes: number, storeNow: () => number): Promise<void> {
    const failures: unknown[] = []
    const one = async () => {
      while (this.#changes === changes && failures.length === 0) {
        const now = storeNow()
        const batch = this.#left.splice(-this.#marksPerNotice)
        const marks = batch.filter(({ expiresAt }) => expiresAt > now)
        if (batch.length === 0) return
        if (marks.length === 0) continue
        try {
          await this.#post(endedClaims(marks, now, this.#nonce))
        } catch (error) {
          this.#left.push(...marks)
          failures.push(error)
        }
      }
    }
    // None is left under way: what it holds is told or left when the next round begins.
    await Promise.all(Array.from({ length: CONCURRENCY }, one))
    if (failures.length > 0) throw failures[0]
  }

  async #post(claims: Record<string, unknown>): Promise<void> {
    const { issuer, privateKey, algorithm, keyId, clock, timeoutSeconds, fetch: send = fetch } = this.#options
    const { endpoint, audience = endpoint } = this.#api
    const notice = await new SignJWT({ ...claims, jti: randomUUID() })
      .setProtectedHeader({ alg: algorithm, typ: NOTICE_TYP, ...(keyId !== undefined && { kid: keyId }) })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(Math.floor(clock()))
      .sign(privateKey)
    const headers = { 'Content-Type': NOTICE_TYPE }
    const response = await posted(send, endpoint, timeoutSeconds, { headers, body: notice })
    await response.body?.cancel()
    if (response.status !== 202) throw new Error(`HTTP ${response.status}`)
    const nonce = response.headers.get('relay-nonce') ?? undefined
    const instance = nonce?.split('.', 1)[0]
    if (!instance) throw new Error('no relay receiver')
    if (this.#instance !== instance) {
      this.#cursor = undefined
      this.#left = []
      this.#changes += 1
    }
    this.#instance = instance
    this.#nonce = nonce
    const takes = Number(response.headers.get(MARKS_HEADER))
    this.#marksPerNotice = Number.isInteger(takes) ? Math.min(Math.max(1, takes), MOST_MARKS) : 1
  }
}

function assertUsable(options: RelayOptions): void {
  assertOptions('createRelay()', options, NAMES)
  if (typeof options.store?.pull !== 'function') {
    throw new TypeError('store must be a logout store with a log, such as redisStore(client) or postgresStore(pool)')
  }
  if (!isText(options.issuer)) {
    throw new TypeError('issuer must be what the APIs know this Relying Party by, a non-empty string')
  }
  if (typeof options.algorithm !== 'string' || !/^(RS|PS|ES)(256|384|512)$|^Ed25519$|^EdDSA$/.test(options.algorithm)) {
    throw new TypeError('algorithm must be an asymmetric JWS algorithm such as ES256')
  }
  if (!Array.isArray(options.apis) || options.apis.length === 0) {
    throw new TypeError('apis must be a list of at least one { endpoint }')
  }
  if (options.fetch !== undefined && typeof options.fetch !== 'function') {
    throw new TypeError('fetch must be a function like the global fetch')
  }
  for (const { endpoint } of options.apis) {
    const protocol = URL.canParse(endpoint) ? new URL(endpoint).protocol : undefined
    if (protocol !== 'https:' && !(options.dangerouslyAllowHttp === true && protocol === 'http:')) {
      throw new TypeError('apis must have https URLs as endpoint; on a loopback interface set dangerouslyAllowHttp')
    }
  }
  for (const name of ['everySeconds', 'timeoutSeconds'] as const) {
    assertNumberIfGiven(name, options[name], { above: 0, most: 60 })
  }
}

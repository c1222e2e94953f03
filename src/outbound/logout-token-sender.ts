// The sending end of Back-Channel Logout 1.0, for whoever is an OpenID Provider to others: a Logout Token, a POST, and
// what the answer means. Knows no session.
import { randomUUID } from 'node:crypto'
import type { CryptoKey, KeyObject } from 'jose'
import { LONGEST_DELAY_SECONDS, monotonicSeconds } from '../deadline.js'
import { LogoutError } from '../errors.js'
import { type EventListener, emitter } from '../events.js'
import type { Fetch } from '../http/fetched-documents.js'
import { type GuardedPosts, guardedPosts, type PostAnswer, postsBy } from '../http/guarded-post.js'
import { outline } from '../http/outline.js'
import { PrivateAddressError } from '../http/public-address.js'
import { safeUrl } from '../http/safe-url.js'
import { Background, takingTurns, takingTurnsByKey } from '../logout/background.js'
import { listenerOf } from '../mistakes/console-warnings.js'
import { assertNumberIfGiven, assertOptions, isText, type OptionNames } from '../option-checks.js'
import { LOGOUT_EVENT } from '../tokens/logout-token-claims.js'
import { givenUp, type LogoutDelivery, meaning, undelivered } from './logout-delivery.js'

/** Who sends Logout Tokens, and how hard it tries. */
export interface LogoutTokenSenderOptions {
  /** The provider's issuer identifier, exactly as in its ID Tokens. */
  readonly issuer: string
  /** Signs the tokens; its public half is in the provider's JWK Set. */
  readonly privateKey: CryptoKey | KeyObject
  /** JWS algorithm of the key, e.g. `RS256`: the client's `id_token_signed_response_alg` (BCL 2.4). */
  readonly algorithm: string
  readonly keyId?: string
  /**
   * From `iat` to `exp`. Seconds; default 120, which is the most that BCL 2.4 recommends, and the most that is taken.
   */
  readonly tokenLifetimeSeconds?: number
  /** Deadline of each attempt, from the connection to the whole answer. Seconds; default 5. */
  readonly timeoutSeconds?: number
  /**
   * How long after `send` an undelivered logout is tried again in the background. Seconds; default 3600; 0: not at all.
   */
  readonly retryForSeconds?: number
  /** Before the second attempt; each further one waits twice as long, up to a minute. Seconds; default 1. */
  readonly firstRetryAfterSeconds?: number
  /**
   * Logouts that wait for a turn or for another attempt, at most. Beyond it one that would have to wait is given up:
   * for a turn at once, for another attempt at its first failure. Default 10,000.
   */
  readonly maxWaiting?: number
  /** Hears `logout-token-sent` of each attempt, and a `warning` where `onOutcome` fails. */
  readonly onEvent?: EventListener
  /**
   * Sends in place of Node's own http: through a proxy, with a client certificate. What it connects to is then its own
   * to check.
   */
  readonly fetch?: Fetch
  /**
   * Lets tokens go to loopback, private and other special addresses. Default: such an address is refused when the
   * connection is made, whatever the name: a client that registers a URI could else reach what only this process sees.
   */
  readonly dangerouslyAllowPrivateAddresses?: boolean
  /** Lets tokens travel without TLS to anywhere; to a loopback address they may, where such addresses are allowed. */
  readonly dangerouslyAllowHttp?: boolean
  /** The one clock: epoch seconds. Default: the system clock. */
  readonly clock?: () => number
}

/** One logout for one client. At least one of `sid` and `sub` (BCL 2.4). */
export type OutgoingLogout = {
  readonly clientId: string
  /** The client's registered `backchannel_logout_uri` (BCL 2.2). */
  readonly uri: string
} & ({ readonly sid: string; readonly sub?: string } | { readonly sid?: undefined; readonly sub: string })

/** Sends Logout Tokens; made by `createLogoutTokenSender`. */
export interface LogoutTokenSender {
  /**
   * Delivers one logout. Resolves after the first attempt, and never rejects for what an RP does; where that is
   * `retrying`, the rest is heard by `onEvent` and `onOutcome`, which is called once, with whatever ends the matter.
   *
   * @throws TypeError for a logout that names nobody
   */
  send(logout: OutgoingLogout, onOutcome?: (delivery: LogoutDelivery) => void): Promise<LogoutDelivery>
  /** Logouts that wait for a turn, or for another attempt. */
  readonly waiting: number
  /** Stops trying. What waits or is under way is given up, and said to be. */
  close(): void
}

const DEFAULTS = {
  tokenLifetimeSeconds: 120,
  timeoutSeconds: 5,
  retryForSeconds: 3600,
  firstRetryAfterSeconds: 1,
  maxWaiting: 10_000,
  dangerouslyAllowPrivateAddresses: false,
  dangerouslyAllowHttp: false,
} as const
const LONGEST_TOKEN_SECONDS = 120
const LONGEST_RETRY_DELAY_SECONDS = 60
/** Attempts under way at one time: a logout of a thousand sign-ons opens no thousand connections. */
const CONCURRENCY = 32
/** Of them to one host: an RP that hangs holds up the logouts of its own users, and few others. */
const CONCURRENCY_PER_HOST = 8

const NAMES: OptionNames<LogoutTokenSenderOptions> = {
  issuer: true,
  privateKey: true,
  algorithm: true,
  keyId: true,
  tokenLifetimeSeconds: true,
  timeoutSeconds: true,
  retryForSeconds: true,
  firstRetryAfterSeconds: true,
  maxWaiting: true,
  onEvent: true,
  fetch: true,
  dangerouslyAllowPrivateAddresses: true,
  dangerouslyAllowHttp: true,
  clock: true,
}

/**
 * Makes the sender of Back-Channel Logout 1.0. Every attempt is a token of its own, with a fresh `jti` and `iat`: a
 * repeat would else be refused as a replay, or as expired.
 *
 * @throws TypeError for a missing, unknown or unusable option; the message names it and the remedy.
 */
export function createLogoutTokenSender(options: LogoutTokenSenderOptions): LogoutTokenSender {
  assertUsable(options)
  return new Sender({ clock: () => Date.now() / 1000, ...DEFAULTS, ...options })
}

type Resolved = LogoutTokenSenderOptions & Required<Pick<LogoutTokenSenderOptions, keyof typeof DEFAULTS | 'clock'>>

interface Open {
  readonly logout: OutgoingLogout
  readonly onOutcome: ((delivery: LogoutDelivery) => void) | undefined
  /** When `send` was called, by the monotonic clock. */
  readonly begunAt: number
  attempts: number
  /** Its end was said: what an attempt under way brings after `close()` is said no more. */
  isOver?: true
}

class Sender implements LogoutTokenSender {
  readonly #options: Resolved
  readonly #posts: GuardedPosts
  readonly #background: Background<Open>
  readonly #turns = takingTurns(CONCURRENCY)
  readonly #turnsByHost = takingTurnsByKey(CONCURRENCY_PER_HOST)
  /** Whose first attempt waits for a turn. */
  readonly #queued = new Set<Open>()
  readonly #emit: EventListener
  #isClosed = false

  constructor(options: Resolved) {
    this.#options = options
    this.#posts = options.fetch ? postsBy(options.fetch) : guardedPosts(options.dangerouslyAllowPrivateAddresses)
    this.#emit = emitter(listenerOf(options))
    this.#background = new Background<Open>({
      attempt: (open) => this.#again(open),
      abandon: (open) => this.#conclude(open, givenUp(open, 'time_over')),
      // That one RP is back says nothing of another: each may register what answers as it likes.
      waitsFor: ({ logout }) => logout.uri,
      firstDelaySeconds: options.firstRetryAfterSeconds,
      maxDelaySeconds: LONGEST_RETRY_DELAY_SECONDS,
      giveUpAfterSeconds: options.retryForSeconds,
    })
  }

  get waiting(): number {
    return this.#background.size + this.#queued.size
  }

  async send(logout: OutgoingLogout, onOutcome?: (delivery: LogoutDelivery) => void): Promise<LogoutDelivery> {
    assertSomebody(logout)
    const open: Open = { logout, onOutcome, begunAt: monotonicSeconds(), attempts: 0 }
    const delivery = await this.#attempt(open, () => this.#queue(open)).catch((error: unknown) => {
      if (error instanceof NoRoom) return givenUp(open, 'no_room')
      throw error
    })
    if (delivery.outcome !== 'retrying') return this.#conclude(open, delivery)
    if (this.#hasRoom && this.#background.add(open, open.begunAt)) return this.#say(open, delivery)
    const reason = this.#isClosed ? 'closed' : this.#hasRoom ? 'time_over' : 'no_room'
    const isRetried = this.#isClosed || this.#options.retryForSeconds > 0
    const error = isRetried ? undelivered(reason, delivery.error) : delivery.error
    return this.#conclude(open, { ...delivery, outcome: 'given-up', error })
  }

  close(): void {
    this.#isClosed = true
    for (const open of this.#background.close()) this.#conclude(open, givenUp(open, 'closed'))
    // What is under way ends with that, and lets in what waits for its turn, which ends at once.
    this.#posts.close()
  }

  get #hasRoom(): boolean {
    return this.waiting < this.#options.maxWaiting
  }

  #queue(open: Open): void {
    if (this.#queued.has(open)) return
    if (!this.#hasRoom) throw new NoRoom()
    this.#queued.add(open)
  }

  async #again(open: Open): Promise<boolean | 'closed'> {
    const delivery = await this.#attempt(open)
    if (delivery.outcome === 'retrying') {
      if (!open.isOver) this.#say(open, delivery)
      return false
    }
    this.#conclude(open, delivery)
    return delivery.outcome === 'done' || 'closed'
  }

  /** `onWait`: as turns have it. Another attempt has its room already. */
  async #attempt(open: Open, onWait?: () => void): Promise<LogoutDelivery> {
    let host: string
    try {
      safeUrl(open.logout.uri, this.#options.dangerouslyAllowHttp)
      const url = new URL(open.logout.uri)
      if (url.hash !== '') throw new TypeError('a backchannel_logout_uri has no fragment (BCL 2.2)')
      // Without the port: whoever has one has them all.
      host = url.hostname
    } catch (cause) {
      open.attempts++
      return givenUp(open, 'uri_unsafe', cause)
    }
    return this.#turnsByHost(host, () => this.#turns(() => this.#attemptNow(open), onWait), onWait)
  }

  async #attemptNow(open: Open): Promise<LogoutDelivery> {
    this.#queued.delete(open)
    if (this.#isClosed) return givenUp(open, 'closed')
    const attempts = ++open.attempts
    try {
      return meaning(await this.#deliver(open.logout), attempts)
    } catch (cause) {
      if (cause instanceof PrivateAddressError) return givenUp(open, 'address_private', cause)
      if (this.#isClosed) return givenUp(open, 'closed')
      const isLate = cause instanceof Error && cause.name === 'TimeoutError'
      // The words of somebody's own `fetch` may hold the request, and with it the token.
      return { outcome: 'retrying', attempts, error: undelivered(isLate ? 'late' : 'unreachable', outline(cause)) }
    }
  }

  async #deliver(logout: OutgoingLogout): Promise<PostAnswer> {
    const token = await this.#token(logout)
    return this.#posts.post({
      url: logout.uri,
      headers: { 'Content-Type': 'application/x-www-form-urlencoded', Accept: 'application/json' },
      body: new URLSearchParams({ logout_token: token }).toString(),
      timeoutSeconds: this.#options.timeoutSeconds,
    })
  }

  /** BCL 2.4, member by member. Never a `nonce`: with one it could be taken for an ID Token. */
  async #token({ clientId, sub, sid }: OutgoingLogout): Promise<string> {
    const { issuer, privateKey, algorithm, keyId, tokenLifetimeSeconds, clock } = this.#options
    const iat = Math.floor(clock())
    const target = { ...(sub !== undefined && { sub }), ...(sid !== undefined && { sid }) }
    const claims = { iss: issuer, aud: clientId, iat, exp: iat + tokenLifetimeSeconds, jti: randomUUID() }
    // Loaded by whoever sends: a receiver signs nothing.
    const { SignJWT } = await import('jose/jwt/sign')
    return new SignJWT({ ...claims, ...target, events: { [LOGOUT_EVENT]: {} } })
      .setProtectedHeader({ alg: algorithm, typ: 'logout+jwt', ...(keyId !== undefined && { kid: keyId }) })
      .sign(privateKey)
  }

  #conclude(open: Open, delivery: LogoutDelivery): LogoutDelivery {
    if (open.isOver) return delivery
    open.isOver = true
    this.#say(open, delivery)
    new Promise((resolve) => resolve(open.onOutcome?.(delivery))).catch((cause: unknown) => {
      const error = new LogoutError('ERR_HOOK', 'The hook onOutcome failed', { option: 'onOutcome', cause })
      this.#emit({ type: 'warning', error })
    })
    return delivery
  }

  #say({ logout }: Open, delivery: LogoutDelivery): LogoutDelivery {
    this.#emit({ type: 'logout-token-sent', clientId: logout.clientId, ...delivery })
    return delivery
  }
}

/** There is no turn now, and no room to wait for one. */
class NoRoom extends Error {}

function assertSomebody({ clientId, sub, sid }: OutgoingLogout): void {
  if (isText(clientId) && (isText(sid) || isText(sub)) && [sid, sub].every((id) => id === undefined || isText(id))) {
    return
  }
  throw new TypeError('send() needs a clientId, and a sid or a sub or both (BCL 2.4)')
}

function assertUsable(options: LogoutTokenSenderOptions): void {
  assertOptions('createLogoutTokenSender()', options, NAMES)
  if (!isText(options.issuer)) {
    throw new TypeError('issuer must be the issuer identifier as it is in your ID Tokens, a non-empty string')
  }
  if (typeof options.algorithm !== 'string' || !/^(RS|PS|ES)(256|384|512)$|^Ed25519$|^EdDSA$/.test(options.algorithm)) {
    throw new TypeError('algorithm must be an asymmetric JWS algorithm such as RS256')
  }
  if (typeof options.privateKey !== 'object' || options.privateKey === null || options.privateKey.type !== 'private') {
    throw new TypeError('privateKey must be a private CryptoKey or KeyObject')
  }
  const most = {
    tokenLifetimeSeconds: LONGEST_TOKEN_SECONDS,
    timeoutSeconds: 60,
    firstRetryAfterSeconds: LONGEST_RETRY_DELAY_SECONDS,
    maxWaiting: 1_000_000,
  } as const
  for (const name of Object.keys(most) as (keyof typeof most)[]) {
    assertNumberIfGiven(name, options[name], { above: 0, most: most[name] })
  }
  assertNumberIfGiven('retryForSeconds', options.retryForSeconds, { most: LONGEST_DELAY_SECONDS })
}

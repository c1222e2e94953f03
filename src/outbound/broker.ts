// Between a provider above and applications below: a sign-on that ended here ends at each of the applications that hang
// on it. Knows no OP: who hangs on which session it asks, and the sender it is given.
import { isLate, monotonicSeconds, within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import { type EventListener, emitter } from '../events.js'
import { ExpiringMap } from '../expiring-map.js'
import { inParallel } from '../logout/background.js'
import type { EndedSessions } from '../logout/logout-order.js'
import { listenerOf } from '../mistakes/console-warnings.js'
import { type Mistake, reportOnce } from '../mistakes/mistakes.js'
import { assertNumberIfGiven, assertOptions, functionIfGiven, type OptionNames } from '../option-checks.js'
import type { DeliveryOutcome, LogoutDelivery } from './logout-delivery.js'
import type { LogoutTokenSender } from './logout-token-sender.js'

/**
 * A session at an application of the broker's, as the broker's own ID Token named it (BCL 2.3: the OP remembers these).
 */
export type DownstreamSession = {
  readonly clientId: string
  /** The application's `backchannel_logout_uri`; absent: it registered none, and cannot be told. */
  readonly uri?: string | undefined
} & ({ readonly sid: string; readonly sub?: string } | { readonly sid?: undefined; readonly sub: string })

/**
 * What became of one application. Beyond the outcomes of a delivery:
 *
 * - `began-it`: it began this logout itself, so it is not told.
 * - `not-registered`: it has no `backchannel_logout_uri`; its session lives until it ends by itself.
 * - `left-alone`: policy; its session lives.
 */
export type HopOutcome = DeliveryOutcome | 'began-it' | 'not-registered' | 'left-alone'

/** One application that hangs on a session, and what became of it so far. */
export interface Hop {
  readonly clientId: string
  readonly outcome: HopOutcome
}

/** Whom to ask, whom to tell. */
export interface LogoutBrokerOptions {
  readonly sender: LogoutTokenSender
  /**
   * The sessions at applications that hang on this local session. Called after the session has ended, and again where
   * an earlier call rejected: then the logout counts as failed, and is tried again. Keep what it needs apart from the
   * session's own row.
   */
  readonly downstream: (
    sessionId: string,
    ended: EndedSessions,
  ) => readonly DownstreamSession[] | Promise<readonly DownstreamSession[]>
  /**
   * Whether the applications are told. Default: always. `false` leaves their sessions to themselves; what is neither
   * `true` nor `false`, such as a promise, does not, and is warned of. Where it throws, nobody is told yet: the logout
   * counts as failed, and is tried again.
   */
  readonly passOn?: (ended: EndedSessions) => boolean
  /**
   * Every hop of this session has come to its end: what `downstream` knows of it may go. That the sender was closed or
   * had no room is no end. What is left after a restart was not told to the end: hand it to `sessionsEnded` once more.
   */
  readonly settled?: (sessionId: string) => void | Promise<void>
  /**
   * How long the provider above waits for the first attempts. Seconds; default 1, so that a chain of brokers answers in
   * time however long it is. What is late goes on in the background.
   */
  readonly waitSeconds?: number
  /** Hears `passed-on`, once for each call that named anybody. */
  readonly onEvent?: EventListener
  /**
   * Dates what is remembered: seconds that only go forward. Default: the monotonic clock, since what a wall clock that
   * is set makes forgotten would be told again.
   */
  readonly clock?: () => number
}

/** A broker's part in a logout; made by `createLogoutBroker`. */
export interface LogoutBroker {
  /**
   * The option `onSessionsEnded` of the receiver. Each application is told once, however often it is called. Rejects
   * where somebody could not be told and nobody tries again by itself, so that the logout counts as failed and is
   * repeated: `downstream` or `passOn` failed (`ERR_HOOK`), the sender was closed or has no room (`ERR_DELIVERY` with
   * the reason `closed` or `no_room`), as far as that is known within `waitSeconds`.
   */
  sessionsEnded(ended: EndedSessions): Promise<void>
  /**
   * The logout of this session that is about to begin was asked for by one of the applications: it is not told of it.
   * Call it right before `logout.unbind(req)`, and only with proof: an `id_token_hint` whose signature is yours and whose
   * `sid` or `sub` is of this very session. A bare `client_id` is no proof: anybody's link may have it, and the
   * application that it names would live on. Telling all of them does no harm. `sid`: of its own session, where it may
   * have several on this one; it is told of the others then. Without it, an application that has several there is told
   * of all.
   */
  comesFrom(clientId: string, sessionId: string, sid?: string): void
  /** What became of the applications on a session that ended here a short while ago, for the page that users see. */
  hopsOf(sessionId: string): readonly Hop[]
}

const DEFAULT_WAIT_SECONDS = 1
/**
 * After the last call, so for as long as the hook is repeated for another session of the same logout, however long that
 * is: a second notice would end a login that was made in between. An hour covers also a repeat that comes from outside.
 */
const REMEMBERED_SECONDS = 3600
const CONCURRENCY = 16

const NAMES: OptionNames<LogoutBrokerOptions> = {
  sender: true,
  downstream: true,
  passOn: true,
  settled: true,
  waitSeconds: true,
  onEvent: true,
  clock: true,
}

/**
 * Makes the part of a broker that passes logouts on (BCL 2.7: an RP that is an OP to others tells them in turn). A
 * logout that comes back in a circle finds its session ended, names nobody, and rests.
 *
 * @throws TypeError for a missing, unknown or unusable option; the message names it and the remedy.
 */
export function createLogoutBroker(options: LogoutBrokerOptions): LogoutBroker {
  assertUsable(options)
  return new Broker(options)
}

interface Origin {
  expiresAt: number
  readonly clientId: string
  readonly sid: string | undefined
}

/** What hangs on a session, by `keyOf`. */
type Found = readonly [sessionId: string, hanging: ReadonlyMap<string, DownstreamSession>]

const UNTOLD: readonly HopOutcome[] = ['began-it', 'not-registered', 'left-alone']

interface Ended {
  expiresAt: number
  /** By `keyOf`. */
  readonly notices: Map<string, Notice>
}

/** What an application is told of one of its sessions, and what became of it. */
interface Notice {
  readonly session: DownstreamSession
  /** On one session here, or on one under several ids. */
  readonly hangsOn: Map<string, Ended>
  /** Those that ended together: the application's session may be found under another of them by a repeat. */
  readonly together: ReadonlySet<string>
  outcome: HopOutcome
  /** Why nobody tells it any more, though it is neither told nor given up: a repeat has to, or the next process. */
  owed?: LogoutError | undefined
}

class Broker implements LogoutBroker {
  readonly #options: LogoutBrokerOptions
  readonly #clock: () => number
  readonly #emit: EventListener
  readonly #report: (mistake: Mistake) => void
  readonly #ended = new ExpiringMap<Ended>()
  readonly #origins = new ExpiringMap<Origin>()

  constructor(options: LogoutBrokerOptions) {
    this.#options = options
    this.#clock = options.clock ?? monotonicSeconds
    this.#emit = emitter(listenerOf(options))
    this.#report = reportOnce(this.#emit)
  }

  comesFrom(clientId: string, sessionId: string, sid?: string): void {
    const now = this.#clock()
    this.#origins.set(sessionId, { clientId, sid, expiresAt: now + REMEMBERED_SECONDS }, now)
  }

  hopsOf(sessionId: string): readonly Hop[] {
    return [...(this.#ended.get(sessionId, this.#clock())?.notices.values() ?? [])].map(hopOf)
  }

  async sessionsEnded(ended: EndedSessions): Promise<void> {
    const { waitSeconds = DEFAULT_WAIT_SECONDS } = this.#options
    this.#rememberOn(ended.sessionIds)
    // All of the application's code that may fail comes first: what is noted as on its way is not told by a repeat.
    const isPassedOn = this.#isPassedOn(ended)
    const found: Found[] = []
    const failures: unknown[] = []
    await inParallel(CONCURRENCY, ended.sessionIds, async (sessionId) => {
      try {
        const sessions = await this.#options.downstream(sessionId, ended)
        found.push([sessionId, new Map(sessions.map((session) => [keyOf(session), session]))])
      } catch (cause) {
        failures.push(cause)
      }
    })
    const notices = this.#noticesOf(ended.sessionIds, found, isPassedOn)
    const told = Promise.all(notices.map((notice) => this.#tell(notice)))
    const { issuer, clientId, reason } = ended
    const first = told.then(() => {
      if (notices.length > 0) this.#emit({ type: 'passed-on', issuer, clientId, reason, hops: notices.map(hopOf) })
    })
    await within(waitSeconds, first).catch((error: unknown) => {
      if (!isLate(error)) throw error
    })
    const [cause] = failures
    if (failures.length > 0) {
      const option = 'downstream'
      throw new LogoutError('ERR_HOOK', 'Who hangs on an ended session could not be found out', { option, cause })
    }
    const owed = notices.find((notice) => notice.owed !== undefined)?.owed
    if (owed !== undefined) throw owed
  }

  #rememberOn(sessionIds: readonly string[]): void {
    const now = this.#clock()
    for (const sessionId of sessionIds) {
      for (const known of [this.#ended.get(sessionId, now), this.#origins.get(sessionId, now)]) {
        if (known !== undefined) known.expiresAt = now + REMEMBERED_SECONDS
      }
    }
  }

  #isPassedOn(ended: EndedSessions): boolean {
    const { passOn } = this.#options
    if (passOn === undefined) return true
    try {
      const isPassedOn: unknown = passOn(ended)
      if (typeof isPassedOn === 'boolean') return isPassedOn
      this.#report('pass_on_unclear')
      Promise.resolve(isPassedOn).catch(() => {})
      return true
    } catch (cause) {
      const option = 'passOn'
      throw new LogoutError('ERR_HOOK', 'Whether a logout is passed on could not be found out', { option, cause })
    }
  }

  /** Whom to tell now: not whom an earlier call has told, nor anybody twice of one session of his. */
  #noticesOf(sessionIds: readonly string[], found: readonly Found[], isPassedOn: boolean): readonly Notice[] {
    const together = new Set(sessionIds)
    const told = this.#toldOf(sessionIds)
    const fresh: Notice[] = []
    const now = this.#clock()
    const origins = new Map(
      found.map(([id, hanging]) => [id, beganAt(this.#origins.get(id, now), [...hanging.values()])]),
    )
    // By its own `sid` a session is the same under another id. By `sub` alone it may be one at another device.
    const began = new Set([...origins.values()].flatMap((each) => (each?.sid === undefined ? [] : [keyOf(each)])))
    for (const [sessionId, hanging] of found) {
      const entry = this.#entryOf(sessionId)
      const { notices } = entry
      const origin = origins.get(sessionId)
      for (const [key, session] of hanging) {
        const before = notices.get(key)
        if (before !== undefined && before.owed === undefined) continue
        const outcome = session === origin || began.has(key) ? 'began-it' : beforehand(session, isPassedOn)
        const same = told.get(key)
        if (outcome === 'retrying' && same?.together.has(sessionId)) {
          same.hangsOn.set(sessionId, entry)
          notices.set(key, same)
          continue
        }
        const notice: Notice = { session, hangsOn: new Map([[sessionId, entry]]), together, outcome }
        notices.set(key, notice)
        fresh.push(notice)
        if (outcome === 'retrying') told.set(key, notice)
      }
      this.#settle(sessionId, entry)
    }
    return fresh
  }

  #entryOf(sessionId: string): Ended {
    const now = this.#clock()
    const known = this.#ended.get(sessionId, now)
    const entry: Ended = known ?? { notices: new Map(), expiresAt: now + REMEMBERED_SECONDS }
    if (known === undefined) this.#ended.set(sessionId, entry, now)
    return entry
  }

  /** Who was told of one of these sessions before, or is being told. */
  #toldOf(sessionIds: readonly string[]): Map<string, Notice> {
    const now = this.#clock()
    const known = sessionIds.flatMap((sessionId) => [...(this.#ended.get(sessionId, now)?.notices ?? [])])
    return new Map(known.filter(([, notice]) => notice.owed === undefined && !UNTOLD.includes(notice.outcome)))
  }

  /** The first attempt. */
  async #tell(notice: Notice): Promise<void> {
    const { session, outcome } = notice
    const { uri } = session
    if (outcome !== 'retrying' || uri === undefined) return
    const note = (delivery: Pick<LogoutDelivery, 'outcome'> & { readonly error?: LogoutError }) => {
      notice.outcome = delivery.outcome
      notice.owed = owedBy(delivery)
      for (const [sessionId, entry] of notice.hangsOn) this.#settle(sessionId, entry)
    }
    try {
      const delivery = await this.#options.sender.send({ ...session, uri }, note)
      if (notice.outcome !== delivery.outcome) note(delivery)
    } catch {
      // The session names nobody: nothing that a later attempt could mend.
      note({ outcome: 'given-up' })
    }
  }

  #settle(sessionId: string, { notices }: Ended): void {
    const { settled } = this.#options
    const isOpen = ({ outcome, owed }: Notice) => outcome === 'retrying' || owed !== undefined
    if (settled === undefined || [...notices.values()].some(isOpen)) return
    Promise.resolve()
      .then(() => settled(sessionId))
      .catch((cause: unknown) => {
        const error = new LogoutError('ERR_HOOK', 'The hook settled failed', { option: 'settled', cause })
        this.#emit({ type: 'warning', error })
      })
  }
}

function hopOf({ session: { clientId }, outcome }: Notice): Hop {
  return { clientId, outcome }
}

/** Given up for a reason of the sender's own: nobody tries any more, and the application does not know. */
function owedBy({ error }: { readonly error?: LogoutError }): LogoutError | undefined {
  return error?.reason === 'closed' || error?.reason === 'no_room' ? error : undefined
}

/** The one session where the logout began; none where that is in doubt. */
function beganAt(origin: Origin | undefined, sessions: readonly DownstreamSession[]): DownstreamSession | undefined {
  const own = sessions.filter(({ clientId }) => clientId === origin?.clientId)
  if (origin?.sid !== undefined) return own.find(({ sid }) => sid === origin.sid)
  return own.length === 1 ? own[0] : undefined
}

function beforehand({ uri }: DownstreamSession, isPassedOn: boolean): HopOutcome {
  if (!isPassedOn) return 'left-alone'
  return uri === undefined ? 'not-registered' : 'retrying'
}

/** Once for each session of an application, whatever else is said of it. */
function keyOf({ clientId, sid, sub }: DownstreamSession): string {
  return JSON.stringify([clientId, sid ?? null, sid === undefined ? sub : null])
}

function assertUsable(options: LogoutBrokerOptions): void {
  assertOptions('createLogoutBroker()', options, NAMES)
  if (typeof options.sender?.send !== 'function') {
    throw new TypeError('sender must be what createLogoutTokenSender() makes')
  }
  if (typeof options.downstream !== 'function') {
    throw new TypeError('downstream must be a function: the sessions at applications that hang on a session id')
  }
  for (const name of ['passOn', 'settled', 'clock'] as const) functionIfGiven(name, options[name])
  assertNumberIfGiven('waitSeconds', options.waitSeconds, { most: 60 })
}

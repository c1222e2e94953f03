// The refresh tokens of sessions that were ended from outside: read from the row before it goes, owed to the provider
// in the logout store, and revoked when the logout has its answer. Ends no session, and undoes no logout.
import { isLate, monotonicSeconds, within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import { outline } from '../http/outline.js'
import { Background, inParallel, takingTurnsByKey } from '../logout/background.js'
import type { Afterwards, EndingSessions, TokensOfSessions } from '../logout/tokens-of-sessions.js'
import type { Client } from '../marks/target.js'
import type { DecidedPolicy, RefreshTokenPolicy } from '../providers/logout-policy.js'
import type { LogoutStore } from '../stores/logout-store.js'
import type { StoreClock } from '../stores/store-clock.js'
import { asWanted, DEBTS, type Debt, debtIn, debtOf, isToDie, textOf, wordOf } from './debt.js'
import type { EndSessionRecord } from './end-session.js'
import { ProviderRests } from './provider-rest.js'
import { type RecordSource, RecordSources } from './record-sources.js'
import { notRevoked, type RevokeTokens } from './revoke-tokens.js'

export interface OwedRevocationsOptions {
  readonly store: LogoutStore
  readonly storeClock: StoreClock
  /** The row of a session as its own store has it, dead or alive. Absent: sessions are kept where none can be read. */
  readonly readSession: ((sessionId: string) => Promise<object | undefined>) | undefined
  /** Rejects where nobody can say. */
  readonly policyOf: (client: Client) => Promise<DecidedPolicy | undefined>
  readonly revoke: RevokeTokens
  readonly emit: EventListener
  readonly stepTimeoutSeconds: number
  /** How long a revocation that failed is tried again. 0: not at all. */
  readonly retryForSeconds: number
  /** After it was due. Default: 30. */
  readonly adoptedAfterSeconds?: number
  /** Default: 5. */
  readonly againAfterSeconds?: number
  /** How many are held at one time; what is beyond is owed in the store alone, and taken from there. Default: 10,000. */
  readonly mostHeld?: number
  /** How often the store is looked into for what nobody sees to. Default: 60. */
  readonly lookAgainSeconds?: number
  /** Seconds that only go forward. */
  readonly monotonic?: () => number
  readonly random?: () => number
}

interface Owed extends Debt {
  /** Another process kept it, and may have revoked it since. */
  readonly isAdopted: boolean
  /** It is in the store, where others find it as well. */
  isShared: boolean
  /** What was tried once without success is adopted by others meanwhile, and they may have succeeded. */
  wasTried: boolean
}

/** The OP waits for the answer: reading and keeping tokens may take so much of that, each row and each write. */
const MOMENT_SECONDS = 0.4
const AT_ONCE = 16
/** At one provider: a logout of everybody must not meet it with everybody's requests at once. */
const REQUESTS_AT_ONCE = 4
const MOST_HELD = 10_000
/** What was due so long ago, and is owed still, is not being seen to. */
const ADOPTED_AFTER_SECONDS = 30
/** Nothing is due later than that from now. */
export const LONGEST_REVOKE_AFTER_SECONDS = 300
const AGAIN_AFTER_SECONDS = 5
const LOOK_AGAIN_SECONDS = 60
/** How much longer than it would be tried here a debt is kept, for a process that starts later. */
const SPARE_SECONDS = 3600
/** Where the answer may be another one next time. */
const CURABLE: readonly (string | undefined)[] = [
  ...['unreachable', 'late', 'closed', 'not_done', 'metadata_unavailable', 'provider_unavailable'],
]

export class OwedRevocations implements TokensOfSessions {
  readonly #options: OwedRevocationsOptions
  readonly #sources = new RecordSources()
  /** By issuer: a provider that hangs holds up its own revocations alone. */
  readonly #turns = takingTurnsByKey(REQUESTS_AT_ONCE)
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #held = new Set<string>()
  readonly #underWay = new Set<AbortController>()
  readonly #again: Background<Owed>
  /** By issuer, of those that fail: one that is away, or asks for a pause, is asked by one debt for all. */
  readonly #rests: ProviderRests
  readonly #mostHeld: number
  readonly #lookAgainSeconds: number
  readonly #monotonic: () => number
  readonly #random: () => number
  #looking: NodeJS.Timeout | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  /** Somebody wanted to look before there was a source. */
  #isLookDue = false
  /** There was no room for one. */
  #isOverfull = false
  #isClosed = false

  constructor(options: OwedRevocationsOptions) {
    this.#options = options
    this.#mostHeld = options.mostHeld ?? MOST_HELD
    this.#lookAgainSeconds = options.lookAgainSeconds ?? LOOK_AGAIN_SECONDS
    const { againAfterSeconds = AGAIN_AFTER_SECONDS } = options
    this.#monotonic = options.monotonic ?? monotonicSeconds
    this.#random = options.random ?? Math.random
    this.#rests = new ProviderRests(this.#monotonic, this.#random, againAfterSeconds)
    this.#again = new Background<Owed>({
      firstDelaySeconds: againAfterSeconds,
      maxDelaySeconds: 300,
      giveUpAfterSeconds: options.retryForSeconds,
      attempt: (owed) => this.#attempt(owed),
      abandon: (owed) => this.#giveUp(owed),
      waitsFor: ({ client }) => client.issuer,
    })
  }

  /** @throws TypeError where no row could be read */
  add(source: RecordSource): void {
    if (this.#options.readSession === undefined) {
      throw new TypeError(
        'endSession: recordIn needs the option sessions of createBackchannelLogout, e.g. expressSessions(store): ' +
          'a record in a cookie is nowhere to be found when the OP logs its user out',
      )
    }
    this.#sources.add(source)
    if (this.#isLookDue) void this.resume()
    if (this.#isClosed) return
    this.#looking ??= setInterval(() => void this.#look(), this.#lookAgainSeconds * 1000).unref()
  }

  get isWanted(): boolean {
    return !this.#sources.isEmpty
  }

  async keep(ending: EndingSessions): Promise<Afterwards> {
    const owed: Owed[] = []
    let hasUnread = false
    try {
      const word = await this.#wordFor(ending)
      const { reason, revokeOfflineAccess } = ending
      const undecided = word === undefined ? { reason, revokeOfflineAccess } : undefined
      const { storeClock, retryForSeconds } = this.#options
      const dueAt = storeClock.expiry(this.#sources.afterSeconds)
      const dates = { dueAt, keptUntil: dueAt + retryForSeconds + SPARE_SECONDS }
      // What hangs would hang for the next as well, and the OP waits.
      const late = { rows: false, store: false }
      await inParallel(AT_ONCE, word === 'kept' ? [] : ending.sessionIds, async (sessionId) => {
        let record: EndSessionRecord | undefined
        try {
          if (!late.rows) record = await within(MOMENT_SECONDS, this.#recordOf(sessionId, ending.client))
          hasUnread ||= late.rows
        } catch (error) {
          hasUnread = true
          late.rows ||= isLate(error)
        }
        if (record === undefined || (word !== undefined && !isToDie(word, record))) return
        const each = { ...debtOf(record, dates, undecided), isAdopted: false, isShared: false, wasTried: false }
        owed.push(each)
        // One that cannot be kept is held here alone.
        if (late.store) return
        try {
          await within(MOMENT_SECONDS, this.#write(each))
          each.isShared = true
        } catch (error) {
          late.store ||= isLate(error)
        }
      })
    } catch {
      // Nothing about tokens makes a logout fail.
    }
    return () => {
      if (hasUnread) this.#say(ending.client, notRevoked('row_unreadable'))
      for (const each of owed) this.#hold(each, this.#sources.afterSeconds)
      if (owed.length > 0) void this.resume()
    }
  }

  /** Takes over what a process owed that is no more. Never rejects. */
  async resume(): Promise<void> {
    this.#isLookDue = !this.isWanted
    if (!this.isWanted || this.#monotonic() - this.#lookedAt < this.#lookAgainSeconds) return
    await this.#look()
  }

  /** What is owed stays in the store, also what is under way: it is given up, since a process must be able to end. */
  close(): void {
    this.#isClosed = true
    for (const underWay of this.#underWay) underWay.abort()
    clearInterval(this.#looking)
    for (const timer of this.#timers) clearTimeout(timer)
    this.#timers.clear()
    this.#again.close()
  }

  /** `undefined`: nobody can say in the moment that there is. */
  async #wordFor(ending: EndingSessions): Promise<RefreshTokenPolicy | undefined> {
    if (ending.refreshTokens !== undefined) return asWanted(ending.refreshTokens, ending)
    try {
      return wordOf(await within(MOMENT_SECONDS, this.#options.policyOf(ending.client)), ending)
    } catch {
      return undefined
    }
  }

  async #recordOf(sessionId: string, client: Client): Promise<EndSessionRecord | undefined> {
    const row = await this.#options.readSession?.(sessionId)
    if (row === undefined) return undefined
    return this.#sources.recordIn(row, client)
  }

  async #write(owed: Owed): Promise<void> {
    const about = textOf(owed)
    await this.#options.store.bind({ sessionId: owed.id, subKey: DEBTS, expiresAt: owed.keptUntil, about })
  }

  /** Never rejects: what is owed waits for the next look. */
  async #look(): Promise<void> {
    if (this.#isClosed) return
    this.#lookedAt = this.#monotonic()
    this.#isOverfull = false
    const { store, storeClock, stepTimeoutSeconds, adoptedAfterSeconds = ADOPTED_AFTER_SECONDS } = this.#options
    let cursor: string | undefined
    try {
      do {
        const page = await within(stepTimeoutSeconds, store.list({ scope: 'sub', key: DEBTS }, cursor))
        for (const { about } of page.sessions) {
          const debt = debtIn(about)
          // Sealed by a secret that this process does not have: another one may.
          if (debt === undefined || this.#sources.tokensOf(debt.record) === undefined) continue
          const dueInSeconds = Math.min(Math.max(0, debt.dueAt - storeClock.expiry(0)), LONGEST_REVOKE_AFTER_SECONDS)
          // Every process finds all of them: each begins at another one, and finds paid what the others have paid.
          const inTurnSeconds = adoptedAfterSeconds * (1 + this.#random())
          this.#hold({ ...debt, isAdopted: true, isShared: true, wasTried: false }, dueInSeconds + inTurnSeconds)
        }
        cursor = page.cursor
      } while (cursor !== undefined && !this.#isOverfull && !this.#isClosed)
    } catch {
      // The store is away, and says so elsewhere.
    }
  }

  #hold(owed: Owed, afterSeconds: number): void {
    if (this.#isClosed || this.#held.has(owed.id)) return
    if (this.#held.size >= this.#mostHeld) {
      this.#isOverfull = true
      return
    }
    this.#held.add(owed.id)
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      void this.#attempt(owed).then((isDone) => {
        if (isDone) return
        // Owed still, for a process that lives on.
        if (this.#isClosed) return this.#release(owed)
        if (!this.#again.add(owed)) this.#giveUp(owed)
      })
    }, afterSeconds * 1000)
    timer.unref()
    this.#timers.add(timer)
  }

  /** No more is seen to it here. Where others found no room, half of it is free before they are looked for. */
  #release({ id }: Owed): void {
    this.#held.delete(id)
    if (this.#held.size === 0) this.#rests.forgetOver()
    if (this.#isOverfull && this.#held.size <= this.#mostHeld / 2) void this.#look()
  }

  /** Resolves to whether the matter is closed: `true` where the provider answered. Never rejects. */
  async #attempt(owed: Owed): Promise<boolean | 'closed'> {
    const { issuer } = owed.client
    return this.#turns(issuer, async () => {
      const tokens = this.#sources.tokensOf(owed.record)
      if (this.#isClosed || tokens === undefined) {
        this.#release(owed)
        return 'closed'
      }
      const pass = this.#rests.begin(issuer)
      if (pass === undefined) return false
      let isAsked = false
      try {
        const mayBePaid = owed.isAdopted || (owed.wasTried && owed.isShared)
        if (mayBePaid && !(await this.#isStillOwed(owed))) {
          this.#release(owed)
          return 'closed'
        }
        const then = await this.#decide(owed)
        if (then === 'left') this.#release(owed)
        if (then === 'kept') await this.#settle(owed)
        if (then !== 'revoked') return 'closed'
        if (this.#isClosed) return false
        isAsked = true
      } catch (cause) {
        this.#say(owed.client, notRevoked('provider_unavailable', outline(cause)))
        return false
      } finally {
        if (!isAsked) pass.notAsked()
      }
      const underWay = new AbortController()
      this.#underWay.add(underWay)
      const { outcome, error, retryAfterSeconds } = await this.#options.revoke(tokens, underWay.signal)
      this.#underWay.delete(underWay)
      owed.wasTried = true
      if (outcome === 'failed' && CURABLE.includes(error?.reason)) {
        pass.failed(retryAfterSeconds)
        return false
      }
      pass.answered()
      await this.#settle(owed)
      return true
    })
  }

  #giveUp(owed: Owed): void {
    this.#say(owed.client, notRevoked('given_up'))
    void this.#settle(owed)
  }

  /** Rejects where nobody can say. `left`: to the process that has this provider. */
  async #decide({ client, record, undecided, isAdopted }: Owed): Promise<'revoked' | 'kept' | 'left'> {
    if (undecided === undefined && !isAdopted) return 'revoked'
    const policy = await within(this.#options.stepTimeoutSeconds, this.#options.policyOf(client))
    if (policy === undefined && isAdopted) return 'left'
    return undecided === undefined || isToDie(wordOf(policy, undecided), record) ? 'revoked' : 'kept'
  }

  #say({ issuer, clientId }: Client, error: LogoutError): void {
    this.#options.emit({ type: 'tokens-revoked', issuer, clientId, outcome: 'failed', error })
  }

  /** A machine sleeps, and clocks are put forward: what the store has let go by time is not paid. */
  async #isStillOwed({ id, keptUntil }: Owed): Promise<boolean> {
    const { store, storeClock, stepTimeoutSeconds } = this.#options
    const state = await within(stepTimeoutSeconds, store.read(id)).catch(() => undefined)
    return state === undefined || state.binding !== undefined || storeClock.expiry(0) >= keptUntil
  }

  async #settle(owed: Owed): Promise<void> {
    const { store, stepTimeoutSeconds, emit } = this.#options
    try {
      await within(stepTimeoutSeconds, store.unbind([owed.id]))
    } catch (cause) {
      const error = new LogoutError('ERR_STORE', 'A revocation that is done could not be taken from the store', {
        cause,
      })
      emit({ type: 'warning', error })
    }
    // Not before: a look meanwhile would find it owed, and take it for another's.
    this.#release(owed)
  }
}

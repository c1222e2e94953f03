// Logout Tokens that nobody can judge yet: kept within bounds, judged as soon as keys are at hand. Most OPs never send
// again, so what is not kept is lost. Asks nobody for keys but through them, and they have a budget.
import { milliseconds, monotonicSeconds } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import { networksOf } from '../http/address-networks.js'
import { inParallel } from '../logout/background.js'
import { sha256 } from '../marks/target.js'
import { type KeysUnavailable, KeysUnavailableError } from '../providers/keys-unavailable.js'
import type { SigningKeys } from '../providers/signing-keys.js'
import { claimedIssuerOf } from '../tokens/compact-token.js'
import { type AwaitedKeys, KeysAwaitedError } from '../tokens/keys-awaited.js'
import type { LogoutToken, LogoutTokens } from '../tokens/logout-token.js'
import { LookupTurns } from './lookup-turns.js'
import { type Kept, type Room, Rooms } from './waiting-rooms.js'

export interface KeptTokensOptions {
  /** Judges by the rules of when the token came: it was in time then, and waited for us. */
  readonly verify: (token: string, came: Came) => Promise<LogoutTokens>
  /** Ends what it names, the OP having heard already that it failed, so many seconds ago at least. Never rejects. */
  readonly end: (token: LogoutToken, waitedSeconds: number) => Promise<void>
  readonly emit: EventListener
  readonly clock: () => number
  /**
   * Pause before the first round; twice as long after each round in which nothing could be judged. Default 0.25, at
   * most 5.
   */
  readonly firstPauseSeconds?: number
  readonly longestPauseSeconds?: number
}

/** When a token came: by the clock, in epoch seconds, and in the life of a provider's keys. */
export interface Came {
  readonly now: number
  readonly cameAsOf: (keys: SigningKeys) => number | undefined
}

/** Where no provider was found yet, since the application's function failed: as long as a provider's own default. */
const KEPT_WITHOUT_PROVIDER_SECONDS = 300
/** Addresses remembered for what came from them: an OP has a few, and a function of the issuer may know many OPs. */
const MAX_PROVEN_SENDERS = 1000
/** Judged at one time, so that the crowd that waited does not keep everybody else from the processor and the store. */
const CONCURRENCY = 8
/** Issuers for which the application's function is asked again in one round, and how long one is begun after another. */
const PROBES = 256
const PROBING_SECONDS = 2

/**
 * The queue. **What it promises:** a token that breaks no rule which can be checked without a key is kept until keys
 * come, or until `maxAgeSeconds` of its provider have passed since it came, whichever is first. The same bytes are kept
 * once.
 *
 * **What junk can do:** it can name the right issuer, audience and key id, so nothing tells it from a real token before
 * there are keys. Therefore room is bounded for each client; tokens whose key id the OP is known to publish have a room
 * of their own, so invented ones never displace them; so have those from an address from which a token of the same
 * issuer came that was verified here; and in each room a network that fills much of it displaces its own. Behind a
 * proxy all senders are one: there only chance is left.
 */
export class KeptTokens {
  readonly #options: KeptTokensOptions
  readonly #rooms = new Rooms()
  /** For each room whose tokens have no provider. */
  readonly #turns = new Map<string, LookupTurns>()
  /** The latest last. */
  readonly #proven = new Set<string>()
  #pauseSeconds: number
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: KeptTokensOptions) {
    this.#options = options
    this.#pauseSeconds = this.#firstPause
  }

  /** Tokens that are waiting. */
  get size(): number {
    return this.#rooms.size
  }

  /** Remembers where a token came from that was verified. */
  prove([{ provider }]: LogoutTokens, sender: string | undefined): void {
    if (sender === undefined) return
    const key = provenKey(provider.client.issuer, sender)
    this.#proven.delete(key)
    this.#proven.add(key)
    const [oldest = ''] = this.#proven
    if (this.#proven.size > MAX_PROVEN_SENDERS) this.#proven.delete(oldest)
  }

  /** Keeps a token for which there were no keys. `sender`: the address it came from, if that is known. */
  keep(token: string, error: KeysUnavailableError, sender: string | undefined): void {
    if (this.#isClosed) return
    const { clock, emit } = this.#options
    const awaited = error instanceof KeysAwaitedError ? error.awaited : undefined
    const { provider } = awaited ?? {}
    const { maxAgeSeconds = KEPT_WITHOUT_PROVIDER_SECONDS } = provider ?? {}
    const issuer = claimedIssuerOf(token)
    const kept: Kept = {
      id: sha256(token),
      token,
      issuer,
      room: this.#roomOf(awaited, issuer, sender ?? ''),
      sender: sender ?? '',
      cameAt: clock(),
      cameAtMonotonic: monotonicSeconds(),
      expiresAt: clock() + maxAgeSeconds,
      awaited,
    }
    const { added, displaced } = this.#rooms.add(kept)
    if (displaced > 0) this.#warn('displaced', displaced)
    if (added) emit({ type: 'awaiting-keys', ...provider?.client, error, waiting: this.#rooms.size })
    this.#schedule()
  }

  /** Forgets what is waiting. */
  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#rooms.clear()
  }

  get #firstPause(): number {
    return this.#options.firstPauseSeconds ?? 0.25
  }

  #schedule(): void {
    if (this.#isClosed || this.#timer !== undefined || this.#rooms.size === 0) return
    this.#timer = setTimeout(() => void this.#round(), milliseconds(this.#pauseSeconds))
    this.#timer.unref()
  }

  async #round(): Promise<void> {
    const before = this.#rooms.size
    this.#dropExpired()
    await Promise.all(this.#rooms.all().map((waiting) => this.#judgeRoom(waiting)))
    const { longestPauseSeconds = 5 } = this.#options
    const progressed = this.#rooms.size < before
    this.#pauseSeconds = progressed ? this.#firstPause : Math.min(this.#pauseSeconds * 2, longestPauseSeconds)
    if (this.#rooms.size === 0) this.#pauseSeconds = this.#firstPause
    this.#timer = undefined
    this.#schedule()
  }

  /** One question to the OP at most, for all tokens of the room. */
  async #judgeRoom(waiting: readonly Kept[]): Promise<void> {
    const [first] = waiting
    if (first === undefined) return
    const keys = first.awaited?.provider.keys
    if (keys !== undefined) {
      await keys.knowsMoreThan(Math.max(...waiting.map(({ awaited }) => awaited?.asOf ?? 0)))
      const judgeable = waiting.filter(({ awaited }) => awaited !== undefined && keys.hasNewerThan(awaited.asOf))
      return inParallel(CONCURRENCY, judgeable, (kept) => this.#judge(kept))
    }
    await this.#judgeWithoutProvider(waiting, this.#turnsIn(first.room))
  }

  /** Whether the application's function works again for an issuer is found out by one token before the others try. */
  async #judgeWithoutProvider(waiting: readonly Kept[], turns: LookupTurns): Promise<void> {
    const began = monotonicSeconds()
    const found: Kept[] = []
    await inParallel(CONCURRENCY, turns.next(waiting, PROBES), async ({ probe, others }) => {
      if (monotonicSeconds() - began > PROBING_SECONDS) return
      turns.tried(probe)
      if (await this.#judge(probe)) found.push(...others)
    })
    await inParallel(CONCURRENCY, found, (kept) => this.#judge(kept))
  }

  #turnsIn({ id }: Room): LookupTurns {
    const turns = this.#turns.get(id) ?? new LookupTurns()
    this.#turns.set(id, turns)
    return turns
  }

  /** Resolves to whether its provider, at least, was found. */
  async #judge(kept: Kept): Promise<boolean> {
    const { verify, end, emit } = this.#options
    const { awaited } = kept
    const cameAsOf = (keys: SigningKeys) => (keys.origin === awaited?.provider.keys.origin ? awaited.asOf : undefined)
    try {
      const tokens = await verify(kept.token, { now: kept.cameAt, cameAsOf })
      this.#rooms.remove(kept)
      this.prove(tokens, kept.sender)
      const waitedSeconds = this.#waitedSeconds(kept)
      await Promise.all(tokens.map((token) => end(token, waitedSeconds)))
      return true
    } catch (error) {
      if (error instanceof KeysUnavailableError) {
        if (awaited === undefined && error instanceof KeysAwaitedError) this.#move(kept, error.awaited)
        return error instanceof KeysAwaitedError
      }
      this.#rooms.remove(kept)
      emit({ type: 'warning', error: asError(error) })
      return true
    }
  }

  /** Its provider is known now. */
  #move(kept: Kept, awaited: AwaitedKeys): void {
    this.#rooms.remove(kept)
    const { displaced } = this.#rooms.add({ ...kept, awaited, room: this.#roomOf(awaited, kept.issuer, kept.sender) })
    if (displaced > 0) this.#warn('displaced', displaced)
  }

  #roomOf(awaited: AwaitedKeys | undefined, claimedIssuer: string, sender: string): Room {
    const { issuer, clientId } = awaited?.provider.client ?? { issuer: claimedIssuer, clientId: undefined }
    const isProven = this.#proven.has(provenKey(issuer, sender))
    if (awaited === undefined) return { id: JSON.stringify(['no provider', isProven]), rank: Number(isProven) }
    const isPublished = awaited.provider.keys.names(awaited.kid)
    // The key id first: to know it proves nothing, but to invent one takes no look at the OP at all.
    return {
      id: JSON.stringify([issuer, clientId, isPublished, isProven]),
      rank: Number(isPublished) * 2 + Number(isProven),
    }
  }

  /** By the clock that says less: a logout that is dated too early would miss somebody. */
  #waitedSeconds({ cameAt, cameAtMonotonic }: Kept): number {
    return Math.max(0, Math.min(this.#options.clock() - cameAt, monotonicSeconds() - cameAtMonotonic))
  }

  #dropExpired(): void {
    const now = this.#options.clock()
    for (const kept of this.#rooms.all().flat()) {
      if (kept.expiresAt > now) continue
      this.#rooms.remove(kept)
      this.#warn('given_up', 1)
    }
  }

  #warn(reason: KeysUnavailable, times: number): void {
    this.#options.emit({ type: 'warning', error: new KeysUnavailableError(reason, undefined), times })
  }
}

/** Of any address of the network that it has to itself. */
function provenKey(issuer: string, sender: string): string {
  return JSON.stringify([issuer, networksOf(sender).at(-1)])
}

function asError(error: unknown): LogoutError {
  if (error instanceof LogoutError) return error
  return new LogoutError('ERR_UNEXPECTED', 'A token that was kept could not be judged', { cause: error })
}

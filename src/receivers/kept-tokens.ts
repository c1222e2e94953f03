// Logout Tokens that nobody can judge yet: kept within bounds, judged as soon as keys are at hand. Most OPs never send again, so what
// is not kept is lost. Asks nobody for keys but through them, and they have a budget.
import { hash } from 'node:crypto'
import { milliseconds, monotonicSeconds } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import { inParallel } from '../logout/background.js'
import { type KeysUnavailable, KeysUnavailableError } from '../providers/keys-unavailable.js'
import type { SigningKeys } from '../providers/signing-keys.js'
import { type AwaitedKeys, KeysAwaitedError } from '../tokens/keys-awaited.js'
import type { LogoutToken, LogoutTokens } from '../tokens/logout-token.js'
import { type Kept, Rooms } from './waiting-rooms.js'

export interface KeptTokensOptions {
  /** Judges by the rules of when the token came: it was in time then, and waited for us. */
  readonly verify: (token: string, came: Came) => Promise<LogoutTokens>
  /** Ends what it names, the OP having heard already that it failed, so many seconds ago at least. Never rejects. */
  readonly end: (token: LogoutToken, waitedSeconds: number) => Promise<void>
  readonly emit: EventListener
  readonly clock: () => number
  /** Pause before the first round; twice as long after each round in which nothing could be judged. Default 0.25, at most 5. */
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
/** Judged at one time, so that the crowd that waited does not keep everybody else from the processor and the store. */
const CONCURRENCY = 8

/**
 * The queue. **What it promises:** a token that breaks no rule which can be checked without a key is kept until keys come, or until
 * `maxAgeSeconds` of its provider have passed since it came, whichever is first. The same bytes are kept once.
 *
 * **What junk can do:** it can name the right issuer, audience and key id, so nothing tells it from a real token before there are
 * keys. Therefore room is bounded for each client; tokens whose key id the OP is known to publish have a room of their own, so invented
 * ones never displace them; and where a room is full, a token of the sender that fills it most goes, chosen by chance, so that an
 * attacker on other addresses displaces himself. Behind a proxy all senders are one: there only chance is left.
 */
export class KeptTokens {
  readonly #options: KeptTokensOptions
  readonly #rooms = new Rooms()
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

  /** Keeps a token for which there were no keys. `sender`: the address it came from, if that is known. */
  keep(token: string, error: KeysUnavailableError, sender: string | undefined): void {
    if (this.#isClosed) return
    const { clock, emit } = this.#options
    const awaited = error instanceof KeysAwaitedError ? error.awaited : undefined
    const { provider } = awaited ?? {}
    const { maxAgeSeconds = KEPT_WITHOUT_PROVIDER_SECONDS } = provider ?? {}
    const kept: Kept = {
      id: hash('sha256', token, 'base64url'),
      token,
      room: roomOf(awaited),
      sender: sender ?? '',
      cameAt: clock(),
      cameAtMonotonic: monotonicSeconds(),
      expiresAt: clock() + maxAgeSeconds,
      awaited,
    }
    const { added, displaced } = this.#rooms.add(kept)
    if (displaced !== undefined) this.#warn('displaced')
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
    await Promise.all(this.#rooms.ids().map((room) => this.#judgeRoom(this.#rooms.in(room))))
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
    // No provider yet: whether the application's function works again is found out by one token before the others try.
    await this.#judge(first)
    if (!this.#rooms.has(first)) await inParallel(CONCURRENCY, waiting.slice(1), (kept) => this.#judge(kept))
  }

  async #judge(kept: Kept): Promise<void> {
    const { verify, end, emit } = this.#options
    const { awaited } = kept
    const cameAsOf = (keys: SigningKeys) => (keys === awaited?.provider.keys ? awaited.asOf : undefined)
    try {
      const tokens = await verify(kept.token, { now: kept.cameAt, cameAsOf })
      this.#rooms.remove(kept)
      const waitedSeconds = this.#waitedSeconds(kept)
      await Promise.all(tokens.map((token) => end(token, waitedSeconds)))
    } catch (error) {
      if (error instanceof KeysUnavailableError) {
        if (awaited === undefined && error instanceof KeysAwaitedError)
          this.#rooms.move(kept, error.awaited, roomOf(error.awaited))
        return
      }
      this.#rooms.remove(kept)
      emit({ type: 'warning', error: asError(error) })
    }
  }

  /** By the clock that says less: a logout that is dated too early would miss somebody. */
  #waitedSeconds({ cameAt, cameAtMonotonic }: Kept): number {
    return Math.max(0, Math.min(this.#options.clock() - cameAt, monotonicSeconds() - cameAtMonotonic))
  }

  #dropExpired(): void {
    const now = this.#options.clock()
    for (const room of this.#rooms.ids()) {
      for (const kept of this.#rooms.in(room)) {
        if (kept.expiresAt > now) continue
        this.#rooms.remove(kept)
        this.#warn('given_up')
      }
    }
  }

  #warn(reason: KeysUnavailable): void {
    this.#options.emit({ type: 'warning', error: new KeysUnavailableError(reason, undefined) })
  }
}

function roomOf(awaited: AwaitedKeys | undefined): string {
  if (awaited === undefined) return 'no provider'
  const { provider, kid } = awaited
  return JSON.stringify([provider.client.issuer, provider.client.clientId, provider.keys.names(kid)])
}

function asError(error: unknown): LogoutError {
  if (error instanceof LogoutError) return error
  return new LogoutError('ERR_UNEXPECTED', 'A token that was kept could not be judged', { cause: error })
}

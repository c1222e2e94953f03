// A provider that fails is left alone for a while, longer each time, by everybody in this process; then one tries, and
// whoever has not tried yet comes before whoever has. Knows no request.

/** One permitted question. Exactly one of its methods is to be called. */
export interface Pass {
  answered(): void
  failed(retryAfterSeconds?: number): void
  notAsked(): void
}

const FIRST_REST_SECONDS = 1
const LONGEST_REST_SECONDS = 60
/** What a provider may ask for by `Retry-After`. */
const LONGEST_ASKED_FOR_SECONDS = 900
/** Questions under way at one time. */
const CONCURRENCY = 32
/** Of those that failed it is remembered who they were; more than these are an outage, and all are alike then. */
const MOST_TRIED = 1000

export class ProviderRest {
  readonly #clock: () => number
  readonly #random: () => number
  readonly #firstRestSeconds: number
  #failures = 0
  #restUntil = 0
  #restSeconds = 0
  /** What the provider asked for by `Retry-After`. */
  #namedUntil = 0
  /** So often it has failed, whoever had an answer since. */
  #failedEver = 0
  /** Who failed since somebody had an answer. */
  readonly #tried = new Set<string>()
  /** Somebody else came since the last failure, and was turned away. */
  #isAwaited = false
  #underWay = 0

  constructor(clock: () => number, random: () => number, firstRestSeconds = FIRST_REST_SECONDS) {
    this.#clock = clock
    this.#random = random
    this.#firstRestSeconds = firstRestSeconds
  }

  /**
   * A pass, or none while the provider rests, or while the one that tries again has no answer yet. `who` has failed
   * before gives way to others: what the provider fails at may be `who` alone.
   */
  begin(who?: string): Pass | undefined {
    const now = this.#clock()
    const hasTried = who !== undefined && this.#tried.has(who)
    const isResting = later(this.#restUntil, now, now) > now
    const isFull = this.#underWay >= (this.#failures === 0 ? CONCURRENCY : 1)
    if (isResting || isFull) {
      this.#isAwaited ||= !hasTried
      return undefined
    }
    if (hasTried && this.#isAwaited && this.#restUntil <= now && now < this.#restUntil + this.#restSeconds) {
      return undefined
    }
    this.#underWay++
    const failedBefore = this.#failedEver
    const done = () => {
      this.#underWay--
    }
    return {
      answered: () => {
        done()
        this.#failures = 0
        // The answer to an earlier question says nothing of a time that was named since.
        this.#restUntil = failedBefore === this.#failedEver ? 0 : this.#namedUntil
        this.#tried.clear()
        this.#isAwaited = false
      },
      failed: (retryAfterSeconds) => {
        done()
        const doubled = Math.min(this.#firstRestSeconds * 2 ** this.#failures, LONGEST_REST_SECONDS)
        this.#failures = Math.min(this.#failures + 1, 30)
        this.#failedEver++
        const now = this.#clock()
        const asked = Math.min(retryAfterSeconds ?? 0, LONGEST_ASKED_FOR_SECONDS)
        const restSeconds = Math.max(asked, doubled * (1 - 0.5 * this.#random()))
        this.#namedUntil = later(this.#namedUntil, now + asked, now)
        const restUntil = later(this.#restUntil, now + restSeconds, now)
        if (restUntil !== this.#restUntil) this.#restSeconds = restSeconds
        this.#restUntil = restUntil
        if (this.#tried.size >= MOST_TRIED) this.#tried.clear()
        if (who !== undefined) this.#tried.add(who)
        this.#isAwaited = false
      },
      notAsked: done,
    }
  }
}

/** Of two ends of a rest. A clock that went back is no reason to rest longer than ever. */
function later(known: number, other: number, now: number): number {
  return known <= now + LONGEST_ASKED_FOR_SECONDS ? Math.max(known, other) : other
}

/** A rest of its own for each issuer. */
export class ProviderRests {
  readonly #rests = new Map<string, ProviderRest>()
  readonly #make: () => ProviderRest

  constructor(...of: ConstructorParameters<typeof ProviderRest>) {
    this.#make = () => new ProviderRest(...of)
  }

  begin(issuer: string): Pass | undefined {
    const rest = this.#rests.get(issuer) ?? this.#make()
    this.#rests.set(issuer, rest)
    return rest.begin()
  }

  /** Nobody has anything to ask. */
  clear(): void {
    this.#rests.clear()
  }
}

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

/** From when until when nobody asks. */
interface Rest {
  readonly from: number
  readonly until: number
}

const NONE: Rest = { from: 0, until: 0 }

export class ProviderRest {
  readonly #monotonic: () => number
  readonly #random: () => number
  readonly #firstRestSeconds: number
  #failures = 0
  #rest = NONE
  /** What the provider asked for by `Retry-After`. */
  #named = NONE
  /** So often it has failed, whoever had an answer since. */
  #failedEver = 0
  /** Who failed since somebody had an answer. */
  readonly #tried = new Set<string>()
  /** Somebody else came since the last failure, and was turned away. */
  #isAwaited = false
  #underWay = 0

  /** `monotonic`: seconds that only go forward. */
  constructor(monotonic: () => number, random: () => number, firstRestSeconds = FIRST_REST_SECONDS) {
    this.#monotonic = monotonic
    this.#random = random
    this.#firstRestSeconds = firstRestSeconds
  }

  get isOver(): boolean {
    return this.#underWay === 0 && this.#rest.until <= this.#monotonic()
  }

  /**
   * A pass, or none while the provider rests, or while the one that tries again has no answer yet. `who` has failed
   * before gives way to others: what the provider fails at may be `who` alone.
   */
  begin(who?: string): Pass | undefined {
    const now = this.#monotonic()
    const hasTried = who !== undefined && this.#tried.has(who)
    const { from, until } = this.#rest
    const isResting = until > now
    const isFull = this.#underWay >= (this.#failures === 0 ? CONCURRENCY : 1)
    if (isResting || isFull) {
      this.#isAwaited ||= !hasTried
      return undefined
    }
    if (hasTried && this.#isAwaited && now < until + (until - from)) return undefined
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
        this.#rest = failedBefore === this.#failedEver ? NONE : this.#named
        this.#tried.clear()
        this.#isAwaited = false
      },
      failed: (retryAfterSeconds) => {
        done()
        // Questions that were under way together are one failure.
        if (failedBefore === this.#failedEver || this.#failures === 0) this.#failures++
        this.#failedEver++
        const doubled = Math.min(this.#firstRestSeconds * 2 ** (this.#failures - 1), LONGEST_REST_SECONDS)
        const now = this.#monotonic()
        const asked = Math.min(retryAfterSeconds ?? 0, LONGEST_ASKED_FOR_SECONDS)
        const restSeconds = Math.max(asked, doubled * (1 - 0.5 * this.#random()))
        this.#named = later(this.#named, { from: now, until: now + asked })
        this.#rest = later(this.#rest, { from: now, until: now + restSeconds })
        if (this.#tried.size >= MOST_TRIED) this.#tried.clear()
        if (who !== undefined) this.#tried.add(who)
        this.#isAwaited = false
      },
      notAsked: done,
    }
  }
}

function later(one: Rest, other: Rest): Rest {
  return one.until > other.until ? one : other
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

  /** Nobody has anything to ask: what is over need not be remembered. A time that was asked for is, until then. */
  forgetOver(): void {
    for (const [issuer, rest] of this.#rests) if (rest.isOver) this.#rests.delete(issuer)
  }
}

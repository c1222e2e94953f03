// A provider that fails is left alone for a while, longer each time, by everybody in this process; then one tries. Knows no request.

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

export class ProviderRest {
  readonly #clock: () => number
  readonly #random: () => number
  #failures = 0
  #restUntil = 0
  #underWay = 0

  constructor(clock: () => number, random: () => number) {
    this.#clock = clock
    this.#random = random
  }

  /** A pass, or none while the provider rests, or while the one that tries again has no answer yet. */
  begin(): Pass | undefined {
    const now = this.#clock()
    // A clock that went back is no reason to rest longer than ever.
    if (this.#restUntil > now && this.#restUntil <= now + LONGEST_ASKED_FOR_SECONDS) return undefined
    if (this.#underWay >= (this.#failures === 0 ? CONCURRENCY : 1)) return undefined
    this.#underWay++
    const done = () => {
      this.#underWay--
    }
    return {
      answered: () => {
        done()
        this.#failures = 0
        this.#restUntil = 0
      },
      failed: (retryAfterSeconds) => {
        done()
        const doubled = Math.min(FIRST_REST_SECONDS * 2 ** this.#failures, LONGEST_REST_SECONDS)
        this.#failures = Math.min(this.#failures + 1, 30)
        const asked = Math.min(retryAfterSeconds ?? 0, LONGEST_ASKED_FOR_SECONDS)
        this.#restUntil = this.#clock() + Math.max(asked, doubled * (1 - 0.5 * this.#random()))
      },
      notAsked: done,
    }
  }
}

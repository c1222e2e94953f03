// How often strangers may cause a fetch of one client's keys, also after these keys were forgotten. Knows no keys.
import { LRUCache } from 'lru-cache'
import { monotonicSeconds } from '../deadline.js'
import type { Client } from '../marks/target.js'

/**
 * Fetches for keys that the set does not have, or that do not verify: so many at once, and then one in so many seconds.
 */
const LOOKUPS_AT_ONCE = 5
const SECONDS_PER_LOOKUP = 6
/** Clients whose budget is remembered: many more than have their keys kept, since a budget is two numbers. */
const MAX_BUDGETS = 100_000

/** So many at once, and one more with time: however many tokens ask, the OP is not asked more often. */
export class LookupBudget {
  /** Seconds that only go forward. */
  readonly monotonic: () => number
  #left = LOOKUPS_AT_ONCE
  #at: number

  constructor(monotonic = monotonicSeconds) {
    this.monotonic = monotonic
    this.#at = monotonic()
  }

  take(): boolean {
    const now = this.monotonic()
    this.#left = Math.min(LOOKUPS_AT_ONCE, this.#left + Math.max(0, now - this.#at) / SECONDS_PER_LOOKUP)
    this.#at = now
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}

/** How often the keys of a client may be asked for. */
export interface Budgets {
  /** `isOld`: it had keys here before, so that to fetch them again is to be paid for as well. */
  of(client: Client): { readonly budget: LookupBudget; readonly isOld: boolean }
}

/** Of clients whose keys are never forgotten: each has its budget with them. */
export function budgetsOfTheirOwn(monotonic = monotonicSeconds): Budgets {
  return { of: () => ({ budget: new LookupBudget(monotonic), isOld: false }) }
}

/** Of the clients that a function of the issuer names; the one that was asked for longest ago is forgotten. */
export class LookupBudgets implements Budgets {
  readonly #monotonic: () => number
  readonly #budgets = new LRUCache<string, LookupBudget>({ max: MAX_BUDGETS })

  constructor(monotonic = monotonicSeconds) {
    this.#monotonic = monotonic
  }

  of({ issuer, clientId }: Client): { readonly budget: LookupBudget; readonly isOld: boolean } {
    const key = JSON.stringify([issuer, clientId])
    const known = this.#budgets.get(key)
    const budget = known ?? new LookupBudget(this.#monotonic)
    if (known === undefined) this.#budgets.set(key, budget)
    return { budget, isOld: known !== undefined }
  }
}

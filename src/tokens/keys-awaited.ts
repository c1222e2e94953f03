// A token that breaks no rule and that nobody can verify yet: whose keys it waits for. Knows no queue.
import { KeysUnavailableError } from '../providers/keys-unavailable.js'
import type { Provider } from '../providers/provider.js'

/** Whose keys a token waits for. Nothing of this is verified. */
export interface AwaitedKeys {
  readonly provider: Provider
  readonly kid: string | undefined
  /** The moment in the life of the provider's keys when the token came. */
  readonly asOf: number
}

/** `ERR_KEYS_UNAVAILABLE` for a token that passed every rule which needs no key. */
export class KeysAwaitedError extends KeysUnavailableError {
  /** Out of sight of whoever prints the error. */
  readonly #awaited: AwaitedKeys

  constructor(error: KeysUnavailableError, awaited: AwaitedKeys) {
    super(error.reason, error.cause, awaited.provider.transientFailureStatus)
    this.#awaited = awaited
  }

  get awaited(): AwaitedKeys {
    return this.#awaited
  }
}

// Whether this process could do its part of a logout now: the store, the providers' keys, what is still pending.
// Fetches no keys.
import { within } from '../deadline.js'
import type { ProviderDirectory } from '../providers/directory.js'
import type { LogoutStore } from '../stores/logout-store.js'

/** What `health()` of the receiver says. */
export interface Health {
  /**
   * `down`: the logout store does not answer, so nobody is let in and no logout is done. `degraded`: logouts are
   * pending, or the keys of a provider are not here yet and its next Logout Token has to wait for them. A process that
   * is degraded is to be left running.
   */
  readonly status: 'ok' | 'degraded' | 'down'
  readonly store: 'ok' | 'unreachable'
  /** Of the providers named in the options; none where a function decides. */
  readonly keys: readonly KeysHealth[]
  /** Logouts that are not complete yet and that this process tries again. */
  readonly pending: number
}

/** How one provider's keys stand: whether they are at hand, and how old they are. */
export interface KeysHealth {
  readonly issuer: string
  readonly clientId: string
  readonly atHand: boolean
  /** Since they were fetched; absent where they never are, or have not been yet. */
  readonly ageSeconds?: number
}

export interface HealthOptions {
  readonly store: LogoutStore
  readonly directory: ProviderDirectory
  readonly clock: () => number
  readonly pending: () => number
  readonly stepTimeoutSeconds: number
}

/** A key that no mark can have: marks are under hashes. */
const NO_MARK = 'health'

/** Never rejects. */
export async function healthOf({
  store,
  directory,
  clock,
  pending,
  stepTimeoutSeconds,
}: HealthOptions): Promise<Health> {
  const storeHealth = await within(stepTimeoutSeconds, store.marks([NO_MARK])).then(
    () => 'ok' as const,
    () => 'unreachable' as const,
  )
  const keys = directory.configured().map(({ client, keys }): KeysHealth => {
    const { atHand, fetchedAt } = keys.state()
    return { ...client, atHand, ...(fetchedAt !== undefined && { ageSeconds: clock() - fetchedAt }) }
  })
  const isWaiting = pending() > 0 || keys.some(({ atHand }) => !atHand)
  const status = storeHealth === 'unreachable' ? 'down' : isWaiting ? 'degraded' : 'ok'
  return { status, store: storeHealth, keys, pending: pending() }
}

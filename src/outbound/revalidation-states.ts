// What is remembered of each session between two questions to the provider: one text under one key, written only over
// what was read. Knows not what it holds.
import { ExpiringMap } from '../expiring-map.js'

/**
 * Where revalidation keeps its turns, so that one node asks at a time. Nodes that share sessions share this as well:
 * two that redeemed one rotating refresh token would end the session by themselves.
 */
export interface RevalidationStates {
  /** The live value of a key. */
  read(key: string): Promise<string | undefined>
  /**
   * Writes `value` if the live value is still `previous` (`undefined`: there is none), in one step. Resolves to whether
   * it was. `expiresAt`: epoch seconds.
   */
  swap(key: string, previous: string | undefined, value: string, expiresAt: number): Promise<boolean>
}

/** For one process. From the second node on, give a store that all share. */
export function memoryRevalidationStates(clock: () => number = () => Date.now() / 1000): RevalidationStates {
  const states = new ExpiringMap<{ readonly value: string; readonly expiresAt: number }>()
  return {
    async read(key) {
      return states.get(key, clock())?.value
    },
    async swap(key, previous, value, expiresAt) {
      const now = clock()
      if (states.get(key, now)?.value !== previous) return false
      states.set(key, { value, expiresAt }, now)
      return true
    },
  }
}

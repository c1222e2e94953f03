// The store contract on a Redis of any kind, through two clients that the tests around it have opened.
import { it } from 'vitest'
import type { RedisClient } from '../../src/stores/redis/command.js'
import { redisStore } from '../../src/stores/redis/redis-store.js'
import { logoutStoreContract } from '../../src/testing/logout-store/contract.js'

/** Registers every case. `clients`: asked for when a case runs. */
export function itKeepsTheContract(clients: () => readonly RedisClient[]): void {
  const cases = logoutStoreContract({
    async create() {
      const [one, two] = clients()
      if (one === undefined || two === undefined) throw new Error('not connected')
      const store = redisStore(one)
      return {
        store,
        now: async () => (await store.marks([])).now,
        another: async () => redisStore(two),
        dispose() {},
      }
    },
  })
  for (const { name, run } of cases) it(name, run)
}

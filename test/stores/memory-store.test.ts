import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/stores/memory-store.js'
import { logoutStoreContract } from '../../src/testing/logout-store/contract.js'

describe('memory store', () => {
  const cases = logoutStoreContract({
    async create() {
      return { store: memoryStore(), now: async () => Date.now() / 1000, dispose() {} }
    },
  })
  for (const { name, run } of cases) it(name, run)

  it('tells marks at once, and promises nothing', () => {
    expect(memoryStore({ clock: () => 7 }).marks(['key'])).toEqual({ now: 7, marks: [] })
  })
})

// The one line for a session store of one's own, tested by stores that are wrong in a way each.
import { AssertionError } from 'node:assert'
import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { assertSessionStoreIsSafe } from '../../src/testing/session-store-suite.js'

const configurations = ['resave: false'] as const

describe('assertSessionStoreIsSafe', () => {
  it('has nothing to say of a sound store', async () => {
    await assertSessionStoreIsSafe({ session, configurations, createStore: () => new session.MemoryStore() })
  })

  it('names the requests that are wrong with a store which signs everybody out', async () => {
    class Forgetful extends session.MemoryStore {
      override destroy(_sid: string, callback?: (error?: unknown) => void): void {
        this.clear(callback)
      }
    }
    const attempt = assertSessionStoreIsSafe({ session, configurations, createStore: () => new Forgetful() })
    await expect(attempt).rejects.toBeInstanceOf(AssertionError)
    await expect(attempt).rejects.toThrow(
      /not safe in \d+ of \d+ cases:\n {2}a request that reads only, .+ signed out as well/,
    )
  })
})

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

  it.each([
    ['destroy', true],
    ['destroy', false],
    ['set', false],
    ['get', true],
    ['touch', false],
  ] as const)('says that %s never called back, also where it gave a promise (%s)', async (method, promises) => {
    const store = new session.MemoryStore()
    const own = store[method] as (...args: unknown[]) => void
    Object.assign(store, {
      [method]: (...args: unknown[]) => {
        own.call(store, ...args.slice(0, -1), () => {})
        return promises ? Promise.resolve() : undefined
      },
    })
    const attempt = assertSessionStoreIsSafe({
      session,
      configurations,
      storeTimeoutSeconds: 1,
      createStore: () => store,
    })
    await expect(attempt).rejects.toBeInstanceOf(AssertionError)
    await expect(attempt).rejects.toThrow(
      `${method}() did not call its callback within 1 s${promises ? ': it returned a promise' : '. '}`,
    )
    await expect(attempt).rejects.toThrow(`Have ${method}(sid, `)
  })
})

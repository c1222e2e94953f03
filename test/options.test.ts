import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions, memoryStore } from '../src/index.js'

const provider = { issuer: 'https://op.example.com', clientId: 'my-rp' }
const create = (options: object) => () => Reflect.apply(createBackchannelLogout, undefined, [options])

describe('options are checked when the app boots', () => {
  it('starts with a provider alone', () => {
    expect(create({ provider })).not.toThrow()
  })

  it('takes the longest of what can be meant, and no retries', () => {
    const seconds = { answerDeadlineSeconds: 2_147_483, stepTimeoutSeconds: 2_147_483 }
    expect(create({ provider, ...seconds, retryForSeconds: 0, sessionLifetimeSeconds: 400 * 86_400 })).not.toThrow()
  })

  it('takes undefined for "not given"', () => {
    expect(create({ provider, store: undefined, onEvent: undefined, answerDeadlineSeconds: undefined })).not.toThrow()
  })

  it.each([
    ['no options', undefined, /provider/],
    ['a session store that has all its methods', { provider, sessions: new session.MemoryStore() }, /expressSessions/],
    ['no sessions at all', { provider, sessions: null }, /expressSessions/],
    [
      'an unknown option',
      { provider, onFailure: () => {} },
      /createBackchannelLogout\(\) has no option "onFailure": it has provider/,
    ],
    ['no provider', {}, /provider/],
    ['a lifetime of nothing', { provider, sessionLifetimeSeconds: 0 }, /sessionLifetimeSeconds/],
    ['a deadline that is no number', { provider, answerDeadlineSeconds: '2' }, /answerDeadlineSeconds/],
    ['an endless deadline', { provider, stepTimeoutSeconds: Number.POSITIVE_INFINITY }, /stepTimeoutSeconds/],
    ['a negative limit', { provider, bodyLimitBytes: -1 }, /bodyLimitBytes/],
    ['an answer after a month', { provider, answerDeadlineSeconds: 3e6 }, /answerDeadlineSeconds.*milliseconds/],
    ['a step of a month', { provider, stepTimeoutSeconds: 2_147_484 }, /stepTimeoutSeconds.*milliseconds/],
    ['retries in milliseconds', { provider, retryForSeconds: 3_600_000 }, /retryForSeconds.*milliseconds/],
    [
      'a lifetime of eighty years',
      { provider, sessionLifetimeSeconds: 2_592_000_000 },
      /sessionLifetimeSeconds.*milliseconds/,
    ],
    ['a negative retry time', { provider, retryForSeconds: -1 }, /retryForSeconds/],
    ['a retry time that is not one', { provider, retryForSeconds: Number.NaN }, /retryForSeconds/],
    ['a clock that does not tell', { provider, clock: 1_760_000_000 }, /clock/],
    ['a listener that cannot be called', { provider, onEvent: {} }, /onEvent/],
    ['a hook that cannot be called', { provider, onSessionsEnded: true }, /onSessionsEnded/],
    ['another', { provider, onLogout: true }, /onLogout must be a function/],
    ['a session store in place of a backend', { provider, sessions: { get() {}, set() {} } }, /expressSessions/],
    [
      'something else in place of a logout store',
      { provider, store: { ...memoryStore() } },
      /store must be a logout store/,
    ],
    ['something else in place of a claims cache', { provider, claims: {} }, /createClaims/],
  ])('refuses %s with a TypeError that teaches', (_, options, message) => {
    expect(() => Reflect.apply(createBackchannelLogout, undefined, [options])).toThrow(TypeError)
    expect(() => Reflect.apply(createBackchannelLogout, undefined, [options])).toThrow(message)
  })

  it('refuses to protect what is no session store', () => {
    expect(() => Reflect.apply(expressSessions, undefined, [{}])).toThrow(/session\(\{ store \}\)/)
  })
})

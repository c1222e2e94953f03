import { describe, expect, it } from 'vitest'
import { logoutPolicy } from '../../src/providers/logout-policy.js'

describe('the policy of a provider', () => {
  it('is the letter of the specifications where nothing is said, and frozen', () => {
    const policy = logoutPolicy()
    expect(policy).toEqual({
      logoutToken: { sessions: 'named', refreshTokens: 'revoked-unless-offline' },
      frontChannel: { refreshTokens: 'revoked-unless-offline' },
      terminate: { refreshTokens: 'revoked-unless-offline' },
    })
    for (const part of [policy, ...Object.values(policy)]) expect(Object.isFrozen(part)).toBe(true)
    expect(logoutPolicy({ logoutToken: {}, terminate: undefined })).toEqual(policy)
  })

  it('is what was said, of each kind alone', () => {
    expect(
      logoutPolicy({ logoutToken: { sessions: 'of-subject' }, frontChannel: { refreshTokens: 'kept' } }),
    ).toMatchObject({
      logoutToken: { sessions: 'of-subject', refreshTokens: 'revoked-unless-offline' },
      frontChannel: { refreshTokens: 'kept' },
      terminate: { refreshTokens: 'revoked-unless-offline' },
    })
  })

  it.each<[unknown, RegExp]>([
    [{ logoutTokens: {} }, /policy has no option "logoutTokens": it appears you mean logoutToken/],
    [{ frontChannel: { sessions: 'of-subject' } }, /policy.frontChannel has no option "sessions"/],
    [{ terminate: { refreshTokens: 'revoke' } }, /policy.terminate.refreshTokens must be one of "revoked-unless/],
    [{ logoutToken: { sessions: 'all' } }, /policy.logoutToken.sessions must be one of "named", "of-subject"/],
    [{ logoutToken: 'revoked' }, /policy.logoutToken must be an object/],
    [null, /policy must be an object/],
  ])('refuses %j at boot', (given, message) => {
    expect(() => logoutPolicy(given)).toThrow(message)
  })
})

import { describe, expect, it } from 'vitest'
import { KeysUnavailableError } from '../../src/providers/keys-unavailable.js'

describe('KeysUnavailableError', () => {
  it('is a LogoutError that carries its cause and the status of the answer', () => {
    const cause = new Error('inner')
    expect(new KeysUnavailableError('jwks_fetch_failed', cause, 503)).toMatchObject({
      name: 'LogoutError',
      code: 'ERR_KEYS_UNAVAILABLE',
      reason: 'jwks_fetch_failed',
      message: 'The keys of the provider could not be fetched',
      transientFailureStatus: 503,
      cause,
    })
  })

  it('is answered 400 where no provider was found yet', () => {
    expect(new KeysUnavailableError('provider_lookup_failed', undefined).transientFailureStatus).toBe(400)
  })
})

import { describe, expect, it } from 'vitest'
import { unlessAborted } from '../../src/deadline.js'
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

describe('unlessAborted', () => {
  it('passes on what the work comes to', async () => {
    const { signal } = new AbortController()
    await expect(unlessAborted(Promise.resolve(1), signal)).resolves.toBe(1)
    await expect(unlessAborted(Promise.reject(new Error('inner')), signal)).rejects.toThrow('inner')
  })

  it('ends the wait and not the work', async () => {
    const request = new AbortController()
    let finish = (_: number): void => {}
    const work = new Promise<number>((resolve) => {
      finish = resolve
    })
    const waiting = unlessAborted(work, request.signal)
    request.abort(new Error('late'))
    await expect(waiting).rejects.toThrow('late')
    finish(1)
    expect(await work).toBe(1)
  })

  it('does not begin to wait when it is too late', async () => {
    await expect(unlessAborted(new Promise(() => {}), AbortSignal.abort(new Error('late')))).rejects.toThrow('late')
  })
})

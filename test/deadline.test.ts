// Waiting for no longer than one may: what is waited for goes on.
import { describe, expect, it } from 'vitest'
import { unlessAborted } from '../src/deadline.js'

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

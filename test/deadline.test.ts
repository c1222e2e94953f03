// Waiting for no longer than one may: what is waited for goes on.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { timeoutOr, unlessAborted } from '../src/deadline.js'

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

describe('timeoutOr', () => {
  const end = (signal: AbortSignal) =>
    new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason)))

  it('ends also where garbage is collected meanwhile', async () => {
    setFlagsFromString('--expose-gc')
    const collect: () => void = runInNewContext('gc')
    const ended = Array.from({ length: 10 }, () => end(timeoutOr(0.2, new AbortController().signal)))
    // What nothing holds goes in a turn of its own.
    for (let i = 0; i < 3; i++) {
      collect()
      await new Promise(setImmediate)
    }
    for (const reason of await Promise.all(ended)) expect(reason).toMatchObject({ name: 'TimeoutError' })
  }, 10_000)

  it('ends with the other', async () => {
    const other = new AbortController()
    const ended = end(timeoutOr(60, other.signal))
    other.abort(new Error('closed'))
    expect(await ended).toMatchObject({ message: 'closed' })
  })
})

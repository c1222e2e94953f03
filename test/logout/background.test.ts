// Jobs that are tried again: who hears of whose success.
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Background } from '../../src/logout/background.js'

interface Job {
  readonly name: string
  readonly place: string
}

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
afterEach(() => vi.useRealTimers())

/** How often each was tried within a minute; the job `first` comes to `end` at its third attempt. */
async function tried(end: true | 'closed') {
  const attempts: Record<string, number> = {}
  const background = new Background<Job>({
    async attempt({ name }) {
      attempts[name] = (attempts[name] ?? 0) + 1
      return name === 'first' && attempts[name] === 3 && end
    },
    abandon() {},
    waitsFor: ({ place }) => place,
    firstDelaySeconds: 1,
    maxDelaySeconds: 300,
    giveUpAfterSeconds: 3600,
  })
  for (const [name, place] of [
    ['beside it', 'here'],
    ['elsewhere', 'there'],
    ['first', 'here'],
  ] as const) {
    background.add({ name, place })
  }
  await vi.advanceTimersByTimeAsync(60_000)
  background.close()
  return attempts
}

it('a success is heard by those who wait for the same, and by nobody else', async () => {
  const attempts = await tried(true)
  expect(attempts.first).toBe(3)
  // After 1, 3, 7, 15, 31 seconds; and again from the seventh on.
  expect(attempts.elsewhere).toBe(5)
  expect(attempts['beside it']).toBe(8)
})

it('the end of a matter that is no success is heard by nobody', async () => {
  expect(await tried('closed')).toEqual({ first: 3, elsewhere: 5, 'beside it': 5 })
})

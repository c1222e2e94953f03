import { describe, expect, it } from 'vitest'
import { OneQuestion } from '../../src/providers/one-question.js'

function scene() {
  const state = { now: 0, asked: 0 }
  const question = new OneQuestion<string>(() => state.now)
  const asks = (answer: () => Promise<string>) =>
    question.ask(() => {
      state.asked++
      return answer()
    })
  return {
    state,
    question,
    succeeds: () => asks(async () => 'answer'),
    fails: () => asks(() => Promise.reject(new Error('down'))).catch((error: Error) => error.message),
  }
}

describe('one question', () => {
  it('is asked once by many at a time, and again by the next', async () => {
    const { state, succeeds } = scene()
    expect(await Promise.all([succeeds(), succeeds(), succeeds()])).toEqual(['answer', 'answer', 'answer'])
    expect(state.asked).toBe(1)
    await succeeds()
    expect(state.asked).toBe(2)
  })

  it('that fails is asked again after 1, 2, 4 and then each 8 seconds, and meanwhile fails as before', async () => {
    const { state, fails, succeeds } = scene()
    const askedAt: number[] = []
    for (state.now = 0; state.now < 40; state.now++) {
      const before = state.asked
      expect(await fails()).toBe('down')
      if (state.asked > before) askedAt.push(state.now)
    }
    expect(askedAt).toEqual([0, 1, 3, 7, 15, 23, 31, 39])
    await expect(succeeds()).rejects.toThrow('down')
  })

  it('begins anew after a success, and where the clock is set back', async () => {
    const { state, question, fails, succeeds } = scene()
    await fails()
    expect(question.isBackingOff).toBe(true)
    state.now = -10
    expect(await succeeds()).toBe('answer')
    await fails()
    state.now += 1
    expect(question.isBackingOff).toBe(false)
    expect(await succeeds()).toBe('answer')
  })

  describe('that is under way', () => {
    const hanging = () => {
      const { state, question, succeeds } = scene()
      const heard: { givenUp?: AbortSignal } = {}
      const ask = (closing?: AbortSignal) =>
        question.ask((givenUp) => {
          heard.givenUp = givenUp
          return new Promise((_, reject) => givenUp.addEventListener('abort', () => reject(givenUp.reason)))
        }, closing)
      return { state, heard, ask, succeeds }
    }

    it('is given up with the last of those who say that they do not wait, and the next one asks anew', async () => {
      const { heard, ask, succeeds } = hanging()
      const [one, other] = [new AbortController(), new AbortController()]
      const asked = [ask(one.signal), ask(other.signal)]
      one.abort()
      expect(heard.givenUp?.aborted).toBe(false)
      other.abort()
      expect(heard.givenUp?.aborted).toBe(true)
      expect(await succeeds()).toBe('answer')
      for (const each of asked) await expect(each).rejects.toThrow('aborted')
      expect(await succeeds()).toBe('answer')
    })

    it('goes on for who waits, whoever began it', async () => {
      const { heard, ask } = hanging()
      const closing = new AbortController()
      ask(closing.signal)
      ask()
      closing.abort()
      expect(heard.givenUp?.aborted).toBe(false)
    })

    it('is not begun by who does not wait any more', async () => {
      const { heard, ask } = hanging()
      await expect(ask(AbortSignal.abort())).rejects.toThrow('aborted')
      expect(heard.givenUp).toBeUndefined()
    })
  })
})

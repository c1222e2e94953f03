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
})

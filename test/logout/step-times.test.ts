import { describe, expect, it } from 'vitest'
import { StepTimes } from '../../src/logout/step-times.js'

describe('StepTimes', () => {
  it('keeps the steps in the order in which they ended, within the whole; what is not over is not said', () => {
    const steps = new StepTimes<'a' | 'b' | 'c'>()
    const [a, b] = [steps.begin('a'), steps.begin('b')]
    steps.begin('c')
    b(true)
    const early = steps.taken
    a(false)
    expect(early.map(({ step }) => step)).toEqual(['b'])
    expect(steps.taken.map(({ step, failed }) => [step, failed])).toEqual([
      ['b', true],
      ['a', false],
    ])
    for (const { afterSeconds, durationSeconds } of steps.taken) {
      expect(afterSeconds).toBeGreaterThanOrEqual(0)
      expect(durationSeconds).toBeGreaterThanOrEqual(0)
      expect(afterSeconds + durationSeconds).toBeLessThanOrEqual(steps.elapsedSeconds())
    }
  })

  it('keeps a hundred, however many there are', () => {
    const steps = new StepTimes<'a'>()
    for (let count = 0; count < 200; count++) steps.begin('a')(false)
    expect(steps.taken).toHaveLength(100)
  })
})

// What the bench makes of what it measured.
import { describe, expect, it } from 'vitest'
import { quantile } from '../../bench/http-load.js'
import { median, medianRatio, verdict } from '../../bench/report.js'

const target = { name: 'a ratio', unit: 'ratio', atLeast: 0.9, aim: 0.7 }

describe('a report of the bench', () => {
  it('takes medians and quantiles', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2.5)
    expect(quantile([5, 4, 3, 2, 1], 0.5)).toBe(3)
    expect(quantile([5, 4, 3, 2, 1], 0.99)).toBe(5)
  })

  it('takes ratios round by round, so that a slow round slows both', () => {
    expect(medianRatio([1, 10, 2], [2, 20, 1])).toBe(0.5)
  })

  it('says whether a target is reached, in either direction', () => {
    expect([0.6, 0.8, 1].map((measured) => verdict({ ...target, measured }))).toEqual(['aim reached', 'met', 'missed'])
    const more = { ...target, atLeast: 50, aim: 100, larger: true }
    expect([100, 60, 40].map((measured) => verdict({ ...more, measured }))).toEqual(['aim reached', 'met', 'missed'])
    expect(verdict({ ...target, measured: Number.NaN })).toBe('missed')
  })
})

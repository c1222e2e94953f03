// When a comparison of two builds says something, and when it keeps silent.
import { describe, expect, it } from 'vitest'
import { exitStatusOf } from '../../bench/against.js'
import { type ComparedSection, compared, FEWEST_ROUNDS, type Series, spreadOf } from '../../bench/comparison.js'

const steady = (value: number, rounds = FEWEST_ROUNDS) => Array.from({ length: rounds }, () => value)
const control = (values: readonly number[]): Series => ({ name: 'floor', unit: 'us', values, isControl: true })
const figure = (values: readonly number[]): Series => ({ name: 'ours', unit: 'us', values })
const QUIET = [0.02, 0.02]

const section = (now: Partial<Record<'control' | 'figure', readonly number[]>>): ComparedSection => ({
  name: 'a section',
  before: [control(steady(100)), figure(steady(200))],
  after: [control(now.control ?? steady(100)), figure(now.figure ?? steady(200))],
})
const verdicts = (of: ComparedSection, busy = QUIET) => compared(of, busy).rows.map(({ verdict }) => verdict)

describe('spreadOf', () => {
  it('gives the median and the quartiles', () => {
    expect(spreadOf([5, 1, 3, 2, 4])).toEqual({ lower: 2, median: 3, upper: 4 })
    expect(spreadOf([1, 2])).toEqual({ lower: 1.25, median: 1.5, upper: 1.75 })
  })
})

describe('compared', () => {
  it('takes the ratio round by round, so that a slow round slows both', () => {
    const slowRounds = [100, 1000, 100, 500, 100]
    const { rows } = compared(
      {
        name: '',
        before: [control(steady(1)), figure(slowRounds)],
        after: [control(steady(1)), figure(slowRounds.map((value) => value * 1.2))],
      },
      QUIET,
    )
    expect(rows[1]).toMatchObject({ before: { median: 100 }, after: { median: 120 }, verdict: 'slower' })
    expect(rows[1]?.ratio.median).toBeCloseTo(1.2)
  })

  it.each([
    ['as it was', 205],
    ['slower', 220],
    ['faster', 180],
  ])('says "%s" on a quiet machine', (verdict, now) => {
    expect(verdicts(section({ figure: steady(now) }))).toEqual(['as it was', verdict])
  })

  it.each([
    ['others use the machine before', section({}), [0.2, 0]],
    ['others use the machine afterwards', section({}), [0, 0.2]],
    ['the same code is slower than itself', section({ control: steady(106) }), QUIET],
    ['the same code is now slower, now faster than itself', section({ control: [80, 90, 100, 110, 120] }), QUIET],
  ])('says nothing where %s', (_, of, busy) => {
    expect(verdicts(of, busy)).toEqual(['not judged', 'not judged'])
  })

  it('says nothing of a figure that is now slower, now faster, and what it can of the others', () => {
    expect(verdicts(section({ figure: [160, 180, 200, 220, 240] }))).toEqual(['as it was', 'not judged'])
  })

  it('says nothing with too few rounds, with no control, or with nothing measured', () => {
    const few = steady(100, FEWEST_ROUNDS - 1)
    const both = (series: readonly Series[]) => ({ name: '', before: series, after: series })
    expect(verdicts(both([control(few), figure(few)]))).toEqual(['not judged', 'not judged'])
    expect(verdicts(both([figure(steady(100))]))).toEqual(['not judged'])
    expect(verdicts(both([control(steady(100)), figure(steady(Number.NaN))]))).toEqual(['as it was', 'not judged'])
  })
})

describe('the exit status', () => {
  const status = (of: ComparedSection, busy = QUIET) =>
    exitStatusOf({
      ref: 'HEAD',
      busy: { before: 0, after: 0 },
      criterion: '',
      comparisons: [compared(of, busy)],
    })

  it('is 1 where something is slower, 3 where nothing can be said, and else 0', () => {
    expect(status(section({}))).toBe(0)
    expect(status(section({ figure: steady(180) }))).toBe(0)
    expect(status(section({ figure: steady(250) }))).toBe(1)
    expect(status(section({}), [1, 1])).toBe(3)
  })
})

// Two builds of the package in the same rounds: their ratios round by round, how these spread, and whether they say
// anything. Knows nothing of what was measured.
import type { Table } from './report.js'

/** One figure of one build, round by round; a smaller one is better. */
export interface Series {
  readonly name: string
  readonly unit: string
  readonly values: readonly number[]
  /** Whether it is the same code in both builds: that its figures differ is the doing of the machine. */
  readonly isControl?: boolean
}

export interface ComparedSection {
  readonly name: string
  readonly before: readonly Series[]
  readonly after: readonly Series[]
}

/** A median and the quartiles around it. */
export interface Spread {
  readonly lower: number
  readonly median: number
  readonly upper: number
}

/** What differs by less is as it was. */
export const TOLERANCE = 0.05
/** The widest interquartile range of a ratio that is believed. */
export const WIDEST = 0.1
/** The largest share of the processors that others may use before and after. */
export const BUSIEST = 0.15
/** With fewer rounds quartiles are of single figures. */
export const FEWEST_ROUNDS = 5

export const CRITERION =
  `Nothing is judged where others used more than ${percent(BUSIEST)} of the processors before or after the run, or with ` +
  `fewer than ${FEWEST_ROUNDS} rounds; nothing of a section in which code that is the same in both builds (marked =) differs ` +
  `by more than ${percent(TOLERANCE)} or by ratios whose interquartile range is wider than ${percent(WIDEST)}; and no ` +
  'figure whose own ratios spread so wide. As it was: within ' +
  `${percent(TOLERANCE)}. Slower or faster: beyond that, with three quarters of the rounds on that side.`

export type Verdict = 'as it was' | 'slower' | 'faster' | 'not judged'

export interface Compared {
  readonly name: string
  readonly unit: string
  readonly isControl: boolean
  readonly before: Spread
  readonly after: Spread
  readonly ratio: Spread
  readonly verdict: Verdict
}

export interface Comparison {
  readonly name: string
  readonly rows: readonly Compared[]
}

/** `busy`: which share of the processors others used, before and after. */
export function compared({ name, before, after }: ComparedSection, busy: readonly number[]): Comparison {
  const rows = after.flatMap((now) => {
    const then = before.find((each) => each.name === now.name)
    if (then === undefined) return []
    return [{ ...now, then, ratio: spreadOf(now.values.map((value, i) => value / (then.values[i] ?? Number.NaN))) }]
  })
  const isQuiet =
    busy.every((share) => share <= BUSIEST) &&
    rows.every(({ values }) => values.length >= FEWEST_ROUNDS) &&
    rows.some(({ isControl }) => isControl) &&
    rows.every(({ isControl, ratio }) => !isControl || (isBelieved(ratio) && differs(ratio) <= TOLERANCE))
  return {
    name,
    rows: rows.map(({ name, unit, isControl = false, values, then, ratio }) => ({
      name,
      unit,
      isControl,
      before: spreadOf(then.values),
      after: spreadOf(values),
      ratio,
      verdict: isQuiet && isBelieved(ratio) ? verdictOn(ratio) : 'not judged',
    })),
  }
}

/** Not a number where nothing was measured, which is never believed. */
function isBelieved({ lower, upper }: Spread): boolean {
  return upper - lower <= WIDEST
}

function differs({ median }: Spread): number {
  return Math.abs(median - 1)
}

function verdictOn(ratio: Spread): Verdict {
  if (differs(ratio) <= TOLERANCE) return 'as it was'
  if (ratio.lower > 1) return 'slower'
  return ratio.upper < 1 ? 'faster' : 'not judged'
}

/** Quartiles between the two figures next to them, as most tools take them. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b)
  const at = (share: number) => {
    const position = share * (sorted.length - 1)
    const [low, high] = [sorted[Math.floor(position)] ?? Number.NaN, sorted[Math.ceil(position)] ?? Number.NaN]
    return low + (high - low) * (position - Math.floor(position))
  }
  return { lower: at(0.25), median: at(0.5), upper: at(0.75) }
}

export function comparisonTable({ name, rows }: Comparison, ref: string): Table {
  return {
    title: `${name}: this tree against ${ref}`,
    note: 'Medians of the rounds, and the ratio of each round with its interquartile range; below 1 is better now. = is the same code in both.',
    columns: ['', 'before', 'now', 'now / before', 'quartiles', 'verdict'],
    rows: rows.map(({ name, unit, isControl, before, after, ratio, verdict }) => [
      `${isControl ? '= ' : ''}${name} (${unit})`,
      before.median,
      after.median,
      ratio.median.toFixed(3),
      `${ratio.lower.toFixed(3)} to ${ratio.upper.toFixed(3)}`,
      verdict,
    ]),
  }
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`
}

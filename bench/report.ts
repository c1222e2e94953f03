// Figures in rows, targets with verdicts, and how both are printed. Knows nothing of what was measured.
import { type Spread, spreadOf } from './comparison.js'

export interface Table {
  readonly title: string
  /** What the figures are, and what they are not. */
  readonly note: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
}

export interface Target {
  readonly name: string
  readonly unit: string
  readonly atLeast: number
  readonly aim: number
  readonly measured: number
  /** Of a ratio: the quartiles of the rounds. */
  readonly spread?: Spread
  /** Whether a larger figure is the better one. Default: a smaller one is. */
  readonly larger?: boolean
}

export interface Section {
  readonly name: string
  readonly tables: readonly Table[]
  readonly targets: readonly Target[]
}

export function verdict({ atLeast, aim, measured, larger }: Target): 'aim reached' | 'met' | 'missed' {
  const reaches = (bound: number) => (larger ? measured >= bound : measured <= bound)
  if (reaches(aim)) return 'aim reached'
  return reaches(atLeast) ? 'met' : 'missed'
}

/** A ratio round by round: what slows the machine for a round slows both. */
export function ratioTarget(
  about: Pick<Target, 'name' | 'atLeast' | 'aim'>,
  of: readonly number[],
  to: readonly number[],
): Target {
  const spread = spreadOf(ratios(of, to))
  return { ...about, unit: 'ratio', measured: spread.median, spread }
}

export function printed({ tables, targets }: Section): string {
  return [...tables.map(printedTable), ...(targets.length > 0 ? [printedTargets(targets)] : [])].join('\n\n')
}

export function printedTargets(targets: readonly Target[]): string {
  return printedTable({
    title: 'targets',
    note: '',
    columns: ['target', 'at least', 'aim', 'measured', 'quartiles', 'verdict'],
    rows: targets.map((target) => {
      const { name, unit, atLeast, aim, measured, spread } = target
      const quartiles = spread === undefined ? '' : `${figure(spread.lower)} to ${figure(spread.upper)}`
      return [`${name} (${unit})`, String(atLeast), String(aim), figure(measured), quartiles, verdict(target)]
    }),
  })
}

function printedTable({ title, note, columns, rows }: Table): string {
  const cells = [columns, ...rows.map((row) => row.map((cell) => (typeof cell === 'number' ? figure(cell) : cell)))]
  const widths = columns.map((_, i) => Math.max(...cells.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  ')
  const [head = [], ...body] = cells
  const rule = widths.map((width) => '-'.repeat(width)).join('  ')
  return [`## ${title}`, ...(note ? [note] : []), '', line(head), rule, ...body.map(line)].join('\n')
}

/** Three digits that count, and no more than were measured. */
function figure(value: number): string {
  if (!Number.isFinite(value)) return '-'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return value.toFixed(Math.abs(value) >= 10 ? 1 : 2)
}

/**
 * The same items, beginning with another one each round, and every other round the other way about: neither who comes
 * after a pause nor who comes after whom is always the same.
 */
export function rotated<T>(items: readonly T[], round: number): readonly T[] {
  const first = Math.floor(round / 2) % items.length
  const turned = [...items.slice(first), ...items.slice(0, first)]
  return round % 2 === 0 ? turned : turned.reverse()
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  if (sorted.length === 0) return Number.NaN
  if (sorted.length % 2 === 1) return sorted[Math.floor(middle)] ?? Number.NaN
  return ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

/** The median of the ratios round by round: what slows the machine for a round slows both. */
export function medianRatio(of: readonly number[], to: readonly number[]): number {
  return median(ratios(of, to))
}

function ratios(of: readonly number[], to: readonly number[]): readonly number[] {
  return of.map((value, i) => value / (to[i] ?? Number.NaN))
}

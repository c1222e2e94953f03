// Two builds measured in turns, an earlier commit and this tree: `npm run bench -- --against <commit>`.
import type { Bench } from './bench.js'
import { inTurns } from './bench.js'
import {
  type ComparedSection,
  type Comparison,
  CRITERION,
  compared,
  comparisonTable,
  type Verdict,
} from './comparison.js'
import { busyShare } from './machine.js'
import { printed } from './report.js'
import { ROUNDED } from './sections.js'

export interface Against {
  readonly ref: string
  /** Shares of the processors that others used. */
  readonly busy: { readonly before: number; readonly after: number }
  readonly criterion: string
  readonly comparisons: readonly Comparison[]
}

export async function measureAgainst(
  ref: string,
  names: readonly string[],
  benches: { readonly before: Bench; readonly now: Bench },
  watchedMilliseconds?: number,
): Promise<Against> {
  const before = await busyShare(watchedMilliseconds)
  const sections: ComparedSection[] = []
  for (const name of names) {
    const start = ROUNDED[name]
    if (start === undefined) throw new TypeError(`${name} is not measured in rounds`)
    const [then, now] = [await start(benches.before), await start(benches.now)]
    await inTurns([then, now], benches.now)
    sections.push({ name: now.name, before: then.series(), after: now.series() })
    await benches.before.end()
    await benches.now.end()
  }
  const busy = { before, after: await busyShare(watchedMilliseconds) }
  const comparisons = sections.map((section) => compared(section, Object.values(busy)))
  return { ref, busy, criterion: CRITERION, comparisons }
}

export function printedAgainst({ ref, busy, criterion, comparisons }: Against): string {
  const percent = (share: number) => `${Math.round(share * 100)} %`
  const tables = comparisons.map((comparison) => comparisonTable(comparison, ref))
  return [
    printed({ name: '', tables, targets: [] }),
    `Others used ${percent(busy.before)} of the processors before, ${percent(busy.after)} after.`,
    criterion,
  ].join('\n\n')
}

/** 0: nothing is slower. 1: something is. 3: nothing is known to be, and something is not judged. */
export function exitStatusOf({ comparisons }: Against): 0 | 1 | 3 {
  const verdicts = new Set<Verdict>(
    comparisons.flatMap(({ rows }) => rows.filter(({ isControl }) => !isControl).map(({ verdict }) => verdict)),
  )
  if (verdicts.has('slower')) return 1
  return verdicts.has('not judged') || verdicts.size === 0 ? 3 : 0
}

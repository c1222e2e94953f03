// Section 9: what an application pays for the package before it does anything: its import, in a process of its own,
// beside that of jose alone. Measures the package as it was built last, since bundling is a part of the answer.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import path from 'node:path'
import type { Bench } from './bench.js'
import { median, ratioTarget, rotated, type Section } from './report.js'

const ROOT = path.resolve(import.meta.dirname, '..')
const WAYS = ['jose', 'oidc-backchannel-logout', 'oidc-backchannel-logout/claims'] as const
/** Counts the import alone, not the start of Node. */
const PROGRAM = `
  const before = process.cpuUsage()
  await import(process.argv[1])
  const { user, system } = process.cpuUsage(before)
  console.log(user + system)`

export async function start(bench: Bench): Promise<Section> {
  if (!existsSync(path.join(ROOT, 'dist/index.js'))) throw new Error('There is no built package: npm run build first')
  const micros = WAYS.map((way) => ({ way, values: [] as number[] }))
  // An import is short: more rounds than the other sections have.
  const rounds = bench.size(bench.rounds * 3, 1)
  // The first round reads the files from the disk.
  for (let round = 0; round <= rounds; round++) {
    bench.progress(`start, round ${round} of ${rounds}`)
    for (const { way, values } of rotated(micros, round)) {
      const output = execFileSync(process.execPath, ['--input-type=module', '-e', PROGRAM, way], { cwd: ROOT })
      if (round > 0) values.push(Number(output))
    }
  }
  const [jose = [], main = []] = micros.map(({ values }) => values)
  return {
    name: 'start',
    tables: [
      {
        title: 'start: what an import takes',
        note: 'Processor time of the import in a fresh process, ms. Median of the rounds.',
        columns: ['import', 'CPU, ms'],
        rows: micros.map(({ way, values }) => [way, median(values) / 1000]),
      },
    ],
    targets: [
      ratioTarget({ name: "import of the main entry to import('jose'), CPU", atLeast: 1.3, aim: 1.1 }, main, jose),
    ],
  }
}

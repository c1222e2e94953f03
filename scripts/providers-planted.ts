// `npm run providers:planted`: plants one fault after another in the package and asks the real OpenID Providers: a
// scenario must fail for each. Parts of their names may follow (`npm run providers:planted -- hydra`). Writes
// test/live-providers/planted.json after each.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FAULTS, type Fault } from '../test/live-providers/planted.js'

const ROOT = join(import.meta.dirname, '..')
const RECORD = join(ROOT, 'test/live-providers/planted.json')

interface Outcome {
  readonly fault: string
  readonly failed: readonly string[]
  readonly date: string
}

/** The scenarios that fail with that fault. */
function failuresWith({ name, test, scenario }: Fault, folder: string): readonly string[] {
  const report = join(folder, 'report.json')
  rmSync(report, { force: true })
  const files = ['vitest', 'run', '--config', 'vitest.live-providers.config.ts', `test/live-providers/${test}.test.ts`]
  const args = [...files, '-t', scenario, '--reporter=json', `--outputFile.json=${report}`]
  spawnSync('npx', args, { cwd: ROOT, env: { ...process.env, PLANTED: name }, stdio: 'ignore' })
  const { testResults } = JSON.parse(readFileSync(report, 'utf8'))
  const results: { status: string; fullName: string }[] = testResults.flatMap(
    (file: { assertionResults: object[] }) => file.assertionResults,
  )
  const tried = results.filter(({ status }) => status === 'failed' || status === 'passed')
  if (tried.length === 0) throw new Error(`"${name}": no scenario was tried`)
  return tried.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName.trim())
}

const read = (): Outcome[] => JSON.parse(readFileSync(RECORD, 'utf8'))

/** At once, in the order of the faults: an interruption loses nothing, and what is no longer a fault is forgotten. */
function record(outcome: Outcome): void {
  const known = new Map([...read(), outcome].map((each) => [each.fault, each]))
  const all = FAULTS.flatMap(({ name }) => known.get(name) ?? [])
  writeFileSync(RECORD, `${JSON.stringify(all, undefined, 2)}\n`)
  spawnSync('npx', ['biome', 'format', '--write', RECORD], { cwd: ROOT, stdio: 'ignore' })
}

const wanted = process.argv.slice(2)
const chosen = FAULTS.filter(
  ({ name, test }) => wanted.length === 0 || wanted.some((part) => `${name} ${test}`.includes(part)),
)
if (chosen.length === 0) throw new Error('no fault has such a name')
const folder = mkdtempSync(join(tmpdir(), 'bcl-planted-'))
const unseen: string[] = []
try {
  for (const fault of chosen) {
    const failed = failuresWith(fault, folder)
    const words = failed.length > 0 ? 'seen    ' : 'NOT SEEN'
    console.log([`${words}  ${fault.name}`, ...failed].join('\n          '))
    if (failed.length === 0) unseen.push(fault.name)
    record({ fault: fault.name, failed, date: new Date().toISOString().slice(0, 10) })
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
if (unseen.length > 0) {
  console.error(`${unseen.length} of ${chosen.length} faults make no scenario fail`)
  process.exitCode = 1
}

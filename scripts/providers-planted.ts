// `npm run providers:planted`: plants one fault after another in the package and asks the real OpenID Providers: a scenario must fail for
// each. Parts of their names may follow (`npm run providers:planted -- hydra`). Writes test/live-providers/planted.json.
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

const wanted = process.argv.slice(2)
const folder = mkdtempSync(join(tmpdir(), 'bcl-planted-'))
const outcomes: Outcome[] = []
try {
  for (const fault of FAULTS) {
    if (wanted.length > 0 && !wanted.some((part) => `${fault.name} ${fault.test}`.includes(part))) continue
    const failed = failuresWith(fault, folder)
    console.log(
      `${failed.length > 0 ? 'seen    ' : 'NOT SEEN'}  ${fault.name}${failed.map((name) => `\n          ${name}`).join('')}`,
    )
    outcomes.push({ fault: fault.name, failed, date: new Date().toISOString().slice(0, 10) })
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const before: Outcome[] = JSON.parse(readFileSync(RECORD, 'utf8'))
const rest = before.filter(({ fault }) => !outcomes.some((outcome) => outcome.fault === fault))
const known = new Set(FAULTS.map(({ name }) => name))
const all = [...rest, ...outcomes].filter(({ fault }) => known.has(fault))
writeFileSync(RECORD, `${JSON.stringify(all, undefined, 2)}\n`)
const unseen = outcomes.filter(({ failed }) => failed.length === 0)
if (outcomes.length === 0) throw new Error('no fault has such a name')
if (unseen.length > 0) {
  console.error(`${unseen.length} of ${outcomes.length} faults make no scenario fail`)
  process.exitCode = 1
}

// `npm run bench`: measures sections, prints tables and targets, and writes both as JSON with the machine and the
// versions behind them.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { exitStatusOf, measureAgainst, printedAgainst } from './against.js'
import { Bench } from './bench.js'
import { type Build, build, buildOf } from './build.js'
import { machine, printedMachine } from './machine.js'
import { Remote } from './remote.js'
import { printed, printedTargets, type Section, verdict } from './report.js'
import { ALL_SECTIONS, ROUNDED, SECTIONS, SECTIONS_BY_NAME } from './sections.js'

const USAGE = `npm run bench -- [options]
  --rounds N     interleaved rounds that are counted (default 7; 15 with --against)
  --only A,B     these sections only: ${Object.keys(SECTIONS).join(', ')};
                 and only where named: ${Object.keys(SECTIONS_BY_NAME).join(', ')}
  --against REF  this tree against a commit, in the same rounds; sections: ${Object.keys(ROUNDED).join(', ')}.
                 Ends with 1 where something is slower, with 3 where nothing is known to be and something is not judged
  --quick        few requests: shows that it runs, not how fast
  --source DIR   measures the sources in DIR in place of src/, e.g. those of an earlier commit
  --profile      leaves a V8 processor profile of each measured process in bench/results/profiles
  --out FILE     where the JSON goes (default bench/results/<time>.json)`

const root = path.resolve(import.meta.dirname, '..')

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    only: { type: 'string' },
    against: { type: 'string' },
    quick: { type: 'boolean', default: false },
    source: { type: 'string' },
    profile: { type: 'boolean', default: false },
    out: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) console.log(USAGE)
else await run()

async function run(): Promise<void> {
  const { against } = values
  const known = against === undefined ? ALL_SECTIONS : ROUNDED
  const names = values.only?.split(',') ?? Object.keys(against === undefined ? SECTIONS : ROUNDED)
  const rounds = Number(values.rounds ?? (values.quick ? 1 : against === undefined ? 7 : 15))
  if (!names.every((name) => Object.hasOwn(known, name)) || !Number.isInteger(rounds) || rounds < 1) {
    console.error(USAGE)
    process.exit(2)
  }
  const started = { at: new Date(), load: os.loadavg() }
  console.log(printedMachine(machine()))
  const measured = against === undefined ? await sections(names, rounds) : await comparison(against, names, rounds)
  const seconds = (Date.now() - started.at.getTime()) / 1000
  const result = {
    startedAt: started.at.toISOString(),
    seconds,
    rounds,
    quick: values.quick,
    machine: { ...machine(), loadBefore: started.load, loadAfter: os.loadavg() },
    versions: { node: process.version, ...packageVersions() },
    ...measured,
  }
  console.log(`\n${written(result)} (${Math.round(seconds)} s)`)
}

async function sections(names: readonly string[], rounds: number) {
  const built = build(values.source)
  const bench = new Bench({ rounds, quick: values.quick, profile: values.profile, build: built })
  const measured: Section[] = []
  await whileRunning([bench], [built], async () => {
    for (const name of names) {
      const section = await ALL_SECTIONS[name]?.(bench)
      await bench.end()
      bench.progress('')
      if (section === undefined) continue
      measured.push(section)
      console.log(`\n${printed({ ...section, targets: [] })}`)
    }
  })
  const targets = measured.flatMap((section) => section.targets)
  if (targets.length > 0) console.log(`\n${printedTargets(targets)}`)
  return {
    sections: measured.map((section) => ({
      ...section,
      targets: section.targets.map((target) => ({ ...target, verdict: verdict(target) })),
    })),
  }
}

async function comparison(ref: string, names: readonly string[], rounds: number) {
  const builds = [buildOf(ref), build(values.source)] as const
  const options = { rounds, quick: values.quick, profile: values.profile }
  const benches = {
    before: new Bench({ ...options, build: builds[0], label: 'before' }),
    now: new Bench({ ...options, build: builds[1], label: 'now' }),
  }
  const against = await whileRunning(Object.values(benches), builds, () =>
    measureAgainst(ref, names, benches, values.quick ? 100 : undefined),
  )
  benches.now.progress('')
  console.log(`\n${printedAgainst(against)}`)
  process.exitCode = exitStatusOf(against)
  return { against }
}

/** Whatever happens meanwhile, nothing is left behind. */
async function whileRunning<T>(
  benches: readonly Bench[],
  builds: readonly Build[],
  work: () => Promise<T>,
): Promise<T> {
  const stop = async () => {
    for (const bench of benches) await bench.end()
    Remote.stopAll()
    for (const each of builds) each.remove()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stop().finally(() => process.exit(130)))
  }
  try {
    return await work()
  } finally {
    await stop()
  }
}

function written(result: { readonly startedAt: string }): string {
  const name = `${result.startedAt.replaceAll(':', '-')}.json`
  const file = values.out ?? path.join(root, 'bench/results', name)
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, `${JSON.stringify(result, null, 2)}\n`)
  return path.relative(process.cwd(), file)
}

function packageVersions(): Record<string, string> {
  const names = ['express', 'express-session', 'express-openid-connect', 'jose', 'oauth4webapi', 'lru-cache']
  const drivers = ['redis', 'connect-redis', 'pg', 'connect-pg-simple']
  return Object.fromEntries([...names, ...drivers].map((name) => [name, versionOf(name)]))
}

function versionOf(name: string): string {
  const manifest: { version: string } = JSON.parse(
    readFileSync(path.join(root, 'node_modules', name, 'package.json'), 'utf8'),
  )
  return manifest.version
}

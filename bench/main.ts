// `npm run bench`: measures every section, prints tables and targets, and writes both as JSON with the versions behind them.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { Bench } from './bench.js'
import { build } from './build.js'
import { claims } from './claims.js'
import { guardedReads } from './guarded-reads.js'
import { redisCalls } from './redis-calls.js'
import { Remote } from './remote.js'
import { printed, printedTargets, type Section, verdict } from './report.js'
import { scale } from './scale.js'
import { sharedStores } from './shared-stores.js'
import { wholeJob } from './whole-job.js'

const SECTIONS: Readonly<Record<string, (bench: Bench) => Promise<Section>>> = {
  'whole-job': wholeJob,
  scale,
  redis: redisCalls,
  'shared-stores': sharedStores,
  claims,
  reads: guardedReads,
}

const USAGE = `npm run bench -- [options]
  --rounds N     interleaved rounds that are counted (default 7)
  --only A,B     these sections only: ${Object.keys(SECTIONS).join(', ')}
  --quick        few requests: shows that it runs, not how fast
  --source DIR   measures the sources in DIR in place of src/, e.g. those of an earlier commit
  --profile      leaves a V8 processor profile of each measured process in bench/results/profiles
  --out FILE     where the JSON goes (default bench/results/<time>.json)`

const root = path.resolve(import.meta.dirname, '..')

const { values } = parseArgs({
  options: {
    rounds: { type: 'string' },
    only: { type: 'string' },
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
  const names = values.only?.split(',') ?? Object.keys(SECTIONS)
  const unknown = names.find((name) => !Object.hasOwn(SECTIONS, name))
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 7))
  if (unknown !== undefined || !Number.isInteger(rounds) || rounds < 1) {
    console.error(USAGE)
    process.exit(2)
  }
  const started = new Date()
  const built = build(values.source)
  const bench = new Bench({ rounds, quick: values.quick, profile: values.profile, build: built })
  const stop = async () => {
    await bench.end()
    Remote.stopAll()
    built.remove()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stop().finally(() => process.exit(130)))
  }
  const sections: Section[] = []
  try {
    for (const name of names) {
      const section = await SECTIONS[name]?.(bench)
      await bench.end()
      bench.progress('')
      if (section === undefined) continue
      sections.push(section)
      console.log(`\n${printed({ ...section, targets: [] })}`)
    }
  } finally {
    await stop()
  }
  const targets = sections.flatMap((section) => section.targets)
  if (targets.length > 0) console.log(`\n${printedTargets(targets)}`)
  const seconds = (Date.now() - started.getTime()) / 1000
  console.log(`\n${written(sections, { started, seconds, rounds })} (${Math.round(seconds)} s)`)
}

function written(
  sections: readonly Section[],
  { started, seconds, rounds }: { started: Date; seconds: number; rounds: number },
): string {
  const name = `${started.toISOString().replaceAll(':', '-')}.json`
  const file = values.out ?? path.join(root, 'bench/results', name)
  mkdirSync(path.dirname(file), { recursive: true })
  const [cpu] = os.cpus()
  const result = {
    startedAt: started.toISOString(),
    seconds,
    rounds,
    quick: values.quick,
    machine: {
      cpu: cpu?.model,
      cpus: os.cpus().length,
      memoryBytes: os.totalmem(),
      os: `${os.type()} ${os.release()}`,
    },
    versions: { node: process.version, ...packageVersions() },
    sections: sections.map((section) => ({
      ...section,
      targets: section.targets.map((target) => ({ ...target, verdict: verdict(target) })),
    })),
  }
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

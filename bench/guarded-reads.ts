// Section 5: what protection adds to a page that only reads its session.
import type { Bench, RoundedSection } from './bench.js'
import type { Measured } from './http-load.js'
import type { Remote } from './remote.js'
import { median, medianRatio, ratioTarget, rotated, type Section } from './report.js'
import type { SiteProcess } from './site-process.js'

const SITES = [
  { name: 'memory, unprotected', store: 'memory', protect: 'no' },
  { name: 'memory, protected', store: 'memory', protect: 'strict' },
  { name: 'Redis, unprotected', store: 'redis', protect: 'no' },
  { name: 'Redis, protected', store: 'redis', protect: 'strict' },
  { name: 'Redis, protected, bounded', store: 'redis', protect: 'bounded' },
  { name: 'PostgreSQL, unprotected', store: 'postgres', protect: 'no' },
  { name: 'PostgreSQL, protected', store: 'postgres', protect: 'strict' },
  { name: 'PostgreSQL, protected, bounded', store: 'postgres', protect: 'bounded' },
] as const

type Name = (typeof SITES)[number]['name']

const BARE = {
  memory: 'memory, unprotected',
  redis: 'Redis, unprotected',
  postgres: 'PostgreSQL, unprotected',
} as const

const CONNECTIONS = 16

interface Running {
  readonly name: Name
  readonly store: keyof typeof BARE
  readonly process: Remote<SiteProcess>
  readonly port: number
  readonly heads: readonly string[]
  readonly rounds: (Measured & { readonly cpuMicros: number })[]
}

export async function guardedReads(bench: Bench): Promise<RoundedSection> {
  const { url: redisUrl } = await bench.redis()
  const { url: postgresUrl } = await bench.postgres()
  const generator = bench.generator()
  const sites: Running[] = []
  for (const site of SITES) {
    const process = bench.startMeasured<SiteProcess>('site-process.ts', `site-${site.name}`)
    const { store, protect } = site
    const given = { store, protect, redisUrl, postgresUrl, users: bench.size(200, 5) }
    const { port, cookies } = await process.call('start', given)
    const heads = cookies.map((cookie) => `GET / HTTP/1.1\r\nHost: rp.example.com\r\nAccept: */*\r\nCookie: ${cookie}`)
    sites.push({ ...site, process, port, heads, rounds: [] })
  }
  const perRound = bench.size(3000, 40)
  return {
    name: 'guarded reads',
    warmUpRounds: 1,
    async round(round, isCounted) {
      for (const { process, port, heads, rounds } of rotated(sites, round)) {
        await process.call('measure', undefined)
        const how = { port, heads, count: perRound, status: 200, connections: CONNECTIONS }
        const measured = await generator.call('request', how)
        const cpuMicros = (await process.call('measured', undefined)) / perRound
        if (isCounted) rounds.push({ ...measured, cpuMicros })
      }
    },
    report: () => report(sites),
    series: () =>
      sites.map(({ name, rounds }) => ({
        name,
        unit: 'CPU us',
        values: rounds.map(({ cpuMicros }) => cpuMicros),
        isControl: name.endsWith('unprotected'),
      })),
  }
}

function report(sites: readonly Running[]): Section {
  const roundsOf = (name: Name) => sites.find((site) => site.name === name)?.rounds ?? []
  const cpu = (name: Name) => roundsOf(name).map(({ cpuMicros }) => cpuMicros)
  const p50 = (name: Name) => roundsOf(name).map(({ p50Ms }) => p50Ms)
  const [redis, postgres] = ['Redis, unprotected', 'PostgreSQL, unprotected'] as const
  const bounded = { atLeast: 1.03, aim: 1.01 }
  return {
    name: 'guarded reads',
    tables: [
      {
        title: 'A page that reads its session: express-session with and without protection',
        note: `Express and express-session, resave and saveUninitialized off; processor time of the site per request; ${CONNECTIONS} connections. Strict: row and verdict are asked for at the same time. Bounded: no verdict is asked for.`,
        columns: ['session store', 'CPU us', 'vs unprotected', 'requests/s', 'p50 ms', 'vs unprotected', 'p99 ms'],
        rows: sites.map(({ name, store, rounds }) => [
          name,
          median(cpu(name)),
          medianRatio(cpu(name), cpu(BARE[store])),
          median(rounds.map((round) => round.requestsPerSecond)),
          median(p50(name)),
          medianRatio(p50(name), p50(BARE[store])),
          median(rounds.map((round) => round.p99Ms)),
        ]),
      },
    ],
    targets: [
      ratioTarget(
        { name: 'guarded page view vs unprotected, CPU (memory)', atLeast: 1.1, aim: 1.03 },
        cpu('memory, protected'),
        cpu('memory, unprotected'),
      ),
      ratioTarget(
        { name: 'guarded page view vs unprotected, p50 (Redis, strict)', atLeast: 1.12, aim: 1.05 },
        p50('Redis, protected'),
        p50(redis),
      ),
      ratioTarget(
        { name: 'guarded page view vs unprotected, CPU (Redis, strict)', atLeast: 1.08, aim: 1.04 },
        cpu('Redis, protected'),
        cpu(redis),
      ),
      ratioTarget(
        { name: 'guarded page view vs unprotected, p50 (PostgreSQL, strict)', atLeast: 1.25, aim: 1.1 },
        p50('PostgreSQL, protected'),
        p50(postgres),
      ),
      ratioTarget(
        { ...bounded, name: 'guarded page view vs unprotected, p50 (Redis, bounded)' },
        p50('Redis, protected, bounded'),
        p50(redis),
      ),
      ratioTarget(
        { ...bounded, name: 'guarded page view vs unprotected, p50 (PostgreSQL, bounded)' },
        p50('PostgreSQL, protected, bounded'),
        p50(postgres),
      ),
    ],
  }
}

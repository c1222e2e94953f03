// Section 5: what protection adds to a page that only reads its session.
import type { Bench, RoundedSection } from './bench.js'
import type { Measured } from './http-load.js'
import type { Remote } from './remote.js'
import { median, medianRatio, rotated, type Section } from './report.js'
import type { SiteProcess } from './site-process.js'

const SITES = [
  { name: 'memory, unprotected', store: 'memory', protect: false },
  { name: 'memory, protected', store: 'memory', protect: true },
  { name: 'Redis, unprotected', store: 'redis', protect: false },
  { name: 'Redis, protected', store: 'redis', protect: true },
] as const

const CONNECTIONS = 16

interface Running {
  readonly name: (typeof SITES)[number]['name']
  readonly store: 'memory' | 'redis'
  readonly process: Remote<SiteProcess>
  readonly port: number
  readonly heads: readonly string[]
  readonly rounds: (Measured & { readonly cpuMicros: number })[]
}

export async function guardedReads(bench: Bench): Promise<RoundedSection> {
  const { url: redisUrl } = await bench.redis()
  const generator = bench.generator()
  const sites: Running[] = []
  for (const site of SITES) {
    const process = bench.startMeasured<SiteProcess>('site-process.ts', `site-${site.name}`)
    const { store, protect } = site
    const { port, cookies } = await process.call('start', { store, protect, redisUrl, users: bench.size(200, 5) })
    const heads = cookies.map((cookie) => `GET / HTTP/1.1\r\nHost: rp.example.com\r\nAccept: */*\r\nCookie: ${cookie}`)
    sites.push({ ...site, process, port, heads, rounds: [] })
  }
  const perRound = bench.size(6000, 40)
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
  const cpu = (name: (typeof SITES)[number]['name']) =>
    sites.find((site) => site.name === name)?.rounds.map(({ cpuMicros }) => cpuMicros) ?? []
  return {
    name: 'guarded reads',
    tables: [
      {
        title: 'A page that reads its session: express-session with and without protection',
        note: `Express and express-session, resave and saveUninitialized off; processor time of the site per request; ${CONNECTIONS} connections. In Redis the verdict is one round trip more.`,
        columns: ['session store', 'CPU us', 'vs unprotected', 'requests/s', 'p50 ms', 'p99 ms'],
        rows: sites.map(({ name, store, rounds }) => [
          name,
          median(cpu(name)),
          medianRatio(cpu(name), cpu(store === 'memory' ? 'memory, unprotected' : 'Redis, unprotected')),
          median(rounds.map((round) => round.requestsPerSecond)),
          median(rounds.map((round) => round.p50Ms)),
          median(rounds.map((round) => round.p99Ms)),
        ]),
      },
    ],
    targets: [
      {
        name: 'read-only request, protected vs unprotected store, CPU (memory)',
        unit: 'ratio',
        atLeast: 1.1,
        aim: 1.03,
        measured: medianRatio(cpu('memory, protected'), cpu('memory, unprotected')),
      },
    ],
  }
}

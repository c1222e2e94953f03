// Section 6: whether a logout in Redis or PostgreSQL stays as cheap when there are many sessions, and what each takes
// in Redis.

import pg from 'pg'
import { startPostgres } from '../test/servers/postgres.js'
import type { Bench } from './bench.js'
import { median, medianRatio, rotated, type Section } from './report.js'
import type { SharedStoresProcess } from './shared-stores-process.js'

const SIZES = [1_000, 10_000, 100_000, 1_000_000] as const
const KINDS = ['redis', 'postgres'] as const
const TITLES = { redis: 'Redis', postgres: 'PostgreSQL' } as const
type Kind = (typeof KINDS)[number]

interface Sized {
  readonly name: string
  readonly kind: Kind
  readonly sessions: number
  readonly bytesPerSession: number
  readonly p50Ms: number[]
  readonly insideMicros: number[]
  /** One page view with strict reads. */
  readonly read: { readonly p50Ms: number[]; readonly insideMicros: number[] }
}

export async function sharedStores(bench: Bench): Promise<Section> {
  const process = bench.startMeasured<SharedStoresProcess>('shared-stores-process.ts', 'shared-stores')
  const urls = { redis: async () => (await bench.redis()).url, postgres: await databases(bench) }
  const sizes = SIZES.map((size) => bench.size(size, size / 100))
  const all: Sized[] = []
  for (const kind of KINDS) {
    for (const sessions of sizes) {
      const name = `${kind} ${sessions}`
      bench.progress(`shared stores: binding ${sessions} sessions in ${TITLES[kind]}`)
      await process.call('open', { name, kind, url: await urls[kind]() })
      const bytesPerSession = await process.call('fill', { name, sessions })
      all.push({
        name,
        kind,
        sessions,
        bytesPerSession,
        p50Ms: [],
        insideMicros: [],
        read: { p50Ms: [], insideMicros: [] },
      })
    }
  }
  // Others are bound in their place, and the smallest must have enough to pick from.
  const count = bench.size(400, 3)
  for (let round = 0; round <= bench.rounds; round++) {
    bench.progress(`shared stores, round ${round} of ${bench.rounds}`)
    for (const { name, p50Ms, insideMicros, read } of rotated(all, round)) {
      const measured = await process.call('round', { name, count })
      if (round === 0) continue
      p50Ms.push(measured.p50Ms)
      insideMicros.push(measured.insideMicros)
      read.p50Ms.push(measured.read.p50Ms)
      read.insideMicros.push(measured.read.insideMicros)
    }
  }
  return report(all)
}

/** One server with a database for each size, with room to keep all of them in memory. */
async function databases(bench: Bench): Promise<() => Promise<string>> {
  const server = await startPostgres(['-c', 'shared_buffers=1GB', '-c', 'max_wal_size=4GB'])
  bench.onEnd(() => server.stop())
  let made = 0
  return async () => {
    const name = `size_${made++}`
    const client = new pg.Client(server.url)
    await client.connect()
    await client.query(`CREATE DATABASE ${name}`)
    await client.end()
    return server.url.replace(/\/postgres$/, `/${name}`)
  }
}

function report(all: readonly Sized[]): Section {
  const smallest = (kind: Kind) => all.find((each) => each.kind === kind)
  const ratio = (of: 'p50Ms' | 'insideMicros', each: Sized) => medianRatio(each[of], smallest(each.kind)?.[of] ?? [])
  const [redis, postgres] = KINDS.map((kind) => all.findLast((each) => each.kind === kind))
  return {
    name: 'shared stores',
    tables: [
      {
        title: 'Redis and PostgreSQL: one logout among so many bound sessions',
        note: 'One logout at a time, by sid, of a session picked at random: the one call of the store, without HTTP and signature. Read: the one call of a guarded page view with strict reads. Inside: what Redis says of the script, or the processor time of the PostgreSQL backend. Sessions of the application are not in these databases. PostgreSQL has 1 GB of shared buffers and no fsync.',
        columns: [
          'store',
          'sessions',
          'p50 us',
          'vs fewest',
          'inside us',
          'vs fewest',
          'read p50 us',
          'inside us',
          'B/session',
        ],
        rows: all.map((each) => [
          TITLES[each.kind],
          each.sessions.toLocaleString('en'),
          median(each.p50Ms) * 1000,
          ratio('p50Ms', each),
          median(each.insideMicros),
          ratio('insideMicros', each),
          median(each.read.p50Ms) * 1000,
          median(each.read.insideMicros),
          each.bytesPerSession,
        ]),
      },
    ],
    targets: [redis, postgres].flatMap((each) =>
      each === undefined ? [] : targetsOf(each, ratio('p50Ms', each), ratio('insideMicros', each)),
    ),
  }
}

function targetsOf({ kind, sessions, bytesPerSession }: Sized, p50: number, inside: number): Section['targets'] {
  const title = TITLES[kind]
  const wall = {
    name: `${title}: p50 of one logout among ${sessions} sessions vs the fewest`,
    unit: 'ratio',
    atLeast: 1.1,
    aim: 1.03,
    measured: p50,
  }
  const cpu = {
    ...wall,
    name: `${title}: time inside of one logout among ${sessions} sessions vs the fewest`,
    measured: inside,
  }
  if (kind !== 'redis') return [wall, cpu]
  const bytes = {
    name: `${title}: a bound session at ${sessions}`,
    unit: 'bytes',
    atLeast: 600,
    aim: 500,
    measured: bytesPerSession,
  }
  return [wall, cpu, bytes]
}

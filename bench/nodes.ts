// Section 10: what nodes that read bounded cost the store that they follow: real processes up to eight, and what the
// prices fitted to fewer come to for eight, beside what eight took, and for more.
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { applySchema } from '../src/stores/postgres/index.js'
import type { Bench } from './bench.js'
import { postgresPool, redisConnection } from './connections.js'
import {
  behaviourAt,
  fittedPrices,
  type MeasuredRun,
  nodeMicros,
  nodesAtShare,
  type Prices,
  predictedMicros,
} from './nodes-model.js'
import type { Followed, NodesProcess, Where } from './nodes-process.js'
import type { Remote } from './remote.js'
import type { Section, Table } from './report.js'

const NODES = [0, 1, 2, 4, 8]
const RATES = [0, 10, 100]
const PREDICTED = [10, 100, 300]
const RUN_SECONDS = 4
/** PostgreSQL reads again what was logged five seconds before the last pull: until then pages grow. */
const WARM_UP_SECONDS = 6
const TITLES = { redis: 'Redis', postgres: 'PostgreSQL' } as const

interface Server extends Where {
  /** Processor time of the server since it began. */
  micros(): Promise<number>
}

interface Measured {
  readonly kind: Where['kind']
  readonly runs: readonly MeasuredRun[]
}

export async function nodes(bench: Bench): Promise<Section> {
  const most = bench.size(Math.max(...NODES), 2)
  const counts = NODES.filter((count) => count <= most)
  const start = () => bench.start<NodesProcess>('nodes-process.ts', ['--max-old-space-size=32'])
  const writer = start()
  const followers = Array.from({ length: most }, start)
  const measured: Measured[] = []
  for (const server of [await redisServer(bench), await postgresServer(bench)]) {
    const runs: MeasuredRun[] = []
    for (const rate of RATES) {
      await writer.call('write', { kind: server.kind, url: server.url, rate })
      await delay(bench.size(WARM_UP_SECONDS * 1000, 1))
      for (const count of counts) {
        bench.progress(`nodes: ${count} on ${TITLES[server.kind]}, ${rate} logouts a second`)
        const { kind, url } = server
        const following = followers.slice(0, count)
        const begun = runs.at(-1)?.rate === rate ? (runs.at(-1)?.nodes ?? 0) : 0
        await Promise.all(following.slice(begun).map((node) => node.call('follow', { kind, url })))
        runs.push(await run(server, writer, following, rate, bench.size(RUN_SECONDS * 1000, 50)))
      }
      await Promise.all([writer, ...followers].map((node) => node.call('stop', undefined)))
    }
    measured.push({ kind: server.kind, runs })
  }
  return { name: 'nodes', tables: measured.flatMap(tablesOf), targets: [] }
}

async function run(
  server: Server,
  writer: Remote<NodesProcess>,
  following: readonly Remote<NodesProcess>[],
  rate: number,
  milliseconds: number,
): Promise<MeasuredRun> {
  const counted = async () => ({
    at: performance.now(),
    logouts: await writer.call('written', undefined),
    serverMicros: await server.micros(),
    followed: await Promise.all(following.map((node) => node.call('followed', undefined))),
  })
  const before = await counted()
  await delay(milliseconds)
  const after = await counted()
  const total = (name: keyof Followed) =>
    after.followed.reduce((sum, one, i) => sum + one[name] - (before.followed[i]?.[name] ?? 0), 0)
  return {
    nodes: following.length,
    rate,
    seconds: (after.at - before.at) / 1000,
    logouts: after.logouts - before.logouts,
    serverMicros: after.serverMicros - before.serverMicros,
    pulls: total('pulls'),
    commands: total('commands'),
    entries: total('entries'),
    bytes: total('bytes'),
    doorbells: total('doorbells'),
  }
}

async function redisServer(bench: Bench): Promise<Server> {
  const { url } = await bench.redis()
  const connection = await redisConnection(url)
  bench.onEnd(() => connection.destroy())
  return {
    kind: 'redis',
    url,
    async micros() {
      const info = await connection.info('cpu')
      const seconds = (name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1])
      return (seconds('used_cpu_sys') + seconds('used_cpu_user')) * 1e6
    },
  }
}

async function postgresServer(bench: Bench): Promise<Server> {
  const { url } = await bench.postgres()
  const pool: pg.Pool = postgresPool({ connectionString: url, max: 1, idleTimeoutMillis: 0 })
  bench.onEnd(() => pool.end())
  await applySchema(pool)
  const seen = new Map<number, number>()
  return {
    kind: 'postgres',
    url,
    /** Of all its processes, those of connections and its own; what one did before it ended is kept. */
    async micros() {
      const { rows } = await pool.query<{ pid: number }>('SELECT pid FROM pg_stat_activity')
      for (const { pid } of rows) {
        try {
          seen.set(pid, Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0]) / 1000)
        } catch {
          // It ended just now.
        }
      }
      return [...seen.values()].reduce((sum, micros) => sum + micros, 0)
    },
  }
}

function tablesOf({ kind, runs }: Measured): readonly Table[] {
  const most = Math.max(...runs.map(({ nodes: count }) => count))
  const fewer = runs.filter(({ nodes: count }) => count < most)
  const prices = fittedPrices(fewer)
  const title = TITLES[kind]
  const priced = `${prices.pullMicros.toFixed(0)} us a pull and ${prices.entryMicros.toFixed(1)} us for each mark or session id in it, the doorbell included`
  return [
    {
      title: `${title}: nodes that follow the log, measured`,
      note: 'Processes that do nothing else, with bounded reads as they come (5 s) and the doorbell; logins come as often as logouts. CPU: processor time of the server, ms in a second, logins and logouts included. The rest for each node.',
      columns: [
        'logouts/s',
        'nodes',
        'CPU ms/s',
        'commands/s',
        'pulls/s',
        'entries/pull',
        'bytes/pull',
        'kB/s',
        'rung/logout',
      ],
      rows: runs.map((run) => {
        const perNode = (value: number) => value / run.seconds / run.nodes
        return [
          (run.logouts / run.seconds).toFixed(1),
          String(run.nodes),
          run.serverMicros / run.seconds / 1000,
          perNode(run.commands),
          perNode(run.pulls),
          run.entries / run.pulls,
          run.bytes / run.pulls,
          perNode(run.bytes) / 1000,
          run.doorbells / run.logouts / run.nodes,
        ]
      }),
    },
    {
      title: `${title}: ${most} nodes, as fitted to fewer and as measured`,
      note: `Fitted: ${priced}. Where fewer logouts were done than asked for, the machine was full, and nothing is checked.`,
      columns: ['asked/s', 'done/s', 'CPU ms/s, model', 'measured', 'deviation %'],
      rows: runs
        .filter(({ nodes: count }) => count === most)
        .map((run) => {
          const model = predictedMicros(prices, behaviourAt(fewer, run.rate), most)
          const found = run.serverMicros / run.seconds
          return [
            String(run.rate),
            (run.logouts / run.seconds).toFixed(1),
            model / 1000,
            found / 1000,
            (100 * (model - found)) / found,
          ]
        }),
    },
    predicted(title, runs, prices),
  ]
}

function predicted(title: string, runs: readonly MeasuredRun[], prices: Prices): Table {
  const rates = [...new Set(runs.map(({ rate }) => rate))]
  return {
    title: `${title}: more nodes, by the model`,
    note: 'Core: share of one core of the store, logins and logouts included. Followers: the part of the nodes alone. Doorbells: notifications that the store sends for one logout. Half: nodes at which half a core is taken.',
    columns: ['logouts/s', 'nodes', 'core %', 'followers %', 'MB/s', 'doorbells/logout', 'half'],
    rows: rates.flatMap((rate) => {
      const behaviour = behaviourAt(runs, rate)
      return PREDICTED.map((count) => [
        String(rate),
        String(count),
        predictedMicros(prices, behaviour, count) / 1e4,
        (count * nodeMicros(prices, behaviour)) / 1e4,
        (count * behaviour.bytes) / 1e6,
        count * behaviour.doorbellsPerLogout,
        String(nodesAtShare(prices, behaviour, 0.5)),
      ])
    }),
  }
}

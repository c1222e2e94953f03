// Section 8: a user with very many sessions is logged out: how long others wait, when the OP is answered, and when it
// is done.
import { startPostgres } from '../test/servers/postgres.js'
import { startRedisCluster } from '../test/servers/redis.js'
import type { Bench } from './bench.js'
import type { BigUsersProcess, StoreKind } from './big-users-process.js'
import { redisConnection } from './connections.js'
import { quantile } from './http-load.js'
import type { Section } from './report.js'

const SIZES = [1, 100, 10_000, 100_000] as const
const MANY = 100_000
const ENORMOUS = 1_000_000
const TITLES = { memory: 'memory', redis: 'Redis', cluster: 'Redis Cluster', postgres: 'PostgreSQL' } as const

interface Ended {
  readonly kind: StoreKind
  readonly sessions: number
  readonly status: number
  readonly answerMs: number
  readonly totalMs: number
  readonly heapBytes: number
  /** In memory of the process' own loop, else of what another process asks of the store meanwhile. */
  readonly othersMs: { readonly p99: number; readonly most: number }
  /** Redis only: the longest time that one command took inside it, by its own clock. */
  readonly blockMs: number
}

export async function bigUsers(bench: Bench): Promise<Section> {
  const ended: Ended[] = []
  for (const kind of ['memory', 'redis', 'cluster', 'postgres'] as const) {
    ended.push(...(await endedAt(bench, kind, SIZES)))
    await bench.end()
  }
  return report(ended, bench.size(MANY, MANY / 100))
}

/** A million on one Redis: whether it comes to its end by itself. */
export async function enormousUser(bench: Bench): Promise<Section> {
  return report(await endedAt(bench, 'redis', [ENORMOUS]), bench.size(ENORMOUS, ENORMOUS / 100))
}

async function endedAt(bench: Bench, kind: StoreKind, sizes: readonly number[]): Promise<readonly Ended[]> {
  const urls = await serversOf(bench, kind)
  const rp = bench.startMeasured<BigUsersProcess>('big-users-process.ts', `big-users-${kind}`, ['--expose-gc'])
  const other = bench.start<BigUsersProcess>('big-users-process.ts')
  await rp.call('open', { kind, urls })
  await other.call('open', { kind, urls })
  const blocks = kind === 'redis' || kind === 'cluster' ? await slowlogsOf(urls) : undefined
  const ended: Ended[] = []
  // The first one compiles what is measured.
  for (const [i, size] of [sizes[0] ?? 1, ...sizes].entries()) {
    const sessions = size > 100 ? bench.size(size, size / 100) : size
    bench.progress(`big users: ${sessions} sessions in ${TITLES[kind]}`)
    await rp.call('fill', { user: i, sessions: i === 0 ? 1 : sessions })
    await blocks?.reset()
    await other.call('watch', undefined)
    const one = await rp.call('end', { user: i })
    const waited = await other.call('watched', undefined)
    if (i === 0) continue
    if (one.destroyed !== sessions) throw new Error(`${one.destroyed} of ${sessions} sessions were destroyed`)
    const othersMs = { p99: quantile(waited, 0.99), most: Math.max(...waited) }
    const own = kind === 'memory' ? { p99: Number.NaN, most: one.loopMs } : othersMs
    ended.push({ ...one, kind, sessions, othersMs: own, blockMs: (await blocks?.longestMs()) ?? Number.NaN })
  }
  blocks?.end()
  return ended
}

async function serversOf(bench: Bench, kind: StoreKind): Promise<readonly string[]> {
  if (kind === 'memory') return []
  if (kind === 'redis') return [(await bench.redis()).url]
  if (kind === 'cluster') {
    const cluster = await startRedisCluster()
    bench.onEnd(() => cluster.stop())
    return cluster.nodes.map(({ url }) => url)
  }
  const server = await startPostgres(['-c', 'shared_buffers=1GB', '-c', 'max_wal_size=4GB'])
  bench.onEnd(() => server.stop())
  return [server.url]
}

/** What the servers themselves noted of commands that took a millisecond and more. */
async function slowlogsOf(urls: readonly string[]) {
  const connections = await Promise.all(urls.map(redisConnection))
  const all = (command: string[]) => Promise.all(connections.map((each) => each.sendCommand(command)))
  await all(['CONFIG', 'SET', 'slowlog-log-slower-than', '1000', 'slowlog-max-len', '100000'])
  return {
    reset: () => all(['SLOWLOG', 'RESET']),
    async longestMs(): Promise<number> {
      const entries = (await all(['SLOWLOG', 'GET', '-1'])).flat()
      const micros = entries.map((entry) => (Array.isArray(entry) ? Number(entry[2]) : 0))
      return Math.max(0, ...micros) / 1000
    },
    end() {
      for (const connection of connections) connection.destroy()
    },
  }
}

function report(ended: readonly Ended[], many: number): Section {
  const name = 'big users'
  const of = (kind: StoreKind) => ended.find((each) => each.kind === kind && each.sessions === many)
  const redis = of('redis')
  const slowest = Math.max(...ended.filter(({ sessions }) => sessions === many).map(({ answerMs }) => answerMs))
  return {
    name,
    tables: [
      {
        title: 'One logout of a user with so many sessions',
        note: 'A Logout Token that names the user alone; rows of connect-redis, connect-pg-simple or express-session beside the bindings. What is not done when the answer is due is answered 400 and goes on. Others: in memory the longest that the loop stood still, else what another process waits for the store. Inside: the longest single command by the server itself, under 1 ms told as 0. Heap: what the process holds more at the most, before garbage is collected.',
        columns: [
          'store',
          'sessions',
          'status',
          'answer ms',
          'done ms',
          'others p99 ms',
          'most ms',
          'inside ms',
          'heap MB',
        ],
        rows: ended.map((each) => [
          TITLES[each.kind],
          each.sessions.toLocaleString('en'),
          String(each.status),
          each.answerMs,
          each.totalMs,
          each.othersMs.p99,
          each.othersMs.most,
          each.blockMs,
          each.heapBytes / 2 ** 20,
        ]),
      },
    ],
    targets: [
      {
        name: `${many} sessions of one user: longest block of Redis`,
        unit: 'ms',
        atLeast: 50,
        aim: 10,
        measured: redis?.blockMs ?? Number.NaN,
      },
      {
        name: `${many} sessions of one user: answer to the OP, any store`,
        unit: 's',
        atLeast: 2,
        aim: 0.5,
        measured: slowest / 1000,
      },
    ],
  }
}

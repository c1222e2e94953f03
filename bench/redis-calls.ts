// Section 3: what a logout asks of Redis, against the least that any receiver asks of it: to remember one jti.
import type { Bench, RoundedSection } from './bench.js'
import type { RedisCallsProcess } from './redis-calls-process.js'
import { median, medianRatio, ratioTarget, type Section } from './report.js'

export async function redisCalls(bench: Bench): Promise<RoundedSection> {
  const redis = await bench.redis()
  const process = bench.startMeasured<RedisCallsProcess>('redis-calls-process.ts', 'redis-calls')
  await process.call('start', { url: redis.url })
  const perRound = bench.size(1000, 20)
  const rounds: Round[] = []
  return {
    name: 'redis calls',
    warmUpRounds: 1,
    async round(round, isCounted) {
      const measured = await process.call('round', { from: round * perRound, count: perRound })
      if (isCounted) rounds.push(measured)
    },
    report: () => report(rounds),
    series: () => [
      { name: 'SET NX EX', unit: 'p50 ms', values: rounds.map(({ setMs }) => setMs), isControl: true },
      { name: 'store call of a logout', unit: 'p50 ms', values: rounds.map(({ beginMs }) => beginMs) },
      { name: 'logout (terminate)', unit: 'p50 ms', values: rounds.map(({ logoutMs }) => logoutMs) },
      { name: 'login (bind)', unit: 'p50 ms', values: rounds.map(({ bindMs }) => bindMs) },
      {
        name: 'a script of a logout',
        unit: 'us inside Redis',
        values: rounds.map(({ logoutInRedisMicros }) => logoutInRedisMicros),
      },
    ],
  }
}

type Round = Awaited<ReturnType<RedisCallsProcess['round']>>

function report(rounds: readonly Round[]): Section {
  const set = rounds.map(({ setMs }) => setMs)
  const logout = rounds.map(({ logoutMs }) => logoutMs)
  const setInRedis = rounds.map(({ setInRedisMicros }) => setInRedisMicros)
  const logoutInRedis = rounds.map(({ logoutInRedisMicros }) => logoutInRedisMicros)
  const begin = rounds.map(({ beginMs }) => beginMs)
  const save = rounds.map(({ saveMs }) => saveMs)
  const bind = rounds.map(({ bindMs }) => bindMs)
  const row = (name: string, p50: readonly number[], p99: readonly number[], inRedis: readonly number[]) => [
    name,
    median(p50) * 1000,
    medianRatio(p50, set),
    median(p99) * 1000,
    median(inRedis),
  ]
  return {
    name: 'redis calls',
    tables: [
      {
        title: 'Redis: one logout against one SET NX',
        note: 'One at a time, taking turns, over one connection; each logout ends one bound session and its connect-redis row. Without HTTP and signature, which have no part in Redis.',
        columns: ['call', 'p50 us', 'vs SET NX', 'p99 us', 'inside Redis us'],
        rows: [
          row(
            'SET NX EX',
            set,
            rounds.map(({ setP99Ms }) => setP99Ms),
            setInRedis,
          ),
          row(
            'store call of a logout',
            begin,
            rounds.map(({ beginP99Ms }) => beginP99Ms),
            logoutInRedis,
          ),
          row(
            'logout (terminate)',
            logout,
            rounds.map(({ logoutP99Ms }) => logoutP99Ms),
            logoutInRedis,
          ),
        ],
      },
      {
        title: 'Redis: one login',
        note: 'One at a time, taking turns: connect-redis saves a session, then `bind` binds it; without the rest of a login.',
        columns: ['call', 'p50 us', 'vs the save', 'p99 us'],
        rows: [
          ['a bare save', median(save) * 1000, 1, median(rounds.map(({ saveP99Ms }) => saveP99Ms)) * 1000],
          [
            'bind',
            median(bind) * 1000,
            medianRatio(bind, save),
            median(rounds.map(({ bindP99Ms }) => bindP99Ms)) * 1000,
          ],
        ],
      },
    ],
    targets: [
      ratioTarget({ name: 'Redis: p50 of one logout vs one bare SET NX', atLeast: 1.6, aim: 1.3 }, logout, set),
      ratioTarget({ name: 'Redis: p50 of bind vs a bare session save', atLeast: 2, aim: 1.5 }, bind, save),
    ],
  }
}

// Section 4: the claims cache against asking the authorization server each time, and both while a storm of logouts goes
// through.
import type { ApiProcess } from './api-process.js'
import type { Bench } from './bench.js'
import { accessTokenOf } from './op.js'
import type { Remote } from './remote.js'
import { median, medianRatio, type Section } from './report.js'

const WAYS = ['hit', 'asked', 'barePost'] as const
const NAMES = {
  hit: 'hit',
  asked: 'introspection, the client of this package',
  barePost: "introspection, a bare POST of Node's http",
} as const
const IN_FLIGHT = [1, 64] as const
const CLIENTS = 64
const STORM_CONNECTIONS = 16

export async function claims(bench: Bench): Promise<Section> {
  const generator = bench.generator()
  const issuer = await generator.call('startOp', undefined)
  const api = bench.startMeasured<ApiProcess>('api-process.ts', 'claims')
  const port = await api.call('start', { issuer })
  const lookups = await measuredLookups(bench, api)
  const storm = await measuredStorm(bench, api, port)
  return report(lookups, storm)
}

interface Lookups {
  readonly way: (typeof WAYS)[number]
  readonly inFlight: number
  readonly wallMicros: number[]
  readonly cpuMicros: number[]
}

type Api = Remote<ApiProcess>

async function measuredLookups(bench: Bench, api: Api): Promise<Lookups[]> {
  const all = IN_FLIGHT.flatMap((inFlight) =>
    WAYS.map((way) => ({ way, inFlight, wallMicros: [] as number[], cpuMicros: [] as number[] })),
  )
  for (let round = 0; round <= bench.rounds; round++) {
    bench.progress(`claims, round ${round} of ${bench.rounds}`)
    for (const { way, inFlight, wallMicros, cpuMicros } of all) {
      const count = way === 'hit' ? bench.size(20_000, 200) : bench.size(1000, 20)
      const measured = await api.call('lookUp', { way, inFlight, count })
      if (round === 0) continue
      wallMicros.push(measured.wallMicros)
      cpuMicros.push(measured.cpuMicros)
    }
  }
  return all
}

interface Storm {
  readonly users: number
  readonly calm: { readonly p50Ms: number; readonly p99Ms: number; readonly requestsPerSecond: number }
  readonly stormy: { readonly p50Ms: number; readonly p99Ms: number; readonly requestsPerSecond: number }
  readonly logoutsPerSecond: number
}

/** Half of the users are logged out while the other half call the API. */
async function measuredStorm(bench: Bench, api: Api, port: number): Promise<Storm> {
  const callers = bench.generator()
  const op = bench.generator()
  const users = bench.size(1000, 20)
  const callOf = (n: number) => `GET / HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer ${accessTokenOf(n)}`
  const ended = Array.from({ length: users }, (_, n) => callOf(n))
  const bystanders = Array.from({ length: users }, (_, n) => callOf(users + n))
  const calls = { port, status: 200, connections: CLIENTS }
  await api.call('trust', { issuer: await op.call('startOp', undefined) })
  await callers.call('request', { ...calls, heads: [...ended, ...bystanders], count: 2 * users })
  const calm = await callers.call('request', { ...calls, heads: bystanders, count: bench.size(10_000, 100) })

  bench.progress(`claims: a storm of ${users} logouts`)
  await op.call('sign', { from: 0, count: users })
  const calling = callers.call('request', { ...calls, heads: bystanders, count: 1_000_000 })
  const storm = await op.call('deliver', { port, status: 200, connections: STORM_CONNECTIONS })
  await callers.call('enough', undefined)
  const stormy = await calling
  await callers.call('request', { ...calls, heads: ended, count: users, status: 401 })
  return { users, calm, stormy, logoutsPerSecond: storm.requestsPerSecond }
}

function report(lookups: readonly Lookups[], storm: Storm): Section {
  const find = (way: Lookups['way'], inFlight: number) =>
    lookups.find((each) => each.way === way && each.inFlight === inFlight)
  const ratio = (of: 'wallMicros' | 'cpuMicros', inFlight: number, way: Lookups['way'] = 'barePost') =>
    medianRatio(find(way, inFlight)?.[of] ?? [], find('hit', inFlight)?.[of] ?? [])
  const target = { larger: true, unit: 'times' }
  return {
    name: 'claims cache',
    tables: [
      {
        title: 'Claims: a cached answer against a kept-alive introspection',
        note: "Per look-up; processor time of the API's process alone. A hit asks the marks in the memory store each time. Both introspections go over kept-alive connections to a server in another process on this machine: by the client of this package (oauth4webapi and fetch), and by the least that Node's http module can do, its JSON parsed and nothing checked. The targets are held to the second. With 64 in flight the process is busy all the time, so its wall time is its processor time.",
        columns: ['look-up', 'in flight', 'wall us', 'CPU us', 'wall vs hit', 'CPU vs hit'],
        rows: lookups.map(({ way, inFlight, wallMicros, cpuMicros }) => [
          NAMES[way],
          String(inFlight),
          median(wallMicros),
          median(cpuMicros),
          way === 'hit' ? '' : ratio('wallMicros', inFlight, way),
          way === 'hit' ? '' : ratio('cpuMicros', inFlight, way),
        ]),
      },
      {
        title: `A storm of ${storm.users} logouts while ${CLIENTS} clients call the API`,
        note: `Receiver and API in one process; the clients are other users. Logouts: ${Math.round(storm.logoutsPerSecond)}/s over ${STORM_CONNECTIONS} connections. Afterwards each of the ${storm.users} ended tokens was tried once more: all were refused.`,
        columns: ['API calls', 'requests/s', 'p50 ms', 'p99 ms'],
        rows: [
          ['calm', storm.calm.requestsPerSecond, storm.calm.p50Ms, storm.calm.p99Ms],
          ['in the storm', storm.stormy.requestsPerSecond, storm.stormy.p50Ms, storm.stormy.p99Ms],
        ],
      },
    ],
    targets: [
      {
        ...target,
        name: 'claims hit vs kept-alive introspection, wall, one at a time',
        atLeast: 50,
        aim: 100,
        measured: ratio('wallMicros', 1),
      },
      {
        ...target,
        name: 'claims hit vs kept-alive introspection, wall at 64',
        atLeast: 50,
        aim: 100,
        measured: ratio('wallMicros', 64),
      },
      {
        ...target,
        name: 'claims hit vs kept-alive introspection, CPU at 64',
        atLeast: 20,
        aim: 40,
        measured: ratio('cpuMicros', 64),
      },
    ],
  }
}

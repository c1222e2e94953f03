// Section 1: the whole job, from the delivery of a Logout Token to the answer, for each receiver side by side.
import type { Bench, RoundedSection } from './bench.js'
import type { Measured } from './http-load.js'
import type { ReceiverProcess } from './receiver-process.js'
import type { ReceiverContext, ReceiverName } from './receivers.js'
import type { Remote } from './remote.js'
import { median, medianRatio, ratioTarget, rotated, type Section } from './report.js'

const FLOOR: ReceiverName = 'floor: Express, urlencoded, jwtVerify'
const PEER: ReceiverName = 'express-openid-connect'
const OURS: ReceiverName = 'ours, memory'
const IN_FRONT: ReceiverName = 'ours, memory, without Express'

const CONNECTIONS = 16
/** Rounds before the first that is counted: until then V8 compiles, beside the work and at its cost. */
const WARM_UP_ROUNDS = 3

interface Round extends Measured {
  readonly cpuMicros: number
}

interface Contender {
  readonly name: ReceiverName
  readonly process: Remote<ReceiverProcess>
  readonly port: number
  readonly status: number
  readonly rounds: Round[]
}

export async function wholeJob(bench: Bench): Promise<RoundedSection> {
  const generator = bench.generator()
  const [{ url: redisUrl }, { url: postgresUrl }] = [await bench.redis(), await bench.postgres()]
  const context = { issuer: await generator.call('startOp', undefined), redisUrl, postgresUrl }
  const contenders: Contender[] = []
  for (const name of [FLOOR, PEER, OURS, IN_FRONT, 'ours, Redis', 'ours, PostgreSQL'] as const) {
    contenders.push(await started(bench, name, context))
  }
  const perRound = bench.size(2000, 40)
  return {
    name: 'whole job',
    warmUpRounds: WARM_UP_ROUNDS,
    async round(round, isCounted) {
      await generator.call('sign', { from: round * perRound, count: perRound })
      for (const contender of rotated(contenders, round)) {
        await contender.process.call('signIn', { from: round * perRound, count: perRound })
        await contender.process.call('measure', undefined)
        const { port, status } = contender
        const measured = await generator.call('deliver', { port, status, connections: CONNECTIONS })
        const cpuMicros = (await contender.process.call('measured', undefined)) / perRound
        const remaining = await contender.process.call('remaining', undefined)
        if (remaining > 0) throw new Error(`${contender.name}: ${remaining} sessions survived their logout`)
        if (isCounted) contender.rounds.push({ ...measured, cpuMicros })
      }
    },
    report: () => report(contenders),
    series: () =>
      contenders.map(({ name, rounds }) => ({
        name,
        unit: 'CPU us',
        values: rounds.map(({ cpuMicros }) => cpuMicros),
        isControl: name === FLOOR || name === PEER,
      })),
  }
}

async function started(bench: Bench, name: ReceiverName, context: ReceiverContext): Promise<Contender> {
  const process = bench.startMeasured<ReceiverProcess>('receiver-process.ts', name, ['--expose-gc'])
  return { name, process, rounds: [], ...(await process.call('start', { name, context })) }
}

function report(contenders: readonly Contender[]): Section {
  const cpu = (name: ReceiverName) =>
    contenders.find((each) => each.name === name)?.rounds.map(({ cpuMicros }) => cpuMicros) ?? []
  return {
    name: 'whole job',
    tables: [
      {
        title: 'The whole job: one delivery, one session ended',
        note: `Processor time of the receiving process per request, all its threads; ${CONNECTIONS} connections; medians of the rounds after ${WARM_UP_ROUNDS} that warm up, ratios of medians round by round; what sign-ins left in the young generation is collected before each round. The floor and express-openid-connect end no session: the one does no bookkeeping, the other writes two marks.`,
        columns: ['receiver', 'CPU us', 'vs floor', 'vs e-o-c', 'requests/s', 'p50 ms', 'p99 ms'],
        rows: contenders.map(({ name, rounds }) => [
          name,
          median(cpu(name)),
          medianRatio(cpu(name), cpu(FLOOR)),
          medianRatio(cpu(name), cpu(PEER)),
          median(rounds.map((round) => round.requestsPerSecond)),
          median(rounds.map((round) => round.p50Ms)),
          median(rounds.map((round) => round.p99Ms)),
        ]),
      },
    ],
    targets: [
      ratioTarget({ name: 'whole job vs floor, CPU per request', atLeast: 1, aim: 0.95 }, cpu(OURS), cpu(FLOOR)),
      ratioTarget(
        { name: 'whole job vs express-openid-connect, CPU per request', atLeast: 0.6, aim: 0.45 },
        cpu(OURS),
        cpu(PEER),
      ),
      ratioTarget(
        { name: 'whole job in front of Express vs floor, CPU per request', atLeast: 0.65, aim: 0.5 },
        cpu(IN_FRONT),
        cpu(FLOOR),
      ),
      ratioTarget(
        { name: 'whole job in front of Express vs express-openid-connect, CPU per request', atLeast: 0.52, aim: 0.4 },
        cpu(IN_FRONT),
        cpu(PEER),
      ),
    ],
  }
}

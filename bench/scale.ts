// Section 2: whether a logout stays as cheap, and a session as small, when there are many of them.
import type { Bench } from './bench.js'
import type { ReceiverProcess } from './receiver-process.js'
import type { Remote } from './remote.js'
import { median, medianRatio, rotated, type Section } from './report.js'
import type { ScanProcess } from './scan-process.js'

const SIZES = [1_000, 10_000, 100_000, 1_000_000] as const
const PER_USER = [1, 10, 1_000] as const
/** Users that are never logged out are numbered from here on. */
const BYSTANDERS = 100_000_000
const CONNECTIONS = 16

interface Scaled {
  readonly sessions: number
  readonly process: Remote<ReceiverProcess>
  readonly port: number
  readonly bytesPerSession: number
  readonly delivered: number[]
  readonly terminated: number[]
}

export async function scale(bench: Bench): Promise<Section> {
  const generator = bench.generator()
  const issuer = await generator.call('startOp', undefined)
  const sizes = SIZES.map((size) => bench.size(size, size / 100))
  const scaled: Scaled[] = []
  for (const sessions of sizes) {
    bench.progress(`scale: binding ${sessions} sessions`)
    scaled.push(await filled(bench, issuer, sessions))
  }
  const perRound = bench.size(1000, 20)
  for (let round = 0; round <= bench.rounds; round++) {
    bench.progress(`scale, round ${round} of ${bench.rounds}`)
    const from = round * perRound
    await generator.call('sign', { from, count: perRound })
    for (const { process, port, delivered, terminated } of rotated(scaled, round)) {
      await process.call('signIn', { from, count: perRound })
      await process.call('measure', undefined)
      await generator.call('deliver', { port, status: 200, connections: CONNECTIONS })
      const cpu = (await process.call('measured', undefined)) / perRound
      const users = { from: BYSTANDERS / 2 + from, users: perRound, sessionsEach: 1 }
      await process.call('signInUsers', users)
      const engineCpu = await process.call('endUsers', users)
      if (round === 0) continue
      delivered.push(cpu)
      terminated.push(engineCpu)
    }
  }
  const perUser = await manySessionsEach(bench, scaled.at(-2) ?? scaled[0], perRound)
  const scans = await withoutIndex(bench, sizes.slice(0, 3))
  return report(scaled, perUser, scans)
}

async function filled(bench: Bench, issuer: string, sessions: number): Promise<Scaled> {
  const process = bench.startMeasured<ReceiverProcess>('receiver-process.ts', `scale-${sessions}`, ['--expose-gc'])
  const name = 'ours, logout store alone'
  const { port } = await process.call('start', { name, context: { issuer } })
  // The code that binds is compiled before the heap is first looked at.
  await process.call('signIn', { from: 2 * BYSTANDERS, count: bench.size(2000, 10) })
  const before = await process.call('heapBytes', undefined)
  await process.call('signIn', { from: BYSTANDERS, count: sessions })
  const bytesPerSession = ((await process.call('heapBytes', undefined)) - before) / sessions
  return { sessions, process, port, bytesPerSession, delivered: [], terminated: [] }
}

interface PerUser {
  readonly sessionsEach: number
  readonly cpuMicros: readonly number[]
}

async function manySessionsEach(bench: Bench, scaled: Scaled | undefined, perRound: number): Promise<PerUser[]> {
  const results = PER_USER.map((sessionsEach) => ({ sessionsEach, cpuMicros: [] as number[] }))
  for (let round = 0; round <= bench.rounds && scaled !== undefined; round++) {
    bench.progress(`users with many sessions, round ${round} of ${bench.rounds}`)
    for (const { sessionsEach, cpuMicros } of results) {
      const users = Math.max(2, Math.round(perRound / sessionsEach))
      const from = 3 * BYSTANDERS + sessionsEach * 1_000_000 + round * perRound
      await scaled.process.call('signInUsers', { from, users, sessionsEach })
      const cpu = await scaled.process.call('endUsers', { from, users, sessionsEach })
      if (round > 0) cpuMicros.push(cpu)
    }
  }
  return results
}

interface Scan {
  readonly sessions: number
  readonly cpuMicros: number
}

async function withoutIndex(bench: Bench, sizes: readonly number[]): Promise<Scan[]> {
  const scans: Scan[] = []
  for (const sessions of sizes) {
    bench.progress(`store.all() and filter over ${sessions} sessions`)
    const process = bench.start<ScanProcess>('scan-process.ts')
    await process.call('fill', { sessions })
    const cpu: number[] = []
    for (let round = 0; round <= Math.min(bench.rounds, 5); round++) {
      const one = await process.call('end', { from: round * 2, users: 2 })
      if (round > 0) cpu.push(one)
    }
    process.stop()
    scans.push({ sessions, cpuMicros: median(cpu) })
  }
  return scans
}

function report(scaled: readonly Scaled[], perUser: readonly PerUser[], scans: readonly Scan[]): Section {
  const [smallest] = scaled
  const largest = scaled.at(-1)
  const ratio = (of: 'delivered' | 'terminated', each: Scaled) => medianRatio(each[of], smallest?.[of] ?? [])
  return {
    name: 'scale',
    tables: [
      {
        title: 'Bound sessions: what one more costs, and whether a logout notices',
        note: 'One logout by sid as a delivery (HTTP, signature and all) and one by sub without HTTP and signature, among so many other sessions in the memory store; processor time. Heap: of the bindings, their indexes and session ids (32 characters), without the sessions themselves.',
        columns: [
          'sessions',
          'heap B/session',
          'delivery CPU us',
          'vs fewest',
          'terminate CPU us',
          'vs fewest',
          'store.all() + filter CPU us',
        ],
        rows: scaled.map((each) => [
          each.sessions.toLocaleString('en'),
          each.bytesPerSession,
          median(each.delivered),
          ratio('delivered', each),
          median(each.terminated),
          ratio('terminated', each),
          scans.find(({ sessions }) => sessions === each.sessions)?.cpuMicros ?? 'not run',
        ]),
      },
      {
        title: 'Users with many sessions: one logout by sub',
        note: 'Without HTTP and signature; every session is marked, destroyed and unbound.',
        columns: ['sessions of the user', 'CPU us per logout', 'CPU us per session'],
        rows: perUser.map(({ sessionsEach, cpuMicros }) => [
          sessionsEach.toLocaleString('en'),
          median(cpuMicros),
          median(cpuMicros) / sessionsEach,
        ]),
      },
    ],
    targets: [
      {
        name: `${largest?.sessions} vs ${smallest?.sessions} sessions, CPU per logout`,
        unit: 'ratio',
        atLeast: 1.1,
        aim: 1.03,
        measured: largest === undefined ? Number.NaN : ratio('delivered', largest),
      },
      ...scaled
        .filter(({ sessions }) => sessions >= 100_000 || scaled.length === 1)
        .map(({ sessions, bytesPerSession }) => ({
          name: `heap per bound session, memory store, at ${sessions}`,
          unit: 'bytes',
          atLeast: 400,
          aim: 330,
          measured: bytesPerSession,
        })),
    ],
  }
}

// What every section needs: how much to measure, and processes that end with it.
import { type RunningPostgres, startPostgres } from '../test/servers/postgres.js'
import { type RunningRedis, startRedis } from '../test/servers/redis.js'
import type { Build } from './build.js'
import type { Series } from './comparison.js'
import type { Generator } from './generator.js'
import { type Commands, Remote } from './remote.js'
import { rotated, type Section } from './report.js'

/** A section that is measured in rounds, so that two builds can take turns in it. */
export interface RoundedSection {
  readonly name: string
  readonly warmUpRounds: number
  round(number: number, isCounted: boolean): Promise<void>
  report(): Section
  /** What is compared with another build. */
  series(): readonly Series[]
}

export interface BenchOptions {
  readonly rounds: number
  /** A few requests of everything: whether it works, not how fast it is. */
  readonly quick: boolean
  /** Whether measured processes leave a V8 processor profile behind. */
  readonly profile: boolean
  readonly build: Build
  /** Which of two builds it is, where two are compared. */
  readonly label?: string
}

/** The same section of one build or of several, which take turns in each round. */
export async function inTurns(sections: readonly RoundedSection[], bench: Bench): Promise<void> {
  const { name, warmUpRounds } = sections[0] ?? { name: '', warmUpRounds: 0 }
  for (let round = 0; round < warmUpRounds + bench.rounds; round++) {
    bench.progress(`${name}, round ${round - warmUpRounds + 1} of ${bench.rounds}`)
    for (const section of rotated(sections, round)) await section.round(round, round >= warmUpRounds)
  }
}

export class Bench {
  readonly rounds: number
  readonly #options: BenchOptions
  readonly #started: (() => void | Promise<void>)[] = []

  constructor(options: BenchOptions) {
    this.rounds = options.rounds
    this.#options = options
  }

  size(full: number, quick: number): number {
    return this.#options.quick ? quick : full
  }

  start<C extends Commands>(file: string, nodeOptions: readonly string[] = []): Remote<C> {
    const remote = Remote.start<C>(this.#options.build.file(file), nodeOptions)
    this.onEnd(() => remote.stop())
    return remote
  }

  /** A process that is measured. */
  startMeasured<C extends Commands>(file: string, label: string, nodeOptions: readonly string[] = []): Remote<C> {
    const name = `${[this.#options.label ?? [], label]
      .flat()
      .join(' ')
      .replaceAll(/[^a-z0-9]+/gi, '-')}.cpuprofile`
    const profile = ['--cpu-prof', '--cpu-prof-dir=bench/results/profiles', `--cpu-prof-name=${name}`]
    return this.start<C>(file, [...nodeOptions, ...(this.#options.profile ? profile : [])])
  }

  generator(): Remote<Generator> {
    return this.start<Generator>('generator.ts')
  }

  /** A Redis of this section's own. */
  async redis(): Promise<RunningRedis> {
    const redis = await startRedis()
    this.onEnd(() => redis.stop())
    return redis
  }

  /** A PostgreSQL of this section's own, without fsync: else the disk of this machine would be what is measured. */
  async postgres(): Promise<RunningPostgres> {
    const postgres = await startPostgres()
    this.onEnd(() => postgres.stop())
    return postgres
  }

  onEnd(stop: () => void | Promise<void>): void {
    this.#started.push(stop)
  }

  /** Ends what was started, the latest first. */
  async end(): Promise<void> {
    for (const stop of this.#started.splice(0).reverse()) await stop()
  }

  progress(sentence: string): void {
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${sentence}`)
    else process.stderr.write(`${sentence}\n`)
  }
}

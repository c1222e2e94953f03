// What every section needs: how much to measure, and processes that end with it.
import { type RunningPostgres, startPostgres } from '../test/servers/postgres.js'
import { type RunningRedis, startRedis } from '../test/servers/redis.js'
import type { Build } from './build.js'
import type { Generator } from './generator.js'
import { type Commands, Remote } from './remote.js'

export interface BenchOptions {
  readonly rounds: number
  /** A few requests of everything: whether it works, not how fast it is. */
  readonly quick: boolean
  /** Whether measured processes leave a V8 processor profile behind. */
  readonly profile: boolean
  readonly build: Build
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
    const name = `${label.replaceAll(/[^a-z0-9]+/gi, '-')}.cpuprofile`
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

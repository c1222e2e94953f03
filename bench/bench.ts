// What every section needs: how much to measure, and processes that end with it.
import type { Build } from './build.js'
import type { Generator } from './generator.js'
import { type Commands, Remote } from './remote.js'

export interface BenchOptions {
  readonly rounds: number
  /** A few requests of everything: whether it works, not how fast it is. */
  readonly quick: boolean
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

  generator(): Remote<Generator> {
    return this.start<Generator>('generator.ts')
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

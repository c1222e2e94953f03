// A hand scheduler: every step of every store waits until it is chosen, and all orders of choosing are tried. Knows no store.

/** What one interleaving brought to light. Empty: nothing was wrong. */
export type Findings = readonly string[]

export interface Enumeration {
  readonly interleavings: number
  /** Each kind of finding, in how many interleavings it came up, and the steps of the first of them. */
  readonly findings: ReadonlyMap<string, { readonly times: number; readonly steps: readonly string[] }>
}

/** Runs the scenario once for each order in which its concurrent steps can happen: depth first, by running it again. */
export async function everyInterleaving(scenario: (scheduler: Scheduler) => Promise<Findings>): Promise<Enumeration> {
  const findings = new Map<string, { times: number; steps: readonly string[] }>()
  let path: readonly number[] | undefined = []
  let interleavings = 0
  while (path !== undefined) {
    const scheduler: Scheduler = new Scheduler(path)
    for (const finding of new Set(await scenario(scheduler))) {
      const known = findings.get(finding)
      if (known === undefined) findings.set(finding, { times: 1, steps: scheduler.steps })
      else known.times++
    }
    interleavings++
    path = scheduler.nextPath()
  }
  return { interleavings, findings }
}

interface Choice {
  readonly taken: number
  readonly of: number
}

export class Scheduler {
  readonly #path: readonly number[]
  readonly #choices: Choice[] = []
  readonly #waiting: { readonly step: string; readonly go: () => void }[] = []
  readonly steps: string[] = []
  #enumerating = false

  constructor(path: readonly number[]) {
    this.#path = path
  }

  /** Called by a store before it does anything at all. */
  async step(step: string): Promise<void> {
    if (this.#enumerating) await new Promise<void>((go) => this.#waiting.push({ step, go }))
  }

  /** Runs the tasks at once, one step at a time, in the order of this run. Resolves when nothing is left to do. */
  async together(...tasks: readonly (() => Promise<unknown>)[]): Promise<void> {
    this.#enumerating = true
    const outcomes = Promise.allSettled(tasks.map((task) => task()))
    for (;;) {
      await untilIdle()
      if (this.#waiting.length === 0) break
      const taken = this.#path[this.#choices.length] ?? 0
      this.#choices.push({ taken, of: this.#waiting.length })
      const [chosen] = this.#waiting.splice(taken, 1)
      if (chosen === undefined) throw new Error('The scenario does not run the same way twice')
      this.steps.push(chosen.step)
      chosen.go()
    }
    this.#enumerating = false
    for (const outcome of await outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  /** The path of the run after this one, or `undefined` if this was the last. */
  nextPath(): readonly number[] | undefined {
    const last = this.#choices.findLastIndex(({ taken, of }) => taken + 1 < of)
    const choice = this.#choices[last]
    if (choice === undefined) return undefined
    return [...this.#choices.slice(0, last).map(({ taken }) => taken), choice.taken + 1]
  }
}

/** Nothing here waits for a timer or for input, so one turn of the event loop runs whatever can run. */
function untilIdle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

// A hand scheduler: every step of every store waits until it is chosen, and all orders of choosing are tried, or those
// of them that differ in more than the order of steps which have nothing to do with each other. Knows no store.

/** What one interleaving brought to light. Empty: nothing was wrong. */
export type Findings = readonly string[]

export interface Enumeration {
  readonly interleavings: number
  /** Each kind of finding, in how many interleavings it came up, and the steps of the first of them. */
  readonly findings: ReadonlyMap<string, { readonly times: number; readonly steps: readonly string[] }>
}

/** A step that waits to be done, and the node whose it is. */
export interface Step {
  readonly name: string
  readonly node: number
}

/** Whether two steps that could both be done now come to the same, whichever is done first. */
export type Independent = (one: Step, other: Step) => boolean

type Scenario = (scheduler: Scheduler) => Promise<Findings>

/**
 * Runs the scenario once for each order in which its concurrent steps can happen: depth first, by running it again.
 *
 * With `independent`, once at least for each set of orders that come to the same: what was tried first sleeps in the
 * branches beside it for as long as nothing is done there that it depends on, and a run in which all sleeps is one that
 * was run already (sleep sets, Godefroid 1996).
 */
export async function everyInterleaving(scenario: Scenario, independent?: Independent): Promise<Enumeration> {
  const findings = new Map<string, { times: number; steps: readonly string[] }>()
  let choices: Choice[] | undefined = []
  let interleavings = 0
  while (choices !== undefined) {
    const scheduler: Scheduler = new Scheduler(choices, independent)
    const found = await scenario(scheduler).catch((error: unknown) => {
      if (error === RUN_ALREADY) return undefined
      throw error
    })
    for (const finding of new Set(found)) {
      const known = findings.get(finding)
      if (known === undefined) findings.set(finding, { times: 1, steps: scheduler.steps })
      else known.times++
    }
    if (found !== undefined) interleavings++
    choices = scheduler.nextChoices()
  }
  return { interleavings, findings }
}

/** Thrown where nothing is left that was not tried elsewhere. */
const RUN_ALREADY = new Error('This order comes to the same as one that was run already')

interface Choice {
  taken: number
  readonly steps: readonly Step[]
  /** Of each step, whether a run with it was made already that comes to the same. */
  readonly asleep: boolean[]
}

export class Scheduler {
  readonly #choices: Choice[]
  readonly #independent: Independent | undefined
  #depth = 0
  readonly #waiting: (Step & { readonly go: () => void })[] = []
  readonly steps: string[] = []
  #enumerating = false

  constructor(choices: Choice[], independent: Independent | undefined) {
    this.#choices = choices
    this.#independent = independent
  }

  /** Called by a store before it does anything at all. */
  async step(name: string, node = 0): Promise<void> {
    if (this.#enumerating) await new Promise<void>((go) => this.#waiting.push({ name, node, go }))
  }

  /** Runs the tasks at once, one step at a time, in the order of this run. Resolves when nothing is left to do. */
  async together(...tasks: readonly (() => Promise<unknown>)[]): Promise<void> {
    this.#enumerating = true
    const outcomes = Promise.allSettled(tasks.map((task) => task()))
    let isRunAlready = false
    for (;;) {
      await untilIdle()
      if (this.#waiting.length === 0) break
      // To its end all the same: what is left half done would wait for its deadlines.
      const taken: number = isRunAlready ? 0 : this.#choose()
      isRunAlready = taken < 0 || isRunAlready
      const [chosen] = this.#waiting.splice(Math.max(0, taken), 1)
      if (chosen === undefined) throw new Error('The scenario does not run the same way twice')
      this.steps.push(chosen.name)
      chosen.go()
    }
    this.#enumerating = false
    for (const outcome of await outcomes) {
      if (outcome.status === 'rejected' && !isRunAlready) throw outcome.reason
    }
    if (isRunAlready) throw RUN_ALREADY
  }

  /** Which of those that wait, or -1 where each of them sleeps. */
  #choose(): number {
    const known = this.#choices[this.#depth]
    if (known === undefined) {
      const steps = this.#waiting.map(({ name, node }) => ({ name, node }))
      const asleep = this.#asleepAfter(this.#choices[this.#depth - 1], steps.length)
      const taken = asleep.indexOf(false)
      if (taken < 0) return -1
      this.#choices.push({ taken, steps, asleep })
    }
    return this.#choices[this.#depth++]?.taken ?? -1
  }

  /** What slept before a choice sleeps after it where that choice was nothing to it. What came by it is awake. */
  #asleepAfter(before: Choice | undefined, length: number): boolean[] {
    const asleep: boolean[] = Array.from({ length }, () => false)
    const chosen = before?.steps[before.taken]
    if (before === undefined || chosen === undefined || this.#independent === undefined) return asleep
    for (const [i, step] of before.steps.entries()) {
      if (i === before.taken || !before.asleep[i]) continue
      asleep[i < before.taken ? i : i - 1] = this.#independent(step, chosen)
    }
    return asleep
  }

  /** The choices of the run after this one, or `undefined` if this was the last. */
  nextChoices(): Choice[] | undefined {
    for (let choice = this.#choices.at(-1); choice !== undefined; choice = this.#choices.at(-1)) {
      choice.asleep[choice.taken] = true
      choice.taken = choice.asleep.indexOf(false)
      if (choice.taken >= 0) return this.#choices
      this.#choices.pop()
    }
    return undefined
  }
}

/** Nothing here waits for a timer or for input, so one turn of the event loop runs whatever can run. */
function untilIdle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

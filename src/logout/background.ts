// What could not be done now and must be: kept, and tried again for a bounded time. Knows nothing of what a job is.
import { monotonicSeconds } from '../deadline.js'

/**
 * Lets in a few at a time: a store that comes back must not be met by every waiting job at once. `onWait` hears that
 * the work has to wait; where it throws, the work does not, and is not done.
 */
export type Turns = <T>(work: () => Promise<T>, onWait?: () => void) => Promise<T>

export interface BackgroundOptions<Job> {
  /**
   * One more attempt; resolves to whether the job is done. `closed`: there is no more to do, and that says nothing of
   * what others wait for. Never rejects. What it does within `turns` should be short: other jobs wait for that, and for
   * nothing else.
   */
  readonly attempt: (job: Job, turns: Turns) => Promise<boolean | 'closed'>
  /** What a job waits for, where not all wait for the same: whoever waits for another hears nothing of its success. */
  readonly waitsFor?: (job: Job) => string
  /** The job is given up: its time is over. */
  readonly abandon: (job: Job) => void
  readonly firstDelaySeconds: number
  readonly maxDelaySeconds: number
  /** How long after it was begun, or else after its first failure, a job is given up. */
  readonly giveUpAfterSeconds: number
}

/** Turns at one time. */
const TURNS = 4

interface Kept {
  readonly giveUpAt: number
  delaySeconds: number
  timer?: NodeJS.Timeout | undefined
}

/**
 * Each job has its own timer and waits twice as long after each failure, so that one which hangs delays no other. After
 * a success all start over that wait for the same: it is probably back. No timer keeps the process alive.
 */
export class Background<Job extends object> {
  readonly #options: BackgroundOptions<Job>
  readonly #turns = takingTurns(TURNS)
  readonly #jobs = new Map<Job, Kept>()
  #closed = false

  constructor(options: BackgroundOptions<Job>) {
    this.#options = options
  }

  /**
   * Keeps a job for later; one that is kept already keeps its first deadline. Returns whether it will be tried again.
   * `begunAt`: by the monotonic clock; default: now.
   */
  add(job: Job, begunAt?: number): boolean {
    const { giveUpAfterSeconds, firstDelaySeconds } = this.#options
    if (this.#closed || giveUpAfterSeconds === 0) return false
    if (this.#jobs.has(job)) return true
    const now = monotonicSeconds()
    const kept = { giveUpAt: (begunAt ?? now) + giveUpAfterSeconds, delaySeconds: firstDelaySeconds }
    if (kept.giveUpAt <= now) return false
    this.#jobs.set(job, kept)
    this.#schedule(job, kept)
    return true
  }

  /** Jobs kept for later. */
  get size(): number {
    return this.#jobs.size
  }

  /** The job was finished elsewhere. */
  remove(job: Job): void {
    clearTimeout(this.#jobs.get(job)?.timer)
    this.#jobs.delete(job)
  }

  /** Stops trying. Returns the jobs that were waiting. */
  close(): readonly Job[] {
    this.#closed = true
    const jobs = [...this.#jobs.keys()]
    for (const job of jobs) this.remove(job)
    return jobs
  }

  #schedule(job: Job, kept: Kept): void {
    kept.timer = setTimeout(() => void this.#try(job, kept), kept.delaySeconds * 1000)
    kept.timer.unref()
  }

  async #try(job: Job, kept: Kept): Promise<void> {
    const { attempt, abandon, maxDelaySeconds } = this.#options
    kept.timer = undefined
    const done = await attempt(job, this.#turns)
    if (this.#jobs.get(job) !== kept) return
    if (done) {
      this.#jobs.delete(job)
      if (done !== 'closed') this.#startOver(job, kept)
    } else if (monotonicSeconds() >= kept.giveUpAt) {
      this.#jobs.delete(job)
      abandon(job)
    } else {
      kept.delaySeconds = Math.min(kept.delaySeconds * 2, maxDelaySeconds)
      this.#schedule(job, kept)
    }
  }

  /** Only after one that had been waiting for long: else each of many successes would walk through all of them. */
  #startOver(done: Job, { delaySeconds }: Kept): void {
    const { firstDelaySeconds, waitsFor = () => '' } = this.#options
    if (delaySeconds === firstDelaySeconds) return
    const back = waitsFor(done)
    for (const [job, other] of this.#jobs) {
      if (other.timer === undefined || other.delaySeconds === firstDelaySeconds || waitsFor(job) !== back) continue
      clearTimeout(other.timer)
      other.delaySeconds = firstDelaySeconds
      this.#schedule(job, other)
    }
  }
}

/** At most so many at one time; the others wait in the order they came. */
export function takingTurns(atOneTime: number): Turns {
  let free = atOneTime
  const waiting: (() => void)[] = []
  return async (work, onWait) => {
    if (free > 0) free--
    else {
      onWait?.()
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next === undefined) free++
      else next()
    }
  }
}

/** As `Turns`, by key. */
export type TurnsByKey = <T>(key: string, work: () => Promise<T>, onWait?: () => void) => Promise<T>

/** At most so many at one time for each key; nobody waits for another key. */
export function takingTurnsByKey(atOneTime: number): TurnsByKey {
  const byKey = new Map<string, { readonly turns: Turns; users: number }>()
  return async (key, work, onWait) => {
    const one = byKey.get(key) ?? { turns: takingTurns(atOneTime), users: 0 }
    byKey.set(key, one)
    one.users++
    try {
      return await one.turns(work, onWait)
    } finally {
      one.users--
      if (one.users === 0) byKey.delete(key)
    }
  }
}

/** Runs `work` over all items, so many at a time. `work` must not reject. */
export async function inParallel<T>(
  width: number,
  items: readonly T[],
  work: (item: T) => Promise<unknown>,
): Promise<void> {
  if (items.length <= width) {
    await Promise.all(items.map(work))
    return
  }
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: width }, worker))
}

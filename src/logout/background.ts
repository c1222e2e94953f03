// Logouts that were verified and could not be finished: kept, denied meanwhile, and tried again for a bounded time.

export interface BackgroundOptions<Job> {
  /** One more attempt; resolves to whether the job is done. Never rejects. */
  readonly attempt: (job: Job) => Promise<boolean>
  /** The job is given up: its time is over. */
  readonly abandon: (job: Job) => void
  readonly clock: () => number
  readonly firstDelaySeconds: number
  readonly maxDelaySeconds: number
  /** How long after its first failure a job is given up. */
  readonly giveUpAfterSeconds: number
}

/** Attempts at one time: a store that comes back must not be met by every waiting logout at once. */
const CONCURRENCY = 4

/**
 * One timer for all jobs. It waits twice as long after each round in which nothing succeeded, and starts over after a
 * success; it does not keep the process alive.
 */
export class Background<Job extends object> {
  readonly #options: BackgroundOptions<Job>
  readonly #deadlines = new Map<Job, number>()
  #delaySeconds: number
  #timer: NodeJS.Timeout | undefined
  #closed = false

  constructor(options: BackgroundOptions<Job>) {
    this.#options = options
    this.#delaySeconds = options.firstDelaySeconds
  }

  /**
   * Keeps a job for later; one that is kept already keeps its first deadline. Returns whether it will be tried again.
   */
  add(job: Job): boolean {
    if (this.#closed || this.#options.giveUpAfterSeconds === 0) return false
    if (!this.#deadlines.has(job)) {
      this.#deadlines.set(job, this.#options.clock() + this.#options.giveUpAfterSeconds)
    }
    this.#schedule()
    return true
  }

  /** Jobs kept for later. */
  get size(): number {
    return this.#deadlines.size
  }

  /** The job was finished elsewhere. */
  remove(job: Job): void {
    this.#deadlines.delete(job)
  }

  /** Stops trying: what has its mark in the store stays denied, what has not is forgotten with this process. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#deadlines.clear()
  }

  #schedule(): void {
    if (this.#closed || this.#timer !== undefined || this.#deadlines.size === 0) return
    this.#timer = setTimeout(() => void this.#round(), this.#delaySeconds * 1000)
    this.#timer.unref()
  }

  async #round(): Promise<void> {
    const { attempt, abandon, clock, firstDelaySeconds, maxDelaySeconds } = this.#options
    let succeeded = false
    await inParallel(CONCURRENCY, [...this.#deadlines], async ([job, deadline]) => {
      if (await attempt(job)) {
        succeeded = true
        this.#deadlines.delete(job)
      } else if (clock() >= deadline && this.#deadlines.delete(job)) {
        abandon(job)
      }
    })
    this.#delaySeconds = succeeded ? firstDelaySeconds : Math.min(this.#delaySeconds * 2, maxDelaySeconds)
    if (this.#deadlines.size === 0) this.#delaySeconds = firstDelaySeconds
    this.#timer = undefined
    this.#schedule()
  }
}

/** Runs `work` over all items, so many at a time. `work` must not reject. */
export async function inParallel<T>(
  width: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
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

// Measures for how long a user is still let in: every door is used in every way, over and over, and each use is dated
// by its start.
import { setTimeout as delay } from 'node:timers/promises'
import { type Browser, PLACES, type Place, type Site, WAYS, type Way } from './site.js'

/** Sixteen doors are used at once, by one process that is measured as well: more often would be load, not a finer look. */
const PAUSE_MS = 100

interface Observed {
  readonly place: Place
  readonly way: Way
  /** When the last use that was let in began. */
  lastServed: number
  /** The last answer was a refusal, neither an entry nor the lack of a verdict. */
  isRefused: boolean
}

export class Watch {
  readonly #observed: readonly Observed[]
  readonly #loops: Promise<unknown>
  #isOver = false

  /** Uses the browsers in turn. */
  constructor(site: Site, browsers: readonly Browser[]) {
    this.#observed = PLACES.flatMap((place) =>
      WAYS.map((way) => ({ place, way, lastServed: Number.NEGATIVE_INFINITY, isRefused: false })),
    )
    const loop = async (each: Observed, index: number) => {
      for (let i = index; !this.#isOver; i++) {
        const browser = browsers[i % browsers.length]
        if (browser === undefined) throw new Error('nobody to watch')
        const begun = performance.now()
        const status = await site.use(each.place, browser, each.way)
        if (status === 200) each.lastServed = begun
        each.isRefused = status === 401
        await delay(PAUSE_MS)
      }
    }
    this.#loops = Promise.all(this.#observed.map(loop))
  }

  /** Whether the user is refused at each of these doors, in both ways. */
  isRefusedAt(matches: (place: Place) => boolean): boolean {
    return this.#observed.every(({ place, isRefused }) => !matches(place) || isRefused)
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#loops
  }

  /** Seconds after `since` at which the last use that was let in began: at the worst of these doors, at least 0. */
  worst(since: number, matches: (place: Place) => boolean): number {
    const late = this.#observed.filter(({ place }) => matches(place)).map(({ lastServed }) => lastServed - since)
    return Math.max(0, ...late) / 1000
  }
}

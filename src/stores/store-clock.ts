// What o'clock it is at the store, as far as its replies tell. Marks and bindings are dated by that one clock; an RP's
// own clock is never compared with it unless the difference is known.
import { monotonicSeconds } from '../deadline.js'

/** For how long a difference that was learned is believed: clocks drift, and are set. */
const BELIEVED_SECONDS = 60
/** By how much the RP's clock may have been set or slewed in that time. */
const SET_SECONDS = 0.02

/** A moment by an RP's clock, to be told by a store's clock later: the former may have been set by then. */
export interface Moment {
  readonly at: number
  /** RP clock minus monotonic clock. */
  readonly offset: number
}

interface Learned {
  /** Store clock minus RP clock, at least and at most. */
  readonly least: number
  readonly most: number
  readonly at: number
  /** RP clock minus monotonic clock: another one now means that the RP's clock was set. */
  readonly offset: number
}

export class StoreClock {
  readonly #clock: () => number
  #learned: Learned | undefined

  constructor(clock: () => number) {
    this.#clock = clock
  }

  /** So many seconds ago; when a call begins, to be given to `learn` with its reply. */
  moment(secondsAgo = 0): Moment {
    const now = this.#clock()
    return { at: now - secondsAgo, offset: now - monotonicSeconds() }
  }

  /**
   * A reply to a call that began at `begun` said what o'clock it was at the store. The narrower bound is kept. It says
   * nothing where the RP's clock was set forward meanwhile, or back beyond where the call began.
   */
  learn(now: number, begun: Moment): void {
    const ended = this.moment()
    const wasSetForward = ended.offset - begun.offset > SET_SECONDS
    if (!(Number.isFinite(now) && ended.at >= begun.at) || wasSetForward) return
    const learned = { least: now - ended.at, most: now - begun.at, at: monotonicSeconds(), offset: ended.offset }
    const known = this.#known()
    if (known === undefined || learned.most - learned.least <= known.most - known.least) this.#learned = learned
  }

  isKnown(): boolean {
    return this.#known() !== undefined
  }

  /** The earliest that it can have been at the store when it was `at` by this RP's clock. Absent: not known. */
  earliest(at: number): number | undefined {
    const known = this.#known()
    return known && at + known.least
  }

  /** The latest that it can have been at the store at that moment; without end where that is not known. */
  latest({ at, offset }: Moment = this.moment()): number {
    const known = this.#known()
    if (known === undefined) return Number.POSITIVE_INFINITY
    const setBy = this.moment().offset - offset
    return at + (setBy < -SET_SECONDS ? setBy : Math.max(0, setBy)) + known.most
  }

  /** An expiry by the store's clock that is so many seconds away at least, as far as is known. */
  expiry(seconds: number): number {
    const known = this.#known()
    return this.#clock() + Math.max(0, known?.most ?? 0) + seconds
  }

  #known(): Learned | undefined {
    const learned = this.#learned
    if (learned === undefined) return undefined
    const wasSet = Math.abs(this.moment().offset - learned.offset) > SET_SECONDS
    return wasSet || monotonicSeconds() - learned.at > BELIEVED_SECONDS ? undefined : learned
  }
}

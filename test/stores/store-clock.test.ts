// What is known of the clock of a store: bounds, never a guess, and nothing once the own clock was set.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { StoreClock } from '../../src/stores/store-clock.js'

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000, toFake: ['Date', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})
const pass = (seconds: number) => vi.advanceTimersByTime(seconds * 1000)

/** A store whose clock is so far ahead, and whose replies take so long, all of it on the way back. */
function learned(ahead: number, takes: number) {
  let set = 0
  const clock = new StoreClock(() => Date.now() / 1000 + set)
  const ask = (seconds: number) => {
    const begun = clock.moment()
    const now = Date.now() / 1000 + ahead
    pass(seconds)
    clock.learn(now, begun)
  }
  ask(takes)
  const setBy = (seconds: number) => {
    set += seconds
  }
  return { clock, ask, setBy, now: () => Date.now() / 1000 + set }
}

describe('StoreClock', () => {
  it('knows nothing before a reply: no earliest, no latest', () => {
    const clock = new StoreClock(() => 7)
    expect([clock.isKnown(), clock.earliest(7), clock.latest()]).toEqual([false, undefined, Number.POSITIVE_INFINITY])
    expect(clock.expiry(60)).toBe(67)
  })

  it('bounds the difference by how long the reply took', () => {
    const { clock, now } = learned(300, 2)
    expect(clock.earliest(now())).toBeCloseTo(now() + 298)
    expect(clock.latest()).toBeCloseTo(now() + 300)
    expect(clock.expiry(60)).toBeCloseTo(now() + 360)
  })

  it('keeps the narrower of two bounds', () => {
    const { clock, ask, now } = learned(300, 0.1)
    ask(5)
    expect(clock.earliest(now())).toBeCloseTo(now() + 299.9)
  })

  it('learns nothing from a reply in whose time the own clock was set forward', () => {
    let set = -60
    const clock = new StoreClock(() => Date.now() / 1000 + set)
    const begun = clock.moment()
    set = 0
    clock.learn(Date.now() / 1000 + 300, begun)
    expect(clock.isKnown()).toBe(false)
    clock.learn(Date.now() / 1000 + 300, clock.moment())
    expect(clock.latest()).toBeCloseTo(Date.now() / 1000 + 300)
  })

  it('tells a moment of before the own clock was set', () => {
    const { clock, ask, setBy } = learned(300, 0)
    const [moment, at] = [clock.moment(), Date.now() / 1000]
    pass(10)
    setBy(-40)
    expect(clock.latest(moment)).toBe(Number.POSITIVE_INFINITY)
    ask(0)
    expect(clock.latest(moment)).toBeCloseTo(at + 300)
    expect(clock.latest(clock.moment(5))).toBeCloseTo(at + 305)
  })

  it('never shortens an expiry for a store that is behind', () => {
    const { clock, now } = learned(-300, 0)
    expect(clock.expiry(60)).toBe(now() + 60)
  })

  it('forgets after a minute, and at once where the own clock was set', () => {
    const old = learned(300, 0)
    pass(59)
    expect(old.clock.isKnown()).toBe(true)
    pass(2)
    expect(old.clock.isKnown()).toBe(false)
    const { clock, setBy } = learned(300, 0)
    setBy(-1)
    expect(clock.isKnown()).toBe(false)
  })
})

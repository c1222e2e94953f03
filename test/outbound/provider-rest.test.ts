import { expect, it } from 'vitest'
import { ProviderRest } from '../../src/outbound/provider-rest.js'

function world() {
  const at = { now: 1_000_000 }
  const rest = new ProviderRest(
    () => at.now,
    () => 0,
  )
  const fail = (retryAfterSeconds?: number) => rest.begin()?.failed(retryAfterSeconds)
  const mayAsk = () => {
    const pass = rest.begin()
    pass?.notAsked()
    return pass !== undefined
  }
  return { at, rest, fail, mayAsk }
}

it('a clock that goes back makes no rest longer, whether by a second or by a year', () => {
  for (const back of [1, 360, 899, 901, 1e6, 3e7]) {
    const { at, fail, mayAsk } = world()
    fail()
    at.now -= back
    expect(mayAsk()).toBe(false)
    at.now += 1
    expect(mayAsk()).toBe(true)
  }
})

it('nor is the time that a provider has named forgotten for it, where an answer to an earlier question comes', () => {
  const { at, rest, fail, mayAsk } = world()
  const earlier = rest.begin()
  fail(120)
  at.now -= 360
  earlier?.answered()
  expect(mayAsk()).toBe(false)
  at.now += 119
  expect(mayAsk()).toBe(false)
  at.now += 1
  expect(mayAsk()).toBe(true)
})

it('questions that were under way together and fail are one failure: the next rest is twice the first', () => {
  const { at, rest, fail, mayAsk } = world()
  const together = Array.from({ length: 32 }, () => rest.begin())
  for (const pass of together) pass?.failed()
  at.now += 1
  expect(mayAsk()).toBe(true)
  fail()
  at.now += 1
  expect(mayAsk()).toBe(false)
  at.now += 1
  expect(mayAsk()).toBe(true)
})

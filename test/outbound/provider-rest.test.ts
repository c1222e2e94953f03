import { expect, it } from 'vitest'
import { ProviderRest, ProviderRests } from '../../src/outbound/provider-rest.js'

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

it('a time that a provider has named is not forgotten where an answer to an earlier question comes', () => {
  const { at, rest, fail, mayAsk } = world()
  const earlier = rest.begin()
  fail(120)
  at.now += 1
  earlier?.answered()
  expect(mayAsk()).toBe(false)
  at.now += 118
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

it('of several issuers those are forgotten whose rest is over, and no other', () => {
  let now = 0
  const rests = new ProviderRests(
    () => now,
    () => 0,
  )
  const mayAsk = (issuer: string) => {
    const pass = rests.begin(issuer)
    pass?.notAsked()
    return pass !== undefined
  }
  rests.begin('asks for a pause')?.failed(900)
  rests.begin('is away')?.failed()
  for (now = 1; now < 900; now++) {
    rests.forgetOver()
    expect([mayAsk('asks for a pause'), mayAsk('is away')]).toEqual([false, true])
  }
  expect(mayAsk('asks for a pause')).toBe(true)
})

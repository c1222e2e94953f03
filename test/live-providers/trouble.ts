// A provider in trouble, or in haste: an RP that refuses, fails or is slow, keys that change, a login under way at the
// logout.
import { expect, it, vi } from 'vitest'
import { answered, DEADLINE, deliveriesOf, type Live, optionsOf, untilSignedOut, whyRefused } from './live.js'
import type { LiveProvider } from './live-provider.js'

export function describeTrouble(provider: LiveProvider, live: () => Live): void {
  const { delivering } = provider

  it(`an RP that refuses (400) is told ${times(delivering.triesOn400)}, and the user stays signed in there`, async () => {
    const { rps, signedIn, logOut } = live()
    const { browser, sid } = await signedIn('alice')
    rps.b.fault = { kind: 'refuse', status: 400 }
    await logOut(browser, rps.a, 'alice')
    await vi.waitFor(() => expect(deliveriesOf(rps.b, sid)).toHaveLength(delivering.triesOn400), DEADLINE)
    expect(await rps.b.me(browser)).toBeDefined()
    await afterwardsNothing(live, sid, delivering.triesOn400)
  })

  it(`an RP whose session store fails once is told ${times(delivering.triesOnFailure)}, and the user is out in the end`, async () => {
    const { rps, signedIn, logOut } = live()
    const { browser, sid } = await signedIn('alice')
    rps.b.sessions.destroysThatFail = 1
    await logOut(browser, rps.a, 'alice')
    const { status } = await answered(rps.b, sid)
    expect(status).toBe(optionsOf(provider).transientFailureStatus ?? 400)
    await untilSignedOut(rps.b, browser)
    const heard = () => deliveriesOf(rps.b, sid)
    await vi.waitFor(() => expect(heard()).toHaveLength(delivering.triesOnFailure), DEADLINE)
    if (delivering.triesOnFailure > 1) {
      expect(new Set(heard().map(({ payload }) => payload.jti)).size).toBe(1)
      await vi.waitFor(() => expect(heard().at(-1)?.status).toBe(200), DEADLINE)
    }
  })

  const { hangsUpAfterSeconds } = delivering
  const patience = hangsUpAfterSeconds === undefined ? 'is waited for' : `is left after ${hangsUpAfterSeconds} s`
  it(`an RP that is slow ${patience}, and the user is out in the end`, async () => {
    const { rps, signedIn, logOut } = live()
    const { browser, sid } = await signedIn('alice')
    rps.b.fault = { kind: 'slow' }
    const loggedOut = logOut(browser, rps.a, 'alice').then(() => 'logged out' as const)
    const [arrived] = await vi.waitFor(() => {
      expect(deliveriesOf(rps.b, sid)).toHaveLength(1)
      return deliveriesOf(rps.b, sid)
    }, DEADLINE)
    const first = await Promise.race([loggedOut, halfASecond()])
    expect(first === 'logged out').toBe(!delivering.userWaits)
    if (hangsUpAfterSeconds !== undefined) {
      await vi.waitFor(() => expect(arrived?.hungUp).toBe(true), DEADLINE)
      const seconds = (Date.now() - (arrived?.arrivedAtMs ?? 0)) / 1000
      expect(seconds).toBeGreaterThan(hangsUpAfterSeconds - 0.5)
      expect(seconds).toBeLessThan(hangsUpAfterSeconds + 2.5)
    }
    rps.b.release()
    await loggedOut
    await untilSignedOut(rps.b, browser)
  })

  it('an RP that keeps its promise: what it answered 200 is not sent again', async () => {
    const { rps, signedIn, logOut } = live()
    const { browser, sid } = await signedIn('alice')
    await logOut(browser, rps.a, 'alice')
    await untilSignedOut(rps.b, browser)
    await afterwardsNothing(live, sid, 1)
  })

  const { newKey } = delivering
  it(`signing keys that change at the moment of the logout: the first token by the new key is ${newKey}, and the user is out`, async () => {
    const { rps, rotateKeys, endAfterRotation, signedIn, logOut } = live()
    const scene = await signedIn('alice')
    const { browser } = scene
    await logOut((await signedIn('bob')).browser, rps.a, 'bob')
    const before = (await answered(rps.b)).header.kid
    rps.b.reset()
    await rotateKeys()
    await (endAfterRotation?.(scene) ?? logOut(browser, rps.a, 'alice'))
    const { header, status } = await answered(rps.b)
    await untilSignedOut(rps.b, browser)
    expect(header.kid).not.toBe(before)
    expect(status, whyRefused(rps.b)).toBe(
      newKey === 'taken' ? 200 : (optionsOf(provider).transientFailureStatus ?? 400),
    )
  })
}

/** Whatever would still come of the last act has come when somebody else's logout, begun after it, is done. */
async function afterwardsNothing(live: () => Live, sid: string, sofar: number): Promise<void> {
  const { rps, signedIn, logOut } = live()
  rps.b.fault = undefined
  const later = await signedIn('bob')
  await logOut(later.browser, rps.a, 'bob')
  await untilSignedOut(rps.b, later.browser)
  await answered(rps.b, later.sid)
  expect(deliveriesOf(rps.b, sid)).toHaveLength(sofar)
}

/** As long as the slowest provider that does not wait has ever taken, many times over. */
const halfASecond = () => new Promise<undefined>((resolve) => setTimeout(resolve, 500, undefined))

const times = (n: number) => (n === 1 ? 'once' : `${n} times`)

export function describeUnderWay(provider: LiveProvider, live: () => Live): void {
  const { codeAfterLogout } = provider.delivering
  it(`a code that was issued before the logout and redeemed after it: ${codeAfterLogout}`, async () => {
    const { rps, browser: open, signIn, logOut } = live()
    const browser = open('alice')
    await signIn(browser, rps.a, 'alice')
    browser.holdAt = `${rps.b.origin}/callback`
    const held = await signIn(browser, rps.b, 'alice')
    browser.holdAt = undefined
    expect(held.url).toContain('code=')
    await logOut(browser, rps.a, 'alice')
    await untilSignedOut(rps.a, browser)
    // In a later second than the Logout Token's: in the same one, the dates alone would end the login.
    const loggedOutAt = Math.floor(Date.now() / 1000)
    await vi.waitFor(() => expect(Math.floor(Date.now() / 1000)).toBeGreaterThan(loggedOutAt), DEADLINE)
    await browser.get(held.url)
    const ended = rps.b.events.some((event) => event.type === 'bound' && event.ended)
    const signedIn = await rps.b.me(browser)
    const outcome = ended ? 'ended by the mark' : 'refused by the provider'
    expect(signedIn ? 'signed in, for nothing was sent' : outcome).toBe(codeAfterLogout)
    if (signedIn) expect(deliveriesOf(rps.b, signedIn.sid ?? '')).toEqual([])
  })
}

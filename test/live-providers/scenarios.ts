// What must hold at every OpenID Provider, through the example's RP with that provider's preset; where a provider differs, the
// difference is stated in its own file and asserted here.
import { type ProviderOptions, preset } from 'oidc-backchannel-logout'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { describeWhere } from './cache.js'
import type { LiveBrowser } from './live-browser.js'
import type { LiveProvider, LiveRps, RunningProvider, Scene, User } from './live-provider.js'
import { type Delivery, LiveRp } from './live-rp.js'
import { recordSeen, recordShape } from './seen.js'

/** Everything that a test needs of a provider that runs. */
export interface Live extends RunningProvider {
  readonly rps: LiveRps
  /** A browser in which this user is signed in at `a` and at `b`. */
  signedIn(user: User): Promise<Scene>
}

const DEADLINE = { timeout: 15_000, interval: 50 }

/** Registers the scenarios that are common to all, then those of `more`. */
export function describeProvider(provider: LiveProvider, more: (live: () => Live) => void = () => {}): void {
  describeLive(provider, (running) => {
    describeEnding(provider, running)
    describeActs(provider, running)
    describeOptions(provider, running)
    describeTrouble(provider, running)
    describeUnderWay(provider, running)
    more(running)
    afterAll(() => recordSeen(provider))
  })
}

/** The same provider registered in another way: only what differs by the registration, which is belief. */
export function describeRegistration(provider: LiveProvider, more: (live: () => Live) => void = () => {}): void {
  describeLive(provider, (running) => {
    describeEnding(provider, running)
    describeOptions(provider, running)
    more(running)
  })
}

function describeLive(provider: LiveProvider, scenarios: (live: () => Live) => void): void {
  const { name, version, circumstance } = provider
  describeWhere(provider.needs)([name, version, circumstance].filter(Boolean).join(', '), () => {
    let live: Live | undefined
    const running = (): Live => {
      if (live === undefined) throw new Error(`${provider.name} did not start`)
      return live
    }
    beforeAll(async () => {
      live = await startLive(provider)
    })
    afterEach(() => {
      for (const rp of everyRp(live?.rps)) rp.reset()
    })
    afterAll(async () => {
      await Promise.all(everyRp(live?.rps).map((rp) => rp.close()))
      await live?.stop()
    })
    scenarios(running)
  })
}

async function startLive(provider: LiveProvider): Promise<Live> {
  const withoutSid = provider.shape.sidIfNotRequired !== undefined ? await LiveRp.listen() : undefined
  const rps = { a: await LiveRp.listen(), b: await LiveRp.listen(), withoutSid }
  const started = await provider.start(rps)
  for (const [name, credentials] of Object.entries(started.credentials)) {
    await rps[name as keyof LiveRps]?.open(started.issuer, credentials, optionsOf(provider))
  }
  return {
    ...started,
    rps,
    async signedIn(user) {
      const browser = started.browser(user)
      await started.signIn(browser, rps.a, user)
      await started.signIn(browser, rps.b, user)
      const { sid = '' } = (await rps.b.me(browser)) ?? {}
      expect({ a: await rps.a.me(browser), b: await rps.b.me(browser) }, whyNot(rps)).toEqual({
        a: expect.anything(),
        b: expect.anything(),
      })
      return { rps, user, browser, sid }
    },
  }
}

/** The RPs as a provider registers them. */
export function clientsOf({ a, b, withoutSid }: LiveRps) {
  const client = (name: keyof LiveRps, rp: LiveRp, sidRequired: boolean) => {
    const { origin, receiver } = rp
    return { name, origin, receiver, sidRequired }
  }
  return [
    client('a', a, true),
    client('b', b, true),
    ...(withoutSid === undefined ? [] : [client('withoutSid', withoutSid, false)]),
  ]
}

const whyNot = (rps: LiveRps) =>
  everyRp(rps)
    .flatMap(({ signInErrors }) => signInErrors.map(String))
    .join('; ')

function everyRp(rps: LiveRps | undefined): LiveRp[] {
  return [rps?.a, rps?.b, rps?.withoutSid].filter((rp) => rp !== undefined)
}

export function optionsOf({ preset: name, registered }: LiveProvider): Omit<ProviderOptions, 'issuer' | 'clientId'> {
  return { ...(name === undefined ? {} : preset(name)), ...registered }
}

export async function untilSignedOut(rp: LiveRp, browser: LiveBrowser): Promise<void> {
  await vi.waitFor(async () => expect(await rp.me(browser)).toBeUndefined(), DEADLINE)
}

/** Of a session: some providers tell of others of that user as well, such as one that an earlier test left. */
const deliveriesOf = (rp: LiveRp, sid: string) => rp.deliveries.filter(({ payload }) => (payload.sid ?? sid) === sid)

/** The first Logout Token that this RP has answered, of that session if one is named. */
export function answered(rp: LiveRp, sid?: string): Promise<Delivery> {
  return vi.waitFor(() => {
    const heard = sid === undefined ? rp.deliveries : deliveriesOf(rp, sid)
    const delivery = heard.find(({ status }) => status !== undefined)
    if (delivery === undefined) throw new Error(`no Logout Token was answered at ${rp.origin}`)
    return delivery
  }, DEADLINE)
}

function describeEnding(provider: LiveProvider, live: () => Live): void {
  const { shape, delivering, circumstance = 'session required' } = provider

  it('the user logs out at one RP: both end, old cookies stay dead, and signing in again at once works', async () => {
    const { rps, signedIn, logOut, signIn } = live()
    const { browser, sid } = await signedIn('alice')
    const old = browser.copy()
    await logOut(browser, rps.a, 'alice')
    const delivery = await answered(rps.b, sid)
    await untilSignedOut(rps.b, old)
    expect(delivery.status).toBe(200)
    expect(await rps.a.me(old)).toBeUndefined()
    expect(rps.a.deliveries.length > 0).toBe(delivering.tellsInitiator)
    expect(shapeOf(delivery)).toEqual({ ...shape, sidIfNotRequired: undefined })
    recordShape(provider, optionsOf(provider), circumstance, delivery)

    await signIn(browser, rps.b, 'alice')
    expect(await rps.b.me(browser), whyNot(rps)).toBeDefined()
    expect(await rps.b.me(old)).toBeUndefined()
  })

  it(`one of two browsers: ${delivering.endsEveryBrowser ? 'both end' : 'the other stays'}, and another user too`, async () => {
    const { rps, signedIn, logOut } = live()
    const here = await signedIn('alice')
    const there = await signedIn('alice')
    const bob = await signedIn('bob')
    await logOut(here.browser, rps.a, 'alice')
    await untilSignedOut(rps.b, here.browser)
    if (delivering.endsEveryBrowser) await untilSignedOut(rps.b, there.browser)
    else expect(await rps.b.me(there.browser)).toBeDefined()
    expect(await rps.b.me(bob.browser)).toBeDefined()
    await logOut(bob.browser, rps.a, 'bob')
    await untilSignedOut(rps.b, bob.browser)
  })

  if (provider.shape.sidIfNotRequired !== undefined) {
    it('a client that did not ask for a sid: the user is out in every browser', async () => {
      const { rps, signedIn, signIn, logOut } = live()
      const { withoutSid } = rps
      if (withoutSid === undefined) throw new Error('no such client')
      const here = await signedIn('alice')
      const there = await signedIn('alice')
      for (const { browser } of [here, there]) await signIn(browser, withoutSid, 'alice')
      await logOut(here.browser, rps.a, 'alice')
      const delivery = await answered(withoutSid)
      await untilSignedOut(withoutSid, here.browser)
      expect(typeof delivery.payload.sid === 'string').toBe(shape.sidIfNotRequired)
      if (shape.sidIfNotRequired && !delivering.endsEveryBrowser) {
        expect(await withoutSid.me(there.browser)).toBeDefined()
      } else await untilSignedOut(withoutSid, there.browser)
      if (!shape.sidIfNotRequired && circumstance === 'session required') {
        recordShape(provider, optionsOf(provider), 'session not required', delivery)
      }
    })
  }
}

function describeActs(provider: LiveProvider, live: () => Live): void {
  it.each(Object.entries(provider.acts))('%s ends: %s', async (name, ends) => {
    const { rps, acts, signedIn, logOut } = live()
    const there = await signedIn('alice')
    const here = await signedIn('alice')
    const bob = ends === 'nothing' ? undefined : await signedIn('bob')
    const act = acts[name]
    if (act === undefined) throw new Error('nobody knows how this is done')
    await act(here)
    if (bob === undefined) {
      // What came of the act would have come before this.
      const later = await signedIn('bob')
      await logOut(later.browser, rps.a, 'bob')
      await untilSignedOut(rps.b, later.browser)
      await answered(rps.b, later.sid)
      for (const { sid } of [here, there]) expect(deliveriesOf(rps.b, sid)).toEqual([])
      expect(await rps.b.me(here.browser)).toBeDefined()
      expect(await rps.b.me(there.browser)).toBeDefined()
      return
    }
    await untilSignedOut(rps.b, here.browser)
    if (ends === 'user') await untilSignedOut(rps.b, there.browser)
    else expect(await rps.b.me(there.browser)).toBeDefined()
    expect(await rps.b.me(bob.browser)).toBeDefined()
  })
}

/** Each option of the preset is needed: without it something is lost that the user or the operator would notice. */
function describeOptions(provider: LiveProvider, live: () => Live): void {
  const options = optionsOf(provider)
  const ofBelief = Object.keys(options).filter((name) => name !== 'transientFailureStatus' && name !== 'clientSecret')
  it.each(ofBelief)(
    'without the option %s its Logout Token is refused, and the error names the option',
    async (name) => {
      const { rps, issuer, credentials, signedIn, logOut } = live()
      const without = Object.fromEntries(Object.entries(options).filter(([each]) => each !== name))
      const own = credentials.b
      if (own === undefined) throw new Error('no client b')
      const { browser } = await signedIn('alice')
      await rps.b.open(issuer, own, without)
      try {
        await logOut(browser, rps.a, 'alice')
        expect((await answered(rps.b)).status).toBe(400)
        expect(await rps.b.me(browser)).toBeDefined()
        expect(rps.b.events).toContainEqual(
          expect.objectContaining({
            type: 'refused',
            error: expect.objectContaining({ code: 'ERR_TOKEN', option: name }),
          }),
        )
      } finally {
        await rps.b.open(issuer, own, options)
      }
    },
  )
}

function describeTrouble(provider: LiveProvider, live: () => Live): void {
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

  if (!provider.rotatesKeys) return
  it('signing keys that change at the moment of the logout: the first token by the new key is taken', async () => {
    const { rps, rotateKeys, endAfterRotation, signedIn, logOut } = live()
    if (rotateKeys === undefined) throw new Error('nobody knows how its keys are changed')
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
    expect(status).toBe(200)
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

function describeUnderWay(provider: LiveProvider, live: () => Live): void {
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

function shapeOf({ header, payload }: Delivery): LiveProvider['shape'] {
  const { exp, iat, aud, sub } = payload
  return {
    typ: typeof header.typ === 'string' ? header.typ : undefined,
    alg: String(header.alg),
    lifetimeSeconds: exp === undefined ? undefined : exp - (iat ?? 0),
    aud: Array.isArray(aud) ? 'array' : 'string',
    sub: sub !== undefined,
    sidIfNotRequired: undefined,
  }
}

// What must hold at every OpenID Provider, through the example's RP with that provider's preset; where a provider
// differs, the difference is stated in its own file and asserted here.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { Finding } from '../../src/cli/report.js'
import { run } from '../cli/run.js'
import { describeWhere } from './cache.js'
import {
  answered,
  deliveriesOf,
  everyRp,
  type Live,
  optionsOf,
  startLive,
  untilSignedOut,
  whyNot,
  whyRefused,
} from './live.js'
import type { LiveProvider } from './live-provider.js'
import type { Delivery } from './live-rp.js'
import { recordSeen, recordShape } from './seen.js'
import { describeTrouble, describeUnderWay } from './trouble.js'

/** Registers the scenarios that are common to all, then those of `more`. */
export function describeProvider(provider: LiveProvider, more: (live: () => Live) => void = () => {}): void {
  describeLive(provider, (running) => {
    describeEnding(provider, running)
    describeActs(provider, running)
    describeOptions(provider, running)
    describeTrouble(provider, running)
    describeUnderWay(provider, running)
    describeDoctor(provider, running)
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

function describeEnding(provider: LiveProvider, live: () => Live): void {
  const { shape, delivering, circumstance = 'session required' } = provider

  it('the user logs out at one RP: both end, old cookies stay dead, and signing in again at once works', async () => {
    const { rps, signedIn, logOut, signIn } = live()
    const { browser, sid } = await signedIn('alice')
    const old = browser.copy()
    await logOut(browser, rps.a, 'alice')
    const delivery = await answered(rps.b, sid)
    await untilSignedOut(rps.b, old)
    expect(delivery.status, whyRefused(rps.b)).toBe(200)
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

/** Asked about a provider that runs and an RP that works, `doctor` finds nothing wrong that is not. */
function describeDoctor({ preset: name, doctorSays = [], doctorWarns = [] }: LiveProvider, live: () => Live): void {
  it('the doctor of the command line says all right, and what it needs to know', async () => {
    const { issuer, rps } = live()
    const asked = [
      'doctor',
      issuer,
      '--uri',
      rps.b.receiver,
      '--json',
      ...(name === undefined ? [] : ['--preset', name]),
    ]
    const { out, err } = await run(asked)
    expect(err).toBe('')
    const { findings } = JSON.parse(out) as { readonly findings: readonly Finding[] }
    // How fast it answers depends on what else this machine does.
    const wrong = findings.filter(({ level, about }) => ['problem', 'warning'].includes(level) && about !== 'latency')
    expect(wrong.map(({ words }) => words)).toEqual(doctorWarns.map((words) => expect.stringContaining(words)))
    const said = findings.map(({ words }) => words)
    expect(said).toContainEqual(expect.stringContaining('a token that is none is refused as it should be'))
    for (const words of doctorSays) expect(said).toContainEqual(expect.stringContaining(words))
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

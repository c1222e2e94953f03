// What runs while a provider is tried: the provider, its RPs, and what tests ask of them. Knows no scenario.
import { type ProviderOptions, preset } from 'oidc-backchannel-logout'
import { expect, vi } from 'vitest'
import type { LiveBrowser } from './live-browser.js'
import type { LiveProvider, LiveRps, RunningProvider, Scene, User } from './live-provider.js'
import { type Delivery, LiveRp } from './live-rp.js'

/** Everything that a test needs of a provider that runs. */
export interface Live extends RunningProvider {
  readonly rps: LiveRps
  /** With which its RPs are open. */
  readonly options: ReturnType<typeof optionsOf>
  /** A browser in which this user is signed in at `a` and at `b`. */
  signedIn(user: User): Promise<Scene>
}

export const DEADLINE = { timeout: 15_000, interval: 50 }

export async function startLive(provider: LiveProvider): Promise<Live> {
  const withoutSid = provider.shape.sidIfNotRequired !== undefined ? await LiveRp.listen() : undefined
  const rps = { a: await LiveRp.listen(), b: await LiveRp.listen(), withoutSid }
  const started = await provider.start(rps)
  for (const [name, credentials] of Object.entries(started.credentials)) {
    await rps[name as keyof LiveRps]?.open(started.issuer, credentials, optionsOf(provider))
  }
  return {
    ...started,
    rps,
    options: optionsOf(provider),
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

export const whyNot = (rps: LiveRps) =>
  everyRp(rps)
    .flatMap(({ signInErrors }) => signInErrors.map(String))
    .join('; ')

/** Which rule refused a Logout Token, or which step failed. */
export const whyRefused = ({ events }: LiveRp) =>
  events
    .flatMap((event) =>
      'error' in event ? [`${event.type}: ${event.error.code}, ${event.error.reason ?? event.error.message}`] : [],
    )
    .join('; ')

export function everyRp(rps: LiveRps | undefined): LiveRp[] {
  return [rps?.a, rps?.b, rps?.withoutSid].filter((rp) => rp !== undefined)
}

export function optionsOf({ preset: name, registered }: LiveProvider): Omit<ProviderOptions, 'issuer' | 'clientId'> {
  return { ...(name === undefined ? {} : preset(name)), ...registered }
}

export async function untilSignedOut(rp: LiveRp, browser: LiveBrowser): Promise<void> {
  await vi.waitFor(async () => expect(await rp.me(browser), whyRefused(rp)).toBeUndefined(), DEADLINE)
}

/** Of a session: some providers tell of others of that user as well, such as one that an earlier test left. */
export const deliveriesOf = (rp: LiveRp, sid: string) =>
  rp.deliveries.filter(({ payload }) => (payload.sid ?? sid) === sid)

/** The first Logout Token that this RP has answered, of that session if one is named. */
export function answered(rp: LiveRp, sid?: string): Promise<Delivery> {
  return vi.waitFor(() => {
    const heard = sid === undefined ? rp.deliveries : deliveriesOf(rp, sid)
    const delivery = heard.find(({ status }) => status !== undefined)
    if (delivery === undefined) throw new Error(`no Logout Token was answered at ${rp.origin}`)
    return delivery
  }, DEADLINE)
}

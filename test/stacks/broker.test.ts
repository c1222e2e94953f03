// Two applications at a broker, the broker at an identity provider, and another application there: five processes.
// Whoever begins a logout, it ends what the policy says and nothing else, and each page says what was ended and what
// was not.
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { rsaKeyPair } from '../../src/testing/key-pair.js'
import { Browser, type Page } from './browser.js'
import { type RunningProgram, reserveOrigin, run, unpack } from './recipe.js'

const SECRET = 'a secret of more than thirty-two characters'

interface World {
  readonly idp: string
  readonly broker: string
  readonly a: string
  readonly b: string
  readonly c: string
  readonly programs: readonly RunningProgram[]
}

const registration = (clientId: string, origin: string) => ({
  client_id: clientId,
  client_secret: SECRET,
  token_endpoint_auth_method: 'client_secret_post',
  redirect_uris: [`${origin}/callback`],
  post_logout_redirect_uris: [`${origin}/logged-out`],
  backchannel_logout_uri: `${origin}/backchannel-logout`,
  backchannel_logout_session_required: true,
})

async function start(policy: string): Promise<World> {
  const names = ['idp', 'broker', 'a', 'b', 'c'] as const
  const places = await Promise.all(names.map(() => reserveOrigin()))
  const [idp, broker, a, b, c] = places
  if (!idp || !broker || !a || !b || !c) throw new Error('no ports')
  const rp = (origin: string, issuer: string, clientId: string) => ({
    ISSUER: issuer,
    CLIENT_ID: clientId,
    CLIENT_SECRET: SECRET,
    BASE_URL: origin,
    SESSION_SECRET: SECRET,
  })
  const application = (place: typeof a, issuer: string, clientId: string) =>
    run({
      folder: unpack('broker'),
      entry: 'application.ts',
      socket: place.socket,
      env: rp(place.origin, issuer, clientId),
    })
  // From the top down: who is started asks the one above for its metadata.
  const above = [registration('broker', broker.origin), registration('app-c', c.origin)]
  const below = [registration('app-a', a.origin), registration('app-b', b.origin)]
  const programs = [
    await run({
      folder: unpack('broker'),
      entry: path.join(import.meta.dirname, 'broker-idp.ts'),
      socket: idp.socket,
      env: { ISSUER: idp.origin, CLIENTS: JSON.stringify(above) },
    }),
    await run({
      folder: unpack('broker'),
      socket: broker.socket,
      env: {
        ...rp(broker.origin, idp.origin, 'broker'),
        CLIENTS: JSON.stringify(below),
        PRIVATE_KEY: rsaKeyPair().privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
        POLICY: policy,
      },
    }),
    ...(await Promise.all([
      application(a, broker.origin, 'app-a'),
      application(b, broker.origin, 'app-b'),
      application(c, idp.origin, 'app-c'),
    ])),
  ]
  return { idp: idp.origin, broker: broker.origin, a: a.origin, b: b.origin, c: c.origin, programs }
}

/** A browser that is signed in at all three applications. */
async function signedIn({ idp, a, b, c }: World, user: string): Promise<Browser> {
  const browser = new Browser()
  await browser.get(`${idp}/as/${user}`)
  for (const origin of [a, b, c]) {
    const page = await browser.get(`${origin}/login`)
    expect({ url: page.url, text: page.text }).toEqual({ url: `${origin}/me`, text: user })
  }
  return browser
}

/** Where a copy of the browser's cookies still works. */
async function signedInAt({ broker, a, b, c }: World, browser: Browser): Promise<readonly string[]> {
  const places = { a: `${a}/me`, b: `${b}/me`, broker: `${broker}/`, c: `${c}/me` }
  const pages = await Promise.all(Object.values(places).map((url) => browser.copy().get(url)))
  return Object.keys(places).filter((_, i) => pages[i]?.status === 200)
}

/** Says yes to whoever asks whether to log out, and reads what each page said on the way. */
async function sayYes(browser: Browser, page: Page): Promise<Page> {
  const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1]
  if (xsrf === undefined) return page
  const { origin } = new URL(page.url)
  return sayYes(browser, await browser.post(`${origin}/session/end/confirm`, { xsrf, logout: 'yes' }))
}

const linesOf = ({ text }: Page) =>
  text
    .replace(/<a .*/s, '')
    .replaceAll(/<[^>]*>/g, '')
    .split('\n')

const wayOn = ({ text }: Page) => /href="([^"]*)"/.exec(text)?.[1]?.replaceAll('&amp;', '&') ?? ''

for (const [policy, isPassedOn] of [
  ['everything', true],
  ['only this application', false],
] as const) {
  describe(`policy "${policy}"`, () => {
    let world: World
    /** Signed in before all others: their tests pass the time until this one's is over. */
    let short: Browser
    const ends = { short: 0, long: 0 }
    beforeAll(async () => {
      world = await start(policy)
      const endOf = async (browser: Browser) => Number((await browser.get(`${world.b}/until`)).text) - Date.now() / 1000
      ends.long = await endOf(await signedIn(world, 'long'))
      short = await signedIn(world, 'short')
      ends.short = await endOf(short)
    })
    afterAll(async () => {
      await Promise.all(world?.programs.map((program) => program.stop()) ?? [])
    })

    const below = isPassedOn ? [] : ['a', 'b']
    const said = isPassedOn ? ['app-a: ended', 'app-b: ended'] : ['app-a: lives on', 'app-b: lives on']

    it('a button of an application', async () => {
      const browser = await signedIn(world, 'button')
      const other = await signedIn(world, 'button')
      if (!isPassedOn) {
        const page = await browser.post(`${world.a}/logout?only`)
        expect(linesOf(page)).toEqual(['app-a: ended', 'provider: lives on'])
        expect(await signedInAt(world, browser)).toEqual(['b', 'broker', 'c'])
        return
      }
      const page = await sayYes(browser, await browser.post(`${world.a}/logout`))
      expect(linesOf(page)).toEqual([
        'broker: ended',
        'app-a: ended',
        'app-b: ended',
        'identity provider: asked to end its session',
      ])
      expect(linesOf(await browser.get(wayOn(page)))).toEqual(['app-a: ended', 'provider: asked to end its session'])
      expect(await signedInAt(world, browser)).toEqual([])
      expect(await signedInAt(world, other)).toEqual(['a', 'b', 'broker', 'c'])
    })

    it('a link of anybody’s, which names one of them as if it had asked', async () => {
      const browser = await signedIn(world, 'link')
      const page = await sayYes(browser, await browser.get(`${world.broker}/session/end?client_id=app-a`))
      expect(linesOf(page)).toContain(said[0])
      expect(await signedInAt(world, browser)).toEqual(isPassedOn ? [] : ['a', 'b', 'c'])
    })

    it('the identity provider', async () => {
      const browser = await signedIn(world, 'above')
      const page = await sayYes(browser, await browser.get(`${world.idp}/session/end`))
      expect(linesOf(page)).toEqual(['identity provider: ended', 'app-c: ended', 'broker: ended'])
      expect(await signedInAt(world, browser)).toEqual(below)
    })

    it('an administrator of the broker', async () => {
      const [browser, other] = [await signedIn(world, 'leaver'), await signedIn(world, 'stayer')]
      const page = await new Browser().post(`${world.broker}/admin/end/leaver`)
      expect(linesOf(page)).toEqual(['broker: ended', ...said, 'identity provider: lives on'])
      expect(await signedInAt(world, browser)).toEqual([...below, 'c'])
      expect(await signedInAt(world, other)).toEqual(['a', 'b', 'broker', 'c'])
    })

    it('a notice from elsewhere: another application at the identity provider', async () => {
      const browser = await signedIn(world, 'elsewhere')
      const page = await sayYes(browser, await browser.post(`${world.c}/logout`))
      expect(linesOf(page)).toEqual(['app-c: ended', 'provider: asked to end its session'])
      expect(await signedInAt(world, browser)).toEqual(below)
    })

    it('and whoever was logged out signs in again', async () => {
      const browser = await signedIn(world, 'again')
      await sayYes(browser, await browser.get(`${world.idp}/session/end`))
      for (const origin of [world.a, world.b, world.c])
        expect((await browser.get(`${origin}/login`)).text).toBe('again')
      expect(await signedInAt(world, browser)).toEqual(['a', 'b', 'broker', 'c'])
    })

    it('time: the smaller session_expiry', async () => {
      const other = await signedIn(world, 'long')
      // The identity provider's, which is sooner than the broker's own; and the broker's own, where it says nothing.
      expect(ends.short).toBeLessThan(15)
      expect(ends.long).toBeGreaterThan(7 * 3600)
      // Whatever the policy: each application was told the time at the login, and its session ends by then by itself.
      await expect.poll(() => signedInAt(world, short), { timeout: 30_000 }).toEqual([])
      expect(await signedInAt(world, other)).toEqual(['a', 'b', 'broker', 'c'])
    })
  })
}

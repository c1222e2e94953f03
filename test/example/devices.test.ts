// "Your devices" of the example's RP, by its pages and its buttons.
import type { LogoutEvent } from 'oidc-backchannel-logout'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { sayRp } from '../../example-app/activity.js'
import { labelOf } from '../../example-app/devices.js'
import { type Listening, listen } from '../../example-app/listen.js'
import { createOp } from '../../example-app/op.js'
import { createRp, type Rp } from '../../example-app/relying-party.js'
import { Browser, type Page, signIn, textOf, whoIsAt } from './browser-by-http.js'

let atOp: Listening
let atRp: Listening
let rp: Rp
let url: string
const events: LogoutEvent[] = []

async function signedIn(name: string, userAgent?: string): Promise<Browser> {
  const browser = new Browser(userAgent)
  await signIn(browser, url, name)
  expect(await whoIsAt(browser, url)).toMatchObject({ sub: name.toLowerCase() })
  return browser
}

const LINUX = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1'

/** A site on the same domain, another site, an old browser on another site, a frame without an origin. */
const FOREIGN: readonly Record<string, string>[] = [
  { 'sec-fetch-site': 'same-site', origin: 'http://shop.localhost' },
  { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
  { origin: 'https://evil.example' },
  { origin: 'null' },
]

const isIn = async (browser: Browser) => (await whoIsAt(browser, url)).status === 200
const devicesOf = (browser: Browser): Promise<Page> => browser.get(`${url}/devices`)
const labels = ({ text }: Page) => [...text.matchAll(/<p class="device">([^<]*)</g)].map(([, label]) => label)

describe('your devices', () => {
  beforeEach(async () => {
    events.length = 0
    ;[atOp, atRp] = await Promise.all([listen(0), listen(0)])
    url = atRp.url
    const op = await createOp({ issuer: atOp.url })
    atOp.server.on('request', op.app)
    const client = { clientId: 'rp', clientSecret: 'a secret', name: 'RP', baseUrl: url }
    const onEvent = (event: LogoutEvent) => events.push(event)
    rp = createRp({ ...client, issuer: atOp.url, sessionSecret: 'another secret', onEvent })
    atRp.server.on('request', rp.app)
    await op.register(client)
  })

  afterEach(async () => {
    rp.close()
    await Promise.all([atOp.close(), atRp.close()])
  })

  it('shows where this user is signed in, this one first, and no session id; nobody else’s', async () => {
    const phone = await signedIn('Ada', PHONE)
    const laptop = await signedIn('Ada', LINUX)
    await signedIn('Grace', LINUX)
    const home = await laptop.get(url)
    expect(home.text).toContain('href="/devices"')
    const page = await devicesOf(laptop)
    expect([page.status, page.headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(labels(page)).toEqual(['Firefox on Linux, this one', 'Safari on iOS'])
    expect(labels(await devicesOf(phone))).toEqual(['Safari on iOS, this one', 'Firefox on Linux'])
    const cookie = await cookieOf(laptop)
    const sessionId = decodeURIComponent(cookie).split('=s:')[1]?.split('.')[0] ?? ''
    expect(sessionId.length).toBeGreaterThan(20)
    expect(page.text).not.toContain(sessionId)
  })

  it('is nothing to who is not signed in', async () => {
    const page = await devicesOf(new Browser())
    expect([page.status, new URL(page.url).pathname]).toEqual([200, '/'])
    expect(textOf(page.text)).toContain('Nobody is signed in here')
  })

  it('ends one: that one, and no other', async () => {
    const phone = await signedIn('Ada', PHONE)
    const laptop = await signedIn('Ada', LINUX)
    const page = await laptop.press(await devicesOf(laptop), 'End')
    expect(new URL(page.url).pathname).toBe('/devices')
    expect(labels(page)).toEqual(['Firefox on Linux, this one'])
    expect([await isIn(phone), await isIn(laptop)]).toEqual([false, true])
  })

  it('ends the others: this one stays, and so does everybody else; the events say who did it', async () => {
    const [phone, tablet] = [await signedIn('Ada', PHONE), await signedIn('Ada')]
    const laptop = await signedIn('Ada', LINUX)
    const grace = await signedIn('Grace')
    const page = await laptop.press(await devicesOf(laptop), 'Log out the others')
    expect(labels(page)).toEqual(['Firefox on Linux, this one'])
    expect(textOf(page.text)).not.toContain('Log out the others')
    expect(await Promise.all([phone, tablet, laptop, grace].map(isIn))).toEqual([false, false, true, true])
    expect(events.find(({ type }) => type === 'logout')).toMatchObject({ reason: 'user', found: 2, destroyed: 2 })
    // As the live page of the demo tells it.
    expect(events.map((event) => sayRp(event).text)).toContain('2 sessions ended, by the user on "your devices"')
  })

  it('logs out everywhere: each device here, and this browser at the OP, back to the landing page', async () => {
    const phone = await signedIn('Ada', PHONE)
    const laptop = await signedIn('Ada', LINUX)
    const thief = laptop.copy()
    const grace = await signedIn('Grace')
    const question = await laptop.press(await devicesOf(laptop), 'Log out everywhere')
    expect(new URL(question.url).origin).toBe(atOp.url)
    // Before the OP has asked anything.
    expect(await Promise.all([phone, thief, grace].map(isIn))).toEqual([false, false, true])
    const done = await laptop.press(question, 'Log out everywhere')
    expect(new URL(done.url).pathname).toBe('/logged-out')
    expect(textOf(done.text)).toContain('Your OpenID Provider was told as well')
    expect(await isIn(laptop)).toBe(false)
  })

  it('the handle of another user’s session, or one that is none, ends nobody', async () => {
    const ada = await signedIn('Ada')
    const grace = await signedIn('Grace')
    const other = await signedIn('Grace', PHONE)
    const handle = (await devicesOf(other)).text.match(/\/devices\/end\/([\w-]+)/)?.[1] ?? ''
    expect(handle.length).toBeGreaterThan(20)
    for (const each of [handle, 'none']) {
      const page = await ada.post(`${url}/devices/end/${each}`)
      expect([page.status, new URL(page.url).pathname]).toEqual([200, '/devices'])
    }
    expect(await Promise.all([ada, grace, other].map(isIn))).toEqual([true, true, true])
    await other.post(`${url}/devices/end/${handle}`)
    expect(await Promise.all([ada, grace, other].map(isIn))).toEqual([true, false, true])
  })

  it('a request that another site makes, or a GET, ends nobody', async () => {
    const phone = await signedIn('Ada', PHONE)
    const laptop = await signedIn('Ada', LINUX)
    const handle = (await devicesOf(laptop)).text.match(/\/devices\/end\/([\w-]+)/)?.[1] ?? ''
    for (const path of ['/devices/end-others', `/devices/end/${handle}`, '/logout-everywhere', '/logout']) {
      for (const headers of FOREIGN) {
        const { status } = await laptop.request(url + path, { method: 'POST', headers })
        expect([path, headers, status]).toEqual([path, headers, 403])
      }
      expect((await laptop.request(url + path)).status).toBeGreaterThanOrEqual(400)
    }
    expect([await isIn(phone), await isIn(laptop)]).toEqual([true, true])
    await laptop.post(`${url}/devices/end/${handle}`)
    expect([await isIn(phone), await isIn(laptop)]).toEqual([false, true])
  })
})

async function cookieOf(browser: Browser): Promise<string> {
  const names = browser.cookieNames(url).filter((name) => name.startsWith('rp_'))
  expect(names).toHaveLength(1)
  return (
    browser
      .cookieHeader(url)
      .split('; ')
      .find((pair) => pair.startsWith(names[0] ?? '')) ?? ''
  )
}

describe('what a device is called', () => {
  it.each([
    [LINUX, 'Firefox on Linux'],
    [PHONE, 'Safari on iOS'],
    ['Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0', 'Edge on Windows'],
    ['Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36', 'Chrome on Android'],
    ['<script>alert(1)</script>', 'A browser'],
    [undefined, 'A browser'],
  ])('%s: %s', (userAgent, label) => {
    expect(labelOf(userAgent)).toBe(label)
  })
})

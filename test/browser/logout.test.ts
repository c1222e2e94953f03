// What a real browser does with the parts of a logout that it carries: a frame of the OP where third-party cookies are
// blocked, a form for an ID Token that is too long for a URL, and the buttons of "your devices".
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createRp, type Rp, type RpConfig } from '../../example-app/relying-party.js'
import { createFakeOp, type FakeOp } from '../../src/testing/index.js'
import { Browser } from '../example/browser-by-http.js'
import { removeFolder } from '../servers/folders.js'

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
const installed = existsSync(CHROMIUM)
const PHONE = 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Safari/604.1'
const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
  // The OP's page is made here and comes from no address: such a page may not look into this machine otherwise.
  '--disable-features=LocalNetworkAccessChecks',
]

if (!installed)
  console.warn(`\nSKIPPED: logout in a real browser, since there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`)

// Where it must not be skipped unseen, a missing browser is a failure.
describe.skipIf(!installed && !process.env.CI)('a logout that a browser carries', () => {
  let op: FakeOp
  let rps: Rp[]
  let listening: Listening
  /** Another site than the OP, which is at 127.0.0.1. */
  let rpUrl: string
  /** `Cookie` headers of the frames of the OP. */
  let framed: (string | undefined)[]
  let profile: string
  let context: BrowserContext
  let page: Page

  beforeEach(async () => {
    framed = []
    rps = []
    op = await createFakeOp({ clientId: 'rp', sub: 'ada' })
    listening = await listen(0)
    rpUrl = listening.url.replace('127.0.0.1', 'localhost')
  })

  /** A browser with this setting of "third-party cookies". */
  async function openBrowser({ blocksThirdPartyCookies = true } = {}): Promise<void> {
    profile = mkdtempSync(path.join(tmpdir(), 'chromium-'))
    mkdirSync(path.join(profile, 'Default'))
    const settings = {
      profile: {
        cookie_controls_mode: blocksThirdPartyCookies ? 1 : 0,
        block_third_party_cookies: blocksThirdPartyCookies,
      },
    }
    writeFileSync(path.join(profile, 'Default', 'Preferences'), JSON.stringify(settings))
    context = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: FLAGS })
    page = await context.newPage()
  }

  afterEach(async () => {
    await context.close()
    removeFolder(profile)
    for (const rp of rps) rp.close()
    await listening.close()
    await op.close()
  })

  function start(about: Partial<RpConfig> = {}): void {
    const own = { baseUrl: rpUrl, sessionSecret: 'another secret', onEvent: () => {} }
    const rp = createRp({ issuer: op.issuer, clientId: 'rp', clientSecret: 'a secret', ...own, ...about })
    rps.push(rp)
    listening.server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      if (req.url?.startsWith('/frontchannel-logout')) framed.push(req.headers.cookie)
      // A cookie that would be sent into a frame of another site, were it not for what the browser blocks.
      if (req.url === '/') res.appendHeader('Set-Cookie', 'third-party=1; Path=/; SameSite=None; Secure; HttpOnly')
      rp.app(req, res)
    })
  }

  async function signedIn(): Promise<string> {
    await page.goto(`${rpUrl}/login`)
    await page.getByRole('heading', { name: 'Hello, ada' }).waitFor()
    const sid = JSON.parse((await (await page.goto(`${rpUrl}/me`))?.text()) ?? '{}').sid
    expect(sid).toEqual(expect.any(String))
    return sid
  }

  /** The OP's page after a logout there, with a frame for each RP (Front-Channel Logout 1.0, 3). */
  async function framesOfTheOp(sid: string): Promise<void> {
    const url = `${rpUrl}/frontchannel-logout?${new URLSearchParams({ iss: op.issuer, sid })}`
    await page.route(`${op.issuer}/logged-out`, (route) =>
      route.fulfill({
        contentType: 'text/html',
        body: `<title>out</title><iframe src="${url.replaceAll('&', '&amp;')}"></iframe>`,
      }),
    )
    const answer = page.waitForResponse(url)
    await page.goto(`${op.issuer}/logged-out`)
    expect((await answer).status()).toBe(200)
  }

  it.each([true, false])('a frame of the OP ends the session (third-party cookies blocked: %s)', async (isBlocked) => {
    start()
    await openBrowser({ blocksThirdPartyCookies: isBlocked })
    const sid = await signedIn()
    await framesOfTheOp(sid)
    // The control: without the setting, the browser does send a cookie into that frame.
    expect(framed).toEqual([isBlocked ? undefined : 'third-party=1'])
    await page.goto(rpUrl)
    await page.getByText('Nobody is signed in here').waitFor()
    expect((await page.goto(`${rpUrl}/me`))?.status()).toBe(401)
  })

  it.each([
    ['by a form', {}, true],
    ['and not were it put into the URL all the same', { maxUrlLength: 100_000 }, false],
  ])('an ID Token of 6 KB reaches an OP that refuses long URLs: %s', async (_how, dialect, arrives) => {
    await openBrowser()
    const asked: (readonly [method: string | undefined, length: number])[] = []
    const front = await listen(0)
    front.server.on('request', ({ method, url = '' }: IncomingMessage, res: ServerResponse) => {
      if (!url.startsWith('/end')) return void res.writeHead(404).end()
      asked.push([method, url.length])
      if (url.length > 2000) res.writeHead(414).end('URI Too Long')
      else res.writeHead(307, { location: `${op.issuer}/logout` }).end()
    })
    start({ provider: { endSession: { endpoint: `${front.url}/end`, ...dialect } } })
    op.nextIdToken((claims) => op.mint.idToken({ payload: { ...claims, groups: 'g'.repeat(4500) } }))
    const hints: string[] = []
    page.on('request', (request) => {
      if (request.url() !== `${op.issuer}/logout`) return
      hints.push(new URLSearchParams(request.postData() ?? '').get('id_token_hint') ?? '')
    })
    await signedIn()
    await page.goto(rpUrl)
    await page.getByRole('button', { name: 'Log out' }).click()
    try {
      if (!arrives) {
        await page.getByText('URI Too Long').waitFor()
        expect(op.seen.logout).toBe(0)
        return
      }
      await page.getByRole('heading', { name: 'You are logged out' }).waitFor()
      expect(await page.getByText('was told as well').count()).toBe(1)
      expect(asked).toEqual([['POST', '/end'.length]])
      expect(hints.map((hint) => hint.length > 6000)).toEqual([true])
      expect(op.seen.logout).toBe(1)
    } finally {
      await front.close()
    }
    expect((await page.goto(`${rpUrl}/me`))?.status()).toBe(401)
  })

  it('"your devices" ends another device in place, and every device at once', async () => {
    start()
    await openBrowser()
    await signedIn()
    const phones = [new Browser(PHONE), new Browser(PHONE)]
    for (const phone of phones) await phone.get(`${rpUrl}/login`)
    const whoIsIn = () => Promise.all(phones.map(async (phone) => (await phone.get(`${rpUrl}/me`)).status))
    await page.goto(rpUrl)
    await page.getByRole('link', { name: 'Your devices' }).click()
    await expect.poll(() => page.locator('.device').count(), { timeout: 30_000 }).toBe(3)
    await page.getByRole('button', { name: 'End Safari on iOS' }).first().click()
    await expect.poll(() => page.locator('.device').count(), { timeout: 30_000 }).toBe(2)
    expect((await whoIsIn()).toSorted()).toEqual([200, 401])

    await page.getByRole('button', { name: 'Log out everywhere' }).click()
    await page.getByRole('heading', { name: 'You are logged out' }).waitFor()
    expect(await whoIsIn()).toEqual([401, 401])
    expect((await page.goto(`${rpUrl}/me`))?.status()).toBe(401)
  })
})

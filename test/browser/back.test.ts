// The Back button after a logout, in a real browser that keeps whole pages for it.
import { existsSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createRp, type Rp } from '../../example-app/relying-party.js'
import { createFakeOp, type FakeOp } from '../../src/testing/index.js'

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
const installed = existsSync(CHROMIUM)

if (!installed)
  console.warn(`\nSKIPPED: Back in a real browser, since there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`)

// Where it must not be skipped unseen, a missing browser is a failure.
describe.skipIf(!installed && !process.env.CI)('Back after a logout', () => {
  let browser: Browser
  let op: FakeOp
  let rp: Rp
  let listening: Listening
  /** Whether the RP says that its pages must not be stored. */
  let noStore: boolean

  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
      // People's browsers have it.
      ignoreDefaultArgs: ['--disable-back-forward-cache'],
    })
  })

  afterAll(() => browser?.close())

  beforeEach(async () => {
    noStore = true
    op = await createFakeOp({ clientId: 'rp', sub: 'ada' })
    listening = await listen(0)
    op.backchannelLogoutUri = `${listening.url}/backchannel-logout`
    rp = createRp({
      issuer: op.issuer,
      clientId: 'rp',
      clientSecret: 'a secret',
      baseUrl: listening.url,
      sessionSecret: 'another secret',
      onEvent: () => {},
    })
    listening.server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      const setHeader = res.setHeader.bind(res)
      res.setHeader = (name, value) =>
        !noStore && name.toLowerCase() === 'cache-control' ? res : setHeader(name, value)
      rp.app(req, res)
    })
  })

  afterEach(async () => {
    rp.close()
    await listening.close()
    await op.close()
  })

  async function signedIn(): Promise<Page> {
    const page = await (await browser.newContext()).newPage()
    await page.addInitScript(
      "addEventListener('pageshow', ({ persisted }) => { if (persisted) sessionStorage.setItem('kept', 'yes') })",
    )
    await page.goto(`${listening.url}/login`)
    await page.getByRole('heading', { name: 'Hello, ada' }).waitFor()
    return page
  }

  const back = (page: Page) => page.evaluate('setTimeout(() => history.back(), 0)')

  it.each([true, false])('by the back channel: the page is asked for again (no-store: %s)', async (isNoStore) => {
    noStore = isNoStore
    const page = await signedIn()
    await page.goto(`${listening.url}/logged-out`)
    expect((await op.logOut({ sub: 'ada' })).status).toBe(200)
    await back(page)
    await page.getByText('Nobody is signed in here').waitFor({ timeout: 10_000 })
    expect(await page.getByText('ada').count()).toBe(0)
    // Without no-store Chromium had kept the whole page: what asked for it again is the page's own script.
    if (!isNoStore) expect(await page.evaluate("sessionStorage.getItem('kept')")).toBe('yes')
    await page.context().close()
  })

  it('by the button: from the landing page there is no way back to what was private', async () => {
    const page = await signedIn()
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByRole('heading', { name: 'You are logged out' }).waitFor()
    await back(page)
    await page.getByText('Nobody is signed in here').waitFor({ timeout: 10_000 })
    expect(await page.getByText('ada').count()).toBe(0)
    await page.context().close()
  })
})

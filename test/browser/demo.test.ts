import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Program, startProgram } from '../example/program.js'

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
const installed = existsSync(CHROMIUM)
const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]

if (!installed)
  console.warn(`\nSKIPPED: the demo in a real browser, since there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`)

// Three browsers and three servers on two cores, beside the other test files.
vi.setConfig({ testTimeout: 180_000, hookTimeout: 120_000 })

// Where it must not be skipped unseen, a missing browser is a failure.
describe.skipIf(!installed && !process.env.CI)('the demo in a real browser', () => {
  let demo: Program
  let chromiumProcess: Browser
  let op: string
  let shop: string
  let forum: string
  const complaints: string[] = []

  beforeAll(async () => {
    demo = startProgram('start.ts')
    await demo.printed(/Ctrl-C/)
    const urls = ['overview', 'Shop', 'Forum'].map((name) => demo.stdout.match(`${name} +(http\\S+)`)?.[1] ?? '')
    ;[op = '', shop = '', forum = ''] = urls
    chromiumProcess = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
  })

  afterAll(async () => {
    await chromiumProcess?.close()
    await demo?.stop()
  })

  afterEach(() => {
    expect(complaints.splice(0)).toEqual([])
  })

  /** A browser of its own: contexts share no cookies. */
  async function newBrowser(options: { width?: number; javaScriptEnabled?: boolean } = {}) {
    const { width = 1280, javaScriptEnabled = true } = options
    const context = await chromiumProcess.newContext({ viewport: { width, height: 900 }, javaScriptEnabled })
    const page = await context.newPage()
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('console', (message) => {
      if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
    })
    return { context, page }
  }

  async function signInAtBoth(page: Page, name: string): Promise<void> {
    await page.goto(op)
    await page.getByRole('link', { name: 'Sign in at Shop' }).click()
    await page.getByRole('button', { name }).click()
    await page.getByRole('link', { name: 'Back to the overview' }).click()
    await page.getByRole('link', { name: 'Sign in at Forum' }).click()
    await page.getByRole('link', { name: 'Back to the overview' }).click()
    await page.locator('.you .place.in').nth(2).waitFor()
  }

  /** Pixels by which the page is wider than its window. */
  const overflow = (page: Page) =>
    page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')

  const statusAt = async (context: BrowserContext, rp: string) => (await context.request.get(`${rp}/me`)).status()

  it('logs one browser out everywhere, live and in place, at 1280 and 400 pixels; everybody else stays signed in', async () => {
    const [laptop, phone, grace] = [await newBrowser(), await newBrowser({ width: 400 }), await newBrowser()]
    await signInAtBoth(laptop.page, 'Ada')
    await signInAtBoth(phone.page, 'Ada')
    await signInAtBoth(grace.page, 'Grace')
    await phone.page.locator('article[data-name]').nth(2).waitFor()
    for (const { page } of [laptop, phone]) {
      await page.getByRole('button', { name: 'Call the API' }).click()
      await page
        .getByText(/^Kept until \d\d:\d\d, 1 call$/)
        .first()
        .waitFor()
    }
    for (const { page } of [laptop, phone]) expect(await overflow(page)).toBe(0)
    for (const { context } of [laptop, phone, grace]) {
      expect([await statusAt(context, shop), await statusAt(context, forum)]).toEqual([200, 200])
    }

    await laptop.page.getByRole('button', { name: 'Log out everywhere' }).click()

    await laptop.page.getByRole('heading', { name: 'Nobody is signed in' }).waitFor()
    expect(laptop.page.url()).toBe(`${op}/`)
    for (const [place, status] of [
      ['op', 'Session ended'],
      ['shop', 'Session ended'],
      ['forum', 'Session ended'],
      ['api', 'Claims ended'],
    ] as const) {
      const text = await laptop.page.locator(`.you [data-place=${place}] .status`).textContent()
      expect([place, text]).toEqual([place, status])
    }
    expect([await statusAt(laptop.context, shop), await statusAt(laptop.context, forum)]).toEqual([401, 401])
    await laptop.page.getByRole('button', { name: 'Call the API' }).click()
    await laptop.page.locator('.you [data-place=api]').getByText('Access token refused').waitFor()
    await phone.page.getByRole('button', { name: 'Call the API' }).click()
    await phone.page.locator('.you [data-place=api]').getByText(/^Kept/).waitFor()
    for (const { context } of [phone, grace]) {
      expect([await statusAt(context, shop), await statusAt(context, forum)]).toEqual([200, 200])
    }

    const log = laptop.page.getByRole('log')
    for (const rp of ['Shop', 'Forum']) {
      for (const said of ['Logout Token received', '1 session ended', 'Answered 200']) {
        await log.getByRole('listitem').filter({ hasText: rp }).filter({ hasText: said }).first().waitFor()
      }
    }
    // Another browser's page learns of it without being touched.
    await phone.page.getByRole('log').getByText('Ada is logged out, confirmed by Forum and Shop').waitFor()
    await phone.page.locator('article.gone[data-name=Ada]').waitFor({ state: 'detached' })
    expect(await phone.page.locator('article').count()).toBe(2)

    await log.getByText('Refused an access token (401)').waitFor()

    await laptop.page.goto(shop)
    await laptop.page.getByText('Nobody is signed in here').waitFor()
    await laptop.page.getByRole('link', { name: 'Sign in' }).click()
    await laptop.page.getByRole('button', { name: 'Ada' }).click()
    await laptop.page.getByRole('heading', { name: 'Hello, ada' }).waitFor()
    for (const { context } of [laptop, phone, grace]) await context.close()
  })

  it('comes back from a logout at an RP to a page that needs no session', async () => {
    const { context, page } = await newBrowser()
    await signInAtBoth(page, 'Linus')
    await page.goto(shop)
    await page.getByRole('button', { name: 'Log out' }).click()
    await page.getByRole('button', { name: 'Log out everywhere' }).click()
    await page.getByRole('heading', { name: 'You are logged out' }).waitFor()
    expect(page.url().split('?')[0]).toBe(`${shop}/logged-out`)
    expect([await statusAt(context, shop), await statusAt(context, forum)]).toEqual([401, 401])
    await context.close()
  })

  it('works without scripts, by the OP’s own pages', async () => {
    const { context, page } = await newBrowser({ javaScriptEnabled: false })
    await page.goto(`${shop}/login`)
    await page.getByRole('button', { name: 'Grace' }).click()
    await page.getByRole('heading', { name: 'Hello, grace' }).waitFor()
    await page.goto(op)
    await page.getByRole('link', { name: 'own logout page' }).click()
    await page.getByRole('button', { name: 'Log out everywhere' }).click()
    await page.getByRole('heading', { name: 'You are logged out' }).waitFor()
    expect(await statusAt(context, shop)).toBe(401)
    await context.close()
  })
})

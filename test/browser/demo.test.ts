import { existsSync } from 'node:fs'
import { type BrowserContext, chromium, type Locator, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { Gate } from '../../example-app/gate.js'
import { Browser, signIn, whoIsAt } from '../example/browser-by-http.js'
import { type Program, startProgram } from '../example/program.js'

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
const installed = existsSync(CHROMIUM)
const FLAGS = [
  ...['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  ...['--disable-background-networking', '--disable-component-update', '--disable-sync'],
]

if (!installed)
  console.warn(`\nSKIPPED: the demo in a real browser, since there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`)

// Browsers and servers on two cores, beside the other test files.
vi.setConfig({ testTimeout: 180_000 })

// Where it must not be skipped unseen, a missing browser is a failure.
describe.skipIf(!installed && !process.env.CI)('the demo in a real browser', () => {
  let demo: Program
  let chromiumProcess: Awaited<ReturnType<typeof chromium.launch>>
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
  async function newBrowser(
    options: { width?: number; javaScriptEnabled?: boolean; colorScheme?: 'light' | 'dark' } = {},
  ) {
    const { width = 1280, ...others } = options
    const context = await chromiumProcess.newContext({ viewport: { width, height: 900 }, ...others })
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

  /** Whether all of it is in the window. */
  const isSeen = async (part: Locator) => {
    const [box, window] = [await part.boundingBox(), part.page().viewportSize()]
    return box !== null && box.y >= -1 && box.y + box.height <= (window?.height ?? 0) + 1
  }

  const atShop = (page: Page) => page.getByRole('article', { name: 'Shop', exact: true })
  const atNotes = (page: Page) => page.getByRole('article', { name: 'Notes', exact: true })

  const primary = (page: Page, state: { disabled?: boolean } = {}) =>
    page.getByRole('button', { name: 'Log Ada out at the provider during an upload', ...state })

  /** What the page asks of this path waits until the gate is opened. */
  async function gateBefore(page: Page, path: string): Promise<Gate> {
    const gate = new Gate()
    gate.close()
    await page.route(op + path, async (route) => {
      await gate.pass()
      await route.continue()
    })
    return gate
  }

  const statusAt = async (context: BrowserContext, rp: string) => (await context.request.get(`${rp}/me`)).status()

  it('logs one browser out everywhere, live and in place, at 1280 and 400 pixels; everybody else stays signed in', async () => {
    const [laptop, phone, grace] = [await newBrowser(), await newBrowser({ width: 400 }), new Browser()]
    await signInAtBoth(laptop.page, 'Ada')
    await signInAtBoth(phone.page, 'Ada')
    for (const rp of [shop, forum]) await signIn(grace, rp, 'Grace')
    const statusOfGrace = async (rp: string) => (await whoIsAt(grace, rp)).status
    await phone.page.locator('article[data-name]').nth(2).waitFor()
    for (const { page } of [laptop, phone]) {
      await page.getByRole('button', { name: 'Call the API' }).click()
      await page
        .getByText(/^Kept until \d\d:\d\d, 1 call$/)
        .first()
        .waitFor()
    }
    for (const { page } of [laptop, phone]) expect(await overflow(page)).toBe(0)
    for (const { context } of [laptop, phone]) {
      expect([await statusAt(context, shop), await statusAt(context, forum)]).toEqual([200, 200])
    }
    expect([await statusOfGrace(shop), await statusOfGrace(forum)]).toEqual([200, 200])

    await laptop.page.getByRole('button', { name: 'Log out everywhere' }).click()

    await laptop.page.getByRole('heading', { name: 'Nobody is signed in' }).waitFor()
    expect(laptop.page.url()).toBe(`${op}/`)
    const log = laptop.page.getByRole('log')
    for (const rp of ['Shop', 'Forum']) {
      for (const said of ['Logout Token received', '1 session ended', 'Answered 200']) {
        await log.getByRole('listitem').filter({ hasText: rp }).filter({ hasText: said }).first().waitFor()
      }
    }
    // Another browser's page learns of it without being touched.
    await phone.page.getByRole('log').getByText('Ada is logged out, confirmed by Forum and Shop').waitFor()
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
    // The other browser's logout has not taken its calls from this one.
    const called = phone.page.locator('.you [data-place=api]')
    expect(await called.locator('.status').textContent()).toMatch(/^Kept until .*, 1 call$/)
    await phone.page.getByRole('button', { name: 'Call the API' }).click()
    await called.getByText(/^Kept until .*, 2 calls$/).waitFor()
    expect([await statusAt(phone.context, shop), await statusAt(phone.context, forum)]).toEqual([200, 200])
    expect([await statusOfGrace(shop), await statusOfGrace(forum)]).toEqual([200, 200])

    await phone.page.locator('article.gone[data-name=Ada]').waitFor({ state: 'detached' })
    expect(await phone.page.locator('article.browser').count()).toBe(2)

    await log.getByText('Refused an access token (401)').waitFor()
    for (const { context } of [laptop, phone]) await context.close()
  })

  it.each([
    [1280, 'light'],
    [400, 'dark'],
  ] as const)(
    'shows by one button what a receiver by hand gets wrong, at %d pixels, %s',
    async (width, colorScheme) => {
      const { context, page } = await newBrowser({ width, colorScheme })
      const elsewhere: string[] = []
      page.on('request', (request) => {
        if (!['127.0.0.1', 'localhost', ''].includes(new URL(request.url()).hostname)) elsewhere.push(request.url())
      })
      await page.goto(op)
      await primary(page).press('Enter')

      const [shopSide, notesSide] = [atShop(page), atNotes(page)]
      await shopSide.getByText('Ada is signed out').waitFor()
      await notesSide.getByText('Still greets Ada').waitFor()
      expect(await notesSide.locator('.headline .warning').isVisible()).toBe(true)
      expect(await shopSide.textContent()).toContain('it answers 401, nobody')
      expect(await notesSide.textContent()).toContain('it answers 200, Ada')
      const verdict = page.getByRole('region', { name: 'Try it' }).getByRole('status')
      await verdict.filter({ hasText: /^Shop: Ada is signed out\. .* Notes: Still greets Ada\. / }).waitFor()
      await page.getByText('Shop: right in 1 of 1. Notes: wrong in 1 of 1.').waitFor()
      await page.locator('.you [data-place=notes].left').getByText('Still greets Ada').waitFor()
      expect(await page.locator('.you [data-place=shop] .status').textContent()).toBe('Session ended')

      // From left to right, oldest first, or from top to bottom where the window is narrow; and nothing is cut off.
      const columns = page.getByRole('log').locator('.phase')
      const wrong = columns.locator('.said.alarm')
      await wrong.getByText('The ended session was written back: signed in again').waitFor()
      const boxes = await columns.evaluateAll((found) => found.map((column) => column.getBoundingClientRect().toJSON()))
      const firsts = await columns.evaluateAll((found) =>
        found.map((column) =>
          Math.min(...[...column.querySelectorAll('time')].map((time) => parseInt(time.textContent ?? '', 10))),
        ),
      )
      const along = boxes.map(({ left, top }) => (width > 500 ? left : top))
      expect(along).toEqual([...along].sort((a, b) => a - b))
      expect(new Set(along).size).toBeGreaterThan(4)
      expect(firsts).toEqual([...firsts].sort((a, b) => a - b))
      expect(boxes.filter(({ left, right }) => left < 0 || right > width)).toEqual([])
      expect(await overflow(page)).toBe(0)
      // Both results are in the window, and so is the moment at which it went wrong: at once, or by a link.
      for (const side of [shopSide, notesSide]) expect(await isSeen(side)).toBe(true)
      if (width < 500) await notesSide.getByRole('link', { name: 'See the moment' }).click()
      expect(await isSeen(wrong)).toBe(true)

      const row = page.getByRole('row', { name: 'Was not used before' })
      expect(await row.getByRole('cell').allTextContents()).toEqual(
        expect.arrayContaining([expect.stringContaining('passed'), 'not checked']),
      )
      await notesSide.getByRole('link', { name: 'See Notes' }).click()
      await page.getByRole('heading', { name: 'Hello, ada' }).waitFor()
      await page.getByRole('link', { name: 'Back to the overview' }).click()
      await notesSide.getByText('Still greets Ada').waitFor()
      expect(await page.getByText('An earlier result').locator('visible=true').count()).toBe(0)
      expect(elsewhere).toEqual([])
      await context.close()
    },
  )

  it('takes the first press as soon as the page is loaded, whatever it still waits for, and begins one trial at a time', async () => {
    const { context, page } = await newBrowser()
    const [state, list] = [await gateBefore(page, '/state'), await gateBefore(page, '/trials')]
    const upload = await gateBefore(page, '/trials/upload')
    await page.goto(op)
    await primary(page).press('Enter')
    await atShop(page).getByText('Signs in').waitFor()
    await Promise.all([page.waitForRequest(`${op}/trials/upload`), state.open()])
    list.open()
    await page.getByText('Seven more ways').click()
    const another = (disabled: boolean) => page.getByRole('button', { name: 'A forged token', disabled })
    await another(true).waitFor()
    upload.open()
    await atShop(page).getByText('Ada is signed out').waitFor()
    await another(false).waitFor()
    await context.close()
  })

  it('is whole and live also where its first questions came to nothing', async () => {
    const { context, page } = await newBrowser()
    for (const path of ['/state', '/trials']) await page.route(op + path, (route) => route.abort(), { times: 1 })
    await page.goto(op)
    await page.getByRole('status').getByText('Live').waitFor()
    await page.getByText('Seven more ways').click()
    await page.getByRole('button', { name: 'A forged token' }).waitFor()
    complaints.splice(0)
    await context.close()
  })

  it('says that it cannot be pressed for as long as the script of the page is not there', async () => {
    const { context, page } = await newBrowser()
    const script = await gateBefore(page, '/overview.js')
    await page.goto(op, { waitUntil: 'commit' })
    await primary(page, { disabled: true }).waitFor()
    script.open()
    await primary(page).click()
    await atShop(page).getByText('Ada is signed out').waitFor()
    await context.close()
  })

  it('has more to try behind a line; a result is said to be old as soon as another trial begins', async () => {
    const { context, page } = await newBrowser()
    await page.goto(op)
    await primary(page).click()
    const [notesSide, old] = [atNotes(page), 'An earlier result, of']
    await notesSide.getByText('Still greets Ada').waitFor()
    expect(await page.getByRole('button', { name: 'A forged token' }).isVisible()).toBe(false)
    await page.getByText('Seven more ways').click()
    const forged = page.getByRole('listitem').filter({ has: page.getByRole('button', { name: 'A forged token' }) })
    await forged.getByRole('button').click()
    await notesSide.getByText(old).waitFor()
    await forged.getByText('Ada stays signed in').first().waitFor()
    expect(await forged.getByText(old).isVisible()).toBe(false)
    expect(await notesSide.getByText(old).isVisible()).toBe(true)
    await page.getByText('Shop: right in 2 of 2. Notes: wrong in 1 of 2.').waitFor()
    await context.close()
  })

  it('is a second browser by its other name, without a private window', async () => {
    const { context, page } = await newBrowser()
    await page.goto(op)
    await page.getByRole('link', { name: 'Sign in at Shop' }).click()
    await page.getByRole('button', { name: 'Grace' }).click()
    await page.getByRole('link', { name: 'Back to the overview' }).click()
    const opened = context.waitForEvent('page')
    await page.getByText('Be a second browser').click()
    await page.getByRole('link', { name: 'Open this page by its other name' }).click()
    const second = await opened
    await second.getByRole('heading', { name: 'Nobody is signed in' }).waitFor()
    expect(new URL(second.url()).hostname).toBe('localhost')
    await second.getByRole('link', { name: 'Sign in at Shop' }).click()
    await second.getByRole('button', { name: 'Linus' }).click()
    await second.getByRole('link', { name: 'Back to the overview' }).click()
    await second.locator('.you').getByRole('heading', { name: 'Linus' }).waitFor()
    await second.getByRole('button', { name: 'Log out everywhere' }).click()
    await second.locator('.you [data-place=shop]').getByText('Session ended').waitFor()
    await page.bringToFront()
    expect(await statusAt(context, shop)).toBe(200)
    expect(await page.locator('.you').getByRole('heading').textContent()).toBe('Grace')
    await context.close()
  })

  it('has landmarks, labels and one way through for the keyboard; what cannot be pressed says why', async () => {
    const { context, page } = await newBrowser()
    await page.goto(op)
    await page.getByRole('heading', { name: 'Nobody is signed in' }).waitFor()
    for (const name of [
      'Try it: log out while something is under way',
      'What happened',
      'Who is signed in where',
      'More to try',
      'The Logout Token, and who checks what',
    ])
      expect(await page.getByRole('region', { name }).count(), name).toBe(1)
    for (const role of ['banner', 'main', 'contentinfo'] as const)
      expect(await page.getByRole(role).count(), role).toBe(1)
    for (const term of ['provider', 'Logout Token', 'receiver'])
      expect(await page.getByRole('banner').locator('dfn').allTextContents()).toContain(term)
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    expect(new URL(page.url()).hash).toBe('#try')
    await page.keyboard.press('Tab')
    expect(await page.locator(':focus').textContent()).toBe('Log Ada out at the provider during an upload')
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid')

    const everywhere = page.getByRole('button', { name: 'Log out everywhere', disabled: true })
    expect(await page.locator(`#${await everywhere.getAttribute('aria-describedby')}`).textContent()).toBe(
      'Nobody is signed in at the provider.',
    )
    await everywhere.press('Enter')
    expect(page.url()).toBe(`${op}/#try`)
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

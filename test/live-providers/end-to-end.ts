// A logout that the user begins at one RP, in a real browser, and everything that is to be over afterwards. Each
// provider says how it asks; what comes of it is the same everywhere.
import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, describe, expect, it } from 'vitest'
import { type Live, untilSignedOut } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { User } from './live-provider.js'
import type { LiveRp } from './live-rp.js'
import { endpointOf, refreshAt, TokenAnswers } from './token-answers.js'

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'

/** What differs. */
interface EndToEnd {
  /** Of a user that no other scenario knows. */
  readonly username: string
  readonly password: string
  /** That user exists from now on. */
  newUser(): Promise<unknown>
  /** Everybody who is signed in at the provider by that name. */
  sessionsOf(username: string): Promise<readonly unknown[]>
  /** Says yes to what the provider asks of whoever logs out there: on its page in a real browser, and by its form. */
  readonly confirming?: { inBrowser(page: Page): Promise<void>; readonly fields: Readonly<Record<string, string>> }
  /** What its page says of a `post_logout_redirect_uri` that is not registered. */
  readonly refusesTarget: string
}

export function describeEndToEnd(live: () => Live, provider: EndToEnd): void {
  const { username, password, sessionsOf, confirming } = provider

  describe.skipIf(!existsSync(CHROMIUM) && !process.env.CI)('in a real browser', () => {
    let browser: Browser | undefined
    afterAll(() => browser?.close())

    async function newPage(): Promise<Page> {
      browser ??= await chromium.launch({
        executablePath: CHROMIUM,
        args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking'],
        // People's browsers have it.
        ignoreDefaultArgs: ['--disable-back-forward-cache'],
      })
      return (await browser.newContext()).newPage()
    }

    async function typePassword(page: Page): Promise<void> {
      await page.locator('input[name="password"]').waitFor()
      // Asked for again, some providers know whom they ask.
      const name = page.locator('input[name="username"]')
      if (await name.isVisible()) await name.fill(username)
      await page.locator('input[name="password"]').fill(password)
      await page.locator('input[name="password"]').press('Enter')
    }

    async function logOut(page: Page): Promise<void> {
      await page.getByRole('button', { name: 'Log out' }).click()
      await confirming?.inBrowser(page)
    }

    const hello = (page: Page) => page.getByRole('heading', { name: /^Hello, / }).waitFor()
    const nobody = (page: Page) => page.getByText('Nobody is signed in here').waitFor()

    it('log out at one RP: the session at the provider, the other RP and both refresh tokens are over, and Back shows nothing private; a manipulated target and state are refused on a page that says so; the next sign-in asks for the password', async () => {
      const { rps, credentials, issuer } = live()
      const { a, b } = rps
      await provider.newUser()
      const tokenEndpoint = await endpointOf(issuer, 'token_endpoint')
      const answers = new TokenAnswers(tokenEndpoint)
      const page = await newPage()
      /** The next logout at this RP sends the browser to another address of the provider's. */
      const changeOnce = (rp: LiveRp, change: (parameters: URLSearchParams) => void) =>
        page.route(
          `${rp.origin}/logout`,
          async (route) => {
            const response = await route.fetch({ maxRedirects: 0 })
            const url = new URL(response.headers().location ?? '')
            change(url.searchParams)
            await route.fulfill({ response, headers: { ...response.headers(), location: url.href } })
          },
          { times: 1 },
        )
      try {
        await page.goto(`${a.origin}/login`)
        await typePassword(page)
        await hello(page)
        await page.goto(`${b.origin}/login`)
        await hello(page)
        await page.goto(`${a.origin}/`)
        expect(await sessionsOf(username)).toHaveLength(1)

        await logOut(page)
        await page.getByRole('heading', { name: 'You are logged out' }).waitFor()
        await page.getByText('Your OpenID Provider was told as well.').waitFor()
        expect(new URL(page.url()).origin).toBe(a.origin)
        expect(await sessionsOf(username)).toEqual([])
        for (const [index, { refresh_token }] of (await answers.all()).entries()) {
          const own = index === 0 ? credentials.a : credentials.b
          if (own === undefined) throw new Error('no such client')
          const { status, error } = await refreshAt(tokenEndpoint, own, refresh_token)
          expect({ status, error }).toEqual({ status: 400, error: 'invalid_grant' })
        }

        // Past the provider's own page, where it has one.
        await page.evaluate(`setTimeout(() => history.go(${confirming === undefined ? -1 : -2}), 0)`)
        await nobody(page)
        expect(new URL(page.url()).origin).toBe(a.origin)
        expect(await page.getByText('Hello').count()).toBe(0)
        await page.goto(`${b.origin}/`)
        await nobody(page)

        // Meanwhile signed in at the other RP, so the provider has no reason of its own to ask.
        await page.goto(`${b.origin}/login`)
        await typePassword(page)
        await hello(page)
        await page.goto(`${a.origin}/`)
        await page.getByRole('link', { name: 'Sign in' }).click()
        await typePassword(page)
        await hello(page)
        // It was wanted once.
        await page.goto(`${a.origin}/login`)
        await hello(page)

        await changeOnce(a, (parameters) => parameters.set('post_logout_redirect_uri', 'https://evil.example.com/'))
        await page.getByRole('button', { name: 'Log out' }).click()
        await page.getByText(provider.refusesTarget).waitFor()
        expect(new URL(page.url()).origin).toBe(new URL(issuer).origin)
        await page.goto(`${a.origin}/`)
        await nobody(page)
        await page.goto(`${b.origin}/`)
        await hello(page)

        await changeOnce(b, (parameters) => parameters.set('state', 'of somebody else'))
        await logOut(page)
        await page.getByText('The answer of your OpenID Provider was not the expected one').waitFor()
        expect(new URL(page.url()).origin).toBe(b.origin)
        expect(await sessionsOf(username)).toEqual([])
        await page.goto(`${b.origin}/`)
        await nobody(page)
      } finally {
        answers.stop()
        await page.context().close()
      }
    })
  })

  /** The user logs out at `a`, and on its way to the provider the browser is given another address. */
  async function logOutBy(change: (parameters: URLSearchParams) => void) {
    const { rps, issuer, signIn } = live()
    const user: User = 'bob'
    const endSessionEndpoint = await endpointOf(issuer, 'end_session_endpoint')
    const browser = new LiveBrowser((url) => {
      if (url.href.startsWith(`${endSessionEndpoint}?`)) change(url.searchParams)
      return url
    })
    for (const rp of [rps.a, rps.b]) await signIn(browser, rp, user)
    const page = await rps.a.logOut(browser)
    expect(await rps.a.me(browser)).toBeUndefined()
    return { browser, page }
  }

  it('a manipulated target is refused by the provider on a page that says so: the user is out at the RP that asked, and nowhere else', async () => {
    const { rps, issuer } = live()
    const { browser, page } = await logOutBy((parameters) =>
      parameters.set('post_logout_redirect_uri', 'https://evil.example.com/'),
    )
    expect(page).toMatchObject({ status: 400, text: expect.stringContaining(provider.refusesTarget) })
    expect(page.url).toContain(issuer)
    expect(await rps.b.me(browser)).toBeDefined()
  })

  it.each<[string, (parameters: URLSearchParams) => void]>([
    ['manipulated', (parameters) => parameters.set('state', 'of somebody else')],
    ['missing', (parameters) => parameters.delete('state')],
  ])('a %s state is not believed, and the landing page says so; the user is out all the same', async (_, change) => {
    const { rps } = live()
    const { browser, page: asked } = await logOutBy(change)
    const page = confirming === undefined ? asked : await browser.submit(asked, confirming.fields)
    expect(page).toMatchObject({ url: expect.stringContaining(`${rps.a.origin}/logged-out`), status: 200 })
    expect(page.text).toContain('The answer of your OpenID Provider was not the expected one')
    await untilSignedOut(rps.b, browser)
  })
}

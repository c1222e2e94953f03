// Two tabs that log out at the same moment, in a real browser: each has its way back, and nothing is forgotten.
import { existsSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Browser, chromium } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import type { EndSessionRecord } from '../../src/outbound/end-session.js'
import { rpInitiatedLogout } from '../../src/outbound/rp-initiated-logout.js'

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
const installed = existsSync(CHROMIUM)

if (!installed)
  console.warn(`\nSKIPPED: two tabs in a real browser, since there is no Chromium at ${CHROMIUM} (CHROMIUM_PATH)\n`)

// Where it must not be skipped unseen, a missing browser is a failure.
describe.skipIf(!installed && !process.env.CI)('two tabs', () => {
  let browser: Browser
  let listening: Listening
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--headless', '--no-sandbox', '--disable-gpu'] })
    listening = await listen(0)
  })
  afterAll(async () => {
    await browser?.close()
    await listening?.close()
  })

  it('whose logouts cross come back each with its own state, and the token is revoked once', async () => {
    const issuer = `${listening.url}/op`
    const revoked: string[] = []
    const provider = {
      ...{ client: { issuer, clientId: 'rp' }, endSession: {}, canRevoke: true },
      endpoint: async () => `${issuer}/logout`,
    }
    const ports = {
      ...{ providers: async () => [provider], clock: () => Date.now() / 1000, owed: { add() {} } },
      revocation: {
        async revoke({ refreshToken = '' }: { readonly refreshToken?: string | undefined }) {
          revoked.push(refreshToken)
          return { outcome: 'revoked' } as const
        },
        tooLong() {},
      },
    }
    const secret = 'a secret of more than thirty-two characters'
    const redirectUris = { 'logged-out': `${listening.url}/logged-out` }
    const logout = rpInitiatedLogout<IncomingMessage>({ redirectUris, secret }, ports, async () => {})
    const claims = { iss: issuer, aud: 'rp' }
    // The session ends with the first of both.
    let record = await logout.record(claims, undefined, undefined, { refreshToken: 'of the session' })
    const taken = (): EndSessionRecord | undefined => {
      const own = record
      record = undefined
      return own
    }
    const waiting: (() => void)[] = []
    const bothAreThere = () =>
      new Promise<void>((go) => {
        waiting.push(go)
        if (waiting.length === 2) for (const each of waiting) each()
      })
    const route = logout.route({ record: taken, start: { to: 'logged-out' }, endLocally: bothAreThere })
    const states: string[] = []
    listening.server.on('request', (req: IncomingMessage, res: ServerResponse) => {
      const { pathname, searchParams } = new URL(req.url ?? '/', listening.url)
      if (pathname === '/logout') return route(req, res)
      if (pathname === '/op/logout') {
        const state = searchParams.get('state') ?? ''
        return void res.writeHead(303, { Location: `/logged-out?${new URLSearchParams({ state })}` }).end()
      }
      if (pathname === '/logged-out') {
        states.push(logout.returned(req, res).state)
        return void res.end('<title>back</title>')
      }
      res.setHeader('Content-Type', 'text/html')
      res.end('<form method="post" action="/logout"><button>Log out</button></form>')
    })
    const context = await browser.newContext()
    const pages = [await context.newPage(), await context.newPage()]
    for (const page of pages) await page.goto(`${listening.url}/`)
    await Promise.all(pages.map((page) => page.getByRole('button').click()))
    for (const page of pages) await page.waitForURL('**/logged-out?**')
    expect(states).toEqual(['matched', 'matched'])
    expect(revoked).toEqual(['of the session'])
    expect((await context.cookies()).map(({ name }) => name)).toEqual([])
  })
})

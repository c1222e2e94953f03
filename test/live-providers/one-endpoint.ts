// Three clients of one OpenID Provider that registered the same `backchannel_logout_uri`: three doors of one
// application, which hears of all of them in one place. Sessions that the same user has by another client stay.
import { randomBytes } from 'node:crypto'
import express from 'express'
import session from 'express-session'
import { createBackchannelLogout, expressSessions, type LogoutEvent } from 'oidc-backchannel-logout'
import * as oidc from 'openid-client'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { listen } from '../../example-app/listen.js'
import { createProvider, listen as listenAsProvider } from '../servers/oidc-provider.js'
import { LiveBrowser } from './live-browser.js'

declare module 'express-session' {
  interface SessionData {
    signedInBy: string
    verifier: string
    sentAt: number
  }
}

const DOORS = ['shop', 'staff', 'kiosk'] as const
type Door = (typeof DOORS)[number]
const CLIENT_SECRET = 'a secret of the tests'

/** The OpenID Provider, at which whoever comes is `nextUser`. */
async function startOp(origin: string, sidRequired: boolean) {
  const { server, issuer, close } = await listenAsProvider()
  const provider = await createProvider(issuer, {
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    clients: DOORS.map((door) => ({
      client_id: door,
      client_secret: CLIENT_SECRET,
      redirect_uris: [`${origin}/${door}/callback`],
      post_logout_redirect_uris: [origin],
      backchannel_logout_uri: `${origin}/backchannel-logout`,
      backchannel_logout_session_required: sidRequired,
    })),
  })
  const protocol = provider.callback()
  const op = { issuer, close, nextUser: 'alice' }
  server.on('request', (req, res) => {
    if (!req.url?.startsWith('/interaction/')) return void protocol(req, res)
    provider.interactionFinished(req, res, { login: { accountId: op.nextUser } }).catch(() => res.destroy())
  })
  return op
}

/** One application behind three doors, each a client with a session cookie of its own. */
async function startApplication(sidRequired: boolean) {
  const { server, url: origin, close } = await listen(0)
  const op = await startOp(origin, sidRequired)
  const { issuer } = op
  const events: LogoutEvent[] = []
  const store = new session.MemoryStore()
  const logout = createBackchannelLogout<express.Request>({
    provider: DOORS.map((clientId) => ({ issuer, clientId })),
    sessions: expressSessions(store),
    onEvent: (event) => events.push(event),
  })
  await logout.prepare()
  const app = express()
  app.all('/backchannel-logout', logout.receiver())
  for (const door of DOORS) app.use(`/${door}`, await doorOf(door))
  server.on('request', app)

  async function doorOf(door: Door) {
    const execute = [oidc.allowInsecureRequests]
    const client = await oidc.discovery(new URL(issuer), door, CLIENT_SECRET, undefined, { execute })
    const routes = express.Router()
    routes.use(session({ store, name: door, secret: 'of the tests', resave: false, saveUninitialized: false }))
    routes.get('/login', async (req, res) => {
      req.session.verifier = oidc.randomPKCECodeVerifier()
      req.session.sentAt = Date.now() / 1000
      const { href } = oidc.buildAuthorizationUrl(client, {
        redirect_uri: `${origin}/${door}/callback`,
        scope: 'openid',
        code_challenge: await oidc.calculatePKCECodeChallenge(req.session.verifier),
        code_challenge_method: 'S256',
      })
      res.redirect(href)
    })
    routes.get('/callback', async (req, res) => {
      const checks = { pkceCodeVerifier: req.session.verifier ?? '' }
      const claims = (await oidc.authorizationCodeGrant(client, new URL(req.originalUrl, origin), checks)).claims()
      const { ended } = await logout.bind(req, claims, { startedAt: req.session.sentAt })
      if (ended) return void res.sendStatus(403)
      req.session.signedInBy = door
      res.redirect(`/${door}/`)
    })
    routes.get('/', (req, res) => void res.sendStatus(req.session.signedInBy === door ? 200 : 401))
    return routes
  }

  return {
    events,
    async signIn(browser: LiveBrowser, door: Door, user: string) {
      op.nextUser = user
      await browser.get(`${origin}/${door}/login`)
      expect((await browser.get(`${origin}/${door}/`)).status).toBe(200)
    },
    /** By which clients this browser is signed in. */
    async doorsOf(browser: LiveBrowser) {
      const open = await Promise.all(
        DOORS.map(async (door) => (await browser.get(`${origin}/${door}/`)).status === 200),
      )
      return DOORS.filter((_, index) => open[index])
    },
    async logOut(browser: LiveBrowser) {
      return browser.submit(await browser.get(`${issuer}/session/end`), { logout: 'yes' })
    },
    /** The clients whose Logout Tokens were taken, and how many sessions each ended. */
    ended: () =>
      Object.fromEntries(
        events.flatMap((event) => (event.type === 'logout' ? [[event.clientId, event.destroyed]] : [])),
      ),
    async close() {
      logout.close()
      await close()
      await op.close()
    },
  }
}

export function describeOneEndpoint(): void {
  describe.each([
    ['each by its sid', true],
    ['each by the user alone', false],
  ])('three clients at one endpoint, %s', (_, sidRequired) => {
    let application: Awaited<ReturnType<typeof startApplication>>
    beforeAll(async () => {
      application = await startApplication(sidRequired)
    })
    afterEach(() => application.events.splice(0))
    afterAll(() => application.close())

    it('a browser that is signed in by all three: three Logout Tokens, and each ends the session of its client', async () => {
      const { signIn, doorsOf, logOut, ended } = application
      const [here, bob] = [new LiveBrowser(), new LiveBrowser()]
      for (const door of DOORS) await signIn(here, door, 'alice')
      for (const door of DOORS) await signIn(bob, door, 'bob')
      await logOut(here)
      await vi.waitFor(async () => expect(await doorsOf(here)).toEqual([]))
      expect(ended()).toEqual({ shop: 1, staff: 1, kiosk: 1 })
      expect(await doorsOf(bob)).toEqual([...DOORS])
      await logOut(bob)
    })

    it.each(DOORS)(
      'signed in by another client in each browser, the logout by %s ends that session and no other',
      async (door) => {
        const { signIn, doorsOf, logOut, ended } = application
        const browsers = DOORS.map((each) => ({ each, browser: new LiveBrowser() }))
        for (const { each, browser } of browsers) await signIn(browser, each, 'alice')
        const own = browsers.find(({ each }) => each === door)
        if (own === undefined) throw new Error('no such browser')
        await logOut(own.browser)
        await vi.waitFor(async () => expect(await doorsOf(own.browser)).toEqual([]))
        expect(ended()).toEqual({ [door]: 1 })
        for (const { each, browser } of browsers) expect(await doorsOf(browser)).toEqual(each === door ? [] : [each])
        for (const { browser } of browsers) if (browser !== own.browser) await logOut(browser)
      },
    )
  })
}

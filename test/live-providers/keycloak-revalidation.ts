// A user whom an administrator disables: Keycloak tells nobody, so the RP asks now and then, by the refresh token.
import express from 'express'
import session from 'express-session'
import {
  byRefreshToken,
  createBackchannelLogout,
  createRevalidation,
  expressSessions,
  preset,
} from 'oidc-backchannel-logout'
import * as oidc from 'openid-client'
import { expect, it } from 'vitest'
import { listen } from '../../example-app/listen.js'
import type { Keycloak } from './keycloak.js'
import { LiveBrowser } from './live-browser.js'

declare module 'express-session' {
  interface SessionData {
    codeVerifier: string
    revalidated: string
  }
}

const EVERY_SECONDS = 300

/** An RP as docs/revalidation.md writes it, by this clock. */
async function revalidatingRp({ issuer, register }: Keycloak, clock: () => number) {
  const { server, url: origin, close } = await listen(0)
  const heard: unknown[] = []
  const credentials = await register({
    clientId: `revalidating ${origin}`,
    origin,
    receiver: `${origin}/backchannel-logout`,
  })
  const { clientId, clientSecret } = credentials
  const execute = [oidc.allowInsecureRequests]
  const op = await oidc.discovery(new URL(issuer), clientId, clientSecret, undefined, { execute })
  const store = new session.MemoryStore()
  const logout = createBackchannelLogout<express.Request>({
    provider: { ...preset('keycloak'), issuer, clientId },
    sessions: expressSessions(store),
    onEvent: (event) => {
      if (event.type === 'logout') heard.push(event)
    },
  })
  const endpoint = op.serverMetadata().token_endpoint ?? ''
  const revalidation = createRevalidation({
    everySeconds: EVERY_SECONDS,
    ask: byRefreshToken({ issuer, endpoint, clientId, clientSecret }),
    secret: 'of the tests, thirty-two letters and more',
    clock,
  })
  const app = express()
  app.all('/backchannel-logout', logout.receiver())
  app.use(session({ store, secret: 'of the tests', resave: false, saveUninitialized: false }))
  app.get('/login', async (req, res) => {
    req.session.codeVerifier = oidc.randomPKCECodeVerifier()
    const { href } = oidc.buildAuthorizationUrl(op, {
      redirect_uri: `${origin}/callback`,
      scope: 'openid',
      code_challenge: await oidc.calculatePKCECodeChallenge(req.session.codeVerifier),
      code_challenge_method: 'S256',
    })
    res.redirect(href)
  })
  app.get('/callback', async (req, res) => {
    const pkceCodeVerifier = req.session.codeVerifier ?? ''
    const tokens = await oidc.authorizationCodeGrant(op, new URL(req.originalUrl, origin), { pkceCodeVerifier })
    const { sub = '' } = tokens.claims() ?? {}
    const { ended } = await logout.bind(req, tokens.claims())
    if (ended) return void res.sendStatus(403)
    await revalidation.begin(req.sessionID, { refreshToken: tokens.refresh_token, sub })
    req.session.revalidated = sub
    res.redirect('/')
  })
  app.use(async (req, res, next) => {
    if (req.session.revalidated === undefined || (await revalidation.check(req.sessionID)) !== 'ended') return next()
    await logout.unbind(req)
    res.sendStatus(401)
  })
  app.get('/', (req, res) => void res.sendStatus(req.session.revalidated === undefined ? 401 : 200))
  server.on('request', app)
  return {
    origin,
    heard,
    async close() {
      logout.close()
      await close()
    },
  }
}

export function describeRevalidation(keycloak: () => Keycloak): void {
  it('a disabled user, of whom Keycloak tells nobody, is out within the pause of createRevalidation; another stays', async () => {
    const admin = keycloak()
    let later = 0
    const rp = await revalidatingRp(admin, () => Date.now() / 1000 + later)
    try {
      const [leaver, other] = [new LiveBrowser(), new LiveBrowser()]
      for (const [browser, name] of [
        [leaver, 'dora'],
        [other, 'erin'],
      ] as const) {
        await admin.newUser(name)
        await admin.signIn(browser, `${rp.origin}/login`, name)
      }
      const status = async (browser: LiveBrowser) => (await browser.get(`${rp.origin}/`)).status
      expect([await status(leaver), await status(other)]).toEqual([200, 200])
      await admin.admin('PUT', `/users/${await admin.userId('dora')}`, { enabled: false })
      expect(await status(leaver)).toBe(200)
      later += EVERY_SECONDS
      expect([await status(leaver), await status(other)]).toEqual([401, 200])
      expect(await status(leaver)).toBe(401)
      for (let turn = 0; turn < 3; turn++) {
        later += EVERY_SECONDS
        expect(await status(other)).toBe(200)
      }
      expect(rp.heard).toEqual([])
    } finally {
      await rp.close()
    }
  })
}

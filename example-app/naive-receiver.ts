// Notes: an application whose receiver of Logout Tokens was written by hand, as it stands in many repositories. It is
// here to be compared with the Shop, and is not to be copied: what is missing in it is what the demo shows.
import { promisify } from 'node:util'
import express, { type Express } from 'express'
import session from 'express-session'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oidc from 'openid-client'
import { homePage, signInFailedPage } from './relying-party-pages.js'

export interface NaiveRpConfig {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly baseUrl: string
  readonly sessionSecret: string
  readonly sessionStore: session.Store
  readonly name: string
  readonly overviewUrl: string
  /** More pages, behind the session. */
  readonly routes: (app: Express) => void
  /** Why a Logout Token was refused. */
  readonly onRefused: (error: unknown) => void
}

/** Session ids by the `sid` of the provider. */
const sessionIds = new Map<unknown, string>()

export function createNaiveRp(config: NaiveRpConfig): Express {
  const { issuer, clientId, clientSecret, baseUrl, sessionSecret, sessionStore, name, overviewUrl } = config
  const look = { where: name, overviewUrl }
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  const app = express()
  app.disable('x-powered-by')

  // Verify the token, find the session, destroy it: what could go wrong?
  app.post('/backchannel-logout', express.urlencoded({ extended: false }), async (req, res) => {
    try {
      const { payload } = await jwtVerify(req.body.logout_token, keys, { issuer, audience: clientId })
      const sessionId = sessionIds.get(payload.sid)
      if (sessionId !== undefined) sessionStore.destroy(sessionId)
      res.status(200).end()
    } catch (error) {
      config.onRefused(error)
      res.status(400).end()
    }
  })

  app.use(
    session({
      name: 'notes',
      store: sessionStore,
      secret: sessionSecret,
      cookie: { httpOnly: true, sameSite: 'lax' },
      resave: false,
      saveUninitialized: false,
    }),
  )

  app.get('/', (req, res) => {
    const { sub } = req.session.signOn ?? {}
    res.set('Cache-Control', 'no-store').send(homePage({ ...look, sub, hasOrders: false, hasDevices: false }))
  })

  app.get('/me', (req, res) => {
    const { signOn } = req.session
    res.set('Cache-Control', 'no-store')
    if (signOn) res.json({ sub: signOn.sub, sid: signOn.sid })
    else res.status(401).json({ error: 'not_signed_in' })
  })

  let discovered: Promise<oidc.Configuration> | undefined
  const provider = () => {
    discovered ??= oidc.discovery(new URL(issuer), clientId, undefined, oidc.ClientSecretBasic(clientSecret), {
      execute: [oidc.allowInsecureRequests],
    })
    return discovered
  }

  app.get('/login', async (req, res) => {
    const codeVerifier = oidc.randomPKCECodeVerifier()
    const pending = { state: oidc.randomState(), nonce: oidc.randomNonce(), codeVerifier, startedAt: Date.now() / 1000 }
    req.session.pendingSignIn = pending
    const url = oidc.buildAuthorizationUrl(await provider(), {
      redirect_uri: `${baseUrl}/callback`,
      scope: 'openid',
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(codeVerifier),
      code_challenge_method: 'S256',
    })
    res.redirect(303, url.href)
  })

  app.get('/callback', async (req, res) => {
    const { pendingSignIn } = req.session
    try {
      const tokens = await oidc.authorizationCodeGrant(await provider(), new URL(req.originalUrl, baseUrl), {
        expectedState: String(pendingSignIn?.state),
        expectedNonce: String(pendingSignIn?.nonce),
        pkceCodeVerifier: String(pendingSignIn?.codeVerifier),
        idTokenExpected: true,
      })
      const claims = tokens.claims()
      if (!claims) throw new Error('There is no ID Token')
      const { sub, iss, iat } = claims
      const sid = String(claims.sid)
      await promisify(req.session.regenerate.bind(req.session))()
      sessionIds.set(sid, req.sessionID)
      req.session.signOn = { sub, sid, issuer: iss, issuedAt: iat, accessToken: tokens.access_token }
      res.redirect(303, '/')
    } catch {
      res.status(400).send(signInFailedPage(look))
    }
  })

  app.post('/logout', (req, res) => {
    req.session.destroy(() => res.redirect(303, '/'))
  })

  config.routes(app)
  return app
}

// One Relying Party, whole: signs users in at any OpenID Provider and hears from it when they are logged out.
// Knows nothing of the demo around it.
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import session from 'express-session'
import { importJWK } from 'jose'
import {
  type BackchannelLogoutOptions,
  createBackchannelLogout,
  type EndSessionRecord,
  expressSessions,
  type LogoutEvent,
  type ProviderOptions,
} from 'oidc-backchannel-logout'
import * as oidc from 'openid-client'
import { BY_USER, devices, labelOf } from './devices.js'
import {
  endedPage,
  homePage,
  loggedOutPage,
  noOrdersPage,
  type Orders,
  ordersPage,
  signInFailedPage,
  unavailablePage,
  unreachablePage,
} from './relying-party-pages.js'

const SESSION_SECONDS = 8 * 3600
const API_TIMEOUT_MS = 5000

declare module 'express-session' {
  interface SessionData {
    /** What this browser's sign-in must come back with. */
    pendingSignIn: {
      readonly state: string
      readonly nonce: string
      readonly codeVerifier: string
      readonly startedAt: number
    }
    signOn: {
      readonly sub: string
      readonly sid?: string | undefined
      readonly issuer: string
      readonly issuedAt: number
      readonly accessToken: string
      /** What the logout will need of this login; the ID Token in it is sealed. */
      readonly record?: EndSessionRecord | undefined
    }
  }
}

export interface RpConfig {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Where browsers and the OP reach this RP: an origin without a trailing slash. */
  readonly baseUrl: string
  readonly sessionSecret: string
  /**
   * What this provider needs beyond the letter, e.g. `preset('ory-hydra')`, and what the client's registration decides.
   */
  readonly provider?: Omit<ProviderOptions, 'issuer' | 'clientId'> | undefined
  /** With several nodes both are of a server that all of them share, as `stores.ts` opens them. Default: in memory. */
  readonly sessionStore?: session.Store | undefined
  readonly logoutStore?: BackchannelLogoutOptions['store'] | undefined
  /** Origin of the API of `api.ts`, which is called in the user's name. */
  readonly apiUrl?: string | undefined
  /** The claims that an API in this same process keeps. */
  readonly claims?: BackchannelLogoutOptions['claims'] | undefined
  /** More pages, behind the session. */
  readonly routes?: ((app: Express) => void) | undefined
  readonly onEvent?: ((event: LogoutEvent) => void) | undefined
  /** Why a sign-in did not work; the browser is not told. */
  readonly onSignInError?: ((error: unknown) => void) | undefined
  /** Why a request was not served; the browser is not told. */
  readonly onError?: ((error: unknown) => void) | undefined
  /** For the pages: what the RP is called, and where the demo's overview is. */
  readonly name?: string | undefined
  readonly overviewUrl?: string | undefined
}

export interface Rp {
  readonly app: Express
  close(): void
}

/** The RP as an Express app. Throws a `TypeError` if the issuer could be impersonated by anybody on the way. */
export function createRp(config: RpConfig): Rp {
  const { issuer, clientId, baseUrl, name = 'Relying Party', overviewUrl, apiUrl } = config
  const { logoutStore: store, claims, onEvent, onSignInError, onError } = config
  const insecure = assertIssuer(issuer)
  const look = { where: name, overviewUrl }
  const sessionStore = config.sessionStore ?? new session.MemoryStore()
  const provider = lazily(() => discover(config, insecure))

  // Before session({ store }): the receiver protects the store against sessions that come back.
  const logout = createBackchannelLogout<Request>({
    provider: {
      clientAuthentication: { method: 'client_secret_basic', clientSecret: config.clientSecret },
      ...config.provider,
      issuer,
      clientId,
    },
    sessions: expressSessions(sessionStore),
    ...(store && { store }),
    ...(claims && { claims }),
    ...(onEvent && { onEvent }),
  })
  // The OP waits two or three seconds for an answer, so its keys are fetched before it needs one.
  void logout.prepare()

  const app = express()
  app.disable('x-powered-by')

  // Before sessions, CSRF checks and login walls: the OP has no cookie, and would take a login page's 200 for success.
  app.all('/backchannel-logout', logout.receiver())
  // The same for an OP that tells browsers instead. A client registers one of the two.
  app.all('/frontchannel-logout', logout.frontchannelReceiver())

  const rpInitiated = logout.rpInitiatedLogout({
    redirectUris: { 'logged-out': `${baseUrl}/logged-out` },
    secret: createHash('sha256').update(`logout ${config.sessionSecret}`).digest('base64url'),
    // Where the OP ends the session, its refresh token is revoked as well.
    recordIn: (row) => (row as Partial<session.SessionData>).signOn?.record,
  })

  // The OP notifies the RP that began a logout as well, so the session is gone when the browser arrives here: ask for
  // none.
  app.get('/logged-out', (req, res) => {
    const { state, provider } = rpInitiated.returned(req, res)
    res.set('Cache-Control', 'no-store').send(loggedOutPage({ ...look, state, provider }))
  })

  const cookie = {
    // Browsers keep cookies per host, not per port: two RPs on one host must not overwrite each other's.
    name: `rp_${createHash('sha256').update(`${issuer} ${clientId}`).digest('hex').slice(0, 8)}`,
    // Lax: the callback arrives from the OP's site with its cookie, a forged POST /logout arrives without.
    options: { httpOnly: true, sameSite: 'lax', secure: baseUrl.startsWith('https:'), maxAge: SESSION_SECONDS * 1000 },
  } as const
  app.use(
    session({
      store: sessionStore,
      name: cookie.name,
      secret: config.sessionSecret,
      cookie: cookie.options,
      resave: false,
      saveUninitialized: false,
    }),
  )

  app.get('/', (req, res) => {
    res
      .set('Cache-Control', 'no-store')
      .send(homePage({ ...look, sub: req.session.signOn?.sub, hasOrders: apiUrl !== undefined, hasDevices: true }))
  })

  app.get('/me', (req, res) => {
    const { signOn } = req.session
    res.set('Cache-Control', 'no-store')
    if (signOn) res.json({ sub: signOn.sub, sid: signOn.sid })
    else res.status(401).json({ error: 'not_signed_in' })
  })

  app.get('/login', async (req, res) => {
    let op: oidc.Configuration
    try {
      op = await provider()
    } catch (error) {
      onSignInError?.(error)
      res.status(503).send(unreachablePage(look))
      return
    }
    const pending = {
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
      codeVerifier: oidc.randomPKCECodeVerifier(),
      startedAt: Date.now() / 1000,
    }
    req.session.pendingSignIn = pending
    const url = oidc.buildAuthorizationUrl(op, {
      redirect_uri: `${baseUrl}/callback`,
      scope: apiUrl === undefined ? 'openid' : 'openid orders',
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(pending.codeVerifier),
      code_challenge_method: 'S256',
    })
    // Who logged out on purpose is not signed in again by a click, but by a password.
    const prompt = rpInitiated.promptOnce(req, res)
    if (prompt) url.searchParams.set('prompt', prompt)
    res.redirect(303, url.href)
  })

  app.get('/callback', async (req, res) => {
    const startedAt = req.session.pendingSignIn?.startedAt
    const tokens = await redeem(req)
    const claims = tokens?.claims()
    if (!tokens?.id_token || !claims) {
      res.status(400).send(signInFailedPage(look))
      return
    }
    // A new id before anybody is signed in, against session fixation; bind only after it, since a binding is to the
    // final id.
    await regenerate(req)
    // Before the session holds a user: should this fail, there is no signed-in session that a logout could not find.
    // The access token dies with the session, also where an API keeps claims of it.
    const { ended } = await logout.bind(req, claims, {
      accessToken: tokens.access_token,
      // When the browser was sent to the OP: a sign-in that is begun after a logout is not ended by it.
      startedAt,
      label: labelOf(req.get('user-agent')),
    })
    if (ended) {
      res.status(403).send(endedPage(look))
      return
    }
    req.session.signOn = {
      sub: claims.sub,
      sid: typeof claims.sid === 'string' ? claims.sid : undefined,
      issuer: claims.iss,
      issuedAt: claims.iat,
      accessToken: tokens.access_token,
      // A refresh token, where the OP gives one, is of no use here: it is revoked at the logout.
      record: await rpInitiated.record(claims, tokens.id_token, undefined, {
        refreshToken: tokens.refresh_token,
        scope: tokens.scope,
      }),
    }
    await save(req)
    res.redirect(303, '/')
  })

  // Ends the session here, then at the OP. Anything but a POST from this very site logs nobody out.
  app.all(
    '/logout',
    rpInitiated.route({
      record: (req: Request) => req.session.signOn?.record,
      start: (req: Request) => ({
        to: 'logged-out',
        scope: req.session.signOn ? 'provider' : 'local',
        askForPassword: req.session.signOn !== undefined,
      }),
      sessionCookie: { name: cookie.name, ...cookie.options },
    }),
  )

  // Of every device here; at the OP of this browser alone, which is all that it can be asked for.
  app.all(
    '/logout-everywhere',
    rpInitiated.route({
      record: (req: Request) => req.session.signOn?.record,
      start: { to: 'logged-out', askForPassword: true },
      endLocally: async (req: Request) => {
        const sub = req.session.signOn?.sub
        await logout.unbind(req)
        if (sub === undefined) return
        const { error } = await logout.terminate({ issuer, clientId, sub }, { reason: BY_USER })
        if (error) throw error
      },
      sessionCookie: { name: cookie.name, ...cookie.options },
    }),
  )

  app.use(devices({ logout, client: { issuer, clientId }, origin: baseUrl, look }))

  app.get('/orders', async (req, res) => {
    const { signOn } = req.session
    if (!signOn) {
      res.redirect(303, '/')
      return
    }
    const orders = await ordersWith(signOn.accessToken)
    res.set('Cache-Control', 'no-store')
    if (orders) res.send(ordersPage({ ...look, ...orders }))
    else res.status(502).send(noOrdersPage(look))
  })

  config.routes?.(app)

  // Mostly a store that does not answer: nobody is let in by that, and nobody's session is ended.
  app.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
    onError?.(error)
    if (res.headersSent) next(error)
    else res.status(503).set({ 'Retry-After': '1', 'Cache-Control': 'no-store' }).send(unavailablePage(look))
  })

  async function ordersWith(accessToken: string): Promise<Orders | undefined> {
    try {
      const headers = { authorization: `Bearer ${accessToken}` }
      const answer = await fetch(`${apiUrl}/orders`, { headers, signal: AbortSignal.timeout(API_TIMEOUT_MS) })
      return answer.ok ? JSON.parse(await answer.text()) : undefined
    } catch {
      return undefined
    }
  }

  async function redeem(req: Request) {
    const { pendingSignIn: pending } = req.session
    if (!pending) return undefined
    try {
      return await oidc.authorizationCodeGrant(await provider(), new URL(req.originalUrl, baseUrl), {
        expectedState: pending.state,
        expectedNonce: pending.nonce,
        pkceCodeVerifier: pending.codeVerifier,
        idTokenExpected: true,
      })
    } catch (error) {
      // Cancelled by the user, expired, replayed or forged: to the browser it is all the same.
      onSignInError?.(error)
      return undefined
    }
  }

  return { app, close: () => logout.close() }
}

/** Whether the issuer speaks plain `http:`, which is accepted only where nobody is on the way. */
function assertIssuer(issuer: string): boolean {
  const { protocol, hostname } = URL.canParse(issuer) ? new URL(issuer) : { protocol: '', hostname: '' }
  if (protocol === 'https:') return false
  if (protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(hostname)) return true
  throw new TypeError(
    'The issuer must be an https: URL; http: is accepted on loopback only (127.0.0.1, [::1], localhost)',
  )
}

async function discover({ issuer, clientId, clientSecret, provider }: RpConfig, insecure: boolean) {
  const op = await oidc.discovery(new URL(issuer), clientId, undefined, oidc.ClientSecretBasic(clientSecret), {
    execute: insecure ? [oidc.allowInsecureRequests] : [],
  })
  // Where Logout Tokens are encrypted for this client, so are its ID Tokens: there is one registration for both.
  const { decryption } = provider ?? {}
  if (decryption && !decryption.allowPlainJws) {
    const keys = await Promise.all(
      decryption.keys.map(async (jwk) => {
        const key = await importJWK(jwk, decryption.keyManagementAlgorithms[0])
        return key instanceof Uint8Array ? [] : [{ key, ...(jwk.kid && { kid: jwk.kid }) }]
      }),
    )
    oidc.enableDecryptingResponses(op, [...decryption.contentEncryptionAlgorithms], ...keys.flat())
  }
  return op
}

/** Once it has worked: an RP that is started before its OP finds it at the first sign-in. */
function lazily<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make().catch((error: unknown) => {
      made = undefined
      throw error
    })
    return made
  }
}

const regenerate = (req: Request) => promisify(req.session.regenerate.bind(req.session))()
const save = (req: Request) => promisify(req.session.save.bind(req.session))()

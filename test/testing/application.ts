// The application of a user who tests their logout, whole, and the same with one mistake: what people forget at the
// receiver, at `bind` and at the session store.
import { createServer } from 'node:http'
import express, { type Express, type NextFunction, type Request, type Response } from 'express'
import session from 'express-session'
import { decodeJwt } from 'jose'
import * as oidc from 'openid-client'
import { createBackchannelLogout, expressSessions, type LogoutEvent, type ProviderOptions } from '../../src/index.js'

export type Mistake =
  | 'the receiver is not mounted'
  | 'bind is forgotten'
  | 'bind is not awaited'
  | 'the response is sent before bind'
  | 'ended is ignored'
  | 'the store is another'
  | 'the receiver stands behind a login wall'
  | 'bind gets other claims'
  | 'bind gets the claims of another client'
  | 'onSessionsEnded closes nothing'
  | 'one logout ends all devices'
  | 'a device is remembered by its cookie'
  | 'who was logged out once is refused'
  | 'a repeat ends everybody'
  | 'a broken token is taken'
  | 'a Logout Token is taken for an ID Token'
  | 'onSessionsEnded closes everything'

export interface Application {
  readonly url: string
  readonly events: LogoutEvent[]
  close(): Promise<void>
}

declare module 'express-session' {
  interface SessionData {
    login?: { readonly state: string; readonly nonce: string; readonly verifier: string }
  }
}

export async function startApplication(
  issuer: string,
  mistake?: Mistake,
  provider: Partial<ProviderOptions> = {},
): Promise<Application> {
  const app = express()
  const server = createServer(app)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const events: LogoutEvent[] = []
  const close = mount(app, url, issuer, mistake, events, provider)
  return {
    url,
    events,
    close: () => {
      close()
      return new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      })
    },
  }
}

function mount(
  app: Express,
  url: string,
  issuer: string,
  mistake: Mistake | undefined,
  events: LogoutEvent[],
  provider: Partial<ProviderOptions>,
): () => void {
  const store = new session.MemoryStore()
  const streams = new Map<string, Set<Response>>()
  /** Of the mistakes that keep a record of their own: whose a session is, and on which device. */
  const records = new Map<string, { readonly device: string; readonly user: string }>()
  const signedInDevices = new Set<string>()
  const loggedOutUsers = new Set<string>()
  const logout = createBackchannelLogout<Request>({
    provider: {
      issuer,
      clientId: 'my-rp',
      ...(mistake === 'one logout ends all devices' && { ignoreSid: true }),
      ...(mistake === 'a broken token is taken' && { allowMissingExp: true }),
      ...provider,
    },
    sessions: expressSessions(mistake === 'the store is another' ? new session.MemoryStore() : store),
    onEvent(event) {
      events.push(event)
      if (mistake === 'a repeat ends everybody' && event.type === 'replay') store.clear()
    },
    onSessionsEnded({ sessionIds }) {
      for (const id of sessionIds) {
        signedInDevices.delete(records.get(id)?.device ?? '')
        loggedOutUsers.add(records.get(id)?.user ?? '')
      }
      if (mistake === 'onSessionsEnded closes nothing') return
      if (mistake === 'onSessionsEnded closes everything') {
        for (const each of streams.values()) for (const stream of each) stream.end()
      }
      for (const id of sessionIds) for (const stream of streams.get(id) ?? []) stream.end()
    },
  })
  const behindWall = mistake === 'the receiver stands behind a login wall'
  const isMounted = mistake !== 'the receiver is not mounted'
  if (isMounted && !behindWall) app.all('/backchannel-logout', logout.receiver())
  app.use(session({ store, secret: 'keyboard cat', resave: false, saveUninitialized: false }))
  const client = oidc.discovery(new URL(issuer), 'my-rp', undefined, oidc.ClientSecretPost('a secret'), {
    execute: [oidc.allowInsecureRequests],
  })

  app.get('/login', async (req, res) => {
    const login = { state: oidc.randomState(), nonce: oidc.randomNonce(), verifier: oidc.randomPKCECodeVerifier() }
    req.session.login = login
    if (deviceOf(req) === undefined) res.append('set-cookie', `device=${login.state}; Path=/`)
    const address = oidc.buildAuthorizationUrl(await client, {
      redirect_uri: `${url}/callback`,
      scope: 'openid',
      state: login.state,
      nonce: login.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(login.verifier),
      code_challenge_method: 'S256',
    })
    res.redirect(address.href)
  })

  app.get('/callback', async (req, res) => {
    const { login } = req.session
    if (login === undefined) return void res.sendStatus(400)
    if (mistake === 'a Logout Token is taken for an ID Token') {
      const idToken = await redeemUnseen(await client, req, `${url}/callback`, login.verifier)
      await regenerate(req)
      // The very mistake: whose it is counts, and not what it is.
      if (idToken.events === undefined && (await logout.bind(req, idToken)).ended)
        return void res.redirect('/login?again')
      req.session.user = String(idToken.sub)
      return void res.redirect('/')
    }
    const tokens = await oidc
      .authorizationCodeGrant(await client, new URL(req.originalUrl, url), {
        expectedState: login.state,
        expectedNonce: login.nonce,
        pkceCodeVerifier: login.verifier,
      })
      .catch(() => undefined)
    const claims = tokens?.claims()
    if (claims === undefined) return void res.status(400).send('That did not work')
    if (mistake === 'who was logged out once is refused' && loggedOutUsers.has(claims.sub))
      return void res.redirect('/')
    await regenerate(req)
    const device = deviceOf(req) ?? ''
    records.set(req.sessionID, { device, user: claims.sub })
    signedInDevices.add(device)
    if (mistake === 'the response is sent before bind') {
      req.session.user = claims.sub
      res.redirect('/')
    }
    const given = {
      ...claims,
      ...(mistake === 'bind gets other claims' && { sid: `another-${claims.sid}` }),
      ...(mistake === 'bind gets the claims of another client' && { aud: 'another' }),
    }
    if (mistake === 'bind is not awaited') {
      // The very mistake: the promise floats.
      void logout.bind(req, given)
    } else if (mistake !== 'bind is forgotten') {
      const { ended } = await logout.bind(req, given)
      if (ended && mistake !== 'ended is ignored') return void res.redirect('/login?again')
    }
    if (mistake === 'the response is sent before bind') return
    req.session.user = claims.sub
    res.redirect('/')
  })

  if (behindWall) {
    app.use((req, res, next) => (req.session.user === undefined ? res.redirect('/login') : next()))
    app.all('/backchannel-logout', logout.receiver())
  }
  app.get('/', (_req, res) => void res.send('Welcome'))
  app.get('/me', (req, res) => {
    const isRemembered = mistake === 'a device is remembered by its cookie' && signedInDevices.has(deviceOf(req) ?? '')
    res.sendStatus(req.session.user === undefined && !isRemembered ? 401 : 200)
  })
  app.get('/events', (req, res) => {
    if (req.session.user === undefined) return void res.sendStatus(401)
    res.writeHead(200, { 'content-type': 'text/event-stream' }).write(': hello\n\n')
    streams.set(req.sessionID, (streams.get(req.sessionID) ?? new Set()).add(res))
  })
  app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
    res.status(500).type('text').send(error.message)
  })
  return () => logout.close()
}

function regenerate(req: Request): Promise<void> {
  return new Promise((done, fail) => req.session.regenerate((error) => (error ? fail(error) : done())))
}

function deviceOf({ headers: { cookie = '' } }: Request): string | undefined {
  return /device=([^;]*)/.exec(cookie)?.[1]
}

/** The claims of the ID Token, as an application reads them that checks nothing. */
async function redeemUnseen(client: oidc.Configuration, req: Request, redirectUri: string, verifier: string) {
  const { token_endpoint: endpoint = '' } = client.serverMetadata()
  const body = new URLSearchParams({
    ...{ grant_type: 'authorization_code', code: String(req.query.code), redirect_uri: redirectUri },
    ...{ client_id: 'my-rp', client_secret: 'a secret', code_verifier: verifier },
  })
  const { id_token: idToken } = (await (await fetch(endpoint, { method: 'POST', body })).json()) as { id_token: string }
  return decodeJwt(idToken)
}

// An OpenID Provider for tests on a free loopback port: it signs people in, publishes metadata and keys, and delivers
// Logout Tokens as real ones do. Knows nothing of the receiver beyond its URL.
import { createServer, type ServerResponse } from 'node:http'
import { assertOptions, type OptionNames } from '../option-checks.js'
import type { PresetName } from '../providers/presets.js'
import { createTestBrowser, type TestBrowser } from './browser.js'
import {
  type DeliveringProvider,
  type DeliveryAnswer,
  type DeliveryOptions,
  deliver,
  deliverAs,
  type HabitualDelivery,
  type HabitualDeliveryOptions,
} from './delivery.js'
import { type Behaviour, FakeEndpoint } from './fake-endpoint.js'
import { FakeLogin, type IdTokenMaker, type LoginStep, type OpSession } from './fake-login.js'
import { mintKeys } from './mint-keys.js'
import { PROVIDER_SHAPES, type ProviderShape, shaped } from './provider-shapes.js'
import { createTokenMint, type TokenMint, type TokenMintOptions } from './token-mint.js'

/** An endpoint of the fake OP that can be made to fail. */
export type Endpoint = 'discovery' | 'jwks'

/** Options of `createFakeOp`. */
export interface FakeOpOptions extends Omit<TokenMintOptions, 'issuer' | 'keys'> {
  /** Path of the issuer after the origin, such as `/realms/demo` or `/`. Default: none, or that of `as`. */
  readonly issuerPath?: string
  /** Looks like this provider: its issuer's path, its metadata, its algorithm, the shape of its Logout Tokens. */
  readonly as?: PresetName
  /** Default: any free one. */
  readonly port?: number
  /** Registered for the client: whoever logs out at the OP has a Logout Token sent here. May be set later. */
  readonly backchannelLogoutUri?: string
}

/**
 * An OpenID Provider for tests, in this process: discovery, keys, login, and Logout Tokens that it signs and delivers.
 */
export interface FakeOp {
  /** `http://127.0.0.1:<port>`, with the issuer's path. */
  readonly issuer: string
  readonly clientId: string
  readonly jwksUri: string
  /** Signs with the key in use; another object after `rotateKeys`. */
  readonly mint: TokenMint
  /** Requests seen so far, answered or not. */
  readonly fetches: Readonly<Record<Endpoint, number>>
  /** Requests to the endpoints of the login so far. */
  readonly seen: Readonly<Record<LoginStep, number>>
  readonly shape: ProviderShape
  /** Where `logOut` and the end session endpoint send the Logout Token; `undefined`: nowhere. */
  backchannelLogoutUri: string | undefined
  /** Changes how an endpoint answers from now on, and answers what was held back. */
  behave(endpoint: Endpoint, behaviour: Behaviour): void
  /** New signing keys, used and published at once; the old ones are published no more. */
  rotateKeys(): Promise<void>
  /**
   * A browser in which this user is signed in at the OP, so that the application's own login needs no form: `get` its
   * `/login`. Any other browser that comes to the OP without its cookie is signed in there as the user of `login_hint`,
   * or the mint's `sub`.
   */
  openBrowser(sub: string, options?: OpenBrowserOptions): SignedInBrowser
  /**
   * Ends the OP's sessions of this `sid`, or all of this `sub`, and delivers one Logout Token that names what was
   * given. Resolves to the token and what it was answered.
   */
  logOut(target: { readonly sid?: string; readonly sub?: string }, options?: LogOutOptions): Promise<LogoutDelivery>
  /** Runs once in the midst of the next login: the code was presented, its tokens are not given yet. */
  duringNextLogin(act: (session: OpSession) => Promise<void>): void
  /** The next login gets this in place of its ID Token; `claims` are those it would have had. */
  nextIdToken(make: IdTokenMaker): void
  /** One POST of BCL 2.5. Rejects for an option that it does not have alone. */
  deliver(url: string, token: string, options?: DeliveryOptions): Promise<DeliveryAnswer>
  /** One logout as the named provider delivers it, retries included, at once and without waiting. */
  deliverAs(provider: DeliveringProvider, url: string, options?: HabitualDeliveryOptions): Promise<HabitualDelivery>
  close(): Promise<void>
}

/** Options of a browser of the fake OP. */
export interface OpenBrowserOptions {
  /** Dates the ID Tokens of this session so long ago. Default: 0. */
  readonly secondsAgo?: number
  /** The OP's session id. Default: a new one. */
  readonly sid?: string
  /** Signs in here, at the OP, in place of a new browser. */
  readonly in?: TestBrowser
}

/** How the fake OP ends a session: whom it tells, and how its token is dated. */
export interface LogOutOptions {
  /** Default: `backchannelLogoutUri`. */
  readonly to?: string
  /** Dates the Logout Token so long ago. Default: 0. */
  readonly secondsAgo?: number
}

/** What came of one delivery of a Logout Token. */
export interface LogoutDelivery extends DeliveryAnswer {
  readonly token: string
}

/** A browser, and who it is at the OP. */
export interface SignedInBrowser extends TestBrowser {
  readonly session: OpSession
}

/** How an answer begins that says where the endpoints are. */
export const NO_ENDPOINT = 'The fake OP has no such endpoint. By its metadata'

const NAMES: OptionNames<FakeOpOptions> = {
  issuerPath: true,
  as: true,
  port: true,
  backchannelLogoutUri: true,
  clientId: true,
  algorithm: true,
  now: true,
  clientSecret: true,
  sub: true,
  sid: true,
}

const BROWSER_NAMES: OptionNames<OpenBrowserOptions> = { secondsAgo: true, sid: true, in: true }
const LOG_OUT_NAMES: OptionNames<LogOutOptions> = { to: true, secondsAgo: true }

/** Starts a fake OP. Close it when the test is over. Rejects if the port is taken. */
export async function createFakeOp(options: FakeOpOptions): Promise<FakeOp> {
  assertOptions('createFakeOp()', options, NAMES)
  const shape: ProviderShape = (options.as && PROVIDER_SHAPES[options.as]) ?? {}
  const { issuerPath = shape.issuerPath ?? '', as: _, backchannelLogoutUri, port = 0, ...given } = options
  const mintOptions = { ...(shape.algorithm && { algorithm: shape.algorithm }), ...given }
  const now = options.now ?? (() => Date.now() / 1000)
  const endpoints = { discovery: new FakeEndpoint(metadata), jwks: new FakeEndpoint(() => mint.jwks) }
  // A receiver that waits for this very port may ask while the keys are being made: its answer waits for them.
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  const server = createServer((req, res) => {
    void opened.then(() => {
      const url = new URL(req.url ?? '/', 'http://127.0.0.1')
      if (url.pathname === discoveryPath) endpoints.discovery.handle(req, res)
      else if (url.pathname === jwksPath) endpoints.jwks.handle(req, res)
      else {
        const answered = login.handle(req, res, url).then((known) => known || noSuchEndpoint(res))
        answered.catch(() => res.destroy())
      }
    })
  })
  await new Promise<void>((listening, failed) => {
    server.once('error', failed)
    server.listen(port, '127.0.0.1', listening)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('the fake OP got no port')
  const issuer = `http://127.0.0.1:${address.port}${issuerPath}`
  const base = issuerPath.replace(/\/$/, '')
  const discoveryPath = `${base}/.well-known/openid-configuration`
  const jwksPath = `${base}/jwks`
  const jwksUri = `http://127.0.0.1:${address.port}${jwksPath}`
  let rotations = 0
  let mint = shaped(await createTokenMint({ ...mintOptions, issuer }), shape, now)
  const login = new FakeLogin({
    issuer,
    base,
    clientId: options.clientId,
    clientSecret: options.clientSecret,
    defaultSub: mint.idTokenClaims().sub,
    sidInIdToken: shape.sidInIdToken ?? true,
    now,
    signIdToken: (claims) => mint.idToken({ payload: { sid: undefined, nonce: undefined, ...claims } }),
    sessionEnded: async ({ sub, sid }) => {
      if (op.backchannelLogoutUri !== undefined) await notify({ sub, sid })
    },
  })

  function metadata() {
    const announced = { backchannel_logout_supported: true, backchannel_logout_session_supported: true }
    return {
      issuer,
      ...login.metadata(),
      jwks_uri: jwksUri,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [mint.algorithm],
      ...(shape.announced === false ? {} : announced),
    }
  }

  /** Whoever wrote the paths of another provider into the application is told those of this one. */
  function noSuchEndpoint(res: ServerResponse): void {
    const { authorization_endpoint, token_endpoint, userinfo_endpoint, end_session_endpoint } = login.metadata()
    const endpoints = { authorization_endpoint, token_endpoint, userinfo_endpoint, end_session_endpoint }
    const listed = Object.entries(endpoints).map(([name, address]) => `${name} ${address}`)
    res.writeHead(404, { 'content-type': 'text/plain' }).end(`${NO_ENDPOINT}: ${listed.join(', ')}`)
  }

  async function rotateKeys(): Promise<void> {
    rotations += 1
    const keys = await mintKeys(mint.algorithm, `rotation ${rotations}`)
    mint = shaped(await createTokenMint({ ...mintOptions, issuer, keys }), shape, now)
  }

  async function notify(target: { readonly sid?: string; readonly sub?: string }, about: LogOutOptions = {}) {
    const { to = op.backchannelLogoutUri, secondsAgo = 0 } = about
    if (to === undefined)
      throw new TypeError(
        'logOut() does not know where to deliver: createFakeOp({ backchannelLogoutUri }), or logOut(target, { to: url })',
      )
    const peculiar = shape.logoutToken?.({ clientId: options.clientId, now: 0 }).payload ?? {}
    const named = Object.entries({ sub: target.sub, sid: target.sid }).filter(
      ([name]) => !Object.hasOwn(peculiar, name),
    )
    const dated = secondsAgo === 0 ? {} : { iat: Math.floor(now()) - secondsAgo }
    const token = await mint.logoutToken({ payload: { ...Object.fromEntries(named), ...dated } })
    return { ...(await deliver(to, token)), token }
  }

  const op: FakeOp = {
    issuer,
    clientId: options.clientId,
    jwksUri,
    shape,
    backchannelLogoutUri,
    get mint() {
      return mint
    },
    get fetches() {
      return { discovery: endpoints.discovery.seen, jwks: endpoints.jwks.seen }
    },
    get seen() {
      return { ...login.seen }
    },
    behave: (endpoint, behaviour) => endpoints[endpoint].behave(behaviour),
    rotateKeys,
    openBrowser(sub, options = {}) {
      assertOptions('openBrowser()', options, BROWSER_NAMES)
      const { in: browser = createTestBrowser(), ...about } = options
      const { cookie, session } = login.signIn(sub, about)
      browser.setCookie(issuer, cookie)
      return { ...browser, session }
    },
    async logOut({ sid, sub }, about = {}) {
      assertOptions('logOut()', about, LOG_OUT_NAMES)
      if (sid === undefined && sub === undefined) throw new TypeError('logOut() needs a sid or a sub')
      login.forget((session) => (sid === undefined ? session.sub === sub : session.sid === sid))
      return notify({ ...(sid !== undefined && { sid }), ...(sub !== undefined && { sub }) }, about)
    },
    duringNextLogin: (act) => login.duringNextLogin(act),
    nextIdToken: (make) => login.nextIdToken(make),
    deliver,
    deliverAs: (provider, url, about) => deliverAs(provider, url, mint, about),
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
  open()
  return op
}

// The one Relying Party of these tests: real Express, real express-session, the receiver in front; and the questions
// that every test asks of it, above all who is still signed in.
import { createServer, type Server } from 'node:http'
import { createRequire } from 'node:module'
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express'
import session from 'express-session'
import { expect } from 'vitest'
import {
  type BackchannelLogout,
  type BackchannelLogoutOptions,
  createBackchannelLogout,
  expressSessions,
  type LogoutEvent,
  type LogoutStore,
  memoryStore,
  type ProviderOptions,
} from '../../src/index.js'
import { type Change, createTokenMint, type MintAlgorithm, type TokenMint } from '../../src/testing/index.js'

const require = createRequire(import.meta.url)
/** Express 4 has no types of its own here; what is used of it is the same in both. */
const express4: typeof express = require('express4')

export const EXPRESS = { 'Express 4': express4, 'Express 5': express } as const
export type ExpressVersion = keyof typeof EXPRESS

/** `req.body`, left behind by whatever parser stands in front of the receiver. */
export const PARSERS = {
  'no parser': [],
  'express.urlencoded extended': [express.urlencoded({ extended: true })],
  'express.urlencoded simple': [express.urlencoded({ extended: false })],
  'express.json': [express.json()],
  'express.text': [express.text({ type: '*/*' })],
  'express.raw': [express.raw({ type: '*/*' })],
} as const satisfies Readonly<Record<string, readonly RequestHandler[]>>

export interface TestClock {
  (): number
  advance(seconds: number): void
}

/** Time stands still until a test moves it. */
export function testClock(start = Math.floor(Date.now() / 1000)): TestClock {
  let now = start
  return Object.assign(() => now, {
    advance(seconds: number) {
      now += seconds
    },
  })
}

export interface RpOptions {
  readonly express?: ExpressVersion
  /** Mounted in front of the receiver. */
  readonly inFront?: readonly RequestHandler[]
  readonly algorithm?: MintAlgorithm
  readonly issuer?: string
  readonly clientId?: string
  /** Beyond issuer, client id and keys. */
  readonly provider?: Partial<ProviderOptions>
  readonly store?: LogoutStore
  readonly sessionStore?: session.Store
  readonly receiver?: Partial<BackchannelLogoutOptions<never>>
  readonly clock?: TestClock
}

/** A browser that has signed in. */
export interface Visitor {
  readonly name: string
  readonly cookie: string
  isSignedIn(): Promise<boolean>
}

export interface Rp {
  readonly url: string
  readonly logoutUrl: string
  readonly app: Express
  readonly server: Server
  readonly logout: BackchannelLogout<express.Request>
  /** Its tokens name Alice's laptop. */
  readonly mint: TokenMint
  readonly clock: TestClock
  readonly events: LogoutEvent[]
  /** What reached Express's error handler. */
  readonly expressErrors: unknown[]
  /** `undefined` where a logout of this sign-on came first. */
  signIn(name: string, claims: Readonly<Record<string, unknown>>): Promise<Visitor | undefined>
  /** Alice on two devices and Bob on one, each with a `sid` of the same name; an hour before everything else. */
  signInEverybody(): Promise<void>
  /** The names of those still signed in, in the order of their sign-in. */
  alive(): Promise<string[]>
  /** POSTs a form to the receiver. */
  post(form: Readonly<Record<string, string>> | string, headers?: Readonly<Record<string, string>>): Promise<Answer>
  deliver(token: string): Promise<Answer>
  /** Delivers a valid token with this change. */
  deliverChanged(change: Change): Promise<Answer>
  eventsOf<T extends LogoutEvent['type']>(type: T): Extract<LogoutEvent, { type: T }>[]
  close(): Promise<void>
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

export const EVERYBODY = ['alice-laptop', 'alice-phone', 'bob-laptop']
export const ALL_BUT_ALICES_LAPTOP = ['alice-phone', 'bob-laptop']
export const BOB_ALONE = ['bob-laptop']

declare module 'express-session' {
  interface SessionData {
    user?: string
  }
}

export async function startRp(options: RpOptions = {}): Promise<Rp> {
  const clock = options.clock ?? testClock()
  const { issuer = 'https://op.example.com', clientId = 'rp', algorithm = 'RS256' } = options
  const mint = await createTokenMint({
    issuer,
    clientId,
    algorithm,
    now: clock,
    clientSecret: CLIENT_SECRET,
    sub: 'alice',
    sid: 'alice-laptop',
  })
  const events: LogoutEvent[] = []
  const expressErrors: unknown[] = []
  const sessionStore = options.sessionStore ?? new session.MemoryStore()
  const logout = createBackchannelLogout<express.Request>({
    provider: {
      issuer,
      clientId,
      jwks: mint.jwks,
      algorithms: [algorithm],
      ...secretOf(algorithm),
      ...options.provider,
    },
    store: options.store ?? memoryStore({ clock }),
    sessions: expressSessions(sessionStore),
    clock,
    onEvent: (event) => events.push(event),
    ...options.receiver,
  })

  const app = EXPRESS[options.express ?? 'Express 5']()
  for (const middleware of options.inFront ?? []) app.use(middleware)
  app.all('/backchannel-logout', logout.receiver())
  app.use(session({ store: sessionStore, secret: 'keyboard cat', resave: false, saveUninitialized: false }))
  app.post('/sign-in', (req, res, next) => {
    signInHere(req, logout).then((ended) => res.status(ended ? 401 : 204).end(), next)
  })
  app.get('/me', (req, res) => {
    res.status(req.session.user === undefined ? 401 : 200).end()
  })
  const errorHandler: ErrorRequestHandler = (error, _req, res, _next) => {
    expressErrors.push(error)
    res.status(500).end()
  }
  app.use(errorHandler)

  // A connection that a test left idle for long must not be cut just when it is used again.
  const server = createServer({ keepAliveTimeout: 0 }, app)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  const logoutUrl = `${url}/backchannel-logout`
  const visitors: Visitor[] = []

  const rp: Rp = {
    url,
    logoutUrl,
    app,
    server,
    logout,
    mint,
    clock,
    events,
    expressErrors,
    async signIn(name, claims) {
      const response = await fetch(`${url}/sign-in`, {
        method: 'POST',
        headers: { 'id-token-claims': Buffer.from(JSON.stringify(claims)).toString('base64url') },
      })
      if (response.status === 401) return undefined
      if (response.status !== 204) throw new Error(`sign-in was answered ${response.status}`)
      const cookie = response.headers.get('set-cookie')?.split(';', 1)[0] ?? ''
      const isSignedIn = async () => (await fetch(`${url}/me`, { headers: { cookie } })).status === 200
      const visitor = { name, cookie, isSignedIn }
      visitors.push(visitor)
      return visitor
    },
    async signInEverybody() {
      await rp.signIn('alice-laptop', mint.idTokenClaims({ sub: 'alice', sid: 'alice-laptop' }))
      await rp.signIn('alice-phone', mint.idTokenClaims({ sub: 'alice', sid: 'alice-phone' }))
      await rp.signIn('bob-laptop', mint.idTokenClaims({ sub: 'bob', sid: 'bob-laptop' }))
      clock.advance(3600)
    },
    async alive() {
      const answers = await Promise.all(visitors.map((visitor) => visitor.isSignedIn()))
      return visitors.filter((_, i) => answers[i]).map(({ name }) => name)
    },
    async post(form, headers = {}) {
      const body = typeof form === 'string' ? form : new URLSearchParams(form).toString()
      const response = await fetch(logoutUrl, {
        method: 'POST',
        redirect: 'manual',
        headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body,
      })
      return { status: response.status, headers: response.headers, text: await response.text() }
    },
    deliver: (token) => rp.post({ logout_token: token }),
    deliverChanged: async (change) => rp.deliver(await mint.logoutToken(change)),
    eventsOf: <T extends LogoutEvent['type']>(type: T) =>
      events.filter((event): event is Extract<LogoutEvent, { type: T }> => event.type === type),
    close: () => {
      logout.close()
      return new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      })
    },
  }
  return rp
}

/** As the RP and the OP know it where a client secret signs. */
export const CLIENT_SECRET = 'the secret that this relying party registered, sixty-four bytes.'

function secretOf(algorithm: MintAlgorithm): { clientSecret?: string } {
  return algorithm.startsWith('HS') ? { clientSecret: CLIENT_SECRET } : {}
}

/** Resolves to whether a logout of this sign-on had come first. */
async function signInHere(req: express.Request, logout: BackchannelLogout<express.Request>): Promise<boolean> {
  await new Promise<void>((resolve, reject) => req.session.regenerate((error) => (error ? reject(error) : resolve())))
  // In a header, since any parser may stand in front of this route as well.
  const claims = JSON.parse(Buffer.from(String(req.headers['id-token-claims']), 'base64url').toString())
  req.session.user = String(claims.sub)
  const { ended } = await logout.bind(req, claims)
  return ended
}

/** A relying party for the length of one test. */
export async function withRp<T>(options: RpOptions, test: (rp: Rp) => Promise<T>): Promise<T> {
  const rp = await startRp(options)
  try {
    return await test(rp)
  } finally {
    await rp.close()
  }
}

/**
 * BCL 2.8 for whatever was refused: JSON of two fixed sentences, never to be cached, no cookie, nothing of the token.
 */
export function expectRefusal(answer: Answer, status: 400 | 503, error: 'invalid_request' | 'logout_failed'): void {
  expect(answer.status).toBe(status)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('content-type')).toBe('application/json')
  expect(answer.headers.get('set-cookie')).toBeNull()
  expect(answer.headers.get('location')).toBeNull()
  expect(JSON.parse(answer.text)).toEqual({ error, error_description: expect.stringMatching(PLAIN_SENTENCE) })
}

/** RFC 6749 5.2 without quotation marks and backslashes, and without anything that could have come from a token. */
const PLAIN_SENTENCE = /^[A-Z][A-Za-z -]+$/

/** BCL 2.8 for a logout that was done: exactly 200, empty, never to be cached. */
export function expectLoggedOut(answer: Answer): void {
  expect(answer.status).toBe(200)
  expect(answer.text).toBe('')
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.headers.get('set-cookie')).toBeNull()
}

/** After a refusal: nobody died, and the unchanged token ends exactly what it names. */
export async function expectNothingDied(rp: Rp, control: Change = {}): Promise<void> {
  expect(await rp.alive()).toEqual(EVERYBODY)
  expect(rp.eventsOf('logout')).toEqual([])
  expect(rp.expressErrors).toEqual([])
  expectLoggedOut(await rp.deliverChanged(control))
  expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
}

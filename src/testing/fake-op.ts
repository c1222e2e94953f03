// An OpenID Provider for tests on a free loopback port: metadata, keys, and Logout Tokens delivered as real ones deliver
// them. It has no login and no users, and knows nothing of the receiver beyond its URL.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type Change, createTokenMint, mintKeys, type TokenMint, type TokenMintOptions } from './token-mint.js'

/**
 * How an endpoint of the OP answers.
 *
 * - `well`: as it should.
 * - `failing`: 500. `closed`: the connection is cut without an answer.
 * - `silent`: no answer until the behaviour changes; then what was held back is answered. Nothing here runs on a timer.
 * - `redirecting`: 302 to itself. `html`: 200 and a page. `huge`: valid JSON of 8 MiB.
 * - `malformed`: 200, JSON media type, not JSON.
 */
export type Behaviour = 'well' | 'failing' | 'closed' | 'silent' | 'redirecting' | 'html' | 'huge' | 'malformed'

export type Endpoint = 'discovery' | 'jwks'

/** What a delivery got. `status` is absent where no answer came: refused, cut or timed out. */
export interface DeliveryAnswer {
  readonly status: number | undefined
  readonly headers: Headers
  readonly body: string
}

export interface DeliveryOptions {
  /** Further form parameters beside `logout_token`. */
  readonly parameters?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** Default: 10. */
  readonly timeoutSeconds?: number
  /** Default: `false`; providers that follow take the page they land on for the answer. */
  readonly followRedirects?: boolean
}

/** When and how a provider sends a Logout Token again. Facts read in the providers' sources and documentation. */
export interface DeliveryHabit {
  readonly timeoutSeconds?: number
  /** Statuses taken for success. */
  readonly success: readonly number[] | 'any 2xx' | 'any'
  /** Attempts in all, the first included. */
  readonly attempts: number
  /** What leads to another attempt. */
  readonly retriesOn: readonly ('4xx' | '5xx' | 'transport')[]
  /** What another attempt sends: the same token; the same `jti` newly dated and signed; a new token. */
  readonly again: 'same-token' | 'same-jti' | 'fresh-token'
  readonly followRedirects: boolean
}

/** Delivery habits by the name of the provider's preset. */
export const DELIVERY_HABITS = {
  keycloak: { timeoutSeconds: 5, success: [200, 204], ...once(), followRedirects: false },
  'ory-hydra': {
    timeoutSeconds: 30,
    success: [200, 204],
    attempts: 3,
    retriesOn: ['5xx', 'transport'],
    again: 'same-token',
    followRedirects: true,
  },
  duende: { timeoutSeconds: 10, success: 'any 2xx', ...once(), followRedirects: true },
  'oidc-provider': { timeoutSeconds: 2.5, success: [200, 204], ...once(), followRedirects: false },
  auth0: { timeoutSeconds: 5, success: [200], ...once(), followRedirects: false },
  zitadel: {
    timeoutSeconds: 5,
    success: [200, 202, 204, 400],
    attempts: 3,
    retriesOn: ['4xx', '5xx', 'transport'],
    again: 'same-jti',
    followRedirects: true,
  },
  authentik: {
    timeoutSeconds: 10,
    success: 'any 2xx',
    attempts: 5,
    retriesOn: ['4xx', '5xx', 'transport'],
    again: 'fresh-token',
    followRedirects: true,
  },
  'govuk-one-login': {
    timeoutSeconds: 15,
    success: [200],
    attempts: 3,
    retriesOn: ['4xx', '5xx', 'transport'],
    again: 'fresh-token',
    followRedirects: false,
  },
  rauthy: {
    timeoutSeconds: 10,
    success: 'any 2xx',
    attempts: 100,
    retriesOn: ['4xx', '5xx', 'transport'],
    again: 'fresh-token',
    followRedirects: true,
  },
  casdoor: { success: 'any', ...once(), followRedirects: true },
  wso2: { timeoutSeconds: 30, success: 'any', ...once(), followRedirects: false },
  janssen: { timeoutSeconds: 30, success: 'any', ...once(), followRedirects: true },
  simplesamlphp: { timeoutSeconds: 3, success: 'any', ...once(), followRedirects: true },
  'better-auth': { timeoutSeconds: 5, success: [200, 204], ...once(), followRedirects: false },
  connect2id: {
    success: 'any',
    attempts: 3,
    retriesOn: ['transport'],
    again: 'same-token',
    followRedirects: false,
  },
} as const satisfies Readonly<Record<string, DeliveryHabit>>

/** A provider whose delivery habits are known. */
export type DeliveringProvider = keyof typeof DELIVERY_HABITS

/** One delivery with all its attempts. */
export interface HabitualDelivery {
  readonly attempts: readonly DeliveryAnswer[]
  /** Whether the OP is now at peace, rightly or not. */
  readonly takenForDone: boolean
}

export interface HabitualDeliveryOptions {
  readonly change?: Change
  /** Called between two attempts, in place of the time the provider would wait. */
  readonly beforeRetry?: (attempt: number) => void | Promise<void>
}

export interface FakeOpOptions extends Omit<TokenMintOptions, 'issuer' | 'keys'> {
  /** Path of the issuer after the origin, such as `/realms/demo` or `/`. Default: none. */
  readonly issuerPath?: string
}

export interface FakeOp {
  /** `http://127.0.0.1:<port>`, with the issuer's path. */
  readonly issuer: string
  readonly jwksUri: string
  /** Signs with the key in use; another object after `rotateKeys`. */
  readonly mint: TokenMint
  /** Requests seen so far, answered or not. */
  readonly fetches: Readonly<Record<Endpoint, number>>
  /** Changes how an endpoint answers from now on, and answers what was held back. */
  behave(endpoint: Endpoint, behaviour: Behaviour): void
  /** New signing keys, used and published at once; the old ones are published no more. */
  rotateKeys(): Promise<void>
  /** One POST of BCL 2.5. Never rejects. */
  deliver(url: string, token: string, options?: DeliveryOptions): Promise<DeliveryAnswer>
  /** One logout as the named provider delivers it, retries included, at once and without waiting. */
  deliverAs(provider: DeliveringProvider, url: string, options?: HabitualDeliveryOptions): Promise<HabitualDelivery>
  close(): Promise<void>
}

/** Starts a fake OP. Close it when the test is over. */
export async function createFakeOp(options: FakeOpOptions): Promise<FakeOp> {
  const { issuerPath = '', ...mintOptions } = options
  const endpoints = { discovery: new FakeEndpoint(metadata), jwks: new FakeEndpoint(() => mint.jwks) }
  const server = createServer((req, res) => {
    const { pathname } = new URL(req.url ?? '/', 'http://127.0.0.1')
    if (pathname === discoveryPath) endpoints.discovery.handle(req, res)
    else if (pathname === jwksPath) endpoints.jwks.handle(req, res)
    else res.writeHead(404).end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('the fake OP got no port')
  const issuer = `http://127.0.0.1:${address.port}${issuerPath}`
  const base = issuerPath.replace(/\/$/, '')
  const discoveryPath = `${base}/.well-known/openid-configuration`
  const jwksPath = `${base}/jwks`
  const jwksUri = `http://127.0.0.1:${address.port}${jwksPath}`
  let rotations = 0
  let mint = await createTokenMint({ ...mintOptions, issuer })

  function metadata() {
    return {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: jwksUri,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: [mint.algorithm],
      backchannel_logout_supported: true,
      backchannel_logout_session_supported: true,
    }
  }

  async function rotateKeys(): Promise<void> {
    rotations += 1
    const keys = await mintKeys(mint.algorithm, `rotation ${rotations}`)
    mint = await createTokenMint({ ...mintOptions, issuer, keys })
  }

  async function deliverAs(
    provider: DeliveringProvider,
    url: string,
    { change = {}, beforeRetry }: HabitualDeliveryOptions = {},
  ): Promise<HabitualDelivery> {
    const habit: DeliveryHabit = DELIVERY_HABITS[provider]
    const attempts: DeliveryAnswer[] = []
    const jti = change.payload?.jti ?? crypto.randomUUID()
    const issue = () => mint.logoutToken({ ...change, payload: { ...change.payload, jti } })
    let token = await issue()
    for (;;) {
      const answer = await deliver(url, token, habit)
      attempts.push(answer)
      if (isSuccess(habit, answer)) return { attempts, takenForDone: true }
      if (!isRetried(habit, answer) || attempts.length === habit.attempts) return { attempts, takenForDone: false }
      await beforeRetry?.(attempts.length)
      if (habit.again === 'same-jti') token = await issue()
      if (habit.again === 'fresh-token') token = await mint.logoutToken(change)
    }
  }

  return {
    issuer,
    jwksUri,
    get mint() {
      return mint
    },
    get fetches() {
      return { discovery: endpoints.discovery.seen, jwks: endpoints.jwks.seen }
    },
    behave: (endpoint, behaviour) => endpoints[endpoint].behave(behaviour),
    rotateKeys,
    deliver,
    deliverAs,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed())
        server.closeAllConnections()
      }),
  }
}

async function deliver(url: string, token: string, options: DeliveryOptions = {}): Promise<DeliveryAnswer> {
  const { parameters = {}, headers = {}, timeoutSeconds = 10, followRedirects = false } = options
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { accept: 'application/json', ...headers },
      body: new URLSearchParams({ logout_token: token, ...parameters }),
      redirect: followRedirects ? 'follow' : 'manual',
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    })
    return { status: response.status, headers: response.headers, body: await response.text() }
  } catch {
    return { status: undefined, headers: new Headers(), body: '' }
  }
}

function isSuccess({ success }: DeliveryHabit, { status }: DeliveryAnswer): boolean {
  if (status === undefined) return false
  if (success === 'any') return true
  return success === 'any 2xx' ? status >= 200 && status < 300 : success.includes(status)
}

function isRetried({ retriesOn }: DeliveryHabit, { status }: DeliveryAnswer): boolean {
  if (status === undefined) return retriesOn.includes('transport')
  return status >= 500 ? retriesOn.includes('5xx') : retriesOn.includes('4xx')
}

function once(): Pick<DeliveryHabit, 'attempts' | 'retriesOn' | 'again'> {
  return { attempts: 1, retriesOn: [], again: 'same-token' }
}

/** Far beyond any honest metadata or key set. */
const HUGE_BYTES = 8 * 1024 * 1024

class FakeEndpoint {
  seen = 0
  #behaviour: Behaviour = 'well'
  #heldBack: (() => void)[] = []
  readonly #document: () => object

  constructor(document: () => object) {
    this.#document = document
  }

  behave(behaviour: Behaviour): void {
    this.#behaviour = behaviour
    for (const answer of this.#heldBack.splice(0)) answer()
  }

  handle(req: IncomingMessage, res: ServerResponse): void {
    this.seen += 1
    this.#answer(req, res)
  }

  #answer(req: IncomingMessage, res: ServerResponse): void {
    const json = { 'content-type': 'application/json' }
    switch (this.#behaviour) {
      case 'silent':
        this.#heldBack.push(() => this.#answer(req, res))
        return
      case 'closed':
        req.socket.destroy()
        return
      case 'failing':
        res.writeHead(500).end()
        return
      case 'redirecting':
        res.writeHead(302, { location: req.url ?? '/' }).end()
        return
      case 'html':
        res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Sign in</title>')
        return
      case 'malformed':
        res.writeHead(200, json).end('{"keys":[')
        return
      case 'huge':
        res.writeHead(200, json).end(JSON.stringify({ ...this.#document(), padding: 'x'.repeat(HUGE_BYTES) }))
        return
      case 'well':
        res.writeHead(200, json).end(JSON.stringify(this.#document()))
    }
  }
}

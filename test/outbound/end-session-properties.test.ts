// What holds of every request to a route that logs out, whatever is in it: nobody is sent to where no list says, and
// nobody is logged out by what the user did not press.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestOptions, request, type Server } from 'node:http'
import { domainToASCII } from 'node:url'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createRp, type Rp } from '../../example-app/relying-party.js'
import type { EndSessionRecord } from '../../src/outbound/end-session.js'
import { rpInitiatedLogout } from '../../src/outbound/rp-initiated-logout.js'
import { createFakeOp, type FakeOp } from '../../src/testing/index.js'
import { Browser } from '../example/browser-by-http.js'

const ISSUER = 'https://op.example.com'
const ENDPOINT = `${ISSUER}/end`
const BACK = 'https://app.example.com/logged-out'
const OTHER_BACK = 'https://app.example.com/bye?from=op'
const ORIGIN = new URL(BACK).origin

let ended: unknown[] = []
const logout = rpInitiatedLogout<IncomingMessage>(
  {
    redirectUris: { 'logged-out': BACK, bye: OTHER_BACK },
    secret: 'a secret of more than thirty-two characters',
  },
  {
    providers: async (issuer) =>
      issuer === undefined || issuer === ISSUER
        ? [{ client: { issuer: ISSUER, clientId: 'rp' }, endSession: {}, endpoint: async () => ENDPOINT }]
        : [],
    clock: () => 1_800_000_000,
    owed: { add() {} },
  },
  async (req) => ended.push(req),
)

/** What a browser, or somebody with a link, may write where a place to come back to is meant. */
const places = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.webUrl({ withQueryParameters: true, withFragments: true }),
  fc
    .tuple(
      fc.constantFrom(
        '',
        '//',
        '\\\\',
        '/\\',
        '\\/',
        '/\t/',
        '\n//',
        '///',
        'https:',
        'https:/',
        'HTTPS://',
        'javascript:',
        'data:,',
      ),
      fc.constantFrom(
        '',
        'app.example.com@',
        'me:word@',
        'app.example.com%40',
        'app.example.com\\@',
        'app.example.com\t@',
      ),
      fc.constantFrom(
        'evil.example',
        'app.example.com',
        'app.example.com.evil.example',
        'аpp.example.com',
        'app。example。com',
        '①②⑦.0.0.1',
        '%65vil.example',
      ),
      fc.constantFrom('', '/logged-out', '%2Flogged-out', '/logged-out/..', '/logged-out\0', '#', '?to=logged-out'),
    )
    .map((parts) => parts.join('')),
  // One change to what is on the list.
  fc
    .tuple(
      fc.constantFrom(BACK, OTHER_BACK, 'logged-out', 'bye'),
      fc.nat(60),
      fc.constantFrom(...'\\/@:.%#?\t\n\0 ', ''),
    )
    .map(([text, at, letter]) => text.slice(0, at) + letter + text.slice(at + 1)),
  fc.constantFrom('__proto__', 'constructor', 'toString', 'LOGGED-OUT', 'logged-out ', 'logged\u2010out', '0', '-1'),
)

/** Fields of a record that somebody has changed, or that another version of the application has written. */
const records = fc.oneof(
  fc.constant(undefined),
  fc
    .record({
      issuer: fc.oneof(fc.constant(ISSUER), places),
      clientId: fc.oneof(fc.constant('rp'), places),
      hint: places,
      logoutHint: places,
      refreshToken: places,
      hintExpiresAt: fc.double(),
    })
    .map((record): EndSessionRecord => record),
)

describe('where a browser is sent', () => {
  it('no text that is no name of the list leads anywhere, and nobody is logged out by one', async () => {
    await fc.assert(
      fc.asyncProperty(places, records, async (to, record) => {
        fc.pre(to !== 'logged-out' && to !== 'bye')
        await expect(logout.start(record, { to })).rejects.toMatchObject({ reason: 'redirect_unknown' })
      }),
      { numRuns: 1000 },
    )
  })

  it('a name leads to its own URI or to the configured provider, whatever the record of the session says', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('logged-out', 'bye'),
        records,
        fc.constantFrom('local', 'provider', 'upstream'),
        async (to, record, scope) => {
          const back = to === 'bye' ? OTHER_BACK : BACK
          const { url, form } = await logout.start(record, { to, scope })
          if (url === back) return
          expect(scope).not.toBe('local')
          expect(url.split('?')[0]).toBe(ENDPOINT)
          const said = form ?? Object.fromEntries(new URL(url).searchParams)
          expect(said).toMatchObject({ client_id: 'rp', post_logout_redirect_uri: back })
          // A hint that was not sealed here is no ID Token.
          expect(said).not.toHaveProperty('id_token_hint')
        },
      ),
      { numRuns: 500 },
    )
  })

  it('the page to come back to sends nobody anywhere, whatever its address says', async () => {
    await fc.assert(
      fc.asyncProperty(places, places, async (state, to) => {
        const query = new URLSearchParams({ state, to, post_logout_redirect_uri: to, returnTo: to })
        const set: (readonly [string, string])[] = []
        const res = { appendHeader: (name: string, value: string) => set.push([name, value]) }
        const req = { url: `/logged-out?${query}`, headers: { cookie: `a=${encodeURIComponent(state)}` } }
        const back = logout.returned(req as IncomingMessage, res as never)
        expect(back).toMatchObject({ state: 'not-expected', provider: 'not-asked' })
        expect(set).toEqual([])
      }),
    )
  })

  it('the tricks are of this world: some of them would lead a browser away', () => {
    const leadsAway = (to: string) => URL.canParse(to, BACK) && new URL(to, BACK).origin !== ORIGIN
    expect(fc.sample(places, { numRuns: 300, seed: 1 }).filter(leadsAway).length).toBeGreaterThan(50)
    expect(domainToASCII('app。example。com')).toBe('app.example.com')
  })
})

const site = fc.constantFrom(
  undefined,
  'same-origin',
  'same-site',
  'cross-site',
  'none',
  'SAME-ORIGIN',
  '',
  'same-origin, x',
)
const origin = fc.constantFrom(
  ...[undefined, ORIGIN, 'null', '', 'https://evil.example', `${ORIGIN}.evil.example`, `${ORIGIN}:8443`],
  ...['http://app.example.com', 'https://APP.example.com', `${ORIGIN}/`, `${ORIGIN}, https://evil.example`],
)
const purpose = fc.constantFrom(undefined, 'prefetch', 'Prefetch;prerender', 'prefetch;anonymous-client-ip', 'preview')
const method = fc.oneof(
  fc.constant('POST'),
  fc.constantFrom('GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'POSTS'),
)
/** Often not there at all: or no request would be left that a user might have sent. */
const rarely = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 1, nil: undefined })
const requests = fc.record({
  ...{ method, site, origin, secPurpose: rarely(purpose), purpose: rarely(purpose), moz: rarely(purpose) },
  router: rarely(fc.constant(true)),
})
type Asked = typeof requests extends fc.Arbitrary<infer T> ? T : never

function headersOf({ site, origin, secPurpose, purpose, moz, router }: Asked): Record<string, string> {
  const headers = {
    'sec-fetch-site': site,
    origin,
    'sec-purpose': secPurpose,
    purpose,
    'x-moz': moz,
    ...(router && { 'next-router-prefetch': '1' }),
  }
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}

/** In the words of the rule, not of the code: what of it tells of a user who pressed the button of this very page. */
function isPressed({ method, site, origin, secPurpose, purpose, moz, router }: Asked, own: string): boolean {
  if (method !== 'POST') return false
  const isPrefetch = [secPurpose, purpose, moz].some((word) => /prefetch/i.test(word ?? '')) || router === true
  const isOfAnotherSite = site === undefined ? origin !== undefined && origin !== own : site !== 'same-origin'
  return !isPrefetch && !isOfAnotherSite
}

/** `fetch` of Node sends some of these headers, and not as they are: this sends them. */
function send(url: string, options: RequestOptions): Promise<IncomingMessage> {
  return new Promise((answered, failed) => {
    const sent = request(url, { agent: false, ...options }, (answer) => {
      answer.resume()
      answered(answer)
    })
    sent.once('error', failed)
    sent.end()
  })
}

describe('who is logged out', () => {
  let server: Server
  let url: string
  beforeAll(async () => {
    const route = logout.route({ start: { to: 'logged-out' } })
    server = createServer((req, res) => route(req, res)).listen(0, '127.0.0.1')
    await once(server, 'listening')
    url = `http://127.0.0.1:${Object(server.address()).port}/logout`
  })
  afterAll(() => {
    server.close()
    server.closeAllConnections()
  })
  beforeEach(() => {
    ended = []
  })

  it('only who pressed the button: no request of another site, no prefetch, nothing but a POST', async () => {
    let pressed = 0
    await fc.assert(
      fc.asyncProperty(requests, async (asked) => {
        ended.length = 0
        // No method of HTTP: Node's server refuses it before the route is asked.
        const { statusCode, headers } = await send(url, { method: asked.method, headers: headersOf(asked) })
        const mayPass = isPressed(asked, ORIGIN)
        expect(ended.length).toBe(mayPass ? 1 : 0)
        if (mayPass) pressed += 1
        else expect([statusCode, headers['set-cookie']]).toEqual([expect.toSatisfy((code) => code >= 400), undefined])
      }),
      { numRuns: 600, examples: [[{ ...NOTHING, method: 'POST', site: 'same-origin', origin: ORIGIN }]] },
    )
    expect(pressed).toBeGreaterThan(5)
  })
})

const NOTHING = {
  ...{ method: 'GET', site: undefined, origin: undefined, secPurpose: undefined, purpose: undefined, moz: undefined },
  router: undefined,
} as const

describe('the example’s RP, all of its paths', () => {
  let op: FakeOp
  let rp: Rp
  let listening: Listening
  const browser = new Browser()
  beforeAll(async () => {
    op = await createFakeOp({ clientId: 'rp', sub: 'ada' })
    listening = await listen(0)
    const own = { baseUrl: listening.url, sessionSecret: 'another secret', onEvent: () => {} }
    rp = createRp({ issuer: op.issuer, clientId: 'rp', clientSecret: 'a secret', ...own })
    listening.server.on('request', rp.app)
    await browser.get(`${listening.url}/login`)
  })
  afterAll(async () => {
    rp.close()
    await listening.close()
    await op.close()
  })

  const PATHS = [
    ...['/logout', '/logout-everywhere', '/devices/end-others', '/devices/end/x', '/devices', '/logged-out', '/login'],
    ...['/callback', '/', '/me', '/orders', '/backchannel-logout', '/frontchannel-logout', '/logout/', '//logout'],
  ]

  it('keep the user signed in who has pressed nothing there, with cookies and all', async () => {
    const at = (path: string) => `${listening.url}${path}`
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...PATHS), requests, fc.string(), async (path, asked, text) => {
        fc.pre(!isPressed(asked, listening.url))
        const query = new URLSearchParams({ state: text, code: text, sid: text, iss: op.issuer, logout_token: text })
        const cookie = browser.cookieHeader(at('/'))
        await send(at(`${path}?${query}`), { method: asked.method, headers: { ...headersOf(asked), cookie } })
        const me = await browser.get(at('/me'))
        expect([path, me.status]).toEqual([path, 200])
      }),
      { numRuns: 150 },
    )
  })

  it('and it is the button that ends it: pressed, the same request does', async () => {
    const cookie = browser.cookieHeader(`${listening.url}/`)
    const headers = { cookie, 'sec-fetch-site': 'same-origin', origin: listening.url }
    expect((await send(`${listening.url}/logout`, { method: 'POST', headers })).statusCode).toBe(303)
    expect((await browser.get(`${listening.url}/me`)).status).toBe(401)
  })
})

// `doctor` finds each planted mistake, says the remedy, and finds none where there is none.
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { listen } from '../../example-app/listen.js'
import { createOp } from '../../example-app/op.js'
import { createRp } from '../../example-app/relying-party.js'
import { createBackchannelLogout } from '../../src/index.js'
import { createFakeOp, type FakeOp, type FakeOpOptions } from '../../src/testing/index.js'
import { freePort } from '../servers/processes.js'
import { startApplication } from '../testing/application.js'
import { run, unwrapped } from './run.js'

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const close of toClose.splice(0).reverse()) await close()
})

async function startOp(options: Partial<FakeOpOptions> = {}): Promise<FakeOp> {
  const op = await createFakeOp({ clientId: 'my-rp', ...options })
  toClose.push(op.close)
  return op
}

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  toClose.push(() => {
    server.closeAllConnections()
    return new Promise((closed) => server.close(() => closed()))
  })
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
}

/** An OP whose metadata, keys or headers say something else than they should. */
async function opWith(change: {
  metadata?: (metadata: Record<string, unknown>) => Record<string, unknown>
  jwks?: unknown
  headers?: Readonly<Record<string, string>>
}): Promise<string> {
  const op = await startOp()
  const { headers = {} } = change
  const url = await serve(async (req, res) => {
    res.setHeaders(new Map([['content-type', 'application/json'], ...Object.entries(headers)]))
    if (req.url === '/jwks') return void res.end(JSON.stringify(change.jwks ?? op.mint.jwks))
    const metadata = JSON.parse(await (await fetch(`${op.issuer}/.well-known/openid-configuration`)).text())
    const own = { ...metadata, issuer: url, jwks_uri: `${url}/jwks` }
    res.end(JSON.stringify(change.metadata?.(own) ?? own))
  })
  return url
}

const without = (name: string) => (metadata: Record<string, unknown>) => {
  const { [name]: _, ...rest } = metadata
  return rest
}

describe('doctor', () => {
  it('says all right of a sound provider and a sound application', async () => {
    const op = await startOp()
    const app = await startApplication(op.issuer)
    toClose.push(app.close)
    const { code, out, err } = await run(['doctor', op.issuer, '--uri', `${app.url}/backchannel-logout`])
    expect(out).toMatch(/\nall right\n$/)
    expect(out).not.toMatch(/^(problem|warning)/m)
    expect(unwrapped(out)).toContain(`register backchannel_logout_uri ${app.url}/backchannel-logout`)
    expect({ code, err }).toEqual({ code: 0, err: '' })
  })

  it('says all right of the example and its provider', async () => {
    const [atOp, atRp] = [await listen(0), await listen(0)]
    toClose.push(atOp.close, atRp.close)
    const client = { clientId: 'rp', clientSecret: 'a secret', name: 'RP', baseUrl: atRp.url }
    const op = await createOp({ issuer: atOp.url })
    atOp.server.on('request', op.app)
    await op.register(client)
    const rp = createRp({ ...client, issuer: atOp.url, sessionSecret: 'another secret', onEvent: () => {} })
    toClose.push(async () => rp.close())
    atRp.server.on('request', rp.app)
    const { code, out } = await run(['doctor', atOp.url, '--uri', `${atRp.url}/backchannel-logout`])
    expect(out).toMatch(/\nall right\n$/)
    expect(out).not.toMatch(/^(problem|warning)/m)
    expect(code).toBe(0)
  })

  it.each<[string, () => Promise<string>, RegExp, RegExp]>([
    [
      'a slash too many',
      async () => `${(await startOp()).issuer}/`,
      /a slash at the end is too many/,
      /Write issuer: "http/,
    ],
    [
      'another host, as behind a proxy',
      () => opWith({ metadata: (m) => ({ ...m, issuer: 'https://inside.example.com' }) }),
      /calls itself https:\/\/inside\.example\.com/,
      /Write issuer: "https:\/\/inside\.example\.com"/,
    ],
    ['no metadata', async () => `${(await startOp()).issuer}/realms/none`, /the answer was 404/, /Is the issuer right/],
    ['nobody there', async () => 'http://127.0.0.1:9', /no connection/, /curl/],
    ['a page', () => serve((_req, res) => res.end('<!doctype html>')), /is a page, not JSON/, /Is the issuer right/],
    [
      'no back-channel logout',
      () => opWith({ metadata: without('backchannel_logout_supported') }),
      /do not announce backchannel_logout_supported/,
      /short maximum age/,
    ],
    [
      'another algorithm',
      () => opWith({ metadata: (m) => ({ ...m, id_token_signing_alg_values_supported: ['ES384'] }) }),
      /it signs by ES384; the receiver takes RS256/,
      /Set algorithms: \["ES384"\]/,
    ],
    [
      'no key that fits',
      () => opWith({ jwks: { keys: [{ kty: 'oct' }] } }),
      /none of its 1 keys fits RS256/,
      /Set algorithms/,
    ],
    ...[
      { kty: 'oct', alg: 'RS256' },
      { kty: 'RSA', key_ops: ['wrapKey'] },
      { kty: 'RSA', use: 'sig', key_ops: ['sign'] },
      { kty: 'RSA', use: 'enc' },
      { kty: 'RSA', alg: 'PS256' },
      { kty: 'EC', crv: 'P-256' },
    ].map((key): [string, () => Promise<string>, RegExp, RegExp] => [
      `no key but ${JSON.stringify(key)}`,
      () => opWith({ jwks: { keys: [key] } }),
      /none of its 1 keys fits RS256/,
      /Set algorithms/,
    ]),
    ['no keys', () => opWith({ jwks: [] }), /not a JSON object/, /every Logout Token is answered 400/],
    [
      'no address of keys',
      () => opWith({ metadata: without('jwks_uri') }),
      /the metadata have no jwks_uri/,
      /Give jwks or jwksUri/,
    ],
    [
      'a clock ten minutes ahead',
      () => opWith({ headers: { date: new Date(Date.now() + 600_000).toUTCString() } }),
      /its clock is (599|600|601) s ahead/,
      /NTP/,
    ],
    [
      'keys at plain http',
      () => opWith({ metadata: (m) => ({ ...m, jwks_uri: 'http://op.example.com/jwks' }) }),
      /http:\/\/op\.example\.com\/jwks is not https/,
      /The receiver fetches no keys from there unless dangerouslyAllowHttp/,
    ],
    [
      'keys that are not fetched',
      () => opWith({ metadata: (m) => ({ ...m, jwks_uri: 'https://who:hunter2@op.example.com/jwks' }) }),
      /the jwks_uri cannot be used: it must not hold a user name or password/,
      /Give jwks or jwksUri/,
    ],
    [
      'an issuer with a password',
      async () => 'https://who:hunter2@op.example.com',
      /the issuer cannot be used: it must not hold a user name or password/,
      /as it will stand in its tokens/,
    ],
    [
      'an issuer that is called by nobody',
      async () => 'ftp://op.example.com',
      /the issuer cannot be used: it must be an https URL/,
      /as it will stand in its tokens/,
    ],
    [
      'keys without an end',
      () => opWith({ jwks: { keys: [], more: 'a'.repeat(1_100_000) } }),
      /the answer is larger than any metadata or keys are/,
      /every Logout Token is answered 400/,
    ],
    ['plain http beyond loopback', async () => 'http://op.example.com', /the issuer is plain http/, /https address/],
    [
      'a provider that never sends one',
      async () => 'https://accounts.google.com',
      /Google sends no Logout Tokens/,
      /maximum age/,
    ],
  ])('finds at the provider: %s', async (_, issuer, words, remedy) => {
    const { code, out } = await run(['doctor', await issuer()])
    expect(out).toMatch(/^problem /m)
    expect(unwrapped(out)).toMatch(words)
    expect(unwrapped(out)).toMatch(remedy)
    expect(out).not.toContain('hunter2')
    expect(code).toBe(1)
  })

  describe('of two clocks that agree', () => {
    afterEach(() => vi.useRealTimers())

    it('says so where metadata come out of a cache, which says their age', async () => {
      const date = new Date(Date.now() - 600_000).toUTCString()
      const { code, out } = await run(['doctor', await opWith({ headers: { date, age: '600' } })])
      expect(unwrapped(out)).toContain('its clock and this one agree within 2 s')
      expect(code).toBe(0)
    })

    it('says so however long the keys take', async () => {
      vi.useFakeTimers({ toFake: ['Date'] })
      const op = await startOp()
      const url = await serve(async (req, res) => {
        res.setHeader('date', new Date().toUTCString())
        if (req.url !== '/jwks') {
          const metadata = JSON.parse(await (await fetch(`${op.issuer}/.well-known/openid-configuration`)).text())
          return void res.end(JSON.stringify({ ...metadata, issuer: url, jwks_uri: `${url}/jwks` }))
        }
        vi.setSystemTime(Date.now() + 60_000)
        res.end(JSON.stringify(op.mint.jwks))
      })
      const { code, out } = await run(['doctor', url])
      expect(unwrapped(out)).toContain('its clock and this one agree within 2 s')
      expect(code).toBe(0)
    })
  })

  it('warns of a provider that does not name sessions', async () => {
    const issuer = await opWith({ metadata: without('backchannel_logout_session_supported') })
    const { code, out } = await run(['doctor', issuer])
    expect(out).toMatch(/^warning +sessions/m)
    expect(code).toBe(0)
  })

  const JSON_400 = '{"error":"invalid_request"}'
  it.each<[string, RequestListener, RegExp]>([
    ['a login wall', (_req, res) => res.writeHead(302, { location: '/login' }).end(), /a redirect \(302\).+login wall/],
    ['CSRF protection', (_req, res) => res.writeHead(403).end(), /403: CSRF protection/],
    ['nothing', (_req, res) => res.writeHead(404).end(), /404: no receiver is mounted.+prefix/],
    [
      'a single-page application',
      (_req, res) => res.writeHead(200, { 'content-type': 'text/html' }).end(),
      /takes everything/,
    ],
    [
      'a body parser',
      (_req, res) => res.writeHead(400, { 'content-type': 'text/html' }).end('Bad'),
      /another middleware refused/,
    ],
    [
      'a proxy that caches',
      (_req, res) => res.writeHead(400, { 'content-type': 'application/json' }).end(JSON_400),
      /no Cache-Control: no-store/,
    ],
    [
      'a session middleware',
      (_req, res) =>
        res
          .writeHead(400, { 'content-type': 'application/json', 'cache-control': 'no-store', 'set-cookie': 'a=b' })
          .end(JSON_400),
      /sets a cookie/,
    ],
    ['a rate limiter', (_req, res) => res.writeHead(429).end(), /a rate limiter/],
    ['a broken proxy', (_req, res) => res.writeHead(502).end(), /the answer was 502/],
    ['a connection that is cut', (req) => req.socket.destroy(), /no answer came: the connection was cut.+#no-answer/],
  ])('finds before the receiver: %s', async (_, listener, words) => {
    const op = await startOp()
    const { code, out } = await run(['doctor', op.issuer, '--uri', `${await serve(listener)}/backchannel-logout`])
    expect(out).toMatch(/^problem +receiver/m)
    expect(unwrapped(out)).toMatch(words)
    expect(out.match(/^problem /gm)).toHaveLength(1)
    // What to do about it, and where to read on.
    expect(unwrapped(out)).toMatch(/^[\s\S]*problem receiver .+ -> \S.+\(docs\/troubleshooting\.md#[\w-]+\)/)
    expect(code).toBe(1)
  })

  it('finds that nothing listens at the address', async () => {
    const op = await startOp()
    const { code, out } = await run(['doctor', op.issuer, '--uri', `http://127.0.0.1:${await freePort()}/`])
    expect(unwrapped(out)).toMatch(
      /no answer came: the connection was refused.+-> Is the application running.+#no-answer/,
    )
    expect(code).toBe(1)
  })

  it('finds a middleware before the receiver that neither answers nor goes on', async () => {
    const op = await startOp()
    const logout = createBackchannelLogout({ provider: { issuer: op.issuer, clientId: 'my-rp' } })
    const timeOver = new AbortController()
    const app = express()
    app.all('/backchannel-logout', () => {
      setImmediate(() => timeOver.abort(new DOMException('The time is over', 'TimeoutError')))
    })
    app.all('/backchannel-logout', logout.receiver())
    const url = await serve(app)
    vi.spyOn(AbortSignal, 'timeout').mockReturnValue(timeOver.signal)
    const { code, out } = await run(['doctor', op.issuer, '--uri', `${url}/backchannel-logout`])
    expect(unwrapped(out)).toMatch(
      /the connection was made, and nothing was answered within 10 s.+-> A middleware before the receiver neither answers nor calls next/,
    )
    expect(code).toBe(1)
  })

  it('says which options the provider needs, and why', async () => {
    const op = await startOp({ as: 'ory-hydra' })
    const { out } = await run(['doctor', op.issuer, '--preset', 'ory-hydra'])
    expect(unwrapped(out)).toContain(
      "write ...preset('ory-hydra'), for allowMissingExp: its Logout Tokens carry no exp",
    )
  })

  it('knows Keycloak by its address', async () => {
    const op = await startOp({ as: 'keycloak' })
    const { out } = await run(['doctor', op.issuer])
    expect(unwrapped(out)).toContain('Front channel logout off')
  })

  it('answers programs by JSON', async () => {
    const op = await startOp()
    const { code, out } = await run(['doctor', op.issuer, '--json'])
    expect(JSON.parse(out)).toMatchObject({ verdict: 'all right', problems: 0 })
    expect(code).toBe(0)
  })

  it('says of a store it cannot reach only that, and nothing of its password', async () => {
    const op = await startOp()
    const env = {
      REDIS_URL: 'redis://user:hunter2@127.0.0.1:9',
      DATABASE_URL: 'postgres://user:hunter2@127.0.0.1:9/db',
    }
    for (const store of ['redis', 'postgres']) {
      const { code, out, err } = await run(['doctor', op.issuer, '--store', store], env)
      expect(unwrapped(out)).toMatch(new RegExp(`problem +store +${store} could not be asked`))
      expect(out + err).not.toContain('hunter2')
      expect(code).toBe(1)
    }
  })

  it.each([
    [['doctor'], /needs an issuer/],
    [['doctor', 'op.example.com'], /no URL/],
    [['doctor', 'https://op.example.com', '--what'], /--what/],
    [
      ['doctor', 'https://op.example.com', '--preset', 'hydra'],
      /named "hydra": it appears you mean ory-hydra; it is one/,
    ],
    [['frobnicate'], /doctor <issuer>/],
    [[], /doctor <issuer>/],
  ])('ends with 2 for %j', async (args, words) => {
    const { code, err } = await run(args)
    expect(err).toMatch(words)
    expect(code).toBe(2)
  })

  describe('--app', () => {
    const file = (name: string, text: string) => {
      const path = join(mkdtempSync(join(tmpdir(), 'doctor-')), name)
      writeFileSync(path, text)
      return path
    }

    it('prints how long a user may stay of whom no Logout Token comes, and warns where there is no bound', async () => {
      const op = await startOp()
      const bounds = {
        afterLogoutSeconds: 5,
        providers: [
          { issuer: op.issuer, clientId: 'rp', withoutLogoutTokenSeconds: null, setBy: 'nothing', unusedSeconds: 900 },
          { issuer: op.issuer, clientId: 'two', withoutLogoutTokenSeconds: 28_800, setBy: 'sessionMaxAgeSeconds' },
        ],
      }
      const app = file('app.mjs', `export const logout = { bounds: () => (${JSON.stringify(bounds)}) }`)
      const out = unwrapped((await run(['doctor', op.issuer, '--app', app])).out)
      expect(out).toMatch(/nobody is in after 5 seconds, on any node/)
      expect(out).toMatch(/warning bound .*for as long as the session is used, unused 15 minutes/)
      expect(out).toMatch(/a user stays 8 hours at most \(sessionMaxAgeSeconds\)/)
      expect(out).toMatch(/Set sessionMaxAgeSeconds/)
    })

    it('says what is missing in a file that exports no logout, or cannot be loaded', async () => {
      const op = await startOp()
      const nothing = await run(['doctor', op.issuer, '--app', file('app.mjs', 'export const app = 1')])
      expect(nothing).toMatchObject({ code: 2, err: expect.stringContaining('exports no logout that has bounds()') })
      const broken = await run(['doctor', op.issuer, '--app', '/nowhere/app.mjs'])
      expect(broken).toMatchObject({ code: 2, err: expect.stringContaining('could not be loaded') })
    })
  })
})

// `send` against a receiver that keeps every rule, and against the one that people write by hand.
import { createServer } from 'node:http'
import express, { type Express } from 'express'
import session from 'express-session'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import * as oidc from 'openid-client'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createNaiveRp } from '../../example-app/naive-receiver.js'
import { createRp } from '../../example-app/relying-party.js'
import { createBackchannelLogout } from '../../src/index.js'
import { createTokenMint, DEFECTS } from '../../src/testing/index.js'
import { freePort } from '../servers/processes.js'
import { run, unwrapped } from './run.js'

/** The pause between two questions: over at once where a test says so, or as soon as something has happened. */
const pauses = vi.hoisted(() => ({ areOver: false, until: Promise.resolve<unknown>(undefined), made: 0 }))
vi.mock(import('node:timers/promises'), async (original) => {
  const real = await original()
  return {
    ...real,
    setTimeout: async (ms, value) => {
      pauses.made++
      await pauses.until
      return real.setTimeout(pauses.areOver ? 0 : ms, value)
    },
  }
})

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

async function serve(answer: (body: string) => Promise<Response>): Promise<string> {
  const server = createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    const response = await answer(body)
    res.writeHead(response.status, Object.fromEntries(response.headers)).end(await response.text())
  })
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  toClose.push(() => new Promise((closed) => server.close(() => closed())))
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/backchannel-logout`
}

/** A port at which nobody listens yet, and the issuer that will be there. */
async function futureIssuer() {
  const port = String(await freePort())
  return { issuer: `http://127.0.0.1:${port}`, port }
}

const client = (baseUrl: string) => ({
  clientId: 'my-rp',
  clientSecret: 'a secret',
  sessionSecret: 'another secret',
  baseUrl,
})

/** Resolves to the receiver of the application. */
async function serveApp(make: (baseUrl: string) => Express): Promise<string> {
  const listening: Listening = await listen(0)
  toClose.push(listening.close)
  listening.server.on('request', make(listening.url))
  return `${listening.url}/backchannel-logout`
}

/** As the quick start: what it needs of its provider is fetched before it listens. */
async function startLookingUp(issuer: string, port: number): Promise<void> {
  await oidc.discovery(new URL(issuer), 'my-rp', 'a secret', undefined, { execute: [oidc.allowInsecureRequests] })
  const logout = createBackchannelLogout({ provider: { issuer, clientId: 'my-rp' } })
  await logout.prepare()
  const server = createServer(express().all('/backchannel-logout', logout.receiver()))
  await new Promise<void>((done) => server.listen(port, 'localhost', done))
  toClose.push(() => new Promise((closed) => server.close(() => closed())))
}

async function someToken(issuer: string): Promise<string> {
  return (await createTokenMint({ issuer, clientId: 'my-rp', sub: 'ada' })).logoutToken()
}

/** Whatever port the throw-away provider has: it is on loopback, and that is all these receivers ask. */
const isThrowAway = (issuer: string) => /^http:\/\/127\.0\.0\.1:\d+$/.test(issuer)

function soundReceiver(): Promise<string> {
  const logout = createBackchannelLogout({
    provider: (issuer) => (isThrowAway(issuer) ? { issuer, clientId: 'my-rp' } : undefined),
  })
  return serve((body) => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    return logout.fetch(new Request('https://rp.example.com/', { method: 'POST', headers, body }))
  })
}

/**
 * As it stands in many a repository: the signature, the issuer and the audience are right, so it must be a Logout
 * Token.
 */
function naiveReceiver(): Promise<string> {
  return serve(async (body) => {
    const token = new URLSearchParams(body).get('logout_token') ?? ''
    try {
      const { iss = '' } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
      if (!isThrowAway(iss)) throw new Error('another issuer')
      await jwtVerify(token, createRemoteJWKSet(new URL(`${iss}/jwks`)), { issuer: iss, audience: 'my-rp' })
      return new Response(null, { status: 200 })
    } catch {
      return new Response(null, { status: 400 })
    }
  })
}

/** jose's `jwtVerify` by itself knows signatures, issuers, audiences and dates, and of Logout Tokens nothing. */
const BROKEN_BY_THE_NAIVE = [
  'alg-of-another-published-key',
  'typ-access-token',
  'typ-security-event',
  'typ-dpop',
  'typ-not-a-string',
  'aud-with-untrusted-audience',
  'aud-not-strings',
  'azp-of-another',
  'iat-absent',
  'iat-in-the-future',
  'iat-too-old',
  'exp-absent',
  'exp-not-finite',
  'sub-and-sid-absent',
  'sub-and-sid-null',
  'sub-empty',
  'sub-not-a-string',
  'sub-too-long',
  'sub-with-control-character',
  'sid-empty',
  'sid-not-a-string',
  'sid-too-long',
  'sid-with-control-character',
  'events-absent',
  'events-null',
  'events-empty',
  'events-an-array',
  'events-a-string',
  'events-of-another-kind',
  'event-null',
  'event-an-array',
  'event-true',
  'event-in-prototype-member',
  'nonce',
  'nonce-null',
  'nonce-empty',
  'jti-absent',
  'jti-empty',
  'jti-not-a-string',
  'a good token',
]

const TARGET = ['--sub', 'ada', '--sid', 'a-session', '--port', '0']

describe('send', () => {
  it('shows one exchange, and not the token itself', async () => {
    const { code, out, err } = await run(['send', await soundReceiver(), ...TARGET])
    expect(unwrapped(out)).toMatch(/note sent POST http:\/\/127\.0\.0\.1:\d+\/backchannel-logout logout_token=<header/)
    expect(unwrapped(out)).toContain('ok verdict the logout was done')
    expect(unwrapped(out)).toContain('"sub":"ada","sid":"a-session"')
    expect(out + err).not.toMatch(/eyJ[\w-]+\.eyJ/)
    expect(err).toMatch(
      /must trust the throw-away provider .+ \{ issuer: 'http:\/\/127\.0\.0\.1:\d+', clientId: 'my-rp' \}/,
    )
    expect(code).toBe(0)
  })

  it('names what is given and nothing else', async () => {
    const { out } = await run(['send', await soundReceiver(), '--sub', 'ada', '--port', '0'])
    expect(unwrapped(out)).toContain('"sub":"ada"')
    expect(out).not.toContain('"sid"')
  })

  it('is content where one defect is refused, and not where it is taken', async () => {
    const sound = await run(['send', await soundReceiver(), ...TARGET, '--defect', 'nonce'])
    expect(sound.code).toBe(0)
    const naive = await run(['send', await naiveReceiver(), ...TARGET, '--defect', 'nonce'])
    expect(naive.code).toBe(1)
  })

  it('--all: a sound receiver keeps every rule', async () => {
    const { code, out } = await run(['send', await soundReceiver(), ...TARGET, '--all', '--json'])
    const { findings, problems } = JSON.parse(out)
    expect(problems).toBe(0)
    expect(findings).toHaveLength(DEFECTS.length + 2)
    expect(code).toBe(0)
  })

  it('--all: of the naive receiver it names exactly the rules that it breaks', async () => {
    const { code, out } = await run(['send', await naiveReceiver(), ...TARGET, '--all', '--json'])
    const broken = JSON.parse(out).findings.filter(({ level }: { level: string }) => level === 'problem')
    const names = broken.map(({ about }: { about: string }) => about)
    expect(names).toEqual(BROKEN_BY_THE_NAIVE)
    expect(code).toBe(1)
  })

  it('--all: the example, started before there was a provider, keeps every rule, and is waited for', async () => {
    const { issuer, port } = await futureIssuer()
    const uri = await serveApp((baseUrl) => {
      const rp = createRp({ ...client(baseUrl), issuer, onEvent: () => {} })
      toClose.push(async () => rp.close())
      return rp.app
    })
    // The start of the example has asked for keys in vain, so the first token that needs them is answered "not yet".
    await fetch(uri, { method: 'POST', body: new URLSearchParams({ logout_token: await someToken(issuer) }) })
    const { code, out, err } = await run(['send', uri, '--sub', 'ada', '--port', port, '--all', '--json'])
    const { findings, problems } = JSON.parse(out)
    expect(findings.filter(({ level }: { level: string }) => level === 'problem')).toEqual([])
    expect([problems, findings.length]).toEqual([0, DEFECTS.length + 2])
    expect(err).toContain('the receiver answered "not yet" (logout_failed)')
    expect(code).toBe(0)
  })

  it('--all: of Notes, the application by hand of the demo, it names exactly the rules that it breaks', async () => {
    const { issuer, port } = await futureIssuer()
    const uri = await serveApp((baseUrl) => {
      const sessionStore = new session.MemoryStore()
      const shown = { name: 'Notes', overviewUrl: baseUrl, routes: () => {}, onRefused: () => {} }
      return createNaiveRp({ ...client(baseUrl), ...shown, issuer, sessionStore })
    })
    const { code, out } = await run(['send', uri, '--sub', 'ada', '--port', port, '--all', '--json'])
    const broken = JSON.parse(out).findings.filter(({ level }: { level: string }) => level === 'problem')
    expect(broken.map(({ about }: { about: string }) => about)).toEqual(BROKEN_BY_THE_NAIVE)
    expect(code).toBe(1)
  })

  describe('of a receiver that goes on answering "not yet"', () => {
    let asked = 0
    let uri: string
    beforeEach(async () => {
      asked = 0
      uri = await serve(async () => {
        asked++
        return new Response(JSON.stringify({ error: 'logout_failed' }), { status: 503 })
      })
      pauses.areOver = true
    })
    afterEach(() => {
      pauses.areOver = false
    })

    it('says of a good token that it could not be judged', async () => {
      const { out } = await run(['send', uri, ...TARGET])
      expect(unwrapped(out)).toMatch(
        /answered 503 \(logout_failed\): the receiver could not judge it.+-> Its event awaiting-keys or logout-failed/,
      )
    })

    it('says that it judged nothing', async () => {
      const { code, out, err } = await run(['send', uri, ...TARGET, '--defect', 'nonce'])
      expect(unwrapped(out)).toContain('problem verdict')
      expect(err.match(/not yet/g)).toHaveLength(1)
      expect([code, asked]).toEqual([1, 21])
    })

    it('--all: asks again twenty times in all, not for each token', async () => {
      const { code, err } = await run(['send', uri, ...TARGET, '--all'])
      expect(err.match(/not yet/g)).toHaveLength(1)
      expect([code, asked]).toEqual([1, DEFECTS.length + 2 + 20])
    })
  })

  it.each([
    [['send'], /address of the receiver/],
    [['send', 'http://127.0.0.1:9/'], /--sub or --sid/],
    [
      ['send', 'http://127.0.0.1:9/', ...TARGET, '--defect', 'gibberish'],
      /none named "gibberish": it is one of alg-none/,
    ],
    [['send', 'http://127.0.0.1:9/', ...TARGET, '--defect', 'nonce-nul'], /mean nonce-null; it is one of alg-none/],
    [
      ['send', 'http://127.0.0.1:9/', ...TARGET, '--as', 'keycloack'],
      /mean keycloak; it is one of keycloak, ory-hydra/,
    ],
    [['send', 'http://127.0.0.1:9/', ...TARGET, '--port', 'x'], /--port/],
  ])('ends with 2 for %j', async (args, words) => {
    const { code, err } = await run(args)
    expect(err).toMatch(words)
    expect(code).toBe(2)
  })

  describe('of an address where nothing listens', () => {
    beforeEach(() => {
      pauses.areOver = true
      pauses.made = 0
    })
    afterEach(() => {
      pauses.areOver = false
      pauses.until = Promise.resolve()
    })

    it('waits for an application that looks its provider up when it starts, and so starts after it', async () => {
      const { issuer, port } = await futureIssuer()
      const appPort = await freePort()
      let start = () => {}
      pauses.until = new Promise<void>((resolve) => {
        start = () => resolve(startLookingUp(issuer, appPort))
      })
      const uri = `http://localhost:${appPort}/backchannel-logout`
      const { code, out, err } = await run(['send', uri, '--sub', 'ada', '--port', port], {}, (text) => {
        if (text.includes('start your application now')) start()
      })
      expect(err).toContain(`nothing listens at ${uri} yet: start your application now, with { issuer: '${issuer}', `)
      expect(unwrapped(out)).toContain('ok verdict the logout was done')
      expect([code, pauses.made]).toEqual([0, 1])
    })

    it('gives up after a minute, and says that the connection was refused', async () => {
      const uri = `http://127.0.0.1:${await freePort()}/`
      const { code, out, err } = await run(['send', uri, ...TARGET])
      expect(err.match(/nothing listens/g)).toHaveLength(1)
      expect(unwrapped(out)).toMatch(
        /verdict no answer came: the connection was refused.+-> Is the application running/,
      )
      expect([code, pauses.made]).toEqual([1, 60])
    })

    it('--all: says so once, not of each token', async () => {
      const { code, out } = await run(['send', `http://127.0.0.1:${await freePort()}/`, ...TARGET, '--all', '--json'])
      expect(JSON.parse(out).findings).toEqual([
        expect.objectContaining({ level: 'problem', words: expect.stringContaining('the connection was refused') }),
      ])
      expect([code, pauses.made]).toEqual([1, 60])
    })
  })

  it.each<[string, ConstructorParameters<typeof Response>, RegExp]>([
    ['no receiver', [null, { status: 404 }], /the answer was 404: no receiver is mounted.+-> Mount it at exactly/],
    [
      'a login wall',
      [null, { status: 302, headers: { location: '/' } }],
      /a redirect \(302\).+-> Mount the receiver before/,
    ],
    ['CSRF protection', [null, { status: 403 }], /403: CSRF protection/],
    ['a body parser', ['Bad', { status: 400 }], /400 without the receiver’s JSON/],
    [
      'another receiver',
      [null, { status: 204 }],
      /answered 204, and this package’s receiver answers 200.+another receiver/,
    ],
    ['a page', ['<p>', { headers: { 'content-type': 'text/html' } }], /answered 200 with a page.+#a-page/],
    ['a proxy', [''], /no Cache-Control: no-store/],
    [
      'a receiver that trusts another provider',
      ['{"error":"invalid_request"}', { status: 400 }],
      /400 \(invalid_request\).+-> Is the receiver configured with \{ issuer: 'http:\/\/127\.0\.0\.1:\d+', clientId: 'my-rp' \}.+BCL_…/,
    ],
  ])('explains what a good token was answered by %s', async (_, answer, words) => {
    const { code, out } = await run(['send', await serve(async () => new Response(...answer)), ...TARGET])
    expect(unwrapped(out)).toMatch(words)
    expect(code).toBe(1)
  })

  it('prints the issuer with the path that --as gives it', async () => {
    const { err } = await run(['send', await soundReceiver(), ...TARGET, '--as', 'keycloak'])
    expect(err).toMatch(/\{ issuer: 'http:\/\/127\.0\.0\.1:\d+\/realms\/demo', clientId: 'my-rp' \}/)
  })
})

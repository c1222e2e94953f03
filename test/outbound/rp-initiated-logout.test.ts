// RP-Initiated Logout by HTTP: who may log out, in which order it happens, where browsers are sent, and what comes
// back.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import express from 'express'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import type { EndSessionRecord, EndSessionStart } from '../../src/outbound/end-session.js'
import { type LogoutRouteOptions, rpInitiatedLogout } from '../../src/outbound/rp-initiated-logout.js'
import type { EndSessionDialect } from '../../src/providers/end-session-dialect.js'
import { CookieJar, cookieHeader } from './cookie-jar.js'

const ISSUER = 'https://op.example.com'
const ENDPOINT = 'https://op.example.com/session/end?keep=1'
const BACK = 'https://app.example.com/logged-out'
const SECRET = 'a secret of more than thirty-two characters'
const CLAIMS = { iss: ISSUER, aud: 'rp', sub: 'ada', sid: 'laptop', exp: 2000 }

interface Settings {
  readonly dialect?: EndSessionDialect
  readonly endpoint?: () => Promise<string | undefined>
  readonly secret?: string | readonly string[]
  readonly now?: () => number
  readonly issuers?: readonly string[]
  /** Where `https` is not: as an application of old, or on a machine of one's own. */
  readonly back?: string
  /** The application's own function of the issuer. */
  readonly lookUp?: () => Promise<void>
}

function logoutWith({
  dialect = {},
  endpoint,
  secret = SECRET,
  now = () => 1000,
  issuers = [ISSUER],
  back = BACK,
  lookUp,
}: Settings = {}) {
  const ended: IncomingMessage[] = []
  const revoked: (string | undefined)[] = []
  const tooLong: object[] = []
  const providers = issuers.map((issuer) => ({
    client: { issuer, clientId: 'rp' },
    endSession: dialect,
    canRevoke: true,
    endpoint: endpoint ?? (async () => ENDPOINT.replace(ISSUER, issuer)),
  }))
  const ports = {
    owed: { add() {} },
    async providers(issuer?: string) {
      await lookUp?.()
      return providers.filter(({ client }) => issuer === undefined || client.issuer === issuer)
    },
    clock: now,
    revocation: {
      async revoke({ refreshToken }: { readonly refreshToken?: string | undefined }) {
        revoked.push(refreshToken)
        return { outcome: 'revoked' } as const
      },
      tooLong: (client: object) => void tooLong.push(client),
    },
  }
  const options = { redirectUris: { 'logged-out': back }, secret }
  const logout = rpInitiatedLogout<IncomingMessage>(options, ports, async (req) => ended.push(req))
  return { logout, ended, revoked, tooLong }
}

const servers: Server[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

interface Rp extends Settings {
  readonly record?: EndSessionRecord | undefined
  readonly start?: EndSessionStart
  readonly route?: Partial<LogoutRouteOptions<IncomingMessage>>
}

async function rp({ record, start = { to: 'logged-out' }, route = {}, ...settings }: Rp = {}) {
  const { logout, ended, revoked } = logoutWith(settings)
  const returns: unknown[] = []
  const handler = logout.route({ record: () => record, start, sessionCookie: { name: 'sid', secure: true }, ...route })
  const server = createServer((req, res) => {
    if (req.url?.startsWith('/logout')) return handler(req, res)
    if (req.url === '/login') return void res.end(logout.promptOnce(req, res) ?? 'silent')
    returns.push(logout.returned(req, res))
    res.end()
  })
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const origin = `http://127.0.0.1:${address.port}`
  const call = (path: string, init: RequestInit = {}) => fetch(origin + path, { redirect: 'manual', ...init })
  const post = (headers: Record<string, string> = { 'sec-fetch-site': 'same-origin' }) =>
    call('/logout', { method: 'POST', headers })
  return { logout, ended, revoked, returns, call, post }
}

/** A browser with its cookie, and the clock of the server. */
function browserOf(settings: Settings = {}) {
  const { logout, revoked, tooLong } = logoutWith({ ...settings, now: () => browser.now })
  const jar = new CookieJar()
  const keep = (cookie: string) => {
    jar.keep(cookie)
    browser.longest = Math.max(browser.longest, cookie.length)
  }
  const res = { appendHeader: (_name: string, cookie: string) => keep(cookie) } as unknown as ServerResponse
  const to = (url: string) => ({ url, headers: { cookie: jar.header } }) as IncomingMessage
  const browser = {
    now: 1000,
    get jar() {
      return jar.header
    },
    longest: 0,
    revoked,
    get tooLong() {
      return tooLong.length
    },
    login: (refreshToken: string) => logout.record(CLAIMS, undefined, undefined, { refreshToken }),
    async press(record: EndSessionRecord | undefined, askForPassword = false): Promise<string> {
      const { url, cookies } = await logout.start(record, { to: 'logged-out', askForPassword }, browser.jar)
      cookies.forEach(keep)
      return new URL(url).searchParams.get('state') ?? ''
    },
    visitAt: (query: string) => logout.returned(to(`/logged-out${query}`), res),
    visit: (state: string) => browser.visitAt(`?state=${state}`),
    forget: (names: RegExp) => jar.forget(names),
    signIn: () => logout.promptOnce(to('/login'), res),
  }
  return browser
}

const location = (answer: Response) => new URL(answer.headers.get('location') ?? '')
const cookieOf = (answer: Response, before = '') => cookieHeader(answer.headers.getSetCookie(), before)

describe('where the browser is sent', () => {
  it('by the letter: hint, client_id, redirect and state, and the query of the endpoint is kept (2)', async () => {
    const { logout } = logoutWith()
    const record = await logout.record(CLAIMS, 'eyJ.id.token')
    expect(JSON.stringify(record)).not.toContain('eyJ')
    const { url, form } = await logout.start(record, { to: 'logged-out' })
    expect(form).toBeUndefined()
    expect(Object.fromEntries(new URL(url).searchParams)).toEqual({
      keep: '1',
      id_token_hint: 'eyJ.id.token',
      client_id: 'rp',
      post_logout_redirect_uri: BACK,
      state: expect.stringMatching(/^[\w-]{43}$/),
    })
  })

  it('a hint of 6 KB goes by a form that posts itself; nothing of it is in a URL', async () => {
    const { logout } = logoutWith()
    const hint = `e30.${'a'.repeat(6000)}.x`
    const record = await logout.record(CLAIMS, hint)
    const departure = await logout.start(record, { to: 'logged-out' })
    expect(departure.url).toBe(ENDPOINT)
    expect(departure.form).toMatchObject({ id_token_hint: hint, client_id: 'rp', post_logout_redirect_uri: BACK })

    const long = await rp({ record })
    const page = await long.post()
    expect(page.status).toBe(200)
    expect(page.headers.get('content-security-policy')).toContain("script-src 'sha256-")
    expect(page.headers.get('cache-control')).toBe('no-store')
    const html = await page.text()
    expect(html).toContain(`value="${hint}"`)
    expect(html).toContain('<button>')
  })

  it.each<[string, EndSessionDialect, Record<string, string>]>([
    [
      'Entra ID: a long hint stays here',
      { tooLong: 'logout-hint', logoutHintClaim: 'login_hint' },
      { logout_hint: 'O.abc' },
    ],
    ['Auth0 v2', { kind: 'auth0-v2', endpoint: 'https://op.example.com/v2/logout' }, { returnTo: BACK }],
    ['Cognito', { kind: 'cognito', endpoint: 'https://op.example.com/logout' }, { logout_uri: BACK }],
  ])('%s', async (_name, dialect, expected) => {
    const { logout } = logoutWith({ dialect })
    const record = await logout.record({ ...CLAIMS, login_hint: 'O.abc' }, `e30.${'a'.repeat(6000)}.x`)
    const { url, form } = await logout.start(record, { to: 'logged-out' })
    expect(form).toBeUndefined()
    expect(url.length).toBeLessThan(2000)
    const query = Object.fromEntries(new URL(url).searchParams)
    expect(query).toMatchObject({ client_id: 'rp', ...expected })
    expect(query).not.toHaveProperty('id_token_hint')
  })

  it('an expired hint is sent (4), or dropped where the provider refuses it', async () => {
    const hintOf = async (dialect: EndSessionDialect) => {
      const { logout } = logoutWith({ dialect, now: () => CLAIMS.exp })
      const { url } = await logout.start(await logout.record(CLAIMS, 'e30.e30.x'), { to: 'logged-out' })
      return new URL(url).searchParams.get('id_token_hint')
    }
    expect(await hintOf({})).toBe('e30.e30.x')
    expect(await hintOf({ expiredHint: 'drop' })).toBeNull()
  })

  it('the hint survives a refresh without an ID Token, and a change of the secret', async () => {
    const { logout } = logoutWith()
    const before = await logout.record(CLAIMS, 'e30.e30.x')
    const after = await logout.record(undefined, undefined, before)
    expect(await logout.record(CLAIMS, undefined, before)).toEqual(after)
    const rotated = logoutWith({ secret: [`another ${SECRET}`, SECRET] }).logout
    const { url } = await rotated.start(after, { to: 'logged-out' })
    expect(new URL(url).searchParams.get('id_token_hint')).toBe('e30.e30.x')
    const foreign = logoutWith({ secret: `another ${SECRET}` }).logout
    const without = await foreign.start(after, { to: 'logged-out' })
    expect(new URL(without.url).searchParams.get('id_token_hint')).toBeNull()
  })

  it('goes to the issuer of the sign-on, never to the first of a list; without a record to the only one', async () => {
    const other = 'https://other.example.com'
    const { logout } = logoutWith({ issuers: [other, ISSUER] })
    const { url } = await logout.start(await logout.record(CLAIMS, undefined), { to: 'logged-out' })
    expect(new URL(url).origin).toBe(ISSUER)
    expect(await logout.start(undefined, { to: 'logged-out' })).toMatchObject({ url: BACK, provider: 'not-asked' })
    expect(new URL((await logoutWith().logout.start(undefined, { to: 'logged-out' })).url).origin).toBe(ISSUER)
  })

  it('an ID Token is not sent to another provider, whatever becomes of the record', async () => {
    const { logout } = logoutWith({ issuers: [ISSUER, 'https://other.example.com'] })
    const record = await logout.record(CLAIMS, 'e30.of.op')
    const changed = { ...record, issuer: 'https://other.example.com' } as EndSessionRecord
    const { url } = await logout.start(changed, { to: 'logged-out' })
    expect(url).toContain('https://other.example.com')
    expect(url).not.toContain('e30.of.op')
  })

  it('a local logout is complete where the provider has no such endpoint, cannot be reached, or is not to be asked', async () => {
    const outcome = async (settings: Settings, scope?: 'local' | 'provider' | 'upstream') => {
      const { url, provider, upstream } = await logoutWith(settings).logout.start(undefined, {
        to: 'logged-out',
        scope,
      })
      return { stays: url === BACK, provider, upstream }
    }
    const away = async () => Promise.reject(new Error('away'))
    expect(await outcome({ dialect: { kind: 'none' } })).toEqual({
      stays: true,
      provider: 'unsupported',
      upstream: 'not-asked',
    })
    expect(await outcome({ endpoint: async () => undefined })).toMatchObject({ stays: true, provider: 'unsupported' })
    expect(await outcome({ endpoint: away })).toMatchObject({ stays: true, provider: 'unreachable' })
    expect(await outcome({}, 'local')).toMatchObject({ stays: true, provider: 'not-asked' })
    expect(await outcome({}, 'upstream')).toMatchObject({ provider: 'asked', upstream: 'unsupported' })
    expect(await outcome({ dialect: { upstreamParameter: 'federated' } }, 'upstream')).toMatchObject({
      upstream: 'asked',
    })
  })

  it('no name outside the list is ever gone to, and nobody is logged out by one', async () => {
    const { logout } = logoutWith()
    const tricks = [
      '//evil.example',
      'https://evil.example',
      '\\\\evil.example',
      '/\t/evil.example',
      `${BACK}@evil.example`,
    ]
    const names = fc.oneof(
      fc.string(),
      fc.webUrl(),
      fc.constantFrom(...tricks, BACK, '__proto__', 'constructor', 'LOGGED-OUT'),
    )
    await fc.assert(
      fc.asyncProperty(names, async (to) => {
        fc.pre(to !== 'logged-out')
        await expect(logout.start(undefined, { to })).rejects.toMatchObject({
          code: 'ERR_REQUEST',
          reason: 'redirect_unknown',
        })
      }),
    )
    const { ended, post } = await rp({ start: { to: 'https://evil.example' } })
    expect((await post()).status).toBe(503)
    expect(ended).toEqual([])
  })

  it('refuses at boot a list that is not one of whole URIs', () => {
    const configured = (uri: string) => () =>
      rpInitiatedLogout(
        { redirectUris: { a: uri }, secret: SECRET },
        { providers: async () => [], clock: () => 0, owed: { add() {} } },
        async () => {},
      )
    for (const uri of [
      '/logged-out',
      'javascript:alert(1)',
      'https://user@app.example.com/',
      'https://app.example.com/#x',
      '',
    ]) {
      expect(configured(uri)).toThrow(/redirectUris\.a must be/)
    }
    for (const uri of [`${BACK}/已退出`, `${BACK}/ä`, `${BACK}\n`, ` ${BACK}`, `${BACK}?a b`]) {
      expect(configured(uri)).toThrow(/redirectUris\.a .* percent-encoded/)
    }
    expect(configured(`${BACK}/%E5%B7%B2?a=%20b`)).not.toThrow()
    expect(configured(BACK)).not.toThrow()
    expect(() => logoutWith({ secret: 'short' })).toThrow(/secret of 32 characters/)
  })
})

describe('who may log out', () => {
  it.each<[string, string, Record<string, string>, number]>([
    ['a GET', 'GET', {}, 405],
    ['a HEAD', 'HEAD', {}, 405],
    ['a form of another site', 'POST', { 'sec-fetch-site': 'cross-site' }, 403],
    ['a form of a sibling domain', 'POST', { 'sec-fetch-site': 'same-site' }, 403],
    ['a form of another origin, in an old browser', 'POST', { origin: 'https://evil.example' }, 403],
    ['a sandboxed frame', 'POST', { origin: 'null' }, 403],
    ['a prefetch', 'POST', { 'sec-fetch-site': 'same-origin', 'sec-purpose': 'prefetch;prerender' }, 403],
    ['a prefetch of Next.js', 'POST', { 'sec-fetch-site': 'same-origin', 'next-router-prefetch': '1' }, 403],
  ])('%s does not', async (_name, method, headers, status) => {
    const { ended, call } = await rp()
    const answer = await call('/logout', { method, headers })
    expect(answer.status).toBe(status)
    expect(answer.headers.getSetCookie()).toEqual([])
    expect(ended).toEqual([])
  })

  it.each<[string, Record<string, string>]>([
    ['the page itself', { 'sec-fetch-site': 'same-origin' }],
    ['the page itself, in an old browser', { origin: 'https://app.example.com' }],
    ['a program that is no browser', {}],
  ])('%s does', async (_name, headers) => {
    const { ended, post } = await rp()
    expect((await post(headers)).status).toBe(303)
    expect(ended).toHaveLength(1)
  })
})

describe('the answer', () => {
  it('ends the session first, takes its cookie away, changes an HttpOnly cookie, and is stored by nobody', async () => {
    const { post } = await rp()
    const answer = await post()
    expect(location(answer).origin).toBe(ISSUER)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const [onItsWay, session] = answer.headers.getSetCookie()
    expect(onItsWay).toMatch(
      /^__Host-oidc_logout_[0-9a-f]{8}_w[0-9a-f]{8}=[\w-]+; Path=\/; HttpOnly; SameSite=Lax; Secure; Max-Age=600$/,
    )
    expect(session).toBe('sid=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; Secure')
  })

  it.each([
    ['http://app.intra.example/out', 'https://op.example.com/end', false],
    ['https://app.example.com/out', 'http://127.0.0.1:9/end', true],
    ['HTTPS://app.example.com/out', 'http://127.0.0.1:9/end', true],
  ])(
    'takes a cookie with secure: auto away as the page %s is, wherever the OP is: %s',
    async (back, endpoint, isSecure) => {
      const sessionCookie = { name: 'sid', secure: 'auto', sameSite: 'none' } as const
      const { post } = await rp({ back, endpoint: async () => endpoint, route: { sessionCookie } })
      const [, session] = (await post()).headers.getSetCookie()
      expect(session?.split('; ').includes('Secure')).toBe(isSecure)
      expect(session).toMatch(/^sid=; .*; SameSite=None$/)
    },
  )

  it('sends nobody on whose session could not be ended', async () => {
    const { post } = await rp({ route: { endLocally: () => Promise.reject(new Error('store away')) } })
    const answer = await post()
    expect(answer.status).toBe(503)
    expect(answer.headers.get('location')).toBeNull()
    expect(answer.headers.getSetCookie()).toEqual([])
  })

  it('is JSON for a page that asks by script', async () => {
    const { post } = await rp()
    const answer = await post({ 'sec-fetch-site': 'same-origin', accept: 'application/json' })
    expect(answer.status).toBe(200)
    expect(await answer.json()).toMatchObject({ url: expect.stringContaining(ENDPOINT), provider: 'asked' })
  })
})

describe('coming back', () => {
  async function there(settings: Rp = {}) {
    const here = await rp(settings)
    const answer = await here.post()
    const state = location(answer).searchParams.get('state') ?? ''
    const back = (query: string, cookie = cookieOf(answer)) => here.call(`/logged-out${query}`, { headers: { cookie } })
    return { ...here, state, back, cookie: cookieOf(answer) }
  }

  it('with the state of this very browser', async () => {
    const { state, back, returns } = await there()
    const answer = await back(`?state=${state}`)
    expect(returns[0]).toMatchObject({ state: 'matched', provider: 'asked' })
    expect(answer.headers.getSetCookie()[0]).toContain('Max-Age=0')
  })

  it.each([
    ['without state', () => '', 'missing'],
    ['with another state', () => '?state=other', 'changed'],
    ['with a state that is nearly right', (state: string) => `?state=${state}x`, 'changed'],
  ])('%s is noticed', async (_name, query, expected) => {
    const { state, back, returns } = await there()
    expect((await back(query(state))).status).toBe(200)
    expect(returns[0]).toMatchObject({ state: expected })
  })

  it('a state without its browser, a second time, ten minutes late, or with a cookie of nobody means nothing', async () => {
    let now = 1000
    const { state, back, returns } = await there({ now: () => now })
    await back(`?state=${state}`, '')
    const name = (await back(`?state=${state}`)).headers.getSetCookie()[0]?.split(';')[0] ?? ''
    await back(`?state=${state}`, name)
    await back(`?state=${state}`, `${name.split('=')[0]}=${'A'.repeat(80)}`)
    now += 600
    await back(`?state=${state}`)
    expect(returns.map((each) => Object(each).state)).toEqual([
      'not-expected',
      'matched',
      'not-expected',
      'not-expected',
      'not-expected',
    ])
  })

  it('the next sign-in asks for the password, once', async () => {
    const { state, back, call, cookie } = await there({ start: { to: 'logged-out', askForPassword: true } })
    const landed = cookieOf(await back(`?state=${state}`), cookie)
    const first = await call('/login', { headers: { cookie: landed } })
    expect(await first.text()).toBe('login')
    expect(await (await call('/login', { headers: { cookie: cookieOf(first, landed) } })).text()).toBe('silent')
    expect(await (await call('/login')).text()).toBe('silent')
  })
})

describe('a logout that is begun once more', () => {
  const START = { to: 'logged-out', askForPassword: true }

  it('by who is logged out already does what the first was to do: the OP, the token, the password', async () => {
    const issuers = ['https://other.example.com', ISSUER]
    let record: EndSessionRecord | undefined
    const here = await rp({ issuers, start: START, route: { record: () => record } })
    record = await here.logout.record(CLAIMS, 'e30.e30.x', undefined, { refreshToken: 'of the session' })
    const first = await here.post()
    record = undefined
    const again = await here.post({ 'sec-fetch-site': 'same-origin', cookie: cookieOf(first) })
    expect(location(again).origin).toBe(ISSUER)
    const state = location(again).searchParams.get('state') ?? ''
    expect(state).not.toBe(location(first).searchParams.get('state'))
    expect(here.revoked).toEqual([])
    const cookie = cookieOf(again, cookieOf(first))
    const back = await here.call(`/logged-out?state=${state}`, { headers: { cookie } })
    expect(here.returns[0]).toMatchObject({ state: 'matched', provider: 'asked' })
    expect(here.revoked).toEqual(['of the session'])
    const signIn = await here.call('/login', { headers: { cookie: cookieOf(back, cookie) } })
    expect(await signIn.text()).toBe('login')
  })

  it('at the same moment carries the token once, whichever of the two comes back', async () => {
    const browser = browserOf()
    const record = await browser.login('of the session')
    const first = await browser.press(record)
    const again = await browser.press(record)
    expect(browser.revoked).toEqual([])
    expect(browser.visit(again)).toMatchObject({ state: 'matched', provider: 'asked' })
    expect(browser.visit(first)).toMatchObject({ state: 'matched', provider: 'asked' })
    expect(browser.revoked).toEqual(['of the session'])
  })

  it('refuses a name that is not configured before anything is done', async () => {
    const { logout, revoked } = logoutWith()
    const record = await logout.record(CLAIMS, undefined, undefined, { refreshToken: 'of the session' })
    const { cookies } = await logout.start(record, START)
    await expect(logout.start(record, { to: 'elsewhere' }, cookieHeader(cookies))).rejects.toThrow()
    expect(revoked).toEqual([])
  })
})

describe('several tabs of one browser', () => {
  it.each(['', '?state=forged'])(
    'a visit to the landing page that nobody came back by ends nothing: %s',
    async (query) => {
      const browser = browserOf()
      const state = await browser.press(await browser.login('of the session'))
      const stray = browser.visitAt(query)
      expect(stray).toMatchObject({ state: query === '' ? 'missing' : 'changed', provider: 'asked', cookies: [] })
      expect(browser.revoked).toEqual([])
      expect(browser.visit(state)).toMatchObject({ state: 'matched', provider: 'asked' })
      expect(browser.revoked).toEqual(['of the session'])
      expect(browser.visit(state)).toMatchObject({ state: 'not-expected' })
    },
  )

  it('each comes back with its own state, and revokes its own token', async () => {
    const browser = browserOf()
    const first = await browser.press(await browser.login('of the first'))
    const second = await browser.press(await browser.login('of the second'))
    expect(browser.revoked).toEqual([])
    expect(browser.visit(first).state).toBe('matched')
    expect(browser.revoked).toEqual(['of the first'])
    expect(browser.visit(second).state).toBe('matched')
    expect(browser.revoked).toEqual(['of the first', 'of the second'])
    expect(browser.jar).toBe('')
  })

  it('what one of them never brought back is revoked by the next request that finds its time to be over', async () => {
    for (const next of ['visit', 'press', 'sign in'] as const) {
      const browser = browserOf()
      await browser.press(await browser.login('of the first'))
      browser.now += 599
      const second = await browser.press(await browser.login('of the second'))
      expect(browser.revoked).toEqual([])
      browser.now += 1
      if (next === 'visit') expect(browser.visitAt('').state).toBe('missing')
      if (next === 'press') await browser.press(await browser.login('of the third'))
      if (next === 'sign in') expect(browser.signIn()).toBeUndefined()
      expect([next, browser.revoked]).toEqual([next, ['of the first']])
      expect(browser.visit(second).state).toBe('matched')
      expect(browser.revoked).toEqual(['of the first', 'of the second'])
    }
  })

  it('the password is asked for once; a tab that comes back after that sign-in is known', async () => {
    const browser = browserOf()
    const state = await browser.press(await browser.login('of the session'), true)
    expect([browser.signIn(), browser.signIn()]).toEqual(['login', undefined])
    expect(browser.revoked).toEqual(['of the session'])
    expect(browser.visit(state)).toMatchObject({ state: 'matched', provider: 'asked' })
    expect(browser.revoked).toEqual(['of the session'])
  })

  it('of tokens that are too long together for one cookie the oldest is revoked at once, and its tab still known', async () => {
    const browser = browserOf()
    const [first, second] = ['1'.repeat(1500), '2'.repeat(1500)]
    const state = await browser.press(await browser.login(first))
    await browser.press(await browser.login(second))
    expect(browser.revoked).toEqual([first])
    expect(browser.visit(state).state).toBe('matched')
    // One that no cookie holds drives out no other.
    await browser.press(await browser.login('3'.repeat(3000)))
    expect([browser.revoked, browser.tooLong]).toEqual([[first], 1])
  })

  it('where the provider hands no state back, a visit is the way back of the latest', async () => {
    const browser = browserOf({ dialect: { kind: 'cognito', endpoint: 'https://op.example.com/logout' } })
    await browser.press(await browser.login('of the first'))
    await browser.press(await browser.login('of the second'))
    expect(browser.visitAt('')).toMatchObject({ state: 'not-expected', provider: 'asked' })
    expect(browser.revoked).toEqual(['of the second'])
    expect(browser.visitAt('')).toMatchObject({ state: 'not-expected', provider: 'asked' })
    expect(browser.visitAt('')).toMatchObject({ state: 'not-expected', provider: 'not-asked' })
    expect(browser.revoked).toEqual(['of the second', 'of the first'])
  })

  it('a token that came by nobody’s way back is revoked by the next request', async () => {
    const browser = browserOf()
    await browser.press(await browser.login('of the session'))
    browser.forget(/_w/)
    browser.visitAt('')
    expect([browser.revoked, browser.jar]).toEqual([['of the session'], ''])
  })

  it('a browser is known by each of eight tabs of one logout, and of more by the latest', async () => {
    const browser = browserOf()
    const record = await browser.login('t'.repeat(300))
    const states: string[] = []
    for (let i = 0; i < 10; i++) states.push(await browser.press(record))
    expect(browser.jar.length).toBeLessThanOrEqual(4096)
    const known = states.map((state) => browser.visit(state).state)
    expect(known).toEqual(states.map((_, i) => (i < 2 ? 'changed' : 'matched')))
    expect([browser.revoked.length, browser.jar]).toEqual([1, ''])
  })

  const steps = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('press' as const), length: fc.integer({ min: 10, max: 2500 }) }),
      fc.record({ do: fc.constant('press again' as const) }),
      fc.record({ do: fc.constant('come back' as const), which: fc.nat(9) }),
      fc.record({ do: fc.constant('stray' as const), query: fc.constantFrom('', '?state=', '?state=forged') }),
      fc.record({ do: fc.constant('wait' as const), seconds: fc.integer({ min: 1, max: 700 }) }),
    ),
    { maxLength: 25 },
  )

  it('whatever they do: no visit without a state revokes what is on its way, no cookie is too long, no token is lost', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (all) => {
        const browser = browserOf()
        const tokens: string[] = []
        const states: string[] = []
        for (const step of all) {
          if (step.do === 'press') {
            tokens.push(`${tokens.length} `.padEnd(step.length, 'x'))
            states.push(await browser.press(await browser.login(tokens.at(-1) ?? '')))
          } else if (step.do === 'press again') states.push(await browser.press(undefined))
          else if (step.do === 'come back') browser.visit(states[step.which % states.length] ?? 'none')
          else if (step.do === 'wait') browser.now += step.seconds
          else {
            browser.visitAt('') // what is over already
            const before = [...browser.revoked]
            browser.visitAt(step.query)
            expect(browser.revoked).toEqual(before)
          }
          expect(Math.max(browser.longest, browser.jar.length)).toBeLessThanOrEqual(4096)
        }
        browser.now += 601
        browser.visitAt('')
        expect(browser.revoked.toSorted()).toEqual(tokens.toSorted())
        expect(browser.jar).toBe('')
      }),
    )
  })
})

interface Tab {
  /** The answer to a press of the button, with this `Cookie`. */
  press(cookie: string, record: EndSessionRecord | undefined): Promise<{ url: string; setCookies: readonly string[] }>
  comeBack(cookie: string, state: string): Promise<readonly string[]>
}

/** Each way in which an application serves both pages. */
const SKINS: Readonly<Record<string, (given: ReturnType<typeof logoutWith>['logout']) => Promise<Tab>>> = {
  'Node’s http': (logout) => served(logout, (handle) => handle),
  Express: (logout) => served(logout, (handle) => express().use(handle)),
  'a Web Request': async (logout) => ({
    async press(cookie, record) {
      const request = new Request(BACK, { method: 'POST', headers: { cookie } })
      const sent = request.headers.get('cookie') ?? undefined
      const { url, cookies } = await logout.start(
        record,
        { to: 'logged-out', askForPassword: record !== undefined },
        sent,
      )
      const answer = new Response(null, {
        status: 303,
        headers: cookies.map((each) => ['Set-Cookie', each] as [string, string]),
      })
      return { url, setCookies: answer.headers.getSetCookie() }
    },
    async comeBack(cookie, state) {
      const req = { url: `/logged-out?state=${state}`, headers: { cookie } } as IncomingMessage
      return logout.returned(req, { appendHeader() {} } as never).cookies
    },
  }),
}

type Handle = (req: IncomingMessage, res: ServerResponse) => void

async function served(logout: ReturnType<typeof logoutWith>['logout'], by: (handle: Handle) => Handle): Promise<Tab> {
  const recordIn = (req: IncomingMessage): EndSessionRecord | undefined => JSON.parse(String(req.headers['x-record']))
  const route = logout.route({
    record: (req) => recordIn(req) ?? undefined,
    start: (req) => ({ to: 'logged-out', askForPassword: recordIn(req) !== null }),
  })
  const handle: Handle = (req, res) => {
    if (req.url === '/logout') return route(req, res)
    logout.returned(req, res)
    res.end()
  }
  const server = createServer(by(handle)).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  const origin = `http://127.0.0.1:${Object(server.address()).port}`
  return {
    async press(cookie, record) {
      const headers = { cookie, 'x-record': JSON.stringify(record ?? null) }
      const answer = await fetch(`${origin}/logout`, { method: 'POST', redirect: 'manual', headers })
      return { url: answer.headers.get('location') ?? '', setCookies: answer.headers.getSetCookie() }
    },
    async comeBack(cookie, state) {
      return (await fetch(`${origin}/logged-out?state=${state}`, { headers: { cookie } })).headers.getSetCookie()
    },
  }
}

describe.each(Object.keys(SKINS))('tabs whose answers cross, by %s', (skin) => {
  const stateOf = ({ url }: { readonly url: string }) => new URL(url).searchParams.get('state') ?? ''

  async function tabs() {
    const { logout, revoked } = logoutWith()
    const tab = await SKINS[skin]?.(logout)
    if (tab === undefined) throw new Error('no such skin')
    const jar = new CookieJar()
    const keep = (answers: readonly { readonly setCookies: readonly string[] }[]) => {
      for (const cookie of answers.flatMap(({ setCookies }) => setCookies)) jar.keep(cookie)
    }
    const login = (refreshToken: string) => logout.record(CLAIMS, undefined, undefined, { refreshToken })
    const isKnown = (state: string) => {
      const req = { url: `/logged-out?state=${state}`, headers: { cookie: jar.header } } as IncomingMessage
      const { state: found, cookies } = logout.returned(req, { appendHeader() {} } as never)
      keep([{ setCookies: cookies }])
      return found === 'matched'
    }
    const signIn = () => {
      const appendHeader = (_: string, cookie: string) => jar.keep(cookie)
      return logout.promptOnce(
        { url: '/login', headers: { cookie: jar.header } } as IncomingMessage,
        { appendHeader } as never,
      )
    }
    return { tab, jar, keep, login, isKnown, signIn, revoked }
  }

  it.each([
    ['first', 'last'],
    ['last', 'first'],
  ])('two logouts that begin at once, whichever is answered %s: each has its way back and its token', async (place) => {
    const { tab, jar, keep, login, isKnown, revoked } = await tabs()
    const records = [await login('of the first'), await login('of the second')]
    const answers = await Promise.all(records.map((record) => tab.press('', record)))
    keep(place === 'first' ? answers : answers.toReversed())
    for (const answer of answers) expect(isKnown(stateOf(answer))).toBe(true)
    expect(revoked).toEqual(['of the first', 'of the second'])
    expect(jar.header).toMatch(/^[^;]*_p=[^;]*$/)
  })

  it('one session, in six tabs at once: each is known, the token is revoked once, and the header stays short', async () => {
    const { tab, jar, keep, login, isKnown, revoked } = await tabs()
    const record = await login('r'.repeat(1500))
    const answers = await Promise.all(Array.from({ length: 6 }, () => tab.press('', record)))
    keep(answers)
    expect(jar.header.length).toBeLessThan(6000)
    for (const answer of answers) expect(isKnown(stateOf(answer))).toBe(true)
    expect(revoked).toHaveLength(1)
  })

  it('one session, of which the second request finds nothing any more: neither token nor password is forgotten', async () => {
    for (const last of ['first', 'second']) {
      const { tab, keep, login, isKnown, signIn, revoked } = await tabs()
      const [first, second] = await Promise.all([
        tab.press('', await login('of the session')),
        tab.press('', undefined),
      ])
      keep(last === 'first' ? [second, first] : [first, second])
      expect([isKnown(stateOf(second)), isKnown(stateOf(first))]).toEqual([true, true])
      expect([revoked, signIn(), signIn()]).toEqual([['of the session'], 'login', undefined])
    }
  })

  it('one that comes back while another begins, whichever is answered last', async () => {
    for (const last of ['begins', 'comes back']) {
      const { tab, jar, keep, login, isKnown, revoked } = await tabs()
      const first = await tab.press('', await login('of the first'))
      keep([first])
      const [setCookies, second] = await Promise.all([
        tab.comeBack(jar.header, stateOf(first)),
        tab.press(jar.header, await login('of the second')),
      ])
      keep(last === 'begins' ? [{ setCookies }, second] : [second, { setCookies }])
      expect(revoked).toEqual(['of the first'])
      expect([isKnown(stateOf(first)), isKnown(stateOf(second))]).toEqual([false, true])
      expect(revoked).toEqual(['of the first', 'of the second'])
    }
  })
})

describe('where nobody can say which provider it is', () => {
  it.each([
    ['fails', () => Promise.reject(new Error('the database is away'))],
    ['throws', () => Promise.reject(new TypeError('provider: the list is empty'))],
  ])(
    'the function of the application %s: logged out here, back to the page, the token is not lost',
    async (_, fails) => {
      let lookUp = async () => {}
      let record: EndSessionRecord | undefined
      const here = await rp({ lookUp: () => lookUp(), route: { record: () => record } })
      record = await here.logout.record(CLAIMS, 'e30.e30.x', undefined, { refreshToken: 'of the session' })
      lookUp = fails
      const answer = await here.post()
      expect([answer.status, answer.headers.get('location')]).toEqual([303, BACK])
      expect(here.ended).toHaveLength(1)
      await here.call('/logged-out', { headers: { cookie: cookieOf(answer) } })
      expect(here.returns[0]).toMatchObject({ provider: 'unreachable' })
      expect(here.revoked).toEqual(['of the session'])
    },
  )
})

describe('a neighbour on the domain, who lays a cookie of that name beside', () => {
  it('cannot where there is TLS: browsers keep one of that name from this host alone', async () => {
    const { logout } = logoutWith()
    const record = await logout.record(CLAIMS, undefined, undefined, { refreshToken: 'of the session' })
    const { cookies } = await logout.start(record, { to: 'logged-out', askForPassword: true })
    expect(cookies).toHaveLength(3)
    for (const cookie of cookies) {
      expect(cookie).toMatch(/^__Host-[^;]*; Path=\/; HttpOnly; SameSite=Lax; Secure; /)
      expect(cookie).not.toContain('Domain')
    }
    const plain = await logoutWith({ back: 'http://localhost/out' }).logout.start(undefined, { to: 'logged-out' })
    expect(plain.cookies).toEqual([expect.stringMatching(/^oidc_logout_/)])
  })

  it.each(['first', 'last'])('keeps nothing from being done elsewhere: %s', async (place) => {
    const { logout, revoked } = logoutWith({ back: 'http://localhost/logged-out' })
    const away = async (refreshToken: string, askForPassword: boolean) => {
      const record = await logout.record(CLAIMS, undefined, undefined, { refreshToken })
      const { url, cookies } = await logout.start(record, { to: 'logged-out', askForPassword })
      return { state: new URL(url).searchParams.get('state'), pair: cookieHeader(cookies) }
    }
    const [theirs, own] = [await away('theirs', false), await away('own', true)]
    const pairs = place === 'first' ? [theirs.pair, own.pair] : [own.pair, theirs.pair]
    const cookie = [...pairs, `${own.pair.split('=')[0]}=junk`].join('; ')
    const res = { appendHeader() {} } as never
    const visit = ({ state }: { readonly state: string | null }) =>
      logout.returned({ url: `/logged-out?state=${state}`, headers: { cookie } } as IncomingMessage, res)
    for (const each of place === 'first' ? [own, theirs] : [theirs, own]) {
      const { state, revocation } = visit(each)
      expect(state).toBe('matched')
      expect(await revocation).toEqual({ outcome: 'revoked' })
    }
    expect(revoked).toEqual(place === 'first' ? ['own', 'theirs'] : ['theirs', 'own'])
    expect(logout.promptOnce({ url: '/login', headers: { cookie } } as IncomingMessage, res)).toBe('login')
  })
})

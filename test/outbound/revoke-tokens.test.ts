// Token revocation at a logout that begins here: which tokens die at the provider, when, and that nothing which fails
// undoes a logout.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ClientSecretPost } from 'oauth4webapi'
import { afterEach, describe, expect, it } from 'vitest'
import { createBackchannelLogout } from '../../src/backchannel-logout.js'
import type { LogoutEvent } from '../../src/events.js'
import type { Fetch } from '../../src/http/fetched-documents.js'
import type { EndSessionRecord } from '../../src/outbound/end-session.js'
import { type RevokingProvider, tokenRevocation } from '../../src/outbound/revoke-tokens.js'
import type { ProviderOptions } from '../../src/providers/provider-options.js'
import { createFakeOp, type FakeOp } from '../../src/testing/index.js'
import { createProvider, listen } from '../servers/oidc-provider.js'
import { cookieHeader } from './cookie-jar.js'

const CLIENT_ID = 'rp'
const CLIENT_SECRET = randomBytes(32).toString('base64url')
const SECRET = 'a secret of more than thirty-two characters'
const BACK = 'https://app.example.com/logged-out'
const BASIC = { method: 'client_secret_basic', clientSecret: CLIENT_SECRET } as const

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function fakeOp(): Promise<FakeOp> {
  const op = await createFakeOp({ clientId: CLIENT_ID, clientSecret: CLIENT_SECRET })
  closing.push(() => op.close())
  return op
}

/** An RP with a logout here, and what it says of itself. */
function rpAt(issuer: string, about: Partial<ProviderOptions> = {}) {
  const events: LogoutEvent[] = []
  const provider = { issuer, clientId: CLIENT_ID, clientAuthentication: BASIC, ...about }
  const logout = createBackchannelLogout<IncomingMessage>({ provider, onEvent: (event) => events.push(event) })
  closing.push(() => logout.close())
  const rpInitiated = logout.rpInitiatedLogout({ redirectUris: { 'logged-out': BACK }, secret: SECRET })
  const client = { issuer, clientId: CLIENT_ID }
  const claims = { iss: issuer, aud: CLIENT_ID, sub: 'ada', sid: 'laptop' }
  /** The browser is on the landing page, with the state and the cookie that it was given. */
  const comeBack = (setCookies: readonly string[], departure: string) => {
    const cookies: string[] = []
    const url = `/logged-out${new URL(departure).search}`
    const req = { url, headers: { cookie: cookieHeader(setCookies) } } as IncomingMessage
    const res = { appendHeader: (_name: string, value: string) => cookies.push(value) } as unknown as ServerResponse
    return { ...rpInitiated.returned(req, res), cookies }
  }
  return { logout, rpInitiated, events, client, claims, comeBack }
}

const revocations = (events: readonly LogoutEvent[]) => events.filter(({ type }) => type === 'tokens-revoked')

interface Tokens {
  readonly access_token: string
  readonly refresh_token: string
  readonly id_token: string
}

/** Signs in at the OP by code, as an application does. */
async function tokensOf(issuer: string): Promise<Tokens> {
  const metadata = await fetch(`${issuer}/.well-known/openid-configuration`)
  const endpoints = (await metadata.json()) as { authorization_endpoint: string; token_endpoint: string }
  const { authorization_endpoint: authorize, token_endpoint: token } = endpoints
  const asked = new URLSearchParams({
    ...{ client_id: CLIENT_ID, response_type: 'code', redirect_uri: 'https://app.example.com/callback' },
    ...{ scope: 'openid offline_access', prompt: 'consent', login_hint: 'ada' },
  })
  const jar = new Map<string, string>()
  let location = `${authorize}?${asked}`
  while (!location.startsWith('https://app.example.com/')) {
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const answer = await fetch(location, { redirect: 'manual', headers: { cookie } })
    for (const each of answer.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(each) ?? []
      jar.set(name, value)
    }
    location = new URL(answer.headers.get('location') ?? '', location).href
  }
  const code = new URL(location).searchParams.get('code') ?? ''
  const grant = { grant_type: 'authorization_code', code, redirect_uri: 'https://app.example.com/callback' }
  return (await ask(token, grant)).json() as Promise<Tokens>
}

function ask(endpoint: string, form: Record<string, string>): Promise<Response> {
  const authorization = `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString('base64')}`
  return fetch(endpoint, { method: 'POST', headers: { authorization }, body: new URLSearchParams(form) })
}

const refresh = (issuer: string, refreshToken: string) =>
  ask(`${issuer}/token`, { grant_type: 'refresh_token', refresh_token: refreshToken })

describe('revokeTokens', () => {
  it('the refresh token first, then the access token; both are dead at the OP (RFC 7009 2.1)', async () => {
    const op = await fakeOp()
    const tokens = await tokensOf(op.issuer)
    const sent: string[] = []
    const send: Fetch = (url, init) => {
      if (url.endsWith('/revoke')) sent.push(String(init.body))
      return fetch(url, init)
    }
    const { logout, client, events } = rpAt(op.issuer, { fetch: send })
    const { refresh_token: refreshToken, access_token: accessToken } = tokens
    expect(await logout.revokeTokens({ ...client, refreshToken, accessToken })).toEqual({
      outcome: 'revoked',
      refreshToken: 'revoked',
      accessToken: 'revoked',
    })
    expect(sent.map((body) => new URLSearchParams(body).get('token_type_hint'))).toEqual([
      'refresh_token',
      'access_token',
    ])
    expect((await refresh(op.issuer, refreshToken)).status).toBe(400)
    expect(await (await ask(`${op.issuer}/introspect`, { token: accessToken })).json()).toEqual({ active: false })
    expect(revocations(events)).toEqual([{ type: 'tokens-revoked', ...client, outcome: 'revoked' }])
  })

  it('authenticates by any method, also by a ClientAuth of oauth4webapi; a wrong secret is a failure that says so', async () => {
    const op = await fakeOp()
    for (const clientAuthentication of [
      { method: 'client_secret_post', clientSecret: CLIENT_SECRET } as const,
      ClientSecretPost(CLIENT_SECRET),
    ]) {
      const { refresh_token: refreshToken } = await tokensOf(op.issuer)
      const { logout, client } = rpAt(op.issuer, { clientAuthentication })
      expect(await logout.revokeTokens({ ...client, refreshToken })).toMatchObject({ outcome: 'revoked' })
    }
    const wrong = { method: 'client_secret_basic', clientSecret: 'wrong' } as const
    const { logout, client, events } = rpAt(op.issuer, { clientAuthentication: wrong })
    const { outcome, error } = await logout.revokeTokens({ ...client, accessToken: 'a token' })
    expect({ outcome, error }).toMatchObject({
      outcome: 'failed',
      error: { code: 'ERR_REVOCATION', reason: 'refused' },
    })
    expect(revocations(events)).toEqual([{ type: 'tokens-revoked', ...client, outcome: 'failed', error }])
  })

  it('a client that is known by its certificate asks at the alias for it, and names itself (RFC 8705 5)', async () => {
    const issuer = 'https://op.example.com'
    const [endpoint, alias] = [`${issuer}/revoke`, 'https://mtls.op.example.com/revoke']
    const sent: string[] = []
    const send: Fetch = async (url, { body }) => {
      if (url.endsWith('/revoke')) sent.push(`${url} ${new URLSearchParams(String(body)).get('client_id')}`)
      const aliases = { mtls_endpoint_aliases: { revocation_endpoint: alias } }
      return Response.json({ issuer, revocation_endpoint: endpoint, ...aliases })
    }
    const clientAuthentication = { method: 'tls_client_auth' } as const
    const { logout, client } = rpAt(issuer, { clientAuthentication, fetch: send })
    expect(await logout.revokeTokens({ ...client, refreshToken: 'x' })).toMatchObject({ outcome: 'revoked' })
    expect(sent).toEqual([`${alias} ${CLIENT_ID}`])
    expect(() => rpAt(issuer, { clientAuthentication })).toThrow(/fetch must present the client certificate/)
    const misspelt = { method: 'basic' } as unknown as ProviderOptions['clientAuthentication']
    expect(() => rpAt(issuer, { clientAuthentication: misspelt })).toThrow(/clientAuthentication\.method must be/)
  })

  it('refuses what names no token, no client, or one that is not configured', async () => {
    const { logout, client } = rpAt('https://op.example.com')
    await expect(logout.revokeTokens(client)).rejects.toThrow(/a refreshToken or an accessToken/)
    await expect(logout.revokeTokens({ ...client, refreshToken: '' })).rejects.toThrow(TypeError)
    await expect(logout.revokeTokens({ ...client, clientId: 'other', refreshToken: 'x' })).rejects.toThrow(
      /not configured as a provider/,
    )
    const without = rpAt('https://op.example.com', { clientAuthentication: undefined })
    expect(await without.logout.revokeTokens({ ...client, refreshToken: 'x' })).toMatchObject({
      outcome: 'failed',
      error: { reason: 'authentication_missing', option: 'clientAuthentication' },
    })
    await expect(
      without.rpInitiated.record(without.claims, undefined, undefined, { refreshToken: 'x' }),
    ).rejects.toThrow(/clientAuthentication/)
  })
})

describe('at a logout that goes to the OP', () => {
  it('the refresh token is revoked when the browser is on the landing page, not before, and once', async () => {
    const op = await fakeOp()
    const tokens = await tokensOf(op.issuer)
    const { rpInitiated, claims, comeBack, events, client } = rpAt(op.issuer)
    const { refresh_token: refreshToken } = tokens
    const record = await rpInitiated.record(claims, undefined, undefined, { refreshToken })
    const departure = await rpInitiated.start(record, { to: 'logged-out', askForPassword: true })
    for (const text of [JSON.stringify(record), departure.url, ...departure.cookies])
      expect(text).not.toContain(refreshToken)
    // What the OP does for its own logout: it must still find the sign-on, or the others on it are not told.
    await fetch(`${op.issuer}/logout`)
    expect(op.seen.revoke).toBe(0)
    expect(await (await ask(`${op.issuer}/introspect`, { token: refreshToken })).json()).toMatchObject({ active: true })

    const { revocation, cookies } = comeBack(departure.cookies, departure.url)
    expect(await revocation).toEqual({ outcome: 'revoked', refreshToken: 'revoked' })
    expect(op.seen.revoke).toBe(1)
    expect((await refresh(op.issuer, refreshToken)).status).toBe(400)
    expect(revocations(events)).toEqual([{ type: 'tokens-revoked', ...client, outcome: 'revoked' }])
    expect(JSON.stringify(events)).not.toContain(refreshToken)
    expect(comeBack(cookies, departure.url).revocation).toBeUndefined()
  })

  it('that the browser never came back from, it is revoked at the next sign-in, and once', async () => {
    const op = await fakeOp()
    const { refresh_token: refreshToken } = await tokensOf(op.issuer)
    const { rpInitiated, claims, events, client } = rpAt(op.issuer)
    const record = await rpInitiated.record(claims, undefined, undefined, { refreshToken })
    const { cookies } = await rpInitiated.start(record, { to: 'logged-out', askForPassword: true })
    const req = { url: '/login', headers: { cookie: cookieHeader(cookies) } } as IncomingMessage
    expect(rpInitiated.promptOnce(req, { appendHeader() {} } as unknown as ServerResponse)).toBe('login')
    await expect.poll(() => revocations(events)).toEqual([{ type: 'tokens-revoked', ...client, outcome: 'revoked' }])
    expect((await refresh(op.issuer, refreshToken)).status).toBe(400)
  })

  it('a refresh brings a newer token; one that brings none keeps the older', async () => {
    const { rpInitiated, claims } = rpAt('https://op.example.com')
    const first = await rpInitiated.record(claims, undefined, undefined, { refreshToken: 'first' })
    const kept = await rpInitiated.record(claims, undefined, first)
    const second = await rpInitiated.record(claims, undefined, first, { refreshToken: 'second' })
    expect(kept?.refreshToken).toBe(first?.refreshToken)
    expect(second?.refreshToken).not.toBe(first?.refreshToken)
  })

  it('a record that was changed sends its token to nobody else', async () => {
    const [op, other] = [await fakeOp(), await fakeOp()]
    const events: LogoutEvent[] = []
    const provider = [op, other].map(({ issuer }) => ({ issuer, clientId: CLIENT_ID, clientAuthentication: BASIC }))
    const logout = createBackchannelLogout({ provider, onEvent: (event) => events.push(event) })
    const rpInitiated = logout.rpInitiatedLogout({ redirectUris: { 'logged-out': BACK }, secret: SECRET })
    const claims = { iss: op.issuer, aud: CLIENT_ID }
    const record = await rpInitiated.record(claims, undefined, undefined, { refreshToken: 'of the first' })
    const changed = { ...record, issuer: other.issuer } as EndSessionRecord
    const { cookies } = await rpInitiated.start(changed, { to: 'logged-out' })
    const req = { url: '/logged-out', headers: { cookie: cookieHeader(cookies) } } as IncomingMessage
    const res = { appendHeader() {} } as unknown as ServerResponse
    expect(rpInitiated.returned(req, res).revocation).toBeUndefined()
    expect(other.seen.revoke).toBe(0)
  })

  it('a token that is too long for a cookie stays out of it, and the event says so', async () => {
    const op = await fakeOp()
    const { rpInitiated, claims, comeBack, events } = rpAt(op.issuer)
    const start = async (length: number) => {
      const tokens = { refreshToken: 'r'.repeat(length) }
      const record = await rpInitiated.record(claims, undefined, undefined, tokens)
      const { cookies, url } = await rpInitiated.start(record, { to: 'logged-out' })
      for (const cookie of cookies) expect(cookie.length).toBeLessThanOrEqual(4096)
      return comeBack(cookies, url)
    }
    expect((await start(2500)).revocation).toBeDefined()
    const back = await start(3000)
    expect(back).toMatchObject({ state: 'matched', provider: 'asked' })
    expect(back.revocation).toBeUndefined()
    expect(revocations(events)).toContainEqual(
      expect.objectContaining({ outcome: 'failed', error: expect.objectContaining({ reason: 'token_too_long' }) }),
    )
  })

  it('an OP that refuses leaves the landing page as it is, and no rejection behind', async () => {
    const op = await fakeOp()
    const wrong = { method: 'client_secret_basic', clientSecret: 'wrong' } as const
    const { rpInitiated, claims, comeBack } = rpAt(op.issuer, { clientAuthentication: wrong })
    const record = await rpInitiated.record(claims, undefined, undefined, { refreshToken: 'x' })
    const { url, cookies } = await rpInitiated.start(record, { to: 'logged-out' })
    const req = { url: `/logged-out${new URL(url).search}`, headers: { cookie: cookieHeader(cookies) } }
    const back = rpInitiated.returned(req as IncomingMessage, { appendHeader() {} } as unknown as ServerResponse)
    expect(back).toMatchObject({ state: 'matched', provider: 'asked' })
    expect(await back.revocation).toMatchObject({ outcome: 'failed' })
    expect(comeBack(cookies, url).provider).toBe('asked')
  })

  it('a received logout revokes nothing where nobody has said where records are', async () => {
    const op = await fakeOp()
    const { logout, rpInitiated, claims, events } = rpAt(op.issuer)
    await rpInitiated.record(claims, undefined, undefined, { refreshToken: 'x' })
    const token = await op.mint.logoutToken()
    const body = new URLSearchParams({ logout_token: token })
    const answer = await logout.fetch(
      new Request('https://app.example.com/backchannel-logout', { method: 'POST', body }),
    )
    expect(answer.status).toBe(200)
    expect(op.seen.revoke).toBe(0)
    expect(revocations(events)).toEqual([])
  })
})

type Answer = (req: IncomingMessage, res: ServerResponse) => void

/** A revocation endpoint that answers as it likes. */
async function endpoint(answer: Answer) {
  const server: Server = createServer(answer)
  closing.push(() => {
    server.close()
    server.closeAllConnections()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `http://127.0.0.1:${address.port}/revoke`
}

async function revokeAt(url: string | undefined, about: Partial<RevokingProvider> = {}, timeoutSeconds = 5) {
  const events: LogoutEvent[] = []
  const revoke = tokenRevocation({
    provider: async () => ({
      authentication: { authenticate: ClientSecretPost(CLIENT_SECRET), byCertificate: false },
      dangerouslyAllowHttp: false,
      fetch: undefined,
      revocationEndpoint: async () => url,
      ...about,
    }),
    emit: (event) => events.push(event),
    clock: () => Date.now() / 1000,
    timeoutSeconds,
  })
  const tokens = { refreshToken: 'r-secret', accessToken: 'a-secret' }
  const issuer = url?.startsWith('http://127.0.0.1:') ? new URL(url).origin : 'https://op.example.com'
  const result = await revoke({ issuer, clientId: CLIENT_ID, ...tokens })
  expect(events).toHaveLength(1)
  expect(`${JSON.stringify(events)} ${result.error?.stack} ${result.error?.cause}`).not.toMatch(/[ra]-secret|hostile/)
  return result
}

const json =
  (status: number, body: object): Answer =>
  (_req, res) => {
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

describe('what a provider may answer', () => {
  it('no endpoint is no error', async () => {
    expect(await revokeAt(undefined)).toEqual({
      outcome: 'unsupported',
      refreshToken: 'unsupported',
      accessToken: 'unsupported',
    })
  })

  it('a kind of token that it does not revoke is no error either (2.2.1), and does not hide that the other is dead', async () => {
    let asked = 0
    const url = await endpoint((req, res) => {
      asked += 1
      if (asked === 1) res.end()
      else json(400, { error: 'unsupported_token_type' })(req, res)
    })
    expect(await revokeAt(url)).toEqual({ outcome: 'unsupported', refreshToken: 'revoked', accessToken: 'unsupported' })
  })

  it.each<[string, Answer, string]>([
    ['503', (_req, res) => res.writeHead(503, { 'retry-after': '1' }).end(), 'not_done'],
    ['a redirect', (_req, res) => res.writeHead(307, { location: 'http://127.0.0.1:1/hostile' }).end(), 'not_done'],
    ['408', json(408, { error: 'hostile' }), 'not_done'],
    ['425', (_req, res) => res.writeHead(425).end(), 'not_done'],
    ['429', (_req, res) => res.writeHead(429, { 'retry-after': '1' }).end(), 'not_done'],
    ['an accepted that is no 200', (_req, res) => res.writeHead(202).end(), 'not_done'],
    ['a dropped connection', (_req, res) => res.destroy(), 'unreachable'],
    ['an error of its own in a 400', json(400, { error: 'server_error' }), 'not_done'],
    ['an overload in a 400', json(400, { error: 'temporarily_unavailable' }), 'not_done'],
    ['a client that it does not know', json(401, { error: 'invalid_client' }), 'refused'],
    ['words that echo the token', json(400, { error: 'r-secret', error_description: 'a-secret' }), 'refused'],
    ['a page', (_req, res) => res.writeHead(403, { 'content-type': 'text/html' }).end('<p>hostile'), 'refused'],
    ['half a JSON', (_req, res) => res.writeHead(400, { 'content-type': 'application/json' }).end('{"er'), 'refused'],
    ['a body without end', endless, 'refused'],
  ])('%s is a failure that says so, for both tokens', async (_name, answer, reason) => {
    let asked = 0
    const url = await endpoint((req, res) => {
      asked += 1
      answer(req, res)
    })
    const result = await revokeAt(url)
    expect(result).toMatchObject({ outcome: 'failed', refreshToken: 'failed', accessToken: 'failed' })
    expect(result.error).toMatchObject({ code: 'ERR_REVOCATION', reason })
    expect(asked).toBe(2)
  })

  it.each<[string, Answer, number | undefined]>([
    ['503', (_req, res) => res.writeHead(503, { 'retry-after': '120' }).end(), 120],
    ['429', (_req, res) => res.writeHead(429, { 'retry-after': '7' }).end(), 7],
    [
      '503 with dates',
      (_req, res) => {
        const headers = { date: 'Thu, 26 Nov 2026 12:00:00 GMT', 'retry-after': 'Thu, 26 Nov 2026 12:01:00 GMT' }
        res.writeHead(503, headers).end()
      },
      60,
    ],
    [
      'an overload in a 400',
      (_req, res) => {
        const headers = { 'content-type': 'application/json', 'retry-after': '7' }
        res.writeHead(400, headers).end('{"error":"temporarily_unavailable"}')
      },
      7,
    ],
    ['503 without it', (_req, res) => res.writeHead(503).end(), undefined],
    ['a refusal', (_req, res) => res.writeHead(401, { 'retry-after': '120' }).end(), undefined],
  ])('%s: how long it wants to be left alone is in the result', async (_name, answer, seconds) => {
    expect((await revokeAt(await endpoint(answer))).retryAfterSeconds).toBe(seconds)
  })

  it('200 is the answer, whatever follows it', async () => {
    const url = await endpoint((_req, res) => {
      res.writeHead(200).write('{"error":"hostile"')
    })
    expect(await revokeAt(url)).toMatchObject({ outcome: 'revoked' })
  })

  it('is waited for no longer than its time: an endpoint, metadata or a fetch that hang', async () => {
    const late = { outcome: 'failed', error: { reason: 'late' } }
    const never = () => new Promise<never>(() => {})
    expect(await revokeAt(await endpoint(() => {}), {}, 0.05)).toMatchObject(late)
    expect(await revokeAt('https://op.example.com/revoke', { fetch: never }, 0.05)).toMatchObject(late)
    expect(await revokeAt(undefined, { revocationEndpoint: never }, 0.05)).toMatchObject(late)
    const dawdling = await endpoint((_req, res) => {
      res.writeHead(400).write('{')
    })
    expect(await revokeAt(dawdling, {}, 0.05)).toMatchObject(late)
  })

  it.each([
    'http://op.example.com/revoke',
    'https://user:word@op.example.com/revoke',
    'file:///etc/passwd',
    '/revoke',
    '',
  ])('sends no token to %j', async (url) => {
    const fetched: string[] = []
    const send: Fetch = async (to) => {
      fetched.push(to)
      return new Response()
    }
    expect(await revokeAt(url, { fetch: send })).toMatchObject({
      outcome: 'failed',
      error: { reason: 'endpoint_unsafe' },
    })
    expect(fetched).toEqual([])
  })

  it.each(['http://127.0.0.1:8500/v1/agent', 'http://localhost/admin', 'http://[::1]/'])(
    'sends no token and no secret to %s where the metadata of an https issuer name it',
    async (url) => {
      const issuer = 'https://tenant.example.net'
      const fetched: string[] = []
      const send: Fetch = async (to) => {
        fetched.push(to)
        return Response.json({ issuer, jwks_uri: `${issuer}/jwks`, revocation_endpoint: url })
      }
      const { logout, client } = rpAt(issuer, { fetch: send })
      expect(await logout.revokeTokens({ ...client, refreshToken: 'r-secret' })).toMatchObject({
        outcome: 'failed',
        error: { reason: 'endpoint_unsafe' },
      })
      expect(fetched).toEqual([`${issuer}/.well-known/openid-configuration`])
    },
  )

  it('metadata or a provider that cannot be had are failures that say so', async () => {
    const away = async () => Promise.reject(new Error('hostile'))
    expect(await revokeAt(undefined, { revocationEndpoint: away })).toMatchObject({
      outcome: 'failed',
      error: { reason: 'metadata_unavailable' },
    })
    for (const [provider, reason] of [
      [away, 'provider_unavailable'],
      [async () => undefined, 'provider_unknown'],
    ] as const) {
      const revoke = tokenRevocation({ provider, emit: () => {}, clock: () => Date.now() / 1000 })
      const result = await revoke({ issuer: 'https://op.example.com', clientId: CLIENT_ID, refreshToken: 'r-secret' })
      expect(result).toMatchObject({ outcome: 'failed', error: { reason } })
      expect(`${result.error?.cause}`).not.toContain('hostile')
    }
  })
})

function endless(_req: IncomingMessage, res: ServerResponse): void {
  res.writeHead(400, { 'content-type': 'application/json' })
  const more = () => {
    while (res.write('hostile '.repeat(4096)));
  }
  res.on('drain', more)
  more()
}

describe('at a real OP', () => {
  it('oidc-provider: on the landing page, not before, its refresh token is refused', async () => {
    const { server, issuer, close } = await listen()
    closing.push(close)
    const provider = await createProvider(issuer, {
      features: {
        revocation: { enabled: true, allowedPolicy: async (_ctx, client, token) => token.clientId === client.clientId },
      },
      ttl: { Session: 3600, Grant: 3600, Interaction: 600, AccessToken: 600, IdToken: 600, RefreshToken: 3600 },
      scopes: ['openid', 'offline_access'],
      clients: [
        {
          client_id: CLIENT_ID,
          client_secret: CLIENT_SECRET,
          grant_types: ['authorization_code', 'refresh_token'],
          redirect_uris: ['https://app.example.com/callback'],
        },
      ],
      loadExistingGrant: async ({ oidc }) => {
        const { client, account } = oidc
        if (!client || !account) return undefined
        const grant = new oidc.provider.Grant({ clientId: client.clientId, accountId: account.accountId })
        grant.addOIDCScope('openid offline_access')
        await grant.save()
        return grant
      },
    })
    const protocol = provider.callback()
    server.on('request', (req, res) => {
      if (!req.url?.startsWith('/interaction/')) return void protocol(req, res)
      provider.interactionFinished(req, res, { login: { accountId: 'ada' }, consent: {} }).catch(() => res.destroy())
    })
    const { refresh_token: first, id_token: idToken } = await tokensOf(issuer)
    const { rpInitiated, claims, comeBack } = rpAt(issuer)
    const record = await rpInitiated.record(claims, idToken, undefined, { refreshToken: first })
    const { cookies, url } = await rpInitiated.start(record, { to: 'logged-out' })
    expect((await refresh(issuer, first)).status).toBe(200)
    expect(await comeBack(cookies, url).revocation).toMatchObject({ outcome: 'revoked' })
    const answer = await refresh(issuer, first)
    expect(answer.status).toBe(400)
    expect(await answer.json()).toMatchObject({ error: 'invalid_grant' })
  })
})

// How a provider is asked whether a session still stands, and which of its answers ends one.
import { decodeJwt, generateKeyPair, SignJWT } from 'jose'
import { PrivateKeyJwt } from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import { byIntrospection, byRefreshToken, byUserInfo } from '../../src/index.js'

describe('questions', () => {
  const OPTIONS = { issuer: 'https://op.example.com', clientId: 'rp', clientSecret: 'secret' }
  const TOKENS = { refreshToken: 'refresh', accessToken: 'access', sub: 'ada' }
  const answering = (status: number, body: unknown, headers: Record<string, string> = {}) => {
    const sent: { url: string; init: { redirect: string } }[] = []
    const fetch = async (url: string, init: { redirect: string }) => {
      sent.push({ url, init })
      return new Response(typeof body === 'string' ? body : JSON.stringify(body), {
        status,
        headers: { 'Content-Type': 'application/json', ...headers },
      })
    }
    return { sent, fetch }
  }
  const KINDS = {
    refresh: byRefreshToken,
    introspection: byIntrospection,
    userinfo: byUserInfo,
  } as const
  const ask = (kind: keyof typeof KINDS, fetch: NonNullable<Parameters<typeof byUserInfo>[0]['fetch']>) =>
    KINDS[kind]({ ...OPTIONS, endpoint: `https://op.example.com/${kind}`, fetch })(TOKENS, AbortSignal.timeout(1000))

  it.each([
    ['refresh', 200, { access_token: 'a', token_type: 'bearer' }, 'live'],
    ['refresh', 400, { error: 'invalid_grant' }, 'ended'],
    ['refresh', 400, { error: 'invalid_request' }, 'away'],
    ['refresh', 401, { error: 'invalid_client' }, 'away'],
    ['refresh', 401, { error: 'invalid_grant' }, 'ended'],
    ['refresh', 403, { error: 'invalid_grant' }, 'ended'],
    ['refresh', 500, { error: 'invalid_grant' }, 'away'],
    ['refresh', 200, '<html>', 'away'],
    ['refresh', 302, '', 'away'],
    ['introspection', 200, { active: true }, 'live'],
    ['introspection', 200, { active: false }, 'ended'],
    ['introspection', 200, { active: 'no' }, 'away'],
    ['introspection', 401, { error: 'invalid_client' }, 'away'],
    ['introspection', 503, '', 'away'],
    ['userinfo', 200, { sub: 'ada' }, 'live'],
    ['userinfo', 200, { sub: 'eve' }, 'ended'],
    ['userinfo', 401, '', 'ended'],
    ['userinfo', 403, '', 'away'],
    ['userinfo', 500, '', 'away'],
  ] as const)('%s %s %j: %s', async (kind, status, body, found) => {
    const { fetch, sent } = answering(status, body)
    expect(await ask(kind, fetch)).toMatchObject({ found })
    expect(sent).toHaveLength(1)
    expect(sent[0]?.init.redirect).toBe('manual')
  })

  it.each([
    ['refresh', 400, { error: 'invalid_scope' }, {}],
    ['refresh', 403, { error: 'access_denied' }, {}],
    ['refresh', 400, { error: 'interaction_required' }, {}],
    ['refresh', 400, { error: 'login_required' }, {}],
    ['introspection', 400, { error: 'invalid_request' }, {}],
    ['introspection', 401, { error: 'invalid_token' }, {}],
    ['userinfo', 403, '', { 'WWW-Authenticate': 'Bearer realm="op", error="insufficient_scope"' }],
  ] as const)('%s %s %j: the provider answered, of this session alone', async (kind, status, body, headers) => {
    expect(await ask(kind, answering(status, body, headers).fetch)).toMatchObject({ found: 'away', answered: true })
  })

  it.each([
    ['refresh', 401, { error: 'invalid_client' }, {}],
    ['refresh', 400, { error: 'unauthorized_client' }, {}],
    ['refresh', 400, { error: 'unsupported_grant_type' }, {}],
    ['refresh', 400, { error: 'server_error' }, {}],
    ['refresh', 400, { error: 'temporarily_unavailable' }, {}],
    // A gateway in front of it: the provider itself was not asked.
    ['refresh', 404, { error: 'Not Found' }, {}],
    ['introspection', 403, { error: 'forbidden' }, {}],
    ['userinfo', 403, '', { 'WWW-Authenticate': 'Bearer error="blocked"' }],
    ['refresh', 400, { error: 'invalid_scope' }, { 'Retry-After': '10' }],
    ['refresh', 408, { error: 'invalid_scope' }, {}],
    ['refresh', 425, { error: 'invalid_scope' }, {}],
    ['refresh', 429, { error: 'invalid_grant' }, {}],
    ['refresh', 403, '<html>', {}],
    ['refresh', 500, { error: 'invalid_scope' }, {}],
    ['introspection', 200, { active: 'no' }, {}],
    ['userinfo', 403, '', {}],
  ] as const)('%s %s %j: no word of this session alone', async (kind, status, body, headers) => {
    const finding = await ask(kind, answering(status, body, headers).fetch)
    expect(finding).toMatchObject({ found: 'away' })
    expect(finding).not.toHaveProperty('answered')
  })

  it.each([
    ['refresh', 401, { error: 'invalid_client' }, {}],
    ['refresh', 400, { error: 'unauthorized_client' }, {}],
    ['refresh', 400, { error: 'unsupported_grant_type' }, {}],
    ['introspection', 401, '', { 'WWW-Authenticate': 'Basic realm="op", error="invalid_client"' }],
  ] as const)('%s %s %j: the provider refuses this client', async (kind, status, body, headers) => {
    const finding = await ask(kind, answering(status, body, headers).fetch)
    expect(finding).toMatchObject({ found: 'away', refusesClient: true })
  })

  it.each(Object.keys(KINDS) as (keyof typeof KINDS)[])('%s: 429 is no end, and its time is heard', async (kind) => {
    const { fetch } = answering(429, '', { 'Retry-After': '30' })
    expect(await ask(kind, fetch)).toMatchObject({ found: 'away', retryAfterSeconds: 30 })
  })

  it.each(Object.keys(KINDS) as (keyof typeof KINDS)[])('%s: a time by date is reckoned by the clock', async (kind) => {
    const { fetch } = answering(429, '', { 'Retry-After': 'Sat, 01 Jan 2000 00:01:00 GMT' })
    const clock = () => Date.UTC(2000, 0, 1) / 1000
    const question = KINDS[kind]({ ...OPTIONS, endpoint: 'https://op.example.com/', fetch, clock })
    const finding = await question(TOKENS, AbortSignal.timeout(1000))
    expect(finding).toMatchObject({ found: 'away', retryAfterSeconds: 60 })
  })

  it.each([-3600, 0, 3600])(
    'by refresh token go by their clock, by which the machine is %i s off: ID Token and client assertion',
    async (off) => {
      const clock = () => Date.now() / 1000 - off
      const { privateKey } = await generateKeyPair('ES256')
      const assertions: string[] = []
      const fetch = async (_url: string, { body }: { body?: unknown }) => {
        assertions.push(new URLSearchParams(String(body)).get('client_assertion') ?? '')
        const idToken = await new SignJWT({ sub: 'ada', iat: Math.floor(clock()), exp: Math.floor(clock()) + 300 })
          .setProtectedHeader({ alg: 'RS256' })
          .setIssuer(OPTIONS.issuer)
          .setAudience(OPTIONS.clientId)
          .sign((await generateKeyPair('RS256')).privateKey)
        return Response.json({ access_token: 'a', token_type: 'bearer', id_token: idToken })
      }
      const { clientSecret: _, ...options } = OPTIONS
      const authenticate = PrivateKeyJwt(privateKey)
      const question = byRefreshToken({ ...options, endpoint: 'https://op.example.com/', authenticate, fetch, clock })
      expect(await question(TOKENS, AbortSignal.timeout(10_000))).toMatchObject({ found: 'live' })
      const { iat = 0, exp = 0 } = decodeJwt(assertions[0] ?? '')
      expect(Math.abs(iat - clock())).toBeLessThan(30)
      expect(exp).toBeGreaterThan(clock())
    },
  )

  it('by refresh token hand over the one that the provider changed it for', async () => {
    const { fetch } = answering(200, { access_token: 'a', token_type: 'bearer', refresh_token: 'next' })
    expect(await ask('refresh', fetch)).toEqual({ found: 'live', refreshToken: 'next', accessToken: 'a' })
  })

  it.each([
    ['no token_type', { token_type: undefined }],
    ['a token_type that nobody knows', { token_type: 'N_A' }],
    ['no scope but null', { scope: null }],
    ['a lifetime that is none', { expires_in: 'soon' }],
    ['no ID Token but null', { id_token: null }],
  ])('by refresh token keep what it was changed for, in an answer with %s', async (_, peculiar) => {
    const answer = { access_token: 'a', token_type: 'bearer', refresh_token: 'next', ...peculiar }
    expect(await ask('refresh', answering(200, answer).fetch)).toEqual({
      ...{ found: 'live', refreshToken: 'next', accessToken: 'a' },
    })
  })

  it('by refresh token keep the one at hand, in an answer with null for it', async () => {
    const { fetch } = answering(200, { access_token: 'a', token_type: 'bearer', refresh_token: null })
    expect(await ask('refresh', fetch)).toEqual({ found: 'live', refreshToken: 'refresh', accessToken: 'a' })
  })

  describe('by refresh token, where the ID Token cannot be used', () => {
    const idToken = (claims: object) =>
      [{ alg: 'RS256' }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.')
    const changed = (id_token: unknown) => ({
      access_token: 'a',
      token_type: 'bearer',
      refresh_token: 'next',
      id_token,
    })

    it('since it is encrypted: the answer counts as one without', async () => {
      const { fetch } = answering(200, changed('aaa.bbb.ccc.ddd.eee'))
      expect(await ask('refresh', fetch)).toEqual({ found: 'live', refreshToken: 'next', accessToken: 'a' })
    })

    it.each([
      ['no JWT', 'junk'],
      ['no text', 7],
      [
        'of another issuer',
        `${idToken({ iss: 'https://other.example.com', aud: 'rp', sub: 'ada', iat: 1, exp: 9e9 })}.c2ln`,
      ],
    ])('since it is %s: no answer, but the refresh token that came with it is kept', async (_, token) => {
      const { fetch } = answering(200, changed(token))
      const finding = await ask('refresh', fetch)
      expect(finding).toMatchObject({ found: 'away', refreshToken: 'next', mayBeSpent: false })
    })

    it('a fault elsewhere in the answer is no answer at all', async () => {
      const { fetch } = answering(200, { ...changed('junk'), access_token: 7 })
      const finding = await ask('refresh', fetch)
      expect(finding).toMatchObject({ found: 'away', mayBeSpent: true })
      expect(finding).not.toHaveProperty('refreshToken')
    })
  })

  it.each([
    [500, '', true],
    [200, '<html>', true],
    [429, '', false],
    [401, { error: 'invalid_client' }, false],
  ])('by refresh token, %s %j: the token may be spent: %s', async (status, body, mayBeSpent) => {
    expect(await ask('refresh', answering(status, body).fetch)).toMatchObject({ found: 'away', mayBeSpent })
  })

  it('by refresh token, where the connection is cut: the token may be spent', async () => {
    const cut = () => Promise.reject(new TypeError('fetch failed'))
    expect(await ask('refresh', cut)).toMatchObject({ found: 'away', mayBeSpent: true })
    expect(await ask('introspection', cut).catch(() => 'rejected')).toBe('rejected')
  })

  it.each(Object.keys(KINDS) as (keyof typeof KINDS)[])(
    '%s: of an answer without an end little is read',
    async (kind) => {
      for (const status of [200, 400]) {
        let read = 0
        let isGivenUp = false
        const body = new ReadableStream<Uint8Array>({
          start: (controller) => controller.enqueue(new TextEncoder().encode('{"active":true,"sub":"ada","x":"')),
          pull(controller) {
            read += 65_536
            controller.enqueue(new Uint8Array(65_536).fill(97))
          },
          cancel() {
            isGivenUp = true
          },
        })
        const fetch = async () => new Response(body, { status, headers: { 'Content-Type': 'application/json' } })
        expect(await ask(kind, fetch)).toMatchObject({ found: 'away' })
        await expect.poll(() => isGivenUp).toBe(true)
        expect(read).toBeLessThan(2_000_000)
      }
    },
  )

  it('without a token say nothing', async () => {
    const { fetch, sent } = answering(200, {})
    for (const kind of Object.values(KINDS)) {
      const question = kind({ ...OPTIONS, endpoint: 'https://op.example.com/', fetch })
      expect(await question({}, AbortSignal.timeout(1000))).toEqual({ found: 'away', asked: false })
    }
    expect(sent).toEqual([])
  })

  it('go to https, or to this machine', () => {
    for (const kind of Object.values(KINDS)) {
      expect(() => kind({ ...OPTIONS, endpoint: 'http://op.example.com/' })).toThrow(/endpoint/)
    }
  })
})

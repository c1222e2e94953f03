// The introspection client against the real oidc-provider, and against servers that misbehave in one way each.
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import Provider from 'oidc-provider'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClaims } from '../../src/access-tokens/index.js'
import { type IntrospectionOptions, introspectionClient } from '../../src/access-tokens/introspection.js'

const closers: (() => unknown)[] = []
afterAll(() => Promise.all(closers.map((close) => close())))

const clock = () => Date.now() / 1000
const SECRET = 'a secret with : and %'

async function listen(handler: RequestListener) {
  const server = createServer(handler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port }: AddressInfo = Object(server.address())
  return `http://127.0.0.1:${port}`
}

describe('against oidc-provider', () => {
  let issuer: string
  let provider: Provider
  let keys: Awaited<ReturnType<typeof generateKeyPair>>
  let introspections = 0

  beforeAll(async () => {
    keys = await generateKeyPair('ES256', { extractable: true })
    const signing = await generateKeyPair('RS256', { extractable: true })
    const clientKey = { ...(await exportJWK(keys.publicKey)), kid: 'api-key', use: 'sig', alg: 'ES256' }
    let listener: RequestListener = () => {}
    issuer = await listen((req, res) => {
      if (req.url?.startsWith('/token/introspection')) introspections += 1
      listener(req, res)
    })
    const api = { grant_types: [], redirect_uris: [], response_types: [] }
    provider = new Provider(issuer, {
      features: {
        introspection: { enabled: true, allowedPolicy: () => true },
        jwtIntrospection: { enabled: true },
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
      },
      clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      enabledJWA: { introspectionSigningAlgValues: ['RS256', 'ES256'] },
      jwks: { keys: [{ ...(await exportJWK(signing.privateKey)), kid: 'op-key', use: 'sig' }] },
      scopes: ['read'],
      clients: [
        { ...api, client_id: 'basic', client_secret: SECRET, token_endpoint_auth_method: 'client_secret_basic' },
        { ...api, client_id: 'post', client_secret: SECRET, token_endpoint_auth_method: 'client_secret_post' },
        {
          ...api,
          client_id: 'key',
          token_endpoint_auth_method: 'private_key_jwt',
          jwks: { keys: [clientKey] },
        },
        {
          ...api,
          client_id: 'signed',
          client_secret: SECRET,
          token_endpoint_auth_method: 'client_secret_basic',
          introspection_signed_response_alg: 'RS256',
        },
        { client_id: 'rp', client_secret: 's', redirect_uris: ['https://rp.example.com/cb'] },
      ],
    })
    listener = provider.callback()
  })

  /** An access token as the RP would have got it, without the login. */
  async function issued() {
    const client = await provider.Client.find('rp')
    if (client === undefined) throw new Error('no client')
    const grant = new provider.Grant({ accountId: 'alice', clientId: 'rp' })
    grant.addOIDCScope('openid read')
    const grantId = await grant.save()
    const token = new provider.AccessToken({
      accountId: 'alice',
      client,
      grantId,
      gty: 'authorization_code',
      scope: 'openid read',
      expiresIn: 600,
      ...{ sid: 'sid-of-alice' },
    })
    return { value: await token.save(), token }
  }

  const options = (more: Partial<IntrospectionOptions>): IntrospectionOptions => ({
    issuer,
    clientId: 'basic',
    clientAuthentication: { method: 'client_secret_basic', clientSecret: SECRET },
    dangerouslyAllowHttp: true,
    ...more,
  })

  const ways: Record<string, () => Partial<IntrospectionOptions>> = {
    client_secret_basic: () => ({}),
    client_secret_post: () => ({
      clientId: 'post',
      clientAuthentication: { method: 'client_secret_post', clientSecret: SECRET },
    }),
    private_key_jwt: () => ({
      clientId: 'key',
      clientAuthentication: { method: 'private_key_jwt', privateKey: keys.privateKey, keyId: 'api-key' },
    }),
    'a signed answer (RFC 9701)': () => ({ clientId: 'signed', signed: { algorithm: 'RS256' } }),
  }

  for (const [name, way] of Object.entries(ways)) {
    it(`gets answers with ${name}`, async () => {
      const introspect = introspectionClient(options(way()), clock)
      const { value, token } = await issued()
      expect(await introspect(value)).toMatchObject({
        active: true,
        sub: 'alice',
        sid: 'sid-of-alice',
        client_id: 'rp',
        iss: issuer,
      })
      await token.destroy()
      expect(await introspect(value)).toEqual({ active: false })
      expect(await introspect('invented')).toEqual({ active: false })
    })
  }

  it('needs no discovery where the endpoint is given', async () => {
    const introspect = introspectionClient(options({ introspectionEndpoint: `${issuer}/token/introspection` }), clock)
    expect(await introspect((await issued()).value)).toMatchObject({ active: true })
  })

  it('has no verdict where the server refuses the API as a client', async () => {
    const clientAuthentication = { method: 'client_secret_basic', clientSecret: 'wrong' } as const
    const claims = createClaims({ introspection: options({ clientAuthentication }) })
    const { value } = await issued()
    const lookup = claims.lookup(value)
    await expect(lookup).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'introspection_refused' })
    expect(claims.size).toMatchObject({ active: 0, inactive: 0 })
  })

  it('is asked once for a token that is used often, and the eviction is final although the server says active', async () => {
    const claims = createClaims({ introspection: options({}) })
    const { value } = await issued()
    const before = introspections
    for (let i = 0; i < 20; i++) expect((await claims.lookup(value)).active).toBe(true)
    expect(introspections - before).toBe(1)
    await claims.evictToken(value)
    expect(await claims.lookup(value)).toEqual({ active: false })
    expect(await introspectionClient(options({}), clock)(value)).toMatchObject({ active: true })
  })

  it('demands the exact issuer in the metadata', async () => {
    const introspect = introspectionClient(options({ issuer: `${issuer}/` }), clock)
    await expect(introspect('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT' })
  })
})

describe('a server that misbehaves', () => {
  const TOKEN = 'the-secret-token'
  const json =
    (body: unknown, status = 200, headers: Record<string, string> = {}): RequestListener =>
    (_req, res) => {
      res.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(body))
    }
  const good = { active: true, sub: 'the-secret-subject' }

  async function ask(handler: RequestListener, more: Partial<IntrospectionOptions> = {}) {
    const endpoint = await listen(handler)
    const introspect = introspectionClient(
      {
        issuer: endpoint,
        clientId: 'api',
        clientAuthentication: { method: 'client_secret_basic', clientSecret: SECRET },
        introspectionEndpoint: `${endpoint}/introspect`,
        dangerouslyAllowHttp: true,
        ...more,
      },
      clock,
    )
    return introspect(TOKEN).catch((error: unknown) => error)
  }

  it('is a server like any other as long as it does not', async () => {
    expect(await ask(json(good))).toEqual(good)
  })

  for (const [name, reason, handler] of [
    ['is broken', 'introspection_failed', json({ error: 'server_error' }, 500)],
    ['is overloaded', 'introspection_failed', json({ ...good, token: TOKEN }, 503)],
    ['says 401', 'introspection_refused', json({ error: 'invalid_client', error_description: TOKEN }, 401)],
    ['says 401 with a challenge', 'introspection_refused', json({}, 401, { 'WWW-Authenticate': 'Basic realm="x"' })],
    ['says 403', 'introspection_refused', json({ error: 'forbidden' }, 403)],
    ['says 400', 'introspection_refused', json({ error: 'invalid_request' }, 400)],
    ['redirects to a login page', 'introspection_failed', json(good, 302, { Location: '/login' })],
    ['says 204', 'introspection_failed', (_req, res) => void res.writeHead(204).end()],
    ['does not say whether the token is active', 'answer_malformed', json({ sub: 'the-secret-subject' })],
    ['says it in words', 'answer_malformed', json({ ...good, active: 'true' })],
    ['says it as an array', 'answer_malformed', json([good])],
    ['shows a page', 'answer_malformed', (_req, res) => void res.end('<html>the-secret-subject</html>')],
    [
      'sends half an answer',
      'answer_malformed',
      (_req, res) => void res.writeHead(200, { 'Content-Type': 'application/json' }).end('{"active":tr'),
    ],
    ['cuts the connection', 'introspection_failed', (req) => void req.socket.destroy()],
    ['never answers', 'introspection_late', () => {}],
    [
      'never ends its answer',
      'introspection_late',
      (_req, res) => void res.writeHead(200, { 'Content-Type': 'application/json' }).write('{"active":true'),
    ],
    [
      'signs an answer that was not to be signed',
      'answer_malformed',
      (_req, res) => void res.writeHead(200, { 'Content-Type': 'application/token-introspection+jwt' }).end('e30.e30.'),
    ],
  ] as const satisfies readonly (readonly [string, string, RequestListener])[]) {
    it(`gives no verdict where it ${name}, and nothing secret is said`, async () => {
      const outcome = await ask(handler, reason === 'introspection_late' ? { timeoutSeconds: 0.3 } : {})
      expect(outcome).toMatchObject({ code: 'ERR_NO_VERDICT', reason })
      expect(inspect(outcome, { depth: 20, showHidden: true })).not.toMatch(/the-secret|a secret/)
    })
  }

  it('gives no verdict where nobody listens', async () => {
    const outcome = await ask(json(good), { introspectionEndpoint: 'http://127.0.0.1:9/introspect' })
    expect(outcome).toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'introspection_failed' })
  })

  it('gives no verdict in time where the fetch of the options does not heed its signal', async () => {
    const outcome = await ask(json(good), { timeoutSeconds: 0.05, fetch: () => new Promise(() => {}) })
    expect(outcome).toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'introspection_late' })
  })

  it('is asked for its metadata again a second after it could not give them, and not at each token before', async () => {
    let now = clock()
    let calls = 0
    let issuer = ''
    const handler: RequestListener = (req, res) => {
      if (req.url !== '/.well-known/openid-configuration') return json(good)(req, res)
      calls += 1
      return calls === 1
        ? json({}, 500)(req, res)
        : json({ issuer, introspection_endpoint: `${issuer}/introspect` })(req, res)
    }
    issuer = await listen(handler)
    const introspect = introspectionClient(
      {
        issuer,
        clientId: 'api',
        clientAuthentication: { method: 'client_secret_post', clientSecret: SECRET },
        dangerouslyAllowHttp: true,
      },
      () => now,
    )
    for (let i = 0; i < 20; i++) {
      await expect(introspect(TOKEN)).rejects.toMatchObject({ reason: 'introspection_failed' })
    }
    expect(calls).toBe(1)
    now += 1
    expect(await introspect(TOKEN)).toEqual(good)
    expect(await introspect(TOKEN)).toEqual(good)
    expect(calls).toBe(2)
  })
})

describe('metadata', () => {
  const CLIENT = {
    clientId: 'api',
    clientAuthentication: { method: 'client_secret_post', clientSecret: SECRET },
    dangerouslyAllowHttp: true,
  } as const

  /** A server whose metadata and endpoints are changed by the test. */
  async function movable() {
    const state = { metadata: {}, at: '/introspect', fetched: 0 }
    const issuer = await listen((req, res) => {
      const isMetadata = req.url === '/.well-known/openid-configuration'
      if (isMetadata) state.fetched += 1
      const body = isMetadata ? { issuer, ...state.metadata } : { active: true }
      res.writeHead(isMetadata || req.url === state.at ? 200 : 404, { 'Content-Type': 'application/json' })
      res.end(JSON.stringify(body))
    })
    return { issuer, state }
  }

  it('without an introspection endpoint are not kept for the life of the process', async () => {
    const { issuer, state } = await movable()
    let now = clock()
    const introspect = introspectionClient({ issuer, ...CLIENT }, () => now)
    await expect(introspect('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'metadata_incomplete' })
    now += 1
    state.metadata = { introspection_endpoint: `${issuer}/introspect` }
    expect(await introspect('token')).toEqual({ active: true })
  })

  it('without keys are not kept where signed answers are demanded', async () => {
    const { issuer, state } = await movable()
    state.metadata = { introspection_endpoint: `${issuer}/introspect` }
    let now = clock()
    const introspect = introspectionClient({ issuer, ...CLIENT, signed: { algorithm: 'RS256' } }, () => now)
    for (const fetched of [1, 2]) {
      await expect(introspect('token')).rejects.toMatchObject({ reason: 'metadata_incomplete' })
      expect(state.fetched).toBe(fetched)
      now += 2
    }
  })

  it('are fetched anew when an endpoint has moved, but not at each question that fails', async () => {
    let now = 1_800_000_000
    const { issuer, state } = await movable()
    state.metadata = { introspection_endpoint: `${issuer}/introspect` }
    const introspect = introspectionClient({ issuer, ...CLIENT }, () => now)
    expect(await introspect('token')).toEqual({ active: true })
    state.at = '/v2/introspect'
    state.metadata = { introspection_endpoint: `${issuer}/v2/introspect` }
    for (const [seconds, fetched] of [
      [1, 1],
      [58, 1],
      [1, 2],
    ] as const) {
      now += seconds
      await expect(introspect('token')).rejects.toMatchObject({ reason: 'introspection_failed' })
      expect(state.fetched).toBe(fetched)
    }
    expect(await introspect('token')).toEqual({ active: true })
    expect(state.fetched).toBe(2)
  })

  describe('that name plain http on loopback', () => {
    const issuer = 'https://op.example.com'
    const unsafe = 'http://127.0.0.1:8080'

    /** The outcome of one question, and which URLs were sent to beside the metadata. */
    async function asked(metadata: object, options: Partial<IntrospectionOptions> = {}) {
      const sent: string[] = []
      const introspect = introspectionClient(
        {
          issuer,
          clientId: 'api',
          clientAuthentication: { method: 'client_secret_post', clientSecret: SECRET },
          fetch: async (url) => {
            if (url.includes('.well-known')) return Response.json({ issuer, ...metadata })
            sent.push(url)
            return Response.json({ active: true })
          },
          ...options,
        },
        clock,
      )
      const outcome = await introspect('token').catch(({ reason }) => reason)
      return { outcome, sent }
    }

    it('get no secret of an https issuer, unless that was allowed', async () => {
      const metadata = { introspection_endpoint: `${unsafe}/introspect` }
      expect(await asked(metadata)).toEqual({ outcome: 'metadata_incomplete', sent: [] })
      const allowed = await asked(metadata, { dangerouslyAllowHttp: true })
      expect(allowed).toEqual({ outcome: { active: true }, sent: [`${unsafe}/introspect`] })
    })

    it('are no alias for a client certificate either', async () => {
      const metadata = {
        introspection_endpoint: `${issuer}/introspect`,
        mtls_endpoint_aliases: { introspection_endpoint: `${unsafe}/introspect` },
      }
      const byCertificate = await asked(metadata, { clientAuthentication: { method: 'tls_client_auth' } })
      expect(byCertificate).toEqual({ outcome: { active: true }, sent: [`${issuer}/introspect`] })
    })

    it('are no place for keys, where those are needed', async () => {
      const metadata = { introspection_endpoint: `${issuer}/introspect`, jwks_uri: `${unsafe}/jwks` }
      const signed = await asked(metadata, { signed: { algorithm: 'RS256' } })
      expect(signed).toEqual({ outcome: 'metadata_incomplete', sent: [] })
      expect(await asked(metadata)).toEqual({ outcome: { active: true }, sent: [`${issuer}/introspect`] })
    })

    it('are asked where the option says so', async () => {
      const introspectionEndpoint = `${unsafe}/introspect`
      expect(await asked({}, { introspectionEndpoint })).toEqual({
        outcome: { active: true },
        sent: [introspectionEndpoint],
      })
    })
  })

  it('are fetched anew after that time, though the clock of the machine was put back', async () => {
    onTestFinished(() => void vi.useRealTimers())
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    const issuer = 'https://op.example.com'
    const [began, state] = [Date.now(), { at: '/introspect', fetched: 0 }]
    const { dangerouslyAllowHttp: _, ...client } = CLIENT
    const claims = createClaims({
      introspection: {
        issuer,
        ...client,
        fetch: async (url) => {
          if (url.includes('.well-known')) {
            state.fetched += 1
            return Response.json({ issuer, introspection_endpoint: issuer + state.at })
          }
          return url === issuer + state.at ? Response.json({ active: false }) : new Response(null, { status: 404 })
        },
      },
    })
    expect(await claims.lookup('token')).toEqual({ active: false })
    state.at = '/v2/introspect'
    vi.advanceTimersByTime(60_000)
    vi.setSystemTime(began + 30_000)
    await expect(claims.lookup('another')).rejects.toMatchObject({ reason: 'introspection_failed' })
    expect(await claims.lookup('another')).toEqual({ active: false })
    expect(state.fetched).toBe(2)
  })

  it('are kept while they cannot be fetched anew, and keep no question waiting', async () => {
    const issuer = 'https://op.example.com'
    let now = 1_800_000_000
    const asked = { isMetadataUp: true, fetched: 0 }
    const introspect = introspectionClient(
      {
        issuer,
        ...CLIENT,
        timeoutSeconds: 0.2,
        fetch: async (url, { body }) => {
          if (!url.includes('.well-known')) {
            return String(body).includes('junk') ? new Response(null, { status: 500 }) : Response.json({ active: true })
          }
          asked.fetched += 1
          if (!asked.isMetadataUp) return new Promise(() => {})
          return Response.json({ issuer, introspection_endpoint: `${issuer}/introspect` })
        },
      },
      () => now,
    )
    expect(await introspect('token')).toEqual({ active: true })
    asked.isMetadataUp = false
    now += 60
    const failing = expect(introspect('junk')).rejects.toMatchObject({ reason: 'introspection_failed' })
    expect(await introspect('token')).toEqual({ active: true })
    await failing
    asked.isMetadataUp = true
    // They are asked for again beside the questions that follow.
    await vi.waitFor(async () => {
      now += 10
      expect(await introspect('token')).toEqual({ active: true })
      expect(asked.fetched).toBe(3)
    })
  })

  it('name where to ask by client certificate, and the fetch of the options sends it', async () => {
    const sent: { url: string; body: string; authorization: string | null }[] = []
    const issuer = 'https://op.example.com'
    const introspect = introspectionClient(
      {
        issuer,
        clientId: 'api',
        clientAuthentication: { method: 'tls_client_auth' },
        resource: ['https://api.example.com/a', 'https://api.example.com/b'],
        fetch: async (url, { body, headers }) => {
          sent.push({ url, body: String(body), authorization: new Headers(headers).get('authorization') })
          const mtls = { introspection_endpoint: 'https://mtls.op.example.com/introspect' }
          const metadata = { issuer, introspection_endpoint: `${issuer}/introspect`, mtls_endpoint_aliases: mtls }
          return Response.json(url.includes('.well-known') ? metadata : { active: true })
        },
      },
      clock,
    )
    expect(await introspect('token')).toEqual({ active: true })
    expect(sent[1]?.url).toBe('https://mtls.op.example.com/introspect')
    expect(sent[1]?.authorization).toBeNull()
    const form = new URLSearchParams(sent[1]?.body)
    expect(Object.fromEntries(form)).toMatchObject({ token: 'token', client_id: 'api' })
    expect(form.getAll('resource')).toEqual(['https://api.example.com/a', 'https://api.example.com/b'])
  })
})

describe('Keycloak, which calls tokens inactive that do not name the asking client', () => {
  const issuer = 'https://sso.example.com/realms/demo'
  const told = async (claims: JWTPayload, times = 1) => {
    const warnings: unknown[] = []
    const introspect = introspectionClient(
      {
        issuer,
        clientId: 'api',
        clientAuthentication: { method: 'client_secret_basic', clientSecret: SECRET },
        introspectionEndpoint: `${issuer}/introspect`,
        fetch: async () => Response.json({ active: false }),
      },
      clock,
      (warning) => void warnings.push(warning),
    )
    const payload = {
      iss: issuer,
      typ: 'Bearer',
      azp: 'rp',
      aud: 'account',
      exp: clock() + 60,
      sub: 'alice',
      ...claims,
    }
    const segment = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url')
    const token = `${segment({ alg: 'RS256' })}.${segment(payload)}.c2ln`
    for (let i = 0; i < times; i++) expect(await introspect(token)).toEqual({ active: false })
    return warnings
  }

  it('is found out and said once, with the remedy', async () => {
    const warnings = await told({}, 3)
    expect(warnings).toMatchObject([{ reason: 'audience_missing', claim: 'aud' }])
    expect(String(warnings[0])).toMatch(/audience mapper/)
    expect(String(warnings[0])).not.toMatch(/alice/)
  })

  for (const [name, claims] of Object.entries({
    'names this API': { aud: ['account', 'api'] },
    'has expired': { exp: 1 },
    'is of another issuer': { iss: 'https://other.example.com' },
    'is not Keycloak’s': { typ: undefined },
  })) {
    it(`is not suspected where the token ${name}`, async () => {
      expect(await told(claims)).toEqual([])
    })
  }
})

describe('a signed answer (RFC 9701)', () => {
  interface Answer {
    readonly claims?: JWTPayload
    readonly header?: Record<string, unknown>
    readonly foreign?: boolean
    readonly type?: string
    readonly body?: string
    readonly unasked?: boolean
  }

  /** A valid signed answer with one change. */
  async function signedAnswer({ claims, header, foreign, type, body, unasked }: Answer) {
    const own = await generateKeyPair('RS256', { extractable: true })
    const other = await generateKeyPair('RS256', { extractable: true })
    const jwk = { ...(await exportJWK(own.publicKey)), kid: 'k', use: 'sig' }
    let issuer = ''
    issuer = await listen(async (req, res) => {
      if (req.url === '/.well-known/openid-configuration') {
        const metadata = { issuer, introspection_endpoint: `${issuer}/introspect`, jwks_uri: `${issuer}/jwks` }
        res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(metadata))
        return
      }
      if (req.url === '/jwks') {
        res.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ keys: [jwk] }))
        return
      }
      const payload = {
        iss: issuer,
        aud: 'api',
        iat: Math.floor(clock()),
        token_introspection: { active: true, sub: 'alice' },
        ...claims,
      }
      const jwt = await new SignJWT(payload)
        .setProtectedHeader({ alg: 'RS256', kid: 'k', typ: 'token-introspection+jwt', ...header })
        .sign(foreign ? other.privateKey : own.privateKey)
      res.writeHead(200, { 'Content-Type': type ?? 'application/token-introspection+jwt' }).end(body ?? jwt)
    })
    return introspectionClient(
      {
        issuer,
        clientId: 'api',
        clientAuthentication: { method: 'client_secret_basic', clientSecret: SECRET },
        ...(!unasked && {
          introspectionEndpoint: `${issuer}/introspect`,
          signed: { algorithm: 'RS256', jwksUri: `${issuer}/jwks` },
        }),
        dangerouslyAllowHttp: true,
      },
      clock,
    )('token')
  }

  it('is believed if it is valid', async () => {
    expect(await signedAnswer({})).toEqual({ active: true, sub: 'alice' })
  })

  it('is believed also where nobody asked for a signature, by its content type', async () => {
    expect(await signedAnswer({ unasked: true })).toEqual({ active: true, sub: 'alice' })
  })

  for (const [name, change] of Object.entries({
    'signed by somebody else': { foreign: true },
    'signed by somebody else, and nobody asked for a signature': { foreign: true, unasked: true },
    'for another API': { claims: { aud: 'other' } },
    'of another issuer': { claims: { iss: 'https://other.example.com' } },
    'of another type': { header: { typ: 'JWT' } },
    'without an answer in it': { claims: { token_introspection: 'active' } },
    'not signed at all': { type: 'application/json', body: JSON.stringify({ active: true, sub: 'alice' }) },
  } satisfies Record<string, Answer>)) {
    it(`is no verdict if it is ${name}`, async () => {
      await expect(signedAnswer(change)).rejects.toMatchObject({ code: 'ERR_NO_VERDICT' })
    })
  }
})

describe('options', () => {
  const good: IntrospectionOptions = {
    issuer: 'https://op.example.com',
    clientId: 'api',
    clientAuthentication: { method: 'client_secret_basic', clientSecret: 's' },
  }
  for (const [option, bad] of [
    ['issuer', { issuer: 'http://op.example.com' }],
    ['issuer', { issuer: 'op' }],
    ['clientId', { clientId: '' }],
    ['introspectionEndpoint', { introspectionEndpoint: 'http://op.example.com/introspect' }],
    ['algorithm', { signed: { algorithm: 'none' } }],
    ['algorithm', { signed: { algorithm: 'HS256' } }],
    ['jwksUri', { signed: { algorithm: 'RS256', jwksUri: 'http://op.example.com/jwks' } }],
    ['timeoutSeconds', { timeoutSeconds: 0 }],
    ['method', { clientAuthentication: { method: 'none' } }],
    ['fetch', { clientAuthentication: { method: 'tls_client_auth' } }],
    ['resource', { resource: 'orders' }],
  ] as const) {
    it(`are refused at start-up by name: ${option} in ${JSON.stringify(bad)}`, () => {
      const options: IntrospectionOptions = Object.assign({}, good, bad)
      expect(() => introspectionClient(options, clock)).toThrow(TypeError)
      expect(() => introspectionClient(options, clock)).toThrow(option)
    })
  }
})

// Refresh tokens of sessions that the provider ended: when they are revoked, what may fail, and what is left when a
// process dies. Which of them are revoked is the table of docs/logout.md, tried in test/docs.
import session from 'express-session'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout } from '../../src/backchannel-logout.js'
import type { LogoutEvent } from '../../src/events.js'
import { DEBTS } from '../../src/outbound/debt.js'
import type { EndSessionOptions, EndSessionRecord } from '../../src/outbound/end-session.js'
import { OwedRevocations, type OwedRevocationsOptions } from '../../src/outbound/owed-revocations.js'
import { notRevoked, type TokensRevoked, type TokensToRevoke } from '../../src/outbound/revoke-tokens.js'
import { logoutPolicy } from '../../src/providers/logout-policy.js'
import type { ProviderOptions } from '../../src/providers/provider-options.js'
import { expressSessions } from '../../src/sessions/express-session.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { StoreClock } from '../../src/stores/store-clock.js'
import { createTokenMint } from '../../src/testing/index.js'
import { type LogoutStoreServer, SHARED_STORES } from '../servers/logout-stores.js'

const CLIENT = { issuer: 'https://op.example.com', clientId: 'rp' }
const SECRET = 'a secret of more than thirty-two characters'
const REDIRECT_URIS = { 'logged-out': 'https://app.example.com/logged-out' }
const REVOKE = 'https://op.example.com/revoke'
const mint = await createTokenMint(CLIENT)

/** What comes in the background comes when it comes; a second of `vi.waitFor` is short on a busy machine. */
const PATIENCE = { timeout: 60_000 }

const closing: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

interface About {
  readonly rows?: session.Store
  readonly store?: LogoutStore
  readonly options?: Partial<EndSessionOptions>
  readonly provider?: Partial<ProviderOptions>
  /** The provider is looked up, and before that this is waited for. */
  readonly lookUp?: () => Promise<void>
  /** What the revocation endpoint answers. */
  readonly answer?: () => Promise<Response>
}

/** An RP whose provider is a function: nothing leaves this process, and each request is seen. */
function rpWith({ rows = new session.MemoryStore(), store = memoryStore(), answer, ...about }: About = {}) {
  const events: LogoutEvent[] = []
  const asked: string[] = []
  const revoked: (string | null)[] = []
  const fetch = async (url: string, init: { readonly body?: unknown } = {}) => {
    asked.push(url)
    if (url !== REVOKE) return Response.json({ issuer: CLIENT.issuer, revocation_endpoint: REVOKE })
    const answered = (await answer?.()) ?? new Response()
    revoked.push(new URLSearchParams(String(init.body)).get('token'))
    return answered
  }
  const provider: ProviderOptions = {
    ...CLIENT,
    jwks: mint.jwks,
    clientAuthentication: { method: 'client_secret_basic', clientSecret: 'a client secret' },
    fetch: fetch as ProviderOptions['fetch'],
    ...about.provider,
  }
  const { lookUp } = about
  const logout = createBackchannelLogout<{ readonly sessionId: string }>({
    provider: lookUp === undefined ? provider : () => lookUp().then(() => provider),
    store,
    sessions: expressSessions(rows),
    onEvent: (event) => events.push(event),
    // Less than a step may take: a row that hangs must not be waited for so long.
    answerDeadlineSeconds: 4,
  })
  closing.push(() => logout.close())
  const rpInitiated = logout.rpInitiatedLogout({
    redirectUris: REDIRECT_URIS,
    secret: SECRET,
    recordIn: (row) => row.logout,
    revokeAfterSeconds: 0,
    ...about.options,
  })
  const signIn = async (sessionId: string, sid: string, refreshToken: string, change: object = {}) => {
    const claims = { iss: CLIENT.issuer, aud: CLIENT.clientId, sub: 'ada', sid, iat: Math.floor(Date.now() / 1000) }
    await logout.bind({ sessionId }, claims)
    const record = await rpInitiated.record(claims, 'an ID Token', undefined, { refreshToken })
    await put(rows, sessionId, { cookie: {}, logout: { ...record, ...change } })
  }
  const receive = async (sid: string) => {
    const body = new URLSearchParams({ logout_token: await mint.logoutToken({ payload: { sub: 'ada', sid } }) })
    return (await logout.fetch(new Request('https://app.example.com/logout', { method: 'POST', body }))).status
  }
  const typesOf = () => events.map(({ type }) => type)
  return { logout, rpInitiated, rows, store, events, asked, revoked, signIn, receive, typesOf }
}

const put = (rows: session.Store, id: string, row: object) =>
  new Promise<void>((done, failed) => {
    rows.set(id, row as session.SessionData, (error) => (error ? failed(error) : done()))
  })

describe('a received Logout Token', () => {
  it('is answered first; then the refresh token is revoked, and nothing else is asked of the provider', async () => {
    let answered = () => {}
    const hangs = new Promise<Response>((resolve) => {
      answered = () => resolve(new Response())
    })
    const rp = rpWith({ answer: () => hangs })
    await rp.signIn('one', 'laptop', 'refresh token of one')
    await rp.signIn('two', 'phone', 'refresh token of two')
    // The provider does not answer its own revocation until the logout has its answer.
    expect(await rp.receive('laptop')).toBe(200)
    answered()
    await vi.waitFor(() => expect(rp.typesOf()).toContain('tokens-revoked'), PATIENCE)
    expect(rp.revoked).toEqual(['refresh token of one'])
    expect(rp.typesOf().filter((type) => /^(?:logout|answer|tokens-revoked)$/.test(type))).toEqual([
      'logout',
      'answer',
      'tokens-revoked',
    ])
    expect(new Set(rp.asked)).toEqual(new Set([`${CLIENT.issuer}/.well-known/openid-configuration`, REVOKE]))
    expect(JSON.stringify(rp.events)).not.toContain('refresh token of')
  })

  it('revokes the token of the last refresh, also where that brought no ID Token and so no claims', async () => {
    const rp = rpWith()
    await rp.signIn('one', 'laptop', 'refresh token of the login')
    const row = () => new Promise<object>((done) => rp.rows.get('one', (_error, found) => done(found ?? {})))
    const { logout: before } = (await row()) as { logout: EndSessionRecord }
    const tokens = { refreshToken: 'refresh token of the refresh', scope: 'openid' }
    const after = await rp.rpInitiated.record(undefined, undefined, before, tokens)
    expect(after).toEqual({ ...before, refreshToken: expect.any(String), offlineAccess: false })
    await put(rp.rows, 'one', { cookie: {}, logout: after })
    expect(await rp.receive('laptop')).toBe(200)
    await vi.waitFor(() => expect(rp.typesOf()).toContain('tokens-revoked'), PATIENCE)
    expect(rp.revoked).toEqual(['refresh token of the refresh'])
  })

  it('is complete whatever becomes of the token', async () => {
    const rp = rpWith({ answer: async () => Response.json({ error: 'invalid_client' }, { status: 401 }) })
    await rp.signIn('one', 'laptop', 'refresh token of one')
    expect(await rp.receive('laptop')).toBe(200)
    await vi.waitFor(() => expect(rp.typesOf()).toContain('tokens-revoked'), PATIENCE)
    expect(rp.events).toContainEqual(expect.objectContaining({ type: 'logout', found: 1, destroyed: 1 }))
    expect(rp.events).toContainEqual(expect.objectContaining({ type: 'tokens-revoked', outcome: 'failed' }))
    expect(rp.typesOf()).not.toContain('logout-failed')
  })

  it('is complete and in time where a row cannot be read, or only after long', async () => {
    for (const hangs of [true, false]) {
      const rows = new session.MemoryStore()
      const rp = rpWith({ rows })
      await rp.signIn('one', 'laptop', 'refresh token of one')
      const broken = new session.MemoryStore()
      broken.get = (_id, callback) => hangs || callback(new Error('the row cannot be read'))
      const other = rpWith({ rows: broken, store: rp.store })
      expect(await other.receive('laptop')).toBe(200)
      expect(other.events).toContainEqual(expect.objectContaining({ type: 'logout', found: 1, destroyed: 1 }))
      expect(other.revoked).toEqual([])
    }
  })

  it('finds the record also by a recordIn that gives a promise', async () => {
    const rp = rpWith({ options: { recordIn: async (row) => row.logout } })
    await rp.signIn('one', 'laptop', 'refresh token of one')
    expect(await rp.receive('laptop')).toBe(200)
    await vi.waitFor(() => expect(rp.revoked).toEqual(['refresh token of one']), PATIENCE)
  })

  it('tried twice, since a row could not be destroyed at once, revokes once', async () => {
    const rows = new session.MemoryStore()
    const destroy = rows.destroy.bind(rows)
    let failures = 1
    rows.destroy = (id, callback) =>
      failures-- > 0 ? callback?.(new Error('the row cannot be destroyed')) : destroy(id, callback)
    let answer = () => {}
    const answered = new Promise<Response>((resolve) => {
      answer = () => resolve(new Response())
    })
    const rp = rpWith({ rows, answer: () => answered })
    await rp.signIn('one', 'laptop', 'refresh token of one')
    expect(await rp.receive('laptop')).toBe(400)
    expect(await rp.receive('laptop')).toBe(200)
    await rp.signIn('two', 'phone', 'refresh token of two')
    expect(await rp.receive('phone')).toBe(200)
    answer()
    await vi.waitFor(() => expect(rp.revoked).toContain('refresh token of two'), PATIENCE)
    expect(rp.revoked).toEqual(['refresh token of one', 'refresh token of two'])
  })

  it.each<[string, object]>([
    ['is of another issuer', { issuer: 'https://other.example.com' }],
    ['is of another client', { clientId: 'other' }],
    ['was sealed by somebody else', { refreshToken: 'A'.repeat(80) }],
    ['was sealed for another issuer', { issuer: 'https://op.example.com', clientId: 'rp', refreshToken: 'sealed' }],
    ['is no text', { refreshToken: { token: 1 } }],
  ])('revokes no token whose record %s', async (_what, change) => {
    const rp = rpWith()
    await rp.signIn('one', 'laptop', 'refresh token of one', change)
    expect(await rp.receive('laptop')).toBe(200)
    await rp.signIn('two', 'phone', 'refresh token of two')
    expect(await rp.receive('phone')).toBe(200)
    await vi.waitFor(() => expect(rp.revoked).toEqual(['refresh token of two']), PATIENCE)
  })

  it('revokes nothing where recordIn throws or finds nothing, or where nobody says where records are', async () => {
    const throws = () => {
      throw new Error('no such row')
    }
    for (const recordIn of [throws, () => undefined, () => 'a text', undefined]) {
      const rp = rpWith({ options: { recordIn } })
      await rp.signIn('one', 'laptop', 'refresh token of one')
      expect(await rp.receive('laptop')).toBe(200)
      expect(await rp.store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] })
      expect(rp.revoked).toEqual([])
    }
  })
})

describe('by the policy of the provider', () => {
  it('kept: none is looked at', async () => {
    const rows = new session.MemoryStore()
    const rp = rpWith({ rows, provider: { policy: { logoutToken: { refreshTokens: 'kept' } } } })
    await rp.signIn('one', 'laptop', 'refresh token of one')
    const reads = vi.spyOn(rows, 'get')
    expect(await rp.receive('laptop')).toBe(200)
    expect(reads).not.toHaveBeenCalled()
    expect(await rp.store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] })
  })

  it('of a Logout Token it is known with the token, and not looked up once more', async () => {
    let isAway = false
    const store = memoryStore()
    const begin = store.begin.bind(store)
    store.begin = (logout) => {
      isAway = true
      return begin(logout)
    }
    const lookUp = async () => (isAway ? Promise.reject(new Error('away')) : undefined)
    const rp = rpWith({ store, lookUp, provider: { policy: { logoutToken: { refreshTokens: 'kept' } } } })
    await rp.signIn('one', 'laptop', 'refresh token of one')
    expect(await rp.receive('laptop')).toBe(200)
    expect(await store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] })
    expect(rp.typesOf()).not.toContain('tokens-revoked')
  })

  it('of-subject: a Logout Token with a sid ends the sessions of its sub, and all of their tokens', async () => {
    const policy = { logoutToken: { sessions: 'of-subject', refreshTokens: 'revoked' } } as const
    const rp = rpWith({ provider: { policy } })
    await rp.signIn('one', 'laptop', 'refresh token of one')
    await rp.signIn('two', 'phone', 'refresh token of two', { offlineAccess: true })
    expect(await rp.receive('laptop')).toBe(200)
    expect(rp.events).toContainEqual(expect.objectContaining({ type: 'logout', scope: 'sub', found: 2, destroyed: 2 }))
    await vi.waitFor(
      () => expect(rp.revoked.toSorted()).toEqual(['refresh token of one', 'refresh token of two']),
      PATIENCE,
    )
  })
})

describe('a process that dies', () => {
  it('has the debt in the logout store before the row goes, sealed, and takes it out when it is paid', async () => {
    const rows = new session.MemoryStore()
    const store = memoryStore()
    const found: string[] = []
    const destroy = rows.destroy.bind(rows)
    rows.destroy = (id, callback) => {
      void store.list({ scope: 'sub', key: DEBTS }).then(({ sessions }) => {
        for (const { about } of sessions) found.push(about ?? '')
        destroy(id, callback)
      })
    }
    const rp = rpWith({ rows, store })
    await rp.signIn('one', 'laptop', 'refresh token of one')
    expect(await rp.receive('laptop')).toBe(200)
    expect(found).toHaveLength(1)
    expect(found[0]).toContain('"refreshToken":"')
    expect(found[0]).not.toContain('refresh token of one')
    await vi.waitFor(
      async () => expect(await store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] }),
      PATIENCE,
    )
    expect(rp.revoked).toEqual(['refresh token of one'])
  })

  it('is not taken for dead while it is at work: what it has paid meanwhile is not paid again', async () => {
    const store = memoryStore()
    const slow = rpWith({ store, options: { revokeAfterSeconds: 300 } })
    await slow.signIn('one', 'laptop', 'refresh token of one')
    expect(await slow.receive('laptop')).toBe(200)
    const { owed, revoked } = owedWith(store, { storeClock: later(300) })
    const read = vi.spyOn(store, 'read')
    await owed.resume()
    const [debt] = (await store.list({ scope: 'sub', key: DEBTS })).sessions
    await store.unbind([debt?.sessionId ?? ''])
    await vi.waitFor(() => expect(read).toHaveBeenCalledWith(debt?.sessionId), PATIENCE)
    await Promise.all(read.mock.results.map(({ value }) => value))
    expect(revoked).toEqual([])
  })

  it('is not taken for dead before its debt was due', async () => {
    const store = memoryStore()
    const slow = rpWith({ store, options: { revokeAfterSeconds: 300 } })
    await slow.signIn('one', 'laptop', 'refresh token of one')
    expect(await slow.receive('laptop')).toBe(200)
    const delaysFrom = async (seconds: number) => {
      const { owed } = owedWith(store, { storeClock: later(seconds), adoptedAfterSeconds: 30, random: () => 0 })
      await store.list({ scope: 'sub', key: DEBTS })
      const timers = vi.spyOn(globalThis, 'setTimeout')
      await owed.resume()
      const delays = timers.mock.calls.map(([, delay = 0]) => Math.ceil(delay / 1000))
      timers.mockRestore()
      return delays
    }
    expect(await delaysFrom(0)).toContain(330)
    expect(await delaysFrom(100)).toContain(230)
    // A clock that is far behind makes nobody wait for hours.
    expect(await delaysFrom(-50_000)).toContain(330)
  })

  it.each(['as configured', 'as it is looked up'])('is succeeded at the next prepare, its provider %s', async (how) => {
    const store = memoryStore()
    const list = vi.spyOn(store, 'list')
    const provider = { ...CLIENT, jwks: mint.jwks }
    const logout = createBackchannelLogout({
      provider: how === 'as configured' ? provider : async () => provider,
      store,
      sessions: expressSessions(new session.MemoryStore()),
      warnings: false,
    })
    closing.push(() => logout.close())
    // Before it is said where records are there is nobody to open them; then it is made good.
    await logout.prepare()
    expect(list).not.toHaveBeenCalled()
    logout.rpInitiatedLogout({ redirectUris: REDIRECT_URIS, secret: SECRET, recordIn: (row) => row.logout })
    expect(list).toHaveBeenCalledExactlyOnceWith({ scope: 'sub', key: DEBTS }, undefined)
  })

  it('is succeeded also where nobody logs out any more, and by who has its provider and its secret alone', async () => {
    const store = memoryStore()
    const dead = rpWith({ store, options: { revokeAfterSeconds: 300 } })
    await dead.signIn('one', 'laptop', 'refresh token of one')
    expect(await dead.receive('laptop')).toBe(200)
    dead.logout.close()
    const about = { storeClock: later(300), lookAgainSeconds: 0.01 }
    const lists = vi.spyOn(store, 'list')
    const stranger = owedWith(store, { ...about, policyOf: async () => undefined })
    const reads = vi.spyOn(store, 'read')
    await vi.waitFor(() => expect(reads.mock.calls.length).toBeGreaterThan(1), PATIENCE)
    stranger.owed.close()
    expect(stranger.revoked).toEqual([])
    expect((await store.list({ scope: 'sub', key: DEBTS })).sessions).toHaveLength(1)
    const { revoked } = owedWith(store, about)
    await vi.waitFor(() => expect(revoked).toHaveLength(1), PATIENCE)
    expect(lists).toHaveBeenCalled()
  })
})

for (const { name, describe: describeOn, start } of SHARED_STORES) {
  describeOn()(`a process that dies before it could revoke, on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    it('leaves it to the next one, which takes it over once; no logout and no list of a user finds it', async () => {
      const dead = rpWith({ store: server.open(), options: { revokeAfterSeconds: 300 } })
      for (const [id, sid] of [
        ['one', 'laptop'],
        ['two', 'phone'],
      ] as const) {
        await dead.signIn(id, sid, `refresh token of ${id}`)
        expect(await dead.receive(sid)).toBe(200)
      }
      dead.logout.close()
      const store = server.open()
      const debts = async () => (await store.list({ scope: 'sub', key: DEBTS })).sessions
      expect(await debts()).toHaveLength(2)
      expect(await dead.logout.sessions.count({ ...CLIENT, sub: 'ada' })).toBe(0)
      expect(dead.revoked).toEqual([])

      const { owed, revoked } = owedWith(store, { storeClock: later(300) })
      await owed.resume()
      await vi.waitFor(async () => expect(await debts()).toEqual([]), PATIENCE)
      expect(revoked).toHaveLength(2)
    })
  })
}

/** Of a process that looks so many seconds later. */
const later = (seconds: number) => new StoreClock(() => Date.now() / 1000 + seconds)

/** The half that revokes, of a process that has just started. */
function owedWith(store: LogoutStore, about: Partial<OwedRevocationsOptions> = {}) {
  const revoked: TokensToRevoke[] = []
  const owed = new OwedRevocations({
    store,
    storeClock: new StoreClock(() => Date.now() / 1000),
    readSession: async () => undefined,
    policyOf: async () => logoutPolicy(),
    revoke: async (tokens) => {
      revoked.push(tokens)
      return { outcome: 'revoked' }
    },
    emit: () => {},
    stepTimeoutSeconds: 5,
    retryForSeconds: 3600,
    adoptedAfterSeconds: 0,
    againAfterSeconds: 0.01,
    ...about,
  })
  closing.push(() => owed.close())
  owed.add({
    recordIn: ({ logout }) => logout,
    tokensOf: ({ issuer, clientId, refreshToken }) => ({ issuer, clientId, refreshToken }),
    afterSeconds: 0,
  })
  return { owed, revoked }
}

describe('a revocation that fails', () => {
  const row = (sessionId: string) => ({ logout: { ...CLIENT, refreshToken: `of ${sessionId}` } })
  const ending = { client: CLIENT, reason: 'logout-token', revokeOfflineAccess: false, sessionIds: ['one'] }
  const failed = (reason: Parameters<typeof notRevoked>[0]): TokensRevoked => ({
    outcome: 'failed',
    error: notRevoked(reason),
  })

  it.each(['unreachable', 'late', 'not_done', 'metadata_unavailable', 'provider_unavailable'] as const)(
    '%s: is tried again',
    async (reason) => {
      const store = memoryStore()
      let tries = 0
      const revoke = async () => (++tries < 3 ? failed(reason) : ({ outcome: 'revoked' } as const))
      const { owed } = owedWith(store, { readSession: async (id) => row(id), revoke })
      const begin = await owed.keep(ending)
      expect((await store.list({ scope: 'sub', key: DEBTS })).sessions).toHaveLength(1)
      begin()
      await vi.waitFor(
        async () => expect(await store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] }),
        PATIENCE,
      )
      expect(tries).toBe(3)
    },
  )

  it.each(['refused', 'authentication_missing', 'endpoint_unsafe', 'provider_unknown'] as const)(
    '%s: is not, since the next answer would be the same',
    async (reason) => {
      const store = memoryStore()
      let tries = 0
      const revoke = async () => {
        tries += 1
        return failed(reason)
      }
      const { owed } = owedWith(store, { readSession: async (id) => row(id), revoke })
      const begin = await owed.keep(ending)
      begin()
      await vi.waitFor(
        async () => expect(await store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] }),
        PATIENCE,
      )
      expect(tries).toBe(1)
    },
  )

  const words = ['kept', 'revoked-unless-offline', 'revoked'] as const
  it.each(
    words.flatMap((word) =>
      [false, true].flatMap((offline) => [false, true].map((dies) => [word, offline, dies] as const)),
    ),
  )('is decided by the policy %s (offline: %s) once somebody can say it, by another process: %s', async (...cell) => {
    const [refreshTokens, offlineAccess, dies] = cell
    const store = memoryStore()
    const events: LogoutEvent[] = []
    let asked = 0
    const policyOf = async () => {
      // In the moment that the logout has nobody knows; then the first try meets it away.
      asked += 1
      if (asked === 1) return new Promise<never>(() => {})
      if (asked === 2) throw new Error('the registry is away')
      return logoutPolicy({ terminate: { refreshTokens } })
    }
    const readSession = async (id: string) => ({ logout: { ...CLIENT, refreshToken: `of ${id}`, offlineAccess } })
    const about = { policyOf, emit: (event: LogoutEvent) => events.push(event) }
    const first = owedWith(store, { ...about, readSession })
    const begin = await first.owed.keep({ ...ending, reason: 'terminated' })
    if (dies) first.owed.close()
    begin()
    const { owed, revoked } = dies ? owedWith(store, about) : first
    if (dies) await owed.resume()
    await vi.waitFor(
      async () => expect(await store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] }),
      PATIENCE,
    )
    const toDie = refreshTokens === 'revoked' || (refreshTokens === 'revoked-unless-offline' && !offlineAccess)
    expect(revoked).toEqual(toDie ? [{ ...CLIENT, refreshToken: 'of one' }] : [])
    expect(events).toMatchObject([{ type: 'tokens-revoked', ...CLIENT, error: { reason: 'provider_unavailable' } }])
  })

  it.each([
    ['as long as it asked', 120, 119, 121],
    ['no longer than a quarter of an hour', 86_400, 899, 901],
  ])(
    'a provider that asks for a pause (Retry-After) has it, from each debt: %s',
    async (_how, asked, before, after) => {
      let now = 0
      const monotonic = vi.fn(() => now)
      const tried: string[] = []
      const revoke = async ({ refreshToken = '' }: TokensToRevoke): Promise<TokensRevoked> => {
        tried.push(refreshToken)
        return now < before ? { ...failed('not_done'), retryAfterSeconds: asked } : { outcome: 'revoked' }
      }
      const store = memoryStore()
      const { owed } = owedWith(store, { readSession: async (id) => row(id), revoke, monotonic })
      const begin = await owed.keep(ending)
      begin()
      await vi.waitFor(() => expect(tried).toEqual(['of one']), PATIENCE)
      const beginAnother = await owed.keep({ ...ending, sessionIds: ['two'] })
      beginAnother()
      now = before
      monotonic.mockClear()
      // Each debt asks what the time is before it asks the provider.
      await vi.waitFor(() => expect(monotonic.mock.calls.length).toBeGreaterThan(10), PATIENCE)
      expect(tried).toEqual(['of one'])
      now = after
      await vi.waitFor(
        async () => expect(await store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] }),
        PATIENCE,
      )
      expect(tried.toSorted()).toEqual(['of one', 'of one', 'of two'])
    },
  )

  it('a provider that asks for a pause has it also after its debts were given up', async () => {
    let now = 0
    const monotonic = vi.fn(() => now)
    const events: LogoutEvent[] = []
    const revoke = vi.fn(async () => ({ ...failed('not_done'), retryAfterSeconds: 900 }))
    const about = { readSession: async (id: string) => row(id), emit: (event: LogoutEvent) => events.push(event) }
    const { owed } = owedWith(memoryStore(), { ...about, revoke, monotonic, retryForSeconds: 0.01 })
    const givenUp = () => events.filter((event) => event.type === 'tokens-revoked').length
    for (const [i, sessionId] of ['one', 'two', 'three'].entries()) {
      const begin = await owed.keep({ ...ending, sessionIds: [sessionId] })
      begin()
      await vi.waitFor(() => expect(givenUp()).toBe(i + 1), PATIENCE)
      expect(revoke).toHaveBeenCalledTimes(i < 2 ? 1 : 2)
      if (i === 1) now = 901
    }
  })

  it('of a provider that is away a few requests of each node are all it meets, whatever is owed; then each debt is paid', async () => {
    const NODES = 4
    const DEBTS_OF_EACH = 25
    const MINUTES = 4
    const store = memoryStore()
    let now = 0
    let isAway = true
    let askedWhileAway = 0
    const paid: string[] = []
    const monotonic = vi.fn(() => now)
    const revoke = async ({ refreshToken = '' }: TokensToRevoke): Promise<TokensRevoked> => {
      // As it is when the request arrives: it may come back while the answer is on its way.
      const isRefused = isAway
      if (isRefused) askedWhileAway += 1
      else paid.push(refreshToken)
      await new Promise((resolve) => setImmediate(resolve))
      return isRefused ? failed('unreachable') : { outcome: 'revoked' }
    }
    const about = { readSession: async (id: string) => row(id), revoke, monotonic }
    const nodes = Array.from({ length: NODES }, (_, node) => {
      const { owed } = owedWith(store, { ...about, adoptedAfterSeconds: 0.02 })
      return { owed, sessionIds: Array.from({ length: DEBTS_OF_EACH }, (_, i) => `${node} ${i}`) }
    })
    for (const { owed, sessionIds } of nodes) {
      const begin = await owed.keep({ ...ending, sessionIds })
      begin()
    }
    await Promise.all(nodes.map(({ owed }) => owed.resume()))
    for (let minute = 1; minute <= MINUTES; minute++) {
      now = 60 * minute
      monotonic.mockClear()
      await vi.waitFor(() => expect(monotonic.mock.calls.length).toBeGreaterThan(NODES * DEBTS_OF_EACH), PATIENCE)
    }
    // One or two at each node in each minute, and what was under way at the first failure: four at a time. Each debt
    // asked about by itself would be a hundred a minute.
    expect(askedWhileAway).toBeLessThanOrEqual(NODES * (4 + 2 * MINUTES))
    expect(askedWhileAway).toBeGreaterThanOrEqual(NODES)

    isAway = false
    now += 60
    await vi.waitFor(
      async () => expect((await store.list({ scope: 'sub', key: DEBTS })).sessions).toEqual([]),
      PATIENCE,
    )
    expect(new Set(paid).size).toBe(NODES * DEBTS_OF_EACH)
    // Nodes may meet at one, which does no harm, and do more often on a busy machine. Each at each would be four times
    // as many.
    expect(paid.length).toBeLessThan(3 * NODES * DEBTS_OF_EACH)
  })

  it('that is given up is said', async () => {
    const events: LogoutEvent[] = []
    const revoke = async () => failed('unreachable')
    const about = { readSession: async (id: string) => row(id), emit: (event: LogoutEvent) => events.push(event) }
    const { owed } = owedWith(memoryStore(), { ...about, revoke, retryForSeconds: 0.01 })
    const begin = await owed.keep(ending)
    begin()
    await vi.waitFor(() => expect(events).toMatchObject([{ error: { reason: 'given_up' } }]), PATIENCE)
  })

  it('is tried again also where the clock of its store has gone on past the time that the store keeps it', async () => {
    let aheadSeconds = 0
    const clock = () => Date.now() / 1000 + aheadSeconds
    const store = memoryStore({ clock })
    let isAway = true
    const paid: string[] = []
    const revoke = async ({ refreshToken = '' }: TokensToRevoke): Promise<TokensRevoked> => {
      if (isAway) return failed('unreachable')
      paid.push(refreshToken)
      return { outcome: 'revoked' }
    }
    const tried = vi.fn(revoke)
    const readSession = async (id: string) => row(id)
    const { owed } = owedWith(store, { storeClock: new StoreClock(clock), readSession, revoke: tried })
    const begin = await owed.keep(ending)
    begin()
    await vi.waitFor(() => expect(tried).toHaveBeenCalled(), PATIENCE)
    aheadSeconds = 3 * 3600
    expect((await store.list({ scope: 'sub', key: DEBTS })).sessions).toEqual([])
    isAway = false
    await vi.waitFor(() => expect(paid).toEqual(['of one']), PATIENCE)
  })

  it('while the process shuts down stays owed, and is not said to be given up: another one takes it over', async () => {
    const store = memoryStore()
    const events: LogoutEvent[] = []
    let fail: ((of: TokensRevoked) => void) | undefined
    const underWay = () => new Promise<TokensRevoked>((resolve) => (fail = resolve))
    const about = { readSession: async (id: string) => row(id), emit: (event: LogoutEvent) => events.push(event) }
    const { owed } = owedWith(store, { ...about, revoke: underWay })
    const begin = await owed.keep(ending)
    begin()
    await vi.waitFor(() => expect(fail).toBeDefined(), PATIENCE)
    owed.close()
    fail?.(failed('unreachable'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(events).toEqual([])
    const policyOf = async () => logoutPolicy({})
    const { owed: next, revoked } = owedWith(store, { policyOf, adoptedAfterSeconds: 0 })
    await next.resume()
    await vi.waitFor(() => expect(revoked).toEqual([{ ...CLIENT, refreshToken: 'of one' }]), PATIENCE)
  })

  it.each(['the metadata', 'the revocation'])(
    'that is under way is given up when the receiver is closed, and stays owed for another one: at %s',
    async (where) => {
      const store = memoryStore()
      const rows = new session.MemoryStore()
      const sent: (AbortSignal | null)[] = []
      const fetch: ProviderOptions['fetch'] = async (url, { signal }) => {
        if (url !== REVOKE && where === 'the revocation') {
          return Response.json({ issuer: CLIENT.issuer, revocation_endpoint: REVOKE })
        }
        sent.push(signal)
        return new Promise(() => {})
      }
      const rp = rpWith({ rows, store, provider: { fetch } })
      await rp.signIn('one', 's1', 'a refresh token')
      expect(await rp.receive('s1')).toBe(200)
      await vi.waitFor(() => expect(sent).toHaveLength(1), PATIENCE)
      expect(sent[0]?.aborted).toBe(false)
      rp.logout.close()
      expect(sent[0]?.aborted).toBe(true)
      await vi.waitFor(
        () => expect(rp.events.at(-1)).toMatchObject({ type: 'tokens-revoked', error: { reason: 'closed' } }),
        PATIENCE,
      )
      expect((await store.list({ scope: 'sub', key: DEBTS })).sessions).toHaveLength(1)
    },
  )

  it('that the application itself waits for is not given up: nobody else owes it', async () => {
    const sent: (AbortSignal | null)[] = []
    const fetch: ProviderOptions['fetch'] = async (url, { signal }) => {
      if (url !== REVOKE) return Response.json({ issuer: CLIENT.issuer, revocation_endpoint: REVOKE })
      sent.push(signal)
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      return new Response()
    }
    let answer = () => {}
    const { logout } = rpWith({ provider: { fetch } })
    const revoked = logout.revokeTokens({ ...CLIENT, refreshToken: 'a refresh token' })
    await vi.waitFor(() => expect(sent).toHaveLength(1), PATIENCE)
    logout.close()
    expect(sent[0]?.aborted).toBe(false)
    answer()
    expect(await revoked).toMatchObject({ outcome: 'revoked' })
  })

  it('is made good however many there are', async () => {
    const { owed, revoked } = owedWith(memoryStore(), { readSession: async (id) => row(id), mostHeld: 4 })
    const begin = await owed.keep({ ...ending, sessionIds: Array.from({ length: 30 }, (_, i) => `${i}`) })
    begin()
    await vi.waitFor(() => expect(new Set(revoked.map(({ refreshToken }) => refreshToken)).size).toBe(30), PATIENCE)
  })

  it('a provider that hangs holds up its own alone', async () => {
    const other = { ...CLIENT, issuer: 'https://other.example.com' }
    const revoked: TokensToRevoke[] = []
    const { owed } = owedWith(memoryStore(), {
      readSession: async (id) => ({ logout: { ...(id === 'one' ? other : CLIENT), refreshToken: `of ${id}` } }),
      revoke: async (tokens) => {
        if (tokens.issuer === CLIENT.issuer) return new Promise<never>(() => {})
        revoked.push(tokens)
        return { outcome: 'revoked' }
      },
    })
    const hanging = await owed.keep({ ...ending, sessionIds: Array.from({ length: 40 }, (_, i) => `${i}`) })
    hanging()
    const begin = await owed.keep({ ...ending, client: other })
    begin()
    await vi.waitFor(() => expect(revoked).toEqual([{ ...other, refreshToken: 'of one' }]), PATIENCE)
  })

  it.each<[string, () => Promise<never>]>([
    ['hang', () => new Promise<never>(() => {})],
    ['cannot be read', async () => Promise.reject(new Error('row one'))],
  ])('rows that %s are one event of each logout, when it has its answer', async (_how, readSession) => {
    const events: LogoutEvent[] = []
    const { owed } = owedWith(memoryStore(), { readSession, emit: (event) => events.push(event) })
    const begin = await owed.keep({ ...ending, sessionIds: Array.from({ length: 40 }, (_, i) => `${i}`) })
    expect(events).toEqual([])
    begin()
    expect(events).toEqual([
      { type: 'tokens-revoked', ...CLIENT, outcome: 'failed', error: notRevoked('row_unreadable') },
    ])
  })

  it('a store that takes no debt costs no token: this process revokes it', async () => {
    const store = memoryStore()
    store.bind = async () => Promise.reject(new Error('the store is read-only'))
    const { owed, revoked } = owedWith(store, { readSession: async (id) => row(id) })
    const begin = await owed.keep(ending)
    begin()
    await vi.waitFor(() => expect(revoked).toEqual([{ ...CLIENT, refreshToken: 'of one' }]), PATIENCE)
  })

  it('rows that hang are waited for once, however many sessions there are', async () => {
    const read = vi.fn((id: string) =>
      id === 'fast' ? Promise.reject(new Error('gone')) : new Promise<never>(() => {}),
    )
    const { owed } = owedWith(memoryStore(), { readSession: read })
    const ids = Array.from({ length: 200 }, (_, i) => (i % 10 === 9 ? 'fast' : `slow ${i}`))
    await owed.keep({ ...ending, sessionIds: ids })
    // As many as are read at one time, and those that failed at once and made room.
    expect(read.mock.calls.filter(([id]) => id !== 'fast').length).toBeLessThanOrEqual(16)
  })

  it('a logout of everybody meets the provider with a few requests at a time', async () => {
    let [under, most] = [0, 0]
    const revoke = async (): Promise<TokensRevoked> => {
      most = Math.max(most, ++under)
      await new Promise((resolve) => setImmediate(resolve))
      under -= 1
      return { outcome: 'revoked' }
    }
    const store = memoryStore()
    const { owed } = owedWith(store, { readSession: async (id) => row(id), revoke })
    const begin = await owed.keep({ ...ending, sessionIds: Array.from({ length: 100 }, (_, i) => `${i}`) })
    begin()
    await vi.waitFor(
      async () => expect(await store.list({ scope: 'sub', key: DEBTS })).toEqual({ sessions: [] }),
      PATIENCE,
    )
    expect(most).toBe(4)
  })
})

describe('options', () => {
  it('recordIn needs sessions in a store', () => {
    const logout = createBackchannelLogout({ provider: CLIENT, warnings: false })
    closing.push(() => logout.close())
    const make = (options: object) => () =>
      logout.rpInitiatedLogout({ redirectUris: REDIRECT_URIS, secret: SECRET, ...options })
    expect(make({ recordIn: () => undefined })).toThrow(/recordIn needs the option sessions/)
    expect(make({ recordIn: 'logout' })).toThrow(/recordIn must be a function/)
    expect(make({ revokeAfterSeconds: 5000 })).toThrow(/seconds, not milliseconds/)
    expect(make({ revokeAfterSeconds: -1 })).toThrow(/seconds, not milliseconds/)
    expect(make({ recordsIn: () => undefined })).toThrow(/it appears you mean recordIn/)
    expect(make({})).not.toThrow()
  })
})

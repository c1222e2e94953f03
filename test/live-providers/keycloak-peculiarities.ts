// What only Keycloak does, or does not: told by its documentation nowhere, so tried.
import { createClaims } from 'oidc-backchannel-logout/claims'
import { expect, it, vi } from 'vitest'
import type { ClientToRegister, Keycloak } from './keycloak.js'
import { LiveBrowser } from './live-browser.js'
import { LiveRp } from './live-rp.js'
import { answered, type Live, untilSignedOut } from './scenarios.js'

type Registration = Pick<ClientToRegister, 'attributes' | 'more' | 'sidRequired'>

/** An RP of its own for one test. */
async function withRp(
  { issuer, register }: Keycloak,
  registration: Registration,
  options: Parameters<LiveRp['open']>[2],
  test: (rp: LiveRp, clientId: string) => Promise<void>,
): Promise<void> {
  const rp = await LiveRp.listen()
  const clientId = `rp ${rp.origin}`
  try {
    const credentials = await register({ clientId, origin: rp.origin, receiver: rp.receiver, ...registration })
    await rp.open(issuer, credentials, options)
    await test(rp, clientId)
  } finally {
    await rp.close()
  }
}

interface Api {
  readonly rp: LiveRp
  readonly clientId: string
  readonly claims: ReturnType<typeof createClaims<undefined>>
  readonly events: readonly unknown[]
}

/** An RP, and an API that introspects its access tokens and shares its logout store. `audience`: the tokens name the API. */
async function withApi(
  keycloak: Keycloak,
  { audience, more = {}, ...registration }: Registration & { readonly audience: boolean },
  test: (api: Api) => Promise<void>,
): Promise<void> {
  const own = `api ${Math.random()}`
  const { clientId, clientSecret } = await keycloak.register({
    clientId: own,
    origin: 'http://127.0.0.1:9',
    receiver: '',
  })
  const mapper = {
    name: 'the API',
    protocol: 'openid-connect',
    protocolMapper: 'oidc-audience-mapper',
    config: { 'included.client.audience': clientId, 'access.token.claim': 'true', 'introspection.token.claim': 'true' },
  }
  const withMapper = { ...more, ...(audience && { protocolMappers: [mapper] }) }
  await withRp(keycloak, { ...registration, more: withMapper }, {}, async (rp, rpClientId) => {
    const events: unknown[] = []
    const claims = createClaims({
      introspection: {
        issuer: keycloak.issuer,
        clientId,
        clientAuthentication: { method: 'client_secret_basic', clientSecret },
      },
      store: rp.logouts,
      onEvent: (event) => events.push(event),
    })
    await test({ rp, clientId: rpClientId, claims, events })
  })
}

export function describePeculiarities(live: () => Live, keycloak: () => Keycloak): void {
  const endSession = (sid: string | undefined) => keycloak().admin('DELETE', `/sessions/${sid}`)

  it.each(['ES256', 'PS256', 'EdDSA'])('signs by %s where the ID Token is', (alg) =>
    withRp(keycloak(), { attributes: { 'id.token.signed.response.alg': alg } }, { algorithms: [alg] }, async (rp) => {
      const browser = new LiveBrowser()
      await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')
      await endSession((await rp.me(browser))?.sid)
      expect((await answered(rp)).header.alg).toBe(alg)
      await untilSignedOut(rp, browser)
    }),
  )

  it('HS256: its key is not the client secret, so the token is refused', () =>
    withRp(
      keycloak(),
      { attributes: { 'id.token.signed.response.alg': 'HS256' } },
      { algorithms: ['HS256'], clientSecret: 'a secret of the tests' },
      async (rp) => {
        const browser = new LiveBrowser()
        await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')
        await endSession((await rp.me(browser))?.sid)
        expect(await answered(rp)).toMatchObject({ header: { alg: 'HS256' }, status: 400 })
        expect(await rp.me(browser)).toBeDefined()
      },
    ))

  it('a client that also has the front channel gets nothing on the back channel, even if an administrator ends the session', () =>
    withRp(keycloak(), { more: { frontchannelLogout: true } }, {}, async (rp) => {
      const { rps, signedIn } = live()
      const { browser, sid } = await signedIn('alice')
      await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')
      await endSession(sid)
      // The other client of the same session is told; this one would have been told in the same moment.
      await untilSignedOut(rps.b, browser)
      expect(rp.deliveries).toEqual([])
      expect(await rp.me(browser)).toBeDefined()
    }))

  it('an offline session: its end says that offline access is revoked, where the client is set up so', () =>
    withRp(keycloak(), { attributes: { 'backchannel.logout.revoke.offline.tokens': 'true' } }, {}, async (rp) => {
      const browser = new LiveBrowser((url) => {
        if (url.searchParams.get('scope') === 'openid') url.searchParams.set('scope', 'openid offline_access')
        return url
      })
      await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')
      await keycloak().admin('DELETE', `/sessions/${(await rp.me(browser))?.sid}?isOffline=true`)
      const { payload } = await answered(rp)
      await untilSignedOut(rp, browser)
      expect(payload.events).toMatchObject({ revoke_offline_access: true })
      expect(rp.events).toContainEqual(expect.objectContaining({ type: 'logout', revokeOfflineAccess: true }))
    }))

  it('a code that was issued before an administrator ended the session is not taken', async () => {
    const { rps, signedIn, signIn } = live()
    const { browser, sid } = await signedIn('alice')
    browser.holdAt = `${rps.b.origin}/callback`
    const held = await signIn(browser, rps.b, 'alice')
    browser.holdAt = undefined
    await endSession(sid)
    await untilSignedOut(rps.b, browser)
    await browser.get(held.url)
    expect(await rps.b.me(browser)).toBeUndefined()
  })

  it('a revoked consent ends the sessions of that client only; a sign-in at once afterwards has the same sid, and lives', () =>
    withRp(keycloak(), { more: { consentRequired: true } }, {}, async (rp, clientId) => {
      const { rps, signedIn } = live()
      const { browser, sid } = await signedIn('alice')
      const asked = await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')
      expect(asked.url).toContain('execution=OAUTH_GRANT')
      await keycloak().consent(browser, asked)
      expect((await rp.me(browser))?.sid).toBe(sid)
      const old = browser.copy()
      const userId = await keycloak().userId('alice')
      await keycloak().admin('DELETE', `/users/${userId}/consents/${encodeURIComponent(clientId)}`)
      const { payload } = await answered(rp)
      await untilSignedOut(rp, browser)
      expect(payload.sid).toBe(sid)
      expect(await rps.b.me(browser)).toBeDefined()
      await keycloak().consent(browser, await browser.get(`${rp.origin}/login`))
      expect((await rp.me(browser))?.sid, rp.signInErrors.map(String).join()).toBe(sid)
      expect(await rp.me(old)).toBeUndefined()
    }))

  it('introspection: a token without the audience of the API that asks is called inactive, and a warning says so', () =>
    withApi(keycloak(), { audience: false }, async ({ rp, claims, events }) => {
      await keycloak().signIn(new LiveBrowser(), `${rp.origin}/login`, 'alice')
      const [token = ''] = await rp.accessTokens()
      expect(await claims.lookup(token)).toMatchObject({ active: false })
      expect(events).toMatchObject([{ type: 'warning', error: { reason: 'audience_missing' } }])
    }))

  it('introspection with the audience mapper: a logout without sid ends the tokens of all browsers; that of a silent sign-in lives', () =>
    withApi(keycloak(), { audience: true, sidRequired: false }, async ({ rp, claims }) => {
      const [here, there] = [new LiveBrowser(), new LiveBrowser()]
      for (const browser of [here, there]) await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')
      const old = await rp.accessTokens()
      expect(old).toHaveLength(2)
      const before = await Promise.all(old.map((token) => claims.lookup(token)))
      expect(before).toMatchObject([{ active: true }, { active: true }])
      await rp.logOut(here)
      for (const browser of [here, there]) await untilSignedOut(rp, browser)
      for (const token of old) expect(await claims.lookup(token)).toMatchObject({ active: false })

      // Nobody asks for the password: the browser's session at Keycloak lives, and its auth_time is that of the ended login.
      await there.get(`${rp.origin}/login`)
      expect(await rp.me(there), rp.signInErrors.map(String).join()).toBeDefined()
      const [renewed = ''] = await rp.accessTokens()
      expect(old).not.toContain(renewed)
      expect(await claims.lookup(renewed)).toMatchObject({ active: true })
      for (const token of old) expect(await claims.lookup(token)).toMatchObject({ active: false })
    }))

  it('introspection: after a revoked consent the old token is refused, and that of the next sign-in, of the same sid, lives', () =>
    withApi(keycloak(), { audience: true, more: { consentRequired: true } }, async ({ rp, claims, clientId }) => {
      const browser = new LiveBrowser()
      await keycloak().consent(browser, await keycloak().signIn(browser, `${rp.origin}/login`, 'alice'))
      const [old = ''] = await rp.accessTokens()
      expect(await claims.lookup(old)).toMatchObject({ active: true })
      const userId = await keycloak().userId('alice')
      await keycloak().admin('DELETE', `/users/${userId}/consents/${encodeURIComponent(clientId)}`)
      await untilSignedOut(rp, browser)
      await keycloak().consent(browser, await browser.get(`${rp.origin}/login`))
      const [renewed = ''] = await rp.accessTokens()
      expect(await claims.lookup(renewed)).toMatchObject({ active: true })
      expect(await claims.lookup(old)).toMatchObject({ active: false })
    }))

  it('an impersonated session: its logout reaches the RPs, and nobody else is signed out', async () => {
    const { rps, signedIn } = live()
    const own = await signedIn('bob')
    const browser = new LiveBrowser()
    await keycloak().impersonate(browser, 'bob')
    for (const rp of [rps.a, rps.b]) await browser.get(`${rp.origin}/login`)
    expect((await rps.b.me(browser))?.sub).toBe((await rps.b.me(own.browser))?.sub)
    await rps.a.logOut(browser)
    await untilSignedOut(rps.b, browser)
    expect(await rps.b.me(own.browser)).toBeDefined()
  })

  it('"sign out other devices" on the account page: the RPs hear of each of them', async () => {
    const more = { directAccessGrantsEnabled: true }
    await withRp(keycloak(), { more }, {}, async (rp, clientId) => {
      await keycloak().newUser('carol')
      const devices = [new LiveBrowser(), new LiveBrowser()]
      for (const browser of devices) await keycloak().signIn(browser, `${rp.origin}/login`, 'carol')
      await keycloak().signOutOtherDevices({ clientId, clientSecret: 'a secret of the tests' }, 'carol')
      for (const browser of devices) await untilSignedOut(rp, browser)
      await vi.waitFor(() => expect(new Set(rp.deliveries.map(({ payload }) => payload.sid)).size).toBe(2))
    })
  })
}

// What only Keycloak does, or does not: told by its documentation nowhere, so tried.
import { expect, it, vi } from 'vitest'
import type { Keycloak } from './keycloak.js'
import { withRp } from './keycloak-clients.js'
import { answered, type Live, untilSignedOut } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveRp } from './live-rp.js'

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

  /** A browser in which this RP asks for offline access as well. */
  const offlineAt = ({ origin }: LiveRp) =>
    new LiveBrowser((url) => {
      const isOf = url.searchParams.get('redirect_uri')?.startsWith(`${origin}/`)
      if (isOf && url.searchParams.has('scope')) url.searchParams.set('scope', 'openid offline_access')
      return url
    })

  it.each([
    ['says that offline access is revoked, where the client is set up so', true],
    ['says nothing of offline access elsewhere, and the refresh token is dead all the same', false],
  ])('an offline session: its end %s', (_, says) => {
    const attributes = { 'backchannel.logout.revoke.offline.tokens': String(says) }
    return withRp(keycloak(), { attributes }, {}, async (rp, credentials, answers) => {
      const browser = offlineAt(rp)
      await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')
      const { refresh_token } = await answers.last()
      expect(await keycloak().refresh(credentials, refresh_token)).toMatchObject({ status: 200 })
      await keycloak().admin('DELETE', `/sessions/${(await rp.me(browser))?.sid}?isOffline=true`)
      const { payload } = await answered(rp)
      await untilSignedOut(rp, browser)
      expect(Object(payload.events).revoke_offline_access).toBe(says ? true : undefined)
      expect(rp.events).toContainEqual(expect.objectContaining({ type: 'logout', revokeOfflineAccess: says }))
      expect(await keycloak().refresh(credentials, refresh_token)).toMatchObject({ status: 400 })
    })
  })

  it('offline access that is asked for in an online session: its logout comes, and the refresh token outlives it', () =>
    withRp(keycloak(), {}, {}, async (rp, credentials, answers) => {
      const { rps } = live()
      const browser = offlineAt(rp)
      // Online first, so that the browser has a session there.
      await keycloak().signIn(browser, `${rps.a.origin}/login`, 'alice')
      await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')
      const { refresh_token } = await answers.last()
      await rps.a.logOut(browser)
      await untilSignedOut(rp, browser)
      expect(await keycloak().refresh(credentials, refresh_token)).toMatchObject({ status: 200 })
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
    withRp(keycloak(), { more: { consentRequired: true } }, {}, async (rp, { clientId }) => {
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
    await withRp(keycloak(), { more }, {}, async (rp, credentials) => {
      await keycloak().newUser('carol')
      const devices = [new LiveBrowser(), new LiveBrowser()]
      for (const browser of devices) await keycloak().signIn(browser, `${rp.origin}/login`, 'carol')
      await keycloak().signOutOtherDevices(credentials, 'carol')
      for (const browser of devices) await untilSignedOut(rp, browser)
      await vi.waitFor(() => expect(new Set(rp.deliveries.map(({ payload }) => payload.sid)).size).toBe(2))
    })
  })
}

// What only Keycloak does, or does not: told by its documentation nowhere, so tried.
import { expect, it } from 'vitest'
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
}

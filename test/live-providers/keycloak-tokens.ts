// Which access tokens of Keycloak an API takes after a logout, whether it introspects them or verifies them alone:
// Keycloak itself says of some that they are as good as ever.
import { decodeJwt } from 'jose'
import { expect, it, vi } from 'vitest'
import type { Keycloak } from './keycloak.js'
import { REFUSED, SERVED, withApi } from './keycloak-clients.js'
import { DEADLINE, untilSignedOut } from './live.js'
import { LiveBrowser } from './live-browser.js'

export function describeTokens(keycloak: () => Keycloak): void {
  it('introspection: a token without the audience of the API that asks is called inactive, and a warning says so', () =>
    withApi(keycloak(), { audience: false }, async ({ rp, claims, answers, events }) => {
      await keycloak().signIn(new LiveBrowser(), `${rp.origin}/login`, 'alice')
      const { access_token } = await answers.last()
      expect(await claims.lookup(access_token)).toMatchObject({ active: false })
      expect(events).toMatchObject([{ type: 'warning', error: { reason: 'audience_missing' } }])
    }))

  it('a logout without sid ends the tokens of all browsers, and what is refreshed from them; those of a silent sign-in live', () =>
    withApi(
      keycloak(),
      { audience: true, sidRequired: false },
      async ({ rp, credentials, claims, answers, verdicts, recording, write }) => {
        const [here, there] = [new LiveBrowser(), new LiveBrowser()]
        for (const [name, browser] of Object.entries({ here, there })) {
          await recording.signIn(name, () => keycloak().signIn(browser, `${rp.origin}/login`, 'alice'))
        }
        const old = await answers.all()
        expect(old).toHaveLength(2)
        for (const { access_token } of old) expect(await verdicts(access_token)).toEqual(SERVED)
        await rp.logOut(here)
        for (const browser of [here, there]) await untilSignedOut(rp, browser)
        recording.loggedOut()
        for (const { access_token } of old) expect(await claims.lookup(access_token)).toMatchObject({ active: false })

        // The other browser's session at Keycloak lives, and so does its refresh token: issued after the logout, also
        // by its date, of a sign-on that ended.
        const refreshed = async (name: string) => {
          const token = await vi.waitFor(async () => {
            const { status, access_token = '' } = await keycloak().refresh(credentials, old[1]?.refresh_token ?? '')
            expect(status).toBe(200)
            expect(decodeJwt(access_token).iat).toBeGreaterThan(rp.deliveries.at(-1)?.payload.iat ?? 0)
            return access_token
          }, DEADLINE)
          await recording.refreshed(name, token)
          return token
        }
        expect(await verdicts(await refreshed('refreshed'))).toEqual(REFUSED)

        // Nobody asks for the password, so its auth_time is that of the ended login.
        await recording.signIn('there again', () => there.get(`${rp.origin}/login`))
        expect(await rp.me(there), rp.signInErrors.map(String).join()).toBeDefined()
        expect(await verdicts((await answers.last()).access_token)).toEqual(SERVED)
        expect(await verdicts(await refreshed('refreshed again'))).toEqual(REFUSED)
        for (const { access_token } of old) expect(await claims.lookup(access_token)).toMatchObject({ active: false })
        write('a logout of the user, then a silent sign-in in another browser')
      },
    ))

  it('after a revoked consent the old tokens are refused, and those of the next sign-in, of the same sid, live', () =>
    withApi(
      keycloak(),
      { audience: true, more: { consentRequired: true } },
      async ({ rp, claims, credentials, answers, verdicts, recording, write }) => {
        const browser = new LiveBrowser()
        await recording.signIn('old', async () =>
          keycloak().consent(browser, await keycloak().signIn(browser, `${rp.origin}/login`, 'alice')),
        )
        const old = await answers.last()
        expect(await verdicts(old.access_token)).toEqual(SERVED)
        const userId = await keycloak().userId('alice')
        await keycloak().admin('DELETE', `/users/${userId}/consents/${encodeURIComponent(credentials.clientId)}`)
        await untilSignedOut(rp, browser)
        recording.loggedOut()
        expect(await keycloak().refresh(credentials, old.refresh_token)).toMatchObject({ status: 400 })
        await recording.signIn('new', async () => keycloak().consent(browser, await browser.get(`${rp.origin}/login`)))
        expect(await verdicts((await answers.last()).access_token)).toEqual(SERVED)
        // Whether Keycloak takes the old refresh token again, now that its sid lives, differs from run to run: it
        // compares whole seconds.
        expect(await claims.lookup(old.access_token)).toMatchObject({ active: false })
        write('a revoked consent, then a sign-in with the same sid')
      },
    ))
}

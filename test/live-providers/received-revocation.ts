// Refresh tokens after a Logout Token that the RP received: what becomes of them at the provider, by the policy. The
// Logout Token names no `sid`, so it ends sign-ons whose sessions at the provider live: that their refresh tokens die
// is what the RP did.
import { expect, it, vi } from 'vitest'
import { DEBTS } from '../../src/outbound/debt.js'
import { DEADLINE, type Live, untilSignedOut } from './live.js'
import { LiveBrowser } from './live-browser.js'
import { endpointOf, refreshAt, TokenAnswers } from './token-answers.js'

const OFFLINE = { scope: 'openid offline_access', prompt: 'consent' }

export function describeReceivedRevocation(live: () => Live): void {
  it.each([
    ['kept', { online: 200, offline: 200 }],
    ['revoked-unless-offline', { online: 400, offline: 200 }],
    ['revoked', { online: 400, offline: 400 }],
  ] as const)(
    'a received Logout Token, refresh tokens by the policy %s: the provider answers %o',
    async (word, then) => {
      const { issuer, credentials, rps, signIn, logOut, options } = live()
      const { withoutSid: rp } = rps
      const own = credentials.withoutSid
      if (rp === undefined || own === undefined) throw new Error('no such client')
      const owed = async () => (await rp.logouts.list({ scope: 'sub', key: DEBTS })).sessions
      const nothingOwed = () => vi.waitFor(async () => expect(await owed()).toEqual([]), DEADLINE)
      // Of an earlier test.
      await nothingOwed()
      await rp.open(issuer, own, { ...options, policy: { logoutToken: { refreshTokens: word } } })
      const tokenEndpoint = await endpointOf(issuer, 'token_endpoint')
      const answers = new TokenAnswers(tokenEndpoint)
      const offlineBrowser = new LiveBrowser((url) => {
        if (url.searchParams.has('code_challenge')) {
          for (const [name, value] of Object.entries(OFFLINE)) url.searchParams.set(name, value)
        }
        return url
      })
      const signedIn = async (browser: LiveBrowser) => {
        await signIn(browser, rp, 'alice')
        expect(await rp.me(browser), rp.signInErrors.map(String).join()).toBeDefined()
        return (await answers.last()).refresh_token
      }
      try {
        const [here, there] = [new LiveBrowser(), new LiveBrowser()]
        await signedIn(here)
        const online = await signedIn(there)
        const offline = await signedIn(offlineBrowser)
        const statuses = async () => ({
          online: (await refreshAt(tokenEndpoint, own, online)).status,
          offline: (await refreshAt(tokenEndpoint, own, offline)).status,
        })
        expect(await statuses()).toEqual({ online: 200, offline: 200 })

        await logOut(here, rp, 'alice')
        for (const browser of [there, offlineBrowser]) await untilSignedOut(rp, browser)
        // What is owed is known by the end of the logout, and paid in the background.
        if (word === 'kept') expect(await owed()).toEqual([])
        await nothingOwed()
        expect(await statuses()).toEqual(then)
      } finally {
        answers.stop()
        await rp.open(issuer, own, options)
      }
    },
  )
}

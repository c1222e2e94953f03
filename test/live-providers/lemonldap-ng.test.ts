// LemonLDAP::NG as a portal of one process: the scenarios of all providers, and what one process cannot do.
import { expect, it } from 'vitest'
import { KEY_OF_NEXT_DEBIAN } from './cache.js'
import { CLIENT_SECRET, canBeHad, startLemonLdap, version } from './lemonldap-ng.js'
import { answered, clientsOf, optionsOf, untilSignedOut } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveProvider, LiveRps, RunningProvider } from './live-provider.js'
import { describeProvider } from './scenarios.js'

/** Its demonstration users; the password is the name. */
const NAMES = { alice: 'dwho', bob: 'rtyler' }

async function start(rps: LiveRps): Promise<RunningProvider> {
  const { issuer, rotateKeys, stop } = await startLemonLdap(rps)
  return {
    issuer,
    credentials: Object.fromEntries(
      clientsOf(rps).map(({ name }) => [name, { clientId: name, clientSecret: CLIENT_SECRET }]),
    ),
    browser: () => new LiveBrowser(),
    async signIn(browser, rp, user) {
      const page = await browser.get(`${rp.origin}/login`)
      const name = NAMES[user]
      return /name="password"/.test(page.text) ? browser.submit(page, { user: name, password: name }) : page
    },
    async logOut(browser, rp) {
      const page = await rp.logOut(browser)
      return /name="confirm"/.test(page.text) ? browser.submit(page, { confirm: '1' }) : page
    },
    acts: { "the portal's own logout": ({ browser }) => browser.get(`${issuer}/?logout=1`) },
    rotateKeys,
    stop,
  }
}

const NEEDS = ['apt-get', 'dpkg-deb', ...(canBeHad ? [] : [KEY_OF_NEXT_DEBIAN])]

const LEMON_LDAP: LiveProvider = {
  name: 'LemonLDAP::NG',
  version: canBeHad ? await version() : 'not to be had',
  preset: 'lemonldap-ng',
  needs: NEEDS,
  shape: { typ: 'JWT', alg: 'RS256', lifetimeSeconds: undefined, aud: 'array', sub: true, sidIfNotRequired: false },
  delivering: {
    endsEveryBrowser: false,
    tellsInitiator: true,
    userWaits: true,
    hangsUpAfterSeconds: 10,
    triesOn400: 1,
    triesOnFailure: 1,
    codeAfterLogout: 'refused by the provider',
    newKey: 'refused for now',
  },
  acts: { "the portal's own logout": 'session' },
  start,
}

describeProvider(LEMON_LDAP, (live) => {
  it('it cannot serve its keys while it waits for the RP: refused for now, and the user is out in the end', async () => {
    const { rps, issuer, credentials, signedIn, logOut } = live()
    const own = credentials.b
    if (own === undefined) throw new Error('no client b')
    const { browser } = await signedIn('alice')
    rps.b.fault = { kind: 'slow' }
    const loggedOut = logOut(browser, rps.a, 'alice')
    await expect.poll(() => rps.b.deliveries.length, { timeout: 15_000 }).toBe(1)
    // Begun anew, it has no keys, and while this delivery is under way it can get none.
    await rps.b.open(issuer, own, optionsOf(LEMON_LDAP))
    rps.b.release()
    expect((await answered(rps.b)).status).toBe(400)
    await loggedOut
    await untilSignedOut(rps.b, browser)
    expect(rps.b.deliveries).toHaveLength(1)
  })
})

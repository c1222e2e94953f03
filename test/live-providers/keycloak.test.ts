// Keycloak: the scenarios of all providers, and its peculiarities.
import { randomUUID } from 'node:crypto'
import { describeEndToEnd } from './end-to-end.js'
import { type Keycloak, NAME, PASSWORD, startKeycloak, VERSION } from './keycloak.js'
import { describePeculiarities } from './keycloak-peculiarities.js'
import { describeRevalidation } from './keycloak-revalidation.js'
import { describeTokens } from './keycloak-tokens.js'
import { clientsOf } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveRps, RunningProvider } from './live-provider.js'
import { describeReceivedRevocation } from './received-revocation.js'
import { describeProvider } from './scenarios.js'

let running: Keycloak | undefined

function theKeycloak(): Keycloak {
  if (running === undefined) throw new Error('Keycloak did not start')
  return running
}

async function start(rps: LiveRps): Promise<RunningProvider> {
  const keycloak = await startKeycloak()
  running = keycloak
  const { issuer, admin, userId, stop } = keycloak
  const registered = clientsOf(rps).map(async ({ name, ...client }) => [
    name,
    await keycloak.register({ clientId: name, ...client }),
  ])
  const realm = async () => (await admin('GET', '')) as { id: string; notBefore?: number }
  return {
    issuer,
    credentials: Object.fromEntries(await Promise.all(registered)),
    browser: () => new LiveBrowser(),
    signIn: (browser, rp, user) => keycloak.signIn(browser, `${rp.origin}/login`, user),
    logOut: (browser, rp) => rp.logOut(browser),
    acts: {
      'an administrator ends the session': ({ sid }) => admin('DELETE', `/sessions/${sid}`),
      'an administrator logs the user out': async ({ user }) => admin('POST', `/users/${await userId(user)}/logout`),
      'an administrator disables the user, and enables it again': async ({ user }) => {
        const id = await userId(user)
        await admin('PUT', `/users/${id}`, { enabled: false })
        await admin('PUT', `/users/${id}`, { enabled: true })
      },
      'an administrator resets the password': async ({ user }) =>
        admin('PUT', `/users/${await userId(user)}/reset-password`, {
          type: 'password',
          value: 'pw',
          temporary: false,
        }),
      'an administrator pushes a not-before': async () => admin('POST', '/push-revocation'),
      'an administrator logs everybody out of the realm': async () => admin('POST', '/logout-all'),
    },
    rotateKeys: async () =>
      admin('POST', '/components', {
        name: `rsa-${randomUUID()}`,
        providerId: 'rsa-generated',
        providerType: 'org.keycloak.keys.KeyProvider',
        parentId: (await realm()).id,
        config: { priority: [String(Date.now())], enabled: ['true'], active: ['true'], algorithm: ['RS256'] },
      }),
    stop,
  }
}

describeProvider(
  {
    name: NAME,
    version: VERSION,
    preset: 'keycloak',
    needs: ['java', 'mvn', 'tar'],
    shape: { typ: 'logout+jwt', alg: 'RS256', lifetimeSeconds: 120, aud: 'string', sub: true, sidIfNotRequired: false },
    delivering: {
      endsEveryBrowser: false,
      tellsInitiator: true,
      userWaits: true,
      hangsUpAfterSeconds: 5,
      triesOn400: 1,
      triesOnFailure: 1,
      codeAfterLogout: 'refused by the provider',
      newKey: 'taken',
    },
    acts: {
      'an administrator ends the session': 'session',
      'an administrator logs the user out': 'user',
      'an administrator disables the user, and enables it again': 'nothing',
      'an administrator resets the password': 'nothing',
      'an administrator pushes a not-before': 'nothing',
      'an administrator logs everybody out of the realm': 'nothing',
    },
    start,
  },
  (live) => {
    describePeculiarities(live, theKeycloak)
    describeTokens(theKeycloak)
    describeRevalidation(theKeycloak)
    describeReceivedRevocation(live)
    describeEndToEnd(live, {
      username: 'frida',
      password: PASSWORD,
      newUser: () => theKeycloak().newUser('frida'),
      sessionsOf: (username) => theKeycloak().sessionsOf(username),
      refusesTarget: 'Invalid redirect uri',
    })
  },
)

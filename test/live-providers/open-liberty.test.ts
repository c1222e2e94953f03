// Open Liberty, through Maven, with a configuration for the clients of one run.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, vi } from 'vitest'
import { dataDirectory, freePort } from '../servers/processes.js'
import { cached, run } from './cache.js'
import { clientsOf } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveRps, RunningProvider } from './live-provider.js'
import { answers, startProgram } from './program.js'
import { describeProvider } from './scenarios.js'

const VERSION = '26.0.0.3'
const CLIENT_SECRET = 'secretsecretsecret'
const PASSWORD = 'pw'

function unpack(): Promise<string> {
  return cached(`open-liberty-${VERSION}`, async (folder) => {
    const artifact = `io.openliberty:openliberty-runtime:${VERSION}:zip`
    // A marker of what it has unpacked before would make it do nothing another time.
    const where = [`-DoutputDirectory=${folder}`, `-DmarkersDirectory=${join(folder, 'markers')}`]
    await run('mvn', ['-q', '-B', 'dependency:unpack', `-Dartifact=${artifact}`, ...where], { cwd: folder })
  })
}

function configuration(port: number, tlsPort: number, rps: LiveRps, rotatesAfterMinutes: number): string {
  const clients = clientsOf(rps)
  return `<server>
  <featureManager><feature>openidConnectServer-1.0</feature><feature>appSecurity-2.0</feature></featureManager>
  <httpEndpoint id="defaultHttpEndpoint" host="127.0.0.1" httpPort="${port}" httpsPort="${tlsPort}"/>
  <keyStore id="defaultKeyStore" password="not-a-secret"/>
  <webAppSecurity ssoRequiresSSL="false" allowFailOverToBasicAuth="true"/>
  <httpSession cookieSecure="false"/>
  <basicRegistry id="basic" realm="op">
    ${['alice', 'bob'].map((name) => `<user name="${name}" password="${PASSWORD}"/>`).join('')}
  </basicRegistry>
  <oauth-roles><authenticated><special-subject type="ALL_AUTHENTICATED_USERS"/></authenticated></oauth-roles>
  <openidConnectProvider id="OP" oauthProviderRef="OAuth" signatureAlgorithm="RS256" jwkEnabled="true" jwkRotationTime="${rotatesAfterMinutes}m"
    issuerIdentifier="http://127.0.0.1:${port}/oidc/endpoint/OP"/>
  <oauthProvider id="OAuth" httpsRequired="false" autoAuthorize="true">
    ${clients.map(({ name }) => `<autoAuthorizeClient>${name}</autoAuthorizeClient>`).join('')}
    <localStore>${clients
      .map(
        ({ name, origin, receiver, sidRequired }) => `
      <client name="${name}" secret="${CLIENT_SECRET}" displayname="${name}" redirect="${origin}/callback"
        scope="openid" preAuthorizedScope="openid" responseTypes="code" grantTypes="authorization_code,refresh_token"
        postLogoutRedirectUris="${origin}/logged-out" backchannelLogoutUri="${receiver}"
        backchannelLogoutSessionRequired="${sidRequired}"/>`,
      )
      .join('')}
    </localStore>
  </oauthProvider>
</server>
`
}

async function start(rps: LiveRps): Promise<RunningProvider> {
  const folder = await unpack()
  const data = dataDirectory('open-liberty')
  const [port, tlsPort] = [await freePort(), await freePort()]
  const origin = `http://127.0.0.1:${port}`
  const server = join(data.path, 'usr/servers/op')
  mkdirSync(server, { recursive: true })
  const configure = (rotatesAfterMinutes: number) =>
    writeFileSync(join(server, 'server.xml'), configuration(port, tlsPort, rps, rotatesAfterMinutes))
  configure(720)
  const issuer = `${origin}/oidc/endpoint/OP`
  const { stop } = await startProgram('sh', {
    args: [join(folder, 'wlp/bin/server'), 'run', 'op'],
    env: { WLP_USER_DIR: join(data.path, 'usr'), JVM_ARGS: '-Xmx512m -XX:TieredStopAtLevel=1' },
    // Its first key is made when somebody asks for it, one for each who asks meanwhile: on a busy machine that takes
    // longer than an RP may wait, and what the first of them got is not what it signs with in the end.
    isReady: async () =>
      (await answers(`${issuer}/.well-known/openid-configuration`)()) && (await answers(`${issuer}/jwk`)()),
    deadlineSeconds: 240,
  })
  return {
    issuer,
    credentials: Object.fromEntries(
      clientsOf(rps).map(({ name }) => [name, { clientId: name, clientSecret: CLIENT_SECRET }]),
    ),
    // The login page leads on to TLS, with a certificate that nobody signed.
    browser: () => new LiveBrowser(undefined, `${origin}/oidc/login.jsp`),
    async signIn(browser, rp, user) {
      const page = await browser.get(`${rp.origin}/login`)
      if (!page.url.startsWith(`${origin}/oidc/login.jsp`)) return page
      return browser.post(`${origin}/oidc/j_security_check`, { j_username: user, j_password: PASSWORD })
    },
    logOut: (browser, rp) => rp.logOut(browser),
    acts: {
      'GET /logout, without a hint': ({ browser }) => browser.get(`${issuer}/logout`),
      'GET /oidc/ibm_security_logout': ({ browser }) => browser.get(`${origin}/oidc/ibm_security_logout`),
    },
    // With an ID Token of the old key as the hint it tells nobody.
    endAfterRotation: ({ browser }) => browser.get(`${issuer}/logout`),
    // It looks at its configuration every half second, and begins anew with keys when that of its keys has changed.
    async rotateKeys() {
      const keys = async () => (await fetch(`${issuer}/jwk`, { signal: AbortSignal.timeout(10_000) })).text()
      const before = await keys()
      configure(700)
      await vi.waitFor(async () => expect(await keys()).not.toBe(before), { timeout: 30_000, interval: 250 })
    },
    stop: async () => {
      await stop()
      data.remove()
    },
  }
}

describeProvider({
  name: 'Open Liberty',
  version: VERSION,
  preset: 'open-liberty',
  needs: ['java', 'mvn', 'sh'],
  shape: { typ: 'logout+jwt', alg: 'RS256', lifetimeSeconds: 120, aud: 'string', sub: true, sidIfNotRequired: true },
  delivering: {
    endsEveryBrowser: true,
    tellsInitiator: true,
    userWaits: true,
    hangsUpAfterSeconds: undefined,
    triesOn400: 1,
    triesOnFailure: 1,
    codeAfterLogout: 'signed in, for nothing was sent',
    newKey: 'taken',
  },
  acts: { 'GET /logout, without a hint': 'user', 'GET /oidc/ibm_security_logout': 'nothing' },
  start,
})

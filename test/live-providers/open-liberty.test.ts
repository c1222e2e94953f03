// Open Liberty, through Maven, with a configuration for the clients of one run.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { dataDirectory, freePort } from '../servers/processes.js'
import { cached, run } from './cache.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveRps, RunningProvider } from './live-provider.js'
import { answers, startProgram } from './program.js'
import { clientsOf, describeProvider } from './scenarios.js'

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

function configuration(port: number, tlsPort: number, rps: LiveRps): string {
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
  <openidConnectProvider id="OP" oauthProviderRef="OAuth" signatureAlgorithm="RS256" jwkEnabled="true"
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
  writeFileSync(join(server, 'server.xml'), configuration(port, tlsPort, rps))
  const issuer = `${origin}/oidc/endpoint/OP`
  const { stop } = await startProgram('sh', {
    args: [join(folder, 'wlp/bin/server'), 'run', 'op'],
    env: { WLP_USER_DIR: join(data.path, 'usr'), JVM_ARGS: '-Xmx512m -XX:TieredStopAtLevel=1' },
    isReady: answers(`${issuer}/.well-known/openid-configuration`),
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
  },
  acts: { 'GET /logout, without a hint': 'user', 'GET /oidc/ibm_security_logout': 'nothing' },
  rotatesKeys: false,
  start,
})

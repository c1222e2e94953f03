// Glewlwyd, of Debian, on an SQLite file.
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { gunzipSync } from 'node:zlib'
import { dataDirectory, freePort } from '../servers/processes.js'
import { run } from './cache.js'
import { clientsOf } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveRps, RunningProvider, User } from './live-provider.js'
import type { LiveRp } from './live-rp.js'
import { answers, startProgram } from './program.js'
import { describeProvider } from './scenarios.js'

const PASSWORD = 'password1'
/** Letters and digits only: it does not decode what stands in an Authorization header. */
const CLIENT_SECRET = 'secretsecretsecret'

async function installedVersion(): Promise<string> {
  const status = await run('dpkg-query', ['--status', 'glewlwyd']).catch(() => '')
  return /^Version: ([\d.]+)/m.exec(status)?.[1] ?? 'not installed'
}

function configuration(folder: string, port: number): string {
  return `
bind_address = "127.0.0.1"
port = ${port}
external_url = "http://127.0.0.1:${port}"
login_url = "login.html"
api_prefix = "api"
log_mode = "console"
log_level = "WARNING"
cookie_secure = 0
session_key = "GLEWLWYD2_SESSION_ID"
session_expiration = 2419200
admin_session_authentication = "cookie"
profile_session_authentication = "cookie"
user_module_path = "/usr/lib/glewlwyd/user"
user_middleware_module_path = "/usr/lib/glewlwyd/user_middleware"
client_module_path = "/usr/lib/glewlwyd/client"
user_auth_scheme_module_path = "/usr/lib/glewlwyd/scheme"
plugin_module_path = "/usr/lib/glewlwyd/plugin"
use_secure_connection = false
# Must be there all the same.
secure_connection_key_file = ""
secure_connection_pem_file = ""
hash_algorithm = "SHA512"
database = { type = "sqlite3"; path = "${folder}/glewlwyd.db"; };
`
}

/** The plugin wants each of its parameters; their defaults stand in the packaged admin page, as JavaScript. */
function pluginDefaults(): object {
  const page = readFileSync('/usr/share/glewlwyd/webapp/admin.js', 'utf8')
  const start = page.indexOf('{"oauth-as-iss-id":!1,"jwt-type":"rsa"')
  return runInNewContext(`(${page.slice(start, page.indexOf(';const ', start))})`)
}

/** The plugin with a new signing key. */
function plugin(origin: string): object {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return {
    ...{ module: 'oidc', name: 'oidc', display_name: 'oidc', order_rank: 0, enabled: true },
    parameters: {
      ...pluginDefaults(),
      iss: `${origin}/api/oidc`,
      key: privateKey,
      cert: publicKey,
      'pkce-allowed': true,
      // Both, or nothing is sent.
      'session-management-allowed': true,
      'back-channel-logout-allowed': true,
    },
  }
}

/** The administrator, signed in. */
async function setUp(origin: string, rps: LiveRps): Promise<LiveBrowser> {
  const administrator = new LiveBrowser()
  const api = (path: string, body: object) => administrator.send('POST', `${origin}/api${path}`, body)
  await api('/auth', { username: 'admin', password: 'password' })
  await api('/mod/plugin/', plugin(origin))
  for (const username of ['alice', 'bob']) {
    await api('/user', { username, name: username, password: PASSWORD, enabled: true, scope: ['openid', 'g_profile'] })
  }
  for (const { name, origin: rp, receiver, sidRequired } of clientsOf(rps)) {
    await api('/client', {
      client_id: name,
      name,
      enabled: true,
      confidential: true,
      scope: [],
      authorization_type: ['code', 'refresh_token'],
      client_secret: CLIENT_SECRET,
      password: CLIENT_SECRET,
      token_endpoint_auth_method: ['client_secret_basic'],
      redirect_uri: [`${rp}/callback`],
      // Texts, not a list and not a boolean.
      post_logout_redirect_uris: `${rp}/logged-out`,
      backchannel_logout_uri: receiver,
      backchannel_logout_session_required: String(sidRequired),
    })
  }
  return administrator
}

async function start(rps: LiveRps): Promise<RunningProvider> {
  const data = dataDirectory('glewlwyd')
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const schema = gunzipSync(readFileSync('/usr/share/doc/glewlwyd/database/init.sqlite3.sql.gz'))
  const scheme = join(data.path, 'schema.sql')
  writeFileSync(scheme, schema)
  await run('sqlite3', [join(data.path, 'glewlwyd.db'), `.read ${scheme}`])
  const file = join(data.path, 'glewlwyd.conf')
  writeFileSync(file, configuration(data.path, port))
  const { stop } = await startProgram('glewlwyd', {
    args: [`--config-file=${file}`],
    isReady: answers(`${origin}/config/`),
  })
  const administrator = await setUp(origin, rps)
  const clientOf = (rp: LiveRp) => clientsOf(rps).find((client) => client.origin === rp.origin)?.name
  const signInThere = (browser: LiveBrowser, user: User) =>
    browser.send('POST', `${origin}/api/auth`, { username: user, password: PASSWORD })
  return {
    issuer: `${origin}/api/oidc`,
    credentials: Object.fromEntries(
      clientsOf(rps).map(({ name }) => [name, { clientId: name, clientSecret: CLIENT_SECRET }]),
    ),
    // The login page is a script that makes two calls and then says `g_continue`.
    browser: () =>
      new LiveBrowser((url) => {
        if (url.pathname === '/api/oidc/auth') url.searchParams.set('g_continue', '')
        return url
      }),
    async signIn(browser, rp, user) {
      await signInThere(browser, user)
      await browser.send('PUT', `${origin}/api/auth/grant/${clientOf(rp)}`, { scope: 'openid' })
      return browser.get(`${rp.origin}/login`)
    },
    // The confirmation page of end_session is a script as well.
    async logOut(browser, rp) {
      const { sid } = (await rp.me(browser)) ?? {}
      await rp.logOut(browser)
      return browser.send('DELETE', `${origin}/api/oidc/session/${sid}`)
    },
    acts: {
      'the session of the login page ends': ({ browser }) => browser.send('DELETE', `${origin}/api/auth/`),
    },
    // It is used from when the plugin is started anew.
    async rotateKeys() {
      const path = `${origin}/api/mod/plugin/oidc`
      await administrator.send('PUT', path, plugin(origin))
      for (const action of ['disable', 'enable']) await administrator.send('PUT', `${path}/${action}`)
    },
    stop: async () => {
      await stop()
      data.remove()
    },
  }
}

describeProvider({
  name: 'Glewlwyd',
  version: await installedVersion(),
  preset: 'glewlwyd',
  needs: ['glewlwyd', 'sqlite3'],
  shape: { typ: 'JWT', alg: 'RS256', lifetimeSeconds: undefined, aud: 'string', sub: true, sidIfNotRequired: false },
  delivering: {
    endsEveryBrowser: false,
    tellsInitiator: true,
    userWaits: false,
    hangsUpAfterSeconds: undefined,
    triesOn400: 1,
    triesOnFailure: 1,
    codeAfterLogout: 'signed in, for nothing was sent',
    newKey: 'taken',
  },
  acts: { 'the session of the login page ends': 'nothing' },
  doctorSays: [
    'the metadata do not announce backchannel_logout_supported; glewlwyd sends Logout Tokens all the same',
    'allowMissingExp: its Logout Tokens carry no exp',
  ],
  start,
})

// Keycloak as a process and as its administrator sees it. Knows no scenario.
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../servers/processes.js'
import { cached, run } from './cache.js'
import type { LiveBrowser, Page } from './live-browser.js'
import type { Credentials } from './live-rp.js'
import { answers, startProgram } from './program.js'
import { type Refreshed, refreshAt } from './token-answers.js'

export const NAME = 'Keycloak / Red Hat build of Keycloak'
export const VERSION = process.env.KEYCLOAK_VERSION || '26.7.3'
const REALM = 'demo'
export const PASSWORD = 'pw'

export interface Keycloak {
  readonly issuer: string
  /** A call of the Admin REST API below this realm; `path` begins with a slash, or is empty for the realm itself. */
  admin(method: string, path: string, body?: object): Promise<unknown>
  register(client: ClientToRegister): Promise<Credentials>
  userId(username: string): Promise<string>
  /** The sessions of that user that Keycloak knows. */
  sessionsOf(username: string): Promise<readonly unknown[]>
  /** What the token endpoint says to a refresh token; throws nothing. */
  refresh(credentials: Credentials, refreshToken: string): Promise<Refreshed>
  newUser(username: string): Promise<void>
  /** Says yes on the page that asks whether a client may. */
  consent(browser: LiveBrowser, page: Page): Promise<Page>
  /** This browser is then that user's, as an administrator's may be. */
  impersonate(browser: LiveBrowser, username: string): Promise<void>
  /** What the account page offers: every session but that of the asking token is ended. */
  signOutOtherDevices(client: Credentials, username: string): Promise<void>
  /** Follows to the login page if there is one, and signs in there. */
  signIn(browser: LiveBrowser, loginUrl: string, username: string): Promise<Page>
  stop(): Promise<void>
}

export interface ClientToRegister {
  readonly clientId: string
  readonly origin: string
  readonly receiver: string
  readonly sidRequired?: boolean
  readonly attributes?: Readonly<Record<string, string>>
  readonly more?: Readonly<Record<string, unknown>>
}

function unpack(): Promise<string> {
  const name = 'keycloak-quarkus-dist'
  return cached(`keycloak-${VERSION}`, async (folder) => {
    const artifact = `org.keycloak:${name}:${VERSION}:tar.gz`
    await run('mvn', ['-q', '-B', 'dependency:copy', `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`])
    const archive = join(folder, `${name}-${VERSION}.tar.gz`)
    await run('tar', ['xzf', archive, '-C', folder, '--strip-components=1'])
    rmSync(archive)
  })
}

export async function startKeycloak(): Promise<Keycloak> {
  const folder = await unpack()
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const { stop } = await startProgram('bin/kc.sh', {
    args: [
      ...['start-dev', '--db=dev-mem', '--cache=local', '--http-host=127.0.0.1'],
      ...[`--http-port=${port}`, `--http-management-port=${await freePort()}`],
    ],
    env: {
      KC_BOOTSTRAP_ADMIN_USERNAME: 'admin',
      KC_BOOTSTRAP_ADMIN_PASSWORD: PASSWORD,
      JAVA_OPTS_KC_HEAP: '-Xms64m -Xmx512m',
      JAVA_OPTS_APPEND: '-XX:TieredStopAtLevel=1',
    },
    cwd: folder,
    isReady: answers(`${origin}/realms/master`),
    deadlineSeconds: 240,
  })
  const admin = (method: string, path: string, body?: object) => call(origin, method, `/${REALM}${path}`, body)
  const keycloak: Keycloak = {
    issuer: `${origin}/realms/${REALM}`,
    admin,
    async register({ clientId, origin, receiver, sidRequired = true, attributes = {}, more = {} }) {
      const clientSecret = 'a secret of the tests'
      await admin('POST', '/clients', {
        clientId,
        secret: clientSecret,
        protocol: 'openid-connect',
        publicClient: false,
        standardFlowEnabled: true,
        redirectUris: [`${origin}/*`],
        attributes: {
          'post.logout.redirect.uris': `${origin}/*`,
          'backchannel.logout.url': receiver,
          // Must be said: a client that is made by this API gets Logout Tokens without `sid` otherwise.
          'backchannel.logout.session.required': String(sidRequired),
          ...attributes,
        },
        ...more,
      })
      return { clientId, clientSecret }
    },
    async userId(username) {
      const found = (await admin('GET', `/users?username=${username}&exact=true`)) as { id: string }[]
      return found[0]?.id ?? ''
    },
    async sessionsOf(username) {
      return (await admin('GET', `/users/${await keycloak.userId(username)}/sessions`)) as unknown[]
    },
    refresh: (credentials, refreshToken) =>
      refreshAt(`${keycloak.issuer}/protocol/openid-connect/token`, credentials, refreshToken),
    newUser: async (username) => {
      // Without an address and both names the login stops at "update your profile".
      const profile = { email: `${username}@example.test`, emailVerified: true, firstName: username, lastName: 'Test' }
      const credentials = [{ type: 'password', value: PASSWORD, temporary: false }]
      await admin('POST', '/users', { username, enabled: true, ...profile, credentials })
    },
    async signIn(browser, loginUrl, username) {
      const page = await browser.get(loginUrl)
      // Where the browser is known there is none, but there may be a page that asks for consent.
      return /name="password"/.test(page.text) ? browser.submit(page, { username, password: PASSWORD }) : page
    },
    consent: (browser, page) => browser.submit(page, { accept: 'Yes' }),
    async impersonate(browser, username) {
      const path = `/admin/realms/${REALM}/users/${await keycloak.userId(username)}/impersonation`
      await browser.send('POST', origin + path, {}, { authorization: `Bearer ${await adminToken(origin)}` })
    },
    async signOutOtherDevices({ clientId, clientSecret }, username) {
      const grant = { grant_type: 'password', client_id: clientId, client_secret: clientSecret, scope: 'openid' }
      const body = new URLSearchParams({ ...grant, username, password: PASSWORD })
      const token = await fetch(`${keycloak.issuer}/protocol/openid-connect/token`, { method: 'POST', body })
      // It serves the page of that address to whoever does not ask for JSON.
      const accept = 'application/json'
      const headers = { accept, authorization: `Bearer ${JSON.parse(await token.text()).access_token}` }
      const { status } = await fetch(`${keycloak.issuer}/account/sessions`, { method: 'DELETE', headers })
      if (status !== 204) throw new Error(`DELETE /account/sessions: ${status}`)
    },
    stop,
  }
  await call(origin, 'POST', '', { realm: REALM, enabled: true, sslRequired: 'none' })
  for (const username of ['alice', 'bob']) await keycloak.newUser(username)
  return keycloak
}

async function call(origin: string, method: string, path: string, body?: object): Promise<unknown> {
  const url = `${origin}/admin/realms${path}`
  const headers = { authorization: `Bearer ${await adminToken(origin)}`, 'content-type': 'application/json' }
  const response = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
  return text === '' ? undefined : JSON.parse(text)
}

/** Lives for a minute only, so it is taken anew for each call. */
async function adminToken(origin: string): Promise<string> {
  const grant = { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: PASSWORD }
  const url = `${origin}/realms/master/protocol/openid-connect/token`
  const response = await fetch(url, { method: 'POST', body: new URLSearchParams(grant) })
  return JSON.parse(await response.text()).access_token
}

// Ory Hydra, built through the Go module proxy, with login and consent pages that accept whoever comes.
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { listen } from '../../example-app/listen.js'
import { freePort } from '../servers/processes.js'
import { cached, run } from './cache.js'
import { clientsOf } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveProvider, LiveRps, RunningProvider } from './live-provider.js'
import { answers, startProgram } from './program.js'
import { describeProvider } from './scenarios.js'

const VERSION = '2.3.0'

/** The `replace` is Hydra's own: one in a dependency does not count, so it is said again. */
const GO_MOD = `module example.test/hydra

go 1.24

replace github.com/gobuffalo/pop/v6 => github.com/ory/pop/v6 v6.2.1-0.20241121111754-e5dfc0f3344b
`

async function build(): Promise<string> {
  const folder = await cached(`hydra-${VERSION}`, async (folder) => {
    writeFileSync(join(folder, 'go.mod'), GO_MOD)
    const inFolder = { cwd: folder, env: { GOFLAGS: '-mod=mod' } }
    await run('go', ['get', '-tool', `github.com/ory/hydra/v2@v${VERSION}`], inFolder)
    const built = ['-tags', 'sqlite,json1', '-p', '2', '-o', join(folder, 'hydra')]
    await run('go', ['build', ...built, 'github.com/ory/hydra/v2'], { cwd: folder })
  })
  return join(folder, 'hydra')
}

type Call = (method: string, path: string, body?: object) => Promise<Readonly<Record<string, unknown>>>

function adminOf(origin: string): Call {
  return async (method, path, body) => {
    const headers = { 'content-type': 'application/json' }
    const response = await fetch(`${origin}/admin${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return text === '' ? {} : JSON.parse(text)
  }
}

/** What each page accepts, at once. */
function acceptance(kind: string, asked: Readonly<Record<string, unknown>>): object {
  if (kind === 'consent') return { grant_scope: asked.requested_scope, remember: true }
  if (kind !== 'login') return {}
  const { login_hint } = Object(asked.oidc_context)
  // Only a session that is remembered can be ended by an administrator.
  return { subject: asked.skip ? asked.subject : login_hint, remember: true, remember_for: 3600 }
}

async function servePages(admin: Call) {
  const listening = await listen(0)
  listening.server.on('request', async (req, res) => {
    const url = new URL(req.url ?? '/', listening.url)
    const kind = url.pathname.slice(1)
    const path = `/oauth2/auth/requests/${kind}`
    const query = `?${kind}_challenge=${url.searchParams.get(`${kind}_challenge`)}`
    try {
      const accepted = acceptance(kind, await admin('GET', path + query))
      const { redirect_to } = await admin('PUT', `${path}/accept${query}`, accepted)
      res.writeHead(302, { location: String(redirect_to) }).end()
    } catch (error) {
      res.writeHead(500).end(String(error))
    }
  })
  return listening
}

async function start(rps: LiveRps): Promise<RunningProvider> {
  const program = await build()
  const [publicPort, adminPort] = [await freePort(), await freePort()]
  const issuer = `http://127.0.0.1:${publicPort}`
  const admin = adminOf(`http://127.0.0.1:${adminPort}`)
  const pages = await servePages(admin)
  const { stop } = await startProgram(program, {
    args: ['serve', 'all', '--dev'],
    env: {
      DSN: 'memory',
      SECRETS_SYSTEM: 'not-a-secret-but-of-enough-length',
      LOG_LEVEL: 'warn',
      SERVE_PUBLIC_HOST: '127.0.0.1',
      SERVE_PUBLIC_PORT: String(publicPort),
      SERVE_ADMIN_HOST: '127.0.0.1',
      SERVE_ADMIN_PORT: String(adminPort),
      URLS_SELF_ISSUER: issuer,
      URLS_SELF_PUBLIC: issuer,
      URLS_LOGIN: `${pages.url}/login`,
      URLS_CONSENT: `${pages.url}/consent`,
      URLS_LOGOUT: `${pages.url}/logout`,
    },
    // It makes its keys when they are asked for the first time, which takes seconds.
    isReady: answers(`${issuer}/.well-known/jwks.json`),
    deadlineSeconds: 120,
  })
  const credentials = { clientSecret: 'a secret of the tests' }
  for (const { name, origin, receiver, sidRequired } of clientsOf(rps)) {
    await admin('POST', '/clients', {
      client_id: name,
      client_secret: credentials.clientSecret,
      scope: 'openid',
      redirect_uris: [`${origin}/callback`],
      post_logout_redirect_uris: [`${origin}/logged-out`],
      backchannel_logout_uri: receiver,
      backchannel_logout_session_required: sidRequired,
    })
  }
  const subjects = (user: string) => `subject=${user}`
  return {
    issuer,
    credentials: Object.fromEntries(clientsOf(rps).map(({ name }) => [name, { clientId: name, ...credentials }])),
    browser: (user) =>
      new LiveBrowser((url) => {
        if (url.origin === issuer && url.pathname === '/oauth2/auth') url.searchParams.set('login_hint', user)
        return url
      }),
    signIn: (browser, rp) => browser.get(`${rp.origin}/login`),
    logOut: (browser, rp) => rp.logOut(browser),
    acts: {
      'an administrator ends the session': ({ sid }) => admin('DELETE', `/oauth2/auth/sessions/login?sid=${sid}`),
      'an administrator ends every session of the subject': ({ user }) =>
        admin('DELETE', `/oauth2/auth/sessions/login?${subjects(user)}`),
      "an administrator revokes the subject's consent": ({ user }) =>
        admin('DELETE', `/oauth2/auth/sessions/consent?${subjects(user)}&all=true`),
    },
    endAfterRotation: ({ sid }) => admin('DELETE', `/oauth2/auth/sessions/login?sid=${sid}`),
    rotateKeys: () => admin('POST', '/keys/hydra.openid.id-token', { alg: 'RS256', use: 'sig', kid: randomUUID() }),
    async stop() {
      await stop()
      await pages.close()
    },
  }
}

const HYDRA: LiveProvider = {
  name: 'Ory Hydra',
  version: VERSION,
  preset: 'ory-hydra',
  needs: ['go'],
  shape: { typ: 'JWT', alg: 'RS256', lifetimeSeconds: undefined, aud: 'array', sub: false, sidIfNotRequired: true },
  delivering: {
    endsEveryBrowser: false,
    tellsInitiator: true,
    userWaits: false,
    hangsUpAfterSeconds: undefined,
    triesOn400: 1,
    triesOnFailure: 2,
    codeAfterLogout: 'ended by the mark',
    newKey: 'taken',
  },
  acts: {
    'an administrator ends the session': 'session',
    'an administrator ends every session of the subject': 'nothing',
    "an administrator revokes the subject's consent": 'nothing',
  },
  start,
}

describeProvider(HYDRA, (live) => {
  it('after a change of keys it does not take the hint of an older ID Token: the user is logged out at one RP only', async () => {
    const { rps, rotateKeys, signedIn, logOut } = live()
    const { browser } = await signedIn('alice')
    await rotateKeys()
    const page = await logOut(browser, rps.a, 'alice')
    expect(page).toMatchObject({ status: 500, url: expect.stringContaining('/oauth2/fallbacks/error') })
    expect(await rps.a.me(browser)).toBeUndefined()
    expect(await rps.b.me(browser)).toBeDefined()
    expect(rps.b.deliveries).toEqual([])
  })
})

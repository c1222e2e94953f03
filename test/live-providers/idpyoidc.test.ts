// idpyoidc, the Python library behind certification tools, in a Flask application of a hundred lines.
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { dataDirectory, freePort } from '../servers/processes.js'
import { cached, run } from './cache.js'
import { clientsOf, untilSignedOut } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveRps, RunningProvider } from './live-provider.js'
import { answers, startProgram } from './program.js'
import { describeProvider } from './scenarios.js'

const VERSION = '5.0.0'
const SOURCE = join(import.meta.dirname, 'idpyoidc')
const CLIENT_SECRET = 'secretsecretsecretsecretsecret12'

/** Packages in a folder, not a virtual environment, which would know the path where it was made. */
async function install(): Promise<string> {
  // What is compiled in it is for one Python only.
  const python = (await run('python3', ['-c', 'import sys; print(sys.implementation.cache_tag)'])).trim()
  return cached(`idpyoidc-${VERSION}-${python}`, async (folder) => {
    const requirements = join(SOURCE, 'requirements.txt')
    await run('python3', ['-m', 'pip', 'install', '--quiet', '--target', folder, '--requirement', requirements])
  })
}

const browserOf = (issuer: string, user: string) =>
  new LiveBrowser((url) => {
    if (url.origin === issuer && url.pathname === '/authorization') url.searchParams.set('login_hint', user)
    return url
  })

async function start(rps: LiveRps): Promise<RunningProvider> {
  const packages = await install()
  const data = dataDirectory('idpyoidc')
  const port = await freePort()
  const issuer = `http://127.0.0.1:${port}`
  const clients = clientsOf(rps)
  const { stop } = await startProgram('python3', {
    args: [join(SOURCE, 'op.py')],
    env: {
      PYTHONPATH: packages,
      PYTHONDONTWRITEBYTECODE: '1',
      PORT: String(port),
      WORK: data.path,
      CLIENTS: JSON.stringify(clients),
      CLIENT_SECRET,
    },
    cwd: data.path,
    isReady: answers(`${issuer}/.well-known/openid-configuration`),
  })
  return {
    issuer,
    credentials: Object.fromEntries(clients.map(({ name }) => [name, { clientId: name, clientSecret: CLIENT_SECRET }])),
    // A user for each browser: of a user who has had several sessions it ends the first, whether it still lives or not.
    browser: (user) => browserOf(issuer, `${user} ${randomUUID()}`),
    signIn: (browser, rp) => browser.get(`${rp.origin}/login`),
    logOut: async (browser, rp) => {
      // It takes a hint only from the client at which this browser signed in last, so the user goes there alone as
      // well.
      await rp.logOut(browser)
      return browser.get(`${issuer}/session`)
    },
    acts: {},
    rotateKeys: async () => {
      const { ok, status } = await fetch(`${issuer}/rotate`, { method: 'POST' })
      if (!ok) throw new Error(`POST /rotate: ${status}`)
    },
    stop: async () => {
      await stop()
      data.remove()
    },
  }
}

describeProvider(
  {
    name: 'idpyoidc',
    version: VERSION,
    preset: undefined,
    needs: ['python3'],
    shape: { typ: undefined, alg: 'RS256', lifetimeSeconds: 86_400, aud: 'array', sub: false, sidIfNotRequired: true },
    delivering: {
      endsEveryBrowser: false,
      tellsInitiator: true,
      userWaits: true,
      hangsUpAfterSeconds: undefined,
      triesOn400: 1,
      triesOnFailure: 1,
      codeAfterLogout: 'signed in, for nothing was sent',
      newKey: 'taken',
    },
    acts: {},
    doctorWarns: ['backchannel_logout_session_supported is not announced'],
    start,
  },
  (live) => {
    it('a user who signs in in a second browser: the logout there names the session of the first, and ends that', async () => {
      const { rps, issuer, signIn, logOut } = live()
      const [first, second] = [browserOf(issuer, 'carol'), browserOf(issuer, 'carol')]
      for (const browser of [first, second]) {
        for (const rp of [rps.a, rps.b]) await signIn(browser, rp, 'alice')
      }
      await logOut(second, rps.a, 'alice')
      await untilSignedOut(rps.b, first)
      expect(await rps.b.me(second)).toBeDefined()
    })
  },
)

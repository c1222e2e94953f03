// better-auth with its OAuth provider plugin.
import { copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../servers/processes.js'
import { cached, run } from './cache.js'
import { clientsOf } from './live.js'
import { LiveBrowser } from './live-browser.js'
import type { LiveRps, RunningProvider, User } from './live-provider.js'
import { answers, startProgram } from './program.js'
import { describeProvider } from './scenarios.js'

const VERSION = '1.7.5'
const SOURCE = join(import.meta.dirname, 'better-auth')

function install(): Promise<string> {
  return cached(`better-auth-${VERSION}`, async (folder) => {
    for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(SOURCE, file), join(folder, file))
    await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder })
  })
}

async function start(rps: LiveRps): Promise<RunningProvider> {
  const folder = await install()
  const program = join(folder, 'op.mjs')
  copyFileSync(join(SOURCE, 'op.mjs'), program)
  const port = await freePort()
  const origin = `http://127.0.0.1:${port}`
  const issuer = `${origin}/api/auth`
  const { stop } = await startProgram(process.execPath, {
    args: [program],
    env: { PORT: String(port), CLIENTS: JSON.stringify(clientsOf(rps)) },
    isReady: answers(`${origin}/clients`),
  })
  const signInThere = (browser: LiveBrowser, user: User) =>
    browser.send('POST', `${issuer}/sign-in/email`, { email: `${user}@example.test`, password: 'password1' })
  return {
    issuer,
    credentials: JSON.parse(await (await fetch(`${origin}/clients`)).text()),
    browser: () => new LiveBrowser(),
    async signIn(browser, rp, user) {
      const page = await browser.get(`${rp.origin}/login`)
      if (!page.url.startsWith(`${origin}/sign-in`)) return page
      await signInThere(browser, user)
      return browser.get(`${rp.origin}/login`)
    },
    logOut: (browser, rp) => rp.logOut(browser),
    acts: {
      'sign-out': ({ browser }) => browser.send('POST', `${issuer}/sign-out`, {}),
      'revoke-sessions': ({ browser }) => browser.send('POST', `${issuer}/revoke-sessions`, {}),
      'change-password, other sessions not revoked': ({ browser }) =>
        browser.send('POST', `${issuer}/change-password`, { currentPassword: 'password1', newPassword: 'password1' }),
    },
    rotateKeys: () => fetch(`${origin}/rotate`, { method: 'POST' }),
    stop,
  }
}

describeProvider({
  name: 'better-auth oauth-provider',
  version: VERSION,
  preset: 'better-auth',
  needs: ['npm'],
  shape: { typ: 'logout+jwt', alg: 'EdDSA', lifetimeSeconds: 120, aud: 'string', sub: true, sidIfNotRequired: true },
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
    'sign-out': 'session',
    'revoke-sessions': 'user',
    'change-password, other sessions not revoked': 'nothing',
  },
  start,
})

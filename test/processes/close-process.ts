// A Relying Party alone with its provider: it begins what the test says, is closed when it is told, and then nothing of
// its own keeps it up.
import session from 'express-session'
import { createBackchannelLogout, expressSessions } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'
import { onTold, sayReady, settings } from './settings.js'

const { issuer, begin } = settings<{ readonly issuer: string; readonly begin: 'prepare' | 'login' | 'logout' }>()
const client = { issuer, clientId: 'rp' }
const mint = await createTokenMint(client)
const rows = new session.MemoryStore()
const logout = createBackchannelLogout<{ readonly sessionId: string }>({
  provider: {
    ...client,
    ...(begin === 'logout' && { jwks: mint.jwks }),
    requestTimeoutSeconds: 10,
    clientAuthentication: { method: 'client_secret_basic', clientSecret: 'a client secret' },
  },
  sessions: expressSessions(rows),
  warnings: false,
})
const rpInitiated = logout.rpInitiatedLogout({
  redirectUris: { 'logged-out': 'https://app.example.com/logged-out' },
  secret: 'a secret of more than thirty-two characters',
  recordIn: (row) => row.logout,
  revokeAfterSeconds: 0,
})

onTold(() => {
  logout.close()
  process.channel?.unref()
})
sayReady({})

const claims = { iss: issuer, aud: client.clientId, sub: 'ada', sid: 's1', iat: Math.floor(Date.now() / 1000) }
if (begin === 'prepare') await logout.prepare()
else await logout.bind({ sessionId: 'one' }, claims)
if (begin === 'logout') {
  const record = await rpInitiated.record(claims, 'an ID Token', undefined, { refreshToken: 'a refresh token' })
  rows.set('one', { cookie: {}, logout: record } as never)
  const body = new URLSearchParams({ logout_token: await mint.logoutToken({ payload: { sub: 'ada', sid: 's1' } }) })
  await logout.fetch(new Request('https://app.example.com/logout', { method: 'POST', body }))
}

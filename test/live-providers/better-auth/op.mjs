// better-auth as an OpenID Provider in memory, with the clients that CLIENTS lists. GET /clients tells their
// credentials, POST /rotate lets the signing key expire: what an operator does by its database. Knows no Relying Party
// but by those origins.
import { createServer } from 'node:http'
import { oauthProvider } from '@better-auth/oauth-provider'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { toNodeHandler } from 'better-auth/node'
import { jwt } from 'better-auth/plugins'

const { PORT, CLIENTS } = process.env
const origin = `http://127.0.0.1:${PORT}`
const tables = [
  ...['user', 'session', 'account', 'verification', 'jwks', 'rateLimit', 'oauthClient', 'oauthAccessToken'],
  ...['oauthRefreshToken', 'oauthConsent', 'oauthResource', 'oauthClientResource', 'oauthClientAssertion'],
]
const db = Object.fromEntries(tables.map((table) => [table, []]))
const auth = betterAuth({
  baseURL: origin,
  secret: 'not-a-secret-but-long-enough-to-be-taken',
  database: memoryAdapter(db),
  emailAndPassword: { enabled: true },
  rateLimit: { enabled: false },
  plugins: [jwt(), oauthProvider({ loginPage: '/sign-in', consentPage: '/consent', scopes: ['openid'] })],
})
const handle = toNodeHandler(auth)
const credentials = {}

const json = (res, value) => res.setHeader('content-type', 'application/json').end(JSON.stringify(value))

const server = createServer(async (req, res) => {
  if (req.url === '/clients') return json(res, credentials)
  if (req.url === '/rotate') {
    for (const key of db.jwks) key.expiresAt = new Date(Date.now() - 1000)
    return json(res, {})
  }
  // Discovery is not served below the issuer (…/api/auth) by itself.
  if (req.url.endsWith('/.well-known/openid-configuration')) return json(res, await auth.api.getOpenIdConfig({}))
  return handle(req, res)
})

async function register({ name, origin: rp, receiver, sidRequired }, cookie) {
  const client = await auth.api.adminCreateOAuthClient({
    headers: new Headers({ cookie }),
    body: {
      client_name: name,
      redirect_uris: ['https://rp.example.com/callback'],
      post_logout_redirect_uris: ['https://rp.example.com/logged-out'],
      skip_consent: true,
      enable_end_session: true,
      token_endpoint_auth_method: 'client_secret_basic',
    },
  })
  // Registration takes https alone: loopback addresses are written into the row.
  Object.assign(
    db.oauthClient.find(({ clientId }) => clientId === client.client_id),
    {
      redirectUris: [`${rp}/callback`],
      postLogoutRedirectUris: [`${rp}/logged-out`],
      backchannelLogoutUri: receiver,
      backchannelLogoutSessionRequired: sidRequired,
    },
  )
  credentials[name] = { clientId: client.client_id, clientSecret: client.client_secret }
}

const accounts = ['admin', 'alice', 'bob'].map((name) => ({
  email: `${name}@example.test`,
  password: 'password1',
  name,
}))
for (const body of accounts) await auth.api.signUpEmail({ body })
const signedIn = await auth.api.signInEmail({ body: accounts[0], asResponse: true })
const cookie = signedIn.headers
  .getSetCookie()
  .map((line) => line.split(';')[0])
  .join('; ')
for (const client of JSON.parse(CLIENTS)) await register(client, cookie)
server.listen(Number(PORT), '127.0.0.1')

// The fake OP as a client library sees it: a login by code and PKCE, and what can be done with its tokens.
import { createServer } from 'node:http'
import * as oidc from 'openid-client'
import { afterEach, describe, expect, it } from 'vitest'
import { createBackchannelLogout } from '../../src/index.js'
import { PRESET_NAMES, type PresetName, preset } from '../../src/providers/presets.js'
import { createFakeOp, type FakeOpOptions, type SignedInBrowser } from '../../src/testing/fake-op.js'

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

const SECRET = 'a secret: + %2F'
const REDIRECT_URI = 'http://127.0.0.1:9/callback'

async function start(options: Partial<FakeOpOptions> = {}) {
  const op = await createFakeOp({ clientId: 'my rp: 1', clientSecret: SECRET, ...options })
  toClose.push(op.close)
  const client = await oidc.discovery(new URL(op.issuer), op.clientId, undefined, oidc.ClientSecretBasic(SECRET), {
    execute: [oidc.allowInsecureRequests],
  })
  return { op, client }
}

/** The address to which the OP sends the browser back. */
async function authorize(client: oidc.Configuration, browser: SignedInBrowser, more: Record<string, string> = {}) {
  const verifier = oidc.randomPKCECodeVerifier()
  const url = oidc.buildAuthorizationUrl(client, {
    redirect_uri: REDIRECT_URI,
    scope: 'openid offline_access',
    state: 'a state',
    nonce: 'a nonce',
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...more,
  })
  const { headers } = await browser.request(url)
  return { callback: new URL(headers.get('location') ?? ''), verifier }
}

async function login(client: oidc.Configuration, browser: SignedInBrowser) {
  const { callback, verifier } = await authorize(client, browser)
  const checks = { expectedState: 'a state', expectedNonce: 'a nonce', pkceCodeVerifier: verifier }
  return oidc.authorizationCodeGrant(client, callback, checks)
}

describe('the login of the fake OP', () => {
  it('signs a named user in, whose ID Token names the session of the browser', async () => {
    const { op, client } = await start()
    const browser = op.openBrowser('ada')
    const tokens = await login(client, browser)
    expect(tokens.claims()).toMatchObject({ ...browser.session, sub: 'ada', iss: op.issuer, nonce: 'a nonce' })
    expect(await oidc.fetchUserInfo(client, tokens.access_token, 'ada')).toMatchObject({ sub: 'ada' })
    expect(op.seen).toMatchObject({ authorize: 1, token: 1, userinfo: 1 })
  })

  it('refreshes, introspects and revokes', async () => {
    const { op, client } = await start()
    const browser = op.openBrowser('ada')
    const first = await login(client, browser)
    const second = await oidc.refreshTokenGrant(client, first.refresh_token ?? '')
    expect(second.claims()).toMatchObject(browser.session)
    await expect(oidc.refreshTokenGrant(client, first.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
    })
    expect(await oidc.tokenIntrospection(client, second.access_token)).toMatchObject({
      active: true,
      ...browser.session,
    })
    await oidc.tokenRevocation(client, second.access_token)
    expect(await oidc.tokenIntrospection(client, second.access_token)).toEqual({ active: false })
  })

  it('takes a code once, with its verifier, from its client', async () => {
    const { op, client } = await start()
    const { callback, verifier } = await authorize(client, op.openBrowser('ada'))
    const checks = { expectedState: 'a state', expectedNonce: 'a nonce' }
    await expect(
      oidc.authorizationCodeGrant(client, callback, { ...checks, pkceCodeVerifier: oidc.randomPKCECodeVerifier() }),
    ).rejects.toMatchObject({ error: 'invalid_grant' })
    await expect(
      oidc.authorizationCodeGrant(client, callback, { ...checks, pkceCodeVerifier: verifier }),
    ).rejects.toMatchObject({ error: 'invalid_grant' })
    const stranger = await oidc.discovery(
      new URL(op.issuer),
      op.clientId,
      undefined,
      oidc.ClientSecretPost('another'),
      {
        execute: [oidc.allowInsecureRequests],
      },
    )
    await expect(login(stranger, op.openBrowser('ada'))).rejects.toMatchObject({ error: 'invalid_client' })
  })

  it('asks nobody in with prompt=none, and begins a session with prompt=login', async () => {
    const { op, client } = await start()
    const browser = op.openBrowser('ada')
    const { callback } = await authorize(client, browser, { prompt: 'login' })
    expect(callback.searchParams.has('code')).toBe(true)
    await op.logOut({ sub: 'ada' }, { to: 'http://127.0.0.1:9/' })
    const silent = await authorize(client, browser, { prompt: 'none' })
    expect(silent.callback.searchParams.get('error')).toBe('login_required')
  })

  it('notifies the registered URI when somebody logs out at its end session endpoint, and ends the tokens', async () => {
    const { op, client } = await start()
    const received: string[] = []
    const receiver = createServer(async (req, res) => {
      let body = ''
      for await (const chunk of req) body += chunk
      received.push(new URLSearchParams(body).get('logout_token') ?? '')
      res.end()
    })
    await new Promise<void>((listening) => receiver.listen(0, '127.0.0.1', listening))
    toClose.push(() => new Promise((closed) => receiver.close(() => closed())))
    const address = receiver.address()
    op.backchannelLogoutUri = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`
    const browser = op.openBrowser('ada')
    const tokens = await login(client, browser)
    const url = oidc.buildEndSessionUrl(client, {
      id_token_hint: tokens.id_token ?? '',
      post_logout_redirect_uri: 'http://127.0.0.1:9/bye',
      state: 's',
    })
    const { headers } = await browser.request(url)
    expect(headers.get('location')).toBe('http://127.0.0.1:9/bye?state=s')
    const claims = JSON.parse(Buffer.from(received[0]?.split('.')[1] ?? '', 'base64url').toString())
    expect(claims).toMatchObject({ iss: op.issuer, aud: op.clientId, ...browser.session })
    expect(received).toHaveLength(1)
    expect(await oidc.tokenIntrospection(client, tokens.access_token)).toEqual({ active: false })
  })
})

describe('the fake OP as a known provider', () => {
  it.each(PRESET_NAMES as readonly PresetName[])('%s: its Logout Tokens are taken with its preset', async (name) => {
    const op = await createFakeOp({ clientId: 'my-rp', as: name })
    toClose.push(op.close)
    const logout = createBackchannelLogout({ provider: { ...preset(name), issuer: op.issuer, clientId: 'my-rp' } })
    expect(await answerTo(logout.fetch, await op.mint.logoutToken())).toBe(200)
    expect(op.fetches.discovery).toBe(1)
  })

  it.each<PresetName>(['ory-hydra', 'identityserver4', 'govuk-one-login'])(
    '%s: and some are refused without it',
    async (name) => {
      const op = await createFakeOp({ clientId: 'my-rp', as: name })
      toClose.push(op.close)
      const logout = createBackchannelLogout({ provider: { issuer: op.issuer, clientId: 'my-rp' } })
      expect(await answerTo(logout.fetch, await op.mint.logoutToken())).toBe(400)
    },
  )
})

async function answerTo(receiver: (request: Request) => Promise<Response>, token: string): Promise<number> {
  const body = new URLSearchParams({ logout_token: token })
  return (await receiver(new Request('https://rp.example.com/backchannel-logout', { method: 'POST', body }))).status
}

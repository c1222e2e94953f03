// The modules of the OpenID Foundation's suite for the RP profiles "RP-Initiated" and "Front-Channel", under their
// names there, against the example's RP. The suite looks at what the RP sends; here it is also looked at who is signed
// in afterwards.
import { randomBytes } from 'node:crypto'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createRp, type Rp } from '../../example-app/relying-party.js'
import { createFakeOp, type FakeOp, type SignedInBrowser } from '../../src/testing/index.js'

let op: FakeOp
let rp: Rp
let listening: Listening

beforeEach(async () => {
  op = await createFakeOp({ clientId: 'rp' })
  listening = await listen(0)
  rp = createRp({
    issuer: op.issuer,
    clientId: 'rp',
    clientSecret: 'a secret',
    baseUrl: listening.url,
    sessionSecret: 'another secret',
    onEvent: () => {},
  })
  listening.server.on('request', rp.app)
})

afterEach(async () => {
  rp.close()
  await listening.close()
  await op.close()
})

const at = (path: string) => `${listening.url}${path}`

async function signedIn(sub: string): Promise<SignedInBrowser> {
  const browser = op.openBrowser(sub)
  await browser.get(at('/login'))
  expect(await whoIsAt(browser)).toBe(sub)
  return browser
}

async function whoIsAt(browser: SignedInBrowser): Promise<unknown> {
  const page = await browser.get(at('/me'))
  return page.status === 200 ? JSON.parse(page.text).sub : page.status
}

/** Presses "Log out", and stops where the OP would take over. */
async function logOut(browser: SignedInBrowser): Promise<URL> {
  const answer = await browser.request(at('/logout'), { method: 'POST', headers: { origin: listening.url } })
  expect(answer.status).toBe(303)
  return new URL(answer.headers.get('location') ?? '')
}

/** Comes back from the OP with this query. */
const land = (browser: SignedInBrowser, query: string) => browser.get(at(`/logged-out${query}`))

describe('RP-Initiated Logout', () => {
  it('oidcc-client-test-rp-init-logout: a valid hint, the registered redirect, a state that comes back', async () => {
    const browser = await signedIn('ada')
    const thief = browser.copy()
    const other = await signedIn('grace')
    const request = await logOut(browser)
    expect(`${request.origin}${request.pathname}`).toBe(`${op.issuer}/logout`)
    const { id_token_hint: hint = '', ...rest } = Object.fromEntries(request.searchParams)
    expect(rest).toEqual({
      client_id: 'rp',
      post_logout_redirect_uri: at('/logged-out'),
      state: expect.stringMatching(/^[\w-]{22,}$/),
    })
    const keys = createRemoteJWKSet(new URL(op.jwksUri))
    const { payload } = await jwtVerify(hint, keys, { issuer: op.issuer, audience: 'rp' })
    expect(payload).toMatchObject({ sub: 'ada', sid: browser.session.sid })
    expect((await thief.get(at('/me'))).status).toBe(401)

    const page = await browser.get(request)
    expect(page.url.href).toBe(at(`/logged-out?state=${rest.state}`))
    expect(page.text).toContain('was told as well')
    expect(await whoIsAt(browser)).toBe(401)
    expect(await whoIsAt(other)).toBe('grace')
  })

  it.each([
    ['oidcc-client-test-rp-init-logout-other-state', () => `?state=${randomBytes(16).toString('hex')}`],
    ['oidcc-client-test-rp-init-logout-no-state', () => ''],
  ])('%s: noticed, the user is logged out all the same, and nothing else happens', async (_module, query) => {
    const browser = await signedIn('ada')
    const other = await signedIn('grace')
    await logOut(browser)
    const page = await land(browser, query())
    expect(page.status).toBe(200)
    expect(page.url.pathname).toBe('/logged-out')
    expect(page.text).toContain('was not the expected one')
    expect(await whoIsAt(browser)).toBe(401)
    expect(await whoIsAt(other)).toBe('grace')
  })

  it('the landing page alone logs nobody out, and a state of nobody is nothing', async () => {
    const browser = await signedIn('ada')
    const page = await land(browser, '?state=forged')
    expect(page.status).toBe(200)
    expect(page.text).not.toContain('not the expected one')
    expect(await whoIsAt(browser)).toBe('ada')
  })
})

describe('Front-Channel Logout', () => {
  const frame = (parameters: Record<string, string>) =>
    fetch(at(`/frontchannel-logout?${new URLSearchParams(parameters)}`))

  it('oidcc-client-test-rp-frontchannel-rpinitlogout: the frame comes while the RP’s own logout is on its way', async () => {
    const browser = await signedIn('ada')
    const request = await logOut(browser)
    const answer = await frame({ iss: op.issuer, sid: browser.session.sid })
    expect([answer.status, answer.headers.get('cache-control')]).toEqual([200, 'no-store'])
    const page = await browser.get(request)
    expect(page.text).toContain('was told as well')
    expect(await whoIsAt(browser)).toBe(401)
  })

  it('oidcc-client-test-rp-frontchannel-opinitlogout: the OP’s frame ends that session and no other', async () => {
    const browser = await signedIn('ada')
    const phone = await signedIn('ada')
    const other = await signedIn('grace')
    const answer = await frame({ iss: op.issuer, sid: browser.session.sid })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-frame-options')).toBeNull()
    expect(await whoIsAt(browser)).toBe(401)
    expect(await whoIsAt(phone)).toBe('ada')
    expect(await whoIsAt(other)).toBe('grace')
  })

  it('a frame with the wrong issuer, or without a sid, ends nobody', async () => {
    const browser = await signedIn('ada')
    expect((await frame({ iss: `${op.issuer}/`, sid: browser.session.sid })).status).toBe(400)
    expect((await frame({ iss: op.issuer })).status).toBe(400)
    expect((await frame({ sid: browser.session.sid })).status).toBe(400)
    expect(await whoIsAt(browser)).toBe('ada')
  })
})

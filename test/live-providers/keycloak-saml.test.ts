// Keycloak as a SAML identity provider, beside the program of docs/recipes/saml.md: what it sends at a logout, by which
// way, and what is left of whom.
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { keysOf } from '../saml/keys.js'
import { type RunningProgram, reserveOrigin, run, unpack } from '../stacks/recipe.js'
import { describeWhere } from './cache.js'
import { type Keycloak, startKeycloak } from './keycloak.js'
import { LiveBrowser, type Page } from './live-browser.js'

describeWhere(['java', 'mvn', 'tar', 'openssl'])('Keycloak as a SAML identity provider', () => {
  let keycloak: Keycloak
  let program: RunningProgram
  let origin: string
  let client: string

  beforeAll(async () => {
    keycloak = await startKeycloak()
    const reserved = await reserveOrigin()
    origin = reserved.origin
    const clientId = `${origin}/saml`
    await keycloak.admin('POST', '/clients', {
      clientId,
      protocol: 'saml',
      frontchannelLogout: true,
      redirectUris: [`${origin}/*`],
      attributes: {
        'saml.server.signature': 'true',
        'saml.assertion.signature': 'true',
        'saml.client.signature': 'true',
        'saml.signature.algorithm': 'RSA_SHA256',
        'saml.signing.certificate': keysOf('sp').cert.replaceAll(/-----[^-]+-----|\s/g, ''),
        'saml.authnstatement': 'true',
        saml_name_id_format: 'persistent',
        saml_assertion_consumer_url_post: `${origin}/saml/acs`,
        saml_single_logout_service_url_redirect: `${origin}/saml/slo`,
      },
    })
    const [{ id }] = (await keycloak.admin('GET', `/clients?clientId=${encodeURIComponent(clientId)}`)) as [
      { id: string },
    ]
    client = id
    const descriptor = await (await fetch(`${keycloak.issuer}/protocol/saml/descriptor`)).text()
    const env = {
      BASE_URL: origin,
      SESSION_SECRET: 'a secret of more than thirty-two characters',
      SP_KEY: keysOf('sp').key,
      IDP_CERT: /X509Certificate>([^<]+)</.exec(descriptor)?.[1] ?? '',
      IDP_ENTITY_ID: keycloak.issuer,
      IDP_SSO_URL: `${keycloak.issuer}/protocol/saml`,
      IDP_SLO_URL: `${keycloak.issuer}/protocol/saml`,
    }
    program = await run({ folder: unpack('saml'), socket: reserved.socket, env })
  })

  afterAll(async () => {
    await program?.stop()
    await keycloak?.stop()
  })

  /** How it is registered: what the user begins goes through the browser, or all goes from server to server. */
  const register = async (attributes: Record<string, string>, frontchannelLogout: boolean) => {
    const registered = (await keycloak.admin('GET', `/clients/${client}`)) as { attributes: Record<string, string> }
    const changed = { ...registered, frontchannelLogout, attributes: { ...registered.attributes, ...attributes } }
    await keycloak.admin('PUT', `/clients/${client}`, changed)
  }

  beforeEach(() => register({ saml_single_logout_service_url_post: '' }, true))

  /** What its script does: it submits its form, as long as there is one. */
  const through = async (browser: LiveBrowser, page: Page): Promise<Page> =>
    /name="SAML(?:Request|Response)"/i.test(page.text) ? through(browser, await browser.submit(page)) : page

  const signIn = async (username: string, browser = new LiveBrowser()): Promise<LiveBrowser> => {
    const page = await through(browser, await keycloak.signIn(browser, `${origin}/login`, username))
    expect({ url: page.url, status: page.status }).toEqual({ url: `${origin}/me`, status: 200 })
    return browser
  }

  const isSignedIn = async (browser: LiveBrowser) => (await browser.get(`${origin}/me`)).status === 200

  /** By the page of the realm, which asks first. */
  const logOutThere = async (browser: LiveBrowser) => {
    const asks = await browser.get(`${keycloak.issuer}/protocol/openid-connect/logout`)
    return through(browser, await browser.submit(asks))
  }

  const sessionsOf = async (username: string) =>
    (await keycloak.admin('GET', `/users/${await keycloak.userId(username)}/sessions`)) as { id: string }[]

  const logOutAll = async (username: string) =>
    keycloak.admin('POST', `/users/${await keycloak.userId(username)}/logout`)

  it.each(['redirect', 'post'])(
    'a logout there ends that sign-on and no other, by the browser (%s)',
    async (binding) => {
      if (binding === 'post') await register({ saml_single_logout_service_url_post: `${origin}/saml/slo` }, true)
      const laptop = await signIn('alice')
      const phone = await signIn('alice')
      const bob = await signIn('bob')
      const thief = laptop.copy()
      const page = await logOutThere(laptop)
      expect(page.status).toBe(200)
      expect(page.url).toContain(keycloak.issuer)
      expect(await isSignedIn(thief)).toBe(false)
      expect(await isSignedIn(phone)).toBe(true)
      expect(await isSignedIn(bob)).toBe(true)
      await signIn('alice', laptop)
      expect(await isSignedIn(thief)).toBe(false)
      await logOutAll('alice')
      await logOutAll('bob')
    },
  )

  it('a logout that begins here ends the session there, and comes back to our page', async () => {
    const laptop = await signIn('alice')
    const thief = laptop.copy()
    const before = (await sessionsOf('alice')).length
    const page = await through(laptop, await laptop.post(`${origin}/logout`))
    expect({ url: page.url, text: page.text }).toEqual({
      url: `${origin}/signed-out/done`,
      text: 'You are signed out.',
    })
    expect(await isSignedIn(thief)).toBe(false)
    expect(await sessionsOf('alice')).toHaveLength(before - 1)
  })

  it('an administrator ends a session, from server to server: that sign-on and no other', async () => {
    await register({ saml_single_logout_service_url_post: `${origin}/saml/slo` }, false)
    const laptop = await signIn('alice')
    const known = new Set((await sessionsOf('alice')).map(({ id }) => id))
    const phone = await signIn('alice')
    const [own] = (await sessionsOf('alice')).filter(({ id }) => !known.has(id))
    await keycloak.admin('DELETE', `/sessions/${own?.id}`)
    expect(await isSignedIn(phone)).toBe(false)
    expect(await isSignedIn(laptop)).toBe(true)
    await logOutAll('alice')
    expect(await isSignedIn(laptop)).toBe(false)
  })

  it('has nothing to complain of', () => {
    expect(program.complaints()).toBe('')
  })
})

// A logout that begins here: the local session first, then a signed LogoutRequest, and the way back to a safe page. And
// what is refused when the application boots.

import { createVerify } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { inflateRawSync } from 'node:zlib'
import { SAML, type SamlConfig } from '@node-saml/node-saml'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout } from '../../src/index.js'
import { createSamlLogout, type SamlLogoutOptions, samlProvider } from '../../src/saml/index.js'
import {
  ACS,
  IDP,
  IDP_SLO,
  logoutRequestXml,
  logoutResponseXml,
  PERSISTENT,
  posted,
  redirected,
  SLO,
  SP,
} from './forge.js'
import { keysOf } from './keys.js'
import { BINDINGS, nodeSaml, type World, world } from './world.js'

const RECORD = { nameID: 'ada', nameIDFormat: PERSISTENT, sessionIndex: 'laptop' }

/** A browser on its way to the identity provider. */
async function away(sp: World) {
  const { url, cookie = '', asksProvider } = await sp.slo.start(RECORD)
  const [address = '', query = ''] = url.split('?')
  const parameters = new URLSearchParams(query)
  const signed = query.split('&Signature=')[0] ?? ''
  const verify = createVerify('RSA-SHA256').update(signed)
  expect(verify.verify(keysOf('sp').cert, parameters.get('Signature') ?? '', 'base64')).toBe(true)
  const xml = inflateRawSync(Buffer.from(parameters.get('SAMLRequest') ?? '', 'base64')).toString()
  return { address, xml, cookie: cookie.split(';')[0] ?? '', setCookie: cookie, asksProvider, id: idIn(xml) }
}

const idIn = (xml: string) => / ID="([^"]*)"/.exec(xml)?.[1] ?? ''

const comesBack = (sp: World, binding: string, xml: string, cookie?: string) =>
  binding === 'redirect' ? sp.redirect(redirected(xml), cookie) : sp.post(posted(xml), cookie)

describe('a logout that begins here', () => {
  it('goes to the configured address with a signed LogoutRequest, which names the user and the session', async () => {
    const { address, xml, asksProvider, setCookie } = await away(world())
    expect(address).toBe(IDP_SLO)
    expect(asksProvider).toBe(true)
    expect(xml).toContain(`Destination="${IDP_SLO}"`)
    expect(xml).toContain(`>${SP}</saml:Issuer>`)
    expect(xml).toContain(`Format="${PERSISTENT}">ada</saml:NameID>`)
    expect(xml).toMatch(/SessionIndex[^>]*>laptop</)
    expect(setCookie).toMatch(/^__Host-saml_logout_[^;]*; Path=\/; HttpOnly; SameSite=None; Secure; Max-Age=600$/)
    expect(setCookie).not.toContain(idIn(xml))
  })

  it('an apostrophe in a RelayState that node-saml adds is signed as browsers send it', async () => {
    const { url } = await world({ saml: { additionalLogoutParams: { RelayState: "it's" } } }).slo.start(RECORD)
    const { search, searchParams } = new URL(url)
    const signed = search.slice(1).split('&Signature=')[0] ?? ''
    expect(signed).toContain('RelayState=it%27s')
    const verify = createVerify('RSA-SHA256').update(signed)
    expect(verify.verify(keysOf('sp').cert, searchParams.get('Signature') ?? '', 'base64')).toBe(true)
  })

  it('without the record of a login asks nobody', async () => {
    expect(await world().slo.start(undefined)).toEqual({ url: '/signed-out/unknown', asksProvider: false })
  })

  it('once more goes to the identity provider too, though the session is gone', async () => {
    const sp = world()
    const first = await away(sp)
    const again = await sp.slo.start(undefined, first.cookie)
    expect(again.asksProvider).toBe(true)
    const { searchParams } = new URL(again.url)
    const xml = inflateRawSync(Buffer.from(searchParams.get('SAMLRequest') ?? '', 'base64')).toString()
    expect(xml).toContain('>ada</saml:NameID>')
    expect(xml).toMatch(/SessionIndex[^>]*>laptop</)
    expect(idIn(xml)).not.toBe(first.id)
  })

  it.each([
    ['in order', [0, 1, 2]],
    ['the last first', [2, 1, 0]],
  ])('of several tabs, back %s, each knows its answer, once', async (_, order) => {
    const sp = world()
    const ids: string[] = []
    let jar = ''
    for (const record of [RECORD, RECORD, undefined]) {
      const { url, cookie = '' } = await sp.slo.start(record, jar)
      const request = new URL(url).searchParams.get('SAMLRequest') ?? ''
      ids.push(idIn(inflateRawSync(Buffer.from(request, 'base64')).toString()))
      jar = cookie.split(';')[0] ?? ''
    }
    for (const tab of order) {
      const xml = logoutResponseXml({ inResponseTo: ids[tab] ?? '' })
      const back = await sp.redirect(redirected(xml), jar)
      expect(back.headers.get('location')).toBe('/signed-out/done')
      jar = back.headers.get('set-cookie')?.split(';')[0] ?? ''
      const again = await sp.redirect(redirected(xml), jar)
      expect(again.headers.get('location')).toBe('/signed-out/unknown')
    }
    expect(jar).toMatch(/=$/)
  })

  it('of more tabs than anybody has, the latest are known, and the cookie is kept', async () => {
    const sp = world()
    let jar = ''
    let length = 0
    for (let tab = 0; tab < 40; tab += 1) {
      const { cookie = '' } = await sp.slo.start({ ...RECORD, nameID: 'a'.repeat(2000) }, jar)
      length = cookie.length
      jar = cookie.split(';')[0] ?? ''
    }
    expect(length).toBeLessThanOrEqual(4096)
    expect((await sp.slo.start(undefined, jar)).asksProvider).toBe(true)
  })

  it('is answered though the NameID is too long for a cookie: the page to come back to knows the request', async () => {
    const sp = world()
    const { url, cookie = '' } = await sp.slo.start({ ...RECORD, nameID: 'a'.repeat(3500) })
    expect(cookie.length).toBeLessThanOrEqual(4096)
    const request = new URLSearchParams(url.split('?')[1]).get('SAMLRequest') ?? ''
    const id = idIn(inflateRawSync(Buffer.from(request, 'base64')).toString())
    const back = await comesBack(sp, 'redirect', logoutResponseXml({ inResponseTo: id }), cookie.split(';')[0])
    expect(back.headers.get('location')).toBe('/signed-out/done')
  })

  it('leaves nothing in the cache of node-saml, which no other node would see', async () => {
    const kept: string[] = []
    const cacheProvider = {
      saveAsync: async (key: string) => {
        kept.push(key)
        return null
      },
      getAsync: async () => null,
      removeAsync: async () => null,
    }
    await away(world({ saml: { cacheProvider } }))
    expect(kept).toEqual([])
  })

  it.each([
    ['redirect', 'Success', undefined, 'done'],
    ['POST', 'Success', undefined, 'done'],
    ['redirect', 'Success', 'PartialLogout', 'partial'],
    ['POST', 'Responder', 'PartialLogout', 'partial'],
    ['redirect', 'Responder', undefined, 'failed'],
    ['POST', 'Requester', 'UnknownPrincipal', 'failed'],
  ])('a LogoutResponse by %s, %s %s, lands on our own page as %s', async (binding, status, second, outcome) => {
    const sp = world()
    const { id, cookie } = await away(sp)
    const xml = logoutResponseXml({ inResponseTo: id, status, ...(second && { second }) })
    const answer = await comesBack(sp, binding, xml, cookie)
    expect(answer.status).toBe(303)
    expect(answer.headers.get('location')).toBe(`/signed-out/${outcome}`)
    expect(answer.headers.get('set-cookie')).toContain('Max-Age=0')
    expect(answer.headers.get('referrer-policy')).toBe('no-referrer')
  })

  it.each(['redirect', 'POST'])(
    'by %s: an answer to another request, or of another browser, is no answer',
    async (binding) => {
      const sp = world()
      const { id, cookie } = await away(sp)
      const another = await away(sp)
      const good = logoutResponseXml({ inResponseTo: id })
      for (const [xml, jar] of [
        [good, undefined],
        [good, another.cookie],
        [logoutResponseXml({ inResponseTo: '_forged' }), cookie],
        [good, cookie.replace(/=./, (start) => (start === '=A' ? '=B' : '=A'))],
      ] as const) {
        const answer = await comesBack(sp, binding, xml, jar)
        expect(answer.headers.get('location')).toBe('/signed-out/unknown')
        expect(answer.headers.get('set-cookie')).toBeNull()
      }
    },
  )

  it.each(['first', 'last'])('a cookie of that name that somebody laid beside, %s, hides no answer', async (place) => {
    const sp = world()
    const { id, cookie } = await away(sp)
    const another = (await away(sp)).cookie
    const cookies = place === 'first' ? [another, cookie] : [cookie, another]
    const answer = await sp.redirect(redirected(logoutResponseXml({ inResponseTo: id })), cookies.join('; '))
    expect(answer.headers.get('location')).toBe('/signed-out/done')
  })

  it('an answer that comes too late is none', async () => {
    const start = Date.now() / 1000
    let now = start
    const sp = world({ clock: () => now })
    const { id, cookie } = await away(sp)
    now = start + 601
    const answer = await sp.redirect(redirected(logoutResponseXml({ inResponseTo: id })), cookie)
    expect(answer.headers.get('location')).toBe('/signed-out/unknown')
  })

  it.each<[string, object, { by?: string; sign?: boolean }?]>([
    ['unsigned', {}, { sign: false }],
    ['signed by another', {}, { by: 'another idp' }],
    ['of another issuer', { issuer: 'https://idp.example.com/other' }],
    ['addressed to another service', { destination: 'https://other.example.com/slo' }],
  ])('a LogoutResponse that is %s leads nowhere', async (_, about, how) => {
    for (const [, send] of BINDINGS) {
      const sp = world()
      const { id } = await away(sp)
      const answer = await send(sp, logoutResponseXml({ inResponseTo: id, ...about }), how)
      expect(answer.status).toBe(400)
      expect(answer.headers.get('location')).toBeNull()
    }
  })

  it.each<[string, (outcome: string) => unknown]>([
    ['with letters that no header takes', () => '/退出'],
    ['with a line break', () => '/a\r\nSet-Cookie: x=1'],
    ['that is none', () => undefined],
    ['that is a promise', async () => '/signed-out'],
    [
      'that throws',
      () => {
        throw new Error('hostile')
      },
    ],
  ])('a landing page %s is a failure of ours that is answered', async (_, landingPage) => {
    const sp = world({ options: { landingPage: landingPage as () => string } })
    const query = redirected(logoutResponseXml({ inResponseTo: '_1' }))
    const answer = await sp.redirect(query)
    expect(answer.status).toBe(500)
    expect(await answer.text()).toBe('The SAML message could not be answered\n')
    const server = createServer(sp.slo.receiver()).listen(0, '127.0.0.1')
    try {
      await once(server, 'listening')
      const address = server.address()
      if (address === null || typeof address === 'string') throw new Error('no port')
      const { pathname } = new URL(SLO)
      const byNode = await fetch(`http://127.0.0.1:${address.port}${pathname}?${query}`, { redirect: 'manual' })
      expect(byNode.status).toBe(500)
    } finally {
      server.close()
      server.closeAllConnections()
    }
    await expect(sp.slo.start(undefined)).rejects.toThrow()
  })

  it('nothing in the message chooses the page: a RelayState leads nowhere', async () => {
    const sp = world()
    const { id, cookie } = await away(sp)
    const query = redirected(logoutResponseXml({ inResponseTo: id }), { relayState: 'https://evil.example.com/' })
    expect((await sp.redirect(query, cookie)).headers.get('location')).toBe('/signed-out/done')
  })
})

describe('the route', () => {
  const servers: { close(): unknown; closeAllConnections(): void }[] = []
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close()
      server.closeAllConnections()
    }
  })

  async function routeOf(endLocally: (req: IncomingMessage) => Promise<unknown>) {
    const sp = world()
    const route = sp.slo.route<IncomingMessage>({ record: () => RECORD, endLocally })
    const server = createServer((req, res) => route(req, res)).listen(0, '127.0.0.1')
    servers.push(server)
    await once(server, 'listening')
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return (init: RequestInit) => fetch(`http://127.0.0.1:${address.port}/logout`, { redirect: 'manual', ...init })
  }

  it('ends the local session first, then sends the browser on', async () => {
    let ended = 0
    const request = await routeOf(async () => ended++)
    const answer = await request({ method: 'POST' })
    expect(answer.status).toBe(303)
    expect(answer.headers.get('location')).toContain(`${IDP_SLO}?SAMLRequest=`)
    expect(answer.headers.get('set-cookie')).toContain('saml_logout_')
    expect(ended).toBe(1)
  })

  it('sends nobody on if the local session could not be ended', async () => {
    const request = await routeOf(async () => {
      throw new Error('the store is away')
    })
    const answer = await request({ method: 'POST' })
    expect(answer.status).toBe(503)
    expect(answer.headers.get('location')).toBeNull()
  })

  it.each<[string, RequestInit, number]>([
    ['a GET', {}, 405],
    ['another site’s form', { method: 'POST', headers: { origin: 'https://evil.example.com' } }, 403],
    ['a prefetch', { method: 'POST', headers: { purpose: 'prefetch' } }, 403],
  ])('%s logs nobody out', async (_, init, status) => {
    let ended = 0
    const request = await routeOf(async () => ended++)
    expect((await request(init)).status).toBe(status)
    expect(ended).toBe(0)
  })
})

describe('where nobody listens', () => {
  afterEach(() => vi.restoreAllMocks())

  it('a refusal that a setting can cause is printed once, with what to do; and not where warnings are off', async () => {
    const print = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
    for (const options of [{ warnings: false }, {}]) {
      const sp = world({ options: { onEvent: undefined, ...options } })
      const elsewhere = redirected(logoutRequestXml({ destination: 'https://app.example.com/slo' }))
      expect((await sp.redirect(elsewhere)).status).toBe(400)
      expect((await sp.redirect(elsewhere)).status).toBe(400)
    }
    expect(print).toHaveBeenCalledTimes(1)
    expect(JSON.stringify(print.mock.calls)).toContain('Register at the identity provider the very URL')
  })
})

describe('when the application boots', () => {
  const saml = nodeSaml()
  const logout = createBackchannelLogout({ provider: samlProvider(saml), onEvent: () => {} })
  const GOOD: SamlLogoutOptions = { saml, url: SLO, landingPage: '/', secret: 'x'.repeat(32) }
  const without = (...names: (keyof SamlConfig)[]) => {
    const options: SamlConfig = { ...nodeSaml().options }
    for (const name of names) delete options[name]
    return new SAML(options)
  }

  it.each<[string, Partial<Record<keyof SamlLogoutOptions | 'Url', unknown>>, RegExp]>([
    ['no node-saml', { saml: {} }, /instance of SAML of @node-saml\/node-saml/],
    ['no entity id of the identity provider', { saml: without('idpIssuer') }, /idpIssuer/],
    ['no key to sign with', { saml: without('privateKey') }, /privateKey/],
    ['SHA-1, node-saml’s default', { saml: without('signatureAlgorithm') }, /signatureAlgorithm: 'sha256'/],
    ['no url', { url: undefined }, /url: it must be an absolute URL/],
    ['plain http', { url: 'http://app.example.com/slo' }, /https/],
    ['no place for responses', { saml: without('logoutUrl', 'entryPoint') }, /responseUrl/],
    ['no landing page', { landingPage: undefined }, /landingPage/],
    ['a landing page in letters that no header takes', { landingPage: '/退出' }, /landingPage.*percent-encoded/],
    ['a landing page with a line break', { landingPage: '/a\r\nb' }, /landingPage.*percent-encoded/],
    ['a short secret', { secret: 'secret' }, /32 characters/],
    ['no secret', { secret: undefined }, /32 characters/],
    ['milliseconds', { maxAgeSeconds: 300_000 }, /maxAgeSeconds/],
    ['warnings that are no yes or no', { warnings: 'off' }, /warnings/],
    ['another word for replay', { replay: 'ignore' }, /replay/],
    ['a misspelled option', { Url: SLO }, /it appears you mean url/],
  ])('%s is a TypeError that names the remedy', (_, change, message) => {
    const options = { ...GOOD, ...change } as SamlLogoutOptions
    expect(() => createSamlLogout(logout, options)).toThrow(TypeError)
    expect(() => createSamlLogout(logout, options)).toThrow(message)
  })

  it('a misspelled option of the route is one, too', () => {
    const route = { record: () => undefined, endLocaly: async () => {} }
    expect(() => createSamlLogout(logout, GOOD).route(route)).toThrow(/route\(\) has no option .*you mean endLocally/)
  })

  it('the provider has the entity ids, which need be no addresses', () => {
    const urn = nodeSaml({ idpIssuer: 'urn:example:idp', issuer: 'urn:example:sp' })
    const provider = samlProvider(urn, { sessionMaxAgeSeconds: 3600 })
    expect(provider).toEqual({
      issuer: 'urn:example:idp',
      clientId: 'urn:example:sp',
      protocol: 'saml',
      sessionMaxAgeSeconds: 3600,
    })
    expect(createBackchannelLogout({ provider }).bounds().providers).toMatchObject([{ issuer: 'urn:example:idp' }])
  })

  it('options of OpenID Connect are refused beside it', () => {
    const provider = { ...samlProvider(saml), jwksUri: 'https://idp.example.com/jwks' }
    expect(() => createBackchannelLogout({ provider })).toThrow(/protocol saml has no option "jwksUri"/)
  })

  it('nothing is fetched for it, and its health is good', async () => {
    await logout.prepare()
    expect(await logout.health()).toMatchObject({ status: 'ok', keys: [{ issuer: IDP, atHand: true }] })
  })

  it('what node-saml was given for the login is not touched', async () => {
    const own = nodeSaml()
    const options = { ...own.options }
    const sp = createSamlLogout(logout, { ...GOOD, saml: own, responseUrl: 'https://idp.example.com/responses' })
    const { searchParams } = new URL(
      (await sp.fetch(new Request(`${SLO}?${redirected(logoutRequestXml())}`))).headers.get('location') ?? '',
    )
    expect(inflateRawSync(Buffer.from(searchParams.get('SAMLResponse') ?? '', 'base64')).toString()).toContain(
      'Destination="https://idp.example.com/responses"',
    )
    expect(own.options).toEqual(options)
    expect(own.options.callbackUrl).toBe(ACS)
    expect(Object.keys(own)).toEqual(Object.keys(nodeSaml()))
  })
})

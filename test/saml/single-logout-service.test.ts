// The Single Logout Service by its messages: whom a LogoutRequest ends, what it is answered, and each way in which one
// can be wrong.
import { createVerify } from 'node:crypto'
import { once } from 'node:events'
import { createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/index.js'
import { createSamlLogout } from '../../src/saml/index.js'
import { breakableLogoutStore } from '../conformance/breakage.js'
import {
  ADA,
  EMAIL,
  form,
  IDP,
  IDP_SLO,
  instant,
  logoutRequestXml,
  logoutResponseXml,
  newId,
  PERSISTENT,
  posted,
  redirected,
  SLO,
  SP,
  signedXml,
} from './forge.js'
import { keysOf } from './keys.js'
import { BINDINGS, logoutResponse, nodeSaml, type World, world } from './world.js'

const named = (value: string, attributes: Readonly<Record<string, string>> = { Format: PERSISTENT }) => ({
  value,
  attributes,
})

describe.each(BINDINGS)('a LogoutRequest by %s', (_, send) => {
  it('ends the sessions of its SessionIndex and no other, and is answered Success, signed, to the configured address', async () => {
    const sp = world()
    const laptop = await sp.signIn()
    const phone = await sp.signIn({ sessionIndex: 'phone' })
    const grace = await sp.signIn({ nameId: named('grace') })
    const id = newId()
    const response = logoutResponse(await send(sp, logoutRequestXml({ id }), { relayState: 'state-1' }))
    expect(response).toMatchObject({
      address: IDP_SLO,
      destination: IDP_SLO,
      inResponseTo: id,
      status: ['Success'],
      relayState: 'state-1',
    })
    expect(await sp.logout.isLive(laptop)).toBe(false)
    expect(await sp.logout.isLive(phone)).toBe(true)
    expect(await sp.logout.isLive(grace)).toBe(true)
    expect(sp.reasons()).toEqual([])
  })

  it('without a SessionIndex ends every session of its NameID, and nobody else (Core 3.7.1)', async () => {
    const sp = world()
    const his = [await sp.signIn(), await sp.signIn({ sessionIndex: 'phone' }), await sp.signIn({ sessionIndex: null })]
    const grace = await sp.signIn({ nameId: named('grace') })
    expect(logoutResponse(await send(sp, logoutRequestXml({ sessionIndexes: [] }))).status).toEqual(['Success'])
    for (const signOn of his) expect(await sp.logout.isLive(signOn)).toBe(false)
    expect(await sp.logout.isLive(grace)).toBe(true)
  })

  it('with two SessionIndexes ends the sessions of both', async () => {
    const sp = world()
    const [laptop, phone, tablet] = [
      await sp.signIn(),
      await sp.signIn({ sessionIndex: 'phone' }),
      await sp.signIn({ sessionIndex: 'tablet' }),
    ]
    const xml = logoutRequestXml({ sessionIndexes: ['laptop', 'phone', 'laptop'] })
    expect(logoutResponse(await send(sp, xml)).status).toEqual(['Success'])
    expect(await sp.logout.isLive(laptop)).toBe(false)
    expect(await sp.logout.isLive(phone)).toBe(false)
    expect(await sp.logout.isLive(tablet)).toBe(true)
  })

  it('ends a sign-on that had no SessionIndex, since nobody can tell it apart', async () => {
    const sp = world()
    const signOn = await sp.signIn({ sessionIndex: null })
    await send(sp, logoutRequestXml())
    expect(await sp.logout.isLive(signOn)).toBe(false)
  })

  it('of another NameID ends nobody, though the SessionIndex is the same: identity providers may share it', async () => {
    const sp = world()
    const ada = await sp.signIn({ sessionIndex: '1' })
    const grace = await sp.signIn({ nameId: named('grace'), sessionIndex: '1' })
    await send(sp, logoutRequestXml({ nameId: named('grace'), sessionIndexes: ['1'] }))
    expect(await sp.logout.isLive(ada)).toBe(true)
    expect(await sp.logout.isLive(grace)).toBe(false)
  })

  it.each([
    ['another Format', { Format: EMAIL }],
    ['another NameQualifier', { Format: PERSISTENT, NameQualifier: 'https://idp.example.com/other' }],
    ['another SPNameQualifier', { Format: PERSISTENT, SPNameQualifier: 'https://affiliation.example.com' }],
    ['an SPProvidedID', { Format: PERSISTENT, SPProvidedID: 'ada' }],
  ])('that names the user by %s ends nobody', async (_, attributes) => {
    const sp = world()
    const ada = await sp.signIn()
    await send(sp, logoutRequestXml({ nameId: named('ada', attributes) }))
    await send(sp, logoutRequestXml({ nameId: named('ada', attributes), sessionIndexes: [] }))
    expect(await sp.logout.isLive(ada)).toBe(true)
  })

  it('that spells out the qualifiers which a persistent NameID has anyway is of the same user (Core 8.3.7)', async () => {
    const sp = world()
    const ada = await sp.signIn()
    const attributes = { Format: PERSISTENT, NameQualifier: IDP, SPNameQualifier: SP }
    await send(sp, logoutRequestXml({ nameId: named('ada', attributes) }))
    expect(await sp.logout.isLive(ada)).toBe(false)
  })

  it('a comment in the NameID changes nothing of whom it names', async () => {
    const sp = world()
    const ada = await sp.signIn({ nameId: named('ada@example.com', { Format: EMAIL }) })
    const mallory = await sp.signIn({ nameId: named('ada@example.com.evil.com', { Format: EMAIL }) })
    await send(sp, logoutRequestXml({ nameId: named('ada@example.com<!-- -->.evil.com', { Format: EMAIL }) }))
    expect(await sp.logout.isLive(ada)).toBe(true)
    expect(await sp.logout.isLive(mallory)).toBe(false)
  })

  it('a login that was under way when it came does not live; one that was begun later does', async () => {
    const start = Date.now() / 1000
    let now = start
    const sp = world({ clock: () => now })
    const underWay = sp.slo.claims(await sp.profileOf())
    await send(sp, logoutRequestXml())
    now = start + 20
    expect(await sp.logout.signOn(underWay, { startedAt: start - 1 })).toBeUndefined()
    const later = sp.slo.claims(await sp.profileOf({ issueInstant: instant(19) }))
    expect(await sp.logout.signOn(later, { startedAt: start + 10 })).toBeDefined()
  })

  describe('ends nobody and hears 400', () => {
    it.each<[string, string, () => Parameters<typeof logoutRequestXml>[0], { by?: string; sign?: boolean }?]>([
      ['unsigned', 'signature_missing or not_verified', () => ({}), { sign: false }],
      ['signed by another identity provider', 'not_verified', () => ({}), { by: 'another idp' }],
      ['of another issuer', 'not_verified', () => ({ issuer: 'https://idp.example.com/other' })],
      ['expired', 'not_verified', () => ({ issueInstant: instant(-180), notOnOrAfter: instant(-120) })],
      ['older than maxAgeSeconds', 'too_old', () => ({ issueInstant: instant(-400) })],
      ['issued in the future', 'issued_in_future', () => ({ issueInstant: instant(120) })],
      ['with an IssueInstant that is no time', 'time_unusable', () => ({ issueInstant: 'now' })],
      ['without a Destination', 'destination_missing', () => ({ destination: null })],
      [
        'addressed to another service',
        'destination_mismatch',
        () => ({ destination: 'https://other.example.com/saml/slo' }),
      ],
      ['addressed to a longer path', 'destination_mismatch', () => ({ destination: `${SLO}/` })],
      ['without a NameID', 'not_verified', () => ({ nameId: named('') })],
      ['with an empty SessionIndex', 'session_index_unusable', () => ({ sessionIndexes: [''] })],
      ['with an empty SessionIndex among others', 'session_index_unusable', () => ({ sessionIndexes: ['laptop', ''] })],
      ['with a SessionIndex that is no text', 'session_index_unusable', () => ({ sessionIndexes: ['<x>laptop</x>'] })],
      ['with two NameIDs', 'not_verified', () => ({ more: '<saml:NameID>grace</saml:NameID>' })],
    ])('%s', async (_, reason, about, how = {}) => {
      const sp = world()
      const signOns = [await sp.signIn(), await sp.signIn({ sessionIndex: 'phone' })]
      const answer = await send(sp, logoutRequestXml(about()), how)
      expect(answer.status).toBe(400)
      expect(await answer.text()).toBe('The SAML message was refused\n')
      expect(answer.headers.get('location')).toBeNull()
      expect(answer.headers.get('cache-control')).toContain('no-store')
      expect(reason.split(' or ')).toContain(sp.reasons()[0])
      for (const signOn of signOns) expect(await sp.logout.isLive(signOn)).toBe(true)
    })

    it('expired by the clock of the receiver, however node-saml is configured', async () => {
      const sp = world({ saml: { acceptedClockSkewMs: -1 } })
      const ada = await sp.signIn()
      const xml = logoutRequestXml({ issueInstant: instant(-180), notOnOrAfter: instant(-120) })
      expect((await send(sp, xml)).status).toBe(400)
      expect(sp.reasons()).toEqual(['expired'])
      expect(await sp.logout.isLive(ada)).toBe(true)
    })
  })

  it('a repeat ends nobody: who has signed in since stays, and it is told so', async () => {
    const sp = world()
    const laptop = await sp.signIn({ issueInstant: instant(-60) })
    const xml = logoutRequestXml({ issueInstant: instant(-30), sessionIndexes: [] })
    expect(logoutResponse(await send(sp, xml)).status).toEqual(['Success'])
    const later = await sp.signIn({ issueInstant: instant() })
    expect(logoutResponse(await send(sp, xml)).status).toEqual(['Requester', 'RequestDenied'])
    expect(await sp.logout.isLive(laptop)).toBe(false)
    expect(await sp.logout.isLive(later)).toBe(true)
    expect(sp.events.filter(({ type }) => type === 'replay')).toMatchObject([
      { issuer: IDP, clientId: SP, status: 303 },
    ])
  })

  it('a repeat is acknowledged where that is said', async () => {
    const sp = world({ options: { replay: 'acknowledge' } })
    const xml = logoutRequestXml()
    await send(sp, xml)
    expect(logoutResponse(await send(sp, xml)).status).toEqual(['Success'])
    expect(sp.events.filter(({ type }) => type === 'logout')).toHaveLength(1)
  })

  it('the ID is remembered by the store, so at another node as well', async () => {
    const store = memoryStore()
    const xml = logoutRequestXml()
    await send(world({ store }), xml)
    expect(logoutResponse(await send(world({ store }), xml)).status).toEqual(['Requester', 'RequestDenied'])
  })

  it('while the store is away it is answered Responder, and who is named is out at once and later', async () => {
    const { store, breakages } = breakableLogoutStore(memoryStore())
    const sp = world({ store })
    const ada = await sp.signIn()
    const grace = await sp.signIn({ nameId: named('grace') })
    breakages.break('begin', 'refuses')
    const xml = logoutRequestXml()
    expect(logoutResponse(await send(sp, xml)).status).toEqual(['Responder'])
    expect(await sp.logout.isLive(ada)).toBe(false)
    expect(await sp.logout.isLive(grace)).toBe(true)
    breakages.mend()
    // The identity provider's next try is no replay: it had heard that it failed.
    expect(logoutResponse(await send(sp, xml)).status).toEqual(['Success'])
    expect(await world({ store }).logout.isLive(ada)).toBe(false)
    sp.logout.close()
  })

  it('with one of two SessionIndexes done, a repeat does the other and is no replay', async () => {
    const { store, breakages } = breakableLogoutStore(memoryStore())
    const sp = world({ store, retryForSeconds: 0 })
    const [laptop, phone] = [await sp.signIn(), await sp.signIn({ sessionIndex: 'phone' })]
    const id = newId()
    await send(sp, logoutRequestXml({ id }))
    breakages.break('begin', 'refuses')
    const both = logoutRequestXml({ id, sessionIndexes: ['laptop', 'phone'] })
    expect(logoutResponse(await send(sp, both)).status).toEqual(['Responder'])
    breakages.mend()
    expect(logoutResponse(await send(sp, both)).status).toEqual(['Success'])
    expect(await sp.logout.isLive(laptop)).toBe(false)
    expect(await sp.logout.isLive(phone)).toBe(false)
  })

  it.each(['state with spaces', 'a&b=c', 'ünïcode', '(1)*!~', 'a+b/c==', "it's", "it's 'one'"])(
    'the RelayState %j comes back as it was, and the signature covers it as it is sent',
    async (relayState) => {
      expect(logoutResponse(await send(world(), logoutRequestXml(), { relayState })).relayState).toBe(relayState)
    },
  )

  it.each([
    ['in one line of base64', (key: string) => key.replace(/-----.*-----|\n/g, '')],
    ['in a buffer', (key: string) => Buffer.from(key)],
    ['with other line ends', (key: string) => key.replaceAll('\n', '\r\n')],
  ])('so it does by a private key %s', async (_, written) => {
    const sp = world({ saml: { privateKey: written(keysOf('sp').key) } })
    expect(logoutResponse(await send(sp, logoutRequestXml(), { relayState: "it's" })).relayState).toBe("it's")
  })

  it('it comes back though node-saml adds one of its own to all that it sends', async () => {
    const params = { RelayState: 'mine' }
    for (const saml of [{ additionalParams: params }, { additionalLogoutParams: params }]) {
      for (const relayState of ['theirs', undefined]) {
        const answer = await send(world({ saml }), logoutRequestXml(), relayState === undefined ? {} : { relayState })
        expect(logoutResponse(answer).relayState).toBe(relayState ?? null)
      }
    }
  })

  it('every parameter of responseUrl stays in it, also one that is there twice', async () => {
    const responseUrl = 'https://idp.example.com/slo?tenant=a&tenant=b&x='
    const answer = await send(world({ options: { responseUrl } }), logoutRequestXml())
    expect(answer.headers.get('location')).toMatch(
      /^https:\/\/idp\.example\.com\/slo\?tenant=a&tenant=b&x=&SAMLResponse=/,
    )
    const parameters = new URL(answer.headers.get('location') ?? '').searchParams
    const signed = [...parameters].filter(([name]) => name === 'SAMLResponse' || name === 'SigAlg')
    const verify = createVerify('RSA-SHA256').update(String(new URLSearchParams(signed)))
    expect(verify.verify(keysOf('sp').cert, parameters.get('Signature') ?? '', 'base64')).toBe(true)
  })

  it('a RelayState beyond all measure is refused', async () => {
    const sp = world()
    expect((await send(sp, logoutRequestXml(), { relayState: 'x'.repeat(1025) })).status).toBe(400)
    expect(sp.reasons()).toEqual(['relay_state_too_long'])
  })
})

describe('marked, but not yet all done', () => {
  it('is answered Responder and PartialLogout: nobody is let in, and the rest goes on in the background', async () => {
    let isAway = true
    const evict = async () => {
      if (isAway) throw new Error('away')
    }
    const sp = world({ claims: { evict } })
    const ada = await sp.signIn()
    const xml = logoutRequestXml()
    expect(logoutResponse(await sp.redirect(redirected(xml))).status).toEqual(['Responder', 'PartialLogout'])
    expect(await sp.logout.isLive(ada)).toBe(false)
    isAway = false
    expect(logoutResponse(await sp.redirect(redirected(xml))).status).toEqual(['Success'])
    sp.logout.close()
  })
})

describe('the redirect binding', () => {
  const refuses = async (sp: World, query: string, reason: string) => {
    const ada = await sp.signIn()
    expect((await sp.redirect(query)).status).toBe(400)
    expect(sp.reasons()).toEqual([reason])
    expect(await sp.logout.isLive(ada)).toBe(true)
  }
  const deflated = (xml: string) => encodeURIComponent(deflateRawSync(xml).toString('base64'))
  const tokensOf = (query: string) => query.split('&')
  const signed = (xml: string) => {
    const [message = '', ...rest] = tokensOf(redirected(xml))
    return { message, rest }
  }

  it('takes no Signature without SigAlg, nor SigAlg without Signature', async () => {
    const tokens = tokensOf(redirected(logoutRequestXml()))
    for (const missing of ['Signature=', 'SigAlg=']) {
      await refuses(world(), tokens.filter((token) => !token.startsWith(missing)).join('&'), 'signature_missing')
    }
    await refuses(world(), `${redirected(logoutRequestXml(), { sign: false })}&SigAlg=&Signature=`, 'signature_missing')
  })

  it('a message that is put in place of the signed one is refused', async () => {
    const { rest } = signed(logoutRequestXml({ nameId: named('grace') }))
    await refuses(world(), [`SAMLRequest=${deflated(logoutRequestXml())}`, ...rest].join('&'), 'not_verified')
  })

  it.each([
    ['before', (forged: string, good: string, rest: string[]) => [`SAMLRequest=${forged}`, good, ...rest]],
    ['behind', (forged: string, good: string, rest: string[]) => [good, ...rest, `SAMLRequest=${forged}`]],
    ['in other letters', (forged: string, good: string, rest: string[]) => [good, ...rest, `%53AMLRequest=${forged}`]],
    ['in other letters alone', (forged: string, _good: string, rest: string[]) => [`%53AMLRequest=${forged}`, ...rest]],
  ])('a second message %s the signed one is refused', async (_, query) => {
    const { message, rest } = signed(logoutRequestXml({ nameId: named('grace') }))
    await refuses(world(), query(deflated(logoutRequestXml()), message, rest).join('&'), 'parameter_repeated')
  })

  it('a LogoutRequest under the signature of a LogoutResponse, which any browser gets, is refused', async () => {
    const { message, rest } = signed(logoutResponseXml({ inResponseTo: newId() }))
    const forged = deflated(logoutRequestXml())
    await refuses(world(), [`%53AMLRequest=${forged}`, message, ...rest].join('&'), 'parameter_repeated')
    await refuses(world(), [`SAMLRequest=${forged}`, message, ...rest].join('&'), 'message_missing')
  })

  it('a RelayState that was not signed, or was taken away, is refused', async () => {
    await refuses(world(), `${redirected(logoutRequestXml())}&RelayState=x`, 'not_verified')
    const query = redirected(logoutRequestXml(), { relayState: 'x' })
    await refuses(world(), query.replace('&RelayState=x', ''), 'not_verified')
  })

  it.each([
    ["'", "'"],
    ["'", '%27'],
    ['%27', "'"],
    ['%27', '%27'],
  ])('an apostrophe that was signed as %s is taken where it comes as %s', async (signedAs, comesAs) => {
    const sp = world()
    const encode = (text: string) => encodeURIComponent(text).replaceAll("'", signedAs)
    const query = redirected(logoutRequestXml(), { relayState: "it's 'one'", encode }).replaceAll(signedAs, comesAs)
    const receiver = sp.slo.receiver()
    const server = createServer(receiver).listen(0, '127.0.0.1')
    await once(server, 'listening')
    // Node's own client sends a path as it is given; a `Request` would spell it anew.
    const { port } = server.address() as AddressInfo
    const [answer] = await once(get({ host: '127.0.0.1', port, path: `/saml/slo?${query}` }), 'response')
    const headers = { location: String(answer.headers.location) }
    const response = logoutResponse(new Response(null, { status: answer.statusCode, headers }))
    expect([response.status, response.relayState]).toEqual([['Success'], "it's 'one'"])
    server.close()
  })

  it('a RelayState that was changed beside its apostrophe is refused', async () => {
    const query = redirected(logoutRequestXml(), { relayState: "it's" })
    await refuses(world(), query.replace("it's", "is't"), 'not_verified')
  })

  it('an instruction in a name, though it is signed letter by letter, makes no other name of it', async () => {
    const xml = logoutRequestXml({ nameId: named('a<?x ?>da') })
    await refuses(world(), redirected(xml), 'name_id_unusable')
    const index = logoutRequestXml({ sessionIndexes: ['lap<?x ?>top'] })
    await refuses(world(), redirected(index), 'session_index_unusable')
  })

  it('other parameters of the address are nobody’s business', async () => {
    const sp = world()
    const answer = await sp.redirect(`tenant=SAMLRequest&${redirected(logoutRequestXml())}&SigAlgorithm=x`)
    expect(logoutResponse(answer).status).toEqual(['Success'])
  })

  it('nothing unsigned is inflated, nor parsed', async () => {
    const sp = world()
    const notEvenDeflated = Buffer.from('this is neither deflated nor XML').toString('base64')
    const { rest } = signed(logoutRequestXml())
    await refuses(sp, [`SAMLRequest=${encodeURIComponent(notEvenDeflated)}`, ...rest].join('&'), 'not_verified')
    const causes = sp.events.flatMap((event) => (event.type === 'refused' ? [event.error.cause] : []))
    expect(causes).toEqual([new Error('Invalid query signature')])
  })
})

describe('the POST binding: signature wrapping', () => {
  const good = () => signedXml(logoutRequestXml({ id: '_good', nameId: named('grace') }), 'LogoutRequest')
  const signatureOf = (xml: string) => /<(ds:)?Signature[\s\S]*<\/(ds:)?Signature>/.exec(xml)?.[0] ?? ''
  const evil = (id: string, inside: string) => logoutRequestXml({ id, more: inside })
  const withoutSignature = () => good().replace(signatureOf(good()), '')

  const WRAPPED: Readonly<Record<string, () => string>> = {
    'the signed message inside an Extensions of the forged one': () =>
      evil('_evil', `<samlp:Extensions>${good()}</samlp:Extensions>`),
    'the signed message inside the forged one, which has its ID': () =>
      evil('_good', `<samlp:Extensions>${good()}</samlp:Extensions>`),
    'the signature in the forged one, and the signed message in an Object of it': () => {
      const signature = signatureOf(good()).replace(
        /<\/((ds:)?)Signature>$/,
        (_, prefix) => `<${prefix}Object>${withoutSignature()}</${prefix}Object></${prefix}Signature>`,
      )
      return evil('_evil', signature)
    },
    'the same, with the ID of the signed one': () => {
      const signature = signatureOf(good()).replace(
        /<\/((ds:)?)Signature>$/,
        (_, prefix) => `<${prefix}Object>${withoutSignature()}</${prefix}Object></${prefix}Signature>`,
      )
      return evil('_good', signature)
    },
    'the signature of another message': () => evil('_good', signatureOf(good())),
    'two root elements': () => `${good()}${logoutRequestXml()}`,
    'a NameID that was added': () => good().replace('<saml:NameID', '<saml:NameID>ada</saml:NameID><saml:NameID'),
    'a SessionIndex that was taken away': () => good().replace(/<samlp:SessionIndex>.*<\/samlp:SessionIndex>/, ''),
    'another SessionIndex': () => good().replace('>laptop<', '>phone<'),
    'a NameID of another namespace beside the signed one': () =>
      good().replace('<saml:NameID', '<x:NameID xmlns:x="x">ada</x:NameID><saml:NameID'),
    'a document type with entities': () => `<!DOCTYPE x [<!ENTITY who "ada">]>${good().replace('>grace<', '>&who;<')}`,
  }

  it.each(Object.entries(WRAPPED))('%s', async (_, xml) => {
    const sp = world()
    const signOns = [
      await sp.signIn(),
      await sp.signIn({ nameId: named('grace') }),
      await sp.signIn({ nameId: named('grace'), sessionIndex: 'phone' }),
    ]
    expect((await sp.post(form(xml()))).status).toBe(400)
    expect(sp.reasons()).toHaveLength(1)
    for (const signOn of signOns) expect(await sp.logout.isLive(signOn)).toBe(true)
  })

  it('a second Signature, which the first leaves out of what it covers, adds nothing to the NameID', async () => {
    const sp = world()
    const ada = await sp.signIn()
    const value = /<(?:ds:)?SignatureValue>[^<]*<\/(?:ds:)?SignatureValue>/.exec(good())?.[0] ?? ''
    const extra = `<Signature xmlns="http://www.w3.org/2000/09/xmldsig#">${value}<x>ada</x></Signature>`
    const answer = await sp.post(form(good().replace('>grace<', `>${extra}grace<`)))
    expect(answer.status).toBe(400)
    expect(await sp.logout.isLive(ada)).toBe(true)
  })

  // Each of these has the canonical form that was signed, and says something else: xml-crypto writes the text of an
  // instruction as text, and a namespace without escaping what ends it.
  const instruction = (from: string, to: string) => (xml: string) => xml.replace(`>${from}<`, `>${to}<`)
  const P = 'urn:oasis:names:tc:SAML:2.0:protocol'
  const own = (index: string) => `<p:SessionIndex xmlns:p="${P}">${index}</p:SessionIndex>`
  const asOne = `<p:SessionIndex xmlns:p="${P}&quot;>tablet&lt;/p:SessionIndex>&lt;p:SessionIndex xmlns:p=&quot;${P}">desk</p:SessionIndex>`
  it.each<[string, (xml: string) => string]>([
    ['takes letters from a NameID by an instruction', instruction('gracefully', 'grace<?x fully?>')],
    ['takes letters from a SessionIndex by an instruction', instruction('tablet', 'tab<?x let?>')],
    ['takes a NameID by an instruction', instruction('gracefully', '<?x gracefully?>')],
    [
      'takes SessionIndexes by a namespace, so that none is left',
      (xml) => xml.replace(own('tablet') + own('desk'), asOne),
    ],
    [
      'the same by the other quotation marks',
      (xml) => xml.replace(own('tablet') + own('desk'), asOne.replaceAll('"', "'").replaceAll('&quot;', '"')),
    ],
  ])('who %s ends nobody', async (_, change) => {
    const sp = world()
    const signOns = [
      await sp.signIn({ nameId: named('grace'), sessionIndex: 'tablet' }),
      await sp.signIn({ nameId: named('gracefully'), sessionIndex: 'tab' }),
      await sp.signIn({ nameId: named('gracefully'), sessionIndex: 'phone' }),
    ]
    const request = logoutRequestXml({ nameId: named('gracefully'), sessionIndexes: [] })
    const xml = signedXml(
      request.replace('</samlp:LogoutRequest>', `${own('tablet')}${own('desk')}</samlp:LogoutRequest>`),
      'LogoutRequest',
    )
    const changed = change(xml)
    expect(changed).not.toBe(xml)
    expect((await sp.post(form(changed))).status).toBe(400)
    expect(sp.reasons()).toEqual(['not_canonical'])
    for (const signOn of signOns) expect(await sp.logout.isLive(signOn)).toBe(true)
    expect(logoutResponse(await sp.post(form(xml))).status).toEqual(['Success'])
  })

  it.each([
    ['a comment', 'gr<!--x-->ace'],
    ['CDATA', 'gr<![CDATA[ac]]>e'],
    ['a reference', 'gr&#97;ce'],
  ])('%s in a name is the same name as it was signed, and as it is read', async (_, written) => {
    const sp = world()
    const [grace, gre] = [await sp.signIn({ nameId: named('grace') }), await sp.signIn({ nameId: named('gre') })]
    expect(logoutResponse(await sp.post(form(good().replace('>grace<', `>${written}<`)))).status).toEqual(['Success'])
    expect(await sp.logout.isLive(grace)).toBe(false)
    expect(await sp.logout.isLive(gre)).toBe(true)
  })

  it('the message it was made of would have been taken', async () => {
    const sp = world()
    const grace = await sp.signIn({ nameId: named('grace') })
    expect(logoutResponse(await sp.post(form(good()))).status).toEqual(['Success'])
    expect(await sp.logout.isLive(grace)).toBe(false)
  })

  it('a form with two messages, or with none, is refused', async () => {
    const sp = world()
    const request = posted(logoutRequestXml())
    expect((await sp.post({})).status).toBe(400)
    expect((await sp.post({ ...request, SAMLResponse: request.SAMLRequest ?? '' })).status).toBe(400)
    expect(sp.reasons()).toEqual(['message_missing', 'message_missing'])
  })

  it('a LogoutResponse in place of a LogoutRequest is refused', async () => {
    const sp = world()
    const { SAMLResponse = '' } = posted(logoutResponseXml({ inResponseTo: newId() }))
    expect((await sp.post({ SAMLRequest: SAMLResponse })).status).toBe(400)
    expect(sp.reasons()).toEqual(['message_unusable'])
  })

  it('an EncryptedID is refused rather than read in part', async () => {
    const sp = world()
    const xml = logoutRequestXml({ more: '<saml:EncryptedID/>' }).replace(/<saml:NameID.*<\/saml:NameID>/, '')
    expect((await sp.post(posted(xml))).status).toBe(400)
  })
})

describe('a mistake', () => {
  const warnings = (sp: World) => sp.events.flatMap((event) => (event.type === 'warning' ? [event.error.reason] : []))

  it('no login was ever bound: told after the first LogoutRequest, once', async () => {
    const sp = world()
    await sp.redirect(redirected(logoutRequestXml()))
    await sp.redirect(redirected(logoutRequestXml()))
    sp.logout.close()
    expect(warnings(sp)).toEqual(['never_bound'])
  })

  it('a login without a SessionIndex is none', async () => {
    const sp = world()
    await sp.signIn({ sessionIndex: null })
    await sp.redirect(redirected(logoutRequestXml()))
    expect(warnings(sp)).toEqual([])
  })
})

describe('what is no SAML message', () => {
  it('another method is answered 405', async () => {
    const answer = await world().slo.fetch(new Request(SLO, { method: 'DELETE' }))
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toBe('GET, POST')
  })

  it.each(['', 'SAMLRequest=', 'SAMLRequest=x', 'RelayState=x', '%', 'SAMLEncoding=x&SAMLRequest=x'])(
    'the query %j is refused',
    async (query) => {
      expect((await world().redirect(query)).status).toBe(400)
    },
  )
})

describe('a front-channel request of OpenID Connect', () => {
  it('in the name of the identity provider is refused: anybody can send one', async () => {
    const sp = world()
    const ada = await sp.signIn()
    const { sid = '' } = sp.slo.target({ nameID: ADA.value, nameIDFormat: PERSISTENT }, 'laptop')
    const server = createServer(sp.logout.frontchannelReceiver()).listen(0, '127.0.0.1')
    try {
      await once(server, 'listening')
      const address = server.address()
      if (address === null || typeof address === 'string') throw new Error('no port')
      const query = new URLSearchParams({ iss: IDP, sid })
      expect((await fetch(`http://127.0.0.1:${address.port}/?${query}`)).status).toBe(400)
      expect(await sp.logout.isLive(ada)).toBe(true)
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })
})

describe('two readings of one document', () => {
  it('must be one: where node-saml read another user, nobody is ended', async () => {
    const sp = world()
    const ada = await sp.signIn()
    const read = async () => ({ profile: { ID: '_1', issuer: IDP, nameID: 'grace' }, loggedOut: true })
    const saml = Object.assign(nodeSaml(), { processValidlySignedPostRequestAsync: read })
    const options = { saml, url: SLO, landingPage: '/', secret: 'x'.repeat(32), onEvent: () => {} }
    const { fetch } = createSamlLogout(sp.logout, options)
    const answer = await fetch(new Request(`${SLO}?${redirected(logoutRequestXml({ id: '_1' }))}`))
    expect(answer.status).toBe(400)
    expect(await sp.logout.isLive(ada)).toBe(true)
  })
})

describe('a Logout Token', () => {
  it('of the identity provider is never taken', async () => {
    const sp = world()
    const ada = await sp.signIn()
    const { sid } = sp.slo.target({ nameID: ADA.value, nameIDFormat: PERSISTENT }, 'laptop')
    const token = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
    const logoutToken = `${token({ alg: 'RS256' })}.${token({ iss: IDP, aud: SP, sid })}.c2ln`
    const body = new URLSearchParams({ logout_token: logoutToken })
    const answer = await sp.logout.fetch(new Request('https://app.example.com/bcl', { method: 'POST', body }))
    expect(answer.status).toBe(400)
    expect(sp.reasons()).toEqual(['iss_unknown'])
    expect(await sp.logout.isLive(ada)).toBe(true)
  })
})

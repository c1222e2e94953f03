// The certificates that a callback of the application fetches: when it fails, when it hangs, and how often it is asked.
import { createServer } from 'node:http'
import { describe, expect, it } from 'vitest'
import { form, logoutRequestXml, redirected, SLO } from './forge.js'
import { keysOf } from './keys.js'
import { BINDINGS, logoutResponse, world } from './world.js'

type Found = (error: Error | null, certificates?: string | string[]) => void

describe.each(BINDINGS)('certificates by a callback, for a LogoutRequest by %s', (_, send) => {
  it('that cannot be had are no forgery: 503, and the same message is taken once they can', async () => {
    let isAway = true
    const idpCert = (found: Found) => (isAway ? found(new Error('away')) : found(null, keysOf('idp').cert))
    const sp = world({ saml: { idpCert } })
    const ada = await sp.signIn()
    const xml = logoutRequestXml()
    const answer = await send(sp, xml)
    expect(answer.status).toBe(503)
    expect(answer.headers.get('retry-after')).toBe('1')
    expect(sp.reasons()).toEqual(['keys_unavailable'])
    isAway = false
    expect(logoutResponse(await send(sp, xml)).status).toEqual(['Success'])
    expect(await sp.logout.isLive(ada)).toBe(false)
  })

  it('that never come keep nobody waiting beyond the deadline', async () => {
    const sp = world({ saml: { idpCert: () => {} }, options: { answerDeadlineSeconds: 0.5 } })
    expect((await send(sp, logoutRequestXml())).status).toBe(503)
    expect(sp.reasons()).toEqual(['keys_unavailable'])
  })

  it('are asked for once, and a message under none of them is refused', async () => {
    let asked = 0
    const idpCert = (found: Found) => {
      asked += 1
      found(null, [keysOf('another idp').cert])
    }
    const sp = world({ saml: { idpCert } })
    expect((await send(sp, logoutRequestXml())).status).toBe(400)
    expect(sp.reasons()).toEqual(['not_verified'])
    expect(logoutResponse(await send(sp, logoutRequestXml(), { by: 'another idp' })).status).toEqual(['Success'])
    expect(asked).toBe(2)
  })
})

it('nobody asks for certificates for a message without a Signature', async () => {
  let asked = 0
  const idpCert = (found: Found) => {
    asked += 1
    found(null, keysOf('idp').cert)
  }
  const sp = world({ saml: { idpCert } })
  await sp.redirect(redirected(logoutRequestXml(), { sign: false }))
  await sp.post(form(logoutRequestXml()))
  expect(sp.reasons()).toEqual(['signature_missing', 'signature_missing'])
  expect(asked).toBe(0)
})

describe('node-saml that was extended', () => {
  it('and never says whether it verified: 503 in time', async () => {
    const sp = world({ options: { answerDeadlineSeconds: 0.5 } })
    Object.assign(sp.saml, { hasValidSignatureForRedirect: () => new Promise(() => {}) })
    expect((await sp.redirect(redirected(logoutRequestXml()))).status).toBe(503)
    expect(sp.reasons()).toEqual(['ERR_DEADLINE'])
  })

  it('and never writes the LogoutResponse: 500 in time, and who is named is out', async () => {
    const sp = world({ options: { answerDeadlineSeconds: 1.5 } })
    const ada = await sp.signIn()
    Object.assign(sp.saml, { getLogoutResponseUrlAsync: () => new Promise(() => {}) })
    expect((await sp.redirect(redirected(logoutRequestXml()))).status).toBe(500)
    expect(sp.reasons()).toEqual(['not_answered'])
    expect(await sp.logout.isLive(ada)).toBe(false)
  })
})

describe('a stranger’s POST', () => {
  it.each([
    ['larger than any LogoutRequest', 'A'.repeat(20_000), 'body_too_large'],
    ['of junk', Buffer.from('<'.repeat(10_000)).toString('base64'), 'not_well_formed'],
  ])('%s is refused before it is parsed', async (_, SAMLRequest, reason) => {
    const sp = world()
    expect((await sp.post({ SAMLRequest })).status).toBe(400)
    expect(sp.reasons()).toEqual([reason])
  })

  // By each of these 526 bytes held the process for ever: an XPath of theirs was evaluated before any signature.
  const DS = 'xmlns="http://www.w3.org/2000/09/xmldsig#"'
  const deep = (levels: number): string => (levels === 0 ? '//*' : `//*[count(${deep(levels - 1)})>1]`)
  const XPATH = `x' or count(${deep(4)})>1 or 'a'='`
  const c14n = 'http://www.w3.org/2001/10/xml-exc-c14n#'
  const SIGNATURE = `<Signature ${DS}><SignedInfo><CanonicalizationMethod Algorithm="${c14n}"/><SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"/><Reference URI="#${XPATH}"><Transforms><Transform Algorithm="${c14n}"/></Transforms><DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><DigestValue>AAAA</DigestValue></Reference></SignedInfo><SignatureValue>AAAA</SignatureValue><Object><Reference URI="#"/></Object></Signature>`
  it.each([
    ['in its ID', `ID="${XPATH}"`, `<Signature ${DS}><Reference/></Signature>`, 'id_unusable'],
    ['in its ID, in other letters', `Id="${XPATH}"`, SIGNATURE, 'id_unusable'],
    ['in the URI of its Reference', 'ID="_1"', SIGNATURE, 'signature_unusable'],
  ])('with an XPath %s is not handed to node-saml', async (_, id, signature, reason) => {
    const sp = world()
    let reached = 0
    Object.assign(sp.saml, { getKeyInfosAsPem: async () => reached++ })
    const xml = `<LogoutRequest ${id}>${signature}${'<a/>'.repeat(40)}</LogoutRequest>`
    for (const name of ['SAMLRequest', 'SAMLResponse']) {
      expect((await sp.post({ [name]: Buffer.from(xml).toString('base64') })).status).toBe(400)
    }
    expect(sp.reasons()).toEqual([reason, reason])
    expect(reached).toBe(0)
  })

  it('is bounded as well where a body parser of the application read it', async () => {
    const sp = world()
    const receive = sp.slo.receiver()
    const server = createServer(async (req, res) => {
      const chunks: Buffer[] = []
      for await (const chunk of req) chunks.push(chunk)
      receive(
        Object.assign(req, { body: Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString())) }),
        res,
      )
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    try {
      const { port } = Object(server.address())
      const body = new URLSearchParams({ SAMLRequest: 'A'.repeat(20_000) })
      const answer = await fetch(`http://127.0.0.1:${port}${new URL(SLO).pathname}`, { method: 'POST', body })
      expect(answer.status).toBe(400)
      expect(sp.reasons()).toEqual(['body_too_large'])
    } finally {
      server.closeAllConnections()
      server.close()
    }
  })
})

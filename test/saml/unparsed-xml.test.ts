// What is refused before it is parsed: by its letters, in time that grows with its length alone.
import { expect, it } from 'vitest'
import { assertMayBeSigned } from '../../src/saml/unparsed-xml.js'
import { logoutRequestXml, signedXml } from './forge.js'

const reasonOf = (xml: string) => {
  try {
    assertMayBeSigned(xml)
    return undefined
  } catch (error) {
    return Object(error).reason
  }
}

it.each([
  ['a signed message', signedXml(logoutRequestXml(), 'LogoutRequest')],
  ['a Signature without a prefix', '<a><Signature xmlns="x"/></a>'],
  ['one with a prefix', "<a><ds:Signature\n  xmlns:ds='x' ></ds:Signature ></a>"],
  ['a prolog, comments and a byte order mark', '\uFEFF<?xml version="1.0"?><!-- < <a> --><a><Signature/></a><!---->'],
  ['CDATA, and > in text and values', '<a b=">"><![CDATA[<b>]]>><Signature/></a>'],
  ['names beyond ASCII', '<über ö="ü"><Signature/></über>'],
])('%s is let through to the parser', (_, xml) => {
  expect(reasonOf(xml)).toBeUndefined()
})

it.each([
  ['an unsigned message', logoutRequestXml()],
  ['a Signature in a comment', '<a><!--<Signature/>--></a>'],
  ['a Signature in a value', '<a b="Signature"/>'],
  ['another name', '<a><SignatureValue/><NoSignature/></a>'],
  ['nothing', ''],
])('%s is not signed', (_, xml) => {
  expect(reasonOf(xml)).toBe('signature_missing')
})

it.each([
  ['a tag within a tag', '<a <Signature/>'],
  ['a tag that is not closed', '<a><Signature/>'],
  ['a tag that was not opened', '<Signature/></a>'],
  ['another one that is closed', '<a><Signature/></b>'],
  ['a comment without an end', '<a><Signature/></a><!--'],
  ['a name that begins with a digit', '<1><Signature/></1>'],
  ['an attribute without a value', '<a b><Signature/></a>'],
  ['a value without quotes', '<a b=c><Signature/></a>'],
  ['a < in a value', '<a b="<"><Signature/></a>'],
  ['a document type', '<!DOCTYPE a><a><Signature/></a>'],
])('%s is not well-formed', (_, xml) => {
  expect(reasonOf(xml)).toBe('not_well_formed')
})

it.each([
  ['nested deeper', `${'<a>'.repeat(33)}<Signature/>${'</a>'.repeat(33)}`],
  [
    'of one element with more attributes',
    `<a ${Array.from({ length: 33 }, (_, i) => `a${i}=""`).join(' ')}><Signature/></a>`,
  ],
  [
    'of one element with more namespaces',
    `<a ${Array.from({ length: 33 }, (_, i) => `xmlns:n${i}='u'`).join(' ')}><Signature/></a>`,
  ],
  ['with more attributes in all', `<a><Signature/>${'<b c="" d=""/>'.repeat(257)}</a>`],
])('a message %s than any that is sent is not parsed', (_, xml) => {
  expect(reasonOf(xml)).toBe('too_complex')
})

it('a message of many sessions is', () => {
  const index = '<samlp:SessionIndex xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol">laptop</samlp:SessionIndex>'
  expect(reasonOf(`<a><Signature/>${index.repeat(500)}</a>`)).toBeUndefined()
  expect(reasonOf(`${'<a>'.repeat(31)}<Signature/>${'</a>'.repeat(31)}`)).toBeUndefined()
})

it.each(['<', '< ', '<a ', '<a>', '<a b="', '<!--', '<a b="" ', '<a/ ', '<?', '<![CDATA[', ' ', '<a b'])(
  'a megabyte of %j takes no longer than a moment',
  (part) => {
    const before = process.cpuUsage()
    reasonOf(`<Signature>${part.repeat(1_000_000 / part.length)}`)
    reasonOf(`<Signature ${part.repeat(1_000_000 / part.length)}`)
    const { user } = process.cpuUsage(before)
    // By the square of its length it would be minutes.
    expect(user / 1e6).toBeLessThan(2)
  },
)

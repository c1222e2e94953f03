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

/** The least that may be signed. */
const REFERENCE = '<Reference URI="#_1"/>'
const signature = (inside = `<SignedInfo>${REFERENCE}</SignedInfo>`, name = 'Signature') =>
  `<${name}>${inside}</${name}>`
const message = (inside = '', about = 'ID="_1"') => `<a ${about}>${signature()}${inside}</a>`

it.each([
  ['a signed message', signedXml(logoutRequestXml(), 'LogoutRequest')],
  ['the least of one', message()],
  ['one with prefixes', signature('<ds:SignedInfo><ds:Reference URI="#_1"/></ds:SignedInfo>', 'ds:Signature')],
  ['a prolog, comments and a byte order mark', `\uFEFF<?xml version="1.0"?><!-- < <a> -->${message()}<!---->`],
  ['CDATA, and > in text and values', message('<![CDATA[<b>]]>>', 'ID="_1" b=">"')],
  ['names and IDs beyond ASCII', message('<über ö="ü"/>', 'ID="_1" Id="ü"')],
  ['an ID that begins with a digit, as careless providers have it', message().replaceAll('_1', '1a-b.c')],
  ['a Signature and a KeyInfo with an Id of their own', message().replace('<Signature', '<Signature Id="s"')],
])('%s is let through to the parser', (_, xml) => {
  expect(reasonOf(xml.startsWith('<ds:') ? `<a ID='_1'>${xml}</a>` : xml)).toBeUndefined()
})

it.each([
  ['an unsigned message', logoutRequestXml()],
  ['a Signature in a comment', '<a ID="_1"><!--<Signature/>--></a>'],
  ['a Signature in a value', '<a ID="_1" b="Signature"/>'],
  ['another name', '<a ID="_1"><SignatureValue/><NoSignature/></a>'],
  ['nothing', ''],
])('%s is not signed', (_, xml) => {
  expect(reasonOf(xml)).toBe('signature_missing')
})

it.each([
  ['a tag within a tag', message('<a <b/>')],
  ['a tag that is not closed', message('<b>')],
  ['a tag that was not opened', `${message()}</a>`],
  ['another one that is closed', message('<b></c>')],
  ['a comment without an end', `${message()}<!--`],
  ['a name that begins with a digit', message('<1></1>')],
  ['an attribute without a value', message('<a b></a>')],
  ['a value without quotes', message('<a b=c></a>')],
  ['a < in a value', message('<a b="<"></a>')],
  ['a document type', `<!DOCTYPE a>${message()}`],
  ['a second root', `${message()}<a/>`],
])('%s is not well-formed', (_, xml) => {
  expect(reasonOf(xml)).toBe('not_well_formed')
})

// node-saml writes the root's ID into an XPath, and asks nobody what is in it.
it.each([
  ['with a quotation mark', message().replaceAll('_1', "x' or '1'='1")],
  ['with one that is a reference', message().replaceAll('_1', 'x&#39; or 1')],
  ['with a bracket', message().replaceAll('_1', 'x]')],
  ['with a blank', message().replaceAll('_1', '_1 ')],
  ['that is empty', message().replaceAll('_1', '')],
  ['that is not there', message('', '')],
  ['in other letters than ID alone', message('', 'Id="_1"')],
  ['of an element inside', message(`<b Id="x' or '1'='1"/>`)],
  ['of an element inside, in other letters', message(`<b x:id="x' or '1'='1"/>`)],
  ['of an assertion', message('<b AssertionID="]"/>')],
])('an ID %s is not handed on', (_, xml) => {
  expect(reasonOf(xml)).toBe('id_unusable')
})

// Core 5.4.2: one Reference, to the root. node-saml and xml-crypto take the first of a name wherever it stands.
it.each([
  ['with no Reference', `<a ID="_1">${signature('<SignedInfo/>')}</a>`],
  ['with several', `<a ID="_1">${signature(`<SignedInfo>${REFERENCE}${REFERENCE}</SignedInfo>`)}</a>`],
  ['with another in an Object', message().replace('</Sig', `<Object>${REFERENCE}</Object></Sig`)],
  ['with its one in an Object', `<a ID="_1">${signature(`<Object>${REFERENCE}</Object>`)}</a>`],
  ['over another element', message().replace('#_1', '#_2')],
  ['over the whole document', message().replace('#_1', '')],
  ['without a URI', message().replace(' URI="#_1"', '')],
  ['whose URI says more than the ID', message().replace('#_1', "#_1' or '1'='1")],
  ['beside another', message(signature())],
  ['inside another element', `<a ID="_1"><b>${signature()}</b></a>`],
  ['that is the root', signature().replace('<Signature', '<Signature ID="_1"')],
  ['with two SignedInfo', message().replace('<SignedInfo', '<SignedInfo/><SignedInfo')],
  [
    'with a SignatureMethod elsewhere',
    message().replace('<SignedInfo', '<KeyInfo><SignatureMethod/></KeyInfo><SignedInfo'),
  ],
  ['with a SignatureValue elsewhere', message('<SignatureValue/>')],
])('a Signature %s is not handed on', (_, xml) => {
  expect(reasonOf(xml)).toBe('signature_unusable')
})

// What has one canonical form with something else.
it.each([
  ['an instruction', message('<?x y?>')],
  ['an instruction in front', `<?xml-stylesheet href="x"?>${message()}`],
  ['an instruction behind', `${message()}<?x?>`],
  ['an XML declaration elsewhere', message('<?xml version="1.0"?>')],
  ['a second one', `<?xml version="1.0"?><?xml version="1.0"?>${message()}`],
  ['an instruction that ends where it begins', `<?>${message()}?>`],
  ['a namespace with a quotation mark', message(`<b xmlns='u"'/>`)],
  ['a namespace of a prefix with one', message('<b xmlns:b="u&quot;"/>')],
  ['a namespace with a bracket', message('<b xmlns:b="u>"/>')],
  ['an attribute of a namespace with one', message('<b xml:lang="&quot;"/>')],
  ['a line end that parsers make another of', message('\u2028')],
])('%s is not handed on', (_, xml) => {
  expect(reasonOf(xml)).toBe('not_canonical')
})

it.each([
  ['nested deeper', message(`${'<b>'.repeat(32)}${'</b>'.repeat(32)}`)],
  [
    'of one element with more attributes',
    message('', `ID="_1" ${Array.from({ length: 32 }, (_, i) => `a${i}=""`).join(' ')}`),
  ],
  [
    'of one element with more namespaces',
    message('', `ID="_1" ${Array.from({ length: 32 }, (_, i) => `xmlns:n${i}='u'`).join(' ')}`),
  ],
  ['with more attributes in all', message('<b c="" d=""/>'.repeat(256))],
  ['with more elements in all', message('<b/>'.repeat(512))],
])('a message %s than any that is sent is not parsed', (_, xml) => {
  expect(reasonOf(xml)).toBe('too_complex')
})

it('a message of many sessions is', () => {
  const index = '<samlp:SessionIndex xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol">laptop</samlp:SessionIndex>'
  expect(reasonOf(message(index.repeat(500)))).toBeUndefined()
  expect(reasonOf(message(`${'<b>'.repeat(31)}${'</b>'.repeat(31)}`))).toBeUndefined()
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

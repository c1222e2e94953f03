// A look at the letters of XML before anybody parses it: what is not well-formed, or holds no Signature where SAML has
// it, is refused at little cost. It only ever refuses: what passes is as unproven as before.
import { samlRefusal } from './refusals.js'

/**
 * A comment, CDATA, a processing instruction, or a tag: closing, its name, self-closing. Nothing in it can be read in
 * two ways, so it takes no longer than the text is long. A document type is none of these, and no SAML message has one.
 */
const MARKUP =
  /<(?:!--[\s\S]*?-->|!\[CDATA\[[\s\S]*?\]\]>|\?[\s\S]*?\?>|(\/?)([\p{L}_:][^\s<>/"'=]*)(?:\s+[^\s<>/"'=]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(\/?)>)/uy
const ATTRIBUTE = /\s+([^\s<>/"'=]+)\s*=\s*(?:"([^"<]*)"|'([^'<]*)')/uy

/**
 * A signed message with certificates and hundreds of sessions has less. Whoever makes its canonical form carries each
 * attribute and namespace of an element to all that is in it, and whoever looks for elements by XPath sorts them by
 * their places among their brothers: both before any signature is looked at.
 */
const MOST = { depth: 32, attributesOfOne: 32, attributes: 512, elements: 512 }

/**
 * Where in the message each part of its signature stands, once (Core 5.4). Who verifies takes the first of that name,
 * or counts those of any place: another elsewhere must not be taken for it.
 */
const PLACES: ReadonlyMap<string, string> = new Map(
  [
    'Signature',
    'Signature/SignedInfo',
    'Signature/SignedInfo/CanonicalizationMethod',
    'Signature/SignedInfo/SignatureMethod',
    'Signature/SignedInfo/Reference',
    'Signature/SignatureValue',
  ].map((place): [string, string] => [localName(place, '/'), place]),
)

const DECLARATION = /^\s*<\?xml\s[^<>]*?\?>/u
const HAS_NAMESPACE = /^xmlns$|:/u
/** Line ends of XML 1.1, which the parsers at work here make of these, and XML 1.0 does not. */
const OTHER_LINE_END = /[\u0085\u2028]/u

const IS_ID = /^(?:.*:)?(?:assertion)?id$/iu
/**
 * The letters of an NCName, as IDs are. That none begins with a digit is left to those who care: some identity
 * providers do, and what must not come through are quotation marks. node-saml writes the root's ID and the Reference's
 * URI into XPaths as they are, and evaluates these before it looks at any signature.
 */
const ID = /^[\p{L}\p{M}\p{N}_.·-]+$/u

interface StartTag {
  /** Local names, from the root to this one. */
  readonly path: readonly string[]
  readonly attributes: ReadonlyMap<string, string>
}

/**
 * Throws `ERR_SAML` for what cannot be a signed message, and for what is verified as one text and read as another. A
 * parser of browsers' kind goes on after each fault, and takes a second for what a stranger sends in a moment.
 */
export function assertMayBeSigned(xml: string): void {
  const signature = new Set<string>()
  let isInPlace = true
  let id: string | undefined
  let elements = 0
  let attributes = 0
  for (const { path, attributes: own } of startTags(xml)) {
    elements += 1
    attributes += own.size
    if (path.length > MOST.depth || own.size > MOST.attributesOfOne) throw samlRefusal('too_complex')
    if (elements > MOST.elements || attributes > MOST.attributes) throw samlRefusal('too_complex')
    for (const [name, value] of own) assertAttribute(name, value)
    if (path.length === 1) id = own.get('ID')
    if (id === undefined) throw samlRefusal('id_unusable')
    const name = path.at(-1) ?? ''
    const place = PLACES.get(name)
    if (place === undefined) continue
    isInPlace &&= path.slice(1).join('/') === place && !signature.has(name)
    // Core 5.4.2: a signature has one Reference, to the ID of the root.
    if (name === 'Reference') isInPlace &&= own.get('URI') === `#${id}`
    signature.add(name)
  }
  if (!signature.has('Signature')) throw samlRefusal('signature_missing')
  if (!isInPlace || !signature.has('Reference')) throw samlRefusal('signature_unusable')
}

function assertAttribute(name: string, value: string): void {
  if (IS_ID.test(name) && !ID.test(value)) throw samlRefusal('id_unusable')
  // xml-crypto writes a namespace into the canonical form without escaping it: by a quotation mark it would go on as
  // attributes, text and elements that the identity provider signed, and that nobody would read.
  if (HAS_NAMESPACE.test(name) && /[&"<>]/.test(value)) throw samlRefusal('not_canonical')
}

/** Throws where it is not well-formed, and at an instruction, which xml-crypto verifies as if it were text. */
function* startTags(xml: string): Generator<StartTag> {
  const open: string[] = []
  let hasRoot = false
  if (OTHER_LINE_END.test(xml)) throw samlRefusal('not_canonical')
  const start = DECLARATION.exec(xml)?.[0].length ?? 0
  for (let at = xml.indexOf('<', start); at >= 0; at = xml.indexOf('<', MARKUP.lastIndex)) {
    MARKUP.lastIndex = at
    const markup = MARKUP.exec(xml)
    if (markup === null) throw samlRefusal('not_well_formed')
    if (xml[at + 1] === '?') throw samlRefusal('not_canonical')
    const [tag, closing, name, selfClosing] = markup
    if (name === undefined) continue
    if (closing) {
      if (open.pop() !== name) throw samlRefusal('not_well_formed')
      continue
    }
    if (hasRoot && open.length === 0) throw samlRefusal('not_well_formed')
    hasRoot = true
    yield { path: [...open, name].map((each) => localName(each, ':')), attributes: attributesOf(tag, name) }
    if (!selfClosing) open.push(name)
  }
  if (open.length > 0) throw samlRefusal('not_well_formed')
}

function attributesOf(tag: string, name: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>()
  ATTRIBUTE.lastIndex = 1 + name.length
  for (let match = ATTRIBUTE.exec(tag); match !== null; match = ATTRIBUTE.exec(tag)) {
    const [, attribute = '', value = match[3] ?? ''] = match
    if (attributes.has(attribute)) throw samlRefusal('not_well_formed')
    attributes.set(attribute, value)
  }
  return attributes
}

function localName(name: string, separator: string): string {
  return name.slice(name.lastIndexOf(separator) + 1)
}

// A look at the letters of XML before anybody parses it: what is not well-formed, or holds no Signature, is refused at
// little cost. It only ever refuses: what passes is as unproven as before.
import { samlRefusal } from './refusals.js'

/**
 * A comment, CDATA, a processing instruction, or a tag: closing, its name, self-closing. Nothing in it can be read in
 * two ways, so it takes no longer than the text is long. A document type is none of these, and no SAML message has one.
 */
const MARKUP =
  /<(?:!--[\s\S]*?-->|!\[CDATA\[[\s\S]*?\]\]>|\?[\s\S]*?\?>|(\/?)([\p{L}_:][^\s<>/"'=]*)(?:\s+[^\s<>/"'=]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(\/?)>)/uy

/**
 * A signed message with certificates and hundreds of sessions has less. Whoever makes its canonical form carries each
 * attribute and namespace of an element to all that is in it, before any signature is looked at.
 */
const MOST = { depth: 32, attributesOfOne: 32, attributes: 512 }
const ATTRIBUTE = /=\s*["']/g

/**
 * Throws `ERR_SAML` for what cannot be a signed message. A parser of browsers' kind goes on after each fault, and takes
 * a second for what a stranger sends in a moment.
 */
export function assertMayBeSigned(xml: string): void {
  const open: string[] = []
  let isSigned = false
  let attributes = 0
  for (let at = xml.indexOf('<'); at >= 0; at = xml.indexOf('<', MARKUP.lastIndex)) {
    MARKUP.lastIndex = at
    const markup = MARKUP.exec(xml)
    if (markup === null) throw samlRefusal('not_well_formed')
    const [, closing, name, selfClosing] = markup
    if (name === undefined) continue
    if (closing) {
      if (open.pop() !== name) throw samlRefusal('not_well_formed')
      continue
    }
    const own = markup[0].match(ATTRIBUTE)?.length ?? 0
    attributes += own
    if (!selfClosing) open.push(name)
    if (open.length > MOST.depth || own > MOST.attributesOfOne || attributes > MOST.attributes) {
      throw samlRefusal('too_complex')
    }
    isSigned ||= name === 'Signature' || name.endsWith(':Signature')
  }
  if (open.length > 0) throw samlRefusal('not_well_formed')
  if (!isSigned) throw samlRefusal('signature_missing')
}

// No two names of a user, and no two sessions, become one text; and what SAML says is one name does.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type SamlNameId, sidOf, subOf } from '../../src/saml/name-id.js'

const CLIENT = { issuer: 'https://idp.example.com', clientId: 'https://app.example.com' }
const UNSPECIFIED = 'urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified'
const PERSISTENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'
const TRANSIENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:transient'

// Few letters and much punctuation of the encoding itself, so that one choice imitates another as often as it can.
const part = fc.string({ unit: fc.constantFrom('a', '"', ',', '[', ']', '\\', 'null', '|', ' '), maxLength: 6 })
const optional = fc.option(part, { nil: undefined })
const nameId = fc.record({
  nameID: part.filter((text) => text !== ''),
  nameIDFormat: fc.constantFrom(undefined, UNSPECIFIED, PERSISTENT, TRANSIENT, 'a', '"'),
  nameQualifier: fc.oneof(optional, fc.constant(CLIENT.issuer)),
  spNameQualifier: fc.oneof(optional, fc.constant(CLIENT.clientId)),
  spProvidedID: optional,
})

/** What SAML says of a name, part by part: the same if and only if all of this is. */
function meaning({ nameID, nameIDFormat, nameQualifier, spNameQualifier, spProvidedID }: SamlNameId) {
  const isPairwise = nameIDFormat === PERSISTENT || nameIDFormat === TRANSIENT
  return {
    nameID,
    format: nameIDFormat || UNSPECIFIED,
    qualifier: nameQualifier || (isPairwise ? CLIENT.issuer : 'none'),
    spQualifier: spNameQualifier || (isPairwise ? CLIENT.clientId : 'none'),
    provided: spProvidedID || 'none',
  }
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

describe('a NameID', () => {
  it('is one sub if and only if it is one name', () => {
    fc.assert(
      fc.property(nameId, nameId, (a, b) => {
        expect(subOf(a, CLIENT) === subOf(b, CLIENT)).toBe(same(meaning(a), meaning(b)))
      }),
      { numRuns: 2000 },
    )
  })

  it('and a SessionIndex are one sid if and only if both are one', () => {
    fc.assert(
      fc.property(nameId, part, nameId, part, (a, indexA, b, indexB) => {
        const isSame = same([meaning(a), indexA], [meaning(b), indexB])
        expect(sidOf(a, indexA, CLIENT) === sidOf(b, indexB, CLIENT)).toBe(isSame)
      }),
      { numRuns: 2000 },
    )
  })

  it.each<[string, SamlNameId, SamlNameId]>([
    ['value and format', { nameID: 'a', nameIDFormat: 'b' }, { nameID: 'b', nameIDFormat: 'a' }],
    ['its qualifiers', { nameID: 'a', nameQualifier: 'b' }, { nameID: 'a', spNameQualifier: 'b' }],
    ['qualifier and alias', { nameID: 'a', spNameQualifier: 'b' }, { nameID: 'a', spProvidedID: 'b' }],
    ['a null that is text', { nameID: 'a', nameQualifier: 'null' }, { nameID: 'a' }],
    ['the IdP as qualifier of an address', { nameID: 'a', nameQualifier: CLIENT.issuer }, { nameID: 'a' }],
  ])('%s: what is put elsewhere is another', (_, a, b) => {
    expect(subOf(a, CLIENT)).not.toBe(subOf(b, CLIENT))
    expect(sidOf(a, '1', CLIENT)).not.toBe(sidOf(b, '1', CLIENT))
  })
})

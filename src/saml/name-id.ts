// Which subject and which session a SAML NameID and SessionIndex name: one text for each, and never one for two. Knows
// no message.
import type { Client } from '../marks/target.js'

/** A SAML NameID (Core 2.2.3), named as node-saml names its parts. */
export interface SamlNameId {
  readonly nameID: string
  /** Absent: `unspecified`, as Core 2.2.2 says. */
  readonly nameIDFormat?: string | undefined
  readonly nameQualifier?: string | undefined
  readonly spNameQualifier?: string | undefined
  readonly spProvidedID?: string | undefined
}

const UNSPECIFIED = 'urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified'

/** Of these an omitted qualifier has a value all the same: the two parties' own entity ids (Core 8.3.7, 8.3.8). */
const QUALIFIED_BY_THE_PARTIES: readonly unknown[] = [
  'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent',
  'urn:oasis:names:tc:SAML:2.0:nameid-format:transient',
]

/** The `sub` of a NameID. JSON of a list is a length-safe encoding: no choice of parts can imitate another. */
export function subOf(nameId: SamlNameId, client: Client): string {
  return JSON.stringify(partsOf(nameId, client))
}

/**
 * The `sid` of a SessionIndex. The NameID is part of it: identity providers are free to give the same few indexes to
 * everybody (Core 2.7.2), so an index alone names nobody's session.
 */
export function sidOf(nameId: SamlNameId, sessionIndex: string, client: Client): string {
  return JSON.stringify([sessionIndex, ...partsOf(nameId, client)])
}

function partsOf(nameId: SamlNameId, { issuer, clientId }: Client): readonly (string | null)[] {
  const { nameID, nameIDFormat, nameQualifier, spNameQualifier, spProvidedID } = nameId
  const isOfTheParties = QUALIFIED_BY_THE_PARTIES.includes(nameIDFormat)
  return [
    nameID,
    said(nameIDFormat, UNSPECIFIED),
    said(nameQualifier, isOfTheParties ? issuer : undefined),
    said(spNameQualifier, isOfTheParties ? clientId : undefined),
    said(spProvidedID),
  ]
}

/** An empty attribute says as much as none, and so does one that says what holds without it. */
function said(value: string | undefined, implied?: string): string | null {
  return value === undefined || value === '' || value === implied ? null : value
}

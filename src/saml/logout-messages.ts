// What a verified LogoutRequest or LogoutResponse says, and the rules that node-saml does not check: to whom it is
// addressed, when it was issued, and whom it names, by every part of the name.
import type { Client } from '../marks/target.js'
import type { SamlNameId } from './name-id.js'
import { samlRefusal } from './refusals.js'
import type { VerifiedDocument } from './verified-messages.js'
import { ASSERTION, attributeOf, childrenOf, isElement, PROTOCOL, textOf, type XmlNode } from './xml-view.js'

export interface LogoutRequest {
  readonly kind: 'request'
  readonly id: string
  /** Epoch seconds, by the identity provider's clock. */
  readonly issuedAt: number
  /** Until when it may be acted on. Epoch seconds, by its clock. */
  readonly notOnOrAfter: number
  readonly nameId: SamlNameId
  /** None: every session of the NameID (Core 3.7.1). */
  readonly sessionIndexes: readonly string[]
}

export interface LogoutResponse {
  readonly kind: 'response'
  readonly inResponseTo: string | undefined
  readonly outcome: 'done' | 'partial' | 'failed'
}

export interface LogoutMessageRules {
  readonly client: Client
  /** Where it was received: our own address, as it is registered. */
  readonly url: string
  readonly maxAgeSeconds: number
  readonly clockToleranceSeconds: number
}

/** Throws `ERR_SAML` with the first rule that fails. */
export function logoutMessage(
  { root, profile }: VerifiedDocument,
  rules: LogoutMessageRules,
  now: number,
): LogoutRequest | LogoutResponse {
  const isRequest = isElement(root, PROTOCOL, 'LogoutRequest')
  if (!isRequest && !isElement(root, PROTOCOL, 'LogoutResponse')) throw samlRefusal('message_unusable')
  const id = attributeOf(root, 'ID')
  if (id === undefined || attributeOf(root, 'Version') !== '2.0') throw samlRefusal('message_unusable')
  const [issuer, another] = childrenOf(root, ASSERTION, 'Issuer')
  if (another !== undefined || textOf(issuer) !== rules.client.issuer) throw samlRefusal('issuer_mismatch')
  // Bindings 3.4.5.2 and 3.5.5.2: a signed message must say where it goes, and whoever receives it must look.
  const destination = attributeOf(root, 'Destination')
  if (destination === undefined) throw samlRefusal('destination_missing')
  if (destination !== rules.url) throw samlRefusal('destination_mismatch')
  const issuedAt = timeOf(root, 'IssueInstant')
  if (issuedAt === undefined) throw samlRefusal('time_unusable')
  if (issuedAt > now + rules.clockToleranceSeconds) throw samlRefusal('issued_in_future')
  if (!isRequest) return logoutResponse(root)
  const notOnOrAfter = Math.min(
    timeOf(root, 'NotOnOrAfter') ?? Number.POSITIVE_INFINITY,
    issuedAt + rules.maxAgeSeconds,
  )
  if (now >= notOnOrAfter + rules.clockToleranceSeconds) {
    throw samlRefusal(notOnOrAfter < issuedAt + rules.maxAgeSeconds ? 'expired' : 'too_old')
  }
  const nameId = nameIdOf(root)
  // Two readings of one document must be one.
  if (profile?.ID !== id || profile.issuer !== rules.client.issuer || profile.nameID !== nameId.nameID) {
    throw samlRefusal('readings_differ')
  }
  return { kind: 'request', id, issuedAt, notOnOrAfter, nameId, sessionIndexes: sessionIndexesOf(root) }
}

function nameIdOf(root: XmlNode): SamlNameId {
  if (childrenOf(root, ASSERTION, 'EncryptedID').length > 0) throw samlRefusal('encrypted_name_id')
  const [element, another] = [...childrenOf(root, ASSERTION, 'NameID'), ...childrenOf(root, ASSERTION, 'BaseID')]
  const nameID = textOf(element)
  if (element?.localName !== 'NameID' || another !== undefined || nameID === undefined) {
    throw samlRefusal('name_id_unusable')
  }
  return {
    nameID,
    nameIDFormat: attributeOf(element, 'Format'),
    nameQualifier: attributeOf(element, 'NameQualifier'),
    spNameQualifier: attributeOf(element, 'SPNameQualifier'),
    spProvidedID: attributeOf(element, 'SPProvidedID'),
  }
}

/** One that cannot be read names nobody, which must not be mistaken for "all of them". */
function sessionIndexesOf(root: XmlNode): readonly string[] {
  const indexes = childrenOf(root, PROTOCOL, 'SessionIndex').map((element) => {
    const index = textOf(element)
    if (index === undefined) throw samlRefusal('session_index_unusable')
    return index
  })
  return [...new Set(indexes)]
}

function logoutResponse(root: XmlNode): LogoutResponse {
  const [status] = childrenOf(root, PROTOCOL, 'Status')
  const [code] = status === undefined ? [] : childrenOf(status, PROTOCOL, 'StatusCode')
  const [second] = code === undefined ? [] : childrenOf(code, PROTOCOL, 'StatusCode')
  const isSuccess = attributeOf(code, 'Value') === 'urn:oasis:names:tc:SAML:2.0:status:Success'
  const isPartial = [code, second].some(
    (each) => attributeOf(each, 'Value') === 'urn:oasis:names:tc:SAML:2.0:status:PartialLogout',
  )
  const outcome = isPartial ? 'partial' : isSuccess ? 'done' : 'failed'
  return { kind: 'response', inResponseTo: attributeOf(root, 'InResponseTo'), outcome }
}

/** Core 1.3.3: UTC, and `Z` or nothing behind it. An offset is a time as well. */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?$/

function timeOf(root: XmlNode, name: string): number | undefined {
  const value = attributeOf(root, name)
  if (value === undefined) return undefined
  const seconds = epochSeconds(value)
  if (seconds === undefined) throw samlRefusal('time_unusable')
  return seconds
}

/** `undefined` for what is no time. */
export function epochSeconds(value: string): number | undefined {
  const match = TIME.exec(value)
  const milliseconds = match === null ? Number.NaN : Date.parse(match[2] === undefined ? `${value}Z` : value)
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000
}

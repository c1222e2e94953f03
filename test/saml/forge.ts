// An identity provider's messages, letter by letter, so that each can be wrong in one thing. They are signed by the
// same code that node-saml signs with.
import { createSign, randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { signXml } from '@node-saml/node-saml/lib/xml.js'
import { keysOf } from './keys.js'

export const IDP = 'https://idp.example.com/metadata'
export const SP = 'https://app.example.com/saml'
export const SLO = 'https://app.example.com/saml/slo'
export const ACS = 'https://app.example.com/saml/acs'
export const IDP_SLO = 'https://idp.example.com/slo'
export const PERSISTENT = 'urn:oasis:names:tc:SAML:2.0:nameid-format:persistent'
export const EMAIL = 'urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress'
export const RSA_SHA256 = 'http://www.w3.org/2001/04/xmldsig-more#rsa-sha256'

const NAMESPACES =
  'xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion"'

export interface NameIdXml {
  readonly value: string
  readonly attributes?: Readonly<Record<string, string>>
}

const attributesXml = (attributes: Readonly<Record<string, string | undefined>>) =>
  Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}="${value}"`)
    .join('')

const nameIdXml = ({ value, attributes = {} }: NameIdXml) =>
  `<saml:NameID${attributesXml(attributes)}>${value}</saml:NameID>`

export const newId = () => `_${randomBytes(16).toString('hex')}`
export const instant = (secondsFromNow = 0) => new Date(Date.now() + secondsFromNow * 1000).toISOString()

export interface LogoutRequestXml {
  readonly id?: string
  /** `null`: the attribute is not there. */
  readonly destination?: string | null
  readonly issueInstant?: string
  readonly notOnOrAfter?: string
  readonly issuer?: string
  readonly nameId?: NameIdXml
  readonly sessionIndexes?: readonly string[]
  /** Whatever else stands in it. */
  readonly more?: string
}

export function logoutRequestXml(about: LogoutRequestXml = {}): string {
  const { destination = SLO, nameId = ADA, sessionIndexes = ['laptop'], issuer = IDP, more = '' } = about
  const attributes = attributesXml({
    ID: about.id ?? newId(),
    Version: '2.0',
    IssueInstant: about.issueInstant ?? instant(),
    Destination: destination ?? undefined,
    NotOnOrAfter: about.notOnOrAfter,
  })
  const indexes = sessionIndexes.map((index) => `<samlp:SessionIndex>${index}</samlp:SessionIndex>`).join('')
  return `<samlp:LogoutRequest ${NAMESPACES}${attributes}><saml:Issuer>${issuer}</saml:Issuer>${more}${nameIdXml(nameId)}${indexes}</samlp:LogoutRequest>`
}

export function logoutResponseXml(about: {
  readonly inResponseTo: string
  readonly status?: string
  readonly second?: string
  readonly destination?: string
  readonly issuer?: string
}): string {
  const { inResponseTo, status = 'Success', second, destination = SLO, issuer = IDP } = about
  const value = (code: string) => `Value="urn:oasis:names:tc:SAML:2.0:status:${code}"`
  const nested = second === undefined ? '' : `<samlp:StatusCode ${value(second)}/>`
  const attributes = attributesXml({
    ID: newId(),
    Version: '2.0',
    IssueInstant: instant(),
    Destination: destination,
    InResponseTo: inResponseTo,
  })
  return `<samlp:LogoutResponse ${NAMESPACES}${attributes}><saml:Issuer>${issuer}</saml:Issuer><samlp:Status><samlp:StatusCode ${value(status)}>${nested}</samlp:StatusCode></samlp:Status></samlp:LogoutResponse>`
}

export const ADA: NameIdXml = { value: 'ada', attributes: { Format: PERSISTENT } }

export interface LoginXml {
  readonly nameId?: NameIdXml
  /** `null`: none. */
  readonly sessionIndex?: string | null
  readonly sessionNotOnOrAfter?: string
  readonly issueInstant?: string
  readonly issuer?: string
  readonly statements?: string
}

/** A whole signed Response, for the `SAMLResponse` of a POST. */
export function loginResponse(about: LoginXml = {}, by = 'idp'): string {
  const { nameId = ADA, sessionIndex = 'laptop', issuer = IDP, issueInstant = instant() } = about
  const statement = attributesXml({
    AuthnInstant: issueInstant,
    SessionIndex: sessionIndex ?? undefined,
    SessionNotOnOrAfter: about.sessionNotOnOrAfter,
  })
  const context =
    '<saml:AuthnContext><saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified</saml:AuthnContextClassRef></saml:AuthnContext>'
  const statements = about.statements ?? `<saml:AuthnStatement${statement}>${context}</saml:AuthnStatement>`
  const confirmed = `<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"><saml:SubjectConfirmationData Recipient="${ACS}" NotOnOrAfter="${instant(300)}"/></saml:SubjectConfirmation>`
  const conditions = `<saml:Conditions NotBefore="${instant(-60)}" NotOnOrAfter="${instant(300)}"><saml:AudienceRestriction><saml:Audience>${SP}</saml:Audience></saml:AudienceRestriction></saml:Conditions>`
  const assertion = `<saml:Assertion ${NAMESPACES}${attributesXml({ ID: newId(), Version: '2.0', IssueInstant: issueInstant })}><saml:Issuer>${issuer}</saml:Issuer><saml:Subject>${nameIdXml(nameId)}${confirmed}</saml:Subject>${conditions}${statements}</saml:Assertion>`
  const response = `<samlp:Response ${NAMESPACES}${attributesXml({ ID: newId(), Version: '2.0', IssueInstant: issueInstant, Destination: ACS })}><saml:Issuer>${issuer}</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status>${signedXml(assertion, 'Assertion', by)}</samlp:Response>`
  return Buffer.from(signedXml(response, 'Response', by)).toString('base64')
}

/** Signed by its root, behind its Issuer, as the POST binding has it. */
export function signedXml(xml: string, root: string, by = 'idp'): string {
  const path = `/*[local-name(.)='${root}']`
  const location = { reference: `${path}/*[local-name(.)='Issuer']`, action: 'after' as const }
  const { key } = keysOf(by)
  return signXml(xml, path, location, { privateKey: key, signatureAlgorithm: 'sha256', digestAlgorithm: 'sha256' })
}

/** The form of the POST binding. */
export function posted(xml: string, { by = 'idp', relayState = undefined as string | undefined, sign = true } = {}) {
  const root = xml.includes('<samlp:LogoutResponse') ? 'LogoutResponse' : 'LogoutRequest'
  return form(sign ? signedXml(xml, root, by) : xml, relayState)
}

export function form(xml: string, relayState?: string): Readonly<Record<string, string>> {
  const name = xml.includes('<samlp:LogoutResponse') ? 'SAMLResponse' : 'SAMLRequest'
  const message = Buffer.from(xml).toString('base64')
  return { [name]: message, ...(relayState !== undefined && { RelayState: relayState }) }
}

/** The query of the redirect binding, each parameter as a token of its own. `encode`: as who signs spells a RelayState. */
export function redirected(
  xml: string,
  {
    by = 'idp',
    relayState = undefined as string | undefined,
    sign = true,
    encode = (text: string) => encodeURIComponent(text),
  } = {},
): string {
  const name = xml.includes('<samlp:LogoutResponse') ? 'SAMLResponse' : 'SAMLRequest'
  const tokens = [`${name}=${encodeURIComponent(deflateRawSync(xml).toString('base64'))}`]
  if (relayState !== undefined) tokens.push(`RelayState=${encode(relayState)}`)
  if (!sign) return tokens.join('&')
  tokens.push(`SigAlg=${encodeURIComponent(RSA_SHA256)}`)
  const signature = createSign('RSA-SHA256').update(tokens.join('&')).sign(keysOf(by).key, 'base64')
  return [...tokens, `Signature=${encodeURIComponent(signature)}`].join('&')
}

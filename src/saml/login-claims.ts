// From the assertion of a SAML login to the claims that `bind` takes, as those of an ID Token: read from what node-saml
// verified, since its profile leaves parts out, and attributes of the user are in it as well.
import type { Client } from '../marks/target.js'
import { epochSeconds } from './logout-messages.js'
import { type SamlNameId, sidOf, subOf } from './name-id.js'

/** What node-saml makes of a login, as it hands it to `validatePostResponseAsync`'s caller or to passport's `verify`. */
export interface SamlProfile {
  /** The assertion that it verified. */
  readonly getAssertion?: (() => Record<string, unknown>) | undefined
}

/** Of a login by SAML: to be handed to `logout.bind` or `logout.signOn`. Without the subject or the issuer it has none. */
export type SamlLoginClaims = Readonly<Record<string, unknown>>

/** Whom a login names, and what bounds it. */
export interface SamlLogin {
  readonly issuer: string | undefined
  readonly nameId: SamlNameId | undefined
  /** Absent also where there are several: nobody can tell which of them a session is of. */
  readonly sessionIndex: string | undefined
  readonly issuedAt: number | undefined
  readonly authenticatedAt: number | undefined
  /** The earliest `SessionNotOnOrAfter`; NaN where one is no time. */
  readonly endsAt: number | undefined
}

/** @throws TypeError for what is no profile of node-saml's own making */
export function samlLogin(profile: SamlProfile): SamlLogin {
  const document = profile?.getAssertion?.()
  if (document === undefined) {
    throw new TypeError(
      'the profile has no getAssertion(): give it as node-saml or passport-saml made it, before it is kept anywhere',
    )
  }
  const assertion = elementsOf(document, 'Assertion', true)[0]
  const statements = elementsOf(assertion, 'AuthnStatement')
  const times = (name: string) => statements.flatMap((each) => timeIn(attributesOf(each)[name]) ?? [])
  const indexes = new Set(statements.flatMap((each) => attributesOf(each).SessionIndex || []))
  const ends = times('SessionNotOnOrAfter')
  const [authenticatedAt] = times('AuthnInstant')
  const [sessionIndex] = indexes.size === 1 ? indexes : []
  return {
    issuer: textOf(elementsOf(assertion, 'Issuer')[0]),
    nameId: nameIdOf(elementsOf(elementsOf(assertion, 'Subject')[0], 'NameID')),
    sessionIndex,
    issuedAt: timeIn(attributesOf(assertion).IssueInstant),
    authenticatedAt,
    endsAt: ends.length === 0 ? undefined : Math.min(...ends),
  }
}

/** node-saml has seen to it that the assertion is for us. */
export function loginClaims(login: SamlLogin, client: Client): SamlLoginClaims {
  const { issuer, nameId, sessionIndex, issuedAt, authenticatedAt, endsAt } = login
  return {
    iss: issuer,
    aud: client.clientId,
    ...(nameId && { sub: subOf(nameId, client) }),
    ...(nameId && sessionIndex !== undefined && { sid: sidOf(nameId, sessionIndex, client) }),
    iat: issuedAt,
    ...(authenticatedAt !== undefined && { auth_time: authenticatedAt }),
    ...(endsAt !== undefined && { session_expiry: endsAt }),
  }
}

function nameIdOf([element, another]: readonly unknown[]): SamlNameId | undefined {
  const nameID = textOf(element)
  if (nameID === undefined || another !== undefined) return undefined
  const { Format, NameQualifier, SPNameQualifier, SPProvidedID } = attributesOf(element)
  return {
    nameID,
    nameIDFormat: Format,
    nameQualifier: NameQualifier,
    spNameQualifier: SPNameQualifier,
    spProvidedID: SPProvidedID,
  }
}

// The assertion as node-saml's parser shows it: attributes under `$`, text under `_`, elements in lists by their names.

function elementsOf(node: unknown, name: string, isRoot = false): readonly unknown[] {
  const value: unknown = typeof node === 'object' && node !== null ? Reflect.get(node, name) : undefined
  return Array.isArray(value) ? value : isRoot && value !== undefined ? [value] : []
}

function attributesOf(node: unknown): Readonly<Record<string, string | undefined>> {
  const attributes: unknown = typeof node === 'object' && node !== null ? Reflect.get(node, '$') : undefined
  return typeof attributes === 'object' && attributes !== null
    ? (attributes as Readonly<Record<string, string | undefined>>)
    : {}
}

/** The whole text, with no other element in it. */
function textOf(node: unknown): string | undefined {
  if (typeof node === 'string') return node || undefined
  if (typeof node !== 'object' || node === null) return undefined
  const { _: text, $: _attributes, ...elements } = node as { readonly _?: unknown; readonly $?: unknown }
  return typeof text === 'string' && text !== '' && Object.keys(elements).length === 0 ? text : undefined
}

function timeIn(value: string | undefined): number | undefined {
  return value === undefined ? undefined : (epochSeconds(value) ?? Number.NaN)
}

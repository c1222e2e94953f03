// Every named defect of a Logout Token: one change each, and the rule by which it must be refused. Knows nothing of the
// receiver, so that it cannot share its mistakes.
import type { JWK } from 'jose'
import type { MintAlgorithm } from './mint-keys.js'
import { BACKCHANNEL_LOGOUT_EVENT, type Change } from './token-change.js'

/** One defect: what is wrong, by which rule it must be refused. */
export interface DefectRule {
  readonly name: string
  /** The document and section that forbids it. */
  readonly rule: string
  readonly change: (valid: ValidToken) => Change
}

/** What a defect may refer to: the valid token it spoils. */
export interface ValidToken {
  readonly issuer: string
  readonly clientId: string
  readonly algorithm: MintAlgorithm
  /** `iat`, in whole epoch seconds. */
  readonly now: number
  /** The public half of the key with which `foreign` signs. */
  readonly foreignKey: JWK
}

/**
 * Every named defect. Each is a valid Logout Token with one change, refused by every receiver that keeps to the letter
 * of BCL; run your own receiver through the list, after checking that it takes `logoutToken()`.
 */
export const DEFECTS = [
  { name: 'alg-none', rule: 'BCL 2.6 step 3', change: () => ({ signer: 'nobody' }) },
  { name: 'alg-none-with-signature', rule: 'BCL 2.6 step 3', change: () => ({ header: { alg: 'none' } }) },
  { name: 'alg-absent', rule: 'RFC 7515 4.1.1', change: () => ({ header: { alg: undefined } }) },
  { name: 'alg-wrong-case', rule: 'RFC 7515 4.1.1', change: (v) => ({ header: { alg: v.algorithm.toLowerCase() } }) },
  { name: 'alg-of-another-published-key', rule: 'BCL 2.6 step 3', change: () => ({ signer: 'other-published' }) },
  { name: 'public-key-as-secret', rule: 'RFC 8725 2.1', change: () => ({ signer: 'public-key-as-secret' }) },
  { name: 'signature-of-foreign-key', rule: 'BCL 2.6 step 2', change: () => ({ signer: 'foreign' }) },
  { name: 'signature-removed', rule: 'BCL 2.6 step 2', change: () => ({ segments: ([h = '', p = '']) => [h, p, ''] }) },
  {
    name: 'signature-garbled',
    rule: 'BCL 2.6 step 2',
    change: () => ({ segments: ([h = '', p = '', s = '']) => [h, p, flipFirst(s)] }),
  },
  {
    name: 'payload-swapped',
    rule: 'BCL 2.6 step 2',
    change: () => ({ segments: ([h = '', p = '', s = '']) => [h, renamedSub(p), s] }),
  },
  {
    name: 'key-in-header',
    rule: 'RFC 8725 3.10',
    change: (v) => ({ signer: 'foreign', header: { jwk: v.foreignKey } }),
  },
  {
    name: 'crit-unknown',
    rule: 'RFC 7515 4.1.11',
    change: () => ({ header: { crit: ['x-unheard'], 'x-unheard': 1 } }),
  },
  { name: 'typ-access-token', rule: 'RFC 8725 3.11', change: () => ({ header: { typ: 'at+jwt' } }) },
  { name: 'typ-security-event', rule: 'RFC 8725 3.11', change: () => ({ header: { typ: 'secevent+jwt' } }) },
  { name: 'typ-dpop', rule: 'RFC 8725 3.11', change: () => ({ header: { typ: 'dpop+jwt' } }) },
  { name: 'typ-not-a-string', rule: 'RFC 7515 4.1.9', change: () => ({ header: { typ: 1 } }) },
  { name: 'payload-not-json', rule: 'RFC 7519 7.2', change: () => ({ rawPayload: 'logout' }) },
  { name: 'payload-not-an-object', rule: 'RFC 7519 7.2', change: () => ({ rawPayload: '["logout"]' }) },
  { name: 'payload-not-utf8', rule: 'RFC 7519 7.2', change: () => ({ rawPayload: Uint8Array.of(0x7b, 0xff, 0x7d) }) },
  { name: 'iss-absent', rule: 'BCL 2.4', change: () => ({ payload: { iss: undefined } }) },
  { name: 'iss-of-another', rule: 'BCL 2.6 step 4', change: (v) => ({ payload: { iss: `${v.issuer}/another` } }) },
  {
    name: 'iss-with-trailing-slash',
    rule: 'BCL 2.6 step 4',
    change: (v) => ({ payload: { iss: otherSlash(v.issuer) } }),
  },
  { name: 'iss-not-a-string', rule: 'BCL 2.4', change: (v) => ({ payload: { iss: [v.issuer] } }) },
  { name: 'aud-absent', rule: 'BCL 2.4', change: () => ({ payload: { aud: undefined } }) },
  { name: 'aud-of-another', rule: 'BCL 2.6 step 4', change: (v) => ({ payload: { aud: `${v.clientId}-another` } }) },
  { name: 'aud-empty-array', rule: 'BCL 2.6 step 4', change: () => ({ payload: { aud: [] } }) },
  {
    name: 'aud-with-untrusted-audience',
    rule: 'OpenID Connect Core 3.1.3.7 item 3',
    change: (v) => ({ payload: { aud: [v.clientId, `${v.clientId}-another`] } }),
  },
  { name: 'aud-not-strings', rule: 'RFC 7519 4.1.3', change: (v) => ({ payload: { aud: [v.clientId, 1] } }) },
  {
    name: 'azp-of-another',
    rule: 'OpenID Connect Core 3.1.3.7 item 5',
    change: () => ({ payload: { azp: 'another' } }),
  },
  { name: 'iat-absent', rule: 'BCL 2.4', change: () => ({ payload: { iat: undefined } }) },
  { name: 'iat-not-a-number', rule: 'RFC 7519 4.1.6', change: (v) => ({ payload: { iat: String(v.now) } }) },
  {
    name: 'iat-in-the-future',
    rule: 'BCL 2.6 step 4',
    change: (v) => ({ payload: { iat: v.now + 600, exp: v.now + 720 } }),
  },
  { name: 'iat-too-old', rule: 'BCL 2.6 step 4', change: (v) => ({ payload: { iat: v.now - 3600 } }) },
  { name: 'exp-absent', rule: 'BCL 2.4', change: () => ({ payload: { exp: undefined } }) },
  { name: 'exp-passed', rule: 'BCL 2.6 step 4', change: (v) => ({ payload: { iat: v.now - 250, exp: v.now - 130 } }) },
  { name: 'exp-not-a-number', rule: 'RFC 7519 4.1.4', change: (v) => ({ payload: { exp: String(v.now + 120) } }) },
  {
    name: 'exp-not-finite',
    rule: 'RFC 7519 4.1.4',
    change: () => ({ payload: { exp: undefined }, rawMembers: { exp: '1e999' } }),
  },
  { name: 'nbf-in-the-future', rule: 'RFC 7519 4.1.5', change: (v) => ({ payload: { nbf: v.now + 600 } }) },
  { name: 'nbf-not-a-number', rule: 'RFC 7519 4.1.5', change: () => ({ payload: { nbf: 'now' } }) },
  {
    name: 'sub-and-sid-absent',
    rule: 'BCL 2.6 step 5',
    change: () => ({ payload: { sub: undefined, sid: undefined } }),
  },
  { name: 'sub-and-sid-null', rule: 'BCL 2.6 step 5', change: () => ({ payload: { sub: null, sid: null } }) },
  { name: 'sub-empty', rule: 'BCL 2.4', change: () => ({ payload: { sub: '' } }) },
  { name: 'sub-not-a-string', rule: 'BCL 2.4', change: () => ({ payload: { sub: 248289761001 } }) },
  { name: 'sub-too-long', rule: 'OpenID Connect Core 2', change: () => ({ payload: { sub: 's'.repeat(256) } }) },
  {
    name: 'sub-with-control-character',
    rule: 'OpenID Connect Core 2',
    change: () => ({ payload: { sub: 'a\u0000b' } }),
  },
  { name: 'sid-empty', rule: 'BCL 2.4', change: () => ({ payload: { sid: '' } }) },
  { name: 'sid-not-a-string', rule: 'BCL 2.4', change: () => ({ payload: { sid: { toString: 'x' } } }) },
  { name: 'sid-too-long', rule: 'BCL 2.4', change: () => ({ payload: { sid: 's'.repeat(65_536 / 4) } }) },
  { name: 'sid-with-control-character', rule: 'BCL 2.4', change: () => ({ payload: { sid: 'a\nb' } }) },
  { name: 'events-absent', rule: 'BCL 2.6 step 6', change: () => ({ payload: { events: undefined } }) },
  { name: 'events-null', rule: 'BCL 2.6 step 6', change: () => ({ payload: { events: null } }) },
  { name: 'events-empty', rule: 'BCL 2.6 step 6', change: () => ({ payload: { events: {} } }) },
  {
    name: 'events-an-array',
    rule: 'BCL 2.6 step 6',
    change: () => ({ payload: { events: [BACKCHANNEL_LOGOUT_EVENT] } }),
  },
  {
    name: 'events-a-string',
    rule: 'BCL 2.6 step 6',
    change: () => ({ payload: { events: BACKCHANNEL_LOGOUT_EVENT } }),
  },
  {
    name: 'events-of-another-kind',
    rule: 'BCL 2.6 step 6',
    change: () => ({ payload: { events: { 'http://schemas.openid.net/event/foobar': {} } } }),
  },
  {
    name: 'event-null',
    rule: 'BCL 2.4',
    change: () => ({ payload: { events: { [BACKCHANNEL_LOGOUT_EVENT]: null } } }),
  },
  {
    name: 'event-an-array',
    rule: 'BCL 2.4',
    change: () => ({ payload: { events: { [BACKCHANNEL_LOGOUT_EVENT]: [] } } }),
  },
  {
    name: 'event-true',
    rule: 'BCL 2.4',
    change: () => ({ payload: { events: { [BACKCHANNEL_LOGOUT_EVENT]: true } } }),
  },
  {
    name: 'event-in-prototype-member',
    rule: 'BCL 2.6 step 6',
    change: () => ({
      payload: { events: undefined },
      rawMembers: { events: `{"__proto__":{"${BACKCHANNEL_LOGOUT_EVENT}":{}}}` },
    }),
  },
  { name: 'nonce', rule: 'BCL 2.6 step 7', change: () => ({ payload: { nonce: 'n-0S6_WzA2Mj' } }) },
  { name: 'nonce-null', rule: 'BCL 2.6 step 7', change: () => ({ payload: { nonce: null } }) },
  { name: 'nonce-empty', rule: 'BCL 2.6 step 7', change: () => ({ payload: { nonce: '' } }) },
  { name: 'jti-absent', rule: 'BCL 2.4', change: () => ({ payload: { jti: undefined } }) },
  { name: 'jti-empty', rule: 'BCL 2.4', change: () => ({ payload: { jti: '' } }) },
  { name: 'jti-not-a-string', rule: 'RFC 7519 4.1.7', change: () => ({ payload: { jti: 1 } }) },
] as const satisfies readonly DefectRule[]

/** The name of one defect of `DEFECTS`. */
export type Defect = (typeof DEFECTS)[number]['name']

/** Throws a `TypeError` where there is no such defect. */
export function changeOf(defect: Defect, valid: ValidToken): Change {
  const rules: readonly DefectRule[] = DEFECTS
  const found = rules.find(({ name }) => name === defect)
  if (found === undefined) throw new TypeError(`defect: there is none named ${JSON.stringify(defect)}; see DEFECTS`)
  return found.change(valid)
}

function renamedSub(payloadSegment: string): string {
  const payload = Buffer.from(payloadSegment, 'base64url').toString()
  return Buffer.from(payload.replace('"sub":"', '"sub":"x')).toString('base64url')
}

function otherSlash(issuer: string): string {
  return issuer.endsWith('/') ? issuer.slice(0, -1) : `${issuer}/`
}

function flipFirst(segment: string): string {
  return (segment.startsWith('A') ? 'B' : 'A') + segment.slice(1)
}

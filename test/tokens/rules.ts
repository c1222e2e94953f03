// A valid Logout Token and one change, and by which rule that is refused.
import type { JWK } from 'jose'
import type { ProviderOptions } from '../../src/providers/provider-options.js'
import type { Defect } from '../../src/testing/defects.js'
import { ecKeyPair, rsaKeyPair } from '../../src/testing/key-pair.js'
import type { Change } from '../../src/testing/token-change.js'
import type { TokenRefusal } from '../../src/tokens/token-refusal.js'
import { mintOf, providerOf, verify } from './verifying.js'

export type Rule = readonly [reason: TokenRefusal, claim?: string | undefined, option?: string]

export function expected([reason, claim, option]: Rule) {
  return { code: 'ERR_TOKEN', reason, claim, option }
}

export async function believed(change: Change = {}, options: Partial<ProviderOptions> = {}) {
  const mint = await mintOf()
  return verify(await mint.logoutToken(change), providerOf(mint, options))
}

/** Each of the mint's defects by the rule that must refuse it: a valid token and this one change. */
export const RULES: Record<Defect, Rule> = {
  'alg-none': ['alg_none', 'alg'],
  'alg-none-with-signature': ['alg_none', 'alg'],
  'alg-absent': ['alg_missing', 'alg'],
  'alg-wrong-case': ['alg_not_allowed', 'alg', 'algorithms'],
  'alg-of-another-published-key': ['alg_not_allowed', 'alg', 'algorithms'],
  'public-key-as-secret': ['alg_not_allowed', 'alg', 'algorithms'],
  'signature-of-foreign-key': ['signature_invalid'],
  'signature-removed': ['signature_invalid'],
  'signature-garbled': ['signature_invalid'],
  'payload-swapped': ['signature_invalid'],
  'key-in-header': ['signature_invalid'],
  'crit-unknown': ['crit_unsupported', 'crit'],
  'typ-access-token': ['typ_refused', 'typ', 'additionalTyp'],
  'typ-security-event': ['typ_refused', 'typ', 'additionalTyp'],
  'typ-dpop': ['typ_refused', 'typ', 'additionalTyp'],
  'typ-not-a-string': ['typ_invalid', 'typ'],
  'payload-not-json': ['payload_invalid'],
  'payload-not-an-object': ['payload_invalid'],
  'payload-not-utf8': ['payload_invalid'],
  'iss-absent': ['iss_missing', 'iss'],
  'iss-of-another': ['iss_unknown', 'iss'],
  'iss-with-trailing-slash': ['iss_unknown', 'iss'],
  'iss-not-a-string': ['iss_missing', 'iss'],
  'aud-absent': ['aud_missing', 'aud'],
  'aud-of-another': ['aud_mismatch', 'aud'],
  'aud-empty-array': ['aud_mismatch', 'aud'],
  'aud-with-untrusted-audience': ['aud_untrusted', 'aud', 'trustedAudiences'],
  'aud-not-strings': ['aud_invalid', 'aud'],
  'azp-of-another': ['azp_mismatch', 'azp'],
  'iat-absent': ['iat_missing', 'iat'],
  'iat-not-a-number': ['iat_invalid', 'iat'],
  'iat-in-the-future': ['iat_in_future', 'iat', 'clockToleranceSeconds'],
  'iat-too-old': ['too_old', 'iat', 'maxAgeSeconds'],
  'exp-absent': ['exp_missing', 'exp', 'allowMissingExp'],
  'exp-passed': ['exp_past', 'exp', 'clockToleranceSeconds'],
  'exp-not-a-number': ['exp_invalid', 'exp'],
  'exp-not-finite': ['exp_invalid', 'exp'],
  'nbf-in-the-future': ['nbf_in_future', 'nbf', 'clockToleranceSeconds'],
  'nbf-not-a-number': ['nbf_invalid', 'nbf'],
  'sub-and-sid-absent': ['target_missing', 'sub'],
  'sub-and-sid-null': ['target_missing', 'sub'],
  'sub-empty': ['sub_invalid', 'sub'],
  'sub-not-a-string': ['sub_invalid', 'sub'],
  'sub-too-long': ['sub_invalid', 'sub'],
  'sub-with-control-character': ['sub_invalid', 'sub'],
  'sid-empty': ['sid_invalid', 'sid'],
  'sid-not-a-string': ['sid_invalid', 'sid'],
  'sid-too-long': ['sid_invalid', 'sid'],
  'sid-with-control-character': ['sid_invalid', 'sid'],
  'events-absent': ['events_missing', 'events'],
  'events-null': ['events_invalid', 'events'],
  'events-empty': ['event_missing', 'events'],
  'events-an-array': ['events_invalid', 'events'],
  'events-a-string': ['events_invalid', 'events'],
  'events-of-another-kind': ['event_missing', 'events'],
  'event-null': ['event_invalid', 'events'],
  'event-an-array': ['event_invalid', 'events'],
  'event-true': ['event_invalid', 'events'],
  'event-in-prototype-member': ['event_missing', 'events'],
  nonce: ['nonce_present', 'nonce'],
  'nonce-null': ['nonce_present', 'nonce'],
  'nonce-empty': ['nonce_present', 'nonce'],
  'jti-absent': ['jti_missing', 'jti'],
  'jti-empty': ['jti_invalid', 'jti'],
  'jti-not-a-string': ['jti_invalid', 'jti'],
}

export function keyPair(kind: 'rsa' | 'ec'): { readonly publicJwk: JWK; readonly privateJwk: JWK } {
  const { publicKey, privateKey } = kind === 'rsa' ? rsaKeyPair() : ecKeyPair()
  return {
    publicJwk: { ...(publicKey.export({ format: 'jwk' }) as JWK), kid: kind },
    privateJwk: { ...(privateKey.export({ format: 'jwk' }) as JWK), kid: kind },
  }
}

export function weakKey(): JWK {
  return rsaKeyPair(1024).publicKey.export({ format: 'jwk' }) as JWK
}

export function segment(content: string | Uint8Array): string {
  return Buffer.from(content).toString('base64url')
}

/** Writes members into the header of a finished token. */
export function header(members: Readonly<Record<string, unknown>>) {
  return ([first = '', ...rest]: readonly string[]) => {
    const read: unknown = JSON.parse(Buffer.from(first, 'base64url').toString())
    return [segment(JSON.stringify({ ...(read as object), ...members })), ...rest]
  }
}

export function garbled(index: number) {
  return (segments: readonly string[]) =>
    segments.map((each, i) => (i === index ? (each.startsWith('A') ? 'B' : 'A') + each.slice(1) : each))
}

/** The last character of an RSA signature of 256 bytes has four bits that decode to nothing. */
export function lastBitSet(character: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return alphabet[alphabet.indexOf(character) | 1] ?? ''
}

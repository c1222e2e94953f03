// Why a token is not believed: the closed list of reasons, each with its rule. Knows no token and no provider.
import { LogoutError } from '../errors.js'

/** One way in which a Logout Token can fail, with the text that forbids it. */
interface Refusal {
  /**
   * The section that has the rule. `BCL`: OpenID Connect Back-Channel Logout 1.0; `policy`: a bound of this receiver.
   */
  readonly section: string
  /** The fixed sentence that becomes `message`. */
  readonly sentence: string
}

/**
 * Every reason of an `ERR_TOKEN`, in the order in which the rules are applied. `reason` of the error is a key of this
 * table; `message` is its `sentence`. Keys are stable; sentences are for people and may be reworded.
 */
export const TOKEN_REFUSALS = {
  token_too_long: { section: 'policy', sentence: 'The token is longer than this receiver reads' },
  token_malformed: {
    section: 'RFC 7515 7.1, RFC 7516 7.1',
    sentence: 'The token is not three or five segments of canonical base64url',
  },
  header_invalid: { section: 'RFC 7515 4', sentence: 'The header of the token is not a JSON object in UTF-8' },
  alg_missing: { section: 'RFC 7515 4.1.1', sentence: 'The header of the token names no algorithm' },
  alg_none: { section: 'BCL 2.6 step 3', sentence: 'The token is not signed' },
  crit_unsupported: {
    section: 'RFC 7515 4.1.11',
    sentence: 'The header of the token demands extensions that are not understood',
  },
  kid_invalid: {
    section: 'RFC 7515 4.1.4',
    sentence: 'The key id of the token is not a string of a sane length',
  },
  payload_invalid: { section: 'RFC 7519 7.2', sentence: 'The token does not hold a JSON object in UTF-8' },
  iss_missing: { section: 'BCL 2.4', sentence: 'The token names no issuer' },
  iss_unknown: { section: 'BCL 2.6 step 4', sentence: 'The issuer of the token is not a configured provider' },
  encryption_not_configured: {
    section: 'BCL 2.6 step 1',
    sentence: 'The token is encrypted and its provider has no decryption keys here',
  },
  encryption_required: {
    section: 'BCL 2.6 step 1',
    sentence: 'The token is not encrypted although its provider is configured with decryption',
  },
  encryption_alg_not_allowed: {
    section: 'BCL 2.6 step 1',
    sentence: 'The token is encrypted with an algorithm that its provider is not configured for',
  },
  zip_refused: { section: 'RFC 8725 3.6', sentence: 'The token is compressed' },
  p2c_too_large: { section: 'RFC 8725 3.10', sentence: 'The token asks for more key derivation than is done' },
  cty_invalid: {
    section: 'RFC 7519 5.2',
    sentence: 'The encrypted content of the token is not said to be a JWT',
  },
  decryption_failed: { section: 'BCL 2.6 step 1', sentence: 'The token could not be decrypted' },
  nested_not_signed: { section: 'BCL 2.4', sentence: 'The encrypted content of the token is not a signed JWT' },
  nested_iss_mismatch: {
    section: 'RFC 7519 5.3',
    sentence: 'The issuer in the header of the encrypted Logout Token is not that of its content',
  },
  alg_not_allowed: {
    section: 'BCL 2.6 step 3',
    sentence: 'The token is signed with an algorithm that its provider is not configured for',
  },
  typ_invalid: { section: 'RFC 7515 4.1.9', sentence: 'The type in the header of the token is not a string' },
  typ_refused: { section: 'BCL 2.4, RFC 8725 3.11', sentence: 'The header says that this is another kind of token' },
  typ_missing: { section: 'ASVS 5.0 V10.5.5', sentence: 'The header does not say that this is a Logout Token' },
  key_unknown: { section: 'BCL 2.6 step 2', sentence: 'The provider publishes no key that fits the token' },
  key_unusable: { section: 'BCL 2.6 step 2', sentence: 'The key of the token cannot be used' },
  kid_ambiguous: { section: 'RFC 7517 4.5', sentence: 'Several published keys have the key id of the token' },
  kid_missing_ambiguous: {
    section: 'OIDC Core 10.1',
    sentence: 'The token has no key id and several published keys fit',
  },
  signature_invalid: { section: 'BCL 2.6 step 2', sentence: 'The signature of the token is not valid' },
  iss_mismatch: { section: 'BCL 2.6 step 4', sentence: 'The token is from another issuer' },
  aud_missing: { section: 'BCL 2.4', sentence: 'The token has no audience' },
  aud_invalid: {
    section: 'RFC 7519 4.1.3',
    sentence: 'The audience of the token is neither a string nor strings',
  },
  aud_mismatch: { section: 'BCL 2.6 step 4', sentence: 'The token is for another client' },
  aud_not_single: {
    section: 'OIDC Core 3.1.3.7, 16.19',
    sentence: 'The token is signed with a client secret and has several audiences',
  },
  aud_untrusted: {
    section: 'OIDC Core 3.1.3.7',
    sentence: 'The token has a further audience that is not trusted',
  },
  azp_mismatch: { section: 'OIDC Core 3.1.3.7', sentence: 'The token was issued to another client' },
  iat_missing: { section: 'BCL 2.4', sentence: 'The Logout Token does not say when it was issued' },
  iat_invalid: { section: 'RFC 7519 4.1.6', sentence: 'The time of issue of the Logout Token is not a finite number' },
  iat_in_future: { section: 'BCL 2.6 step 4', sentence: 'The Logout Token was issued in the future' },
  exp_missing: { section: 'BCL 2.4', sentence: 'The Logout Token does not say when it expires' },
  exp_invalid: { section: 'RFC 7519 4.1.4', sentence: 'The expiry of the Logout Token is not a finite number' },
  exp_past: { section: 'BCL 2.6 step 4', sentence: 'The Logout Token has expired' },
  too_old: { section: 'BCL 2.6 step 4', sentence: 'The Logout Token was issued too long ago' },
  nbf_invalid: { section: 'RFC 7519 4.1.5', sentence: 'The start of the Logout Token is not a finite number' },
  nbf_in_future: { section: 'RFC 7519 4.1.5', sentence: 'The Logout Token is not valid yet' },
  sub_invalid: { section: 'BCL 2.4', sentence: 'The subject of the Logout Token is not a usable string' },
  sid_invalid: { section: 'BCL 2.4', sentence: 'The session id of the Logout Token is not a usable string' },
  target_missing: { section: 'BCL 2.6 step 5', sentence: 'The Logout Token names neither a subject nor a session' },
  sub_missing: {
    section: 'BCL 2.6 step 5',
    sentence: 'The Logout Token names no subject, and the session ids of its provider are of no use',
  },
  sid_missing: {
    section: 'BCL 2.2',
    sentence: 'The Logout Token names no session, which its provider is said to always do',
  },
  events_missing: { section: 'BCL 2.6 step 6', sentence: 'The Logout Token has no events' },
  events_invalid: { section: 'BCL 2.4', sentence: 'The events of the Logout Token are not a JSON object' },
  event_missing: { section: 'BCL 2.6 step 6', sentence: 'The events of the Logout Token do not have a logout' },
  event_invalid: { section: 'BCL 2.4', sentence: 'The logout event of the Logout Token is not a JSON object' },
  nonce_present: { section: 'BCL 2.6 step 7', sentence: 'The token has a nonce, which no Logout Token has' },
  jti_missing: { section: 'BCL 2.4', sentence: 'The Logout Token has no id' },
  jti_invalid: { section: 'RFC 7519 4.1.7', sentence: 'The id of the Logout Token is not a non-empty string' },
  unverifiable: { section: 'BCL 2.6', sentence: 'The Logout Token could not be verified' },
} as const satisfies Record<string, Refusal>

/** `reason` of an `ERR_TOKEN`: by which rule a Logout Token was refused. See {@link TOKEN_REFUSALS}. */
export type TokenRefusal = keyof typeof TOKEN_REFUSALS

/** Whether a word is one of the table's own. */
export function isTokenRefusal(reason: string): reason is TokenRefusal {
  return Object.hasOwn(TOKEN_REFUSALS, reason)
}

export interface RefusalDetails {
  /** The claim or header parameter the rule is about. */
  readonly claim?: string
  /** The provider option that would accept this token, where there is one. */
  readonly option?: string
  /** What to do about it, in words of the configuration. */
  readonly remedy?: string | undefined
  readonly cause?: unknown
}

/**
 * The error that refuses a Logout Token. Made, not thrown: `throw refusal(…)` lets the compiler see the end of the
 * path.
 */
export function refusal(reason: TokenRefusal, details: RefusalDetails = {}): LogoutError {
  return new LogoutError('ERR_TOKEN', TOKEN_REFUSALS[reason].sentence, { ...details, reason })
}

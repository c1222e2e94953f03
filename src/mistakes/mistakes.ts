// What people set up wrongly, in words: for each mistake one sentence, what to do, and a stable code. Knows nobody who prints them.
import type { LogoutError } from '../errors.js'

const CLOCK = 'Compare the clock of this machine with that of the provider: run a time service (NTP) on both'

/** What to do about a refusal, by its reason; where none is here, no setting of the application is to blame. */
const REMEDIES: Readonly<Record<string, string>> = {
  iss_unknown: 'Compare the provider option issuer with the iss of the tokens: they must be the same, letter by letter',
  aud_mismatch: 'Compare the provider option clientId with the client_id that is registered at the provider',
  aud_unknown: 'Compare the provider option clientId with the client_id that is registered at the provider',
  aud_untrusted: 'If the other audience is yours as well, name it in the provider option trustedAudiences',
  alg_not_allowed:
    'Set the provider option algorithms to what is registered as id_token_signed_response_alg, e.g. algorithms: ["ES256"]',
  encryption_not_configured: 'Give the provider option decryption, or register no encryption at the provider',
  encryption_required: 'Register the encryption at the provider, or set decryption.allowPlainJws',
  encryption_alg_not_allowed: 'Compare the provider option decryption with id_token_encrypted_response_alg and …_enc',
  typ_refused: 'If this is the Logout Token of your provider, name its typ in the provider option additionalTyp',
  typ_missing: 'Set the provider option typ to "interop": this provider does not say logout+jwt',
  exp_missing: 'If your provider is known for it (see preset), set the provider option allowMissingExp',
  exp_past: CLOCK,
  iat_in_future: CLOCK,
  nbf_in_future: CLOCK,
  too_old: CLOCK,
  key_unknown: 'Compare the provider options jwksUri and jwks with what the provider publishes',
  sid_missing: 'Register backchannel_logout_session_required at the provider, so that its tokens have a sid',
  sid_expected:
    'Register backchannel_logout_session_required at the provider, and bind with all claims of the validated ID Token; ' +
    'then set the provider option backchannelLogoutSessionRequired',
  sub_missing: 'Leave the provider option ignoreSid out: the tokens of this provider name no sub',
  body_consumed: 'Mount logout.receiver() before everything that reads the body of the request',
  body_unparsed: 'Mount logout.receiver() before body parsers',
  provider_lookup_failed: 'The function given as option provider threw, hung or gave what is no provider: see cause',
  metadata_fetch_failed:
    'Fetch the metadata of the issuer from this machine: look at DNS, firewall, proxy and certificates',
  metadata_invalid: 'Compare the provider option issuer with the issuer in the metadata: they must be the same',
  jwks_fetch_failed:
    'Fetch the jwks_uri of the provider from this machine: look at DNS, firewall, proxy and certificates',
  jwks_invalid: 'Compare the provider option jwksUri with the metadata of the provider',
  iat_missing: 'Bind with the claims of the validated ID Token, not with those of UserInfo',
}

/** What to do about this error, if that is known. */
export function remedyOf({ remedy, reason }: LogoutError): string | undefined {
  if (remedy !== undefined) return remedy
  return reason !== undefined && Object.hasOwn(REMEDIES, reason) ? REMEDIES[reason] : undefined
}

/** The code that is printed, in logs to be searched for and in `--disable-warning`. */
export function warningCode({ reason, code }: LogoutError): string {
  return `BCL_${(reason ?? code.replace(/^ERR_/, '')).toUpperCase()}`
}

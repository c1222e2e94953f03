// What to do about an error, by its code and reason, and the page that has more. Words of this package alone: no error
// adds to them.

/** What an error says beside its sentence. */
export interface Advice {
  readonly remedy?: string
  /** Where to read on: a page of the documentation, with its anchor. */
  readonly page?: string
}

type Leaf = readonly [anchor: string, remedy?: string]

const REFUSED = 'every-logout-token-is-refused'
const SAML = 'a-saml-message-is-refused'
const CLOCK = 'Compare the clock of this machine with that of the provider: run a time service (NTP) on both'
const ISSUER = 'Give the provider option issuer as the metadata of the provider have it, letter by letter'
const CLIENT_ID = 'Compare the provider option clientId with the client_id that is registered at the provider'
const CLAIMS = 'Give bind the claims of the validated ID Token: tokens.claims() in openid-client'
const ONE_KEY = 'Name the right key in the provider option jwks, or let the provider give each key a kid of its own'
const FETCH = (what: string) =>
  `Fetch ${what} from this machine, as npx oidc-backchannel-logout doctor does: look at DNS, firewall, proxy and certificates`

/** By code and reason. None is here for what no setting of the application can cause, such as a forged token. */
const BY_REASON: Readonly<Record<string, Readonly<Record<string, Leaf>>>> = {
  ERR_REQUEST: {
    body_consumed: ['400-of-another', 'Mount logout.receiver() before everything that reads the body of a request'],
    redirect_unknown: ['sign-in-fails', 'Name the place in the option redirectUris of rpInitiatedLogout()'],
  },
  ERR_TOKEN: {
    alg_none: [
      REFUSED,
      'Register id_token_signed_response_alg at the provider, such as RS256: nothing unsigned is taken',
    ],
    iss_unknown: [REFUSED, ISSUER],
    iss_mismatch: [REFUSED, ISSUER],
    encryption_not_configured: [
      REFUSED,
      'Give the provider option decryption, or register no encryption at the provider',
    ],
    encryption_required: [REFUSED, 'Register the encryption at the provider, or set decryption.allowPlainJws'],
    encryption_alg_not_allowed: [
      REFUSED,
      'Compare the provider option decryption with the registered id_token_encrypted_response_alg and …_enc',
    ],
    decryption_failed: [REFUSED, 'Compare decryption.keys with the keys that are registered for this client'],
    nested_not_signed: [REFUSED, 'Register id_token_signed_response_alg beside the encryption, such as RS256'],
    alg_not_allowed: [
      REFUSED,
      'Set the provider option algorithms to what is registered as id_token_signed_response_alg',
    ],
    typ_refused: [
      REFUSED,
      'If this is the Logout Token of your provider, name its typ in the provider option additionalTyp',
    ],
    typ_missing: [REFUSED, 'Set the provider option typ to "interop": this provider does not say logout+jwt'],
    key_unknown: [REFUSED, 'Compare the provider options jwksUri and jwks with what the provider publishes'],
    kid_ambiguous: [REFUSED, ONE_KEY],
    kid_missing_ambiguous: [REFUSED, ONE_KEY],
    aud_mismatch: [REFUSED, CLIENT_ID],
    aud_untrusted: [REFUSED, 'If the other audience is yours as well, name it in the provider option trustedAudiences'],
    azp_mismatch: [REFUSED, CLIENT_ID],
    exp_missing: [REFUSED, 'If your provider is known for it (see preset), set the provider option allowMissingExp'],
    exp_past: [REFUSED, CLOCK],
    iat_in_future: [REFUSED, CLOCK],
    nbf_in_future: [REFUSED, CLOCK],
    too_old: [REFUSED, `${CLOCK}; if the provider keeps tokens in a queue, raise the provider option maxAgeSeconds`],
    sub_missing: [REFUSED, 'Leave the provider option ignoreSid out: the tokens of this provider name no sub'],
    sid_missing: [
      REFUSED,
      'Register backchannel_logout_session_required at the provider, or leave backchannelLogoutSessionRequired out here',
    ],
  },
  ERR_KEYS_UNAVAILABLE: {
    provider_lookup_failed: [
      REFUSED,
      'The function given as option provider threw, hung or gave what is no provider: see cause',
    ],
    metadata_fetch_failed: [REFUSED, FETCH('the metadata of the issuer')],
    metadata_invalid: [
      REFUSED,
      'Compare the provider option issuer with the issuer in its metadata: they must be the same',
    ],
    jwks_fetch_failed: [REFUSED, FETCH('the jwks_uri of the provider')],
    jwks_invalid: [REFUSED, 'Compare the provider option jwksUri with the jwks_uri in the metadata of the provider'],
    deadline: [
      REFUSED,
      'Call logout.prepare() when the application starts, so that keys are there before the first logout',
    ],
    given_up: [REFUSED, FETCH('the jwks_uri of the provider')],
    displaced: ['junk', 'Limit the requests to the receiver, or let only the addresses of the provider in'],
  },
  ERR_ID_TOKEN: {
    claims_missing: ['sign-in-fails', 'Ask for the scope openid, and give bind the claims of the validated ID Token'],
    claims_encoded: ['sign-in-fails', CLAIMS],
    claims_uncalled: ['sign-in-fails', CLAIMS],
    token_response: ['sign-in-fails', CLAIMS],
    iss_missing: ['sign-in-fails', 'Give bind the claims of the validated ID Token, not those of UserInfo'],
    iss_unknown: ['sign-in-fails', ISSUER],
    aud_unknown: ['sign-in-fails', CLIENT_ID],
    sub_missing: ['sign-in-fails', 'Give bind the claims of the validated ID Token, not those of an access token'],
    iat_missing: [
      'logged-out-at-once-after-login',
      'Give bind the claims of the validated ID Token, not those of UserInfo',
    ],
    iat_untrue: ['logged-out-at-once-after-login', `Give bind the claims as they are, iat in seconds. ${CLOCK}`],
    session_expiry_untrue: [
      'sign-in-fails',
      'Give epoch seconds, not milliseconds. Where the claim session_expiry of the provider is wrong, have it mended there',
    ],
    sid_missing: [
      'found-is-0',
      'Register backchannel_logout_session_required at the provider, or leave backchannelLogoutSessionRequired out here',
    ],
    sid_expected: [
      'found-is-0',
      'Register backchannel_logout_session_required at the provider, and bind with all claims of the validated ID Token; then set the provider option backchannelLogoutSessionRequired',
    ],
    logout_token: [
      'a-logout-token-signs-in',
      'Let the login insist on the nonce that it sent, and refuse the typ logout+jwt',
    ],
  },
  ERR_SAML: {
    signature_missing: [SAML, 'Have the identity provider sign its logout messages'],
    keys_unavailable: [
      SAML,
      "Let node-saml's idpCert give the certificates that it had last while it cannot fetch any: see cause",
    ],
    not_verified: [SAML, "Compare node-saml's options idpCert and idpIssuer with the provider's metadata: see cause"],
    issuer_mismatch: [SAML, "Compare node-saml's option idpIssuer with the entity id in the provider's metadata"],
    destination_missing: [SAML, 'Have the identity provider write the Destination, as a signed message must have it'],
    destination_mismatch: [SAML, 'Register at the identity provider the very URL that the option url has'],
    issued_in_future: [SAML, CLOCK],
    expired: [SAML, CLOCK],
    too_old: [SAML, `${CLOCK}; or raise maxAgeSeconds`],
    encrypted_name_id: [SAML, 'Have the identity provider send the NameID of a LogoutRequest as it is'],
  },
  ERR_SESSIONS: {
    login_undone: [
      'bind-rejects',
      'Send the user to log in once more, and change the session id at each login (regenerate)',
    ],
    session_id_reused: ['an-old-cookie-lives-again'],
  },
  ERR_STORE: {
    permission_denied: [
      '5xx',
      'Grant it what the store needs: checkPostgres(pool) and checkRedis(client) name what is missing, and doctor --store with the DATABASE_URL or REDIS_URL of the application',
    ],
  },
  ERR_NO_VERDICT: {
    claims_malformed: [
      '5xx',
      'Give isRevoked the claims of the verified token, an object such as the payload of jwtVerify, and not the token or its header; where there are no claims, no token was verified. Where its claims are named otherwise than registered, set issuer or signOnOf',
    ],
  },
}

/** Where the code says it all. */
const BY_CODE: Readonly<Record<string, Leaf>> = {
  ERR_STORE: ['5xx', 'Does the logout store answer this process, and does it take writes? See cause'],
  ERR_SESSIONS: ['5xx', 'Does the session store answer this process, and does it take deletions?'],
  ERR_HOOK: ['5xx', 'The function of the application that option names threw, rejected or hung: see cause'],
  ERR_UNEXPECTED: ['5xx', 'See cause, and report it: this package should have foreseen it'],
}

/** Every code and reason with advice, for the page that lists them. */
export const ADVISED: readonly (readonly [code: string, reason: string])[] = Object.entries(BY_REASON).flatMap(
  ([code, reasons]) => Object.keys(reasons).map((reason) => [code, reason] as const),
)

/** What is known. An error that was given a remedy of its own keeps that. */
export function adviceOn(code: string, reason: string | undefined): Advice {
  const reasons = Object.hasOwn(BY_REASON, code) ? BY_REASON[code] : undefined
  const leaf = reason !== undefined && reasons && Object.hasOwn(reasons, reason) ? reasons[reason] : BY_CODE[code]
  if (leaf === undefined) return {}
  const [anchor, remedy] = leaf
  return { page: pageOf(anchor), ...(remedy !== undefined && { remedy }) }
}

/** A leaf of the page of symptoms. */
export function pageOf(anchor: string): string {
  return `docs/troubleshooting.md#${anchor}`
}

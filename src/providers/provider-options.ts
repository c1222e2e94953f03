// What may be set for a provider, and what holds where it is not. Checks nothing itself.

import type { Fetch } from '../http/fetched-documents.js'
import type { OptionNames } from '../option-checks.js'
import type { ClientAuthentication } from './client-authentication.js'
import type { EndSessionDialect } from './end-session-dialect.js'
import type { JSONWebKeySet, JWK } from './jwk.js'
import type { LogoutPolicy } from './logout-policy.js'

/**
 * An OpenID Provider and the client registered there. Every default is the letter of Back-Channel Logout 1.0; each
 * option that weakens a check is named for what it weakens and holds for this provider alone. `preset` has what known
 * providers need.
 */
export interface ProviderOptions {
  /** Issuer identifier, exactly as in its tokens: no slash more or less. `https`, or `http` on loopback. */
  readonly issuer: string
  /** This client's id at that provider. */
  readonly clientId: string
  /**
   * `saml`: a SAML 2.0 identity provider, as `samlProvider` of `oidc-backchannel-logout/saml` names it. `issuer` is its
   * entity id and `clientId` our own; no Logout Token of it is ever taken, and options of OpenID Connect are refused.
   * Default: `oidc`.
   */
  readonly protocol?: 'oidc' | 'saml' | undefined
  /**
   * Signature algorithms taken, as registered by `id_token_signed_response_alg`. Default: `['RS256']`. `none` is never
   * taken. `HS256`, `HS384` and `HS512` need `clientSecret`.
   */
  readonly algorithms?: readonly string[] | undefined
  /** The client secret, of any length, as the OP has it. Used for the HMAC algorithms only. */
  readonly clientSecret?: string | undefined
  /** Where the keys are. Default: what the provider's metadata say (OpenID Connect Discovery). */
  readonly jwksUri?: string | undefined
  /** The keys themselves, public halves only; nothing is fetched then. */
  readonly jwks?: JSONWebKeySet | undefined
  /** For encrypted Logout Tokens. Encryption is then required. Default: none are taken. */
  readonly decryption?: DecryptionOptions | undefined
  /**
   * Which `typ` headers are taken. `interop` (default): absent, `JWT`, `logout+jwt`, `application/logout+jwt`.
   * `strict`: only the last two, as OWASP ASVS 5.0 V10.5.5 asks; many providers do not send them.
   */
  readonly typ?: 'interop' | 'strict' | undefined
  /** Further `typ` headers that are taken, in any case of letters: `['at+jwt']` for IdentityServer4. */
  readonly additionalTyp?: readonly string[] | undefined
  /** Takes tokens without `exp`; `maxAgeSeconds` alone then ends their life. Default: false. */
  readonly allowMissingExp?: boolean | undefined
  /**
   * How long after `iat` a token is taken, whatever its `exp`. Bounds how long replays are remembered. Default: 300, at
   * most 86,400.
   */
  readonly maxAgeSeconds?: number | undefined
  /** By how much the provider's clock may differ. Default: 60, at most 600. */
  readonly clockToleranceSeconds?: number | undefined
  /** As registered: the provider sends a `sid` in every Logout Token, and one without is refused. Default: false. */
  readonly backchannelLogoutSessionRequired?: boolean | undefined
  /** Audiences that may stand in `aud` beside the client id. Default: none. */
  readonly trustedAudiences?: readonly string[] | undefined
  /**
   * The provider's `sid` is in no ID Token (Casdoor): acts on `sub`, so one session's end is the end of all sessions of
   * that subject, and refuses tokens without `sub`. Default: false.
   */
  readonly ignoreSid?: boolean | undefined
  /** The answer to a repeat of a completed logout: 400 (default) or 200. Neither does anything. */
  readonly replay?: 'refuse' | 'acknowledge' | undefined
  /**
   * The status of a failure that a retry can cure. 503 for providers that retry on it and take 400 as final. Default:
   * 400 (BCL 2.8).
   */
  readonly transientFailureStatus?: 400 | 503 | undefined
  /**
   * Takes plain `http` for issuer and keys beyond loopback: whoever is on the network path can then forge logouts.
   * Default: false.
   */
  readonly dangerouslyAllowHttp?: boolean | undefined
  /**
   * Deadline of one fetch of metadata and keys. The OP waits meanwhile; stay under the answer's own. Default: 1.5, at
   * most 30.
   */
  readonly requestTimeoutSeconds?: number | undefined
  /**
   * How long a sign-on of this provider may live, however much it is used: the bound on a user who was disabled there
   * and of whom no Logout Token comes. Default: no bound but the session's own, and the claim `session_expiry`. At most
   * ten years.
   */
  readonly sessionMaxAgeSeconds?: number | undefined
  /**
   * How long a session of this provider's may go unused. For sessions in a store; a cookie then needs `rolling`. At
   * most ten years.
   */
  readonly sessionIdleSeconds?: number | undefined
  /**
   * How the provider ends its own session when a logout begins here. Default: by the letter of RP-Initiated Logout 1.0.
   */
  readonly endSession?: EndSessionDialect | undefined
  /**
   * How this client proves who it is where its tokens are revoked (RFC 7009 2.1). Default: not at all, so none can be
   * revoked. A public client has `None()` of oauth4webapi.
   */
  readonly clientAuthentication?: ClientAuthentication | undefined
  /**
   * What each kind of logout ends beyond the session that it names: other sessions of the user, refresh tokens, offline
   * tokens. Default: the letter of the specifications; see the table in docs/logout.md.
   */
  readonly policy?: LogoutPolicy | undefined
  /**
   * Fetches metadata and keys, and revokes tokens, in place of the global `fetch`: through a proxy, with a client
   * certificate, to an internal address. It must not follow redirects when it is told `redirect: 'manual'`.
   */
  readonly fetch?: Fetch | undefined
}

/** How Logout Tokens are encrypted for this client (`id_token_encrypted_response_alg` and `…_enc`). */
export interface DecryptionOptions {
  /** This client's private keys. */
  readonly keys: readonly JWK[]
  /** For example `['RSA-OAEP-256']`. */
  readonly keyManagementAlgorithms: readonly string[]
  /** For example `['A256GCM']`. */
  readonly contentEncryptionAlgorithms: readonly string[]
  /** Takes tokens that are only signed as well. Default: false. */
  readonly allowPlainJws?: boolean | undefined
}

/** All of them. */
export const PROVIDER_OPTION_NAMES: OptionNames<ProviderOptions> = {
  issuer: true,
  clientId: true,
  protocol: true,
  algorithms: true,
  clientSecret: true,
  jwksUri: true,
  jwks: true,
  decryption: true,
  typ: true,
  additionalTyp: true,
  allowMissingExp: true,
  maxAgeSeconds: true,
  clockToleranceSeconds: true,
  backchannelLogoutSessionRequired: true,
  trustedAudiences: true,
  ignoreSid: true,
  replay: true,
  transientFailureStatus: true,
  dangerouslyAllowHttp: true,
  requestTimeoutSeconds: true,
  sessionMaxAgeSeconds: true,
  sessionIdleSeconds: true,
  endSession: true,
  clientAuthentication: true,
  policy: true,
  fetch: true,
}

export const DECRYPTION_OPTION_NAMES: OptionNames<DecryptionOptions> = {
  keys: true,
  keyManagementAlgorithms: true,
  contentEncryptionAlgorithms: true,
  allowPlainJws: true,
}

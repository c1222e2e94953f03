// Why a Logout Token could not be judged at all: what the provider's side of it could not be had. Knows no token.
import { LogoutError } from '../errors.js'

const SENTENCES = {
  /** The application's function of the issuer threw, hung, or gave something that is no provider. */
  provider_lookup_failed: 'The provider could not be looked up',
  /** The provider's metadata could not be fetched (OpenID Connect Discovery 4). */
  metadata_fetch_failed: 'The metadata of the provider could not be fetched',
  /** The metadata is of another issuer, or names no usable `jwks_uri` (OpenID Connect Discovery 4.3). */
  metadata_invalid: 'The metadata of the provider is not usable',
  /** The JWK Set could not be fetched. */
  jwks_fetch_failed: 'The keys of the provider could not be fetched',
  /** What was fetched is no JWK Set (RFC 7517 5), or there is no key in it that could have signed anything. */
  jwks_invalid: 'The keys of the provider are no JSON Web Key Set with a key that could sign',
  /** The answer was due before the keys came. */
  deadline: 'The keys of the provider did not come in time',
  /**
   * The key may be a new one, and the provider has been asked for its keys too often just now to ask for them again.
   */
  lookups_used_up: 'The keys of the provider may not be asked for again yet',
  /** A token was kept until its keys came, and they did not while it could still be taken. */
  given_up: 'The keys of the provider did not come while the token could still be taken',
  /** A token was kept until its keys came, and had to go for lack of room. */
  displaced: 'More tokens waited for keys than are kept',
} as const

/** `reason` of an `ERR_KEYS_UNAVAILABLE`. */
export type KeysUnavailable = keyof typeof SENTENCES

/**
 * `ERR_KEYS_UNAVAILABLE`: the token may be good, and nobody can tell now. Not a verdict on the token, so the provider's
 * `transientFailureStatus` says how it is answered.
 */
export class KeysUnavailableError extends LogoutError {
  declare readonly reason: KeysUnavailable
  /** The HTTP status for this failure, as configured for the provider; 400 where no provider was found yet. */
  readonly transientFailureStatus: 400 | 503

  constructor(reason: KeysUnavailable, cause: unknown, transientFailureStatus: 400 | 503 = 400) {
    super('ERR_KEYS_UNAVAILABLE', SENTENCES[reason], { reason, cause })
    this.transientFailureStatus = transientFailureStatus
  }
}

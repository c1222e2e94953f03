// Why nobody can say whether an access token is good, in words that cannot hold a secret.
import { NoVerdictError } from '../errors.js'

const SENTENCES = {
  /** The authorization server could not be asked, or gave an error (5xx, a redirect, a network failure). */
  introspection_failed: 'The authorization server could not be asked about the access token',
  /** 400, 401 or 403: said to us as a client, and so not about the token (RFC 7662 2.3). */
  introspection_refused: 'The authorization server refused this API as a client of its introspection endpoint',
  introspection_late: 'The authorization server did not answer in time',
  /** Not an answer of RFC 7662 2.2, or not signed as RFC 9701 5 demands where that is configured. */
  answer_malformed: 'The answer of the authorization server is not an introspection response',
  /**
   * No introspection endpoint or, where signed answers are demanded, no keys: none at all, or at plain http; asked for
   * again at the next question.
   */
  metadata_incomplete: 'The metadata of the authorization server do not say by https where to ask about access tokens',
  /** Claims without an issuer, or of another type than the registered one. */
  claims_malformed: 'The claims of the access token cannot be judged',
  keys_unavailable: 'The keys of the authorization server could not be fetched',
  enrich_failed: 'The hook enrich failed',
  store_failed: 'The logout store could not be asked about the access token',
} as const

/** `reason` of an `ERR_NO_VERDICT` about an access token. */
export type NoVerdictReason = keyof typeof SENTENCES

/** `ERR_NO_VERDICT`: neither let in nor refused; answered 503, never 401. */
export function noVerdict(reason: NoVerdictReason, cause?: unknown): NoVerdictError {
  return new NoVerdictError(cause, SENTENCES[reason], reason)
}

/** @throws NoVerdictError what a store's failure means here, whatever it was */
export function storeFailed(cause: unknown): never {
  throw noVerdict('store_failed', cause)
}

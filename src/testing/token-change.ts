// How a token may differ from a valid one: in its header, its claims, who signs it, or how it is wrapped. Decides
// nothing.
import type { JWK } from 'jose'
import { assertOptions, type OptionNames } from '../option-checks.js'
import type { MintAlgorithm } from './mint-keys.js'

/** The member of `events` that makes a JWT a Logout Token (BCL 2.4). */
export const BACKCHANNEL_LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/**
 * Who signs.
 *
 * - `own`: the OP's key for the registered algorithm.
 * - `other-published`: another key of the same published set, of another algorithm; header `alg` and `kid` say so
 *   truthfully.
 * - `foreign`: a key of the right algorithm that nobody published, under the `kid` of the published one.
 * - `client-secret`: HMAC by the client secret.
 * - `public-key-as-secret`: HMAC by the PEM text of the published public key, the classic confusion of key kinds.
 * - `nobody`: an empty signature; header `alg` is `none`.
 */
export type Signer = 'own' | 'other-published' | 'foreign' | 'client-secret' | 'public-key-as-secret' | 'nobody'

/** How to wrap the signed token into a JWE (BCL 2.4: nested, sign then encrypt). */
export interface Encryption {
  /** The recipient's public key, or a secret for `dir` and `A*KW`. */
  readonly key: JWK | Uint8Array
  /** Default: `RSA-OAEP-256`. */
  readonly alg?: string
  /** Default: `A256GCM`. */
  readonly enc?: string
  /**
   * Further members of the JWE header. Default: `cty: 'JWT'` and the key's `kid`, if it has one; `undefined` removes
   * one.
   */
  readonly header?: Readonly<Record<string, unknown>>
  /** Encrypts the bare claims, signed by nobody at all. */
  readonly unsigned?: boolean
}

/**
 * One change to an otherwise valid token. Members given as `undefined` are removed: `{ payload: { exp: undefined } }`.
 * Everything is signed after the change, so that the signature is never a second defect.
 */
export interface Change {
  readonly header?: Readonly<Record<string, unknown>>
  readonly payload?: Readonly<Record<string, unknown>>
  /** Default: `own`. */
  readonly signer?: Signer
  /** Signs with this algorithm, and says so in the header, where the key allows it. Default: the key's own. */
  readonly algorithm?: MintAlgorithm
  /** The header as exact text or bytes, in place of the JSON of `header`. */
  readonly rawHeader?: string | Uint8Array
  /** The payload as exact text or bytes, in place of the JSON of `payload`. */
  readonly rawPayload?: string | Uint8Array
  /** Members as exact JSON text, written last: what `JSON.stringify` would not write, `1e999` or a name given twice. */
  readonly rawMembers?: Readonly<Record<string, string>>
  /** The last word, after signing: the compact segments, to be cut, swapped or garbled. */
  readonly segments?: (segments: readonly string[]) => readonly string[]
  readonly encrypt?: Encryption
}

const NAMES: OptionNames<Change> = {
  header: true,
  payload: true,
  signer: true,
  algorithm: true,
  rawHeader: true,
  rawPayload: true,
  rawMembers: true,
  segments: true,
  encrypt: true,
}
const ENCRYPTION_NAMES: OptionNames<Encryption> = { key: true, alg: true, enc: true, header: true, unsigned: true }

/** A name that no change has would be no change, and the test of it would prove nothing. */
export function assertChange(what: string, change: Change): void {
  assertOptions(what, change, NAMES)
  if (change.encrypt !== undefined) assertOptions('encrypt', change.encrypt, ENCRYPTION_NAMES)
}

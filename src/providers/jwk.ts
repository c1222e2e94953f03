// What counts as a JSON Web Key before anybody uses it.
import type { JWK } from 'jose'
import { isJsonObject, own } from '../json-object.js'

export type { JSONWebKeySet, JWK } from 'jose'

/** RFC 7517 4: an object with a key type. What else it needs is found out by using it. */
export function isJwk(value: unknown): value is JWK {
  return isJsonObject(value) && typeof own(value, 'kty') === 'string'
}

/** The key types with public keys that verify (RFC 7518 6.1, RFC 8037 2, RFC 9964 3). */
const VERIFYING: readonly string[] = ['RSA', 'EC', 'OKP', 'AKP']

/** Whether the OP could sign by it, as far as the key says (RFC 7517 4.1 to 4.3). */
export function couldSign({ kty, use, key_ops: operations }: JWK): boolean {
  if (kty === undefined || !VERIFYING.includes(kty)) return false
  if (use !== undefined) return use === 'sig'
  return !Array.isArray(operations) || operations.includes('verify')
}

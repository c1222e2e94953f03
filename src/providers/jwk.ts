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

/** RFC 7518 3.4, RFC 8037 3.1, RFC 9864 2.2. */
const CURVES: Readonly<Record<string, string>> = {
  ...{ ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' },
  ...{ EdDSA: 'Ed25519', Ed25519: 'Ed25519' },
}

/**
 * Whether the OP could sign by it, as far as the key says (RFC 7517 4.1 to 4.4); and whether by this algorithm, where
 * one is named. `use` and `key_ops` must both allow it: jose takes no key that says otherwise.
 */
export function couldSign({ kty, use, key_ops: operations, alg, crv }: JWK, algorithm?: string): boolean {
  if (kty === undefined || !VERIFYING.includes(kty)) return false
  if (use !== undefined && use !== 'sig') return false
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) return false
  if (algorithm === undefined) return true
  if (alg !== undefined && alg !== algorithm) return false
  if (algorithm.startsWith('ES')) return kty === 'EC' && crv === CURVES[algorithm]
  if (algorithm.startsWith('Ed')) return kty === 'OKP' && crv === CURVES[algorithm]
  return kty === 'RSA'
}

// Which algorithms may be named for a provider's tokens. Knows no key.
import { texts } from './option-values.js'

/** RFC 7518 3.1, RFC 8037 3.1, RFC 9864 2.2. */
const SIGNATURE_ALGORITHMS = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
  ...['HS256', 'HS384', 'HS512'],
]

/** RFC 7518 4.1. */
export const KEY_MANAGEMENT_ALGORITHMS = [
  ...['RSA-OAEP', 'RSA-OAEP-256', 'RSA-OAEP-384', 'RSA-OAEP-512', 'dir', 'A128KW', 'A192KW', 'A256KW'],
  ...['ECDH-ES', 'ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW', 'A128GCMKW', 'A192GCMKW', 'A256GCMKW'],
  ...['PBES2-HS256+A128KW', 'PBES2-HS384+A192KW', 'PBES2-HS512+A256KW'],
]

/** RFC 7518 5.1. */
export const CONTENT_ENCRYPTION_ALGORITHMS = [
  ...['A128CBC-HS256', 'A192CBC-HS384', 'A256CBC-HS512', 'A128GCM', 'A192GCM', 'A256GCM'],
]

/** Of signatures. */
export function algorithmsOf(value: unknown): readonly string[] {
  if (value === undefined) return ['RS256']
  if (Array.isArray(value) && value.some((name) => typeof name === 'string' && name.toLowerCase() === 'none')) {
    throw new TypeError('provider option algorithms has none: an unsigned Logout Token is never taken, leave it out')
  }
  return listed('algorithms', value, SIGNATURE_ALGORITHMS)
}

export function listed(name: string, value: unknown, known: readonly string[]): readonly string[] {
  const names = texts(name, value)
  if (names.length === 0) throw new TypeError(`provider option ${name} must name at least one algorithm`)
  const unknownName = names.find((each) => !known.includes(each))
  if (unknownName === undefined) return names
  throw new TypeError(
    `provider option ${name} has ${JSON.stringify(unknownName)}, which is not one of ${known.join(', ')} (case matters)`,
  )
}

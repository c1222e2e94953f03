// The option `decryption` of a provider: its check, and what is decided by it. Decrypts nothing.
import { own } from '../json-object.js'
import { CONTENT_ENCRYPTION_ALGORITHMS, KEY_MANAGEMENT_ALGORITHMS, listed } from './algorithms.js'
import { DecryptionKeys } from './decryption-keys.js'
import { isJwk } from './jwk.js'
import { closed, flag } from './option-values.js'
import { DECRYPTION_OPTION_NAMES } from './provider-options.js'

/** Decided `DecryptionOptions`. */
export interface Decryption {
  readonly keys: DecryptionKeys
  readonly keyManagementAlgorithms: readonly string[]
  readonly contentEncryptionAlgorithms: readonly string[]
  readonly allowPlainJws: boolean
}

/** @throws TypeError for keys that cannot decrypt, and unknown algorithms */
export function decryptionOf(value: unknown): Decryption | undefined {
  if (value === undefined) return undefined
  const given = closed('provider option decryption', value, DECRYPTION_OPTION_NAMES)
  const keys = own(given, 'keys')
  if (!Array.isArray(keys) || keys.length === 0 || !keys.every(isJwk)) {
    throw new TypeError('provider option decryption.keys must be a non-empty array of JWKs')
  }
  if (keys.some((key) => key.d === undefined && key.k === undefined)) {
    throw new TypeError('provider option decryption.keys holds a public key: decrypting takes the private one')
  }
  return {
    keys: new DecryptionKeys(keys),
    keyManagementAlgorithms: listed(
      'decryption.keyManagementAlgorithms',
      own(given, 'keyManagementAlgorithms'),
      KEY_MANAGEMENT_ALGORITHMS,
    ),
    contentEncryptionAlgorithms: listed(
      'decryption.contentEncryptionAlgorithms',
      own(given, 'contentEncryptionAlgorithms'),
      CONTENT_ENCRYPTION_ALGORITHMS,
    ),
    allowPlainJws: flag('decryption.allowPlainJws', own(given, 'allowPlainJws')),
  }
}

// The Relying Party's own keys for encrypted tokens: which of them can open one. Decrypts nothing.
import type { JWK } from './jwk.js'

/** What of a JWE header decides whether a key can open it. */
export interface DecryptionKeyChoice {
  readonly alg: string
  readonly enc: string
}

/** Private keys that were given in the options. */
export class DecryptionKeys {
  readonly #keys: readonly JWK[]

  constructor(keys: readonly JWK[]) {
    this.#keys = keys.map((key) => structuredClone(key))
  }

  /** The keys that fit the algorithm. */
  keysFor(choice: DecryptionKeyChoice): readonly JWK[] {
    return this.#keys.filter((key) => fits(key, choice))
  }
}

function fits(key: JWK, { alg, enc }: DecryptionKeyChoice): boolean {
  if (key.use !== undefined && key.use !== 'enc') return false
  if (key.alg !== undefined && key.alg !== (alg === 'dir' ? enc : alg)) return false
  if (alg.startsWith('RSA')) return key.kty === 'RSA'
  if (alg.startsWith('ECDH')) return key.kty === 'EC' || key.kty === 'OKP'
  return key.kty === 'oct'
}

// The key of the provider, in a form that stops no process.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'

/**
 * Read anew from its text, as `src/testing/key-pair.ts` says why: hundreds of tokens are signed with it at one time, and
 * each of these exports it. Earlier commits, which this bench drives as well, have no such file.
 */
export function rsaKeyPair(): { readonly privateKey: KeyObject; readonly publicKey: KeyObject } {
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  })
  return { privateKey: createPrivateKey(privateKey), publicKey: createPublicKey(privateKey) }
}

// Key pairs for tests that can be exported on every version of Node.
import { createPrivateKey, createPublicKey, generateKeyPair, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export function rsaKeyPair(bits = 2048): KeyPair {
  return fromText(
    generateKeyPairSync('rsa', {
      modulusLength: bits,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }),
  )
}

/** Made in the threads that Node has for what is slow. */
export async function rsaKeyPairInThread(): Promise<KeyPair> {
  return fromText(
    await promisify(generateKeyPair)('rsa', {
      modulusLength: 2048,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }),
  )
}

export function ecKeyPair(namedCurve = 'P-256'): KeyPair {
  return fromText(
    generateKeyPairSync('ec', {
      namedCurve,
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }),
  )
}

export function edKeyPair(): KeyPair {
  return fromText(
    generateKeyPairSync('ed25519', {
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }),
  )
}

/**
 * On Node 20 a pair as `generateKeyPair` gives it shares a lock with the job that made it: where that job is collected
 * as garbage in the moment in which the pair is exported, the process stands still for good.
 */
function fromText({ privateKey }: { readonly privateKey: string }): KeyPair {
  return { privateKey: createPrivateKey(privateKey), publicKey: createPublicKey(privateKey) }
}

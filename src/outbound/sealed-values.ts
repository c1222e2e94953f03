// Small values that leave this process and come back, in a session row or a cookie: nobody else can read, change or
// swap them. Knows not what they hold.
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'

const ALGORITHM = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Below this a secret is a password, which no key should be made of. */
const SHORTEST_SECRET = 32

export interface SealedValues {
  /** `purpose` is part of the seal: what was sealed for one purpose does not open for another. */
  seal(purpose: string, value: string): string
  /** `undefined` for whatever was not sealed by one of the secrets, for this purpose. */
  open(purpose: string, sealed: unknown): string | undefined
}

/**
 * AES-256-GCM under keys made of the application's secrets (HKDF, RFC 5869). The first secret seals, each of them
 * opens: put a new one in front, and take the old one away when nothing that it sealed is left.
 *
 * @throws TypeError for a secret of fewer than 32 characters
 */
export function sealedValues(secrets: readonly string[], option: string): SealedValues {
  const [newest] = secrets
  if (newest === undefined || secrets.some((secret) => typeof secret !== 'string' || secret.length < SHORTEST_SECRET)) {
    throw new TypeError(
      `${option} must be a secret of ${SHORTEST_SECRET} characters or more, or a list of them, the newest first`,
    )
  }
  const keys = secrets.map((secret) => Buffer.from(hkdfSync('sha256', secret, '', 'oidc-backchannel-logout', 32)))
  return {
    seal(purpose, value) {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv(ALGORITHM, keys[0] ?? '', nonce).setAAD(Buffer.from(purpose))
      const text = Buffer.concat([cipher.update(value, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, text, cipher.getAuthTag()]).toString('base64url')
    },
    open(purpose, sealed) {
      if (typeof sealed !== 'string') return undefined
      const bytes = Buffer.from(sealed, 'base64url')
      if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined
      for (const key of keys) {
        try {
          const decipher = createDecipheriv(ALGORITHM, key, bytes.subarray(0, NONCE_BYTES), {
            authTagLength: TAG_BYTES,
          })
            .setAAD(Buffer.from(purpose))
            .setAuthTag(bytes.subarray(-TAG_BYTES))
          const text = bytes.subarray(NONCE_BYTES, -TAG_BYTES)
          return Buffer.concat([decipher.update(text), decipher.final()]).toString('utf8')
        } catch {
          // Another key, another purpose, or not ours.
        }
      }
      return undefined
    },
  }
}

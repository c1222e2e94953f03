// The one signing key of the demo's OpenID Provider: made at start, kept in memory, never shown.
import { randomBytes } from 'node:crypto'
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import type { JWK } from 'oidc-provider'

export interface SigningKey {
  readonly kid: string
  readonly jwk: JWK
  /** A JWT with this key's id in its header, and whatever claims and type. */
  sign(claims: JWTPayload, typ: string): Promise<string>
}

export async function createSigningKey(kid = randomBytes(8).toString('hex')): Promise<SigningKey> {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const { kty, n, e, d, p, q, dp, dq, qi } = await exportJWK(privateKey)
  return {
    kid,
    jwk: { kty, n, e, d, p, q, dp, dq, qi, kid, alg: 'RS256', use: 'sig' },
    sign: (claims, typ) => new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid, typ }).sign(privateKey),
  }
}

// The keys of an OP for tests, and how each of them signs: by node:crypto, because a library made for good tokens
// refuses to make bad ones. Knows no token.
import { constants, createHmac, type KeyObject, sign } from 'node:crypto'
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose'
import { ecKeyPair, edKeyPair, type KeyPair, rsaKeyPairInThread } from './key-pair.js'

/** Signature algorithms the mint can use (RFC 7518 3.1, RFC 8037, RFC 9864). */
export type MintAlgorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'EdDSA'
  | 'Ed25519'
  | 'HS256'
  | 'HS384'
  | 'HS512'

/** One key pair, and for which algorithm it is. */
export interface SigningKey {
  readonly algorithm: MintAlgorithm
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly publicJwk: JWK
}

/** The keys of one OP. Get them by `mintKeys`; a second name is a second OP, or the same after a rotation. */
export interface MintKeys {
  readonly own: SigningKey
  readonly other: SigningKey
  readonly foreign: SigningKey
  readonly published: readonly JWK[]
}

const keysOfThisProcess = new Map<string, Promise<MintKeys>>()

/**
 * The keys of one OP, generated at first use and then kept for the life of the process, because RSA keys take long.
 * Another `name` gives other keys: another OP, or the same one after a rotation.
 */
export function mintKeys(algorithm: MintAlgorithm = 'RS256', name = 'default'): Promise<MintKeys> {
  const own = algorithm.startsWith('HS') ? 'RS256' : algorithm
  const id = `${own} ${name}`
  const known = keysOfThisProcess.get(id) ?? generateKeys(own)
  keysOfThisProcess.set(id, known)
  return known
}

async function generateKeys(algorithm: MintAlgorithm): Promise<MintKeys> {
  const [own, other, foreign, { publicKey: encryption }] = await Promise.all([
    generateSigningKey(algorithm),
    generateSigningKey(familyOf(algorithm) === 'RSA' ? 'ES256' : 'RS256'),
    generateSigningKey(algorithm),
    generatePair('RS256'),
  ])
  const published: JWK[] = [
    { ...(await exportJWK(encryption)), kid: 'encryption', use: 'enc', alg: 'RSA-OAEP' },
    { ...RARE_CURVE, kid: 'rare-curve', use: 'sig' },
    { ...other.publicJwk, kid: other.kid, use: 'sig' },
    { ...own.publicJwk, kid: own.kid, use: 'sig' },
  ]
  return { own, other, foreign, published }
}

/**
 * The base point of the curve (SEC 2, 2.4.1): a key of it that is made without knowing the curve, which Bun does not.
 */
const RARE_CURVE: JWK = {
  kty: 'EC',
  crv: 'secp256k1',
  x: 'eb5mfvncu6xVoGKVzocLBwKb_NstzijZWfKBWxb4F5g',
  y: 'SDradyajxGVdpPv8DhEIqP0XtEimhVQZnEfQj_sQ1Lg',
}

async function generateSigningKey(algorithm: MintAlgorithm): Promise<SigningKey> {
  const { privateKey, publicKey } = await generatePair(algorithm)
  const publicJwk = await exportJWK(publicKey)
  const kid = await calculateJwkThumbprint(publicJwk)
  return { algorithm, kid, privateKey, publicKey, publicJwk }
}

const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }

async function generatePair(algorithm: MintAlgorithm): Promise<KeyPair> {
  const namedCurve = CURVES[algorithm]
  if (namedCurve !== undefined) return ecKeyPair(namedCurve)
  return familyOf(algorithm) === 'OKP' ? edKeyPair() : rsaKeyPairInThread()
}

function familyOf(algorithm: MintAlgorithm): 'RSA' | 'EC' | 'OKP' {
  if (algorithm.startsWith('ES')) return 'EC'
  return algorithm.startsWith('Ed') ? 'OKP' : 'RSA'
}

export function signature(alg: string, key: KeyObject, input: Uint8Array): Uint8Array {
  if (alg.startsWith('Ed')) return sign(null, input, key)
  const digest = `sha${alg.slice(2)}`
  if (alg.startsWith('ES')) return sign(digest, input, { key, dsaEncoding: 'ieee-p1363' })
  if (alg.startsWith('RS')) return sign(digest, input, key)
  return sign(digest, input, {
    key,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  })
}

export function hmac(alg: string, secret: string | Buffer, input: Uint8Array): Uint8Array {
  return createHmac(`sha${alg.slice(2)}`, secret)
    .update(input)
    .digest()
}

// Logout Tokens for tests: a valid one, and the same one with a single named defect. Knows nothing of the receiver, so
// that it cannot share its mistakes; signs by node:crypto, because a library made for good tokens refuses to make bad ones.
import {
  constants,
  createHmac,
  generateKeyPair,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto'
import { promisify } from 'node:util'
import { CompactEncrypt, type CompactJWEHeaderParameters, calculateJwkThumbprint, exportJWK, type JWK } from 'jose'

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

/** The member of `events` that makes a JWT a Logout Token (BCL 2.4). */
export const BACKCHANNEL_LOGOUT_EVENT = 'http://schemas.openid.net/event/backchannel-logout'

/**
 * Who signs.
 *
 * - `own`: the OP's key for the registered algorithm.
 * - `other-published`: another key of the same published set, of another algorithm; header `alg` and `kid` say so truthfully.
 * - `foreign`: a key of the right algorithm that nobody published, under the `kid` of the published one.
 * - `client-secret`: HMAC by the client secret.
 * - `public-key-as-secret`: HMAC by the PEM text of the published public key, the classic confusion of key kinds.
 * - `nobody`: an empty signature; header `alg` is `none`.
 */
export type Signer = 'own' | 'other-published' | 'foreign' | 'client-secret' | 'public-key-as-secret' | 'nobody'

/** How to wrap the signed token into a JWE (BCL 2.4: nested, sign then encrypt). */
export interface Encryption {
  /** The recipient's public key, or a secret for `dir` and `A*KW`. */
  readonly key: JWK | Uint8Array
  /** Default: `RSA-OAEP-256`. */
  readonly alg?: string
  /** Default: `A256GCM`. */
  readonly enc?: string
  /** Further members of the JWE header. Default: `cty: 'JWT'` and the key's `kid`, if it has one; `undefined` removes one. */
  readonly header?: Readonly<Record<string, unknown>>
  /** Encrypts the bare claims, signed by nobody at all. */
  readonly unsigned?: boolean
}

/**
 * One change to an otherwise valid token. Members given as `undefined` are removed: `{ payload: { exp: undefined } }`.
 * Everything is signed after the change, so that the signature is never a second defect.
 */
export interface Change {
  readonly header?: Readonly<Record<string, unknown>>
  readonly payload?: Readonly<Record<string, unknown>>
  /** Default: `own`. */
  readonly signer?: Signer
  /** Signs with this algorithm, and says so in the header, where the key allows it. Default: the key's own. */
  readonly algorithm?: MintAlgorithm
  /** The header as exact text or bytes, in place of the JSON of `header`. */
  readonly rawHeader?: string | Uint8Array
  /** The payload as exact text or bytes, in place of the JSON of `payload`. */
  readonly rawPayload?: string | Uint8Array
  /** Members as exact JSON text, written last: what `JSON.stringify` would not write, `1e999` or a name given twice. */
  readonly rawMembers?: Readonly<Record<string, string>>
  /** The last word, after signing: the compact segments, to be cut, swapped or garbled. */
  readonly segments?: (segments: readonly string[]) => readonly string[]
  readonly encrypt?: Encryption
}

interface SigningKey {
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

/** An OP's hand at the stamp. Get one by `createTokenMint`. */
export interface TokenMint {
  readonly issuer: string
  readonly clientId: string
  readonly algorithm: MintAlgorithm
  /**
   * The public set as an OP publishes it: signing keys without `alg`, the one in use and one of another algorithm, beside
   * an encryption key and a key on a curve that few libraries know (secp256k1), as the certification suite does.
   */
  readonly jwks: { readonly keys: JWK[] }
  /**
   * A Logout Token as BCL 2.4 asks for it: header `alg`, `kid`, `typ` `logout+jwt`; `iss`, `aud`, `iat` now, `exp` in 120 s,
   * a fresh `jti`, `sub`, `sid`, `events`. With HMAC algorithms there is no `kid`.
   */
  logoutToken(change?: Change): Promise<string>
  /** The ID Token of a login by the same OP for the same `sub` and `sid` (OpenID Connect Core 2). */
  idToken(change?: Change): Promise<string>
  /** The claims which `idToken` signs, for tests that need no signature. */
  idTokenClaims(change?: Readonly<Record<string, unknown>>): IdTokenClaims
  /** A Logout Token with exactly one defect; see `DEFECTS`. */
  defective(defect: Defect): Promise<string>
}

/** Claims of an ID Token as a login gets them. */
export interface IdTokenClaims {
  readonly iss: string
  readonly aud: string
  readonly sub: string
  readonly sid: string
  readonly iat: number
  readonly exp: number
  readonly [claim: string]: unknown
}

/** Options of `createTokenMint`. */
export interface TokenMintOptions {
  /** Issuer identifier, exactly as the OP writes it. */
  readonly issuer: string
  readonly clientId: string
  /** `id_token_signed_response_alg` of the client. Default: `RS256`. */
  readonly algorithm?: MintAlgorithm
  /** Epoch seconds, fractions allowed; tokens are dated by whole seconds. Default: the system clock. */
  readonly now?: () => number
  /** Default: a fixed text of 64 characters. */
  readonly clientSecret?: string
  /** Default: `mintKeys(algorithm)`. */
  readonly keys?: MintKeys
  /** Default: `248289761001`, the subject of the specification's examples. */
  readonly sub?: string
  /** Default: `08a5019c-17e1-4977-8f42-65a12843ea02`, as in the specification's examples. */
  readonly sid?: string
}

/** One defect: what is wrong, by which rule it must be refused. */
export interface DefectRule {
  readonly name: string
  /** The document and section that forbids it. */
  readonly rule: string
  readonly change: (valid: ValidToken) => Change
}

/** What a defect may refer to: the valid token it spoils. */
export interface ValidToken {
  readonly issuer: string
  readonly clientId: string
  readonly algorithm: MintAlgorithm
  /** `iat`, in whole epoch seconds. */
  readonly now: number
  /** The public half of the key with which `foreign` signs. */
  readonly foreignKey: JWK
}

/**
 * Every named defect. Each is a valid Logout Token with one change, refused by every receiver that keeps to the letter
 * of BCL; run your own receiver through the list, after checking that it takes `logoutToken()`.
 */
export const DEFECTS = [
  { name: 'alg-none', rule: 'BCL 2.6 step 3', change: () => ({ signer: 'nobody' }) },
  { name: 'alg-none-with-signature', rule: 'BCL 2.6 step 3', change: () => ({ header: { alg: 'none' } }) },
  { name: 'alg-absent', rule: 'RFC 7515 4.1.1', change: () => ({ header: { alg: undefined } }) },
  { name: 'alg-wrong-case', rule: 'RFC 7515 4.1.1', change: (v) => ({ header: { alg: v.algorithm.toLowerCase() } }) },
  { name: 'alg-of-another-published-key', rule: 'BCL 2.6 step 3', change: () => ({ signer: 'other-published' }) },
  { name: 'public-key-as-secret', rule: 'RFC 8725 2.1', change: () => ({ signer: 'public-key-as-secret' }) },
  { name: 'signature-of-foreign-key', rule: 'BCL 2.6 step 2', change: () => ({ signer: 'foreign' }) },
  { name: 'signature-removed', rule: 'BCL 2.6 step 2', change: () => ({ segments: ([h = '', p = '']) => [h, p, ''] }) },
  {
    name: 'signature-garbled',
    rule: 'BCL 2.6 step 2',
    change: () => ({ segments: ([h = '', p = '', s = '']) => [h, p, flipFirst(s)] }),
  },
  {
    name: 'payload-swapped',
    rule: 'BCL 2.6 step 2',
    change: () => ({ segments: ([h = '', p = '', s = '']) => [h, base64url(renamedSub(p)), s] }),
  },
  {
    name: 'key-in-header',
    rule: 'RFC 8725 3.10',
    change: (v) => ({ signer: 'foreign', header: { jwk: v.foreignKey } }),
  },
  {
    name: 'crit-unknown',
    rule: 'RFC 7515 4.1.11',
    change: () => ({ header: { crit: ['x-unheard'], 'x-unheard': 1 } }),
  },
  { name: 'typ-access-token', rule: 'RFC 8725 3.11', change: () => ({ header: { typ: 'at+jwt' } }) },
  { name: 'typ-security-event', rule: 'RFC 8725 3.11', change: () => ({ header: { typ: 'secevent+jwt' } }) },
  { name: 'typ-dpop', rule: 'RFC 8725 3.11', change: () => ({ header: { typ: 'dpop+jwt' } }) },
  { name: 'typ-not-a-string', rule: 'RFC 7515 4.1.9', change: () => ({ header: { typ: 1 } }) },
  { name: 'payload-not-json', rule: 'RFC 7519 7.2', change: () => ({ rawPayload: 'logout' }) },
  { name: 'payload-not-an-object', rule: 'RFC 7519 7.2', change: () => ({ rawPayload: '["logout"]' }) },
  { name: 'payload-not-utf8', rule: 'RFC 7519 7.2', change: () => ({ rawPayload: Uint8Array.of(0x7b, 0xff, 0x7d) }) },
  { name: 'iss-absent', rule: 'BCL 2.4', change: () => ({ payload: { iss: undefined } }) },
  { name: 'iss-of-another', rule: 'BCL 2.6 step 4', change: (v) => ({ payload: { iss: `${v.issuer}/another` } }) },
  {
    name: 'iss-with-trailing-slash',
    rule: 'BCL 2.6 step 4',
    change: (v) => ({ payload: { iss: otherSlash(v.issuer) } }),
  },
  { name: 'iss-not-a-string', rule: 'BCL 2.4', change: (v) => ({ payload: { iss: [v.issuer] } }) },
  { name: 'aud-absent', rule: 'BCL 2.4', change: () => ({ payload: { aud: undefined } }) },
  { name: 'aud-of-another', rule: 'BCL 2.6 step 4', change: (v) => ({ payload: { aud: `${v.clientId}-another` } }) },
  { name: 'aud-empty-array', rule: 'BCL 2.6 step 4', change: () => ({ payload: { aud: [] } }) },
  {
    name: 'aud-with-untrusted-audience',
    rule: 'OpenID Connect Core 3.1.3.7 item 3',
    change: (v) => ({ payload: { aud: [v.clientId, `${v.clientId}-another`] } }),
  },
  { name: 'aud-not-strings', rule: 'RFC 7519 4.1.3', change: (v) => ({ payload: { aud: [v.clientId, 1] } }) },
  {
    name: 'azp-of-another',
    rule: 'OpenID Connect Core 3.1.3.7 item 5',
    change: () => ({ payload: { azp: 'another' } }),
  },
  { name: 'iat-absent', rule: 'BCL 2.4', change: () => ({ payload: { iat: undefined } }) },
  { name: 'iat-not-a-number', rule: 'RFC 7519 4.1.6', change: (v) => ({ payload: { iat: String(v.now) } }) },
  {
    name: 'iat-in-the-future',
    rule: 'BCL 2.6 step 4',
    change: (v) => ({ payload: { iat: v.now + 600, exp: v.now + 720 } }),
  },
  { name: 'iat-too-old', rule: 'BCL 2.6 step 4', change: (v) => ({ payload: { iat: v.now - 3600 } }) },
  { name: 'exp-absent', rule: 'BCL 2.4', change: () => ({ payload: { exp: undefined } }) },
  { name: 'exp-passed', rule: 'BCL 2.6 step 4', change: (v) => ({ payload: { iat: v.now - 250, exp: v.now - 130 } }) },
  { name: 'exp-not-a-number', rule: 'RFC 7519 4.1.4', change: (v) => ({ payload: { exp: String(v.now + 120) } }) },
  {
    name: 'exp-not-finite',
    rule: 'RFC 7519 4.1.4',
    change: () => ({ payload: { exp: undefined }, rawMembers: { exp: '1e999' } }),
  },
  { name: 'nbf-in-the-future', rule: 'RFC 7519 4.1.5', change: (v) => ({ payload: { nbf: v.now + 600 } }) },
  { name: 'nbf-not-a-number', rule: 'RFC 7519 4.1.5', change: () => ({ payload: { nbf: 'now' } }) },
  {
    name: 'sub-and-sid-absent',
    rule: 'BCL 2.6 step 5',
    change: () => ({ payload: { sub: undefined, sid: undefined } }),
  },
  { name: 'sub-and-sid-null', rule: 'BCL 2.6 step 5', change: () => ({ payload: { sub: null, sid: null } }) },
  { name: 'sub-empty', rule: 'BCL 2.4', change: () => ({ payload: { sub: '' } }) },
  { name: 'sub-not-a-string', rule: 'BCL 2.4', change: () => ({ payload: { sub: 248289761001 } }) },
  { name: 'sub-too-long', rule: 'OpenID Connect Core 2', change: () => ({ payload: { sub: 's'.repeat(256) } }) },
  {
    name: 'sub-with-control-character',
    rule: 'OpenID Connect Core 2',
    change: () => ({ payload: { sub: 'a\u0000b' } }),
  },
  { name: 'sid-empty', rule: 'BCL 2.4', change: () => ({ payload: { sid: '' } }) },
  { name: 'sid-not-a-string', rule: 'BCL 2.4', change: () => ({ payload: { sid: { toString: 'x' } } }) },
  { name: 'sid-too-long', rule: 'BCL 2.4', change: () => ({ payload: { sid: 's'.repeat(65_536 / 4) } }) },
  { name: 'sid-with-control-character', rule: 'BCL 2.4', change: () => ({ payload: { sid: 'a\nb' } }) },
  { name: 'events-absent', rule: 'BCL 2.6 step 6', change: () => ({ payload: { events: undefined } }) },
  { name: 'events-null', rule: 'BCL 2.6 step 6', change: () => ({ payload: { events: null } }) },
  { name: 'events-empty', rule: 'BCL 2.6 step 6', change: () => ({ payload: { events: {} } }) },
  {
    name: 'events-an-array',
    rule: 'BCL 2.6 step 6',
    change: () => ({ payload: { events: [BACKCHANNEL_LOGOUT_EVENT] } }),
  },
  {
    name: 'events-a-string',
    rule: 'BCL 2.6 step 6',
    change: () => ({ payload: { events: BACKCHANNEL_LOGOUT_EVENT } }),
  },
  {
    name: 'events-of-another-kind',
    rule: 'BCL 2.6 step 6',
    change: () => ({ payload: { events: { 'http://schemas.openid.net/event/foobar': {} } } }),
  },
  {
    name: 'event-null',
    rule: 'BCL 2.4',
    change: () => ({ payload: { events: { [BACKCHANNEL_LOGOUT_EVENT]: null } } }),
  },
  {
    name: 'event-an-array',
    rule: 'BCL 2.4',
    change: () => ({ payload: { events: { [BACKCHANNEL_LOGOUT_EVENT]: [] } } }),
  },
  {
    name: 'event-true',
    rule: 'BCL 2.4',
    change: () => ({ payload: { events: { [BACKCHANNEL_LOGOUT_EVENT]: true } } }),
  },
  {
    name: 'event-in-prototype-member',
    rule: 'BCL 2.6 step 6',
    change: () => ({
      payload: { events: undefined },
      rawMembers: { events: `{"__proto__":{"${BACKCHANNEL_LOGOUT_EVENT}":{}}}` },
    }),
  },
  { name: 'nonce', rule: 'BCL 2.6 step 7', change: () => ({ payload: { nonce: 'n-0S6_WzA2Mj' } }) },
  { name: 'nonce-null', rule: 'BCL 2.6 step 7', change: () => ({ payload: { nonce: null } }) },
  { name: 'nonce-empty', rule: 'BCL 2.6 step 7', change: () => ({ payload: { nonce: '' } }) },
  { name: 'jti-absent', rule: 'BCL 2.4', change: () => ({ payload: { jti: undefined } }) },
  { name: 'jti-empty', rule: 'BCL 2.4', change: () => ({ payload: { jti: '' } }) },
  { name: 'jti-not-a-string', rule: 'RFC 7519 4.1.7', change: () => ({ payload: { jti: 1 } }) },
] as const satisfies readonly DefectRule[]

/** The name of one defect of `DEFECTS`. */
export type Defect = (typeof DEFECTS)[number]['name']

const DEFAULT_SUB = '248289761001'
const DEFAULT_SID = '08a5019c-17e1-4977-8f42-65a12843ea02'
const DEFAULT_SECRET = 'a-client-secret-of-sixty-four-characters-for-tests-and-no-others'

/** An OP's token mint. Key generation is slow and happens once for each algorithm and process, see `mintKeys`. */
export async function createTokenMint(options: TokenMintOptions): Promise<TokenMint> {
  const { issuer, clientId, algorithm = 'RS256', clientSecret = DEFAULT_SECRET } = options
  const now = options.now ?? (() => Date.now() / 1000)
  const keys = options.keys ?? (await mintKeys(algorithm))
  const sub = options.sub ?? DEFAULT_SUB
  const sid = options.sid ?? DEFAULT_SID
  const seconds = () => Math.floor(now())

  function logoutTokenClaims(): Record<string, unknown> {
    const iat = seconds()
    const events = { [BACKCHANNEL_LOGOUT_EVENT]: {} }
    return { iss: issuer, aud: clientId, iat, exp: iat + 120, jti: randomUUID(), sub, sid, events }
  }

  function idTokenClaims(change: Readonly<Record<string, unknown>> = {}): IdTokenClaims {
    const iat = seconds()
    return {
      iss: issuer,
      aud: clientId,
      iat,
      exp: iat + 3600,
      auth_time: iat,
      sub,
      sid,
      nonce: randomUUID(),
      ...change,
    }
  }

  async function issue(claims: Record<string, unknown>, typ: string, change: Change): Promise<string> {
    const payload = bytes(change.rawPayload ?? json({ ...claims, ...change.payload }, change.rawMembers))
    const token = await wrapped(payload, typ, change)
    return change.segments === undefined ? token : change.segments(token.split('.')).join('.')
  }

  async function wrapped(payload: Uint8Array, typ: string, change: Change): Promise<string> {
    if (change.encrypt === undefined) return signed(payload, typ, change)
    return encrypted(change.encrypt.unsigned ? payload : bytes(signed(payload, typ, change)), change.encrypt)
  }

  function signed(payload: Uint8Array, typ: string, change: Change): string {
    const { alg, kid, seal } = signerOf(change)
    const header = JSON.stringify({ alg, ...(kid === undefined ? {} : { kid }), typ, ...change.header })
    const input = `${base64url(change.rawHeader ?? header)}.${base64url(payload)}`
    return `${input}.${base64url(seal(Buffer.from(input)))}`
  }

  function signerOf(change: Change): { alg: string; kid?: string; seal: (input: Uint8Array) => Uint8Array } {
    const signer = change.signer ?? (algorithm.startsWith('HS') ? 'client-secret' : 'own')
    if (signer === 'nobody') return { alg: 'none', seal: () => new Uint8Array() }
    if (signer === 'client-secret') {
      const alg = change.algorithm ?? (algorithm.startsWith('HS') ? algorithm : 'HS256')
      return { alg, seal: (input) => hmac(alg, clientSecret, input) }
    }
    if (signer === 'public-key-as-secret') {
      const pem = keys.own.publicKey.export({ type: 'spki', format: 'pem' })
      return { alg: 'HS256', kid: keys.own.kid, seal: (input) => hmac('HS256', pem, input) }
    }
    const key = { own: keys.own, 'other-published': keys.other, foreign: keys.foreign }[signer]
    const alg = change.algorithm ?? key.algorithm
    const kid = signer === 'foreign' ? keys.own.kid : key.kid
    return { alg, kid, seal: (input) => signature(alg, key.privateKey, input) }
  }

  return {
    issuer,
    clientId,
    algorithm,
    jwks: { keys: [...keys.published] },
    logoutToken: (change = {}) => issue(logoutTokenClaims(), 'logout+jwt', change),
    idToken: (change = {}) => issue(idTokenClaims(), 'JWT', change),
    idTokenClaims,
    defective: (defect) =>
      issue(
        logoutTokenClaims(),
        'logout+jwt',
        changeOf(defect, { issuer, clientId, algorithm, now: seconds(), foreignKey: keys.foreign.publicJwk }),
      ),
  }
}

/** A Logout Token to be offered to a login in place of an ID Token. */
export interface LoginTrap {
  readonly name: string
  readonly token: string
}

/**
 * The mirror duty (RFC 8725 2.8, 3.11): since errata 1 a Logout Token has `exp` and `sub`, and so every claim that a careless
 * validator wants of an ID Token. Each of these is truly signed and in date. Offer each to your own login as the `id_token` of a
 * token response; all must be refused, since none has the `nonce` you sent, each has `events`, and one says what it is in `typ`.
 */
export async function loginTraps(mint: TokenMint): Promise<readonly LoginTrap[]> {
  const traps: readonly { readonly name: string; readonly typ: string | undefined }[] = [
    { name: 'a Logout Token that says so', typ: 'logout+jwt' },
    { name: 'a Logout Token that calls itself JWT', typ: 'JWT' },
    { name: 'a Logout Token that says nothing', typ: undefined },
  ]
  return Promise.all(traps.map(async ({ name, typ }) => ({ name, token: await mint.logoutToken({ header: { typ } }) })))
}

function changeOf(defect: Defect, valid: ValidToken): Change {
  const rules: readonly DefectRule[] = DEFECTS
  const found = rules.find(({ name }) => name === defect)
  if (found === undefined) throw new TypeError(`defect: there is none named ${JSON.stringify(defect)}; see DEFECTS`)
  return found.change(valid)
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

/** The base point of the curve (SEC 2, 2.4.1): a key of it that is made without knowing the curve, which Bun does not. */
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

async function generatePair(algorithm: MintAlgorithm): Promise<{ privateKey: KeyObject; publicKey: KeyObject }> {
  const namedCurve = CURVES[algorithm]
  if (namedCurve !== undefined) return generateKeyPairSync('ec', { namedCurve })
  if (familyOf(algorithm) === 'OKP') return generateKeyPairSync('ed25519')
  // The slow ones, in the threads that Node has for this.
  return promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
}

function familyOf(algorithm: MintAlgorithm): 'RSA' | 'EC' | 'OKP' {
  if (algorithm.startsWith('ES')) return 'EC'
  return algorithm.startsWith('Ed') ? 'OKP' : 'RSA'
}

function signature(alg: string, key: KeyObject, input: Uint8Array): Uint8Array {
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

function hmac(alg: string, secret: string | Buffer, input: Uint8Array): Uint8Array {
  return createHmac(`sha${alg.slice(2)}`, secret)
    .update(input)
    .digest()
}

async function encrypted(content: Uint8Array, { key, alg, enc, header = {} }: Encryption): Promise<string> {
  const kid = key instanceof Uint8Array ? undefined : key.kid
  const protectedHeader: CompactJWEHeaderParameters = {
    alg: alg ?? 'RSA-OAEP-256',
    enc: enc ?? 'A256GCM',
    cty: 'JWT',
    ...(kid === undefined ? {} : { kid }),
    ...header,
  }
  return new CompactEncrypt(content).setProtectedHeader(protectedHeader).encrypt(key)
}

/** `rawMembers` replace no member of the same name: they follow it, which is how a name comes to be given twice. */
function json(claims: Record<string, unknown>, rawMembers: Readonly<Record<string, string>> = {}): string {
  const members = Object.entries(rawMembers).map(([name, text]) => `,${JSON.stringify(name)}:${text}`)
  return JSON.stringify(claims).replace(/}$/, () => `${members.join('')}}`)
}

function renamedSub(payloadSegment: string): string {
  return Buffer.from(payloadSegment, 'base64url').toString().replace('"sub":"', '"sub":"x')
}

function otherSlash(issuer: string): string {
  return issuer.endsWith('/') ? issuer.slice(0, -1) : `${issuer}/`
}

function flipFirst(segment: string): string {
  return (segment.startsWith('A') ? 'B' : 'A') + segment.slice(1)
}

function bytes(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : value
}

function base64url(value: string | Uint8Array): string {
  return Buffer.from(bytes(value)).toString('base64url')
}

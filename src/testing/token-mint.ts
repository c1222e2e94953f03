// Logout Tokens for tests: a valid one, and the same one with a single change. Knows nothing of the receiver, so that
// it cannot share its mistakes.
import { randomUUID } from 'node:crypto'
import { CompactEncrypt, type CompactJWEHeaderParameters, type JWK } from 'jose'
import { assertOptions, type OptionNames } from '../option-checks.js'
import { changeOf, type Defect } from './defects.js'
import { hmac, type MintAlgorithm, type MintKeys, mintKeys, signature } from './mint-keys.js'
import { assertChange, BACKCHANNEL_LOGOUT_EVENT, type Change, type Encryption } from './token-change.js'

/** An OP's hand at the stamp. Get one by `createTokenMint`. */
export interface TokenMint {
  readonly issuer: string
  readonly clientId: string
  readonly algorithm: MintAlgorithm
  /**
   * The public set as an OP publishes it: signing keys without `alg`, the one in use and one of another algorithm,
   * beside an encryption key and a key on a curve that few libraries know (secp256k1), as the certification suite does.
   */
  readonly jwks: { readonly keys: JWK[] }
  /**
   * A Logout Token as BCL 2.4 asks for it: header `alg`, `kid`, `typ` `logout+jwt`; `iss`, `aud`, `iat` now, `exp` in
   * 120 s, a fresh `jti`, `sub`, `sid`, `events`. With HMAC algorithms there is no `kid`.
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

const NAMES: OptionNames<TokenMintOptions> = {
  issuer: true,
  clientId: true,
  algorithm: true,
  now: true,
  clientSecret: true,
  keys: true,
  sub: true,
  sid: true,
}

const DEFAULT_SUB = '248289761001'
const DEFAULT_SID = '08a5019c-17e1-4977-8f42-65a12843ea02'
const DEFAULT_SECRET = 'a-client-secret-of-sixty-four-characters-for-tests-and-no-others'

/** An OP's token mint. Key generation is slow and happens once for each algorithm and process, see `mintKeys`. */
export async function createTokenMint(options: TokenMintOptions): Promise<TokenMint> {
  assertOptions('createTokenMint()', options, NAMES)
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
    async logoutToken(change = {}) {
      assertChange('logoutToken()', change)
      return issue(logoutTokenClaims(), 'logout+jwt', change)
    },
    async idToken(change = {}) {
      assertChange('idToken()', change)
      return issue(idTokenClaims(), 'JWT', change)
    },
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
 * The mirror duty (RFC 8725 2.8, 3.11): since errata 1 a Logout Token has `exp` and `sub`, and so every claim that a
 * careless validator wants of an ID Token. Each of these is truly signed and in date. Offer each to your own login as
 * the `id_token` of a token response; all must be refused, since none has the `nonce` you sent, each has `events`, and
 * one says what it is in `typ`.
 */
export async function loginTraps(mint: TokenMint): Promise<readonly LoginTrap[]> {
  const traps: readonly { readonly name: string; readonly typ: string | undefined }[] = [
    { name: 'a Logout Token that says so', typ: 'logout+jwt' },
    { name: 'a Logout Token that calls itself JWT', typ: 'JWT' },
    { name: 'a Logout Token that says nothing', typ: undefined },
  ]
  return Promise.all(traps.map(async ({ name, typ }) => ({ name, token: await mint.logoutToken({ header: { typ } }) })))
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

function bytes(value: string | Uint8Array): Uint8Array {
  return typeof value === 'string' ? Buffer.from(value) : value
}

function base64url(value: string | Uint8Array): string {
  return Buffer.from(bytes(value)).toString('base64url')
}

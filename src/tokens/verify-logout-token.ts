// The ladder from a raw string to a believed Logout Token: header -> issuer -> [decrypt] -> key -> signature -> claims.
// Knows no HTTP and no sessions; nothing is acted on here.
import { compactDecrypt, compactVerify, errors } from 'jose'
import { LogoutError } from '../errors.js'
import { type JsonObject, jsonObjectIn, own } from '../json-object.js'
import type { LogoutTarget } from '../marks/target.js'
import { KeysUnavailableError } from '../providers/keys-unavailable.js'
import type { Decryption, Provider } from '../providers/provider.js'
import type { ProviderDirectory } from '../providers/provider-directory.js'
import { isHmac, type VerificationKey } from '../providers/provider-keys.js'
import { audiencesOf, checkLogoutClaims } from './logout-token-claims.js'
import { refusal } from './token-refusal.js'

/** A Logout Token that passed every step of BCL 2.6 but the replay check. Times are epoch seconds. */
export interface LogoutToken {
  /** Whose token it is; `provider.client` is the scope of everything that follows. */
  readonly provider: Provider
  readonly target: LogoutTarget
  /** `iat`: the OP's clock. */
  readonly issuedAt: number
  readonly jti: string
  /** Until when this token would be taken again, and so until when its `jti` must be remembered. */
  readonly replayUntil: number
  /** Keycloak: offline refresh tokens of this sign-on are revoked as well. */
  readonly revokeOfflineAccess: boolean
  /** All claims, as signed. */
  readonly claims: Readonly<Record<string, unknown>>
}

/** Nothing longer is looked at, whatever the request was allowed to bring. */
const MAX_TOKEN_LENGTH = 65_536
const MAX_KID_LENGTH = 1024
/** Decryptions tried for one token: each may be a private key operation. */
const MAX_DECRYPTIONS = 8
/** RFC 8725 3.10, RFC 7518 4.8.1.2: an attacker chooses this number, we do the work. */
const MAX_PBES2_ITERATIONS = 10_000

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]*$/

/** Header `typ` in lower case. BCL 2.4: explicit typing is recommended, and demanding it breaks most deployed OPs. */
const LOGOUT_TYPES = ['logout+jwt', 'application/logout+jwt']
const INTEROP_TYPES = [...LOGOUT_TYPES, 'jwt']

/**
 * Believes a Logout Token or says why not (BCL 2.6 steps 1 to 7; the replay check of step 8 needs a store and is the engine's).
 * `now` in epoch seconds; `signal` ends the wait for keys before the fetch, which others may wait for too, ends by itself.
 * Rejects with a `LogoutError` only: `ERR_TOKEN` with a `TokenRefusal` as `reason`, or `ERR_KEYS_UNAVAILABLE`.
 */
export async function verifyLogoutToken(
  token: string,
  directory: ProviderDirectory,
  now: number,
  signal?: AbortSignal,
): Promise<LogoutToken> {
  try {
    const segments = segmentsOf(token)
    const request = { directory, now, signal }
    return await (segments.length === 3
      ? verifySigned(token, segments, request)
      : verifyEncrypted(token, segments, request))
  } catch (error) {
    if (error instanceof LogoutError) throw error
    throw refusal('unverifiable', { cause: error })
  }
}

interface Verification {
  readonly directory: ProviderDirectory
  readonly now: number
  readonly signal: AbortSignal | undefined
}

/** A signed token as it claims to be: nothing in here is believed yet. */
interface SignedToken {
  readonly token: string
  readonly header: JsonObject
  readonly alg: string
  readonly kid: string | undefined
  readonly payload: Uint8Array
  readonly claims: JsonObject
  readonly claimedIssuer: string
}

async function verifySigned(
  token: string,
  segments: readonly Uint8Array[],
  request: Verification,
): Promise<LogoutToken> {
  const signed = readSigned(token, segments)
  const providers = await trusted(signed.claimedIssuer, request)
  return firstToBelieve(addressed(providers, signed), (provider) => {
    if (provider.decryption !== undefined && !provider.decryption.allowPlainJws) {
      throw refusal('encryption_required', { option: 'decryption.allowPlainJws' })
    }
    return believe(signed, provider, request)
  })
}

/** RFC 7516 and, for the content, BCL 2.4: signed, then encrypted. */
async function verifyEncrypted(
  token: string,
  segments: readonly Uint8Array[],
  request: Verification,
): Promise<LogoutToken> {
  const header = headerIn(segments)
  const { alg, enc, kid } = readEncryptionHeader(header)
  const providers = await decryptingProviders(header, { alg, enc }, request)
  const opened = await decryptByAny(token, providers, { alg, enc, kid })
  // Bare claims are no compact token at all: what is wrong with them is that nobody signed them.
  if (!COMPACT_JWS.test(opened.content)) throw refusal('nested_not_signed')
  const signed = readSigned(opened.content, segmentsOf(opened.content))
  if (Object.hasOwn(header, 'iss') && own(header, 'iss') !== signed.claimedIssuer) {
    throw refusal('nested_iss_mismatch', { claim: 'iss' })
  }
  const issuers = providers.filter(({ client }) => client.issuer === signed.claimedIssuer)
  if (issuers.length === 0) throw refusal('iss_unknown', { claim: 'iss' })
  return firstToBelieve(addressed(issuers, signed), async (provider) => {
    // Another provider's key may have opened it: what was encrypted for that one is not encrypted for this one.
    if (provider !== opened.by) await decryptByAny(token, [provider], { alg, enc, kid })
    return believe(signed, provider, request)
  })
}

/** Key, signature, claims: from here on everything is one provider's. */
async function believe(signed: SignedToken, provider: Provider, { now, signal }: Verification): Promise<LogoutToken> {
  if (!provider.algorithms.includes(signed.alg)) {
    throw refusal('alg_not_allowed', { claim: 'alg', option: 'algorithms' })
  }
  typeIsTaken(signed.header, provider)
  const payload = await verifiedPayload(signed, provider, signal)
  // The claims were read before they were verified: they are believed if what was verified is byte for byte what was read.
  if (Buffer.compare(payload, signed.payload) !== 0) throw refusal('payload_invalid')
  const { claims } = signed
  const believed = checkLogoutClaims(claims, provider, now, { singleAudience: isHmac(signed.alg) })
  const { target, issuedAt, jti, replayUntil, revokeOfflineAccess } = believed
  return Object.freeze({
    provider,
    target,
    issuedAt,
    jti,
    replayUntil,
    revokeOfflineAccess,
    claims: Object.freeze(claims),
  })
}

async function verifiedPayload(
  signed: SignedToken,
  provider: Provider,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const found = await provider.keys.keyFor(signed, signal)
  if (found === undefined) throw refusal('key_unknown', { claim: 'kid' })
  try {
    return await payloadVerifiedBy(found.key, signed)
  } catch (failure) {
    const newer = await found.newer?.()
    if (newer === undefined) throw failure
    return payloadVerifiedBy(newer, signed)
  }
}

async function payloadVerifiedBy(key: VerificationKey, { token, alg }: SignedToken): Promise<Uint8Array> {
  try {
    const { payload } = await compactVerify(token, key, { algorithms: [alg] })
    return payload
  } catch (cause) {
    const isForged = cause instanceof errors.JWSSignatureVerificationFailed
    throw refusal(isForged ? 'signature_invalid' : 'key_unusable', { cause })
  }
}

/** RFC 8725 3.11: another kind of token of the same issuer is no Logout Token, whatever its claims. */
function typeIsTaken(header: JsonObject, { typ: profile, additionalTyp }: Provider): void {
  if (!Object.hasOwn(header, 'typ')) {
    if (profile === 'interop') return
    throw refusal('typ_missing', { claim: 'typ', option: 'typ' })
  }
  const typ = own(header, 'typ')
  if (typeof typ !== 'string') throw refusal('typ_invalid', { claim: 'typ' })
  const lower = typ.toLowerCase()
  const taken = profile === 'strict' ? LOGOUT_TYPES : INTEROP_TYPES
  if (taken.includes(lower) || additionalTyp.includes(lower)) return
  throw refusal('typ_refused', { claim: 'typ', option: INTEROP_TYPES.includes(lower) ? 'typ' : 'additionalTyp' })
}

function readSigned(token: string, segments: readonly Uint8Array[]): SignedToken {
  const header = headerIn(segments)
  const alg = algorithmOf(header)
  const kid = keyIdOf(header)
  const payload = segments[1]
  const claims = payload && jsonObjectIn(payload)
  if (payload === undefined || claims === undefined) throw refusal('payload_invalid')
  const claimedIssuer = own(claims, 'iss')
  if (typeof claimedIssuer !== 'string') throw refusal('iss_missing', { claim: 'iss' })
  return { token, header, alg, kid, payload, claims, claimedIssuer }
}

function readEncryptionHeader(header: JsonObject): { alg: string; enc: string; kid: string | undefined } {
  const alg = algorithmOf(header)
  const kid = keyIdOf(header)
  const enc = own(header, 'enc')
  if (typeof enc !== 'string' || enc === '') throw refusal('alg_missing', { claim: 'enc' })
  if (Object.hasOwn(header, 'zip')) throw refusal('zip_refused', { claim: 'zip' })
  const p2c = own(header, 'p2c')
  if (p2c !== undefined && !(typeof p2c === 'number' && p2c <= MAX_PBES2_ITERATIONS)) {
    throw refusal('p2c_too_large', { claim: 'p2c' })
  }
  const cty = own(header, 'cty')
  if (cty !== undefined && !(typeof cty === 'string' && cty.toLowerCase() === 'jwt')) {
    throw refusal('cty_invalid', { claim: 'cty' })
  }
  return { alg, enc, kid }
}

function algorithmOf(header: JsonObject): string {
  const alg = own(header, 'alg')
  if (typeof alg !== 'string' || alg === '') throw refusal('alg_missing', { claim: 'alg' })
  if (alg.toLowerCase() === 'none') throw refusal('alg_none', { claim: 'alg' })
  // No extension is understood here, so each that must be understood is one too many (RFC 7515 4.1.11).
  if (Object.hasOwn(header, 'crit')) throw refusal('crit_unsupported', { claim: 'crit' })
  return alg
}

function keyIdOf(header: JsonObject): string | undefined {
  if (!Object.hasOwn(header, 'kid')) return undefined
  const kid = own(header, 'kid')
  if (typeof kid === 'string' && kid.length <= MAX_KID_LENGTH) return kid
  throw refusal('kid_invalid', { claim: 'kid' })
}

async function trusted(issuer: string, { directory, signal }: Verification): Promise<readonly Provider[]> {
  const providers = await directory.forIssuer(issuer, signal)
  if (providers.length === 0) throw refusal('iss_unknown', { claim: 'iss' })
  return providers
}

/** Several clients at one issuer may share one URI: the unverified audience chooses, and is checked again once verified. */
function addressed<P extends Provider>(providers: readonly P[], { claims }: SignedToken): readonly P[] {
  if (providers.length === 1) return providers
  const audiences = audiencesOf(claims) ?? []
  const found = providers.filter(({ client }) => audiences.includes(client.clientId))
  if (found.length === 0) throw refusal('aud_mismatch', { claim: 'aud' })
  return found
}

/** If nobody does, that somebody could not tell weighs more than that somebody else refused. */
async function firstToBelieve<P extends Provider>(
  providers: readonly P[],
  attempt: (provider: P) => Promise<LogoutToken>,
): Promise<LogoutToken> {
  const failures: unknown[] = []
  for (const provider of providers) {
    try {
      return await attempt(provider)
    } catch (error) {
      failures.push(error)
    }
  }
  throw failures.find((error) => error instanceof KeysUnavailableError) ?? failures[0]
}

interface Decrypting extends Provider {
  readonly decryption: Decryption
}

/** By the header's `iss` if it has one (RFC 7519 5.3), else all that are configured: the content says whose it is. */
async function decryptingProviders(
  header: JsonObject,
  { alg, enc }: { readonly alg: string; readonly enc: string },
  request: Verification,
): Promise<readonly Decrypting[]> {
  const issuer = own(header, 'iss')
  if (issuer !== undefined && typeof issuer !== 'string') throw refusal('iss_unknown', { claim: 'iss' })
  const candidates = issuer === undefined ? request.directory.configured() : await trusted(issuer, request)
  // Only a function knows our providers, and it is asked by issuer.
  if (candidates.length === 0) throw refusal('iss_missing', { claim: 'iss' })
  const decrypting = candidates.filter(canDecrypt)
  if (decrypting.length === 0) throw refusal('encryption_not_configured', { option: 'decryption' })
  const matching = decrypting.filter(
    ({ decryption }) =>
      decryption.keyManagementAlgorithms.includes(alg) && decryption.contentEncryptionAlgorithms.includes(enc),
  )
  if (matching.length === 0) throw refusal('encryption_alg_not_allowed', { claim: 'alg', option: 'decryption' })
  return matching
}

function canDecrypt(provider: Provider): provider is Decrypting {
  return provider.decryption !== undefined
}

/** Tries the keys with the header's `kid`; if none has it, all that fit the algorithm. */
async function decryptByAny(
  token: string,
  providers: readonly Decrypting[],
  choice: { readonly alg: string; readonly enc: string; readonly kid: string | undefined },
): Promise<{ readonly content: string; readonly by: Decrypting }> {
  const fitting = providers.flatMap((by) => by.decryption.keys.keysFor(choice).map((key) => ({ by, key })))
  const named = fitting.filter(({ key }) => choice.kid !== undefined && key.kid === choice.kid)
  let cause: unknown
  for (const { by, key } of (named.length > 0 ? named : fitting).slice(0, MAX_DECRYPTIONS)) {
    try {
      const { plaintext } = await compactDecrypt(token, key, {
        keyManagementAlgorithms: [choice.alg],
        contentEncryptionAlgorithms: [choice.enc],
        maxPBES2Count: MAX_PBES2_ITERATIONS,
        maxDecompressedLength: 0,
      })
      return { content: Buffer.from(plaintext).toString('latin1'), by }
    } catch (error) {
      cause = error
    }
  }
  throw refusal('decryption_failed', { cause })
}

/** The decoded segments: three of a JWS or five of a JWE (of which key, vector and tag may be empty). */
function segmentsOf(token: string): readonly Uint8Array[] {
  if (typeof token !== 'string') throw refusal('token_malformed')
  if (token.length > MAX_TOKEN_LENGTH) throw refusal('token_too_long')
  const segments = token.split('.', 6)
  if (segments.length !== 3 && segments.length !== 5) throw refusal('token_malformed')
  return segments.map(base64url)
}

/** Canonical only (RFC 4648 3.5), so that one token has one spelling. */
function base64url(segment: string): Uint8Array {
  const bytes = Buffer.from(segment, 'base64url')
  if (bytes.toString('base64url') !== segment) throw refusal('token_malformed')
  return bytes
}

function headerIn([segment]: readonly Uint8Array[]): JsonObject {
  const header = segment && jsonObjectIn(segment)
  if (header === undefined) throw refusal('header_invalid')
  return header
}

// What a compact JWS or JWE says about itself: segments, header, claims. Nothing that is read here is believed yet.
import { type JsonObject, jsonObjectIn, own } from '../json-object.js'
import { refusal } from './token-refusal.js'

/** Nothing longer is looked at, whatever the request was allowed to bring. */
const MAX_TOKEN_LENGTH = 65_536
const MAX_KID_LENGTH = 1024
/** RFC 8725 3.10, RFC 7518 4.8.1.2: an attacker chooses this number, we do the work. */
export const MAX_PBES2_ITERATIONS = 10_000

const COMPACT_JWS = /^[\w-]+\.[\w-]+\.[\w-]*$/

/** A signed token as it claims to be. */
export interface SignedToken {
  readonly token: string
  readonly header: JsonObject
  readonly alg: string
  readonly kid: string | undefined
  readonly payload: Uint8Array
  readonly claims: JsonObject
  readonly claimedIssuer: string
}

/** What the header of an encrypted token says. */
export interface EncryptionHeader {
  readonly header: JsonObject
  readonly alg: string
  readonly enc: string
  readonly kid: string | undefined
}

/** The decoded segments: three of a JWS or five of a JWE (of which key, vector and tag may be empty). */
export function segmentsOf(token: string): readonly Uint8Array[] {
  if (typeof token !== 'string') throw refusal('token_malformed')
  if (token.length > MAX_TOKEN_LENGTH) throw refusal('token_too_long')
  const segments = token.split('.', 6)
  if (segments.length !== 3 && segments.length !== 5) throw refusal('token_malformed')
  return segments.map(base64url)
}

/** Reads the JWS with these segments. Throws `ERR_TOKEN`. */
export function readSigned(token: string, segments: readonly Uint8Array[]): SignedToken {
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

/** Reads the JWS that was the content of a JWE. Bare claims are no compact token at all: nobody signed them. */
export function readNested(content: string): SignedToken {
  if (!COMPACT_JWS.test(content)) throw refusal('nested_not_signed')
  return readSigned(content, segmentsOf(content))
}

/** Reads the header of a JWE (RFC 7516 4). Throws `ERR_TOKEN`. */
export function readEncryptionHeader(segments: readonly Uint8Array[]): EncryptionHeader {
  const header = headerIn(segments)
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
  return { header, alg, enc, kid }
}

/** By whom a token was issued, as it claims itself: in its claims, or of an encrypted one in its header. Else empty. */
export function claimedIssuerOf(token: string): string {
  try {
    const segments = segmentsOf(token)
    if (segments.length === 3) return readSigned(token, segments).claimedIssuer
    const issuer = own(readEncryptionHeader(segments).header, 'iss')
    return typeof issuer === 'string' ? issuer : ''
  } catch {
    return ''
  }
}

/** The audiences of unverified or verified claims; `undefined` if `aud` is absent or not what RFC 7519 4.1.3 allows. */
export function audiencesOf(claims: JsonObject): readonly string[] | undefined {
  const aud = own(claims, 'aud')
  if (typeof aud === 'string') return [aud]
  return Array.isArray(aud) && aud.every((each) => typeof each === 'string') ? aud : undefined
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

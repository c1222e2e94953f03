// `replay`: explains a captured Logout Token rule by rule, by the receiver's own code and without any network. Prints
// no value of it that names a person, a session or the token itself.
import { readFile } from 'node:fs/promises'
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import { LogoutError } from '../errors.js'
import { type JsonObject, jsonObjectIn } from '../json-object.js'
import { type ProviderDirectory, providerDirectory } from '../providers/directory.js'
import { type ProviderPreset, preset } from '../providers/presets.js'
import type { ProviderOptions } from '../providers/provider-options.js'
import type { MintAlgorithm } from '../testing/mint-keys.js'
import { BACKCHANNEL_LOGOUT_EVENT } from '../testing/token-change.js'
import { createTokenMint, type TokenMint } from '../testing/token-mint.js'
import { verifyLogoutToken } from '../tokens/logout-token.js'
import { isTokenRefusal, TOKEN_REFUSALS } from '../tokens/token-refusal.js'
import { guessedPreset } from './known-provider.js'
import { presetNamed } from './names.js'
import { conclude, type ExitCode, type Finding, shown, type Terminal, UsageError } from './report.js'

export interface ReplayOrder {
  readonly file: string
  readonly issuer: string | undefined
  readonly clientId: string | undefined
  readonly presetName: string | undefined
  /** File of the provider's public keys. */
  readonly jwks: string | undefined
  /** Epoch seconds or a date: when it was received. Default: a second after it was issued. */
  readonly at: string | undefined
  readonly json: boolean
}

interface Captured {
  readonly token: string
  readonly header: JsonObject
  readonly claims: JsonObject
}

/** More defects than this and it is no Logout Token. */
const MAX_DEFECTS = 25
/** Of the dates that JavaScript knows. */
const LATEST_SECONDS = 8.64e12
/** Signs in place of a client secret, which this command is not told. */
const STAND_IN_SECRET = 'stands in for the client secret of the provider'

export async function replay(order: ReplayOrder, terminal: Terminal): Promise<ExitCode> {
  const captured = tokenIn(await readFile(order.file, 'utf8').catch(unreadable(order.file)))
  const { iss, iat } = captured.claims
  const about = typeof iss === 'string' && URL.canParse(iss) ? iss : 'https://op.example.com'
  const issuer = order.issuer ?? about
  const clientId = order.clientId ?? clientIn(captured.claims)
  const options = presetOf(order, issuer)
  const now =
    timeOf(order.at) ?? (typeof iat === 'number' && Math.abs(iat) < LATEST_SECONDS ? iat + 1 : Date.now() / 1000)
  const findings: Finding[] = [
    {
      level: 'note',
      about: 'judged as',
      words: `of ${shown(issuer)}, for the client ${shown(clientId)}, received ${new Date(now * 1000).toISOString()}`,
    },
    ...described(captured),
  ]
  if (order.jwks !== undefined) {
    const jwks = keysIn(await readFile(order.jwks, 'utf8').catch(unreadable(order.jwks)))
    findings.push(...(await signatureFindings(captured, { ...options, issuer, clientId, jwks }, now)))
  } else {
    const words = 'not checked: without --jwks there are no keys; every other rule is checked as if it were good'
    findings.push({ level: 'note', about: 'signature', words })
  }
  findings.push(...(await brokenRules(captured, { ...options, issuer, clientId }, now)))
  return conclude(findings, terminal, order)
}

/** The receiver's own verdict on the token as it is. */
async function signatureFindings(
  { token }: Captured,
  options: ProviderOptions,
  now: number,
): Promise<readonly Finding[]> {
  const error = await verdict(token, options, now)
  const about = 'signature'
  if (error === undefined) return [{ level: 'ok', about, words: 'good: this receiver takes the token as it is' }]
  const isOfKeys = ['signature_invalid', 'key_unknown', 'key_unusable', 'kid_ambiguous', 'kid_missing_ambiguous']
  if (isOfKeys.includes(error.reason ?? '')) return [findingOf(error)]
  return [{ level: 'note', about, words: 'what is refused below is refused before or after it' }]
}

/**
 * Mends what is refused and asks again, until nothing is: so each broken rule is named, not only the first. What is
 * asked is the same header and claims, signed by a key of this command's own.
 */
async function brokenRules(captured: Captured, options: ProviderOptions, now: number): Promise<readonly Finding[]> {
  const accepted = mintAlgorithm(options.algorithms?.[0], 'RS256')
  const mintFor = (algorithm: MintAlgorithm) =>
    createTokenMint({ issuer: options.issuer, clientId: options.clientId, algorithm, clientSecret: STAND_IN_SECRET })
  const right = await mintFor(accepted)
  const given = await mintFor(mintAlgorithm(captured.header.alg, accepted))
  const judged = { ...options, clientSecret: STAND_IN_SECRET, jwks: keysOf(right, given) }
  const broken: Finding[] = []
  let { header, claims } = captured
  for (let round = 0; round < MAX_DEFECTS; round++) {
    const mint = header.alg === given.algorithm ? given : right
    const error = await verdict(await resigned(mint, header, claims), judged, now)
    if (error === undefined) break
    broken.push(findingOf(error))
    const mended = mendedBy(error, { header, claims }, right, now)
    if (mended === undefined) break
    ;({ header, claims } = mended)
  }
  if (broken.length > 0) return broken
  const rules = Object.keys(TOKEN_REFUSALS).length
  return [{ level: 'ok', about: 'rules', words: `none of the ${rules} rules is broken` }]
}

async function verdict(token: string, options: ProviderOptions, now: number): Promise<LogoutError | undefined> {
  const directory = directoryOf(options, now)
  try {
    await verifyLogoutToken(token, { directory, now })
    return undefined
  } catch (error) {
    if (error instanceof LogoutError) return error
    throw error
  }
}

/** What no provider can be: an issuer without https, or keys that are none. */
function directoryOf(options: ProviderOptions, now: number): ProviderDirectory {
  try {
    return providerDirectory(options, { clock: () => now })
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(`--issuer or --jwks: ${shown(error.message, 300)}`)
    throw error
  }
}

function keysOf(right: TokenMint, given: TokenMint) {
  const byId = new Map([...right.jwks.keys, ...given.jwks.keys].map((key) => [key.kid, key]))
  return { keys: [...byId.values()] }
}

/** The same header and claims under a key that is at hand; only the key id must be that key's. */
async function resigned(mint: TokenMint, header: JsonObject, claims: JsonObject): Promise<string> {
  const { kid } = decodeProtectedHeader(await mint.logoutToken())
  const named = typeof header.kid === 'string' && kid !== undefined ? { ...header, kid } : header
  const unsigned = header.alg === 'none' ? { signer: 'nobody' as const } : {}
  return mint.logoutToken({ rawHeader: JSON.stringify(named), rawPayload: JSON.stringify(claims), ...unsigned })
}

/** The token without what was refused; `undefined` where nothing can be taken away or put right. */
function mendedBy(
  { claim }: LogoutError,
  { header, claims }: Pick<Captured, 'header' | 'claims'>,
  { algorithm, issuer, clientId }: TokenMint,
  now: number,
): Pick<Captured, 'header' | 'claims'> | undefined {
  if (claim === undefined) return undefined
  if (claim === 'crit') return { header: without(header, claim), claims }
  if (claim === 'nonce') return { header, claims: without(claims, claim) }
  const inHeader: JsonObject = { alg: algorithm, kid: 'a key id', typ: 'logout+jwt' }
  if (Object.hasOwn(inHeader, claim)) return { header: { ...header, [claim]: inHeader[claim] }, claims }
  const iat = Math.floor(now)
  const right: JsonObject = {
    ...{ iss: issuer, aud: clientId, azp: clientId, iat, exp: iat + 120, nbf: iat },
    ...{ jti: 'a jti', sub: 'a sub', sid: 'a sid', events: { [BACKCHANNEL_LOGOUT_EVENT]: {} } },
  }
  return Object.hasOwn(right, claim) ? { header, claims: { ...claims, [claim]: right[claim] } } : undefined
}

function without(object: JsonObject, name: string): JsonObject {
  const { [name]: _, ...rest } = object
  return rest
}

function findingOf({ reason, message, option, claim }: LogoutError): Finding {
  const section = reason !== undefined && isTokenRefusal(reason) ? TOKEN_REFUSALS[reason].section : 'BCL 2.6'
  return {
    level: 'problem',
    about: claim ?? 'token',
    words: `${message} (${reason}; ${section})`,
    remedy: option === undefined ? undefined : `The provider option ${option} would accept it.`,
  }
}

/** Which claims are there and of which kind; of people, sessions and tokens only how long. */
function described({ header, claims }: Captured): readonly Finding[] {
  const secret = ['sub', 'sid', 'jti']
  const words = Object.entries(claims).map(([name, value]) => {
    if (['iat', 'exp', 'nbf'].includes(name) && typeof value === 'number' && Math.abs(value) < 1e11) {
      return `${name} ${new Date(value * 1000).toISOString()}`
    }
    if (secret.includes(name) || !['iss', 'aud', 'azp', 'typ'].includes(name))
      return `${shown(name, 30)} (${kindOf(value)})`
    return `${name} ${shown(JSON.stringify(value), 100)}`
  })
  const parts = ['alg', 'typ', 'kid'].map(
    (name) => `${name} ${name === 'kid' ? kindOf(header[name]) : shown(JSON.stringify(header[name]) ?? 'absent', 40)}`,
  )
  return [
    { level: 'note', about: 'header', words: parts.join(', ') },
    { level: 'note', about: 'claims', words: words.join(', ') },
  ]
}

function kindOf(value: unknown): string {
  if (value === undefined) return 'absent'
  if (typeof value === 'string') return `${value.length} characters`
  return Array.isArray(value) ? `array of ${value.length}` : value === null ? 'null' : typeof value
}

/** A bare token, or the body of the request as it was captured. */
function tokenIn(text: string): Captured {
  const trimmed = text.trim()
  const [decoded = ''] = new URLSearchParams(trimmed).getAll('logout_token').concat(trimmed)
  const segments = decoded.split('.')
  if (segments.length === 5)
    throw new UsageError('the token is encrypted (five segments): decrypt it first, and give the signed token inside')
  const [header, claims] = segments.map((segment) => jsonObjectIn(Buffer.from(segment, 'base64url')))
  if (segments.length !== 3 || header === undefined || claims === undefined || isTooDeep([header, claims])) {
    throw new UsageError('the file holds no Logout Token: neither three segments of JSON nor logout_token=…')
  }
  return { token: decoded, header, claims }
}

/** No Logout Token is; and it could not be written again. */
function isTooDeep(value: unknown, left = 50): boolean {
  if (typeof value !== 'object' || value === null) return false
  return left === 0 || Object.values(value).some((each) => isTooDeep(each, left - 1))
}

function clientIn({ aud }: JsonObject): string {
  const [first] = Array.isArray(aud) ? aud : [aud]
  return typeof first === 'string' && first !== '' ? first : 'a-client'
}

function presetOf({ presetName }: ReplayOrder, issuer: string): ProviderPreset {
  if (presetName === undefined) {
    const guessed = guessedPreset(issuer)
    return guessed === undefined ? {} : preset(guessed)
  }
  return preset(presetNamed('--preset', presetName))
}

function timeOf(at: string | undefined): number | undefined {
  if (at === undefined) return undefined
  const seconds = /^\d+(\.\d+)?$/.test(at) ? Number(at) : Date.parse(at) / 1000
  if (!(Math.abs(seconds) < LATEST_SECONDS)) throw new UsageError('--at is neither epoch seconds nor a date')
  return seconds
}

function keysIn(text: string): NonNullable<ProviderOptions['jwks']> {
  try {
    return JSON.parse(text)
  } catch {
    throw new UsageError('--jwks holds no JSON')
  }
}

function mintAlgorithm(alg: unknown, otherwise: MintAlgorithm): MintAlgorithm {
  const known: readonly MintAlgorithm[] = [
    ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512'] as const),
    ...(['EdDSA', 'Ed25519', 'HS256', 'HS384', 'HS512'] as const),
  ]
  return known.find((each) => each === alg) ?? otherwise
}

function unreadable(file: string): (error: unknown) => never {
  return (error) => {
    throw new UsageError(`${shown(file)} cannot be read (${Object(error).code})`)
  }
}

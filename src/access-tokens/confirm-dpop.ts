// Proof of possession by DPoP (RFC 9449 4.3): that the request was made by who holds the key that the token is bound
// to. Knows no route and no token but the one of the request.
import type { IncomingHttpHeaders } from 'node:http'
import type { JWTPayload } from 'jose'
import { decodeProtectedHeader } from 'jose/decode/protected_header'
import { EmbeddedJWK } from 'jose/jwk/embedded'
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint'
import { jwtVerify } from 'jose/jwt/verify'
import { ExpiringMap } from '../expiring-map.js'
import { sha256 } from '../marks/target.js'
import { assertNumberIfGiven, assertOptions, isText, type OptionNames } from '../option-checks.js'
import { isDpop, tokenOf } from './bearer.js'
import type { Confirm } from './bearer-route.js'
import type { TokenClaims } from './token-claims.js'

/**
 * What is read of a request. Express's `originalUrl` wins over `url`, of which a router takes away what it is mounted
 * at.
 */
export interface DpopRequest {
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders?: readonly string[]
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly originalUrl?: string
}

/** Options of `confirmDpop`. */
export interface ConfirmDpopOptions {
  /**
   * Scheme, host and port under which clients know this API. Never read from the request: a proxy may call it
   * otherwise.
   */
  readonly origin: string
  /**
   * Remembers for so many seconds, a whole number, that a proof was used: true if it is the first time, in one step.
   * The key is a hash. Default: in this process, which suffices for one. With Redis:
   * `async (key, seconds) => (await client.set(key, '', { NX: true, EX: seconds })) !== null`. A rejection is no
   * verdict: 503.
   */
  readonly remember?: (key: string, seconds: number) => boolean | Promise<boolean>
  /** How old a proof may be. Seconds; default 60. */
  readonly maxAgeSeconds?: number
  /** Of the proofs. Default: ES256 and EdDSA with their kin, RS256, PS256. */
  readonly algorithms?: readonly string[]
  /** The one clock: epoch seconds. Default: the system clock. */
  readonly clock?: () => number
}

const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'Ed25519', 'EdDSA', 'RS256', 'PS256']
const DEFAULT_MAX_AGE_SECONDS = 60
/** By how much the clocks of a client and of this API may differ. */
const TOLERANCE_SECONDS = 5
/** Much more than a proof with an RSA key needs. */
const MAX_PROOF_CHARS = 8192
/** A URL resolves these, and a router may not: the proof would be for another address than the one that answers. */
const DOT_SEGMENT = /(^|[/\\])(\.|%2e){1,2}([/\\]|$)/i

const NAMES: OptionNames<ConfirmDpopOptions> = {
  origin: true,
  remember: true,
  maxAgeSeconds: true,
  algorithms: true,
  clock: true,
}

/**
 * A `confirm` for `requireToken` and `requireJwt`: lets a token in that is bound to a key (`cnf.jkt`) where the request
 * brings one fresh proof for this method, this address and this token, signed by that key and never used before.
 * Refuses tokens that are bound otherwise, and those of the scheme Bearer. The answers say which proofs are taken
 * (RFC 9449 7.1).
 *
 * @throws TypeError where the options cannot work
 */
export function confirmDpop(
  options: ConfirmDpopOptions,
): Confirm<DpopRequest> & ((req: DpopRequest, claims: TokenClaims) => Promise<boolean>) {
  assertUsable(options)
  const { origin, algorithms = ALGORITHMS, maxAgeSeconds = DEFAULT_MAX_AGE_SECONDS } = options
  const clock = options.clock ?? (() => Date.now() / 1000)
  const remember = options.remember ?? rememberHere(clock)
  const rules = {
    typ: 'dpop+jwt',
    algorithms: [...algorithms],
    maxTokenAge: maxAgeSeconds,
    clockTolerance: TOLERANCE_SECONDS,
    requiredClaims: ['jti', 'htm', 'htu', 'ath'],
  }
  // A proof is taken from one tolerance before its date to one after its age, and its date is a whole second. So are
  // those that Redis counts.
  const rememberedSeconds = Math.ceil(maxAgeSeconds) + 2 * TOLERANCE_SECONDS + 1
  /** Requests whose proof was taken: a second guard of the same request asks once more, and must not call it used. */
  const taken = new WeakMap<object, string>()
  const confirm = async (req: DpopRequest, claims: TokenClaims): Promise<boolean> => {
    const proof = proofOf(req)
    const thumbprint = thumbprintOf(claims)
    const token = isDpop(req) ? tokenOf(req, true) : undefined
    if (proof === undefined || thumbprint === undefined || typeof token !== 'string') return false
    // First: a key of the sender's choice, as large as it may be, is not computed with.
    if ((await thumbprintOfKeyIn(proof)) !== thumbprint) return false
    const verified = await jwtVerify(proof, EmbeddedJWK, { ...rules, currentDate: new Date(clock() * 1000) }).catch(
      () => undefined,
    )
    if (verified === undefined) return false
    const { payload } = verified
    if (!isFor(payload, req, origin) || payload.ath !== sha256(token)) return false
    if (!isText(payload.jti)) return false
    if (taken.get(req) === proof) return true
    // By the key as well: who holds another one uses up no proof of this one's.
    const isNew = (await remember(sha256(`${thumbprint} ${payload.jti}`), rememberedSeconds)) === true
    if (isNew) taken.set(req, proof)
    return isNew
  }
  return Object.assign(confirm, { dpopAlgorithms: algorithms })
}

/** The one header `DPoP`. Node joins several with commas, which no JWT holds. */
function proofOf({ headers }: DpopRequest): string | undefined {
  const proof = headers.dpop
  if (typeof proof !== 'string' || proof.length > MAX_PROOF_CHARS || proof.includes(',')) return undefined
  return proof
}

function thumbprintOf({ cnf }: TokenClaims): string | undefined {
  const jkt: unknown = typeof cnf === 'object' && cnf !== null ? Reflect.get(cnf, 'jkt') : undefined
  return isText(jkt) ? jkt : undefined
}

async function thumbprintOfKeyIn(proof: string): Promise<string | undefined> {
  try {
    const { jwk } = decodeProtectedHeader(proof)
    return jwk === undefined ? undefined : await calculateJwkThumbprint(jwk)
  } catch {
    return undefined
  }
}

/** This method at this address; query and fragment are no part of it. */
function isFor({ htm, htu }: JWTPayload, { method, url, originalUrl }: DpopRequest, origin: string): boolean {
  if (typeof htu !== 'string' || !URL.canParse(htu) || htm !== method) return false
  const said = new URL(htu)
  const [path = '/'] = (originalUrl ?? url ?? '/').split(/[?#]/)
  // A URL turns a backslash into a slash, and no router does: the proof would be for another address as well.
  if (DOT_SEGMENT.test(path) || path.includes('\\')) return false
  const meant = new URL(origin)
  meant.pathname = path
  return said.origin === meant.origin && said.pathname === meant.pathname
}

function rememberHere(clock: () => number): NonNullable<ConfirmDpopOptions['remember']> {
  const used = new ExpiringMap<{ readonly expiresAt: number }>()
  return (key, seconds) => {
    const now = clock()
    if (used.get(key, now) !== undefined) return false
    used.set(key, { expiresAt: now + seconds }, now)
    return true
  }
}

function assertUsable(options: ConfirmDpopOptions): void {
  assertOptions('confirmDpop()', options, NAMES)
  const { origin, remember, maxAgeSeconds, algorithms } = options
  if (!URL.canParse(origin) || new URL(origin).origin !== origin) {
    throw new TypeError(
      'confirmDpop: origin must be the origin of this API for its clients, e.g. https://api.example.com',
    )
  }
  if (remember !== undefined && typeof remember !== 'function') {
    throw new TypeError('confirmDpop: remember must be a function of a key and seconds that says whether it is new')
  }
  assertNumberIfGiven('confirmDpop: maxAgeSeconds', maxAgeSeconds, { above: 0, most: 3600 })
  if (algorithms !== undefined && (algorithms.length === 0 || algorithms.some((each) => !ALGORITHMS.includes(each)))) {
    throw new TypeError(`confirmDpop: algorithms must be some of ${ALGORITHMS.join(', ')}`)
  }
}

// Whether one of a server's keys made the signature of a JWT: keys that the server publishes, or any source of them
// that jose takes. Knows no claim but by the rules that it is given.
import type { FlattenedJWSInput, JWTHeaderParameters, JWTVerifyGetKey, JWTVerifyOptions, JWTVerifyResult } from 'jose'
import { JOSEError, JWKSNoMatchingKey, JWSSignatureVerificationFailed } from 'jose/errors'
import { jwtVerify } from 'jose/jwt/verify'
import { LogoutError } from '../errors.js'
import type { Fetch } from '../http/fetched-documents.js'
import { outline } from '../http/outline.js'
import { FetchedKeys, type FetchedKeysSource } from '../providers/fetched-keys.js'
import { firstOf, type KeyLookup } from '../providers/key-lookup.js'
import { LookupBudget } from '../providers/lookup-budget.js'
import { noVerdict } from './no-verdict.js'

type Key = Awaited<ReturnType<JWTVerifyGetKey>>

/** The keys that may have signed this, one after another: each is asked for only where those before it did not. */
export type KeysToTry = (header: JWTHeaderParameters, jws: FlattenedJWSInput) => AsyncIterator<Key>

export interface PublishedKeysOptions {
  readonly issuer: string
  /** Checked before. A function: asked before each fetch. */
  readonly jwksUri: FetchedKeysSource['jwksUri'] & {}
  readonly fetch?: Fetch | undefined
  readonly timeoutSeconds: number
  readonly clock: () => number
  /** Seconds that only go forward. */
  readonly monotonic: () => number
}

/** A JWT need not say which key signed it, and a server has two or three of one kind. */
const MOST_TRIED = 5

/**
 * What a JWT says that one of the keys signed and that keeps the rules; nothing for any other.
 *
 * @throws NoVerdictError where the keys cannot be had, or not yet
 */
export async function verifiedJwt(
  token: string | Uint8Array,
  keys: KeysToTry,
  rules: JWTVerifyOptions,
): Promise<JWTVerifyResult | undefined> {
  let left: AsyncIterator<Key> | undefined
  const next: JWTVerifyGetKey = async (header, jws) => {
    left ??= keys(header, jws)
    const { done, value } = await left.next()
    if (done === true) throw new JWKSNoMatchingKey()
    return value
  }
  for (;;) {
    try {
      return await jwtVerify(token, next, rules)
    } catch (error) {
      if (error instanceof JWSSignatureVerificationFailed) continue
      if (error instanceof JOSEError) return undefined
      throw error instanceof LogoutError ? error : noVerdict('keys_unavailable', outline(error))
    }
  }
}

/**
 * The keys that a server publishes. Those that are known are used at once. One that is not, and one that has not signed
 * what names it, is looked for anew: within a budget that no number of tokens can stretch, and until it was looked for
 * there is no verdict.
 */
export function publishedKeys(options: PublishedKeysOptions): KeysToTry {
  const { issuer, jwksUri, fetch, timeoutSeconds, clock, monotonic } = options
  const source: FetchedKeysSource = {
    client: { issuer, clientId: '' },
    jwksUri,
    fetch,
    dangerouslyAllowHttp: false,
    requestTimeoutSeconds: timeoutSeconds,
    transientFailureStatus: 503,
  }
  const fetched = new FetchedKeys(source, clock, new LookupBudget(monotonic), false)
  return async function* ({ alg, kid }) {
    const choice = { alg, kid, mostTried: MOST_TRIED }
    let lookup: KeyLookup | undefined = await fetched.keyFor(choice, fetched.asOf, undefined)
    while (lookup?.found === 'key') {
      yield lookup.key
      yield* lookup.others ?? []
      lookup = await lookup.newer?.()
    }
    if (lookup?.found === 'not now') throw noVerdict('keys_unavailable', outline(lookup.error))
    if (lookup?.found === 'unusable') return assertOfToken(lookup.cause)
  }
}

/** Keys of any other source, as jose takes it. */
export function givenKeys(source: JWTVerifyGetKey): KeysToTry {
  const fitting = async (header: JWTHeaderParameters, jws: FlattenedJWSInput): Promise<readonly Key[]> => {
    try {
      return [await source(header, jws)]
    } catch (error) {
      if (isAmbiguous(error)) return firstOf(error, MOST_TRIED)
      assertOfToken(error)
      return []
    }
  }
  return async function* (header, jws) {
    yield* await fitting(header, jws)
  }
}

/**
 * What a source of keys says of the token, and not of itself. By its code, since the application may have a jose of its
 * own; every other error of jose's, as that a server answered 500, says nothing about any token.
 */
function assertOfToken(error: unknown): void {
  const code = codeOf(error)
  if (code === 'ERR_JWKS_NO_MATCHING_KEY' || code === 'ERR_JOSE_NOT_SUPPORTED') return
  throw noVerdict('keys_unavailable', outline(error))
}

function isAmbiguous(error: unknown): error is AsyncIterable<Key> {
  return codeOf(error) === 'ERR_JWKS_MULTIPLE_MATCHING_KEYS' && Symbol.asyncIterator in Object(error)
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined
}

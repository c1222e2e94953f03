// Looking for one key in a set: what may come of it. Fetches nothing and refuses nothing.
import type { LocalJWKSet } from 'jose'
import { JWKSMultipleMatchingKeys, JWKSNoMatchingKey } from 'jose/errors'
import type { KeysUnavailableError } from './keys-unavailable.js'

/** What of a JWS header chooses the key. */
export interface SigningKeyChoice {
  readonly alg: string
  readonly kid?: string | undefined
  /** How many keys may be tried where several fit. Default 1: several are too many. */
  readonly mostTried?: number
}

/** A key as `compactVerify` takes it. */
export type VerificationKey = Awaited<ReturnType<LocalJWKSet>> | Uint8Array

/** What came of looking for a key. To refuse a token for it is the caller's. */
export type KeyLookup =
  | FoundKey
  /** No key fits, one cannot be imported, or several fit and the choice does not tell them apart. */
  | { readonly found: 'none' }
  | { readonly found: 'unusable'; readonly cause: unknown }
  | { readonly found: 'ambiguous'; readonly named: boolean; readonly cause: unknown }
  /** The keys cannot be had now. */
  | { readonly found: 'not now'; readonly error: KeysUnavailableError }

/** The key that fits. */
export interface FoundKey {
  readonly found: 'key'
  readonly key: VerificationKey
  /** Those that fit as well, of those that may be tried. */
  readonly others?: readonly VerificationKey[]
  /**
   * For a signature that it does not verify: what a newer set has. Absent where there can be none that says anything
   * else.
   */
  readonly newer?: () => Promise<KeyLookup>
}

export const NONE: KeyLookup = { found: 'none' }

/** The one key of the set that fits, or the first few of them where more than one may be tried. */
export async function keyIn(keySet: LocalJWKSet, { alg, kid, mostTried = 1 }: SigningKeyChoice): Promise<KeyLookup> {
  try {
    return { found: 'key', key: await keySet(kid === undefined ? { alg } : { alg, kid }) }
  } catch (cause) {
    if (cause instanceof JWKSNoMatchingKey) return NONE
    if (!(cause instanceof JWKSMultipleMatchingKeys)) return { found: 'unusable', cause }
    const [key, ...others] = mostTried > 1 ? await firstOf(cause, mostTried) : []
    return key === undefined ? { found: 'ambiguous', named: kid !== undefined, cause } : { found: 'key', key, others }
  }
}

/** The keys that fit, so many at most. */
export async function firstOf<Key>(fitting: AsyncIterable<Key>, most: number): Promise<readonly Key[]> {
  const keys: Key[] = []
  for await (const key of fitting) if (keys.push(key) === most) break
  return keys
}

// The keys that one provider signs with: which one signed, how old they may be, when they are fetched. Refuses nothing and knows no claim.
import { createLocalJWKSet, errors, type JSONWebKeySet, type LocalJWKSet } from 'jose'
import { type GiveUp, unlessAborted } from '../deadline.js'
import { fetchDocument } from '../http/fetched-documents.js'
import { safeUrl } from '../http/safe-url.js'
import { jsonObjectIn, own } from '../json-object.js'
import { isJwk } from './jwk.js'
import { type KeysUnavailable, KeysUnavailableError } from './keys-unavailable.js'
import { fetchMetadata, InvalidMetadataError } from './metadata.js'

/** Keys older than this are still used, and fetched again beside the request. */
const FRESH_SECONDS = 600
/** Keys older than this are not used any more: they must be fetched first. */
const USABLE_SECONDS = 86_400
/** A key id that no fetch could find is not looked for again for so long … */
const COOL_DOWN_SECONDS = 30
/** … and of different ones only so many within it, so that invented key ids cannot make us hammer the OP. */
const LOOKUPS_PER_COOL_DOWN = 5
/** After a failed fetch the OP is left alone for so long. */
const BACK_OFF_SECONDS = 1

/** What of a JWS header chooses the key. */
export interface SigningKeyChoice {
  readonly alg: string
  readonly kid?: string | undefined
}

/** A key as `compactVerify` takes it. */
export type VerificationKey = Awaited<ReturnType<LocalJWKSet>> | Uint8Array

/** Where a provider's public keys come from. */
export type PublishedKeysSource =
  | { readonly jwks: JSONWebKeySet }
  | {
      readonly issuer: string
      /** Absent: found by discovery. */
      readonly jwksUri?: string | undefined
      readonly dangerouslyAllowHttp: boolean
      readonly requestTimeoutSeconds: number
      /** Carried by the errors, for the answer. */
      readonly transientFailureStatus: 400 | 503
    }

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
  /** If it does not verify and was of an ageing set: what a newer set has. */
  readonly newer?: () => Promise<KeyLookup>
}

interface PublishedKeys {
  keyFor(choice: SigningKeyChoice, giveUp: GiveUp | undefined): Promise<KeyLookup>
  prepare(): Promise<void>
  state(): KeysState
}

/** Whether a token could be verified without a fetch, and when the keys were fetched (epoch seconds), if they ever are. */
export interface KeysState {
  readonly atHand: boolean
  readonly fetchedAt?: number
}

const NONE: KeyLookup = { found: 'none' }

/**
 * The verification keys of one provider. HMAC algorithms are answered by the client secret alone and all others by the
 * published keys alone, so that neither can ever stand in for the other (RFC 8725 2.1).
 */
export class SigningKeys {
  readonly #secret: Uint8Array | undefined
  readonly #published: PublishedKeys | undefined

  /** `secret`: of any length, as the OP registered it. `source` absent: only HMAC is configured. */
  constructor(secret: string | undefined, source: PublishedKeysSource | undefined, clock: () => number) {
    this.#secret = secret === undefined ? undefined : new TextEncoder().encode(secret)
    if (source === undefined) this.#published = undefined
    else this.#published = 'jwks' in source ? new StaticKeys(source.jwks) : new RemoteKeys(source, clock)
  }

  /** The key to verify with. `giveUp` ends the wait for keys, not their fetch. */
  async keyFor(choice: SigningKeyChoice, giveUp?: GiveUp): Promise<KeyLookup> {
    if (!isHmac(choice.alg)) return (await this.#published?.keyFor(choice, giveUp)) ?? NONE
    return this.#secret === undefined ? NONE : { found: 'key', key: this.#secret }
  }

  /** Fetches what is fetched from the provider, unless it is here. Rejects with `ERR_KEYS_UNAVAILABLE`. */
  async prepare(): Promise<void> {
    await this.#published?.prepare()
  }

  state(): KeysState {
    return this.#published?.state() ?? { atHand: true }
  }
}

/** Whether an algorithm is keyed by the client secret (OpenID Connect Core 10.1). */
export function isHmac(alg: string): boolean {
  return alg.startsWith('HS')
}

class StaticKeys implements PublishedKeys {
  readonly #keySet: LocalJWKSet

  constructor(jwks: JSONWebKeySet) {
    this.#keySet = createLocalJWKSet(jwks)
  }

  keyFor(choice: SigningKeyChoice): Promise<KeyLookup> {
    return keyIn(this.#keySet, choice)
  }

  async prepare(): Promise<void> {}

  state(): KeysState {
    return { atHand: true }
  }
}

interface FetchedKeys {
  readonly keySet: LocalJWKSet
  readonly fetchedAt: number
}

/**
 * Keys behind a `jwks_uri`. The OP waits for our answer, often with its own user waiting behind it, so a key that is known is used
 * at once; the OP is only called from within a request for a key that nobody has.
 */
class RemoteKeys implements PublishedKeys {
  readonly #source: Exclude<PublishedKeysSource, { readonly jwks: JSONWebKeySet }>
  readonly #clock: () => number
  #keys: FetchedKeys | undefined
  #discovered: { readonly jwksUri: string; readonly fetchedAt: number } | undefined
  #running: Promise<FetchedKeys> | undefined
  #failure: { readonly error: KeysUnavailableError; readonly at: number } | undefined
  /** Key ids that a fetch was made for, and when. Never more than `LOOKUPS_PER_COOL_DOWN`. */
  readonly #lookedFor = new Map<string, number>()

  constructor(source: Exclude<PublishedKeysSource, { readonly jwks: JSONWebKeySet }>, clock: () => number) {
    this.#source = source
    this.#clock = clock
  }

  keyFor(choice: SigningKeyChoice, giveUp: GiveUp | undefined): Promise<KeyLookup> {
    return orNotNow(async () => {
      const before = this.#keys
      const keys = this.#usableNow() ?? (await this.#fetchOnce(giveUp))
      const lookup = await keyIn(keys.keySet, choice)
      if (lookup.found === 'key') {
        const newer = () =>
          orNotNow(async () => {
            const newerKeys = await this.#newerThan(keys, giveUp)
            return newerKeys === undefined ? NONE : keyIn(newerKeys.keySet, choice)
          })
        return { ...lookup, newer }
      }
      if (lookup.found !== 'none') return lookup
      const refreshed = await this.#lookFor(choice.kid ?? '', keys !== before, giveUp)
      return refreshed === undefined ? NONE : keyIn(refreshed.keySet, choice)
    })
  }

  async prepare(): Promise<void> {
    if (this.#usableNow() === undefined) await this.#startFetch()
  }

  state(): KeysState {
    const fetchedAt = this.#keys?.fetchedAt
    return fetchedAt === undefined
      ? { atHand: false }
      : { atHand: this.#isWithin(USABLE_SECONDS, fetchedAt), fetchedAt }
  }

  #usableNow(): FetchedKeys | undefined {
    const keys = this.#keys
    if (keys === undefined || !this.#isWithin(USABLE_SECONDS, keys.fetchedAt)) return undefined
    if (this.#isAgeing(keys)) this.#startFetch()
    return keys
  }

  /** For a signature that an ageing key did not verify: the fetch is under way already. */
  async #newerThan(keys: FetchedKeys, giveUp: GiveUp | undefined): Promise<FetchedKeys | undefined> {
    if (!this.#isAgeing(keys)) return undefined
    return this.#keys === keys ? this.#fetchOnce(giveUp) : this.#keys
  }

  /** One fetch for a key id that the set does not have, unless the set is the outcome of this very request. */
  async #lookFor(kid: string, justFetched: boolean, giveUp: GiveUp | undefined): Promise<FetchedKeys | undefined> {
    for (const [known, at] of this.#lookedFor) {
      if (!this.#isWithin(COOL_DOWN_SECONDS, at)) this.#lookedFor.delete(known)
    }
    if (this.#lookedFor.has(kid) || this.#lookedFor.size >= LOOKUPS_PER_COOL_DOWN) return undefined
    const keys = justFetched ? undefined : await this.#fetchOnce(giveUp)
    // Only a fetch that succeeded says that the key is not there.
    if (this.#lookedFor.size < LOOKUPS_PER_COOL_DOWN) this.#lookedFor.set(kid, this.#clock())
    return keys
  }

  #fetchOnce(giveUp: GiveUp | undefined): Promise<FetchedKeys> {
    const running = this.#startFetch()
    if (giveUp === undefined) return running
    return unlessAborted(running, giveUp()).catch((error: unknown) => {
      throw error instanceof KeysUnavailableError ? error : this.#unavailable('deadline', error)
    })
  }

  /** Concurrent fetches are one, with a deadline of its own: no request that gives up takes it away from the others. */
  #startFetch(): Promise<FetchedKeys> {
    if (this.#running !== undefined) return this.#running
    if (this.#failure !== undefined && this.#isWithin(BACK_OFF_SECONDS, this.#failure.at)) {
      return handled(Promise.reject(this.#failure.error))
    }
    this.#running = handled(
      this.#fetch().finally(() => {
        this.#running = undefined
      }),
    )
    return this.#running
  }

  async #fetch(): Promise<FetchedKeys> {
    const signal = AbortSignal.timeout(this.#source.requestTimeoutSeconds * 1000)
    const fetchedAt = this.#clock()
    try {
      const jwksUri = this.#source.jwksUri ?? (await this.#discoveredUri(signal))
      const keys = { keySet: await this.#fetchKeySet(jwksUri, signal), fetchedAt }
      this.#keys = keys
      this.#failure = undefined
      return keys
    } catch (thrown) {
      const error = thrown instanceof KeysUnavailableError ? thrown : this.#unavailable('jwks_fetch_failed', thrown)
      // The keys may have moved: the next try asks where they are.
      this.#discovered = undefined
      this.#failure = { error, at: this.#clock() }
      throw error
    }
  }

  async #discoveredUri(signal: AbortSignal): Promise<string> {
    if (this.#discovered !== undefined && this.#isWithin(USABLE_SECONDS, this.#discovered.fetchedAt)) {
      return this.#discovered.jwksUri
    }
    const fetchedAt = this.#clock()
    const jwksUri = await this.#discover(signal)
    this.#discovered = { jwksUri, fetchedAt }
    return jwksUri
  }

  /** OpenID Connect Discovery 4. */
  async #discover(signal: AbortSignal): Promise<string> {
    const { issuer, dangerouslyAllowHttp } = this.#source
    const metadata = await fetchMetadata(issuer, { signal }).catch((cause: unknown) => {
      const reason = cause instanceof InvalidMetadataError ? 'metadata_invalid' : 'metadata_fetch_failed'
      throw this.#unavailable(reason, cause)
    })
    try {
      return safeUrl(metadata.jwks_uri, dangerouslyAllowHttp)
    } catch (cause) {
      throw this.#unavailable('metadata_invalid', cause)
    }
  }

  async #fetchKeySet(jwksUri: string, signal: AbortSignal): Promise<LocalJWKSet> {
    const headers = { Accept: 'application/jwk-set+json, application/json' }
    const response = await unlessAborted(fetchDocument(jwksUri, { headers, signal }), signal)
    const keys = own(jsonObjectIn(new Uint8Array(await response.arrayBuffer())) ?? {}, 'keys')
    if (!Array.isArray(keys)) throw this.#unavailable('jwks_invalid', undefined)
    return createLocalJWKSet({ keys: keys.filter(isJwk) })
  }

  #unavailable(reason: KeysUnavailable, cause: unknown): KeysUnavailableError {
    return new KeysUnavailableError(reason, cause, this.#source.transientFailureStatus)
  }

  #isAgeing({ fetchedAt }: FetchedKeys): boolean {
    return !this.#isWithin(FRESH_SECONDS, fetchedAt)
  }

  /** A clock that was set back makes things old, not eternal. */
  #isWithin(seconds: number, since: number): boolean {
    return Math.abs(this.#clock() - since) < seconds
  }
}

async function keyIn(keySet: LocalJWKSet, { alg, kid }: SigningKeyChoice): Promise<KeyLookup> {
  try {
    return { found: 'key', key: await keySet(kid === undefined ? { alg } : { alg, kid }) }
  } catch (cause) {
    if (cause instanceof errors.JWKSNoMatchingKey) return NONE
    if (!(cause instanceof errors.JWKSMultipleMatchingKeys)) return { found: 'unusable', cause }
    return { found: 'ambiguous', named: kid !== undefined, cause }
  }
}

async function orNotNow(lookup: () => Promise<KeyLookup>): Promise<KeyLookup> {
  try {
    return await lookup()
  } catch (error) {
    if (error instanceof KeysUnavailableError) return { found: 'not now', error }
    throw error
  }
}

/** Somebody may be waiting for this or not: a background failure is not an unhandled rejection. */
function handled<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {})
  return work
}

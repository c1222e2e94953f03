// The keys of one provider: which one signed, which one decrypts, how old they may be. Knows no claim.
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWK, type LocalJWKSet } from 'jose'
import { allowInsecureRequests, customFetch, discoveryRequest, processDiscoveryResponse } from 'oauth4webapi'
import { unlessAborted } from '../deadline.js'
import { fetchDocument } from '../http/fetch-json.js'
import { isJsonObject, jsonObjectIn, own } from '../json-object.js'
import { refusal } from '../tokens/token-refusal.js'
import { type KeysUnavailable, KeysUnavailableError } from './keys-unavailable.js'

export type { JSONWebKeySet, JWK } from 'jose'

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

/** The key that fits; if that does not verify either and was of an ageing set, the one of a newer set. */
export interface FoundKey {
  readonly key: VerificationKey
  readonly newer?: () => Promise<VerificationKey | undefined>
}

interface PublishedKeys {
  keyFor(choice: SigningKeyChoice, signal: AbortSignal | undefined): Promise<FoundKey | undefined>
  prepare(): Promise<void>
  state(): KeysState
}

/** Whether a token could be verified without a fetch, and when the keys were fetched (epoch seconds), if they ever are. */
export interface KeysState {
  readonly atHand: boolean
  readonly fetchedAt?: number
}

/**
 * The verification keys of one provider. HMAC algorithms are answered by the client secret alone and all others by the
 * published keys alone, so that neither can ever stand in for the other (RFC 8725 2.1).
 */
export class ProviderKeys {
  readonly #secret: Uint8Array | undefined
  readonly #published: PublishedKeys | undefined

  /** `secret`: of any length, as the OP registered it. `source` absent: only HMAC is configured. */
  constructor(secret: string | undefined, source: PublishedKeysSource | undefined, clock: () => number) {
    this.#secret = secret === undefined ? undefined : new TextEncoder().encode(secret)
    if (source === undefined) this.#published = undefined
    else this.#published = 'jwks' in source ? new StaticKeys(source.jwks) : new RemoteKeys(source, clock)
  }

  /**
   * The key to verify with; `undefined` if none fits. Rejects with `ERR_TOKEN` where the choice is ambiguous, with
   * `ERR_KEYS_UNAVAILABLE` where the keys cannot be had.
   */
  async keyFor(choice: SigningKeyChoice, signal?: AbortSignal): Promise<FoundKey | undefined> {
    if (!isHmac(choice.alg)) return this.#published?.keyFor(choice, signal)
    return this.#secret === undefined ? undefined : { key: this.#secret }
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

  async keyFor(choice: SigningKeyChoice): Promise<FoundKey | undefined> {
    const key = await keyIn(this.#keySet, choice)
    return key && { key }
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

  async keyFor(choice: SigningKeyChoice, signal: AbortSignal | undefined): Promise<FoundKey | undefined> {
    const before = this.#keys
    const keys = this.#usableNow() ?? (await this.#fetchOnce(signal))
    const key = await keyIn(keys.keySet, choice)
    if (key !== undefined) {
      return {
        key,
        newer: async () => {
          const newer = await this.#newerThan(keys, signal)
          return newer && keyIn(newer.keySet, choice)
        },
      }
    }
    const found = await this.#lookFor(choice.kid ?? '', keys !== before, signal)
    const foundKey = found && (await keyIn(found.keySet, choice))
    return foundKey && { key: foundKey }
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
  async #newerThan(keys: FetchedKeys, signal: AbortSignal | undefined): Promise<FetchedKeys | undefined> {
    if (!this.#isAgeing(keys)) return undefined
    return this.#keys === keys ? this.#fetchOnce(signal) : this.#keys
  }

  /** One fetch for a key id that the set does not have, unless the set is the outcome of this very request. */
  async #lookFor(kid: string, justFetched: boolean, signal: AbortSignal | undefined): Promise<FetchedKeys | undefined> {
    for (const [known, at] of this.#lookedFor) {
      if (!this.#isWithin(COOL_DOWN_SECONDS, at)) this.#lookedFor.delete(known)
    }
    if (this.#lookedFor.has(kid) || this.#lookedFor.size >= LOOKUPS_PER_COOL_DOWN) return undefined
    const keys = justFetched ? undefined : await this.#fetchOnce(signal)
    // Only a fetch that succeeded says that the key is not there.
    if (this.#lookedFor.size < LOOKUPS_PER_COOL_DOWN) this.#lookedFor.set(kid, this.#clock())
    return keys
  }

  #fetchOnce(signal: AbortSignal | undefined): Promise<FetchedKeys> {
    const running = this.#startFetch()
    if (signal === undefined) return running
    return unlessAborted(running, signal).catch((error: unknown) => {
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
    const url = new URL(issuer)
    const response = await unlessAborted(
      // Whether the issuer may be plain http was decided when the options were read.
      discoveryRequest(url, { signal, [allowInsecureRequests]: true, [customFetch]: withSignal(signal) }),
      signal,
    ).catch((cause: unknown) => {
      throw this.#unavailable('metadata_fetch_failed', cause)
    })
    try {
      const metadata = await processDiscoveryResponse(url, response)
      // The library compares parsed URLs; an issuer is a string, and a slash more is another one (Discovery 4.3).
      if (metadata.issuer !== issuer) throw new Error('The metadata is of another issuer')
      return secureUrl(metadata.jwks_uri, dangerouslyAllowHttp)
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

/** The one key that fits; `undefined` if none does. */
async function keyIn(keySet: LocalJWKSet, { alg, kid }: SigningKeyChoice): Promise<VerificationKey | undefined> {
  try {
    return await keySet(kid === undefined ? { alg } : { alg, kid })
  } catch (cause) {
    if (cause instanceof errors.JWKSNoMatchingKey) return undefined
    if (!(cause instanceof errors.JWKSMultipleMatchingKeys)) throw refusal('key_unusable', { claim: 'kid', cause })
    throw refusal(kid === undefined ? 'kid_missing_ambiguous' : 'kid_ambiguous', { claim: 'kid', cause })
  }
}

/** What of a JWE header decides whether a key can open it. */
export interface DecryptionKeyChoice {
  readonly alg: string
  readonly enc: string
}

/** The Relying Party's own private keys for encrypted Logout Tokens. */
export class DecryptionKeys {
  readonly #keys: readonly JWK[]

  constructor(keys: readonly JWK[]) {
    this.#keys = keys.map((key) => structuredClone(key))
  }

  /** The keys that fit the algorithm. */
  keysFor(choice: DecryptionKeyChoice): readonly JWK[] {
    return this.#keys.filter((key) => fits(key, choice))
  }
}

function fits(key: JWK, { alg, enc }: DecryptionKeyChoice): boolean {
  if (key.use !== undefined && key.use !== 'enc') return false
  if (key.alg !== undefined && key.alg !== (alg === 'dir' ? enc : alg)) return false
  if (alg.startsWith('RSA')) return key.kty === 'RSA'
  if (alg.startsWith('ECDH')) return key.kty === 'EC' || key.kty === 'OKP'
  return key.kty === 'oct'
}

/** RFC 7517 4: an object with a key type. What else it needs is found out by using it. */
export function isJwk(value: unknown): value is JWK {
  return isJsonObject(value) && typeof own(value, 'kty') === 'string'
}

/**
 * A URL from which keys may be fetched: `https`, or plain `http` to this machine itself, or to anywhere if `dangerouslyAllowHttp`.
 * Throws a `TypeError`.
 */
export function secureUrl(value: unknown, dangerouslyAllowHttp: boolean): string {
  if (typeof value !== 'string' || /\s/.test(value) || !URL.canParse(value)) {
    throw new TypeError('it must be an absolute URL')
  }
  const { protocol, hostname, username, password } = new URL(value)
  if (username !== '' || password !== '') throw new TypeError('it must not hold a user name or password')
  if (protocol === 'https:' || (protocol === 'http:' && (dangerouslyAllowHttp || isLoopback(hostname)))) return value
  throw new TypeError('it must be an https URL; plain http is for loopback addresses')
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

function withSignal(signal: AbortSignal) {
  return (url: string, { headers }: { readonly headers: Record<string, string> }): Promise<Response> =>
    fetchDocument(url, { headers, signal })
}

/** Somebody may be waiting for this or not: a background failure is not an unhandled rejection. */
function handled<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {})
  return work
}

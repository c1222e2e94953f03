// The keys behind one provider's `jwks_uri`: when they are fetched, how long they are believed, how often the OP may be asked for
// them. Knows no token.
import { createLocalJWKSet, type LocalJWKSet } from 'jose'
import { type GiveUp, unlessAborted } from '../deadline.js'
import { type Fetch, fetchDocument } from '../http/fetched-documents.js'
import { safeUrl } from '../http/safe-url.js'
import { jsonObjectIn, own } from '../json-object.js'
import { isJwk } from './jwk.js'
import { type KeyLookup, keyIn, type SigningKeyChoice } from './key-lookup.js'
import { type KeysUnavailable, KeysUnavailableError } from './keys-unavailable.js'
import { fetchMetadata, InvalidMetadataError } from './metadata.js'

/** Keys older than this are still used, and fetched again beside the request. */
const FRESH_SECONDS = 600
/** A key that the OP withdrew is believed no longer than this: older keys are fetched again first … */
const TRUSTED_SECONDS = 3600
/** … and while the OP cannot be reached, no longer than this. */
const USABLE_SECONDS = 86_400
/** Fetches for keys that the set does not have, or that do not verify: so many at once, and then one in so many seconds. */
const LOOKUPS_AT_ONCE = 5
const SECONDS_PER_LOOKUP = 6
/** After a failed fetch the OP is left alone for a second, and twice as long after each further one, up to this. */
const MAX_BACK_OFF_SECONDS = 8

/** Where keys are fetched from. */
export interface FetchedKeysSource {
  readonly issuer: string
  /** Absent: found by discovery. */
  readonly jwksUri?: string | undefined
  readonly dangerouslyAllowHttp: boolean
  readonly requestTimeoutSeconds: number
  /** Carried by the errors, for the answer. */
  readonly transientFailureStatus: 400 | 503
  readonly fetch?: Fetch | undefined
}

interface KeySet {
  readonly keySet: LocalJWKSet
  readonly keyIds: ReadonlySet<string>
  readonly fetchedAt: number
  /** Which fetch brought it: 1, 2, 3 … */
  readonly fetchNumber: number
}

/**
 * The OP waits for our answer, often with its own user waiting behind it, so a key that is known is used at once. A key is said not to
 * exist only by a set whose fetch began after the token had come; until then the answer is *not now*.
 */
export class FetchedKeys {
  readonly #source: FetchedKeysSource
  readonly #clock: () => number
  readonly #lookups: LookupBudget
  #keys: KeySet | undefined
  #discovered: { readonly jwksUri: string; readonly fetchedAt: number } | undefined
  #discoveredSids: boolean | undefined
  #begunFetches = 0
  #running: Promise<KeySet> | undefined
  #failure: { readonly error: KeysUnavailableError; readonly at: number; readonly backOffSeconds: number } | undefined

  constructor(source: FetchedKeysSource, clock: () => number) {
    this.#source = source
    this.#clock = clock
    this.#lookups = new LookupBudget(clock)
  }

  /** Fetches begun so far: what a later one brings was not known when this was asked. */
  get asOf(): number {
    return this.#begunFetches
  }

  /** `asOf`: from when the token came. */
  keyFor(choice: SigningKeyChoice, asOf: number, giveUp: GiveUp | undefined): Promise<KeyLookup> {
    return orNotNow(async () => this.#lookIn(await this.#believable(giveUp), choice, asOf, giveUp))
  }

  /** Whether a set is at hand that knows more than was known then; fetches one if the OP may be asked now. */
  async knowsMoreThan(asOf: number): Promise<boolean> {
    if (this.hasNewerThan(asOf)) return true
    await this.#running?.catch(() => {})
    if (!this.hasNewerThan(asOf)) await this.#lookup().catch(() => {})
    return this.hasNewerThan(asOf)
  }

  /** Whether the last set that was here, of whatever age, has this key id. */
  names(kid: string | undefined): boolean {
    return kid !== undefined && this.#keys?.keyIds.has(kid) === true
  }

  async prepare(): Promise<void> {
    if (this.#keys === undefined || !this.#isWithin(FRESH_SECONDS, this.#keys.fetchedAt)) await this.#startFetch()
  }

  /** Begins a fetch if the keys are missing or old and the OP is not being left alone. Rejects if that fetch fails. */
  async freshen(): Promise<void> {
    if (this.#running !== undefined || this.#isBackingOff()) return
    await this.prepare()
  }

  get fetchedAt(): number | undefined {
    return this.#keys?.fetchedAt
  }

  /** Whether the OP's metadata say that its Logout Tokens can name a `sid` (BCL 2.1); absent where none were read. */
  get saysSids(): boolean | undefined {
    return this.#discoveredSids
  }

  get areUsable(): boolean {
    return this.#keys !== undefined && this.#isWithin(USABLE_SECONDS, this.#keys.fetchedAt)
  }

  async #lookIn(keys: KeySet, choice: SigningKeyChoice, asOf: number, giveUp: GiveUp | undefined): Promise<KeyLookup> {
    const lookup = await keyIn(keys.keySet, choice)
    const isFinal = keys.fetchNumber > asOf
    const inNewer = () => orNotNow(async () => this.#lookIn(await this.#newerThan(keys, giveUp), choice, asOf, giveUp))
    if (lookup.found === 'key') return isFinal ? lookup : { ...lookup, newer: inNewer }
    return isFinal ? lookup : inNewer()
  }

  async #believable(giveUp: GiveUp | undefined): Promise<KeySet> {
    const keys = this.#keys
    if (keys !== undefined && this.#isWithin(TRUSTED_SECONDS, keys.fetchedAt)) {
      if (!this.#isWithin(FRESH_SECONDS, keys.fetchedAt)) this.#startFetch()
      return keys
    }
    try {
      return await this.#unlessGivenUp(this.#startFetch(), giveUp)
    } catch (error) {
      if (keys !== undefined && this.#isWithin(USABLE_SECONDS, keys.fetchedAt)) return keys
      throw error
    }
  }

  #newerThan(keys: KeySet, giveUp: GiveUp | undefined): Promise<KeySet> {
    if (this.#keys !== undefined && this.#keys !== keys) return Promise.resolve(this.#keys)
    return this.#unlessGivenUp(this.#running ?? this.#lookup(), giveUp)
  }

  /** A fetch that a token asks for, so within a budget that no number of tokens can stretch. */
  #lookup(): Promise<KeySet> {
    if (this.#isBackingOff()) return this.#startFetch()
    if (!this.#lookups.take()) return handled(Promise.reject(this.#unavailable('lookups_used_up', undefined)))
    const fetching = this.#startFetch()
    // Only a fetch that succeeded has looked; one that failed is made up for by the back-off.
    fetching.catch(() => this.#lookups.giveBack())
    return fetching
  }

  #unlessGivenUp(fetching: Promise<KeySet>, giveUp: GiveUp | undefined): Promise<KeySet> {
    if (giveUp === undefined) return fetching
    return unlessAborted(fetching, giveUp()).catch((error: unknown) => {
      throw error instanceof KeysUnavailableError ? error : this.#unavailable('deadline', error)
    })
  }

  /** Concurrent fetches are one, with a deadline of its own: no request that gives up takes it away from the others. */
  #startFetch(): Promise<KeySet> {
    if (this.#running !== undefined) return this.#running
    if (this.#failure !== undefined && this.#isBackingOff()) return handled(Promise.reject(this.#failure.error))
    this.#running = handled(
      this.#fetch().finally(() => {
        this.#running = undefined
      }),
    )
    return this.#running
  }

  async #fetch(): Promise<KeySet> {
    this.#begunFetches += 1
    const fetchNumber = this.#begunFetches
    const signal = AbortSignal.timeout(this.#source.requestTimeoutSeconds * 1000)
    const fetchedAt = this.#clock()
    try {
      const jwksUri = this.#source.jwksUri ?? (await this.#discoveredUri(signal))
      const keys = { ...(await this.#fetchKeySet(jwksUri, signal)), fetchedAt, fetchNumber }
      this.#keys = keys
      this.#failure = undefined
      return keys
    } catch (thrown) {
      const error = thrown instanceof KeysUnavailableError ? thrown : this.#unavailable('jwks_fetch_failed', thrown)
      // The keys may have moved: the next try asks where they are.
      this.#discovered = undefined
      const backOffSeconds = Math.min(2 * (this.#failure?.backOffSeconds ?? 0.5), MAX_BACK_OFF_SECONDS)
      this.#failure = { error, at: this.#clock(), backOffSeconds }
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
    const { issuer, dangerouslyAllowHttp, fetch } = this.#source
    const metadata = await fetchMetadata(issuer, { signal, fetch }).catch((cause: unknown) => {
      const reason = cause instanceof InvalidMetadataError ? 'metadata_invalid' : 'metadata_fetch_failed'
      throw this.#unavailable(reason, cause)
    })
    this.#discoveredSids = metadata.backchannel_logout_session_supported === true
    try {
      return safeUrl(metadata.jwks_uri, dangerouslyAllowHttp)
    } catch (cause) {
      throw this.#unavailable('metadata_invalid', cause)
    }
  }

  async #fetchKeySet(jwksUri: string, signal: AbortSignal): Promise<Pick<KeySet, 'keySet' | 'keyIds'>> {
    const headers = { Accept: 'application/jwk-set+json, application/json' }
    const { fetch } = this.#source
    const response = await unlessAborted(fetchDocument(jwksUri, { headers, signal, fetch }), signal)
    const published = own(jsonObjectIn(new Uint8Array(await response.arrayBuffer())) ?? {}, 'keys')
    if (!Array.isArray(published)) throw this.#unavailable('jwks_invalid', undefined)
    const keys = published.filter(isJwk)
    const keyIds = new Set(keys.flatMap(({ kid }) => (typeof kid === 'string' ? [kid] : [])))
    return { keySet: createLocalJWKSet({ keys }), keyIds }
  }

  #unavailable(reason: KeysUnavailable, cause: unknown): KeysUnavailableError {
    return new KeysUnavailableError(reason, cause, this.#source.transientFailureStatus)
  }

  /** Whether a set is at hand whose fetch began later. */
  hasNewerThan(asOf: number): boolean {
    return this.#keys !== undefined && this.#keys.fetchNumber > asOf
  }

  #isBackingOff(): boolean {
    return this.#failure !== undefined && this.#isWithin(this.#failure.backOffSeconds, this.#failure.at)
  }

  /** A clock that was set back makes things old, not eternal. */
  #isWithin(seconds: number, since: number): boolean {
    return Math.abs(this.#clock() - since) < seconds
  }
}

/** So many at once, and one more with time: however many tokens ask, the OP is not asked more often. */
class LookupBudget {
  readonly #clock: () => number
  #left = LOOKUPS_AT_ONCE
  #at: number

  constructor(clock: () => number) {
    this.#clock = clock
    this.#at = clock()
  }

  take(): boolean {
    const now = this.#clock()
    this.#left = Math.min(LOOKUPS_AT_ONCE, this.#left + Math.max(0, now - this.#at) / SECONDS_PER_LOOKUP)
    this.#at = now
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }

  giveBack(): void {
    this.#left = Math.min(LOOKUPS_AT_ONCE, this.#left + 1)
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

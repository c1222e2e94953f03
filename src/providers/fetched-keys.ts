// The keys behind one provider's `jwks_uri`: when they are fetched, how long they are believed, how often the OP may be
// asked for them. Knows no token.
import type { LocalJWKSet } from 'jose'
import { createLocalJWKSet } from 'jose/jwks/local'
import { ageOf, type GiveUp, type Moment, momentsBy, timeoutOr, unlessAborted } from '../deadline.js'
import { type Fetch, fetchDocument } from '../http/fetched-documents.js'
import { safeUrlOf } from '../http/safe-url.js'
import { jsonObjectIn, own } from '../json-object.js'
import type { Client } from '../marks/target.js'
import { couldSign, isJwk } from './jwk.js'
import { type KeyLookup, keyIn, type SigningKeyChoice } from './key-lookup.js'
import { type KeysUnavailable, KeysUnavailableError } from './keys-unavailable.js'
import type { LookupBudget } from './lookup-budget.js'
import { fetchMetadata, InvalidMetadataError } from './metadata.js'
import { handled, OneQuestion } from './one-question.js'

/** Keys older than this are still used, and fetched again beside the request. */
const FRESH_SECONDS = 600
/** A key that the OP withdrew is believed no longer than this: older keys are fetched again first … */
const TRUSTED_SECONDS = 3600
/** … and while the OP cannot be reached, no longer than this. */
const USABLE_SECONDS = 86_400

/** Where keys are fetched from. */
export interface FetchedKeysSource {
  readonly client: Client
  /** A function: asked before each fetch. Absent: found by discovery. */
  readonly jwksUri?: string | ((signal: AbortSignal) => Promise<string>) | undefined
  readonly dangerouslyAllowHttp: boolean
  readonly requestTimeoutSeconds: number
  /** Carried by the errors, for the answer. */
  readonly transientFailureStatus: 400 | 503
  readonly fetch?: Fetch | undefined
}

interface KeySet {
  readonly keySet: LocalJWKSet
  readonly keyIds: ReadonlySet<string>
  readonly fetchedAt: Moment
  /** Which fetch brought it: 1, 2, 3 … */
  readonly fetchNumber: number
}

/**
 * The OP waits for our answer, often with its own user waiting behind it, so a key that is known is used at once. A key
 * is said not to exist only by a set whose fetch began after the token had come; until then the answer is *not now*.
 */
export class FetchedKeys {
  /** How they are fetched; the place stays the same. */
  source: FetchedKeysSource
  readonly #now: () => Moment
  readonly #lookups: LookupBudget
  readonly #isOld: boolean
  readonly #question: OneQuestion<KeySet>
  #keys: KeySet | undefined
  /** The OP was reached since those keys, and had none. */
  #hasNone = false
  #discovered: { readonly jwksUri: string; readonly fetchedAt: Moment } | undefined
  #discoveredSids: boolean | undefined
  #begunFetches = 0
  readonly #closing = new AbortController()

  /** `isOld`: these keys were known here before and forgotten, so their budget pays for the first fetch too. */
  constructor(source: FetchedKeysSource, clock: () => number, lookups: LookupBudget, isOld: boolean) {
    this.source = source
    this.#now = momentsBy(clock, lookups.monotonic)
    this.#lookups = lookups
    this.#isOld = isOld
    this.#question = new OneQuestion(lookups.monotonic)
  }

  /** Fetches begun so far: what a later one brings was not known when this was asked. */
  get asOf(): number {
    return this.#begunFetches
  }

  /** Whether this source is the same place, for the same client, though perhaps asked in another way. */
  isFrom({ client, jwksUri, dangerouslyAllowHttp }: FetchedKeysSource): boolean {
    const { source } = this
    return (
      source.client.issuer === client.issuer &&
      source.client.clientId === client.clientId &&
      source.jwksUri === jwksUri &&
      source.dangerouslyAllowHttp === dangerouslyAllowHttp
    )
  }

  /** `asOf`: from when the token came. */
  keyFor(choice: SigningKeyChoice, asOf: number, giveUp: GiveUp | undefined): Promise<KeyLookup> {
    return orNotNow(async () => this.#lookIn(await this.#believable(giveUp), choice, asOf, giveUp))
  }

  /** Whether a set is at hand that knows more than was known then; fetches one if the OP may be asked now. */
  async knowsMoreThan(asOf: number): Promise<boolean> {
    if (this.hasNewerThan(asOf)) return true
    await this.#question.running?.catch(() => {})
    if (!this.hasNewerThan(asOf)) await this.#lookup(this.#closing.signal).catch(() => {})
    return this.hasNewerThan(asOf)
  }

  /** Whether the last set that was here, of whatever age, has this key id. */
  names(kid: string | undefined): boolean {
    return kid !== undefined && this.#keys?.keyIds.has(kid) === true
  }

  async prepare(): Promise<void> {
    const { signal } = this.#closing
    if (signal.aborted || (this.#keys !== undefined && this.#isWithin(FRESH_SECONDS, this.#keys.fetchedAt))) return
    await this.#startFetch(signal)
  }

  /** Fetches nothing ahead any more; what a request waits for is fetched all the same. */
  close(): void {
    this.#closing.abort()
  }

  /** Begins a fetch if the keys are missing or old and the OP is not being left alone. Rejects if that fetch fails. */
  async freshen(): Promise<void> {
    if (this.#question.running !== undefined || this.#question.isBackingOff) return
    await this.prepare()
  }

  get fetchedAt(): number | undefined {
    return this.#keys?.fetchedAt.wall
  }

  /** Whether the OP's metadata say that its Logout Tokens can name a `sid` (BCL 2.1); absent where none were read. */
  get saysSids(): boolean | undefined {
    return this.#discoveredSids
  }

  get areUsable(): boolean {
    const seconds = this.#hasNone ? TRUSTED_SECONDS : USABLE_SECONDS
    return this.#keys !== undefined && this.#isWithin(seconds, this.#keys.fetchedAt)
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
      if (!this.#isWithin(FRESH_SECONDS, keys.fetchedAt)) this.#startFetch(this.#closing.signal)
      return keys
    }
    try {
      const isPaidFor = keys === undefined && this.#isOld && this.#question.running === undefined
      return await this.#unlessGivenUp(isPaidFor ? this.#lookup() : this.#startFetch(), giveUp)
    } catch (error) {
      if (keys !== undefined && this.areUsable) return keys
      throw error
    }
  }

  #newerThan(keys: KeySet, giveUp: GiveUp | undefined): Promise<KeySet> {
    if (this.#keys !== undefined && this.#keys !== keys) return Promise.resolve(this.#keys)
    return this.#unlessGivenUp(this.#question.running === undefined ? this.#lookup() : this.#startFetch(), giveUp)
  }

  /** A fetch that a token asks for, so within a budget that no number of tokens can stretch. */
  #lookup(closing?: AbortSignal): Promise<KeySet> {
    if (this.#question.isBackingOff) return this.#startFetch(closing)
    // A fetch that fails counts too: a success in between ends the back-off. An outage alone uses up nothing, since one
    // that lasts is asked more seldom than the budget grows.
    if (!this.#lookups.take()) return handled(Promise.reject(this.#unavailable('lookups_used_up', undefined)))
    return this.#startFetch(closing)
  }

  #unlessGivenUp(fetching: Promise<KeySet>, giveUp: GiveUp | undefined): Promise<KeySet> {
    if (giveUp === undefined) return fetching
    return unlessAborted(fetching, giveUp()).catch((error: unknown) => {
      throw error instanceof KeysUnavailableError ? error : this.#unavailable('deadline', error)
    })
  }

  /**
   * Concurrent fetches are one, with a deadline of its own: no request that gives up takes it away from the others.
   * `closing`: for no request at all.
   */
  #startFetch(closing?: AbortSignal): Promise<KeySet> {
    return this.#question.ask((givenUp) => this.#fetch(givenUp), closing)
  }

  async #fetch(givenUp: AbortSignal): Promise<KeySet> {
    this.#begunFetches += 1
    const fetchNumber = this.#begunFetches
    const signal = timeoutOr(this.source.requestTimeoutSeconds, givenUp)
    const fetchedAt = this.#now()
    try {
      const { jwksUri: given = () => this.#discoveredUri(signal) } = this.source
      const jwksUri = typeof given === 'string' ? given : await given(signal)
      const keys = { ...(await this.#fetchKeySet(jwksUri, signal)), fetchedAt, fetchNumber }
      this.#keys = keys
      this.#hasNone = false
      return keys
    } catch (thrown) {
      const error = thrown instanceof KeysUnavailableError ? thrown : this.#unavailable('jwks_fetch_failed', thrown)
      // The keys may have moved: the next try asks where they are.
      this.#discovered = undefined
      throw error
    }
  }

  async #discoveredUri(signal: AbortSignal): Promise<string> {
    if (this.#discovered !== undefined && this.#isWithin(USABLE_SECONDS, this.#discovered.fetchedAt)) {
      return this.#discovered.jwksUri
    }
    const fetchedAt = this.#now()
    const jwksUri = await this.#discover(signal)
    this.#discovered = { jwksUri, fetchedAt }
    return jwksUri
  }

  /** OpenID Connect Discovery 4. */
  async #discover(signal: AbortSignal): Promise<string> {
    const { client, dangerouslyAllowHttp, fetch } = this.source
    const metadata = await fetchMetadata(client.issuer, { signal, fetch }).catch((cause: unknown) => {
      const reason = cause instanceof InvalidMetadataError ? 'metadata_invalid' : 'metadata_fetch_failed'
      throw this.#unavailable(reason, cause)
    })
    this.#discoveredSids = metadata.backchannel_logout_session_supported === true
    try {
      return safeUrlOf(client.issuer, metadata.jwks_uri, dangerouslyAllowHttp)
    } catch (cause) {
      throw this.#unavailable('metadata_invalid', cause)
    }
  }

  async #fetchKeySet(jwksUri: string, signal: AbortSignal): Promise<Pick<KeySet, 'keySet' | 'keyIds'>> {
    const headers = { Accept: 'application/jwk-set+json, application/json' }
    const { fetch } = this.source
    const response = await fetchDocument(jwksUri, { headers, signal, fetch })
    const published = own(jsonObjectIn(new Uint8Array(await response.arrayBuffer())) ?? {}, 'keys')
    if (!Array.isArray(published)) throw this.#unavailable('jwks_invalid', undefined)
    const keys = published.filter(isJwk)
    // An OP that publishes none, or none yet, signs nothing now: a set of a moment must not refuse for good what it has
    // signed. Nor does it stand in for older keys; if all were withdrawn, they are believed no longer than any other.
    if (!keys.some((key) => couldSign(key))) {
      this.#hasNone = true
      throw this.#unavailable('jwks_invalid', undefined)
    }
    const keyIds = new Set(keys.flatMap(({ kid }) => (typeof kid === 'string' ? [kid] : [])))
    return { keySet: createLocalJWKSet({ keys }), keyIds }
  }

  #unavailable(reason: KeysUnavailable, cause: unknown): KeysUnavailableError {
    return new KeysUnavailableError(reason, cause, this.source.transientFailureStatus)
  }

  /** Whether a set is at hand whose fetch began later. */
  hasNewerThan(asOf: number): boolean {
    return this.#keys !== undefined && this.#keys.fetchNumber > asOf
  }

  #isWithin(seconds: number, since: Moment): boolean {
    return ageOf(since, this.#now()) < seconds
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

// The keys that one provider signs with: the client secret, or the published keys. Refuses nothing and knows no claim.
import type { JSONWebKeySet, LocalJWKSet } from 'jose'
import { createLocalJWKSet } from 'jose/jwks/local'
import type { GiveUp } from '../deadline.js'
import { FetchedKeys, type FetchedKeysSource } from './fetched-keys.js'
import { type KeyLookup, keyIn, NONE, type SigningKeyChoice } from './key-lookup.js'
import { type Budgets, budgetsOfTheirOwn } from './lookup-budget.js'

export type { KeyLookup, VerificationKey } from './key-lookup.js'

/** Where a provider's public keys come from. */
export type PublishedKeysSource = { readonly jwks: JSONWebKeySet } | FetchedKeysSource

/**
 * Whether a token could be verified without a fetch, and when the keys were fetched (epoch seconds), if they ever are.
 */
export interface KeysState {
  readonly atHand: boolean
  readonly fetchedAt?: number
}

/**
 * The verification keys of one provider. HMAC algorithms are answered by the client secret alone and all others by the
 * published keys alone, so that neither can ever stand in for the other (RFC 8725 2.1).
 */
export class SigningKeys {
  readonly #secret: Uint8Array | undefined
  readonly #given: LocalJWKSet | undefined
  readonly #fetched: FetchedKeys | undefined

  /**
   * `secret`: of any length, as the OP registered it. `source` absent: only HMAC is configured. `before`: among them may
   * be keys that were fetched for the same client from the same place; they are shared, and so is how often that may be
   * asked. `budgets`: how often, where they were forgotten.
   */
  constructor(
    secret: string | undefined,
    source: PublishedKeysSource | undefined,
    clock: () => number,
    before: readonly SigningKeys[] = [],
    budgets = budgetsOfTheirOwn(),
  ) {
    this.#secret = secret === undefined ? undefined : new TextEncoder().encode(secret)
    if (source === undefined) return
    if ('jwks' in source) this.#given = createLocalJWKSet(source.jwks)
    else {
      const known = before.flatMap((keys) => keys.#fetched ?? [])
      this.#fetched = known.find((fetched) => fetched.isFrom(source)) ?? newKeys(source, clock, budgets)
      this.#fetched.source = source
    }
  }

  /** One object for all that share what they fetched: `asOf` means the same to them. */
  get origin(): object {
    return this.#fetched ?? this
  }

  /** The public keys stand in the options, and are never fetched. */
  get areGiven(): boolean {
    return this.#given !== undefined
  }

  /** A moment in the life of these keys: what is fetched after it was not known then. */
  get asOf(): number {
    return this.#fetched?.asOf ?? 0
  }

  /**
   * The key to verify with. `asOf`: of when the token came (default: now). `giveUp` ends the wait for keys, not their
   * fetch.
   */
  async keyFor(choice: SigningKeyChoice, asOf = this.asOf, giveUp?: GiveUp): Promise<KeyLookup> {
    if (isHmac(choice.alg)) return this.#secret === undefined ? NONE : { found: 'key', key: this.#secret }
    if (this.#given !== undefined) return keyIn(this.#given, choice)
    return this.#fetched?.keyFor(choice, asOf, giveUp) ?? NONE
  }

  /** Whether more is known than was then; looks for it if the OP may be asked now. Never rejects. */
  async knowsMoreThan(asOf: number): Promise<boolean> {
    return this.#fetched?.knowsMoreThan(asOf) ?? true
  }

  /** Whether it is known already. */
  hasNewerThan(asOf: number): boolean {
    return this.#fetched?.hasNewerThan(asOf) ?? true
  }

  /** Whether the OP has ever, as far as it was seen here, published a key with this id. */
  names(kid: string | undefined): boolean {
    return this.#fetched?.names(kid) ?? false
  }

  /** Fetches what is fetched from the provider, unless it is fresh. Rejects with `ERR_KEYS_UNAVAILABLE`. */
  async prepare(): Promise<void> {
    await this.#fetched?.prepare()
  }

  /** The same at a login, which comes before every logout: not while a fetch is under way or has just failed. */
  async freshen(): Promise<void> {
    await this.#fetched?.freshen()
  }

  /** Fetches nothing ahead any more. */
  close(): void {
    this.#fetched?.close()
  }

  /**
   * Whether the OP's metadata, where they were read on the way to its keys, say that its Logout Tokens can name a
   * `sid`.
   */
  saysSids(): boolean {
    return this.#fetched?.saysSids ?? false
  }

  state(): KeysState {
    if (this.#fetched === undefined) return { atHand: true }
    const { areUsable, fetchedAt } = this.#fetched
    return { atHand: areUsable, ...(fetchedAt !== undefined && { fetchedAt }) }
  }
}

function newKeys(source: FetchedKeysSource, clock: () => number, budgets: Budgets): FetchedKeys {
  const { budget, isOld } = budgets.of(source.client)
  return new FetchedKeys(source, clock, budget, isOld)
}

/** Whether an algorithm is keyed by the client secret (OpenID Connect Core 10.1). */
export function isHmac(alg: string): boolean {
  return alg.startsWith('HS')
}

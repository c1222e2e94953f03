// Which providers are trusted: one, a list, or whatever a function of the issuer says. Believes no issuer, only looks
// it up.
import { isDeepStrictEqual, types } from 'node:util'
import { LRUCache } from 'lru-cache'
import { elapsedBy, type GiveUp, unlessAborted } from '../deadline.js'
import type { Client } from '../marks/target.js'
import { KeysUnavailableError } from './keys-unavailable.js'
import { type Budgets, budgetsOfTheirOwn, LookupBudgets } from './lookup-budget.js'
import { type Provider, resolveProvider } from './provider.js'
import type { ProviderOptions } from './provider-options.js'

/**
 * Asked with an issuer that a token claims and nobody has verified. A list: several clients there. `undefined`: not one
 * of ours.
 */
export type ProviderLookup = (issuer: string) => LookedUp | Promise<LookedUp>

type LookedUp = ProviderOptions | readonly ProviderOptions[] | undefined

/** One provider, several (also several clients of one issuer), or a function of the issuer. */
export type ProviderSource = ProviderOptions | readonly ProviderOptions[] | ProviderLookup

export interface ProviderDirectory {
  /** The providers named in the options; empty where a function decides. */
  configured(): readonly Provider[]
  /**
   * The trusted providers with exactly this issuer identifier. Rejects with `ERR_KEYS_UNAVAILABLE` where the
   * application's function throws, gives no valid options, or does not answer in time.
   */
  forIssuer(issuer: string, giveUp?: GiveUp): Promise<readonly Provider[]>
  /** Fetches metadata and keys of the configured providers. Rejects with `ERR_KEYS_UNAVAILABLE`, after trying all. */
  prepare(signal: AbortSignal): Promise<void>
  /**
   * For a login of this client: fetches its provider's keys if they are missing or old, and resolves to that provider.
   * Rejects with `ERR_KEYS_UNAVAILABLE` if they could not be had; nobody need wait for it.
   */
  freshen(client: Client): Promise<Provider | undefined>
  /** Gives up what is fetched ahead, and fetches nothing ahead any more: nobody waits for it. */
  close(): void
}

export interface ProviderDirectoryOptions {
  /** Epoch seconds, fractions allowed; dates the keys. Default: the system clock. */
  readonly clock?: (() => number) | undefined
  /** Seconds that only go forward: how often the keys may be asked for. Default: `clock`, or else of this process. */
  readonly monotonic?: (() => number) | undefined
}

/** An issuer identifier is a URL; what is longer names none of ours, and no function need be asked. */
const MAX_ISSUER_LENGTH = 2048
/** Deadline of the application's function: as long as a fetch of keys may take, under the answer's own. */
const LOOKUP_TIMEOUT_SECONDS = 1.5
/** Providers of a function that are kept with their keys. */
const MAX_LOOKED_UP_PROVIDERS = 1000

/** Throws a `TypeError` that names option and remedy. */
export function providerDirectory(source: ProviderSource, options: ProviderDirectoryOptions = {}): ProviderDirectory {
  const clock = options.clock ?? (() => Date.now() / 1000)
  const { monotonic = elapsedBy(options.clock) } = options
  if (typeof source === 'function') return new LookedUpProviders(source, clock, new LookupBudgets(monotonic))
  return new ConfiguredProviders(isList(source) ? source : [source], clock, budgetsOfTheirOwn(monotonic))
}

class ConfiguredProviders implements ProviderDirectory {
  readonly #all: readonly Provider[]
  readonly #byIssuer = new Map<string, readonly Provider[]>()

  constructor(source: readonly ProviderOptions[], clock: () => number, budgets: Budgets) {
    if (source.length === 0) throw new TypeError('provider: the list is empty; name at least one provider')
    this.#all = Object.freeze(source.map((options) => resolveProvider(options, clock, [], budgets)))
    for (const provider of this.#all) this.#add(provider)
  }

  configured(): readonly Provider[] {
    return this.#all
  }

  async forIssuer(issuer: string): Promise<readonly Provider[]> {
    return this.#byIssuer.get(issuer) ?? []
  }

  async prepare(signal: AbortSignal): Promise<void> {
    const fetches = Promise.allSettled(this.#all.map(({ keys }) => keys.prepare()))
    const outcomes = await unlessAborted(fetches, signal).catch((cause: unknown) => {
      throw new KeysUnavailableError('deadline', cause)
    })
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async freshen(client: Client): Promise<Provider | undefined> {
    return freshenOf(client, this.#byIssuer.get(client.issuer))
  }

  close(): void {
    for (const { keys } of this.#all) keys.close()
  }

  #add(provider: Provider): void {
    const { issuer, clientId } = provider.client
    const others = this.#byIssuer.get(issuer) ?? []
    if (others.some(({ client }) => client.clientId === clientId)) {
      throw new TypeError('provider: the same issuer and clientId are given twice; leave one of them out')
    }
    this.#byIssuer.set(issuer, Object.freeze([...others, provider]))
  }
}

class LookedUpProviders implements ProviderDirectory {
  readonly #lookUp: ProviderLookup
  readonly #clock: () => number
  /**
   * What the function gave, and what became of it. The same answer again is the same providers; another one, if only by
   * a function or a key object that is made at each call, still finds the published keys and the budget of questions of
   * its client, since strangers decide how often the function is asked.
   */
  readonly #known = new LRUCache<
    string,
    { readonly given: readonly ProviderOptions[]; readonly providers: readonly Provider[] }
  >({ max: MAX_LOOKED_UP_PROVIDERS })
  /** Outlives it: strangers decide as well whose turn it is to be forgotten. */
  readonly #budgets: LookupBudgets
  #isClosed = false

  constructor(lookUp: ProviderLookup, clock: () => number, budgets: LookupBudgets) {
    this.#lookUp = lookUp
    this.#clock = clock
    this.#budgets = budgets
  }

  configured(): readonly Provider[] {
    return []
  }

  async forIssuer(issuer: string, giveUp?: GiveUp): Promise<readonly Provider[]> {
    if (issuer === '' || issuer.length > MAX_ISSUER_LENGTH) return []
    const deadline = AbortSignal.timeout(LOOKUP_TIMEOUT_SECONDS * 1000)
    try {
      const asked = unlessAborted(this.#ask(issuer), deadline)
      const given = await (giveUp === undefined ? asked : unlessAborted(asked, giveUp()))
      return given === undefined ? [] : this.#providers(issuer, isList(given) ? given : [given])
    } catch (cause) {
      throw new KeysUnavailableError('provider_lookup_failed', cause)
    }
  }

  async prepare(): Promise<void> {}

  async freshen(client: Client): Promise<Provider | undefined> {
    return freshenOf(client, this.#known.get(client.issuer)?.providers)
  }

  close(): void {
    this.#isClosed = true
    for (const { providers } of this.#known.values()) for (const { keys } of providers) keys.close()
  }

  async #ask(issuer: string): Promise<LookedUp> {
    return this.#lookUp(issuer)
  }

  #providers(issuer: string, given: readonly ProviderOptions[]): readonly Provider[] {
    if (given.length === 0)
      throw new TypeError('provider: the function gave an empty list; undefined says not one of ours')
    const known = this.#known.get(issuer)
    if (known !== undefined && isDeepStrictEqual(known.given, given)) return known.providers
    // A copy, so that the application may change and give the same object again.
    const copy = given.map(copied)
    const before = known?.providers.map(({ keys }) => keys)
    const providers = Object.freeze(copy.map((options) => resolveProvider(options, this.#clock, before, this.#budgets)))
    if (providers.some(({ client }) => client.issuer !== issuer)) {
      throw new TypeError('provider: the function was asked for one issuer and gave the options of another')
    }
    if (new Set(providers.map(({ client }) => client.clientId)).size < providers.length) {
      throw new TypeError('provider: the function gave the same issuer and clientId twice; leave one of them out')
    }
    this.#known.set(issuer, { given: copy, providers })
    if (this.#isClosed) for (const { keys } of providers) keys.close()
    return providers
  }
}

async function freshenOf({ clientId }: Client, providers: readonly Provider[] = []): Promise<Provider | undefined> {
  const provider = providers.find(({ client }) => client.clientId === clientId)
  await provider?.keys.freshen()
  return provider
}

/** Down to the last list; functions and key objects are what they are. */
function copied<T>(value: T): T {
  if (Array.isArray(value)) return value.map(copied) as T
  if (typeof value !== 'object' || value === null) return value
  if (types.isCryptoKey(value) || types.isKeyObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, copied(each)])) as T
}

function isList(source: ProviderOptions | readonly ProviderOptions[]): source is readonly ProviderOptions[] {
  return Array.isArray(source)
}

// Which providers are trusted: one, a list, or whatever a function of the issuer says. Believes no issuer, only looks it up.
import { isDeepStrictEqual } from 'node:util'
import { LRUCache } from 'lru-cache'
import { type GiveUp, unlessAborted } from '../deadline.js'
import { KeysUnavailableError } from './keys-unavailable.js'
import { type Provider, type ProviderOptions, resolveProvider } from './provider.js'

/** Asked with an issuer that a token claims and nobody has verified. `undefined`: not one of ours. */
export type ProviderLookup = (issuer: string) => ProviderOptions | undefined | Promise<ProviderOptions | undefined>

/** One provider, several (also several clients of one issuer), or a function of the issuer. */
export type ProviderSource = ProviderOptions | readonly ProviderOptions[] | ProviderLookup

export interface ProviderDirectory {
  /** The providers named in the options; empty where a function decides. */
  configured(): readonly Provider[]
  /**
   * The trusted providers with exactly this issuer identifier. Rejects with `ERR_KEYS_UNAVAILABLE` where the application's
   * function throws, gives no valid options, or does not answer in time.
   */
  forIssuer(issuer: string, giveUp?: GiveUp): Promise<readonly Provider[]>
  /** Fetches metadata and keys of the configured providers. Rejects with `ERR_KEYS_UNAVAILABLE`, after trying all. */
  prepare(signal: AbortSignal): Promise<void>
}

export interface ProviderDirectoryOptions {
  /** Epoch seconds, fractions allowed; dates the keys. Default: the system clock. */
  readonly clock?: (() => number) | undefined
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
  if (typeof source === 'function') return new LookedUpProviders(source, clock)
  return new ConfiguredProviders(isList(source) ? source : [source], clock)
}

class ConfiguredProviders implements ProviderDirectory {
  readonly #all: readonly Provider[]
  readonly #byIssuer = new Map<string, readonly Provider[]>()

  constructor(source: readonly ProviderOptions[], clock: () => number) {
    if (source.length === 0) throw new TypeError('provider: the list is empty; name at least one provider')
    this.#all = Object.freeze(source.map((options) => resolveProvider(options, clock)))
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
  /** What the function gave, and what became of it: the same answer again finds its keys still there. */
  readonly #known = new LRUCache<string, { readonly options: ProviderOptions; readonly provider: Provider }>({
    max: MAX_LOOKED_UP_PROVIDERS,
  })

  constructor(lookUp: ProviderLookup, clock: () => number) {
    this.#lookUp = lookUp
    this.#clock = clock
  }

  configured(): readonly Provider[] {
    return []
  }

  async forIssuer(issuer: string, giveUp?: GiveUp): Promise<readonly Provider[]> {
    if (issuer === '' || issuer.length > MAX_ISSUER_LENGTH) return []
    const deadline = AbortSignal.timeout(LOOKUP_TIMEOUT_SECONDS * 1000)
    try {
      const asked = unlessAborted(this.#ask(issuer), deadline)
      const options = await (giveUp === undefined ? asked : unlessAborted(asked, giveUp()))
      return options === undefined ? [] : [this.#provider(issuer, options)]
    } catch (cause) {
      throw new KeysUnavailableError('provider_lookup_failed', cause)
    }
  }

  async prepare(): Promise<void> {}

  async #ask(issuer: string): Promise<ProviderOptions | undefined> {
    return this.#lookUp(issuer)
  }

  #provider(issuer: string, options: ProviderOptions): Provider {
    const known = this.#known.get(issuer)
    if (known !== undefined && isDeepStrictEqual(known.options, options)) return known.provider
    // A copy, so that the application may change and give the same object again.
    const copy = structuredClone(options)
    const provider = resolveProvider(copy, this.#clock)
    if (provider.client.issuer !== issuer) {
      throw new TypeError('provider: the function was asked for one issuer and gave the options of another')
    }
    this.#known.set(issuer, { options: copy, provider })
    return provider
  }
}

function isList(source: ProviderOptions | readonly ProviderOptions[]): source is readonly ProviderOptions[] {
  return Array.isArray(source)
}

// Wires introspection, cache, middleware and eviction endpoint into the object an API holds. Every option, its default
// and its boot-time check are here; no rule is.
import { elapsedBy, isLate, within } from '../deadline.js'
import { type EventListener, emitter } from '../events.js'
import { outline } from '../http/outline.js'
import type { ClaimsEvictor, EndedClaims } from '../logout/claims-evictor.js'
import { DEFAULT_TOLERANCE_SECONDS } from '../marks/covering.js'
import { tokenKey } from '../marks/target.js'
import { listenerOf } from '../mistakes/console-warnings.js'
import { apiReads } from '../mistakes/mistake-watch.js'
import {
  assertNumber,
  assertNumberIfGiven,
  assertOptions,
  functionIfGiven,
  type OptionNames,
} from '../option-checks.js'
import { admittedTokens, type TokenHandler, type TokenRequest } from './bearer.js'
import { ClaimsCache, type LoadClaims, type LookupOptions, type MarksStore, type Verdict } from './claims-cache.js'
import { type EvictionEndpointOptions, type EvictionHandler, evictionEndpoint } from './eviction-endpoint.js'
import {
  DEFAULT_TIMEOUT_SECONDS,
  type Introspect,
  type IntrospectionOptions,
  introspectionClient,
} from './introspection.js'
import { noVerdict } from './no-verdict.js'
import { type AccessToken, type RequireTokenOptions, requireToken } from './require-token.js'
import { type SignOnOf, signOnReader } from './sign-on-reader.js'
import { deepFreeze, type TokenClaims } from './token-claims.js'

/** Any other way to ask the authorization server: a client of its own, a gateway. Rejects where it cannot tell. */
export interface CustomIntrospection {
  readonly issuer: string
  readonly introspect: Introspect
  /** How long an answer is waited for; after that nobody can tell: 503. Seconds; default 5. */
  readonly timeoutSeconds?: number
}

/** Makes what the application needs out of an answer, once per answer. A rejection is no verdict: 503. */
export type Enrich<Application> = (claims: TokenClaims, token: string) => Application | Promise<Application>

/** Options of `createClaims`. Only `introspection` is required. */
export interface ClaimsOptions<Application> {
  /** Whom to ask about tokens, and as whom. */
  readonly introspection: IntrospectionOptions | CustomIntrospection
  /**
   * The logout store that the receiver writes to. With it every use of a token is weighed against the marks of all
   * nodes. Without it this process knows what `evict` and the eviction endpoint told it, and nothing after a restart.
   */
  readonly store?: MarksStore
  /**
   * Turns an answer into what the application needs, once per answer; kept with it as one entry. A rejection is no
   * verdict (503). The token is given for calls in the user's name, such as UserInfo.
   */
  readonly enrich?: Enrich<Application> | undefined
  /**
   * Where an authorization server tells whose a token is by other claims than `iss`, `client_id`, `sub`, `sid`,
   * `auth_time` and `iat`. Gets what those say. Leave `authTime` out where logins without a password prompt must
   * survive a logout of the `sub`.
   */
  readonly signOnOf?: SignOnOf
  /**
   * Longest life of a cached answer; a smaller `exp` wins. Bounds what nobody tells us, such as a revocation. Seconds;
   * default 60.
   */
  readonly maximumLifetimeSeconds?: number
  /** Life of a cached refusal, kept apart. Seconds; default 5, at most 60; 0: none. */
  readonly negativeLifetimeSeconds?: number
  /** Most answers kept; the least recently used goes first. Default 10,000. */
  readonly maxEntries?: number
  /** Most refusals kept. Default 1,000. */
  readonly maxNegativeEntries?: number
  /** Longest life of an access token at this authorization server. Seconds; default 3600. */
  readonly tokenLifetimeSeconds?: number
  /** Longest life of a session of the Relying Party, where new tokens come from. Seconds; default 30 days. */
  readonly sessionLifetimeSeconds?: number
  /**
   * How long marks are kept: at least as long as any session, token and cached answer, plus the tolerance of 60 s.
   * Default: exactly that. Seconds.
   */
  readonly marksLifetimeSeconds?: number
  /** Deadline of each store call. Seconds; default 2. */
  readonly storeTimeoutSeconds?: number
  /** Deadline of `enrich`. Seconds; default 5. */
  readonly enrichTimeoutSeconds?: number
  /**
   * Hears `warning`s: answers that could not be had; and once each, a token that outlives marks, and an answer that
   * names no `client_id`. No event holds a token or a claim.
   */
  readonly onEvent?: EventListener
  /** The one clock: epoch seconds, fractions allowed. Default: the system clock. */
  readonly clock?: () => number
}

/** Cached introspection claims that a logout ends. Hand it to the receiver as `claims`. */
export interface Claims<Application> extends ClaimsEvictor {
  /**
   * A handler for the routes of an API (RFC 6750). Sets `req.token`. `TypeError` where the options cannot work.
   */
  requireToken<Req extends TokenRequest = TokenRequest>(options?: RequireTokenOptions<Req>): TokenHandler<Req>
  /** The token that `requireToken` let in with this request, typed. */
  tokenOf(req: object): AccessToken<Application> | undefined
  /** Whether a token may be used now. Rejects with `ERR_NO_VERDICT` where nobody can tell: answer 503, not 401. */
  lookup(token: string, options?: LookupOptions): Promise<Verdict<Application>>
  /**
   * Ends one token, here and on every node that shares the store. Rejects with `ERR_EVICT` if the store did not take
   * it.
   */
  evictToken(token: string): Promise<void>
  evict(ended: EndedClaims): void
  /** Where Relying Parties that do not share the store tell this API about ended tokens (RFC 7009 shape). */
  evictionEndpoint(options: EvictionEndpointOptions): EvictionHandler
  /** What is held now, for gauges. */
  readonly size: ClaimsCache<Application>['size']
  readonly marksLifetimeSeconds: number
}

const DEFAULTS = {
  maximumLifetimeSeconds: 60,
  negativeLifetimeSeconds: 5,
  maxEntries: 10_000,
  maxNegativeEntries: 1_000,
  tokenLifetimeSeconds: 3600,
  sessionLifetimeSeconds: 30 * 24 * 3600,
  storeTimeoutSeconds: 2,
  enrichTimeoutSeconds: 5,
} as const

const MAX_NEGATIVE_LIFETIME_SECONDS = 60

const NAMES: OptionNames<ClaimsOptions<unknown>> = {
  introspection: true,
  store: true,
  enrich: true,
  signOnOf: true,
  maximumLifetimeSeconds: true,
  negativeLifetimeSeconds: true,
  maxEntries: true,
  maxNegativeEntries: true,
  tokenLifetimeSeconds: true,
  sessionLifetimeSeconds: true,
  marksLifetimeSeconds: true,
  storeTimeoutSeconds: true,
  enrichTimeoutSeconds: true,
  onEvent: true,
  clock: true,
}

/** `TypeError` where the options cannot work; it names the option and the remedy. */
export function createClaims(options: ClaimsOptions<undefined> & { readonly enrich?: undefined }): Claims<undefined>
export function createClaims<Application>(
  options: ClaimsOptions<Application> & { readonly enrich: Enrich<Application> },
): Claims<Application>
export function createClaims<Application>(options: ClaimsOptions<Application>): Claims<Application | undefined> {
  const resolved = resolve(options)
  if (options.store !== undefined) apiReads(options.store)
  const emit = emitter(listenerOf(options))
  const cache = new ClaimsCache<Application | undefined>({
    ...resolved,
    load: loader(options, resolved, emit),
    signOnOf: signOnReader({
      issuer: options.introspection.issuer,
      signOnOf: options.signOnOf,
      clock: resolved.clock,
      emit,
    }),
    emit,
  })
  const { keep, tokenOf } = admittedTokens<AccessToken<Application | undefined>>()
  return {
    requireToken: (route = {}) => requireToken((token, how) => cache.lookup(token, how), keep, route),
    tokenOf,
    lookup: async (token, how) => cache.lookup(token, how),
    evictToken: (token) => cache.endToken(tokenKey(token)),
    evict: (ended) => cache.evict(ended),
    evictionEndpoint: (endpoint) => evictionEndpoint((key) => cache.endToken(key), endpoint),
    get size() {
      return cache.size
    },
    marksLifetimeSeconds: resolved.marksLifetimeSeconds,
  }
}

function loader<Application>(
  { introspection, enrich }: ClaimsOptions<Application>,
  { clock, monotonic, enrichTimeoutSeconds }: Pick<Resolved, 'clock' | 'monotonic' | 'enrichTimeoutSeconds'>,
  emit: EventListener,
): LoadClaims<Application | undefined> {
  const introspect =
    'introspect' in introspection
      ? punctual(introspection)
      : introspectionClient(introspection, clock, (error) => emit({ type: 'warning', error }), monotonic)
  return async (token) => {
    const claims = await introspect(token)
    // The text "false" is true to a program: an answer that does not say it as RFC 7662 does is none.
    if (typeof claims !== 'object' || claims === null || typeof claims.active !== 'boolean') {
      throw noVerdict('answer_malformed')
    }
    deepFreeze(claims)
    if (!claims.active || enrich === undefined) return { claims, application: undefined }
    try {
      return { claims, application: await within(enrichTimeoutSeconds, (async () => enrich(claims, token))()) }
    } catch (error) {
      throw noVerdict('enrich_failed', outline(error))
    }
  }
}

/** A promise that never settles would keep its requests, and all that come for the same token, for ever. */
function punctual({ introspect, timeoutSeconds }: CustomIntrospection): Introspect {
  if (typeof introspect !== 'function') {
    throw new TypeError('introspection.introspect must be a function of a token that answers as RFC 7662 says')
  }
  assertNumberIfGiven('introspection.timeoutSeconds', timeoutSeconds, { above: 0, most: 60 })
  const seconds = timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS
  return async (token) => {
    try {
      return await within(seconds, introspect(token))
    } catch (error) {
      throw isLate(error) ? noVerdict('introspection_late', outline(error)) : error
    }
  }
}

function resolve<Application>(options: ClaimsOptions<Application>) {
  if (typeof options?.introspection !== 'object' || options.introspection === null) {
    throw new TypeError('createClaims() needs introspection: { issuer, clientId, clientAuthentication }')
  }
  assertOptions('createClaims()', options, NAMES)
  for (const name of ['enrich', 'signOnOf', 'onEvent', 'clock'] as const) functionIfGiven(name, options[name])
  if (options.store !== undefined && typeof options.store.marks !== 'function') {
    throw new TypeError('store must be the logout store that the receiver writes to')
  }
  const clock = options.clock ?? (() => Date.now() / 1000)
  const clocks = { clock, monotonic: elapsedBy(options.clock) }
  return { ...numbersOf(options), ...clocks, store: options.store, toleranceSeconds: DEFAULT_TOLERANCE_SECONDS }
}

type Resolved = ReturnType<typeof resolve>
type Numbers = Record<keyof typeof DEFAULTS | 'marksLifetimeSeconds', number>

function numbersOf(options: Partial<Numbers>): Numbers {
  const number = (name: keyof typeof DEFAULTS) => options[name] ?? DEFAULTS[name]
  const given = {
    maximumLifetimeSeconds: number('maximumLifetimeSeconds'),
    negativeLifetimeSeconds: number('negativeLifetimeSeconds'),
    maxEntries: number('maxEntries'),
    maxNegativeEntries: number('maxNegativeEntries'),
    tokenLifetimeSeconds: number('tokenLifetimeSeconds'),
    sessionLifetimeSeconds: number('sessionLifetimeSeconds'),
    storeTimeoutSeconds: number('storeTimeoutSeconds'),
    enrichTimeoutSeconds: number('enrichTimeoutSeconds'),
  }
  for (const [name, value] of Object.entries(given)) {
    if (name !== 'negativeLifetimeSeconds') assertNumber(name, value, { above: 0, isWhole: name.endsWith('Entries') })
  }
  assertNumber('negativeLifetimeSeconds', given.negativeLifetimeSeconds, {
    most: MAX_NEGATIVE_LIFETIME_SECONDS,
    remedy: 'a token may become valid any moment',
  })
  return { ...given, marksLifetimeSeconds: marksLifetime(options.marksLifetimeSeconds, given) }
}

/** A mark that is forgotten before what it denies has expired would let it live again. */
function marksLifetime(wanted: number | undefined, longest: Omit<Numbers, 'marksLifetimeSeconds'>): number {
  const { tokenLifetimeSeconds, sessionLifetimeSeconds, maximumLifetimeSeconds } = longest
  const least =
    Math.max(tokenLifetimeSeconds, sessionLifetimeSeconds, maximumLifetimeSeconds) + DEFAULT_TOLERANCE_SECONDS
  const seconds = wanted ?? least
  assertNumber('marksLifetimeSeconds', seconds, {
    least,
    remedy:
      'that is the largest of tokenLifetimeSeconds, sessionLifetimeSeconds and maximumLifetimeSeconds, ' +
      `plus ${DEFAULT_TOLERANCE_SECONDS}: lower those, or leave it out`,
  })
  return seconds
}

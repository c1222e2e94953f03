// Every option of the receiver, its default, and the check it passes when the app boots.

import { elapsedBy, LONGEST_DELAY_SECONDS } from './deadline.js'
import type { EventListener } from './events.js'
import type { ClaimsEvictor } from './logout/claims-evictor.js'
import type { OnLogout } from './logout/logged-out.js'
import type { EndedSessions } from './logout/logout-order.js'
import {
  assertNumber,
  assertOptions,
  functionIfGiven,
  LONGEST_LIFETIME_SECONDS,
  type OptionNames,
} from './option-checks.js'
import type { ProviderSource } from './providers/directory.js'
import type { SessionBackend } from './sessions/session-backend.js'
import type { LogoutStore } from './stores/logout-store.js'
import { memoryStore } from './stores/memory-store.js'

/** Options of `createBackchannelLogout`. Only `provider` is required; each default is the safe one. */
export interface BackchannelLogoutOptions<Req = unknown> {
  /** The OpenID Provider, a list of them, or a function of the issuer for those that are known only at run time. */
  readonly provider: ProviderSource
  /** Bindings, marks and completed jtis. Default: `memoryStore()`, which is right for one process only. */
  readonly store?: LogoutStore
  /** The local sessions, e.g. `expressSessions(store)`. Leave it out where sessions are stateless and use `guard`. */
  readonly sessions?: SessionBackend<Req>
  /** Cached introspection claims, to be evicted by each logout. */
  readonly claims?: ClaimsEvictor
  /** Hears everything that happens; for logs, metrics and audit. */
  readonly onEvent?: EventListener
  /**
   * Where no `onEvent` listens, mistakes in the set-up are printed to standard error, each once, with a code and what
   * to do; `false` silences them. Default: true. `NODE_DEBUG=oidc-backchannel-logout` prints every event.
   */
  readonly warnings?: boolean
  /**
   * Receives the sessions that a logout ended, after they were marked and destroyed: close their sockets and streams
   * here. If it throws or rejects, the logout counts as failed and is tried again, so it may be called more than once
   * for a session.
   */
  readonly onSessionsEnded?: (ended: EndedSessions) => void | Promise<void>
  /**
   * Hears who was logged out, for an audit log or a notice to the user: **personal data**, see docs/privacy.md. Called
   * once for each logout, when it is complete or given up; nothing waits for it, and its failure is the event `warning`
   * (`ERR_HOOK`).
   */
  readonly onLogout?: OnLogout
  /**
   * Longest life of a stateless session, and how long marks and bindings are kept; a session of a store that is used or
   * may be kept longer keeps its binding as long. Seconds; default 30 days.
   */
  readonly sessionLifetimeSeconds?: number
  /** From request to answer. Seconds; default 2, since OPs wait as little as 2.5. */
  readonly answerDeadlineSeconds?: number
  /** Deadline of each store call, destruction and hook. Seconds; default 5. What is late goes on in the background. */
  readonly stepTimeoutSeconds?: number
  /** How long an unfinished logout is tried again in the background. Seconds; default 3600; 0: not at all. */
  readonly retryForSeconds?: number
  /** Largest request body. Bytes; default 65,536. */
  readonly bodyLimitBytes?: number
  /** The one clock: epoch seconds, fractions allowed. Default: the system clock. */
  readonly clock?: () => number
}

const DEFAULTS = {
  sessionLifetimeSeconds: 30 * 24 * 3600,
  answerDeadlineSeconds: 2,
  stepTimeoutSeconds: 5,
  retryForSeconds: 3600,
  bodyLimitBytes: 65_536,
} as const

const NAMES: OptionNames<BackchannelLogoutOptions> = {
  provider: true,
  store: true,
  sessions: true,
  claims: true,
  onEvent: true,
  warnings: true,
  onSessionsEnded: true,
  onLogout: true,
  sessionLifetimeSeconds: true,
  answerDeadlineSeconds: true,
  stepTimeoutSeconds: true,
  retryForSeconds: true,
  bodyLimitBytes: true,
  clock: true,
}

const STORE_METHODS = [
  'bind',
  'rebind',
  'renew',
  'addTokens',
  'read',
  'list',
  'marks',
  'isBound',
  'endSessions',
  'unbind',
  'begin',
  'complete',
] as const satisfies readonly (keyof LogoutStore)[]

/** Checks what the app was started with. `TypeError` names the option and what it should be. */
export function resolveOptions<Req>(options: BackchannelLogoutOptions<Req>) {
  if (typeof options !== 'object' || options === null) {
    throw new TypeError('createBackchannelLogout() needs options, at least { provider: { issuer, clientId } }')
  }
  assertOptions('createBackchannelLogout()', options, NAMES)
  const clock = options.clock ?? (() => Date.now() / 1000)
  const resolved = {
    ...DEFAULTS,
    ...withoutUndefined(options),
    clock,
    monotonic: elapsedBy(options.clock),
    store: options.store ?? memoryStore({ clock }),
  }
  const delay = { above: 0, most: LONGEST_DELAY_SECONDS }
  assertNumber('sessionLifetimeSeconds', resolved.sessionLifetimeSeconds, { above: 0, most: LONGEST_LIFETIME_SECONDS })
  assertNumber('answerDeadlineSeconds', resolved.answerDeadlineSeconds, delay)
  assertNumber('stepTimeoutSeconds', resolved.stepTimeoutSeconds, delay)
  assertNumber('bodyLimitBytes', resolved.bodyLimitBytes, { above: 0 })
  assertNumber('retryForSeconds', resolved.retryForSeconds, {
    most: LONGEST_DELAY_SECONDS,
    remedy: '0 is for no retries',
  })
  functionIfGiven('clock', options.clock)
  if (options.warnings !== undefined && typeof options.warnings !== 'boolean') {
    throw new TypeError('warnings must be true or false')
  }
  functionIfGiven('onEvent', options.onEvent)
  functionIfGiven('onSessionsEnded', options.onSessionsEnded)
  functionIfGiven('onLogout', options.onLogout)
  for (const method of STORE_METHODS) {
    if (typeof resolved.store[method] !== 'function') {
      throw new TypeError(`store must be a logout store such as memoryStore(); it has no method "${method}"`)
    }
  }
  if (options.sessions !== undefined && (options.sessions === null || typeof options.sessions.protect !== 'function')) {
    throw new TypeError(
      'sessions must be a session backend such as expressSessions(sessionStore), not the session store itself',
    )
  }
  if (options.claims !== undefined && typeof options.claims.evict !== 'function') {
    throw new TypeError('claims must be a claims cache, as createClaims() makes it')
  }
  return resolved
}

function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}

// What a logout tells a cache of introspection answers. Knows no cache.
import type { Mark } from '../marks/covering.js'
import type { TargetKey } from '../marks/target.js'

/** A logout that has been marked in the store, as far as cached claims are concerned. Hashed keys only. */
export interface EndedClaims {
  readonly target: TargetKey
  /** The target's mark as it stands in the store. */
  readonly mark: Mark
  /** Keys (`tokenKey`) of the access tokens that were recorded with the ended sessions. */
  readonly tokenKeys: readonly string[]
}

/**
 * Drops and denies what a logout covers. Called by the engine after the marks are written and before sessions are
 * destroyed. When it returns or resolves, nothing that it covers is served any more; a rejection fails the logout,
 * which is then tried again: calls are idempotent and may come in any order.
 */
export interface ClaimsEvictor {
  evict(ended: EndedClaims): void | Promise<void>

  /**
   * Marks must be kept at least this long, or a token could outlive the mark that denies it. Seconds, tolerance
   * included. Read once, when the app boots.
   */
  readonly marksLifetimeSeconds?: number
}

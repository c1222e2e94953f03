// What is ordered of the engine, and what it says came of it. Knows no token and no store.
import type { LogoutError } from '../errors.js'
import type { LogoutReason } from '../events.js'
import type { Client, LogoutTarget, TargetKey } from '../marks/target.js'
import type { RefreshTokenPolicy } from '../providers/logout-policy.js'
import type { JtiKey } from '../stores/logout-store.js'

/** A believed logout. */
export interface LogoutOrder {
  readonly client: Client
  readonly key: TargetKey
  /** What `key` is of, in plain text: for `onLogout` alone. */
  readonly target?: LogoutTarget | undefined
  /** The target is anybody's word, so `onLogout` is to hear of it only where it was somebody's session. */
  readonly isHearsay?: boolean | undefined
  /** `iat` of the Logout Token; absent where no token is behind it. */
  readonly issuedAt?: number | undefined
  readonly jti?: JtiKey | undefined
  readonly reason: LogoutReason
  readonly revokeOfflineAccess: boolean
  /** By the policy of the provider, where that was at hand. */
  readonly refreshTokens?: RefreshTokenPolicy | undefined
}

/** What came of a logout. */
export interface LogoutResult {
  /**
   * Nothing of what the target named survives here. False: it is denied all the same, and tried again in the
   * background.
   */
  readonly complete: boolean
  /** The durable mark is written: whatever else failed, no node lets these sign-ons in. */
  readonly marked: boolean
  /** Sessions that the target named. */
  readonly found: number
  readonly destroyed: number
  readonly failed: number
  /** The logout of this very message was completed before, and nothing was done. Only where a message was given. */
  readonly replayed?: boolean
  /** What kept it from being complete. */
  readonly error?: LogoutError
}

/** The sessions that were ended. Ids are credentials: use them to close connections, keep them out of logs. */
export interface EndedSessions {
  /** Of the sign-on; absent after a local logout where several clients are configured. */
  readonly issuer: string | undefined
  readonly clientId: string | undefined
  /** The ids of the sessions, and those that this process knows them to have had before. */
  readonly sessionIds: readonly string[]
  /** `logout-token`, `local-logout`, or the word given to `terminate`. */
  readonly reason: LogoutReason
}

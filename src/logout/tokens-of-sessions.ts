// What a logout asks of whoever knows the refresh tokens of the sessions that it is about to destroy. Knows no
// provider.
import type { LogoutReason } from '../events.js'
import type { Client } from '../marks/target.js'
import type { RefreshTokenPolicy } from '../providers/logout-policy.js'

/** Of one logout: whose sessions, by what they end, and whether its token asks for offline tokens as well. */
export interface EndingSessions {
  readonly client: Client
  readonly reason: LogoutReason
  readonly revokeOfflineAccess: boolean
  /** What the policy of the provider says of it, where that is known already. */
  readonly refreshTokens?: RefreshTokenPolicy | undefined
  readonly sessionIds: readonly string[]
}

/** To be called when the logout has its answer: begins what was put off until then. */
export type Afterwards = () => void

export interface TokensOfSessions {
  /** Whether sessions must be looked at before they go. */
  readonly isWanted: boolean
  /** The sessions are marked, and their rows are there still. Takes a moment at most, and never rejects. */
  keep(ending: EndingSessions): Promise<Afterwards>
}

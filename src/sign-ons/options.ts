// What every part of this room is given when the receiver is made, and the deadline that each of its store calls has.
import type { EventListener } from '../events.js'
import type { ClaimsEvictor } from '../logout/claims-evictor.js'
import type { DeniedHere } from '../logout/denied-here.js'
import type { TellLogout } from '../logout/logged-out.js'
import type { PassOptions } from '../logout/pass.js'
import { DEFAULT_TOLERANCE_SECONDS } from '../marks/covering.js'
import type { Client } from '../marks/target.js'
import type { MistakeWatch } from '../mistakes/mistake-watch.js'
import type { SessionBackend } from '../sessions/session-backend.js'
import type { LogoutStore } from '../stores/logout-store.js'
import type { StoreClock } from '../stores/store-clock.js'
import type { SessionStoreMemory } from './session-store-memory.js'

export { step } from '../logout/hooks.js'

export interface SignOnsOptions {
  readonly store: LogoutStore
  readonly claims: ClaimsEvictor | undefined
  readonly onSessionsEnded?: PassOptions['onSessionsEnded']
  /** Ids that a session had before at other nodes. */
  readonly earlierIdsElsewhere?: ((sessionId: string) => readonly string[]) | undefined
  /** A session was found alive here. */
  readonly seen?: ((sessionId: string) => void) | undefined
  /** Tells the application who was logged out. */
  readonly tell?: TellLogout | undefined
  /** Whose sign-on a session is, as its own store has it: asked only where there is somebody to `tell`. */
  readonly namesOf?: SessionBackend<never>['namesOf'] | undefined
  /** Whether a session is still in its own store, where that can be said. */
  readonly hasRow?: SessionBackend<never>['hasRow'] | undefined
  readonly endedHere?: PassOptions['endedHere']
  readonly tokens?: PassOptions['tokens']
  readonly destroySession: (sessionId: string) => Promise<void>
  readonly deniedHere: DeniedHere
  /** Of the session store, with all receivers over it. Absent: of this receiver alone. */
  readonly memory?: SessionStoreMemory
  readonly emit: EventListener
  /** Is told of sessions that nobody bound. */
  readonly mistakes?: Pick<MistakeWatch, 'report' | 'metUnboundUser'>
  readonly storeClock: StoreClock
  readonly clock: () => number
  readonly sessionLifetimeSeconds: number
  readonly marksLifetimeSeconds: number
  readonly stepTimeoutSeconds: number
  /** How long what could not be done now is tried again. */
  readonly retryForSeconds: number
  /** The client, where there is one only. */
  readonly client?: Client | undefined
  /** Of the clients that are configured; absent where a function decides. */
  readonly identity?: string | undefined
}

/**
 * Until when the end of a session id is kept: longer than any row that was written before, since rows end by other
 * clocks than the store's.
 */
export function sessionMarksExpireAt({
  storeClock,
  sessionLifetimeSeconds,
}: Pick<SignOnsOptions, 'storeClock' | 'sessionLifetimeSeconds'>): number {
  return storeClock.expiry(sessionLifetimeSeconds + DEFAULT_TOLERANCE_SECONDS)
}

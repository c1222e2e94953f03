// What every part of this room is given when the receiver is made, and the deadline that each of its store calls has.
import { within } from '../deadline.js'
import type { EventListener } from '../events.js'
import type { ClaimsEvictor } from '../logout/claims-evictor.js'
import type { DeniedHere } from '../logout/denied-here.js'
import type { TellLogout } from '../logout/logged-out.js'
import type { PassOptions } from '../logout/pass.js'
import type { Client } from '../marks/target.js'
import type { MistakeWatch } from '../mistakes/mistake-watch.js'
import type { LogoutStore } from '../stores/logout-store.js'
import type { StoreClock } from '../stores/store-clock.js'

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
  readonly endedHere?: PassOptions['endedHere']
  readonly destroySession: (sessionId: string) => Promise<void>
  readonly deniedHere: DeniedHere
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

/** One call of a store, a session store or a hook, which must not hang its caller. */
export function step<T>({ stepTimeoutSeconds }: Pick<SignOnsOptions, 'stepTimeoutSeconds'>, work: Promise<T>) {
  return within(stepTimeoutSeconds, work)
}

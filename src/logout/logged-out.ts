// Tells the application who was logged out, where it wants to know: personal data, so nothing is gathered where nobody
// asks. Decides nothing: no logout waits for it, and none is undone by it.
import type { EventListener, LogoutReason } from '../events.js'
import type { Client } from '../marks/target.js'
import { hook } from './hooks.js'
import { isInterimId } from './interim-ids.js'

/**
 * Who was logged out, and of which sessions. Personal data and credentials: see docs/privacy.md before you write it
 * down.
 */
export interface LoggedOut {
  /** Of the sign-on; `undefined` after a local logout where several clients are configured. */
  readonly issuer: string | undefined
  readonly clientId: string | undefined
  /**
   * As the Logout Token, the target or the stateless sign-on has it; after a local logout as the row of the session has
   * it, which `bind` wrote there. Absent where that names none: a logout by `sid` alone, and a local logout whose row
   * was bound without `onLogout`, is gone, or is of a session backend that keeps no names.
   */
  readonly sub?: string
  /** Likewise. Without it, every session of `sub` was meant. */
  readonly sid?: string
  /**
   * Sessions that it ended; none where the session is a cookie, or nobody was signed in any more. Ids are credentials.
   */
  readonly sessionIds: readonly string[]
  /** `logout-token`, `front-channel`, `local-logout`, or the word given to `terminate`. */
  readonly reason: LogoutReason
  /** False: the sign-on is denied, and something of it could not be cleared away; the events and errors say what. */
  readonly complete: boolean
}

/** Of the option `onLogout`. */
export type OnLogout = (loggedOut: LoggedOut) => void | Promise<void>

/** Returns at once, and never throws. */
export type TellLogout = (
  client: Client | undefined,
  who: { readonly sub?: string | undefined; readonly sid?: string | undefined },
  what: Pick<LoggedOut, 'sessionIds' | 'reason' | 'complete'>,
) => void

/** `undefined` where nobody wants to know. */
export function tellLogout(
  onLogout: OnLogout | undefined,
  { emit, stepTimeoutSeconds }: { readonly emit: EventListener; readonly stepTimeoutSeconds: number },
): TellLogout | undefined {
  if (onLogout === undefined) return undefined
  return (client, { sub, sid }, { sessionIds, reason, complete }) => {
    const call = () =>
      onLogout({
        issuer: client?.issuer,
        clientId: client?.clientId,
        ...(sub !== undefined && { sub }),
        ...(sid !== undefined && { sid }),
        sessionIds: sessionIds.filter((id) => !isInterimId(id)),
        reason,
        complete,
      })
    void hook(['ERR_HOOK', 'The hook onLogout failed', 'onLogout'], call, { stepTimeoutSeconds }).then((error) => {
      if (error !== undefined) emit({ type: 'warning', error })
    })
  }
}

// What happened, for logs, metrics and audit. No event holds a token, `sub`, `sid`, `jti`, session id or claim value;
// only the `cause` of an error, which is a driver's or the network's own words, may.
import { channel } from 'node:diagnostics_channel'
import type { LogoutError } from './errors.js'

/** Why a logout was begun. `logout-token`: the OP said so. Anything else is the caller's own word to `terminate`. */
export type LogoutReason = 'logout-token' | (string & {})

/** A step of what an event tells of. */
export interface StepTaken<Step extends string> {
  readonly step: Step
  /** Between the beginning of the whole and that of the step. */
  readonly afterSeconds: number
  readonly durationSeconds: number
  readonly failed: boolean
}

/** `mark`: the replay check, the mark and the sessions that it covers. `remember`: their bindings and the `jti`. */
export type LogoutStep = 'mark' | 'evict' | 'keep-tokens' | 'destroy' | 'announce' | 'remember' | 'reopen'

interface AboutLogout {
  /** As configured, never as claimed by a token. */
  readonly issuer: string
  readonly clientId: string
  readonly scope: 'sid' | 'sub' | 'token'
  readonly reason: LogoutReason
  /** Sessions that the target named and the mark covers. */
  readonly found: number
  readonly destroyed: number
  readonly failed: number
  /** Sessions found by `sid` and left alone because they belong to another `sub`. */
  readonly mismatched: number
  /**
   * Sessions that were bound without a `sid` and are ended since the token's `sub` is theirs: which it meant, nobody
   * can tell.
   */
  readonly withoutSid: number
  /** Rows that the logout store was told to delete and did not find, so that they went through the session store. */
  readonly notDeleted: number
  readonly durationSeconds: number
  /** True where the answer had been given before: a retry of this process's own. */
  readonly background: boolean
  /** The steps of the pass that came to this, in the order in which they ended; the first hundred where it has many. */
  readonly steps: readonly StepTaken<LogoutStep>[]
}

/** What happened. `type` tells which; durations are in seconds. */
export type LogoutEvent =
  /** A logout is complete: nothing of these sign-ons is left here. */
  | ({
      readonly type: 'logout'
      /** Keycloak's sign that offline refresh tokens are dead as well. */
      readonly revokeOfflineAccess: boolean
    } & AboutLogout)
  /** A verified logout is not complete; `retrying`: this process tries again by itself. */
  | ({
      readonly type: 'logout-failed'
      readonly error: LogoutError
      readonly retrying: boolean
    } & AboutLogout)
  /** A request to the receiver was refused and nothing was done. `error` says by which rule. */
  | { readonly type: 'refused'; readonly status: number; readonly error: LogoutError }
  /**
   * A token of a configured provider and client cannot be verified now, since `error`: it is kept, and judged as soon
   * as keys are at hand; the event `logout`, or `warning` with why not, follows. `issuer` and `clientId` are absent
   * where no provider was found yet.
   */
  | {
      readonly type: 'awaiting-keys'
      readonly issuer?: string
      readonly clientId?: string
      readonly error: LogoutError
      /** Tokens that wait, this one included. */
      readonly waiting: number
    }
  /** A repeat of a completed logout; answered as the provider's `replay` option says. */
  | { readonly type: 'replay'; readonly issuer: string; readonly clientId: string; readonly status: number }
  /** The receiver answered, whatever it was. */
  | {
      readonly type: 'answer'
      readonly status: number
      readonly durationSeconds: number
      /** How the token was read and verified; of a back-channel logout alone. */
      readonly steps?: readonly StepTaken<'read' | 'verify'>[]
    }
  /** A login was bound; `ended`: a logout of that sign-on had come first, and nobody was signed in. */
  | {
      readonly type: 'bound'
      readonly issuer: string
      readonly clientId: string
      readonly ended: boolean
      /**
       * `session_id_reused`: it was the session id that had been ended before, not this sign-on. `session_expired`: by
       * its `session_expiry`, or what else caps it, the login was over before it was bound.
       */
      readonly reason?: 'session_id_reused' | 'session_expired'
    }
  /** The application ended a session itself. */
  | { readonly type: 'unbound' }
  /** A dead session was presented or written again, and stayed dead. */
  | { readonly type: 'resurrection-blocked'; readonly how: 'read' | 'write' | 'request' }
  /** A Logout Token of this process's own, to an RP of which it is the provider: what each attempt came to. */
  | {
      readonly type: 'logout-token-sent'
      readonly clientId: string
      readonly outcome: 'done'
      /** Attempts so far, this one included. */
      readonly attempts: number
      readonly status: number
    }
  | {
      readonly type: 'logout-token-sent'
      readonly clientId: string
      /** `refused` and `given-up` end the matter; `retrying`: it is tried again in the background. */
      readonly outcome: 'refused' | 'retrying' | 'given-up'
      readonly attempts: number
      /** Of the answer; absent where none came. */
      readonly status?: number
      readonly error: LogoutError
    }
  /** The provider was asked whether a session still stands; `away`: it did not say. */
  | { readonly type: 'revalidated'; readonly found: 'live' | 'ended' | 'away' }
  /**
   * The tokens of a sign-on that ended here were revoked at the provider (RFC 7009), or were not; the logout stands in
   * each case. `unsupported`: the provider has no revocation endpoint, or none for such a token.
   */
  | {
      readonly type: 'tokens-revoked'
      readonly issuer: string
      readonly clientId: string
      readonly outcome: 'revoked' | 'unsupported'
    }
  | {
      readonly type: 'tokens-revoked'
      readonly issuer: string
      readonly clientId: string
      readonly outcome: 'failed'
      readonly error: LogoutError
    }
  /**
   * Sessions that ended here were passed on to the applications that hang on them: what the first attempt at each came
   * to.
   */
  | {
      readonly type: 'passed-on'
      /** Of the provider above; absent after a local logout where several clients are configured. */
      readonly issuer: string | undefined
      readonly clientId: string | undefined
      readonly reason: LogoutReason
      readonly hops: readonly {
        /** The application's, at this broker. */
        readonly clientId: string
        readonly outcome: 'done' | 'refused' | 'retrying' | 'given-up' | 'began-it' | 'not-registered' | 'left-alone'
      }[]
    }
  /**
   * Something failed beside a request (an early key fetch, a renewal), or the application is set up in a way that
   * leaves users signed in, or signs them out: `ERR_CONFIGURATION`, each `reason` once.
   */
  | {
      readonly type: 'warning'
      readonly error: LogoutError
      /** How often, where that is counted. */
      readonly times?: number
    }

/** Receives every event. What it throws is not heard. */
export type EventListener = (event: LogoutEvent) => void

const events = channel('oidc-backchannel-logout')

/** Emits to the listener of the options and to the `node:diagnostics_channel` named after this package. */
export function emitter(listener: EventListener | undefined): EventListener {
  return (event) => {
    try {
      const returned: unknown = listener?.(event)
      if (returned instanceof Promise) returned.catch(() => {})
    } catch {
      // A listener reports on logouts; it must never be the reason that one fails, nor that the process ends.
    }
    if (events.hasSubscribers) events.publish(event)
  }
}

const refusedLogins = channel('oidc-backchannel-logout:refused-login')

/**
 * `bind` rejects, which the application hears and nobody else: the testing kit listens in the same process, since test
 * environments print no error and show none.
 */
export function publishRefusedLogin(error: unknown): void {
  if (refusedLogins.hasSubscribers) refusedLogins.publish(error)
}

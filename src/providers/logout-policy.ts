// What each kind of logout ends beyond what its message says, for one provider: the words, their defaults, their check.
// Ends nothing.
import { own } from '../json-object.js'
import { closed, oneOf } from './option-values.js'

/**
 * What becomes of the refresh tokens of the sessions that a logout ends, where `recordIn` says where they are kept.
 *
 * - `kept`: nothing.
 * - `revoked-unless-offline` (default): those that were granted without `offline_access` are revoked, the others are kept
 *   (Back-Channel Logout 1.0, 2.7), unless the Logout Token says `revoke_offline_access`, as Keycloak's do.
 * - `revoked`: each of them, as IPSIE and Global Token Revocation want it.
 */
export type RefreshTokenPolicy = 'kept' | 'revoked-unless-offline' | 'revoked'

/** What one kind of logout ends. */
export interface LogoutEnds {
  readonly refreshTokens?: RefreshTokenPolicy | undefined
}

/** What a Logout Token ends. */
export interface LogoutTokenEnds extends LogoutEnds {
  /**
   * - `named` (default): the session of its `sid`; every session of its `sub` where it names no `sid`.
   * - `of-subject`: every session of its `sub`, also where it names a `sid`. A token without `sub` ends what it names.
   */
  readonly sessions?: 'named' | 'of-subject' | undefined
}

/** What each kind of logout ends. Each default is the letter of its specification. */
export interface LogoutPolicy {
  /** A Logout Token of the provider's (Back-Channel Logout 1.0). */
  readonly logoutToken?: LogoutTokenEnds | undefined
  /** A request of the front channel (Front-Channel Logout 1.0). It ends one `sid`, never a `sub`. */
  readonly frontChannel?: LogoutEnds | undefined
  /** `terminate` and `sessions.end`: an administrator, a leaver process, "your devices". */
  readonly terminate?: LogoutEnds | undefined
}

/** Decided `LogoutPolicy`. */
export interface DecidedPolicy {
  readonly logoutToken: Readonly<Required<{ [K in keyof LogoutTokenEnds]: NonNullable<LogoutTokenEnds[K]> }>>
  readonly frontChannel: { readonly refreshTokens: RefreshTokenPolicy }
  readonly terminate: { readonly refreshTokens: RefreshTokenPolicy }
}

const REFRESH_TOKENS = ['revoked-unless-offline', 'kept', 'revoked'] as const
const SESSIONS = ['named', 'of-subject'] as const

/** @throws TypeError for a word that it does not have */
export function logoutPolicy(given: unknown = {}): DecidedPolicy {
  const all = closed('provider option policy', given, { logoutToken: true, frontChannel: true, terminate: true })
  const ends = (kind: keyof LogoutPolicy, names: Readonly<Record<string, true>> = { refreshTokens: true }) => {
    const said = closed(`provider option policy.${kind}`, own(all, kind) ?? {}, names)
    return (name: string) => own(said, name)
  }
  const token = ends('logoutToken', { refreshTokens: true, sessions: true })
  const refreshTokens = (kind: keyof LogoutPolicy, said: unknown) =>
    Object.freeze({ refreshTokens: oneOf(`policy.${kind}.refreshTokens`, said, REFRESH_TOKENS) })
  return Object.freeze({
    logoutToken: Object.freeze({
      ...refreshTokens('logoutToken', token('refreshTokens')),
      sessions: oneOf('policy.logoutToken.sessions', token('sessions'), SESSIONS),
    }),
    frontChannel: refreshTokens('frontChannel', ends('frontChannel')('refreshTokens')),
    terminate: refreshTokens('terminate', ends('terminate')('refreshTokens')),
  })
}

// What users hold: every method of the receiver and what it promises. Does nothing itself.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { LogoutReason } from './events.js'
import type { ApplicationListener, ListenerOptions } from './http/listener.js'
import type { NodeHandler } from './http/node.js'
import type { WebHandler } from './http/web.js'
import type { BoundsOptions, LogoutBounds } from './logout/bounds.js'
import type { Health } from './logout/health.js'
import type { LogoutResult } from './logout/logout-order.js'
import type { OrderingMessage } from './logout/ordering-message.js'
import type { LogoutTarget } from './marks/target.js'
import type { EndSessionOptions } from './outbound/end-session.js'
import type { TokensRevoked, TokensToRevoke } from './outbound/revoke-tokens.js'
import type { RpInitiatedLogout } from './outbound/rp-initiated-logout.js'
import type { FrontchannelHandler, FrontchannelReceiverOptions } from './receivers/frontchannel.js'
import type { ConnectHandler, GuardOptions } from './sessions/stateless-guard.js'
import type { AboutLogin, LoginTokens } from './sign-ons/login.js'
import type { SessionPage } from './sign-ons/session-list.js'
import type { StatelessSignOn } from './sign-ons/stateless.js'

/** The receiver and what belongs to it; made by `createBackchannelLogout`. */
export interface BackchannelLogout<Req = unknown> {
  /**
   * The handler for the `backchannel_logout_uri`, for Express 4 and 5 and Node's http. Mount it before session, CSRF
   * and login middleware: many OPs follow redirects and would take a login page's 200 for success. Body parsers may
   * come before or after.
   *
   * @throws TypeError where it is mounted itself, without its parentheses, at the first request
   */
  readonly receiver: (...none: never[]) => NodeHandler
  /**
   * The receiver in front of a whole application: `http.createServer(logout.listener(app, { path }))`. No middleware,
   * parser, login wall or CSRF check of `app` can stand before it. Requests of every other path reach `app` as they
   * came.
   *
   * @throws TypeError for an `app` that is no function, or a `path` that cannot arrive
   */
  listener(app: ApplicationListener, options: ListenerOptions): ApplicationListener
  /** The same for Web `Request` and `Response`: `export const POST = logout.fetch`. Rejects only for what is no `Request`. */
  readonly fetch: WebHandler
  /**
   * Ties a login to its local session, once the session id is final and before the response. `claims` are those of the
   * validated ID Token of this login. `ended`: a logout of this sign-on arrived first; the session is destroyed and
   * nobody is signed in.
   *
   * @throws LogoutError `ERR_ID_TOKEN` if the claims are not of a configured provider, `ERR_STORE` if the login could
   * not be recorded, `ERR_KEYS_UNAVAILABLE` if a provider function failed; in each case the login does not stand.
   */
  bind(req: Req, claims: IdTokenClaims | undefined, about?: AboutLogin): Promise<{ readonly ended: boolean }>
  /** Records further access tokens, as a refresh brings them, with a bound session. `ended` as in `bind`. */
  addTokens(req: Req, tokens: LoginTokens): Promise<{ readonly ended: boolean }>
  /** A local logout: the session is marked, destroyed and unbound; a request still under way does not bring it back. */
  unbind(req: Req): Promise<void>
  /**
   * Whoever signs in here now is nobody's sign-on, e.g. by a password, in a browser that may carry one of the OP. Call
   * it once the user is known and right before `req.session.regenerate()` or passport's `req.login()`: the sign-on that
   * the session carried ends as by `unbind`, and is not carried on to the new session id.
   */
  detach(req: Req): Promise<void>
  /**
   * Ends a target without a Logout Token: an administrator, a leaver process, another protocol. Idempotent; never
   * rejects at run time: read `complete`. Waits `deadlineSeconds` (default 10), and goes on in the background after
   * that.
   */
  terminate(target: LogoutTarget, options?: TerminateOptions<Req>): Promise<LogoutResult>
  /** The sessions of a target, for a page that shows a user their devices; and the end of one of them. */
  readonly sessions: SessionsOfTarget<Req>
  /**
   * For stateless sessions: the record of a login to be kept in the cookie, or `undefined` if a logout of it had come
   * first.
   *
   * @throws LogoutError as `bind`
   */
  signOn(
    claims: IdTokenClaims | undefined,
    about?: Pick<AboutLogin, 'startedAt' | 'sessionExpiresAt'>,
  ): Promise<StatelessSignOn | undefined>
  /**
   * For stateless sessions: a local logout. Ends this one sign-on, wherever a copy of its cookie is; the user's other
   * devices stay, and signing in again by the OP's session works at once. Without a record it does nothing.
   *
   * @throws LogoutError `ERR_STORE` if that could not be marked: clear the cookie all the same
   */
  end(signOn: StatelessSignOn | null | undefined): Promise<void>
  /**
   * For stateless sessions: whether such a record still counts. Where nobody knows, rejects with `NoVerdictError`,
   * whose `getResponse()` is the answer to give.
   */
  isLive(signOn: StatelessSignOn): Promise<boolean>
  /** For stateless sessions: Express middleware that asks on each request about the record which `read` finds in it. */
  guard<R extends IncomingMessage, S extends ServerResponse = ServerResponse>(
    read: (req: R) => StatelessSignOn | null | undefined | Promise<StatelessSignOn | null | undefined>,
    options?: GuardOptions<R, S>,
  ): ConnectHandler<R, S>
  /**
   * RP-Initiated Logout 1.0: what begins here and goes on to the OP. Make it once, beside the receiver.
   *
   * @throws TypeError for options that cannot be meant
   */
  rpInitiatedLogout(options: EndSessionOptions): RpInitiatedLogout<Req>
  /**
   * Token revocation (RFC 7009), for a logout that goes to no OP: end the session first, then call this. The provider
   * needs the option `clientAuthentication`. Never rejects at run time, and takes 5 seconds at most: read `outcome`.
   * The event `tokens-revoked` says it as well.
   *
   * @throws TypeError for tokens that are none, or of a client that is not configured
   */
  revokeTokens(tokens: TokensToRevoke): Promise<TokensRevoked>
  /**
   * The handler for the `frontchannel_logout_uri` (OpenID Connect Front-Channel Logout 1.0), for OPs that have no back
   * channel. One channel for each client is enough: register the back channel where the OP has it.
   */
  frontchannelReceiver(options?: FrontchannelReceiverOptions): FrontchannelHandler
  /**
   * Fetches metadata and keys ahead of the first Logout Token. Resolves even if the OP is down; the event `warning`
   * says so.
   */
  prepare(): Promise<void>
  /**
   * Whether this process could do its part of a logout now; one question to the store, none to a provider. Never
   * rejects.
   */
  health(): Promise<Health>
  /** How long somebody who is dead at the OP may stay here, by this configuration. `doctor --app` prints it. */
  bounds(options?: BoundsOptions): LogoutBounds
  /**
   * Stops background completion, e.g. when the app shuts down, and gives up what nobody waits for: keys that are
   * fetched ahead, revocations that are owed. These stay in the logout store, for another process or the next start; in
   * a memory store they end with the process, and the refresh tokens live on. Nothing of the receiver keeps the process
   * up then but what is waited for: a request under way, or `revokeTokens`, for 5 s at most.
   *
   * The receiver still answers, and still guards its session store: leave its logout store open while requests come.
   * Without that each of them is answered 503, also of users of another receiver over the same session store, until one
   * is made there after this one was closed (the same once more will do).
   */
  close(): void
}

/** Claims of an ID Token, as any OpenID Connect client library gives them. */
export type IdTokenClaims = Readonly<Record<string, unknown>>

/** See `logout.sessions`. Of sessions that a cookie carries there are no records, so none is listed. */
export interface SessionsOfTarget<Req = unknown> {
  /**
   * Live sessions of the target, the newest first within a page. `current`: the request whose session is marked as its
   * own.
   *
   * @throws LogoutError `ERR_STORE` if they could not be listed; TypeError for a target that is none, or an unknown
   * option
   */
  list(target: LogoutTarget, options?: ListSessionsOptions<Req>): Promise<SessionPage>
  /** How many there are. Walks through all of them. */
  count(target: LogoutTarget): Promise<number>
  /**
   * Ends one of the target's sessions, by its `handle`, as a local logout does. `ended: false`: the target has none of
   * that handle.
   *
   * @throws LogoutError as `unbind`
   */
  end(target: LogoutTarget, handle: string): Promise<{ readonly ended: boolean }>
}

/** Options of `logout.sessions.list`. */
export interface ListSessionsOptions<Req = unknown> {
  readonly current?: Req | undefined
  /** `cursor` of the page before. */
  readonly cursor?: string | undefined
}

/** How `terminate` ends a target, and how long it is waited for. */
export interface TerminateOptions<Req = unknown> {
  /**
   * "My other devices": the session of this request is spared, and each other one is ended by its own mark. A login
   * that is under way meanwhile, and sessions that a cookie carries, are spared as well. What could not be ended is not
   * tried again by itself.
   */
  readonly except?: Req | undefined
  /**
   * The provider's own message that orders it, which you have verified: a SAML LogoutRequest, a security event. Then
   * the logout is dated by it, as by a Logout Token, and acted on once: `replayed` says so of a repeat.
   */
  readonly message?: OrderingMessage | undefined
  /** Your own word for why; it appears in events. Default `terminated`. */
  readonly reason?: LogoutReason
  readonly deadlineSeconds?: number
}

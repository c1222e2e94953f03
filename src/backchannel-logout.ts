// Wires the rooms into the object that users hold. Every decision is made further down.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { monotonicSeconds, within } from './deadline.js'
import { LogoutError } from './errors.js'
import { type EventListener, emitter, type LogoutEvent, type LogoutReason } from './events.js'
import { type ApplicationListener, inFrontOf, type ListenerOptions } from './http/listener.js'
import { type NodeHandler, nodeHandler } from './http/node.js'
import { type WebHandler, webHandler } from './http/web.js'
import { type BoundsOptions, boundsOf, type LogoutBounds } from './logout/bounds.js'
import { DeniedHere } from './logout/denied-here.js'
import { EndsElsewhere } from './logout/ends-elsewhere.js'
import { LogoutEngine } from './logout/engine.js'
import { type Health, healthOf } from './logout/health.js'
import { tellLogout } from './logout/logged-out.js'
import type { LogoutOrder, LogoutResult } from './logout/logout-order.js'
import { announceEnded } from './logout/pass.js'
import { DEFAULT_TOLERANCE_SECONDS } from './marks/covering.js'
import { type Client, type LogoutTarget, sidKey, targetKey, tokenKey } from './marks/target.js'
import { consoleWarnings, debugEvents } from './mistakes/console-warnings.js'
import { watchMistakes } from './mistakes/mistake-watch.js'
import { responseOf, watchedOutcome } from './mistakes/unread-outcome.js'
import { assertOptions, isText } from './option-checks.js'
import { type BackchannelLogoutOptions, resolveOptions } from './options.js'
import type { EndSessionOptions } from './outbound/end-session.js'
import {
  assertTokens,
  notRevoked,
  type TokensRevoked,
  type TokensToRevoke,
  tokenRevocation,
} from './outbound/revoke-tokens.js'
import { type RpInitiatedLogout, rpInitiatedLogout } from './outbound/rp-initiated-logout.js'
import { providerDirectory } from './providers/directory.js'
import { logoutEndpoints } from './providers/logout-endpoints.js'
import { backchannelReceiver, orderOf } from './receivers/backchannel.js'
import {
  type FrontchannelHandler,
  type FrontchannelReceiverOptions,
  frontchannelReceiver,
} from './receivers/frontchannel.js'
import { KeptTokens } from './receivers/kept-tokens.js'
import type { LocalSession } from './sessions/session-backend.js'
import { type ConnectHandler, type GuardOptions, statelessGuard } from './sessions/stateless-guard.js'
import { type AboutLogin, type Login, type LoginTokens, loginOf, sidExpected } from './sign-ons/login.js'
import type { SessionPage } from './sign-ons/session-list.js'
import { SignOns } from './sign-ons/sign-ons.js'
import type { StatelessSignOn } from './sign-ons/stateless.js'
import type { BoundedReads } from './stores/bounded-reads.js'
import type { LogoutStore } from './stores/logout-store.js'
import { isMemoryStore } from './stores/memory-store.js'
import { StoreClock } from './stores/store-clock.js'
import { verifyLogoutToken } from './tokens/logout-token.js'

/** The receiver and what belongs to it; made by `createBackchannelLogout`. */
export interface BackchannelLogout<Req = unknown> {
  /**
   * The handler for the `backchannel_logout_uri`, for Express 4 and 5 and Node's http. Mount it before session, CSRF
   * and login middleware: many OPs follow redirects and would take a login page's 200 for success. Body parsers may
   * come before or after.
   */
  receiver(): NodeHandler
  /**
   * The receiver in front of a whole application: `http.createServer(logout.listener(app, { path }))`. No middleware,
   * parser, login wall or CSRF check of `app` can stand before it. Requests of every other path reach `app` as they came.
   *
   * @throws TypeError for an `app` that is no function, or a `path` that cannot arrive
   */
  listener(app: ApplicationListener, options: ListenerOptions): ApplicationListener
  /** The same for Web `Request` and `Response`: `export const POST = logout.fetch`. Never rejects. */
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
   * Token revocation (RFC 7009), for a logout that goes to no OP: end the session first, then call this. The provider needs the
   * option `clientAuthentication`. Never rejects at run time, and takes 5 seconds at most: read `outcome`. The event
   * `tokens-revoked` says it as well.
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
  /** Whether this process could do its part of a logout now; one question to the store, none to a provider. Never rejects. */
  health(): Promise<Health>
  /** How long somebody who is dead at the OP may stay here, by this configuration. `doctor --app` prints it. */
  bounds(options?: BoundsOptions): LogoutBounds
  /** Stops background completion, e.g. when the app shuts down. The receiver still answers. */
  close(): void
}

/** Claims of an ID Token, as any OpenID Connect client library gives them. */
export type IdTokenClaims = Readonly<Record<string, unknown>>

/** See `logout.sessions`. Of sessions that a cookie carries there are no records, so none is listed. */
export interface SessionsOfTarget<Req = unknown> {
  /**
   * Live sessions of the target, the newest first within a page. `current`: the request whose session is marked as its own.
   *
   * @throws LogoutError `ERR_STORE` if they could not be listed; TypeError for a target that is none, or an unknown option
   */
  list(target: LogoutTarget, options?: ListSessionsOptions<Req>): Promise<SessionPage>
  /** How many there are. Walks through all of them. */
  count(target: LogoutTarget): Promise<number>
  /**
   * Ends one of the target's sessions, by its `handle`, as a local logout does. `ended: false`: the target has none of that handle.
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
   * "My other devices": the session of this request is spared, and each other one is ended by its own mark. A login that is under
   * way meanwhile, and sessions that a cookie carries, are spared as well. What could not be ended is not tried again by itself.
   */
  readonly except?: Req | undefined
  /** Your own word for why; it appears in events. Default `terminated`. */
  readonly reason?: LogoutReason
  readonly deadlineSeconds?: number
}

/** What an API in another process may still accept: longer than access tokens usually live. */
const LONGEST_TOKEN_SECONDS = 86_400
/** Fetching keys ahead may take longer than while an OP waits for the answer. */
const PREPARE_TIMEOUT_SECONDS = 10

/**
 * Makes the Back-Channel Logout receiver (OpenID Connect Back-Channel Logout 1.0). Call it before `session({ store })`,
 * since it protects the store that `sessions` names.
 *
 * @throws TypeError for a missing, unknown or unusable option; the message names it and the remedy.
 */
export function createBackchannelLogout<Req = unknown>(given: BackchannelLogoutOptions<Req>): BackchannelLogout<Req> {
  const options = resolveOptions(given)
  const { store, clock, claims, onSessionsEnded, sessionLifetimeSeconds, stepTimeoutSeconds, retryForSeconds } = options
  const { sessions } = given
  const storeClock = new StoreClock(clock)
  const directory = providerDirectory(options.provider, { clock })
  const storeIsOwn = isMemoryStore(store)
  const mistakes = watchMistakes({
    emit: emitter(listenerOf(options)),
    storeIsOwn,
    hasSessions: sessions !== undefined,
    monotonic: monotonicSeconds,
  })
  const { emit } = mistakes
  // Not before the application has the receiver: its listener may be about to use it.
  if (storeIsOwn && sessions?.outlivesProcess) queueMicrotask(() => mistakes.report('store_not_shared'))
  const deniedHere = new DeniedHere(clock)
  const destroySession = async (sessionId: string) => sessions?.destroy(sessionId)
  // A sign-on ends by the store's clock and a mark by what is known of it here: so a mark is kept longer than either.
  const marksLifetimeSeconds =
    Math.max(sessionLifetimeSeconds, claims?.marksLifetimeSeconds ?? LONGEST_TOKEN_SECONDS) + DEFAULT_TOLERANCE_SECONDS
  const elsewhere = endsElsewhere({ ...options, emit })
  const tell = tellLogout(options.onLogout, { emit, stepTimeoutSeconds })
  const shared = {
    store,
    claims,
    destroySession,
    deniedHere,
    emit,
    tell,
    clock,
    marksLifetimeSeconds,
    stepTimeoutSeconds,
    endedHere: elsewhere && ((sessionIds: readonly string[]) => elsewhere.endedHere(sessionIds)),
  }
  const engine = new LogoutEngine({
    ...shared,
    storeClock,
    onSessionsEnded,
    earlierIds: (sessionId) => signOns.earlierIds(sessionId),
    retry: { firstDelaySeconds: 1, maxDelaySeconds: 30, giveUpAfterSeconds: retryForSeconds },
  })
  const signOns = new SignOns({
    ...shared,
    mistakes,
    storeClock,
    sessionLifetimeSeconds,
    retryForSeconds,
    onSessionsEnded,
    earlierIdsElsewhere: elsewhere && ((sessionId) => elsewhere.earlierIds(sessionId)),
    seen: elsewhere && ((sessionId) => elsewhere.seen(sessionId)),
    client: directory.configured().length === 1 ? directory.configured()[0]?.client : undefined,
    identity: identityOf(directory.configured()),
  })
  sessions?.protect(signOns)

  const { answerDeadlineSeconds, bodyLimitBytes } = options
  const bounds = { bodyLimitBytes, bodyDeadlineSeconds: answerDeadlineSeconds }
  const kept = new KeptTokens({
    verify: (token, came) => verifyLogoutToken(token, { directory, ...came }),
    end: (token, waitedSeconds) => engine.endLate(orderOf(token), waitedSeconds),
    emit,
    clock,
  })
  const respond = backchannelReceiver({
    verify: (token, giveUp) => verifyLogoutToken(token, { directory, now: clock(), giveUp }),
    engine,
    kept,
    emit,
    answerDeadlineSeconds,
  })
  const receiver = nodeHandler(respond, bounds)

  const sessionOf = (req: Req, method: string): LocalSession => {
    if (sessions === undefined) {
      throw new TypeError(
        `${method}() needs the option sessions, e.g. expressSessions(store); without it use signOn() and guard()`,
      )
    }
    const session = sessions.sessionOf(req)
    if (session === undefined) {
      throw new TypeError(`${method}() was called on a request that has no session: mount session() before this route`)
    }
    return session
  }
  /** Once for each provider, not for each login. */
  const warnedOfSid = new WeakSet<object>()
  const login = async (idToken: IdTokenClaims | undefined, about?: AboutLogin): Promise<Login> => {
    const found = await loginOf(idToken, about, directory, clock, (error) => emit({ type: 'warning', error }))
    mistakes.metLogin(found.client, found.sid !== undefined)
    // A login comes before every logout: now the OP can be asked for its keys, while it waits for our answer perhaps not.
    directory.freshen(found.client).then(
      (provider) => {
        if (provider === undefined || found.sid !== undefined || warnedOfSid.has(provider.keys)) return
        if (!provider.keys.saysSids()) return
        warnedOfSid.add(provider.keys)
        emit({ type: 'warning', error: sidExpected() })
      },
      (error) => emit({ type: 'warning', error }),
    )
    return found
  }

  const unbind = async (req: Req): Promise<void> => {
    const { sessionId } = sessionOf(req, 'unbind')
    sessions?.released(req, signOns)
    await signOns.endLocally(sessionId, () => destroySession(sessionId))
  }
  /** A logout without a Logout Token. */
  const end = async (
    target: LogoutTarget,
    reason: LogoutReason,
    deadlineSeconds: number,
    isHearsay = false,
  ): Promise<LogoutResult> => {
    const { issuer, clientId } = target
    const order: LogoutOrder = {
      client: { issuer, clientId },
      key: targetKey(target),
      target,
      isHearsay,
      reason,
      revokeOfflineAccess: false,
    }
    const { replayed: _, ...result } = await engine.end(order, deadlineSeconds)
    return result
  }
  const endpointsOf = logoutEndpoints(clock)
  const providers = async (issuer?: string) => {
    const found = issuer === undefined ? directory.configured() : await directory.forIssuer(issuer)
    return found.map((provider) => ({
      ...provider,
      canRevoke: provider.authentication !== undefined,
      endpoint: async () => (await endpointsOf(provider)).endSession,
    }))
  }
  const revoke = tokenRevocation({
    provider: async (issuer, clientId) => {
      const found = (await directory.forIssuer(issuer)).find(({ client }) => client.clientId === clientId)
      if (found === undefined) return undefined
      const { authentication, dangerouslyAllowHttp, fetch } = found
      const revocationEndpoint = async () => {
        const { revocation, revocationByCertificate } = await endpointsOf(found)
        return authentication?.byCertificate ? revocationByCertificate : revocation
      }
      return { authentication, dangerouslyAllowHttp, fetch, revocationEndpoint }
    },
    emit,
    clock,
  })
  const revocation = {
    revoke,
    tooLong: ({ issuer, clientId }: Client) =>
      emit({ type: 'tokens-revoked', issuer, clientId, outcome: 'failed', error: notRevoked('token_too_long') }),
  }

  return {
    receiver: () => receiver,
    listener: (app, listenerOptions) => inFrontOf(app, receiver, listenerOptions),
    fetch: webHandler(respond, bounds),
    async bind(req, idToken, about) {
      const session = sessionOf(req, 'bind')
      try {
        const { ended, ...limits } = await signOns.bind(session, await login(idToken, about))
        if (ended) return watchedOutcome(responseOf(req), () => mistakes.report('ended_unread'))
        sessions?.bound(req, limits)
        return { ended }
      } catch (error) {
        signOns.undoLogin(session.sessionId)
        throw error
      }
    },
    async addTokens(req, tokens) {
      const keys = [tokens.accessToken].flatMap((token) => (token === undefined ? [] : [tokenKey(token)]))
      return signOns.addTokens(sessionOf(req, 'addTokens').sessionId, keys)
    },
    unbind,
    async detach(req) {
      const { sessionId } = sessionOf(req, 'detach')
      sessions?.released(req, signOns)
      // The row goes with the change of id; until then the request still reads what is in it.
      await signOns.endLocally(sessionId, async () => {})
    },
    async terminate(target, options = {}) {
      assertOptions('terminate()', options, { reason: true, deadlineSeconds: true, except: true })
      const { reason = 'terminated', deadlineSeconds = 10, except } = options
      assertTarget(target, 'terminate()', directory.configured())
      if (except === undefined) return end(target, reason, deadlineSeconds)
      return signOns.list.endOthers(target, sessionOf(except, 'terminate').sessionId, reason, deadlineSeconds)
    },
    sessions: {
      async list(target, options = {}) {
        assertOptions('sessions.list()', options, { current: true, cursor: true })
        assertTarget(target, 'sessions.list()', directory.configured())
        const { current, cursor } = options
        const currentId = current === undefined ? undefined : sessionOf(current, 'sessions.list').sessionId
        return signOns.list.page(target, currentId, cursor)
      },
      async count(target) {
        assertTarget(target, 'sessions.count()', directory.configured())
        return signOns.list.count(target)
      },
      async end(target, handle) {
        assertTarget(target, 'sessions.end()', directory.configured())
        return { ended: await signOns.list.end(target, handle) }
      },
    },
    rpInitiatedLogout: (endSessionOptions) =>
      rpInitiatedLogout(endSessionOptions, { providers, clock, revocation }, unbind),
    async revokeTokens(tokens) {
      assertTokens(tokens)
      const { issuer, clientId } = tokens
      if (isUnknown({ issuer, clientId }, directory.configured())) {
        throw new TypeError('revokeTokens() names an issuer and clientId that are not configured as a provider')
      }
      return revoke(tokens)
    },
    frontchannelReceiver: (frontchannelOptions = {}) =>
      frontchannelReceiver(frontchannelOptions, {
        clients: async (issuer) => (await directory.forIssuer(issuer)).map(({ client }) => client),
        end: (target) => end(target, 'front-channel', options.answerDeadlineSeconds, true),
        // A record in a cookie is bound nowhere, so where there may be such records nobody can say who is signed in.
        isBound: (target) =>
          (frontchannelOptions.statelessSessions ?? sessions === undefined)
            ? Promise.resolve(true)
            : within(stepTimeoutSeconds, store.isBound(sidKey(target, target.sid))),
        monotonic: monotonicSeconds,
      }),
    signOn: async (idToken, about) => signOns.signOn(await login(idToken, about)),
    end: (signOn) => signOns.endSignOn(signOn),
    isLive: (signOn) => signOns.isLive(signOn),
    guard: (read, guardOptions) =>
      statelessGuard(
        read,
        (signOn: StatelessSignOn) => signOns.isLive(signOn),
        () => emit({ type: 'resurrection-blocked', how: 'request' }),
        guardOptions,
      ),
    async prepare() {
      try {
        await directory.prepare(AbortSignal.timeout(PREPARE_TIMEOUT_SECONDS * 1000))
      } catch (cause) {
        const error =
          cause instanceof LogoutError
            ? cause
            : new LogoutError('ERR_KEYS_UNAVAILABLE', 'Metadata and keys could not be fetched ahead', {
                cause,
              })
        emit({ type: 'warning', error })
      }
    },
    health: () => healthOf({ store, directory, clock, pending: () => engine.pending + kept.size, stepTimeoutSeconds }),
    bounds: ({ revalidation } = {}) =>
      boundsOf(directory.configured(), {
        hasSessionStore: sessions !== undefined,
        sessionLifetimeSeconds,
        store,
        revalidation,
      }),
    close() {
      kept.close()
      engine.close()
      signOns.close()
    },
  }
}

/** Where somebody wants to hear of ended sessions, and the store tells of those that other nodes ended. */
function endsElsewhere(options: ReturnType<typeof resolveOptions> & { readonly emit: EventListener }) {
  const { store, onSessionsEnded, stepTimeoutSeconds, clock, sessionLifetimeSeconds, emit } = options
  if (onSessionsEnded === undefined || !hears(store)) return undefined
  const elsewhere: EndsElsewhere = new EndsElsewhere({
    announce: (sessionIds) =>
      announceEnded(undefined, 'elsewhere', sessionIds, {
        onSessionsEnded,
        earlierIds: (id) => elsewhere.earlierIds(id),
        stepTimeoutSeconds,
      }),
    isEnded: async (sessionId) => (await within(stepTimeoutSeconds, store.read(sessionId))).ended,
    onWarning: (error) => emit({ type: 'warning', error }),
    clock,
    sessionLifetimeSeconds,
  })
  store.hear((page) => elsewhere.heard(page))
  return elsewhere
}

function hears(store: LogoutStore): store is LogoutStore & Pick<BoundedReads, 'hear'> {
  return typeof Reflect.get(store, 'hear') === 'function'
}

/** Receivers with the same are the same receiver, made once more. */
function identityOf(configured: readonly { readonly client: Client }[]): string | undefined {
  if (configured.length === 0) return undefined
  return JSON.stringify(configured.map(({ client }) => [client.issuer, client.clientId]).sort())
}

/** The application's own; where it has none, standard error hears of mistakes. */
function listenerOf({ onEvent, warnings }: Pick<BackchannelLogoutOptions, 'onEvent' | 'warnings'>) {
  const listener = onEvent ?? (warnings === false ? undefined : consoleWarnings())
  const debug = debugEvents()
  if (debug === undefined) return listener
  return (event: LogoutEvent) => {
    debug(event)
    return listener?.(event)
  }
}

/** Where a function decides, every client may be one. */
function isUnknown({ issuer, clientId }: Client, configured: readonly { readonly client: Client }[]): boolean {
  if (configured.length === 0) return false
  return !configured.some(({ client }) => client.issuer === issuer && client.clientId === clientId)
}

function assertTarget(target: LogoutTarget, what: string, configured: readonly { readonly client: Client }[]): void {
  const { issuer, clientId } = target
  if (typeof issuer !== 'string' || typeof clientId !== 'string') {
    throw new TypeError(`${what} needs a target with issuer and clientId, as configured for the provider`)
  }
  if (isUnknown({ issuer, clientId }, configured)) {
    throw new TypeError(`${what} names an issuer and clientId that are not configured as a provider`)
  }
  assertNamed(target, what)
}

function assertNamed({ sid, sub }: LogoutTarget, what: string): void {
  if (!(sid === undefined ? isText(sub) : isText(sid) && (sub === undefined || isText(sub)))) {
    throw new TypeError(`${what} needs a target with a sid or a sub, each a non-empty string`)
  }
}

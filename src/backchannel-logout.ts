// Wires the rooms into the object that users hold. Every decision is made further down.

import { milliseconds, monotonicSeconds, within } from './deadline.js'
import { LogoutError } from './errors.js'
import { emitter, type LogoutReason } from './events.js'
import { inFrontOf } from './http/listener.js'
import { handlerGiver, nodeHandler } from './http/node.js'
import { webHandler } from './http/web.js'
import { boundsOf } from './logout/bounds.js'
import { endsElsewhere } from './logout/ends-elsewhere.js'
import { LogoutEngine } from './logout/engine.js'
import { healthOf } from './logout/health.js'
import { tellLogout } from './logout/logged-out.js'
import type { LogoutOrder, LogoutResult } from './logout/logout-order.js'
import { assertMessage, type OrderingMessage, orderedBy } from './logout/ordering-message.js'
import type { BackchannelLogout, IdTokenClaims } from './logout-methods.js'
import { DEFAULT_TOLERANCE_SECONDS } from './marks/covering.js'
import { type Client, type LogoutTarget, sidKey, targetKey, tokenKey } from './marks/target.js'
import { listenerOf } from './mistakes/console-warnings.js'
import { isReadByApi, watchMistakes } from './mistakes/mistake-watch.js'
import { responseOf, watchedOutcome } from './mistakes/unread-outcome.js'
import { assertOptions } from './option-checks.js'
import { type BackchannelLogoutOptions, resolveOptions } from './options.js'
import { OwedRevocations } from './outbound/owed-revocations.js'
import { assertTokens, notRevoked, tokenRevocation } from './outbound/revoke-tokens.js'
import { rpInitiatedLogout } from './outbound/rp-initiated-logout.js'
import { providerDirectory } from './providers/directory.js'
import { assertTarget, isOidc, isUnknown, isUnknownIssuer } from './providers/known-target.js'
import { logoutEndpoints } from './providers/logout-endpoints.js'
import { backchannelReceiver, orderOf } from './receivers/backchannel.js'
import { frontchannelReceiver } from './receivers/frontchannel.js'
import { KeptTokens } from './receivers/kept-tokens.js'
import { sessionIn } from './sessions/session-in.js'
import { statelessGuard } from './sessions/stateless-guard.js'
import { endBy } from './sessions/store-protection.js'
import { keysAtLogin } from './sign-ons/keys-at-login.js'
import { type AboutLogin, assertLoginTokens, type Login, loginOf } from './sign-ons/login.js'
import { memoryOf } from './sign-ons/session-store-memory.js'
import { SignOns } from './sign-ons/sign-ons.js'
import type { StatelessSignOn } from './sign-ons/stateless.js'
import { isMemoryStore } from './stores/memory-store.js'
import { StoreClock } from './stores/store-clock.js'
import { verifyLogoutToken } from './tokens/logout-token.js'

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
  const { monotonic } = options
  const storeClock = new StoreClock(clock)
  const directory = providerDirectory(options.provider, { clock, monotonic })
  const storeIsOwn = isMemoryStore(store)
  const mistakes = watchMistakes({
    emit: emitter(listenerOf(options)),
    storeIsOwn,
    servesApi: () => isReadByApi(store),
    hasSessions: sessions !== undefined,
    monotonic: monotonicSeconds,
    later: (seconds, work) => void setTimeout(work, milliseconds(seconds)).unref(),
  })
  const { emit } = mistakes
  const warn = (error: LogoutError) => emit({ type: 'warning', error })
  // Not before the application has the receiver: its listener may be about to use it.
  if (storeIsOwn && sessions?.outlivesProcess) queueMicrotask(() => mistakes.report('store_not_shared'))
  const memory = memoryOf(sessions?.sessionStore)
  const identity = identityOf(directory.configured())
  const deniedHere = memory.deniedBy(identity, store, monotonic)
  const destroySession = async (sessionId: string) => sessions?.destroy(sessionId)
  // A sign-on ends by the store's clock and a mark by what is known of it here: so a mark is kept longer than either.
  const marksLifetimeSeconds =
    Math.max(sessionLifetimeSeconds, claims?.marksLifetimeSeconds ?? LONGEST_TOKEN_SECONDS) + DEFAULT_TOLERANCE_SECONDS
  const elsewhere = endsElsewhere({ ...options, onWarning: warn })
  const tell = tellLogout(options.onLogout, { emit, stepTimeoutSeconds })
  const endpointsOf = logoutEndpoints(monotonic)
  const providerOf = async ({ issuer, clientId }: Client) =>
    (await directory.forIssuer(issuer)).find(({ client }) => client.clientId === clientId)
  const revoke = tokenRevocation({
    provider: async (issuer, clientId) => {
      const found = await providerOf({ issuer, clientId })
      if (found === undefined) return undefined
      const { authentication, dangerouslyAllowHttp, fetch } = found
      const revocationEndpoint = async (closing?: AbortSignal) => {
        const { revocation, revocationByCertificate } = await endpointsOf(found, closing)
        return authentication?.byCertificate ? revocationByCertificate : revocation
      }
      return { authentication, dangerouslyAllowHttp, fetch, revocationEndpoint }
    },
    emit,
    clock,
  })
  const owed = new OwedRevocations({
    store,
    storeClock,
    readSession: sessions?.read?.bind(sessions),
    policyOf: async (client) => (await providerOf(client))?.policy,
    revoke,
    emit,
    stepTimeoutSeconds,
    retryForSeconds,
  })
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
    endsHere: elsewhere && ((sessionIds: readonly string[]) => elsewhere.endsHere(sessionIds)),
    endedHere: elsewhere && ((sessionIds: readonly string[]) => elsewhere.endedHere(sessionIds)),
    tokens: owed,
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
    memory,
    mistakes,
    storeClock,
    sessionLifetimeSeconds,
    retryForSeconds,
    onSessionsEnded,
    earlierIdsElsewhere: elsewhere && ((sessionId) => elsewhere.earlierIds(sessionId)),
    seen: elsewhere && ((sessionId) => elsewhere.seen(sessionId)),
    namesOf: sessions?.namesOf?.bind(sessions),
    hasRow: sessions?.hasRow?.bind(sessions),
    client: directory.configured().length === 1 ? directory.configured()[0]?.client : undefined,
    identity,
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
  const receiver = nodeHandler(respond, bounds, 'logout')

  const sessionOf = (req: Req, method: string) => sessionIn(sessions, req, method)
  const sessionToBind = async (req: Req) => {
    try {
      return sessionOf(req, 'bind')
    } catch (error) {
      mistakes.metRefusedLogin(error)
      await sessions?.refuse?.(req)
      throw error
    }
  }
  const watched = <T>(signOn: Promise<T>): Promise<T> =>
    signOn.catch((error: unknown) => Promise.reject(mistakes.metRefusedLogin(error)))
  /** A fetch that an application leaves behind when it ends fails for that alone. */
  const warnUnlessClosed = (error: LogoutError) => {
    if (!signOns.isClosed()) warn(error)
  }
  const freshenKeys = keysAtLogin(directory, warnUnlessClosed)
  const login = async (idToken: IdTokenClaims | undefined, about?: AboutLogin): Promise<Login> => {
    const found = await loginOf(idToken, about, directory, clock, warn)
    mistakes.metLogin(found.client, found.sid !== undefined)
    freshenKeys(found)
    return found
  }

  const unbind = async (req: Req): Promise<void> => {
    const { sessionId } = sessionOf(req, 'unbind')
    await endBy((await sessions?.released(req, signOns)) ?? [signOns], sessionId, () => destroySession(sessionId))
  }
  /** A logout without a Logout Token. */
  const end = async (
    target: LogoutTarget,
    reason: LogoutReason,
    deadlineSeconds: number,
    about: Pick<LogoutOrder, 'isHearsay'> & { readonly message?: OrderingMessage | undefined } = {},
  ): Promise<LogoutResult> => {
    const { issuer, clientId } = target
    const client = { issuer, clientId }
    const order: LogoutOrder = {
      client,
      key: targetKey(target),
      target,
      isHearsay: about.isHearsay,
      ...orderedBy(client, about.message),
      reason,
      revokeOfflineAccess: false,
    }
    const { replayed, ...result } = await engine.end(order, deadlineSeconds)
    return replayed ? { ...result, replayed } : result
  }
  const providers = async (issuer?: string) => {
    const found = issuer === undefined ? directory.configured() : await directory.forIssuer(issuer)
    return found.map((provider) => ({
      ...provider,
      canRevoke: provider.authentication !== undefined,
      endpoint: async () => (await endpointsOf(provider)).endSession,
    }))
  }
  const revocation = {
    revoke,
    tooLong: ({ issuer, clientId }: Client) =>
      emit({ type: 'tokens-revoked', issuer, clientId, outcome: 'failed', error: notRevoked('token_too_long') }),
  }

  return {
    receiver: handlerGiver(receiver, 'logout.receiver()'),
    listener: (app, listenerOptions) => inFrontOf(app, receiver, listenerOptions),
    fetch: webHandler(respond, bounds),
    async bind(req, idToken, about) {
      const session = await sessionToBind(req)
      try {
        const found = await login(idToken, about)
        const { ended, ...limits } = await signOns.bind(session, found)
        if (ended) return watchedOutcome(responseOf(req), () => mistakes.report('ended_unread'))
        // Names are personal data: nothing is kept of them where nobody asks.
        sessions?.bound(req, limits, tell && { ...found.client, sub: found.sub, ...(found.sid && { sid: found.sid }) })
        return { ended }
      } catch (error) {
        signOns.undoLogin(session.sessionId)
        throw mistakes.metRefusedLogin(error)
      }
    },
    async addTokens(req, tokens) {
      assertLoginTokens(tokens)
      const keys = [tokens.accessToken].flatMap((token) => (token === undefined ? [] : [tokenKey(token)]))
      return signOns.addTokens(sessionOf(req, 'addTokens').sessionId, keys)
    },
    unbind,
    async detach(req) {
      const { sessionId } = sessionOf(req, 'detach')
      // The row goes with the change of id; until then the request still reads what is in it.
      await endBy((await sessions?.released(req, signOns)) ?? [signOns], sessionId, async () => {})
    },
    async terminate(target, options = {}) {
      assertOptions('terminate()', options, { reason: true, deadlineSeconds: true, except: true, message: true })
      const { reason = 'terminated', deadlineSeconds = 10, except, message } = options
      assertTarget(target, 'terminate()', directory.configured())
      assertMessage(message, except)
      if (except === undefined) return end(target, reason, deadlineSeconds, { message })
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
      rpInitiatedLogout(endSessionOptions, { providers, clock, revocation, owed }, unbind),
    async revokeTokens(tokens) {
      assertTokens(tokens)
      const { issuer, clientId } = tokens
      if (isUnknown({ issuer, clientId }, directory.configured())) {
        throw new TypeError('revokeTokens() names an issuer and clientId that are not configured as a provider')
      }
      return revoke(tokens)
    },
    frontchannelReceiver: ({ statelessSessions = sessions === undefined, ...rest } = {}) =>
      frontchannelReceiver(
        { ...rest, statelessSessions },
        {
          isUnknown: (issuer) => isUnknownIssuer(issuer, directory.configured()),
          clients: async (issuer) => (await directory.forIssuer(issuer)).filter(isOidc).map(({ client }) => client),
          end: (target) => end(target, 'front-channel', options.answerDeadlineSeconds, { isHearsay: true }),
          isBound: (target) => within(stepTimeoutSeconds, store.isBound(sidKey(target, target.sid))),
          monotonic: monotonicSeconds,
        },
      ),
    signOn: async (idToken, about) => watched(login(idToken, about).then((found) => signOns.signOn(found))),
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
            : new LogoutError('ERR_KEYS_UNAVAILABLE', 'Metadata and keys could not be fetched ahead', { cause })
        warnUnlessClosed(error)
      }
      await owed.resume()
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
      owed.close()
      engine.close()
      signOns.close()
      directory.close()
      mistakes.close()
    },
  }
}

/** Receivers with the same are the same receiver, made once more. */
function identityOf(configured: readonly { readonly client: Client }[]): string | undefined {
  if (configured.length === 0) return undefined
  return JSON.stringify(configured.map(({ client }) => [client.issuer, client.clientId]).sort())
}

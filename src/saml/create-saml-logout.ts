// What an application holds of SAML 2.0 Single Logout at one identity provider. Every decision is made in the files
// beside this one.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type EventListener, emitter } from '../events.js'
import { handlerGiver, type NodeHandler, nodeHandler } from '../http/node.js'
import { safeUrlOption } from '../http/safe-url.js'
import { type WebHandler, webHandler } from '../http/web.js'
import type { BackchannelLogout } from '../logout-methods.js'
import type { Client, LogoutTarget } from '../marks/target.js'
import { listenerOf } from '../mistakes/console-warnings.js'
import { assertNumber, assertOptions, functionIfGiven, isText, type OptionNames } from '../option-checks.js'
import { EMPTY, logoutRoute } from '../outbound/end-session-route.js'
import { sealedValues } from '../outbound/sealed-values.js'
import type { ProviderOptions } from '../providers/provider-options.js'
import { landingAddress } from './answers.js'
import { loginClaims, type SamlLoginClaims, type SamlProfile, samlLogin } from './login-claims.js'
import { type SamlNameId, sidOf, subOf } from './name-id.js'
import { isNodeSaml, type NodeSaml } from './node-saml.js'
import { OpenRequests, type SamlLoginRecord } from './open-requests.js'
import { assertWritesStatus, SignedMessages } from './signed-messages.js'
import { type SamlLogoutOutcome, singleLogoutService } from './single-logout-service.js'
import { VerifiedMessages } from './verified-messages.js'

/** Options of `createSamlLogout`. */
export interface SamlLogoutOptions {
  /** The instance of node-saml for this identity provider: it verifies what comes, and writes and signs what goes. */
  readonly saml: NodeSaml
  /**
   * Our own Single Logout Service, the whole URL as it is registered at the identity provider: every message must name
   * it as its `Destination`.
   */
  readonly url: string
  /**
   * Where the identity provider takes LogoutResponses by redirect: the `ResponseLocation` of its metadata. Default:
   * `logoutUrl` of `saml`, its `Location`.
   */
  readonly responseUrl?: string | undefined
  /**
   * Where a browser lands that is back from a logout which began here: a path or URL of your own, percent-encoded, or a
   * function of what came of it. The page needs no session, and nothing that was received is in its address.
   */
  readonly landingPage: string | ((outcome: SamlLogoutOutcome) => string)
  /** At least 32 characters, or a list, the newest first: seals the cookie that knows which LogoutRequest is open. */
  readonly secret: string | readonly string[]
  /**
   * How long after its `IssueInstant` a LogoutRequest is taken, whatever its `NotOnOrAfter`. Bounds how long replays are
   * remembered. Seconds; default 300.
   */
  readonly maxAgeSeconds?: number | undefined
  /** By how much the identity provider's clock may differ. Seconds; default 60. */
  readonly clockToleranceSeconds?: number | undefined
  /**
   * The answer to a repeat of a completed LogoutRequest: `RequestDenied` (`refuse`, default) or `Success`
   * (`acknowledge`). Neither does anything.
   */
  readonly replay?: 'refuse' | 'acknowledge' | undefined
  /** From request to answer. A browser waits, and with it every logout that the identity provider has still to do. Seconds; default 5. */
  readonly answerDeadlineSeconds?: number | undefined
  /** Largest body of a POST, since XML is parsed before its signature can be checked. Bytes; default 16,384. */
  readonly bodyLimitBytes?: number | undefined
  /** Hears `refused`, `replay` and `answer`, as the receiver's own listener does; logouts are the receiver's to tell. */
  readonly onEvent?: EventListener | undefined
  /**
   * Where no `onEvent` listens, refusals that a setting can cause are printed to standard error, each once, with what to
   * do; `false` silences them. Default: true.
   */
  readonly warnings?: boolean | undefined
  /** Epoch seconds, fractions allowed: the receiver's. Default: the system clock. */
  readonly clock?: (() => number) | undefined
}

/** Where the browser goes from here, and the cookie it takes along. */
export interface SamlLogoutDeparture {
  readonly url: string
  /** To be sent as `Set-Cookie`. Absent where nobody is asked. */
  readonly cookie?: string
  /** Whether the identity provider is asked to log out: it cannot be without the record of a login. */
  readonly asksProvider: boolean
}

/** Options of `route`. */
export interface SamlLogoutRouteOptions<Req> {
  /** What `record` made at the login, wherever you keep it. It is read before the session ends. */
  readonly record: (req: Req) => SamlLoginRecord | undefined
  /** Ends the local session. Default: `logout.unbind(req)`. */
  readonly endLocally?: ((req: Req) => Promise<unknown>) | undefined
}

/** SAML 2.0 Single Logout at one identity provider; made by `createSamlLogout`. */
export interface SamlLogout<Req = unknown> {
  /**
   * The handler of the Single Logout Service, for Express 4 and 5 and Node's http, for GET and POST. LogoutRequests end
   * what they name and are answered; LogoutResponses lead to `landingPage`. Mount it before session, CSRF and login
   * middleware; body parsers may come before or after.
   */
  readonly receiver: (...none: never[]) => NodeHandler
  /** The same for Web `Request` and `Response`. Never rejects. */
  readonly fetch: WebHandler
  /**
   * The claims of a login, for `logout.bind(req, saml.claims(profile), …)` or `logout.signOn`: `sub` is its NameID with
   * all of its parts, `sid` its SessionIndex, and `SessionNotOnOrAfter` the end of its session.
   *
   * @throws TypeError for a profile that is not as node-saml made it
   */
  claims(profile: SamlProfile): SamlLoginClaims
  /**
   * The target of a NameID, or of one of its sessions: for `logout.terminate` and `logout.sessions`. It takes what
   * `record` made, and a profile as node-saml made it, whose assertion has the parts that the profile leaves out.
   */
  target(nameId: SamlNameId & SamlProfile, sessionIndex?: string): LogoutTarget
  /**
   * What to keep in the session at a login, for a logout that begins here.
   *
   * @throws TypeError as `claims`
   */
  record(profile: SamlProfile): SamlLoginRecord | undefined
  /**
   * The route for `POST /logout`: ends the local session first, then sends the browser to the identity provider with a
   * LogoutRequest. Any other method is answered 405, a request of another site or of a prefetch 403; neither logs
   * anybody out. A failure goes to `next`, without one it is 503, and nobody is sent on.
   */
  route<R extends Req = Req>(
    options: SamlLogoutRouteOptions<R>,
  ): (req: R & IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void) => void
  /**
   * The same as data: end the session first, then call this, send `cookie`, and redirect to `url` by 303.
   * `cookieHeader`: the `Cookie` of the request, so that who logs out twice is sent to the identity provider by the
   * second time too, and that another tab which is on its way is known when it is back.
   */
  start(record: SamlLoginRecord | undefined, cookieHeader?: string): Promise<SamlLogoutDeparture>
}

const NAMES: OptionNames<SamlLogoutOptions> = {
  saml: true,
  url: true,
  responseUrl: true,
  landingPage: true,
  secret: true,
  maxAgeSeconds: true,
  clockToleranceSeconds: true,
  replay: true,
  answerDeadlineSeconds: true,
  bodyLimitBytes: true,
  onEvent: true,
  warnings: true,
  clock: true,
}

/** Why the logout was begun, in the receiver's events. */
const REASON = 'saml-logout-request'

/**
 * The identity provider as a provider of the receiver, by the entity ids of its node-saml instance:
 * `createBackchannelLogout({ provider: samlProvider(saml), … })`, alone or in a list with others.
 *
 * @throws TypeError if `saml` is no such instance, or does not say `idpIssuer`
 */
export function samlProvider(
  saml: NodeSaml,
  options: Pick<ProviderOptions, 'sessionMaxAgeSeconds' | 'sessionIdleSeconds' | 'clockToleranceSeconds'> = {},
): ProviderOptions {
  return { ...options, ...clientOf(saml), protocol: 'saml' }
}

/**
 * Makes the Single Logout of one identity provider, by a receiver that has it among its providers. Signatures and XML
 * are node-saml's; what it does not check is checked here.
 *
 * @throws TypeError for a missing, unknown or unusable option; the message names it and the remedy
 */
export function createSamlLogout<Req = unknown>(
  logout: Pick<BackchannelLogout<Req>, 'terminate' | 'unbind'>,
  options: SamlLogoutOptions,
): SamlLogout<Req> {
  const { saml, client, url, responseUrl, landingPage, answerDeadlineSeconds, bodyLimitBytes, ...rest } =
    resolved(options)
  const { clock, clockToleranceSeconds, maxAgeSeconds, replay, secret, onEvent, warnings } = rest
  const signed = new SignedMessages(saml, responseUrl)
  const open = new OpenRequests(sealedValues(secret, 'createSamlLogout(): secret'), url, clock)
  const respond = singleLogoutService({
    rules: { client, url, maxAgeSeconds, clockToleranceSeconds },
    verified: new VerifiedMessages(saml),
    signed,
    open,
    end: ({ target, message }, deadlineSeconds) =>
      logout.terminate(target, { message, reason: REASON, deadlineSeconds }),
    landingPage,
    replay,
    answerDeadlineSeconds,
    bodyLimitBytes,
    emit: emitter(listenerOf({ onEvent, warnings })),
    clock,
  })
  const bounds = { bodyLimitBytes, bodyDeadlineSeconds: answerDeadlineSeconds }
  const receiver = nodeHandler(respond, bounds, 'saml')
  const start = async (found: SamlLoginRecord | undefined, cookies?: string): Promise<SamlLogoutDeparture> => {
    const record = found ?? open.loginIn(cookies)
    if (record === undefined) return { url: landingPage('unknown'), asksProvider: false }
    const id = saml.options.generateUniqueId()
    return { url: await signed.requestUrl(id, record), cookie: open.opened(id, record, cookies), asksProvider: true }
  }
  return {
    receiver: handlerGiver(receiver, 'saml.receiver()'),
    fetch: webHandler(respond, bounds),
    claims: (profile) => loginClaims(samlLogin(profile), client),
    target(named, sessionIndex) {
      const nameId = (named.getAssertion && samlLogin(named).nameId) ?? named
      const sid = sessionIndex !== undefined && { sid: sidOf(nameId, sessionIndex, client) }
      return { ...client, sub: subOf(nameId, client), ...sid }
    },
    record(profile) {
      const { nameId, sessionIndex } = samlLogin(profile)
      if (nameId === undefined) return undefined
      return { ...nameId, ...(sessionIndex !== undefined && { sessionIndex }) }
    },
    route(options) {
      assertOptions('route()', options, { record: true, endLocally: true })
      const { record, endLocally = (req) => logout.unbind(req) } = options
      return logoutRoute('saml.route()', [new URL(url).origin], async (req, res) => {
        const login = record(req)
        await endLocally(req)
        const { url: location, cookie } = await start(login, req.headers.cookie)
        if (cookie !== undefined) res.appendHeader('Set-Cookie', cookie)
        res.writeHead(303, { ...EMPTY, Location: location, 'Referrer-Policy': 'no-referrer' }).end()
      })
    },
    start,
  }
}

function clientOf(saml: NodeSaml): Client {
  if (!isNodeSaml(saml)) throw new TypeError('saml must be an instance of SAML of @node-saml/node-saml, version 5')
  const { idpIssuer, issuer } = saml.options
  if (!isText(idpIssuer)) {
    throw new TypeError("saml needs node-saml's option idpIssuer: the entity id of the identity provider")
  }
  return { issuer: idpIssuer, clientId: issuer }
}

function resolved(options: SamlLogoutOptions) {
  assertOptions('createSamlLogout()', options, NAMES)
  const { saml, landingPage, replay = 'refuse', clock = () => Date.now() / 1000 } = options
  const client = clientOf(saml)
  const { privateKey, signatureAlgorithm, logoutUrl } = saml.options
  if (!privateKey) {
    throw new TypeError("saml needs node-saml's option privateKey: a LogoutResponse must be signed (Profiles 4.4.4.2)")
  }
  if (signatureAlgorithm === 'sha1') {
    throw new TypeError("saml signs with SHA-1, node-saml's default: give it signatureAlgorithm: 'sha256'")
  }
  assertWritesStatus(saml)
  if (typeof landingPage !== 'function') landingAddress(landingPage)
  if (replay !== 'refuse' && replay !== 'acknowledge') throw new TypeError('replay must be refuse or acknowledge')
  functionIfGiven('clock', options.clock)
  functionIfGiven('onEvent', options.onEvent)
  if (options.warnings !== undefined && typeof options.warnings !== 'boolean') {
    throw new TypeError('warnings must be true or false')
  }
  return {
    ...options,
    client,
    url: safeUrlOption('url', options.url, false),
    responseUrl: safeUrlOption("responseUrl, or node-saml's logoutUrl", options.responseUrl ?? logoutUrl, false),
    landingPage: (outcome: SamlLogoutOutcome) =>
      typeof landingPage === 'function' ? landingAddress(landingPage(outcome)) : landingPage,
    secret: [options.secret].flat(),
    replay,
    clock,
    maxAgeSeconds: bounded('maxAgeSeconds', options.maxAgeSeconds ?? 300, 86_400),
    clockToleranceSeconds: bounded('clockToleranceSeconds', options.clockToleranceSeconds ?? 60, 600),
    answerDeadlineSeconds: bounded('answerDeadlineSeconds', options.answerDeadlineSeconds ?? 5, 600),
    bodyLimitBytes: bounded('bodyLimitBytes', options.bodyLimitBytes ?? 16_384, 16_777_216),
  }
}

function bounded(name: string, value: number, most: number): number {
  assertNumber(name, value, { above: 0, most })
  return value
}

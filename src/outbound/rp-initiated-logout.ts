// What an application holds of RP-Initiated Logout 1.0: a record at the login, a route, and the page to come back to.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { queryOf } from '../http/query.js'
import { assertNumber, assertOptions, functionIfGiven, type OptionNames } from '../option-checks.js'
import {
  type EndSessionDeparture,
  type EndSessionOptions,
  type EndSessionPorts,
  type EndSessionRecord,
  type EndSessionReturn,
  type EndSessionStart,
  EndSessions,
  type RecordedTokens,
} from './end-session.js'
import { type EndSessionHandler, type EndSessionRouteOptions, endSessionRoute } from './end-session-route.js'
import { LONGEST_REVOKE_AFTER_SECONDS, type OwedRevocations } from './owed-revocations.js'

/** The route's options, as an application gives them: how the local session ends is known here. */
export interface LogoutRouteOptions<Req> extends Omit<EndSessionRouteOptions<Req>, 'endLocally'> {
  /**
   * Ends the local session. Default: `logout.unbind(req)`. For sessions in a cookie: end the sign-on, and empty the
   * cookie.
   */
  readonly endLocally?: ((req: Req) => Promise<unknown>) | undefined
}

/** Made by `logout.rpInitiatedLogout(options)`. OpenID Connect RP-Initiated Logout 1.0. */
export interface RpInitiatedLogout<Req = unknown> {
  /**
   * What to keep in the session at a login, or again after a refresh: `before` keeps the older ID Token where the
   * refresh brought none; without claims it also says whose `tokens` are. They are what to revoke when the browser is
   * back from a logout. Resolves to `before` if the claims are of no configured provider.
   */
  record(
    claims: Readonly<Record<string, unknown>> | undefined,
    idToken?: string,
    before?: EndSessionRecord,
    tokens?: RecordedTokens,
  ): Promise<EndSessionRecord | undefined>
  /**
   * The route for `POST /logout`: ends the local session, clears its cookie, and sends the browser to the OP and from
   * there to a page of yours. Any other method is answered 405, a request of another site or of a prefetch 403; neither
   * logs anybody out. With `Accept: application/json` the answer is `{ url }` (and `form` where a URL would be too
   * long), for the page's own script.
   */
  route<R extends Req = Req>(options: LogoutRouteOptions<R>): EndSessionHandler<R>
  /**
   * The same as data, for frameworks without such a route: end the session first, then call this, send each of
   * `cookies` as a `Set-Cookie` of its own, and redirect by 303 to `url`, or post `form` there. `cookieHeader`: the
   * `Cookie` of the request, so that who logs out twice does not leave undone what the first time was to do on the way
   * back, and what is long over is taken away.
   *
   * @throws LogoutError `ERR_REQUEST` with reason `redirect_unknown` if `to` is not a name out of `redirectUris`
   */
  start(
    record: EndSessionRecord | undefined,
    start: EndSessionStart,
    cookieHeader?: string,
  ): Promise<EndSessionDeparture>
  /**
   * On the page to come back to: what became of it. Needs no session. Takes away the cookie that makes the way back a
   * single one, and begins to revoke the refresh token that the record kept, in the background. A visit by which no tab
   * of this browser is back does neither.
   */
  returned(req: IncomingMessage, res: ServerResponse): EndSessionReturn
  /**
   * At the next sign-in: `login`, once, after a logout that asked for it. Give it to the OP as `prompt`. Where the
   * browser never came back from that logout, its refresh token is revoked now, in the background; also where no
   * password is asked for, once ten minutes have passed.
   */
  promptOnce(req: IncomingMessage, res: ServerResponse): 'login' | undefined
}

const NAMES: OptionNames<EndSessionOptions> = {
  redirectUris: true,
  secret: true,
  recordIn: true,
  revokeAfterSeconds: true,
}
const ROUTE_NAMES: OptionNames<LogoutRouteOptions<unknown>> = {
  record: true,
  start: true,
  endLocally: true,
  sessionCookie: true,
}
const DEFAULT_REVOKE_AFTER_SECONDS = 5

/** @throws TypeError for options that cannot be meant */
export function rpInitiatedLogout<Req>(
  options: EndSessionOptions,
  ports: EndSessionPorts & { readonly owed: Pick<OwedRevocations, 'add'> },
  unbind: (req: Req) => Promise<unknown>,
): RpInitiatedLogout<Req> {
  assertOptions('rpInitiatedLogout()', options, NAMES)
  const { recordIn, revokeAfterSeconds: afterSeconds = DEFAULT_REVOKE_AFTER_SECONDS } = options
  functionIfGiven('endSession: recordIn', recordIn)
  assertNumber('endSession: revokeAfterSeconds', afterSeconds, { most: LONGEST_REVOKE_AFTER_SECONDS })
  const endSessions = new EndSessions(options, ports)
  if (recordIn !== undefined) {
    ports.owed.add({ recordIn, tokensOf: (record) => endSessions.tokensOf(record), afterSeconds })
  }
  return {
    record: (claims, idToken, before, tokens) => endSessions.record(claims, idToken, before, tokens),
    route(options) {
      assertOptions('route()', options, ROUTE_NAMES)
      const { endLocally = unbind, ...rest } = options
      return endSessionRoute(endSessions, { ...rest, endLocally })
    },
    start: (record, start, cookieHeader) => endSessions.start(record, start, cookieHeader),
    returned(req, res) {
      const back = endSessions.returned(req.headers.cookie, queryOf(req.url).get('state'))
      for (const cookie of back.cookies) res.appendHeader('Set-Cookie', cookie)
      return back
    },
    promptOnce(req, res) {
      const { prompt, cookies } = endSessions.promptOnce(req.headers.cookie)
      for (const cookie of cookies) res.appendHeader('Set-Cookie', cookie)
      return prompt
    },
  }
}

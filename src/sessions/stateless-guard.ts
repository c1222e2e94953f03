// Sessions that live in a cookie: no store to protect, so each request is asked about. Knows requests only by their
// shape.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { NoVerdictError } from '../errors.js'
import { assertConnect } from '../http/node.js'
import { assertOptions, isText } from '../option-checks.js'

/** Options of `guard`: what becomes of a session that was ended, and of its request. */
export interface GuardOptions<Req, Res = ServerResponse> {
  /**
   * Makes an ended session forget its user, in the response and for the rest of this request. Default:
   * `req.session.destroy()` where there is such a method (iron-session), else `req.session = null` (cookie-session).
   * Name it for any other session.
   */
  readonly clear?: (req: Req, res: Res) => void | Promise<void>
  /** What becomes of the request: it goes on without a user (default), or is answered 401. */
  readonly whenEnded?: 'anonymous' | 'unauthorized'
}

/** A middleware of Express 4 and 5, and of everything that takes the same three arguments. */
export type ConnectHandler<Req, Res = ServerResponse> = (req: Req, res: Res, next: (error?: unknown) => void) => void

/**
 * Middleware that asks about the sign-on each request carries. `null` and `undefined` are no sign-on; anything else
 * that is not whole counts as ended. No verdict: 503 with `Retry-After`, and the session is kept. What `read` or
 * `clear` throw goes to `next`.
 *
 * @throws TypeError for an argument or option it does not know
 */
export function statelessGuard<Req extends IncomingMessage, Res extends ServerResponse, SignOn>(
  read: (req: Req) => SignOn | null | undefined | Promise<SignOn | null | undefined>,
  isLive: (signOn: SignOn) => Promise<boolean>,
  onBlocked: () => void,
  options: GuardOptions<Req, Res> = {},
): ConnectHandler<Req, Res> {
  assertUsable(read, options)
  const clear = options.clear ?? clearSession
  const guard = async (req: Req, res: Res): Promise<boolean> => {
    const signOn = await read(req)
    if (signOn === null || signOn === undefined) return true
    if (isWholeSignOn(signOn) && (await isLive(signOn))) return true
    onBlocked()
    await clear(req, res)
    if (options.whenEnded !== 'unauthorized') return true
    answer(res, 401, {})
    return false
  }
  return (req, res, next) => {
    assertConnect('logout.guard()', 'logout.isLive(signOn)', req, res, next)
    guard(req, res).then(
      (goOn) => goOn && process.nextTick(next),
      (error: unknown) => {
        if (error instanceof NoVerdictError) answer(res, error.status, error.headers)
        else process.nextTick(next, error)
      },
    )
  }
}

/**
 * Whether a record from a cookie is one that `signOn` may have made. One that is not, an `issuedAt` that is no number
 * for instance, could never be covered by a mark: it must be taken for ended, not for alive.
 */
export function isWholeSignOn(record: unknown): boolean {
  if (typeof record !== 'object' || record === null) return false
  const member = (name: string): unknown => Reflect.get(record, name)
  const [sid, issuedAt, startedAt, id] = [member('sid'), member('issuedAt'), member('startedAt'), member('id')]
  const endsAt = member('endsAt')
  return (
    ['issuer', 'clientId', 'sub'].every((name) => isText(member(name))) &&
    (sid === undefined || isText(sid)) &&
    (id === undefined || isText(id)) &&
    (issuedAt === undefined || Number.isFinite(issuedAt)) &&
    (startedAt === undefined || Number.isFinite(startedAt)) &&
    (endsAt === undefined || Number.isFinite(endsAt)) &&
    Number.isFinite(member('boundAt'))
  )
}

function assertUsable(read: unknown, options: object): void {
  if (typeof read !== 'function') {
    throw new TypeError('guard() needs a function that reads the sign-on of a request, e.g. (req) => req.session?.oidc')
  }
  assertOptions('guard()', options, { clear: true, whenEnded: true })
  const { clear, whenEnded }: { clear?: unknown; whenEnded?: unknown } = options
  if (clear !== undefined && typeof clear !== 'function') {
    throw new TypeError('clear must be a function (req, res) that makes an ended session forget its user')
  }
  if (whenEnded !== undefined && whenEnded !== 'anonymous' && whenEnded !== 'unauthorized') {
    throw new TypeError('whenEnded must be "anonymous" or "unauthorized"')
  }
}

/** A session that cannot be cleared must not go on as if it were: the handlers behind would still find its user. */
function clearSession(req: object): unknown {
  const session: unknown = Reflect.get(req, 'session')
  if (typeof session !== 'object' || session === null) {
    throw new TypeError(
      'guard() met an ended session and found no req.session to clear: give it the option clear, a function (req, res) that makes the session forget its user',
    )
  }
  if ('destroy' in session && typeof session.destroy === 'function') return session.destroy()
  return Reflect.set(req, 'session', null)
}

function answer(res: ServerResponse, status: number, headers: Readonly<Record<string, string>>): void {
  if (res.headersSent) return
  res.writeHead(status, { 'Cache-Control': 'no-store', 'Content-Length': '0', ...headers }).end()
}

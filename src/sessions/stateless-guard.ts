// Sessions that live in a cookie: no store to protect, so each request is asked about. Knows requests only by their shape.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { NoVerdictError } from '../errors.js'

export interface GuardOptions<Req> {
  /** Makes an ended session forget its user. Default: `req.session = null`, which clears a cookie-session. */
  readonly clear?: (req: Req, res: ServerResponse) => void | Promise<void>
  /** What becomes of the request: it goes on without a user (default), or is answered 401. */
  readonly whenEnded?: 'anonymous' | 'unauthorized'
}

export type ConnectHandler<Req> = (req: Req, res: ServerResponse, next: (error?: unknown) => void) => void

/**
 * Middleware that asks about the sign-on each request carries. No verdict: 503 with `Retry-After`, and the session is kept.
 * What `read` or `clear` throw goes to `next`.
 */
export function statelessGuard<Req extends IncomingMessage, SignOn>(
  read: (req: Req) => SignOn | null | undefined | Promise<SignOn | null | undefined>,
  isLive: (signOn: SignOn) => Promise<boolean>,
  onBlocked: () => void,
  options: GuardOptions<Req> = {},
): ConnectHandler<Req> {
  const clear = options.clear ?? clearSession
  const guard = async (req: Req, res: ServerResponse): Promise<boolean> => {
    const signOn = await read(req)
    if (signOn === null || signOn === undefined || (await isLive(signOn))) return true
    onBlocked()
    await clear(req, res)
    if (options.whenEnded !== 'unauthorized') return true
    answer(res, 401, {})
    return false
  }
  return (req, res, next) => {
    guard(req, res).then(
      (goOn) => goOn && process.nextTick(next),
      (error: unknown) => {
        if (error instanceof NoVerdictError) answer(res, error.status, error.headers)
        else process.nextTick(next, error)
      },
    )
  }
}

function clearSession(req: object): void {
  if ('session' in req) req.session = null
}

function answer(res: ServerResponse, status: number, headers: Readonly<Record<string, string>>): void {
  if (res.headersSent) return
  res.writeHead(status, { 'Cache-Control': 'no-store', 'Content-Length': '0', ...headers }).end()
}

// The session of a request, for those methods that need one. Says what is missing.
import type { LocalSession, SessionBackend } from './session-backend.js'

/** @throws TypeError where the receiver has no sessions, or the request none */
export function sessionIn<Req>(sessions: SessionBackend<Req> | undefined, req: Req, method: string): LocalSession {
  if (sessions === undefined) {
    throw new TypeError(
      `${method}() needs the option sessions, e.g. expressSessions(store); without it use signOn() and guard()`,
    )
  }
  const session = sessions.sessionOf(req)
  if (session === undefined) {
    throw new TypeError(
      `${method}() was called on a request that has no session: give it req itself, and mount session() before this route`,
    )
  }
  return session
}

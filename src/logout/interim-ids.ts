// Session ids that no session has: under one of these the logout store knows a sign-on while its session id changes, or with
// tokens that came too late. No cookie holds one, so nobody is told of them.
import { randomUUID } from 'node:crypto'

/** No session store makes an id that begins so. */
const PREFIX = 'interim '

export function interimId(): string {
  return `${PREFIX}${randomUUID()}`
}

export function isInterimId(sessionId: string): boolean {
  return sessionId.startsWith(PREFIX)
}

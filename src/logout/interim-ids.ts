// Session ids that no session has: under one of these the logout store knows a sign-on while its session id changes, or
// with tokens that came too late, or a token that is to be revoked. No cookie holds one, so nobody is told of them.
import { randomUUID } from 'node:crypto'

/** No session store makes an id that begins so. */
const PREFIX = 'interim '

export function interimId(): string {
  return `${PREFIX}${randomUUID()}`
}

/** For tokens alone that came too late: it never becomes a session. */
const TOKENS = `${PREFIX}tokens `

export function idOfLateTokens(): string {
  return `${TOKENS}${randomUUID()}`
}

export function isOfLateTokens(sessionId: string): boolean {
  return sessionId.startsWith(TOKENS)
}

/** The same for the same name: what is kept twice under it is kept once. */
export function interimIdOf(name: string): string {
  return PREFIX + name
}

export function isInterimId(sessionId: string): boolean {
  return sessionId.startsWith(PREFIX)
}

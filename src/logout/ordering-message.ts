// A verified message of the provider, other than a Logout Token, that orders a logout: dated, and acted on once. Knows
// no protocol.
import { type Client, jtiKey } from '../marks/target.js'
import { assertOptions, isText } from '../option-checks.js'
import type { LogoutOrder } from './logout-order.js'

/** A message of the provider that you have verified, other than a Logout Token. Times are epoch seconds. */
export interface OrderingMessage {
  /** Unique among the messages of this provider to this client. */
  readonly id: string
  /** By the provider's clock: what was signed in by then is ended. */
  readonly issuedAt: number
  /** Until when it might be presented again: so long its `id` is remembered. */
  readonly expiresAt: number
}

/** What an order has of its message. */
export function orderedBy(
  client: Client,
  message: OrderingMessage | undefined,
): Partial<Pick<LogoutOrder, 'issuedAt' | 'jti'>> {
  if (message === undefined) return {}
  const { id, issuedAt, expiresAt } = message
  return { issuedAt, jti: { key: jtiKey(client, id), expiresAt } }
}

/** Beyond it, somebody means milliseconds. */
const LATEST_SECONDS = 1e11

/** @throws TypeError for a message that cannot date a logout, or beside `except` */
export function assertMessage(message: OrderingMessage | undefined, except: unknown): void {
  if (message === undefined) return
  if (except !== undefined) throw new TypeError('terminate(): message and except exclude each other: leave one out')
  assertOptions('terminate(): message', message, { id: true, issuedAt: true, expiresAt: true })
  const { id, issuedAt, expiresAt } = message
  const areTimes = [issuedAt, expiresAt].every((time) => Number.isFinite(time) && time > 0 && time < LATEST_SECONDS)
  if (isText(id) && areTimes) return
  throw new TypeError('terminate(): message needs an id, and issuedAt and expiresAt in epoch seconds')
}

// Hears the events of receivers in this very process, for the words of a failed test; a receiver elsewhere is heard by
// HTTP alone.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { LogoutError } from '../errors.js'
import type { LogoutEvent } from '../events.js'

const CHANNEL = 'oidc-backchannel-logout'
const REFUSED_LOGINS = `${CHANNEL}:refused-login`

export class EventEar {
  readonly #events: LogoutEvent[] = []
  readonly #issuer: string
  readonly #listener = (message: unknown): void => {
    const event = message as LogoutEvent
    if (!('issuer' in event) || event.issuer === this.#issuer) this.#events.push(event)
  }

  readonly #hearRefusal = (error: unknown): void => {
    if (error instanceof LogoutError) this.#refusedLogin = error
  }
  #refusedLogin: LogoutError | undefined

  constructor(issuer: string) {
    this.#issuer = issuer
    subscribe(CHANNEL, this.#listener)
    subscribe(REFUSED_LOGINS, this.#hearRefusal)
  }

  /** What `bind` rejected with since the last call of this, if it did so in this process. */
  takeRefusedLogin(): LogoutError | undefined {
    const error = this.#refusedLogin
    this.#refusedLogin = undefined
    return error
  }

  /** Whether the receiver is in this process at all. */
  get hears(): boolean {
    return this.#events.length > 0
  }

  /** All events of this type so far. */
  heard<T extends LogoutEvent['type']>(type: T): readonly Extract<LogoutEvent, { type: T }>[] {
    return this.#events.filter((event): event is Extract<LogoutEvent, { type: T }> => event.type === type)
  }

  /** What `act` came to, and why the receiver said no meanwhile, if it is in this process and did. */
  async withRefusal<T>(
    act: () => Promise<T>,
  ): Promise<{ readonly outcome: T; readonly error: LogoutError | undefined }> {
    const before = this.#events.length
    const outcome = await act()
    const refusals = this.#events.slice(before).flatMap((event) => (isRefusal(event) ? [event.error] : []))
    return { outcome, error: refusals.at(-1) }
  }

  close(): void {
    unsubscribe(CHANNEL, this.#listener)
    unsubscribe(REFUSED_LOGINS, this.#hearRefusal)
  }
}

function isRefusal(
  event: LogoutEvent,
): event is Extract<LogoutEvent, { type: 'refused' | 'awaiting-keys' | 'logout-failed' }> {
  return ['refused', 'awaiting-keys', 'logout-failed'].includes(event.type)
}

/**
 * Runs `act` and collects rejections that nobody handles meanwhile, so that a test can explain them where its runner
 * would only print them. What `isExpected` does not know is rejected again afterwards, for whoever listened before.
 */
export async function withRejectionsHeard<T>(
  isExpected: (reason: unknown) => boolean,
  act: () => Promise<T>,
): Promise<{ readonly outcome: T; readonly rejections: number }> {
  const listeners = process.listeners('unhandledRejection')
  const unexpected: unknown[] = []
  let rejections = 0
  const hear = (reason: unknown): void => {
    if (isExpected(reason)) rejections += 1
    else unexpected.push(reason)
  }
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', hear)
  try {
    const outcome = await act()
    await new Promise(setImmediate)
    return { outcome, rejections }
  } finally {
    process.removeListener('unhandledRejection', hear)
    for (const listener of listeners) process.on('unhandledRejection', listener)
    for (const reason of unexpected) void Promise.reject(reason)
  }
}

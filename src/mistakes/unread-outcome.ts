// Notices that nobody looked at what `bind` said. Knows no session: only an outcome, a response, and who is to be told.
import type { EventEmitter } from 'node:events'

/** How long an outcome may lie where no response is known whose end could be waited for. */
const UNREAD_SECONDS = 5

/**
 * An outcome that says `ended: true`; `onUnread` is called if `ended` was not read before the response was sent, or for
 * five seconds where there is none. Looks and prints like the plain object that it is.
 */
export function watchedOutcome(response: EventEmitter | undefined, onUnread: () => void): { readonly ended: boolean } {
  let isRead = false
  const judge = () => {
    if (!isRead) onUnread()
  }
  if (response !== undefined) response.once('close', judge)
  else setTimeout(judge, UNREAD_SECONDS * 1000).unref()
  return new Proxy(
    { ended: true },
    {
      get: (outcome, name) => {
        if (name === 'ended') isRead = true
        return Reflect.get(outcome, name)
      },
    },
  )
}

/** The response of a request of Express (`req.res`); undefined where it is not at hand. */
export function responseOf(req: unknown): EventEmitter | undefined {
  if (typeof req !== 'object' || req === null) return undefined
  const res: unknown = Reflect.get(req, 'res')
  return isEmitter(res) ? res : undefined
}

function isEmitter(value: unknown): value is EventEmitter {
  return typeof value === 'object' && value !== null && 'once' in value && typeof value.once === 'function'
}

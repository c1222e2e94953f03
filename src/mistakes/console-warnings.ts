// Prints mistakes where nobody listens: each code once, by Node's own warnings. Never prints what is routine.
import { debuglog } from 'node:util'
import type { LogoutError } from '../errors.js'
import type { EventListener, LogoutEvent } from '../events.js'
import { warningCode } from './mistakes.js'

const DEFAULT_PAGE = 'docs/answers.md'

/** `process.emitWarning` prints to standard error, and knows `--no-warnings` and `--disable-warning=CODE`. */
export type PrintWarning = (
  text: string,
  about: { readonly type: string; readonly code: string; readonly detail: string },
) => void

/**
 * A listener for where the application has none. `--disable-warning=BCL_…` silences one code, the option
 * `warnings: false` all: under it no such listener is made.
 */
export function consoleWarnings(
  print: PrintWarning = (text, about) => process.emitWarning(text, about),
): EventListener {
  const printed = new Set<string>()
  return (event) => {
    const error = mistakeIn(event)
    if (error === undefined) return
    const code = warningCode(error)
    if (printed.has(code)) return
    printed.add(code)
    const { message, remedy, page = DEFAULT_PAGE } = error
    print(event.type === 'warning' && event.times !== undefined ? `${message} (${event.times} so far)` : message, {
      type: 'BackchannelLogoutWarning',
      code,
      detail: `${remedy === undefined ? '' : `${remedy}.\n`}See ${page} of oidc-backchannel-logout.`,
    })
  }
}

/** Warnings, failed logouts, and those refusals that a setting of the application can cause. */
function mistakeIn(event: LogoutEvent): LogoutError | undefined {
  if (event.type === 'warning' || event.type === 'logout-failed') return event.error
  if (event.type === 'refused' && event.error.remedy !== undefined) return event.error
  return undefined
}

/**
 * With `NODE_DEBUG=oidc-backchannel-logout` every event is printed, listened to or not. An error is printed without its
 * cause.
 */
export function debugEvents(): EventListener | undefined {
  const log = debuglog('oidc-backchannel-logout')
  return log.enabled ? (event) => log('%s', JSON.stringify(event)) : undefined
}

/** The application's own; where it has none, standard error hears of mistakes. */
export function listenerOf({
  onEvent,
  warnings,
}: {
  readonly onEvent?: EventListener | undefined
  readonly warnings?: boolean | undefined
}): EventListener | undefined {
  const listener = onEvent ?? (warnings === false ? undefined : consoleWarnings())
  const debug = debugEvents()
  if (debug === undefined) return listener
  return (event: LogoutEvent) => {
    debug(event)
    return listener?.(event)
  }
}

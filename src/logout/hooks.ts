// The functions that an application has handed in, called for no longer than a step may take. Knows no pass, no store.
import { within } from '../deadline.js'
import { type ErrorCode, LogoutError } from '../errors.js'
import type { Client } from '../marks/target.js'
import { isInterimId } from './interim-ids.js'
import type { EndedSessions } from './logout-order.js'

export interface HookOptions {
  readonly onSessionsEnded: ((ended: EndedSessions) => void | Promise<void>) | undefined
  /** Ids that a session is known to have had before. */
  readonly earlierIds?: ((sessionId: string) => readonly string[]) | undefined
  /** Deadline of each store call, each destruction and each hook. */
  readonly stepTimeoutSeconds: number
}

/** Calls the application's hook, if there is one and anybody to name. Resolves to what went wrong. */
export async function announceEnded(
  client: Client | undefined,
  reason: string,
  sessionIds: readonly string[],
  options: HookOptions,
): Promise<LogoutError | undefined> {
  const { onSessionsEnded, earlierIds } = options
  if (onSessionsEnded === undefined || sessionIds.length === 0) return undefined
  const all = new Set<string>()
  for (const id of sessionIds) {
    // What came before it was walked with it; a long chain is not to be walked once for each of its ids.
    if (all.has(id)) continue
    all.add(id)
    for (const earlier of earlierIds?.(id) ?? []) all.add(earlier)
  }
  const ids = [...all].filter((id) => !isInterimId(id))
  if (ids.length === 0) return undefined
  return hook(
    ['ERR_HOOK', 'The hook onSessionsEnded failed', 'onSessionsEnded'],
    () => onSessionsEnded({ issuer: client?.issuer, clientId: client?.clientId, sessionIds: ids, reason }),
    options,
  )
}

/** Calls a function of the application, for no longer than a step. Resolves to what went wrong. */
export async function hook(
  [code, sentence, option]: readonly [code: ErrorCode, sentence: string, option?: string],
  call: () => void | Promise<void>,
  options: Pick<HookOptions, 'stepTimeoutSeconds'>,
): Promise<LogoutError | undefined> {
  try {
    await step(options, Promise.resolve(call())) // Whatever a hook returns is no promise to be relied on.
    return undefined
  } catch (cause) {
    return new LogoutError(code, sentence, { cause, option })
  }
}

/** One call of a store, a session store or a hook, which must not hang its caller: its outcome, or a rejection. */
export function step<T>({ stepTimeoutSeconds }: Pick<HookOptions, 'stepTimeoutSeconds'>, work: T | Promise<T>) {
  return within(stepTimeoutSeconds, work)
}

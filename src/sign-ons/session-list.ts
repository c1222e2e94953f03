// The sessions of a target as a user may see them, and how one of them, or all but one, is ended. Knows no request, and shows no
// session id: that is a credential.
import { hash } from 'node:crypto'
import { monotonicSeconds, within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { LogoutEvent, LogoutReason } from '../events.js'
import { inParallel } from '../logout/background.js'
import { notDoneInTime } from '../logout/engine.js'
import type { LogoutResult } from '../logout/logout-order.js'
import { type LogoutTarget, type TargetKey, targetKey } from '../marks/target.js'
import type { Binding } from '../stores/logout-store.js'
import type { LocalLogout } from './local-logout.js'
import type { Login } from './login.js'
import { type SignOnsOptions, step } from './options.js'
import type { SessionIdChanges } from './session-id-change.js'
import type { Verdicts } from './verdicts.js'

/** A session as its user may see it. Times are epoch seconds. */
export interface ListedSession {
  /** By it the session can be ended; nobody signs in by it. It changes when the session's id does. */
  readonly handle: string
  /** When its user signed in, by the store's clock. */
  readonly boundAt: number
  /** When it ends by itself at the latest, where anything says so. */
  readonly endsAt?: number
  /** The `label`, `sid` and `auth_time` of its login; absent where that was bound without a `label`. */
  readonly label?: string
  readonly sid?: string
  readonly authTime?: number
  /** It is the session of the request that asks. */
  readonly current: boolean
}

/** Live sessions, a page of them. */
export interface SessionPage {
  readonly sessions: readonly ListedSession[]
  /** Ask again with it for the next page. Absent on the last. A page may be empty and have one all the same. */
  readonly cursor?: string
}

interface Found {
  readonly sessionId: string
  readonly binding: Binding
  readonly about: string | undefined
}

/** Sessions asked about, or ended, at one time. */
const AT_ONCE = 16

export class SessionList {
  readonly #options: SignOnsOptions
  readonly #verdicts: Verdicts
  readonly #changes: SessionIdChanges
  readonly #localLogout: LocalLogout

  constructor(options: SignOnsOptions, verdicts: Verdicts, changes: SessionIdChanges, localLogout: LocalLogout) {
    this.#options = options
    this.#verdicts = verdicts
    this.#changes = changes
    this.#localLogout = localLogout
  }

  /** @throws LogoutError `ERR_STORE` if they could not be listed */
  async page(target: LogoutTarget, currentId: string | undefined, cursor: string | undefined): Promise<SessionPage> {
    if (currentId !== undefined) await this.#changes.finish(currentId)
    const { found, next } = await this.#page(targetKey(target), cursor)
    const sessions = found
      .map((each) => listed(each, currentId))
      .sort((one, other) => Number(other.current) - Number(one.current) || other.boundAt - one.boundAt)
    return { sessions, ...(next !== undefined && { cursor: next }) }
  }

  async count(target: LogoutTarget): Promise<number> {
    const handles = new Set<string>()
    for await (const found of this.#all(targetKey(target))) {
      for (const { sessionId } of found) handles.add(handleOf(sessionId))
    }
    return handles.size
  }

  /**
   * Ends the session of this handle if it is the target's, as a local logout does. Resolves to whether there was one.
   *
   * @throws LogoutError as a local logout does
   */
  async end(target: LogoutTarget, handle: string): Promise<boolean> {
    for await (const found of this.#all(targetKey(target))) {
      const session = found.find(({ sessionId }) => handleOf(sessionId) === handle)
      if (session === undefined) continue
      await this.#localLogout.end(session.sessionId, () => this.#options.destroySession(session.sessionId), { target })
      return true
    }
    return false
  }

  /**
   * Ends every session of the target but one, each by its own mark, so that the one that is spared needs no exception from any.
   * A login that is bound meanwhile may be spared as well. What is late goes on in the background. Never rejects.
   */
  async endOthers(
    target: LogoutTarget,
    sparedId: string,
    reason: LogoutReason,
    deadlineSeconds: number,
  ): Promise<LogoutResult> {
    const started = monotonicSeconds()
    const result = await within(deadlineSeconds, this.#endOthers(target, sparedId, reason)).catch((cause: unknown) => {
      const { replayed: _, ...late } = notDoneInTime(cause)
      return late
    })
    this.#options.emit(eventOf(target, reason, result, monotonicSeconds() - started))
    return result
  }

  async #endOthers(target: LogoutTarget, sparedId: string, reason: LogoutReason): Promise<LogoutResult> {
    const client = { issuer: target.issuer, clientId: target.clientId }
    const counts = { found: 0, destroyed: 0 }
    const endedIds: string[] = []
    const order = { client, reason, ended: (sessionIds: readonly string[]) => void endedIds.push(...sessionIds) }
    let error: LogoutError | undefined
    try {
      await this.#changes.finish(sparedId)
      for await (const found of this.#all(targetKey(target))) {
        const others = found.filter(({ sessionId }) => sessionId !== sparedId)
        counts.found += others.length
        await inParallel(AT_ONCE, others, async ({ sessionId }) => {
          try {
            await this.#localLogout.end(sessionId, () => this.#options.destroySession(sessionId), { order })
            counts.destroyed++
          } catch (cause) {
            error ??= asError(cause)
          }
        })
      }
    } catch (cause) {
      error ??= asError(cause)
    }
    const sessionIds = [...new Set(endedIds)]
    if (sessionIds.length > 0)
      this.#options.tell?.(client, target, { sessionIds, reason, complete: error === undefined })
    const result = { marked: error === undefined, ...counts, failed: counts.found - counts.destroyed }
    return error === undefined ? { complete: true, ...result } : { complete: false, ...result, error }
  }

  async *#all(key: TargetKey): AsyncGenerator<readonly Found[]> {
    let cursor: string | undefined
    do {
      const page = await this.#page(key, cursor)
      yield page.found
      cursor = page.next
    } while (cursor !== undefined)
  }

  /** Each is asked about as if it were presented: what no request would find is not in the list. */
  async #page(key: TargetKey, cursor: string | undefined) {
    const { store, deniedHere } = this.#options
    try {
      const page = await step(this.#options, store.list({ scope: key.scope, key: key.key }, cursor))
      const found: Found[] = []
      const failures: unknown[] = []
      await inParallel(AT_ONCE, page.sessions, async ({ sessionId, about }) => {
        try {
          const state = await step(this.#options, store.read(sessionId))
          const { binding } = state
          if (binding === undefined || !isNamed(key, binding)) return
          if (!this.#verdicts.isDead(state) && !deniedHere.wasEnded(sessionId))
            found.push({ sessionId, binding, about })
        } catch (cause) {
          failures.push(cause)
        }
      })
      if (failures.length > 0) throw failures[0]
      return { found, next: page.cursor }
    } catch (cause) {
      throw new LogoutError('ERR_STORE', 'The sessions could not be listed', { cause })
    }
  }
}

/** What is listed of a login beside its dates; nothing, unless the application gave it a label. */
export function aboutOf({ label, sid, authTime }: Pick<Login, 'label' | 'sid' | 'authTime'>): string | undefined {
  return label === undefined ? undefined : JSON.stringify({ label, sid, authTime })
}

function listed({ sessionId, binding, about }: Found, currentId: string | undefined): ListedSession {
  const { boundAt, endsAt } = binding
  const details: Pick<ListedSession, 'label' | 'sid' | 'authTime'> = about === undefined ? {} : JSON.parse(about)
  const current = sessionId === currentId
  return { handle: handleOf(sessionId), boundAt, ...(endsAt !== undefined && { endsAt }), ...details, current }
}

/** A session id is random enough that nobody finds it by its hash; and one that is not would be guessed without it. */
function handleOf(sessionId: string): string {
  return hash('sha256', `session handle ${sessionId}`, 'base64url')
}

/** As of any logout without a Logout Token. */
function eventOf(
  { issuer, clientId, sid }: LogoutTarget,
  reason: LogoutReason,
  { found, destroyed, failed, error }: LogoutResult,
  durationSeconds: number,
): LogoutEvent {
  const counts = { found, destroyed, failed, mismatched: 0, withoutSid: 0, notDeleted: 0 }
  const scope: 'sub' | 'sid' = sid === undefined ? 'sub' : 'sid'
  const about = { issuer, clientId, scope, reason, ...counts, durationSeconds, background: false }
  if (error === undefined) return { type: 'logout', ...about, revokeOfflineAccess: false }
  return { type: 'logout-failed', ...about, error, retrying: false }
}

function isNamed({ scope, key, subKey }: TargetKey, binding: Binding): boolean {
  if (scope === 'sub') return binding.subKey === key
  return binding.sidKey === key && (subKey === undefined || subKey === binding.subKey)
}

function asError(cause: unknown): LogoutError {
  if (cause instanceof LogoutError) return cause
  return new LogoutError('ERR_SESSIONS', 'Not every session of the logout could be destroyed', { cause })
}

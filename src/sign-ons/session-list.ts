// The sessions of a target as a user may see them, and how one of them, or all but one, is ended. Knows no request, and
// shows no session id: that is a credential.
import { monotonicSeconds, within } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { LogoutEvent, LogoutReason } from '../events.js'
import { inParallel } from '../logout/background.js'
import { notDoneInTime } from '../logout/engine.js'
import { isInterimId, isOfLateTokens } from '../logout/interim-ids.js'
import type { LogoutResult } from '../logout/logout-order.js'
import { type LogoutTarget, sha256, type TargetKey, targetKey } from '../marks/target.js'
import type { Binding, LogoutStore, SessionState } from '../stores/logout-store.js'
import type { LocalLogout } from './local-logout.js'
import type { Login } from './login.js'
import { type SignOnsOptions, step } from './options.js'
import type { SessionIdChanges } from './session-id-change.js'
import { askStoreTime } from './store-time.js'
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

type HowToRead = Parameters<LogoutStore['read']>[1]

/** Who is ended is decided by the store: a copy may know a session under an id that it has left. */
const AS_IT_IS: HowToRead = { current: true }
const AS_REQUESTS_FIND_IT: HowToRead = {}
/** Sessions asked about, or ended, at one time. */
const AT_ONCE = 16
/** For so long after it was bound a session may not have been saved. */
const UNSAVED_SECONDS = 60
/** A session that changes its id so often while it is looked for is no browser's. */
const MOST_WALKS = 8

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
    const sessions = (await this.#withRows(found.filter(isSession), currentId))
      .map((each) => listed(each, currentId))
      .sort((one, other) => Number(other.current) - Number(one.current) || other.boundAt - one.boundAt)
    return { sessions, ...(next !== undefined && { cursor: next }) }
  }

  async count(target: LogoutTarget): Promise<number> {
    const handles = new Set<string>()
    for await (const found of this.#all(targetKey(target), 'as far as they hold still', AS_REQUESTS_FIND_IT)) {
      for (const { sessionId } of await this.#withRows(found.filter(isSession))) handles.add(handleOf(sessionId))
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
      const { sessionId } = session
      const siblings = await this.#siblingsOf(session)
      const sparedIds = siblings.filter(isSession).map((sibling) => sibling.sessionId)
      await this.#localLogout.end(sessionId, () => this.#options.destroySession(sessionId), { target, sparedIds })
      if (sparedIds.length > 0) return true
      for (const late of siblings) await this.#localLogout.end(late.sessionId, async () => {}, { target })
      return true
    }
    return false
  }

  /**
   * Ends every session of the target but one, each by its own mark, so that the one that is spared needs no exception
   * from any. It is spared with its sign-on, under whatever id another request of its browser brings that to meanwhile.
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
      const spared = await this.#signOnOf(sparedId)
      for await (const found of this.#all(targetKey(target))) {
        const others: Found[] = []
        for (const each of found) if (!(await this.#isSpared(each, sparedId, spared))) others.push(each)
        counts.found += others.length
        await inParallel(AT_ONCE, others, async ({ sessionId, binding }) => {
          const sparedIds = spared !== undefined && isSameSignOn(binding, spared) ? [sparedId] : []
          try {
            const destroyRow = () => this.#options.destroySession(sessionId)
            await this.#localLogout.end(sessionId, destroyRow, { order, sparedIds })
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

  /** Whatever else hangs on its sign-on: sessions that came from the same id, and tokens that came too late. */
  async #siblingsOf({ sessionId, binding }: Found): Promise<readonly Found[]> {
    const { subKey, sidKey } = binding
    const key: TargetKey = sidKey === undefined ? { scope: 'sub', key: subKey } : { scope: 'sid', key: sidKey, subKey }
    const siblings: Found[] = []
    for await (const found of this.#all(key, 'as far as they hold still')) {
      siblings.push(...found.filter((each) => each.sessionId !== sessionId && isSameSignOn(each.binding, binding)))
    }
    return siblings
  }

  /** What is spared: absent where nobody bound that session. */
  async #signOnOf(sessionId: string): Promise<Binding | undefined> {
    await this.#changes.finish(sessionId)
    const { binding, ended } = await this.#read(sessionId)
    // Where its sign-on is now nobody says, so that it would be ended with the others.
    if (binding === undefined && ended)
      throw new LogoutError('ERR_SESSIONS', 'The session that is to be spared has ended, or changed its id: ask again')
    return binding
  }

  async #isSpared({ sessionId, binding }: Found, sparedId: string, spared: Binding | undefined): Promise<boolean> {
    if (sessionId === sparedId) return true
    if (spared === undefined || !isSameSignOn(binding, spared)) return false
    if (isOfLateTokens(sessionId)) return true
    // It has moved only if it is gone there: two requests that change one id at the same time make two sessions of one
    // sign-on, and two logins without a sid look the same by a clock that stands.
    return (await this.#read(sparedId)).binding === undefined
  }

  async #read(sessionId: string): Promise<SessionState> {
    try {
      return await step(this.#options, this.#options.store.read(sessionId, AS_IT_IS))
    } catch (cause) {
      throw new LogoutError('ERR_STORE', 'Whether a session is to be spared could not be found out', { cause })
    }
  }

  /**
   * Each once. A session whose id changes meanwhile may be where the list has passed already: so it is walked again
   * where one was met that had just been left, or where it has pages and any of them had news. Throws where the last
   * walk that is made had news: there may be more.
   */
  async *#all(
    key: TargetKey,
    which: 'every one' | 'as far as they hold still' = 'every one',
    how = AS_IT_IS,
  ): AsyncGenerator<readonly Found[]> {
    const met = new Set<string>()
    for (let walk = 0, goesOn = true; goesOn; walk++) {
      if (walk === MOST_WALKS) {
        if (which === 'as far as they hold still') return
        throw new LogoutError('ERR_STORE', 'The sessions changed as fast as they were listed: ask again')
      }
      goesOn = false
      let cursor: string | undefined
      do {
        const page = await this.#pageOnce(key, cursor, how)
        const found = page.found.filter(({ sessionId }) => !met.has(sessionId))
        const left = page.left.filter((sessionId) => !met.has(sessionId))
        cursor = page.next
        goesOn ||= left.length > 0 || (found.length > 0 && (cursor !== undefined || walk > 0))
        for (const id of [...found.map(({ sessionId }) => sessionId), ...left]) met.add(id)
        yield found
      } while (cursor !== undefined)
    }
  }

  /** Once more where somebody's id has just changed: the new one is in the index before the old one is left. */
  async #page(key: TargetKey, cursor: string | undefined) {
    let page = await this.#pageOnce(key, cursor, AS_REQUESTS_FIND_IT)
    const left = new Set<string>()
    for (let walk = 1; walk < MOST_WALKS && page.left.some((id) => !left.has(id)); walk++) {
      for (const id of page.left) left.add(id)
      page = await this.#pageOnce(key, cursor, AS_REQUESTS_FIND_IT)
    }
    return page
  }

  /**
   * Those whose row is not known to be gone: where that cannot be asked, all of them. The row of a login is saved at
   * the end of its response, and that of a session whose id changes under its new one.
   */
  async #withRows(found: readonly Found[], currentId?: string): Promise<readonly Found[]> {
    const { hasRow, storeClock, clock } = this.#options
    if (hasRow === undefined) return found
    const gone = new Set<Found>()
    let canBeAsked = true
    await inParallel(AT_ONCE, found, async (each) => {
      const { sessionId } = each
      if (!canBeAsked || sessionId === currentId || isInterimId(sessionId)) return
      const isThere = await step(this.#options, hasRow(sessionId)).catch(() => {
        canBeAsked = false
      })
      if (isThere === false) gone.add(each)
    })
    if (gone.size > 0 && !storeClock.isKnown()) await askStoreTime(this.#options).catch(() => {})
    const settledBy = storeClock.earliest(clock() - UNSAVED_SECONDS)
    if (!canBeAsked || settledBy === undefined) return found
    return found.filter((each) => !gone.has(each) || each.binding.boundAt > settledBy)
  }

  /**
   * Each is asked about as if it were presented: what no request would find is not in the list. `left`: ids that were
   * listed, and whose sign-on was gone when they were asked about.
   */
  async #pageOnce(key: TargetKey, cursor: string | undefined, how: HowToRead) {
    const { store, deniedHere } = this.#options
    try {
      const page = await step(this.#options, store.list({ scope: key.scope, key: key.key }, cursor))
      const found: Found[] = []
      const left: string[] = []
      const failures: unknown[] = []
      await inParallel(AT_ONCE, page.sessions, async ({ sessionId, about }) => {
        try {
          const state = await step(this.#options, store.read(sessionId, how))
          const { binding } = state
          if (binding === undefined && state.ended) left.push(sessionId)
          if (binding === undefined || !isNamed(key, binding)) return
          if (!(await this.#verdicts.isDead(state)) && !deniedHere.wasEnded(sessionId))
            found.push({ sessionId, binding, about })
        } catch (cause) {
          failures.push(cause)
        }
      })
      if (failures.length > 0) throw failures[0]
      return { found, left, next: page.cursor }
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
  return sha256(`session handle ${sessionId}`)
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
  const about = { issuer, clientId, scope, reason, ...counts, durationSeconds, background: false, steps: [] }
  if (error === undefined) return { type: 'logout', ...about, revokeOfflineAccess: false }
  return { type: 'logout-failed', ...about, error, retrying: false }
}

function isNamed({ scope, key, subKey }: TargetKey, binding: Binding): boolean {
  if (scope === 'sub') return binding.subKey === key
  return binding.sidKey === key && (subKey === undefined || subKey === binding.subKey)
}

function isSession({ sessionId }: Found): boolean {
  return !isOfLateTokens(sessionId)
}

/** These go along when the session id changes. */
function isSameSignOn(one: Binding, other: Binding): boolean {
  return one.boundAt === other.boundAt && one.subKey === other.subKey && one.sidKey === other.sidKey
}

function asError(cause: unknown): LogoutError {
  if (cause instanceof LogoutError) return cause
  return new LogoutError('ERR_SESSIONS', 'Not every session of the logout could be destroyed', { cause })
}

// The logout store of one process: right for one node and for tests, and forgotten when the process ends.

import { ExpiringMap } from '../expiring-map.js'
import { covers, type Mark, withMark } from '../marks/covering.js'
import { assertOptions } from '../option-checks.js'
import type {
  BeginLogout,
  BegunLogout,
  Binding,
  CompleteLogout,
  LocallyEnded,
  LogoutStore,
  NewBinding,
  SessionState,
} from './logout-store.js'

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** Epoch seconds, fractions allowed. Default: the system clock. */
  readonly clock?: () => number
}

interface BoundSession extends Binding {
  expiresAt: number
  tokenKeys: Set<string> | undefined
}

interface EndedSession {
  readonly expiresAt: number
  /** The sign-on that moved on from this id, and where to; absent where a logout ended it. */
  readonly movedOn?: BoundSession
  readonly movedTo?: readonly string[]
  /** The same sign-on once the id was ended: handed to nobody any more, and still followed when the end is repeated. */
  readonly leftBy?: BoundSession | undefined
  /** The id itself was never ended, an id it was moved from was. */
  readonly inherited?: boolean
}

interface MarksOfKey {
  readonly expiresAt: number
  /** One for each `sub` a token named with this `sid`; nearly always one in all. */
  readonly marks: readonly Mark[]
}

interface OpenedLogout {
  readonly expiresAt: number
  readonly issuedAt: number
  readonly seenAt: number
  readonly completed: boolean
}

/**
 * A logout store in this process's memory. Entries end by time alone and nothing unexpired is ever dropped, so memory is
 * bounded by sessions and logouts within their lifetimes. Other processes see none of it: from the second node on, use Redis or PostgreSQL.
 */
export function memoryStore(options: MemoryStoreOptions = {}): LogoutStore {
  assertOptions('memoryStore()', options, { clock: true })
  return new MemoryStore(options.clock ?? (() => Date.now() / 1000))
}

class MemoryStore implements LogoutStore {
  readonly #clock: () => number
  #lastStamp = 0
  readonly #sessions = new ExpiringMap<BoundSession>((_, session) => this.#unindex(session))
  readonly #ended = new ExpiringMap<EndedSession>()
  readonly #marks = new ExpiringMap<MarksOfKey>()
  readonly #logouts = new ExpiringMap<OpenedLogout>()
  readonly #bySid = new Map<string, BoundSession | Set<BoundSession>>()
  readonly #bySub = new Map<string, BoundSession | Set<BoundSession>>()

  constructor(clock: () => number) {
    this.#clock = clock
  }

  async bind(binding: NewBinding): Promise<SessionState & { readonly binding: Binding }> {
    const now = this.#stamp()
    const bound: BoundSession = {
      sessionId: binding.sessionId,
      subKey: binding.subKey,
      sidKey: binding.sidKey,
      issuedAt: binding.issuedAt,
      boundAt: now,
      expiresAt: binding.expiresAt,
      tokenKeys: binding.tokenKeys?.length ? new Set(binding.tokenKeys) : undefined,
    }
    this.#put(bound, now)
    if (this.#ended.get(binding.sessionId, now)?.inherited) this.#ended.delete(binding.sessionId)
    return { ...this.#stateOf(binding.sessionId, now), binding: copyOf(bound) }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    const now = this.#stamp()
    if (fromSessionId === toSessionId) return this.#stateOf(toSessionId, now)
    const from = this.#sessions.get(fromSessionId, now)
    const ended = this.#ended.get(fromSessionId, now)
    const signOn = from ?? ended?.movedOn
    if (signOn !== undefined) {
      const moved: BoundSession = {
        ...signOn,
        sessionId: toSessionId,
        expiresAt: Math.max(signOn.expiresAt, expiresAt),
        tokenKeys: signOn.tokenKeys && new Set(signOn.tokenKeys),
      }
      this.#put(moved, now)
      if (ended === undefined || ended.movedOn !== undefined) {
        const movedTo = [...(ended?.movedTo ?? []), toSessionId]
        const until = Math.max(moved.expiresAt, ended?.expiresAt ?? 0)
        this.#ended.set(fromSessionId, { expiresAt: until, movedOn: signOn, movedTo }, now)
      }
      if (from !== undefined) this.#remove(from)
    }
    if (ended !== undefined && ended.movedOn === undefined && this.#ended.get(toSessionId, now) === undefined) {
      this.#ended.set(toSessionId, { expiresAt: Math.max(ended.expiresAt, expiresAt), inherited: true }, now)
    }
    return this.#stateOf(toSessionId, now)
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    const session = this.#sessions.get(sessionId, this.#stamp())
    if (session !== undefined) session.expiresAt = Math.max(session.expiresAt, expiresAt)
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    const now = this.#stamp()
    const session = this.#sessions.get(sessionId, now)
    if (session !== undefined) {
      session.tokenKeys ??= new Set()
      for (const key of tokenKeys) session.tokenKeys.add(key)
    }
    return this.#stateOf(sessionId, now)
  }

  async read(sessionId: string): Promise<SessionState> {
    return this.#stateOf(sessionId, this.#stamp())
  }

  async marks(keys: readonly string[]): Promise<{ readonly now: number; readonly marks: readonly Mark[] }> {
    const now = this.#stamp()
    let marks = NONE
    for (const key of keys) {
      const under = this.#marksUnder(key, now)
      if (under.length > 0) marks = marks.length === 0 ? under : [...marks, ...under]
    }
    return { now, marks }
  }

  async endSessions(sessionIds: readonly string[], expiresAt: number): Promise<LocallyEnded> {
    const now = this.#stamp()
    const ended: string[] = []
    const tokenKeys = new Set<string>()
    const toEnd: { sessionId: string; movedOn?: BoundSession | undefined }[] = sessionIds.map((sessionId) => ({
      sessionId,
    }))
    const seen = new Set(sessionIds)
    // Grows while it is walked; nothing is walked twice, so that circles end.
    for (const { sessionId, movedOn } of toEnd) {
      const before = this.#ended.get(sessionId, now)
      const left = before?.movedOn ?? before?.leftBy
      const signOn = this.#sessions.get(sessionId, now) ?? left
      if (movedOn !== undefined && !isSameSignOn(movedOn, signOn)) continue
      const until = Math.max(expiresAt, signOn?.expiresAt ?? 0)
      if (movedOn === undefined || left !== undefined) this.#end(sessionId, until, now)
      else if (before === undefined) this.#ended.set(sessionId, { expiresAt: until, inherited: true }, now)
      ended.push(sessionId)
      for (const key of signOn?.tokenKeys ?? []) tokenKeys.add(key)
      for (const to of before?.movedTo ?? []) {
        if (!seen.has(to)) toEnd.push({ sessionId: to, movedOn: left })
        seen.add(to)
      }
    }
    return { sessionIds: ended, tokenKeys: [...tokenKeys] }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    this.#unbind(sessionIds, this.#stamp())
  }

  #unbind(sessionIds: readonly string[], now: number): void {
    for (const sessionId of sessionIds) {
      const session = this.#sessions.get(sessionId, now)
      if (session !== undefined) this.#remove(session)
    }
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const now = this.#stamp()
    const { target, jti } = logout
    const opened = jti && this.#logouts.get(jti.key, now)
    if (opened?.completed) return { replayed: true }
    const issuedAt = opened?.issuedAt ?? logout.issuedAt
    const seenAt = opened?.seenAt ?? now - logout.seenSecondsAgo
    const { scope, key, subKey } = target
    const mark = this.#mark({ scope, key, subKey, issuedAt, seenAt, expiresAt: logout.marksExpireAt }, now)
    const sessionIds: string[] = []
    const tokenKeys: string[] = []
    let mismatched = 0
    for (const session of this.#sessionsOf(target)) {
      if (session.expiresAt <= now) continue
      if (target.subKey !== undefined && target.subKey !== session.subKey) {
        mismatched++
        continue
      }
      if (!covers(mark, session, logout.toleranceSeconds)) continue
      const marksExpireAt = Math.max(logout.marksExpireAt, session.expiresAt)
      this.#end(session.sessionId, marksExpireAt, now)
      for (const tokenKey of session.tokenKeys ?? []) {
        this.#mark({ scope: 'token', key: tokenKey, issuedAt, seenAt, expiresAt: marksExpireAt }, now)
        tokenKeys.push(tokenKey)
      }
      sessionIds.push(session.sessionId)
    }
    const finished = logout.mayFinish && sessionIds.length === 0
    if (jti) this.#logouts.set(jti.key, { issuedAt, seenAt, expiresAt: jti.expiresAt, completed: finished }, now)
    return { replayed: false, mark, sessionIds, tokenKeys, mismatched, finished }
  }

  async complete(logout: CompleteLogout): Promise<void> {
    const now = this.#stamp()
    this.#unbind(logout.destroyedIds, now)
    const { jti } = logout
    if (!logout.done || jti === undefined) return
    this.#logouts.set(jti.key, { issuedAt: 0, seenAt: now, expiresAt: jti.expiresAt, completed: true }, now)
  }

  /** Strictly increasing, so that of two steps in one clock tick it is still known which came first. */
  #stamp(): number {
    this.#lastStamp = Math.max(this.#clock(), this.#lastStamp + 1e-6)
    return this.#lastStamp
  }

  #stateOf(sessionId: string, now: number): SessionState {
    const binding = this.#sessions.get(sessionId, now)
    const ended = this.#ended.get(sessionId, now) !== undefined
    if (binding === undefined) return { ended, marks: [] }
    const bySub = this.#marksUnder(binding.subKey, now)
    return {
      ended,
      binding: copyOf(binding),
      marks: binding.sidKey === undefined ? bySub : [...this.#marksUnder(binding.sidKey, now), ...bySub],
    }
  }

  #marksUnder(key: string, now: number): readonly Mark[] {
    const marks = this.#marks.get(key, now)?.marks
    if (marks === undefined) return NONE
    return marks.every((mark) => mark.expiresAt > now) ? marks : marks.filter((mark) => mark.expiresAt > now)
  }

  #mark(mark: Mark, now: number): Mark {
    const marks = withMark(this.#marksUnder(mark.key, now), mark)
    this.#marks.set(mark.key, { marks, expiresAt: Math.max(...marks.map((each) => each.expiresAt)) }, now)
    return marks.at(-1) ?? mark
  }

  /** An id that was left behind and is then ended by a logout must not hand its sign-on to anybody. */
  #end(sessionId: string, expiresAt: number, now: number): void {
    const before = this.#ended.get(sessionId, now)
    if (before === undefined) {
      this.#ended.set(sessionId, { expiresAt }, now)
      return
    }
    const until = Math.max(expiresAt, before.expiresAt)
    const { movedTo = [], leftBy = before.movedOn } = before
    this.#ended.set(sessionId, { expiresAt: until, movedTo, leftBy }, now)
  }

  #put(session: BoundSession, now: number): void {
    const older = this.#sessions.get(session.sessionId, now)
    if (older !== undefined) this.#unindex(older)
    if (older?.tokenKeys !== undefined && older.subKey === session.subKey && older.sidKey === session.sidKey) {
      session.tokenKeys = new Set([...older.tokenKeys, ...(session.tokenKeys ?? [])])
    }
    this.#sessions.set(session.sessionId, session, now)
    addTo(this.#bySub, session.subKey, session)
    if (session.sidKey !== undefined) addTo(this.#bySid, session.sidKey, session)
  }

  #remove(session: BoundSession): void {
    this.#sessions.delete(session.sessionId)
    this.#unindex(session)
  }

  #unindex(session: BoundSession): void {
    removeFrom(this.#bySub, session.subKey, session)
    if (session.sidKey !== undefined) removeFrom(this.#bySid, session.sidKey, session)
  }

  #sessionsOf(target: { readonly scope: 'sid' | 'sub' | 'token'; readonly key: string }): readonly BoundSession[] {
    if (target.scope === 'token') return []
    const found = (target.scope === 'sid' ? this.#bySid : this.#bySub).get(target.key)
    if (found === undefined) return []
    return found instanceof Set ? [...found] : [found]
  }
}

const NONE: readonly Mark[] = []

/** A sign-on keeps its dates when its session id changes, and no other has the same. */
function isSameSignOn(one: Binding, other: Binding | undefined): boolean {
  return (
    other !== undefined && one.boundAt === other.boundAt && one.subKey === other.subKey && one.sidKey === other.sidKey
  )
}

/** A caller's binding stays as it was read, whatever happens to the session afterwards. */
function copyOf({ sessionId, subKey, sidKey, issuedAt, boundAt, expiresAt }: Binding): Binding {
  return { sessionId, subKey, sidKey, issuedAt, boundAt, expiresAt }
}

/** Most users have one session: a set is made only for the second, since a set of one costs more than the session. */
function addTo(index: Map<string, BoundSession | Set<BoundSession>>, key: string, session: BoundSession): void {
  const found = index.get(key)
  if (found === undefined) index.set(key, session)
  else if (found instanceof Set) found.add(session)
  else if (found !== session) index.set(key, new Set([found, session]))
}

function removeFrom(index: Map<string, BoundSession | Set<BoundSession>>, key: string, session: BoundSession): void {
  const found = index.get(key)
  if (found === session) index.delete(key)
  else if (found instanceof Set && found.delete(session) && found.size === 0) index.delete(key)
}

// The logout store of one process: right for one node and for tests, and forgotten when the process ends.

import { ExpiringMap } from '../expiring-map.js'
import { covers, type Mark, sidlessMark } from '../marks/covering.js'
import { MarksByKey } from '../marks/marks-by-key.js'
import type { TargetKey } from '../marks/target.js'
import { assertOptions } from '../option-checks.js'
import { type LogoutDates, type LogoutPosition, positionOf, writtenPosition } from './logout-position.js'
import {
  type BeginLogout,
  type BegunLogout,
  type Binding,
  type BoundState,
  type CompleteLogout,
  type FoundMarks,
  JTI_SPARE_SECONDS,
  type JtiKey,
  type ListedSessions,
  type LocallyEnded,
  type LogoutStore,
  type NewBinding,
  type SessionState,
  type SignOnLimits,
} from './logout-store.js'
import { SessionIndex } from './session-index.js'

/** Options of `memoryStore`. */
export interface MemoryStoreOptions {
  /** Epoch seconds, fractions allowed. Default: the system clock. */
  readonly clock?: () => number
}

interface BoundSession extends Binding {
  /** Counts what is bound, so that a page of a subject's sessions knows where the one before ended. */
  readonly serial: number
  expiresAt: number
  tokenKeys: Set<string> | undefined
  about?: string | undefined
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

interface OpenedLogout {
  readonly expiresAt: number
  /** Of the first time; absent where it was completed without having been opened. */
  readonly dates: LogoutDates | undefined
  readonly completed: boolean
}

/** Sessions that one page of a logout looks at: what else the process has to do waits for no more than those. */
const PAGE = 1000

/**
 * A logout store in this process's memory. Entries end by time alone and nothing unexpired is ever dropped, so memory
 * is bounded by sessions and logouts within their lifetimes. Other processes see none of it: from the second node on,
 * use Redis or PostgreSQL.
 */
export function memoryStore(options: MemoryStoreOptions = {}): LogoutStore {
  assertOptions('memoryStore()', options, { clock: true })
  return new MemoryStore(options.clock ?? (() => Date.now() / 1000))
}

/** Whether other processes see nothing of this store, and nobody after a restart. */
export function isMemoryStore(store: LogoutStore): boolean {
  return store instanceof MemoryStore
}

class MemoryStore implements LogoutStore {
  readonly #clock: () => number
  #lastStamp = 0
  readonly #sessions = new ExpiringMap<BoundSession>((_, session) => this.#index.remove(session))
  readonly #ended = new ExpiringMap<EndedSession>()
  readonly #marks = new MarksByKey()
  readonly #logouts = new ExpiringMap<OpenedLogout>()
  readonly #index = new SessionIndex<BoundSession>()
  #lastSerial = 0

  constructor(clock: () => number) {
    this.#clock = clock
  }

  async bind(binding: NewBinding): Promise<BoundState> {
    const now = this.#stamp()
    const bound: BoundSession = {
      serial: ++this.#lastSerial,
      sessionId: binding.sessionId,
      subKey: binding.subKey,
      sidKey: binding.sidKey,
      issuedAt: binding.issuedAt,
      startedAt: binding.startedAt,
      boundAt: now,
      expiresAt: binding.expiresAt,
      tokenKeys: binding.tokenKeys?.length ? new Set(binding.tokenKeys) : undefined,
      ...limitsOf(binding, this.#sessions.get(binding.sessionId, now)),
      ...(binding.about !== undefined && { about: binding.about }),
    }
    this.#put(bound, now)
    if (this.#ended.get(binding.sessionId, now)?.inherited) this.#ended.delete(binding.sessionId)
    return { ...this.#stateOf(binding.sessionId, now), binding: copyOf(bound), now }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    const now = this.#stamp()
    if (fromSessionId === toSessionId) return this.#stateOf(toSessionId, now)
    const from = this.#sessions.get(fromSessionId, now)
    const ended = this.#ended.get(fromSessionId, now)
    const signOn = from ?? ended?.movedOn
    const there = this.#sessions.get(toSessionId, now)
    const later = signOn !== undefined && there !== undefined && there.boundAt > signOn.boundAt ? there : undefined
    if (signOn !== undefined) {
      const moved: BoundSession = {
        ...signOn,
        serial: ++this.#lastSerial,
        sessionId: toSessionId,
        expiresAt: Math.max(signOn.expiresAt, expiresAt),
        tokenKeys: signOn.tokenKeys && new Set(signOn.tokenKeys),
      }
      if (later === undefined) this.#put(moved, now)
      else if (later.subKey === signOn.subKey && later.sidKey === signOn.sidKey) addTokens(later, moved.tokenKeys ?? [])
      if (ended === undefined || ended.movedOn !== undefined) {
        const movedTo = [...(ended?.movedTo ?? []), toSessionId]
        const until = Math.max(moved.expiresAt, ended?.expiresAt ?? 0)
        this.#ended.set(fromSessionId, { expiresAt: until, movedOn: signOn, movedTo }, now)
      }
      if (from !== undefined) this.#remove(from)
    }
    const inherits = ended !== undefined && ended.movedOn === undefined && later === undefined
    if (inherits && this.#ended.get(toSessionId, now) === undefined) {
      this.#ended.set(toSessionId, { expiresAt: Math.max(ended.expiresAt, expiresAt), inherited: true }, now)
    }
    return this.#stateOf(toSessionId, now)
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    const session = this.#sessions.get(sessionId, this.#stamp())
    if (session !== undefined) session.expiresAt = Math.max(session.expiresAt, expiresAt)
  }

  async list(target: TargetKey, cursor?: string): Promise<ListedSessions> {
    const now = this.#stamp()
    const page = this.#page(
      { scope: target.scope, key: target.key },
      cursor === undefined ? undefined : { part: 0, after: cursor },
    )
    const sessions = page.sessions
      .filter(({ expiresAt }) => expiresAt > now)
      .map(({ sessionId, about }) => ({ sessionId, ...(about !== undefined && { about }) }))
    return { sessions, ...(page.next && { cursor: page.next.after }) }
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    const now = this.#stamp()
    const session = this.#sessions.get(sessionId, now)
    if (session !== undefined) addTokens(session, tokenKeys)
    return this.#stateOf(sessionId, now)
  }

  async read(sessionId: string): Promise<SessionState> {
    return this.#stateOf(sessionId, this.#stamp())
  }

  marks(keys: readonly string[]): FoundMarks {
    const now = this.#stamp()
    return { now, marks: this.#marks.underAll(keys, now) }
  }

  async isBound(key: string): Promise<boolean> {
    const now = this.#stamp()
    for (const scope of ['sid', 'sub'] as const) {
      for (const [, { expiresAt }] of this.#index.namedBy({ scope, key })) if (expiresAt > now) return true
    }
    return false
  }

  async endSessions(
    sessionIds: readonly string[],
    expiresAt: number,
    sparedIds: readonly string[] = [],
  ): Promise<LocallyEnded> {
    const now = this.#stamp()
    const spared = new Set(sparedIds)
    const ended: string[] = []
    const tokenKeys = new Set<string>()
    const toEnd: { sessionId: string; movedOn?: BoundSession | undefined }[] = sessionIds
      .filter((sessionId) => !spared.has(sessionId))
      .map((sessionId) => ({ sessionId }))
    const seen = new Set([...sessionIds, ...sparedIds])
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
    for (const sessionId of sparedIds) {
      const signOn = this.#sessions.get(sessionId, now) ?? this.#ended.get(sessionId, now)?.movedOn
      for (const key of signOn?.tokenKeys ?? []) tokenKeys.delete(key)
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
    const { target, jti, marksExpireAt, mayDestroy } = logout
    const opened = jti && this.#logouts.get(jti.key, now)
    if (opened?.completed) return { replayed: true }
    const from = positionOf(logout.cursor)
    const dates = opened?.dates ?? from ?? { issuedAt: logout.issuedAt, seenAt: now - logout.seenSecondsAgo }
    const { issuedAt, seenAt } = dates
    const { scope, key, subKey } = target
    const mark: Mark = { scope, key, subKey, issuedAt, seenAt, expiresAt: marksExpireAt }
    const withoutSid = sidlessMark(mark)
    for (const each of [mark, withoutSid]) if (each !== undefined) this.#marks.add(each, now)
    const page = this.#page(target, from)
    const found = page.sessions.filter((session) => session.expiresAt > now)
    const named = found.filter((session) => subKey === undefined || subKey === session.subKey)
    const covered = named.filter((session) =>
      covers(session.sidKey === undefined ? (withoutSid ?? mark) : mark, session),
    )
    const tokenKeys = new Set<string>()
    for (const session of covered) {
      const expiresAt = Math.max(marksExpireAt, session.expiresAt)
      this.#end(session.sessionId, expiresAt, now)
      for (const token of session.tokenKeys ?? []) {
        this.#marks.add({ scope: 'token', key: token, issuedAt, seenAt, expiresAt }, now)
        tokenKeys.add(token)
      }
    }
    const finished = mayDestroy && covered.length === 0 && page.next === undefined && from === undefined
    if (jti) this.#remember(jti, { dates, completed: finished }, now)
    return {
      replayed: false,
      mark,
      sessionIds: covered.map((session) => session.sessionId),
      tokenKeys: [...tokenKeys],
      mismatched: found.length - named.length,
      withoutSid: scope === 'sid' ? covered.filter((session) => session.sidKey === undefined).length : 0,
      finished,
      notDeleted: 0,
      more: page.next !== undefined,
      cursor: page.next && writtenPosition({ ...dates, ...page.next }),
    }
  }

  async complete(logout: CompleteLogout): Promise<void> {
    const now = this.#stamp()
    this.#unbind(logout.destroyedIds, now)
    const { jti, done } = logout
    if (jti === undefined) return
    const opened = this.#logouts.get(jti.key, now)
    if (done || opened !== undefined) this.#remember(jti, { dates: opened?.dates, completed: done }, now)
  }

  #remember({ key, expiresAt }: JtiKey, logout: Omit<OpenedLogout, 'expiresAt'>, now: number): void {
    this.#logouts.set(key, { ...logout, expiresAt: expiresAt + JTI_SPARE_SECONDS }, now)
  }

  /** Sessions that a target names, so many at a time, whether it ends them or not. */
  #page(target: TargetKey, from: Pick<LogoutPosition, 'part' | 'after'> | undefined) {
    const sessions: BoundSession[] = []
    let last = { part: 0, after: '' }
    for (const [part, session] of this.#index.namedBy(target)) {
      if (from !== undefined && (part < from.part || (part === from.part && session.serial <= Number(from.after))))
        continue
      if (sessions.length === PAGE) return { sessions, next: last }
      sessions.push(session)
      last = { part, after: String(session.serial) }
    }
    return { sessions, next: undefined }
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
    const marks = this.#marks.underAll([binding.sidKey, binding.subKey], now)
    return { ended, binding: copyOf(binding), marks }
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
    if (older !== undefined) this.#index.remove(older)
    if (older?.tokenKeys !== undefined && older.subKey === session.subKey && older.sidKey === session.sidKey) {
      session.tokenKeys = new Set([...older.tokenKeys, ...(session.tokenKeys ?? [])])
    }
    this.#sessions.set(session.sessionId, session, now)
    this.#index.add(session)
  }

  #remove(session: BoundSession): void {
    this.#sessions.delete(session.sessionId)
    this.#index.remove(session)
  }
}

function addTokens(session: BoundSession, tokenKeys: Iterable<string>): void {
  session.tokenKeys ??= new Set()
  for (const key of tokenKeys) session.tokenKeys.add(key)
}

/** A sign-on keeps its dates when its session id changes, and no other has the same. */
function isSameSignOn(one: Binding, other: Binding | undefined): boolean {
  return (
    other !== undefined && one.boundAt === other.boundAt && one.subKey === other.subKey && one.sidKey === other.sidKey
  )
}

/** Of a sign-on that is bound once more, the earlier end stands: only a login that was begun afterwards is another. */
function limitsOf(binding: NewBinding, older: Binding | undefined): SignOnLimits {
  const { subKey, sidKey, startedAt, endsAt, idleSeconds } = binding
  const isSame = older !== undefined && older.subKey === subKey && older.sidKey === sidKey
  const keepsEnd = isSame && !(startedAt !== undefined && startedAt > older.boundAt)
  const ends = [endsAt, keepsEnd ? older.endsAt : undefined].filter((end) => end !== undefined)
  return {
    ...(ends.length > 0 && { endsAt: Math.min(...ends) }),
    ...(idleSeconds !== undefined && { idleSeconds }),
  }
}

/** A caller's binding stays as it was read, whatever happens to the session afterwards. */
function copyOf(binding: Binding): Binding {
  const { sessionId, subKey, sidKey, issuedAt, startedAt, boundAt, expiresAt, endsAt, idleSeconds } = binding
  const copy = { sessionId, subKey, sidKey, issuedAt, startedAt, boundAt, expiresAt }
  if (endsAt === undefined && idleSeconds === undefined) return copy
  return { ...copy, ...(endsAt !== undefined && { endsAt }), ...(idleSeconds !== undefined && { idleSeconds }) }
}

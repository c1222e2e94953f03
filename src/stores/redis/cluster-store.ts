// The store on a Redis Cluster: no script spans slots, so safety comes from the order of steps. Whoever creates
// access writes and then reads the marks; whoever ends it writes the mark and then looks. Knows no driver.
import { type Mark, sidlessMark } from '../../marks/covering.js'
import type { TargetKey } from '../../marks/target.js'
import type { LogPage, LogStore } from '../log-store.js'
import { type LogoutDates, type LogoutPosition, positionOf, writtenPosition } from '../logout-position.js'
import type {
  BeginLogout,
  BegunLogout,
  Binding,
  BoundState,
  CompleteLogout,
  FoundMarks,
  ListedSessions,
  LocallyEnded,
  NewBinding,
  SessionState,
} from '../logout-store.js'
import { listOf, numberOf, textOf } from '../reply.js'
import { type RedisCommand, RedisScripts } from './command.js'
import {
  aboutIn,
  bindingOf,
  field,
  issuedField,
  markOf,
  marksOf,
  microseconds,
  milliseconds,
  nameOfKey,
  nameOfSession,
  optional,
  rememberedUntil,
  saidByLogin,
  secondsOf,
  textsOf,
  unescaped,
} from './fields.js'
import { CLUSTER_SCRIPTS } from './generated/scripts.js'
import { endedEntry, followLog, markEntry, movedEntry, sessionEntry } from './log-entries.js'

const scripts = new RedisScripts(CLUSTER_SCRIPTS)

type Step = keyof typeof CLUSTER_SCRIPTS

/** Sessions worked on at the same time, so that a subject with many does not fill the driver's queue. */
const AT_ONCE = 64
/** As in the scripts: sessions that one page has, more or less. */
const PAGE = 500
/** A change of id gives way to a login on the old id; more than a few in a row are not an accident. */
const REBIND_TRIES = 8

type Ended = {
  readonly outcome: unknown
  readonly sessionId: string
  readonly expiresAt: number
  readonly tokens: readonly string[]
  readonly hasSid: boolean
}

/** What is known of a session id; `signOn` also if it was left behind and still hands its sign-on on. */
interface Looked {
  readonly ended: boolean
  readonly bound: boolean
  readonly signOn?: Binding | undefined
  /** By its login, as `saidByLogin`. */
  readonly said: string
  readonly tokens: readonly string[]
}

/** An id that is to be ended, by its name; `signOn`: only as far as it is still this one's (bound at, sub, sid). */
interface ToEnd {
  readonly name: string
  readonly sessionId?: string
  readonly signOn: readonly string[]
}

export class ClusterRedisStore implements LogStore {
  readonly #command: RedisCommand
  readonly #prefix: string

  constructor(command: RedisCommand, prefix: string) {
    this.#command = command
    this.#prefix = prefix
  }

  /** Index entries of a replaced binding stay until they expire: to remove one here could remove that of a login at the same time. */
  async bind(login: NewBinding): Promise<BoundState> {
    const { sessionId, subKey, sidKey, expiresAt } = login
    const before = await this.#marksAgainst({ subKey, sidKey })
    const now = await this.#index({ sessionId, subKey, sidKey, expiresAt })
    // A clock that was set back, or the same tick: a login is dated after the marks that it met.
    const boundAt = before.reduce((latest, mark) => Math.max(latest, mark.seenAt + 1e-6), now)
    const put = { sessionId, subKey, sidKey, boundAt, expiresAt }
    const [flag, replaced, said] = await this.#put(put, saidByLogin(login), login.tokenKeys ?? [], true)
    const dates = [said, microseconds(boundAt), String(expiresAt)]
    const binding = bindingOf(sessionId, [...dates, field(subKey), optional(sidKey)])
    if (numberOf(replaced) === 1) await this.#append([sessionEntry(sessionId)])
    return { ended: textOf(flag) !== '', binding, now, marks: await this.#marksAgainst(binding) }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    if (fromSessionId === toSessionId) return this.read(toSessionId)
    for (let i = 0; i < REBIND_TRIES; i++) {
      if (await this.#carryOn(fromSessionId, toSessionId, expiresAt)) return this.read(toSessionId)
    }
    throw new Error('The old session id was bound anew again and again while its sign-on was carried on')
  }

  async list({ scope, key }: TargetKey, cursor = ''): Promise<ListedSessions> {
    const [next, names] = await this.#step('page', [this.#ofName('i', nameOfKey(field(key)))], [cursor])
    const found = await inBatches(listOf(names), async (name) => {
      const [, bound, signOn] = await this.#step('look', [this.#ofName('s', textOf(name))])
      if (numberOf(bound) !== 1) return []
      const [said, , , sub, sid, id] = listOf(signOn)
      if ((scope === 'sid' ? sid : sub) !== field(key)) return []
      const about = aboutIn(said)
      return [{ sessionId: unescaped(textOf(id)), ...(about !== undefined && { about }) }]
    })
    return { sessions: found.flat(), ...(next !== '' && { cursor: textOf(next) }) }
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    const { signOn } = await this.#look(sessionId)
    if (signOn === undefined || signOn.expiresAt >= expiresAt) return
    // The index first: an entry that outlives its session only costs memory, the reverse would lose a logout.
    await this.#index({ ...signOn, expiresAt })
    await this.#sessionStep('renew', nameOfSession(sessionId), [String(expiresAt)])
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    await this.#sessionStep('addTokens', nameOfSession(sessionId), tokenKeys.map(field), tokenKeys.length > 0)
    return this.read(sessionId)
  }

  async read(sessionId: string): Promise<SessionState> {
    const { ended, bound, signOn } = await this.#look(sessionId)
    if (!bound || signOn === undefined) return { ended, marks: [] }
    return { ended, binding: signOn, marks: await this.#marksAgainst(signOn) }
  }

  async marks(keys: readonly string[]): Promise<FoundMarks> {
    if (keys.length === 0) return { now: await this.#now(this.#log()), marks: [] }
    const found = await inBatches(keys, (key) => this.#marksUnder(nameOfKey(field(key)), key))
    return { now: Math.max(...found.map(({ now }) => now)), marks: found.flatMap(({ marks }) => marks) }
  }

  async isBound(key: string): Promise<boolean> {
    const index = this.#ofName('i', nameOfKey(field(key)))
    for (let from = ''; ; ) {
      const [after, names] = await this.#step('page', [index], [from])
      const looked = await inBatches(listOf(names), async (each) => {
        return lookedAt('', await this.#step('look', [this.#ofName('s', textOf(each))]))
      })
      // Left behind a moment ago it is still found here, and where it moved to perhaps not yet: one mark too many is the price.
      if (looked.some(({ signOn }) => signOn?.sidKey === key || signOn?.subKey === key)) return true
      if (after === '') return false
      from = textOf(after)
    }
  }

  /**
   * The mark on an id comes before the look at where its sign-on went; `rebind` writes the new binding, then in one step notes where
   * and reads whether the old id was ended. So one of both ends the new id.
   */
  async endSessions(sessionIds: readonly string[], expiresAt: number): Promise<LocallyEnded> {
    const endedIds: string[] = []
    const tokenKeys = new Set<string>()
    let toEnd: readonly ToEnd[] = sessionIds.map((sessionId) => ({
      name: nameOfSession(sessionId),
      sessionId,
      signOn: [],
    }))
    const followed = new Set<string>()
    const isNew = ({ name, signOn }: ToEnd) => {
      const pointer = [name, ...signOn].join(' ')
      return !followed.has(pointer) && followed.add(pointer)
    }
    try {
      // Nothing is followed twice, so that circles end.
      while (toEnd.length > 0) {
        const replies = await inBatches(toEnd, async ({ name, sessionId, signOn }) => {
          const [ended, id, tokens, moved] = await this.#sessionStep('finish', name, [String(expiresAt), ...signOn])
          if (numberOf(ended) === 1) {
            for (const token of textsOf(tokens)) tokenKeys.add(token)
            endedIds.push(sessionId ?? unescaped(textOf(id)))
          }
          return listOf(moved).map((each): ToEnd => {
            const [to, ...carried] = listOf(each).map(textOf)
            return { name: textOf(to), signOn: carried }
          })
        })
        toEnd = replies.flat().filter(isNew)
      }
    } finally {
      // Also what was ended before a step failed: readers must not wait for the repeat.
      await this.#append(endedIds.map(endedEntry))
    }
    return { sessionIds: endedIds, tokenKeys: [...tokenKeys] }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await inBatches(sessionIds, (id) => this.#unbind(id))
    await this.#append(sessionIds.map(sessionEntry))
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const { target, jti, marksExpireAt, mayDestroy } = logout
    const from = positionOf(logout.cursor)
    const dates = await this.#open(logout, from)
    if (dates === undefined) return { replayed: true }
    const mark = await this.#mark({ ...target, ...dates, expiresAt: marksExpireAt })
    const sidless = sidlessMark(mark)
    if (sidless !== undefined) await this.#mark(sidless)
    const { found, next } = await this.#page([mark, ...(sidless ? [sidless] : [])], from)
    const looked = await inBatches(found, ([by, name]) => this.#endIfCovered(name, by))
    const covered = looked.filter(({ outcome }) => outcome === 'covered')
    const tokens = covered.flatMap(({ tokens, expiresAt }) => tokens.map((key) => ({ key, expiresAt })))
    const tokenMarks = await inBatches(tokens, (token) => this.#mark({ scope: 'token', ...dates, ...token }))
    const sessionIds = [...new Set(covered.map(({ sessionId }) => sessionId))]
    // Last: a reader that sees the entry must find what it tells of.
    await this.#append([
      markEntry(mark),
      ...(sidless ? [markEntry(sidless)] : []),
      ...tokenMarks.map(markEntry),
      ...sessionIds.map(endedEntry),
    ])
    const finished = mayDestroy && sessionIds.length === 0 && from === undefined && next === undefined
    if (finished) await this.#close(jti, true)
    return {
      replayed: false,
      mark,
      sessionIds,
      tokenKeys: tokens.map(({ key }) => key),
      mismatched: looked.filter(({ outcome }) => outcome === 'mismatched').length,
      withoutSid: target.scope === 'sid' ? covered.filter(({ hasSid }) => !hasSid).length : 0,
      finished,
      notDeleted: 0,
      more: next !== undefined,
      cursor: next && writtenPosition({ ...dates, ...next }),
    }
  }

  async complete(logout: CompleteLogout): Promise<void> {
    await inBatches(logout.destroyedIds, (id) => this.#unbind(id))
    await this.#close(logout.jti, logout.done)
  }

  pull(cursor?: string): Promise<LogPage> {
    const read = (position: readonly string[]) => this.#step('readLog', [this.#log()], position)
    return followLog({ read, allMarks: () => this.#allMarks() }, cursor)
  }

  /** Whether the sign-on got to its new id; not if the old id was bound anew on the way. */
  async #carryOn(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<boolean> {
    const { signOn, said, tokens } = await this.#lookWithTokens(fromSessionId)
    const until = Math.max(signOn?.expiresAt ?? 0, expiresAt)
    if (signOn !== undefined) {
      const moved: Binding = { ...signOn, sessionId: toSessionId, expiresAt: until }
      await this.#index(moved)
      await this.#put(moved, said, tokens, false)
    }
    const left = await this.#sessionStep('leave', nameOfSession(fromSessionId), [
      microseconds(signOn?.boundAt ?? 0),
      optional(signOn?.subKey),
      optional(signOn?.sidKey),
      String(until),
      nameOfSession(toSessionId),
    ])
    const [flag, till, kept] = left
    if (flag === 'changed') return false
    const toName = nameOfSession(toSessionId)
    const further = listOf(kept).map(textOf)
    if (further.length > 0) await this.#sessionStep('addTokens', toName, further, true)
    if (flag === 'x' || flag === 'i') {
      await this.#sessionStep('inherit', toName, [String(Math.max(numberOf(till), expiresAt))])
    }
    // An id whose inherited end was lifted may be bound again at this moment, and its entry must then stay.
    if (signOn !== undefined && flag !== 'i') {
      await this.#unindex(fromSessionId, field(signOn.subKey), optional(signOn.sidKey))
    }
    if (signOn !== undefined || flag !== '') {
      const moved = signOn === undefined ? [] : [movedEntry(fromSessionId, toSessionId)]
      await this.#append([sessionEntry(fromSessionId), sessionEntry(toSessionId), ...moved])
    }
    return true
  }

  async #unbind(sessionId: string): Promise<void> {
    const [flag, sub, sid] = await this.#sessionStep('unbind', nameOfSession(sessionId))
    // An id that was not ended may be bound again at this moment, and its entry must then stay.
    if (flag === 'x' || flag === 'm') await this.#unindex(sessionId, textOf(sub), textOf(sid))
  }

  async #look(sessionId: string): Promise<Looked> {
    return lookedAt(sessionId, await this.#step('look', [this.#ofName('s', nameOfSession(sessionId))]))
  }

  async #lookWithTokens(sessionId: string): Promise<Looked> {
    return lookedAt(sessionId, await this.#sessionStep('lookWithTokens', nameOfSession(sessionId)))
  }

  /** Dates of this logout: its first ones, if its jti was opened before. `undefined`: it was completed before. */
  async #open(logout: BeginLogout, from: LogoutPosition | undefined): Promise<LogoutDates | undefined> {
    const { target, jti, seenSecondsAgo } = logout
    // The clock of the target's own slot, which dates the bindings of a sub as well.
    const now = async () => (await this.#now(this.#ofName('m', nameOfKey(field(target.key))))) - seenSecondsAgo
    const { issuedAt, seenAt } = from ?? { issuedAt: logout.issuedAt, seenAt: await now() }
    if (jti === undefined) return { issuedAt, seenAt }
    const dates = [issuedField(issuedAt), microseconds(seenAt), rememberedUntil(jti)]
    const [first, seen] = await this.#step('open', [this.#jti(jti.key)], dates)
    if (first === 'replayed') return undefined
    return { issuedAt: first === '-' ? undefined : numberOf(first), seenAt: secondsOf(seen) }
  }

  async #close(jti: CompleteLogout['jti'], done: boolean): Promise<void> {
    if (jti !== undefined) await this.#step('close', [this.#jti(jti.key)], [done ? '1' : '', rememberedUntil(jti)])
  }

  async #mark({ scope, key, subKey, issuedAt, seenAt, expiresAt }: Mark): Promise<Mark> {
    const name = nameOfKey(field(key))
    const until = milliseconds(expiresAt)
    await this.#step('register', [this.#registry()], [name, until])
    const dates = [issuedField(issuedAt), microseconds(seenAt), String(expiresAt)]
    const [mark] = await this.#step(
      'mark',
      [this.#ofName('m', name)],
      [until, scope, field(key), optional(subKey), ...dates],
    )
    return markOf(mark)
  }

  /** Names of sessions, a page of them, each with the mark by which it is to be judged; and where the next page begins. */
  async #page(
    marks: readonly Mark[],
    from: LogoutPosition | undefined,
  ): Promise<{
    found: readonly (readonly [Mark, string])[]
    next: Pick<LogoutPosition, 'part' | 'after'> | undefined
  }> {
    const found: (readonly [Mark, string])[] = []
    for (const [part, mark] of marks.entries()) {
      if (part < (from?.part ?? 0) || mark.scope === 'token') continue
      if (found.length > 0 && found.length >= PAGE) return { found, next: { part, after: '' } }
      const index = this.#ofName(mark.scope === 'sidless' ? 'u' : 'i', nameOfKey(field(mark.key)))
      const [after, names] = await this.#step('page', [index], [part === from?.part ? from.after : ''])
      found.push(...listOf(names).map((name) => [mark, textOf(name)] as const))
      if (after !== '') return { found, next: { part, after: textOf(after) } }
    }
    return { found, next: undefined }
  }

  async #endIfCovered(name: string, mark: Mark): Promise<Ended> {
    const [outcome, id, expiresAt, tokens, sid] = await this.#sessionStep('finishCovered', name, [
      mark.scope,
      field(mark.key),
      optional(mark.subKey),
      issuedField(mark.issuedAt),
      microseconds(mark.seenAt),
      String(mark.expiresAt),
    ])
    if (outcome !== 'covered') return { outcome, sessionId: '', expiresAt: 0, tokens: [], hasSid: false }
    return {
      outcome,
      sessionId: unescaped(textOf(id)),
      expiresAt: numberOf(expiresAt),
      tokens: textsOf(tokens),
      hasSid: sid !== '',
    }
  }

  async #marksAgainst({ subKey, sidKey }: Pick<Binding, 'subKey' | 'sidKey'>): Promise<readonly Mark[]> {
    return (await this.marks(sidKey === undefined ? [subKey] : [sidKey, subKey])).marks
  }

  async #marksUnder(name: string, key?: string): Promise<{ now: number; marks: readonly Mark[] }> {
    const [time, lines] = await this.#step('marks', [this.#ofName('m', name)])
    const now = secondsOf(time)
    return { now, marks: marksOf(lines, now, key) }
  }

  async #now(key: string): Promise<number> {
    const [now] = await this.#step('clock', [key])
    return secondsOf(now)
  }

  /** Resolves to when both slots have seen it, by the clock that is behind: no mark that is written later is dated before that. */
  async #index(session: Pick<Binding, 'sessionId' | 'subKey' | 'sidKey' | 'expiresAt'>): Promise<number> {
    const args = [nameOfSession(session.sessionId), String(session.expiresAt)]
    const indexes = this.#indexesOf(field(session.subKey), optional(session.sidKey))
    const replies = await Promise.all(indexes.map((index) => this.#step('index', [index], args)))
    return Math.min(...replies.map(([now]) => secondsOf(now)))
  }

  /** By the fields of both keys, the second empty where there is none. */
  #indexesOf(sub: string, sid: string): readonly string[] {
    const other = sid === '' ? this.#ofName('u', nameOfKey(sub)) : this.#ofName('i', nameOfKey(sid))
    return [this.#ofName('i', nameOfKey(sub)), other]
  }

  /** By the fields of both keys, the second empty where there is none. */
  async #unindex(sessionId: string, sub: string, sid: string): Promise<void> {
    const name = nameOfSession(sessionId)
    await Promise.all(this.#indexesOf(sub, sid).map((index) => this.#step('unindex', [index], [name])))
  }

  /** `said`: as `saidByLogin`. */
  #put(
    binding: Pick<Binding, 'sessionId' | 'subKey' | 'sidKey' | 'boundAt' | 'expiresAt'>,
    said: string,
    tokens: readonly string[],
    isLogin: boolean,
  ): Promise<readonly unknown[]> {
    const { sessionId, subKey, sidKey, boundAt, expiresAt } = binding
    const args = [
      isLogin ? '1' : '',
      field(sessionId),
      field(subKey),
      optional(sidKey),
      said,
      microseconds(boundAt),
      String(expiresAt),
      ...tokens.map(field),
    ]
    return this.#sessionStep('put', nameOfSession(sessionId), args, tokens.length > 0)
  }

  async #append(entries: readonly (readonly [string, string])[]): Promise<void> {
    if (entries.length > 0) await this.#step('append', [this.#log()], entries.flat())
  }

  async #allMarks(): Promise<readonly Mark[]> {
    const marks: Mark[] = []
    let cursor = '0'
    do {
      const [next, ...names] = await this.#step('scanRegistry', [this.#registry()], [cursor, '500'])
      const found = await inBatches(names, (name) => this.#marksUnder(textOf(name)))
      marks.push(...found.flatMap((each) => each.marks))
      cursor = textOf(next)
    } while (cursor !== '0')
    return marks
  }

  /**
   * The key of the tokens is named only where there are any: while a slot is on its way to another node, a step that names a key
   * which is not there is refused (TRYAGAIN).
   */
  async #sessionStep(
    step: Step,
    name: string,
    args: readonly string[] = [],
    withTokens = false,
  ): Promise<readonly unknown[]> {
    const [session, tokens] = [this.#ofName('s', name), this.#ofName('t', name)]
    if (withTokens) return this.#step(step, [session, tokens], args)
    const reply = await this.#step(step, [session], args)
    return reply[0] === 'with tokens' ? this.#step(step, [session, tokens], args) : reply
  }

  async #step(step: Step, keys: readonly string[], args: readonly string[] = []): Promise<readonly unknown[]> {
    return listOf(await scripts.run(this.#command, step, keys, args))
  }

  #ofName(kind: 'i' | 'm' | 's' | 't' | 'u', name: string): string {
    return `${this.#prefix}${kind}{${name}}`
  }

  #jti(key: string): string {
    return `${this.#prefix}j{${field(key)}}`
  }

  #log(): string {
    return `${this.#prefix}log`
  }

  #registry(): string {
    return `${this.#prefix}marks`
  }
}

function lookedAt(sessionId: string, reply: readonly unknown[]): Looked {
  const [flag, bound, signOn, tokens] = reply
  return {
    ended: textOf(flag) !== '',
    bound: numberOf(bound) === 1,
    signOn: signOn === undefined ? undefined : bindingOf(sessionId, listOf(signOn)),
    said: signOn === undefined ? '' : textOf(listOf(signOn)[0]),
    tokens: tokens === undefined ? [] : textsOf(tokens),
  }
}

async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = []
  for (let first = 0; first < items.length; first += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(first, first + AT_ONCE).map(work))))
  }
  return results
}

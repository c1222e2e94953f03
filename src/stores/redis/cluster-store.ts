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
import { ClusterSteps, inBatches, type Unbound } from './cluster-steps.js'
import type { RedisCommand } from './command.js'
import {
  aboutIn,
  bindingOf,
  field,
  issuedField,
  microseconds,
  nameOfKey,
  nameOfSession,
  optional,
  rememberedUntil,
  saidByLogin,
  secondsOf,
  textsOf,
  unescaped,
} from './fields.js'
import { endedEntry, followLog, markEntry, movedEntry, sessionEntry } from './log-entries.js'

/** As in the scripts: sessions that one page has, more or less. */
const PAGE = 200
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
  readonly #steps: ClusterSteps

  constructor(command: RedisCommand, prefix: string) {
    this.#steps = new ClusterSteps(command, prefix)
  }

  /**
   * Index entries of a replaced binding stay until they expire: to remove one here could remove that of a login at the
   * same time.
   */
  async bind(login: NewBinding): Promise<BoundState> {
    const { sessionId, subKey, sidKey, expiresAt } = login
    const before = await this.#steps.marksAgainst({ subKey, sidKey })
    const now = await this.#steps.index({ sessionId, subKey, sidKey, expiresAt })
    // A clock that was set back, or the same tick: a login is dated after the marks that it met.
    const boundAt = before.reduce((latest, mark) => Math.max(latest, mark.seenAt + 1e-6), now)
    const put = { sessionId, subKey, sidKey, boundAt, expiresAt }
    const [flag, replaced, said] = await this.#put(put, saidByLogin(login), login.tokenKeys ?? [], true)
    const dates = [said, microseconds(boundAt), String(expiresAt)]
    const binding = bindingOf(sessionId, [...dates, field(subKey), optional(sidKey)])
    if (numberOf(replaced) === 1) await this.#steps.append([sessionEntry(sessionId)])
    return { ended: textOf(flag) !== '', binding, now, marks: await this.#steps.marksAgainst(binding) }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    if (fromSessionId === toSessionId) return this.read(toSessionId)
    for (let i = 0; i < REBIND_TRIES; i++) {
      if (await this.#carryOn(fromSessionId, toSessionId, expiresAt)) return this.read(toSessionId)
    }
    throw new Error('The old session id was bound anew again and again while its sign-on was carried on')
  }

  async list({ scope, key }: TargetKey, cursor = ''): Promise<ListedSessions> {
    const [next, names] = await this.#steps.run('page', [this.#steps.ofName('i', nameOfKey(field(key)))], [cursor])
    const found = await inBatches(listOf(names), async (name) => {
      const [flag, bound, signOn] = await this.#steps.run('look', [this.#steps.ofName('s', textOf(name))])
      // One that was left since its name was read: its sign-on is under another by now, which is not in the page.
      if (numberOf(bound) !== 1 && flag !== 'm') return []
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
    await this.#steps.index({ ...signOn, expiresAt })
    await this.#steps.ofSession('renew', nameOfSession(sessionId), [String(expiresAt)])
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    await this.#steps.ofSession('addTokens', nameOfSession(sessionId), tokenKeys.map(field), tokenKeys.length > 0)
    return this.read(sessionId)
  }

  async read(sessionId: string): Promise<SessionState> {
    const { ended, bound, signOn } = await this.#look(sessionId)
    if (!bound || signOn === undefined) return { ended, marks: [] }
    return { ended, binding: signOn, marks: await this.#steps.marksAgainst(signOn) }
  }

  marks(keys: readonly string[]): Promise<FoundMarks> {
    return this.#steps.marks(keys)
  }

  async isBound(key: string): Promise<boolean> {
    const index = this.#steps.ofName('i', nameOfKey(field(key)))
    for (let from = ''; ; ) {
      const [after, names] = await this.#steps.run('page', [index], [from])
      const looked = await inBatches(listOf(names), async (each) => {
        return lookedAt('', await this.#steps.run('look', [this.#steps.ofName('s', textOf(each))]))
      })
      // Left behind a moment ago it is still found here, and where it moved to perhaps not yet: one mark too many is
      // the price.
      if (looked.some(({ signOn }) => signOn?.sidKey === key || signOn?.subKey === key)) return true
      if (after === '') return false
      from = textOf(after)
    }
  }

  /**
   * The mark on an id comes before the look at where its sign-on went; `rebind` writes the new binding, then in one
   * step notes where and reads whether the old id was ended. So one of both ends the new id.
   */
  async endSessions(
    sessionIds: readonly string[],
    expiresAt: number,
    sparedIds: readonly string[] = [],
  ): Promise<LocallyEnded> {
    const endedIds = new Set<string>()
    const tokenKeys = new Set<string>()
    const spared = new Set(sparedIds.map(nameOfSession))
    const isMeant = ({ name }: ToEnd) => !spared.has(name)
    let toEnd = sessionIds
      .map((sessionId): ToEnd => ({ name: nameOfSession(sessionId), sessionId, signOn: [] }))
      .filter(isMeant)
    const followed = new Set<string>()
    const isNew = ({ name, signOn }: ToEnd) => {
      const pointer = [name, ...signOn].join(' ')
      return !followed.has(pointer) && followed.add(pointer)
    }
    try {
      // Nothing is followed twice, so that circles end.
      while (toEnd.length > 0) {
        const replies = await inBatches(toEnd, async ({ name, sessionId, signOn }) => {
          const [ended, id, tokens, moved] = await this.#steps.ofSession('finish', name, [String(expiresAt), ...signOn])
          if (numberOf(ended) === 1) {
            for (const token of textsOf(tokens)) tokenKeys.add(token)
            endedIds.add(sessionId ?? unescaped(textOf(id)))
          }
          return listOf(moved).map((each): ToEnd => {
            const [to, ...carried] = listOf(each).map(textOf)
            return { name: textOf(to), signOn: carried }
          })
        })
        toEnd = replies.flat().filter(isMeant).filter(isNew)
      }
    } finally {
      // Also what was ended before a step failed: readers must not wait for the repeat.
      await this.#steps.append([...endedIds].map(endedEntry))
    }
    const living = await inBatches(sparedIds, (sessionId) => this.#lookWithTokens(sessionId))
    for (const { tokens } of living) for (const token of tokens) tokenKeys.delete(token)
    return { sessionIds: [...endedIds], tokenKeys: [...tokenKeys] }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await this.#unbind(sessionIds)
    await this.#steps.append(sessionIds.map(sessionEntry))
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const { target, jti, marksExpireAt, mayDestroy } = logout
    const from = positionOf(logout.cursor)
    const dates = await this.#open(logout, from)
    if (dates === undefined) return { replayed: true }
    const mark: Mark = { ...target, ...dates, expiresAt: marksExpireAt }
    const sidless = sidlessMark(mark)
    const marks = await this.#steps.writeMarks([mark, ...(sidless ? [sidless] : [])])
    const { found, next } = await this.#page(marks, from)
    const looked = await inBatches(found, ([by, name]) => this.#endIfCovered(name, by))
    const covered = looked.filter(({ outcome }) => outcome === 'covered')
    const tokens = covered.flatMap(({ tokens, expiresAt }) => tokens.map((key) => ({ key, expiresAt })))
    const tokenMarks = await this.#steps.writeMarks(tokens.map((token) => ({ scope: 'token', ...dates, ...token })))
    const sessionIds = [...new Set(covered.map(({ sessionId }) => sessionId))]
    // Last: a reader that sees the entry must find what it tells of.
    await this.#steps.append([...[...marks, ...tokenMarks].map(markEntry), ...sessionIds.map(endedEntry)])
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
    await this.#unbind(logout.destroyedIds)
    await this.#close(logout.jti, logout.done)
  }

  pull(cursor?: string): Promise<LogPage> {
    const read = (position: readonly string[]) => this.#steps.run('readLog', [this.#steps.log()], position)
    return followLog({ read, allMarks: () => this.#steps.allMarks() }, cursor)
  }

  /** Whether the sign-on got to its new id; not if the old id was bound anew on the way. */
  async #carryOn(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<boolean> {
    const { signOn, said, tokens } = await this.#lookWithTokens(fromSessionId)
    const until = Math.max(signOn?.expiresAt ?? 0, expiresAt)
    let isThere = false
    if (signOn !== undefined) {
      const moved: Binding = { ...signOn, sessionId: toSessionId, expiresAt: until }
      await this.#steps.index(moved)
      const [, , , later] = await this.#put(moved, said, tokens, false)
      isThere = later !== undefined && numberOf(later) === 1
    }
    const left = await this.#steps.ofSession('leave', nameOfSession(fromSessionId), [
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
    if (further.length > 0 && !isThere) await this.#steps.ofSession('addTokens', toName, further, true)
    if ((flag === 'x' || flag === 'i') && !isThere) {
      const dates = [
        String(Math.max(numberOf(till), expiresAt)),
        signOn === undefined ? '' : microseconds(signOn.boundAt),
      ]
      await this.#steps.ofSession('inherit', toName, dates)
    }
    // An id whose inherited end was lifted may be bound again at this moment, and its entry must then stay.
    if (signOn !== undefined && flag !== 'i') {
      const { subKey, sidKey } = signOn
      await this.#steps.unindex([{ sessionId: fromSessionId, sub: field(subKey), sid: optional(sidKey) }])
    }
    if (signOn !== undefined || flag !== '') {
      const moved = signOn === undefined || isThere ? [] : [movedEntry(fromSessionId, toSessionId)]
      await this.#steps.append([sessionEntry(fromSessionId), sessionEntry(toSessionId), ...moved])
    }
    return true
  }

  /** The sessions first, each by itself; then what they leave, index by index. */
  async #unbind(sessionIds: readonly string[]): Promise<void> {
    const unbound: Unbound[] = []
    try {
      await inBatches(sessionIds, async (sessionId) => {
        const [flag, sub, sid] = await this.#steps.ofSession('unbind', nameOfSession(sessionId))
        // An id that was not ended may be bound again at this moment, and its entry must then stay.
        if (flag === 'x' || flag === 'm') unbound.push({ sessionId, sub: textOf(sub), sid: textOf(sid) })
      })
    } finally {
      // Also where another could not be unbound: a repeat finds nothing bound, and so no index, under these.
      await this.#steps.unindex(unbound)
    }
  }

  async #look(sessionId: string): Promise<Looked> {
    return lookedAt(sessionId, await this.#steps.run('look', [this.#steps.ofName('s', nameOfSession(sessionId))]))
  }

  async #lookWithTokens(sessionId: string): Promise<Looked> {
    return lookedAt(sessionId, await this.#steps.ofSession('lookWithTokens', nameOfSession(sessionId)))
  }

  /** Dates of this logout: its first ones, if its jti was opened before. `undefined`: it was completed before. */
  async #open(logout: BeginLogout, from: LogoutPosition | undefined): Promise<LogoutDates | undefined> {
    const { target, jti, seenSecondsAgo } = logout
    // The clock of the target's own slot, which dates the bindings of a sub as well.
    const now = async () =>
      (await this.#steps.now(this.#steps.ofName('m', nameOfKey(field(target.key))))) - seenSecondsAgo
    const { issuedAt, seenAt } = from ?? { issuedAt: logout.issuedAt, seenAt: await now() }
    if (jti === undefined) return { issuedAt, seenAt }
    const dates = [issuedField(issuedAt), microseconds(seenAt), rememberedUntil(jti)]
    const [first, seen] = await this.#steps.run('open', [this.#steps.jti(jti.key)], dates)
    if (first === 'replayed') return undefined
    return { issuedAt: first === '-' ? undefined : numberOf(first), seenAt: secondsOf(seen) }
  }

  async #close(jti: CompleteLogout['jti'], done: boolean): Promise<void> {
    if (jti !== undefined)
      await this.#steps.run('close', [this.#steps.jti(jti.key)], [done ? '1' : '', rememberedUntil(jti)])
  }

  /**
   * Names of sessions, a page of them, each with the mark by which it is to be judged; and where the next page begins.
   */
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
      const index = this.#steps.ofName(mark.scope === 'sidless' ? 'u' : 'i', nameOfKey(field(mark.key)))
      const [after, names] = await this.#steps.run('page', [index], [part === from?.part ? from.after : ''])
      found.push(...listOf(names).map((name) => [mark, textOf(name)] as const))
      if (after !== '') return { found, next: { part, after: textOf(after) } }
    }
    return { found, next: undefined }
  }

  async #endIfCovered(name: string, mark: Mark): Promise<Ended> {
    const [outcome, id, expiresAt, tokens, sid] = await this.#steps.ofSession('finishCovered', name, [
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
    return this.#steps.ofSession('put', nameOfSession(sessionId), args, tokens.length > 0)
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

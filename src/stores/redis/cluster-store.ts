// The store on a Redis Cluster: no script spans slots, so safety comes from the order of steps (law 7). Whoever creates
// access writes and then reads the marks; whoever ends it writes the mark and then looks. Knows no driver.
import type { Mark } from '../../marks/covering.js'
import type { LogPage, LogStore } from '../log-store.js'
import type {
  BeginLogout,
  BegunLogout,
  Binding,
  BoundState,
  CompleteLogout,
  FoundMarks,
  LocallyEnded,
  NewBinding,
  SessionState,
} from '../logout-store.js'
import { listOf, numberOf, textOf } from '../reply.js'
import { type RedisCommand, RedisScripts } from './command.js'
import {
  bindingOf,
  field,
  markOf,
  marksOf,
  microseconds,
  milliseconds,
  nameOfKey,
  nameOfSession,
  optional,
  secondsOf,
  textsOf,
  unescaped,
} from './fields.js'
import { followLog, markEntry, sessionEntry } from './log-entries.js'
import { CLUSTER_SCRIPTS } from './scripts.js'

const scripts = new RedisScripts(CLUSTER_SCRIPTS)

type Step = keyof typeof CLUSTER_SCRIPTS

/** Sessions worked on at the same time, so that a subject with many does not fill the driver's queue. */
const AT_ONCE = 64
/** A change of id gives way to a login on the old id; more than a few in a row are not an accident. */
const REBIND_TRIES = 8

type Ended = {
  readonly outcome: unknown
  readonly sessionId: string
  readonly expiresAt: number
  readonly tokens: readonly string[]
}

/** What is known of a session id; `signOn` also if it was left behind and still hands its sign-on on. */
interface Looked {
  readonly ended: boolean
  readonly bound: boolean
  readonly signOn?: Binding | undefined
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
    const { sessionId, subKey, sidKey, issuedAt, expiresAt } = login
    const boundAt = await this.#index({ sessionId, subKey, sidKey, expiresAt })
    const binding: Binding = { sessionId, subKey, sidKey, issuedAt, boundAt, expiresAt }
    const [flag, replaced] = await this.#put(binding, login.tokenKeys ?? [], true)
    if (numberOf(replaced) === 1) await this.#append([sessionEntry(sessionId)])
    return { ended: textOf(flag) !== '', binding, now: boundAt, marks: await this.#marksAgainst(binding) }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    if (fromSessionId === toSessionId) return this.read(toSessionId)
    for (let i = 0; i < REBIND_TRIES; i++) {
      if (await this.#carryOn(fromSessionId, toSessionId, expiresAt)) return this.read(toSessionId)
    }
    throw new Error('The old session id was bound anew again and again while its sign-on was carried on')
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    const { signOn } = await this.#look(sessionId)
    if (signOn === undefined || signOn.expiresAt >= expiresAt) return
    // The index first: an entry that outlives its session only costs memory, the reverse would lose a logout.
    await this.#index({ ...signOn, expiresAt })
    await this.#sessionStep('renew', nameOfSession(sessionId), [String(expiresAt)])
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    await this.#sessionStep('addTokens', nameOfSession(sessionId), tokenKeys.map(field))
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
      await this.#append(endedIds.map(sessionEntry))
    }
    return { sessionIds: endedIds, tokenKeys: [...tokenKeys] }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await inBatches(sessionIds, (id) => this.#unbind(id))
    await this.#append(sessionIds.map(sessionEntry))
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const { target, jti } = logout
    const dates = await this.#open(logout)
    if (dates === undefined) return { replayed: true }
    const { mark, names } = await this.#mark({ ...target, ...dates, expiresAt: logout.marksExpireAt })
    const looked = await inBatches(names, (name) => this.#endIfCovered(name, mark, logout))
    const covered = looked.filter(({ outcome }) => outcome === 'covered')
    const tokens = covered.flatMap(({ tokens, expiresAt }) => tokens.map((key) => ({ key, expiresAt })))
    const tokenMarks = await inBatches(tokens, (token) => this.#mark({ scope: 'token', ...dates, ...token }))
    const sessionIds = covered.map(({ sessionId }) => sessionId)
    // Last: a reader that sees the entry must find what it tells of.
    await this.#append([
      markEntry(mark),
      ...tokenMarks.map((each) => markEntry(each.mark)),
      ...sessionIds.map(sessionEntry),
    ])
    const finished = logout.mayDestroy && sessionIds.length === 0
    if (finished) await this.#close(jti)
    return {
      replayed: false,
      mark,
      sessionIds,
      tokenKeys: tokens.map(({ key }) => key),
      mismatched: looked.filter(({ outcome }) => outcome === 'mismatched').length,
      finished,
      withoutSid: 0,
      notDeleted: 0,
      more: false,
    }
  }

  async complete(logout: CompleteLogout): Promise<void> {
    await inBatches(logout.destroyedIds, (id) => this.#unbind(id))
    if (logout.done) await this.#close(logout.jti)
  }

  pull(cursor?: string): Promise<LogPage> {
    const read = (position: readonly string[]) => this.#step('readLog', [this.#log()], position)
    return followLog({ read, allMarks: () => this.#allMarks() }, cursor)
  }

  /** Whether the sign-on got to its new id; not if the old id was bound anew on the way. */
  async #carryOn(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<boolean> {
    const { signOn, tokens } = await this.#look(fromSessionId)
    const until = Math.max(signOn?.expiresAt ?? 0, expiresAt)
    if (signOn !== undefined) {
      const moved: Binding = { ...signOn, sessionId: toSessionId, expiresAt: until }
      await this.#index(moved)
      await this.#put(moved, tokens, false)
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
    if (further.length > 0) await this.#sessionStep('addTokens', toName, further)
    if (flag === 'x' || flag === 'i') {
      await this.#sessionStep('inherit', toName, [String(Math.max(numberOf(till), expiresAt))])
    }
    // An id whose inherited end was lifted may be bound again at this moment, and its entry must then stay.
    if (signOn !== undefined && flag !== 'i') {
      await this.#unindex(fromSessionId, field(signOn.subKey), optional(signOn.sidKey))
    }
    if (signOn !== undefined || flag !== '') {
      await this.#append([sessionEntry(fromSessionId), sessionEntry(toSessionId)])
    }
    return true
  }

  async #unbind(sessionId: string): Promise<void> {
    const [flag, sub, sid] = await this.#sessionStep('unbind', nameOfSession(sessionId))
    // An id that was not ended may be bound again at this moment, and its entry must then stay.
    if (flag === 'x' || flag === 'm') await this.#unindex(sessionId, textOf(sub), textOf(sid))
  }

  async #look(sessionId: string): Promise<Looked> {
    const [flag, bound, signOn, tokens] = await this.#sessionStep('look', nameOfSession(sessionId))
    return {
      ended: textOf(flag) !== '',
      bound: numberOf(bound) === 1,
      signOn: signOn === undefined ? undefined : bindingOf(sessionId, listOf(signOn)),
      tokens: signOn === undefined ? [] : textsOf(tokens),
    }
  }

  /** Dates of this logout: its first ones, if its jti was opened before. `undefined`: it was completed before. */
  async #open(logout: BeginLogout): Promise<{ issuedAt: number; seenAt: number } | undefined> {
    // The clock of the target's own slot, which dates the bindings of a sub as well.
    const { target, issuedAt = Date.now() / 1000, jti, seenSecondsAgo } = logout
    const seenAt = (await this.#now(this.#ofName('m', nameOfKey(field(target.key))))) - seenSecondsAgo
    if (jti === undefined) return { issuedAt, seenAt }
    const dates = [String(issuedAt), microseconds(seenAt), milliseconds(jti.expiresAt)]
    const [first, seen] = await this.#step('open', [this.#jti(jti.key)], dates)
    return first === 'replayed' ? undefined : { issuedAt: numberOf(first), seenAt: secondsOf(seen) }
  }

  async #close(jti: CompleteLogout['jti']): Promise<void> {
    if (jti !== undefined) await this.#step('close', [this.#jti(jti.key)], [milliseconds(jti.expiresAt)])
  }

  /** Writes a mark, then looks for the sessions under its key. */
  async #mark({ scope, key, subKey, issuedAt, seenAt, expiresAt }: Mark): Promise<{ mark: Mark; names: string[] }> {
    const name = nameOfKey(field(key))
    const until = milliseconds(expiresAt)
    await this.#step('register', [this.#registry()], [name, until])
    const dates = [String(issuedAt), microseconds(seenAt), String(expiresAt)]
    const [mark, names] = await this.#step(
      'mark',
      [this.#ofName('m', name), this.#ofName('i', name)],
      [until, scope, field(key), optional(subKey), ...dates],
    )
    return { mark: markOf(mark), names: listOf(names).map(textOf) }
  }

  async #endIfCovered(name: string, mark: Mark, logout: BeginLogout): Promise<Ended> {
    const [outcome, id, expiresAt, tokens] = await this.#sessionStep('finishCovered', name, [
      mark.scope,
      field(mark.key),
      optional(logout.target.subKey),
      String(mark.issuedAt),
      microseconds(mark.seenAt),
      '60',
      String(logout.marksExpireAt),
    ])
    if (outcome !== 'covered') return { outcome, sessionId: '', expiresAt: 0, tokens: [] }
    return { outcome, sessionId: unescaped(textOf(id)), expiresAt: numberOf(expiresAt), tokens: textsOf(tokens) }
  }

  async #marksAgainst({ subKey, sidKey }: Binding): Promise<readonly Mark[]> {
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

  /** Resolves to when the sub's slot saw it. */
  async #index({
    sessionId,
    subKey,
    sidKey,
    expiresAt,
  }: Pick<Binding, 'sessionId' | 'subKey' | 'sidKey' | 'expiresAt'>): Promise<number> {
    const args = [nameOfSession(sessionId), String(expiresAt)]
    const add = (key: string) => {
      const name = nameOfKey(key)
      return this.#step('index', [this.#ofName('i', name), this.#ofName('m', name)], [key, ...args])
    }
    const bySid = sidKey === undefined ? undefined : add(field(sidKey))
    const [[boundAt]] = await Promise.all([add(field(subKey)), bySid])
    return secondsOf(boundAt)
  }

  /** By the fields of both keys, the second empty where there is none. */
  async #unindex(sessionId: string, sub: string, sid: string): Promise<void> {
    const name = nameOfSession(sessionId)
    const remove = (key: string) => this.#step('unindex', [this.#ofName('i', nameOfKey(key))], [name])
    await Promise.all([remove(sub), sid === '' ? undefined : remove(sid)])
  }

  #put(binding: Binding, tokens: readonly string[], liftInherited: boolean): Promise<readonly unknown[]> {
    const { sessionId, subKey, sidKey, issuedAt, boundAt, expiresAt } = binding
    return this.#sessionStep('put', nameOfSession(sessionId), [
      liftInherited ? '1' : '',
      field(sessionId),
      field(subKey),
      optional(sidKey),
      issuedAt === undefined ? '' : String(issuedAt),
      microseconds(boundAt),
      String(expiresAt),
      ...tokens.map(field),
    ])
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

  #sessionStep(step: Step, name: string, args: readonly string[] = []): Promise<readonly unknown[]> {
    return this.#step(step, [this.#ofName('s', name), this.#ofName('t', name)], args)
  }

  async #step(step: Step, keys: readonly string[], args: readonly string[] = []): Promise<readonly unknown[]> {
    return listOf(await scripts.run(this.#command, step, keys, args))
  }

  #ofName(kind: 'i' | 'm' | 's' | 't', name: string): string {
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

async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = []
  for (let first = 0; first < items.length; first += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(first, first + AT_ONCE).map(work))))
  }
  return results
}

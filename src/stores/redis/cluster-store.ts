// The store on a Redis Cluster: no script spans slots, so safety comes from the order of steps (law 7). Whoever creates
// access writes and then reads the marks; whoever ends it writes the mark and then looks. Knows no driver.
import { createHash } from 'node:crypto'
import type { Mark } from '../../marks/covering.js'
import type { LogPage, LogStore } from '../log-store.js'
import type {
  BeginLogout,
  BegunLogout,
  Binding,
  CompleteLogout,
  LocallyEnded,
  NewBinding,
  SessionState,
} from '../logout-store.js'
import type { Reply } from '../reply.js'
import { type RedisCommand, RedisScripts } from './command.js'
import { followLog, markEntry, sessionEntry } from './log-entries.js'
import { redisReply } from './redis-reply.js'
import { CLUSTER_SCRIPTS } from './scripts.js'

const scripts = new RedisScripts(CLUSTER_SCRIPTS)

type Step = keyof typeof CLUSTER_SCRIPTS

/** Sessions worked on at the same time, so that a subject with many does not fill the driver's queue. */
const AT_ONCE = 64
/** A change of id gives way to a login on the old id; more than a few in a row are not an accident. */
const REBIND_TRIES = 8

type Ended = {
  readonly sessionId: string
  readonly outcome: string
  readonly till: number
  readonly tokens: readonly string[]
}

export class ClusterRedisStore implements LogStore {
  readonly #command: RedisCommand
  readonly #prefix: string

  constructor(command: RedisCommand, prefix: string) {
    this.#command = command
    this.#prefix = prefix
  }

  /** Index entries of a replaced binding stay until they expire: to remove one here could remove that of a login at the same time. */
  async bind(login: NewBinding): Promise<SessionState & { readonly binding: Binding }> {
    const { sessionId, subKey, sidKey, issuedAt, expiresAt } = login
    const boundAt = await this.#index(sessionId, { subKey, sidKey, expiresAt })
    const binding: Binding = { sessionId, subKey, sidKey, issuedAt, boundAt, expiresAt }
    const put = await this.#put(binding, login.tokenKeys ?? [], true)
    if (put.flag('replaced')) await this.#append([sessionEntry(sessionId)])
    return { ended: put.flag('ended'), binding, marks: await this.#marksAgainst(binding) }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    if (fromSessionId === toSessionId) return this.read(toSessionId)
    for (let i = 0; i < REBIND_TRIES; i++) {
      if (await this.#carryOn(fromSessionId, toSessionId, expiresAt)) return this.read(toSessionId)
    }
    throw new Error('The old session id was bound anew again and again while its sign-on was carried on')
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    const found = (await this.#sessionStep('look', sessionId)).binding(sessionId)
    if (found === undefined || found.expiresAt >= expiresAt) return
    // The index first: an entry that outlives its session only costs memory, the reverse would lose a logout.
    await this.#index(sessionId, { ...found, expiresAt })
    await this.#sessionStep('renew', sessionId, { exp: expiresAt })
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    await this.#sessionStep('addTokens', sessionId, { tokens: tokenKeys })
    return this.read(sessionId)
  }

  async read(sessionId: string): Promise<SessionState> {
    const look = await this.#sessionStep('look', sessionId)
    const ended = look.flag('ended')
    const binding = look.flag('bound') ? look.binding(sessionId) : undefined
    return binding === undefined ? { ended, marks: [] } : { ended, binding, marks: await this.#marksAgainst(binding) }
  }

  async marks(keys: readonly string[]): Promise<{ readonly now: number; readonly marks: readonly Mark[] }> {
    if (keys.length === 0) return { now: (await this.#step('clock', [this.#log()])).number('now'), marks: [] }
    const replies = await inBatches(keys, (key) => this.#step('marks', [this.#ofKey('m', key)], { key }))
    return {
      now: Math.max(...replies.map((reply) => reply.number('now'))),
      marks: replies.flatMap((reply) => reply.marks('marks')),
    }
  }

  async endSessions(sessionIds: readonly string[], expiresAt: number): Promise<LocallyEnded> {
    const ended = await inBatches(sessionIds, (id) => this.#sessionStep('finish', id, { exp: expiresAt }))
    await this.#append(sessionIds.map(sessionEntry))
    return { sessionIds, tokenKeys: ended.flatMap((each) => each.texts('tokens')) }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await inBatches(sessionIds, (id) => this.#unbind(id))
    await this.#append(sessionIds.map(sessionEntry))
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const { target, jti } = logout
    const dates = await this.#open(logout)
    if (dates === undefined) return { replayed: true }
    const { mark, ids } = await this.#mark({ ...target, ...dates, expiresAt: logout.marksExpireAt })
    const looked = await inBatches(ids, (id) => this.#endIfCovered(id, mark, logout))
    const covered = looked.filter(({ outcome }) => outcome === 'covered')
    const tokens = covered.flatMap((ended) => ended.tokens.map((key) => ({ key, expiresAt: ended.till })))
    const tokenMarks = await inBatches(tokens, (token) => this.#mark({ scope: 'token', ...dates, ...token }))
    const sessionIds = covered.map(({ sessionId }) => sessionId)
    // Last: a reader that sees the entry must find what it tells of.
    await this.#append([
      markEntry(mark),
      ...tokenMarks.map((each) => markEntry(each.mark)),
      ...sessionIds.map(sessionEntry),
    ])
    const finished = logout.mayFinish && sessionIds.length === 0
    if (finished) await this.#close(jti)
    return {
      replayed: false,
      mark,
      sessionIds,
      tokenKeys: tokens.map(({ key }) => key),
      mismatched: looked.filter(({ outcome }) => outcome === 'mismatched').length,
      finished,
    }
  }

  async complete(logout: CompleteLogout): Promise<void> {
    await inBatches(logout.destroyedIds, (id) => this.#unbind(id))
    if (logout.done) await this.#close(logout.jti)
  }

  pull(cursor?: string): Promise<LogPage> {
    const read = (position: object) => this.#step('readLog', [this.#log()], position)
    return followLog({ read, allMarks: () => this.#allMarks() }, cursor)
  }

  /** Whether the sign-on got to its new id; not if the old id was bound anew on the way. */
  async #carryOn(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<boolean> {
    const from = await this.#sessionStep('look', fromSessionId)
    const signOn = from.binding(fromSessionId)
    if (signOn !== undefined) {
      const moved: Binding = { ...signOn, sessionId: toSessionId, expiresAt: Math.max(signOn.expiresAt, expiresAt) }
      await this.#index(toSessionId, moved)
      await this.#put(moved, from.texts('tokens'), false)
    }
    const left = await this.#sessionStep('leave', fromSessionId, {
      at: signOn?.boundAt ?? 0,
      sub: signOn?.subKey ?? '',
      sid: signOn?.sidKey ?? '',
      exp: Math.max(signOn?.expiresAt ?? 0, expiresAt),
    })
    if (left.flag('changed')) return false
    if (left.texts('tokens').length > 0) {
      await this.#sessionStep('addTokens', toSessionId, { tokens: left.texts('tokens') })
    }
    const end = left.text('flag')
    if (end === 'x' || end === 'i') {
      await this.#sessionStep('inherit', toSessionId, { exp: Math.max(left.number('till'), expiresAt) })
      if (signOn !== undefined) await this.#unindex(signOn)
    } else if (signOn !== undefined) {
      await this.#unindex(signOn)
    }
    if (signOn !== undefined || end !== '') await this.#append([sessionEntry(fromSessionId), sessionEntry(toSessionId)])
    return true
  }

  async #unbind(sessionId: string): Promise<void> {
    const unbound = await this.#sessionStep('unbind', sessionId)
    const signOn = unbound.binding(sessionId)
    // An id that was not ended may be bound again at this moment, and its entry must then stay.
    if (signOn !== undefined && ['x', 'm'].includes(unbound.text('flag'))) await this.#unindex(signOn)
  }

  /** Dates of this logout: its first ones, if its jti was opened before. `undefined`: it was completed before. */
  async #open(logout: BeginLogout): Promise<{ issuedAt: number; seenAt: number } | undefined> {
    // The clock of the target's own slot, which dates the bindings of a sub as well.
    const { target, issuedAt, jti, seenSecondsAgo } = logout
    const seenAt = (await this.#step('clock', [this.#ofKey('m', target.key)])).number('now') - seenSecondsAgo
    if (jti === undefined) return { issuedAt, seenAt }
    const opened = await this.#step('open', [this.#jti(jti.key)], { iat: issuedAt, seen: seenAt, exp: jti.expiresAt })
    if (opened.flag('replayed')) return undefined
    return { issuedAt: opened.number('iat'), seenAt: opened.number('seen') }
  }

  async #close(jti: CompleteLogout['jti']): Promise<void> {
    if (jti !== undefined) await this.#step('close', [this.#jti(jti.key)], { exp: jti.expiresAt })
  }

  /** Writes a mark, then looks for the sessions under its key. */
  async #mark(mark: Mark): Promise<{ readonly mark: Mark; readonly ids: readonly string[] }> {
    const { scope, key, subKey = '', issuedAt, seenAt, expiresAt } = mark
    await this.#step('register', [this.#registry()], { id: nameOf(key), exp: expiresAt })
    const reply = await this.#step('mark', [this.#ofKey('m', key), this.#ofKey('i', key)], {
      scope,
      key,
      sub: subKey,
      iat: issuedAt,
      seen: seenAt,
      exp: expiresAt,
    })
    return { mark: reply.mark('mark'), ids: reply.texts('ids') }
  }

  async #endIfCovered(sessionId: string, mark: Mark, logout: BeginLogout): Promise<Ended> {
    const reply = await this.#sessionStep('finishCovered', sessionId, {
      scope: mark.scope,
      key: mark.key,
      sub: logout.target.subKey ?? '',
      iat: mark.issuedAt,
      seen: mark.seenAt,
      tolerance: logout.toleranceSeconds,
      marksExp: logout.marksExpireAt,
    })
    const outcome = reply.text('outcome')
    if (outcome !== 'covered') return { sessionId, outcome, till: 0, tokens: [] }
    return { sessionId, outcome, till: reply.number('till'), tokens: reply.texts('tokens') }
  }

  async #marksAgainst({ subKey, sidKey }: Binding): Promise<readonly Mark[]> {
    return (await this.marks(sidKey === undefined ? [subKey] : [sidKey, subKey])).marks
  }

  /** Resolves to when the sub's slot saw it. */
  async #index(
    sessionId: string,
    { subKey, sidKey, expiresAt }: Pick<Binding, 'subKey' | 'sidKey' | 'expiresAt'>,
  ): Promise<number> {
    const add = (key: string) =>
      this.#step('index', [this.#ofKey('i', key), this.#ofKey('m', key)], { id: sessionId, key, exp: expiresAt })
    const [bySub] = await Promise.all([add(subKey), sidKey === undefined ? undefined : add(sidKey)])
    return bySub.number('at')
  }

  async #unindex({ sessionId, subKey, sidKey }: Binding): Promise<void> {
    const remove = (key: string) => this.#step('unindex', [this.#ofKey('i', key)], { id: sessionId })
    await Promise.all([remove(subKey), sidKey === undefined ? undefined : remove(sidKey)])
  }

  #put(binding: Binding, tokens: readonly string[], liftInherited: boolean): Promise<Reply> {
    const { subKey: sub, sidKey: sid, issuedAt: iat, boundAt: at, expiresAt: exp } = binding
    return this.#sessionStep('put', binding.sessionId, { signon: { sub, sid, iat, at, exp }, tokens, liftInherited })
  }

  async #append(entries: readonly (readonly [string, string])[]): Promise<void> {
    if (entries.length > 0) await this.#step('append', [this.#log()], { entries })
  }

  async #allMarks(): Promise<readonly Mark[]> {
    const marks: Mark[] = []
    let cursor = '0'
    do {
      const page = await this.#step('scanRegistry', [this.#registry()], { cursor, count: 500 })
      const replies = await inBatches(page.texts('ids'), (id) => this.#step('marks', [`${this.#prefix}m{${id}}`]))
      marks.push(...replies.flatMap((reply) => reply.marks('marks')))
      cursor = page.text('cursor')
    } while (cursor !== '0')
    return marks
  }

  #sessionStep(step: Step, sessionId: string, args: object = {}): Promise<Reply> {
    const name = createHash('sha1').update(sessionId).digest('hex').slice(0, 24)
    return this.#step(step, [`${this.#prefix}s{${name}}`, `${this.#prefix}t{${name}}`], args)
  }

  async #step(step: Step, keys: readonly string[], args: object = {}): Promise<Reply> {
    return redisReply(await scripts.run(this.#command, step, keys, [JSON.stringify(args)]))
  }

  #ofKey(kind: 'i' | 'm', key: string): string {
    return `${this.#prefix}${kind}{${nameOf(key)}}`
  }

  #jti(key: string): string {
    return `${this.#prefix}j{${key}}`
  }

  #log(): string {
    return `${this.#prefix}log`
  }

  #registry(): string {
    return `${this.#prefix}marks`
  }
}

/** Keys are hashes already: 22 of their characters are 132 bits. */
function nameOf(key: string): string {
  return key.slice(0, 22)
}

async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = []
  for (let first = 0; first < items.length; first += AT_ONCE) {
    results.push(...(await Promise.all(items.slice(first, first + AT_ONCE).map(work))))
  }
  return results
}

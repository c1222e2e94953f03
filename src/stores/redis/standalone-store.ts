// The store on one Redis: each method is one round trip and, inside Redis, one indivisible step. Knows no driver.

import type { Mark } from '../../marks/covering.js'
import type { TargetKey } from '../../marks/target.js'
import type { LogPage, LogStore } from '../log-store.js'
import { positionOf, writtenPosition } from '../logout-position.js'
import type {
  BeginLogout,
  BegunLogout,
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
  marksAgainst,
  marksOf,
  microseconds,
  milliseconds,
  nameOfSession,
  optional,
  rememberedUntil,
  saidByLogin,
  secondsOf,
  stateOf,
  textsOf,
  unescaped,
} from './fields.js'
import { STANDALONE_SCRIPTS } from './generated/scripts.js'
import { followLog, type LogReader } from './log-entries.js'

const scripts = new RedisScripts(STANDALONE_SCRIPTS)

export class StandaloneRedisStore implements LogStore {
  readonly #command: RedisCommand
  readonly #prefix: string
  readonly #sessionPrefix: readonly string[]

  constructor(command: RedisCommand, prefix: string, sessionPrefix: string | undefined) {
    this.#command = command
    this.#prefix = prefix
    this.#sessionPrefix = sessionPrefix === undefined ? [] : [sessionPrefix]
  }

  async bind(login: NewBinding): Promise<BoundState> {
    const { sessionId, subKey, sidKey, expiresAt, tokenKeys = [] } = login
    const [at, flag, now, bySub, bySid, said] = await this.#run('bind', [
      nameOfSession(sessionId),
      field(sessionId),
      field(subKey),
      optional(sidKey),
      saidByLogin(login),
      String(expiresAt),
      ...tokenKeys.map(field),
    ])
    const binding = bindingOf(sessionId, [said, at, String(expiresAt), field(subKey), optional(sidKey)])
    return {
      ended: textOf(flag) !== '',
      binding,
      now: secondsOf(now),
      marks: marksAgainst(binding, secondsOf(now), bySub, bySid),
    }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    if (fromSessionId === toSessionId) return this.read(toSessionId)
    const names = [...nameAndId(fromSessionId), ...nameAndId(toSessionId)]
    return stateOf(toSessionId, await this.#run('rebind', [...names, String(expiresAt)]))
  }

  async list({ scope, key }: TargetKey, cursor = ''): Promise<ListedSessions> {
    const [next, ...found] = await this.#run('list', [scope, field(key), cursor])
    const sessions: ListedSessions['sessions'][number][] = []
    for (let i = 0; i < found.length; i += 2) {
      const about = aboutIn(found[i + 1])
      sessions.push({ sessionId: unescaped(textOf(found[i])), ...(about !== undefined && { about }) })
    }
    return { sessions, ...(next !== '' && { cursor: textOf(next) }) }
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    await this.#run('renew', [nameOfSession(sessionId), String(expiresAt)])
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    return stateOf(sessionId, await this.#run('addTokens', [nameOfSession(sessionId), ...tokenKeys.map(field)]))
  }

  async read(sessionId: string): Promise<SessionState> {
    return stateOf(sessionId, await this.#run('read', [nameOfSession(sessionId)]))
  }

  async marks(keys: readonly string[]): Promise<FoundMarks> {
    const [time, ...lists] = await this.#run('marks', keys.map(field))
    const now = secondsOf(time)
    return { now, marks: keys.flatMap((key, i) => marksOf(lists[i], now, key)) }
  }

  async isBound(key: string): Promise<boolean> {
    const [bound] = await this.#run('isBound', [field(key)])
    return numberOf(bound) === 1
  }

  async endSessions(sessionIds: readonly string[], expiresAt: number): Promise<LocallyEnded> {
    const [ids, tokens] = await this.#run('endSessions', [String(expiresAt), ...sessionIds.flatMap(nameAndId)])
    return { sessionIds: textsOf(ids), tokenKeys: [...new Set(textsOf(tokens))] }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await this.#run('unbind', sessionIds.flatMap(nameAndId))
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const { target, jti, marksExpireAt } = logout
    const from = positionOf(logout.cursor)
    const dates = from ?? logout
    const [mark, finished, mismatched, ids, tokens, withoutSid, notDeleted, part, after] = await this.#run('begin', [
      target.scope,
      field(target.key),
      optional(target.subKey),
      issuedField(dates.issuedAt),
      String(marksExpireAt),
      milliseconds(marksExpireAt),
      microseconds(logout.seenSecondsAgo),
      jti === undefined ? '' : field(jti.key),
      jti === undefined ? '' : rememberedUntil(jti),
      logout.mayDestroy ? '1' : '',
      String(from?.part ?? 1),
      from?.after ?? '',
      from === undefined ? '' : microseconds(from.seenAt),
      ...this.#sessionPrefix,
    ])
    if (mark === 'replayed') return { replayed: true }
    const written = markOf(mark)
    const more = part !== ''
    return {
      replayed: false,
      mark: written,
      sessionIds: fieldsOf(ids),
      tokenKeys: fieldsOf(tokens),
      mismatched: numberOf(mismatched),
      withoutSid: numberOf(withoutSid),
      finished: numberOf(finished) === 1,
      notDeleted: numberOf(notDeleted),
      more,
      cursor: more
        ? writtenPosition({
            issuedAt: written.issuedAt,
            seenAt: written.seenAt,
            part: numberOf(part),
            after: textOf(after),
          })
        : undefined,
    }
  }

  async complete(logout: CompleteLogout): Promise<void> {
    const { jti, done, destroyedIds } = logout
    const closed = jti === undefined ? ['', ''] : [field(jti.key), rememberedUntil(jti)]
    await this.#run('complete', [...closed, done ? '1' : '', ...destroyedIds.map(nameOfSession)])
  }

  pull(cursor?: string): Promise<LogPage> {
    const reader: LogReader = {
      read: (position) => this.#run('readLog', position),
      allMarks: () => this.#allMarks(),
    }
    return followLog(reader, cursor)
  }

  async #allMarks(): Promise<readonly Mark[]> {
    const marks: Mark[] = []
    let cursor: unknown = '0'
    do {
      const [next, now, ...lists] = await this.#run('scanMarks', [textOf(cursor), '500'])
      marks.push(...lists.flatMap((lines) => marksOf(lines, secondsOf(now))))
      cursor = next
    } while (cursor !== '0')
    return marks
  }

  async #run(operation: keyof typeof STANDALONE_SCRIPTS, args: readonly string[]): Promise<readonly unknown[]> {
    return listOf(await scripts.run(this.#command, operation, [], [this.#prefix, ...args]))
  }
}

function nameAndId(sessionId: string): readonly [string, string] {
  return [nameOfSession(sessionId), field(sessionId)]
}

function fieldsOf(line: unknown): readonly string[] {
  const text = textOf(line)
  return text === '' ? [] : text.split(' ').map(unescaped)
}

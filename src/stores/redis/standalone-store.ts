// The store on one Redis: each method is one round trip and, inside Redis, one indivisible step. Knows no driver.

import type { Mark } from '../../marks/covering.js'
import type { LogPage, LogStore } from '../log-store.js'
import type {
  BeginLogout,
  BegunLogout,
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
  field,
  markOf,
  marksAgainst,
  marksOf,
  microseconds,
  milliseconds,
  nameOfSession,
  optional,
  secondsOf,
  stateOf,
  textsOf,
  unescaped,
} from './fields.js'
import { followLog, type LogReader } from './log-entries.js'
import { STANDALONE_SCRIPTS } from './scripts.js'

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
    const { sessionId, subKey, sidKey, issuedAt, expiresAt, tokenKeys = [] } = login
    const [at, flag, now, bySub, bySid] = await this.#run('bind', [
      nameOfSession(sessionId),
      field(sessionId),
      field(subKey),
      optional(sidKey),
      issuedAt === undefined ? '' : String(issuedAt),
      String(expiresAt),
      ...tokenKeys.map(field),
    ])
    const binding = { sessionId, subKey, sidKey, issuedAt, boundAt: secondsOf(at), expiresAt }
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

  async endSessions(sessionIds: readonly string[], expiresAt: number): Promise<LocallyEnded> {
    const [ids, tokens] = await this.#run('endSessions', [String(expiresAt), ...sessionIds.flatMap(nameAndId)])
    return { sessionIds: textsOf(ids), tokenKeys: [...new Set(textsOf(tokens))] }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await this.#run('unbind', sessionIds.flatMap(nameAndId))
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const { target, jti, marksExpireAt } = logout
    const [mark, finished, mismatched, ids, tokens] = await this.#run('begin', [
      target.scope,
      field(target.key),
      optional(target.subKey),
      String(logout.issuedAt ?? Date.now() / 1000),
      String(marksExpireAt),
      milliseconds(marksExpireAt),
      '60',
      microseconds(logout.seenSecondsAgo),
      jti === undefined ? '' : field(jti.key),
      jti === undefined ? '' : milliseconds(jti.expiresAt),
      logout.mayDestroy ? '1' : '',
      ...this.#sessionPrefix,
    ])
    if (mark === 'replayed') return { replayed: true }
    return {
      replayed: false,
      mark: markOf(mark),
      sessionIds: fieldsOf(ids),
      tokenKeys: fieldsOf(tokens),
      mismatched: numberOf(mismatched),
      finished: numberOf(finished) === 1,
      withoutSid: 0,
      notDeleted: 0,
      more: false,
    }
  }

  async complete(logout: CompleteLogout): Promise<void> {
    const { jti } = logout
    const closed = logout.done && jti !== undefined ? [field(jti.key), milliseconds(jti.expiresAt)] : ['', '']
    await this.#run('complete', [...closed, ...logout.destroyedIds.map(nameOfSession)])
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

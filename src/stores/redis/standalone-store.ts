// The store on one Redis: each method is one round trip and, inside Redis, one indivisible step; what is many is done a
// page at a time. Knows no driver.

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
  readonly #sessionPrefix: string | undefined

  constructor(command: RedisCommand, prefix: string, sessionPrefix: string | undefined) {
    this.#command = command
    this.#prefix = prefix
    this.#sessionPrefix = sessionPrefix
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

  async endSessions(
    sessionIds: readonly string[],
    expiresAt: number,
    sparedIds: readonly string[] = [],
  ): Promise<LocallyEnded> {
    const spared = [String(sparedIds.length), ...sparedIds.map(nameOfSession)]
    const endedIds: string[] = []
    const tokenKeys = new Set<string>()
    const walked = new Set<string>()
    const byText = (list: readonly (readonly string[])[]) => new Map(list.map((step) => [step.join(' '), step]))
    let steps = byText(sessionIds.filter((id) => !sparedIds.includes(id)).map((id) => [...nameAndId(id), '', '', '']))
    while (steps.size > 0) {
      const [ids, tokens, left] = await this.#run('endSessions', [
        String(expiresAt),
        ...spared,
        ...[...steps.values()].flat(),
      ])
      endedIds.push(...textsOf(ids))
      for (const token of textsOf(tokens)) tokenKeys.add(token)
      const rest = byText(listOf(left).map((step) => listOf(step).map(textOf)))
      // A step that was given and not handed back was walked: met again, it closes a circle that is longer than what
      // one script walks.
      for (const step of steps.keys()) if (!rest.has(step)) walked.add(step)
      steps = new Map([...rest].filter(([step]) => !walked.has(step)))
    }
    return { sessionIds: [...new Set(endedIds)], tokenKeys: [...tokenKeys] }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await this.#run('unbind', sessionIds.flatMap(nameAndId))
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const { target, jti, marksExpireAt } = logout
    const from = positionOf(logout.cursor)
    const dates = from ?? logout
    const reply = await this.#run('begin', [
      target.scope,
      field(target.key),
      optional(target.subKey),
      issuedField(dates.issuedAt),
      String(marksExpireAt),
      milliseconds(marksExpireAt),
      microseconds(logout.seenSecondsAgo),
      jti === undefined ? '' : field(jti.key),
      jti === undefined ? '' : rememberedUntil(jti),
      logout.mayDestroy ? (this.#sessionPrefix === undefined ? '1' : '2') : '',
      this.#sessionPrefix ?? '',
      ...(from === undefined ? [] : [String(from.part), from.after, microseconds(from.seenAt)]),
    ])
    // What comes after the ids is there where any of it is.
    const [mark, done, ids, tokens = '', mismatched = 0, withoutSid = 0, notDeleted = 0, part = '', after = ''] = reply
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
      finished: numberOf(done) === 2,
      destroyed: numberOf(done) > 0,
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
    let position = ''
    do {
      const [next, now, ...lists] = await this.#run('scanMarks', [position, '500'])
      marks.push(...lists.flatMap((lines) => marksOf(lines, secondsOf(now))))
      position = textOf(next)
    } while (position !== '')
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

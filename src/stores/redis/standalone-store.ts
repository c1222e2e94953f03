// The store on one Redis: each method is one round trip and, inside Redis, one indivisible step. Knows no driver.

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
import { followLog, type LogReader } from './log-entries.js'
import { redisReply } from './redis-reply.js'
import { STANDALONE_SCRIPTS } from './scripts.js'

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

  async bind(login: NewBinding): Promise<SessionState & { readonly binding: Binding }> {
    const { sessionId, subKey, sidKey, issuedAt, expiresAt, tokenKeys = [] } = login
    const reply = await this.#run('bind', sessionId, subKey, sidKey, issuedAt, expiresAt, ...tokenKeys)
    const binding = { sessionId, subKey, sidKey, issuedAt, boundAt: reply.number('at'), expiresAt }
    return { ...reply.state(sessionId), binding }
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    if (fromSessionId === toSessionId) return this.read(toSessionId)
    return (await this.#run('rebind', fromSessionId, toSessionId, expiresAt)).state(toSessionId)
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    await this.#run('renew', sessionId, expiresAt)
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    return (await this.#run('addTokens', sessionId, ...tokenKeys)).state(sessionId)
  }

  async read(sessionId: string): Promise<SessionState> {
    return (await this.#run('read', sessionId)).state(sessionId)
  }

  async marks(keys: readonly string[]): Promise<{ readonly now: number; readonly marks: readonly Mark[] }> {
    const reply = await this.#run('marks', ...keys)
    return { now: reply.number('now'), marks: reply.marks('marks') }
  }

  async endSessions(sessionIds: readonly string[], expiresAt: number): Promise<LocallyEnded> {
    const reply = await this.#run('endSessions', expiresAt, ...sessionIds)
    return { sessionIds, tokenKeys: reply.texts('tokens') }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await this.#run('unbind', ...sessionIds)
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const { target, jti } = logout
    const reply = await this.#run(
      'begin',
      target.scope,
      target.key,
      target.subKey,
      logout.issuedAt,
      jti?.key,
      jti?.expiresAt,
      logout.marksExpireAt,
      logout.toleranceSeconds,
      logout.seenSecondsAgo,
      String(logout.mayFinish),
      ...(this.#sessionPrefix === undefined ? [] : [this.#sessionPrefix]),
    )
    return reply.begunLogout()
  }

  async complete(logout: CompleteLogout): Promise<void> {
    const jti = logout.done ? logout.jti : undefined
    await this.#run('complete', jti?.key, jti?.expiresAt, ...logout.destroyedIds)
  }

  pull(cursor?: string): Promise<LogPage> {
    const reader: LogReader = {
      read: ({ after, readAt, count }) => this.#run('readLog', after, readAt, count),
      allMarks: () => this.#allMarks(),
    }
    return followLog(reader, cursor)
  }

  async #allMarks(): Promise<readonly Mark[]> {
    const marks: Mark[] = []
    let cursor = '0'
    do {
      const reply = await this.#run('scanMarks', cursor, 500)
      marks.push(...reply.marks('marks'))
      cursor = reply.text('cursor')
    } while (cursor !== '0')
    return marks
  }

  async #run(
    operation: keyof typeof STANDALONE_SCRIPTS,
    ...args: readonly (string | number | undefined)[]
  ): Promise<Reply> {
    const texts = args.map((arg) => (arg === undefined ? '' : String(arg)))
    return redisReply(await scripts.run(this.#command, operation, [], [this.#prefix, ...texts]))
  }
}

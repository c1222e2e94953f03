// The store on one Redis: each method is one round trip and, inside Redis, one indivisible step. Knows no driver.

import type { Mark } from '../../marks/covering.js'
import type { LogPage, LogStore } from '../log-store.js'
import type { BeginLogout, BegunLogout, Binding, CompleteLogout, NewBinding, SessionState } from '../logout-store.js'
import { Reply } from '../reply.js'
import { type RedisCommand, RedisScript } from './command.js'
import { followLog } from './log-entries.js'
import { STANDALONE_SCRIPT } from './scripts.js'

const script = new RedisScript(STANDALONE_SCRIPT)

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
    const reply = await this.#run('bind', {
      id: login.sessionId,
      sub: login.subKey,
      sid: login.sidKey,
      iat: login.issuedAt,
      exp: login.expiresAt,
      tokens: login.tokenKeys,
    })
    return reply.boundState(login.sessionId)
  }

  async rebind(fromSessionId: string, toSessionId: string, expiresAt: number): Promise<SessionState> {
    if (fromSessionId === toSessionId) return this.read(toSessionId)
    const reply = await this.#run('rebind', { from: fromSessionId, to: toSessionId, exp: expiresAt })
    return reply.state(toSessionId)
  }

  async renew(sessionId: string, expiresAt: number): Promise<void> {
    await this.#run('renew', { id: sessionId, exp: expiresAt })
  }

  async addTokens(sessionId: string, tokenKeys: readonly string[]): Promise<SessionState> {
    return (await this.#run('addTokens', { id: sessionId, tokens: tokenKeys })).state(sessionId)
  }

  async read(sessionId: string): Promise<SessionState> {
    return (await this.#run('read', { id: sessionId })).state(sessionId)
  }

  async marks(keys: readonly string[]): Promise<{ readonly now: number; readonly marks: readonly Mark[] }> {
    const reply = await this.#run('marks', { keys })
    return { now: reply.number('now'), marks: reply.marks('marks') }
  }

  async endSessions(sessionIds: readonly string[], expiresAt: number): Promise<readonly string[]> {
    return (await this.#run('endSessions', { ids: sessionIds, exp: expiresAt })).texts('tokens')
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    await this.#run('unbind', { ids: sessionIds })
  }

  async begin(logout: BeginLogout): Promise<BegunLogout> {
    const reply = await this.#run('begin', {
      scope: logout.target.scope,
      key: logout.target.key,
      sub: logout.target.subKey ?? '',
      iat: logout.issuedAt,
      jti: logout.jti?.key,
      jtiExp: logout.jti?.expiresAt,
      marksExp: logout.marksExpireAt,
      tolerance: logout.toleranceSeconds,
      ago: logout.seenSecondsAgo,
      mayFinish: logout.mayFinish,
      sessionPrefix: this.#sessionPrefix,
    })
    return reply.begunLogout()
  }

  async complete(logout: CompleteLogout): Promise<void> {
    const jti = logout.done ? logout.jti : undefined
    await this.#run('complete', { ids: logout.destroyedIds, jti: jti?.key, jtiExp: jti?.expiresAt })
  }

  pull(cursor?: string): Promise<LogPage> {
    return followLog({ read: (position) => this.#run('readLog', position), allMarks: () => this.#allMarks() }, cursor)
  }

  async #allMarks(): Promise<readonly Mark[]> {
    const marks: Mark[] = []
    let cursor = '0'
    do {
      const reply = await this.#run('scanMarks', { cursor, count: 500 })
      marks.push(...reply.marks('marks'))
      cursor = reply.text('cursor')
    } while (cursor !== '0')
    return marks
  }

  async #run(operation: string, args: object): Promise<Reply> {
    return new Reply(await script.run(this.#command, [], [this.#prefix, operation, JSON.stringify(args)]))
  }
}

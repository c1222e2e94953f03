// The steps that the store on a Redis Cluster is made of: each is one script whose keys share a slot. Names the keys,
// and knows which of a step's writes comes first; the order of steps is the store's (cluster-store.ts).
import type { Mark } from '../../marks/covering.js'
import type { Binding, FoundMarks } from '../logout-store.js'
import { listOf, textOf } from '../reply.js'
import { type RedisCommand, RedisScripts } from './command.js'
import {
  field,
  issuedField,
  markOf,
  marksOf,
  microseconds,
  milliseconds,
  nameOfKey,
  nameOfSession,
  optional,
  secondsOf,
} from './fields.js'
import { CLUSTER_SCRIPTS } from './generated/scripts.js'

const scripts = new RedisScripts(CLUSTER_SCRIPTS)

type Step = keyof typeof CLUSTER_SCRIPTS

/** Sessions worked on at the same time: a page, so that a subject with many waits for few round trips. */
const AT_ONCE = 200

/** A sign-on that was removed, and is to leave its indexes: the fields of its keys, the second empty without a sid. */
export interface Unbound {
  readonly sessionId: string
  readonly sub: string
  readonly sid: string
}

export class ClusterSteps {
  readonly #command: RedisCommand
  readonly #prefix: string

  constructor(command: RedisCommand, prefix: string) {
    this.#command = command
    this.#prefix = prefix
  }

  async marksAgainst({ subKey, sidKey }: Pick<Binding, 'subKey' | 'sidKey'>): Promise<readonly Mark[]> {
    return (await this.marks(sidKey === undefined ? [subKey] : [sidKey, subKey])).marks
  }

  async marks(keys: readonly string[]): Promise<FoundMarks> {
    if (keys.length === 0) return { now: await this.now(this.log()), marks: [] }
    const found = await inBatches(keys, (key) => this.marksUnder(nameOfKey(field(key)), key))
    return { now: Math.max(...found.map(({ now }) => now)), marks: found.flatMap(({ marks }) => marks) }
  }

  async marksUnder(name: string, key?: string): Promise<{ now: number; marks: readonly Mark[] }> {
    const [time, lines] = await this.run('marks', [this.ofName('m', name)])
    const now = secondsOf(time)
    return { now, marks: marksOf(lines, now, key) }
  }

  async now(key: string): Promise<number> {
    const [now] = await this.run('clock', [key])
    return secondsOf(now)
  }

  /** The names come first: who begins to read finds what is written by then. Nothing but that binds one to another. */
  async writeMarks(marks: readonly Mark[]): Promise<readonly Mark[]> {
    if (marks.length === 0) return []
    const names = marks.flatMap(({ key, expiresAt }) => [milliseconds(expiresAt), nameOfKey(field(key))])
    await this.run('register', [this.registry()], names)
    return inBatches(marks, async ({ scope, key, subKey, issuedAt, seenAt, expiresAt }) => {
      const about = [
        scope,
        field(key),
        optional(subKey),
        issuedField(issuedAt),
        microseconds(seenAt),
        String(expiresAt),
      ]
      const [mark] = await this.run(
        'mark',
        [this.ofName('m', nameOfKey(field(key)))],
        [milliseconds(expiresAt), ...about],
      )
      return markOf(mark)
    })
  }

  /**
   * Resolves to when both slots have seen it, by the clock that is behind: no mark that is written later is dated
   * before that.
   */
  async index(session: Pick<Binding, 'sessionId' | 'subKey' | 'sidKey' | 'expiresAt'>): Promise<number> {
    const args = [nameOfSession(session.sessionId), String(session.expiresAt)]
    const indexes = this.#indexesOf(field(session.subKey), optional(session.sidKey))
    const replies = await Promise.all(indexes.map((index) => this.run('index', [index], args)))
    return Math.min(...replies.map(([now]) => secondsOf(now)))
  }

  /** One step for each index, however many leave it. */
  async unindex(unbound: readonly Unbound[]): Promise<void> {
    const leaving = new Map<string, string[]>()
    for (const { sessionId, sub, sid } of unbound) {
      for (const index of this.#indexesOf(sub, sid)) {
        const names = leaving.get(index) ?? []
        names.push(nameOfSession(sessionId))
        leaving.set(index, names)
      }
    }
    await inBatches([...leaving], ([index, names]) => this.run('unindex', [index], names))
  }

  /** By the fields of both keys, the second empty where there is none. */
  #indexesOf(sub: string, sid: string): readonly string[] {
    const other = sid === '' ? this.ofName('u', nameOfKey(sub)) : this.ofName('i', nameOfKey(sid))
    return [this.ofName('i', nameOfKey(sub)), other]
  }

  async append(entries: readonly (readonly [string, string])[]): Promise<void> {
    if (entries.length > 0) await this.run('append', [this.log()], entries.flat())
  }

  async allMarks(): Promise<readonly Mark[]> {
    const marks: Mark[] = []
    let position = ''
    do {
      const [next, ...names] = await this.run('scanRegistry', [this.registry()], [position, '500'])
      const found = await inBatches(names, (name) => this.marksUnder(textOf(name)))
      marks.push(...found.flatMap((each) => each.marks))
      position = textOf(next)
    } while (position !== '')
    return marks
  }

  /**
   * The key of the tokens is named only where there are any: while a slot is on its way to another node, a step that
   * names a key which is not there is refused (TRYAGAIN).
   */
  async ofSession(
    step: Step,
    name: string,
    args: readonly string[] = [],
    withTokens = false,
  ): Promise<readonly unknown[]> {
    const [session, tokens] = [this.ofName('s', name), this.ofName('t', name)]
    if (withTokens) return this.run(step, [session, tokens], args)
    const reply = await this.run(step, [session], args)
    return reply[0] === 'with tokens' ? this.run(step, [session, tokens], args) : reply
  }

  async run(step: Step, keys: readonly string[], args: readonly string[] = []): Promise<readonly unknown[]> {
    return listOf(await scripts.run(this.#command, step, keys, args))
  }

  ofName(kind: 'i' | 'm' | 's' | 't' | 'u', name: string): string {
    return `${this.#prefix}${kind}{${name}}`
  }

  jti(key: string): string {
    return `${this.#prefix}j{${field(key)}}`
  }

  log(): string {
    return `${this.#prefix}log`
  }

  registry(): string {
    return `${this.#prefix}marks`
  }
}

/** Where one fails the others of its batch are waited for: what they did is known to whoever hears of it. */
export async function inBatches<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<readonly R[]> {
  const results: R[] = []
  for (let first = 0; first < items.length; first += AT_ONCE) {
    for (const settled of await Promise.allSettled(items.slice(first, first + AT_ONCE).map(work))) {
      if (settled.status === 'rejected') throw settled.reason
      results.push(settled.value)
    }
  }
  return results
}

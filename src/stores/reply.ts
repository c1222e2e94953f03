// Reads what the scripts in Redis and the functions in PostgreSQL answer: JSON, in which Redis writes numbers as text and
// empty lists as empty objects.
import type { Mark } from '../marks/covering.js'
import type { BegunLogout, Binding, SessionState } from './logout-store.js'

/** One reply. Every reader throws if the reply is not of that shape: a store that is not understood has not answered. */
export class Reply {
  readonly #members: ReadonlyMap<string, unknown>

  constructor(json: unknown) {
    // A driver may have parsed it already.
    const value: unknown = typeof json === 'string' ? JSON.parse(json) : json
    if (typeof value !== 'object' || value === null) throw unexpected()
    this.#members = new Map(Object.entries(value))
  }

  flag(name: string): boolean {
    const value = this.#members.get(name)
    if (value !== undefined && typeof value !== 'boolean') throw unexpected()
    return value === true
  }

  text(name: string): string {
    return textOf(this.#members.get(name))
  }

  number(name: string): number {
    return numberOf(this.#members.get(name))
  }

  texts(name: string): readonly string[] {
    return listOf(this.#members.get(name)).map(textOf)
  }

  /** A list of pairs, flattened. */
  pairs(name: string): readonly (readonly [string, string])[] {
    const texts = this.texts(name)
    return texts.flatMap((text, i) => (i % 2 === 0 ? [[text, textOf(texts[i + 1])] as const] : []))
  }

  mark(name: string): Mark {
    return markOf(this.#members.get(name))
  }

  marks(name: string): readonly Mark[] {
    return listOf(this.#members.get(name)).map(markOf)
  }

  binding(sessionId: string): Binding | undefined {
    const signOn = this.#members.get('signon')
    if (signOn === undefined) return undefined
    const [sub, sid, issuedAt, boundAt, expiresAt] = listOf(signOn)
    const sidKey = textOf(sid)
    return {
      sessionId,
      subKey: textOf(sub),
      sidKey: sidKey === '' ? undefined : sidKey,
      issuedAt: issuedAt === '' ? undefined : numberOf(issuedAt),
      boundAt: numberOf(boundAt),
      expiresAt: numberOf(expiresAt),
    }
  }

  state(sessionId: string): SessionState {
    const binding = this.binding(sessionId)
    const state = { ended: this.flag('ended'), marks: this.marks('marks') }
    return binding === undefined ? state : { ...state, binding }
  }

  boundState(sessionId: string): SessionState & { readonly binding: Binding } {
    const { binding, ...state } = this.state(sessionId)
    if (binding === undefined) throw unexpected()
    return { ...state, binding }
  }

  begunLogout(): BegunLogout {
    if (this.flag('replayed')) return { replayed: true }
    return {
      replayed: false,
      mark: this.mark('mark'),
      sessionIds: this.texts('ids'),
      tokenKeys: this.texts('tokens'),
      mismatched: this.number('mismatched'),
      finished: this.flag('finished'),
    }
  }
}

/** A mark as it lies in replies and logs. */
export function markOf(value: unknown): Mark {
  const [scope, key, subKey, issuedAt, seenAt, expiresAt] = listOf(value)
  if (scope !== 'sid' && scope !== 'sub' && scope !== 'token') throw unexpected()
  const dates = { issuedAt: numberOf(issuedAt), seenAt: numberOf(seenAt), expiresAt: numberOf(expiresAt) }
  const named = textOf(subKey)
  return named === '' ? { scope, key: textOf(key), ...dates } : { scope, key: textOf(key), subKey: named, ...dates }
}

function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  if (typeof value === 'object' && value !== null && Object.keys(value).length === 0) return []
  throw unexpected()
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  throw unexpected()
}

function numberOf(value: unknown): number {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value
  if (typeof number === 'number' && Number.isFinite(number)) return number
  throw unexpected()
}

function unexpected(): Error {
  return new Error('The store returned an unexpected reply')
}

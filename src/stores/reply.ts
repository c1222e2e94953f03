// Reads what a database answers, and takes nothing for an answer that is not of the expected shape.
import { LogoutError } from '../errors.js'
import type { Mark } from '../marks/covering.js'
import { writtenPosition } from './logout-position.js'
import type { BegunLogout, Binding, ListedSessions, SessionState } from './logout-store.js'

/**
 * One reply. Every reader throws if the reply is not of that shape: a store that is not understood has not answered.
 */
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

  mark(name: string): Mark {
    return markOf(this.#members.get(name))
  }

  marks(name: string): readonly Mark[] {
    return listOf(this.#members.get(name)).map(markOf)
  }

  binding(sessionId: string): Binding | undefined {
    const signOn = this.#members.get('signon')
    if (signOn === undefined) return undefined
    const [sub, sid, issuedAt, boundAt, expiresAt, startedAt, endsAt, idleSeconds] = listOf(signOn)
    const sidKey = textOf(sid)
    return {
      sessionId,
      subKey: textOf(sub),
      sidKey: sidKey === '' ? undefined : sidKey,
      issuedAt: issuedAt === '' ? undefined : numberOf(issuedAt),
      startedAt: startedAt === null ? undefined : numberOf(startedAt),
      boundAt: numberOf(boundAt),
      expiresAt: numberOf(expiresAt),
      ...(endsAt !== null && { endsAt: numberOf(endsAt) }),
      ...(idleSeconds !== null && { idleSeconds: numberOf(idleSeconds) }),
    }
  }

  listedSessions(): ListedSessions {
    const next = this.#members.get('next')
    const sessions = listOf(this.#members.get('sessions')).map((each) => {
      const [sessionId, about] = listOf(each)
      return { sessionId: textOf(sessionId), ...(about !== null && { about: textOf(about) }) }
    })
    return { sessions, ...(next !== undefined && { cursor: textOf(next) }) }
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
    const mark = this.mark('mark')
    return {
      replayed: false,
      mark,
      sessionIds: this.texts('ids'),
      tokenKeys: this.texts('tokens'),
      mismatched: this.number('mismatched'),
      withoutSid: this.number('withoutSid'),
      finished: this.flag('finished'),
      destroyed: this.flag('destroyed'),
      notDeleted: this.number('notDeleted'),
      ...this.#next(mark),
    }
  }

  #next({ issuedAt, seenAt }: Mark): { readonly more: boolean; readonly cursor?: string } {
    const next = this.#members.get('next')
    if (next === undefined) return { more: false }
    const [part, after] = listOf(next)
    return { more: true, cursor: writtenPosition({ issuedAt, seenAt, part: numberOf(part), after: textOf(after) }) }
  }
}

function markOf(value: unknown): Mark {
  const [scope, key, subKey, issuedAt, seenAt, expiresAt] = listOf(value)
  if (scope !== 'sid' && scope !== 'sub' && scope !== 'sidless' && scope !== 'token') throw unexpected()
  const dates = {
    ...(issuedAt !== null && { issuedAt: numberOf(issuedAt) }),
    seenAt: numberOf(seenAt),
    expiresAt: numberOf(expiresAt),
  }
  const named = textOf(subKey)
  return named === '' ? { scope, key: textOf(key), ...dates } : { scope, key: textOf(key), subKey: named, ...dates }
}

/** A list. Throws for anything else: a store that is not understood has not answered. */
export function listOf(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw unexpected()
}

/** A text as it is. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  throw unexpected()
}

/** A finite number, or its text. */
export function numberOf(value: unknown): number {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value
  if (typeof number === 'number' && Number.isFinite(number)) return number
  throw unexpected()
}

export function unexpected(): Error {
  return new Error('The store returned an unexpected reply')
}

/** The database understands, and this application may not ask it that. */
export function permissionDenied(cause: unknown): LogoutError {
  return new LogoutError('ERR_STORE', 'The logout store refuses the role or user of this application', {
    reason: 'permission_denied',
    cause,
  })
}

// Which sessions a target names, in this process's memory. Judges nothing: whether a logout ends them is the covering
// rule's.
import type { SignOn } from '../marks/covering.js'
import type { TargetKey } from '../marks/target.js'

/** Most users have one session: a set is made only for the second, since a set of one costs more than the session. */
type Sessions<Session> = Map<string, Session | Set<Session>>

/** Sessions under their sid, their sub, and, where they have no sid, once more under their sub. */
export class SessionIndex<Session extends SignOn & object> {
  readonly #bySid: Sessions<Session> = new Map()
  readonly #bySub: Sessions<Session> = new Map()
  readonly #withoutSid: Sessions<Session> = new Map()

  add(session: Session): void {
    addTo(this.#bySub, session.subKey, session)
    if (session.sidKey === undefined) addTo(this.#withoutSid, session.subKey, session)
    else addTo(this.#bySid, session.sidKey, session)
  }

  remove(session: Session): void {
    removeFrom(this.#bySub, session.subKey, session)
    if (session.sidKey === undefined) removeFrom(this.#withoutSid, session.subKey, session)
    else removeFrom(this.#bySid, session.sidKey, session)
  }

  /**
   * The sessions that a target names, in the order of their binding within each part: those of its key, and for a `sid`
   * with a `sub` then those of that subject that have none. Nothing may be added or removed meanwhile.
   */
  *namedBy({ scope, key, subKey }: TargetKey): Generator<readonly [part: number, session: Session]> {
    if (scope === 'token') return
    for (const session of allIn(scope === 'sid' ? this.#bySid : this.#bySub, key)) yield [0, session]
    if (scope !== 'sid' || subKey === undefined) return
    for (const session of allIn(this.#withoutSid, subKey)) yield [1, session]
  }
}

function addTo<Session extends object>(index: Sessions<Session>, key: string, session: Session): void {
  const found = index.get(key)
  if (found === undefined) index.set(key, session)
  else if (found instanceof Set) found.add(session)
  else if (found !== session) index.set(key, new Set([found, session]))
}

function removeFrom<Session extends object>(index: Sessions<Session>, key: string, session: Session): void {
  const found = index.get(key)
  if (found === session) index.delete(key)
  else if (found instanceof Set && found.delete(session) && found.size === 0) index.delete(key)
}

function allIn<Session extends object>(index: Sessions<Session>, key: string): Iterable<Session> {
  const found = index.get(key)
  if (found === undefined) return []
  return found instanceof Set ? found : [found]
}

// What is under way to undo logins that failed, by session id, for all receivers over one session store: whether
// another login may live under that id. Knows neither store.
//
//   a login under S failed               no login that is being bound under S lives
//   its row is being destroyed, or its   a login under S waits for that; once it is bound, it lives only if nothing
//   binding may still be written         of the kind is under way
//   its undoing waits for its turn       a login that lives cancels it
//   its turn has begun, and S is marked  no login lives under S any more: nobody can tell a mark that is not written
//                                        from one whose answer was lost
//
// All of it is asked and answered in one tick, after the binding was written: so no undoing that was sent before a
// login was told that it lives can end it afterwards.
import { ExpiringMap } from '../expiring-map.js'

/** A login that is being bound. */
export interface LoginAttempt {
  /** As it is now. */
  mayLive(now: number): boolean
  /** It is bound, and lives if this says so: then nothing undoes an earlier one any more. */
  lives(now: number): boolean
  /** Nobody waits for it any more. */
  isOver(): void
}

interface UnderWay {
  /** Logins that are being bound; true: another failed meanwhile. */
  readonly attempts: Map<object, boolean>
  readonly calls: Set<Promise<unknown>>
  /** By whose, how it is cancelled. */
  readonly waiting: Map<object, () => void>
}

export class Undoings {
  readonly #bySessionId = new Map<string, UnderWay>()
  readonly #marked = new ExpiringMap<{ readonly expiresAt: number }>()

  /** Resolves when all is done that is under way now. Never rejects. */
  async settled(sessionId: string): Promise<void> {
    await Promise.allSettled(this.#bySessionId.get(sessionId)?.calls ?? [])
  }

  attempt(sessionId: string): LoginAttempt {
    const underWay = this.#of(sessionId)
    const attempt = {}
    underWay.attempts.set(attempt, false)
    const mayLive = (now: number) =>
      underWay.attempts.get(attempt) === false &&
      underWay.calls.size === 0 &&
      this.#marked.get(sessionId, now) === undefined
    return {
      mayLive,
      lives: (now) => {
        if (!mayLive(now)) return false
        for (const cancel of [...underWay.waiting.values()]) cancel()
        return true
      },
      isOver: () => {
        underWay.attempts.delete(attempt)
        this.#tidy(sessionId)
      },
    }
  }

  /** Of the logins that are being bound now none lives: this one may have written the row after them. */
  failed(sessionId: string): void {
    const { attempts } = this.#of(sessionId)
    for (const attempt of attempts.keys()) attempts.set(attempt, true)
    this.#tidy(sessionId)
  }

  /** It may have its effect at any time until it has settled. */
  underWay(sessionId: string, call: Promise<unknown>): void {
    const { calls } = this.#of(sessionId)
    calls.add(call)
    const settled = () => {
      calls.delete(call)
      this.#tidy(sessionId)
    }
    call.then(settled, settled)
  }

  waits(sessionId: string, undoing: object, cancel: () => void): void {
    this.#of(sessionId).waiting.set(undoing, cancel)
  }

  waitsNoLonger(sessionId: string, undoing: object): void {
    this.#bySessionId.get(sessionId)?.waiting.delete(undoing)
    this.#tidy(sessionId)
  }

  /** A mark of this id is about to be sent, and may be there until then. */
  mayBeMarked(sessionId: string, expiresAt: number, now: number): void {
    this.#marked.set(sessionId, { expiresAt }, now)
  }

  #of(sessionId: string): UnderWay {
    const known = this.#bySessionId.get(sessionId)
    if (known !== undefined) return known
    const underWay: UnderWay = { attempts: new Map(), calls: new Set(), waiting: new Map() }
    this.#bySessionId.set(sessionId, underWay)
    return underWay
  }

  #tidy(sessionId: string): void {
    const underWay = this.#bySessionId.get(sessionId)
    if (underWay === undefined) return
    if (underWay.attempts.size + underWay.calls.size + underWay.waiting.size > 0) return
    this.#bySessionId.delete(sessionId)
  }
}

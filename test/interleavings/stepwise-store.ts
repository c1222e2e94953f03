// A logout store without any atomicity: each read and each write is a step of its own, in the order the port
// prescribes.
import { covers, type Mark, sidlessMark, withMark } from '../../src/marks/covering.js'
import type { TargetKey } from '../../src/marks/target.js'
import type {
  BeginLogout,
  BegunLogout,
  Binding,
  BoundState,
  CompleteLogout,
  FoundMarks,
  ListedSessions,
  LocallyEnded,
  LogoutStore,
  NewBinding,
  SessionState,
} from '../../src/stores/logout-store.js'

type Step = (step: string) => Promise<void>

interface Ended {
  readonly movedOn?: Binding
  readonly movedTo?: readonly string[]
  readonly inherited?: boolean
}

export interface StepwiseOptions {
  readonly step: Step
  readonly clock: () => number
  /** Binds a login the wrong way round: reads the marks first, writes then. */
  readonly checkThenWrite?: boolean
  /** A local logout ends the id it names and nothing else. */
  readonly followsNobody?: boolean
}

/** What the nodes share. */
export class StepwiseData {
  readonly bindings = new Map<string, Binding>()
  readonly ended = new Map<string, Ended>()
  readonly marks = new Map<string, readonly Mark[]>()
  readonly completed = new Set<string>()
  stamp = 0
}

/** As one node sees it. */
export class StepwiseStore implements LogoutStore {
  readonly #step: Step
  readonly #options: StepwiseOptions
  readonly #data: StepwiseData
  readonly #bindings: Map<string, Binding>
  readonly #ended: Map<string, Ended>
  readonly #marks: Map<string, readonly Mark[]>
  readonly #completed: Set<string>

  constructor(options: StepwiseOptions, data = new StepwiseData()) {
    this.#options = options
    this.#step = options.step
    this.#data = data
    this.#bindings = data.bindings
    this.#ended = data.ended
    this.#marks = data.marks
    this.#completed = data.completed
  }

  async bind(binding: NewBinding): Promise<BoundState> {
    const { sessionId } = binding
    const stand = () => this.#standing(sessionId, bound)
    let bound: Binding = { ...binding, boundAt: this.#now() }
    const early = this.#options.checkThenWrite ? await stand() : undefined
    await this.#step(`write binding ${sessionId}`)
    bound = { ...bound, ...keptEnd(binding, this.#bindings.get(sessionId)) }
    this.#bindings.set(sessionId, bound)
    await this.#step(`cut lineage ${sessionId}`)
    if (this.#ended.get(sessionId)?.inherited) this.#ended.delete(sessionId)
    return { ...(early ?? (await stand())), binding: bound, now: bound.boundAt }
  }

  async rebind(from: string, to: string, expiresAt: number): Promise<SessionState> {
    await this.#step(`read ${from}`)
    const signOn = this.#bindings.get(from) ?? this.#ended.get(from)?.movedOn
    let isThere = false
    if (signOn !== undefined) {
      await this.#step(`write binding ${to}`)
      // A login that was bound there later has the id.
      isThere = (this.#bindings.get(to)?.boundAt ?? 0) > signOn.boundAt
      if (!isThere)
        this.#bindings.set(to, { ...signOn, sessionId: to, expiresAt: Math.max(signOn.expiresAt, expiresAt) })
      await this.#step(`leave ${from}`)
      const { movedOn, movedTo = [] } = this.#ended.get(from) ?? { movedOn: signOn }
      if (movedOn !== undefined) this.#ended.set(from, { movedOn, movedTo: [...movedTo, to] })
    }
    await this.#step(`read end of ${from}`)
    const ended = this.#ended.get(from)
    if (ended !== undefined && ended.movedOn === undefined && !isThere) {
      await this.#step(`inherit end ${to}`)
      if (!this.#ended.has(to)) this.#ended.set(to, { inherited: true })
    }
    const state = await this.#standing(to, isThere ? this.#bindings.get(to) : signOn && { ...signOn, sessionId: to })
    if (signOn !== undefined) {
      await this.#step(`remove binding ${from}`)
      this.#bindings.delete(from)
    }
    return state
  }

  async list({ scope, key }: TargetKey): Promise<ListedSessions> {
    await this.#step('list')
    const sessions = [...this.#bindings.values()].filter(
      (each) => (scope === 'sid' ? each.sidKey : each.subKey) === key,
    )
    return { sessions }
  }

  async renew(): Promise<void> {}

  async addTokens(sessionId: string): Promise<SessionState> {
    return this.read(sessionId)
  }

  async read(sessionId: string): Promise<SessionState> {
    await this.#step(`read binding ${sessionId}`)
    return this.#standing(sessionId, this.#bindings.get(sessionId))
  }

  async marks(keys: readonly string[]): Promise<FoundMarks> {
    await this.#step('read marks')
    return { now: this.#now(), marks: keys.flatMap((key) => this.#marks.get(key) ?? []) }
  }

  async isBound(key: string): Promise<boolean> {
    return [...this.#bindings.values()].some(({ subKey, sidKey }) => sidKey === key || subKey === key)
  }

  async endSessions(given: readonly string[], _until = 0, spared: readonly string[] = []): Promise<LocallyEnded> {
    const sessionIds: string[] = []
    const toEnd: { sessionId: string; of?: Binding | undefined }[] = given.map((sessionId) => ({ sessionId }))
    const isMeant = (sessionId: string) => !spared.includes(sessionId)
    for (const { sessionId, of } of toEnd) {
      await this.#step(`end ${sessionId}`)
      const before = this.#ended.get(sessionId)
      const signOn = this.#bindings.get(sessionId) ?? before?.movedOn
      const isLeft = before?.movedOn !== undefined
      if (of !== undefined && (of.boundAt !== signOn?.boundAt || (before !== undefined && !isLeft))) continue
      this.#ended.set(sessionId, of === undefined || isLeft ? {} : { inherited: true })
      sessionIds.push(sessionId)
      if (this.#options.followsNobody) continue
      for (const to of (before?.movedTo ?? []).filter(isMeant)) toEnd.push({ sessionId: to, of: before?.movedOn })
    }
    return { sessionIds, tokenKeys: [] }
  }

  async unbind(sessionIds: readonly string[]): Promise<void> {
    for (const sessionId of sessionIds) {
      await this.#step(`unbind ${sessionId}`)
      this.#bindings.delete(sessionId)
    }
  }

  async begin({ target, issuedAt, jti, marksExpireAt }: BeginLogout): Promise<BegunLogout> {
    if (jti) await this.#step('replay?')
    if (jti && this.#completed.has(jti.key)) return { replayed: true }
    await this.#step('write mark')
    const mark: Mark = { ...target, issuedAt, seenAt: this.#now(), expiresAt: marksExpireAt }
    this.#addMark(mark)
    const withoutSid = sidlessMark(mark)
    if (withoutSid !== undefined) {
      await this.#step('write mark of sign-ons without sid')
      this.#addMark(withoutSid)
    }
    await this.#step('find sessions')
    const found = [...this.#bindings.values()].filter((binding) => this.#isNamed(target, binding))
    const named = found.filter((binding) => target.subKey === undefined || target.subKey === binding.subKey)
    const covered = named.filter((each) => covers(each.sidKey === undefined ? (withoutSid ?? mark) : mark, each))
    const sessionIds = covered.map(({ sessionId }) => sessionId)
    await this.endSessions(sessionIds)
    return {
      replayed: false,
      mark,
      sessionIds,
      tokenKeys: [],
      mismatched: found.length - named.length,
      withoutSid: target.scope === 'sid' ? covered.filter((each) => each.sidKey === undefined).length : 0,
      finished: false,
      notDeleted: 0,
      more: false,
    }
  }

  async complete({ jti, destroyedIds, done }: CompleteLogout): Promise<void> {
    await this.unbind(destroyedIds)
    if (jti === undefined) return
    await this.#step(done ? 'remember jti' : 'reopen jti')
    if (done) this.#completed.add(jti.key)
    else this.#completed.delete(jti.key)
  }

  #addMark(mark: Mark): void {
    this.#marks.set(mark.key, withMark(this.#marks.get(mark.key) ?? [], mark))
  }

  #isNamed({ scope, key, subKey }: BeginLogout['target'], binding: Binding): boolean {
    if (scope !== 'sid') return binding.subKey === key
    return binding.sidKey === key || (binding.sidKey === undefined && binding.subKey === subKey)
  }

  /** The end of the id and the marks of its binding are read one after the other. */
  async #standing(sessionId: string, binding: Binding | undefined): Promise<SessionState> {
    await this.#step(`read end of ${sessionId}`)
    const ended = this.#ended.has(sessionId)
    if (binding === undefined) return { ended, marks: [] }
    await this.#step(`read marks of ${sessionId}`)
    const keys = binding.sidKey === undefined ? [binding.subKey] : [binding.sidKey, binding.subKey]
    return { ended, binding, marks: keys.flatMap((key) => this.#marks.get(key) ?? []) }
  }

  #now(): number {
    this.#data.stamp = Math.max(this.#options.clock(), this.#data.stamp + 1e-6)
    return this.#data.stamp
  }
}

/** Of a sign-on that is bound once more. */
function keptEnd({ subKey, sidKey, startedAt = 0, endsAt }: NewBinding, older: Binding | undefined) {
  if (older?.endsAt === undefined || older.subKey !== subKey || older.sidKey !== sidKey) return {}
  return startedAt > older.boundAt ? {} : { endsAt: Math.min(endsAt ?? older.endsAt, older.endsAt) }
}

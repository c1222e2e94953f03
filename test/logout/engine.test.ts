// The order in which a sign-on dies, and what becomes of a logout when any of its steps fails, hangs or is only half
// done.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LogoutEvent } from '../../src/events.js'
import type { ClaimsEvictor } from '../../src/logout/claims-evictor.js'
import { DeniedHere } from '../../src/logout/denied-here.js'
import { type EngineOptions, LogoutEngine } from '../../src/logout/engine.js'
import type { EndedSessions, LogoutOrder } from '../../src/logout/logout-order.js'
import { type Client, jtiKey, type LogoutTarget, subKey, targetKey } from '../../src/marks/target.js'
import { SignOns } from '../../src/sign-ons/sign-ons.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { StoreClock } from '../../src/stores/store-clock.js'

const CLIENT: Client = { issuer: 'https://op.example', clientId: 'rp' }
const STEP_TIMEOUT_SECONDS = 5
const GIVE_UP_SECONDS = 60
const clock = () => Date.now() / 1000
const never = () => new Promise<never>(() => {})
function gate(): readonly [opened: Promise<void>, open: () => void] {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return [opened, () => open()]
}

const rejects = () => Promise.reject(new Error('down'))

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000 })
})
afterEach(() => {
  vi.useRealTimers()
})

const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000)

/** What a step does instead of its work, for as many times as are given. */
type Faults = Partial<
  Record<'begin' | 'complete' | 'read' | 'marks' | 'bind' | 'evict' | 'destroy' | 'hook', (() => Promise<unknown>)[]>
>

class Rig {
  readonly log: string[] = []
  readonly events: LogoutEvent[] = []
  readonly rows = new Set<string>()
  readonly announced: EndedSessions[] = []
  readonly store = memoryStore({ clock })
  readonly engine: LogoutEngine
  readonly signOns: SignOns
  readonly faults: Faults

  constructor(faults: Faults = {}, options: Partial<EngineOptions> = {}) {
    this.faults = faults
    const deniedHere = new DeniedHere(clock)
    const claims: ClaimsEvictor = { evict: () => this.#step('evict', 'evict') }
    const shared = {
      store: this.#spied(),
      destroySession: async (id: string) => {
        await this.#step('destroy', `destroy ${id}`)
        this.rows.delete(id)
      },
      deniedHere,
      emit: (event: LogoutEvent) => void this.events.push(event),
      clock,
      sessionLifetimeSeconds: 100_000,
      marksLifetimeSeconds: 100_000,
      stepTimeoutSeconds: STEP_TIMEOUT_SECONDS,
      claims,
      storeClock: new StoreClock(clock),
    }
    this.engine = new LogoutEngine({
      ...shared,
      onSessionsEnded: async (ended) => {
        this.announced.push(ended)
        await this.#step('hook', 'hook')
      },
      retry: { firstDelaySeconds: 1, maxDelaySeconds: 8, giveUpAfterSeconds: GIVE_UP_SECONDS },
      ...options,
    })
    this.signOns = new SignOns({ ...shared, retryForSeconds: GIVE_UP_SECONDS })
  }

  /** Marks are read from a copy of the store, as bounded reads are, and the time from the store. */
  readFromACopy(): void {
    const marks = this.store.marks.bind(this.store)
    this.store.marks = async (keys) => ({ ...(await marks(keys)), lags: keys.length > 0 })
  }

  async signIn(
    sessionId: string,
    { sub = 'alice', sid = `sid of ${sessionId}`, iat = clock() - 10, client = CLIENT } = {},
  ) {
    this.rows.add(sessionId)
    await this.signOns.bind({ sessionId }, { client, sub, sid, issuedAt: iat, tokenKeys: [] })
    this.log.length = 0
  }

  order(target: { readonly sid: string; readonly sub?: string } | { readonly sub: string }, jti?: string): LogoutOrder {
    return {
      client: CLIENT,
      key: targetKey({ ...CLIENT, ...target } as LogoutTarget),
      issuedAt: clock(),
      jti: jti === undefined ? undefined : { key: jtiKey(CLIENT, jti), expiresAt: clock() + 1_000 },
      reason: 'test',
      revokeOfflineAccess: false,
    }
  }

  end(target: Parameters<Rig['order']>[0], jti?: string, answerWithinSeconds = 30) {
    return this.engine.end(this.order(target, jti), answerWithinSeconds)
  }

  async #step(step: keyof Faults, entry: string): Promise<void> {
    this.log.push(entry)
    const fault = this.faults[step]?.shift()
    if (fault !== undefined) await fault()
  }

  #spied(): LogoutStore {
    return new Proxy(this.store, {
      get: (store, method) => {
        const call: unknown = Reflect.get(store, method)
        if (typeof call !== 'function') return call
        return async (...args: unknown[]) => {
          await this.#step(method as keyof Faults, String(method))
          return Reflect.apply(call, store, args)
        }
      },
    })
  }
}

describe('the order of a logout', () => {
  it('marks, evicts, destroys, announces, and only then unbinds and remembers', async () => {
    const rig = new Rig()
    await rig.signIn('s1')
    expect(await rig.end({ sid: 'sid of s1' }, 'jti')).toEqual({
      complete: true,
      replayed: false,
      marked: true,
      found: 1,
      destroyed: 1,
      failed: 0,
    })
    expect(rig.log).toEqual(['begin', 'evict', 'destroy s1', 'hook', 'complete'])
  })

  it('announces sessions when every node denies them already', async () => {
    const seen: boolean[] = []
    const rig: Rig = new Rig(
      {},
      {
        onSessionsEnded: async ({ sessionIds }) => {
          for (const id of sessionIds) seen.push((await rig.store.read(id)).ended, rig.rows.has(id))
        },
      },
    )
    await rig.signIn('s1')
    await rig.end({ sub: 'alice' })
    expect(seen).toEqual([true, false])
  })

  it('names issuer, client, reason and ids to the hook, and calls it for nobody if nobody was found', async () => {
    const rig = new Rig()
    expect(await rig.end({ sub: 'alice' })).toMatchObject({ complete: true, marked: true, found: 0 })
    expect(rig.announced).toEqual([])
    await pass(1)
    await rig.signIn('s1', { iat: clock() })
    await rig.end({ sub: 'alice' })
    expect(rig.announced).toEqual([{ ...CLIENT, reason: 'test', sessionIds: ['s1'] }])
  })

  it('refuses a jti as a replay only once its logout is complete', async () => {
    const rig = new Rig({ destroy: [rejects] })
    await rig.signIn('s1')
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ complete: false, replayed: false })
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ complete: true, replayed: false, destroyed: 1 })
    rig.log.length = 0
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ complete: true, replayed: true, found: 0 })
    expect(rig.log).toEqual(['begin'])
  })

  it('lets a repeat that arrives while the first is at work do the same work', async () => {
    const rig = new Rig()
    await rig.signIn('s1')
    const outcomes = await Promise.all([rig.end({ sub: 'alice' }, 'jti'), rig.end({ sub: 'alice' }, 'jti')])
    expect(outcomes.map(({ complete, replayed }) => ({ complete, replayed }))).toEqual([
      { complete: true, replayed: false },
      { complete: true, replayed: false },
    ])
    expect(rig.rows.size).toBe(0)
  })
})

describe('exactness', () => {
  it('ends one session by sid, and the others of the subject live', async () => {
    const rig = new Rig()
    await rig.signIn('laptop')
    await rig.signIn('phone')
    await rig.end({ sid: 'sid of laptop', sub: 'alice' })
    expect([...rig.rows]).toEqual(['phone'])
    expect(await rig.signOns.verdictOn('phone')).not.toBe('ended')
  })

  it('leaves a session alone that the sid names and that belongs to another sub', async () => {
    const rig = new Rig()
    await rig.signIn('s1', { sub: 'bob', sid: 'shared' })
    const result = await rig.end({ sid: 'shared', sub: 'alice' })
    expect(result).toMatchObject({ complete: true, found: 0, destroyed: 0 })
    expect([...rig.rows]).toEqual(['s1'])
    expect(await rig.signOns.verdictOn('s1')).not.toBe('ended')
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout', mismatched: 1, found: 0 })
  })

  it.each([
    ['issuer', { issuer: 'https://other.example', clientId: 'rp' }],
    ['client', { issuer: 'https://op.example', clientId: 'other' }],
  ])('leaves the same sub of another %s alone', async (_, client) => {
    const rig = new Rig()
    await rig.signIn('s1', { client })
    expect(await rig.end({ sub: 'alice' })).toMatchObject({ complete: true, found: 0 })
    expect(await rig.signOns.verdictOn('s1')).not.toBe('ended')
  })
})

describe('a step that fails or hangs', () => {
  const STEPS = [
    ['begin', 'ERR_STORE', false],
    ['evict', 'ERR_EVICT', true],
    ['destroy', 'ERR_SESSIONS', true],
    ['hook', 'ERR_HOOK', true],
    ['complete', 'ERR_STORE', true],
  ] as const

  for (const [step, code, marked] of STEPS) {
    for (const [how, fault] of [
      ['rejects', rejects],
      ['hangs', never],
    ] as const) {
      it(`${step} ${how}: reported as ${code}, denied meanwhile, completed in the background`, async () => {
        const rig = new Rig({ [step]: [fault] })
        await rig.signIn('s1')
        const pending = rig.end({ sub: 'alice' }, 'jti')
        await pass(how === 'hangs' ? STEP_TIMEOUT_SECONDS : 0)
        const result = await pending
        expect(result).toMatchObject({ complete: false, replayed: false, marked, error: { code } })
        expect(rig.events.at(-1)).toMatchObject({ type: 'logout-failed', retrying: true, background: false })
        expect(await rig.signOns.verdictOn('s1')).toBe('ended')

        await pass(1)
        expect(rig.events.at(-1)).toMatchObject({ type: 'logout', background: true, failed: 0 })
        expect(rig.rows.size).toBe(0)
        expect(await rig.signOns.verdictOn('s1')).toBe('ended')
        // The OP was told that it failed: its one retry hears that it is done, and only what comes after that is a
        // replay.
        expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ complete: true, replayed: false })
        expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ replayed: true })
      })
    }
  }

  it('announces the same sessions again if the hook failed', async () => {
    const rig = new Rig({ hook: [rejects, rejects] })
    await rig.signIn('s1')
    await rig.signIn('s2')
    await rig.end({ sub: 'alice' })
    await pass(1 + 2)
    expect(rig.announced.map(({ sessionIds }) => [...sessionIds].sort())).toEqual([
      ['s1', 's2'],
      ['s1', 's2'],
      ['s1', 's2'],
    ])
    expect(rig.events.at(-1)?.type).toBe('logout')
  })

  it.each(['by a token', 'without one'])(
    'announces what another node has finished %s meanwhile: its hook is not ours',
    async (how) => {
      const rig = new Rig({ hook: [rejects, rejects] })
      await rig.signIn('s1')
      await rig.signIn('s2')
      const jti = how === 'by a token' ? 'jti' : undefined
      expect(await rig.end({ sub: 'alice' }, jti)).toMatchObject({ complete: false, error: { code: 'ERR_HOOK' } })
      await rig.store.complete({ jti: rig.order({ sub: 'alice' }, jti).jti, destroyedIds: ['s1', 's2'], done: true })
      await pass(1)
      expect(rig.events.at(-1)?.type).toBe('logout-failed')
      await pass(2)
      expect(rig.announced.map(({ sessionIds }) => [...sessionIds].sort())).toEqual([
        ['s1', 's2'],
        ['s1', 's2'],
        ['s1', 's2'],
      ])
      expect(rig.events.at(-1)).toMatchObject({ type: 'logout', background: true })
      expect(rig.engine.pending).toBe(0)
    },
  )

  it('tells the OP that a logout failed which is complete elsewhere, while the hook here fails', async () => {
    const rig = new Rig({ hook: [rejects, rejects] })
    await rig.signIn('s1')
    await rig.end({ sub: 'alice' }, 'jti')
    await rig.store.complete({ jti: rig.order({ sub: 'alice' }, 'jti').jti, destroyedIds: ['s1'], done: true })
    const about = { complete: false, replayed: false, error: { code: 'ERR_HOOK' } }
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject(about)
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ complete: true, replayed: false })
    expect(rig.announced).toHaveLength(3)
  })

  it('takes sessions for told once the hook has heard of them, and leaves them to nobody else until then', async () => {
    const log: string[] = []
    const told = (what: string) => (ids: readonly string[]) => void log.push(`${what} ${ids}`)
    const endsHere = (ids: readonly string[]) => {
      told('ends')(ids)
      return () => told('tried')(ids)
    }
    const rig = new Rig({ hook: [rejects] }, { endsHere, endedHere: told('told') })
    await rig.signIn('s1')
    await rig.end({ sub: 'alice' }, 'jti')
    expect(log).toEqual(['ends s1', 'tried s1'])
    await pass(1)
    expect(log.slice(2)).toEqual(['ends s1', 'told s1', 'tried s1'])
  })

  it('survives a hook and an evictor that throw instead of rejecting', async () => {
    const throws = () => {
      throw new Error('thrown')
    }
    for (const [broken, code] of [
      [{ onSessionsEnded: throws }, 'ERR_HOOK'],
      [{ claims: { evict: throws } }, 'ERR_EVICT'],
    ] as const) {
      const rig = new Rig({}, broken)
      await rig.signIn('s1')
      expect(await rig.end({ sub: 'alice' })).toMatchObject({
        complete: false,
        marked: true,
        error: { code },
      })
      expect(rig.rows.size).toBe(0)
      rig.engine.close()
    }
  })

  it('does not end a login that was made between the failure and the retry', async () => {
    const rig = new Rig({ destroy: [rejects] })
    await rig.signIn('s1')
    await rig.end({ sub: 'alice' }, 'jti')
    await pass(0.5)
    await rig.signIn('s2', { iat: clock() })
    await pass(1)
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout', background: true, found: 1 })
    expect([...rig.rows]).toEqual(['s2'])
    expect(await rig.signOns.verdictOn('s2')).not.toBe('ended')
  })

  it('dates a retry back to the first attempt, also where the store never heard of that one', async () => {
    const rig = new Rig({ begin: [rejects, rejects, rejects, rejects] })
    await rig.signIn('s1')
    await rig.end({ sub: 'alice' }, 'jti')
    await pass(5)
    await rig.signIn('s2', { iat: clock() })
    await pass(20)
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout', background: true, found: 1 })
    expect([...rig.rows]).toEqual(['s2'])
    expect(await rig.signOns.verdictOn('s2')).not.toBe('ended')
  })

  it('does the same for a logout without a token', async () => {
    const rig = new Rig({ destroy: [rejects, rejects, rejects] })
    await rig.signIn('s1')
    await rig.end({ sub: 'alice' })
    await pass(2)
    await rig.signIn('s2', { iat: clock() })
    await pass(20)
    expect([...rig.rows]).toEqual(['s2'])
    expect(await rig.signOns.verdictOn('s2')).not.toBe('ended')
  })

  it('does not deny a later login while a repeat of an old token is looked up', async () => {
    const rig = new Rig()
    await rig.signIn('s1')
    const order = rig.order({ sub: 'alice' }, 'jti')
    await rig.engine.end(order, 30)
    await pass(5)
    await rig.signIn('s2', { iat: clock() })
    rig.faults.begin = [never]
    void rig.engine.end(order, 30)
    await pass(1)
    expect(await rig.signOns.verdictOn('s2')).not.toBe('ended')
    rig.engine.close()
  })

  it('tells the OP that a logout is done which was finished after the answer, once', async () => {
    const late = () => new Promise((resolve) => setTimeout(resolve, 3_000))
    const rig = new Rig({ begin: [late] }, { claims: undefined, onSessionsEnded: undefined })
    const first = rig.end({ sub: 'alice' }, 'jti', 2)
    await pass(2)
    expect(await first).toMatchObject({ complete: false, error: { code: 'ERR_DEADLINE' } })
    await pass(2)
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ complete: true, replayed: false })
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ replayed: true })
  })

  it('says that a logout is complete which was done by a pass whose answer was lost', async () => {
    const rig = new Rig({}, { claims: undefined, onSessionsEnded: undefined })
    const { begin } = rig.store
    rig.store.begin = async (logout) => {
      await begin.call(rig.store, logout)
      rig.store.begin = begin
      throw new Error('the connection was lost after the store had done it')
    }
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ complete: false, error: { code: 'ERR_STORE' } })
    await pass(1)
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout', background: true })
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ complete: true, replayed: false })
    expect(await rig.end({ sub: 'alice' }, 'jti')).toMatchObject({ replayed: true })
  })

  it('takes a hook at its word whatever it returns', async () => {
    const hook = (() => 42) as unknown as () => void
    const rig = new Rig({}, { onSessionsEnded: hook })
    await rig.signIn('s1')
    expect(await rig.end({ sub: 'alice' })).toMatchObject({ complete: true, destroyed: 1 })
  })

  it('denies a login of the target in this process while the store could not write the mark', async () => {
    const rig = new Rig({ begin: [rejects] })
    await rig.end({ sub: 'alice' })
    rig.rows.add('s1')
    const login = { client: CLIENT, sub: 'alice', sid: 'sid', issuedAt: clock() - 1, tokenKeys: [] }
    expect(await rig.signOns.bind({ sessionId: 's1' }, login)).toEqual({ ended: true })
    expect(rig.rows.size).toBe(0)
  })
})

describe("a logout that the store did not take, at a process that has never heard what o'clock it is there", () => {
  /** The login came to another process, `secondsLater` than the logout by every clock. */
  async function loggedInElsewhere(rig: Rig, secondsLater: number): Promise<void> {
    await pass(secondsLater)
    rig.rows.add('s1')
    await rig.store.bind({
      sessionId: 's1',
      subKey: subKey(CLIENT, 'alice'),
      issuedAt: clock() + 1,
      expiresAt: clock() + 1000,
    })
  }

  it('ends no login that came after it, and asks the store for the time', async () => {
    const rig = new Rig({ begin: [rejects, rejects] })
    await rig.end({ sub: 'alice' })
    await loggedInElsewhere(rig, 0.5)
    const asked = () => rig.log.filter((entry) => entry === 'marks').length
    expect(await rig.signOns.verdictOn('s1')).toBe('bound')
    expect(asked()).toBe(1)
    expect(await rig.signOns.verdictOn('s1')).toBe('bound')
    expect(asked()).toBe(1)
  })

  it('ends one that came before it', async () => {
    const rig = new Rig({ begin: [rejects, rejects] })
    await loggedInElsewhere(rig, 0)
    await pass(0.5)
    await rig.end({ sub: 'alice' })
    expect(await rig.signOns.verdictOn('s1')).toBe('ended')
  })

  it("has no verdict on it while the store does not say what o'clock it is", async () => {
    const rig = new Rig({ begin: [rejects, rejects], marks: [rejects] })
    await rig.end({ sub: 'alice' })
    await loggedInElsewhere(rig, 0.5)
    await expect(rig.signOns.verdictOn('s1')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT' })
    expect([...rig.rows]).toEqual(['s1'])
    expect(await rig.signOns.verdictOn('s1')).toBe('bound')
  })

  it('is not forgotten by a request that waits for the time while the store takes the mark at last', async () => {
    const [answered, answer] = gate()
    const rig = new Rig({ begin: [rejects], marks: [async () => {}, () => answered] })
    rig.readFromACopy()
    const record = { id: '1', ...CLIENT, sub: 'alice', issuedAt: clock() + 1, boundAt: clock() }
    await pass(0.5)
    await rig.end({ sub: 'alice' })
    const asked = rig.signOns.isLive(record)
    await pass(1)
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout', background: true })
    answer()
    expect(await asked).toBe(false)
    expect(await rig.signOns.isLive(record)).toBe(false)
  })

  it('is not forgotten by a request whose marks were read before the store took its own', async () => {
    const [answered, answer] = gate()
    const rig = new Rig({ begin: [rejects] })
    const marks = rig.store.marks.bind(rig.store)
    rig.store.marks = async (keys) => {
      const found = await marks(keys)
      if (keys.length > 0) await answered
      return found
    }
    await rig.signIn('another') // so that it is known what o'clock it is
    const record = { id: '1', ...CLIENT, sub: 'alice', issuedAt: clock() + 1, boundAt: clock() - 1 }
    await rig.end({ sub: 'alice' })
    const asked = rig.signOns.isLive(record)
    await pass(1)
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout', background: true })
    answer()
    expect(await asked).toBe(false)
  })

  it('ends no stateless sign-on that came after it, where a copy of the store answers', async () => {
    const rig = new Rig({ begin: [rejects, rejects] })
    rig.readFromACopy()
    await rig.end({ sub: 'alice' })
    await pass(0.5)
    const times = { issuedAt: clock() + 1, boundAt: clock() }
    const record = { id: '1', ...CLIENT, sub: 'alice', ...times }
    expect(await rig.signOns.isLive(record)).toBe(true)
  })
})

describe('deadlines', () => {
  it('answers in time and goes on', async () => {
    const late = () => new Promise((resolve) => setTimeout(resolve, 4_000))
    const rig = new Rig({ destroy: [late] })
    await rig.signIn('s1')
    const pending = rig.end({ sub: 'alice' }, 'jti', 2)
    await pass(2)
    expect(await pending).toMatchObject({ complete: false, error: { code: 'ERR_DEADLINE' } })
    expect(rig.events.filter(({ type }) => type === 'logout')).toEqual([])
    await pass(2)
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout', destroyed: 1, background: true })
    expect(rig.log.filter((entry) => entry === 'begin')).toEqual(['begin'])
  })

  it('gives each destruction a deadline of its own, so that one that hangs fails alone', async () => {
    const rig = new Rig({ destroy: [never] })
    for (const id of ['s1', 's2', 's3']) await rig.signIn(id)
    const pending = rig.end({ sub: 'alice' })
    await pass(STEP_TIMEOUT_SECONDS)
    expect(await pending).toMatchObject({ complete: false, marked: true, found: 3, destroyed: 2, failed: 1 })
    expect([...rig.rows]).toEqual(['s1'])
    await pass(1)
    expect(rig.rows.size).toBe(0)
  })
})

describe('hundreds of sessions of one subject', () => {
  it('are destroyed sixteen at a time, and those that failed are found again', async () => {
    const SESSIONS = 500
    let atOnce = 0
    let most = 0
    let calls = 0
    const destroyed: string[] = []
    const rig = new Rig(
      {},
      {
        destroySession: async (id) => {
          most = Math.max(most, ++atOnce)
          await new Promise((resolve) => setTimeout(resolve, 10))
          atOnce--
          if (calls++ < SESSIONS && calls % 7 === 0) throw new Error('not now')
          destroyed.push(id)
        },
      },
    )
    for (let i = 0; i < SESSIONS; i++) await rig.signIn(`s${i}`)
    const failed = Math.floor(SESSIONS / 7)
    const pending = rig.end({ sub: 'alice' }, 'jti')
    await pass(0.6)
    expect(await pending).toMatchObject({ complete: false, found: SESSIONS, destroyed: SESSIONS - failed, failed })
    expect(most).toBe(16)
    await pass(2)
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout', found: failed, destroyed: failed, background: true })
    expect(new Set(destroyed).size).toBe(SESSIONS)
    expect(destroyed).toHaveLength(SESSIONS)
  })
})

describe('the background', () => {
  const attempts = (rig: Rig) => rig.log.filter((entry) => entry === 'begin').length

  it('waits twice as long each time, up to a bound, and gives up in the end', async () => {
    const rig = new Rig({ begin: Array.from({ length: 100 }, () => rejects) })
    await rig.end({ sub: 'alice' })
    const at: number[] = []
    for (let second = 1; second <= GIVE_UP_SECONDS + 20; second++) {
      const before = attempts(rig)
      await pass(1)
      if (attempts(rig) > before) at.push(second)
    }
    expect(at).toEqual([1, 3, 7, 15, 23, 31, 39, 47, 55, 63])
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout-failed', retrying: false, background: true })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('stops denying a target it gave up before its mark was written', async () => {
    const rig = new Rig({ begin: Array.from({ length: 100 }, () => rejects) })
    await rig.signIn('s1')
    await rig.end({ sub: 'alice' })
    expect(await rig.signOns.verdictOn('s1')).toBe('ended')
    await pass(GIVE_UP_SECONDS + 10)
    expect(await rig.signOns.verdictOn('s1')).not.toBe('ended')
  })

  it('ends when a repeat of the same token completes the logout', async () => {
    const rig = new Rig({ begin: [rejects] })
    await rig.signIn('s1')
    await rig.end({ sub: 'alice' }, 'jti')
    await rig.end({ sub: 'alice' }, 'jti')
    expect(rig.rows.size).toBe(0)
    rig.log.length = 0
    await pass(10)
    expect(rig.log).toEqual([])
  })

  it('does nothing any more after close', async () => {
    const rig = new Rig({ begin: [rejects, rejects] })
    await rig.end({ sub: 'alice' })
    rig.engine.close()
    await pass(10)
    expect(attempts(rig)).toBe(1)
    expect(await rig.end({ sub: 'alice' })).toMatchObject({ complete: false })
    expect(rig.events.at(-1)).toMatchObject({ type: 'logout-failed', retrying: false })
    expect(vi.getTimerCount()).toBe(0)
  })
})

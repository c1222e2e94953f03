// The bound of bounded reads, on a store whose log, pulls and clocks are moved by hand.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout } from '../../src/index.js'
import { covers } from '../../src/marks/covering.js'
import { type BoundedReads, type BoundedReadsOptions, boundedReads } from '../../src/stores/bounded-reads.js'
import type { LogPage, LogStore } from '../../src/stores/log-store.js'
import type { BegunLogout, SessionState } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'

const B = 5
const RUNS = 300

interface Held {
  /** The store answers as it stands now, or fails. The reader hears of it later. */
  answer(how: 'page' | 'failure'): void
  deliver(): Promise<void>
}

/** A memory store with a log, whose reads and pulls are answered when the test says so. */
class World {
  time = 1_700_000_000
  suspended = 0
  /** By how much the wall clock of this node was set ahead. */
  ahead = 0
  readonly truth = memoryStore({ clock: () => this.time })
  readonly log: { readonly marks: LogPage['marks']; readonly sessionIds: readonly string[] }[] = []
  trimmed = 0
  pulls: Held[] = []
  reads: Held[] = []
  holdReads = false
  strictReads = 0
  strictMarks = 0
  readonly store: LogStore = {
    ...delegate(this.truth),
    read: (id) => {
      this.strictReads++
      return this.holdReads ? this.#hold(this.reads, () => this.truth.read(id)) : this.truth.read(id)
    },
    marks: (keys) => {
      this.strictMarks++
      return this.truth.marks(keys)
    },
    pull: (cursor) => this.#hold(this.pulls, async () => this.#page(cursor)),
  }

  options(options: BoundedReadsOptions = {}): BoundedReadsOptions {
    return {
      seconds: B,
      pullEverySeconds: 1e6,
      monotonic: () => this.time - this.suspended,
      clock: () => this.time + this.ahead,
      ...options,
    }
  }

  /** Another node's logout. */
  async logout(subKey: string, marksExpireAt = this.time + 1e6): Promise<BegunLogout> {
    const begun = await this.truth.begin({
      target: { scope: 'sub', key: subKey },
      issuedAt: 1000,
      seenSecondsAgo: 0,
      marksExpireAt,
      mayDestroy: false,
    })
    if (!begun.replayed) this.log.push({ marks: [begun.mark], sessionIds: begun.sessionIds })
    return begun
  }

  async end(sessionId: string): Promise<void> {
    await this.truth.endSessions([sessionId], this.time + 1e6)
    this.log.push({ marks: [], sessionIds: [sessionId] })
  }

  async answerAll(how: 'page' | 'failure' = 'page'): Promise<void> {
    for (const pull of this.pulls.splice(0)) {
      pull.answer(how)
      await pull.deliver()
    }
  }

  #page(cursor: string | undefined): LogPage {
    const from = cursor === undefined ? -1 : Number(cursor)
    const reset = from < this.trimmed
    const entries = reset ? this.log : this.log.slice(from)
    return {
      cursor: `${this.log.length}`,
      now: this.time,
      reset,
      marks: entries.flatMap((entry) => entry.marks),
      sessionIds: reset ? [] : entries.flatMap((entry) => entry.sessionIds),
      endedIds: [],
      moves: [],
    }
  }

  #hold<T>(held: Held[], ask: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      let reply: Promise<T> | undefined
      held.push({
        answer: (how) => {
          reply ??= how === 'page' ? ask() : Promise.reject(new Error('the store is gone'))
          reply.catch(() => {})
        },
        async deliver() {
          reply ??= ask()
          await reply.then(resolve, reject)
          await settled()
        },
      })
    })
  }
}

describe('a read of what is current', () => {
  it('tells of a sign-on that was bound elsewhere since, and so does read from then on', async () => {
    const world = new World()
    const reads = boundedReads(world.store, world.options())
    await world.answerAll()
    const bind = (issuedAt: number) =>
      world.truth.bind({ sessionId: 's', subKey: 'u', issuedAt, expiresAt: world.time + 1e6 })
    await bind(1)
    expect((await reads.read('s')).binding?.issuedAt).toBe(1)
    await bind(2)
    expect((await reads.read('s')).binding?.issuedAt).toBe(1)
    expect((await reads.read('s', { current: true })).binding?.issuedAt).toBe(2)
    const asked = world.strictReads
    expect((await reads.read('s')).binding?.issuedAt).toBe(2)
    expect(world.strictReads).toBe(asked)
    reads.close()
  })
})

describe('a pull whose reply was long on its way', () => {
  it('makes no login look as if it had been begun before a logout that came first', async () => {
    const world = new World()
    const provider = {
      issuer: 'https://op.example',
      clientId: 'rp',
      jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] },
    }
    const store = boundedReads(world.store, world.options())
    const options = { provider, clock: () => world.time, warnings: false }
    const [node, here] = [
      createBackchannelLogout({ ...options, store: world.truth }),
      createBackchannelLogout({ ...options, store }),
    ]
    try {
      const claims = { iss: provider.issuer, aud: 'rp', sub: 'alice', iat: 1_700_000_000 }
      for (const pull of world.pulls) pull.answer('page')
      world.time += 2
      await world.answerAll()
      // This reply says what o'clock it was two seconds ago.
      const other = await here.signOn({ ...claims, sub: 'bob' })
      if (other === undefined) throw new Error('nobody was logged out')
      expect(await here.isLive(other)).toBe(true)
      await node.terminate({ issuer: provider.issuer, clientId: 'rp', sub: 'alice' })
      world.time += 0.3
      const startedAt = world.time
      world.time += 0.3
      const signOn = await here.signOn(claims, { startedAt })
      expect(signOn && (await node.isLive(signOn))).toBe(true)
    } finally {
      for (const each of [store, node, here]) each.close()
    }
  })
})

describe('bounded reads', () => {
  it('answers from memory while fresh, and asks the store when not', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    await reads.read('a')
    expect(world.strictReads).toBe(1)
    for (let i = 0; i < 5; i++) expect((await reads.read('a')).binding?.subKey).toBe('sub of a')
    expect(world.strictReads).toBe(1)
    world.time += B
    await reads.read('a')
    expect(world.strictReads).toBe(1)
    world.time += 0.001
    await reads.read('a')
    expect(world.strictReads).toBe(2)
  })

  it('tells marks at once while fresh, and promises nothing', async () => {
    const { world, reads } = await started()
    expect(reads.marks(['sub of a'])).toMatchObject({ marks: [] })
    world.time += B + 0.001
    await reads.marks(['sub of a'])
    expect(world.strictMarks).toBe(1)
  })

  it('asks nothing about a bound session or a sign-on, and once at each read of a session that is not bound', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    await reads.read('a')
    const before = world.strictReads
    for (let i = 0; i < 5; i++) {
      await reads.read('a')
      await reads.marks(['sub of a', 'sub of b'])
    }
    expect([world.strictReads - before, world.strictMarks]).toEqual([0, 0])
    for (let i = 0; i < 5; i++) expect((await reads.read('a visitor')).binding).toBeUndefined()
    expect(world.strictReads - before).toBe(5)
  })

  it('is never ahead of the clock of the store, also after the wall clock was set forward', async () => {
    const { world, reads } = await started()
    await world.logout('sub of a', world.time + 4)
    await pull(world, reads)
    world.time += 1
    world.ahead = 3.5
    const { now, marks } = await reads.marks(['sub of a'])
    expect(marks).toHaveLength(1)
    expect(now).toBeLessThanOrEqual(world.time)
    expect(world.strictMarks).toBe(0)
  })

  it('lets a mark end when its time has come', async () => {
    const { world, reads } = await started()
    await world.logout('sub of a', world.time + 4)
    await pull(world, reads)
    world.time += 4
    expect((await reads.marks(['sub of a'])).marks).toEqual([])
    expect(world.strictMarks).toBe(0)
  })

  it('counts from the start of a pull, not from its end', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    await reads.read('a')
    const pulled = reads.refresh()
    world.pulls[0]?.answer('page')
    world.time += B + 1
    await world.pulls.splice(0)[0]?.deliver()
    await pulled
    await world.logout('sub of a')
    expect(isDead(await reads.read('a'))).toBe(true)
    expect(world.strictReads).toBe(2)
  })

  it('sees a logout of another node after a pull, without asking the store about it', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    await reads.read('a')
    await world.logout('sub of a')
    expect(isDead(await reads.read('a'))).toBe(false)
    await pull(world, reads)
    const asked = world.strictReads
    expect((await reads.marks(['sub of a'])).marks).toHaveLength(1)
    expect(world.strictReads).toBe(asked)
    expect(isDead(await reads.read('a'))).toBe(true)
  })

  it('sees the logouts of its own node at once', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    await reads.read('a')
    await reads.begin({
      target: { scope: 'sub', key: 'sub of a' },
      issuedAt: 1000,
      seenSecondsAgo: 0,
      marksExpireAt: world.time + 100,
      mayDestroy: false,
    })
    expect(isDead(await reads.read('a'))).toBe(true)
    expect((await reads.marks(['sub of a'])).marks).toHaveLength(1)
  })

  it('forgets a binding that was ended, moved or bound anew elsewhere', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    await reads.read('a')
    await world.end('a')
    await pull(world, reads)
    expect((await reads.read('a')).ended).toBe(true)
  })

  it('does not remember what it read before a pull that was applied meanwhile', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    world.holdReads = true
    const slow = reads.read('a')
    world.reads[0]?.answer('page')
    await world.end('a')
    await pull(world, reads)
    await world.reads[0]?.deliver()
    expect((await slow).ended).toBe(false)
    world.holdReads = false
    expect((await reads.read('a')).ended).toBe(true)
  })

  it('starts afresh from all live marks where its cursor was trimmed', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    await bound(world, 'b')
    await reads.read('a')
    await reads.read('b')
    await world.logout('sub of a')
    await world.end('b')
    world.trimmed = world.log.length
    await pull(world, reads)
    expect(isDead(await reads.read('a'))).toBe(true)
    expect(isDead(await reads.read('b'))).toBe(true)
  })

  it('goes strict after a suspension, which stops the monotonic clock', async () => {
    const { world, reads } = await started()
    await bound(world, 'a')
    await reads.read('a')
    await world.logout('sub of a')
    world.time += 3600
    world.suspended = 3600
    expect(isDead(await reads.read('a'))).toBe(true)
  })

  it('is strict, and fails closed, while the store cannot be pulled', async () => {
    const failures: unknown[] = []
    const world = new World()
    const reads = boundedReads(world.store, world.options({ onPullFailed: (error) => failures.push(error) }))
    await world.answerAll('failure')
    expect(failures).toHaveLength(1)
    await bound(world, 'a')
    world.holdReads = true
    const read = reads.read('a')
    world.reads[0]?.answer('failure')
    const refused = expect(read).rejects.toThrow('the store is gone')
    await world.reads[0]?.deliver()
    await refused
    reads.close()
  })

  it('reads all marks once, to the end, however long that takes, and then at once what came meanwhile', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const failures: unknown[] = []
      const world = new World()
      const reads = boundedReads(world.store, world.options({ onPullFailed: (error) => failures.push(error) }))
      world.time += 3 * B
      await vi.advanceTimersByTimeAsync(3 * B * 1000)
      expect([world.pulls.length, failures]).toEqual([1, []])
      await world.answerAll('page')
      await vi.advanceTimersByTimeAsync(1)
      expect(world.pulls.length).toBe(1)
      await world.answerAll('page')
      await reads.marks(['key'])
      expect(world.strictMarks).toBe(0)
      reads.close()
    } finally {
      vi.useRealTimers()
    }
  })

  it('counts a pull that is late whenever it comes, and begins few others meanwhile, each with twice the patience', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const failures: unknown[] = []
      const world = new World()
      const options = world.options({ pullEverySeconds: 1, onPullFailed: (error) => failures.push(error) })
      const cursors: unknown[] = []
      const pull = (cursor: string | undefined) => {
        cursors.push(cursor)
        return world.store.pull(cursor)
      }
      const reads = boundedReads({ ...world.store, pull }, options)
      for (let i = 0; i < 100; i++) await pass(world, 1)
      expect([world.pulls.length, failures.length]).toEqual([2, 1])
      const [late, second] = world.pulls.splice(0)
      late?.answer('page')
      await late?.deliver()
      // What was begun meanwhile may hang for ever: the next goes on from where the late one ended.
      for (let i = 0; i < 70; i++) await pass(world, 1)
      expect(cursors).toEqual([undefined, undefined])
      for (let i = 0; i < 30 && world.pulls.length === 0; i++) await pass(world, 1)
      expect(cursors).toEqual([undefined, undefined, '0'])
      await world.answerAll('page')
      await reads.marks(['key'])
      expect([world.strictMarks, failures.length]).toEqual([0, 2])
      // Overtaken, it takes nothing back.
      await world.logout('key')
      await pass(world, 1)
      await world.answerAll('page')
      await second?.deliver()
      expect((await reads.marks(['key'])).marks).toHaveLength(1)
      expect(world.strictMarks).toBe(0)
      reads.close()
    } finally {
      vi.useRealTimers()
    }
  })

  it('pulls at once when the doorbell rings, and then no more than ten times a second, however often it rings', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const { world, reads } = await started()
      world.time += 1
      await bound(world, 'a')
      await reads.read('a')
      reads.ring()
      expect(world.pulls.length).toBe(1)
      await world.answerAll()
      await world.logout('sub of a')
      for (let i = 0; i < 100; i++) reads.ring()
      await pass(world, 0.09)
      expect(world.pulls.length).toBe(0)
      await pass(world, 0.02)
      expect(world.pulls.length).toBe(1)
      await world.answerAll()
      // Whoever rang is in it, and nothing is left to be pulled for.
      expect(isDead(await reads.read('a'))).toBe(true)
      await pass(world, 10)
      expect(world.pulls.length).toBe(0)
      reads.close()
    } finally {
      vi.useRealTimers()
    }
  })

  it('pulls once for a doorbell that was to wait where a pull begins meanwhile, and never after it was closed', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const { world, reads } = await started()
      reads.ring()
      await pull(world, reads)
      await pass(world, 1)
      expect(world.pulls.length).toBe(0)
      await pull(world, reads)
      reads.ring()
      reads.close()
      await vi.advanceTimersByTimeAsync(1000)
      expect(world.pulls.length).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it('pulls after each logout of its own without waiting', async () => {
    const { world, reads } = await started()
    await reads.begin({
      target: { scope: 'sub', key: 'sub of a' },
      issuedAt: 1000,
      seenSecondsAgo: 0,
      marksExpireAt: world.time + 1e6,
      mayDestroy: false,
    })
    expect(world.pulls.length).toBe(1)
    reads.close()
  })

  it('keeps at most so many bindings, and asks again for the others', async () => {
    const { world, reads } = await started({ maxSessions: 2 })
    for (const id of ['a', 'b', 'c']) {
      await bound(world, id)
      await reads.read(id)
    }
    await reads.read('c')
    await reads.read('b')
    expect(world.strictReads).toBe(3)
    await reads.read('a')
    expect(world.strictReads).toBe(4)
  })

  it.each<{ what: string; options: BoundedReadsOptions; remedy: RegExp }>([
    {
      what: 'a bound that is none',
      options: { seconds: 0 },
      remedy: /^boundedReads: seconds must be .*the store itself/,
    },
    { what: 'a bound that no timer knows', options: { seconds: 1e7 }, remedy: /seconds must be .*2147483/ },
    { what: 'no number', options: { pullEverySeconds: Number.NaN }, remedy: /pullEverySeconds must be .*leave it out/ },
    { what: 'pulls without a pause', options: { pullEverySeconds: 0 }, remedy: /pullEverySeconds must be/ },
    { what: 'pulls into the past', options: { pullEverySeconds: -1 }, remedy: /pullEverySeconds must be/ },
    {
      what: 'a pause so long that a timer takes it for none',
      options: { pullEverySeconds: Number.POSITIVE_INFINITY },
      remedy: /pullEverySeconds must be .*2147483/,
    },
    { what: 'room for nothing', options: { maxSessions: 0 }, remedy: /maxSessions must be/ },
    { what: 'room for any number', options: { maxSessions: Number.NaN }, remedy: /maxSessions must be/ },
  ])('refuses $what', async ({ options, remedy }) => {
    const world = new World()
    const make = () => boundedReads(world.store, options)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(remedy)
    expect(world.pulls).toEqual([])
  })

  it('never lets an ended session in later than B after its end was acknowledged, whatever pulls and reads do', async () => {
    let worst = 0
    let stale = 0
    const steps = fc.array(
      fc.oneof(
        fc.record({
          do: fc.constantFrom('end' as const, 'logout' as const, 'read' as const, 'readSlowly' as const),
          id: fc.nat(3),
        }),
        fc.record({ do: fc.constantFrom('read' as const), id: fc.nat(3) }),
        fc.record({ do: fc.constant('wait' as const), id: fc.nat(24) }),
        fc.record({
          do: fc.constantFrom(
            'pull' as const,
            'ring' as const,
            'answer' as const,
            'fail' as const,
            'deliver' as const,
            'deliverRead' as const,
          ),
          id: fc.nat(2),
        }),
        fc.record({ do: fc.constantFrom('trim' as const, 'rebind' as const), id: fc.nat(3) }),
      ),
      { minLength: 20, maxLength: 120 },
    )
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const { world, reads } = await started()
        const ended = new Map<string, number>()
        const ids = ['a', 'b', 'c', 'd']
        const late: Promise<unknown>[] = []
        for (const id of ids) await bound(world, id)
        const judge = (id: string, state: SessionState, askedAt: number) => {
          const endedAt = ended.get(id)
          if (endedAt === undefined || isDead(state) || endedAt > askedAt) return
          stale++
          worst = Math.max(worst, askedAt - endedAt)
          expect(askedAt - endedAt).toBeLessThanOrEqual(B)
        }
        for (const step of script) {
          const id = ids[step.id] ?? 'a'
          switch (step.do) {
            case 'end':
              await world.end(id)
              if (!ended.has(id)) ended.set(id, world.time)
              break
            case 'logout':
              await world.logout(`sub of ${id}`)
              if (!ended.has(id)) ended.set(id, world.time)
              break
            case 'read':
              world.holdReads = false
              judge(id, await reads.read(id), world.time)
              break
            case 'readSlowly': {
              world.holdReads = true
              const askedAt = world.time
              late.push(reads.read(id).then((state) => judge(id, state, askedAt)))
              world.holdReads = false
              world.reads.at(-1)?.answer('page')
              break
            }
            case 'wait':
              world.time += step.id / 8
              break
            case 'pull':
              reads.refresh().catch(() => {})
              break
            case 'ring':
              reads.ring()
              break
            case 'answer':
              world.pulls[0]?.answer('page')
              break
            case 'fail':
              world.pulls[0]?.answer('failure')
              break
            case 'deliver':
              await world.pulls.shift()?.deliver()
              break
            case 'deliverRead':
              await world.reads.shift()?.deliver()
              break
            case 'trim':
              world.trimmed = world.log.length
              break
            case 'rebind':
              await world.truth.renew(id, world.time + 1e6)
              break
          }
          await settled()
        }
        for (const read of world.reads.splice(0)) await read.deliver()
        await Promise.all(late)
        reads.close()
      }),
      { numRuns: RUNS },
    )
    process.stdout.write(`bounded reads: worst staleness ${worst} s of B = ${B} s, ${stale} stale answers\n`)
    expect(stale).toBeGreaterThan(0)
  })
})

async function started(options: BoundedReadsOptions = {}): Promise<{ world: World; reads: BoundedReads }> {
  const world = new World()
  const reads = boundedReads(world.store, world.options(options))
  await world.answerAll()
  return { world, reads }
}

/** Time passes, for the store and for timers. */
async function pass(world: World, seconds: number): Promise<void> {
  world.time += seconds
  await vi.advanceTimersByTimeAsync(seconds * 1000)
}

async function pull(world: World, reads: BoundedReads): Promise<void> {
  const pulled = reads.refresh()
  await world.answerAll()
  await pulled
}

async function bound(world: World, id: string): Promise<void> {
  await world.truth.bind({ sessionId: id, subKey: `sub of ${id}`, issuedAt: 900, expiresAt: world.time + 1e6 })
}

function isDead({ ended, binding, marks }: SessionState): boolean {
  return ended || binding === undefined || marks.some((mark) => covers(mark, binding))
}

/** Lets what was resolved be acted upon. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve))
}

function delegate(store: ReturnType<typeof memoryStore>) {
  return {
    bind: store.bind.bind(store),
    rebind: store.rebind.bind(store),
    renew: store.renew.bind(store),
    list: store.list.bind(store),
    addTokens: store.addTokens.bind(store),
    isBound: store.isBound.bind(store),
    endSessions: store.endSessions.bind(store),
    unbind: store.unbind.bind(store),
    begin: store.begin.bind(store),
    complete: store.complete.bind(store),
  }
}

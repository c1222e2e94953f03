// Every order in which one logout and three requests can overlap, run against the real cache by a hand scheduler.
import { describe, expect, it } from 'vitest'
import { createClaims } from '../../src/access-tokens/index.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { active, ended, handClock, INACTIVE, ISSUER, NOW } from './hand-run.js'

/** Three steps for each request (it starts, the server decides, the answer arrives), two for the logout. */
const REQUEST_STEPS = 3
const REQUESTS = [0, 1, 2] as const
const LOGOUT = REQUESTS.length
const LOGOUT_STEPS = 2
const SCHEDULES = 92_400
/** Ways in which three requests can change names. Nobody can tell which of them is which. */
const NAMINGS = 6

/** What one way of caching lets through. */
interface Cache {
  lookup(token: string): Promise<boolean>
  /** The last step of the logout. When it is over, the logout is acknowledged. */
  logout(): void | Promise<void>
}

/** A server whose questions are decided and delivered one by one; `stop` is the first step of the logout. */
interface Server {
  ask(token: string): Promise<boolean>
}

type MakeCache = (server: Server) => Cache

interface Question {
  decided?: boolean
  delivered: boolean
  deliver(active: boolean): void
}

interface Outcome {
  readonly schedules: number
  /** Schedules in which a request that began after the logout was let in. */
  readonly violated: number
  /** Requests that were over before the logout began, and refused: what a cache that refuses everything would show. */
  readonly wronglyRefused: number
  readonly asked: number
}

/** All orders of so many steps, the same array each time. */
function* orders(left: number[], order: number[] = [], length = sum(left)): Generator<readonly number[]> {
  if (order.length === length) {
    yield order
    return
  }
  for (const [who, steps] of left.entries()) {
    if (steps === 0) continue
    left[who] = steps - 1
    order.push(who)
    yield* orders(left, order, length)
    order.pop()
    left[who] = steps
  }
}

/**
 * Of the orders that differ in the names of the requests alone, the one in which each request starts after those before
 * it.
 */
function* ordersUpToNames(): Generator<readonly number[]> {
  for (const order of orders([...REQUESTS.map(() => REQUEST_STEPS), LOGOUT_STEPS])) {
    if (REQUESTS.every((who) => who === 0 || order.indexOf(who - 1) < order.indexOf(who))) yield order
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

/** More than any chain of promises in the cache has links; no timer and no I/O is ever waited for. */
const LINKS = 24

async function drain(): Promise<void> {
  for (let i = 0; i < LINKS; i++) await null
}

async function run(order: readonly number[], makeCache: MakeCache, revoking: boolean) {
  let revoked = false
  let logoutSteps = 0
  let asking: number | undefined
  const questions: Question[][] = REQUESTS.map(() => [])
  const server: Server = {
    ask: () =>
      new Promise((resolve) => {
        const question: Question = { delivered: false, deliver: resolve }
        questions[asking ?? 0]?.push(question)
      }),
  }
  const cache = makeCache(server)
  const taken = REQUESTS.map(() => 0)
  const afterLogout = REQUESTS.map(() => false)
  const beforeLogout = REQUESTS.map(() => false)
  const allowed: (boolean | undefined)[] = REQUESTS.map(() => undefined)
  const decide = (question: Question | undefined) => {
    if (question !== undefined) question.decided ??= !revoked
  }
  const deliver = (question: Question | undefined) => {
    if (question === undefined || question.delivered) return
    decide(question)
    question.delivered = true
    question.deliver(question.decided === true)
  }

  for (const who of order) {
    if (who === LOGOUT) {
      logoutSteps += 1
      if (logoutSteps === 1) {
        revoked = revoking
        for (const each of REQUESTS) beforeLogout[each] = allowed[each] !== undefined
      } else {
        await cache.logout()
      }
      continue
    }
    const step = taken[who] ?? 0
    taken[who] = step + 1
    asking = who
    if (step === 0) {
      afterLogout[who] = logoutSteps === LOGOUT_STEPS
      cache.lookup('token').then((outcome) => {
        allowed[who] = outcome
      })
    } else if (step === 1) {
      decide(questions[who]?.at(-1))
    } else {
      deliver(questions[who]?.at(-1))
    }
    await drain()
  }
  // A request that asked a second time has used its steps: what is open is decided and delivered now.
  for (let open = openOf(questions); open.length > 0; open = openOf(questions)) {
    for (const question of open) deliver(question)
    await drain()
  }
  return { afterLogout, beforeLogout, allowed, asked: questions.flat().length, cache }
}

function openOf(questions: readonly (readonly Question[])[]): readonly Question[] {
  return questions.flat().filter((question) => !question.delivered)
}

async function runAll(makeCache: MakeCache, revoking: boolean): Promise<Outcome> {
  let schedules = 0
  let violated = 0
  let wronglyRefused = 0
  let asked = 0
  for (const order of ordersUpToNames()) {
    const outcome = await run(order, makeCache, revoking)
    if (outcome.allowed.includes(undefined)) throw new Error(`a request was never answered in ${order.join('')}`)
    schedules += NAMINGS
    asked += outcome.asked * NAMINGS
    if (REQUESTS.some((who) => outcome.afterLogout[who] && outcome.allowed[who])) violated += NAMINGS
    wronglyRefused += REQUESTS.filter((who) => outcome.beforeLogout[who] && !outcome.allowed[who]).length * NAMINGS
  }
  return { schedules, violated, wronglyRefused, asked }
}

/** The real thing, with a store for the truth or without. */
function realCache(
  logoutOf: (parts: { claims: ReturnType<typeof createClaims>; store: LogoutStore }) => void | Promise<void>,
  shared: boolean,
): MakeCache {
  return (server) => {
    const clock = handClock()
    const store = memoryStore({ clock })
    const introspect = async (token: string) => ((await server.ask(token)) ? active() : INACTIVE)
    const introspection = { issuer: ISSUER, introspect }
    const claims = createClaims({
      introspection,
      clock,
      negativeLifetimeSeconds: 0,
      maxEntries: 4,
      maxNegativeEntries: 4,
      ...(shared && { store }),
    })
    return {
      lookup: async (token) => (await claims.lookup(token)).active,
      logout: () => logoutOf({ claims, store }),
    }
  }
}

/** What everybody writes: get, else ask and set; a logout deletes. */
function evictOnly(singleFlight: boolean): MakeCache {
  return (server) => {
    let cached = false
    let flight: Promise<boolean> | undefined
    const load = async (token: string) => {
      const answer = await server.ask(token)
      if (answer) cached = true
      flight = undefined
      return answer
    }
    return {
      lookup: async (token) => {
        if (cached) return true
        if (!singleFlight) return load(token)
        flight ??= load(token)
        return flight
      },
      logout: () => {
        cached = false
      },
    }
  }
}

const bySid = ended({ sid: 's1', sub: 'alice' }, NOW)
const bySub = ended({ sub: 'alice' }, NOW)

/** The mark alone, as another node writes it; nobody tells this cache. */
function markInStore({ store }: { store: LogoutStore }) {
  const order = { issuedAt: NOW, seenSecondsAgo: 0, marksExpireAt: NOW + 86_400, mayDestroy: true }
  return store.begin({ target: bySid.target, ...order }).then(() => {})
}

describe('92,400 interleavings of a logout and three requests', { timeout: 300_000 }, () => {
  it('are the orders of 3 + 3 + 3 + 2 steps; those up to names stand for all of them, six each', () => {
    const all = new Set<string>()
    for (const order of orders([3, 3, 3, 2])) all.add(order.join(''))
    expect(all.size).toBe(SCHEDULES)
    const namings = [
      [0, 1, 2],
      [0, 2, 1],
      [1, 0, 2],
      [1, 2, 0],
      [2, 0, 1],
      [2, 1, 0],
    ]
    const stoodFor = new Set<string>()
    for (const order of ordersUpToNames()) {
      for (const names of namings) stoodFor.add(order.map((who) => names[who] ?? who).join(''))
    }
    expect(namings).toHaveLength(NAMINGS)
    expect(stoodFor).toEqual(all)
  })

  it('break a cache that only evicts in 888 of them, and with single-flight in 2,460', async () => {
    expect(await runAll(evictOnly(false), true)).toMatchObject({ schedules: SCHEDULES, violated: 888 })
    expect(await runAll(evictOnly(true), true)).toMatchObject({ schedules: SCHEDULES, violated: 2460 })
  })

  it('break a cache that only evicts nearly always if the server does not revoke the token', async () => {
    const { violated } = await runAll(evictOnly(false), false)
    expect(violated).toBeGreaterThan(10_000)
  })

  const bothServers = [true, false]
  // With a server that revokes, the mark is never the only reason to refuse: the narrow targets are run against the
  // harder one.
  for (const [how, cache, servers] of [
    ['evict tells it by sid', realCache(({ claims }) => void claims.evict(bySid), false), bothServers],
    ['only the shared store knows', realCache(markInStore, true), bothServers],
    ['evict tells it by sub', realCache(({ claims }) => void claims.evict(bySub), false), [false]],
    ['the token itself is evicted', realCache(({ claims }) => claims.evictToken('token'), false), [false]],
  ] as const) {
    for (const revoking of servers) {
      it(`never break the real cache where ${how} and the server ${revoking ? 'revokes' : 'does not revoke'}`, async () => {
        const outcome = await runAll(cache, revoking)
        expect(outcome).toMatchObject({ schedules: SCHEDULES, violated: 0, wronglyRefused: 0 })
        // It is a cache: fewer questions than requests.
        expect(outcome.asked).toBeLessThan(SCHEDULES * REQUESTS.length)
      })
    }
  }

  it('never break the real cache for a token whose answer names no sid, where a logout by sid names the sub and the server revokes', async () => {
    // No mark can tell that this token belongs to the session: only asking again can.
    const makeCache: MakeCache = (server) => {
      const introspect = async (token: string) => ((await server.ask(token)) ? active({ sid: undefined }) : INACTIVE)
      const claims = createClaims({
        introspection: { issuer: ISSUER, introspect },
        clock: handClock(),
        maxEntries: 4,
        maxNegativeEntries: 4,
      })
      return {
        lookup: async (token) => (await claims.lookup(token)).active,
        logout: () => claims.evict(ended({ sid: 's1', sub: 'alice' }, NOW)),
      }
    }
    expect(await runAll(makeCache, true)).toMatchObject({ schedules: SCHEDULES, violated: 0, wronglyRefused: 0 })
  })
})

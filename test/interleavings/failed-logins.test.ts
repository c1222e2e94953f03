// Two receivers over one row store: a login that fails at one, its undoing in the background, and another login under
// the same session id at the other, in every order.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { type Enumeration, everyInterleaving, type Scheduler } from './scheduler.js'
import { BOB, LAPTOP, LOGOUT_IAT } from './stage.js'
import { type Node, type Request, type SignOnOfUser, userOf, World } from './world.js'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

interface Setting {
  /** Of the login that fails: refused, or written, and only the answer is lost. */
  readonly bind: 'refused' | 'lost'
  /** How often the row store refuses to delete. */
  readonly undeleted: number
  /** The mark that undoes it: the same, once. */
  readonly mark: 'refused' | 'lost' | undefined
  /** Each receiver has a logout store of its own. */
  readonly apart: boolean
  /** The other login is begun once the first has failed. */
  readonly later?: boolean
  /** Answers of the logout stores arrive in another order than their work was done. */
  readonly lateAnswers?: boolean
  /** The two receivers know nothing of each other. */
  readonly strangers?: boolean
}

/** What became of the other login, by what its application was told. */
type Told = 'lives' | 'lives, before the first one failed' | 'refused' | 'ended'

async function enumerate(setting: Setting): Promise<Enumeration & { readonly told: ReadonlySet<Told> }> {
  const told = new Set<Told>()
  const enumeration = await everyInterleaving(async (scheduler) => {
    const scene = setUp(setting, scheduler)
    try {
      const [outcome, findings] = await bothLogIn(scene, setting, scheduler)
      told.add(outcome)
      return findings
    } finally {
      scene.world.close()
      vi.clearAllTimers()
    }
  })
  return { ...enumeration, told }
}

interface Scene {
  readonly world: World
  readonly first: Node
  readonly second: Node
}

function setUp(
  { bind, mark, undeleted, apart, lateAnswers = false, strangers = false }: Setting,
  scheduler: Scheduler,
): Scene {
  let toRefuse = undeleted
  const world = new World({
    retryForSeconds: 3600,
    lateAnswers,
    step: async (name, node) => {
      await scheduler.step(name, node)
      if (name.startsWith('destroy row') && toRefuse-- > 0) throw new Error('not deleted')
    },
  })
  const clock = () => world.now
  const shared = memoryStore({ clock })
  const failing = failingOnce(failingOnce(shared, 'bind', bind), 'endSessions', mark)
  const first = world.addNode({ logoutStore: failing, knowsAlone: strangers })
  const logoutStore = apart ? memoryStore({ clock }) : shared
  return { world, first, second: world.addNode({ beside: first, logoutStore, knowsAlone: strangers }) }
}

async function bothLogIn(
  { world, first, second }: Scene,
  { later = false }: Setting,
  scheduler: Scheduler,
): Promise<[Told, readonly string[]]> {
  const request = await world.visit(first)
  const { sessionID } = request
  const other: Request = { node: second, sessionID, session: { cookie: { originalMaxAge: null } } }
  request.session.signOn = userOf(LAPTOP)
  await world.write(request)
  const outcome: { told: Told } = { told: 'refused' }
  const fail = async () => {
    await expect(logIn(world, request, LAPTOP)).rejects.toMatchObject({ code: 'ERR_STORE' })
    // Whose row it is now nobody knows: it may have been written by the one that failed.
    if (outcome.told === 'lives') outcome.told = 'lives, before the first one failed'
  }
  const succeed = async () => {
    try {
      outcome.told = (await logIn(world, other, BOB)) ? 'ended' : 'lives'
    } catch {
      return
    }
    await world.write(other)
  }
  const timePasses = async () => {
    await scheduler.step('time passes')
    vi.advanceTimersByTime(600)
  }
  if (later) await fail()
  await scheduler.together(...(later ? [] : [fail]), succeed, timePasses)
  const { told } = outcome
  for (let i = 0; i < 5; i++) {
    await vi.advanceTimersByTimeAsync(1000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  const isThere = world.rows.has(sessionID)
  const who = await world.whoIs(second, sessionID)
  const findings: string[] = []
  if (who === userOf(LAPTOP)) findings.push('a login that failed stays')
  if (told === 'lives' && who !== userOf(BOB)) findings.push('a login that lives was ended')
  if (told !== 'lives' && who !== undefined) findings.push('somebody is signed in')
  if (told !== 'lives' && isThere) findings.push('a row stays')
  if (told === 'lives') {
    await world.logOut(second, { sid: userOf(BOB) }, LOGOUT_IAT).catch(() => {})
    if ((await world.whoIs(second, sessionID)) !== undefined) findings.push('a logout does not find a login that lives')
  }
  return [told, findings]
}

/** As `bind` of a receiver does. */
async function logIn(world: World, request: Request, signOn: SignOnOfUser): Promise<boolean> {
  try {
    return await world.bind(request, signOn)
  } catch (error) {
    request.node.signOns.undoLogin(request.sessionID)
    throw error
  }
}

function failingOnce(store: LogoutStore, method: keyof LogoutStore, how: 'refused' | 'lost' | undefined): LogoutStore {
  let isDue = how !== undefined
  return new Proxy(store, {
    get: (inner, name) => {
      const value: unknown = Reflect.get(inner, name)
      if (typeof value !== 'function') return value
      return async (...given: unknown[]) => {
        const fails = isDue && name === method
        if (fails) isDue = false
        if (fails && how === 'refused') throw new Error('refused')
        const answer: unknown = await Reflect.apply(value, inner, given)
        if (fails) throw new Error('answer lost')
        return answer
      }
    },
  })
}

const FAILURES = (['refused', 'lost'] as const).flatMap((bind) =>
  ([undefined, 'refused', 'lost'] as const).map((mark) => ({ bind, mark })),
)

/** By how often the row is not deleted: in how many orders, with stores that are shared and with stores apart. */
const AT_ONCE = { 0: [75, 75], 1: [234, 222], 2: [516, 499] } as const
const LATER = { 0: [5, 5], 1: [23, 14], 2: [35, 21] } as const

describe('who is told that a login lives is not logged out by one that failed, and that one does not stay', () => {
  for (const apart of [false, true]) {
    for (const undeleted of [0, 1, 2] as const) {
      const orders = [AT_ONCE, LATER].map((of) => of[undeleted][apart ? 1 : 0])
      const stores = apart ? 'stores apart' : 'one logout store'
      it(`${stores}, a row that is not deleted ${undeleted} times: at most ${orders.join(' and ')} interleavings`, async () => {
        for (const later of [false, true]) {
          let most = 0
          for (const failure of FAILURES) {
            const { findings, interleavings, told } = await enumerate({ ...failure, undeleted, apart, later })
            expect(findings).toEqual(new Map())
            expect(told).toContain(later ? 'lives' : 'refused')
            most = Math.max(most, interleavings)
          }
          expect(most).toBe(orders[later ? 1 : 0])
        }
      })
    }
  }
})

describe('nor where the answers of the logout stores are late', () => {
  for (const [undeleted, apart, orders] of [
    [0, false, 186],
    [0, true, 186],
    [1, false, 1_081],
  ] as const) {
    const stores = apart ? 'stores apart' : 'one logout store'
    it(`${stores}, a row that is not deleted ${undeleted} times: ${orders} interleavings`, async () => {
      const failure = { bind: 'lost', mark: undefined } as const
      const { findings, interleavings } = await enumerate({ ...failure, undeleted, apart, lateAnswers: true })
      expect(findings).toEqual(new Map())
      expect(interleavings).toBe(orders)
    })
  }
})

describe('the same enumeration finds who is ended where the receivers know nothing of each other', () => {
  for (const apart of [false, true]) {
    it(apart ? 'stores apart' : 'one logout store', async () => {
      const strangers = { bind: 'refused', mark: undefined, undeleted: 1, apart, strangers: true } as const
      for (const later of [false, true]) {
        const { findings } = await enumerate({ ...strangers, later })
        expect([...findings.keys()]).toContain('a login that lives was ended')
      }
    })
  }
})

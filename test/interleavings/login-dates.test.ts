// All interleavings of a login and the logouts whose dates decide which of the two came first: a login that says when
// it was begun, an order that no token dates, OP machines whose clocks disagree. With the rules as they once were, the
// same enumeration finds whom they left signed in and whom they ended.
import { describe, expect, it } from 'vitest'
import type { Mark } from '../../src/marks/covering.js'
import { delegate } from '../testing/logout-store/broken-stores.js'
import { BEGIN_LOGIN } from './independent-steps.js'
import {
  BY_SID,
  BY_SUB,
  enumerate,
  LAPTOP,
  LOGOUT_IAT,
  type Scenario,
  type Setting,
  type Stage,
  type Target,
} from './stage.js'
import type { SignOnOfUser } from './world.js'

/** A login in a new browser, which dies or lives by the order in which its steps and those of the logouts came. */
interface Story {
  readonly login: (stage: Stage) => SignOnOfUser | Promise<SignOnOfUser>
  readonly logouts: readonly ((stage: Stage) => Promise<unknown>)[]
  readonly dies: (stage: Stage) => boolean
}

const told =
  ({ login, logouts, dies }: Story): Scenario =>
  async (stage) => {
    const { world, web } = stage
    const request = await world.visit(web)
    await stage.together(
      async () => world.logIn(request, await login(stage)),
      ...logouts.map((logout) => () => logout(stage)),
    )
    return dies(stage) ? stage.verdict([LAPTOP], []) : stage.verdict([], [[LAPTOP, request.sessionID]])
  }

/** Of the session that the Logout Token names, and issued after it: it may have been under way. */
const AGAIN: SignOnOfUser = { ...LAPTOP, iat: LOGOUT_IAT + 30 }
/** Before anything on the stage. */
const LONG_AGO = 1_050

const begunBefore = (target: Target) =>
  told({
    login: () => ({ ...AGAIN, iat: target === BY_SID ? AGAIN.iat : LOGOUT_IAT, startedAt: LONG_AGO }),
    logouts: [(stage) => stage.logOut(target)],
    dies: () => true,
  })

const begunAtAnyTime = (target: Target, mark = 'begin') =>
  told({
    login: async (stage) => ({
      ...AGAIN,
      iat: target === BY_SID ? AGAIN.iat : LOGOUT_IAT,
      startedAt: await stage.beginLogin(),
    }),
    logouts: [(stage) => stage.logOut(target)],
    dies: (stage) => stage.isBefore(BEGIN_LOGIN, mark),
  })

/** Whatever the OP wrote into the ID Token: only the store's clock is asked. */
const terminateAnd = (iat: number) =>
  told({
    login: () => ({ ...LAPTOP, iat }),
    logouts: [(stage) => stage.terminate(BY_SUB)],
    dies: (stage) => stage.isBefore('bind', 'begin'),
  })

/** One machine of the OP is three seconds ahead of another; both end the user, who signs in at about that time. */
const machinesOfOneOp = told({
  login: () => ({ ...LAPTOP, iat: LOGOUT_IAT + 3 }),
  logouts: [
    (stage) => stage.logOut(BY_SUB, undefined, LOGOUT_IAT + 2),
    (stage) => stage.logOut(BY_SUB, undefined, LOGOUT_IAT - 1),
  ],
  dies: (stage) => stage.isBefore('bind', 'begin'),
})

const SAFE: readonly (readonly [string, Scenario, Setting, number])[] = [
  ['login begun before, logout by sid', begunBefore(BY_SID), {}, 9],
  ['login begun before, logout by sub', begunBefore(BY_SUB), {}, 9],
  ['login begun before, logout by sid on one node', begunBefore(BY_SID), { nodes: 1 }, 37],
  ['login begun at any time, logout by sid', begunAtAnyTime(BY_SID), {}, 10],
  ['login begun at any time, logout by sub', begunAtAnyTime(BY_SUB), {}, 10],
  ['login begun at any time, logout by sid on one node', begunAtAnyTime(BY_SID), { nodes: 1 }, 38],
  [
    'login begun at any time, logout by sid in a store without atomicity',
    begunAtAnyTime(BY_SID, 'write mark'),
    { logoutStore: 'stepwise' },
    60,
  ],
  ['login, terminate', terminateAnd(1_100), {}, 8],
  ['login, terminate by a clock that is behind the OP’s', terminateAnd(1_150), {}, 8],
  ['login, terminate by a clock that is ahead of the OP’s', terminateAnd(900), {}, 8],
  ['login, terminate on one node', terminateAnd(900), { nodes: 1 }, 36],
  ['login, logouts of a fast and of a slow OP machine', machinesOfOneOp, {}, 346],
]

describe('the dates of a login and of a logout are weighed in every interleaving', () => {
  for (const [name, scenario, setting, different] of SAFE) {
    it(`${name}: ${different} interleavings that differ`, async () => {
      const seen = await enumerate(scenario, setting)
      expect(seen.findings).toEqual(new Map())
      expect(seen.interleavings).toBe(different)
    })
  }
})

type Broken = NonNullable<Setting['broken']>

/** When a login was begun is forgotten. */
const startedAtForgotten: Broken = (store) =>
  delegate(store, { bind: ({ startedAt: _, ...login }) => store.bind(login) })

/** Where no token dates a logout, the Relying Party's clock does. */
const datedByUs: Broken = (store, clock) =>
  delegate(store, { begin: (logout) => store.begin({ ...logout, issuedAt: logout.issuedAt ?? clock() }) })

/** Of two marks of one target the one with the greater `iat` stays, and judges for both. */
const merged: Broken = (store, clock) => {
  let greatest: Mark | undefined
  return delegate(store, {
    async begin(logout) {
      const isGreatest = (greatest?.issuedAt ?? 0) <= (logout.issuedAt ?? 0)
      const dates = isGreatest ? {} : { issuedAt: greatest?.issuedAt, seenSecondsAgo: clock() + 1 - seenAt(greatest) }
      const begun = await store.begin({ ...logout, ...dates })
      if (isGreatest && !begun.replayed) greatest = begun.mark
      return begun
    },
  })
}
const seenAt = (mark: Mark | undefined) => mark?.seenAt ?? 0

const ROW = 'a row of laptop survives'
const COOKIE = 'a cookie of laptop survives'
const ENDED = 'laptop is wrongly ended'

const UNSAFE: readonly (readonly [string, Scenario, Broken, Readonly<Record<string, number>>, number])[] = [
  [
    'login begun at any time, logout if its begin is forgotten',
    begunAtAnyTime(BY_SID),
    startedAtForgotten,
    { [ENDED]: 1 },
    22,
  ],
  [
    'login, terminate by a clock that is behind, if it dates the mark',
    terminateAnd(1_150),
    datedByUs,
    { [ROW]: 3, [COOKIE]: 3 },
    6,
  ],
  ['login, terminate by a clock that is ahead, if it dates the mark', terminateAnd(900), datedByUs, { [ENDED]: 3 }, 20],
  [
    'login, logouts of a fast and of a slow OP machine if marks are merged',
    machinesOfOneOp,
    merged,
    { [ROW]: 9, [COOKIE]: 9 },
    898,
  ],
]

describe('the same enumeration finds what the rules were that stand no more', () => {
  for (const [name, scenario, broken, expected, interleavings] of UNSAFE) {
    it(`${name}: in ${Math.max(...Object.values(expected))} of ${interleavings} interleavings`, async () => {
      const seen = await enumerate(scenario, { broken }, 'tried')
      const found = Object.fromEntries([...seen.findings].map(([finding, { times }]) => [finding, times]))
      expect(found).toEqual(expected)
      expect(seen.interleavings).toBe(interleavings)
    })
  }
})

// All interleavings of what can happen to one browser at once, on two nodes and on one: nobody survives, nobody is
// wrongly ended; and where a protection is taken away, the same enumeration finds who survives.
import { describe, expect, it } from 'vitest'
import {
  BOB,
  BY_SID,
  BY_SUB,
  enumerate,
  LAPTOP,
  LATER,
  PHONE,
  type Scenario,
  type Setting,
  type Target,
} from './stage.js'

const loginAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const request = await world.visit(web)
  await stage.together(
    () => world.logIn(request, LAPTOP),
    () => stage.logOut(BY_SID),
  )
  return stage.verdict([LAPTOP], [])
}

const bindAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const request = await world.visit(web)
  await stage.together(
    () => world.bind(request, LAPTOP),
    () => stage.logOut(BY_SUB),
  )
  await world.write(request)
  return stage.verdict([LAPTOP], [])
}

const saveBindAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const request = await world.visit(web)
  request.session.signOn = LAPTOP.sid
  await world.write(request)
  await stage.together(
    () => world.bind(request, LAPTOP),
    () => stage.logOut(BY_SID),
  )
  return stage.verdict([LAPTOP], [])
}

/** A session that is there already gets its login while another request of the same browser reads it. */
const loginAndRead: Scenario = async (stage) => {
  const { world, web, nodes } = stage
  const one = await world.visit(web)
  await world.write(one)
  await stage.together(
    async () => {
      await world.bind(one, LAPTOP)
      await world.write(one)
    },
    () => world.visit(nodes.at(-1) ?? web, one.sessionID),
  )
  const alive = await stage.verdict([], [[LAPTOP, one.sessionID]])
  await stage.logOut(BY_SID)
  return [...alive, ...(await stage.verdict([LAPTOP], []))]
}

const requestAndLogout =
  (target: Target): Scenario =>
  async (stage) => {
    const { world, web } = stage
    const laptop = await world.signIn(web, LAPTOP)
    const phone = await world.signIn(web, PHONE)
    const bob = await world.signIn(web, BOB)
    await stage.together(
      async () => world.write(await world.visit(web, laptop)),
      () => stage.logOut(target),
    )
    if (target === BY_SUB) return stage.verdict([LAPTOP, PHONE], [[BOB, bob]])
    return stage.verdict([LAPTOP], [[PHONE, phone], [BOB, bob]]) // biome-ignore format: one line
  }

const twoWritesAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const [one, two] = [await world.visit(web, laptop), await world.visit(web, laptop)]
  await stage.together(
    () => world.write(one),
    () => world.write(two),
    () => stage.logOut(BY_SID),
  )
  return stage.verdict([LAPTOP], [])
}

const twoSessionsAndLogout =
  (target: Target): Scenario =>
  async (stage) => {
    const { world, web } = stage
    const laptop = await world.visit(web, await world.signIn(web, LAPTOP))
    const cookie = await world.signIn(web, PHONE)
    const phone = await world.visit(web, cookie)
    await stage.together(
      () => world.write(laptop),
      () => world.write(phone),
      () => stage.logOut(target),
    )
    return target === BY_SUB ? stage.verdict([LAPTOP, PHONE], []) : stage.verdict([LAPTOP], [[PHONE, cookie]])
  }

const regenerateAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const request = await world.visit(web, await world.signIn(web, LAPTOP))
  await stage.together(
    () => world.regenerate(request),
    () => stage.logOut(BY_SID),
  )
  return stage.verdict([LAPTOP], [])
}

const changeOfIdAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const request = await world.visit(web, await world.signIn(web, LAPTOP))
  await stage.together(
    () => world.changeId(request),
    () => stage.logOut(BY_SID),
  )
  await world.write(request)
  return stage.verdict([LAPTOP], [])
}

const regenerateWriteAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const [one, two] = [await world.visit(web, laptop), await world.visit(web, laptop)]
  await stage.together(
    () => world.regenerate(one),
    () => world.write(two),
    () => stage.logOut(BY_SUB),
  )
  return stage.verdict([LAPTOP], [])
}

const regenerateAndWrite: Scenario = async (stage) => {
  const { world, web } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const [one, two] = [await world.visit(web, laptop), await world.visit(web, laptop)]
  await stage.together(
    () => world.regenerate(one),
    () => world.write(two),
  )
  const alive = await stage.verdict([], [[LAPTOP, one.sessionID]])
  await stage.logOut(BY_SID)
  return [...alive, ...(await stage.verdict([LAPTOP], []))]
}

const twoRegeneratesThenLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const [one, two] = [await world.visit(web, laptop), await world.visit(web, laptop)]
  await stage.together(
    () => world.regenerate(one),
    () => world.regenerate(two),
  )
  // biome-ignore format: one line
  const alive = await stage.verdict([], [[LAPTOP, one.sessionID], [LAPTOP, two.sessionID]])
  await stage.logOut(BY_SID)
  return [...alive, ...(await stage.verdict([LAPTOP], []))]
}

const secondLoginAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const request = await world.visit(web, await world.signIn(web, LAPTOP))
  await stage.together(
    () => world.logIn(request, LATER),
    () => stage.logOut(BY_SUB),
  )
  return stage.verdict([LAPTOP], [[LATER, request.sessionID]])
}

const secondLoginWriteAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const [one, two] = [await world.visit(web, laptop), await world.visit(web, laptop)]
  await stage.together(
    () => world.logIn(one, LATER),
    () => world.write(two),
    () => stage.logOut(BY_SID),
  )
  return stage.verdict([LAPTOP], [[LATER, one.sessionID]])
}

const sameTokenTwice: Scenario = async (stage) => {
  const { world, web } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const request = await world.visit(web, laptop)
  const fresh = await world.visit(web)
  await stage.together(
    () => stage.logOut(BY_SUB, 'jti'),
    () => stage.logOut(BY_SUB, 'jti'),
    () => world.write(request),
  )
  await world.logIn(fresh, LATER)
  await stage.logOut(BY_SUB, 'jti')
  return stage.verdict([LAPTOP], [[LATER, fresh.sessionID]])
}

const localLogoutAndWrite: Scenario = async (stage) => {
  const { world, web } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const [one, two] = [await world.visit(web, laptop), await world.visit(web, laptop)]
  await stage.together(
    () => world.logOutLocally(one),
    () => world.write(two),
    () => stage.logOut(BY_SID),
  )
  return stage.verdict([LAPTOP], [])
}

/** Two tabs, on two nodes where there are two: one changes its id while the other logs out. */
const changeOfIdAndLocalLogout: Scenario = async (stage) => {
  const { world, web, nodes } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const bob = await world.signIn(web, BOB)
  const [one, two] = [await world.visit(web, laptop), await world.visit(nodes.at(-1) ?? web, laptop)]
  await stage.together(
    () => world.changeId(one),
    () => world.logOutLocally(two),
  )
  await world.write(one)
  return stage.verdict([LAPTOP], [[BOB, bob]])
}

const secondLoginAndLocalLogout: Scenario = async (stage) => {
  const { world, web, nodes } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const [one, two] = [await world.visit(web, laptop), await world.visit(nodes.at(-1) ?? web, laptop)]
  await stage.together(
    () => world.logIn(one, LATER),
    () => world.logOutLocally(two),
  )
  return stage.verdict([LAPTOP], [[LATER, one.sessionID]])
}

const regenerateTwiceAndLocalLogout: Scenario = async (stage) => {
  const { world, web, nodes } = stage
  const laptop = await world.signIn(web, LAPTOP)
  const [one, two] = [await world.visit(web, laptop), await world.visit(nodes.at(-1) ?? web, laptop)]
  await world.regenerate(one)
  await stage.together(
    () => world.regenerate(one),
    () => world.logOutLocally(two),
  )
  return stage.verdict([LAPTOP], [])
}

const touchAndLogout: Scenario = async (stage) => {
  const { world, web } = stage
  const request = await world.visit(web, await world.signIn(web, LAPTOP))
  await stage.together(
    () => world.touch(request),
    () => stage.logOut(BY_SID),
  )
  return stage.verdict([LAPTOP], [])
}

/** How many orders differ in more than the order of independent steps, and how many there are of all steps. */
const SAFE: readonly (readonly [string, Scenario, Setting, number, number])[] = [
  ['login, logout', loginAndLogout, {}, 8, 20],
  ['login, logout on one node', loginAndLogout, { nodes: 1 }, 36, 36],
  ['login, logout on one node whose store answers late', loginAndLogout, { nodes: 1, lateAnswers: true }, 755, 755],
  ['bind, logout in a store without atomicity', bindAndLogout, { logoutStore: 'stepwise' }, 21, 574],
  [
    'bind of a saved session, logout in a store without atomicity',
    saveBindAndLogout,
    { logoutStore: 'stepwise' },
    21,
    574,
  ],
  ['login, read', loginAndRead, {}, 7, 21],
  ['login, read on one node whose store answers late', loginAndRead, { nodes: 1, lateAnswers: true }, 207, 207],
  ['login, read in a store without atomicity', loginAndRead, { logoutStore: 'stepwise' }, 23, 1_786],
  ['request that writes, logout by sid', requestAndLogout(BY_SID), {}, 37, 129],
  ['request that writes, logout by sub', requestAndLogout(BY_SUB), {}, 74, 631],
  ['two writes, logout', twoWritesAndLogout, {}, 178, 770],
  ['two writes, logout on one node', twoWritesAndLogout, { nodes: 1 }, 494, 494],
  ['writes of two sessions, logout by sid', twoSessionsAndLogout(BY_SID), {}, 96, 469],
  ['writes of two sessions, logout by sub', twoSessionsAndLogout(BY_SUB), {}, 616, 6_652],
  [
    'request that writes, logout in a store without atomicity',
    requestAndLogout(BY_SID),
    { logoutStore: 'stepwise' },
    121,
    15_514,
  ],
  ['touch of a store that revives, logout on one node', touchAndLogout, { nodes: 1, touchRevives: true }, 16, 16],
  ['regenerate, logout', regenerateAndLogout, {}, 11, 52],
  [
    'regenerate, logout on one node whose store answers late',
    regenerateAndLogout,
    { nodes: 1, lateAnswers: true },
    282,
    282,
  ],
  ['change of id, logout in a store without atomicity', changeOfIdAndLogout, { logoutStore: 'stepwise' }, 112, 28_353],
  ['regenerate, write', regenerateAndWrite, {}, 51, 51],
  ['two regenerates, then a logout', twoRegeneratesThenLogout, {}, 252, 252],
  ['regenerate, write, logout', regenerateWriteAndLogout, {}, 1_029, 8_238],
  ['regenerate, write, logout on one node', regenerateWriteAndLogout, { nodes: 1 }, 3_301, 3_301],
  ['second login, logout of the first', secondLoginAndLogout, {}, 16, 68],
  [
    'second login, logout of the first on one node whose store answers late',
    secondLoginAndLogout,
    { nodes: 1, lateAnswers: true },
    2_569,
    2_569,
  ],
  ['second login, write, logout of the first', secondLoginWriteAndLogout, {}, 2_283, 13_956],
  ['second login, write, logout of the first on one node', secondLoginWriteAndLogout, { nodes: 1 }, 11_200, 11_200],
  ['one token twice, write', sameTokenTwice, {}, 316, 1_466],
  ['local logout, write, logout', localLogoutAndWrite, {}, 880, 2_986],
  ['change of id, local logout', changeOfIdAndLocalLogout, {}, 7, 19],
  ['change of id, local logout on one node', changeOfIdAndLocalLogout, { nodes: 1 }, 19, 19],
  [
    'change of id, local logout on one node whose store answers late',
    changeOfIdAndLocalLogout,
    { nodes: 1, lateAnswers: true },
    201,
    201,
  ],
  [
    'change of id, local logout in a store without atomicity',
    changeOfIdAndLocalLogout,
    { logoutStore: 'stepwise' },
    47,
    51_433,
  ],
  ['regenerate twice, local logout', regenerateTwiceAndLocalLogout, {}, 41, 3_049],
  ['second login, local logout of the first', secondLoginAndLocalLogout, {}, 66, 585],
  ['second login, local logout of the first on one node', secondLoginAndLocalLogout, { nodes: 1 }, 585, 585],
]

/** So many are run whole as well, to show that those left out come to nothing else. */
const FEW = 600

describe('nobody survives and nobody is wrongly ended', () => {
  for (const [name, scenario, setting, different, all] of SAFE) {
    it(`${name}: ${different} interleavings that differ`, async () => {
      const seen = await enumerate(scenario, setting)
      expect(seen.findings).toEqual(new Map())
      expect(seen.interleavings).toBe(different)
      if (all > FEW || different === all) return
      const whole = await enumerate(scenario, setting, 'tried')
      expect(whole.interleavings).toBe(all)
      expect(whole.findings).toEqual(new Map())
      expect(seen.pictures).toEqual(whole.pictures)
    })
  }
})

const ROW = 'a row of laptop survives'
const COOKIE = 'a cookie of laptop survives'

/** What is taken away, in how many interleavings somebody survives then, and out of how many. */
const UNSAFE: readonly (readonly [string, Scenario, Setting, Readonly<Record<string, number>>, number])[] = [
  ['login, logout without protection', loginAndLogout, { protection: 'none' }, { [ROW]: 4, [COOKIE]: 4 }, 6],
  [
    'request that writes, logout without protection',
    requestAndLogout(BY_SID),
    { protection: 'none' },
    { [ROW]: 4, [COOKIE]: 4 },
    10,
  ],
  [
    'regenerate, logout without protection',
    regenerateAndLogout,
    { protection: 'none' },
    { [ROW]: 10, [COOKIE]: 10 },
    10,
  ],
  [
    'login, logout if a write is checked before it',
    loginAndLogout,
    { protection: 'check-then-write' },
    { [ROW]: 2 },
    10,
  ],
  [
    'login, read if the early verdict is believed',
    loginAndRead,
    { protection: 'early verdict' },
    { 'laptop is wrongly ended': 3 },
    21,
  ],
  [
    'two writes, logout if a write is checked before it',
    twoWritesAndLogout,
    { protection: 'check-then-write' },
    { [ROW]: 48 },
    90,
  ],
  [
    'bind of a saved session, logout if marks are read before the binding is written',
    saveBindAndLogout,
    { logoutStore: 'check-then-write' },
    { [ROW]: 1 },
    157,
  ],
  [
    'change of id, local logout if nobody follows the sign-on',
    changeOfIdAndLocalLogout,
    { logoutStore: 'follows nobody' },
    { [ROW]: 2_113, [COOKIE]: 2_113 },
    3_268,
  ],
  ['touch of a store that revives, logout on another node', touchAndLogout, { touchRevives: true }, { [ROW]: 4 }, 9],
]

describe('the same enumeration finds survivors', () => {
  for (const [name, scenario, setting, expected, interleavings] of UNSAFE) {
    it(`${name}: in ${Math.max(...Object.values(expected))} of ${interleavings} interleavings`, async () => {
      const seen = await enumerate(scenario, setting, 'tried')
      const found = Object.fromEntries([...seen.findings].map(([finding, { times }]) => [finding, times]))
      expect(found).toEqual(expected)
      expect(seen.interleavings).toBe(interleavings)
      const different = await enumerate(scenario, setting)
      expect(new Set(different.findings.keys())).toEqual(new Set(seen.findings.keys()))
      expect(different.pictures).toEqual(seen.pictures)
    })
  }
})

// Cases about the covering rule: which sign-on a logout ends, by their dates, by which came first, and by whom it names.
import assert from 'node:assert/strict'
import { covers } from '../../marks/covering.js'
import type { TargetKey } from '../../marks/target.js'
import type { NewBinding } from '../../stores/logout-store.js'
import { bySid, bySub, type Case, LOGIN, type Scene, TOLERANCE } from './scene.js'

/** One row: when the sign-on and the logout are dated, which came first, and whether the logout ends the sign-on. */
interface Vector {
  readonly name: string
  readonly scope: 'sid' | 'sub'
  /** The login's `iat` less the Logout Token's; absent: the login has none. */
  readonly after?: number
  readonly boundFirst: boolean
  readonly named?: 'same' | 'other'
  readonly covered: boolean
}

const VECTORS: readonly Vector[] = [
  { name: 'sub: an older login', scope: 'sub', after: -1, boundFirst: true, covered: true },
  { name: 'sub: an older login, bound late', scope: 'sub', after: -1, boundFirst: false, covered: true },
  { name: 'sub: a tie', scope: 'sub', after: 0, boundFirst: true, covered: true },
  { name: 'sub: a tie, bound late, fails closed', scope: 'sub', after: 0, boundFirst: false, covered: true },
  { name: 'sub: dated a moment later, bound before', scope: 'sub', after: 0.5, boundFirst: true, covered: true },
  { name: 'sub: dated a moment later, bound after', scope: 'sub', after: 0.5, boundFirst: false, covered: false },
  { name: 'sub: at the tolerance, bound before', scope: 'sub', after: TOLERANCE, boundFirst: true, covered: true },
  { name: 'sub: at the tolerance, bound after', scope: 'sub', after: TOLERANCE, boundFirst: false, covered: false },
  { name: 'sub: past the tolerance', scope: 'sub', after: TOLERANCE + 0.5, boundFirst: true, covered: false },
  { name: 'sub: without a date', scope: 'sub', boundFirst: true, covered: true },
  { name: 'sub: without a date, bound late', scope: 'sub', boundFirst: false, covered: true },
  { name: 'sid: an older login', scope: 'sid', after: -1, boundFirst: true, covered: true },
  { name: 'sid: at the tolerance, bound late', scope: 'sid', after: TOLERANCE, boundFirst: false, covered: true },
  { name: 'sid: past the tolerance', scope: 'sid', after: TOLERANCE + 0.5, boundFirst: true, covered: false },
  { name: 'sid: without a date', scope: 'sid', boundFirst: false, covered: true },
  { name: 'sid: of this sub', scope: 'sid', after: 1, boundFirst: true, named: 'same', covered: true },
  { name: 'sid: of another sub', scope: 'sid', after: 1, boundFirst: true, named: 'other', covered: false },
  { name: 'sid: of another sub, undated', scope: 'sid', boundFirst: false, named: 'other', covered: false },
]

export const COVERING_CASES: readonly Case[] = [
  ...VECTORS.map(
    (vector): Case => [
      `covering, ${vector.name}, is ${vector.covered ? 'covered' : 'not covered'}`,
      async (scene) => {
        const issuedAt = vector.after === undefined ? undefined : LOGIN + vector.after
        const login = await scene.login({ issuedAt })
        const target = targetOf(scene, vector.scope, vector.named, login)
        if (vector.boundFirst) {
          const { binding } = await scene.store.bind(login)
          const begun = await scene.begin(target, { issuedAt: LOGIN })
          assert.deepEqual(begun.sessionIds, vector.covered ? [binding.sessionId] : [])
          assert.equal((await scene.store.read(binding.sessionId)).ended, vector.covered)
        } else {
          await scene.begin(target, { issuedAt: LOGIN })
          const { binding, marks } = await scene.store.bind(login)
          assert.equal(
            marks.some((mark) => covers(mark, binding, TOLERANCE)),
            vector.covered,
          )
        }
        assert.equal(await scene.isDead(login.sessionId), vector.covered)
      },
    ],
  ),
  [
    'covering: the store and the rule of this package agree on random logins and logouts',
    async (scene) => {
      const random = randomNumbers(20_260)
      for (let i = 0; i < 60; i++) {
        const login = await scene.login(random.below(5) === 0 ? { issuedAt: undefined } : { issuedAt: LOGIN })
        const named = random.pick<'same' | 'other' | undefined>(['same', 'other', undefined])
        const target = targetOf(scene, random.pick<'sid' | 'sub'>(['sid', 'sub']), named, login)
        const toleranceSeconds = random.pick([0, 1, 60])
        const offset = () => random.pick([-61, -60, -59.5, -2, -1, -0.5, 0, 0.5, 1, 70])
        for (let n = random.below(3); n > 0; n--) await scene.begin(target, { issuedAt: LOGIN + offset() })
        const { binding } = await scene.store.bind(login)
        const { mark, sessionIds } = await scene.begin(target, { issuedAt: LOGIN + offset(), toleranceSeconds })
        const expected = covers(mark, binding, toleranceSeconds) ? [binding.sessionId] : []
        assert.deepEqual(sessionIds, expected, JSON.stringify({ mark, binding, toleranceSeconds }))
      }
    },
  ],
]

function targetOf(
  scene: Scene,
  scope: 'sid' | 'sub',
  named: 'same' | 'other' | undefined,
  login: NewBinding,
): TargetKey {
  if (scope === 'sub') return bySub(login)
  if (named === undefined) return bySid(login)
  return bySid(login, named === 'same' ? login.subKey : scene.key())
}

/** A small generator, so that a failure comes back on the next run. */
function randomNumbers(seed: number) {
  let state = seed
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  return {
    below,
    pick<T>(values: readonly [T, ...T[]]): T {
      return values[below(values.length)] ?? values[0]
    },
  }
}

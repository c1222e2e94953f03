// Cases about the covering rule: which sign-on a logout ends, by their dates, by which came first, and by whom it
// names.
import assert from 'node:assert/strict'
import { covers, DEFAULT_SKEW_SECONDS, type Mark, sidlessMark, UNDER_WAY_SECONDS } from '../../marks/covering.js'
import type { TargetKey } from '../../marks/target.js'
import type { Binding, NewBinding } from '../../stores/logout-store.js'
import { bySid, bySub, type Case, LOGIN, type Scene } from './scene.js'

/** One row: when the sign-on and the logout are dated, which came first, and whether the logout ends the sign-on. */
interface Vector {
  readonly name: string
  readonly scope: 'sid' | 'sub'
  /** The login's `iat` less the Logout Token's; absent: the login has none. */
  readonly after?: number
  /** No Logout Token is behind the logout. */
  readonly undated?: true
  readonly boundFirst: boolean
  /** When the login was begun, next to the logout; absent: the application does not say. */
  readonly begun?: 'before' | 'after'
  readonly named?: 'same' | 'other'
  readonly covered: boolean
}

const [SKEW, UNDER_WAY] = [DEFAULT_SKEW_SECONDS, UNDER_WAY_SECONDS]

const VECTORS: readonly Vector[] = [
  { name: 'sub: an older login', scope: 'sub', after: -1, boundFirst: true, covered: true },
  { name: 'sub: an older login, bound late', scope: 'sub', after: -1, boundFirst: false, covered: true },
  { name: 'sub: a tie', scope: 'sub', after: 0, boundFirst: true, covered: true },
  { name: 'sub: a tie, bound late, fails closed', scope: 'sub', after: 0, boundFirst: false, covered: true },
  { name: 'sub: dated a moment later, bound before', scope: 'sub', after: 0.5, boundFirst: true, covered: true },
  { name: 'sub: dated a moment later, bound after', scope: 'sub', after: 0.5, boundFirst: false, covered: false },
  { name: 'sub: at the skew, bound before', scope: 'sub', after: SKEW, boundFirst: true, covered: true },
  { name: 'sub: at the skew, bound after', scope: 'sub', after: SKEW, boundFirst: false, covered: false },
  {
    name: 'sub: past the skew, as after a late token',
    scope: 'sub',
    after: SKEW + 0.5,
    boundFirst: true,
    covered: false,
  },
  { name: 'sub: without a date', scope: 'sub', boundFirst: true, covered: true },
  { name: 'sub: without a date, bound late', scope: 'sub', boundFirst: false, covered: true },
  {
    name: 'sub: begun before, an older login',
    scope: 'sub',
    after: -1,
    boundFirst: false,
    begun: 'before',
    covered: true,
  },
  {
    name: 'sub: begun before, a later login',
    scope: 'sub',
    after: 1,
    boundFirst: false,
    begun: 'before',
    covered: false,
  },
  {
    name: 'sub: begun after, whatever its date',
    scope: 'sub',
    after: -1,
    boundFirst: false,
    begun: 'after',
    covered: false,
  },
  { name: 'sub: begun after, without a date', scope: 'sub', boundFirst: false, begun: 'after', covered: false },
  { name: 'sub: no token, bound before', scope: 'sub', undated: true, after: 9000, boundFirst: true, covered: true },
  { name: 'sub: no token, bound after', scope: 'sub', undated: true, after: -9000, boundFirst: false, covered: false },
  { name: 'sub: no token, no date, bound after', scope: 'sub', undated: true, boundFirst: false, covered: false },
  { name: 'sid: an older login', scope: 'sid', after: -1, boundFirst: true, covered: true },
  { name: 'sid: under way, bound late', scope: 'sid', after: UNDER_WAY, boundFirst: false, covered: true },
  { name: 'sid: past what may be under way', scope: 'sid', after: UNDER_WAY + 0.5, boundFirst: true, covered: false },
  { name: 'sid: without a date', scope: 'sid', boundFirst: false, covered: true },
  {
    name: 'sid: begun before, redeemed after',
    scope: 'sid',
    after: 2,
    boundFirst: false,
    begun: 'before',
    covered: true,
  },
  {
    name: 'sid: begun after, a sid that lives on',
    scope: 'sid',
    after: 1,
    boundFirst: false,
    begun: 'after',
    covered: false,
  },
  { name: 'sid: no token, bound before', scope: 'sid', undated: true, after: 9000, boundFirst: true, covered: true },
  { name: 'sid: no token, bound after', scope: 'sid', undated: true, after: 1, boundFirst: false, covered: false },
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
        const { now } = await scene.store.marks([])
        const login = await scene.login({ issuedAt, ...(vector.begun && { startedAt: now }) })
        const target = targetOf(scene, vector.scope, vector.named, login)
        const logout = { issuedAt: vector.undated ? undefined : LOGIN, jti: await scene.jti() }
        if (vector.boundFirst) {
          const { binding } = await scene.store.bind(login)
          const begun = await scene.begin(target, logout)
          assert.deepEqual(begun.sessionIds, vector.covered ? [binding.sessionId] : [])
          assert.equal((await scene.store.read(binding.sessionId)).ended, vector.covered)
        } else {
          const { mark } = await scene.begin(target, logout)
          const startedAt = vector.begun === 'after' ? mark.seenAt + 0.0001 : login.startedAt
          const { binding, marks } = await scene.store.bind({ ...login, startedAt })
          assert.equal(
            marks.some((each) => covers(each, binding)),
            vector.covered,
          )
          const again = await scene.begin(target, logout)
          assert.deepEqual(again.sessionIds, vector.covered ? [binding.sessionId] : [])
        }
        assert.equal(await scene.isDead(login.sessionId), vector.covered)
      },
    ],
  ),
  [
    'covering: the store and the rule of this package agree on random logins and logouts',
    async (scene) => {
      const random = randomNumbers(20_260)
      for (let i = 0; i < 100; i++) {
        const { now } = await scene.store.marks([])
        const login = await scene.login({
          issuedAt: random.below(5) === 0 ? undefined : LOGIN,
          startedAt: random.pick([undefined, now - 30, now, now + 0.002, now + 60]),
          ...(random.below(4) === 0 && { sidKey: undefined }),
        })
        const named = random.pick<'same' | 'other' | undefined>(['same', 'other', undefined])
        const target = targetOf(scene, random.pick<'sid' | 'sub'>(['sid', 'sub']), named, login)
        const offset = () => random.pick([-61, -60, -59.5, -6, -5, -4.5, -2, -1, -0.5, 0, 0.5, 1, 70, undefined])
        const logout = () => {
          const after = offset()
          return {
            issuedAt: after === undefined ? undefined : LOGIN + after,
            seenSecondsAgo: random.pick([0, 0, 30]),
          }
        }
        for (let n = random.below(3); n > 0; n--) await scene.begin(target, logout())
        const { binding } = await scene.store.bind(login)
        const { mark, sessionIds } = await scene.begin(target, logout())
        const isFound = target.scope === 'sub' || binding.sidKey === target.key || binding.sidKey === undefined
        const expected =
          isFound &&
          [mark, sidlessMark(mark)].some(
            (each) => each !== undefined && isUnder(each, binding) && covers(each, binding),
          )
        assert.deepEqual(sessionIds, expected ? [binding.sessionId] : [], JSON.stringify({ mark, binding }))
      }
    },
  ],
]

function isUnder(mark: Mark, binding: Binding): boolean {
  return mark.key === binding.subKey || mark.key === binding.sidKey
}

function targetOf(
  scene: Scene,
  scope: 'sid' | 'sub',
  named: 'same' | 'other' | undefined,
  login: NewBinding,
): TargetKey {
  if (scope === 'sub') return bySub(login)
  const bound = { sidKey: login.sidKey ?? scene.key() }
  if (named === undefined) return bySid(bound)
  return bySid(bound, named === 'same' ? login.subKey : scene.key())
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

// Cases about several nodes and steps at the same time: who gives access writes, then reads the marks; who ends it
// marks, then looks. Whichever comes first, one of them sees the other.
import assert from 'node:assert/strict'
import { covers } from '../../marks/covering.js'
import { assertState } from './comparisons.js'
import { bySid, bySub, type Case } from './scene.js'

export const CONCURRENCY_CASES: readonly Case[] = [
  [
    'two nodes: what one wrote the other reads, binds against, ends and refuses as a replay',
    async (scene) => {
      const other = await scene.another()
      const binding = await scene.bound()
      assertState(await other.read(binding.sessionId), { ended: false, binding, marks: [] })
      const jti = await scene.jti()
      const begun = await other.begin(await scene.logout(bySub(binding), { jti }))
      assert(!begun.replayed)
      assert.deepEqual(begun.sessionIds, [binding.sessionId])
      assert.equal((await scene.store.read(binding.sessionId)).ended, true)
      await other.complete({ jti, destroyedIds: begun.sessionIds, done: true })
      assert.equal((await scene.store.begin(await scene.logout(bySub(binding), { jti }))).replayed, true)
    },
  ],
  [
    'of a login and a logout at the same time, either the logout finds the session or the login sees the mark',
    async (scene) => {
      const other = await scene.another()
      for (let round = 0; round < 15; round++) {
        const [first, ...more] = await Promise.all([1, 2, 3, 4, 5, 6].map(() => scene.login()))
        assert(first !== undefined)
        const logins = [first, ...more.map((login) => ({ ...login, subKey: first.subKey }))]
        const target = round % 2 === 0 ? bySub(first) : bySid(first)
        const logout = await scene.logout(target)
        const binds = logins.map((login, i) => (i % 2 === 0 ? scene.store : other).bind(login))
        const [begun, ...states] = await Promise.all([other.begin(logout), ...binds])
        assert(!begun.replayed)
        for (const { binding, marks } of states) {
          if (target.scope === 'sid' && binding.sidKey !== target.key) continue
          const found = begun.sessionIds.includes(binding.sessionId)
          const seen = marks.some((mark) => covers(mark, binding))
          assert(found || seen, 'a login slipped through between a mark and its look-up')
        }
      }
    },
  ],
  [
    'of a change of id and a logout at the same time, no id is left alive',
    async (scene) => {
      const other = await scene.another()
      for (let round = 0; round < 15; round++) {
        const binding = await scene.bound()
        const to = [scene.sessionId(), scene.sessionId()]
        const logout = await scene.logout(round % 2 === 0 ? bySub(binding) : bySid(binding))
        const rebinds = to.map((id, i) =>
          (i === 0 ? scene.store : other).rebind(binding.sessionId, id, binding.expiresAt),
        )
        const [begun] = await Promise.all([other.begin(logout), ...rebinds])
        assert(!begun.replayed)
        for (const id of [binding.sessionId, ...to]) assert.equal(await scene.isDead(id), true)
        const retry = await scene.begin(logout.target)
        for (const id of to) {
          const { binding: left } = await scene.store.read(id)
          assert(left === undefined || retry.sessionIds.includes(id), 'a bound session is in no index')
        }
      }
    },
  ],
  [
    'of a token added and a logout at the same time, either the token is marked or its owner is told',
    async (scene) => {
      const other = await scene.another()
      for (let round = 0; round < 15; round++) {
        const binding = await scene.bound()
        const token = scene.key()
        const [state] = await Promise.all([
          scene.store.addTokens(binding.sessionId, [token]),
          other.begin(await scene.logout(bySub(binding))),
        ])
        const told = state.ended || state.marks.some((mark) => covers(mark, binding))
        assert(told || (await scene.store.marks([token])).marks.length === 1, 'a token outlived its session')
      }
    },
  ],
  [
    'concurrency: the same token delivered many times at once does the same work with the same dates',
    async (scene) => {
      const other = await scene.another()
      const binding = await scene.bound()
      const logout = await scene.logout(bySub(binding), { jti: await scene.jti() })
      const all = await Promise.all([1, 2, 3, 4, 5, 6].map((i) => (i % 2 === 0 ? scene.store : other).begin(logout)))
      const seen = new Set(all.map((each) => (each.replayed ? 'replayed' : each.mark.seenAt)))
      assert.equal(seen.size, 1)
      for (const each of all) assert(!each.replayed && each.sessionIds.includes(binding.sessionId))
    },
  ],
  [
    'concurrency: a rebind beside a fresh login on the old id loses neither',
    async (scene) => {
      const other = await scene.another()
      for (let round = 0; round < 10; round++) {
        const first = await scene.bound()
        const second = await scene.login({ sessionId: first.sessionId })
        const to = scene.sessionId()
        const [moved, fresh] = await Promise.all([
          scene.store.rebind(first.sessionId, to, first.expiresAt),
          other.bind(second),
        ])
        const [old, next] = await Promise.all([scene.store.read(first.sessionId), scene.store.read(to)])
        assert.equal(moved.ended, false)
        const isThere = [old.binding?.subKey, next.binding?.subKey].includes(second.subKey)
        assert(isThere || fresh.ended, 'the fresh login is bound nowhere and was not told')
      }
    },
  ],
  [
    'concurrency: many logouts of overlapping targets and many local ends all succeed',
    async (scene) => {
      const other = await scene.another()
      const subKey = scene.key()
      const bindings = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(() => scene.bound({ subKey })))
      const ids = bindings.map((binding) => binding.sessionId)
      const expiresAt = await scene.in(3600)
      await Promise.all([
        scene.begin({ scope: 'sub', key: subKey }),
        other.begin(await scene.logout({ scope: 'sub', key: subKey })),
        ...bindings.map((binding) => scene.begin(bySid(binding))),
        scene.store.endSessions(ids, expiresAt),
        other.endSessions([...ids].reverse(), expiresAt),
        other.unbind([...ids].reverse()),
      ])
      for (const id of ids) assert.equal((await scene.store.read(id)).ended, true)
    },
  ],
]

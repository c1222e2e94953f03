// Cases of `rebind`: a sign-on goes to a new session id, and so does its end.
import assert from 'node:assert/strict'
import { assertSameMarks, assertState, sorted } from './comparisons.js'
import { bySid, bySub, type Case, LOGIN } from './scene.js'

export const REBIND_CASES: readonly Case[] = [
  [
    'rebind: carries the sign-on to the new id with its dates, and leaves the old id ended and out of the index',
    async (scene) => {
      const from = await scene.bound({ startedAt: await scene.in(-30) })
      const to = scene.sessionId()
      const state = await scene.store.rebind(from.sessionId, to, from.expiresAt - 100)
      assertState(state, { ended: false, binding: { ...from, sessionId: to }, marks: [] })
      assertState(await scene.store.read(to), state)
      const old = await scene.store.read(from.sessionId)
      assert.deepEqual({ ended: old.ended, bound: old.binding !== undefined }, { ended: true, bound: false })
      assert.deepEqual((await scene.begin(bySid(from))).sessionIds, [to])
    },
  ],
  [
    'rebind: the later of both expiries is kept',
    async (scene) => {
      const from = await scene.bound()
      const state = await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt + 500)
      assert.equal(state.binding?.expiresAt, from.expiresAt + 500)
    },
  ],
  [
    'rebind: token keys go with the sign-on',
    async (scene) => {
      const tokenKeys = [scene.key(), scene.key()]
      const from = await scene.bound({ tokenKeys: tokenKeys.slice(0, 1) })
      await scene.store.addTokens(from.sessionId, tokenKeys.slice(1))
      await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)
      assert.deepEqual(sorted((await scene.begin(bySub(from))).tokenKeys), sorted(tokenKeys))
    },
  ],
  [
    'rebind: with nothing known of the old id, nothing is written',
    async (scene) => {
      const [from, to] = [scene.sessionId(), scene.sessionId()]
      const nothing = { ended: false, marks: [] }
      assertState(await scene.store.rebind(from, to, await scene.in(3600)), nothing)
      assertState(await scene.store.read(from), nothing)
      assertState(await scene.store.read(to), nothing)
      const bound = await scene.bound()
      await scene.store.rebind(from, bound.sessionId, bound.expiresAt)
      await scene.assertUntouched(bound)
    },
  ],
  [
    'rebind: returns the marks that stand against the new id',
    async (scene) => {
      const login = await scene.login({ issuedAt: LOGIN + 1000 })
      const { mark } = await scene.begin(bySub(login))
      await scene.store.bind(login)
      const state = await scene.store.rebind(login.sessionId, scene.sessionId(), login.expiresAt)
      assertSameMarks(state.marks, [mark])
    },
  ],
  [
    'rebind: an end by a logout is inherited, bound or not any more, and from heir to heir',
    async (scene) => {
      for (const unbound of [false, true]) {
        const from = await scene.bound()
        await scene.begin(bySub(from))
        if (unbound) await scene.store.unbind([from.sessionId])
        const [heir, heirOfHeir] = [scene.sessionId(), scene.sessionId()]
        assert.equal((await scene.store.rebind(from.sessionId, heir, from.expiresAt)).ended, true)
        assert.equal((await scene.store.rebind(heir, heirOfHeir, from.expiresAt)).ended, true)
        assert.equal((await scene.store.read(heirOfHeir)).ended, true)
      }
    },
  ],
  [
    'rebind: an end by a local logout is inherited',
    async (scene) => {
      const from = await scene.bound()
      await scene.store.endSessions([from.sessionId], from.expiresAt)
      await scene.store.unbind([from.sessionId])
      assert.equal((await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)).ended, true)
    },
  ],
  [
    'rebind: from an id that was only left behind, the new id gets the same sign-on',
    async (scene) => {
      const from = await scene.bound({ tokenKeys: [scene.key()] })
      const [one, two] = [scene.sessionId(), scene.sessionId()]
      await scene.store.rebind(from.sessionId, one, from.expiresAt)
      const state = await scene.store.rebind(from.sessionId, two, from.expiresAt)
      assertState(state, { ended: false, binding: { ...from, sessionId: two }, marks: [] })
      assert.equal((await scene.store.read(from.sessionId)).ended, true)
      assert.deepEqual(sorted((await scene.begin(bySid(from))).sessionIds), sorted([one, two]))
    },
  ],
  [
    'rebind: an id that was left behind and then ended hands on its end',
    async (scene) => {
      const from = await scene.bound()
      await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)
      await scene.store.endSessions([from.sessionId], from.expiresAt)
      const state = await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)
      assert.equal(state.ended, true)
    },
  ],
  [
    'rebind: a later login under the new id stays there, and inherits nothing',
    async (scene) => {
      for (const ended of [false, true]) {
        const from = await scene.bound()
        const login = await scene.bound()
        if (ended) await scene.begin(bySid(from))
        const state = await scene.store.rebind(from.sessionId, login.sessionId, from.expiresAt)
        assertState(state, { ended: false, binding: login, marks: [] })
        assert.equal((await scene.store.read(from.sessionId)).ended, true)
        await scene.begin(bySid(from))
        await scene.store.endSessions([from.sessionId], from.expiresAt)
        await scene.assertUntouched(login)
        assert.deepEqual((await scene.begin(bySub(login))).sessionIds, [login.sessionId])
      }
    },
  ],
  [
    'rebind: a later login of the same sid under the new id stays there, and gets the token keys of the first',
    async (scene) => {
      const tokenKeys = [scene.key(), scene.key()]
      const from = await scene.bound({ tokenKeys: tokenKeys.slice(0, 1) })
      const again = { ...from, sessionId: scene.sessionId(), startedAt: await scene.in(0) }
      const login = (await scene.store.bind({ ...again, tokenKeys: tokenKeys.slice(1) })).binding
      const state = await scene.store.rebind(from.sessionId, login.sessionId, from.expiresAt)
      assertState(state, { ended: false, binding: login, marks: [] })
      assert.deepEqual(sorted((await scene.begin(bySid(from))).tokenKeys), sorted(tokenKeys))
    },
  ],
  [
    'rebind: to the id it already has changes nothing',
    async (scene) => {
      const binding = await scene.bound()
      await scene.store.rebind(binding.sessionId, binding.sessionId, binding.expiresAt)
      await scene.assertUntouched(binding)
      assert.deepEqual((await scene.begin(bySub(binding))).sessionIds, [binding.sessionId])
    },
  ],
  [
    'rebind: onto a session id that was ended it stays ended',
    async (scene) => {
      const [from, to] = [await scene.bound(), await scene.bound()]
      await scene.begin(bySid(to))
      assert.equal((await scene.store.rebind(from.sessionId, to.sessionId, from.expiresAt)).ended, true)
    },
  ],
]

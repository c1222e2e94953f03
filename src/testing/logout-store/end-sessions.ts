// Cases of `endSessions` and `unbind`: an end without a Logout Token, and what is forgotten after it.
import assert from 'node:assert/strict'
import { assertState, sorted } from './comparisons.js'
import { bySid, bySub, type Case } from './scene.js'

export const END_CASES: readonly Case[] = [
  [
    'endSessions: marks the ids and leaves their bindings, so that a logout still finds them',
    async (scene) => {
      const [bound, unbound, bystander] = [await scene.bound(), scene.sessionId(), await scene.bound()]
      for (let i = 0; i < 2; i++) {
        await scene.store.endSessions([bound.sessionId, unbound], await scene.in(3600))
        assertState(await scene.store.read(bound.sessionId), { ended: true, binding: bound, marks: [] })
        assertState(await scene.store.read(unbound), { ended: true, marks: [] })
      }
      assert.deepEqual((await scene.begin(bySub(bound))).sessionIds, [bound.sessionId])
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'endSessions: names the tokens that are recorded with the sessions, and of unbound ids none',
    async (scene) => {
      const tokenKeys = [scene.key(), scene.key()]
      const bound = await scene.bound({ tokenKeys })
      const ended = await scene.store.endSessions([bound.sessionId, scene.sessionId()], await scene.in(3600))
      assert.deepEqual(sorted(ended.tokenKeys), sorted(tokenKeys))
    },
  ],
  [
    'endSessions: a sign-on that had moved on is followed, through as many ids as it went',
    async (scene) => {
      const tokenKeys = [scene.key()]
      const [from, bystander] = [await scene.bound({ tokenKeys }), await scene.bound()]
      const [transit, to, twin] = [scene.sessionId(), scene.sessionId(), scene.sessionId()]
      await scene.store.rebind(from.sessionId, transit, from.expiresAt)
      await scene.store.rebind(transit, to, from.expiresAt)
      await scene.store.rebind(from.sessionId, twin, from.expiresAt)
      const ended = await scene.store.endSessions([from.sessionId], from.expiresAt)
      assert.deepEqual(sorted(ended.sessionIds), sorted([from.sessionId, transit, to, twin]))
      assert.deepEqual(ended.tokenKeys, tokenKeys)
      const again = await scene.store.endSessions([from.sessionId], from.expiresAt)
      for (const sessionId of [from.sessionId, to, twin]) assert.ok(again.sessionIds.includes(sessionId), 'a repeat')
      assert.deepEqual(again.tokenKeys, tokenKeys)
      for (const sessionId of [to, twin]) {
        assertState(await scene.store.read(sessionId), { ended: true, binding: { ...from, sessionId }, marks: [] })
        assert.equal((await scene.store.rebind(sessionId, scene.sessionId(), from.expiresAt)).ended, true)
      }
      for (const sessionId of [from.sessionId, transit]) {
        assert.equal((await scene.store.rebind(sessionId, scene.sessionId(), from.expiresAt)).ended, true)
      }
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'endSessions: a fresh login under the new id is not followed to, whether it comes before or after',
    async (scene) => {
      const from = await scene.bound()
      const [before, after] = [scene.sessionId(), scene.sessionId()]
      for (const to of [before, after]) await scene.store.rebind(from.sessionId, to, from.expiresAt)
      const login = { subKey: scene.key(), sidKey: scene.key(), issuedAt: from.issuedAt, expiresAt: from.expiresAt }
      const earlier = await scene.store.bind({ ...login, sessionId: before })
      const ended = await scene.store.endSessions([from.sessionId], from.expiresAt)
      assert.deepEqual(sorted(ended.sessionIds), sorted([from.sessionId, after]))
      const later = await scene.store.bind({ ...login, sessionId: after })
      for (const { binding } of [earlier, later]) await scene.assertUntouched(binding)
    },
  ],
  [
    'endSessions: nor to a later login of the same user, nor to an id that is not bound any more',
    async (scene) => {
      const from = await scene.bound()
      const [again, gone] = [scene.sessionId(), scene.sessionId()]
      for (const to of [again, gone]) await scene.store.rebind(from.sessionId, to, from.expiresAt)
      const { binding } = await scene.store.bind({ ...from, sessionId: again })
      await scene.store.unbind([gone])
      const ended = await scene.store.endSessions([from.sessionId], from.expiresAt)
      assert.deepEqual(ended.sessionIds, [from.sessionId])
      await scene.assertUntouched(binding)
      assertState(await scene.store.read(gone), { ended: false, marks: [] })
    },
  ],
  [
    'endSessions: spares sessions of the same sign-on with all that they went to, and their tokens',
    async (scene) => {
      const [shared, own] = [scene.key(), scene.key()]
      const from = await scene.bound({ tokenKeys: [shared] })
      const [spared, twin, later] = [scene.sessionId(), scene.sessionId(), scene.sessionId()]
      for (const to of [spared, twin]) await scene.store.rebind(from.sessionId, to, from.expiresAt)
      await scene.store.addTokens(twin, [own])
      const expiresAt = await scene.in(3600)
      const ended = await scene.store.endSessions([twin, from.sessionId, spared], expiresAt, [spared])
      assert.deepEqual(sorted(ended.sessionIds), sorted([twin, from.sessionId]))
      assert.deepEqual(ended.tokenKeys, [own])
      await scene.assertUntouched({ ...from, sessionId: spared })
      assert.equal((await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)).ended, true)
      await scene.store.rebind(spared, later, from.expiresAt)
      const again = await scene.store.endSessions([twin, from.sessionId], expiresAt, [spared])
      assert.deepEqual(again.tokenKeys, [own])
      await scene.assertUntouched({ ...from, sessionId: later })
      const { tokenKeys } = await scene.begin(bySid(from))
      assert.deepEqual(sorted([...new Set(tokenKeys)]), sorted([shared, own]))
    },
  ],
  [
    'endSessions: a sign-on that went in a circle is ended, and the call comes back',
    async (scene) => {
      const from = await scene.bound()
      const to = scene.sessionId()
      await scene.store.rebind(from.sessionId, to, from.expiresAt)
      await scene.store.rebind(to, from.sessionId, from.expiresAt)
      await scene.store.endSessions([to], from.expiresAt)
      for (const sessionId of [from.sessionId, to]) assert.equal((await scene.store.read(sessionId)).ended, true)
    },
  ],
  [
    'endSessions, unbind: no ids, nothing to do',
    async (scene) => {
      assert.deepEqual(await scene.store.endSessions([], await scene.in(3600)), { sessionIds: [], tokenKeys: [] })
      await scene.store.unbind([])
    },
  ],
  [
    'unbind: removes the binding from every index; the session mark stays; twice is as good as once',
    async (scene) => {
      const [gone, bystander] = [await scene.bound({ tokenKeys: [scene.key()] }), await scene.bound()]
      await scene.store.endSessions([gone.sessionId], gone.expiresAt)
      for (let i = 0; i < 2; i++) {
        await scene.store.unbind([gone.sessionId])
        assertState(await scene.store.read(gone.sessionId), { ended: true, marks: [] })
      }
      for (const target of [bySub(gone), bySid(gone)]) {
        const begun = await scene.begin(target)
        assert.deepEqual([begun.sessionIds, begun.tokenKeys], [[], []])
      }
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'unbind: an id without an end is simply not bound any more',
    async (scene) => {
      const binding = await scene.bound()
      await scene.store.unbind([binding.sessionId])
      assertState(await scene.store.read(binding.sessionId), { ended: false, marks: [] })
      const again = await scene.bound({ ...binding })
      assert.deepEqual((await scene.begin(bySub(binding))).sessionIds, [again.sessionId])
    },
  ],
]

// Cases of `begin`: the mark of a logout, the sessions and tokens it ends, and how a retry is dated.
import assert from 'node:assert/strict'
import type { TargetKey } from '../../marks/target.js'
import { assertSameDates, assertSameMarks, sorted } from './comparisons.js'
import { bySid, bySub, type Case, LOGIN, SOON } from './scene.js'

export const BEGIN_CASES: readonly Case[] = [
  [
    'begin: by sub ends every session of that subject and no other',
    async (scene) => {
      const one = await scene.bound({ tokenKeys: [scene.key()] })
      const two = await scene.bound({ subKey: one.subKey, sidKey: undefined, tokenKeys: [scene.key()] })
      const bystander = await scene.bound()
      const begun = await scene.begin(bySub(one))
      assert.deepEqual(sorted(begun.sessionIds), sorted([one.sessionId, two.sessionId]))
      assert.equal(begun.tokenKeys.length, 2)
      assert.equal(begun.mismatched, 0)
      assert.equal(begun.finished, false)
      for (const { sessionId } of [one, two]) assert.equal((await scene.store.read(sessionId)).ended, true)
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'begin: what the store says it has destroyed is unbound, and is only where it was allowed to',
    async (scene) => {
      for (const mayDestroy of [true, false]) {
        const binding = await scene.bound()
        const { destroyed = false } = await scene.begin(bySub(binding), { mayDestroy })
        if (destroyed) assert.equal((await scene.store.read(binding.sessionId)).binding, undefined)
        if (!mayDestroy) assert.equal(destroyed, false)
      }
    },
  ],
  [
    'begin: by sid ends that session and leaves the other sessions of its subject alone',
    async (scene) => {
      const one = await scene.bound()
      const other = await scene.bound({ subKey: one.subKey })
      assert.deepEqual((await scene.begin(bySid(one, one.subKey))).sessionIds, [one.sessionId])
      assert.equal(await scene.isDead(other.sessionId), false)
    },
  ],
  [
    'begin: a session found by sid that belongs to another sub is counted and left alone',
    async (scene) => {
      const mine = await scene.bound()
      const foreign = await scene.bound({ sidKey: mine.sidKey })
      const begun = await scene.begin(bySid(mine, mine.subKey))
      assert.deepEqual(begun.sessionIds, [mine.sessionId])
      assert.equal(begun.mismatched, 1)
      assert.equal((await scene.store.read(foreign.sessionId)).ended, false)
      assert.equal(await scene.isDead(foreign.sessionId), false)
    },
  ],
  [
    'begin: writes the mark, with its key, sub, dates and expiry, also where no session is found',
    async (scene) => {
      const targets: readonly TargetKey[] = [
        { scope: 'sub', key: scene.key() },
        { scope: 'sid', key: scene.key() },
        { scope: 'sid', key: scene.key(), subKey: scene.key() },
        { scope: 'token', key: scene.key() },
      ]
      for (const target of targets) {
        const marksExpireAt = await scene.in(7200)
        const { mark, sessionIds } = await scene.begin(target, { issuedAt: LOGIN + 0.5, marksExpireAt })
        assert.deepEqual(sessionIds, [])
        assertSameMarks([mark], [{ ...target, issuedAt: LOGIN + 0.5, seenAt: mark.seenAt, expiresAt: marksExpireAt }])
        assert(Math.abs(mark.seenAt - (await scene.in(0))) < 1, 'seenAt is not the store clock')
        assertSameMarks((await scene.store.marks([target.key])).marks, [mark])
      }
    },
  ],
  [
    'begin: a session under the same key of another scope is not found',
    async (scene) => {
      const binding = await scene.bound()
      assert.deepEqual((await scene.begin({ scope: 'token', key: binding.subKey })).sessionIds, [])
    },
  ],
  [
    'begin: is idempotent; what was not unbound yet is found again',
    async (scene) => {
      const [one, two] = [await scene.bound(), scene.sessionId()]
      await scene.bound({ subKey: one.subKey, sessionId: two })
      const jti = await scene.jti()
      const first = await scene.begin(bySub(one), { jti })
      assert.deepEqual(sorted(first.sessionIds), sorted([one.sessionId, two]))
      await scene.store.complete({ jti, destroyedIds: [one.sessionId], done: false })
      const again = await scene.begin(bySub(one), { jti })
      assert.deepEqual(again.sessionIds, [two])
      assertSameDates(again.mark, first.mark)
    },
  ],
  [
    'begin: session marks last as long as the longer of marks and session',
    async (scene) => {
      const binding = await scene.bound()
      const soon = await scene.in(SOON)
      await scene.begin(bySid(binding), { marksExpireAt: soon })
      await scene.waitUntilAfter(soon + 0.01)
      assert.equal((await scene.store.read(binding.sessionId)).ended, true)
    },
  ],
  [
    'begin: finishes only where it may, and then nothing is left to do',
    async (scene) => {
      const jti = await scene.jti()
      const binding = await scene.bound()
      const first = await scene.begin(bySid(binding), { jti, mayDestroy: false })
      assert.equal(first.finished, false)
      const second = await scene.begin(bySid(binding), { jti, mayDestroy: true })
      const third = await scene.store.begin(await scene.logout(bySid(binding), { jti }))
      assert.equal(third.replayed, second.finished, 'finished, but the jti was not remembered, or the other way round')
      assert.equal((await scene.store.read(binding.sessionId)).binding === undefined, second.finished)
      assert.equal((await scene.store.read(binding.sessionId)).ended, true)
    },
  ],
  [
    'begin: a logout that may not finish is never remembered as completed',
    async (scene) => {
      const jti = await scene.jti()
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      await scene.begin(target, { jti, mayDestroy: false })
      await scene.begin(target, { jti, mayDestroy: false })
    },
  ],
  [
    'begin: a jti opened before keeps its first dates, so that a retry spares a login made in between',
    async (scene) => {
      const jti = await scene.jti()
      const login = await scene.login({ issuedAt: LOGIN + 103 })
      const before = await scene.bound({ ...login, sessionId: scene.sessionId() })
      const first = await scene.begin(bySub(login), { jti })
      assert.deepEqual(first.sessionIds, [before.sessionId])
      const between = await scene.bound(login)
      const retry = await scene.begin(bySub(login), { jti, issuedAt: LOGIN + 200 })
      assertSameDates(retry.mark, first.mark)
      assert.deepEqual(retry.sessionIds, [before.sessionId])
      assert.equal(await scene.isDead(between.sessionId), false)
    },
  ],
  [
    'begin: a late retry is dated back to when the logout was first seen, and spares a login made in between',
    async (scene) => {
      const login = await scene.bound({ issuedAt: LOGIN + 103 })
      const late = await scene.begin(bySub(login), { seenSecondsAgo: 3600 })
      assert(late.mark.seenAt < login.boundAt, 'the mark is dated after the login')
      assert.deepEqual(late.sessionIds, [])
      assert.equal(await scene.isDead(login.sessionId), false)
      assert.deepEqual((await scene.begin(bySub(login))).sessionIds, [login.sessionId])
    },
  ],
  [
    'begin: without a jti each logout has its own dates',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const first = await scene.begin(target)
      const second = await scene.begin(target, { issuedAt: LOGIN + 200 })
      assert.equal(second.mark.issuedAt, LOGIN + 200)
      assert(second.mark.seenAt > first.mark.seenAt)
    },
  ],
  [
    'begin: of a completed jti is a replay, and nothing happens',
    async (scene) => {
      const jti = await scene.jti()
      const binding = await scene.bound()
      await scene.begin({ scope: 'sub', key: scene.key() }, { jti })
      await scene.store.complete({ jti, destroyedIds: [], done: true })
      const replay = await scene.store.begin(await scene.logout(bySub(binding), { jti, issuedAt: LOGIN + 9000 }))
      assert.deepEqual(replay, { replayed: true })
      await scene.assertUntouched(binding)
    },
  ],
  [
    'begin: the same logout under another jti is no replay',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const jti = await scene.jti()
      await scene.begin(target, { jti })
      await scene.store.complete({ jti, destroyedIds: [], done: true })
      await scene.begin(target, { jti: await scene.jti() })
    },
  ],
]

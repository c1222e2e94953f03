// Cases about marks of one target: they stand side by side, and each logout ends what its own mark covers.
import assert from 'node:assert/strict'
import type { TargetKey } from '../../marks/target.js'
import { assertSameDates, assertSameMarks } from './comparisons.js'
import { bySid, bySub, type Case, LOGIN } from './scene.js'

export const MARK_CASES: readonly Case[] = [
  [
    'marks: one that covers all that another covers takes its place, with the later expiry',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const long = await scene.in(9000)
      await scene.begin(target, { issuedAt: LOGIN + 10, marksExpireAt: long })
      const tie = await scene.begin(target, { issuedAt: LOGIN + 10 })
      assertSameMarks((await scene.store.marks([target.key])).marks, [{ ...tie.mark, expiresAt: long }])
      const newer = await scene.begin(target, { issuedAt: LOGIN + 20 })
      assertSameMarks((await scene.store.marks([target.key])).marks, [{ ...newer.mark, expiresAt: long }])
    },
  ],
  [
    'marks: one that another covers entirely is not kept, and lends it its expiry',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const wide = await scene.begin(target, { issuedAt: LOGIN + 10 })
      const long = await scene.in(9000)
      await scene.begin(target, { issuedAt: LOGIN, seenSecondsAgo: 100, marksExpireAt: long })
      assertSameMarks((await scene.store.marks([target.key])).marks, [{ ...wide.mark, expiresAt: long }])
    },
  ],
  [
    'marks: of two that neither covers all of the other, both are kept, each with its own dates',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const first = await scene.begin(target, { issuedAt: LOGIN + 2 })
      const second = await scene.begin(target, { issuedAt: LOGIN + 1 })
      assert.equal(second.mark.issuedAt, LOGIN + 1)
      assert(second.mark.seenAt > first.mark.seenAt, 'a later mark took the arrival of an earlier one')
      assertSameMarks((await scene.store.marks([target.key])).marks, [first.mark, second.mark])
    },
  ],
  [
    'marks: a logout by a machine whose clock is behind ends the login made after one by a machine that is ahead',
    async (scene) => {
      const login = await scene.login({ issuedAt: LOGIN + 3 })
      await scene.begin(bySub(login), { issuedAt: LOGIN + 2 })
      const { binding, marks } = await scene.store.bind(login)
      assert.equal(marks.length, 1)
      assert.equal(await scene.isDead(login.sessionId), false)
      const second = await scene.begin(bySub(login), { issuedAt: LOGIN + 1 })
      assert.deepEqual(second.sessionIds, [binding.sessionId])
      assert.equal((await scene.store.read(login.sessionId)).ended, true)
    },
  ],
  [
    'marks: a late, older token does not date an earlier mark by its own arrival',
    async (scene) => {
      const login = await scene.login({ issuedAt: LOGIN + 13 })
      await scene.begin(bySub(login), { issuedAt: LOGIN + 10 })
      const { binding } = await scene.store.bind(login)
      const late = await scene.begin(bySub(login), { issuedAt: LOGIN })
      assert.deepEqual(late.sessionIds, [], 'the larger of each date covers what neither mark covers')
      assert.equal((await scene.store.read(binding.sessionId)).ended, false)
      assert.equal(await scene.isDead(binding.sessionId), false)
    },
  ],
  [
    "marks: one without a Logout Token has no date of the OP, and takes no other mark's place nor gives up its own",
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const dated = await scene.begin(target)
      const undated = await scene.begin(target, { issuedAt: undefined })
      assert.equal(undated.mark.issuedAt, undefined)
      assertSameMarks((await scene.store.marks([target.key])).marks, [dated.mark, undated.mark])
      const again = await scene.begin(target)
      assertSameMarks((await scene.store.marks([target.key])).marks, [again.mark, undated.mark])
    },
  ],
  [
    'marks: a logout without a Logout Token ends what was bound by then, and nothing that was bound after it',
    async (scene) => {
      const before = await scene.bound({ issuedAt: LOGIN + 9000 })
      const begun = await scene.begin(bySub(before), { issuedAt: undefined })
      assert.deepEqual(begun.sessionIds, [before.sessionId])
      const after = await scene.bound({ subKey: before.subKey, issuedAt: LOGIN - 9000 })
      assert.equal(await scene.isDead(after.sessionId), false)
      assert.equal(await scene.isDead(before.sessionId), true)
    },
  ],
  [
    'marks: a jti of a logout without a date keeps its first dates as well',
    async (scene) => {
      const jti = await scene.jti()
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const first = await scene.begin(target, { jti, issuedAt: undefined })
      assertSameDates((await scene.begin(target, { jti, issuedAt: undefined })).mark, first.mark)
    },
  ],
  [
    'marks: of one sid, marks that name different subs, or none, stand side by side',
    async (scene) => {
      const login = await scene.login()
      const named = await scene.begin(bySid(login, login.subKey))
      const foreign = await scene.begin(bySid(login, scene.key()), { issuedAt: LOGIN + 500 })
      const open = await scene.begin(bySid(login), { issuedAt: LOGIN + 50 })
      const { marks } = await scene.store.marks([login.sidKey ?? ''])
      assertSameMarks(marks, [named.mark, foreign.mark, open.mark])
    },
  ],
]

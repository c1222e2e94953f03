// Cases of `read` and `marks`: what is known of a session, and which marks stand under a key.
import assert from 'node:assert/strict'
import type { TargetKey } from '../../marks/target.js'
import { assertSameMarks, assertState } from './comparisons.js'
import { bySid, bySub, type Case, LOGIN } from './scene.js'

export const READ_CASES: readonly Case[] = [
  [
    'read: of an unknown session id nothing is known',
    async (scene) => {
      assertState(await scene.store.read(scene.sessionId()), { ended: false, marks: [] })
    },
  ],
  [
    'read: an ended session without a binding has no marks to judge',
    async (scene) => {
      const binding = await scene.bound()
      await scene.begin(bySub(binding))
      await scene.store.unbind([binding.sessionId])
      assertState(await scene.store.read(binding.sessionId), { ended: true, marks: [] })
    },
  ],
  [
    'read: session ids that differ in one character are two sessions',
    async (scene) => {
      const one = await scene.bound()
      const two = await scene.bound({ sessionId: `${one.sessionId} ` })
      await scene.begin(bySid(one))
      await scene.assertUntouched(two)
    },
  ],
  [
    'marks: returns the live marks under these keys and no others, and the store clock',
    async (scene) => {
      const binding = await scene.bound({ tokenKeys: [scene.key(), scene.key()] })
      const other = await scene.bound({ tokenKeys: [scene.key()] })
      const { mark, tokenKeys } = await scene.begin(bySub(binding))
      await scene.begin(bySub(other))
      const found = await scene.store.marks([scene.key(), binding.subKey, tokenKeys[0] ?? ''])
      assert(Math.abs(found.now - (await scene.in(0))) < 1, 'now is not the store clock')
      assert.equal(found.marks.length, 2)
      assertSameMarks(
        found.marks.filter((each) => each.scope === 'sub'),
        [mark],
      )
      const token = found.marks.find((each) => each.scope === 'token')
      assert(token !== undefined)
      assert.deepEqual(
        { key: token.key, issuedAt: token.issuedAt, seenAt: token.seenAt },
        { key: tokenKeys[0], issuedAt: mark.issuedAt, seenAt: mark.seenAt },
      )
    },
  ],
  [
    'marks: no keys, no marks',
    async (scene) => {
      assert.deepEqual((await scene.store.marks([])).marks, [])
      assert.deepEqual((await scene.store.marks([scene.key()])).marks, [])
    },
  ],
  [
    'marks: two marks of one target merge whole to the one with the greater (issuedAt, seenAt), with the later expiry',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const first = await scene.begin(target, { issuedAt: LOGIN + 10, marksExpireAt: await scene.in(9000) })
      const older = await scene.begin(target, { issuedAt: LOGIN })
      assertSameMarks([older.mark], [first.mark])
      const tie = await scene.begin(target, { issuedAt: LOGIN + 10 })
      assert(tie.mark.seenAt > first.mark.seenAt, 'of equal dates the later seen was not kept')
      assert.equal(tie.mark.expiresAt, first.mark.expiresAt)
      const newer = await scene.begin(target, { issuedAt: LOGIN + 20 })
      assert.equal(newer.mark.issuedAt, LOGIN + 20)
      assert(newer.mark.seenAt > tie.mark.seenAt)
      assert.equal(newer.mark.expiresAt, first.mark.expiresAt, 'merging shortened the expiry')
      assertSameMarks((await scene.store.marks([target.key])).marks, [newer.mark])
    },
  ],
  [
    'marks: a late, older token does not date its mark by its own arrival',
    async (scene) => {
      const login = await scene.login({ issuedAt: LOGIN + 30 })
      await scene.begin(bySub(login), { issuedAt: LOGIN + 10 })
      const { binding } = await scene.store.bind(login)
      const late = await scene.begin(bySub(login), { issuedAt: LOGIN })
      assert.deepEqual(late.sessionIds, [], 'the larger of each date covers what neither mark covers')
      assert.equal((await scene.store.read(binding.sessionId)).ended, false)
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

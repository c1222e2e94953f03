// Cases of `read` and `marks`: what is known of a session, and which marks are under a key.
import assert from 'node:assert/strict'
import { assertSameMarks, assertState } from './comparisons.js'
import { bySid, bySub, type Case, SOON } from './scene.js'

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
    'isBound: whether a session is bound under a sid or a sub, and that leaves nothing behind',
    async (scene) => {
      const binding = await scene.bound()
      const { subKey, sidKey = '' } = binding
      assert.deepEqual([await scene.store.isBound(subKey), await scene.store.isBound(sidKey)], [true, true])
      assert.equal(await scene.store.isBound(scene.key()), false)
      await scene.assertUntouched(binding)
      await scene.store.rebind(binding.sessionId, `${binding.sessionId} moved`, await scene.in(3600))
      assert.equal(await scene.store.isBound(sidKey), true)
      await scene.store.unbind([`${binding.sessionId} moved`])
      assert.deepEqual([await scene.store.isBound(subKey), await scene.store.isBound(sidKey)], [false, false])
    },
  ],
  [
    'isBound: among many sessions, keys that begin alike and bindings that expired',
    async (scene) => {
      const subKey = scene.key()
      for (let i = 0; i < 2; i++) {
        await Promise.all(Array.from({ length: 300 }, () => scene.bound({ subKey })))
      }
      assert.equal(await scene.store.isBound(subKey), true)
      assert.equal(await scene.store.isBound(`${subKey.slice(0, -1)}~`), false)
      const soon = await scene.in(SOON)
      const { sidKey = '' } = await scene.bound({ expiresAt: soon })
      await scene.waitUntilAfter(soon)
      assert.equal(await scene.store.isBound(sidKey), false)
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
]

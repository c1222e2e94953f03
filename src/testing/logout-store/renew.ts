// Cases of `renew` and `addTokens`: what a binding takes on later.
import assert from 'node:assert/strict'
import { assertSameMarks, assertState, sorted } from './comparisons.js'
import { bySid, bySub, type Case, SOON } from './scene.js'

export const RENEW_CASES: readonly Case[] = [
  [
    'renew: moves the expiry later and never earlier, and no other date',
    async (scene) => {
      const binding = await scene.bound()
      await scene.store.renew(binding.sessionId, binding.expiresAt - 1000)
      await scene.assertUntouched(binding)
      await scene.store.renew(binding.sessionId, binding.expiresAt + 1000)
      await scene.assertUntouched({ ...binding, expiresAt: binding.expiresAt + 1000 })
    },
  ],
  [
    'renew: a renewed session is found after its first expiry, with its tokens',
    async (scene) => {
      const expiresAt = await scene.in(SOON)
      const binding = await scene.bound({ expiresAt, tokenKeys: [scene.key()] })
      await scene.store.renew(binding.sessionId, await scene.in(3600))
      await scene.waitUntilAfter(expiresAt + 0.01)
      const begun = await scene.begin(bySid(binding))
      assert.deepEqual(begun.sessionIds, [binding.sessionId])
      assert.equal(begun.tokenKeys.length, 1)
    },
  ],
  [
    'renew, addTokens, unbind: unknown ids are ignored',
    async (scene) => {
      const sessionId = scene.sessionId()
      const nothing = { ended: false, marks: [] }
      await scene.store.renew(sessionId, await scene.in(3600))
      assertState(await scene.store.addTokens(sessionId, [scene.key()]), nothing)
      await scene.store.unbind([sessionId])
      assertState(await scene.store.read(sessionId), nothing)
    },
  ],
  [
    'addTokens: the tokens are marked with their session, each once, and the state is returned',
    async (scene) => {
      const [first, second] = [scene.key(), scene.key()]
      const binding = await scene.bound({ tokenKeys: [first] })
      const state = await scene.store.addTokens(binding.sessionId, [first, second])
      assertState(state, { ended: false, binding, marks: [] })
      assert.deepEqual(sorted((await scene.begin(bySid(binding))).tokenKeys), sorted([first, second]))
      assert.equal((await scene.store.marks([first, second])).marks.length, 2)
    },
  ],
  [
    'addTokens: what stands against the session is read after the tokens are written',
    async (scene) => {
      const binding = await scene.bound()
      const { mark } = await scene.begin(bySub(binding))
      const state = await scene.store.addTokens(binding.sessionId, [scene.key()])
      assert.equal(state.ended, true)
      assertSameMarks(state.marks, [mark])
    },
  ],
]

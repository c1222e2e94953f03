// Cases of `complete`: what a logout leaves when it is done, wholly or as far as it came.
import assert from 'node:assert/strict'
import { assertState } from './comparisons.js'
import { bySub, type Case } from './scene.js'

export const COMPLETE_CASES: readonly Case[] = [
  [
    'complete: unbinds what was destroyed and keeps the session marks',
    async (scene) => {
      const [one, bystander] = [await scene.bound(), await scene.bound()]
      const jti = await scene.jti()
      await scene.begin(bySub(one), { jti })
      for (let i = 0; i < 2; i++) {
        await scene.store.complete({ jti, destroyedIds: [one.sessionId], done: true })
        assertState(await scene.store.read(one.sessionId), { ended: true, marks: [] })
      }
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'complete: as far as it came remembers no jti; wholly does, in one look-up with it or without',
    async (scene) => {
      const binding = await scene.bound()
      const jti = await scene.jti()
      await scene.begin(bySub(binding), { jti })
      await scene.store.complete({ jti, destroyedIds: [], done: false })
      assert.deepEqual((await scene.begin(bySub(binding), { jti })).sessionIds, [binding.sessionId])
      await scene.store.complete({ jti, destroyedIds: [binding.sessionId], done: true })
      assert.equal((await scene.store.begin(await scene.logout(bySub(binding), { jti }))).replayed, true)
      await scene.store.complete({ destroyedIds: [], done: true })
    },
  ],
]

// Cases of `complete`: what a logout leaves when it is done, wholly or as far as it came.
import assert from 'node:assert/strict'
import { assertSameDates, assertState } from './comparisons.js'
import { bySub, type Case, LOGIN } from './scene.js'

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
  [
    'complete: not done reopens a jti that was completed before, with its first dates; done closes it again',
    async (scene) => {
      const other = await scene.another()
      const jti = await scene.jti()
      const login = await scene.bound()
      const first = await scene.begin(bySub(login), { jti })
      await scene.store.complete({ jti, destroyedIds: [login.sessionId], done: true })
      await other.complete({ jti, destroyedIds: [], done: false })
      const between = await scene.bound({ subKey: login.subKey, issuedAt: LOGIN + 101 })
      const retry = await scene.begin(bySub(login), { jti, issuedAt: LOGIN + 100 })
      assertSameDates(retry.mark, first.mark)
      assert.equal(await scene.isDead(between.sessionId), false)
      await scene.store.complete({ jti, destroyedIds: [], done: true })
      assert.equal((await scene.store.begin(await scene.logout(bySub(login), { jti }))).replayed, true)
    },
  ],
  [
    'complete: a jti that the store has finished by itself is reopened as well',
    async (scene) => {
      const jti = await scene.jti()
      const target = bySub({ subKey: scene.key() })
      assert.equal((await scene.begin(target, { jti, mayDestroy: true })).finished, true)
      await scene.store.complete({ jti, destroyedIds: [], done: false })
      await scene.begin(target, { jti })
    },
  ],
  [
    'complete: of a jti that was never opened, not done leaves nothing behind',
    async (scene) => {
      const jti = await scene.jti()
      await scene.store.complete({ jti, destroyedIds: [], done: false })
      const { mark } = await scene.begin(bySub({ subKey: scene.key() }), { jti })
      assert(Math.abs(mark.seenAt - (await scene.in(0))) < 1)
    },
  ],
]

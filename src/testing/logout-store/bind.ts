// Cases of `bind`: a login is written, dated by the store, and told what stands against it.
import assert from 'node:assert/strict'
import { assertSameMarks, assertState, plainBinding, sorted } from './comparisons.js'
import { bySid, bySub, type Case, LOGIN, SOON } from './scene.js'

export const BIND_CASES: readonly Case[] = [
  [
    'bind: writes the binding, dated by the store clock, and read finds it as it was written',
    async (scene) => {
      const login = await scene.login()
      const before = await scene.in(0)
      const { binding, ended, marks, now } = await scene.store.bind(login)
      const after = await scene.in(0)
      assert(binding.boundAt >= before - 0.001 && binding.boundAt <= after + 0.001, 'boundAt is not the store clock')
      assert.deepEqual(plainBinding(binding), plainBinding({ ...login, boundAt: binding.boundAt }))
      assert(now >= before - 0.001 && now <= after + 0.001, 'now is not the store clock')
      assert.deepEqual({ ended, marks }, { ended: false, marks: [] })
      assertState(await scene.store.read(login.sessionId), { ended: false, binding, marks: [] })
    },
  ],
  [
    'bind: a sign-on without sid or without a date is kept as such',
    async (scene) => {
      const binding = await scene.bound({ sidKey: undefined, issuedAt: undefined })
      assert.equal(binding.sidKey, undefined)
      assert.equal(binding.issuedAt, undefined)
      const { binding: found } = await scene.store.read(binding.sessionId)
      assert.equal(found?.sidKey, undefined)
      assert.equal(found?.issuedAt, undefined)
      assert.deepEqual((await scene.begin(bySub(binding))).sessionIds, [binding.sessionId])
    },
  ],
  [
    'bind: fractions of a second survive',
    async (scene) => {
      const expiresAt = Math.floor(await scene.in(3600)) + 0.25
      const startedAt = Math.floor(await scene.in(-60)) + 0.375
      const binding = await scene.bound({ issuedAt: LOGIN + 0.125, startedAt, expiresAt })
      await scene.assertUntouched(binding)
      assert.equal(binding.startedAt, startedAt)
      assert.equal(binding.issuedAt, LOGIN + 0.125)
      assert.equal(binding.expiresAt, expiresAt)
    },
  ],
  [
    'bind: replaces an older binding of the same session id, in every index',
    async (scene) => {
      const older = await scene.bound({ tokenKeys: [scene.key()] })
      const newer = await scene.bound({ sessionId: older.sessionId })
      assertState(await scene.store.read(older.sessionId), { ended: false, binding: newer, marks: [] })
      assert.deepEqual((await scene.begin(bySub(older))).sessionIds, [], 'still found under the older sub')
      assert.deepEqual((await scene.begin(bySid(older))).sessionIds, [], 'still found under the older sid')
      assert.equal((await scene.store.read(older.sessionId)).ended, false, 'the newer sign-on was ended with the older')
      const begun = await scene.begin(bySub(newer))
      assert.deepEqual(begun.sessionIds, [newer.sessionId])
      assert.deepEqual(begun.tokenKeys, [], 'tokens of the older sign-on went with the newer')
    },
  ],
  [
    'bind: a second login of the same sign-on keeps the tokens of the first',
    async (scene) => {
      const [first, second] = [scene.key(), scene.key()]
      const login = await scene.login({ tokenKeys: [first] })
      const soon = await scene.in(SOON)
      await scene.store.bind({ ...login, expiresAt: soon })
      const expiresAt = await scene.in(3600)
      await scene.store.bind({ ...login, tokenKeys: [second], expiresAt })
      await scene.store.bind({ ...login, tokenKeys: [], expiresAt })
      await scene.waitUntilAfter(soon + 0.01)
      assert.deepEqual(sorted((await scene.begin(bySid(login))).tokenKeys), sorted([first, second]))
    },
  ],
  [
    'bind: twice the same sign-on is one session, and can be replaced back and forth',
    async (scene) => {
      const first = await scene.login()
      await scene.store.bind(first)
      await scene.store.bind(first)
      await scene.bound({ sessionId: first.sessionId })
      await scene.store.bind(first)
      assert.deepEqual((await scene.begin(bySub(first))).sessionIds, [first.sessionId])
    },
  ],
  [
    'bind: returns the marks that stand against it, by sid and by sub, unjudged',
    async (scene) => {
      const login = await scene.login()
      const sid = (await scene.begin(bySid(login))).mark
      const narrowed = (await scene.begin(bySid(login, scene.key()))).mark
      const sub = (await scene.begin(bySub(login), { issuedAt: LOGIN - 5000 })).mark
      await scene.begin(bySub(await scene.login()))
      const { marks, ended } = await scene.store.bind(login)
      assert.equal(ended, false)
      assertSameMarks(marks, [sid, narrowed, sub])
      assertSameMarks((await scene.store.read(login.sessionId)).marks, [sid, narrowed, sub])
    },
  ],
  [
    'bind: a session id that was ended stays ended',
    async (scene) => {
      const first = await scene.bound()
      await scene.begin(bySid(first))
      const again = await scene.store.bind(await scene.login({ sessionId: first.sessionId }))
      assert.equal(again.ended, true)
      assert.equal((await scene.store.read(first.sessionId)).ended, true)
    },
  ],
  [
    'bind: a fresh login lifts an end that the session id only inherited',
    async (scene) => {
      const first = await scene.bound()
      await scene.begin(bySid(first))
      const to = scene.sessionId()
      assert.equal((await scene.store.rebind(first.sessionId, to, await scene.in(3600))).ended, true)
      const fresh = await scene.store.bind(await scene.login({ sessionId: to }))
      assert.equal(fresh.ended, false)
      assert.equal((await scene.store.read(to)).ended, false)
      assert.equal((await scene.store.read(first.sessionId)).ended, true)
    },
  ],
  [
    'bind: of two steps it is always known which came first',
    async (scene) => {
      const login = await scene.login({ issuedAt: LOGIN + 1 })
      for (let i = 0; i < 10; i++) {
        const earlier = await scene.store.bind({ ...login, sessionId: scene.sessionId() })
        const { mark } = await scene.begin(bySub(login), { issuedAt: LOGIN + i / 20 })
        const later = await scene.store.bind({ ...login, sessionId: scene.sessionId() })
        assert(earlier.binding.boundAt <= mark.seenAt, 'a login before the logout is dated after it')
        assert(later.binding.boundAt > mark.seenAt, 'a login after the logout is dated before it')
      }
    },
  ],
]

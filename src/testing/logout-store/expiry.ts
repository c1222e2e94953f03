// Cases about time: bindings, marks and completed jtis end by it, and each by its own.
import assert from 'node:assert/strict'
import type { TargetKey } from '../../marks/target.js'
import { assertSameDates, assertSameMarks, assertState } from './comparisons.js'
import { bySid, bySub, type Case, LOGIN, SOON } from './scene.js'

export const EXPIRY_CASES: readonly Case[] = [
  [
    'expiry: a binding ends by time, in every index',
    async (scene) => {
      const expiresAt = await scene.in(SOON)
      const binding = await scene.bound({ expiresAt, tokenKeys: [scene.key()] })
      const longer = await scene.bound({ subKey: binding.subKey })
      await scene.waitUntilAfter(expiresAt + 0.01)
      assertState(await scene.store.read(binding.sessionId), { ended: false, marks: [] })
      const begun = await scene.begin(bySub(binding))
      assert.deepEqual([begun.sessionIds, begun.tokenKeys, begun.mismatched], [[longer.sessionId], [], 0])
      assert.equal((await scene.store.read(binding.sessionId)).ended, false)
    },
  ],
  [
    'expiry: a binding that ended by time is not carried on and not renewed',
    async (scene) => {
      const expiresAt = await scene.in(SOON)
      const binding = await scene.bound({ expiresAt })
      await scene.waitUntilAfter(expiresAt + 0.01)
      await scene.store.renew(binding.sessionId, await scene.in(3600))
      const to = scene.sessionId()
      assertState(await scene.store.rebind(binding.sessionId, to, await scene.in(3600)), {
        ended: false,
        marks: [],
      })
      assertState(await scene.store.read(binding.sessionId), { ended: false, marks: [] })
    },
  ],
  [
    'expiry: marks end by time, each by its own',
    async (scene) => {
      const login = await scene.login()
      const expiresAt = await scene.in(SOON)
      await scene.begin(bySid(login), { marksExpireAt: expiresAt })
      await scene.begin(bySub(login), { marksExpireAt: expiresAt })
      const kept = await scene.begin(bySid(login, scene.key()))
      await scene.waitUntilAfter(expiresAt + 0.01)
      assertSameMarks((await scene.store.bind(login)).marks, [kept.mark])
      assertSameMarks((await scene.store.marks([login.sidKey ?? '', login.subKey])).marks, [kept.mark])
    },
  ],
  [
    'expiry: a mark that ended by time has no say in the next one',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const expiresAt = await scene.in(SOON)
      await scene.begin(target, { issuedAt: LOGIN + 900, marksExpireAt: expiresAt })
      await scene.waitUntilAfter(expiresAt + 0.01)
      assert.equal((await scene.begin(target, { issuedAt: LOGIN })).mark.issuedAt, LOGIN)
    },
  ],
  [
    'expiry: session marks end by time, and never earlier than promised before',
    async (scene) => {
      const [short, long] = [scene.sessionId(), scene.sessionId()]
      const soon = await scene.in(SOON)
      await scene.store.endSessions([long], await scene.in(3600))
      await scene.store.endSessions([short, long], soon)
      assert.equal((await scene.store.read(short)).ended, true)
      await scene.waitUntilAfter(soon + 0.01)
      assert.equal((await scene.store.read(short)).ended, false)
      assert.equal((await scene.store.read(long)).ended, true)
    },
  ],
  [
    'expiry: a completed jti is remembered well past its token, and so are the dates of one that was opened',
    async (scene) => {
      const jtis = [
        await scene.jti({ expiresAt: await scene.in(SOON) }),
        await scene.jti({ expiresAt: await scene.in(-3600) }),
      ]
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const [done, open] = [jtis[0] ?? assert.fail(), jtis[1] ?? assert.fail()]
      await scene.begin(target, { jti: done })
      await scene.store.complete({ jti: done, destroyedIds: [], done: true })
      const first = await scene.begin(target, { jti: open })
      await scene.waitUntilAfter(done.expiresAt + 0.01)
      assert.equal((await scene.store.begin(await scene.logout(target, { jti: done }))).replayed, true)
      assertSameDates((await scene.begin(target, { jti: open, issuedAt: LOGIN + 900 })).mark, first.mark)
    },
  ],
]

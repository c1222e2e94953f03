// Cases about sign-ons that were made without a `sid`: a logout by `sid` with a `sub` cannot tell which of them it
// means.
import assert from 'node:assert/strict'
import { assertSameMarks, sorted } from './comparisons.js'
import { bySid, bySub, type Case, LOGIN } from './scene.js'

export const WITHOUT_SID_CASES: readonly Case[] = [
  [
    'without sid: a logout by sid and sub ends the sessions of that subject that have no sid, and says how many',
    async (scene) => {
      const named = await scene.bound()
      const { subKey } = named
      const nameless = await scene.bound({ subKey, sidKey: undefined, tokenKeys: [scene.key()] })
      const otherSid = await scene.bound({ subKey })
      const otherSub = await scene.bound({ sidKey: undefined })
      const begun = await scene.begin(bySid(named, subKey))
      assert.deepEqual(sorted(begun.sessionIds), sorted([named.sessionId, nameless.sessionId]))
      assert.deepEqual([begun.withoutSid, begun.mismatched, begun.tokenKeys.length], [1, 0, 1])
      assert.equal((await scene.store.read(nameless.sessionId)).ended, true)
      assert.equal(await scene.isDead(otherSid.sessionId), false)
      await scene.assertUntouched(otherSub)
    },
  ],
  [
    'without sid: where the logout names no sub, nobody else is ended',
    async (scene) => {
      const named = await scene.bound()
      const nameless = await scene.bound({ subKey: named.subKey, sidKey: undefined })
      const begun = await scene.begin(bySid(named))
      assert.deepEqual([begun.sessionIds, begun.withoutSid], [[named.sessionId], 0])
      await scene.assertUntouched(nameless)
    },
  ],
  [
    'without sid: of a logout by sub they are sessions like any other',
    async (scene) => {
      const nameless = await scene.bound({ sidKey: undefined })
      const begun = await scene.begin(bySub(nameless))
      assert.deepEqual([begun.sessionIds, begun.withoutSid], [[nameless.sessionId], 0])
    },
  ],
  [
    'without sid: the mark ends also the login that is bound after it, if that is older',
    async (scene) => {
      const login = await scene.login({ sidKey: undefined })
      const { mark } = await scene.begin({ scope: 'sid', key: scene.key(), subKey: login.subKey })
      const { marks } = await scene.store.bind(login)
      const { issuedAt, seenAt, expiresAt } = mark
      const standing = { scope: 'sidless', key: login.subKey, issuedAt, seenAt, expiresAt } as const
      assertSameMarks(marks, [standing])
      assert.equal(await scene.isDead(login.sessionId), true)
      const named = await scene.bound({ subKey: login.subKey })
      assert.equal(await scene.isDead(named.sessionId), false)
    },
  ],
  [
    'without sid: a later login lives, also one that would still be under way for the sid',
    async (scene) => {
      const login = await scene.login({ sidKey: undefined, issuedAt: LOGIN + 101 })
      await scene.begin({ scope: 'sid', key: scene.key(), subKey: login.subKey })
      await scene.store.bind(login)
      assert.equal(await scene.isDead(login.sessionId), false)
    },
  ],
  [
    'without sid: a session that gets a sid by a second login is found by that, and by the lack of it no more',
    async (scene) => {
      const nameless = await scene.bound({ sidKey: undefined })
      const sidKey = scene.key()
      const named = await scene.bound({ sessionId: nameless.sessionId, subKey: nameless.subKey, sidKey })
      const other = await scene.begin({ scope: 'sid', key: scene.key(), subKey: named.subKey })
      assert.deepEqual([other.sessionIds, other.withoutSid], [[], 0])
      assert.deepEqual((await scene.begin(bySid(named))).sessionIds, [named.sessionId])
    },
  ],
  [
    'without sid: a session id that moved, was renewed or unbound is found where it is',
    async (scene) => {
      const from = await scene.bound({ sidKey: undefined })
      const to = scene.sessionId()
      await scene.store.rebind(from.sessionId, to, from.expiresAt)
      await scene.store.renew(to, from.expiresAt + 100)
      const gone = await scene.bound({ subKey: from.subKey, sidKey: undefined })
      await scene.store.unbind([gone.sessionId])
      const begun = await scene.begin({ scope: 'sid', key: scene.key(), subKey: from.subKey })
      assert.deepEqual([begun.sessionIds, begun.withoutSid], [[to], 1])
    },
  ],
]

// Cases about sign-ons that end by themselves: their end goes wherever they go, and nothing prolongs it.
import assert from 'node:assert/strict'
import type { Binding } from '../../stores/logout-store.js'
import { bySid, bySub, type Case, type Scene } from './scene.js'

export const LIMIT_CASES: readonly Case[] = [
  [
    'limits: the end and the idle time of a sign-on are told with its binding, and go with it to a new session id',
    async (scene) => {
      const limits = { endsAt: await scene.in(1800.25), idleSeconds: 600 }
      const bound = await scene.bound({ ...limits, startedAt: await scene.in(-30) })
      assertLimits(bound, limits)
      assertLimits(await read(scene, bound.sessionId), limits)
      const to = scene.sessionId()
      assertLimits((await scene.store.rebind(bound.sessionId, to, bound.expiresAt)).binding, limits)
      await scene.store.renew(to, bound.expiresAt + 500)
      assertLimits((await scene.store.addTokens(to, [scene.key()])).binding, limits)
      assertLimits(await read(scene, to), limits)
    },
  ],
  [
    'limits: a sign-on without any has none, and each of them may stand alone',
    async (scene) => {
      for (const limits of [{}, { endsAt: await scene.in(60) }, { idleSeconds: 60 }]) {
        const { sessionId } = await scene.bound({ ...limits, issuedAt: undefined })
        assertLimits(await read(scene, sessionId), limits)
      }
    },
  ],
  [
    'limits: of a sign-on that is bound once more the earlier end stands, whichever of both it is',
    async (scene) => {
      const login = await scene.login({ endsAt: await scene.in(600) })
      await scene.store.bind(login)
      for (const endsAt of [undefined, await scene.in(6000)]) {
        const { binding } = await scene.store.bind({ ...login, endsAt })
        assertLimits(binding, { endsAt: login.endsAt })
        assertLimits(await read(scene, login.sessionId), { endsAt: login.endsAt })
      }
      const earlier = { endsAt: await scene.in(60) }
      assertLimits((await scene.store.bind({ ...login, ...earlier })).binding, earlier)
    },
  ],
  [
    'limits: of a sign-on that two nodes bind at the same time the earliest end stands, be it long over',
    async (scene) => {
      const nodes = [scene.store, await scene.another()]
      for (let round = 0; round < 10; round++) {
        const login = await scene.login({ sidKey: undefined, issuedAt: undefined })
        const ends = [-1_800_000_000.25, -1_800_000_001.125, -1_800_000_000, -1_700_000_000.5]
        await Promise.all(ends.map((endsAt, i) => nodes[i % 2]?.bind({ ...login, endsAt })))
        assertLimits(await read(scene, login.sessionId), { endsAt: -1_800_000_001.125 })
      }
    },
  ],
  [
    'limits: a login that was begun after the older one was bound has its own end, and so has another sign-on',
    async (scene) => {
      const older = await scene.bound({ endsAt: await scene.in(60) })
      const endsAt = await scene.in(6000)
      const login = { ...(await scene.login()), sessionId: older.sessionId, endsAt }
      const before = { ...login, subKey: older.subKey, sidKey: older.sidKey, startedAt: older.boundAt - 1 }
      assertLimits((await scene.store.bind(before)).binding, { endsAt: older.endsAt })
      const { now } = await scene.store.marks([])
      assertLimits((await scene.store.bind({ ...before, startedAt: now + 1 })).binding, { endsAt })
      assertLimits((await scene.store.bind({ ...login, endsAt: undefined })).binding, {})
    },
  ],
  [
    'limits: a sign-on that is over is still found by a logout, with its dates judged as those of any other',
    async (scene) => {
      const over = await scene.bound({ endsAt: await scene.in(-1), startedAt: await scene.in(-30) })
      const begun = await scene.begin(bySub(over))
      assert.deepEqual(begun.sessionIds, [over.sessionId])
      const later = await scene.bound({
        subKey: over.subKey,
        startedAt: begun.mark.seenAt + 1,
        endsAt: await scene.in(60),
      })
      assert.equal(await scene.isDead(later.sessionId), false)
      assert.deepEqual((await scene.begin(bySid(later))).sessionIds, [])
    },
  ],
]

async function read(scene: Scene, sessionId: string): Promise<Binding | undefined> {
  return (await (await scene.another()).read(sessionId)).binding
}

function assertLimits(
  binding: Binding | undefined,
  { endsAt, idleSeconds }: { readonly endsAt?: number | undefined; readonly idleSeconds?: number | undefined },
): void {
  assert.deepEqual([binding?.endsAt, binding?.idleSeconds], [endsAt, idleSeconds])
}

// Cases of `list`: the sessions of a target, by its index, a page at a time.
import assert from 'node:assert/strict'
import type { TargetKey } from '../../marks/target.js'
import { bySid, bySub, type Case, type Scene } from './scene.js'

/** More than one page of any store, and few enough to be bound in a moment. */
const MANY = 1300

export const LIST_CASES: readonly Case[] = [
  [
    'list: the sessions of a sub and of a sid, with what was kept with each, and nobody else',
    async (scene) => {
      const phone = await scene.login({ about: '{"label":"phone / ü "}' })
      const laptop = await scene.login({ subKey: phone.subKey })
      for (const login of [phone, laptop, await scene.login(), await scene.login({ about: 'x' })]) {
        await scene.store.bind(login)
      }
      const listed = { [phone.sessionId]: phone.about, [laptop.sessionId]: undefined }
      assert.deepEqual(await listedUnder(scene, bySub(phone)), listed)
      assert.deepEqual(await listedUnder(scene, bySid(phone)), { [phone.sessionId]: phone.about })
      assert.deepEqual(await listedUnder(scene, { scope: 'sub', key: scene.key() }), {})
    },
  ],
  [
    'list: a session is listed under the id that it has now, once, with what was kept with it; not when it is unbound',
    async (scene) => {
      const bound = await scene.bound({ about: 'first', endsAt: await scene.in(60) })
      await scene.store.bind({ ...bound, about: 'second' })
      const to = scene.sessionId()
      await scene.store.rebind(bound.sessionId, to, bound.expiresAt)
      await scene.store.renew(to, bound.expiresAt + 100)
      await scene.store.addTokens(to, [scene.key()])
      assert.deepEqual(await listedUnder(scene, bySub(bound)), { [to]: 'second' })
      await scene.store.unbind([to])
      assert.deepEqual(await listedUnder(scene, bySub(bound)), {})
    },
  ],
  [
    'list: a session whose id changes at the same time is named by the id that it leaves or by the one that it gets',
    async (scene) => {
      for (let i = 0; i < 10; i++) {
        const bound = await scene.bound()
        const to = scene.sessionId()
        const [listed] = await Promise.all([
          listedUnder(scene, bySub(bound)),
          scene.store.rebind(bound.sessionId, to, bound.expiresAt),
        ])
        const named = Object.keys(listed)
        assert(named.includes(bound.sessionId) || named.includes(to), 'the session was in no list')
      }
    },
  ],
  [
    'list: neither a session without a sid, nor one that no sid finds, is missing under its sub',
    async (scene) => {
      const without = await scene.bound({ sidKey: undefined, issuedAt: undefined })
      const other = await scene.bound({ subKey: without.subKey })
      assert.deepEqual(Object.keys(await listedUnder(scene, bySub(without))).sort(), ids([without, other]))
      assert.deepEqual(Object.keys(await listedUnder(scene, bySid(other, other.subKey))), [other.sessionId])
    },
  ],
  [
    'list: many sessions come in pages of bounded size, nobody missing, whatever is bound and unbound meanwhile',
    async (scene) => {
      const login = await scene.login()
      const all = Array.from({ length: MANY }, () => scene.sessionId())
      for (let first = 0; first < MANY; first += 100) {
        await Promise.all(all.slice(first, first + 100).map((sessionId) => scene.store.bind({ ...login, sessionId })))
      }
      const listed: string[] = []
      let pages = 0
      let cursor: string | undefined
      do {
        const page = await scene.store.list(bySub(login), cursor)
        assert(page.sessions.length < MANY, 'all came in one page')
        listed.push(...page.sessions.map(({ sessionId }) => sessionId))
        await scene.store.bind(await scene.login({ subKey: login.subKey }))
        cursor = page.cursor
        assert(cursor === undefined || !listed.includes(cursor), 'the cursor is the id of a session')
      } while (cursor !== undefined && ++pages < MANY)
      const found = new Set(listed)
      assert.deepEqual(
        all.filter((id) => !found.has(id)),
        [],
      )
    },
  ],
]

async function listedUnder(scene: Scene, target: TargetKey): Promise<Readonly<Record<string, string | undefined>>> {
  const { sessions, cursor } = await scene.store.list(target)
  assert.equal(cursor, undefined)
  return Object.fromEntries(sessions.map(({ sessionId, about }) => [sessionId, about]))
}

function ids(bindings: readonly { readonly sessionId: string }[]): readonly string[] {
  return bindings.map(({ sessionId }) => sessionId).sort()
}

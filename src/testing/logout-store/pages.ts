// Cases about targets with many sessions: pages of bounded size, the mark before the first of them, and nobody
// forgotten.
import assert from 'node:assert/strict'
import type { TargetKey } from '../../marks/target.js'
import type { BeginLogout, NewBinding } from '../../stores/logout-store.js'
import { assertSameDates } from './comparisons.js'
import { type Begun, type Case, LOGIN, type Scene } from './scene.js'

/** More than any page holds, and few enough to be bound in a moment. */
const MANY = 2300

export const PAGE_CASES: readonly Case[] = [
  [
    'pages: of many sessions each page is of bounded size, each session is in one, and the mark was there before the first',
    async (scene) => {
      const { target, sessionIds } = await manySessions(scene)
      const jti = await scene.jti()
      const pages = await allPages(scene, target, { jti }, async (page) => {
        assert.equal((await scene.store.marks([target.key])).marks.length, 1)
        await scene.store.complete({ jti, destroyedIds: page.sessionIds, done: !page.more })
      })
      assert(pages.length > 1, 'so many sessions came in one page')
      for (const page of pages) assert(page.sessionIds.length <= MANY / 2, 'a page is as long as all of them')
      assertAll(pages, sessionIds)
      assert.equal(pages.flatMap((page) => page.sessionIds).length, MANY, 'a session that was destroyed came again')
      assert.equal((await scene.store.begin(await scene.logout(target, { jti }))).replayed, true)
    },
  ],
  [
    'pages: what could not be destroyed does not keep the next page back, and is found again by whoever begins anew',
    async (scene) => {
      const { target, sessionIds } = await manySessions(scene)
      const jti = await scene.jti()
      const close = () => scene.store.complete({ jti, destroyedIds: [], done: false })
      const pages = await allPages(scene, target, { jti }, close)
      assertAll(pages, sessionIds)
      const again = await allPages(scene, target, { jti }, close)
      assertAll(again, sessionIds)
    },
  ],
  [
    'pages: all have the dates of the first, so that a login made between two of them lives',
    async (scene) => {
      for (const jti of [undefined, await scene.jti()]) {
        const { target } = await manySessions(scene)
        const issuedAt = jti === undefined ? undefined : LOGIN + 100
        const between: string[] = []
        const pages = await allPages(scene, target, { jti, issuedAt }, async () => {
          const login = await scene.bound({ subKey: target.key, issuedAt: LOGIN + 101 })
          between.push(login.sessionId)
        })
        const [first] = pages
        for (const page of pages) assertSameDates(page.mark, (first ?? page).mark)
        const ended = new Set(pages.flatMap((page) => page.sessionIds))
        assert.deepEqual(
          between.filter((id) => ended.has(id)),
          [],
        )
        for (const id of between) assert.equal(await scene.isDead(id), false)
      }
    },
  ],
  [
    'pages: sessions without a sid come in pages as well',
    async (scene) => {
      const { target, sessionIds } = await manySessions(scene, { sidKey: undefined })
      const bySidOfAnother: TargetKey = { scope: 'sid', key: scene.key(), subKey: target.key }
      const pages = await allPages(scene, bySidOfAnother, {}, async () => {})
      assertAll(pages, sessionIds)
      assert.equal(
        pages.reduce((sum, page) => sum + page.withoutSid, 0),
        pages.reduce((sum, page) => sum + page.sessionIds.length, 0),
      )
    },
  ],
]

async function manySessions(scene: Scene, parts: Partial<NewBinding> = {}) {
  const subKey = scene.key()
  const login = await scene.login({ subKey, ...parts })
  const ids = Array.from({ length: MANY }, () => scene.sessionId())
  for (let first = 0; first < MANY; first += 100) {
    await Promise.all(ids.slice(first, first + 100).map((sessionId) => scene.store.bind({ ...login, sessionId })))
  }
  const target: TargetKey = { scope: 'sub', key: subKey }
  return { target, sessionIds: ids }
}

async function allPages(
  scene: Scene,
  target: TargetKey,
  parts: Partial<BeginLogout>,
  close: (page: Begun) => Promise<void>,
): Promise<readonly Begun[]> {
  const pages: Begun[] = []
  let cursor: string | undefined
  do {
    const page = await scene.begin(target, { ...parts, cursor })
    await close(page)
    assert.equal(
      page.cursor !== undefined,
      page.more,
      'there is more, and no cursor to go on from, or the other way round',
    )
    pages.push(page)
    cursor = page.cursor
    assert(pages.length <= MANY, 'the pages have no end')
  } while (cursor !== undefined)
  return pages
}

/** Each of them is in some page, and nobody else. */
function assertAll(pages: readonly Begun[], sessionIds: readonly string[]): void {
  const found = new Set(pages.flatMap((page) => page.sessionIds))
  const missing = sessionIds.filter((id) => !found.has(id)).length
  assert.deepEqual({ missing, found: found.size }, { missing: 0, found: sessionIds.length })
}

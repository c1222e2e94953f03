// The definition of the logout store port as runnable cases: a store is right if all of them pass. Knows no test runner
// and no store; of time it knows only the store's own clock.
import assert from 'node:assert/strict'
import { hash, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { covers, type Mark } from '../marks/covering.js'
import type { TargetKey } from '../marks/target.js'
import type {
  BeginLogout,
  BegunLogout,
  Binding,
  LogoutStore,
  NewBinding,
  SessionState,
} from '../stores/logout-store.js'

/** One store under test. Cases use keys and session ids of their own, so it may hold other data. */
export interface LogoutStoreUnderTest {
  readonly store: LogoutStore
  /** The store's clock, in epoch seconds. It must advance by itself: cases about expiry wait for it, some 0.1 s each. */
  now(): Promise<number>
  /** A second node on the same data. Absent where there can be none; the cases about two nodes then use one. */
  another?(): Promise<LogoutStore>
  dispose(): Promise<void> | void
}

export interface LogoutStoreContractOptions {
  /** A store for one case; called once for each. */
  create(): Promise<LogoutStoreUnderTest>
}

export interface LogoutStoreCase {
  readonly name: string
  /** Rejects with an `AssertionError` if the store breaks this promise of the port. */
  run(): Promise<void>
}

/**
 * The cases that define `LogoutStore`. Hand each to your test runner:
 *
 * `for (const { name, run } of logoutStoreContract({ create })) it(name, run)`
 */
export function logoutStoreContract(options: LogoutStoreContractOptions): readonly LogoutStoreCase[] {
  return CASES.map(([name, body]) => ({
    name,
    async run() {
      const underTest = await options.create()
      try {
        await body(new Scene(underTest))
      } finally {
        await underTest.dispose()
      }
    },
  }))
}

type Begun = Extract<BegunLogout, { readonly replayed: false }>
type Case = readonly [name: string, body: (scene: Scene) => Promise<void>]

const TOLERANCE = 60
/** An ID Token's `iat` in most cases: the OP's clock has nothing to do with the store's. */
const LOGIN = 1_700_000_000
/** How soon "soon" is: long enough to be alive for one case's first steps, short enough to be waited for. */
const SOON = 0.15

/** What one case works with: the store, names nobody else uses, and short forms of what it says most often. */
class Scene {
  readonly store: LogoutStore
  readonly #underTest: LogoutStoreUnderTest

  constructor(underTest: LogoutStoreUnderTest) {
    this.#underTest = underTest
    this.store = underTest.store
  }

  async another(): Promise<LogoutStore> {
    return (await this.#underTest.another?.()) ?? this.store
  }

  async in(seconds: number): Promise<number> {
    return (await this.#underTest.now()) + seconds
  }

  async waitUntilAfter(time: number): Promise<void> {
    while ((await this.#underTest.now()) <= time) await delay(10)
  }

  key(): string {
    return hash('sha256', randomUUID(), 'base64url')
  }

  sessionId(): string {
    return `${randomUUID()}~ü`
  }

  async login(parts: Partial<NewBinding> = {}): Promise<NewBinding> {
    return {
      sessionId: this.sessionId(),
      subKey: this.key(),
      sidKey: this.key(),
      issuedAt: LOGIN,
      expiresAt: await this.in(3600),
      ...parts,
    }
  }

  async bound(parts: Partial<NewBinding> = {}): Promise<Binding> {
    return (await this.store.bind(await this.login(parts))).binding
  }

  async logout(target: TargetKey, parts: Partial<BeginLogout> = {}): Promise<BeginLogout> {
    return {
      target,
      issuedAt: LOGIN + 100,
      seenSecondsAgo: 0,
      marksExpireAt: await this.in(7200),
      toleranceSeconds: TOLERANCE,
      mayFinish: false,
      ...parts,
    }
  }

  async begin(target: TargetKey, parts: Partial<BeginLogout> = {}): Promise<Begun> {
    const begun = await this.store.begin(await this.logout(target, parts))
    assert(!begun.replayed, 'the logout was taken for a replay')
    return begun
  }

  async jti(
    parts: { readonly expiresAt?: number } = {},
  ): Promise<{ readonly key: string; readonly expiresAt: number }> {
    return { key: this.key(), expiresAt: await this.in(600), ...parts }
  }

  async isDead(sessionId: string): Promise<boolean> {
    const { ended, binding, marks } = await this.store.read(sessionId)
    return ended || (binding !== undefined && marks.some((mark) => covers(mark, binding, TOLERANCE)))
  }

  async assertUntouched(binding: Binding): Promise<void> {
    const state = await this.store.read(binding.sessionId)
    assertState(state, { ended: false, binding, marks: [] })
  }
}

function bySub(binding: { readonly subKey: string }): TargetKey {
  return { scope: 'sub', key: binding.subKey }
}

function bySid(binding: { readonly sidKey?: string | undefined }, subKey?: string): TargetKey {
  assert(binding.sidKey !== undefined)
  return subKey === undefined ? { scope: 'sid', key: binding.sidKey } : { scope: 'sid', key: binding.sidKey, subKey }
}

function sorted(texts: readonly string[]): readonly string[] {
  return [...texts].sort()
}

const BIND: readonly Case[] = [
  [
    'bind: writes the binding, dated by the store clock, and read finds it as it was written',
    async (scene) => {
      const login = await scene.login()
      const before = await scene.in(0)
      const { binding, ended, marks } = await scene.store.bind(login)
      const after = await scene.in(0)
      assert(binding.boundAt >= before - 0.001 && binding.boundAt <= after + 0.001, 'boundAt is not the store clock')
      assert.deepEqual(plainBinding(binding), { ...login, boundAt: binding.boundAt })
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
      const binding = await scene.bound({ issuedAt: LOGIN + 0.125, expiresAt })
      await scene.assertUntouched(binding)
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
      const login = await scene.login({ issuedAt: LOGIN + TOLERANCE })
      for (let i = 0; i < 10; i++) {
        const earlier = await scene.store.bind({ ...login, sessionId: scene.sessionId() })
        const { mark } = await scene.begin(bySub(login), { issuedAt: LOGIN + i / 100 })
        const later = await scene.store.bind({ ...login, sessionId: scene.sessionId() })
        assert(earlier.binding.boundAt <= mark.seenAt, 'a login before the logout is dated after it')
        assert(later.binding.boundAt > mark.seenAt, 'a login after the logout is dated before it')
      }
    },
  ],
]

const READ: readonly Case[] = [
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
]

const MARKS: readonly Case[] = [
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
  [
    'marks: two marks of one target merge whole to the one with the greater (issuedAt, seenAt), with the later expiry',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const first = await scene.begin(target, { issuedAt: LOGIN + 10, marksExpireAt: await scene.in(9000) })
      const older = await scene.begin(target, { issuedAt: LOGIN })
      assertSameMarks([older.mark], [first.mark])
      const tie = await scene.begin(target, { issuedAt: LOGIN + 10 })
      assert(tie.mark.seenAt > first.mark.seenAt, 'of equal dates the later seen was not kept')
      assert.equal(tie.mark.expiresAt, first.mark.expiresAt)
      const newer = await scene.begin(target, { issuedAt: LOGIN + 20 })
      assert.equal(newer.mark.issuedAt, LOGIN + 20)
      assert(newer.mark.seenAt > tie.mark.seenAt)
      assert.equal(newer.mark.expiresAt, first.mark.expiresAt, 'merging shortened the expiry')
      assertSameMarks((await scene.store.marks([target.key])).marks, [newer.mark])
    },
  ],
  [
    'marks: a late, older token does not date its mark by its own arrival',
    async (scene) => {
      const login = await scene.login({ issuedAt: LOGIN + 30 })
      await scene.begin(bySub(login), { issuedAt: LOGIN + 10 })
      const { binding } = await scene.store.bind(login)
      const late = await scene.begin(bySub(login), { issuedAt: LOGIN })
      assert.deepEqual(late.sessionIds, [], 'the larger of each date covers what neither mark covers')
      assert.equal((await scene.store.read(binding.sessionId)).ended, false)
    },
  ],
  [
    'marks: of one sid, marks that name different subs, or none, stand side by side',
    async (scene) => {
      const login = await scene.login()
      const named = await scene.begin(bySid(login, login.subKey))
      const foreign = await scene.begin(bySid(login, scene.key()), { issuedAt: LOGIN + 500 })
      const open = await scene.begin(bySid(login), { issuedAt: LOGIN + 50 })
      const { marks } = await scene.store.marks([login.sidKey ?? ''])
      assertSameMarks(marks, [named.mark, foreign.mark, open.mark])
    },
  ],
]

const REBIND: readonly Case[] = [
  [
    'rebind: carries the sign-on to the new id with its dates, and leaves the old id ended and out of the index',
    async (scene) => {
      const from = await scene.bound()
      const to = scene.sessionId()
      const state = await scene.store.rebind(from.sessionId, to, from.expiresAt - 100)
      assertState(state, { ended: false, binding: { ...from, sessionId: to }, marks: [] })
      assertState(await scene.store.read(to), state)
      const old = await scene.store.read(from.sessionId)
      assert.deepEqual({ ended: old.ended, bound: old.binding !== undefined }, { ended: true, bound: false })
      assert.deepEqual((await scene.begin(bySid(from))).sessionIds, [to])
    },
  ],
  [
    'rebind: the later of both expiries is kept',
    async (scene) => {
      const from = await scene.bound()
      const state = await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt + 500)
      assert.equal(state.binding?.expiresAt, from.expiresAt + 500)
    },
  ],
  [
    'rebind: token keys go with the sign-on',
    async (scene) => {
      const tokenKeys = [scene.key(), scene.key()]
      const from = await scene.bound({ tokenKeys: tokenKeys.slice(0, 1) })
      await scene.store.addTokens(from.sessionId, tokenKeys.slice(1))
      await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)
      assert.deepEqual(sorted((await scene.begin(bySub(from))).tokenKeys), sorted(tokenKeys))
    },
  ],
  [
    'rebind: with nothing known of the old id, nothing is written',
    async (scene) => {
      const [from, to] = [scene.sessionId(), scene.sessionId()]
      const nothing = { ended: false, marks: [] }
      assertState(await scene.store.rebind(from, to, await scene.in(3600)), nothing)
      assertState(await scene.store.read(from), nothing)
      assertState(await scene.store.read(to), nothing)
      const bound = await scene.bound()
      await scene.store.rebind(from, bound.sessionId, bound.expiresAt)
      await scene.assertUntouched(bound)
    },
  ],
  [
    'rebind: returns the marks that stand against the new id',
    async (scene) => {
      const login = await scene.login({ issuedAt: LOGIN + 1000 })
      const { mark } = await scene.begin(bySub(login))
      await scene.store.bind(login)
      const state = await scene.store.rebind(login.sessionId, scene.sessionId(), login.expiresAt)
      assertSameMarks(state.marks, [mark])
    },
  ],
  [
    'rebind: an end by a logout is inherited, bound or not any more, and from heir to heir',
    async (scene) => {
      for (const unbound of [false, true]) {
        const from = await scene.bound()
        await scene.begin(bySub(from))
        if (unbound) await scene.store.unbind([from.sessionId])
        const [heir, heirOfHeir] = [scene.sessionId(), scene.sessionId()]
        assert.equal((await scene.store.rebind(from.sessionId, heir, from.expiresAt)).ended, true)
        assert.equal((await scene.store.rebind(heir, heirOfHeir, from.expiresAt)).ended, true)
        assert.equal((await scene.store.read(heirOfHeir)).ended, true)
      }
    },
  ],
  [
    'rebind: an end by a local logout is inherited',
    async (scene) => {
      const from = await scene.bound()
      await scene.store.endSessions([from.sessionId], from.expiresAt)
      await scene.store.unbind([from.sessionId])
      assert.equal((await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)).ended, true)
    },
  ],
  [
    'rebind: from an id that was only left behind, the new id gets the same sign-on',
    async (scene) => {
      const from = await scene.bound({ tokenKeys: [scene.key()] })
      const [one, two] = [scene.sessionId(), scene.sessionId()]
      await scene.store.rebind(from.sessionId, one, from.expiresAt)
      const state = await scene.store.rebind(from.sessionId, two, from.expiresAt)
      assertState(state, { ended: false, binding: { ...from, sessionId: two }, marks: [] })
      assert.equal((await scene.store.read(from.sessionId)).ended, true)
      assert.deepEqual(sorted((await scene.begin(bySid(from))).sessionIds), sorted([one, two]))
    },
  ],
  [
    'rebind: an id that was left behind and then ended hands on its end',
    async (scene) => {
      const from = await scene.bound()
      await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)
      await scene.store.endSessions([from.sessionId], from.expiresAt)
      const state = await scene.store.rebind(from.sessionId, scene.sessionId(), from.expiresAt)
      assert.equal(state.ended, true)
    },
  ],
  [
    'rebind: to the id it already has changes nothing',
    async (scene) => {
      const binding = await scene.bound()
      await scene.store.rebind(binding.sessionId, binding.sessionId, binding.expiresAt)
      await scene.assertUntouched(binding)
      assert.deepEqual((await scene.begin(bySub(binding))).sessionIds, [binding.sessionId])
    },
  ],
  [
    'rebind: onto a session id that was ended it stays ended',
    async (scene) => {
      const [from, to] = [await scene.bound(), await scene.bound()]
      await scene.begin(bySid(to))
      assert.equal((await scene.store.rebind(from.sessionId, to.sessionId, from.expiresAt)).ended, true)
    },
  ],
]

const SMALL_STEPS: readonly Case[] = [
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
  [
    'endSessions: marks the ids and leaves their bindings, so that a logout still finds them',
    async (scene) => {
      const [bound, unbound, bystander] = [await scene.bound(), scene.sessionId(), await scene.bound()]
      for (let i = 0; i < 2; i++) {
        await scene.store.endSessions([bound.sessionId, unbound], await scene.in(3600))
        assertState(await scene.store.read(bound.sessionId), { ended: true, binding: bound, marks: [] })
        assertState(await scene.store.read(unbound), { ended: true, marks: [] })
      }
      assert.deepEqual((await scene.begin(bySub(bound))).sessionIds, [bound.sessionId])
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'endSessions: names the tokens that are recorded with the sessions, and of unbound ids none',
    async (scene) => {
      const tokenKeys = [scene.key(), scene.key()]
      const bound = await scene.bound({ tokenKeys })
      const ended = await scene.store.endSessions([bound.sessionId, scene.sessionId()], await scene.in(3600))
      assert.deepEqual(sorted(ended.tokenKeys), sorted(tokenKeys))
    },
  ],
  [
    'endSessions: a sign-on that had moved on is followed, through as many ids as it went',
    async (scene) => {
      const tokenKeys = [scene.key()]
      const [from, bystander] = [await scene.bound({ tokenKeys }), await scene.bound()]
      const [transit, to, twin] = [scene.sessionId(), scene.sessionId(), scene.sessionId()]
      await scene.store.rebind(from.sessionId, transit, from.expiresAt)
      await scene.store.rebind(transit, to, from.expiresAt)
      await scene.store.rebind(from.sessionId, twin, from.expiresAt)
      const ended = await scene.store.endSessions([from.sessionId], from.expiresAt)
      assert.deepEqual(sorted(ended.sessionIds), sorted([from.sessionId, transit, to, twin]))
      assert.deepEqual(ended.tokenKeys, tokenKeys)
      for (const sessionId of [to, twin]) {
        assertState(await scene.store.read(sessionId), { ended: true, binding: { ...from, sessionId }, marks: [] })
        assert.equal((await scene.store.rebind(sessionId, scene.sessionId(), from.expiresAt)).ended, true)
      }
      for (const sessionId of [from.sessionId, transit]) {
        assert.equal((await scene.store.rebind(sessionId, scene.sessionId(), from.expiresAt)).ended, true)
      }
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'endSessions: a fresh login under the new id is not followed to, whether it comes before or after',
    async (scene) => {
      const from = await scene.bound()
      const [before, after] = [scene.sessionId(), scene.sessionId()]
      for (const to of [before, after]) await scene.store.rebind(from.sessionId, to, from.expiresAt)
      const login = { subKey: scene.key(), sidKey: scene.key(), issuedAt: from.issuedAt, expiresAt: from.expiresAt }
      const earlier = await scene.store.bind({ ...login, sessionId: before })
      const ended = await scene.store.endSessions([from.sessionId], from.expiresAt)
      assert.deepEqual(sorted(ended.sessionIds), sorted([from.sessionId, after]))
      const later = await scene.store.bind({ ...login, sessionId: after })
      for (const { binding } of [earlier, later]) await scene.assertUntouched(binding)
    },
  ],
  [
    'endSessions: nor to a later login of the same user, nor to an id that is not bound any more',
    async (scene) => {
      const from = await scene.bound()
      const [again, gone] = [scene.sessionId(), scene.sessionId()]
      for (const to of [again, gone]) await scene.store.rebind(from.sessionId, to, from.expiresAt)
      const { binding } = await scene.store.bind({ ...from, sessionId: again })
      await scene.store.unbind([gone])
      const ended = await scene.store.endSessions([from.sessionId], from.expiresAt)
      assert.deepEqual(ended.sessionIds, [from.sessionId])
      await scene.assertUntouched(binding)
      assertState(await scene.store.read(gone), { ended: false, marks: [] })
    },
  ],
  [
    'endSessions: a sign-on that went in a circle is ended, and the call comes back',
    async (scene) => {
      const from = await scene.bound()
      const to = scene.sessionId()
      await scene.store.rebind(from.sessionId, to, from.expiresAt)
      await scene.store.rebind(to, from.sessionId, from.expiresAt)
      await scene.store.endSessions([to], from.expiresAt)
      for (const sessionId of [from.sessionId, to]) assert.equal((await scene.store.read(sessionId)).ended, true)
    },
  ],
  [
    'endSessions, unbind: no ids, nothing to do',
    async (scene) => {
      assert.deepEqual(await scene.store.endSessions([], await scene.in(3600)), { sessionIds: [], tokenKeys: [] })
      await scene.store.unbind([])
    },
  ],
  [
    'unbind: removes the binding from every index; the session mark stays; twice is as good as once',
    async (scene) => {
      const [gone, bystander] = [await scene.bound({ tokenKeys: [scene.key()] }), await scene.bound()]
      await scene.store.endSessions([gone.sessionId], gone.expiresAt)
      for (let i = 0; i < 2; i++) {
        await scene.store.unbind([gone.sessionId])
        assertState(await scene.store.read(gone.sessionId), { ended: true, marks: [] })
      }
      for (const target of [bySub(gone), bySid(gone)]) {
        const begun = await scene.begin(target)
        assert.deepEqual([begun.sessionIds, begun.tokenKeys], [[], []])
      }
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'unbind: an id without an end is simply not bound any more',
    async (scene) => {
      const binding = await scene.bound()
      await scene.store.unbind([binding.sessionId])
      assertState(await scene.store.read(binding.sessionId), { ended: false, marks: [] })
      const again = await scene.bound({ ...binding })
      assert.deepEqual((await scene.begin(bySub(binding))).sessionIds, [again.sessionId])
    },
  ],
]

const BEGIN: readonly Case[] = [
  [
    'begin: by sub ends every session of that subject and no other',
    async (scene) => {
      const one = await scene.bound({ tokenKeys: [scene.key()] })
      const two = await scene.bound({ subKey: one.subKey, sidKey: undefined, tokenKeys: [scene.key()] })
      const bystander = await scene.bound()
      const begun = await scene.begin(bySub(one))
      assert.deepEqual(sorted(begun.sessionIds), sorted([one.sessionId, two.sessionId]))
      assert.equal(begun.tokenKeys.length, 2)
      assert.equal(begun.mismatched, 0)
      assert.equal(begun.finished, false)
      for (const { sessionId } of [one, two]) assert.equal((await scene.store.read(sessionId)).ended, true)
      await scene.assertUntouched(bystander)
    },
  ],
  [
    'begin: by sid ends that session and leaves the other sessions of its subject alone',
    async (scene) => {
      const one = await scene.bound()
      const other = await scene.bound({ subKey: one.subKey })
      assert.deepEqual((await scene.begin(bySid(one, one.subKey))).sessionIds, [one.sessionId])
      await scene.assertUntouched(other)
    },
  ],
  [
    'begin: a session found by sid that belongs to another sub is counted and left alone',
    async (scene) => {
      const mine = await scene.bound()
      const foreign = await scene.bound({ sidKey: mine.sidKey })
      const begun = await scene.begin(bySid(mine, mine.subKey))
      assert.deepEqual(begun.sessionIds, [mine.sessionId])
      assert.equal(begun.mismatched, 1)
      assert.equal((await scene.store.read(foreign.sessionId)).ended, false)
      assert.equal(await scene.isDead(foreign.sessionId), false)
    },
  ],
  [
    'begin: writes the mark, with its key, sub, dates and expiry, also where no session is found',
    async (scene) => {
      const targets: readonly TargetKey[] = [
        { scope: 'sub', key: scene.key() },
        { scope: 'sid', key: scene.key() },
        { scope: 'sid', key: scene.key(), subKey: scene.key() },
        { scope: 'token', key: scene.key() },
      ]
      for (const target of targets) {
        const marksExpireAt = await scene.in(7200)
        const { mark, sessionIds } = await scene.begin(target, { issuedAt: LOGIN + 0.5, marksExpireAt })
        assert.deepEqual(sessionIds, [])
        assertSameMarks([mark], [{ ...target, issuedAt: LOGIN + 0.5, seenAt: mark.seenAt, expiresAt: marksExpireAt }])
        assert(Math.abs(mark.seenAt - (await scene.in(0))) < 1, 'seenAt is not the store clock')
        assertSameMarks((await scene.store.marks([target.key])).marks, [mark])
      }
    },
  ],
  [
    'begin: a session under the same key of another scope is not found',
    async (scene) => {
      const binding = await scene.bound()
      assert.deepEqual((await scene.begin({ scope: 'token', key: binding.subKey })).sessionIds, [])
    },
  ],
  [
    'begin: is idempotent; what was not unbound yet is found again',
    async (scene) => {
      const [one, two] = [await scene.bound(), scene.sessionId()]
      await scene.bound({ subKey: one.subKey, sessionId: two })
      const jti = await scene.jti()
      const first = await scene.begin(bySub(one), { jti })
      assert.deepEqual(sorted(first.sessionIds), sorted([one.sessionId, two]))
      await scene.store.complete({ jti, destroyedIds: [one.sessionId], done: false })
      const again = await scene.begin(bySub(one), { jti })
      assert.deepEqual(again.sessionIds, [two])
      assertSameDates(again.mark, first.mark)
    },
  ],
  [
    'begin: session marks last as long as the longer of marks and session',
    async (scene) => {
      const binding = await scene.bound()
      const soon = await scene.in(SOON)
      await scene.begin(bySid(binding), { marksExpireAt: soon })
      await scene.waitUntilAfter(soon + 0.01)
      assert.equal((await scene.store.read(binding.sessionId)).ended, true)
    },
  ],
  [
    'begin: finishes only where it may, and then nothing is left to do',
    async (scene) => {
      const jti = await scene.jti()
      const binding = await scene.bound()
      const first = await scene.begin(bySid(binding), { jti, mayFinish: false })
      assert.equal(first.finished, false)
      const second = await scene.begin(bySid(binding), { jti, mayFinish: true })
      const third = await scene.store.begin(await scene.logout(bySid(binding), { jti }))
      assert.equal(third.replayed, second.finished, 'finished, but the jti was not remembered, or the other way round')
      assert.equal((await scene.store.read(binding.sessionId)).binding === undefined, second.finished)
      assert.equal((await scene.store.read(binding.sessionId)).ended, true)
    },
  ],
  [
    'begin: a logout that may not finish is never remembered as completed',
    async (scene) => {
      const jti = await scene.jti()
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      await scene.begin(target, { jti, mayFinish: false })
      await scene.begin(target, { jti, mayFinish: false })
    },
  ],
  [
    'begin: a jti opened before keeps its first dates, so that a retry spares a login made in between',
    async (scene) => {
      const jti = await scene.jti()
      const login = await scene.login({ issuedAt: LOGIN + 130 })
      const before = await scene.bound({ ...login, sessionId: scene.sessionId() })
      const first = await scene.begin(bySub(login), { jti })
      assert.deepEqual(first.sessionIds, [before.sessionId])
      const between = await scene.bound(login)
      const retry = await scene.begin(bySub(login), { jti, issuedAt: LOGIN + 200 })
      assertSameDates(retry.mark, first.mark)
      assert.deepEqual(retry.sessionIds, [before.sessionId])
      assert.equal(await scene.isDead(between.sessionId), false)
    },
  ],
  [
    'begin: a late retry is dated back to when the logout was first seen, and spares a login made in between',
    async (scene) => {
      const login = await scene.bound({ issuedAt: LOGIN + 130 })
      const late = await scene.begin(bySub(login), { seenSecondsAgo: 3600 })
      assert(late.mark.seenAt < login.boundAt, 'the mark is dated after the login')
      assert.deepEqual(late.sessionIds, [])
      assert.equal(await scene.isDead(login.sessionId), false)
      assert.deepEqual((await scene.begin(bySub(login))).sessionIds, [login.sessionId])
    },
  ],
  [
    'begin: without a jti each logout has its own dates',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const first = await scene.begin(target)
      const second = await scene.begin(target, { issuedAt: LOGIN + 200 })
      assert.equal(second.mark.issuedAt, LOGIN + 200)
      assert(second.mark.seenAt > first.mark.seenAt)
    },
  ],
  [
    'begin: of a completed jti is a replay, and nothing happens',
    async (scene) => {
      const jti = await scene.jti()
      const binding = await scene.bound()
      await scene.begin({ scope: 'sub', key: scene.key() }, { jti })
      await scene.store.complete({ jti, destroyedIds: [], done: true })
      const replay = await scene.store.begin(await scene.logout(bySub(binding), { jti, issuedAt: LOGIN + 9000 }))
      assert.deepEqual(replay, { replayed: true })
      await scene.assertUntouched(binding)
    },
  ],
  [
    'begin: the same logout under another jti is no replay',
    async (scene) => {
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      const jti = await scene.jti()
      await scene.begin(target, { jti })
      await scene.store.complete({ jti, destroyedIds: [], done: true })
      await scene.begin(target, { jti: await scene.jti() })
    },
  ],
]

const COMPLETE: readonly Case[] = [
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

const EXPIRY: readonly Case[] = [
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
      const kept = await scene.begin(bySid(login, login.subKey))
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
    'expiry: a completed jti is forgotten by time alone',
    async (scene) => {
      const jti = await scene.jti({ expiresAt: await scene.in(SOON) })
      const target: TargetKey = { scope: 'sub', key: scene.key() }
      await scene.begin(target, { jti })
      await scene.store.complete({ jti, destroyedIds: [], done: true })
      assert.equal((await scene.store.begin(await scene.logout(target, { jti }))).replayed, true)
      await scene.waitUntilAfter(jti.expiresAt + 0.01)
      await scene.begin(target, { jti: { ...jti, expiresAt: await scene.in(600) } })
    },
  ],
]

/** One row: when the sign-on and the logout are dated, which came first, and whether the logout ends the sign-on. */
interface Vector {
  readonly name: string
  readonly scope: 'sid' | 'sub'
  /** The login's `iat` less the Logout Token's; absent: the login has none. */
  readonly after?: number
  readonly boundFirst: boolean
  readonly named?: 'same' | 'other'
  readonly covered: boolean
}

const VECTORS: readonly Vector[] = [
  { name: 'sub: an older login', scope: 'sub', after: -1, boundFirst: true, covered: true },
  { name: 'sub: an older login, bound late', scope: 'sub', after: -1, boundFirst: false, covered: true },
  { name: 'sub: a tie', scope: 'sub', after: 0, boundFirst: true, covered: true },
  { name: 'sub: a tie, bound late, fails closed', scope: 'sub', after: 0, boundFirst: false, covered: true },
  { name: 'sub: dated a moment later, bound before', scope: 'sub', after: 0.5, boundFirst: true, covered: true },
  { name: 'sub: dated a moment later, bound after', scope: 'sub', after: 0.5, boundFirst: false, covered: false },
  { name: 'sub: at the tolerance, bound before', scope: 'sub', after: TOLERANCE, boundFirst: true, covered: true },
  { name: 'sub: at the tolerance, bound after', scope: 'sub', after: TOLERANCE, boundFirst: false, covered: false },
  { name: 'sub: past the tolerance', scope: 'sub', after: TOLERANCE + 0.5, boundFirst: true, covered: false },
  { name: 'sub: without a date', scope: 'sub', boundFirst: true, covered: true },
  { name: 'sub: without a date, bound late', scope: 'sub', boundFirst: false, covered: true },
  { name: 'sid: an older login', scope: 'sid', after: -1, boundFirst: true, covered: true },
  { name: 'sid: at the tolerance, bound late', scope: 'sid', after: TOLERANCE, boundFirst: false, covered: true },
  { name: 'sid: past the tolerance', scope: 'sid', after: TOLERANCE + 0.5, boundFirst: true, covered: false },
  { name: 'sid: without a date', scope: 'sid', boundFirst: false, covered: true },
  { name: 'sid: of this sub', scope: 'sid', after: 1, boundFirst: true, named: 'same', covered: true },
  { name: 'sid: of another sub', scope: 'sid', after: 1, boundFirst: true, named: 'other', covered: false },
  { name: 'sid: of another sub, undated', scope: 'sid', boundFirst: false, named: 'other', covered: false },
]

const COVERING: readonly Case[] = [
  ...VECTORS.map(
    (vector): Case => [
      `covering, ${vector.name}, is ${vector.covered ? 'covered' : 'not covered'}`,
      async (scene) => {
        const issuedAt = vector.after === undefined ? undefined : LOGIN + vector.after
        const login = await scene.login({ issuedAt })
        const target = targetOf(scene, vector.scope, vector.named, login)
        if (vector.boundFirst) {
          const { binding } = await scene.store.bind(login)
          const begun = await scene.begin(target, { issuedAt: LOGIN })
          assert.deepEqual(begun.sessionIds, vector.covered ? [binding.sessionId] : [])
          assert.equal((await scene.store.read(binding.sessionId)).ended, vector.covered)
        } else {
          await scene.begin(target, { issuedAt: LOGIN })
          const { binding, marks } = await scene.store.bind(login)
          assert.equal(
            marks.some((mark) => covers(mark, binding, TOLERANCE)),
            vector.covered,
          )
        }
        assert.equal(await scene.isDead(login.sessionId), vector.covered)
      },
    ],
  ),
  [
    'covering: the store and the rule of this package agree on random logins and logouts',
    async (scene) => {
      const random = randomNumbers(20_260)
      for (let i = 0; i < 60; i++) {
        const login = await scene.login(random.below(5) === 0 ? { issuedAt: undefined } : { issuedAt: LOGIN })
        const named = random.pick<'same' | 'other' | undefined>(['same', 'other', undefined])
        const target = targetOf(scene, random.pick<'sid' | 'sub'>(['sid', 'sub']), named, login)
        const toleranceSeconds = random.pick([0, 1, 60])
        const offset = () => random.pick([-61, -60, -59.5, -2, -1, -0.5, 0, 0.5, 1, 70])
        for (let n = random.below(3); n > 0; n--) await scene.begin(target, { issuedAt: LOGIN + offset() })
        const { binding } = await scene.store.bind(login)
        const { mark, sessionIds } = await scene.begin(target, { issuedAt: LOGIN + offset(), toleranceSeconds })
        const expected = covers(mark, binding, toleranceSeconds) ? [binding.sessionId] : []
        assert.deepEqual(sessionIds, expected, JSON.stringify({ mark, binding, toleranceSeconds }))
      }
    },
  ],
]

const CONCURRENCY: readonly Case[] = [
  [
    'two nodes: what one wrote the other reads, binds against, ends and refuses as a replay',
    async (scene) => {
      const other = await scene.another()
      const binding = await scene.bound()
      assertState(await other.read(binding.sessionId), { ended: false, binding, marks: [] })
      const jti = await scene.jti()
      const begun = await other.begin(await scene.logout(bySub(binding), { jti }))
      assert(!begun.replayed)
      assert.deepEqual(begun.sessionIds, [binding.sessionId])
      assert.equal((await scene.store.read(binding.sessionId)).ended, true)
      await other.complete({ jti, destroyedIds: begun.sessionIds, done: true })
      assert.equal((await scene.store.begin(await scene.logout(bySub(binding), { jti }))).replayed, true)
    },
  ],
  [
    'law 7: of a login and a logout at the same time, either the logout finds the session or the login sees the mark',
    async (scene) => {
      const other = await scene.another()
      for (let round = 0; round < 15; round++) {
        const [first, ...more] = await Promise.all([1, 2, 3, 4, 5, 6].map(() => scene.login()))
        assert(first !== undefined)
        const logins = [first, ...more.map((login) => ({ ...login, subKey: first.subKey }))]
        const target = round % 2 === 0 ? bySub(first) : bySid(first)
        const logout = await scene.logout(target)
        const binds = logins.map((login, i) => (i % 2 === 0 ? scene.store : other).bind(login))
        const [begun, ...states] = await Promise.all([other.begin(logout), ...binds])
        assert(!begun.replayed)
        for (const { binding, marks } of states) {
          if (target.scope === 'sid' && binding.sidKey !== target.key) continue
          const found = begun.sessionIds.includes(binding.sessionId)
          const seen = marks.some((mark) => covers(mark, binding, TOLERANCE))
          assert(found || seen, 'a login slipped through between a mark and its look-up')
        }
      }
    },
  ],
  [
    'law 7: of a change of id and a logout at the same time, no id is left alive',
    async (scene) => {
      const other = await scene.another()
      for (let round = 0; round < 15; round++) {
        const binding = await scene.bound()
        const to = [scene.sessionId(), scene.sessionId()]
        const logout = await scene.logout(round % 2 === 0 ? bySub(binding) : bySid(binding))
        const rebinds = to.map((id, i) =>
          (i === 0 ? scene.store : other).rebind(binding.sessionId, id, binding.expiresAt),
        )
        const [begun] = await Promise.all([other.begin(logout), ...rebinds])
        assert(!begun.replayed)
        for (const id of [binding.sessionId, ...to]) assert.equal(await scene.isDead(id), true)
        const retry = await scene.begin(logout.target)
        for (const id of to) {
          const { binding: left } = await scene.store.read(id)
          assert(left === undefined || retry.sessionIds.includes(id), 'a bound session is in no index')
        }
      }
    },
  ],
  [
    'law 7: of a token added and a logout at the same time, either the token is marked or its owner is told',
    async (scene) => {
      const other = await scene.another()
      for (let round = 0; round < 15; round++) {
        const binding = await scene.bound()
        const token = scene.key()
        const [state] = await Promise.all([
          scene.store.addTokens(binding.sessionId, [token]),
          other.begin(await scene.logout(bySub(binding))),
        ])
        const told = state.ended || state.marks.some((mark) => covers(mark, binding, TOLERANCE))
        assert(told || (await scene.store.marks([token])).marks.length === 1, 'a token outlived its session')
      }
    },
  ],
  [
    'concurrency: the same token delivered many times at once does the same work with the same dates',
    async (scene) => {
      const other = await scene.another()
      const binding = await scene.bound()
      const logout = await scene.logout(bySub(binding), { jti: await scene.jti() })
      const all = await Promise.all([1, 2, 3, 4, 5, 6].map((i) => (i % 2 === 0 ? scene.store : other).begin(logout)))
      const seen = new Set(all.map((each) => (each.replayed ? 'replayed' : each.mark.seenAt)))
      assert.equal(seen.size, 1)
      for (const each of all) assert(!each.replayed && each.sessionIds.includes(binding.sessionId))
    },
  ],
  [
    'concurrency: a rebind beside a fresh login on the old id loses neither',
    async (scene) => {
      const other = await scene.another()
      for (let round = 0; round < 10; round++) {
        const first = await scene.bound()
        const second = await scene.login({ sessionId: first.sessionId })
        const to = scene.sessionId()
        const [moved, fresh] = await Promise.all([
          scene.store.rebind(first.sessionId, to, first.expiresAt),
          other.bind(second),
        ])
        const [old, next] = await Promise.all([scene.store.read(first.sessionId), scene.store.read(to)])
        assert.equal(moved.ended, false)
        const isThere = [old.binding?.subKey, next.binding?.subKey].includes(second.subKey)
        assert(isThere || fresh.ended, 'the fresh login is bound nowhere and was not told')
      }
    },
  ],
  [
    'concurrency: many logouts of overlapping targets and many local ends all succeed',
    async (scene) => {
      const other = await scene.another()
      const subKey = scene.key()
      const bindings = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(() => scene.bound({ subKey })))
      const ids = bindings.map((binding) => binding.sessionId)
      const expiresAt = await scene.in(3600)
      await Promise.all([
        scene.begin({ scope: 'sub', key: subKey }),
        other.begin(await scene.logout({ scope: 'sub', key: subKey })),
        ...bindings.map((binding) => scene.begin(bySid(binding))),
        scene.store.endSessions(ids, expiresAt),
        other.endSessions([...ids].reverse(), expiresAt),
        other.unbind([...ids].reverse()),
      ])
      for (const id of ids) assert.equal((await scene.store.read(id)).ended, true)
    },
  ],
]

const CASES: readonly Case[] = [
  ...BIND,
  ...READ,
  ...MARKS,
  ...REBIND,
  ...SMALL_STEPS,
  ...BEGIN,
  ...COMPLETE,
  ...EXPIRY,
  ...COVERING,
  ...CONCURRENCY,
]

function targetOf(
  scene: Scene,
  scope: 'sid' | 'sub',
  named: 'same' | 'other' | undefined,
  login: NewBinding,
): TargetKey {
  if (scope === 'sub') return bySub(login)
  if (named === undefined) return bySid(login)
  return bySid(login, named === 'same' ? login.subKey : scene.key())
}

/** Compares what the port names and nothing else: an adapter may keep more on its objects. */
function assertState(actual: SessionState, expected: SessionState): void {
  assert.deepEqual(plainState(actual), plainState(expected))
}

function plainState({ ended, binding, marks }: SessionState) {
  return { ended, binding: binding && plainBinding(binding), marks: asSet(marks) }
}

function plainBinding({ sessionId, subKey, sidKey, issuedAt, boundAt, expiresAt }: Binding) {
  return { sessionId, subKey, sidKey, issuedAt, boundAt, expiresAt }
}

function assertSameDates(actual: Mark, expected: Mark): void {
  assert.deepEqual([actual.issuedAt, actual.seenAt], [expected.issuedAt, expected.seenAt])
}

/** Marks as a set; an absent `subKey` and an undefined one are the same. */
function assertSameMarks(actual: readonly Mark[], expected: readonly Mark[]): void {
  assert.deepEqual(asSet(actual), asSet(expected))
}

function asSet(marks: readonly Mark[]): readonly string[] {
  return sorted(
    marks.map(({ scope, key, subKey, issuedAt, seenAt, expiresAt }) =>
      JSON.stringify([scope, key, subKey ?? null, issuedAt, seenAt, expiresAt]),
    ),
  )
}

/** A small generator, so that a failure comes back on the next run. */
function randomNumbers(seed: number) {
  let state = seed
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * limit)
  }
  return {
    below,
    pick<T>(values: readonly [T, ...T[]]): T {
      return values[below(values.length)] ?? values[0]
    },
  }
}

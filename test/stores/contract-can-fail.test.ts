// The contract suite, run against stores with one defect each: a suite that passes one of them proves nothing.
import { describe, expect, it } from 'vitest'
import type { Mark } from '../../src/marks/covering.js'
import {
  JTI_SPARE_SECONDS,
  type JtiKey,
  type ListedSessions,
  type LogoutStore,
  type SessionState,
} from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { logoutStoreContract } from '../../src/testing/logout-store/contract.js'

type Defect = (store: LogoutStore) => Partial<LogoutStore>

const DEFECTS: Readonly<Record<string, Defect>> = {
  'bind checks nothing': (store) => ({
    bind: async (login) => ({ ...(await store.bind(login)), ended: false, marks: [] }),
  }),
  'bind checks before it writes': (store) => ({
    async bind(login) {
      const { marks } = await store.marks([login.subKey, ...(login.sidKey === undefined ? [] : [login.sidKey])])
      await Promise.resolve()
      return { ...(await store.bind(login)), marks }
    },
  }),
  'bind forgets the date of the login': (store) => ({ bind: (login) => store.bind({ ...login, issuedAt: undefined }) }),
  'bind lifts an end by a logout': (store) => {
    const lifted = new Set<string>()
    return {
      bind: async (login) => {
        lifted.add(login.sessionId)
        return { ...(await store.bind(login)), ended: false }
      },
      read: async (id) => ({ ...(await store.read(id)), ...(lifted.has(id) ? { ended: false } : {}) }),
    }
  },
  'rebind leaves the binding behind': (store) => ({ rebind: (_, to) => store.read(to) }),
  'rebind dates the sign-on anew': (store) => ({
    async rebind(from, to, expiresAt) {
      const { binding } = await store.read(from)
      if (binding === undefined) return store.rebind(from, to, expiresAt)
      return store.bind({ ...binding, sessionId: to, expiresAt: Math.max(binding.expiresAt, expiresAt) })
    },
  }),
  'rebind inherits no end': (store) => ({
    rebind: async (from, to, expiresAt) => ({ ...(await store.rebind(from, to, expiresAt)), ended: false }),
  }),
  'a login once more prolongs its end': (store) => {
    const ends = new Map<string, number | undefined>()
    const told = <S extends SessionState>(state: S): S => {
      const { binding } = state
      return binding === undefined ? state : { ...state, binding: { ...binding, endsAt: ends.get(binding.sessionId) } }
    }
    return {
      async bind(login) {
        ends.set(login.sessionId, login.endsAt)
        return told(await store.bind(login))
      },
      read: async (id) => told(await store.read(id)),
      async rebind(from, to, expiresAt) {
        ends.set(to, ends.get(from))
        return told(await store.rebind(from, to, expiresAt))
      },
      addTokens: async (id, tokens) => told(await store.addTokens(id, tokens)),
    }
  },
  'rebind forgets the end of the sign-on': (store) => ({
    async rebind(from, to, expiresAt) {
      const { binding, ...state } = await store.rebind(from, to, expiresAt)
      return { ...state, ...(binding && { binding: { ...binding, endsAt: undefined } }) }
    },
  }),
  'list has no pages': (store) => ({
    async list(target) {
      const sessions: ListedSessions['sessions'][number][] = []
      let cursor: string | undefined
      do {
        const page = await store.list(target, cursor)
        sessions.push(...page.sessions)
        cursor = page.cursor
      } while (cursor !== undefined)
      return { sessions }
    },
  }),
  'list shows the first page only': (store) => ({
    list: async (target) => ({ sessions: (await store.list(target)).sessions }),
  }),
  'list forgets what was kept': (store) => ({
    async list(target, cursor) {
      const page = await store.list(target, cursor)
      return { ...page, sessions: page.sessions.map(({ sessionId }) => ({ sessionId })) }
    },
  }),
  'renew does nothing': () => ({ renew: async () => {} }),
  'tokens are not recorded': (store) => ({ addTokens: (id) => store.read(id) }),
  'local ends are not recorded': () => ({ endSessions: async () => ({ sessionIds: [], tokenKeys: [] }) }),
  'a sign-on that moved on is not followed': (store) => ({
    endSessions: async (ids, expiresAt) => ({ ...(await store.endSessions(ids, expiresAt)), sessionIds: ids }),
  }),
  'nobody is ever bound': () => ({ isBound: async () => false }),
  'everybody is bound': () => ({ isBound: async () => true }),
  'unbind does nothing': () => ({ unbind: async () => {} }),
  'every sid mark covers every sub': (store) => ({
    begin: (logout) => store.begin({ ...logout, target: { scope: logout.target.scope, key: logout.target.key } }),
  }),
  'no skew': redated((date) => date - 5),
  'skew without end': redated((date) => date + 1e9),
  'marks of one target merge to the greater': (store) => {
    const greatest = new Map<string, Mark>()
    return {
      async begin(logout) {
        const older = greatest.get(logout.target.key)
        const issuedAt = Math.max(logout.issuedAt ?? 0, older?.issuedAt ?? 0)
        const isOlder = older !== undefined && issuedAt > (logout.issuedAt ?? 0)
        const ago = isOlder ? Date.now() / 1000 - older.seenAt : logout.seenSecondsAgo
        const begun = await store.begin({ ...logout, issuedAt, seenSecondsAgo: ago })
        if (!begun.replayed) greatest.set(begun.mark.key, begun.mark)
        return begun
      },
    }
  },
  'marks merge to the larger of each date': (store) => {
    const largest = new Map<string, number>()
    return {
      async begin(logout) {
        const issuedAt = Math.max(logout.issuedAt ?? 0, largest.get(logout.target.key) ?? 0)
        largest.set(logout.target.key, issuedAt)
        return store.begin({ ...logout, issuedAt })
      },
    }
  },
  'a logout without a token is dated by our clock': (store) => ({
    begin: (logout) => store.begin({ ...logout, issuedAt: logout.issuedAt ?? Date.now() / 1000 }),
  }),
  'when a login was begun is forgotten': (store) => ({
    bind: (login) => store.bind({ ...login, startedAt: undefined }),
  }),
  'sign-ons without a sid are spared by a logout by sid': (store) => ({
    async begin(logout) {
      const { target } = logout
      const begun = await store.begin(logout)
      if (begun.replayed || target.scope !== 'sid') return begun
      const states = await Promise.all(begun.sessionIds.map((id) => store.read(id)))
      const sessionIds = begun.sessionIds.filter((_, i) => states[i]?.binding?.sidKey !== undefined)
      return { ...begun, sessionIds, withoutSid: 0 }
    },
  }),
  'sign-ons without a sid are ended and not counted': (store) => ({
    async begin(logout) {
      const begun = await store.begin(logout)
      return begun.replayed ? begun : { ...begun, withoutSid: 0 }
    },
  }),
  'a logout by sid and sub leaves no mark for sign-ons without a sid': (store) => ({
    bind: async (login) => withoutSidless(await store.bind(login)),
    read: async (id) => withoutSidless(await store.read(id)),
  }),
  'sessions beyond the first page are forgotten': (store) => ({
    async begin(logout) {
      const begun = await store.begin(logout)
      return begun.replayed ? begun : { ...begun, more: false, cursor: undefined }
    },
  }),
  'each page begins from the start': (store) => ({
    begin: (logout) => store.begin({ ...logout, cursor: undefined }),
  }),
  'all sessions come in one page': (store) => ({
    async begin(logout) {
      const first = await store.begin(logout)
      if (first.replayed) return first
      const sessionIds = [...first.sessionIds]
      for (let cursor = first.cursor; cursor !== undefined; ) {
        const next = await store.begin({ ...logout, cursor })
        if (next.replayed) return next
        sessionIds.push(...next.sessionIds)
        cursor = next.cursor
      }
      return { ...first, sessionIds, more: false, cursor: undefined }
    },
  }),
  'a completed jti is never reopened': (store) => ({
    complete: (logout) => store.complete(logout.done ? logout : { ...logout, jti: undefined }),
  }),
  'a jti is forgotten with its token': (store) => ({
    begin: (logout) => store.begin(shortened(logout)),
    complete: (logout) => store.complete(shortened(logout)),
  }),
  'a retry has new dates': (store) => ({ begin: (logout) => store.begin({ ...logout, jti: undefined }) }),
  'a late retry is dated by its own arrival': (store) => ({
    begin: (logout) => store.begin({ ...logout, seenSecondsAgo: 0 }),
  }),
  'a jti is consumed by the first try': (store) => ({
    async begin(logout) {
      const begun = await store.begin(logout)
      await store.complete({ jti: logout.jti, destroyedIds: [], done: true })
      return begun
    },
  }),
  'a completed jti is not remembered': (store) => ({
    complete: (logout) => store.complete({ ...logout, done: false }),
  }),
  'a partly done logout counts as completed': (store) => ({
    complete: (logout) => store.complete({ ...logout, done: true }),
  }),
  'finished without finishing': (store) => ({
    async begin(logout) {
      const begun = await store.begin(logout)
      return begun.replayed ? begun : { ...begun, finished: logout.mayDestroy }
    },
  }),
  'begin ends nobody': (store) => ({
    async begin(logout) {
      const begun = await store.begin(logout)
      return begun.replayed ? begun : { ...begun, sessionIds: [] }
    },
  }),
  'nothing expires': (store) => ({
    bind: (login) => store.bind({ ...login, expiresAt: login.expiresAt + 1e6 }),
  }),
  'a bound session is never ended': (store) => ({
    read: async (id) => {
      const state = await store.read(id)
      return { ...state, ended: state.ended && state.binding === undefined }
    },
  }),
  'another node sees nothing': () => ({}),
}

/** Another `iat` than the Logout Token's. */
function redated(date: (issuedAt: number) => number): Defect {
  return (store) => ({
    begin: (logout) => store.begin({ ...logout, issuedAt: logout.issuedAt && date(logout.issuedAt) }),
  })
}

function withoutSidless<State extends { readonly marks: readonly Mark[] }>(state: State): State {
  return { ...state, marks: state.marks.filter((mark) => mark.scope !== 'sidless') }
}

function shortened<Logout extends { readonly jti?: JtiKey | undefined }>(logout: Logout): Logout {
  const { jti } = logout
  return { ...logout, jti: jti && { ...jti, expiresAt: jti.expiresAt - JTI_SPARE_SECONDS } }
}

/** The first case that fails, if one does. */
async function failure(defect: Defect, nodes: 'shared' | 'apart'): Promise<string | undefined> {
  const cases = logoutStoreContract({
    async create() {
      const store = memoryStore()
      const broken: LogoutStore = delegate(store, defect(store))
      const another = async () => (nodes === 'apart' ? memoryStore() : broken)
      return { store: broken, now: async () => Date.now() / 1000, another, dispose() {} }
    },
  })
  for (const { name, run } of cases) {
    const isKept = await run().then(
      () => true,
      () => false,
    )
    if (!isKept) return name
  }
  return undefined
}

function delegate(store: LogoutStore, parts: Partial<LogoutStore>): LogoutStore {
  return {
    bind: (login) => store.bind(login),
    rebind: (from, to, expiresAt) => store.rebind(from, to, expiresAt),
    renew: (id, expiresAt) => store.renew(id, expiresAt),
    list: (target, cursor) => store.list(target, cursor),
    addTokens: (id, keys) => store.addTokens(id, keys),
    read: (id) => store.read(id),
    marks: (keys) => store.marks(keys),
    isBound: (key) => store.isBound(key),
    endSessions: (ids, expiresAt) => store.endSessions(ids, expiresAt),
    unbind: (ids) => store.unbind(ids),
    begin: (logout) => store.begin(logout),
    complete: (logout) => store.complete(logout),
    ...parts,
  }
}

describe('the logout store contract', () => {
  it('passes a store that only delegates', async () => {
    expect(await failure(() => ({}), 'shared')).toBeUndefined()
  })

  for (const [name, defect] of Object.entries(DEFECTS)) {
    it(`fails a store of which ${name}`, { concurrent: true }, async () => {
      expect(await failure(defect, name.startsWith('another') ? 'apart' : 'shared')).toBeDefined()
    })
  }
})

// The contract suite, run against stores with one defect each: a suite that passes one of them proves nothing.
import { describe, expect, it } from 'vitest'
import type { Mark } from '../../src/marks/covering.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
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
  'renew does nothing': () => ({ renew: async () => {} }),
  'tokens are not recorded': (store) => ({ addTokens: (id) => store.read(id) }),
  'local ends are not recorded': () => ({ endSessions: async () => ({ sessionIds: [], tokenKeys: [] }) }),
  'a sign-on that moved on is not followed': (store) => ({
    endSessions: async (ids, expiresAt) => ({ ...(await store.endSessions(ids, expiresAt)), sessionIds: ids }),
  }),
  'unbind does nothing': () => ({ unbind: async () => {} }),
  'every sid mark covers every sub': (store) => ({
    begin: (logout) => store.begin({ ...logout, target: { scope: logout.target.scope, key: logout.target.key } }),
  }),
  'no tolerance': (store) => ({ begin: (logout) => store.begin({ ...logout, toleranceSeconds: 0 }) }),
  'tolerance without end': (store) => ({ begin: (logout) => store.begin({ ...logout, toleranceSeconds: 1e9 }) }),
  'marks merge to the larger of each': (store) => {
    const largest = new Map<string, Mark>()
    return {
      async begin(logout) {
        const begun = await store.begin(logout)
        if (begun.replayed) return begun
        const older = largest.get(begun.mark.key)
        largest.set(begun.mark.key, begun.mark)
        return older === undefined ? begun : { ...begun, mark: { ...begun.mark, seenAt: older.seenAt + 1 } }
      },
    }
  },
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
      return begun.replayed ? begun : { ...begun, finished: logout.mayFinish }
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

async function failures(defect: Defect, nodes: 'shared' | 'apart'): Promise<readonly string[]> {
  const failed: string[] = []
  const cases = logoutStoreContract({
    async create() {
      const store = memoryStore()
      const broken: LogoutStore = delegate(store, defect(store))
      const another = async () => (nodes === 'apart' ? memoryStore() : broken)
      return { store: broken, now: async () => Date.now() / 1000, another, dispose() {} }
    },
  })
  for (const { name, run } of cases) await run().catch(() => failed.push(name))
  return failed
}

function delegate(store: LogoutStore, parts: Partial<LogoutStore>): LogoutStore {
  return {
    bind: (login) => store.bind(login),
    rebind: (from, to, expiresAt) => store.rebind(from, to, expiresAt),
    renew: (id, expiresAt) => store.renew(id, expiresAt),
    addTokens: (id, keys) => store.addTokens(id, keys),
    read: (id) => store.read(id),
    marks: (keys) => store.marks(keys),
    endSessions: (ids, expiresAt) => store.endSessions(ids, expiresAt),
    unbind: (ids) => store.unbind(ids),
    begin: (logout) => store.begin(logout),
    complete: (logout) => store.complete(logout),
    ...parts,
  }
}

describe('the logout store contract', () => {
  it('passes a store that only delegates', async () => {
    expect(await failures(() => ({}), 'shared')).toEqual([])
  })

  for (const [name, defect] of Object.entries(DEFECTS)) {
    it(`fails a store of which ${name}`, { concurrent: true }, async () => {
      expect(await failures(defect, name.startsWith('another') ? 'apart' : 'shared')).not.toEqual([])
    })
  }
})

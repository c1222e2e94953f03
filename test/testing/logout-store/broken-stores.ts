// Logout stores with one defect each: what the contract suite must fail.
import type { Mark } from '../../../src/marks/covering.js'
import {
  JTI_SPARE_SECONDS,
  type JtiKey,
  type ListedSessions,
  type LogoutStore,
  type SessionState,
} from '../../../src/stores/logout-store.js'
import { memoryStore } from '../../../src/stores/memory-store.js'
import { type LogoutStoreCase, logoutStoreContract } from '../../../src/testing/logout-store/contract.js'

/** `clock`: the store's, in epoch seconds. */
export type Defect = (store: LogoutStore, clock: () => number) => Partial<LogoutStore>

export const DEFECTS: Readonly<Record<string, Defect>> = {
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
  'rebind takes the id from a later login': (store) => ({
    async rebind(from, to, expiresAt) {
      if (from !== to && (await store.read(from)).binding !== undefined) await store.unbind([to])
      return store.rebind(from, to, expiresAt)
    },
  }),
  'rebind does nothing where a later login is': (store) => ({
    rebind: async (from, to, expiresAt) =>
      (await store.read(to)).binding === undefined ? store.rebind(from, to, expiresAt) : store.read(to),
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
  'list has ids for cursors': (store) => {
    const cursors = new Map<string, string>()
    return {
      async list(target, after = '') {
        const { sessions, cursor } = await store.list(target, cursors.get(after))
        const last = sessions.at(-1)?.sessionId
        if (cursor === undefined || last === undefined) return { sessions, ...(cursor !== undefined && { cursor }) }
        cursors.set(last, cursor)
        return { sessions, cursor: last }
      },
    }
  },
  'list forgets what was kept': (store) => ({
    async list(target, cursor) {
      const page = await store.list(target, cursor)
      return { ...page, sessions: page.sessions.map(({ sessionId }) => ({ sessionId })) }
    },
  }),
  'list loses who is changing its id': (store) => ({
    async list(target, cursor) {
      const page = await store.list(target, cursor)
      const states = await Promise.all(page.sessions.map(({ sessionId }) => store.read(sessionId)))
      return { ...page, sessions: page.sessions.filter((_, i) => states[i]?.binding !== undefined) }
    },
  }),
  'renew does nothing': () => ({ renew: async () => {} }),
  'tokens are not recorded': (store) => ({ addTokens: (id) => store.read(id) }),
  'local ends are not recorded': () => ({ endSessions: async () => ({ sessionIds: [], tokenKeys: [] }) }),
  'a sign-on that moved on is not followed': (store) => ({
    endSessions: async (ids, expiresAt) => ({ ...(await store.endSessions(ids, expiresAt)), sessionIds: ids }),
  }),
  'nobody is spared': (store) => ({ endSessions: (ids, expiresAt) => store.endSessions(ids, expiresAt) }),
  'nobody is ever bound': () => ({ isBound: async () => false }),
  'everybody is bound': () => ({ isBound: async () => true }),
  'unbind does nothing': () => ({ unbind: async () => {} }),
  'every sid mark covers every sub': (store) => ({
    begin: (logout) => store.begin({ ...logout, target: { scope: logout.target.scope, key: logout.target.key } }),
  }),
  'no skew': redated((date) => date - 5),
  'skew without end': redated((date) => date + 1e9),
  'marks of one target merge to the greater': (store, clock) => {
    const greatest = new Map<string, Mark>()
    return {
      async begin(logout) {
        const older = greatest.get(logout.target.key)
        const issuedAt = Math.max(logout.issuedAt ?? 0, older?.issuedAt ?? 0)
        const isOlder = older !== undefined && issuedAt > (logout.issuedAt ?? 0)
        const ago = isOlder ? clock() - older.seenAt : logout.seenSecondsAgo
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
  'a logout without a token is dated by our clock': (store, clock) => ({
    begin: (logout) => store.begin({ ...logout, issuedAt: logout.issuedAt ?? clock() }),
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
  'destroyed without destroying': (store) => ({
    async begin(logout) {
      const begun = await store.begin(logout)
      return begun.replayed ? begun : { ...begun, destroyed: logout.mayDestroy }
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

/** Each is failed by the case that is named, and by hardly any other. */
export const NARROW: Readonly<Record<string, Defect>> = {
  'bind: a second login of the same sign-on keeps the tokens of the first': (store) => ({
    async bind(login) {
      const { binding } = await store.read(login.sessionId)
      const isPlain = login.endsAt === undefined && binding?.endsAt === undefined
      if (isPlain && binding?.sidKey === login.sidKey) await store.unbind([login.sessionId])
      return store.bind(login)
    },
  }),
  'bind: of two steps it is always known which came first': (store) => {
    let lastMark = 0
    return {
      async begin(logout) {
        const begun = await store.begin(logout)
        if (!begun.replayed) lastMark = begun.mark.seenAt
        return begun
      },
      async bind(login) {
        const bound = await store.bind(login)
        const isSameTick = bound.binding.boundAt - lastMark < 0.005 && login.issuedAt === AT_ONE_TICK
        return isSameTick ? { ...bound, binding: { ...bound.binding, boundAt: lastMark } } : bound
      },
    }
  },
  'read: of an unknown session id nothing is known': (store) => {
    let isUsed = false
    return {
      bind: (login) => {
        isUsed = true
        return store.bind(login)
      },
      rebind: (from, to, expiresAt) => {
        isUsed = true
        return store.rebind(from, to, expiresAt)
      },
      addTokens: (id, tokenKeys) => {
        isUsed = true
        return store.addTokens(id, tokenKeys)
      },
      endSessions: (ids, expiresAt, sparedIds) => {
        isUsed = true
        return store.endSessions(ids, expiresAt, sparedIds)
      },
      read: async (id) => ({ ...(await store.read(id)), ...(!isUsed && { ended: true }) }),
    }
  },
  'read: session ids that differ in one character are two sessions': (store) => {
    const endedIds = new Set<string>()
    return {
      async begin(logout) {
        const begun = await store.begin(logout)
        if (!begun.replayed) for (const id of begun.sessionIds) endedIds.add(id)
        return begun
      },
      async read(id) {
        const state = await store.read(id)
        return { ...state, ended: state.ended || endedIds.has(id.trimEnd()) }
      },
    }
  },
  'marks: returns the live marks under these keys and no others, and the store clock': (store) => ({
    marks: async (keys) => ({ ...(await store.marks(keys)), now: 0 }),
  }),
  'marks: no keys, no marks': (store) => {
    const known = new Set<string>()
    return {
      marks: async (keys) => {
        const found = await store.marks(keys)
        const isAsked = known.size > 0
        for (const key of keys) known.add(key)
        const none: Mark = { scope: 'sub', key: 'nobody', seenAt: 0, expiresAt: 1e12 }
        return keys.length === 0 && !isAsked ? { ...found, marks: [none] } : found
      },
    }
  },
  'rebind: with nothing known of the old id, nothing is written': (store) => ({
    async rebind(from, to, expiresAt) {
      const { ended, binding } = await store.read(from)
      if (!ended && binding === undefined) await store.endSessions([from], expiresAt)
      return store.rebind(from, to, expiresAt)
    },
  }),
  'renew, addTokens, unbind: unknown ids are ignored': (store) => ({
    async addTokens(id, tokenKeys) {
      const { ended, binding } = await store.read(id)
      if (!ended && binding === undefined) throw new Error('no such session')
      return store.addTokens(id, tokenKeys)
    },
  }),
  'addTokens: what stands against the session is read after the tokens are written': (store) => ({
    addTokens: async (id, tokenKeys) => ({ ...(await store.addTokens(id, tokenKeys)), marks: [] }),
  }),
  'list: neither a session without a sid, nor one that no sid finds, is missing under its sub': (store) => ({
    async list(target, cursor) {
      const page = await store.list(target, cursor)
      const states = await Promise.all(page.sessions.map(({ sessionId }) => store.read(sessionId)))
      return {
        ...page,
        sessions: page.sessions.filter(
          (_, i) => states[i]?.binding === undefined || states[i]?.binding?.sidKey !== undefined,
        ),
      }
    },
  }),
  'endSessions, unbind: no ids, nothing to do': (store) => ({
    endSessions: async (ids, expiresAt) => {
      if (ids.length === 0) throw new Error('no ids')
      return store.endSessions(ids, expiresAt)
    },
  }),
  'begin: a session under the same key of another scope is not found': (store) => ({
    begin: (logout) =>
      store.begin(logout.target.scope === 'token' ? { ...logout, target: { ...logout.target, scope: 'sub' } } : logout),
  }),
  'begin: the same logout under another jti is no replay': (store) => {
    const completed = new Set<string>()
    let last = ''
    return {
      async begin(logout) {
        const name = JSON.stringify([logout.target.key, logout.issuedAt])
        if (logout.jti !== undefined && completed.has(name)) return { replayed: true }
        const begun = await store.begin(logout)
        if (!begun.replayed) last = name
        return begun
      },
      async complete(logout) {
        await store.complete(logout)
        if (logout.jti !== undefined && logout.done && logout.destroyedIds.length === 0) completed.add(last)
        if (!logout.done) completed.clear()
      },
    }
  },
  'marks: one that covers all that another covers takes its place, with the later expiry': (store) => {
    const longest = new Map<string, number>()
    return {
      async begin(logout) {
        const begun = await store.begin(logout)
        if (!begun.replayed && logout.target.scope === 'sub') longest.set(begun.mark.key, begun.mark.expiresAt)
        return begun
      },
      marks: async (keys) => {
        const found = await store.marks(keys)
        return {
          ...found,
          marks: found.marks.map((mark) => ({ ...mark, expiresAt: longest.get(mark.key) ?? mark.expiresAt })),
        }
      },
    }
  },
}

/** `iat` of the logins of that case. */
const AT_ONE_TICK = 1_700_000_001

/** The cases of the contract, of a store with this defect. */
export function casesOf(defect: Defect, nodes: 'shared' | 'apart' = 'shared'): readonly LogoutStoreCase[] {
  return logoutStoreContract({
    async create() {
      const { clock, now } = hurriedTime()
      const store = memoryStore({ clock })
      const broken: LogoutStore = delegate(store, defect(store, clock))
      const another = async () => (nodes === 'apart' ? memoryStore({ clock }) : broken)
      return { store: broken, now, another, dispose() {} }
    },
  })
}

/** More looks at the clock than a case takes between two acts, but where it waits. */
const LOOKS = 6

/**
 * Time that goes by at each act and each look, and by far where somebody only looks, as who waits does: no case lasts
 * longer for its waiting, and on a busy machine none fails for its slowness, which would pass for the store's defect.
 */
function hurriedTime(): { clock(): number; now(): Promise<number> } {
  let time = 1_800_000_000
  let looks = 0
  return {
    clock() {
      looks = 0
      time += 0.001
      return time
    },
    async now() {
      looks += 1
      time += looks > LOOKS ? 1 : 0.001
      return time
    },
  }
}

/** Whether the store keeps a case. */
export function isKept({ run }: LogoutStoreCase): Promise<boolean> {
  return run().then(
    () => true,
    () => false,
  )
}

/** A store that hands everything on, but for some methods. */
export function delegate(store: LogoutStore, parts: Partial<LogoutStore>): LogoutStore {
  return {
    bind: (login) => store.bind(login),
    rebind: (from, to, expiresAt) => store.rebind(from, to, expiresAt),
    renew: (id, expiresAt) => store.renew(id, expiresAt),
    list: (target, cursor) => store.list(target, cursor),
    addTokens: (id, keys) => store.addTokens(id, keys),
    read: (id) => store.read(id),
    marks: (keys) => store.marks(keys),
    isBound: (key) => store.isBound(key),
    endSessions: (ids, expiresAt, sparedIds) => store.endSessions(ids, expiresAt, sparedIds),
    unbind: (ids) => store.unbind(ids),
    begin: (logout) => store.begin(logout),
    complete: (logout) => store.complete(logout),
    ...parts,
  }
}

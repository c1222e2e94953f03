// What a receiver owes its users on each kind of logout store, by the public API: on real servers, where a store is
// shared by two nodes.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import {
  type BackchannelLogoutOptions,
  boundedReads,
  createBackchannelLogout,
  type EndedSessions,
  type LocalSession,
  type LogoutEvent,
  type SessionBackend,
} from '../../src/index.js'
import { covers } from '../../src/marks/covering.js'
import { sidKey, signOnKey, subKey } from '../../src/marks/target.js'
import type { LogStore } from '../../src/stores/log-store.js'
import type { SessionState } from '../../src/stores/logout-store.js'
import { createTokenMint } from '../../src/testing/index.js'
import { LOGOUT_STORES, type LogoutStoreServer, SHARED_STORES } from '../servers/logout-stores.js'

/** What follows the store's log comes when it comes; a second of `vi.waitFor` is short on a busy machine. */
const PATIENCE = { timeout: 15_000 }

const issuer = 'https://op.example.com'
const clientId = 'rp'
const mint = await createTokenMint({ issuer, clientId, sub: 'alice', sid: 'S1' })
const seconds = () => Math.floor(Date.now() / 1000)

/** Rows that are there until they are destroyed. */
class Rows implements SessionBackend<LocalSession> {
  readonly ids = new Set<string>()
  sessionOf = (req: LocalSession) => req
  async destroy(sessionId: string) {
    this.ids.delete(sessionId)
  }
  protect() {}
  bound({ sessionId }: LocalSession) {
    this.ids.add(sessionId)
  }
  released() {}
}

let users = 0
const newUser = () => ({ sub: `user ${users}`, sid: `session ${users++}` })

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

function node(options: Partial<BackchannelLogoutOptions<LocalSession>>) {
  const rows = new Rows()
  const events: LogoutEvent[] = []
  const logout = createBackchannelLogout<LocalSession>({
    provider: { issuer, clientId, jwks: mint.jwks },
    sessions: rows,
    onEvent: (event) => void events.push(event),
    ...options,
  })
  closers.push(() => logout.close())
  const deliver = async (token: string) => {
    const body = new URLSearchParams({ logout_token: token })
    return (await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))).status
  }
  /** As a frame of the OP, or of anybody, asks. */
  const frame = async (sid: string) => {
    const receive = logout.frontchannelReceiver()
    const server = createServer(receive).listen(0, '127.0.0.1')
    closers.push(() => server.close())
    await once(server, 'listening')
    const { port } = Object(server.address())
    const query = new URLSearchParams({ iss: issuer, sid })
    return (await fetch(`http://127.0.0.1:${port}/?${query}`, { headers: { connection: 'close' } })).status
  }
  return { logout, rows, events, deliver, frame }
}

for (const { name, describe, start } of LOGOUT_STORES) {
  describe()(`on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    it('that takes no write any more: a Logout Token that is dated back by a second is denied all the same', async () => {
      const { logout, deliver } = node({ store: server.open() })
      const [user, other] = [newUser(), newUser()]
      const iat = seconds()
      const signOn = await logout.signOn(mint.idTokenClaims({ ...user, iat }))
      const others = await logout.signOn(mint.idTokenClaims({ ...other, iat }))
      if (signOn === undefined || others === undefined) throw new Error('nobody was logged out yet')
      await server.refuseWrites(true)
      try {
        expect(await logout.isLive(signOn)).toBe(true)
        expect(await deliver(await mint.logoutToken({ payload: { ...user, sid: undefined, iat: iat - 1 } }))).toBe(400)
        expect(await logout.isLive(signOn)).toBe(false)
        expect(await logout.isLive(others)).toBe(true)
      } finally {
        await server.refuseWrites(false)
      }
    })

    it('marks outlive the sign-on that they deny, though the clock of this node is a second behind the store’s', async () => {
      const [store, sessionLifetimeSeconds] = [server.open(), 1_000_000]
      const { logout, deliver } = node({ store, sessionLifetimeSeconds, clock: () => Date.now() / 1000 - 1 })
      const user = newUser()
      const signOn = await logout.signOn(mint.idTokenClaims(user))
      if (signOn === undefined) throw new Error('nobody was logged out yet')
      expect(await deliver(await mint.logoutToken({ payload: user }))).toBe(200)
      await logout.end(signOn)
      const client = { issuer, clientId }
      const keys = [sidKey(client, user.sid), subKey(client, user.sub), signOnKey(signOn)]
      const { marks } = await store.marks(keys)
      expect(marks.map(({ scope }) => scope).sort()).toEqual(['sid', 'sidless', 'token'])
      const end = signOn.boundAt + sessionLifetimeSeconds
      for (const { expiresAt } of marks) expect(expiresAt).toBeGreaterThan(end + 30)
    })

    it('a token is not done again at a node whose clock is hours behind the store’s', async () => {
      const clock = () => Date.now() / 1000 - 3 * 3600
      const { logout, deliver } = node({ store: server.open(), clock })
      const [user, iat] = [newUser(), Math.floor(clock())]
      const token = await mint.logoutToken({ payload: { sub: user.sub, sid: undefined, iat, exp: iat + 120 } })
      expect(await deliver(token)).toBe(200)
      const signOn = await logout.signOn(mint.idTokenClaims({ ...user, iat: iat + 10, exp: iat + 600 }))
      expect(await deliver(token)).toBe(400)
      expect(signOn && (await logout.isLive(signOn))).toBe(true)
    })

    it('a login whose iat is in milliseconds is newer than no logout', async () => {
      const { logout, deliver } = node({ store: server.open() })
      const user = newUser()
      const signOn = await logout.signOn(mint.idTokenClaims({ ...user, iat: Date.now() }))
      expect(signOn && (await logout.isLive(signOn))).toBe(true)
      expect(await deliver(await mint.logoutToken({ payload: user }))).toBe(200)
      expect(signOn && (await logout.isLive(signOn))).toBe(false)
    })

    it('whoever ends all sessions but their own ends one whose id changes at that moment, and sees it in the list', async () => {
      const store = server.open()
      const { logout, rows } = node({ store })
      const user = newUser()
      const own = { sessionId: `${user.sid}, own` }
      const target = { issuer, clientId, sub: user.sub }
      await logout.bind(own, mint.idTokenClaims({ ...user, sid: `${user.sid}, own` }))
      await logout.bind({ sessionId: user.sid }, mint.idTokenClaims(user))
      const { list } = store
      let [from, changes] = [user.sid, 0]
      /** The other session leaves its id between the store's list and whatever is asked then. */
      store.list = async (...asked) => {
        const page = await list.apply(store, asked)
        if (changes++ < 2) {
          const to = `${from}+`
          await store.rebind(from, to, seconds() + 3600)
          rows.ids.add(to)
          from = to
        }
        return page
      }
      expect((await logout.sessions.list(target, { current: own })).sessions).toHaveLength(2)
      changes = 0
      expect(await logout.sessions.count(target)).toBe(2)
      changes = 0
      expect(await logout.terminate(target, { except: own })).toMatchObject({ complete: true })
      expect(isDead(await store.read(from))).toBe(true)
      expect(isDead(await store.read(own.sessionId))).toBe(false)
    })

    it('a front-channel logout of a sid that is bound ends it, and one of any other sid leaves nothing behind', async () => {
      const store = server.open()
      const { logout, rows, frame } = node({ store })
      const [user, other] = [newUser(), newUser()]
      await logout.bind({ sessionId: user.sid }, mint.idTokenClaims(user))
      expect(await frame(other.sid)).toBe(200)
      expect((await store.marks([sidKey({ issuer, clientId }, other.sid)])).marks).toEqual([])
      expect(await logout.bind({ sessionId: other.sid }, mint.idTokenClaims(other))).toEqual({ ended: false })
      expect([...rows.ids]).toEqual([user.sid, other.sid])
      expect(await frame(user.sid)).toBe(200)
      expect((await store.marks([sidKey({ issuer, clientId }, user.sid)])).marks).toHaveLength(1)
      expect([...rows.ids]).toEqual([other.sid])
    })
  })
}

for (const { name, describe, start } of SHARED_STORES) {
  describe()(`two nodes on ${name}`, () => {
    let server: LogoutStoreServer<LogStore>
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    /** A node that hears of what others end, and what its hook was told. */
    async function listening(fail: () => boolean = () => false) {
      const heard: EndedSessions[] = []
      const store = boundedReads(server.open(), { seconds: 1, pullEverySeconds: 0.05, strict: true })
      closers.push(() => store.close())
      await store.refresh()
      const onSessionsEnded = (ended: EndedSessions) => {
        if (fail()) throw new Error('the sockets are stuck')
        heard.push(ended)
      }
      /** What it was told of this user: a log may tell once more of what was a moment before. */
      const of = ({ sid }: User) =>
        heard.flatMap(({ sessionIds, ...about }) => {
          const named = sessionIds.filter((id) => id === sid || id.startsWith(`${sid},`))
          return named.length > 0 ? [{ ...about, sessionIds: named }] : []
        })
      return { ...node({ store, onSessionsEnded }), of }
    }

    it.each([
      ['a Logout Token', (other: Node, { sid }: User) => other.terminate(sid)],
      ['a local logout', (other: Node, { sid }: User) => other.logout.unbind({ sessionId: sid })],
    ])('after %s at the one, the hook of the other names the session, and nobody else’s', async (_, end) => {
      const here = await listening()
      const there = withTerminate(node({ store: server.open() }))
      const [user, other] = [newUser(), newUser()]
      for (const each of [user, other]) await here.logout.bind({ sessionId: each.sid }, mint.idTokenClaims(each))
      await end(there, user)
      const about = { issuer: undefined, clientId: undefined, reason: 'elsewhere' }
      await vi.waitFor(() => expect(here.of(user)).toEqual([{ ...about, sessionIds: [user.sid] }]), PATIENCE)
      expect(here.of(other)).toEqual([])
    })

    it.each(['deleted', 'out of reach for minutes'])(
      'a log that was %s: within its bound the other lets nobody in, and its hook names who was ended',
      async (how) => {
        const heard: EndedSessions[] = []
        const followed = server.open()
        let isMissed = false
        const { pull } = followed
        followed.pull = (cursor) => pull.call(followed, isMissed ? undefined : cursor)
        const store = boundedReads(followed, { seconds: 60, pullEverySeconds: 1e6 })
        closers.push(() => store.close())
        const here = node({ store, onSessionsEnded: (ended) => void heard.push(ended) })
        const there = withTerminate(node({ store: server.open() }))
        const [ended, other, left] = [newUser(), newUser(), newUser()]
        for (const { sid, sub } of [ended, other, left]) {
          await here.logout.bind({ sessionId: sid }, mint.idTokenClaims({ sid, sub }))
        }
        await store.refresh()
        const isAlive = async ({ sid }: User) => !isDead(await store.read(sid))
        const all = () => Promise.all([ended, other, left].map(isAlive))
        await all() // and knows them from now on
        await there.terminate(ended.sid)
        await there.logout.unbind({ sessionId: left.sid })
        expect(await all()).toEqual([true, true, true])
        if (how === 'deleted' && server.deleteLog !== undefined) await server.deleteLog()
        else isMissed = true
        await store.refresh()
        expect(await all()).toEqual([false, true, false])
        const named = () =>
          heard
            .flatMap(({ sessionIds }) => sessionIds)
            .filter((id) => [ended, other, left].some(({ sid }) => sid === id))
        await vi.waitFor(() => expect(named().sort()).toEqual([ended.sid, left.sid].sort()), PATIENCE)
        expect(heard.every(({ reason }) => reason === 'elsewhere')).toBe(true)
      },
    )

    it('what it ended itself it names once, with the reason', async () => {
      const here = await listening()
      const user = newUser()
      await here.logout.bind({ sessionId: user.sid }, mint.idTokenClaims(user))
      expect(await here.deliver(await mint.logoutToken({ payload: user }))).toBe(200)
      const marker = newUser()
      const there = withTerminate(node({ store: server.open() }))
      await there.logout.bind({ sessionId: marker.sid }, mint.idTokenClaims(marker))
      await there.terminate(marker.sid)
      await vi.waitFor(() => expect(here.of(marker)).toHaveLength(1), PATIENCE)
      expect(here.of(user)).toMatchObject([{ reason: 'logout-token', sessionIds: [user.sid] }])
    })

    it('names the ids that the session had before, wherever they were changed: a socket may still bear one', async () => {
      const here = await listening()
      const store = server.open()
      const there = withTerminate(node({ store }))
      const user = newUser()
      await here.logout.bind({ sessionId: user.sid }, mint.idTokenClaims(user))
      const expiresAt = seconds() + 3600
      await store.rebind(user.sid, `${user.sid}, moved`, expiresAt)
      await store.rebind(`${user.sid}, moved`, `${user.sid}, moved again`, expiresAt)
      await there.terminate(user.sid)
      const sessionIds = [`${user.sid}, moved again`, `${user.sid}, moved`, user.sid]
      await vi.waitFor(() => expect(here.of(user)).toMatchObject([{ sessionIds }]), PATIENCE)
    })

    it('a hook that fails is called again', async () => {
      let failures = 2
      const here = await listening(() => failures-- > 0)
      const there = withTerminate(node({ store: server.open() }))
      const user = newUser()
      await here.logout.bind({ sessionId: user.sid }, mint.idTokenClaims(user))
      await there.terminate(user.sid)
      await vi.waitFor(() => expect(here.of(user)).toMatchObject([{ sessionIds: [user.sid] }]), PATIENCE)
      const warnings = here.events.flatMap((event) => (event.type === 'warning' ? [event.error.code] : []))
      expect(warnings).toEqual(['ERR_HOOK', 'ERR_HOOK'])
    })
  })
}

function isDead({ ended, binding, marks }: SessionState): boolean {
  return ended || (binding !== undefined && marks.some((mark) => covers(mark, binding)))
}

type User = ReturnType<typeof newUser>
type Node = ReturnType<typeof withTerminate>

function withTerminate(made: ReturnType<typeof node>) {
  const terminate = (sid: string) => made.logout.terminate({ issuer, clientId, sid })
  return { ...made, terminate }
}

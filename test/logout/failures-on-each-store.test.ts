// What fails half-way is made good on each kind of logout store, by the public API: logins that could not be bound,
// tokens for several clients, tokens without keys, tokens of sessions whose id another node has changed.
import { once } from 'node:events'
import { createServer } from 'node:http'
import session from 'express-session'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import {
  type BackchannelLogoutOptions,
  createBackchannelLogout,
  expressSessions,
  type LogoutEvent,
  type LogoutStore,
  type SessionRequest,
} from '../../src/index.js'
import { sidKey, tokenKey } from '../../src/marks/target.js'
import { createTokenMint } from '../../src/testing/index.js'
import { LOGOUT_STORES, type LogoutStoreServer } from '../servers/logout-stores.js'

/** What is tried again is tried again when it is; a second of `vi.waitFor` is short on a busy machine. */
const PATIENCE = { timeout: 15_000 }

const issuer = 'https://op.example.com'
const CLIENTS = ['web', 'app'] as const
type ClientId = (typeof CLIENTS)[number]
const mint = await createTokenMint({ issuer, clientId: 'web' })

let users = 0
const newUser = () => ({ sub: `user ${users}`, sid: `session ${users++}` })
type User = ReturnType<typeof newUser>

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

/** The rows that all nodes of a test share. */
const rowsOf = () => Reflect.get(new session.MemoryStore(), 'sessions')
type Rows = ReturnType<typeof rowsOf>

/** A node over rows that it shares with others, of which it can destroy none for a while. */
function node(store: LogoutStore, rows: Rows, options: Partial<BackchannelLogoutOptions<SessionRequest>> = {}) {
  const sessions = Object.assign(new session.MemoryStore(), { sessions: rows })
  let [isStuck, refused, nextId] = [false, 0, '']
  const { destroy } = sessions
  sessions.destroy = (id: string, done?: (error?: unknown) => void) => {
    if (!isStuck) return destroy.call(sessions, id, done)
    refused += 1
    done?.(new Error('the row stays'))
  }
  // As `session()` would, which gives its store this method.
  Reflect.set(sessions, 'generate', (req: object) => {
    Object.assign(req, { sessionID: nextId, session: { cookie: {} } })
  })
  const events: LogoutEvent[] = []
  const logout = createBackchannelLogout({
    provider: CLIENTS.map((clientId) => ({ issuer, clientId, jwks: mint.jwks })),
    store,
    sessions: expressSessions(sessions),
    onEvent: (event) => void events.push(event),
    ...options,
  })
  closers.push(() => logout.close())
  const save = (id: string) => {
    const row = { cookie: { originalMaxAge: null }, user: 'somebody' } as unknown as session.SessionData
    return new Promise((resolve) => sessions.set(id, row, resolve))
  }
  return {
    logout,
    save,
    stick(stuck: boolean) {
      isStuck = stuck
    },
    refusals: () => refused,
    concluded: () => events.filter(({ type }) => type === 'logout' || type === 'logout-failed'),
    ended: () => events.flatMap((event) => (event.type === 'logout' ? [event.clientId] : [])),
    isBelieved: (id: string) =>
      new Promise((resolve, reject) => {
        sessions.get(id, (error, row) => (error ? reject(error) : resolve(Boolean(row))))
      }),
    async signIn(id: string, aud: ClientId, user: User) {
      await save(id)
      expect(await logout.bind({ sessionId: id }, mint.idTokenClaims({ ...user, aud }))).toEqual({ ended: false })
    },
    async changeId(from: string, to: string) {
      nextId = to
      const req = { sessionID: from } as Parameters<typeof sessions.regenerate>[0]
      await new Promise<void>((resolve, reject) => {
        sessions.regenerate(req, (error) => (error ? reject(error) : resolve()))
      })
      await save(to)
    },
    async deliver(token: string) {
      const body = new URLSearchParams({ logout_token: token })
      return (await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))).status
    },
  }
}

/** The next logout of this client's session cannot be begun, once. */
function failOnce(store: LogoutStore, clientId: ClientId, { sid }: User): void {
  const { begin } = store
  const key = sidKey({ issuer, clientId }, sid)
  let isDue = true
  store.begin = async (logout) => {
    if (!isDue || logout.target.key !== key) return begin.call(store, logout)
    isDue = false
    throw new Error('not now')
  }
}

/** Keys that nobody has before the OP answers. */
async function heldKeys() {
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  const server = createServer(async (_req, res) => {
    await released
    res.setHeader('content-type', 'application/json').end(JSON.stringify(mint.jwks))
  }).listen(0, '127.0.0.1')
  closers.push(() => {
    release()
    server.close()
    server.closeAllConnections()
  })
  await once(server, 'listening')
  const { port } = Object(server.address())
  return { jwksUri: `http://127.0.0.1:${port}/jwks`, release }
}

for (const { name, describe, start } of LOGOUT_STORES) {
  describe()(`on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    it('that takes no write, beside rows that cannot be destroyed: a login that could not be bound is undone everywhere once both are mended', async () => {
      const [elsewhere, rows] = [server.open(), rowsOf()]
      const [here, there] = [node(server.open(), rows), node(elsewhere, rows)]
      const user = newUser()
      await here.save(user.sid) // As passport does, with the user in it, before `bind`.
      await server.refuseWrites(true)
      here.stick(true)
      try {
        const login = here.logout.bind({ sessionId: user.sid }, mint.idTokenClaims(user))
        await expect(login).rejects.toMatchObject({ code: 'ERR_STORE' })
        await vi.waitFor(() => expect(here.refusals()).toBeGreaterThan(0), PATIENCE)
        expect(await here.isBelieved(user.sid)).toBe(false)
        expect(Object.keys(rows)).toEqual([user.sid])
      } finally {
        await server.refuseWrites(false)
      }
      here.stick(false)
      await vi.waitFor(() => expect(Object.keys(rows)).toEqual([]), PATIENCE)
      expect((await elsewhere.read(user.sid)).ended).toBe(true)
      await there.save(user.sid) // A request of another node that had read it before writes it back.
      expect(await there.isBelieved(user.sid)).toBe(false)
    })

    it('one token for two clients: the sessions of both die, and its next use is a replay', async () => {
      const rows = rowsOf()
      const here = node(server.open(), rows)
      const [user, other] = [newUser(), newUser()]
      for (const aud of CLIENTS) await here.signIn(`${user.sid} ${aud}`, aud, user)
      await here.signIn(other.sid, 'web', other)
      const token = await mint.logoutToken({ payload: { ...user, aud: [...CLIENTS] } })
      expect(await here.deliver(token)).toBe(200)
      expect(Object.keys(rows)).toEqual([other.sid])
      expect(await here.deliver(token)).toBe(400)
      expect(here.ended()).toHaveLength(2)
    })

    it.each(CLIENTS)(
      'one token for two clients, where that of %s cannot be begun: failed, and the retry elsewhere ends both',
      async (failing) => {
        const [store, rows] = [server.open(), rowsOf()]
        const [here, there] = [node(store, rows), node(server.open(), rows)]
        const user = newUser()
        for (const aud of CLIENTS) await here.signIn(`${user.sid} ${aud}`, aud, user)
        const token = await mint.logoutToken({ payload: { ...user, aud: [...CLIENTS] } })
        failOnce(store, failing, user)
        expect(await here.deliver(token)).toBe(400)
        expect(Object.keys(rows)).toEqual([`${user.sid} ${failing}`])
        here.logout.close() // It tries nothing again.
        expect(await there.deliver(token)).toBe(200)
        expect(Object.keys(rows)).toEqual([])
        expect(await there.deliver(token)).toBe(400)
      },
    )

    it.each<[string, readonly ClientId[], readonly ClientId[]]>([
      ['for one client', ['web'], ['web']],
      ['for two clients, which cannot be begun for one of them', CLIENTS, ['web']],
    ])(
      'a token without keys %s, late: the retry elsewhere hears 200, what follows is a replay',
      async (_, ...about) => {
        const [clientIds, ended] = about
        const { jwksUri, release } = await heldKeys()
        const provider = clientIds.map((clientId) => ({ issuer, clientId, jwksUri }))
        const [store, rows] = [server.open(), rowsOf()]
        const here = node(store, rows, { provider, answerDeadlineSeconds: 0.1 })
        const there = node(server.open(), rows, { provider })
        const user = newUser()
        for (const aud of clientIds) await here.signIn(`${user.sid} ${aud}`, aud, user)
        const token = await mint.logoutToken({ payload: { ...user, aud: [...clientIds] } })
        failOnce(store, 'app', user)
        expect(await here.deliver(token)).toBe(400)
        expect(Object.keys(rows)).toHaveLength(clientIds.length)
        release()
        await vi.waitFor(() => expect(here.concluded()).toHaveLength(clientIds.length), PATIENCE)
        expect(here.ended()).toEqual(ended)
        expect(Object.keys(rows)).toHaveLength(clientIds.length - ended.length)
        here.logout.close() // It tries nothing again.
        expect(await there.deliver(token)).toBe(200)
        expect(Object.keys(rows)).toEqual([])
        expect(await there.deliver(token)).toBe(400)
      },
    )

    it('a hook that fails here is called again though the retry elsewhere has ended everything', async () => {
      const rows = rowsOf()
      const heard: (readonly string[])[] = []
      let fails = true
      const here = node(server.open(), rows, {
        onSessionsEnded({ sessionIds }) {
          heard.push(sessionIds)
          if (fails) throw new Error('the sockets cannot be closed now')
        },
      })
      const there = node(server.open(), rows)
      const user = newUser()
      await here.signIn(user.sid, 'web', user)
      const token = await mint.logoutToken({ payload: user })
      expect(await here.deliver(token)).toBe(400)
      expect(await there.deliver(token)).toBe(200)
      fails = false
      heard.length = 0
      await vi.waitFor(() => expect(heard).toEqual([[user.sid]]), PATIENCE)
      await vi.waitFor(() => expect(here.ended()).toEqual(['web']), PATIENCE)
    })

    it('a token that is recorded under an id which another node has changed lives, and ends with the sign-on', async () => {
      const [store, rows] = [server.open(), rowsOf()]
      const [here, there] = [node(store, rows), node(server.open(), rows)]
      const [user, accessToken] = [newUser(), `refreshed of ${users}`]
      const [old, changed] = [user.sid, `${user.sid}, changed`]
      await here.signIn(old, 'web', user)
      await there.changeId(old, changed)
      const isDenied = async () => (await store.marks([tokenKey(accessToken)])).marks.length > 0
      expect(await here.logout.addTokens({ sessionId: old }, { accessToken })).toEqual({ ended: false })
      expect(await isDenied()).toBe(false)
      expect(await here.isBelieved(changed)).toBe(true)
      expect(await there.deliver(await mint.logoutToken({ payload: user }))).toBe(200)
      expect(await isDenied()).toBe(true)
      expect(await here.isBelieved(changed)).toBe(false)
    })
  })
}

// "Your devices": what a user sees of their sessions, and what they can end.
import express from 'express'
import session from 'express-session'
import request from 'supertest'
import { afterEach, describe, expect, it } from 'vitest'
import {
  boundedReads,
  createBackchannelLogout,
  expressSessions,
  type LogoutEvent,
  type LogoutStore,
  memoryStore,
} from '../../src/index.js'
import type { LogStore } from '../../src/stores/log-store.js'

declare module 'express-session' {
  interface SessionData {
    user?: string
  }
}

const toClose: { close(): void }[] = []
afterEach(() => {
  for (const each of toClose.splice(0)) each.close()
})

const client = { issuer: 'https://op.example', clientId: 'rp' }
const alice = { ...client, sub: 'alice' }

interface Rows {
  readonly holdsAllSessions?: boolean
  /** Of the session store, in place of its own. */
  readonly get?: (own: session.Store['get']) => session.Store['get']
}

function application(storeOf = (store: LogoutStore): LogoutStore => store, { holdsAllSessions, get }: Rows = {}) {
  let now = 1_800_000_000
  let sid = 0
  const ids: string[] = []
  const events: LogoutEvent[] = []
  const ended: string[] = []
  const rows = new session.MemoryStore()
  if (get !== undefined) rows.get = get(rows.get.bind(rows))
  let beforeSave: (() => Promise<void>) | undefined
  const clock = () => now
  const logout = createBackchannelLogout<express.Request>({
    provider: { ...client, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] } },
    store: storeOf(memoryStore({ clock })),
    sessions: expressSessions(rows, holdsAllSessions === undefined ? {} : { holdsAllSessions }),
    ...(get && { stepTimeoutSeconds: 1 }),
    clock,
    onEvent: (event) => events.push(event),
    onSessionsEnded: ({ reason }) => void ended.push(reason),
  })
  const app = express()
  app.use(session({ store: rows, secret: 'keep it', resave: false, saveUninitialized: false }))
  app.get('/login', async (req, res) => {
    const { sub = 'alice', label } = req.query
    ids.push(req.sessionID)
    const named = req.query.sid === 'none' ? {} : { sid: `S${++sid}` }
    const claims = { iss: client.issuer, aud: client.clientId, sub, ...named, iat: now, auth_time: now - 60 }
    await logout.bind(req, claims, label === undefined ? {} : { label: String(label), sessionExpiresAt: now + 3600 })
    req.session.user = String(sub)
    await beforeSave?.()
    res.send()
  })
  app.get('/devices', async (req, res) => {
    const { cursor } = req.query
    res.send(await logout.sessions.list(alice, { current: req, ...(cursor && { cursor: String(cursor) }) }))
  })
  app.get('/end-others', async (req, res) => res.send(await logout.terminate(alice, { except: req, reason: 'others' })))
  app.get('/move', (req, res) => {
    const { user = '' } = req.session
    req.session.regenerate(async () => {
      req.session.user = user
      res.send(req.query.end ? await logout.terminate(alice, { except: req }) : {})
    })
  })
  app.get('/me', (req, res) => res.send(req.session.user ?? 'nobody'))
  const saveAfter = (what: () => Promise<void>) => {
    beforeSave = what
  }
  return { logout, app, ids, rows, events, ended, saveAfter, pass: (seconds: number) => (now += seconds), clock }
}

describe('sessions.list', () => {
  it('shows live sessions of the target: the own one first, then the newest, with what was said of each at bind', async () => {
    const { app, ids, pass, clock } = application()
    const [phone, laptop, bob] = [request.agent(app), request.agent(app), request.agent(app)]
    await phone.get('/login?label=Phone')
    pass(10)
    await laptop.get('/login')
    await bob.get('/login?sub=bob&label=Bob')
    const { sessions, cursor } = (await phone.get('/devices')).body
    expect(cursor).toBeUndefined()
    expect(sessions).toMatchObject([
      { label: 'Phone', sid: 'S1', authTime: clock() - 70, endsAt: clock() + 3590, current: true },
      { current: false },
    ])
    expect(Object.keys(sessions[1]).sort()).toEqual(['boundAt', 'current', 'handle'])
    expect(sessions[1].boundAt).toBeCloseTo(clock(), 1)
    for (const id of ids) expect(JSON.stringify(sessions)).not.toContain(id)
  })

  it('leaves out what ended by a logout, by its time, or by itself', async () => {
    const { app, logout, pass } = application()
    const agents = ['', '?label=short', '', ''].map((query) => ({ agent: request.agent(app), query }))
    for (const { agent, query } of agents) await agent.get(`/login${query}`)
    await logout.terminate({ ...client, sid: 'S1' })
    expect(await logout.sessions.count(alice)).toBe(3)
    pass(3600)
    expect(await logout.sessions.count(alice)).toBe(2)
    expect(await logout.sessions.count({ ...client, sid: 'S3' })).toBe(1)
    expect(await logout.sessions.count({ ...client, sub: 'bob' })).toBe(0)
  })

  it('comes in pages, nobody missing', async () => {
    const { logout } = application()
    for (let i = 0; i < 1200; i++) {
      const claims = { iss: client.issuer, aud: client.clientId, sub: 'alice', sid: `S${i}`, iat: 1_800_000_000 }
      await logout.bind({ sessionId: `id ${i}` } as never, claims)
    }
    const first = await logout.sessions.list(alice)
    const { cursor } = first
    const second = await logout.sessions.list(alice, { cursor })
    expect(cursor).toBeDefined()
    expect(second.cursor).toBeUndefined()
    const handles = [...first.sessions, ...second.sessions].map(({ handle }) => handle)
    expect([handles.length, new Set(handles).size]).toEqual([1200, 1200])
    expect(await logout.sessions.count(alice)).toBe(1200)
  })

  it('refuses a target that is none, a client that is not configured, an option it does not know', async () => {
    const { logout } = application()
    await expect(logout.sessions.list(client as never)).rejects.toThrow(/sessions.list\(\) needs a target with a sid/)
    await expect(logout.sessions.count({ ...alice, clientId: 'x' })).rejects.toThrow(/not configured/)
    await expect(logout.sessions.list(alice, { currrent: undefined } as never)).rejects.toThrow(/current/)
  })

  it('a label is a short text', async () => {
    const { logout } = application()
    const login = logout.bind(
      { sessionId: 'a' } as never,
      { iss: client.issuer, aud: 'rp', sub: 'alice' },
      { label: 'x'.repeat(201) },
    )
    await expect(login).rejects.toThrow(/label must be a text/)
  })
})

describe('a session of which only the row is gone', () => {
  const rowGone = async (rows?: Rows) => {
    const here = application(undefined, rows)
    const [phone, laptop] = [request.agent(here.app), request.agent(here.app)]
    await phone.get('/login?label=Phone')
    await laptop.get('/login?label=Laptop')
    /** Straight from the store, as its time to live does it. */
    const forget = () => {
      delete Reflect.get(here.rows, 'sessions')[here.ids[1] ?? '']
    }
    const listed = async () => {
      const labels = (await here.logout.sessions.list(alice)).sessions.map(({ label }) => label)
      expect(await here.logout.sessions.count(alice)).toBe(labels.length)
      return labels.sort()
    }
    return { ...here, phone, laptop, forget, listed }
  }

  it('is not listed, and not counted, where the session store holds every session', async () => {
    const { forget, listed, pass, phone, logout } = await rowGone({ holdsAllSessions: true })
    pass(61)
    expect(await listed()).toEqual(['Laptop', 'Phone'])
    forget()
    expect(await listed()).toEqual(['Phone'])
    expect((await phone.get('/devices')).body.sessions).toMatchObject([{ label: 'Phone', current: true }])
    expect(await logout.terminate(alice)).toMatchObject({ complete: true, found: 2 })
  })

  it('is listed where nobody says that there is no other session store', async () => {
    const { forget, listed, pass } = await rowGone()
    pass(61)
    forget()
    expect(await listed()).toEqual(['Laptop', 'Phone'])
  })

  it.each([
    ['fails', (callback: (error: Error) => void) => callback(new Error('away'))],
    ['never answers', () => {}],
  ])(
    'is listed with all others where the session store %s, and each row is not waited for in vain',
    async (_, answer) => {
      let isAway = false
      let asked = 0
      const get =
        (own: session.Store['get']): session.Store['get'] =>
        (id, callback) => {
          if (!isAway) return own(id, callback)
          asked += 1
          answer(callback)
        }
      const { forget, logout, pass } = await rowGone({ holdsAllSessions: true, get })
      for (let i = 0; i < 100; i++) {
        const claims = { iss: client.issuer, aud: client.clientId, sub: 'alice', sid: `many ${i}`, iat: 1_800_000_000 }
        await logout.bind({ sessionId: `id ${i}` } as never, claims)
      }
      pass(61)
      forget()
      isAway = true
      expect((await logout.sessions.list(alice)).sessions).toHaveLength(102)
      expect(asked).toBeLessThanOrEqual(16)
      isAway = false
      expect(await logout.sessions.count(alice)).toBe(1)
    },
  )

  it('is listed where it was just bound: its row is saved at the end of the response', async () => {
    const { app, listed, saveAfter, pass } = await rowGone({ holdsAllSessions: true })
    pass(61)
    let meanwhile: unknown
    saveAfter(async () => {
      meanwhile = await listed()
    })
    await request(app).get('/login?label=Tablet')
    expect(meanwhile).toEqual(['Laptop', 'Phone', 'Tablet'])
    pass(61)
    expect(await listed()).toEqual(['Laptop', 'Phone', 'Tablet'])
  })

  it('is listed as the own session of the request that asks, and under an id that has no row yet', async () => {
    const { app, phone, listed, pass } = await rowGone({ holdsAllSessions: true })
    pass(61)
    let meanwhile: unknown
    app.get('/regenerate', (req, res) => {
      req.session.regenerate(async () => {
        meanwhile = await listed()
        req.session.user = 'alice'
        res.send()
      })
    })
    await phone.get('/regenerate')
    expect(meanwhile).toEqual(['Laptop', 'Phone'])
    expect((await phone.get('/devices')).body.sessions).toMatchObject([{ label: 'Phone', current: true }, {}])
  })
})

describe('ending', () => {
  it('one by its handle; nobody else, not by the handle of another user, and not twice', async () => {
    const { app, logout, ended } = application()
    const [phone, laptop, bob] = [request.agent(app), request.agent(app), request.agent(app)]
    await phone.get('/login?label=Phone')
    await laptop.get('/login?label=Laptop')
    await bob.get('/login?sub=bob')
    const { sessions } = (await phone.get('/devices')).body
    const [bobs] = (await logout.sessions.list({ ...client, sub: 'bob' })).sessions
    expect(await logout.sessions.end(alice, bobs?.handle ?? '')).toEqual({ ended: false })
    const handle = sessions.find((each: { label: string }) => each.label === 'Laptop').handle
    expect(await logout.sessions.end(alice, handle)).toEqual({ ended: true })
    expect(await logout.sessions.end(alice, handle)).toEqual({ ended: false })
    for (const [agent, who] of [
      [phone, 'alice'],
      [laptop, 'nobody'],
      [bob, 'bob'],
    ] as const) {
      expect((await agent.get('/me')).text).toBe(who)
    }
    expect(ended).toEqual(['local-logout'])
  })

  it('all others: the own session stays, and a later login lives', async () => {
    const { app, events, ended } = application()
    const agents = [request.agent(app), request.agent(app), request.agent(app)] as const
    for (const agent of agents) await agent.get('/login')
    const [own, ...others] = agents
    const result = (await own.get('/end-others')).body
    expect(result).toEqual({ complete: true, marked: true, found: 2, destroyed: 2, failed: 0 })
    expect((await own.get('/me')).text).toBe('alice')
    for (const other of others) expect((await other.get('/me')).text).toBe('nobody')
    expect(ended).toEqual(['others', 'others'])
    const about = { scope: 'sub', reason: 'others', found: 2, destroyed: 2, failed: 0, background: false }
    expect(events).toContainEqual(expect.objectContaining({ type: 'logout', ...client, ...about }))
    expect(events.filter(({ type }) => type === 'unbound')).toEqual([])
    const late = request.agent(app)
    await late.get('/login')
    expect((await late.get('/me')).text).toBe('alice')
  })

  it('all others from a session whose id has just changed spares it under its new id', async () => {
    const { app } = application()
    const [own, other] = [request.agent(app), request.agent(app)]
    await own.get('/login')
    await other.get('/login')
    expect((await own.get('/move?end=1')).body).toMatchObject({ complete: true, found: 1 })
    expect((await own.get('/me')).text).toBe('alice')
    expect((await other.get('/me')).text).toBe('nobody')
  })

  it.each(['with a sid', 'without one'])(
    'all others spares the own sign-on %s, to whatever id another request of its browser brings it meanwhile',
    async (which) => {
      let meanwhile = async () => {}
      const { app } = application((store) =>
        changed(store, {
          async list(...about) {
            await meanwhile()
            return store.list(...about)
          },
        }),
      )
      const [own, other] = [request.agent(app), request.agent(app)]
      for (const agent of [own, other]) await agent.get(`/login${which === 'with a sid' ? '' : '?sid=none'}`)
      meanwhile = async () => {
        meanwhile = async () => {}
        await own.get('/move')
      }
      expect((await own.get('/end-others')).body).toMatchObject({ complete: true, found: 1, destroyed: 1 })
      expect((await own.get('/me')).text).toBe('alice')
      expect((await other.get('/me')).text).toBe('nobody')
    },
  )

  it('all others spares no login that merely looks the same, by a clock that stands', async () => {
    const { app } = application((store) =>
      changed(store, {
        async read(id) {
          const { binding, ...state } = await store.read(id)
          return binding === undefined ? state : { ...state, binding: { ...binding, boundAt: 1_800_000_000 } }
        },
      }),
    )
    const [own, other] = [request.agent(app), request.agent(app)]
    for (const agent of [own, other]) await agent.get('/login?sid=none')
    expect((await own.get('/end-others')).body).toMatchObject({ complete: true, found: 1, destroyed: 1 })
    expect((await other.get('/me')).text).toBe('nobody')
  })

  it('all others ends nobody where the own session has moved already: it would be one of them', async () => {
    let meanwhile = async () => {}
    const { app } = application((store) =>
      changed(store, {
        async read(id) {
          await meanwhile()
          return store.read(id)
        },
      }),
    )
    const [own, other] = [request.agent(app), request.agent(app)]
    for (const agent of [own, other]) await agent.get('/login')
    const ending = own.get('/end-others')
    let reads = 0
    meanwhile = async () => {
      // The first is the request's own, by which it is let in.
      if (++reads !== 2) return
      await own.get('/move')
    }
    expect((await ending).body).toMatchObject({ complete: false, found: 0, error: { code: 'ERR_SESSIONS' } })
    for (const agent of [own, other]) expect((await agent.get('/me')).text).toBe('alice')
  })

  it('all others asks the store itself whom to spare: a copy of it knows not of a change of id at another node', async () => {
    let inner: LogoutStore | undefined
    const now = 1_800_000_000
    const pull = async (cursor = '') => ({
      cursor,
      now,
      reset: false,
      marks: [],
      sessionIds: [],
      endedIds: [],
      moves: [],
    })
    const { app, logout, ids } = application((store) => {
      inner = store
      const reads = boundedReads(changed(store, { pull }) as LogStore, { pullEverySeconds: 1e6 })
      toClose.push(reads)
      return reads
    })
    const [own, other] = [request.agent(app), request.agent(app)]
    for (const agent of [own, other]) {
      await agent.get('/login')
      expect((await agent.get('/me')).text).toBe('alice') // From now on the copy knows it.
    }
    const [ownId = ''] = ids
    const moved = await inner?.rebind(ownId, 'the new id', now + 1000)
    expect(moved).toMatchObject({ ended: false, binding: { sessionId: 'the new id' } })
    const except = { sessionID: ownId, session: {} } as express.Request
    const result = await logout.terminate(alice, { except })
    expect(result).toMatchObject({ complete: false, found: 0, error: { code: 'ERR_SESSIONS' } })
    expect(await inner?.read('the new id')).toMatchObject({ ended: false })
    expect((await other.get('/me')).text).toBe('alice')
  })

  it('all others is not complete while logins come as fast as sessions are listed', async () => {
    let logIn = async () => {}
    const { app } = application((store) =>
      changed(store, {
        async list(target, cursor) {
          await logIn()
          const page = await store.list(target, cursor)
          // In two pages: what comes into the one that was read already is seen at the next walk.
          return cursor === undefined ? { ...page, cursor: 'rest' } : { sessions: [] }
        },
      }),
    )
    const own = request.agent(app)
    await own.get('/login')
    logIn = async () => void (await request(app).get('/login'))
    const { complete, error } = (await own.get('/end-others')).body
    expect([complete, error.code]).toEqual([false, 'ERR_STORE'])
  })
})

/** The same store, but for these methods. */
function changed(store: LogoutStore, methods: Partial<LogStore>): LogoutStore {
  return new Proxy(store, {
    get: (target, name) => {
      const value = Reflect.get(methods, name) ?? Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

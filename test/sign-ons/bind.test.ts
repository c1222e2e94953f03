// What `bind` ties together: a login that does not stand, tokens that die with it, and requests of any shape.
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions, type LogoutStore, memoryStore } from '../../src/index.js'
import { sidKey, tokenKey } from '../../src/marks/target.js'
import {
  clientId,
  create,
  endedByOp,
  events,
  freshSession,
  generateIds,
  idToken,
  issuer,
  load,
  request,
  restart,
  rows,
  save,
  saveSession,
} from './one-session.js'

freshSession()

describe('a login that could not be recorded does not stand', () => {
  it('refuses the session even if the application saves it after the error', async () => {
    const store = memoryStore()
    store.bind = () => Promise.reject(new Error('down'))
    const logout = create({ store })
    await expect(logout.bind({ sessionId: 'a' }, idToken)).rejects.toMatchObject({ code: 'ERR_STORE' })
    await save('a')
    expect(await load('a')).toBeFalsy()
  })

  it('is not believed either if its row was saved before', async () => {
    const store = memoryStore()
    store.bind = () => Promise.reject(new Error('down'))
    const logout = create({ store })
    await save('a')
    rows.destroy = () => {} // a row store that is down as well
    await expect(logout.bind({ sessionId: 'a' }, idToken)).rejects.toMatchObject({ code: 'ERR_STORE' })
    expect(await load('a')).toBeFalsy()
  })

  it('lets the same session id live once a later bind succeeds', async () => {
    const store = memoryStore()
    const { bind } = store
    store.bind = () => Promise.reject(new Error('down'))
    const logout = create({ store })
    await expect(logout.bind({ sessionId: 'a' }, idToken)).rejects.toThrow()
    store.bind = bind
    expect(await logout.bind({ sessionId: 'a' }, idToken)).toEqual({ ended: false })
    await save('a')
    expect(await load('a')).toMatchObject({ user: 'alice' })
  })
})

describe('a login that was logged out before it was bound', () => {
  it('is reported, and leaves nobody signed in', async () => {
    const store = memoryStore()
    const logout = create({ store })
    await endedByOp(store)
    await save('a')
    expect(await logout.bind({ sessionId: 'a' }, idToken)).toEqual({ ended: true })
    await save('a')
    expect(await load('a')).toBeFalsy()
    expect(events).toContainEqual({ type: 'bound', issuer, clientId, ended: true })
  })
})

describe('a session that no logout could find', () => {
  it('is not believed once its binding has expired', async () => {
    let now = 1_760_000_000
    const clock = () => now
    const logout = createBackchannelLogout({
      provider: { issuer, clientId },
      store: memoryStore({ clock }),
      sessions: expressSessions(rows),
      sessionLifetimeSeconds: 3600,
      clock,
    })
    const req = request('a')
    await logout.bind(req, idToken)
    await saveSession(req)
    expect(await load('a')).toMatchObject({ user: 'alice' })
    now += 24 * 3600 // idle, with a cookie that says nothing of its age
    expect(await load('a')).toBeFalsy()
  })

  it('is not believed after the logout store lost what it knew', async () => {
    const req = request('a')
    await create().bind(req, idToken)
    await saveSession(req)
    restart()
    create() // the same rows, an empty logout store
    expect(await load('a')).toBeFalsy()
  })

  it('is not our business if nobody ever bound it', async () => {
    create()
    await saveSession(request('a'))
    expect(await load('a')).toMatchObject({ user: 'alice' })
  })
})

describe('access tokens live and die with their session', () => {
  const denied = async (store: LogoutStore, token: string) => (await store.marks([tokenKey(token)])).marks.length > 0

  it.each([
    ['a local logout', (logout: ReturnType<typeof create>) => logout.unbind({ sessionId: 'a' })],
    ['a logout by the OP', (logout: ReturnType<typeof create>) => logout.terminate({ issuer, clientId, sid: 'S1' })],
  ])('%s denies them', async (_, end) => {
    const store = memoryStore()
    const logout = create({ store })
    await logout.bind({ sessionId: 'a' }, idToken, { accessToken: 'first' })
    await logout.addTokens({ sessionId: 'a' }, { accessToken: 'second' })
    await end(logout)
    expect([await denied(store, 'first'), await denied(store, 'second')]).toEqual([true, true])
  })

  it.each(['regenerate', 'none'])(
    'a second login of the same sign-on keeps those of the first (change of id: %s)',
    async (change) => {
      const store = memoryStore()
      const logout = create({ store })
      let ids = 0
      generateIds(() => `id ${++ids}`)
      const req = {} as Parameters<typeof rows.regenerate>[0]
      const changeId = () => new Promise((resolve) => rows.regenerate(req, resolve))
      await changeId()
      await logout.bind(req, idToken, { accessToken: 'first' })
      await save(req.sessionID)
      if (change === 'regenerate') await changeId()
      expect(await logout.bind(req, idToken, { accessToken: 'second' })).toEqual({ ended: false })
      await save(req.sessionID)
      await logout.terminate({ issuer, clientId, sid: 'S1' })
      for (const token of ['first', 'second']) expect((await store.marks([tokenKey(token)])).marks).toHaveLength(1)
      expect(await load(req.sessionID)).toBeFalsy()
    },
  )

  it('a login under an id that was left behind ends nobody else', async () => {
    const store = memoryStore()
    const logout = create({ store })
    generateIds(() => 'new')
    await logout.bind({ sessionId: 'old' }, idToken)
    const req = { sessionID: 'old' } as Parameters<typeof rows.regenerate>[0]
    await new Promise((resolve) => rows.regenerate(req, resolve))
    await save('new')
    const other = { ...idToken, sub: 'bob', sid: 'S2' }
    expect(await logout.bind({ sessionId: 'old' }, other, { accessToken: 'of bob' })).toEqual({ ended: true })
    expect((await store.marks([tokenKey('of bob')])).marks).toHaveLength(1)
    expect(await load('new')).toMatchObject({ user: 'alice' })
    expect((await store.read('new')).binding).toBeDefined()
  })

  it('a login that was logged out before denies them', async () => {
    const store = memoryStore()
    const logout = create({ store })
    await endedByOp(store)
    await logout.bind({ sessionId: 'a' }, idToken, { accessToken: 'first' })
    expect(await denied(store, 'first')).toBe(true)
  })

  it('destroys a login that was logged out before, though its tokens cannot be evicted', async () => {
    const claims = { evict: () => Promise.reject(new Error('the API is down')) }
    const store = memoryStore()
    const logout = createBackchannelLogout({
      provider: { issuer, clientId },
      store,
      sessions: expressSessions(rows),
      claims,
    })
    await endedByOp(store)
    await save('a')
    expect(await logout.bind({ sessionId: 'a' }, idToken, { accessToken: 'first' })).toEqual({ ended: true })
    expect(Object.keys(Reflect.get(rows, 'sessions'))).toEqual([])
    expect(await denied(store, 'first')).toBe(true)
    logout.close()
  })

  it('keeps marks for a day at least, for APIs in other processes', async () => {
    const store = memoryStore()
    const logout = createBackchannelLogout({ provider: { issuer, clientId }, store, sessionLifetimeSeconds: 900 })
    await logout.terminate({ issuer, clientId, sid: 'S1' })
    const { now, marks } = await store.marks([sidKey({ issuer, clientId }, 'S1')])
    expect(marks[0]?.expiresAt).toBeGreaterThan(now + 86_000)
  })

  it('tells the claims cache of this process', async () => {
    const evicted: string[] = []
    const claims = { evict: ({ tokenKeys }: { tokenKeys: readonly string[] }) => void evicted.push(...tokenKeys) }
    const logout = createBackchannelLogout({ provider: { issuer, clientId }, sessions: expressSessions(rows), claims })
    await logout.bind({ sessionId: 'a' }, idToken, { accessToken: 'first' })
    await logout.unbind({ sessionId: 'a' })
    expect(evicted).toEqual([tokenKey('first')])
  })
})

describe('requests with names of their own', () => {
  it('takes the session of express-session, not a property that happens to be called sessionId', async () => {
    const logout = create()
    const req = { sessionId: 'tracking', sessionID: 'a', session: { cookie: { originalMaxAge: null } } }
    await logout.bind(req, idToken)
    await save('a')
    expect(await logout.terminate({ issuer, clientId, sid: 'S1' })).toMatchObject({ destroyed: 1 })
    expect(await load('a')).toBeFalsy()
  })
})

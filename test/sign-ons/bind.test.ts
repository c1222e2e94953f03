import session from 'express-session'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  createBackchannelLogout,
  expressSessions,
  type LogoutEvent,
  type LogoutStore,
  memoryStore,
} from '../../src/index.js'
import { sidKey, targetKey, tokenKey } from '../../src/marks/target.js'

const issuer = 'https://op.example.com'
const clientId = 'my-rp'
const idToken = { iss: issuer, aud: clientId, sub: 'alice', sid: 'S1', iat: 1_760_000_000 }

let events: LogoutEvent[]
let rows: session.MemoryStore

function create(options: { store?: LogoutStore; backchannelLogoutSessionRequired?: boolean } = {}) {
  const { store = memoryStore(), ...more } = options
  return createBackchannelLogout({
    provider: { issuer, clientId, ...more },
    store,
    sessions: expressSessions(rows),
    onEvent: (event) => events.push(event),
  })
}

const row = { cookie: { originalMaxAge: null }, user: 'alice' } as unknown as session.SessionData
const save = (id: string) => new Promise((resolve) => rows.set(id, row, resolve))
const load = (id: string) =>
  new Promise((resolve, reject) => rows.get(id, (e, found) => (e ? reject(e) : resolve(found))))

/** A Logout Token of the session S1 arrived, at this node or another. */
const endedByOp = (store: LogoutStore) =>
  store.begin({
    target: targetKey({ issuer, clientId, sid: 'S1' }),
    issuedAt: idToken.iat + 1,
    seenSecondsAgo: 0,
    marksExpireAt: Date.now() / 1000 + 1000,
    mayDestroy: false,
  })

/** As `session()` would, which gives its store this method. */
const generateIds = (nextId: () => string) => {
  Reflect.set(rows, 'generate', (req: object) => {
    Object.assign(req, { sessionID: nextId(), session: { cookie: {} } })
  })
}

beforeEach(() => {
  events = []
  rows = new session.MemoryStore()
})

describe('bind believes only claims of a configured provider', () => {
  it.each([
    ['no claims', undefined, 'claims_missing', undefined],
    ['no issuer', { ...idToken, iss: undefined }, 'iss_missing', 'iss'],
    ['another issuer', { ...idToken, iss: 'https://op.example.com/' }, 'iss_unknown', 'iss'],
    ['another client', { ...idToken, aud: ['other'] }, 'aud_unknown', 'aud'],
    ['no subject', { ...idToken, sub: '' }, 'sub_missing', 'sub'],
    ['a sid that is no string', { ...idToken, sid: 7 }, 'sid_invalid', 'sid'],
    [
      'a Logout Token',
      { ...idToken, events: { 'http://schemas.openid.net/event/backchannel-logout': {} } },
      'logout_token',
      'events',
    ],
  ])('%s: ERR_ID_TOKEN, and the session is not saved', async (_, claims, reason, claim) => {
    const logout = create()
    await expect(logout.bind({ sessionId: 'a' }, claims)).rejects.toMatchObject({ code: 'ERR_ID_TOKEN', reason, claim })
    await save('a')
    expect(await load('a')).toBeFalsy()
  })

  it('takes an audience among several, a null sid and a missing iat', async () => {
    const logout = create()
    const claims = { iss: issuer, aud: ['api', clientId], sub: 'alice', sid: null }
    expect(await logout.bind({ sessionId: 'a' }, claims)).toEqual({ ended: false })
    await save('a')
    expect(await logout.terminate({ issuer, clientId, sub: 'alice' })).toMatchObject({ complete: true, destroyed: 1 })
    expect(await load('a')).toBeFalsy()
  })

  it('without a sid, where its provider names nothing else in Logout Tokens: the login does not stand', async () => {
    const logout = create({ backchannelLogoutSessionRequired: true })
    const login = logout.bind({ sessionId: 'a' }, { ...idToken, sid: undefined })
    await expect(login).rejects.toMatchObject({ code: 'ERR_ID_TOKEN', reason: 'sid_missing', claim: 'sid' })
    await save('a')
    expect(await load('a')).toBeFalsy()
    expect(await logout.bind({ sessionId: 'b' }, idToken)).toEqual({ ended: false })
  })

  it.each([
    ['in milliseconds', Date.now()],
    ['far ahead', Date.now() / 1000 + 3600],
  ])('an iat %s is no date: the login counts as older than any logout, and that is said', async (_, iat) => {
    const logout = create()
    await logout.bind({ sessionId: 'a' }, { ...idToken, iat })
    const error = expect.objectContaining({ reason: 'iat_untrue' })
    expect(events).toContainEqual(expect.objectContaining({ type: 'warning', error }))
  })

  it('warns of a login without iat, which counts as older than any logout', async () => {
    await create().bind({ sessionId: 'a' }, { ...idToken, iat: undefined })
    const error = expect.objectContaining({ reason: 'iat_missing' })
    expect(events).toContainEqual(expect.objectContaining({ type: 'warning', error }))
  })

  it('binds a token for several of our clients to the one it was issued to', async () => {
    const logout = createBackchannelLogout({
      provider: [
        { issuer, clientId: 'web' },
        { issuer, clientId },
      ],
      sessions: expressSessions(rows),
    })
    const claims = { ...idToken, aud: ['web', clientId] }
    await expect(logout.bind({ sessionId: 'a' }, claims)).rejects.toMatchObject({ reason: 'aud_unknown' })
    await logout.bind({ sessionId: 'b' }, { ...claims, azp: clientId })
    expect(await logout.terminate({ issuer, clientId, sid: 'S1' })).toMatchObject({ destroyed: 1 })
  })

  it('is a TypeError where there is no session, or no session backend', async () => {
    await expect(create().bind({ sessionID: undefined, session: undefined }, idToken)).rejects.toThrow(TypeError)
    const stateless = createBackchannelLogout({ provider: { issuer, clientId } })
    await expect(stateless.bind({}, idToken)).rejects.toThrow(/signOn\(\) and guard\(\)/)
  })
})

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

/** A request of express-session, as far as a backend looks at it. */
function request(id: string) {
  return { sessionID: id, session: { cookie: { originalMaxAge: null }, user: 'alice' } }
}
const saveSession = ({ sessionID, session: data }: ReturnType<typeof request>) =>
  new Promise((resolve) => rows.set(sessionID, data as unknown as session.SessionData, resolve))

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
    const before = rows
    rows = Object.assign(new session.MemoryStore(), { sessions: Reflect.get(before, 'sessions') })
    create() // a restart: the same rows, an empty logout store
    expect(await load('a')).toBeFalsy()
  })

  it('is not our business if nobody ever bound it', async () => {
    create()
    await saveSession(request('a'))
    expect(await load('a')).toMatchObject({ user: 'alice' })
  })
})

describe('unbind', () => {
  it('ends a session that was never bound as well, also against its own last save', async () => {
    const logout = create()
    const req = request('a')
    await saveSession(req)
    await logout.unbind(req)
    await saveSession(req)
    expect(await load('a')).toBeFalsy()
  })

  it('reports no resurrection for the save of the request that asked for it', async () => {
    const logout = create()
    const req = request('a')
    await logout.bind(req, idToken)
    await logout.unbind(req)
    const data = Object.defineProperty({ ...req.session }, 'req', { value: req, enumerable: false })
    await saveSession({ ...req, session: data })
    // Keys are fetched beside a login, and this provider is not there.
    const heard = () => events.map(({ type }) => type).filter((type) => type !== 'warning')
    expect(heard()).toEqual(['bound', 'unbound'])
    await saveSession(req)
    expect(heard()).toEqual(['bound', 'unbound', 'resurrection-blocked'])
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

describe('a listener of events', () => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('listener')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('listener')
      },
    ],
  ])('that %s ends neither the logout nor the process', async (_, onEvent) => {
    const rejections: unknown[] = []
    const heard = (error: unknown) => rejections.push(error)
    process.on('unhandledRejection', heard)
    const logout = createBackchannelLogout({ provider: { issuer, clientId }, sessions: expressSessions(rows), onEvent })
    expect(await logout.terminate({ issuer, clientId, sub: 'alice' })).toMatchObject({ complete: true })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', heard)
    expect(rejections).toEqual([])
  })
})

describe('terminate', () => {
  it('refuses a target that names nobody', async () => {
    const logout = create()
    const terminate = (target: object) => Reflect.apply(logout.terminate, logout, [target])
    await expect(terminate({ issuer, clientId })).rejects.toThrow(TypeError)
    await expect(terminate({ issuer, clientId, sub: '' })).rejects.toThrow(TypeError)
    await expect(terminate({ sub: 'alice' })).rejects.toThrow(TypeError)
    await expect(terminate({ issuer: `${issuer}/`, clientId, sub: 'alice' })).rejects.toThrow(/not configured/)
  })
})

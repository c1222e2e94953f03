// Session ids that were left, ended or chosen by the application: who is told of them, and what a login under them is
// worth.
import session from 'express-session'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  createBackchannelLogout,
  type EndedSessions,
  expressSessions,
  LogoutError,
  type LogoutEvent,
  memoryStore,
} from '../../src/index.js'
import { tokenKey } from '../../src/marks/target.js'
import { createTokenMint } from '../../src/testing/index.js'

const issuer = 'https://op.example.com'
const clientId = 'my-rp'
const { jwks } = await createTokenMint({ issuer, clientId })
const now = () => Math.floor(Date.now() / 1000)
const idToken = { iss: issuer, aud: clientId, sub: 'alice', sid: 'S1', iat: now() - 60 }

let rows: session.MemoryStore
let events: LogoutEvent[]
let ended: EndedSessions[]
let nextIds: string[]

beforeEach(() => {
  rows = new session.MemoryStore()
  events = []
  ended = []
  nextIds = []
  // As `session()` would, which gives its store this method.
  Reflect.set(rows, 'generate', (req: object) => {
    Object.assign(req, { sessionID: nextIds.shift(), session: { cookie: {} } })
  })
})

function create() {
  const store = memoryStore()
  const logout = createBackchannelLogout({
    provider: { issuer, clientId, jwks },
    store,
    sessions: expressSessions(rows),
    onEvent: (event) => events.push(event),
    onSessionsEnded: (sessions) => void ended.push(sessions),
  })
  return { store, logout }
}

/** A new one each time: what is written into a row that belongs to a login is that row's own. */
const row = () => ({ cookie: { originalMaxAge: null }, user: 'alice' }) as unknown as session.SessionData
const save = (id: string) => new Promise((resolve) => rows.set(id, row(), resolve))
const load = (id: string) =>
  new Promise((resolve, reject) => rows.get(id, (error, found) => (error ? reject(error) : resolve(found))))

async function changeId(from: string, to: string) {
  nextIds.push(to)
  const req = { sessionID: from } as Parameters<typeof rows.regenerate>[0]
  await new Promise<void>((resolve, reject) => rows.regenerate(req, (error) => (error ? reject(error) : resolve())))
  await save(to)
}

type Receiver = ReturnType<typeof create>['logout']

describe('onSessionsEnded', () => {
  it.each([
    [
      'the OP or an administrator',
      'terminated',
      (logout: Receiver) => logout.terminate({ issuer, clientId, sid: 'S1' }),
    ],
    ['a local logout', 'local-logout', (logout: Receiver) => logout.unbind({ sessionId: 'third' })],
  ])('after %s names the ids that the session had before: sockets may still bear them', async (_, reason, end) => {
    const { logout } = create()
    await save('first')
    await logout.bind({ sessionId: 'first' }, idToken)
    await save('of bob')
    await logout.bind({ sessionId: 'of bob' }, { ...idToken, sub: 'bob', sid: 'S2' })
    await changeId('first', 'second')
    await changeId('second', 'third')
    expect(ended).toEqual([])
    await end(logout)
    expect(ended).toEqual([{ issuer, clientId, reason, sessionIds: ['third', 'second', 'first'] }])
    expect(await load('third')).toBeFalsy()
    expect(await load('of bob')).toMatchObject({ user: 'alice' })
  })

  it('does not name the ids of somebody else’s sign-on, which the login took the place of', async () => {
    const { logout } = create()
    await save('of bob')
    await logout.bind({ sessionId: 'of bob' }, { ...idToken, sub: 'bob', sid: 'S2' })
    nextIds.push('of alice')
    const req = { sessionID: 'of bob' } as Parameters<typeof rows.regenerate>[0]
    await new Promise((resolve) => rows.regenerate(req, resolve))
    await logout.bind({ sessionId: 'of alice' }, idToken)
    await save('of alice')
    await logout.terminate({ issuer, clientId, sid: 'S1' })
    expect(ended.map(({ sessionIds }) => sessionIds)).toEqual([['of alice']])
  })

  it('is not called for a visitor who was never bound', async () => {
    const { logout } = create()
    await save('visitor')
    await logout.unbind({ sessionId: 'visitor' })
    expect(ended).toEqual([])
  })
})

describe('a local logout under the new session id', () => {
  it('leaves nothing to a request that still holds the old id, and changes it once more', async () => {
    const { logout } = create()
    await save('old')
    await logout.bind({ sessionId: 'old' }, idToken)
    await changeId('old', 'new')
    await logout.unbind({ sessionId: 'new' })
    await changeId('old', 'twin')
    expect(await load('twin')).toBeFalsy()
  })
})

describe('two requests that changed one id at the same time', () => {
  it('whoever ends all sessions but their own keeps it, though another came from the same id', async () => {
    const { logout } = create()
    await save('old')
    await logout.bind({ sessionId: 'old' }, idToken)
    await changeId('old', 'mine')
    await changeId('old', 'twin')
    const others = await logout.terminate({ issuer, clientId, sub: 'alice' }, { except: { sessionId: 'mine' } })
    expect(others).toMatchObject({ complete: true, found: 1, destroyed: 1 })
    expect(await load('twin')).toBeFalsy()
    expect(await load('mine')).toMatchObject({ user: 'alice' })
  })
})

describe('a token that is recorded under an id that was left behind', () => {
  it('lives on with the sign-on, and ends with it', async () => {
    const { store, logout } = create()
    await save('old')
    await logout.bind({ sessionId: 'old' }, idToken)
    await changeId('old', 'new')
    const isDenied = async () => (await store.marks([tokenKey('refreshed')])).marks.length > 0

    expect(await logout.addTokens({ sessionId: 'old' }, { accessToken: 'refreshed' })).toEqual({ ended: false })
    expect(await isDenied()).toBe(false)
    expect(await load('new')).toMatchObject({ user: 'alice' })

    await logout.terminate({ issuer, clientId, sid: 'S1' })
    expect(await isDenied()).toBe(true)
  })

  it('is denied where that sign-on was logged out meanwhile', async () => {
    const { store, logout } = create()
    await save('old')
    await logout.bind({ sessionId: 'old' }, idToken)
    await changeId('old', 'new')
    await logout.terminate({ issuer, clientId, sid: 'S1' })
    expect(await logout.addTokens({ sessionId: 'old' }, { accessToken: 'refreshed' })).toEqual({ ended: true })
    expect((await store.marks([tokenKey('refreshed')])).marks).toHaveLength(1)
  })
})

describe('a session id that the application makes of the user', () => {
  it('was ended: no later login under it stands, and the events say why', async () => {
    const { logout } = create()
    const login = { ...idToken, iat: now() + 1 }
    await save('device of alice')
    await logout.bind({ sessionId: 'device of alice' }, idToken)
    await logout.terminate({ issuer, clientId, sid: 'S1' })
    events.length = 0

    expect(await logout.bind({ sessionId: 'device of alice' }, { ...login, sid: 'S2' })).toEqual({ ended: true })
    await save('device of alice')
    expect(await load('device of alice')).toBeFalsy()
    expect(events).toContainEqual({ type: 'bound', issuer, clientId, ended: true, reason: 'session_id_reused' })
    const [error] = events.flatMap((event) => (event.type === 'warning' ? [event.error] : []))
    expect(error).toMatchObject({ code: 'ERR_SESSIONS', reason: 'session_id_reused' })
    expect(error?.remedy).toContain('genid')

    // The same login under an id of its own lives, and is no such case.
    events.length = 0
    expect(await logout.bind({ sessionId: 'fresh' }, { ...login, sid: 'S2' })).toEqual({ ended: false })
    expect(events).toEqual([{ type: 'bound', issuer, clientId, ended: false }])
  })

  it('is refused at the first change of id that does not change it', async () => {
    const { logout } = create()
    await save('device of alice')
    await logout.bind({ sessionId: 'device of alice' }, idToken)
    const change = changeId('device of alice', 'device of alice')
    await expect(change).rejects.toBeInstanceOf(LogoutError)
    await expect(change).rejects.toMatchObject({ code: 'ERR_SESSIONS', reason: 'session_id_reused' })
  })
})

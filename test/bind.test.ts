import session from 'express-session'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  type BackchannelLogoutEvent,
  createBackchannelLogout,
  expressSessions,
  type LogoutStore,
  memoryStore,
} from '../src/index.js'

const issuer = 'https://op.example.com'
const clientId = 'my-rp'
const idToken = { iss: issuer, aud: clientId, sub: 'alice', sid: 'S1', iat: 1_760_000_000 }

let events: BackchannelLogoutEvent[]
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

  it('warns of a login that no Logout Token with a sid will find', async () => {
    const logout = create({ backchannelLogoutSessionRequired: true })
    await logout.bind({ sessionId: 'a' }, { ...idToken, sid: undefined })
    expect(events).toContainEqual(
      expect.objectContaining({ type: 'warning', error: expect.objectContaining({ reason: 'sid_missing' }) }),
    )
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
    const logout = create()
    await logout.terminate({ issuer, clientId, sid: 'S1' })
    await save('a')
    expect(await logout.bind({ sessionId: 'a' }, idToken)).toEqual({ ended: true })
    await save('a')
    expect(await load('a')).toBeFalsy()
    expect(events).toContainEqual({ type: 'bound', issuer, clientId, ended: true })
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
  })
})

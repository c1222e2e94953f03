import { beforeEach, describe, expect, it } from 'vitest'
import { createClaims, createJwtCheck } from '../../src/access-tokens/index.js'
import { LogoutError } from '../../src/errors.js'
import type { LogoutEvent } from '../../src/events.js'
import { createBackchannelLogout, type LogoutStore, memoryStore } from '../../src/index.js'
import { consoleWarnings } from '../../src/mistakes/console-warnings.js'
import { type MistakeWatch, type MistakeWatchOptions, watchMistakes } from '../../src/mistakes/mistake-watch.js'
import { createFakeOp } from '../../src/testing/index.js'

const CLIENT = { issuer: 'https://op.example', clientId: 'rp' }
let events: LogoutEvent[]
let now: number
let watch: MistakeWatch
/** What waits, and for how many seconds. */
let waiting: (readonly [seconds: number, work: () => void])[]

function start(options: Partial<MistakeWatchOptions> = {}) {
  events = []
  now = 1000
  waiting = []
  watch = watchMistakes({
    emit: (event) => events.push(event),
    storeIsOwn: true,
    hasSessions: true,
    monotonic: () => now,
    later: (seconds, work) => waiting.push([seconds, work]),
    ...options,
  })
}

function logout(about: Partial<Extract<LogoutEvent, { type: 'logout' }>> = {}) {
  const counts = { found: 0, destroyed: 0, failed: 0, mismatched: 0, withoutSid: 0, notDeleted: 0 }
  const rest = { revokeOfflineAccess: false, durationSeconds: 0, background: false, steps: [] }
  watch.emit({ type: 'logout', ...CLIENT, scope: 'sid', reason: 'logout-token', ...counts, ...rest, ...about })
}

const junk = () => watch.emit({ type: 'refused', status: 400, error: new LogoutError('ERR_TOKEN', 'Refused') })
const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.error.reason] : []))

beforeEach(() => start())

describe('logouts that find nobody', () => {
  it('are told in a moment where nothing was ever bound and only this process binds', () => {
    logout()
    logout()
    expect(warnings()).toEqual([])
    expect(waiting.map(([seconds]) => seconds)).toEqual([5])
    for (const [, work] of waiting) work()
    expect(warnings()).toEqual(['never_bound'])
  })

  it('are not told where the first logout came during the first login, which is bound meanwhile', () => {
    logout()
    watch.metLogin(CLIENT, true)
    for (const [, work] of waiting) work()
    watch.close()
    expect(warnings()).toEqual([])
  })

  it('are not told at an API, whose receiver has no login of its own, and are where it has sessions', () => {
    start({ hasSessions: false, servesApi: () => true })
    logout()
    for (const [, work] of waiting) work()
    watch.close()
    expect(warnings()).toEqual([])
    start({ hasSessions: true, servesApi: () => true })
    logout()
    watch.close()
    expect(warnings()).toEqual(['never_bound'])
  })

  it('are told where another client of this process was bound meanwhile', () => {
    logout()
    watch.metLogin({ ...CLIENT, clientId: 'another' }, true)
    for (const [, work] of waiting) work()
    expect(warnings()).toEqual(['never_bound'])
  })

  it('are told at once where there are sessions with a user, and where the process stops', () => {
    watch.metUnboundUser()
    logout()
    expect(warnings()).toEqual(['never_bound'])
    start()
    logout()
    watch.close()
    for (const [, work] of waiting) work()
    expect(warnings()).toEqual(['never_bound'])
  })

  it('are told with what bind rejected with, where it was called and no login stood', () => {
    watch.metUnboundUser()
    watch.metRefusedLogin(new LogoutError('ERR_ID_TOKEN', 'Not these', { reason: 'claims_encoded' }))
    logout()
    expect(warnings()).toEqual(['login_refused'])
    const [warning] = events.filter(({ type }) => type === 'warning')
    expect(warning).toMatchObject({ error: { remedy: expect.stringMatching(/Not these\. Give bind the claims/) } })
  })

  it('what an error of others says is not repeated: it may name somebody', () => {
    watch.metUnboundUser()
    watch.metRefusedLogin(new TypeError('no row for alice'))
    logout()
    expect(warnings()).toEqual(['login_refused'])
    expect(JSON.stringify(events)).not.toContain('alice')
  })

  it('are told at the third where another process may have bound, and not after one was found', () => {
    start({ storeIsOwn: false })
    logout()
    logout()
    expect(warnings()).toEqual([])
    logout()
    expect(warnings()).toEqual(['never_bound'])
    start({ storeIsOwn: false })
    logout({ found: 1, destroyed: 1 })
    for (let i = 0; i < 5; i++) logout()
    expect(warnings()).toEqual([])
  })

  it('are told with the sid as the reason where logins had none', () => {
    watch.metLogin(CLIENT, false)
    logout({ scope: 'sub' })
    expect(warnings()).toEqual([])
    logout()
    expect(warnings()).toEqual(['login_without_sid'])
  })

  it('are told with the other spelling of the issuer as the reason', () => {
    watch.metLogin({ ...CLIENT, issuer: `${CLIENT.issuer}/` }, true)
    logout()
    expect(warnings()).toEqual(['issuer_differs'])
  })

  it('are told with sessions that nobody bound as the reason, whatever else works', () => {
    watch.metLogin(CLIENT, true)
    logout({ found: 1, destroyed: 1 })
    watch.metUnboundUser()
    logout()
    expect(warnings()).toEqual(['sessions_unbound'])
  })

  it('are told at the third where logins were bound and nothing else is known', () => {
    watch.metLogin(CLIENT, true)
    for (let i = 0; i < 3; i++) logout()
    expect(warnings()).toEqual(['nobody_found'])
  })

  it('are as they should be where as many were signed out here a moment before', () => {
    watch.metLogin(CLIENT, true)
    for (let i = 0; i < 5; i++) {
      watch.emit({ type: 'unbound' })
      logout()
    }
    expect(warnings()).toEqual([])
    watch.emit({ type: 'unbound' })
    now += 61
    for (let i = 0; i < 3; i++) logout()
    expect(warnings()).toEqual(['nobody_found'])
  })

  it('say nothing where sessions are cookies, of which a logout never finds any', () => {
    start({ hasSessions: false })
    watch.metLogin(CLIENT, false)
    for (let i = 0; i < 5; i++) logout()
    expect(warnings()).toEqual([])
  })

  it('say nothing where they were not of a Logout Token', () => {
    for (let i = 0; i < 5; i++) logout({ reason: 'administrator' })
    expect(warnings()).toEqual([])
  })
})

describe('a logout that ended sessions without a sid', () => {
  it('is told, since it could not tell which it meant', () => {
    logout({ found: 2, destroyed: 2, withoutSid: 2 })
    expect(warnings()).toEqual(['login_without_sid'])
  })
})

describe('a flood of junk', () => {
  it('is told with its count, and once an hour at most', () => {
    for (let i = 0; i < 99; i++) junk()
    expect(warnings()).toEqual([])
    for (let i = 0; i < 500; i++) junk()
    expect(events.filter(({ type }) => type === 'warning')).toMatchObject([
      { times: 100, error: { reason: 'junk_flood' } },
    ])
    now += 3601
    for (let i = 0; i < 100; i++) junk()
    expect(warnings()).toEqual(['junk_flood', 'junk_flood'])
  })

  it('is none where so many come over hours, or where it is our own keys that are missing', () => {
    for (let i = 0; i < 300; i++) {
      now += 1
      junk()
      watch.emit({ type: 'refused', status: 400, error: new LogoutError('ERR_KEYS_UNAVAILABLE', 'None') })
    }
    expect(warnings()).toEqual([])
  })

  it('is printed with its count', () => {
    const printed: string[] = []
    start({ emit: consoleWarnings((text, { code }) => printed.push(`${code}: ${text}`)) })
    for (let i = 0; i < 100; i++) junk()
    expect(printed).toEqual(['BCL_JUNK_FLOOD: The receiver refused very many requests within a minute (100 so far)'])
  })
})

describe('a receiver whose logout finds nobody, and none was bound', () => {
  const introspection = { issuer: 'https://op.example', introspect: async () => ({ active: false }) }
  it.each([
    ['of an application that forgot bind', () => {}, ['never_bound']],
    ['beside createJwtCheck over its store: it has no login', (store: LogoutStore) => createJwtCheck({ store }), []],
    ['beside createClaims over its store', (store: LogoutStore) => createClaims({ introspection, store }), []],
    ['beside an API over another store', () => createJwtCheck({ store: memoryStore() }), ['never_bound']],
  ])('%s', async (_, api, expected) => {
    const op = await createFakeOp({ clientId: 'rp' })
    const store = memoryStore()
    const heard: LogoutEvent[] = []
    const provider = { issuer: op.issuer, clientId: 'rp' }
    const logout = createBackchannelLogout({ provider, store, onEvent: (event) => void heard.push(event) })
    api(store)
    const body = new URLSearchParams({ logout_token: await op.mint.logoutToken() })
    const answer = await logout.fetch(new Request('https://rp.example/logout', { method: 'POST', body }))
    logout.close()
    await op.close()
    expect(answer.status).toBe(200)
    expect(heard.flatMap((event) => (event.type === 'warning' ? [event.error.reason] : []))).toEqual(expected)
  })
})

it('a signOn that rejected is the reason where a logout then finds nobody, as a bind is', async () => {
  const op = await createFakeOp({ clientId: 'rp' })
  const heard: LogoutEvent[] = []
  const provider = { issuer: op.issuer, clientId: 'rp' }
  const logout = createBackchannelLogout({ provider, onEvent: (event) => void heard.push(event) })
  await expect(logout.signOn({ ...op.mint.idTokenClaims(), aud: 'another' })).rejects.toThrow()
  const body = new URLSearchParams({ logout_token: await op.mint.logoutToken() })
  await logout.fetch(new Request('https://rp.example/logout', { method: 'POST', body }))
  logout.close()
  await op.close()
  expect(heard.flatMap((event) => (event.type === 'warning' ? [event.error.reason] : []))).toEqual(['login_refused'])
})

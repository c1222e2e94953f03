// Sign-ons that end by themselves: by the claim session_expiry, by the application's word, by the provider's settings.
import type { Request } from 'express'
import session from 'express-session'
import { describe, expect, it, vi } from 'vitest'
import {
  createBackchannelLogout,
  expressSessions,
  type LogoutEvent,
  memoryStore,
  type ProviderOptions,
} from '../../src/index.js'
import { providerAt, startSmallApplication } from './small-application.js'

const issuer = 'https://op.example'
const clientId = 'rp'
const START = 1_800_000_000

function rp(settings: Partial<ProviderOptions> = {}) {
  let now = START
  const events: LogoutEvent[] = []
  const rows = new session.MemoryStore()
  const clock = () => now
  const logout = createBackchannelLogout({
    provider: { issuer, clientId, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] }, ...settings },
    store: memoryStore({ clock }),
    sessions: expressSessions(rows),
    onEvent: (event) => events.push(event),
    clock,
  })
  const called = (call: (done: (error?: unknown, value?: unknown) => void) => void) =>
    new Promise((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))))
  return {
    logout,
    rows,
    events,
    claims: (more: object = {}) => ({ iss: issuer, aud: clientId, sub: 'alice', sid: 'S1', iat: now, ...more }),
    save: (id: string) =>
      called((done) => rows.set(id, { cookie: { originalMaxAge: 3_600_000 } } as session.SessionData, done)),
    isIn: async (id: string) => (await called((done) => rows.get(id, done))) != null,
    pass: (seconds: number) => (now += seconds),
  }
}

describe('session_expiry', () => {
  it('ends the session to the second, and no event calls that a resurrection', async () => {
    const { logout, claims, save, isIn, pass, events } = rp()
    await logout.bind({ sessionId: 'a' }, claims({ session_expiry: START + 600 }))
    await save('a')
    pass(599.5)
    expect(await isIn('a')).toBe(true)
    pass(0.5)
    expect(await isIn('a')).toBe(false)
    expect(events.map(({ type }) => type)).not.toContain('resurrection-blocked')
    await save('a')
    expect(await isIn('a')).toBe(false)
  })

  it('of a login that was born expired: it does not stand, and its event says why', async () => {
    const { logout, claims, save, isIn, events } = rp()
    expect(await logout.bind({ sessionId: 'a' }, claims({ session_expiry: START }))).toEqual({ ended: true })
    await save('a')
    expect(await isIn('a')).toBe(false)
    expect(events).toContainEqual({ type: 'bound', issuer, clientId, ended: true, reason: 'session_expired' })
    expect(await logout.signOn(claims({ session_expiry: START - 1 }))).toBeUndefined()
  })

  it.each([
    ['milliseconds', (START + 600) * 1000],
    ['a text', String(START + 600)],
    ['zero', 0],
    ['not a number', Number.NaN],
    ['without end', Number.POSITIVE_INFINITY],
  ])('%s is no end that can be true: nobody signs in by it, and the error says what is meant', async (_, value) => {
    const { logout, claims, save, isIn } = rp()
    const login = logout.bind({ sessionId: 'a' }, claims({ session_expiry: value }))
    const refused = { code: 'ERR_ID_TOKEN', reason: 'session_expiry_untrue', claim: 'session_expiry' }
    await expect(login).rejects.toMatchObject(refused)
    await save('a')
    expect(await isIn('a')).toBe(false)
    await expect(logout.signOn(claims({ session_expiry: value }))).rejects.toMatchObject(refused)
    const told = logout.bind({ sessionId: 'b' }, claims(), { sessionExpiresAt: value as number })
    await expect(told).rejects.toMatchObject({ reason: 'session_expiry_untrue', option: 'sessionExpiresAt' })
  })

  it('that is null, or absent, caps nothing', async () => {
    const { logout, claims, save, isIn, pass } = rp()
    await logout.bind({ sessionId: 'a' }, claims({ session_expiry: null }))
    await save('a')
    pass(29 * 24 * 3600)
    expect(await isIn('a')).toBe(true)
  })

  it('stands through a refresh that brings another, or none; a login that was begun later has its own', async () => {
    const { logout, claims, save, isIn, pass } = rp()
    await logout.bind({ sessionId: 'a' }, claims({ session_expiry: START + 600 }))
    await save('a')
    pass(300)
    await logout.addTokens({ sessionId: 'a' }, { accessToken: 'second' })
    await logout.bind({ sessionId: 'a' }, claims({ session_expiry: START + 6000 }))
    await logout.bind({ sessionId: 'a' }, claims())
    expect(await isIn('a')).toBe(true)
    pass(300)
    expect(await isIn('a')).toBe(false)

    await logout.bind({ sessionId: 'b' }, claims({ session_expiry: START + 700 }))
    await save('b')
    pass(10)
    await logout.bind({ sessionId: 'b' }, claims({ session_expiry: START + 6000 }), { startedAt: START + 605 })
    pass(300)
    expect(await isIn('b')).toBe(true)
  })

  it('of a sign-on that a cookie carries is in its record, and no record can say that it has none', async () => {
    const { logout, claims, pass } = rp()
    const record = await logout.signOn(claims({ session_expiry: START + 600 }))
    if (record === undefined) throw new Error('nobody signed in')
    expect(record.endsAt).toBe(START + 600)
    pass(599)
    expect(await logout.isLive(record)).toBe(true)
    expect(await logout.isLive(JSON.parse(JSON.stringify({ ...record, endsAt: Number.NaN })))).toBe(false)
    pass(1)
    expect(await logout.isLive(record)).toBe(false)
  })
})

describe('the earliest end holds', () => {
  it.each([
    ['the claim', { session_expiry: START + 100 }, { sessionExpiresAt: START + 200 }, 300, 100],
    ['the application', { session_expiry: START + 200 }, { sessionExpiresAt: START + 100 }, 300, 100],
    ['sessionMaxAgeSeconds', { session_expiry: START + 200 }, { sessionExpiresAt: START + 300 }, 100, 100],
    ['sessionMaxAgeSeconds alone', {}, {}, 50, 50],
  ])('%s', async (_, more, about, sessionMaxAgeSeconds, seconds) => {
    const { logout, claims, save, isIn, pass } = rp({ sessionMaxAgeSeconds })
    await logout.bind({ sessionId: 'a' }, claims(more), about)
    await save('a')
    pass(seconds - 1)
    expect(await isIn('a')).toBe(true)
    pass(1)
    expect(await isIn('a')).toBe(false)
  })
})

describe('the settings of a provider', () => {
  it.each([
    ['sessionMaxAgeSeconds', 0],
    ['sessionMaxAgeSeconds', 8 * 3600 * 1e6],
    ['sessionIdleSeconds', -1],
    ['sessionIdleSeconds', '900'],
  ])('%s: %s is refused at boot', (option, value) => {
    expect(() => rp({ [option]: value })).toThrow(new RegExp(`${option} must be a number of seconds`))
  })

  it('an idle limit ends a session that nobody used for so long, also after its id changed', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: START * 1000 })
    try {
      const { logout, rows, claims, save, isIn } = rp({ sessionIdleSeconds: 900 })
      Reflect.set(rows, 'generate', (req: object) => Object.assign(req, { sessionID: 'b', session: {} }))
      const touch = (id: string, found: session.SessionData) =>
        new Promise<void>((resolve) => rows.touch(id, found, () => resolve()))
      const used = async (id: string) => {
        const found = await new Promise<session.SessionData | null | undefined>((resolve) =>
          rows.get(id, (_, row) => resolve(row)),
        )
        if (found == null) return false
        // As express-session does at the end of each request.
        found.cookie.expires = new Date(Date.now() + (found.cookie.originalMaxAge ?? 0))
        await touch(id, found)
        return true
      }
      await logout.bind({ sessionId: 'a' }, claims())
      await save('a')
      for (let i = 0; i < 3; i++) {
        vi.setSystemTime(Date.now() + 899_000)
        expect(await used('a')).toBe(true)
      }
      await new Promise((resolve) => rows.regenerate({ sessionID: 'a' } as never, resolve))
      await save('b')
      vi.setSystemTime(Date.now() + 899_000)
      expect(await isIn('b')).toBe(true)
      vi.setSystemTime(Date.now() + 2000)
      expect(await isIn('b')).toBe(false)
    } finally {
      vi.useRealTimers()
    }
  })

  it.each<[string, (cookie: session.Cookie) => void]>([
    ['leaves it alone', () => {}],
    ['makes it last a month ("remember me")', (cookie) => (cookie.maxAge = 30 * 86_400_000)],
    ['dates its end', (cookie) => (cookie.expires = new Date(Date.now() + 30 * 86_400_000))],
    ['lets it end with the browser', (cookie) => Object.assign(cookie, { maxAge: null })],
  ])('an idle limit ends an unused session of an application that at each request %s', async (_, change) => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const rows = new session.MemoryStore()
    const logout = createBackchannelLogout<Request>({
      provider: { ...providerAt(), sessionIdleSeconds: 900, sessionMaxAgeSeconds: 2000 },
      sessions: expressSessions(rows),
      warnings: false,
    })
    const application = await startSmallApplication(rows, logout, {}, (req) => change(req.session.cookie))
    try {
      const browser = application.browser()
      const pass = (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000)
      await browser.logIn('alice', 'S1')
      pass(600)
      expect(await browser.whoAmI()).toBe('alice')
      await browser.go('/rotate')
      pass(600)
      expect(await browser.whoAmI()).toBe('alice')
      expect(browser.cookieEnds()).toBeLessThanOrEqual(Date.now() + 801_000)
      pass(899)
      expect(await browser.whoAmI()).toBe('nobody')
      await browser.logIn('alice', 'S2')
      pass(901)
      expect(await browser.whoAmI()).toBe('nobody')
    } finally {
      await application.close()
      logout.close()
      vi.useRealTimers()
    }
  })

  it('an idle limit is not for sign-ons that a cookie carries, and that is said', async () => {
    const { logout, claims } = rp({ sessionIdleSeconds: 900 })
    await expect(logout.signOn(claims())).rejects.toThrow(/sessionIdleSeconds needs sessions in a store/)
  })
})

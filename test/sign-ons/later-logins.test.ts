// Which logins a logout ends and which it does not: those that say when they were begun, one cookie of several, a
// password login.
import express from 'express'
import session from 'express-session'
import supertest from 'supertest'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout, expressSessions, memoryStore } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

const ISSUER = 'https://op.example.com'
const CLIENT_ID = 'rp'
const START = 1_790_000_000

afterEach(() => {
  vi.restoreAllMocks()
})

async function rp({ storeAhead = 0 } = {}) {
  let now = START
  // Both clocks of the process go on.
  vi.spyOn(performance, 'now').mockImplementation(() => now * 1000)
  const mint = await createTokenMint({ issuer: ISSUER, clientId: CLIENT_ID, sub: 'ada', now: () => now })
  const options = {
    provider: { issuer: ISSUER, clientId: CLIENT_ID, jwks: mint.jwks },
    store: memoryStore({ clock: () => now + storeAhead }),
    clock: () => now,
    onEvent: () => {},
  }
  const logout = createBackchannelLogout(options)
  return {
    options,
    logout,
    mint,
    pass: (seconds: number) => {
      now += seconds
    },
    now: () => now,
    claims: (over: Record<string, unknown> = {}) =>
      mint.idTokenClaims({ sid: 'op-session', iat: Math.floor(now), ...over }),
    deliver: async (payload: Record<string, unknown>) => {
      const body = new URLSearchParams({ logout_token: await mint.logoutToken({ payload }) })
      return (await logout.fetch(new Request('http://rp/bcl', { method: 'POST', body }))).status
    },
  }
}

describe('a login that says when it was begun', () => {
  it('begun after the logout was seen lives, though its sid is the same and its dates are near', async () => {
    const { logout, claims, deliver, pass, now } = await rp()
    await logout.signOn(claims())
    expect(await deliver({ sid: 'op-session', sub: 'ada' })).toBe(200)
    pass(0.1)
    const startedAt = now()
    pass(0.5)
    expect(await logout.signOn(claims())).toBeUndefined() // says nothing: may have been under way
    expect(await logout.signOn(claims(), { startedAt })).toBeDefined()
  })

  it.each([
    ['a Logout Token', 400],
    ['terminate', false],
  ])(
    'begun after a logout that the store did not take lives, in a process that knew no time (%s)',
    async (by, failed) => {
      const { options, claims, deliver, logout, pass, now } = await rp({ storeAhead: 300 })
      const { begin } = options.store
      options.store.begin = async () => {
        throw new Error('no room')
      }
      const before = now()
      pass(0.1)
      const end = async () => (await logout.terminate({ issuer: ISSUER, clientId: CLIENT_ID, sub: 'ada' })).complete
      expect(by === 'terminate' ? await end() : await deliver({ sid: 'op-session', sub: 'ada' })).toBe(failed)
      pass(0.1)
      const startedAt = now()
      pass(0.1)
      // What no token ended is whatever was bound by then, and this is bound now.
      if (by !== 'terminate') expect(await logout.signOn(claims(), { startedAt: before })).toBeUndefined()
      expect(await logout.signOn(claims(), { startedAt })).toBeDefined()
      options.store.begin = begin
      logout.close()
    },
  )

  it('begun before the logout was seen does not stand, even where the code is redeemed after it', async () => {
    const { logout, claims, deliver, pass, now } = await rp()
    const startedAt = now()
    pass(0.1)
    expect(await deliver({ sid: 'op-session', sub: 'ada' })).toBe(200)
    pass(0.1)
    expect(await logout.signOn(claims(), { startedAt })).toBeUndefined()
  })

  it.each([-300, 300])('is compared by the store’s clock, which is %i s from ours', async (storeAhead) => {
    const { logout, claims, deliver, pass, now } = await rp({ storeAhead })
    await logout.signOn(claims())
    const before = now()
    pass(0.1)
    await deliver({ sid: 'op-session', sub: 'ada' })
    pass(0.1)
    const after = now()
    pass(0.1)
    expect(await logout.signOn(claims(), { startedAt: before })).toBeUndefined()
    expect(await logout.signOn(claims(), { startedAt: after })).toBeDefined()
  })

  it('in milliseconds is a mistake', async () => {
    const { logout, claims, now } = await rp()
    await expect(logout.signOn(claims(), { startedAt: now() * 1000 })).rejects.toThrow(/epoch seconds/)
  })
})

describe('a late Logout Token', () => {
  it.each([
    [1, false],
    [5, false],
    [6, true],
    [30, true],
  ])(
    'forty seconds in a queue: of a login %i s after the logout, beyond what OP clocks differ, it is %s that it lives',
    async (later, lives) => {
      const { logout, claims, deliver, pass, now } = await rp()
      const old = await logout.signOn(claims({ sid: 'old' }))
      pass(10)
      const iat = now()
      pass(later)
      const fresh = await logout.signOn(claims({ sid: 'new' }))
      pass(40 - later)
      expect(await deliver({ sub: 'ada', sid: undefined, iat, exp: iat + 120 })).toBe(200)
      if (old === undefined || fresh === undefined) throw new Error('nobody was logged out yet')
      expect([await logout.isLive(old), await logout.isLive(fresh)]).toEqual([false, lives])
    },
  )
})

describe('a local logout of a session in a cookie', () => {
  it('ends it on every node that shares the store', async () => {
    const { options, logout, claims } = await rp()
    const other = createBackchannelLogout(options)
    const laptop = await logout.signOn(claims())
    if (laptop === undefined) throw new Error('nobody was logged out yet')
    await logout.end(laptop)
    expect(await other.isLive(laptop)).toBe(false)
  })
})

describe('terminate has no date of the OP', () => {
  it.each([-300, 50])(
    'whatever our clock says (%i s from the store): what was bound by then ends, what comes later lives',
    async (storeAhead) => {
      const { logout, claims, pass } = await rp({ storeAhead })
      const old = await logout.signOn(claims({ sid: 'old' }))
      pass(0.5)
      expect(await logout.terminate({ issuer: ISSUER, clientId: CLIENT_ID, sub: 'ada' })).toMatchObject({
        complete: true,
      })
      pass(0.5)
      const fresh = await logout.signOn(claims({ sid: 'new' }))
      if (old === undefined || fresh === undefined) throw new Error('nobody was logged out yet')
      expect([await logout.isLive(old), await logout.isLive(fresh)]).toEqual([false, true])
    },
  )
})

describe('a password login in a browser that carries a sign-on of the OP', () => {
  async function site(detaches: boolean, keeps = false) {
    const { mint, options } = await rp()
    const store = new session.MemoryStore()
    const logout = createBackchannelLogout<express.Request>({ ...options, sessions: expressSessions(store) })
    const app = express()
    app.all('/bcl', logout.receiver())
    app.use(session({ store, secret: 'k', resave: false, saveUninitialized: false }))
    const regenerate = (req: express.Request) =>
      new Promise<void>((resolve, reject) => req.session.regenerate((error) => (error ? reject(error) : resolve())))
    app.get('/oidc', async (req, res) => {
      await regenerate(req)
      await logout.bind(req, mint.idTokenClaims({ sid: 'op-session' }))
      Object.assign(req.session, { user: 'ada' })
      res.end()
    })
    app.get('/password', async (req, res) => {
      const before = req.session
      if (detaches) await logout.detach(req)
      await regenerate(req)
      // As passport does with `keepSessionInfo`.
      const { cookie: _, ...kept } = before
      if (keeps) Object.assign(req.session, kept)
      Object.assign(req.session, { user: 'bob' })
      res.end()
    })
    app.get('/me', (req, res) => void res.send(Reflect.get(req.session, 'user') ?? 'nobody'))
    const browser = supertest.agent(app)
    await browser.get('/oidc')
    const before = browser.jar.getCookies({ domain: '127.0.0.1', path: '/', secure: false, script: false }).toString()
    await browser.get('/password')
    const who = async () => (await browser.get('/me')).text
    expect(await who()).toBe('bob')
    const logout_token = await mint.logoutToken({ payload: { sid: 'op-session', sub: 'ada' } })
    expect((await supertest(app).post('/bcl').type('form').send({ logout_token })).status).toBe(200)
    return { who: await who(), old: (await supertest(app).get('/me').set('cookie', before)).text }
  }

  it('detached, it is nobody’s sign-on: the second user stays, and the first one’s cookie is dead', async () => {
    expect(await site(true)).toEqual({ who: 'bob', old: 'nobody' })
  })

  it('detached, it is nobody’s sign-on, also where the data of the session are kept', async () => {
    expect(await site(true, true)).toEqual({ who: 'bob', old: 'nobody' })
  })

  it('what the call is worth: without it the second user goes with the first', async () => {
    expect(await site(false)).toMatchObject({ who: 'nobody' })
  })
})

// onLogout: who was logged out, said once for each logout, whatever ended it; and that no logout depends on the hook.
import { once } from 'node:events'
import { createServer } from 'node:http'
import express from 'express'
import session from 'express-session'
import request from 'supertest'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import {
  type BackchannelLogoutOptions,
  createBackchannelLogout,
  expressSessions,
  type LoggedOut,
  type LogoutEvent,
  memoryStore,
} from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'
import { LOGOUT_STORES, type LogoutStoreServer } from '../servers/logout-stores.js'

const client = { issuer: 'https://op.example.com', clientId: 'rp' }
const mint = await createTokenMint({ ...client, sub: 'alice' })

/** Its rows can be destroyed, or cannot; and can be read so often. */
class Rows extends session.MemoryStore {
  isDown = false
  readsLeft = Number.POSITIVE_INFINITY
  override get(...args: Parameters<session.MemoryStore['get']>) {
    if (this.readsLeft-- > 0) super.get(...args)
  }
  override destroy(sessionId: string, callback?: (error?: unknown) => void) {
    if (this.isDown) callback?.(new Error('down'))
    else super.destroy(sessionId, callback)
  }
}

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function application(options: Partial<BackchannelLogoutOptions<express.Request>> = {}, { isTold = true } = {}) {
  const told: LoggedOut[] = []
  const events: LogoutEvent[] = []
  const rows = new Rows()
  const logout = createBackchannelLogout<express.Request>({
    provider: { ...client, jwks: mint.jwks },
    store: memoryStore(),
    sessions: expressSessions(rows),
    onEvent: (event) => events.push(event),
    ...(isTold && { onLogout: (loggedOut) => void told.push(loggedOut) }),
    ...options,
  })
  const app = express()
  app.post('/backchannel-logout', logout.receiver())
  app.get('/frontchannel-logout', logout.frontchannelReceiver())
  app.use(session({ store: rows, secret: 'keep it', resave: false, saveUninitialized: false }))
  app.get('/login', async (req, res) => {
    await logout.bind(req, mint.idTokenClaims({ sub: req.query.sub, sid: req.query.sid }))
    res.send(req.sessionID)
  })
  app.get('/unbind', async (req, res) => {
    await logout.unbind(req)
    req.session.destroy(() => res.send())
  })
  app.get('/detach', async (req, res) => {
    await logout.detach(req)
    res.send()
  })
  app.all(
    '/logout',
    logout
      .rpInitiatedLogout({
        redirectUris: { out: 'https://app.example.com/out' },
        secret: 'a secret of 32 characters or more',
      })
      .route({ start: { to: 'out', scope: 'local' } }),
  )
  app.get('/regenerate', (req, res) => req.session.regenerate(() => res.send(req.sessionID)))
  app.get('/write', (req, res) => {
    Object.assign(req.session, { seen: true })
    res.send()
  })
  app.get('/destroy', (req, res) => req.session.destroy(() => res.send()))
  app.get('/end-others', async (req, res) =>
    res.send(await logout.terminate({ ...client, sub: 'alice' }, { except: req })),
  )
  app.use((_: Error, __: express.Request, res: express.Response, ___: express.NextFunction) => void res.sendStatus(500))
  const server = createServer(app).listen(0, '127.0.0.1')
  closers.push(() => {
    logout.close()
    server.close()
  })
  await once(server, 'listening')
  return {
    logout,
    rows,
    told,
    events,
    async signIn(sid: string, sub = 'alice') {
      const agent = request.agent(server)
      const { text: sessionId } = await agent.get('/login').query({ sid, sub })
      return { agent, sessionId }
    },
    deliver: async (token: string) =>
      (await request(server).post('/backchannel-logout').type('form').send({ logout_token: token })).status,
    frame: async (sid: string) =>
      (await request(server).get('/frontchannel-logout').query({ iss: client.issuer, sid })).status,
  }
}

const tokenFor = (payload: Record<string, unknown>) => mint.logoutToken({ payload })

describe('onLogout', () => {
  it('is not told of a refused token, nor of a login', async () => {
    const { signIn, deliver, told } = await application()
    await signIn('S1')
    expect(await deliver(await tokenFor({ sid: 'S1', aud: 'another' }))).toBe(400)
    expect(told).toEqual([])
  })

  it('hears of a destroyed session and of an unbound one once, though that is destroyed afterwards', async () => {
    const { signIn, told } = await application()
    const [one, other] = [await signIn('S1'), await signIn('S2')]
    await one.agent.get('/unbind').expect(200)
    await other.agent.get('/destroy').expect(200)
    const local = { ...client, sub: 'alice', reason: 'local-logout', complete: true }
    expect(told).toEqual([
      { ...local, sid: 'S1', sessionIds: [one.sessionId] },
      { ...local, sid: 'S2', sessionIds: [other.sessionId] },
    ])
  })

  it.each(['/unbind', '/destroy', '/detach', '/logout'])(
    'hears by %s whose session it was, also where its id had been changed, and with several clients configured',
    async (how) => {
      const another = { issuer: client.issuer, clientId: 'another', jwks: mint.jwks }
      const { signIn, told } = await application({ provider: [{ ...client, jwks: mint.jwks }, another] })
      const { agent } = await signIn('S1')
      const { text: sessionId } = await agent.get('/regenerate')
      await agent.get('/write')
      if (how === '/logout') await agent.post(how).expect(303)
      else await agent.get(how).expect(200)
      const about = { reason: 'local-logout', complete: true }
      expect(told).toEqual([
        { ...client, sub: 'alice', sid: 'S1', ...about, sessionIds: expect.arrayContaining([sessionId]) },
      ])
    },
  )

  it('is told no name that the logout store does not know as well, and none where the row cannot be read', async () => {
    const { rows, signIn, told } = await application()
    const [forged, sidless, unreadable] = [await signIn('S1'), await signIn('S2'), await signIn('S3')]
    const change = (sessionId: string, names: object) => {
      const row = JSON.parse(Reflect.get(rows, 'sessions')[sessionId])
      Object.assign(row.oidcBackchannelLogout, names)
      Reflect.get(rows, 'sessions')[sessionId] = JSON.stringify(row)
    }
    change(forged.sessionId, { sub: 'bob' })
    change(sidless.sessionId, { sid: 'S4' })
    await forged.agent.get('/unbind').expect(200)
    await sidless.agent.get('/unbind').expect(200)
    // The request's own is the last that succeeds.
    rows.readsLeft = 1
    await unreadable.agent.get('/unbind').expect(200)
    const local = { ...client, reason: 'local-logout', complete: true }
    expect(told).toEqual([
      { ...local, sessionIds: [forged.sessionId] },
      { ...local, sub: 'alice', sessionIds: [sidless.sessionId] },
      { ...local, sessionIds: [unreadable.sessionId] },
    ])
  })

  it('keeps no name with a session where nobody wants to know', async () => {
    const { rows, signIn } = await application({}, { isTold: false })
    const { sessionId } = await signIn('S1')
    expect(Reflect.get(rows, 'sessions')[sessionId]).toContain('"oidcBackchannelLogout":"bound"')
  })

  it('hears of no logout where nobody was signed in, nor of the end of a session that a logout had ended before', async () => {
    const { logout, rows, signIn, told } = await application()
    const { sessionId } = await signIn('S1')
    await logout.terminate({ ...client, sid: 'S1' })
    await logout.unbind({ sessionID: sessionId, session: {}, sessionStore: rows } as never)
    await logout.unbind({ sessionID: 'nobody', session: {}, sessionStore: rows } as never)
    expect(told.map(({ reason }) => reason)).toEqual(['terminated'])
  })

  it('hears of a local logout that could not be finished, and not again when it is', async () => {
    const { rows, signIn, told } = await application()
    const { agent, sessionId } = await signIn('S1')
    rows.isDown = true
    await agent.get('/unbind').expect(500)
    rows.isDown = false
    await agent.get('/unbind')
    expect(told).toEqual([
      { ...client, sub: 'alice', sid: 'S1', sessionIds: [sessionId], reason: 'local-logout', complete: false },
    ])
  })

  it('hears of an administrator, of one session ended by its handle, and of all the others at one time', async () => {
    const { logout, signIn, told } = await application()
    const alice = { ...client, sub: 'alice' }
    const [first, second, third, own] = [
      await signIn('S1'),
      await signIn('S2'),
      await signIn('S3'),
      await signIn('S4', 'bob'),
    ]
    await logout.terminate({ ...client, sub: 'bob' }, { reason: 'offboarding' })
    await own.agent.get('/end-others')
    expect(told.splice(0)).toEqual([
      { ...client, sub: 'bob', sessionIds: [own.sessionId], reason: 'offboarding', complete: true },
      {
        ...alice,
        sessionIds: expect.arrayContaining([first, second, third].map(({ sessionId }) => sessionId)),
        reason: 'terminated',
        complete: true,
      },
    ])
    const { sessionId } = await signIn('S5')
    const { sessions } = await logout.sessions.list(alice)
    for (const { handle } of [...sessions, ...sessions]) await logout.sessions.end(alice, handle)
    expect(told).toEqual([{ ...alice, sid: 'S5', sessionIds: [sessionId], reason: 'local-logout', complete: true }])
  })

  it('hears of a stateless sign-on that is ended, once, and not if a logout had ended it', async () => {
    const { logout, told } = await application()
    const [one, other] = [
      await logout.signOn(mint.idTokenClaims({ sid: 'S1' })),
      await logout.signOn(mint.idTokenClaims({ sid: 'S2' })),
    ]
    await logout.end(one)
    await logout.end(one)
    await logout.terminate({ ...client, sid: 'S2' })
    await logout.end(other)
    expect(told).toEqual([
      { ...client, sub: 'alice', sid: 'S1', sessionIds: [], reason: 'local-logout', complete: true },
      { ...client, sid: 'S2', sessionIds: [], reason: 'terminated', complete: true },
    ])
  })

  it('hears of a front-channel logout if it was a session of somebody', async () => {
    const { signIn, frame, told } = await application()
    const { sessionId } = await signIn('S1')
    expect([await frame('S2'), await frame('S1'), await frame('S1')]).toEqual([200, 200, 200])
    expect(told).toEqual([{ ...client, sid: 'S1', sessionIds: [sessionId], reason: 'front-channel', complete: true }])
  })

  it('never hears of a front-channel logout that finds nothing, though it leaves a mark for sessions in cookies', async () => {
    const told: LoggedOut[] = []
    const logout = createBackchannelLogout({
      provider: { ...client, jwks: mint.jwks },
      onEvent: () => {},
      onLogout: (loggedOut) => void told.push(loggedOut),
    })
    const signOn = await logout.signOn(mint.idTokenClaims({ sid: 'S1' }))
    if (signOn === undefined) throw new Error('nobody was logged out yet')
    await request(createServer(logout.frontchannelReceiver())).get('/').query({ iss: client.issuer, sid: 'S1' })
    expect(await logout.isLive(signOn)).toBe(false)
    expect(told).toEqual([])
  })

  it('hears of a logout that fails once, when it is completed in the background, and of no repeat of its token', async () => {
    const { rows, signIn, deliver, told, events } = await application()
    const { sessionId } = await signIn('S1')
    const token = await tokenFor({ sub: 'alice', sid: 'S1' })
    rows.isDown = true
    expect([await deliver(token), await deliver(token)]).toEqual([400, 400])
    expect(told).toEqual([])
    rows.isDown = false
    await vi.waitFor(() => expect(events.at(-1)).toMatchObject({ type: 'logout', background: true }), 5000)
    const heard = {
      ...client,
      sub: 'alice',
      sid: 'S1',
      sessionIds: [sessionId],
      reason: 'logout-token',
      complete: true,
    }
    expect(told).toEqual([heard])
    // The OP heard "failed": its next try is no replay, and is a whole logout again.
    expect([await deliver(token), await deliver(token)]).toEqual([200, 400])
    expect(told).toEqual([heard])
  })

  it.each<[string, Partial<BackchannelLogoutOptions<express.Request>>, (close: () => void) => void]>([
    ['it is not tried again', { retryForSeconds: 0 }, () => {}],
    ['the process stops', {}, (close) => close()],
  ])('hears that a logout is not complete when %s, and not again', async (_, options, stop) => {
    const { logout, rows, signIn, deliver, told } = await application(options)
    const { sessionId } = await signIn('S1')
    const token = await tokenFor({ sub: undefined, sid: 'S1' })
    rows.isDown = true
    expect(await deliver(token)).toBe(400)
    stop(() => logout.close())
    const heard = { ...client, sid: 'S1', sessionIds: [sessionId], reason: 'logout-token', complete: false }
    expect(told).toEqual([heard])
    rows.isDown = false
    expect(await deliver(token)).toBe(200)
    expect(told).toEqual([heard])
  })

  it('hears of nobody where the store took no mark: nobody was logged out', async () => {
    const store = memoryStore()
    const { signIn, deliver, told } = await application({
      retryForSeconds: 0,
      store: { ...bound(store), begin: () => Promise.reject(new Error('down')) },
    })
    await signIn('S1')
    expect(await deliver(await tokenFor({ sid: 'S1' }))).toBe(400)
    expect(told).toEqual([])
  })

  it.each<[string, NonNullable<BackchannelLogoutOptions['onLogout']>]>([
    [
      'throws',
      () => {
        throw new Error('alice')
      },
    ],
    ['rejects', () => Promise.reject(new Error('alice'))],
    ['hangs', () => new Promise(() => {})],
  ])('that %s changes no answer, undoes nothing, and is a warning', async (_, onLogout) => {
    const { logout, signIn, deliver, events } = await application({ onLogout, stepTimeoutSeconds: 1 })
    const { agent } = await signIn('S1')
    await signIn('S2')
    const token = await tokenFor({ sid: 'S2' })
    expect([await deliver(token), await deliver(token)]).toEqual([200, 400])
    await agent.get('/unbind').expect(200)
    expect(await logout.terminate({ ...client, sub: 'alice' })).toMatchObject({ complete: true, found: 0 })
    await vi.waitFor(() => expect(events.filter(({ type }) => type === 'warning')).toHaveLength(3), 15_000)
    const errors = events.flatMap((event) => (event.type === 'warning' ? [event.error] : []))
    for (const error of errors) expect(error).toMatchObject({ code: 'ERR_HOOK', option: 'onLogout' })
    expect(JSON.stringify(events)).not.toContain('alice')
    expect(events.filter(({ type }) => type === 'logout-failed')).toEqual([])
  })
})

/** Its methods, at hand to be replaced one by one. */
function bound(store: ReturnType<typeof memoryStore>): ReturnType<typeof memoryStore> {
  return new Proxy(store, {
    ownKeys: () => Reflect.ownKeys(Object.getPrototypeOf(store)).filter((key) => key !== 'constructor'),
    getOwnPropertyDescriptor: (_, key) => ({
      value: Reflect.get(store, key).bind(store),
      enumerable: true,
      configurable: true,
    }),
    get: (_, key) => Reflect.get(store, key).bind(store),
  })
}

for (const { name, describe, start } of LOGOUT_STORES.filter(({ name }) => !/Cluster/.test(name))) {
  describe()(`onLogout on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    it('hears of a token by sid, by sub, and by both, once though the OP sends it twice', async () => {
      const { signIn, deliver, told } = await application({ store: server.open() })
      const [one, two, three] = [await signIn('S1'), await signIn('S2'), await signIn('S3')]
      const bySid = await tokenFor({ sub: undefined, sid: 'S1' })
      expect([await deliver(bySid), await deliver(bySid)]).toEqual([200, 400])
      expect(await deliver(await tokenFor({ sub: 'alice', sid: 'S2' }))).toBe(200)
      expect(await deliver(await tokenFor({ sub: 'alice', sid: undefined }))).toBe(200)
      const heard = { ...client, reason: 'logout-token', complete: true }
      expect(told).toEqual([
        { ...heard, sid: 'S1', sessionIds: [one.sessionId] },
        { ...heard, sub: 'alice', sid: 'S2', sessionIds: [two.sessionId] },
        { ...heard, sub: 'alice', sessionIds: [three.sessionId] },
      ])
    })

    it('hears of one logout where its sessions come in pages', async () => {
      const { logout, rows, deliver, told } = await application({ store: server.open() })
      const ids = Array.from({ length: 1100 }, (_, i) => `row ${i}`)
      const login = (sessionID: string) =>
        logout.bind(
          { sessionID, session: {}, sessionStore: rows } as never,
          mint.idTokenClaims({ sub: 'many', sid: sessionID }),
        )
      // Not all at once: a step of each may take so long, also where the server is slow.
      for (let first = 0; first < ids.length; first += 50) await Promise.all(ids.slice(first, first + 50).map(login))
      expect(await deliver(await tokenFor({ sub: 'many', sid: undefined }))).toBe(200)
      expect(told.map(({ sub, sessionIds }) => ({ sub, sessionIds: [...sessionIds].sort() }))).toEqual([
        { sub: 'many', sessionIds: ids.sort() },
      ])
    })
  })
}

// What protection does to an express-session store, and what it leaves alone.
import { createRequire } from 'node:module'
import express from 'express'
import session from 'express-session'
import request from 'supertest'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type BackchannelLogout,
  type Client,
  createBackchannelLogout,
  expressSessions,
  type LogoutStore,
  memoryStore,
} from '../../src/index.js'
import { targetKey } from '../../src/marks/target.js'
import { StoreWithoutTouch } from './store-without-touch.js'

declare module 'express-session' {
  interface SessionData {
    signedIn?: string
    writes?: number
  }
}

const CLIENT: Client = { issuer: 'https://op.example', clientId: 'rp' }
const NOW = 1_800_000_000
const express4: typeof express = createRequire(import.meta.url)('express4')
/** Of its own for each write: a row that was bound says so from then on. */
const rowOfAlice = () => ({ cookie: { originalMaxAge: null }, user: 'alice' })

const toClose: BackchannelLogout<never>[] = []
afterEach(() => {
  for (const logout of toClose.splice(0)) logout.close()
})

function claims(sub: string, { iat = NOW - 10, sid = `sid of ${sub}`, issuer = CLIENT.issuer } = {}) {
  return { iss: issuer, aud: CLIENT.clientId, sub, sid, iat }
}

/** Counts the calls of a logout store, and fails them on demand. */
function watched() {
  const calls: string[] = []
  const down = new Set<string>()
  const store: LogoutStore = new Proxy(memoryStore({ clock: () => NOW }), {
    get: (inner, method) => {
      const call: unknown = Reflect.get(inner, method)
      if (typeof call !== 'function') return call
      return async (...args: unknown[]) => {
        calls.push(String(method))
        if (down.has('all') || down.has(String(method))) throw new Error('down')
        return Reflect.apply(call, inner, args)
      }
    },
  })
  return { store, calls, down }
}

function protect(
  store: session.Store,
  { issuer = CLIENT.issuer, verifyDestroyed = false, logoutStore = watched().store } = {},
) {
  const logout = createBackchannelLogout({
    provider: { issuer, clientId: CLIENT.clientId },
    sessions: expressSessions(store, { verifyDestroyed }),
    store: logoutStore,
    clock: () => NOW,
    stepTimeoutSeconds: 0.5,
  })
  toClose.push(logout)
  return logout
}

const called = (call: (done: (error?: unknown, value?: unknown) => void) => unknown) =>
  new Promise<unknown>((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value)))
  })
const read = (store: session.Store, id: string) => called((done) => store.get(id, done))
const write = (store: session.Store, id: string, row: object = rowOfAlice()) =>
  called((done) => store.set(id, row as session.SessionData, done))
const signIn = (logout: BackchannelLogout<{ sessionId: string }>, sessionId: string, sub = 'alice', about = {}) =>
  logout.bind({ sessionId }, claims(sub, about))

describe('a protected store', () => {
  it('has touch only if it had touch before', () => {
    const without = new StoreWithoutTouch()
    protect(without)
    expect('touch' in without).toBe(false)
    const having = new session.MemoryStore()
    protect(having)
    expect(typeof having.touch).toBe('function')
  })

  it('keeps its events, its own methods and its private fields', async () => {
    class OwnStore extends StoreWithoutTouch {
      readonly #name = 'mine'
      name(): string {
        return this.#name
      }
    }
    const store = new OwnStore()
    protect(store)
    const onConnect = vi.fn()
    store.on('connect', onConnect)
    store.emit('connect')
    expect(onConnect).toHaveBeenCalledOnce()
    expect(store.name()).toBe('mine')
    await write(store, 's1')
    expect(await read(store, 's1')).toMatchObject({ user: 'alice' })

    const memory = new session.MemoryStore()
    protect(memory)
    await write(memory, 's1')
    expect(await called((done) => memory.length(done))).toBe(1)
    expect(await called((done) => memory.all(done))).toMatchObject({ s1: { user: 'alice' } })
    expect(memory).toBeInstanceOf(session.MemoryStore)
  })

  it('is patched once, however many receivers name it', async () => {
    const store = new session.MemoryStore()
    const inner = vi.spyOn(store, 'set')
    protect(store)
    const { set } = store
    const { store: second, calls } = watched()
    protect(store, { issuer: 'https://second.example', logoutStore: second })
    expect(store.set).toBe(set)
    await write(store, 's1')
    expect(inner).toHaveBeenCalledOnce()
    expect(calls).toEqual(['read'])
  })

  it('serves two receivers: each ends its own, and neither the other', async () => {
    const store = new session.MemoryStore()
    const other = 'https://second.example'
    const first = protect(store)
    const second = protect(store, { issuer: other })
    for (const id of ['s1', 's2']) await write(store, id)
    await signIn(first, 's1')
    await signIn(second, 's2', 'alice', { issuer: other })
    expect(await second.terminate({ issuer: other, clientId: 'rp', sub: 'alice' })).toMatchObject({ destroyed: 1 })
    await write(store, 's2')
    expect([await read(store, 's1'), await read(store, 's2')]).toEqual([
      expect.objectContaining({ user: 'alice' }),
      undefined,
    ])
    await first.terminate({ ...CLIENT, sub: 'alice' })
    await write(store, 's1')
    expect(await read(store, 's1')).toBeUndefined()
  })

  it('may be protected by a second copy of this package too', async () => {
    const store = new session.MemoryStore()
    const first = protect(store)
    vi.resetModules()
    const copy = await import('../../src/index.js')
    expect(copy.expressSessions).not.toBe(expressSessions)
    const issuer = 'https://second.example'
    const second = copy.createBackchannelLogout({
      provider: { issuer, clientId: 'rp' },
      sessions: copy.expressSessions(store),
      clock: () => NOW,
    })
    for (const id of ['s1', 's2', 's3']) await write(store, id)
    await signIn(first, 's1')
    await second.bind({ sessionId: 's2' }, claims('alice', { issuer }))
    await first.terminate({ ...CLIENT, sub: 'alice' })
    await second.terminate({ issuer, clientId: 'rp', sub: 'alice' })
    for (const id of ['s1', 's2', 's3']) await write(store, id)
    const rows = [await read(store, 's1'), await read(store, 's2'), await read(store, 's3')]
    expect(rows.map((row) => row !== undefined && row !== null)).toEqual([false, false, true])
    second.close()
  })
})

describe('stores that keep the contract loosely', () => {
  type Behaviour = (done: (error?: unknown, value?: unknown) => void, value: unknown, ok: boolean) => unknown
  const WAYS: Readonly<Record<string, Behaviour>> = {
    'call back twice': (done, value) => setImmediate(() => [done(null, value), done(new Error('again'))]),
    'call back synchronously': (done, value) => void done(null, value),
    'call back and return a promise': async (done, value) => done(null, value),
    'say ENOENT for what is not there': (done, value, ok) =>
      void setImmediate(() => (ok ? done(null, value) : done(Object.assign(new Error('no file'), { code: 'ENOENT' })))),
  }

  class LooseStore extends session.Store {
    readonly rows = new Map<string, unknown>()
    readonly #way: Behaviour
    constructor(way: Behaviour) {
      super()
      this.#way = way
    }
    override get(id: string, done: (error?: unknown, row?: never) => void) {
      return void this.#way(done as never, this.rows.get(id), this.rows.has(id))
    }
    override set(id: string, row: unknown, done: () => void) {
      this.rows.set(id, row)
      return void this.#way(done, undefined, true)
    }
    override destroy(id: string, done: () => void) {
      return void this.#way(done, undefined, this.rows.delete(id))
    }
  }

  it.each(Object.entries(WAYS))('%s: each call is answered once, and a logout ends the session', async (_, way) => {
    const store = new LooseStore(way)
    const logout = protect(store)
    const answered = vi.fn()
    store.set('s1', rowOfAlice(), answered)
    await vi.waitFor(() => expect(answered).toHaveBeenCalledOnce(), { timeout: 15_000 })
    await signIn(logout, 's1')
    expect(await read(store, 's1')).toMatchObject({ user: 'alice' })
    expect(await logout.terminate({ ...CLIENT, sub: 'alice' })).toMatchObject({ complete: true, destroyed: 1 })
    await write(store, 's1')
    expect(store.rows.size).toBe(0)
    expect(await read(store, 's1').catch((error) => error.code)).toBe(
      way === WAYS['say ENOENT for what is not there'] ? 'ENOENT' : undefined,
    )
    expect(answered).toHaveBeenCalledOnce()
  })

  it('throw: the caller hears it by callback', async () => {
    const store = new StoreWithoutTouch()
    store.set = () => {
      throw new Error('thrown')
    }
    protect(store)
    await expect(write(store, 's1')).rejects.toThrow('thrown')
  })

  it('reject without calling back: the caller hears it by callback', async () => {
    const store = new StoreWithoutTouch()
    store.get = (async () => {
      throw new Error('rejected')
    }) as never
    protect(store)
    await expect(read(store, 's1')).rejects.toThrow('rejected')
  })

  it('never call back: the destruction fails at its deadline, and the session is denied', async () => {
    const store = new StoreWithoutTouch()
    const logout = protect(store)
    await write(store, 's1')
    await signIn(logout, 's1')
    const hanging = new StoreWithoutTouch()
    hanging.destroy = () => {}
    const stuck = protect(hanging)
    await write(hanging, 's1')
    await signIn(stuck, 's1')
    expect(await stuck.terminate({ ...CLIENT, sub: 'alice' })).toMatchObject({
      complete: false,
      marked: true,
      failed: 1,
    })
    expect(await read(hanging, 's1')).toBeNull()
    expect(await logout.terminate({ ...CLIENT, sub: 'alice' })).toMatchObject({ complete: true, destroyed: 1 })
  })

  it('lie about a destruction: found out by verifyDestroyed, believed without, denied in both cases', async () => {
    for (const verifyDestroyed of [false, true]) {
      const store = new StoreWithoutTouch()
      store.destroy = (_, done) => void done?.()
      const logout = protect(store, { verifyDestroyed })
      await write(store, 's1')
      await signIn(logout, 's1')
      const result = await logout.terminate({ ...CLIENT, sub: 'alice' })
      expect(result).toMatchObject({ complete: !verifyDestroyed, failed: verifyDestroyed ? 1 : 0 })
      expect(await read(store, 's1')).toBeNull()
    }
  })
})

function createApp(framework: typeof express = express, { resave = false } = {}) {
  const logoutStore = watched()
  const store = new session.MemoryStore()
  const logout = protect(store, { logoutStore: logoutStore.store })
  const app = framework()
  app.use(session({ store, secret: 'secret', resave, saveUninitialized: false }))
  app.get('/login/:user', (req, res, next) => {
    req.session.regenerate((error) => {
      if (error) return next(error)
      req.session.signedIn = req.params.user
      const iat = Number(req.query.iat ?? NOW - 10)
      logout
        .bind(req, claims(req.params.user, { iat, sid: `${req.query.sid ?? 'sid'}` }))
        .then(({ ended }) => res.json({ ended }), next)
    })
  })
  app.get('/me', (req, res) => void res.json({ user: req.session.signedIn ?? null }))
  app.get('/write', (req, res) => {
    req.session.writes = (req.session.writes ?? 0) + 1
    res.json({ user: req.session.signedIn ?? null, writes: req.session.writes })
  })
  app.get('/logout', (req, res, next) => {
    logout.unbind(req).then(() => {
      req.session.regenerate((error) => {
        if (error) return next(error)
        req.session.writes = 1
        res.json({ user: req.session.signedIn ?? null })
      })
    }, next)
  })
  const agent = request.agent(app)
  const who = async () => (await agent.get('/me').expect(200)).body.user
  return { app, agent, who, logout, store, logoutStore }
}

describe.each([
  ['Express 4', express4],
  ['Express 5', express],
])('%s', (_, framework) => {
  it('answers 503 with Retry-After while there is no verdict, and keeps the session', async () => {
    const { agent, who, logoutStore } = createApp(framework)
    await agent.get('/login/alice').expect(200)
    logoutStore.down.add('read')
    for (const path of ['/me', '/write']) {
      const response = await agent.get(path)
      expect(response.status).toBe(503)
      expect(response.headers['retry-after']).toBe('1')
      expect(response.headers['cache-control']).toBe('no-store')
      expect(response.text).not.toContain('down')
    }
    logoutStore.down.clear()
    expect(await who()).toBe('alice')
  })

  it('signs nobody in when the login could not be bound, though express-session saves at the end', async () => {
    const { agent, who, logoutStore, store } = createApp(framework)
    logoutStore.down.add('bind')
    expect((await agent.get('/login/alice')).status).toBe(500)
    logoutStore.down.clear()
    expect(await who()).toBeNull()
    expect(await called((done) => store.length(done))).toBe(0)
    await agent.get('/login/alice').expect(200, { ended: false })
    expect(await who()).toBe('alice')
  })

  it('leaves a usable anonymous session after unbind and regenerate in one request, and the next login works', async () => {
    const { agent, who, logout } = createApp(framework)
    await agent.get('/login/alice?sid=one').expect(200)
    await agent.get('/logout').expect(200, { user: null })
    await agent.get('/write').expect(200, { user: null, writes: 2 })
    await agent.get(`/login/alice?sid=two&iat=${NOW}`).expect(200, { ended: false })
    await logout.terminate({ ...CLIENT, sid: 'one' })
    expect(await who()).toBe('alice')
    await logout.terminate({ ...CLIENT, sid: 'two' })
    expect(await who()).toBeNull()
  })
})

describe('a login', () => {
  it('cuts the lineage: a logout of the sign-on before it in the same browser does not end it', async () => {
    const { agent, who, logout } = createApp()
    await agent.get('/login/alice?sid=one').expect(200)
    await agent.get('/login/alice?sid=two').expect(200, { ended: false })
    expect(await logout.terminate({ ...CLIENT, sid: 'one' })).toMatchObject({ found: 0 })
    expect(await who()).toBe('alice')
    expect(await logout.terminate({ ...CLIENT, sid: 'two' })).toMatchObject({ found: 1, destroyed: 1 })
    expect(await who()).toBeNull()
  })

  it('that was logged out before it was bound signs nobody in, although the app saves the user', async () => {
    const { agent, who, logoutStore } = createApp()
    const target = targetKey({ ...CLIENT, sub: 'alice' })
    const about = { seenSecondsAgo: 0, marksExpireAt: NOW + 1000, mayDestroy: false }
    await logoutStore.store.begin({ target, issuedAt: NOW, ...about })
    await agent.get('/login/alice').expect(200, { ended: true })
    expect(await who()).toBeNull()
    await agent.get(`/login/alice?iat=${NOW + 1}`).expect(200, { ended: false })
    expect(await who()).toBe('alice')
  })
})

describe('the cost', () => {
  it('a request that only reads its session pays exactly one look-up, and one that writes pays two', async () => {
    const { agent, logoutStore } = createApp()
    await agent.get('/login/alice').expect(200)
    logoutStore.calls.length = 0
    await agent.get('/me').expect(200)
    expect(logoutStore.calls).toEqual(['read'])
    logoutStore.calls.length = 0
    await agent.get('/write').expect(200)
    expect(logoutStore.calls).toEqual(['read', 'read'])
  })

  it('a request without a session pays nothing', async () => {
    const { app, logoutStore } = createApp()
    await request(app).get('/me').expect(200)
    expect(logoutStore.calls).toEqual([])
  })
})

// A binding that the logout store has lost: whoever was bound is not believed, whatever came between the login and the
// last save of its row.
import type { Request } from 'express'
import session from 'express-session'
import { afterEach, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions, type LogoutStore, memoryStore } from '../../src/index.js'
import {
  clientId,
  Gate,
  type Handler,
  issuer,
  mint,
  providerAt,
  type Receiver,
  regenerate,
  startSmallApplication,
} from './small-application.js'

const toClose: (() => unknown)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

const done = (call: (callback: (error?: unknown) => void) => unknown) =>
  new Promise<void>((resolve, reject) => call((error) => (error ? reject(error) : resolve())))

async function setUp(routes: (logout: Receiver) => Readonly<Record<string, Handler>>) {
  let inner = memoryStore()
  const store = new Proxy(inner, {
    get: (_, name) => {
      const value: unknown = Reflect.get(inner, name)
      return typeof value === 'function' ? value.bind(inner) : value
    },
  }) as LogoutStore
  const rows = new session.MemoryStore()
  const sessions = expressSessions(rows)
  const logout = createBackchannelLogout<Request>({ provider: providerAt(), store, sessions, warnings: false })
  toClose.push(() => logout.close())
  const application = await startSmallApplication(rows, logout, routes(logout))
  toClose.push(() => application.close())
  return { application, lose: () => (inner = memoryStore()) }
}

const target = { issuer, clientId, sub: 'alice' }

it.each<[string, (logout: Receiver, req: Request) => Promise<unknown>]>([
  ['nothing', async () => {}],
  ['tokens are recorded', (logout, req) => logout.addTokens(req, { accessToken: 'refreshed' })],
  ['sessions are listed', (logout, req) => logout.sessions.list(target, { current: req })],
])('a change of id, and before its first save: %s', async (_, meanwhile) => {
  const { application, lose } = await setUp((logout) => ({
    '/step-up': async (req, res) => {
      const { who } = req.session
      await regenerate(req)
      await meanwhile(logout, req)
      Object.assign(req.session, { who })
      res.send('done')
    },
  }))
  const browser = application.browser()
  await browser.logIn('alice', 'S1')
  expect(await browser.go('/step-up')).toBe('done')
  expect(await browser.whoAmI()).toBe('alice')
  lose()
  expect(await browser.whoAmI()).toBe('nobody')
})

it('a session that is read anew after it was bound', async () => {
  const { application, lose } = await setUp((logout) => ({
    '/login': async (req, res) => {
      await regenerate(req)
      req.session.who = 'alice'
      await done((callback) => req.session.save(callback))
      await logout.bind(req, mint.idTokenClaims({ sub: 'alice', sid: 'S1' }))
      await done((callback) => req.session.reload(callback))
      res.send('in')
    },
  }))
  const browser = application.browser()
  await browser.logIn('alice', 'S1')
  expect(await browser.whoAmI()).toBe('alice')
  lose()
  expect(await browser.whoAmI()).toBe('nobody')
})

it('a row that a request writes back which had read it before the login was bound', async () => {
  const gate = new Gate()
  const { application, lose } = await setUp((logout) => ({
    '/who': async (req, res) => {
      req.session.who = 'alice'
      res.send('not bound yet')
    },
    '/late': async (req, res) => {
      await gate.pass()
      req.session.tokens = 'late'
      res.send('saved')
    },
    '/login': async (req, res) => {
      await logout.bind(req, mint.idTokenClaims({ sub: 'alice', sid: 'S1' }))
      res.send('in')
    },
  }))
  const browser = application.browser()
  await browser.go('/who')
  const late = browser.copy().go('/late')
  await gate.reached
  await browser.logIn('alice', 'S1')
  gate.open()
  expect(await late).toBe('saved')
  expect(await browser.whoAmI()).toBe('alice')
  lose()
  expect(await browser.whoAmI()).toBe('nobody')
})

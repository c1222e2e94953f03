// One session is ended out of several, on each kind of logout store: what came from the same session id lives on whole,
// and nothing of what was ended comes back.
import type { Request } from 'express'
import session from 'express-session'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { createBackchannelLogout, expressSessions } from '../../src/index.js'
import { tokenKey } from '../../src/marks/target.js'
import { LOGOUT_STORES, type LogoutStoreServer } from '../servers/logout-stores.js'
import { clientId, Gate, issuer, mint, providerAt, regenerate, startSmallApplication } from './small-application.js'

const toClose: (() => unknown)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

let users = 0

for (const { name, describe, start } of LOGOUT_STORES) {
  describe()(`on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    async function setUp() {
      const rows = new session.MemoryStore()
      const sub = `alice ${++users}`
      const target = { issuer, clientId, sub }
      const store = server.open()
      const revoked: string[] = []
      const op = async (url: string | URL | Request, init?: RequestInit) => {
        if (String(url).endsWith('/revoke')) {
          revoked.push(new URLSearchParams(String(init?.body)).get('token') ?? '')
          return new Response()
        }
        return Response.json({ issuer, revocation_endpoint: `${issuer}/revoke`, jwks_uri: `${issuer}/jwks` })
      }
      const clientAuthentication = { method: 'client_secret_basic', clientSecret: 'a secret' } as const
      const logout = createBackchannelLogout<Request>({
        provider: { ...providerAt(), fetch: op, clientAuthentication },
        store,
        sessions: expressSessions(rows),
        warnings: false,
      })
      const rp = logout.rpInitiatedLogout({
        redirectUris: { out: 'https://rp.example.com/out' },
        secret: 'a secret of more than 32 characters',
        recordIn: (row) => row.tokens,
        revokeAfterSeconds: 0.01,
      })
      toClose.push(() => logout.close())
      const gate = new Gate()
      const list = async (req: Request) => (await logout.sessions.list(target, { current: req })).sessions
      const application = await startSmallApplication(rows, logout, {
        '/sign-in': async (req, res) => {
          const device = String(req.query.device)
          await regenerate(req)
          const claims = mint.idTokenClaims({ sub, sid: `${sub} ${device}` })
          const about = { startedAt: Date.now() / 1000, label: device, accessToken: `${sub} access ${device}` }
          await logout.bind(req, claims, about)
          const tokens = { refreshToken: `refresh ${device}`, scope: 'openid' }
          const record = await rp.record(claims, undefined, undefined, tokens)
          Object.assign(req.session, { who: sub, tokens: record })
          res.send('in')
        },
        /** A step up that takes its time. */
        '/rotate-late': async (req, res) => {
          const { who, tokens } = req.session
          await gate.pass()
          await regenerate(req)
          Object.assign(req.session, { who, tokens })
          res.send('rotated')
        },
        /** A refresh that takes its time. */
        '/refresh-late': async (req, res) => {
          await gate.pass()
          res.json(await logout.addTokens(req, { accessToken: `${sub} access refreshed` }))
        },
        '/devices': async (req, res) => res.json((await list(req)).map(({ label }) => label)),
        '/end-another': async (req, res) => {
          const another = (await list(req)).find(({ current }) => !current)
          res.json(await logout.sessions.end(target, another?.handle ?? ''))
        },
        '/end-others': async (req, res) => res.json(await logout.terminate(target, { except: req })),
      })
      toClose.push(() => application.close())
      const isTokenEnded = async (device: string) =>
        (await store.marks([tokenKey(`${sub} access ${device}`)])).marks.length > 0
      const signIn = async (device: string) => {
        const browser = application.browser()
        expect(await browser.go(`/sign-in?device=${device}`)).toBe('in')
        return browser
      }
      return { logout, target, gate, sub, signIn, isTokenEnded, revoked }
    }

    it.each(['/end-another', '/end-others'])(
      '%s: a request that holds an earlier id of the session that was ended carries nothing on from there',
      async (end) => {
        const { gate, sub, signIn } = await setUp()
        const [thief, owner] = [await signIn('thief'), await signIn('owner')]
        const held = thief.copy()
        const late = held.go('/rotate-late')
        await gate.reached
        await thief.go('/rotate')
        await owner.go(end)
        expect(await thief.whoAmI()).toBe('nobody')
        gate.open()
        await late
        expect(await held.whoAmI()).toBe('nobody')
        expect(await owner.whoAmI()).toBe(sub)
      },
    )

    it.each(['/end-another', '/end-others'])(
      '%s: a session that came from the same id as the one that is ended keeps its tokens',
      async (end) => {
        const { gate, sub, signIn, isTokenEnded, revoked, logout, target } = await setUp()
        const browser = await signIn('laptop')
        const twin = browser.copy()
        const late = twin.go('/rotate-late')
        await gate.reached
        await browser.go('/rotate')
        gate.open()
        await late
        expect(await twin.whoAmI()).toBe(sub)
        await browser.go(end)
        expect(await twin.whoAmI()).toBe('nobody')
        expect(await browser.whoAmI()).toBe(sub)
        expect(await isTokenEnded('laptop')).toBe(false)
        // What is revoked in its turn after this one would have been.
        await signIn('phone')
        await browser.go('/end-others')
        await vi.waitFor(() => expect(revoked).toContain('refresh phone'), { timeout: 15_000 })
        expect(revoked).not.toContain('refresh laptop')
        expect(await isTokenEnded('phone')).toBe(true)
        await logout.terminate(target)
        expect(await isTokenEnded('laptop')).toBe(true)
        await vi.waitFor(() => expect(revoked).toContain('refresh laptop'), { timeout: 15_000 })
      },
    )

    it('a token that came under an id that was left is no device, and stays with the session that is spared', async () => {
      const { gate, sub, signIn, isTokenEnded } = await setUp()
      const browser = await signIn('laptop')
      const late = browser.copy().go('/refresh-late')
      await gate.reached
      await browser.go('/rotate')
      gate.open()
      expect(JSON.parse(await late)).toEqual({ ended: false })
      expect(JSON.parse(await browser.go('/devices'))).toEqual(['laptop'])
      await browser.go('/end-others')
      expect(await browser.whoAmI()).toBe(sub)
      expect(await isTokenEnded('laptop')).toBe(false)
      expect(await isTokenEnded('refreshed')).toBe(false)
      const other = await signIn('phone')
      await other.go('/end-another')
      expect(await browser.whoAmI()).toBe('nobody')
      expect(await isTokenEnded('laptop')).toBe(true)
      expect(await isTokenEnded('refreshed')).toBe(true)
    })
  })
}

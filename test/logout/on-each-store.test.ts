// What a receiver owes its users on each kind of logout store, by the public API: on real servers, where a store is shared by
// two nodes.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import {
  type BackchannelLogoutOptions,
  createBackchannelLogout,
  type LocalSession,
  type LogoutEvent,
  type SessionBackend,
} from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'
import { LOGOUT_STORES, type LogoutStoreServer } from '../servers/logout-stores.js'

const issuer = 'https://op.example.com'
const clientId = 'rp'
const mint = await createTokenMint({ issuer, clientId, sub: 'alice', sid: 'S1' })
const seconds = () => Math.floor(Date.now() / 1000)

/** Rows that are there until they are destroyed. */
class Rows implements SessionBackend<LocalSession> {
  readonly ids = new Set<string>()
  sessionOf = (req: LocalSession) => req
  async destroy(sessionId: string) {
    this.ids.delete(sessionId)
  }
  protect() {}
  bound({ sessionId }: LocalSession) {
    this.ids.add(sessionId)
  }
  released() {}
}

for (const { name, describe, start } of LOGOUT_STORES) {
  describe()(`on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    const closers: (() => void)[] = []
    afterEach(() => {
      for (const close of closers.splice(0)) close()
    })
    let users = 0
    const newUser = () => ({ sub: `user ${name} ${users}`, sid: `session ${name} ${users++}` })

    function node(options: Partial<BackchannelLogoutOptions<LocalSession>> = {}) {
      const rows = new Rows()
      const events: LogoutEvent[] = []
      const logout = createBackchannelLogout<LocalSession>({
        provider: { issuer, clientId, jwks: mint.jwks },
        sessions: rows,
        store: server.open(),
        onEvent: (event) => void events.push(event),
        ...options,
      })
      closers.push(() => logout.close())
      const deliver = async (token: string) => {
        const body = new URLSearchParams({ logout_token: token })
        return (await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))).status
      }
      return { logout, rows, events, deliver }
    }

    it('that takes no write any more: a Logout Token that is dated back by a second is denied all the same', async () => {
      const { logout, deliver } = node()
      const [user, other] = [newUser(), newUser()]
      const iat = seconds()
      const signOn = await logout.signOn(mint.idTokenClaims({ ...user, iat }))
      const others = await logout.signOn(mint.idTokenClaims({ ...other, iat }))
      if (signOn === undefined || others === undefined) throw new Error('nobody was logged out yet')
      await server.refuseWrites(true)
      try {
        expect(await logout.isLive(signOn)).toBe(true)
        expect(await deliver(await mint.logoutToken({ payload: { ...user, sid: undefined, iat: iat - 1 } }))).toBe(400)
        expect(await logout.isLive(signOn)).toBe(false)
        expect(await logout.isLive(others)).toBe(true)
      } finally {
        await server.refuseWrites(false)
      }
    })
  })
}

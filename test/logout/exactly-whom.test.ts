// Exactly whom a logout ends, by its dates and by what it names, through the public API on each kind of logout store:
// real ones tell the time themselves.
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { createBackchannelLogout, type LogoutStore } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'
import { LOGOUT_STORES, type LogoutStoreServer } from '../servers/logout-stores.js'

const issuer = 'https://op.example.com'
const clientId = 'rp'
const mint = await createTokenMint({ issuer, clientId })

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

/** A node with sessions in cookies. `ahead`: of its clock, before the store's. */
function node(store: LogoutStore, ahead = 0) {
  const clock = () => Date.now() / 1000 + ahead
  const provider = { issuer, clientId, jwks: mint.jwks, clockToleranceSeconds: 600 }
  const logout = createBackchannelLogout({ provider, store, clock, onEvent: () => {} })
  closers.push(() => logout.close())
  return {
    logout,
    clock,
    /** `iat`: by the OP's clock, from now. */
    async signIn(user: { sub: string; sid: string | undefined }, iat: number, startedAt?: number) {
      const claims = mint.idTokenClaims({ ...user, iat: clock() + iat, exp: clock() + 600 })
      return logout.signOn(claims, startedAt === undefined ? {} : { startedAt })
    },
    async deliver(target: { sub: string | undefined; sid: string | undefined }, iat: number) {
      const token = await mint.logoutToken({ payload: { ...target, iat: clock() + iat, exp: clock() + 300 } })
      const body = new URLSearchParams({ logout_token: token })
      return (await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))).status
    },
    /** Of each, whether it is signed in. */
    alive: (...signOns: (Awaited<ReturnType<typeof logout.signOn>> | undefined)[]) =>
      Promise.all(signOns.map(async (signOn) => signOn !== undefined && (await logout.isLive(signOn)))),
  }
}

let users = 0
const newUser = () => ({ sub: `user ${++users}`, sid: `session ${users}` })
/** More than what is not known of the store's clock. */
const aMoment = () => delay(250)

for (const { name, describe, start } of LOGOUT_STORES) {
  describe()(`on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())

    it('a logout by a machine that is behind ends the login made after a logout by one that is ahead', async () => {
      const { signIn, deliver, alive } = node(server.open())
      const user = newUser()
      const bySub = { ...user, sid: undefined }
      expect(await deliver(bySub, 2)).toBe(200)
      await aMoment()
      const login = await signIn(user, 0, Date.now() / 1000)
      expect(await alive(login)).toEqual([true])
      expect(await deliver(bySub, -1)).toBe(200)
      expect(await alive(login)).toEqual([false])
    })

    it('terminate ends a login that an earlier Logout Token of a machine ahead had spared', async () => {
      const { logout, signIn, deliver, alive } = node(server.open(), -5)
      const user = newUser()
      expect(await deliver({ ...user, sid: undefined }, 2)).toBe(200)
      await aMoment()
      const login = await signIn(user, 0, Date.now() / 1000 - 5)
      expect(await alive(login)).toEqual([true])
      expect(await logout.terminate({ issuer, clientId, sub: user.sub })).toMatchObject({ complete: true })
      expect(await alive(login)).toEqual([false])
    })

    it('a token that was forty seconds under way ends the login from before it, and none from beyond the skew', async () => {
      const { signIn, deliver, alive } = node(server.open())
      const user = newUser()
      const logins = [await signIn(user, -50), await signIn(user, -39), await signIn(user, -30)]
      expect(await deliver({ ...user, sid: undefined }, -40)).toBe(200)
      expect(await alive(...logins)).toEqual([false, false, true])
    })

    it('a login that was begun after the logout was seen lives, with the same sid; one begun before does not', async () => {
      const { signIn, deliver, alive } = node(server.open())
      const user = newUser()
      const before = Date.now() / 1000
      await aMoment()
      expect(await deliver(user, 0)).toBe(200)
      await aMoment()
      const logins = [await signIn(user, 0, before), await signIn(user, 0, Date.now() / 1000), await signIn(user, 0)]
      expect(await alive(...logins)).toEqual([false, true, false])
    })

    it.each([-300, 50])(
      'terminate compares no clock of ours (%i s ahead) with any: before it dies, after it lives',
      async (ahead) => {
        const { logout, signIn, alive } = node(server.open(), ahead)
        const user = newUser()
        const old = await signIn(user, 0)
        expect(await logout.terminate({ issuer, clientId, sub: user.sub })).toMatchObject({ complete: true })
        const fresh = await signIn(user, 0)
        expect(await alive(old, fresh)).toEqual([false, true])
      },
    )

    it('a sid that no session has ends that subject’s sign-ons without a sid, and nobody else', async () => {
      const { signIn, deliver, alive } = node(server.open())
      const [user, other] = [newUser(), newUser()]
      const unnamed = await signIn({ ...user, sid: undefined }, -10)
      const named = await signIn(user, -10)
      const stranger = await signIn({ ...other, sid: undefined }, -10)
      expect(await deliver({ sub: user.sub, sid: `${user.sid}, kept to itself` }, 0)).toBe(200)
      expect(await alive(unnamed, named, stranger)).toEqual([false, true, true])
    })

    it.each(['with a sid', 'without'])(
      'the end of one sign-on is no other’s, and the next of the same OP session stands at once (%s)',
      async (how) => {
        const { logout, signIn, alive } = node(server.open())
        const user = how === 'without' ? { ...newUser(), sid: undefined } : newUser()
        const [laptop, phone] = [await signIn(user, -10), await signIn(user, -10)]
        await logout.end(laptop)
        expect(await alive(laptop, phone, await signIn(user, 0))).toEqual([false, true, true])
      },
    )
  })
}

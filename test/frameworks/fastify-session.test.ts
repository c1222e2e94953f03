// `expressSessions` on a store of the real @fastify/session: requests under way when the logout comes, and what
// `regenerate` leaves.
import cookie from '@fastify/cookie'
import session from '@fastify/session'
import expressSession from 'express-session'
import Fastify, { type FastifyRequest } from 'fastify'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

declare module 'fastify' {
  interface Session {
    user?: string
    visits?: number
  }
}

const ISSUER = 'https://op.example.com'
const CLIENT_ID = 'rp'

const STORES = {
  'its own store': () => new session.MemoryStore(),
  // The types of the two disagree on the cookie, which both write as the same JSON.
  'a store of express-session': () => new expressSession.MemoryStore() as unknown as session.SessionStore,
} as const

interface Settings {
  readonly rolling: boolean
  readonly store?: keyof typeof STORES
  readonly isProtected?: boolean
  /** `session({ store })` is given another object than `expressSessions(store)`. */
  readonly isAnother?: boolean
  readonly mustBeBound?: ((session: Readonly<Record<string, unknown>>) => boolean) | undefined
}

async function fastifyRp(settings: Settings) {
  const { rolling, store: kind = 'its own store', isProtected = true, isAnother = false, mustBeBound } = settings
  const mint = await createTokenMint({ issuer: ISSUER, clientId: CLIENT_ID, sub: 'alice', sid: 'laptop' })
  const store = STORES[kind]()
  const { get, set, destroy } = store
  const logout = createBackchannelLogout({
    provider: { issuer: ISSUER, clientId: CLIENT_ID, jwks: mint.jwks },
    sessions: expressSessions(store, { ...(mustBeBound && { mustBeBound }) }),
  })
  if (!isProtected) Object.assign(store, { get, set, destroy })
  const local = ({ session, sessionStore }: FastifyRequest) => ({
    sessionID: session.sessionId,
    session,
    sessionStore,
  })
  const app = Fastify()
  await app.register(cookie)
  await app.register(session, {
    store: isAnother ? STORES[kind]() : store,
    secret: 'a secret of more than thirty-two characters',
    rolling,
    saveUninitialized: false,
    cookie: { secure: false },
  })
  app.get('/sign-in', async (request) => {
    await request.session.regenerate()
    await logout.bind(local(request), mint.idTokenClaims())
    request.session.user = 'alice'
    return ''
  })
  app.get('/me', async (request) => request.session.user ?? 'nobody')
  /** Whoever asks here is under way until somebody lets them go on. */
  const waiting: (() => void)[] = []
  let arrived = () => {}
  app.get('/visit', async (request) => {
    request.session.visits = (request.session.visits ?? 0) + 1
    await new Promise<void>((resolve) => {
      waiting.push(resolve)
      arrived()
    })
    return request.session.user ?? 'nobody'
  })
  app.get('/new-id', async (request) => {
    await request.session.regenerate(['user'])
    return ''
  })
  app.get('/new-id-and-bind', async (request) => {
    await request.session.regenerate(['user'])
    await logout.bind(local(request), mint.idTokenClaims())
    return ''
  })
  app.get('/sign-out', async (request) => {
    await request.session.destroy()
    return ''
  })

  const ask = async (url: string, cookies: Record<string, string> = {}) => {
    const { cookies: set, body, statusCode } = await app.inject({ url, cookies })
    expect(statusCode).toBe(200)
    const issued = Object.fromEntries(set.map(({ name, value }) => [name, value]))
    return { body, cookies: { ...cookies, ...issued } }
  }
  const signedInAs = async (cookies: Record<string, string>) => (await ask('/me', cookies)).body
  return {
    ask,
    inject: (url: string) => app.inject({ url }),
    signedInAs,
    async beginVisit(cookies: Record<string, string>) {
      const hasArrived = new Promise<void>((resolve) => {
        arrived = resolve
      })
      const visit = ask('/visit', cookies)
      await hasArrived
      return async () => {
        for (const goOn of waiting.splice(0)) goOn()
        return visit
      }
    },
    async logOut() {
      const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
      const response = await logout.fetch(new Request('https://rp.example.com/logout', { method: 'POST', body }))
      expect(response.status).toBe(200)
    },
  }
}

const EVERY = [true, false].flatMap((rolling) => [
  { rolling, store: 'its own store' as const },
  { rolling, store: 'a store of express-session' as const },
])

describe.each(EVERY)('@fastify/session with $store and rolling: $rolling', (settings) => {
  it('a request that was under way at the logout does not bring its session back', async () => {
    const rp = await fastifyRp(settings)
    const { cookies } = await rp.ask('/sign-in')
    expect(await rp.signedInAs(cookies)).toBe('alice')
    const finish = await rp.beginVisit(cookies)
    await rp.logOut()
    const visited = await finish()
    expect([await rp.signedInAs(cookies), await rp.signedInAs(visited.cookies)]).toEqual(['nobody', 'nobody'])
  })

  it('which it does where nobody protects the store', async () => {
    const rp = await fastifyRp({ ...settings, isProtected: false })
    const { cookies } = await rp.ask('/sign-in')
    const finish = await rp.beginVisit(cookies)
    await rp.logOut()
    await finish()
    expect(await rp.signedInAs(cookies)).toBe('alice')
  })

  it('nor after a local logout', async () => {
    const rp = await fastifyRp(settings)
    const { cookies } = await rp.ask('/sign-in')
    const finish = await rp.beginVisit(cookies)
    await rp.ask('/sign-out', cookies)
    await finish()
    expect(await rp.signedInAs(cookies)).toBe('nobody')
  })

  it('regenerate ends the old id; the new one is found by a logout if it was bound again', async () => {
    const rp = await fastifyRp(settings)
    const { cookies } = await rp.ask('/sign-in')
    const renewed = await rp.ask('/new-id-and-bind', cookies)
    expect([await rp.signedInAs(cookies), await rp.signedInAs(renewed.cookies)]).toEqual(['nobody', 'alice'])
    await rp.logOut()
    expect(await rp.signedInAs(renewed.cookies)).toBe('nobody')
  })

  it('and not if a user was copied there without a bind, as the recipe warns', async () => {
    const rp = await fastifyRp(settings)
    const renewed = await rp.ask('/new-id', (await rp.ask('/sign-in')).cookies)
    await rp.logOut()
    expect(await rp.signedInAs(renewed.cookies)).toBe('alice')
  })

  it('who by mustBeBound, as in the recipe, is not signed in at all; and is where the new id is bound', async () => {
    const rp = await fastifyRp({ ...settings, mustBeBound: ({ user }) => user !== undefined })
    const { cookies } = await rp.ask('/sign-in')
    expect(await rp.signedInAs(cookies)).toBe('alice')
    const bound = await rp.ask('/new-id-and-bind', cookies)
    expect(await rp.signedInAs(bound.cookies)).toBe('alice')
    const renewed = await rp.ask('/new-id', bound.cookies)
    expect(await rp.signedInAs(renewed.cookies)).toBe('nobody')
  })

  it('a store that is another object than the protected one: bind throws, and nobody is signed in', async () => {
    const rp = await fastifyRp({ ...settings, isAnother: true })
    const { statusCode, body, cookies } = await rp.inject('/sign-in')
    expect(statusCode).toBe(500)
    expect(JSON.parse(body)).toMatchObject({ message: expect.stringContaining('give one and the same store object') })
    expect(await rp.signedInAs(Object.fromEntries(cookies.map(({ name, value }) => [name, value])))).toBe('nobody')
  })
})

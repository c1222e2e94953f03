// Sessions that live in a cookie, in the real cookie-session and the real iron-session: what `signOn`, `guard` and `isLive` let in.
import cookieSession from 'cookie-session'
import express, { type ErrorRequestHandler, type Express, type Request, type Response } from 'express'
import { getIronSession } from 'iron-session'
import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
import {
  createBackchannelLogout,
  type GuardOptions,
  type LogoutEvent,
  memoryStore,
  NoVerdictError,
  type StatelessSignOn,
} from '../../src/index.js'
import { isWholeSignOn } from '../../src/sessions/stateless-guard.js'
import { createTokenMint } from '../../src/testing/index.js'

const ISSUER = 'https://op.example.com'
const CLIENT_ID = 'rp'
const SECRET = 'a secret of more than thirty-two characters'
const DAY = 24 * 3600

/** What the app keeps in the cookie. */
type Kept = Record<string, unknown> & { save?: () => Promise<void> }

const isKept = (value: unknown): value is Kept => typeof value === 'object' && value !== null

function sessionOf(req: Request): Kept | null {
  const session: unknown = Reflect.get(req, 'session')
  return isKept(session) ? session : null
}

const LIBRARIES = {
  'cookie-session': (app: Express) => {
    app.use(cookieSession({ name: 'session', keys: [SECRET] }))
  },
  'iron-session': (app: Express) => {
    app.use((req, res, next) => {
      getIronSession<Record<string, unknown>>(req, res, { cookieName: 'session', password: SECRET }).then((session) => {
        Reflect.set(req, 'session', session)
        next()
      }, next)
    })
  },
} as const satisfies Readonly<Record<string, (app: Express) => void>>

interface RpOptions {
  readonly library?: keyof typeof LIBRARIES
  readonly guard?: GuardOptions<Request>
  readonly read?: (req: Request) => unknown
  readonly sessionLifetimeSeconds?: number
}

async function statelessRp({ library = 'cookie-session', guard, read, sessionLifetimeSeconds }: RpOptions = {}) {
  let now = 1_800_000_000
  const clock = () => now
  const mint = await createTokenMint({ issuer: ISSUER, clientId: CLIENT_ID, now: clock, sub: 'alice', sid: 'laptop' })
  const asked = { marks: 0, failing: false }
  const store = memoryStore({ clock })
  const marks = store.marks.bind(store)
  store.marks = (keys) => {
    asked.marks += 1
    return asked.failing ? Promise.reject(new Error('the store is down')) : marks(keys)
  }
  const events: LogoutEvent[] = []
  const logout = createBackchannelLogout({
    provider: { issuer: ISSUER, clientId: CLIENT_ID, jwks: mint.jwks },
    store,
    clock,
    onEvent: (event) => events.push(event),
    ...(sessionLifetimeSeconds !== undefined && { sessionLifetimeSeconds }),
  })
  const app = express()
  const reached: string[] = []
  const errors: unknown[] = []
  app.all('/backchannel-logout', logout.receiver())
  LIBRARIES[library](app)
  const keep = async (req: Request, kept: Record<string, unknown>) => {
    const session = sessionOf(req)
    Object.assign(session ?? {}, kept)
    await session?.save?.()
  }
  app.post('/sign-in', express.json(), async (req, res) => {
    const oidc = await logout.signOn(req.body)
    if (oidc !== undefined) await keep(req, { user: req.body.sub, oidc })
    res.status(oidc === undefined ? 403 : 204).end()
  })
  /** As if the app had signed a cookie with whatever is posted. */
  app.post('/keep', express.json(), async (req, res) => {
    await keep(req, req.body)
    res.status(204).end()
  })
  const given = read ?? ((req: Request) => sessionOf(req)?.oidc)
  app.use(logout.guard((req: Request) => given(req) as StatelessSignOn | undefined, guard))
  const me = async (req: Request, res: Response) => {
    reached.push(req.path)
    const user = sessionOf(req)?.user
    if (req.path === '/visit') await keep(req, { visits: 1 })
    res.status(user === undefined ? 401 : 200).json({ user })
  }
  app.get('/me', me)
  app.get('/visit', me)
  app.use(((error, _req, res, _next) => {
    errors.push(error)
    res.status(500).end()
  }) satisfies ErrorRequestHandler)

  const http = supertest(app)
  const cookieOf = (response: supertest.Response) => cookiesOf(response).join('; ')
  return {
    logout,
    mint,
    app,
    asked,
    events,
    reached,
    errors,
    advance: (seconds: number) => {
      now += seconds
    },
    async signIn(claims: Record<string, unknown> = {}): Promise<string> {
      const response = await http.post('/sign-in').send(mint.idTokenClaims(claims)).expect(204)
      return cookieOf(response)
    },
    async kept(session: Record<string, unknown>): Promise<string> {
      return cookieOf(await http.post('/keep').send(session).expect(204))
    },
    get: (path: string, cookie: string) => http.get(path).set('Cookie', cookie),
    deliver: async (payload: Record<string, unknown> = {}) =>
      http
        .post('/backchannel-logout')
        .type('form')
        .send({ logout_token: await mint.logoutToken({ payload }) })
        .expect(200),
  }
}

/** `name=value` of each cookie that a response sets. */
function cookiesOf(response: supertest.Response): string[] {
  const header: unknown = response.headers['set-cookie']
  return (Array.isArray(header) ? header : []).map((cookie) => String(cookie).split(';', 1)[0] ?? '')
}

/** The session's cookie, and nothing else, is told to go. */
function expectCleared(response: supertest.Response): void {
  expect(cookiesOf(response).filter((cookie) => cookie.startsWith('session='))).toEqual(['session='])
}

const LIBRARY_NAMES = ['cookie-session', 'iron-session'] as const

describe.each(LIBRARY_NAMES)('%s', (library) => {
  it('lets a live sign-on in, at the price of one look-up', async () => {
    const rp = await statelessRp({ library })
    const cookie = await rp.signIn()
    rp.asked.marks = 0
    const response = await rp.get('/me', cookie).expect(200, { user: 'alice' })
    expect(rp.asked.marks).toBe(1)
    expect(cookiesOf(response)).toEqual([])
  })

  it('a logout ends that session and no other; the cookie is cleared and the request goes on without a user', async () => {
    const rp = await statelessRp({ library })
    const laptop = await rp.signIn()
    const phone = await rp.signIn({ sid: 'phone' })
    const bob = await rp.signIn({ sub: 'bob', sid: 'bob' })
    await rp.deliver()
    expectCleared(await rp.get('/me', laptop).expect(401, {}))
    expect(rp.reached).toEqual(['/me'])
    expect(rp.events.at(-1)).toEqual({ type: 'resurrection-blocked', how: 'request' })
    await rp.get('/me', phone).expect(200)
    await rp.get('/me', bob).expect(200)
  })

  it('or is answered 401, and no handler hears of it', async () => {
    const rp = await statelessRp({ library, guard: { whenEnded: 'unauthorized' } })
    const cookie = await rp.signIn()
    await rp.deliver()
    const response = await rp.get('/me', cookie).expect(401).expect('Cache-Control', 'no-store')
    expect(response.text).toBe('')
    expectCleared(response)
    expect(rp.reached).toEqual([])
    await rp.get('/me', 'nothing=here').expect(401)
    expect(rp.reached).toEqual(['/me'])
  })

  it('no verdict: 503, Retry-After, the cookie stays, and counts again when the store is back', async () => {
    const rp = await statelessRp({ library })
    const cookie = await rp.signIn()
    rp.asked.failing = true
    const response = await rp
      .get('/me', cookie)
      .expect(503)
      .expect('Retry-After', '1')
      .expect('Cache-Control', 'no-store')
    expect(response.headers['set-cookie']).toBeUndefined()
    expect(rp.reached).toEqual([])
    await rp.get('/me', 'nothing=here').expect(401)
    rp.asked.failing = false
    await rp.get('/me', cookie).expect(200)
  })

  it('a logout before the login is finished: nobody is signed in', async () => {
    const rp = await statelessRp({ library })
    const claims = rp.mint.idTokenClaims()
    await rp.deliver()
    const response = await supertest(rp.app).post('/sign-in').send(claims).expect(403)
    expect(cookiesOf(response)).toEqual([])
    expect(rp.events.at(-1)).toMatchObject({ type: 'bound', ended: true })
  })

  it('a later login lives, and does not revive the older cookie', async () => {
    const rp = await statelessRp({ library })
    const before = await rp.signIn()
    await rp.deliver({ sid: undefined })
    rp.advance(1)
    const after = await rp.signIn({ sid: 'laptop again' })
    await rp.get('/me', after).expect(200)
    await rp.get('/me', before).expect(401)
  })

  it('is over with its lifetime, since marks are kept no longer', async () => {
    const rp = await statelessRp({ library, sessionLifetimeSeconds: 8 * 3600 })
    const cookie = await rp.signIn()
    rp.advance(8 * 3600 - 1)
    await rp.get('/me', cookie).expect(200)
    rp.advance(1)
    expectCleared(await rp.get('/me', cookie).expect(401))
  })

  it('a response that was under way writes its cookie back, and that one is as dead', async () => {
    const rp = await statelessRp({ library })
    const cookie = await rp.signIn()
    const visited = await rp.get('/visit', cookie).expect(200)
    await rp.deliver()
    const rewritten = cookiesOf(visited).join('; ')
    expect(rewritten).toContain('session=')
    expectCleared(await rp.get('/me', rewritten).expect(401))
  })

  it('a cookie that was tampered with is no sign-on', async () => {
    const rp = await statelessRp({ library })
    const cookie = await rp.signIn()
    rp.asked.marks = 0
    const tampered = cookie.replace(
      /session=(.{20})(.)/,
      (_, head, last) => `session=${head}${last === 'a' ? 'b' : 'a'}`,
    )
    expect(tampered).not.toBe(cookie)
    await rp.get('/me', tampered).expect(401)
    expect(rp.asked.marks).toBe(0)
    expect(rp.errors).toEqual([])
  })

  it.each(['a string', 7, true, {}, []])('a sign-on that is %j counts as ended', async (oidc) => {
    const rp = await statelessRp({ library })
    expectCleared(await rp.get('/me', await rp.kept({ user: 'alice', oidc })).expect(401, {}))
    expect(rp.asked.marks).toBe(0)
    expect(rp.errors).toEqual([])
  })
})

describe('a record with one thing wrong', () => {
  const WRONG: Readonly<Record<string, unknown>> = {
    issuer: undefined,
    clientId: '',
    sub: 7,
    sid: null,
    issuedAt: Number.NaN,
    boundAt: Number.NaN,
  }

  it.each(Object.entries(WRONG))('%s is %s: ended', async (name, value) => {
    let record: unknown
    const rp = await statelessRp({ read: () => record })
    const whole = await rp.logout.signOn(rp.mint.idTokenClaims())
    expect(isWholeSignOn(whole)).toBe(true)
    const cookie = await rp.kept({ user: 'alice' })
    record = whole
    await rp.get('/me', cookie).expect(200)
    record = { ...whole, [name]: value }
    expectCleared(await rp.get('/me', cookie).expect(401, {}))
  })

  it.each([
    { name: 'sid', value: 7 },
    { name: 'sid', value: '' },
    { name: 'issuedAt', value: null },
    { name: 'issuedAt', value: '1800000000' },
    { name: 'issuedAt', value: Number.POSITIVE_INFINITY },
    { name: 'boundAt', value: undefined },
    { name: 'boundAt', value: '1800000000' },
    { name: 'boundAt', value: Number.POSITIVE_INFINITY },
    { name: 'sub', value: undefined },
    { name: 'sub', value: '' },
  ])('$name is $value: not whole', ({ name, value }) => {
    const whole = { issuer: ISSUER, clientId: CLIENT_ID, sub: 'alice', sid: 'laptop', issuedAt: 1, boundAt: 1 }
    expect(isWholeSignOn(whole)).toBe(true)
    expect(isWholeSignOn({ ...whole, [name]: value })).toBe(false)
  })

  it('is whole without the members that an OP may leave out', () => {
    expect(isWholeSignOn({ issuer: ISSUER, clientId: CLIENT_ID, sub: 'alice', boundAt: 1 })).toBe(true)
  })
})

describe('guard', () => {
  it('takes null and undefined for no sign-on', async () => {
    for (const nothing of [null, undefined]) {
      const rp = await statelessRp({ read: () => nothing })
      await rp.get('/me', await rp.kept({ user: 'alice' })).expect(200)
      expect(rp.asked.marks).toBe(0)
    }
  })

  it('hands what read throws to the error handler, and lets nobody in', async () => {
    const failure = new Error('the cookie cannot be read')
    const rp = await statelessRp({
      read: () => {
        throw failure
      },
    })
    await rp.get('/me', await rp.kept({ user: 'alice' })).expect(500)
    expect(rp.errors).toEqual([failure])
    expect(rp.reached).toEqual([])
  })

  it('clears as it is told, before anything else sees the request', async () => {
    const rp = await statelessRp({
      guard: {
        clear: async (req) => {
          const session = sessionOf(req)
          if (session !== null) session.user = 'nobody'
        },
      },
    })
    const cookie = await rp.signIn()
    await rp.deliver()
    await rp.get('/me', cookie).expect(200, { user: 'nobody' })
  })

  it('hands clear the request and response of Express, typed as such', async () => {
    const rp = await statelessRp()
    const ended = await rp.logout.signOn(rp.mint.idTokenClaims())
    await rp.deliver()
    const app = express()
    app.use(
      rp.logout.guard((req) => (req.path === '/me' ? ended : undefined), {
        clear: (req, res) => {
          res.clearCookie('session').set('X-Cleared', req.path)
        },
      }),
    )
    app.get('/me', (_req, res) => void res.send('nobody'))
    const response = await supertest(app).get('/me').expect(200, 'nobody').expect('X-Cleared', '/me')
    expectCleared(response)
  })

  it('never lets an ended sign-on in because it does not know how to clear its session', async () => {
    const rp = await statelessRp()
    const ended = await rp.logout.signOn(rp.mint.idTokenClaims())
    await rp.deliver()
    const app = express()
    const errors: unknown[] = []
    let reached = false
    app.use(rp.logout.guard(() => ended))
    app.get('/me', (_req, res) => {
      reached = true
      res.end()
    })
    app.use(((error, _req, res, _next) => {
      errors.push(error)
      res.status(500).end()
    }) satisfies ErrorRequestHandler)
    await supertest(app).get('/me').expect(500)
    expect(reached).toBe(false)
    expect(errors).toEqual([expect.any(TypeError)])
    expect(String(errors[0])).toMatch(/option clear/)
  })

  it.each([
    { given: [undefined], says: /reads the sign-on/ },
    { given: [() => undefined, { whenEnded: 'maybe' }], says: /"anonymous" or "unauthorized"/ },
    { given: [() => undefined, { clear: true }], says: /clear must be a function/ },
    { given: [() => undefined, { onEnded: 'anonymous' }], says: /no option "onEnded": it appears you mean whenEnded/ },
  ])('refuses at boot what it could not use: $says', async ({ given, says }) => {
    const { logout } = await statelessRp()
    expect(() => Reflect.apply(logout.guard, undefined, given)).toThrow(says)
    expect(() => Reflect.apply(logout.guard, undefined, given)).toThrow(TypeError)
  })
})

describe('isLive', () => {
  it('says the same without Express', async () => {
    const rp = await statelessRp()
    const laptop = await rp.logout.signOn(rp.mint.idTokenClaims())
    const phone = await rp.logout.signOn(rp.mint.idTokenClaims({ sid: 'phone' }))
    if (laptop === undefined || phone === undefined) throw new Error('nobody was logged out yet')
    expect(await rp.logout.isLive(laptop)).toBe(true)
    await rp.deliver()
    expect(await rp.logout.isLive(laptop)).toBe(false)
    expect(await rp.logout.isLive(phone)).toBe(true)
    rp.asked.failing = true
    await expect(rp.logout.isLive(phone)).rejects.toBeInstanceOf(NoVerdictError)
  })

  it('has the answer with it where nobody knows', async () => {
    const rp = await statelessRp()
    const phone = await rp.logout.signOn(rp.mint.idTokenClaims({ sid: 'phone' }))
    if (phone === undefined) throw new Error('nobody was logged out yet')
    rp.asked.failing = true
    const error = await rp.logout.isLive(phone).catch((thrown: unknown) => thrown)
    if (!(error instanceof NoVerdictError)) throw error
    for (const response of [error.getResponse(), error.getResponse()]) {
      expect(response.status).toBe(503)
      expect(Object.fromEntries(response.headers)).toEqual({ 'cache-control': 'no-store', 'retry-after': '1' })
      expect(await response.text()).toBe('')
    }
  })

  it('survives the way through JSON, with and without sid', async () => {
    const rp = await statelessRp()
    for (const claims of [{}, { sid: undefined }, { iat: rp.mint.idTokenClaims().iat + 0.25 }]) {
      const signOn = await rp.logout.signOn(rp.mint.idTokenClaims(claims))
      const again = JSON.parse(JSON.stringify(signOn))
      expect(again).toEqual(signOn)
      expect(await rp.logout.isLive(again)).toBe(true)
    }
  })

  it('an administrator ends a sign-on that lives in a cookie, by the record itself', async () => {
    const rp = await statelessRp({ sessionLifetimeSeconds: DAY })
    const cookie = await rp.signIn()
    const other = await rp.signIn({ sid: 'phone' })
    const signOn = await rp.logout.signOn(rp.mint.idTokenClaims())
    if (signOn === undefined) throw new Error('nobody was logged out yet')
    expect(await rp.logout.terminate(signOn)).toMatchObject({ complete: true, marked: true, found: 0 })
    await rp.get('/me', cookie).expect(401)
    await rp.get('/me', other).expect(200)
  })
})

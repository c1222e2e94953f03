// Sessions that live in a cookie, in the real cookie-session and the real iron-session: what `signOn`, `guard` and
// `isLive` let in.

import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
import { NoVerdictError } from '../../src/index.js'
import { cookiesOf, DAY, expectCleared, LIBRARY_NAMES, statelessRp } from '../sessions/stateless-rp.js'

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

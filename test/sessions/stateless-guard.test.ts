// The guard of sessions in a cookie: what it takes for a sign-on, and what it does with one that ended.

import express, { type ErrorRequestHandler } from 'express'
import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
import { isWholeSignOn } from '../../src/sessions/stateless-guard.js'
import { CLIENT_ID, expectCleared, ISSUER, sessionOf, statelessRp } from './stateless-rp.js'

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

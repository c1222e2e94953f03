// The bearer check of a route, over real HTTP in Express 4 and 5: what is answered, and what the authorization server
// is asked.
import { createRequire } from 'node:module'
import express from 'express'
import request from 'supertest'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClaims, type RequireTokenOptions, type TokenClaims } from '../../src/access-tokens/index.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { active, ended, handClock, INACTIVE, NOW, promptServer } from './hand-run.js'
import { askHandler } from './token-doors.js'

/** Express 4 has no types of its own here; what is used of it is the same in both. */
const express4: typeof express = createRequire(import.meta.url)('express4')

function api(
  route: RequireTokenOptions = {},
  answers: (token: string) => TokenClaims = () => active(),
  make = express,
) {
  const { introspection, asked } = promptServer(answers)
  const claims = createClaims({
    introspection,
    clock: handClock(),
    enrich: ({ sub }) => ({ greeting: `hello ${sub}` }),
  })
  const app = make()
  app.use(express.urlencoded({ extended: false }))
  app.use('/api', claims.requireToken(route), (req, res) => {
    res.json({ onRequest: Reflect.get(req, 'token'), typed: claims.tokenOf(req)?.application.greeting })
  })
  return { app, claims, asked }
}

const bySid = ended({ sid: 's1' }, NOW)
const bearer = 'Bearer abc.DEF-123_~+/=='

for (const [version, make] of [
  ['Express 5', express],
  ['Express 4', express4],
] as const) {
  describe(`requireToken in ${version}`, () => {
    it('lets a good token in and puts its claims on the request', async () => {
      const { app, asked } = api({ scope: 'read', audience: 'https://api.example.com' }, undefined, make)
      const res = await request(app).get('/api').set('Authorization', bearer)
      expect(res.status).toBe(200)
      expect(res.body).toMatchObject({
        onRequest: { claims: { sub: 'alice' }, application: { greeting: 'hello alice' } },
        typed: 'hello alice',
      })
      expect(asked).toEqual(['abc.DEF-123_~+/=='])
    })

    it('refuses the token after the logout, with the answer of RFC 6750', async () => {
      const { app, claims } = api({}, undefined, make)
      await request(app).get('/api').set('Authorization', bearer).expect(200)
      claims.evict(ended({ sid: 's1' }, NOW))
      const res = await request(app).get('/api').set('Authorization', bearer)
      expect(res.status).toBe(401)
      expect(res.headers['www-authenticate']).toBe(
        'Bearer realm="api", error="invalid_token", error_description="The access token is not valid"',
      )
      expect(res.headers['cache-control']).toBe('no-store')
    })
  })
}

describe('the token', () => {
  it('may be named by the scheme in any case', async () => {
    const { app } = api()
    await request(app).get('/api').set('Authorization', 'bEARER abc').expect(200)
  })

  for (const [name, authorization] of [
    ['no header', undefined],
    ['another scheme', 'Basic YTpi'],
    ['an empty header', ''],
    ['the scheme DPoP, which this route does not confirm', 'DPoP abc'],
  ] as const) {
    it(`is asked for without an error code where there is ${name}`, async () => {
      const { app, asked } = api({ scope: ['read', 'write'], realm: 'accounts' })
      const get = request(app).get('/api')
      const res = await (authorization === undefined ? get : get.set('Authorization', authorization))
      expect(res.status).toBe(401)
      expect(res.headers['www-authenticate']).toBe('Bearer realm="accounts", scope="read write"')
      expect(asked).toHaveLength(0)
    })
  }

  it('is not taken from the URL, where it would be logged', async () => {
    const { app, asked } = api()
    const res = await request(app).get('/api?access_token=abc')
    expect(res.status).toBe(401)
    expect(asked).toHaveLength(0)
  })

  it('is not taken from the body', async () => {
    const { app, asked } = api()
    await request(app).post('/api').type('form').send({ access_token: 'abc' }).expect(401)
    expect(asked).toHaveLength(0)
  })

  for (const [name, send] of [
    [
      'in the header and the URL',
      (app: Parameters<typeof request>[0]) => request(app).get('/api?access_token=abc').set('Authorization', bearer),
    ],
    [
      'in the header and the body',
      (app: Parameters<typeof request>[0]) =>
        request(app).post('/api').set('Authorization', bearer).type('form').send({ access_token: 'abc' }),
    ],
    [
      'in a header with two tokens',
      (app: Parameters<typeof request>[0]) => request(app).get('/api').set('Authorization', 'Bearer abc def'),
    ],
    [
      'in a header with no token',
      (app: Parameters<typeof request>[0]) => request(app).get('/api').set('Authorization', 'Bearer'),
    ],
  ] as const) {
    it(`is refused as a bad request ${name}`, async () => {
      const { app, asked } = api()
      const res = await send(app)
      expect(res.status).toBe(400)
      expect(res.headers['www-authenticate']).toContain('error="invalid_request"')
      expect(asked).toHaveLength(0)
    })
  }

  it('is refused as a bad request in two headers, of which Node shows one', async () => {
    const { claims, asked } = api()
    const outcome = await run(claims.requireToken(), {
      headers: { authorization: bearer },
      rawHeaders: ['Authorization', bearer, 'authorization', 'Bearer other'],
    })
    expect(outcome.status).toBe(400)
    expect(asked).toHaveLength(0)
  })

  for (const [name, token] of [
    ['has characters that no token has', 'Bearer abc"def'],
    ['is longer than any token', `Bearer ${'a'.repeat(16_385)}`],
  ] as const) {
    it(`is refused unasked where it ${name}`, async () => {
      const { claims, asked } = api()
      const outcome = await run(claims.requireToken(), { headers: { authorization: token } })
      expect(outcome).toMatchObject({ status: 401 })
      expect(outcome.headers['www-authenticate']).toContain('error="invalid_token"')
      expect(asked).toHaveLength(0)
    })
  }
})

describe('scope and audience', () => {
  const answerTo = async (route: RequireTokenOptions, changes: Record<string, unknown>) => {
    const { app } = api(route, () => active(changes))
    const { status, headers } = await request(app).get('/api').set('Authorization', bearer)
    return { status, challenge: headers['www-authenticate'] }
  }

  it('need every scope value: 403 names what is needed', async () => {
    expect(await answerTo({ scope: 'read write' }, { scope: 'write read more' })).toMatchObject({ status: 200 })
    expect(await answerTo({ scope: ['read', 'admin'] }, { scope: 'read' })).toEqual({
      status: 403,
      challenge:
        'Bearer realm="api", scope="read admin", error="insufficient_scope", error_description="The access token does not have the scope that is needed"',
    })
  })

  for (const [name, scope] of [
    ['part of a value', 'reader'],
    ['another case', 'READ'],
    ['none', undefined],
    ['a number', 7],
  ] as const) {
    it(`are not met by ${name}`, async () => {
      expect(await answerTo({ scope: 'read' }, { scope })).toMatchObject({ status: 403 })
    })
  }

  it('may be an array at the server', async () => {
    expect(await answerTo({ scope: 'read' }, { scope: ['write', 'read'] })).toMatchObject({ status: 200 })
  })

  it('need one audience, exactly', async () => {
    const route = { audience: ['https://api.example.com', 'urn:api'] }
    expect(await answerTo(route, { aud: ['urn:other', 'urn:api'] })).toMatchObject({ status: 200 })
    expect(await answerTo(route, { aud: 'urn:api' })).toMatchObject({ status: 200 })
    for (const aud of [undefined, [], 'urn:other', 'urn:api/', ['https://api.example.com/'], 7]) {
      const { status, challenge } = await answerTo(route, { aud })
      expect(status).toBe(401)
      expect(challenge).toContain('error="invalid_token"')
    }
  })

  it('are checked for each route on the one cached answer', async () => {
    const { introspection, asked } = promptServer(() => active({ scope: 'read' }))
    const claims = createClaims({ introspection, clock: handClock() })
    const good = { headers: { authorization: bearer } }
    expect((await run(claims.requireToken({ scope: 'read' }), good)).passed).toBe(true)
    expect((await run(claims.requireToken({ scope: 'write' }), good)).status).toBe(403)
    expect(asked).toHaveLength(1)
  })
})

describe('a token whose claims and marks are at hand', () => {
  const req = () => ({ headers: { authorization: bearer } })
  const res = { statusCode: 200, setHeader: () => {}, end: () => {} }

  async function known(store: Pick<LogoutStore, 'marks' | 'begin'> = memoryStore({ clock: handClock() })) {
    const { introspection } = promptServer(() => active())
    const claims = createClaims({ introspection, store, clock: handClock() })
    const handler = claims.requireToken()
    await new Promise((resolve) => handler(req(), res, resolve))
    return { claims, handler, store }
  }

  it('is let in at once, before anything else happens', async () => {
    const { claims, handler } = await known()
    const mine = req()
    let passed = 0
    handler(mine, res, () => passed++)
    expect(passed).toBe(1)
    expect(claims.tokenOf(mine)?.claims.sub).toBe('alice')
    expect(claims.tokenOf(req())).toBeUndefined()
  })

  it('is kept apart from those of another cache', async () => {
    const [one, other] = [await known(), await known()]
    const mine = req()
    one.handler(mine, res, () => {})
    expect(other.claims.tokenOf(mine)).toBeUndefined()
  })

  it('is refused as soon as the mark is there', async () => {
    const { handler, store } = await known()
    await store.begin({
      target: bySid.target,
      issuedAt: NOW,
      seenSecondsAgo: 0,
      marksExpireAt: NOW + 60,
      mayDestroy: true,
    })
    const outcome = await new Promise((resolve) =>
      handler(req(), { ...res, end: () => resolve('refused') }, () => resolve('in')),
    )
    expect(outcome).toBe('refused')
  })

  it('is 503 where the store fails at once', async () => {
    const inner = memoryStore({ clock: handClock() })
    let isUp = true
    const marks: LogoutStore['marks'] = (keys) => {
      if (!isUp) throw new Error('the store is away')
      return inner.marks(keys)
    }
    const { claims, handler } = await known({ marks, begin: (order) => inner.begin(order) })
    isUp = false
    const answer = { ...res }
    handler(req(), answer, () => expect.unreachable())
    expect(answer.statusCode).toBe(503)
    await expect(claims.lookup(bearer.slice('Bearer '.length))).rejects.toMatchObject({ reason: 'store_failed' })
  })

  it('hands what the application throws to its error handler', async () => {
    const { handler } = await known()
    const heard: unknown[] = []
    const broken = new Error('of the application')
    handler(req(), res, (error) => {
      heard.push(error)
      if (heard.length === 1) throw broken
    })
    expect(heard).toEqual([undefined, broken])
  })
})

describe('without a verdict', () => {
  it('is 503 with Retry-After, without a challenge, and not 401', async () => {
    const { app } = api({}, () => {
      throw new Error('down')
    })
    const res = await request(app).get('/api').set('Authorization', bearer)
    expect(res.status).toBe(503)
    expect(res.headers).toMatchObject({ 'retry-after': '1', 'cache-control': 'no-store' })
    expect(res.headers['www-authenticate']).toBeUndefined()
    expect(res.body).toEqual({
      error: 'temporarily_unavailable',
      error_description: 'The access token could not be checked',
    })
  })
})

describe('confirm', () => {
  const bound = (confirm: RequireTokenOptions['confirm']) =>
    api(confirm === undefined ? {} : { confirm }, (token) => active(token === 'bound' ? { cnf: { jkt: 'x' } } : {}))

  it('is asked at every request, also for cached claims, and refuses by false', async () => {
    const answers = [true, false, true]
    let called = 0
    const { app, asked } = bound(async (_req, claims) => {
      expect(claims.cnf).toEqual({ jkt: 'x' })
      return answers[called++] === true
    })
    const statuses: number[] = []
    for (const _ of answers) statuses.push((await request(app).get('/api').set('Authorization', 'DPoP bound')).status)
    expect(statuses).toEqual([200, 401, 200])
    expect(asked).toHaveLength(1)
  })

  it('is not asked about tokens that are bound to nothing', async () => {
    const { app } = bound(() => false)
    await request(app).get('/api').set('Authorization', 'Bearer free').expect(200)
  })

  it('that hangs is no verdict after five seconds', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { claims } = bound(undefined)
    const outcome = askHandler(claims.requireToken({ confirm: () => new Promise(() => {}) }), 'bound', () => {})
    await vi.advanceTimersByTimeAsync(4999)
    expect(await Promise.race([outcome, 'waits'])).toBe('waits')
    await vi.advanceTimersByTimeAsync(1)
    expect(await outcome).toBe('no verdict')
  })

  it('fails closed', async () => {
    const { app } = bound(() => Promise.reject(new Error('no')))
    await request(app).get('/api').set('Authorization', 'Bearer bound').expect(503)
  })

  it('is needed: without it a token that is bound to a key is not taken for a bearer token', async () => {
    const { app } = bound(undefined)
    await request(app).get('/api').set('Authorization', 'Bearer bound').expect(401)
    await request(app).get('/api').set('Authorization', 'Bearer free').expect(200)
    const { app: dpop } = api({}, () => active({ token_type: 'DPoP' }))
    await request(dpop).get('/api').set('Authorization', 'Bearer bound').expect(401)
  })
})

describe('maxAgeSeconds', () => {
  it('of 0 asks each time', async () => {
    let revoked = false
    const { app } = api({ maxAgeSeconds: 0 }, () => (revoked ? INACTIVE : active()))
    await request(app).get('/api').set('Authorization', bearer).expect(200)
    revoked = true
    await request(app).get('/api').set('Authorization', bearer).expect(401)
  })
})

describe('what cannot work', () => {
  const { claims } = api()
  for (const [name, route] of [
    ['scope', { scope: 'a"b' }],
    ['scope', { scope: ['a b'] }],
    ['scope', { scope: '' }],
    ['audience', { audience: [''] }],
    ['maxAgeSeconds', { maxAgeSeconds: -1 }],
    ['maxAgeSeconds', { maxAgeSeconds: Number.NaN }],
    ['realm', { realm: 'a"' }],
    ['realm', { realm: '' }],
  ] as const) {
    it(`is refused at start-up: ${name} ${JSON.stringify(route)}`, () => {
      expect(() => claims.requireToken(route)).toThrow(TypeError)
      expect(() => claims.requireToken(route)).toThrow(name)
    })
  }
})

/** Runs a handler on the plainest request there can be. */
function run(
  handler: ReturnType<ReturnType<typeof api>['claims']['requireToken']>,
  req: Parameters<typeof handler>[0],
): Promise<{ status: number; headers: Record<string, string>; passed: boolean }> {
  return new Promise((resolve, reject) => {
    const headers: Record<string, string> = {}
    const res = {
      statusCode: 200,
      setHeader: (name: string, value: string) => {
        headers[name.toLowerCase()] = value
      },
      end: () => resolve({ status: res.statusCode, headers, passed: false }),
    }
    handler(req, res, (error) => (error === undefined ? resolve({ status: 0, headers, passed: true }) : reject(error)))
  })
}

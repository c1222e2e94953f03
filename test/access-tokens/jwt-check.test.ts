// JWTs that an API verifies by itself: which of them a logout ends, what is said where they say too little, and RFC 9068 rule by rule.
import { createHmac, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import express from 'express'
import { createLocalJWKSet, exportJWK, type JWTPayload, SignJWT } from 'jose'
import request from 'supertest'
import { beforeAll, describe, expect, it } from 'vitest'
import { createJwtCheck, type JwtCheckOptions, type RequireJwtOptions } from '../../src/access-tokens/index.js'
import { createBackchannelLogout, expressSessions, type LogoutEvent, NoVerdictError } from '../../src/index.js'
import { type LogoutTarget, targetKey, tokenKey } from '../../src/marks/target.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { handClock, ISSUER, NOW, RP, settle } from './hand-run.js'

const claimsOf = (changes: Record<string, unknown> = {}): JWTPayload => ({
  iss: ISSUER,
  aud: 'https://api.example.com',
  client_id: RP.clientId,
  sub: 'alice',
  sid: 's1',
  iat: NOW - 10,
  exp: NOW + 3600,
  ...changes,
})

function checkOver(more: Partial<JwtCheckOptions> = {}) {
  const clock = handClock()
  const store = memoryStore({ clock })
  const events: LogoutEvent[] = []
  const check = createJwtCheck({ store, clock, onEvent: (event) => void events.push(event), ...more })
  const logOut = (subject: { sid: string; sub?: string } | { sub: string } | { token: string }, issuedAt = clock()) => {
    const target =
      'token' in subject
        ? ({ scope: 'token', key: tokenKey(subject.token) } as const)
        : targetKey({ ...RP, ...subject } as LogoutTarget)
    const dates = { issuedAt, seenSecondsAgo: 0, marksExpireAt: clock() + 86_400 }
    return store.begin({ target, ...dates, mayDestroy: true })
  }
  return { check, clock, store, events, logOut }
}

describe('a logout', () => {
  const tokens: Record<string, Record<string, unknown>> = {
    first: {},
    refreshed: { iat: NOW + 200 },
    'of that sid under another sub': { sub: 'internal' },
    'that names its client by azp': { client_id: undefined, azp: RP.clientId },
    'other session': { sid: 's2' },
    'without a sid': { sid: undefined },
    'other user': { sub: 'bob', sid: 's9' },
    'other client': { client_id: 'rp-2' },
    'other issuer': { iss: 'https://other.example.com' },
  }
  const ended = async (subject: Parameters<ReturnType<typeof checkOver>['logOut']>[0]) => {
    const { check, logOut } = checkOver()
    const names = Object.keys(tokens)
    for (const name of names) expect(await check.isRevoked(claimsOf(tokens[name]))).toBe(false)
    await logOut(subject)
    const revoked: string[] = []
    for (const name of names) if (await check.isRevoked(claimsOf(tokens[name]))) revoked.push(name)
    return revoked
  }

  it('by sid ends every token of that session, whatever it says of its user, and no other', async () => {
    const names = ['first', 'refreshed', 'of that sid under another sub', 'that names its client by azp']
    expect(await ended({ sid: 's1' })).toEqual(names)
  })

  it('by sub ends every token that was issued before, and no other user’s, client’s or issuer’s', async () => {
    expect(await ended({ sub: 'alice' })).toEqual([
      'first',
      'that names its client by azp',
      'other session',
      'without a sid',
    ])
  })

  it('by sub ends a token that was refreshed after it, where auth_time tells', async () => {
    const { check, logOut, clock } = checkOver()
    await logOut({ sub: 'alice' })
    clock.advance(600)
    const refreshed = claimsOf({ iat: NOW + 500, auth_time: NOW - 100, exp: NOW + 900 })
    expect(await check.isRevoked(refreshed)).toBe(true)
    expect(await check.isRevoked({ ...refreshed, auth_time: NOW + 500 })).toBe(false)
  })

  for (const date of [NOW * 1000, NOW + 3600, Number.POSITIVE_INFINITY]) {
    it(`is not outlived by a date that cannot be true: ${date}`, async () => {
      const { check, logOut } = checkOver()
      await logOut({ sub: 'alice' })
      expect(await check.isRevoked(claimsOf({ iat: date }))).toBe(true)
      expect(await check.isRevoked(claimsOf({ auth_time: date, iat: NOW + 200 }))).toBe(true)
    })
  }

  it('ends a token of which only bind knew, where the check gets the token itself', async () => {
    const { check, clock, store } = checkOver()
    const rows = { on() {}, get() {}, set() {}, destroy: (_id: string, done: () => void) => done() }
    const sessions = expressSessions(Object.assign(rows, { createSession() {} }) as never)
    const rp = createBackchannelLogout({ provider: RP, store, clock, sessions })
    const idToken = { iss: ISSUER, aud: RP.clientId, sub: 'alice', sid: 's1', iat: NOW }
    await rp.bind({ sessionId: 'local' } as never, idToken, { accessToken: 'h.p.signature' })
    const claims = claimsOf({ sid: undefined, sub: 'internal' })
    const req = { headers: { authorization: 'Bearer h.p.signature' } }
    const verified = { payload: claims, signature: 'signature' }
    expect([await check.isRevoked(claims, 'h.p.signature'), await check.isRevoked(req, verified)]).toEqual([
      false,
      false,
    ])
    await rp.terminate({ ...RP, sid: 's1' })
    expect([await check.isRevoked(claims, 'h.p.signature'), await check.isRevoked(req, verified)]).toEqual([true, true])
    // A header that holds another token than the one that was verified says nothing about it.
    expect(await check.isRevoked(req, { ...verified, signature: 'other' })).toBe(false)
  })

  it('of one token ends that token', async () => {
    const { check, logOut } = checkOver()
    await logOut({ token: 'evicted' })
    expect(await check.isRevoked(claimsOf(), 'evicted')).toBe(true)
    expect(await check.isRevoked(claimsOf(), 'another')).toBe(false)
  })
})

describe('one request', () => {
  it('asks the store once', async () => {
    const asked: (readonly string[])[] = []
    const { check } = checkOver({
      store: {
        marks: async (keys) => {
          asked.push(keys)
          return { now: NOW, marks: [] }
        },
      },
    })
    await check.isRevoked(claimsOf(), 'token')
    expect(asked).toHaveLength(1)
    expect(JSON.stringify(asked)).not.toMatch(/alice|"s1"|"token"/)
  })

  for (const [name, marks] of [
    ['fails', () => Promise.reject(new Error('down'))],
    ['never answers', () => new Promise<never>(() => {})],
  ] as const) {
    it(`has no verdict where the store ${name}: 503, never let in`, async () => {
      const { check } = checkOver({ store: { marks }, storeTimeoutSeconds: 0.05 })
      const error = await check.isRevoked(claimsOf()).catch((caught: unknown) => caught)
      expect(error).toBeInstanceOf(NoVerdictError)
      expect(error).toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'store_failed', status: 503 })
      const app = express()
      app.use((req, _res, next) => {
        Object.assign(req, { auth: claimsOf() })
        next()
      }, check.requireLive())
      const res = await request(app).get('/')
      expect([res.status, res.headers['retry-after']]).toEqual([503, '1'])
    })
  }

  for (const claims of [
    undefined,
    null,
    'sub',
    7,
    [],
    { sub: 'alice' },
    { iss: ISSUER, client_id: 'rp', sub: ['alice'] },
  ]) {
    it(`has no verdict on claims that cannot be judged: ${JSON.stringify(claims)}`, async () => {
      const { check } = checkOver()
      await expect(check.isRevoked(claims as never)).rejects.toMatchObject({ reason: 'claims_malformed', status: 503 })
    })
  }

  it('without claims is refused by requireLive', async () => {
    const { check } = checkOver()
    await request(express().use(check.requireLive())).get('/').expect(401)
  })
})

describe('what is said, once each', () => {
  for (const [reason, claims] of [
    ['client_id_missing', { client_id: undefined }],
    ['sid_missing', { sid: undefined }],
    ['token_outlives_marks', { exp: NOW + 90_000 }],
  ] as const) {
    it(reason, async () => {
      const { check, events } = checkOver()
      for (const _ of [1, 2]) await check.isRevoked(claimsOf(claims))
      expect(events).toMatchObject([{ type: 'warning', error: { code: 'ERR_CONFIGURATION', reason } }])
      expect(JSON.stringify(events)).not.toMatch(/alice/)
    })
  }

  it('nothing of a token of a machine, which has no session', async () => {
    const { check, events } = checkOver()
    await check.isRevoked(claimsOf({ sub: RP.clientId, sid: undefined }))
    expect(events).toEqual([])
  })
})

it('every order of a logout and three requests: whoever begins after it is refused, whoever was answered before it was not', async () => {
  let schedules = 0
  for (const order of orders([2, 2, 2, 1])) {
    schedules += 1
    let marked = false
    const replies: (() => void)[][] = [[], [], []]
    let asking = 0
    const mark = { ...targetKey({ ...RP, sid: 's1' }), issuedAt: NOW, seenAt: NOW, expiresAt: NOW + 1e6 }
    // The store reads when it replies: as late as it can be.
    const marks = () =>
      new Promise<{ now: number; marks: (typeof mark)[] }>((resolve) => {
        replies[asking]?.push(() => resolve({ now: NOW, marks: marked ? [mark] : [] }))
      })
    const check = createJwtCheck({ store: { marks }, clock: () => NOW })
    const outcomes: (boolean | undefined)[] = [undefined, undefined, undefined]
    const begunAfter = [false, false, false]
    const overBefore = [false, false, false]
    for (const who of order) {
      asking = who
      if (who === 3) {
        marked = true
        for (const each of [0, 1, 2]) overBefore[each] = outcomes[each] !== undefined
      } else if (replies[who]?.length === 0) {
        begunAfter[who] = marked
        check.isRevoked(claimsOf()).then((revoked) => {
          outcomes[who] = revoked
        })
      } else {
        replies[who]?.[0]?.()
      }
      await settle()
    }
    for (const each of [0, 1, 2]) {
      if (begunAfter[each]) expect(outcomes[each]).toBe(true)
      if (overBefore[each]) expect(outcomes[each]).toBe(false)
    }
  }
  expect(schedules).toBe(630)
})

function* orders(left: number[], order: number[] = []): Generator<readonly number[]> {
  if (left.every((steps) => steps === 0)) yield order
  for (const [who, steps] of left.entries()) {
    if (steps > 0) yield* orders(left.with(who, steps - 1), [...order, who])
  }
}

describe('requireJwt', () => {
  let key: KeyObject
  let other: KeyObject
  let route: RequireJwtOptions

  beforeAll(async () => {
    key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const keys = [{ ...(await exportJWK(createPublicKey(key))), kid: 'k', alg: 'RS256' }]
    route = { issuer: ISSUER, audience: 'https://api.example.com', keys: createLocalJWKSet({ keys }) }
  })

  const signed = (payload: Record<string, unknown> = {}, header: Record<string, unknown> = {}, by = key) =>
    new SignJWT(claimsOf(payload)).setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k', ...header }).sign(by)

  function api(more: Partial<RequireJwtOptions> = {}) {
    const { check, logOut } = checkOver()
    const app = express()
    app.get('/', check.requireJwt({ ...route, ...more }), (req, res) => {
      res.json(check.tokenOf(req)?.claims.sub)
    })
    const get = async (token: string) => {
      const res = await request(app).get('/').set('Authorization', `Bearer ${token}`)
      return res.status === 200 ? (res.body as string) : res.status
    }
    return { get, logOut, app }
  }

  it('lets a good token in until its logout', async () => {
    const { get, logOut, app } = api()
    const token = await signed()
    expect(await get(token)).toBe('alice')
    await logOut({ sid: 's1' })
    expect(await get(token)).toBe(401)
    const res = await request(app).get('/').set('Authorization', `Bearer ${token}`)
    expect(res.headers['www-authenticate']).toMatch(/error="invalid_token"/)
  })

  it('takes the media type in full, and a typ that is named', async () => {
    expect(await api().get(await signed({}, { typ: 'application/AT+JWT' }))).toBe('alice')
    expect(await api({ additionalTyp: 'JWT' }).get(await signed({}, { typ: 'JWT' }))).toBe('alice')
    expect(await api({ additionalTyp: 'JWT' }).get(await signed())).toBe('alice')
  })

  it.each<readonly [string, () => Promise<string>]>([
    ['of another type', () => signed({}, { typ: 'JWT' })],
    ['of no type', () => signed({}, { typ: undefined })],
    ['that is a Logout Token', () => signed({}, { typ: 'logout+jwt' })],
    ['with events', () => signed({ events: {} })],
    ['with at_hash', () => signed({ at_hash: 'x' })],
    ['of another issuer', () => signed({ iss: 'https://other.example.com' })],
    ['of no issuer', () => signed({ iss: undefined })],
    ['for another API', () => signed({ aud: 'another' })],
    ['for no API', () => signed({ aud: undefined })],
    ['that has expired', () => signed({ exp: NOW - 6 })],
    ['without exp', () => signed({ exp: undefined })],
    ['without iat', () => signed({ iat: undefined })],
    ['without sub', () => signed({ sub: undefined })],
    ['without client', () => signed({ client_id: undefined })],
    ['not yet valid', () => signed({ nbf: NOW + 60 })],
    ['of a foreign key', () => signed({}, {}, other)],
    ['of an unknown key id', () => signed({}, { kid: 'unknown' })],
    ['that is not one', async () => 'abc'],
    ['signed by nobody', async () => unsigned('none', '')],
    [
      'signed by the public key as a secret',
      async () => {
        const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' })
        return unsigned('HS256', undefined, String(pem))
      },
    ],
    ['that is bound to a key', () => signed({ cnf: { jkt: 'x' } })],
  ])('refuses a token %s', async (_name, token) => {
    expect(await api().get(await token())).toBe(401)
  })

  function unsigned(alg: string, signature: string | undefined, secret = ''): string {
    const segment = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url')
    const signing = `${segment({ alg, typ: 'at+jwt', kid: 'k' })}.${segment(claimsOf())}`
    return `${signing}.${signature ?? createHmac('sha256', secret).update(signing).digest('base64url')}`
  }

  it('verifies a signature once a minute at most, asks for the mark each time, and lets in nothing at its exp', async () => {
    let verified = 0
    const { check, clock, logOut } = checkOver()
    const keys: RequireJwtOptions['keys'] = (header, token) => {
      verified += 1
      return route.keys?.(header, token) ?? Promise.reject(new Error('no keys'))
    }
    const app = express().get('/', check.requireJwt({ ...route, keys, clockToleranceSeconds: 0 }), (_req, res) => {
      res.end()
    })
    const get = async (token: string) => (await request(app).get('/').set('Authorization', `Bearer ${token}`)).status
    const token = await signed({ exp: NOW + 100 })
    expect([await get(token), await get(token), verified]).toEqual([200, 200, 1])
    clock.advance(59)
    expect([await get(token), verified]).toEqual([200, 1])
    clock.advance(1)
    expect([await get(token), verified]).toEqual([200, 2])
    clock.advance(40)
    expect(await get(token)).toBe(401)
    clock.advance(-50)
    expect([await get(token), await get(`${token.slice(0, -8)}AAAAAAAA`)]).toEqual([200, 401])
    await logOut({ sid: 's1' })
    expect(await get(token)).toBe(401)
  })

  it('asks for scope and proof as requireToken does', async () => {
    expect(await api({ scope: 'write' }).get(await signed({ scope: 'read' }))).toBe(403)
    expect(await api({ scope: 'read' }).get(await signed({ scope: 'read' }))).toBe('alice')
    expect(await api({ confirm: () => true }).get(await signed({ cnf: { jkt: 'x' } }))).toBe('alice')
  })

  it('has no verdict where the keys cannot be had', async () => {
    const unreachable = { keys: undefined, issuer: 'http://127.0.0.1:9', dangerouslyAllowHttp: true } as never
    expect(await api(unreachable).get(await signed())).toBe(503)
    const jwksUri = { keys: undefined, jwksUri: 'http://127.0.0.1:9/jwks', dangerouslyAllowHttp: true } as never
    expect(await api(jwksUri).get(await signed())).toBe(503)
  })

  it.each<readonly [string, object]>([
    ['issuer', { issuer: 'http://op.example.com' }],
    ['audience', { audience: [] }],
    ['algorithms', { algorithms: ['HS256'] }],
    ['algorithms', { algorithms: [] }],
    ['keys', { keys: {} }],
    ['jwksUri', { keys: undefined, jwksUri: 'http://op.example.com/jwks' }],
    ['additionalTyp', { additionalTyp: '' }],
    ['clockToleranceSeconds', { clockToleranceSeconds: 3600 }],
    ['scope', { scope: 'a"' }],
  ])('refuses at start-up what cannot work: %s %o', (option, bad) => {
    expect(() => api(bad)).toThrow(TypeError)
    expect(() => api(bad)).toThrow(option)
  })
})

it.each<readonly [string, object]>([
  ['store', { store: undefined }],
  ['issuer', { issuer: '' }],
  ['signOnOf', { signOnOf: 'sub' }],
  ['storeTimeoutSeconds', { storeTimeoutSeconds: 0 }],
  ['introspection', { introspection: {} }],
])('createJwtCheck refuses at start-up what cannot work: %s', (option, bad) => {
  expect(() => checkOver(bad)).toThrow(TypeError)
  expect(() => checkOver(bad)).toThrow(option)
})

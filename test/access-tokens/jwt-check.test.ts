// JWTs that an API verifies by itself: which of them a logout ends, and what is said where they say too little.

import express from 'express'
import request from 'supertest'
import { describe, expect, it } from 'vitest'
import {
  createClaims,
  createJwtCheck,
  type JwtCheckOptions,
  type TokenClaims,
  withLoginRecords,
} from '../../src/access-tokens/index.js'
import { createBackchannelLogout, expressSessions, NoVerdictError } from '../../src/index.js'
import { targetKey, tokenKey } from '../../src/marks/target.js'
import { boundedReads } from '../../src/stores/bounded-reads.js'
import type { LogPage, LogStore } from '../../src/stores/log-store.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { delegate } from '../testing/logout-store/broken-stores.js'
import { active, handClock, ISSUER, NOW, promptServer, RP, settle } from './hand-run.js'
import { checkOver, claimsOf, orders } from './local-check.js'

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

  it('ends a token whose sign-on is told by signOnOf alone', async () => {
    const ofThisServer = {
      client_id: undefined,
      sub: 'internal',
      sid: undefined,
      app: 'rp',
      login: { user: 'alice', session: 's1' },
    }
    const signOnOf: JwtCheckOptions['signOnOf'] = ({ app, login }, said) => {
      const { user, session } = Object(login)
      return { ...said, clientId: String(app), sub: user, sid: session }
    }
    for (const subject of [{ sid: 's1' }, { sub: 'alice' }]) {
      const { check, logOut } = checkOver({ signOnOf })
      expect(await check.isRevoked(claimsOf(ofThisServer))).toBe(false)
      await logOut(subject)
      expect(await check.isRevoked(claimsOf(ofThisServer))).toBe(true)
      const other = { ...ofThisServer, login: { user: 'bob', session: 's2' } }
      expect(await check.isRevoked(claimsOf(other))).toBe(false)
    }
  })

  it('by sid ends a token that names another sub, and that is said once', async () => {
    const { check, logOut, events } = checkOver()
    await logOut({ sid: 's1', sub: 'alice' })
    for (const _ of [1, 2]) expect(await check.isRevoked(claimsOf({ sub: 'internal' }))).toBe(true)
    expect(events).toMatchObject([{ type: 'warning', error: { reason: 'sub_differs', claim: 'sub' } }])
    expect(JSON.stringify(events)).not.toMatch(/alice|internal|s1/)
  })

  for (const exp of [(NOW + 60) * 1000, (NOW + 60) * 1e6, new Date((NOW + 60) * 1000).toISOString()]) {
    it(`ends a token whatever its exp: ${exp}`, async () => {
      const { check, logOut } = checkOver()
      expect(await check.isRevoked(claimsOf({ exp }))).toBe(false)
      await logOut({ sid: 's1' })
      expect(await check.isRevoked(claimsOf({ exp }))).toBe(true)
    })
  }

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
      await expect(check.isRevoked(claims as never)).rejects.toMatchObject({
        reason: 'claims_malformed',
        status: 503,
        remedy: expect.stringContaining('Give isRevoked the claims of the verified token'),
      })
    })
  }

  it('without claims is refused by requireLive', async () => {
    const { check } = checkOver()
    await request(express().use(check.requireLive())).get('/').expect(401)
  })
})

/** A store in memory that others follow, and what it is asked about sessions and marks. */
function followed(clock: () => number) {
  const truth = memoryStore({ clock })
  const marks: LogPage['marks'][number][] = []
  const asked: string[] = []
  const store: LogStore = {
    ...delegate(truth, {
      read: (id) => {
        asked.push('read')
        return truth.read(id)
      },
      marks: (keys) => {
        asked.push('marks')
        return truth.marks(keys)
      },
      async begin(logout) {
        const begun = await truth.begin(logout)
        if (!begun.replayed) marks.push(begun.mark)
        return begun
      },
    }),
    pull: async () => ({
      ...{ cursor: '1', now: clock(), reset: true, marks },
      ...{ sessionIds: [], endedIds: [], moves: [] },
    }),
  }
  return { store, asked }
}

const hour = { seconds: 3600, pullEverySeconds: 1e6 }

describe.each<readonly [string, boolean, (store: LogStore) => ReturnType<typeof boundedReads>]>([
  ['bounded reads', false, (store) => boundedReads(store, hour)],
  ['login records over bounded reads', true, (store) => withLoginRecords(boundedReads(store, hour))],
  ['bounded reads over login records', true, (store) => boundedReads(withLoginRecords(store), hour)],
])('over %s that are fresh', (_name, hasRecords, made) => {
  it('the store is not asked about a token, and no more than once about the login behind it where a mark stands', async () => {
    const clock = handClock()
    const { store, asked } = followed(clock)
    const reads = made(store)
    await reads.refresh()
    const { check } = checkOver({ store: reads, clock })
    const ask = (name: string, changes = {}) => check.isRevoked(claimsOf(changes), name)
    for (const name of ['one', 'two', 'one']) expect(await ask(name)).toBe(false)
    expect(asked).toEqual([])
    const target = targetKey({ ...RP, sub: 'alice' })
    await store.begin({ target, issuedAt: NOW, seenSecondsAgo: 0, marksExpireAt: NOW + 1e5, mayDestroy: false })
    clock.advance(10)
    const [subKey, sidKey] = [target.key, targetKey({ ...RP, sid: 's1' }).key]
    const dates = { issuedAt: NOW + 10, expiresAt: NOW + 1e5 }
    await reads.bind({ sessionId: 'later', subKey, sidKey, ...dates, tokenKeys: [tokenKey('later')] })
    await reads.refresh()
    asked.length = 0
    for (const _ of [1, 2, 3]) expect(await ask('of bob', { sub: 'bob', sid: 's9' })).toBe(false)
    expect(asked).toEqual([])
    expect(await ask('one')).toBe(true)
    // Where nobody records logins, there is nothing to remember: the store is asked each time.
    if (!hasRecords) return reads.close()
    asked.length = 0
    expect(await ask('later', { iat: NOW + 10 })).toBe(false)
    expect(asked.length).toBeLessThanOrEqual(1)
    asked.length = 0
    for (const _ of [1, 2, 3]) expect(await ask('later', { iat: NOW + 10 })).toBe(false)
    expect(asked).toEqual([])
    reads.close()
  })

  it('a token of a login that another node bound a moment ago is let in, at both doors, though a login before it is known here', async () => {
    const clock = handClock()
    const { store, asked } = followed(clock)
    const reads = made(store)
    const { check } = checkOver({ store: reads, clock })
    const said: Record<string, TokenClaims> = {
      old: active({ auth_time: NOW - 1000 }),
      new: active({ auth_time: NOW - 1000, iat: NOW + 10 }),
    }
    const { introspection } = promptServer((token) => said[token] ?? { active: false })
    const claims = createClaims({ introspection, store: reads, clock })
    const refused = async (token: string) => {
      const answers = [await check.isRevoked({ ...said[token] }, token), !(await claims.lookup(token)).active]
      expect(answers[0]).toBe(answers[1])
      return answers[0]
    }
    const rp = withLoginRecords(store)
    const keys = { subKey: targetKey({ ...RP, sub: 'alice' }).key, sidKey: targetKey({ ...RP, sid: 's1' }).key }
    const login = (sessionId: string, issuedAt: number) =>
      rp.bind({ sessionId, ...keys, issuedAt, expiresAt: NOW + 1e5 })
    await login('a', NOW - 100)
    const target = { scope: 'sub', key: keys.subKey } as const
    await rp.begin({ target, issuedAt: NOW, seenSecondsAgo: 0, marksExpireAt: NOW + 1e5, mayDestroy: false })
    await reads.refresh()
    expect(await refused('old')).toBe(true)
    clock.advance(10)
    await login('b', NOW + 10)
    expect(await refused('new')).toBe(false)
    expect(await refused('old')).toBe(true)
    asked.length = 0
    // Whether the token itself is recorded is asked each time it is not; of whoever is let in, no more than that.
    for (const _ of [1, 2, 3]) expect((await claims.lookup('new')).active).toBe(true)
    expect(asked.length).toBeLessThanOrEqual(3)
    reads.close()
  })
})

describe('where nobody can tell', () => {
  it.each<readonly [string, LogoutStore['marks']]>([
    [
      'at once',
      () => {
        throw new Error('the store is away')
      },
    ],
    ['later', () => Promise.reject(new Error('the store is away'))],
  ])('isRevoked rejects, whether the store fails at once or later: %s', async (_when, marks) => {
    const { check } = checkOver({ store: { marks, read: memoryStore().read } })
    await expect(check.isRevoked(claimsOf())).rejects.toMatchObject({ reason: 'store_failed' })
  })

  it('isRevoked rejects for what are no claims', async () => {
    const { check } = checkOver()
    await expect(check.isRevoked(claimsOf({ iss: 7 }))).rejects.toMatchObject({ reason: 'claims_malformed' })
  })
})

describe('requireLive', () => {
  const segment = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url')
  const jwtOf = (claims: object) => `${segment({ alg: 'RS256' })}.${segment(claims)}.signature`
  type Read = Parameters<ReturnType<typeof checkOver>['check']['requireLive']>[0]

  async function statusOf(scene: ReturnType<typeof checkOver>, auth: unknown, sent?: string, read?: Read) {
    const app = express()
    app.use((req, _res, next) => {
      Object.assign(req, { auth })
      next()
    }, scene.check.requireLive(read))
    app.use((_req, res) => {
      res.end()
    })
    return (
      await request(app)
        .get('/')
        .set(sent === undefined ? {} : { Authorization: sent })
    ).status
  }

  it.each<readonly [string, (claims: object, token: string) => unknown]>([
    ['the claims alone, as express-jwt leaves them', (claims) => claims],
    ['the claims and something of the application’s own', (claims) => ({ ...claims, cart: 7 })],
    ['some of the claims', (claims) => ({ ...claims, iat: undefined, aud: undefined, scope: ['read'] })],
    [
      'the claims beside their token, as express-oauth2-jwt-bearer leaves them',
      (payload, token) => ({ payload, token }),
    ],
    ['the payload without its token', (payload) => ({ payload, header: {} })],
  ])('refuses a token that only its own mark ends, where it gets %s', async (_name, left) => {
    const scene = checkOver()
    const claims = claimsOf({ sid: undefined })
    const auth = JSON.parse(JSON.stringify(left(claims, jwtOf(claims))))
    const header = `Bearer ${jwtOf(claims)}`
    expect(await statusOf(scene, auth, header)).toBe(200)
    await scene.logOut({ token: jwtOf(claims) })
    expect(await statusOf(scene, auth, header)).toBe(401)
    // The header may hold any other token: that one says nothing about these claims.
    const other = claimsOf({ sid: undefined, iat: NOW - 9 })
    await scene.logOut({ token: jwtOf(other) })
    expect(await statusOf(scene, claimsOf({ sid: undefined, iat: NOW - 11 }), `Bearer ${jwtOf(other)}`)).toBe(200)
  })

  it.each(['Basic abc', 'Bearer', 'Bearer a.b.c', '   '])(
    'judges the claims alone beside a header %o',
    async (sent) => {
      const scene = checkOver()
      expect(await statusOf(scene, claimsOf(), sent)).toBe(200)
      await scene.logOut({ sid: 's1' })
      expect(await statusOf(scene, claimsOf(), sent)).toBe(401)
    },
  )

  it.each<readonly [string, Read]>([
    ['the payload alone', () => ({ payload: claimsOf() })],
    ['the payload and no token', () => ({ payload: claimsOf(), token: undefined }) as never],
    ['a promise of the claims', async () => claimsOf()],
    ['a promise of the payload', async () => ({ payload: claimsOf() })],
    ['claims with a claim that is called payload', () => claimsOf({ payload: { order: 7 } })],
    ['claims with claims that are called payload and token', () => claimsOf({ payload: 'x', token: 'y' })],
  ])('refuses an ended token of which it reads %s, with the option issuer and without', async (_name, read) => {
    for (const more of [{}, { issuer: ISSUER }]) {
      const scene = checkOver(more)
      expect(await statusOf(scene, undefined, undefined, read)).toBe(200)
      await scene.logOut({ sid: 's1' })
      expect(await statusOf(scene, undefined, undefined, read)).toBe(401)
      expect(scene.events).toEqual([])
    }
  })

  it.each<readonly [string, () => unknown, number]>([
    ['a payload that is no claims', () => ({ payload: 'text' }), 503],
    ['a payload that is missing', () => ({ payload: undefined, token: 'text' }), 503],
    ['a promise that fails', () => Promise.reject(new Error('no claims')), 503],
    ['a promise of nothing', async () => undefined, 401],
  ])('lets nothing in by %s', async (_name, read, status) => {
    expect(await statusOf(checkOver({ issuer: ISSUER }), undefined, undefined, read as Read)).toBe(status)
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

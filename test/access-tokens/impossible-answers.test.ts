// Answers that cannot be true: none of them may keep a token alive that a logout has ended.
import express from 'express'
import request from 'supertest'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createClaims } from '../../src/access-tokens/index.js'
import type { LogoutEvent } from '../../src/index.js'
import { tokenKey } from '../../src/marks/target.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { active, claimsOver, ended, handClock, ISSUER, type MoreOptions, NOW, promptServer } from './hand-run.js'

/** Whether a token with these claims is let in before and after a logout of its user. */
async function aroundLogout(
  answer: Record<string, unknown>,
  logout: Parameters<typeof ended> = [{ sub: 'alice' }, NOW],
  more: MoreOptions = {},
) {
  const events: LogoutEvent[] = []
  const { claims } = claimsOver(() => active(answer), { onEvent: (event) => void events.push(event), ...more })
  const before = (await claims.lookup('token')).active
  claims.evict(ended(...logout))
  return { before, after: (await claims.lookup('token')).active, events }
}

const IMPOSSIBLE = [
  ['in milliseconds', NOW * 1000],
  ['an hour ahead', NOW + 3600],
  ['without end', Number.POSITIVE_INFINITY],
  ['a text', String(NOW + 100)],
] as const

describe('a date that cannot be true is later than no logout', () => {
  for (const [name, date] of IMPOSSIBLE) {
    it(`iat ${name}`, async () => {
      expect(await aroundLogout({ iat: date })).toMatchObject({ before: true, after: false })
    })

    it(`auth_time ${name}, also beside an iat that is later than the logout`, async () => {
      expect(await aroundLogout({ auth_time: date, iat: NOW + 100 })).toMatchObject({ before: true, after: false })
    })

    it(`auth_time ${name}, by sid`, async () => {
      const outcome = await aroundLogout({ auth_time: date }, [{ sid: 's1' }, NOW])
      expect(outcome).toMatchObject({ before: true, after: false })
    })

    it(`an issuedAt ${name}, said by signOnOf`, async () => {
      const signOnOf: MoreOptions['signOnOf'] = (_answer, said) => ({ ...said, issuedAt: date as number })
      expect(await aroundLogout({}, undefined, { signOnOf })).toMatchObject({ before: true, after: false })
    })

    it(`an authTime ${name}, said by signOnOf`, async () => {
      const signOnOf: MoreOptions['signOnOf'] = (_answer, said) => ({ ...said, authTime: date as number })
      const outcome = await aroundLogout({ iat: NOW + 100 }, undefined, { signOnOf })
      expect(outcome).toMatchObject({ before: true, after: false })
    })
  }

  it('a clock of the server that is some minutes ahead is believed', async () => {
    expect(await aroundLogout({ iat: NOW + 200 })).toMatchObject({ before: true, after: true })
  })
})

describe('an answer that is none', () => {
  for (const [name, answer] of [
    ['whose active is the text "false"', { ...active(), active: 'false' }],
    ['whose active is the text "true"', { ...active(), active: 'true' }],
    ['whose active is 1', { ...active(), active: 1 }],
    ['without active', { sub: 'alice' }],
    ['that is null', null],
    ['that is a text', 'active'],
  ] as const) {
    it(`${name} is no verdict`, async () => {
      const { claims } = claimsOver(() => answer as never)
      await expect(claims.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'answer_malformed' })
    })
  }

  for (const [name, said] of [
    ['no sign-on', undefined],
    ['a sid that is a number', { issuer: ISSUER, clientId: 'rp', sid: 7 }],
    ['no issuer', { clientId: 'rp', sub: 'alice' }],
  ] as const) {
    it(`${name}, said by signOnOf, is no verdict`, async () => {
      const { claims } = claimsOver(() => active(), { signOnOf: () => said as never })
      await expect(claims.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'claims_malformed' })
    })
  }
})

describe('a token of the very sid that was ended', () => {
  it('dies also where its answer names another sub, and a warning says so once', async () => {
    const outcome = await aroundLogout({ sub: 'internal' }, [{ sid: 's1', sub: 'alice' }, NOW])
    expect(outcome).toMatchObject({ before: true, after: false })
    expect(outcome.events).toMatchObject([{ type: 'warning', error: { reason: 'sub_differs', claim: 'sub' } }])
    expect(JSON.stringify(outcome.events)).not.toMatch(/alice|internal|s1/)
  })

  it('is nothing to tell of where it names the same sub', async () => {
    expect((await aroundLogout({}, [{ sid: 's1', sub: 'alice' }, NOW])).events).toEqual([])
  })
})

describe('what merely looks like a yes', () => {
  it('confirm: only true confirms', async () => {
    for (const [said, status] of [
      ['false', 401],
      [1, 401],
      [{}, 401],
      [true, 200],
    ] as const) {
      const { claims } = claimsOver(() => active({ cnf: { jkt: 'x' } }))
      const app = express().get('/', claims.requireToken({ confirm: () => said as boolean }), (_req, res) => {
        res.end()
      })
      await request(app).get('/').set('Authorization', 'Bearer abc').expect(status)
    }
  })

  it('authenticate of the eviction endpoint: only true authenticates', async () => {
    const { claims } = claimsOver(() => active())
    const app = express().post('/', claims.evictionEndpoint({ authenticate: () => 'false' as never }))
    await request(app).post('/').type('form').send({ token: 'token' }).expect(401)
    expect((await claims.lookup('token')).active).toBe(true)
  })
})

describe('a token in the URL is seen behind any question mark', () => {
  for (const url of [
    '/?a=1?access_token=abc',
    '/??access_token=abc',
    '/?a?access_token=abc',
    '/?x&access%5Ftoken=abc',
    '/?%61%63%63%65%73%73%5f%74%6F%6b%65%6e',
    `/?${'&'.repeat(5000)}access_token`,
    '/?access_token?a',
  ]) {
    it(url, async () => {
      const { claims } = claimsOver(() => active())
      const app = express().get('/', claims.requireToken(), (_req, res) => {
        res.end()
      })
      await request(app).get(url).set('Authorization', 'Bearer abc').expect(400)
    })
  }
})

it.each([
  '/?Access_token=a',
  '/?access%20token=a',
  '/?xaccess_token=a',
  '/?access_tokens=a',
  '/?a=access_token',
  '/access_token',
])('no token is seen in %s', async (url) => {
  const { claims } = claimsOver(() => active())
  expect(new URLSearchParams(url.split('?')[1]).has('access_token')).toBe(false)
  const handler = claims.requireToken()
  const app = express().use(handler, (_req, res) => void res.end())
  await request(app).get(url).set('Authorization', 'Bearer abc').expect(200)
})

it('a query of separators alone is not taken apart into its thousands of pairs', async () => {
  const { claims } = claimsOver(() => active())
  const parsed = vi.spyOn(globalThis, 'URLSearchParams')
  onTestFinished(() => parsed.mockRestore())
  const headers = { authorization: 'Bearer abc' }
  const passed = await new Promise((resolve) => {
    const res = { statusCode: 200, setHeader() {}, end: () => resolve('refused') }
    claims.requireToken()({ headers, url: `/?${'&'.repeat(15_000)}` }, res, () => resolve('in'))
  })
  expect(passed).toBe('in')
  expect(parsed.mock.calls.length).toBeLessThanOrEqual(1)
})

it('a client of the eviction endpoint chooses no key of the store', async () => {
  const clock = handClock()
  const store = memoryStore({ clock })
  const written: string[] = []
  const introspection = promptServer(() => active()).introspection
  const begin: typeof store.begin = (order) => {
    written.push(order.target.key)
    return store.begin(order)
  }
  const claims = createClaims({ introspection, clock, store: { ...store, marks: store.marks.bind(store), begin } })
  const app = express().post('/', claims.evictionEndpoint({ authenticate: () => true }))
  const victim = tokenKey('token')
  const chosen = `${victim.slice(0, 16)}${'x'.repeat(27)}`
  await request(app).post('/').type('form').send(`token_key=${chosen}&token_key=${victim}`).expect(200)
  expect(written).toHaveLength(2)
  for (const key of written) expect(key.startsWith(victim.slice(0, 16))).toBe(false)
  // It is found all the same, also by a node that was not told.
  const other = createClaims({ introspection, clock, store })
  expect((await other.lookup('token')).active).toBe(false)
})

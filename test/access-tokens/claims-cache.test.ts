// What the claims cache promises, sentence by sentence. The orders of overlapping steps are in interleavings.test.ts.
import { inspect } from 'node:util'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createClaims } from '../../src/access-tokens/index.js'
import { targetKey, tokenKey } from '../../src/marks/target.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import {
  active,
  claimsOver,
  ended,
  handClock,
  handServer,
  INACTIVE,
  ISSUER,
  isActive,
  NOW,
  promptServer,
  RP,
  settle,
} from './hand-run.js'

const DAY = 86_400

afterEach(() => void vi.useRealTimers())

describe('no request that starts after a mark is let in on claims that it covers', () => {
  it('with evict, at once', async () => {
    const { claims } = claimsOver(() => active())
    expect(await isActive(claims)).toBe(true)
    claims.evict(ended({ sid: 's1' }, NOW))
    expect(await isActive(claims)).toBe(false)
  })

  it('with the shared store alone, at once, in a process that nobody told', async () => {
    const clock = handClock()
    const store = memoryStore({ clock })
    const { introspection, asked } = promptServer(() => active())
    const here = createClaims({ introspection, store, clock })
    expect(await isActive(here)).toBe(true)
    expect(await isActive(here)).toBe(true)
    expect(asked).toHaveLength(1)
    await store.begin({
      target: targetKey({ ...RP, sub: 'alice' }),
      issuedAt: NOW,
      seenSecondsAgo: 0,
      marksExpireAt: NOW + DAY,
      mayDestroy: true,
    })
    expect(await isActive(here)).toBe(false)
    expect(asked).toHaveLength(1)
  })

  it('with the shared store, in a process that has just started', async () => {
    const clock = handClock()
    const store = memoryStore({ clock })
    const { introspection } = promptServer(() => active())
    await createClaims({ introspection, store, clock }).evictToken('token')
    expect(await isActive(createClaims({ introspection, store, clock }))).toBe(false)
    expect(await isActive(createClaims({ introspection, store, clock }), 'another')).toBe(true)
  })

  it('with evict, at once, where the view of the store lags behind', async () => {
    const store = { marks: async () => ({ now: NOW, marks: [] }), begin: () => Promise.reject(new Error('not asked')) }
    const { claims } = claimsOver(() => active(), { store })
    expect(await isActive(claims)).toBe(true)
    claims.evict(ended({ sid: 's1' }, NOW))
    expect(await isActive(claims)).toBe(false)
  })
})

describe('a question from before the mark yields nothing that is usable after it', () => {
  for (const sign of ['sid', 'sub'] as const) {
    it(`whose answer came late (${sign})`, async () => {
      const { introspection, answerNext } = handServer()
      const claims = createClaims({ introspection, clock: handClock() })
      const before = claims.lookup('token')
      await settle()
      claims.evict(ended(sign === 'sid' ? { sid: 's1' } : { sub: 'alice' }, NOW))
      answerNext(active())
      expect(await before).toEqual({ active: false })
      expect(claims.size.active).toBe(0)
      expect(await isActive(claims)).toBe(false)
    })
  }

  it('also where the token seems to be issued after the logout by a server whose clock is ahead', async () => {
    const { introspection, answerNext } = handServer()
    const claims = createClaims({ introspection, clock: handClock() })
    const before = claims.lookup('token')
    await settle()
    claims.evict(ended({ sub: 'alice' }, NOW))
    answerNext(active({ iat: NOW + 2 }))
    expect(await before).toEqual({ active: false })
  })

  it('and is asked again where no mark can tell whether it ends this token', async () => {
    let revoked = false
    const { claims, server } = claimsOver(() => (revoked ? INACTIVE : active({ sid: undefined })))
    expect(await isActive(claims)).toBe(true)
    revoked = true
    expect(await isActive(claims)).toBe(true)
    claims.evict(ended({ sid: 'whose', sub: 'alice' }, NOW))
    expect(await isActive(claims)).toBe(false)
    expect(server.asked).toHaveLength(2)
  })
})

describe('a request after a mark never joins a question from before it', () => {
  it('but asks its own', async () => {
    const server = handServer()
    const claims = createClaims({ introspection: server.introspection, clock: handClock() })
    const before = claims.lookup('token')
    await settle()
    claims.evict(ended({ sub: 'somebody else' }, NOW))
    const after = claims.lookup('token')
    await settle()
    expect(server.asked).toBe(2)
    // The older question is answered last, and must not overwrite what the newer one found.
    const [older, newer] = server.open
    newer?.answer(INACTIVE)
    expect(await after).toEqual({ active: false })
    older?.answer(active())
    expect((await before).active).toBe(true)
    expect(await isActive(claims)).toBe(false)
    expect(server.asked).toBe(2)
  })
})

describe('a mark denies, whatever the authorization server says', () => {
  const always = () => active()

  it('by sid, also for tokens that a refresh issued long after the logout', async () => {
    const { claims } = claimsOver(() => active({ iat: NOW + 3000, exp: NOW + 9000 }))
    claims.evict(ended({ sid: 's1' }, NOW))
    expect(await isActive(claims)).toBe(false)
  })

  it('by sid, until the user has authenticated again under the same sid', async () => {
    const { claims } = claimsOver((token) => active({ auth_time: token === 'again' ? NOW + 300 : NOW - 300 }))
    claims.evict(ended({ sid: 's1' }, NOW))
    expect(await isActive(claims, 'before')).toBe(false)
    expect(await isActive(claims, 'again')).toBe(true)
  })

  it('by token, for ever', async () => {
    const { claims, server } = claimsOver(always)
    await claims.evictToken('token')
    expect(await isActive(claims)).toBe(false)
    expect(server.asked).toHaveLength(0)
  })

  it('by sub if auth_time is not later than the mark, though iat is', async () => {
    const { claims } = claimsOver(() => active({ auth_time: NOW, iat: NOW + 500 }))
    claims.evict(ended({ sub: 'alice' }, NOW))
    expect(await isActive(claims)).toBe(false)
  })

  it('by sub if iat is not later than the mark, to the second', async () => {
    const iat: Record<string, number> = { before: NOW - 1, tie: NOW, after: NOW + 1 }
    const { claims, clock } = claimsOver((token) => active({ iat: iat[token] }))
    claims.evict(ended({ sub: 'alice' }, NOW))
    clock.advance(2)
    expect(await isActive(claims, 'before')).toBe(false)
    expect(await isActive(claims, 'tie')).toBe(false)
    expect(await isActive(claims, 'after')).toBe(true)
  })

  it('by sub if the server does not say when the token was issued', async () => {
    const { claims } = claimsOver(() => active({ iat: undefined }))
    claims.evict(ended({ sub: 'alice' }, NOW))
    expect(await isActive(claims)).toBe(false)
  })

  it('and a token that was found ended is never let in again, when nothing dates it any more', async () => {
    const { claims, clock } = claimsOver(() => active({ iat: NOW + 2 }))
    expect(await isActive(claims)).toBe(true)
    claims.evict(ended({ sub: 'alice' }, NOW))
    expect(await isActive(claims)).toBe(false)
    clock.advance(600)
    expect(await isActive(claims)).toBe(false)
  })

  it.each([
    ['keeps', false],
    ['loses', true],
  ])(
    'nor where a store that could tell of a later login %s the mark, and nobody is asked about it',
    async (_does, loses) => {
      const clock = handClock()
      const store = memoryStore({ clock })
      let isLost = false
      const marks = (keys: readonly string[]) => (isLost ? { now: clock(), marks: [] } : store.marks(keys))
      const { introspection, asked } = promptServer(() => active({ iat: NOW + 2 }))
      const claims = createClaims({
        ...{ introspection, clock },
        store: { marks, begin: (order) => store.begin(order), read: (name) => store.read(name) },
      })
      expect(await isActive(claims)).toBe(true)
      const target = targetKey({ ...RP, sub: 'alice' })
      const dates = { issuedAt: NOW, seenSecondsAgo: 0, marksExpireAt: NOW + DAY }
      await store.begin({ target, ...dates, mayDestroy: true })
      clock.advance(1)
      expect(await isActive(claims)).toBe(false)
      expect(await claims.lookup('token', { maxAgeSeconds: 0 })).toEqual({ active: false })
      isLost = loses
      const known = asked.length
      clock.advance(600)
      expect(await isActive(claims)).toBe(false)
      expect(asked).toHaveLength(known)
      expect(claims.size).toMatchObject({ active: 0, marks: 1 })
    },
  )
})

describe('nothing is served at or after exp', () => {
  it('at the second', async () => {
    const { claims, clock } = claimsOver(() => active({ exp: NOW + 10 }))
    clock.advance(9.999)
    expect(await isActive(claims)).toBe(true)
    clock.advance(0.001)
    expect(await isActive(claims)).toBe(false)
  })

  it('not from the cache either, when a smaller exp than the maximum was cached', async () => {
    const { claims, clock, server } = claimsOver(() => active({ exp: NOW + 10 }), { maximumLifetimeSeconds: 3600 })
    await isActive(claims)
    clock.advance(9)
    expect(await isActive(claims)).toBe(true)
    expect(server.asked).toHaveLength(1)
    clock.advance(1)
    expect(await isActive(claims)).toBe(false)
    expect(server.asked).toHaveLength(2)
  })

  it('not to a request either that waited for the store while the token expired', async () => {
    let answerStore: () => void = () => {}
    const marks = () =>
      new Promise<{ now: number; marks: [] }>((resolve) => {
        answerStore = () => resolve({ now: NOW, marks: [] })
      })
    const store = { marks, begin: () => Promise.reject(new Error('not asked')) }
    const { claims, clock } = claimsOver(() => active({ exp: NOW + 10 }), { store })
    const first = claims.lookup('token')
    await settle()
    answerStore()
    await settle()
    clock.advance(10)
    answerStore()
    expect(await first).toEqual({ active: false })
  })

  for (const [name, exp] of [
    ['missing', undefined],
    ['null', null],
    ['infinite', Number.POSITIVE_INFINITY],
    ['in milliseconds', (NOW + 3600) * 1000],
    ['in microseconds', (NOW + 3600) * 1e6],
    ['an empty string', ''],
    ['a digit string', String(NOW + 3600)],
    ['a date', new Date((NOW + 3600) * 1000).toISOString()],
    ['far away', NOW + 1e9],
  ] as const) {
    it(`and an exp that is ${name} never makes an entry live longer than the maximum`, async () => {
      const { claims, clock, server } = claimsOver(() => active({ exp }), { maximumLifetimeSeconds: 30 })
      expect(await isActive(claims)).toBe(true)
      clock.advance(29.9)
      expect(await isActive(claims)).toBe(true)
      expect(server.asked).toHaveLength(1)
      clock.advance(0.1)
      await isActive(claims)
      expect(server.asked).toHaveLength(2)
    })
  }

  for (const [name, exp] of [
    ['past', NOW - 1],
    ['now', NOW],
    ['zero', 0],
    ['negative', -1],
    ['past, in milliseconds', (NOW - 1) * 1000],
    ['past, in microseconds', (NOW - 1) * 1e6],
    ['past, in nanoseconds', (NOW - 1) * 1e9],
    ['past, as a string', String(NOW - 1)],
    ['past, as a date', new Date((NOW - 1) * 1000).toISOString()],
    ['past, as a date of HTTP', new Date((NOW - 1) * 1000).toUTCString()],
  ] as const) {
    it(`and an active answer whose exp is ${name} is neither served nor kept`, async () => {
      const { claims } = claimsOver(() => active({ exp }))
      expect(await isActive(claims)).toBe(false)
      expect(claims.size.active).toBe(0)
    })
  }

  for (const [name, exp] of [
    ['a word', 'tomorrow'],
    ['an object', {}],
    ['a list', [NOW + 3600]],
    ['true', true],
    ['not a number', Number.NaN],
  ] as const) {
    it(`and an exp that is ${name} cannot be judged: the token may have expired long ago`, async () => {
      const { claims } = claimsOver(() => active({ exp }))
      await expect(claims.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'answer_malformed' })
      expect(claims.size.active).toBe(0)
    })
  }

  it('and a clock that was set back makes a miss, not a longer life', async () => {
    const { claims, clock, server } = claimsOver(() => active(), { maximumLifetimeSeconds: 30 })
    await isActive(claims)
    clock.advance(-1000)
    await isActive(claims)
    expect(server.asked).toHaveLength(2)
  })

  it('and the life of an answer counts from the question, however long the server took', async () => {
    const clock = handClock()
    const server = handServer()
    const claims = createClaims({ introspection: server.introspection, clock, maximumLifetimeSeconds: 30 })
    const slow = claims.lookup('token')
    await settle()
    clock.advance(20)
    server.answerNext(active())
    await slow
    clock.advance(10)
    void claims.lookup('token')
    await settle()
    expect(server.asked).toBe(2)
  })
})

describe('keys are hashes, and nothing is shared across what makes answers differ', () => {
  it('no token is found in what the cache holds', async () => {
    const secret = 'a-very-secret-access-token'
    const { claims } = claimsOver(() => active())
    await claims.lookup(secret)
    await claims.evictToken(secret)
    expect(inspect(claims, { depth: 20, showHidden: true })).not.toContain(secret)
    expect(tokenKey(secret)).toMatch(/^[A-Za-z0-9_-]{43}$/)
  })

  it('two clients of one server have two caches', async () => {
    const mayAsk = claimsOver(() => active())
    const mayNot = claimsOver(() => INACTIVE)
    expect(await isActive(mayAsk.claims)).toBe(true)
    expect(await isActive(mayNot.claims)).toBe(false)
  })

  it('a strict route does not live on the entry of a lax one, and the lax one does not lose it', async () => {
    const { claims, clock, server } = claimsOver(() => active())
    await claims.lookup('token')
    clock.advance(10)
    await claims.lookup('token', { maxAgeSeconds: 10.5 })
    expect(server.asked).toHaveLength(1)
    await claims.lookup('token', { maxAgeSeconds: 10 })
    expect(server.asked).toHaveLength(2)
    await claims.lookup('token', { maxAgeSeconds: 0 })
    await claims.lookup('token', { maxAgeSeconds: 0 })
    expect(server.asked).toHaveLength(4)
    await claims.lookup('token')
    expect(server.asked).toHaveLength(4)
  })

  it('a route that always asks does not join a question that was asked before', async () => {
    const server = handServer()
    const claims = createClaims({ introspection: server.introspection, clock: handClock() })
    void claims.lookup('token')
    await settle()
    void claims.lookup('token', { maxAgeSeconds: 0 })
    await settle()
    expect(server.asked).toBe(2)
  })
})

describe('refusals are cached apart and shortly, failures never', () => {
  it('a refusal lives as long as it may', async () => {
    const { claims, clock, server } = claimsOver(() => INACTIVE, { negativeLifetimeSeconds: 5 })
    await isActive(claims)
    clock.advance(4.9)
    await isActive(claims)
    expect(server.asked).toHaveLength(1)
    clock.advance(0.1)
    await isActive(claims)
    expect(server.asked).toHaveLength(2)
  })

  it('a flood of invented tokens evicts no valid one', async () => {
    const valid = Array.from({ length: 50 }, (_, i) => `valid-${i}`)
    const more = { maxEntries: 50, maxNegativeEntries: 10 }
    const { claims, server } = claimsOver((token) => (token.startsWith('valid') ? active() : INACTIVE), more)
    for (const token of valid) await isActive(claims, token)
    for (let i = 0; i < 5000; i++) await isActive(claims, `invented-${i}`)
    expect(claims.size).toEqual({ active: 50, inactive: 10, questions: 0, marks: 0 })
    const asked = server.asked.length
    for (const token of valid) expect(await isActive(claims, token)).toBe(true)
    expect(server.asked).toHaveLength(asked)
  })

  it('a failure is no verdict and is not remembered', async () => {
    let failing = true
    const { claims, server } = claimsOver(() => {
      if (failing) throw new Error('502')
      return active()
    })
    await expect(claims.lookup('token')).rejects.toMatchObject({
      code: 'ERR_NO_VERDICT',
      reason: 'introspection_failed',
    })
    failing = false
    expect(await isActive(claims)).toBe(true)
    expect(server.asked).toHaveLength(2)
  })
})

describe('without a verdict nobody is let in and nobody is refused', () => {
  const down = () => Promise.reject(new Error('store down'))

  it('where the store cannot be asked, though the answer is cached', async () => {
    const clock = handClock()
    const store = memoryStore({ clock })
    let up = true
    const marks = (keys: readonly string[]) => (up ? store.marks(keys) : down())
    const { introspection } = promptServer(() => active())
    const claims = createClaims({ introspection, clock, store: { marks, begin: store.begin.bind(store) } })
    expect(await isActive(claims)).toBe(true)
    up = false
    await expect(claims.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'store_failed' })
    up = true
    expect(await isActive(claims)).toBe(true)
  })

  it('where the store hangs', async () => {
    const store = { marks: () => new Promise<never>(() => {}), begin: down }
    const { introspection } = promptServer(() => active())
    const claims = createClaims({ introspection, store, storeTimeoutSeconds: 0.02 })
    await expect(claims.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'store_failed' })
  })

  it('where the store cannot be asked whether a token that was refused is of a later login', async () => {
    const clock = handClock()
    const store = memoryStore({ clock })
    let up = true
    const marks = (keys: readonly string[]) => (up ? store.marks(keys) : down())
    const { introspection } = promptServer(() => active())
    const [begin, read] = [store.begin.bind(store), store.read.bind(store)]
    const claims = createClaims({ introspection, clock, store: { marks, begin, read } })
    claims.evict(ended({ sid: 's1' }, NOW))
    expect(await isActive(claims)).toBe(false)
    up = false
    await expect(claims.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'store_failed' })
  })

  it('where a way of one’s own to ask hangs, and no question is left open', async () => {
    const introspect = () => new Promise<never>(() => {})
    const claims = createClaims({ introspection: { issuer: ISSUER, introspect, timeoutSeconds: 0.02 } })
    const late = { code: 'ERR_NO_VERDICT', reason: 'introspection_late' }
    for (const each of [claims.lookup('token'), claims.lookup('token'), claims.lookup('another')]) {
      await expect(each).rejects.toMatchObject(late)
    }
    expect(claims.size.questions).toBe(0)
  })

  it('where the hook that makes application claims fails or hangs', async () => {
    const { introspection } = promptServer(() => active())
    const failing = createClaims({ introspection, enrich: () => Promise.reject(new Error('db')) })
    await expect(failing.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'enrich_failed' })
    const hanging = createClaims({
      introspection,
      enrich: () => new Promise<never>(() => {}),
      enrichTimeoutSeconds: 0.02,
    })
    await expect(hanging.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'enrich_failed' })
  })

  for (const claim of ['iss', 'client_id', 'sub', 'sid']) {
    it(`where ${claim} is no string, so that marks could not be found`, async () => {
      const { claims } = claimsOver(() => active({ [claim]: 7 }))
      await expect(claims.lookup('token')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'claims_malformed' })
    })
  }

  it('but a token that was found ended stays refused while the store is down', async () => {
    const { introspection } = promptServer(() => active())
    const claims = createClaims({ introspection, store: { marks: down, begin: down } })
    await expect(claims.evictToken('token')).rejects.toMatchObject({ code: 'ERR_EVICT', reason: 'store_failed' })
    expect(await isActive(claims)).toBe(false)
  })
})

describe('entries are bounded by number and time, marks by time alone', () => {
  it('the least recently used entry goes first', async () => {
    const { claims, server } = claimsOver(() => active(), { maxEntries: 2 })
    for (const token of ['a', 'b', 'a', 'c']) await isActive(claims, token)
    expect(claims.size.active).toBe(2)
    expect(server.asked).toEqual(['a', 'b', 'c'])
    await isActive(claims, 'a')
    expect(server.asked).toEqual(['a', 'b', 'c'])
    await isActive(claims, 'b')
    expect(server.asked).toEqual(['a', 'b', 'c', 'b'])
  })

  it('no number of later marks makes the first one forgotten', async () => {
    const { claims } = claimsOver(() => active(), { maxEntries: 2 })
    await claims.evictToken('token')
    for (let i = 0; i < 20_000; i++) claims.evict(ended({ sid: `other-${i}` }, NOW))
    expect(await isActive(claims)).toBe(false)
    expect(claims.size.marks).toBe(20_001)
  })

  it('time makes marks go', async () => {
    const { claims, clock } = claimsOver(() => active())
    for (let i = 0; i < 1000; i++) claims.evict(ended({ sid: `other-${i}` }, NOW))
    clock.advance(40 * DAY)
    for (let i = 0; i < 1000; i++) claims.evict(ended({ sid: `later-${i}` }, NOW + 40 * DAY))
    expect(claims.size.marks).toBeLessThanOrEqual(1334)
  })
})

describe('one question per token and epoch', () => {
  it('is shared by all who wait', async () => {
    const server = handServer()
    const claims = createClaims({ introspection: server.introspection, clock: handClock() })
    const waiting = Array.from({ length: 20 }, () => claims.lookup('token'))
    await settle()
    expect(server.asked).toBe(1)
    server.answerNext(active())
    expect((await Promise.all(waiting)).every((verdict) => verdict.active)).toBe(true)
  })

  it('and goes on when one of them gives up, the one that asked included', async () => {
    const server = handServer()
    const claims = createClaims({ introspection: server.introspection, clock: handClock() })
    const impatience = new AbortController()
    const first = claims.lookup('token', { signal: impatience.signal })
    const second = claims.lookup('token')
    await settle()
    impatience.abort(new Error('gone'))
    await expect(first).rejects.toThrow('gone')
    server.answerNext(active())
    expect((await second).active).toBe(true)
    expect(server.asked).toBe(1)
  })

  it('and its failure is that of those who waited, of nobody later', async () => {
    const server = handServer()
    const claims = createClaims({ introspection: server.introspection, clock: handClock() })
    const waiting = [claims.lookup('token'), claims.lookup('token')]
    await settle()
    server.open.shift()?.fail(new Error('reset'))
    for (const each of waiting) await expect(each).rejects.toMatchObject({ code: 'ERR_NO_VERDICT' })
    const later = claims.lookup('token')
    await settle()
    server.answerNext(active())
    expect((await later).active).toBe(true)
    expect(claims.size.questions).toBe(0)
  })
})

describe('where the clock of the machine is put back', () => {
  it.each([
    ['an answer', active(), 60],
    ['a refusal', { active: false }, 5],
  ])('%s is not kept for longer', async (_what, answer, lifetimeSeconds) => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'], now: NOW * 1000 })
    const { introspection, asked } = promptServer(() => answer)
    const claims = createClaims({ introspection })
    await isActive(claims)
    vi.advanceTimersByTime(lifetimeSeconds * 1000 - 1)
    vi.setSystemTime(NOW * 1000 + 1000)
    await isActive(claims)
    expect(asked).toHaveLength(1)
    vi.advanceTimersByTime(1)
    await isActive(claims)
    expect(asked).toHaveLength(2)
  })

  it('one that may be so old is not older', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'], now: NOW * 1000 })
    const { introspection, asked } = promptServer(() => active())
    const claims = createClaims({ introspection })
    await claims.lookup('token')
    vi.advanceTimersByTime(10_000)
    vi.setSystemTime(NOW * 1000 + 1000)
    await claims.lookup('token', { maxAgeSeconds: 10 })
    expect(asked).toHaveLength(2)
  })
})

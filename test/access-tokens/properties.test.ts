// What the claims cache promises, sentence by sentence. The orders of overlapping steps are in interleavings.test.ts.
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createClaims, type TokenClaims } from '../../src/access-tokens/index.js'
import { LocalMarks } from '../../src/access-tokens/local-marks.js'
import type { LogoutEvent } from '../../src/events.js'
import { coversAllOf, type Mark } from '../../src/marks/covering.js'
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
  NOW,
  promptServer,
  RP,
  settle,
} from './hand-run.js'

const DAY = 86_400

async function isActive(claims: { lookup(token: string): Promise<{ active: boolean }> }, token = 'token') {
  return (await claims.lookup(token)).active
}

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

describe('cnf is returned each time', () => {
  it('from the cache as well', async () => {
    const { claims, server } = claimsOver(() => active({ cnf: { jkt: 'thumbprint' } }))
    await claims.lookup('token')
    const verdict = await claims.lookup('token')
    expect(verdict).toMatchObject({ active: true, claims: { cnf: { jkt: 'thumbprint' } } })
    expect(server.asked).toHaveLength(1)
  })
})

describe('every token of the session, and nobody else’s', () => {
  const answers: Record<string, Record<string, unknown>> = {
    first: {},
    refreshed: { iat: NOW - 1 },
    'same user, other session': { sid: 's2' },
    'of that sid under another sub': { sub: 'pairwise, or internal' },
    'other client': { client_id: 'rp-2' },
    'other issuer': { iss: 'https://other.example.com' },
  }
  const tokens = Object.keys(answers)
  /** A sid is one session, whatever the server calls its user. */
  const ofOtherSessions = ['same user, other session', 'other client', 'other issuer']
  const surviving = async (logout: Parameters<typeof ended>) => {
    const { claims } = claimsOver((token) => active(answers[token]))
    for (const token of tokens) expect(await isActive(claims, token)).toBe(true)
    claims.evict(ended(...logout))
    const alive: string[] = []
    for (const token of tokens) if (await isActive(claims, token)) alive.push(token)
    return alive
  }

  it('by sid and sub', async () => {
    expect(await surviving([{ sid: 's1', sub: 'alice' }, NOW])).toEqual(ofOtherSessions)
  })

  it('by sid alone', async () => {
    expect(await surviving([{ sid: 's1' }, NOW])).toEqual(ofOtherSessions)
  })

  it('by sub', async () => {
    expect(await surviving([{ sub: 'alice' }, NOW])).toEqual(tokens.slice(3))
  })

  it('by the hashes that were recorded at login, where the answer names no sid', async () => {
    const { claims } = claimsOver(() => active({ sid: undefined }))
    claims.evict(ended({ sid: 's1' }, NOW, {}, ['recorded', 'recorded after a refresh']))
    expect(await isActive(claims, 'recorded')).toBe(false)
    expect(await isActive(claims, 'recorded after a refresh')).toBe(false)
    expect(await isActive(claims, 'of another session')).toBe(true)
  })

  it('by what the application knows of an answer with claims of its own', async () => {
    const { claims } = claimsOver(() => active({ sid: undefined, ext: { session: 's1' } }), {
      signOnOf: (answer, registered) => {
        const ext: unknown = answer.ext
        const isObject = typeof ext === 'object' && ext !== null && 'session' in ext
        return { ...registered, sid: isObject ? String(ext.session) : undefined }
      },
    })
    expect(await isActive(claims)).toBe(true)
    claims.evict(ended({ sid: 's1' }, NOW))
    expect(await isActive(claims)).toBe(false)
  })

  it('a later login lives', async () => {
    const { claims, clock } = claimsOver((token) =>
      active({ sid: `of-${token}`, iat: token === 'old' ? NOW - 5 : NOW + 1 }),
    )
    claims.evict(ended({ sub: 'alice' }, NOW))
    clock.advance(1)
    expect(await isActive(claims, 'old')).toBe(false)
    expect(await isActive(claims, 'new')).toBe(true)
  })
})

describe('marks are idempotent, commutative and monotonic', () => {
  const key = fc.constantFrom('k1', 'k2')
  const mark: fc.Arbitrary<Mark> = fc.record({
    scope: fc.constantFrom('sid', 'sub', 'token'),
    key,
    subKey: fc.constantFrom(undefined, 'alice', 'bob'),
    issuedAt: fc.integer({ min: 0, max: 3 }),
    seenAt: fc.integer({ min: 0, max: 3 }),
    expiresAt: fc.integer({ min: 10, max: 12 }),
  })
  const told = (marks: readonly Mark[]) => {
    const local = new LocalMarks(() => 5)
    for (const each of marks) local.arrive(each)
    const sorted = (of: string) =>
      local
        .under([of])
        // Of two that end the same, either may be the one that is kept until the later end of both.
        .map(({ expiresAt: _, ...each }) => JSON.stringify(Object.entries(each).sort()))
        .sort()
    return { local, kept: { k1: sorted('k1'), k2: sorted('k2') } }
  }

  it('whatever their order and however often they come', () => {
    fc.assert(
      fc.property(fc.array(mark, { maxLength: 6 }), fc.infiniteStream(fc.nat()), (marks, numbers) => {
        // One target has one scope: a key is a hash of it.
        const real = marks.map((each) => ({ ...each, scope: each.key === 'k1' ? ('sid' as const) : ('sub' as const) }))
        const shuffled = [...real, ...real]
          .map((each) => ({ each, at: numbers.next().value ?? 0 }))
          .sort((a, b) => a.at - b.at)
          .map(({ each }) => each)
        const { local, kept } = told(shuffled)
        expect(kept).toEqual(told(real).kept)
        for (const each of real) {
          const keeps = local.under([each.key]).filter((other) => coversAllOf(other, each))
          expect(Math.max(...keeps.map(({ expiresAt }) => expiresAt))).toBeGreaterThanOrEqual(each.expiresAt)
        }
      }),
      { numRuns: 500 },
    )
  })

  it('and one more never lets anybody in', async () => {
    const { claims } = claimsOver(() => active())
    claims.evict(ended({ sid: 's1' }, NOW))
    expect(await isActive(claims)).toBe(false)
    for (const issuedAt of [NOW - 1000, NOW, NOW + 1000]) {
      claims.evict(ended({ sid: 's1' }, issuedAt))
      claims.evict(ended({ sub: 'alice' }, issuedAt))
      expect(await isActive(claims)).toBe(false)
    }
  })
})

describe('a mark that could be forgotten too early is refused at start-up', () => {
  const { introspection } = promptServer(() => active())

  for (const longest of ['tokenLifetimeSeconds', 'sessionLifetimeSeconds', 'maximumLifetimeSeconds'] as const) {
    it(`if it is shorter than ${longest} and the tolerance`, () => {
      const short = { tokenLifetimeSeconds: 10, sessionLifetimeSeconds: 10, maximumLifetimeSeconds: 10 }
      const options = { introspection, ...short, [longest]: 5000 }
      expect(() => createClaims({ ...options, marksLifetimeSeconds: 5059 })).toThrow(
        /marksLifetimeSeconds must be at least 5060/,
      )
      expect(() => createClaims({ ...options, marksLifetimeSeconds: 5059 })).toThrow(TypeError)
      expect(createClaims({ ...options, marksLifetimeSeconds: 5060 }).marksLifetimeSeconds).toBe(5060)
      expect(createClaims(options).marksLifetimeSeconds).toBe(5060)
    })
  }

  it('and a token that lives longer than was said is warned of, once', async () => {
    const events: LogoutEvent[] = []
    const { claims } = claimsOver(() => active({ exp: NOW + 400 * DAY }), {
      onEvent: (event) => void events.push(event),
    })
    await isActive(claims, 'a')
    await isActive(claims, 'b')
    expect(events).toMatchObject([
      { type: 'warning', error: { code: 'ERR_CONFIGURATION', reason: 'token_outlives_marks' } },
    ])
  })

  it('and a mark that the engine keeps shorter is kept here as long as this cache needs it', async () => {
    const { claims, clock } = claimsOver(() => active({ exp: undefined }))
    claims.evict(ended({ sid: 's1' }, NOW, { expiresAt: NOW + 1 }))
    clock.advance(29 * DAY)
    expect(await isActive(claims)).toBe(false)
  })
})

describe('nothing secret is said', () => {
  const secrets = ['secret-token', 'alice-the-subject', 'session-of-alice', 'private-claim']

  it('not in errors, not in what they were caused by, not in events', async () => {
    const said: unknown[] = []
    const clock = handClock()
    const leaky = () => {
      const error = new Error(`failed for ${secrets.join(' ')}`)
      return Object.assign(error, { config: { token: secrets[0] }, cause: new Error(secrets[1]) })
    }
    const answer: TokenClaims = active({ sub: secrets[1], sid: secrets[2], private: secrets[3] })
    const attempts = [
      createClaims({
        introspection: { issuer: ISSUER, introspect: () => Promise.reject(leaky()) },
        clock,
        onEvent: (event) => void said.push(event),
      }),
      createClaims({
        introspection: promptServer(() => answer).introspection,
        clock,
        enrich: () => Promise.reject(leaky()),
        onEvent: (event) => void said.push(event),
      }),
      createClaims({
        introspection: promptServer(() => ({ ...answer, sub: [secrets[1]] }) as never).introspection,
        clock,
        onEvent: (event) => void said.push(event),
      }),
    ]
    for (const claims of attempts) said.push(await claims.lookup(secrets[0] ?? '').catch((error: unknown) => error))
    expect(said).toHaveLength(6)
    const printed = inspect(said, { depth: 20, showHidden: true })
    for (const secret of secrets) expect(printed).not.toContain(secret)
  })
})

describe('one entry', () => {
  it('holds what the application made of the answer, made once', async () => {
    let made = 0
    const { introspection } = promptServer(() => active())
    const claims = createClaims({
      introspection,
      clock: handClock(),
      enrich: (answer, token) => {
        made += 1
        return { tenant: `of ${answer.sub}`, knows: token.length }
      },
    })
    await claims.lookup('token')
    expect(await claims.lookup('token')).toMatchObject({ active: true, application: { tenant: 'of alice', knows: 5 } })
    expect(made).toBe(1)
  })

  it('cannot be changed by a request for the next one', async () => {
    const { claims } = claimsOver(() => active({ authorization_details: [{ type: 'payment' }] }))
    const verdict = await claims.lookup('token')
    if (!verdict.active) throw new Error('not let in')
    expect(() => Object.assign(verdict.claims, { scope: 'admin' })).toThrow(TypeError)
    expect(Object.isFrozen(verdict.claims.authorization_details)).toBe(true)
    expect(Object.isFrozen(verdict.claims.authorization_details?.[0])).toBe(true)
  })

  it('is tied to nobody where the answer names no client, and is then ended by its token alone', async () => {
    const { claims } = claimsOver(() => active({ client_id: undefined }))
    claims.evict(ended({ sub: 'alice' }, NOW))
    expect(await isActive(claims)).toBe(true)
    await claims.evictToken('token')
    expect(await isActive(claims)).toBe(false)
  })
})

describe('options', () => {
  const { introspection } = promptServer(() => active())
  for (const [name, options] of Object.entries({
    maximumLifetimeSeconds: { maximumLifetimeSeconds: 0 },
    negativeLifetimeSeconds: { negativeLifetimeSeconds: 61 },
    maxEntries: { maxEntries: 1.5 },
    maxNegativeEntries: { maxNegativeEntries: Number.NaN },
    storeTimeoutSeconds: { storeTimeoutSeconds: -1 },
    maxAge: { maxAge: 1 },
    clock: { clock: 7 },
    store: { store: {} },
    introspection: { introspection: undefined },
  })) {
    it(`a ${name} that cannot work is refused at start-up by its name`, () => {
      const bad: never = { introspection, ...options } as never
      expect(() => createClaims(bad)).toThrow(new RegExp(name))
      expect(() => createClaims(bad)).toThrow(TypeError)
    })
  }
})

// The one rule, and which marks stand side by side: by table, by property, and by the clocks of real OPs.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { covers, coversAllOf, type Mark, type SignOn, sidlessMark, withMark } from '../../src/marks/covering.js'

const RUNS = 2_000

function mark(scope: Mark['scope'], issuedAt: number | undefined, seenAt: number, subKey?: string): Mark {
  return { scope, key: 'key', issuedAt, seenAt, expiresAt: 10_000, ...(subKey !== undefined && { subKey }) }
}

function signOn(issuedAt: number | undefined, boundAt: number, more: Partial<SignOn> = {}): SignOn {
  return { issuedAt, boundAt, subKey: 'alice', sidKey: 'key', ...more }
}

describe('which sign-ons a mark ends', () => {
  // The mark: issued by the OP at 1000, seen here at 2000.
  const CASES: readonly (readonly [string, Mark['scope'], number | undefined, number, boolean])[] = [
    ['sub: a login before it', 'sub', 999, 1_999, true],
    ['sub: a login of the same second, seen before it', 'sub', 1_000, 1_999, true],
    ['sub: a login of the same second, seen after it (a tie fails closed)', 'sub', 1_000, 2_001, true],
    ['sub: a login after it, seen after it', 'sub', 1_001, 2_001, false],
    ['sub: a login dated after it, but bound before it was seen', 'sub', 1_001, 1_999, true],
    ['sub: bound at the very time it was seen', 'sub', 1_001, 2_000, true],
    ['sub: a login dated as far after it as machines may disagree', 'sub', 1_005, 1_999, true],
    ['sub: a login dated further after it, whatever the store saw', 'sub', 1_006, 1_999, false],
    ['sub: a login without a date', 'sub', undefined, 2_001, true],
    ['sid: a login before it', 'sid', 999, 1_999, true],
    ['sid: a login that was under way, seen after it', 'sid', 1_060, 2_001, true],
    ['sid: a re-authentication clearly later that kept its sid', 'sid', 1_061, 2_001, false],
    ['sid: a login without a date', 'sid', undefined, 2_001, true],
    ['token: whatever its dates', 'token', 9_999, 9_999, true],
  ]
  it.each(CASES)('%s', (_, scope, issuedAt, boundAt, expected) => {
    expect(covers(mark(scope, 1_000, 2_000), signOn(issuedAt, boundAt))).toBe(expected)
  })

  it('sid with a sub: nobody of another sub', () => {
    const bob = { subKey: 'bob' }
    expect(covers(mark('sid', 1_000, 2_000, 'alice'), signOn(900, 1_900))).toBe(true)
    expect(covers(mark('sid', 1_000, 2_000, 'alice'), signOn(900, 1_900, bob))).toBe(false)
    expect(covers(mark('sid', 1_000, 2_000), signOn(900, 1_900, bob))).toBe(true)
    expect(covers(mark('sid', 1_000, 2_000, 'alice'), signOn(undefined, 1_900, bob))).toBe(false)
  })

  it('sidless: sign-ons of that subject without a sid, dated like those of a sub', () => {
    const ended = sidlessMark({ ...mark('sid', 1_000, 2_000, 'alice'), key: 'sid of a phone' })
    expect(ended?.key).toBe('alice')
    const nameless = { sidKey: undefined }
    expect(ended && covers(ended, signOn(1_000, 1_999, nameless))).toBe(true)
    expect(ended && covers(ended, signOn(1_001, 2_001, nameless))).toBe(false)
    expect(ended && covers(ended, signOn(1_000, 1_999))).toBe(false)
    expect(sidlessMark(mark('sid', 1_000, 2_000))).toBeUndefined()
    expect(sidlessMark(mark('sub', 1_000, 2_000))).toBeUndefined()
  })

  it.each(['sub', 'sid'] as const)(
    '%s: a login begun after the mark was seen lives, whatever the dates say',
    (scope) => {
      for (const issuedAt of [undefined, 900, 1_000, 1_001]) {
        expect(covers(mark(scope, 1_000, 2_000), signOn(issuedAt, 2_002, { startedAt: 2_000.1 }))).toBe(false)
      }
      expect(covers(mark(scope, 1_000, 2_000), signOn(1_000, 2_002, { startedAt: 2_000 }))).toBe(true)
    },
  )

  it('sid: a code that was issued before the logout and is redeemed after it lets nobody in', () => {
    expect(covers(mark('sid', 1_000, 2_000), signOn(1_002, 2_002, { startedAt: 1_990 }))).toBe(true)
  })

  it.each(['sub', 'sid'] as const)(
    '%s: without a Logout Token what was bound by then, by the store clock alone',
    (scope) => {
      for (const issuedAt of [undefined, 1, 9_999]) {
        expect(covers(mark(scope, undefined, 2_000), signOn(issuedAt, 2_000))).toBe(true)
        expect(covers(mark(scope, undefined, 2_000), signOn(issuedAt, 2_000.001))).toBe(false)
      }
    },
  )

  it('of which the store has not said when it saw it: by the dates of the OP, also a login that says when it was begun', () => {
    const unseen = mark('sub', 1_000, Number.NEGATIVE_INFINITY)
    expect(covers(unseen, signOn(1_000, 2_000, { startedAt: 1_999 }))).toBe(true)
    expect(covers(unseen, signOn(1_001, 2_000, { startedAt: 1_999 }))).toBe(false)
  })
})

describe('clocks', () => {
  it('an OP whose machines differ by two seconds: the slow one ends what the fast one issued', () => {
    const login = signOn(1_002, 5_000)
    expect(covers(mark('sub', 1_000, 5_010), login)).toBe(true)
    expect(covers(mark('sid', 1_000, 5_010), login)).toBe(true)
  })

  it('an OP whose machines differ by two seconds: a login after the logout, issued by the slow one, fails closed and then lives', () => {
    const ended = mark('sub', 1_002, 5_000)
    expect(covers(ended, signOn(1_001, 5_001))).toBe(true)
    expect(covers(ended, signOn(1_003, 5_003))).toBe(false)
  })

  it('a Logout Token back-dated by one second ends the login of the second before it was sent, and not the one after it', () => {
    expect(covers(mark('sub', 999, 5_001), signOn(1_000, 5_000))).toBe(true)
    expect(covers(mark('sid', 999, 5_001), signOn(1_000, 5_000))).toBe(true)
    expect(covers(mark('sub', 999, 5_001), signOn(1_000, 5_002))).toBe(false)
  })

  it('a Logout Token that is delivered 40 s late does not end the login that was made 10 s after the logout', () => {
    const late = mark('sub', 1_000, 5_040)
    expect(covers(late, signOn(1_010, 5_010))).toBe(false)
    expect(covers(late, signOn(1_030, 5_030))).toBe(false)
  })

  it('fractional times are compared as they are', () => {
    expect(covers(mark('sub', 1_000.25, 5_000), signOn(1_000.25, 5_001))).toBe(true)
    expect(covers(mark('sub', 1_000.25, 5_000), signOn(1_000.26, 5_000.001))).toBe(false)
    expect(covers(mark('sub', 1_000.25, 5_000), signOn(1_005.25, 4_999.999))).toBe(true)
    expect(covers(mark('sub', 1_000.25, 5_000), signOn(1_005.26, 4_999.999))).toBe(false)
  })

  it('our own clock may be wrong by days: it is compared only with itself', () => {
    for (const skew of [-86_400, 0, 86_400]) {
      expect(covers(mark('sub', 1_000, 5_000 + skew), signOn(999, 4_990 + skew))).toBe(true)
      expect(covers(mark('sub', 1_000, 5_000 + skew), signOn(1_030, 5_030 + skew))).toBe(false)
    }
  })
})

/** Few values, so that ties are common. */
const time = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.constantFrom(30, 60, 61, 66.5, 2.5))
const maybeTime = fc.option(time, { nil: undefined })
const someMark = fc.record({
  scope: fc.constantFrom('sid' as const, 'sub' as const, 'sidless' as const, 'token' as const),
  key: fc.constant('key'),
  subKey: fc.constantFrom(undefined, 'alice', 'bob'),
  issuedAt: maybeTime,
  seenAt: time,
  expiresAt: time,
})
const someSignOn: fc.Arbitrary<SignOn> = fc.record({
  subKey: fc.constant('alice'),
  sidKey: fc.constantFrom(undefined, 'key'),
  issuedAt: maybeTime,
  startedAt: maybeTime,
  boundAt: time,
})

function check<T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void): void {
  fc.assert(fc.property(arbitrary, property), { numRuns: RUNS })
}

describe('covers, for any mark and sign-on', () => {
  it('never ends fewer sign-ons for a later Logout Token or a later arrival', () => {
    check(fc.tuple(someMark, someSignOn, time, time), ([ended, login, later, laterSeen]) => {
      const issuedAt = ended.issuedAt === undefined ? undefined : ended.issuedAt + later
      if (covers(ended, login))
        expect(covers({ ...ended, issuedAt, seenAt: ended.seenAt + laterSeen }, login)).toBe(true)
    })
  })

  it('never ends a later sign-on and spares an earlier one', () => {
    check(fc.tuple(someMark, someSignOn, time, time), ([ended, login, earlier, earlierBound]) => {
      const issuedAt = login.issuedAt === undefined ? undefined : login.issuedAt - earlier
      const startedAt = login.startedAt === undefined ? undefined : login.startedAt - earlierBound
      const older = { ...login, issuedAt, startedAt, boundAt: login.boundAt - earlierBound }
      if (covers(ended, login)) expect(covers(ended, older)).toBe(true)
    })
  })

  it('by sub ends nobody whom the same mark by sid would spare', () => {
    check(fc.tuple(someMark, someSignOn), ([ended, login]) => {
      if (covers({ ...ended, scope: 'sub' }, login)) expect(covers({ ...ended, scope: 'sid' }, login)).toBe(true)
    })
  })
})

describe('marks side by side, whatever they are', () => {
  const someMarks = fc.array(someMark, { minLength: 1, maxLength: 6 })
  const put = (marks: readonly Mark[]) => marks.reduce<readonly Mark[]>(withMark, [])

  it('end together exactly whom each of them ends by itself', () => {
    check(fc.tuple(someMarks, someSignOn), ([marks, login]) => {
      expect(put(marks).some((each) => covers(each, login))).toBe(marks.some((each) => covers(each, login)))
    })
  })

  it('each keep what they end as long as they were to be kept', () => {
    check(fc.tuple(someMarks, someSignOn, time), ([marks, login, now]) => {
      const live = (list: readonly Mark[]) => list.some((each) => each.expiresAt > now && covers(each, login))
      if (live(marks)) expect(live(put(marks))).toBe(true)
    })
  })

  it('are no more than must be: none ends all that another ends', () => {
    check(someMarks, (marks) => {
      const kept = put(marks)
      const spare = kept.filter((one) => kept.some((other) => other !== one && coversAllOf(other, one)))
      expect(spare).toEqual([])
    })
  })

  it('do not depend on the order in which they came, dates of equal ones aside', () => {
    check(someMarks, (marks) => {
      const dates = (list: readonly Mark[]) =>
        list
          .filter((each) => each.scope !== 'token')
          .map(({ scope, subKey, issuedAt, seenAt }) => JSON.stringify([scope, subKey, issuedAt, seenAt]))
          .sort()
      expect(dates(put(marks))).toEqual(dates(put([...marks].reverse())))
    })
  })

  it('are whole: the larger of each date would end a login that neither ends', () => {
    const [early, late] = [mark('sub', 1_000, 5_100), mark('sub', 1_010, 5_000)]
    const login = signOn(1_013, 5_050)
    expect(covers(mark('sub', 1_010, 5_100), login)).toBe(true)
    expect(put([early, late])).toEqual([early, late])
    expect(put([early, late]).some((each) => covers(each, login))).toBe(false)
  })

  it('one that covers all of another takes its place and its time', () => {
    expect(put([{ ...mark('sub', 1_000, 5_000), expiresAt: 20_000 }, mark('sub', 1_000, 5_001)])).toEqual([
      { ...mark('sub', 1_000, 5_001), expiresAt: 20_000 },
    ])
    expect(put([mark('sub', 1_000, 5_001), { ...mark('sub', 1_000, 5_000), expiresAt: 20_000 }])).toEqual([
      { ...mark('sub', 1_000, 5_001), expiresAt: 20_000 },
    ])
  })
})

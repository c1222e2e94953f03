// The one rule and the one merge: by table, by property, and by the clocks of real OPs.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { covers, DEFAULT_TOLERANCE_SECONDS, type Mark, mergeMarks, type SignOn } from '../../src/marks/covering.js'

const RUNS = 2_000
const TOLERANCE = DEFAULT_TOLERANCE_SECONDS

function mark(scope: Mark['scope'], issuedAt: number, seenAt: number, subKey?: string): Mark {
  return { scope, key: 'key', issuedAt, seenAt, expiresAt: 10_000, ...(subKey !== undefined && { subKey }) }
}

function signOn(issuedAt: number | undefined, boundAt: number, subKey = 'alice'): SignOn {
  return { issuedAt, boundAt, subKey }
}

const ends = (ended: Mark, login: SignOn) => covers(ended, login, TOLERANCE)

describe('which sign-ons a mark ends', () => {
  // The mark: issued by the OP at 1000, seen here at 2000.
  const CASES: readonly (readonly [string, Mark['scope'], number | undefined, number, boolean])[] = [
    ['sub: a login before it', 'sub', 999, 1_999, true],
    ['sub: a login of the same second, seen before it', 'sub', 1_000, 1_999, true],
    ['sub: a login of the same second, seen after it (a tie fails closed)', 'sub', 1_000, 2_001, true],
    ['sub: a login after it, seen after it', 'sub', 1_001, 2_001, false],
    ['sub: a login dated after it, but bound before it was seen', 'sub', 1_001, 1_999, true],
    ['sub: bound at the very time it was seen', 'sub', 1_001, 2_000, true],
    ['sub: a login dated as far after it as nodes may disagree', 'sub', 1_060, 1_999, true],
    ['sub: a login dated further after it, whatever the store saw', 'sub', 1_061, 1_999, false],
    ['sub: a login without a date', 'sub', undefined, 2_001, true],
    ['sid: a login before it', 'sid', 999, 1_999, true],
    ['sid: a login within the tolerance, seen after it (a sid is not reused)', 'sid', 1_060, 2_001, true],
    ['sid: a re-authentication clearly later that kept its sid', 'sid', 1_061, 2_001, false],
    ['sid: a login without a date', 'sid', undefined, 2_001, true],
    ['token: whatever its dates', 'token', 9_999, 9_999, true],
  ]
  it.each(CASES)('%s', (_, scope, issuedAt, boundAt, expected) => {
    expect(ends(mark(scope, 1_000, 2_000), signOn(issuedAt, boundAt))).toBe(expected)
  })

  it('sid with a sub: nobody of another sub', () => {
    expect(ends(mark('sid', 1_000, 2_000, 'alice'), signOn(900, 1_900, 'alice'))).toBe(true)
    expect(ends(mark('sid', 1_000, 2_000, 'alice'), signOn(900, 1_900, 'bob'))).toBe(false)
    expect(ends(mark('sid', 1_000, 2_000), signOn(900, 1_900, 'bob'))).toBe(true)
    expect(ends(mark('sid', 1_000, 2_000, 'alice'), signOn(undefined, 1_900, 'bob'))).toBe(false)
  })
})

describe('clocks', () => {
  it('an OP whose nodes differ by two seconds: the slow node ends what the fast node issued', () => {
    const login = signOn(1_002, 5_000)
    expect(ends(mark('sub', 1_000, 5_010), login)).toBe(true)
    expect(ends(mark('sid', 1_000, 5_010), login)).toBe(true)
  })

  it('an OP whose nodes differ by two seconds: a login after the logout, issued by the slow node, fails closed and then lives', () => {
    const ended = mark('sub', 1_002, 5_000)
    expect(ends(ended, signOn(1_001, 5_001))).toBe(true)
    expect(ends(ended, signOn(1_003, 5_003))).toBe(false)
  })

  it('a Logout Token back-dated by one second ends the login of the second before it was sent', () => {
    expect(ends(mark('sub', 999, 5_001), signOn(1_000, 5_000))).toBe(true)
    expect(ends(mark('sid', 999, 5_001), signOn(1_000, 5_000))).toBe(true)
  })

  it('a Logout Token back-dated by one second does not end the login after it', () => {
    expect(ends(mark('sub', 999, 5_001), signOn(1_000, 5_002))).toBe(false)
  })

  it('a tie of OP dates fails closed, whatever was seen first', () => {
    expect(ends(mark('sub', 1_000, 5_000), signOn(1_000, 4_999))).toBe(true)
    expect(ends(mark('sub', 1_000, 5_000), signOn(1_000, 5_001))).toBe(true)
  })

  it('fractional times are compared as they are', () => {
    expect(ends(mark('sub', 1_000.25, 5_000), signOn(1_000.25, 5_001))).toBe(true)
    expect(ends(mark('sub', 1_000.25, 5_000), signOn(1_000.26, 5_000.001))).toBe(false)
    expect(ends(mark('sub', 1_000.25, 5_000), signOn(1_060.25, 4_999.999))).toBe(true)
    expect(ends(mark('sub', 1_000.25, 5_000), signOn(1_060.26, 4_999.999))).toBe(false)
  })

  it('our own clock may be wrong by days: it is compared only with itself', () => {
    for (const skew of [-86_400, 0, 86_400]) {
      expect(ends(mark('sub', 1_000, 5_000 + skew), signOn(999, 4_990 + skew))).toBe(true)
      expect(ends(mark('sub', 1_000, 5_000 + skew), signOn(1_030, 5_030 + skew))).toBe(false)
    }
  })
})

/** Few values, so that ties are common. */
const time = fc.oneof(fc.integer({ min: 0, max: 8 }), fc.constantFrom(30, 60, 61, 66.5, 2.5))
const someMark = fc.record({
  scope: fc.constantFrom('sid' as const, 'sub' as const),
  key: fc.constant('key'),
  issuedAt: time,
  seenAt: time,
  expiresAt: time,
})
const someSignOn = fc.record({
  subKey: fc.constant('alice'),
  issuedAt: fc.option(time, { nil: undefined }),
  boundAt: time,
})
const sameScope = (count: number) =>
  fc.constantFrom('sid' as const, 'sub' as const).chain((scope) =>
    fc.array(
      someMark.map((each) => ({ ...each, scope })),
      { minLength: count, maxLength: count },
    ),
  )

function check<T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void): void {
  fc.assert(fc.property(arbitrary, property), { numRuns: RUNS })
}

describe('covers, for any mark and sign-on', () => {
  it('never ends fewer sign-ons for a later Logout Token or a later arrival', () => {
    check(fc.tuple(someMark, someSignOn, time, time), ([ended, login, later, laterSeen]) => {
      const moved = { ...ended, issuedAt: ended.issuedAt + later, seenAt: ended.seenAt + laterSeen }
      if (covers(ended, login, TOLERANCE)) expect(covers(moved, login, TOLERANCE)).toBe(true)
    })
  })

  it('never ends a later sign-on and spares an earlier one', () => {
    check(fc.tuple(someMark, someSignOn, time, time), ([ended, login, earlier, earlierBound]) => {
      const { issuedAt } = login
      const older = { ...login, boundAt: login.boundAt - earlierBound, issuedAt: issuedAt && issuedAt - earlier }
      if (covers(ended, login, TOLERANCE)) expect(covers(ended, older, TOLERANCE)).toBe(true)
    })
  })

  it('by sub ends nobody whom the same mark by sid would spare', () => {
    check(fc.tuple(someMark, someSignOn), ([ended, login]) => {
      if (covers({ ...ended, scope: 'sub' }, login, TOLERANCE)) {
        expect(covers({ ...ended, scope: 'sid' }, login, TOLERANCE)).toBe(true)
      }
    })
  })
})

describe('mergeMarks, for any two marks of one target', () => {
  it('is commutative, associative and idempotent', () => {
    check(sameScope(3), ([a, b, c]) => {
      if (a === undefined || b === undefined || c === undefined) return
      expect(mergeMarks(a, b)).toEqual(mergeMarks(b, a))
      expect(mergeMarks(mergeMarks(a, b), c)).toEqual(mergeMarks(a, mergeMarks(b, c)))
      expect(mergeMarks(a, a)).toEqual(a)
    })
  })

  it('ends nobody whom neither ends, and keeps what it ends as long as either', () => {
    check(fc.tuple(sameScope(2), someSignOn), ([[a, b], login]) => {
      if (a === undefined || b === undefined) return
      const merged = mergeMarks(a, b)
      if (covers(merged, login, TOLERANCE)) {
        expect(covers(a, login, TOLERANCE) || covers(b, login, TOLERANCE)).toBe(true)
      }
      expect(merged.expiresAt).toBe(Math.max(a.expiresAt, b.expiresAt))
    })
  })

  it('ends at least what the later of the two Logout Tokens ends', () => {
    check(fc.tuple(sameScope(2), someSignOn), ([[a, b], login]) => {
      if (a === undefined || b === undefined || a.issuedAt === b.issuedAt) return
      const later = a.issuedAt > b.issuedAt ? a : b
      if (covers(later, login, TOLERANCE)) expect(covers(mergeMarks(a, b), login, TOLERANCE)).toBe(true)
    })
  })

  it('is whole: the larger of each date would end a login that neither ends', () => {
    const early = mark('sub', 1_000, 5_100)
    const late = mark('sub', 1_050, 5_000)
    const login = signOn(1_080, 5_050)
    const wrong = mark('sub', 1_050, 5_100)
    expect(ends(late, login)).toBe(false)
    expect(ends(wrong, login)).toBe(true)
    expect(ends(mergeMarks(early, late), login)).toBe(false)
    expect(mergeMarks(early, late)).toEqual(late)
  })
})

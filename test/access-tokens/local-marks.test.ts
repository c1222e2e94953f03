// The marks that a process keeps beside its cache: in whatever order and however often they come.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { LocalMarks } from '../../src/access-tokens/local-marks.js'
import { coversAllOf, type Mark } from '../../src/marks/covering.js'
import { active, claimsOver, ended, isActive, NOW } from './hand-run.js'

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

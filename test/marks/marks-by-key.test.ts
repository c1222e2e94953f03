// Marks in memory: side by side under their keys, each until its own end.
import { describe, expect, it } from 'vitest'
import type { Mark } from '../../src/marks/covering.js'
import { MarksByKey } from '../../src/marks/marks-by-key.js'

const mark = (parts: Partial<Mark>): Mark => ({
  scope: 'sub',
  key: 'k',
  issuedAt: 5,
  seenAt: 5,
  expiresAt: 100,
  ...parts,
})

describe('MarksByKey', () => {
  it('keeps one beside another that it does not cover, and not one that ends nothing more', () => {
    const marks = new MarksByKey()
    const later = mark({ issuedAt: 9, seenAt: 1 })
    marks.add(mark({}), 0)
    marks.add(later, 0)
    marks.add(mark({ issuedAt: 4, seenAt: 4 }), 0)
    expect(marks.under('k', 0)).toHaveLength(2)
    expect(marks.under('k', 0)).toEqual(expect.arrayContaining([mark({}), later]))
  })

  it('lets each end by itself, though another of its key goes on', () => {
    const marks = new MarksByKey()
    const longer = mark({ issuedAt: 9, seenAt: 1, expiresAt: 200 })
    marks.add(mark({}), 0)
    marks.add(longer, 0)
    expect(marks.under('k', 99)).toHaveLength(2)
    expect(marks.under('k', 100)).toEqual([longer])
    expect(marks.under('k', 200)).toEqual([])
  })

  it('gives those of several keys in the order of the keys, and none for a key that there is not', () => {
    const marks = new MarksByKey()
    for (const key of ['a', 'b']) marks.add(mark({ key }), 0)
    expect(marks.underAll(['b', undefined, 'c', 'a'], 0).map(({ key }) => key)).toEqual(['b', 'a'])
  })
})

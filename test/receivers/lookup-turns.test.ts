// Whose turn it is to try a look-up that failed.
import { expect, it } from 'vitest'
import { LookupTurns } from '../../src/receivers/lookup-turns.js'
import type { Kept } from '../../src/receivers/waiting-rooms.js'

const kept = (issuer: string, id = issuer): Kept => ({
  id,
  token: id,
  issuer,
  room: { id: 'no provider', rank: 0 },
  sender: '',
  cameAt: 0,
  cameAtMonotonic: 0,
  expiresAt: 300,
  awaited: undefined,
})

function round(turns: LookupTurns, waiting: readonly Kept[], most = 2): readonly string[] {
  const next = turns.next(waiting, most)
  for (const { probe } of next) turns.tried(probe)
  return next.map(({ probe }) => probe.id)
}

it('one token for each issuer, and another one each time', () => {
  const turns = new LookupTurns()
  const waiting = [kept('a', 'a1'), kept('b'), kept('a', 'a2')]
  expect(turns.next(waiting, 2).map(({ others }) => others.map(({ id }) => id))).toEqual([['a2'], []])
  expect([round(turns, waiting), round(turns, waiting), round(turns, waiting)]).toEqual([
    ['a1', 'b'],
    ['a2', 'b'],
    ['a1', 'b'],
  ])
})

it('an issuer that had its turn comes before all that came later, however many come', () => {
  const turns = new LookupTurns()
  const ours = kept('ours')
  let junk: Kept[] = []
  const rounds: number[] = []
  for (let i = 0; i < 9; i++) {
    junk = [...junk, kept(`junk ${2 * i}`), kept(`junk ${2 * i + 1}`)].slice(-4)
    if (round(turns, [...junk, ours]).includes('ours')) rounds.push(i)
  }
  expect(rounds.length).toBeGreaterThanOrEqual(3)
})

it('an issuer that was not tried keeps its place', () => {
  const turns = new LookupTurns()
  turns.next([kept('a'), kept('b')], 2)
  expect(round(turns, [kept('c'), kept('b'), kept('a')], 2)).not.toContain('c')
})

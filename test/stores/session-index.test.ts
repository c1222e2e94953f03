// Which sessions a target names, and that what was removed is found nowhere.
import { describe, expect, it } from 'vitest'
import { SessionIndex } from '../../src/stores/session-index.js'

const session = (subKey: string, sidKey?: string) => ({ subKey, sidKey, issuedAt: 1, boundAt: 1 })

function indexed() {
  const sessions = {
    laptop: session('ada', 'laptop'),
    again: session('ada', 'laptop'),
    phone: session('ada', 'phone'),
    sidless: session('ada'),
    other: session('eve'),
  }
  const index = new SessionIndex<ReturnType<typeof session>>()
  for (const each of Object.values(sessions)) index.add(each)
  return { index, ...sessions }
}

describe('SessionIndex', () => {
  it('finds by sub every session of it, by sid those of the sid', () => {
    const { index, laptop, again, phone, sidless } = indexed()
    expect([...index.namedBy({ scope: 'sub', key: 'ada' })]).toEqual([laptop, again, phone, sidless].map((s) => [0, s]))
    expect([...index.namedBy({ scope: 'sid', key: 'laptop' })]).toEqual([laptop, again].map((s) => [0, s]))
  })

  it('finds by sid and sub also those of that sub without a sid, after the others', () => {
    const { index, phone, sidless } = indexed()
    expect([...index.namedBy({ scope: 'sid', key: 'phone', subKey: 'ada' })]).toEqual([
      [0, phone],
      [1, sidless],
    ])
  })

  it('finds nothing by a token, or a key of the other kind', () => {
    const { index } = indexed()
    expect([...index.namedBy({ scope: 'token', key: 'ada' })]).toEqual([])
    expect([...index.namedBy({ scope: 'sid', key: 'ada' })]).toEqual([])
  })

  it('forgets exactly the one that is removed', () => {
    const { index, laptop, again, phone, sidless } = indexed()
    for (const gone of [laptop, sidless]) index.remove(gone)
    expect([...index.namedBy({ scope: 'sub', key: 'ada' })]).toEqual([again, phone].map((s) => [0, s]))
    expect([...index.namedBy({ scope: 'sid', key: 'laptop', subKey: 'ada' })]).toEqual([[0, again]])
  })
})

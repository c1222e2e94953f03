// Rooms of bounded size: whoever floods one takes no place from the others.

import { afterEach, describe, expect, it } from 'vitest'
import { Rooms } from '../../src/receivers/waiting-rooms.js'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

describe('the rooms of waiting tokens', () => {
  const kept = (id: string, { room = 'known', rank = 0, sender = '192.0.2.1', length = 1024 } = {}) => {
    const token = id.padEnd(length, '.')
    return {
      id,
      token,
      issuer: '',
      room: { id: room, rank },
      sender,
      cameAt: 0,
      cameAtMonotonic: 0,
      expiresAt: 300,
      awaited: undefined,
    }
  }
  /** 500 tokens of the OP, then whatever a stranger sends: how many of the OP's are left. */
  const leftAfter = (count: number, stranger: (i: number) => Parameters<typeof kept>[1]) => {
    const rooms = new Rooms()
    const real = Array.from({ length: 500 }, (_, i) => kept(`real-${i}`))
    for (const each of real) rooms.add(each)
    for (let i = 0; i < count; i++) rooms.add(kept(`junk-${i}`, stranger(i)))
    expect(rooms.size).toBeLessThanOrEqual(8192)
    return real.filter((each) => rooms.has(each)).length
  }

  it.each<[string, number, (i: number) => Parameters<typeof kept>[1]]>([
    ['from one address', 6_000, () => ({ sender: '198.51.100.1' })],
    ['from one address of the same network', 6_000, () => ({ sender: '192.0.2.2' })],
    ['from one address, few and long', 1_000, () => ({ sender: '198.51.100.1', length: 16_384 })],
    ['each from another address of an IPv6 /64', 6_000, (i) => ({ sender: `2001:db8::${i.toString(16)}` })],
    ['each from another /64 of an IPv6 /48', 6_000, (i) => ({ sender: `2001:db8:1:${i.toString(16)}::1` })],
    ['each from another address of an IPv4 /16', 6_000, (i) => ({ sender: `198.51.${i >> 8}.${i % 256}` })],
    ['from seven networks', 6_000, (i) => ({ sender: `198.${i % 7}.1.1` })],
    ['with invented key ids', 6_000, () => ({ room: 'invented' })],
  ])('keep all tokens of the OP however many a stranger sends %s', (_, count, stranger) => {
    expect(leftAfter(count, stranger)).toBe(500)
  })

  it('leave it to chance where each comes from another network: the OP that has most is not taken for the flood', () => {
    const left = leftAfter(5_000, (i) => ({ sender: `${1 + (i % 190)}.${i >> 8}.${i % 256}.1` }))
    // 5500 in a room for 4096: some 28 of 100 have to go, whoever sent them.
    expect(left).toBeGreaterThan(250)
  })

  it('are bounded together, and take no token of a length that none has', () => {
    const rooms = new Rooms()
    for (let i = 0; i < 3_000; i++) rooms.add(kept(`junk-${i}`, { room: `${i % 20}`, length: 16_384 }))
    expect(rooms.size).toBeLessThanOrEqual(2048)
    expect(rooms.add(kept('long', { length: 20_000 }))).toEqual({ added: false, displaced: 1 })
  })

  it('are cleared from the lowest rank on where there is no room in all, and say how many had to go', () => {
    const rooms = new Rooms()
    const real = Array.from({ length: 250 }, (_, i) => kept(`real-${i}`, { rank: 2, length: 16_000 }))
    for (const each of real) rooms.add(each)
    let displaced = 0
    for (let i = 0; i < 4_000; i++) {
      displaced += rooms.add(kept(`junk-${i}`, { room: `invented-${i % 15}`, length: 8_192 })).displaced
    }
    let byLarge = 0
    for (let i = 0; i < 15; i++) {
      byLarge += rooms.add(kept(`large-${i}`, { room: `invented-${i}`, length: 16_384 })).displaced
    }
    // Two small ones have to go for a large one, or one of those few large ones.
    expect(byLarge).toBeGreaterThan(15)
    displaced += byLarge
    expect(real.every((each) => rooms.has(each))).toBe(true)
    expect(rooms.size).toBe(250 + 4_000 + 15 - displaced)
  })
})

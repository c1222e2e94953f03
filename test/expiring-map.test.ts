// Entries end by time, and what has ended is swept by whoever writes.
import { describe, expect, it } from 'vitest'
import { ExpiringMap } from '../src/expiring-map.js'

const until = (expiresAt: number) => ({ expiresAt })

describe('ExpiringMap', () => {
  it('gives an entry until its second, and says once that it went', () => {
    const gone: string[] = []
    const map = new ExpiringMap<{ readonly expiresAt: number }>((key) => gone.push(key))
    map.set('a', until(10), 0)
    expect(map.get('a', 9.999)).toEqual(until(10))
    expect(map.get('a', 10)).toBeUndefined()
    expect(map.get('a', 10)).toBeUndefined()
    expect(gone).toEqual(['a'])
  })

  it('says nothing of what was deleted, or written anew in time', () => {
    const gone: string[] = []
    const map = new ExpiringMap<{ readonly expiresAt: number }>((key) => gone.push(key))
    map.set('deleted', until(10), 0)
    map.delete('deleted')
    map.set('renewed', until(10), 0)
    map.set('renewed', until(20), 9)
    expect(map.get('renewed', 10)).toEqual(until(20))
    expect(gone).toEqual([])
  })

  it('holds less garbage than it holds alive, though nobody ever asks for an old key', () => {
    const map = new ExpiringMap<{ readonly expiresAt: number }>()
    for (let now = 0; now < 10_000; now++) map.set(`key ${now}`, until(now + 100), now)
    expect(map.size).toBeLessThan(200)
  })
})

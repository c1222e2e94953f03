// However many tokens come by, a claims cache holds no more than it was told to: live ones, inactive ones, and their
// marks.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { createClaims } from '../../src/access-tokens/index.js'
import { memoryStore } from '../../src/index.js'

/** Thirty times what the cache holds. */
const TOKENS = 300_000
const LOOKED_AT_EVERY = 30_000
const AT_ONCE = 50
const MEGABYTE = 1_000_000

it(`memory is flat over ${TOKENS} distinct tokens, half of them invalid`, { timeout: 300_000 }, async () => {
  const collectGarbage = garbageCollector()
  let now = 1_000_000
  const clock = () => now
  const introspect = async (token: string) => {
    const n = Number(token)
    if (n % 2 === 1) return { active: false }
    return {
      active: true,
      client_id: 'rp',
      sub: `user ${n}`,
      sid: `session ${n}`,
      iat: now,
      exp: now + 3600,
      scope: 'a',
    }
  }
  const claims = createClaims({
    introspection: { issuer: 'https://op', introspect },
    store: memoryStore({ clock }),
    clock,
  })
  const heapBytes: number[] = []
  for (let n = 0; n < TOKENS; n += AT_ONCE) {
    const looked = await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => claims.lookup(String(n + i))))
    if (looked.filter(({ active }) => active).length !== AT_ONCE / 2) throw new Error('a verdict is wrong')
    now += 0.001
    if ((n + AT_ONCE) % LOOKED_AT_EVERY === 0) {
      collectGarbage()
      heapBytes.push(process.memoryUsage().heapUsed)
    }
  }
  expect(claims.size).toEqual({ active: 10_000, inactive: 1_000, questions: 0, marks: 0 })
  // The cache is full long before the first look; after the second one nothing is warmed up any more.
  const [, settled = Number.NaN, ...later] = heapBytes
  console.log(
    `heap, every ${LOOKED_AT_EVERY} tokens (MB): ${heapBytes.map((bytes) => (bytes / MEGABYTE).toFixed(1)).join(' ')}`,
  )
  expect(Math.max(...later)).toBeLessThan(settled + 2 * MEGABYTE)
})

/** Test workers are started without the flag that names it. */
function garbageCollector(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc')
}

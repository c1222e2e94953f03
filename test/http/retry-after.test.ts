import { describe, expect, it } from 'vitest'
import { retryAfterSecondsIn } from '../../src/http/retry-after.js'

const NOW = Date.parse('Thu, 26 Nov 2026 12:00:00 GMT') / 1000

describe('Retry-After', () => {
  it.each<[string | undefined, string | undefined, number | undefined]>([
    ['120', undefined, 120],
    ['0', undefined, 0],
    ['9999999999', undefined, 9_999_999_999],
    ['Thu, 26 Nov 2026 12:02:00 GMT', undefined, 120],
    // The server's clock is an hour ahead, of which neither date says anything.
    ['Thu, 26 Nov 2026 13:02:00 GMT', 'Thu, 26 Nov 2026 13:00:00 GMT', 120],
    ['Thu, 26 Nov 2026 12:02:00 GMT', 'no date', 120],
    ['Thu, 26 Nov 2026 11:00:00 GMT', undefined, 0],
    [undefined, undefined, undefined],
    ['', undefined, undefined],
    ['-1', undefined, undefined],
    ['1.5', undefined, undefined],
    ['99999999999999999999', undefined, undefined],
    ['soon', undefined, undefined],
  ])('%s, of an answer dated %s: %s', (retryAfter, date, seconds) => {
    const headers = new Headers()
    if (retryAfter !== undefined) headers.set('retry-after', retryAfter)
    if (date !== undefined) headers.set('date', date)
    expect(retryAfterSecondsIn(headers, NOW)).toBe(seconds)
  })
})

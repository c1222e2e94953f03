// How long a server asks to be left alone (RFC 9110 10.2.3). Knows nothing of who asked it.

/** Request Timeout, Too Early, Too Many Requests (RFC 9110 15.5.9, RFC 8470 5.2, RFC 6585 4): not now. */
export const NOT_NOW: readonly number[] = [408, 425, 429]

/**
 * Seconds, in whichever of its two forms; `undefined` for none, and for what is none. A date is compared with the date
 * of the same answer, where it has one: both are of that server's clock. `now`: epoch seconds here.
 */
export function retryAfterSecondsIn(headers: Headers, now: number): number | undefined {
  const text = headers.get('retry-after')
  if (text === null) return undefined
  if (/^\d{1,10}$/.test(text)) return Number(text)
  const until = secondsOf(text)
  if (until === undefined) return undefined
  return Math.max(0, until - (secondsOf(headers.get('date')) ?? now))
}

function secondsOf(date: string | null): number | undefined {
  const milliseconds = date === null || !/^[A-Z][a-z]+,? /.test(date) ? Number.NaN : Date.parse(date)
  return Number.isNaN(milliseconds) ? undefined : milliseconds / 1000
}

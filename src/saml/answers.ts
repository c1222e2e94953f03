// What the browser gets at the Single Logout Service: on to the identity provider, on to a page of ours, or a fixed
// sentence. Knows no message.
import type { Answer } from '../http/answer.js'
import { fitsHeader } from '../http/safe-url.js'
import { isText } from '../option-checks.js'

/** Bindings 3.4.5.1 and 3.5.5.1: kept by nobody on the way; and the message in the address goes on to no other site. */
const HEADERS = { 'Cache-Control': 'no-cache, no-store', Pragma: 'no-cache', 'Referrer-Policy': 'no-referrer' }

/**
 * Where a browser can be sent: a header holds nothing else.
 *
 * @throws TypeError for any other; the message begins with the option
 */
export function landingAddress(page: unknown): string {
  if (isText(page) && fitsHeader(page)) return page
  throw new TypeError(
    "landingPage must be a path or URL of your own, e.g. '/signed-out', or a function that gives one; " +
      'write it percent-encoded where it has letters beyond ASCII, or spaces',
  )
}

export function onTo(url: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status: 303, headers: { ...HEADERS, ...headers, Location: url, 'Content-Length': '0' }, body: '' }
}

export function sentence(status: number, text: string, headers: Readonly<Record<string, string>> = {}): Answer {
  const body = `${text}\n`
  const about = { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': String(Buffer.byteLength(body)) }
  return { status, headers: { ...HEADERS, ...headers, ...about, 'X-Content-Type-Options': 'nosniff' }, body }
}

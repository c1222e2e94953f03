// What an answer of a backchannel_logout_uri says about how the receiver is mounted, in words and with the remedy.
// Knows the rule (BCL 2.8) and what usually stands in a receiver's way; knows no session.
import type { DeliveryAnswer } from './delivery.js'

/** Something is not as it should be. */
export interface Explanation {
  /** What was seen, and what it means. */
  readonly problem: string
  readonly remedy: string
  /** Where to read on: a page of the documentation, with its anchor. */
  readonly page: string
}

const MOUNTED_FIRST =
  'Mount the receiver before session, CSRF, login and rate-limit middleware: app.all(path, logout.receiver()).'

/** Why this is not the answer to a token that is none (400, JSON, `no-store`, no cookie); `undefined` if it is. */
export function explainRefusal({ status, headers, body }: DeliveryAnswer): Explanation | undefined {
  const isHtml = /html/.test(headers.get('content-type') ?? '')
  if (status === undefined) {
    return trouble(
      'no answer came: the connection was refused or cut, or it took longer than 10 s',
      'Is the application listening there, and may the OpenID Provider reach it? Look at address, port, firewall and proxy.',
      'nothing-arrives',
    )
  }
  if (status >= 300 && status < 400) {
    return trouble(
      `the answer was a redirect (${status}): the receiver stands behind a login wall, or a proxy changes the address`,
      `${MOUNTED_FIRST} Register the address that needs no redirect (https, with or without a slash at its end).`,
      'a-redirect',
    )
  }
  if (status === 401) {
    return trouble('the answer was 401: the receiver stands behind a login wall', MOUNTED_FIRST, 'a-redirect')
  }
  if (status === 403) {
    return trouble(
      'the answer was 403: CSRF protection, a login wall or a web application firewall stands before the receiver',
      `${MOUNTED_FIRST} A firewall must let POST without cookie, Referer and User-Agent through.`,
      '403',
    )
  }
  if (status === 404) {
    return trouble(
      'the answer was 404: no receiver is mounted at this path, or a proxy adds or strips a prefix',
      'Mount it at exactly this path, app.all(path, logout.receiver()), and compare the path that the application sees.',
      '404',
    )
  }
  if (status === 405) {
    return trouble(
      'the answer to a POST was 405: something else than the receiver answers at this path',
      'Mount the receiver with app.all or app.post, before other routes of this path.',
      '404',
    )
  }
  if (status === 429) {
    return trouble(
      'the answer was 429: a rate limiter stands before the receiver',
      'Exempt the receiver from limits by client address: an OpenID Provider sends all its logouts from one.',
      '429',
    )
  }
  if (status >= 500) {
    return trouble(
      `the answer was ${status}: the application, or the proxy before it, failed`,
      'Look at the application’s own log, and whether the proxy reaches it.',
      '5xx',
    )
  }
  if (status < 300) {
    return trouble(
      `a token that is none was answered ${status}${isHtml ? ' with a page' : ''}: this is not the receiver but a page that takes everything, such as a login form or a single-page application`,
      MOUNTED_FIRST,
      'a-page',
    )
  }
  if (status !== 400 || isHtml || errorIn(body) === undefined) {
    return trouble(
      `the answer was ${status} without the receiver’s JSON: another middleware refused the request first, such as a body parser or a validator`,
      `${MOUNTED_FIRST} It reads its body itself, before or after body parsers.`,
      '400-of-another',
    )
  }
  if (!/\bno-store\b/.test(headers.get('cache-control') ?? '')) {
    return trouble(
      'the answer has no Cache-Control: no-store, or a proxy takes it away (BCL 2.8)',
      'Let the proxy pass Cache-Control on unchanged.',
      'cache-headers',
    )
  }
  if (headers.has('set-cookie')) {
    return trouble(
      'the answer sets a cookie: a session is begun for the OpenID Provider, so session middleware runs before the receiver',
      MOUNTED_FIRST,
      'a-cookie',
    )
  }
  return undefined
}

/** Why this is not the answer to a logout that was done (200, empty, `no-store`); `undefined` if it is. */
export function explainSuccess({ status, headers, body }: DeliveryAnswer): Explanation | undefined {
  if (status !== 200) {
    return trouble(
      `a good Logout Token was answered ${status ?? 'not at all'}${errorIn(body) === undefined ? '' : ` (${errorIn(body)})`}`,
      'Listen with onEvent: the event refused or logout-failed names the rule, and the option that would accept it.',
      'every-logout-token-is-refused',
    )
  }
  if (!/\bno-store\b/.test(headers.get('cache-control') ?? '')) {
    return trouble(
      'the answer to a logout has no Cache-Control: no-store (BCL 2.8)',
      'Let the proxy pass Cache-Control on unchanged.',
      'cache-headers',
    )
  }
  return undefined
}

/** `error` of the answer's JSON. */
export function errorIn(body: string): string | undefined {
  try {
    const { error } = JSON.parse(body)
    return typeof error === 'string' ? error : undefined
  } catch {
    return undefined
  }
}

function trouble(problem: string, remedy: string, anchor: string): Explanation {
  return { problem, remedy, page: `docs/troubleshooting.md#${anchor}` }
}

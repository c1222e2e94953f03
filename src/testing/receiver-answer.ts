// What an answer of a backchannel_logout_uri says about how the receiver is mounted, in words and with the remedy.
// Knows the rule (BCL 2.8) and what usually stands in a receiver's way; knows no session.
import type { DeliveryAnswer, NoAnswer } from './delivery.js'

/** Something is not as it should be. */
export interface Explanation {
  /** What was seen, and what it means. */
  readonly problem: string
  readonly remedy: string
  /** Where to read on: a page of the documentation, with its anchor. */
  readonly page: string
}

const REFUSED = 'every-logout-token-is-refused'
const MOUNTED_FIRST =
  'Mount the receiver before session, CSRF, login and rate-limit middleware: app.all(path, logout.receiver()).'

/** Why this is not the answer to a token that is none (400, JSON, `no-store`, no cookie); `undefined` if it is. */
export function explainRefusal({ status, headers, body, noAnswer }: DeliveryAnswer): Explanation | undefined {
  const isHtml = saysHtml(headers)
  if (status === undefined) return explainSilence(noAnswer)
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

/** Why no answer came at all, where that is known. */
export function explainSilence(noAnswer: NoAnswer | undefined): Explanation {
  const { how = 'cut', code, withinSeconds } = noAnswer ?? {}
  const word = code === undefined ? '' : ` (${code})`
  if (how === 'refused') {
    return trouble(
      'no answer came: the connection was refused, so nothing listens at this address and port',
      'Is the application running, and listening there? Look at address, port, firewall and proxy: localhost may be ::1 or 127.0.0.1, and in a container it is the container itself.',
      'no-answer',
    )
  }
  if (how === 'unreachable') {
    return trouble(
      `no answer came: no connection was made${code === undefined ? ` within ${withinSeconds} s` : word}`,
      'Look, from this machine, at the name (DNS), address and port, at firewall and proxy, and with https at the certificate.',
      'no-answer',
    )
  }
  if (how === 'timed-out') {
    return trouble(
      `no answer came: the connection was made, and nothing was answered within ${withinSeconds} s`,
      `A middleware before the receiver neither answers nor calls next. ${MOUNTED_FIRST}`,
      'no-answer',
    )
  }
  return trouble(
    `no answer came: the connection was cut before it${word}`,
    'Did the application end, or a proxy give it up? Their own logs say so. Is it http and not https, or the other way round?',
    'no-answer',
  )
}

/** Whom a receiver must trust to take the tokens that are sent. */
export interface TrustedProvider {
  readonly issuer: string
  readonly clientId: string
}

/**
 * Why this is not the answer to a logout that was done (200, empty, `no-store`); `undefined` if it is. `sender` signed
 * the token.
 */
export function explainSuccess(answer: DeliveryAnswer, sender: TrustedProvider): Explanation | undefined {
  const { status, headers, body } = answer
  const error = errorIn(body)
  const trusted = `{ issuer: '${sender.issuer}', clientId: '${sender.clientId}' }`
  const seen = `a good Logout Token was answered ${status}`
  if (status !== undefined && error === 'logout_failed') {
    return trouble(
      `${seen} (logout_failed): the receiver could not judge it, or could not do what it says`,
      `Its event awaiting-keys or logout-failed (onEvent) says what it waits for: the keys of ${sender.issuer}, or a store.`,
      status < 500 ? REFUSED : '5xx',
    )
  }
  if (status === 400 && error !== undefined) {
    return trouble(
      `${seen} (${error}): the receiver is there, and refused it`,
      `Is the receiver configured with ${trusted}, character by character? Its console has the rule (BCL_…) where a setting can mend it, its event refused (onEvent) always.`,
      REFUSED,
    )
  }
  const mayNotBeStored = /\bno-store\b/.test(headers.get('cache-control') ?? '')
  if (status !== undefined && status < 300 && (status !== 200 || (saysHtml(headers) && !mayNotBeStored))) {
    return trouble(
      `${seen}${saysHtml(headers) ? ' with a page' : ''}, and this package’s receiver answers 200, empty: something else answers there, such as another receiver, a login form or a single-page application`,
      MOUNTED_FIRST,
      'a-page',
    )
  }
  if (status !== 200) return explainRefusal(answer)
  if (!mayNotBeStored) {
    return trouble(
      'the answer to a logout has no Cache-Control: no-store (BCL 2.8)',
      'Let the proxy pass Cache-Control on unchanged.',
      'cache-headers',
    )
  }
  return undefined
}

function saysHtml(headers: Headers): boolean {
  return /html/.test(headers.get('content-type') ?? '')
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

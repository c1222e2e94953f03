// What the OP hears (BCL 2.8). Fixed sentences only: nothing of the token, the store or the error gets out.
import type { LogoutError } from '../errors.js'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const NO_STORE = { 'Cache-Control': 'no-store' }
/** Empty bodies say so: some OPs wait for a length. */
const EMPTY = { ...NO_STORE, 'Content-Length': '0' }

/** Exactly 200 with an empty body: the certification suite takes nothing else for success. */
export const LOGGED_OUT: Answer = { status: 200, headers: EMPTY, body: '' }

export const METHOD_NOT_ALLOWED: Answer = json(405, 'invalid_request', 'A logout token is delivered by POST', {
  Allow: 'POST',
})

/**
 * 400 for whatever was not done. With `transientStatus` 503, failures that a retry can cure say so instead, for OPs that
 * retry on 5xx and take 400 as final.
 */
export function refusal(error: LogoutError, transientStatus: 400 | 503): Answer {
  switch (error.code) {
    case 'ERR_REQUEST':
      return json(400, 'invalid_request', 'The request is not a back-channel logout request')
    case 'ERR_TOKEN':
      return json(400, 'invalid_request', 'The logout token was refused')
    case 'ERR_REPLAY':
      return json(400, 'invalid_request', 'The logout token was used before')
    default:
      return json(transientStatus, 'logout_failed', 'The logout could not be completed', {
        ...(transientStatus === 503 ? { 'Retry-After': '1' } : {}),
      })
  }
}

function json(status: number, error: string, description: string, headers: Record<string, string> = {}): Answer {
  const body = JSON.stringify({ error, error_description: description })
  return {
    status,
    headers: {
      ...NO_STORE,
      'Content-Type': 'application/json',
      'Content-Length': String(Buffer.byteLength(body)),
      ...headers,
    },
    body,
  }
}

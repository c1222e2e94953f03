// What the OP hears (BCL 2.8). Fixed sentences only: nothing of the token, the store or the error gets out.
import type { LogoutError } from '../errors.js'
import { type Answer, empty, json } from '../http/answer.js'

/** Exactly 200 with an empty body: the certification suite takes nothing else for success. */
export const LOGGED_OUT: Answer = empty(200)

export const METHOD_NOT_ALLOWED: Answer = refused(405, 'invalid_request', 'A logout token is delivered by POST', {
  Allow: 'POST',
})

/**
 * 400 for whatever was not done. With `transientStatus` 503, failures that a retry can cure say so instead, for OPs
 * that retry on 5xx and take 400 as final.
 */
export function refusalAnswer(error: LogoutError, transientStatus: 400 | 503): Answer {
  switch (error.code) {
    case 'ERR_REQUEST':
      return refused(400, 'invalid_request', 'The request is not a back-channel logout request')
    case 'ERR_TOKEN':
      return refused(400, 'invalid_request', 'The logout token was refused')
    case 'ERR_REPLAY':
      return refused(400, 'invalid_request', 'The logout token was used before')
    default:
      return refused(transientStatus, 'logout_failed', 'The logout could not be completed', {
        ...(transientStatus === 503 ? { 'Retry-After': '1' } : {}),
      })
  }
}

/** RFC 6749 5.2: no quotation marks, no backslashes. */
function refused(status: number, error: string, description: string, headers: Record<string, string> = {}): Answer {
  return json(status, { error, error_description: description }, headers)
}

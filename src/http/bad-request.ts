// Why a request is not the one that an endpoint takes, in fixed sentences. Knows no endpoint.
import { LogoutError } from '../errors.js'

const SENTENCES = {
  content_type: 'The body of the request is not application/x-www-form-urlencoded',
  content_encoding: 'The body of the request is compressed',
  body_too_large: 'The body is larger than bodyLimitBytes',
  body_late: 'The body did not arrive in time',
  body_aborted: 'The sender went away before the body was complete',
  body_consumed: 'Something before the receiver has read the body and left nothing of it in req.body',
} as const

/** `reason` of an `ERR_REQUEST`. */
export type RequestRefusal = keyof typeof SENTENCES

/** The `ERR_REQUEST` with this reason. Made, not thrown. */
export function badRequest(reason: RequestRefusal, cause?: unknown): LogoutError {
  return new LogoutError('ERR_REQUEST', SENTENCES[reason], { reason, cause })
}

/**
 * The form's field is not there (`missing`), or not once and as a string (`repeated`); `reason` is for example
 * `logout_token_missing`.
 */
export function badField(field: string, fault: 'missing' | 'repeated'): LogoutError {
  const what = fault === 'missing' ? `no ${field}` : `more than one ${field}, or one that is no string`
  return new LogoutError('ERR_REQUEST', `The form has ${what}`, { reason: `${field}_${fault}` })
}

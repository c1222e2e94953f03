// What became of a Logout Token that was sent: what the answer of an RP means, and the words for what is not done.
// Sends nothing.
import { LogoutError } from '../errors.js'
import type { PostAnswer } from '../http/guarded-post.js'
import { jsonObjectIn, own } from '../json-object.js'

/**
 * What became of an attempt.
 *
 * - `done`: answered 200 or 204.
 * - `refused`: answered 400, which is final; unless the answer says `logout_failed`, which a later attempt may cure.
 * - `retrying`: any other answer, or none: tried again in the background.
 * - `given-up`: the time for retries is over, or there is none to be hoped for: an address that may not be called, no
 *   room.
 */
export type DeliveryOutcome = 'done' | 'refused' | 'retrying' | 'given-up'

/**
 * What one attempt came to. `attempts`: so far, this one included; 0 for what was given up before its first. `status`:
 * of the answer; absent where none came.
 */
export type LogoutDelivery =
  | { readonly outcome: 'done'; readonly attempts: number; readonly status: number }
  | {
      readonly outcome: Exclude<DeliveryOutcome, 'done'>
      readonly attempts: number
      readonly status?: number
      /** Why it is not done. */
      readonly error: LogoutError
    }

/** BCL 2.8. That a receiver may call its own failure 400 as well is told by the word that its answer has. */
export function meaning({ status, body }: PostAnswer, attempts: number): LogoutDelivery {
  if (status === 200 || status === 204) return { outcome: 'done', attempts, status }
  const error = status === 400 && body !== undefined ? own(jsonObjectIn(body) ?? {}, 'error') : undefined
  if (status === 400 && error !== 'logout_failed') {
    return { outcome: 'refused', attempts, status, error: undelivered('refused') }
  }
  return { outcome: 'retrying', attempts, status, error: undelivered('not_done') }
}

const SENTENCES = {
  refused: 'The RP refused the Logout Token',
  not_done: 'The RP did not say that the logout is done',
  late: 'The RP did not answer the Logout Token in time',
  unreachable: 'The Logout Token could not be signed or delivered',
  uri_unsafe: 'The backchannel_logout_uri of the client is not one that may be called',
  address_private: 'The backchannel_logout_uri of the client leads to an address that is not public',
  time_over: 'The Logout Token was not delivered in its time',
  no_room: 'As many logouts wait for their delivery as may',
  closed: 'The sender was closed before the Logout Token was delivered',
} as const

export function givenUp(
  { attempts }: { readonly attempts: number },
  reason: keyof typeof SENTENCES,
  cause?: unknown,
): LogoutDelivery {
  return { outcome: 'given-up', attempts, error: undelivered(reason, cause) }
}

export function undelivered(reason: keyof typeof SENTENCES, cause?: unknown): LogoutError {
  const option = reason === 'address_private' ? 'dangerouslyAllowPrivateAddresses' : undefined
  return new LogoutError('ERR_DELIVERY', SENTENCES[reason], { reason, cause, option })
}

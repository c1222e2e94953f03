// When a login must be over by itself: by the OP's word, by the application's, and by its settings for the provider.
// Knows no session.
import { LogoutError } from '../errors.js'
import type { Provider } from '../providers/provider.js'
import type { SignOnLimits } from '../stores/logout-store.js'

/** Ten years: what is later was given in milliseconds, or is no end. */
const LATEST_END_SECONDS = 315_360_000

/**
 * The earliest end of all that name one. A value that cannot be an end, milliseconds for instance, is refused: to take
 * it for "no end" would let the login live on for the reason that its end was not understood.
 *
 * @throws LogoutError `ERR_ID_TOKEN` with reason `session_expiry_untrue`, and the claim or the option
 */
export function limitsOfLogin(
  claimed: unknown,
  given: unknown,
  { sessionMaxAgeSeconds, sessionIdleSeconds }: Pick<Provider, 'sessionMaxAgeSeconds' | 'sessionIdleSeconds'>,
  now: number,
): SignOnLimits {
  const ends = [
    endOf(claimed, now, { claim: 'session_expiry' }),
    endOf(given, now, { option: 'sessionExpiresAt' }),
    sessionMaxAgeSeconds && now + sessionMaxAgeSeconds,
  ].filter((end) => end !== undefined)
  return {
    ...(ends.length > 0 && { endsAt: Math.min(...ends) }),
    ...(sessionIdleSeconds !== undefined && { idleSeconds: sessionIdleSeconds }),
  }
}

function endOf(
  value: unknown,
  now: number,
  named: { readonly claim: string } | { readonly option: string },
): number | undefined {
  if (value === undefined || value === null) return undefined
  if (typeof value === 'number' && value > 0 && value <= now + LATEST_END_SECONDS) return value
  throw new LogoutError('ERR_ID_TOKEN', 'When the session must end is not a time that can be true, in epoch seconds', {
    reason: 'session_expiry_untrue',
    ...named,
  })
}

/** Whether it is over by itself. */
export function isOver({ endsAt }: SignOnLimits, now: number): boolean {
  return endsAt !== undefined && endsAt <= now
}

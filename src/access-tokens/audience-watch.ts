// Finds out that an authorization server calls good tokens inactive because of who asks. Reads tokens unverified, for a
// hint only: it decides nothing.
import { decodeJwt } from 'jose/jwt/decode'
import { LogoutError } from '../errors.js'

/**
 * Keycloak answers `active: false` unless the client that asks stands in the `aud` of the token. Its access tokens are
 * JWTs, and tell so by their claim `typ`. Said once: it is so for every token, and looks like users who are always
 * logged out.
 */
export function audienceWatch(
  { issuer, clientId }: { readonly issuer: string; readonly clientId: string },
  clock: () => number,
  warn: (error: LogoutError) => void,
): (inactiveToken: string) => void {
  let warned = false
  return (token) => {
    if (warned || !token.startsWith('ey')) return
    try {
      const { iss, aud, exp = 0, typ } = decodeJwt(token)
      const audiences: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
      if (iss !== issuer || typ !== 'Bearer' || exp <= clock() || audiences.includes(clientId)) return
      warned = true
      warn(notAnAudience())
    } catch {
      // No JWT: nothing can be read from it.
    }
  }
}

function notAnAudience(): LogoutError {
  return new LogoutError(
    'ERR_CONFIGURATION',
    'The authorization server calls a token inactive that has not expired and is not meant for this API: Keycloak does so unless ' +
      'the client of this API is in the aud of the token; add an audience mapper for it to the client that gets the tokens',
    { reason: 'audience_missing', claim: 'aud' },
  )
}

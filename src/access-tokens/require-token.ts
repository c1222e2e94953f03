// Routes for access tokens that the authorization server is asked about. Knows the cache by its one question only.
import { isToCome } from '../deadline.js'
import { assertNumberIfGiven, assertOptions, type OptionNames } from '../option-checks.js'
import { INVALID_TOKEN, type TokenHandler, type TokenRequest } from './bearer.js'
import { bearerHandler, bearerRoute, type RouteOptions } from './bearer-route.js'
import type { LookupOptions, Verdict } from './claims-cache.js'
import type { TokenClaims } from './token-claims.js'

/** What a route gets: `req.token`, or typed by `claims.tokenOf(req)`. */
export interface AccessToken<Application> {
  /** The introspection response, frozen and shared by all requests with this token. */
  readonly claims: TokenClaims
  /** What the `enrich` hook made of it; cached with it, so it is shared as well. */
  readonly application: Application
}

/** Options of `requireToken`. */
export interface RequireTokenOptions<Req = TokenRequest> extends RouteOptions<Req> {
  /** Longest time ago that the authorization server was asked, in seconds; 0: ask each time. */
  readonly maxAgeSeconds?: number
}

const NAMES: OptionNames<RequireTokenOptions> = {
  scope: true,
  audience: true,
  maxAgeSeconds: true,
  confirm: true,
  realm: true,
}

/**
 * Lets a request with a good access token pass and answers all others: 401, 403 or 400 as RFC 6750 3.1 says, 503 with
 * `Retry-After` where nobody can tell. `TypeError` where the options cannot work.
 */
export function requireToken<Application, Req extends TokenRequest>(
  lookup: (token: string, options: LookupOptions) => Verdict<Application> | Promise<Verdict<Application>>,
  keep: (req: Req, token: AccessToken<Application>) => void,
  options: RequireTokenOptions<Req>,
): TokenHandler<Req> {
  assertOptions('requireToken()', options, NAMES)
  const route = bearerRoute(options, 'requireToken')
  const how: LookupOptions = { maxAgeSeconds: options.maxAgeSeconds }
  assertNumberIfGiven('requireToken: maxAgeSeconds', how.maxAgeSeconds, {})
  const admitted = (req: Req, verdict: Verdict<Application>) => {
    if (!verdict.active) return INVALID_TOKEN
    const { claims, application } = verdict
    return route.admitted(req, { claims, application })
  }
  const admit = (req: Req) => {
    const token = route.tokenOf(req)
    if (typeof token !== 'string') return token
    const verdict = lookup(token, how)
    return isToCome(verdict) ? verdict.then((outcome) => admitted(req, outcome)) : admitted(req, verdict)
  }
  return bearerHandler(admit, keep, route.challenges, ['requireToken()', 'claims.lookup(token)'])
}

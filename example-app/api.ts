// An API, whole: asks the authorization server about the access tokens it is given, keeps the answers for a while, and
// believes none of them after the logout. Knows nothing of the demo around it.
import express, { type Express } from 'express'
import type { LogoutStore } from 'oidc-backchannel-logout'
import { type Claims, createClaims, type TokenClaims } from 'oidc-backchannel-logout/claims'

/** How long an answer is kept: far longer than one would dare if no logout ended it. */
const KEPT_SECONDS = 15 * 60
const LOOPBACK: readonly string[] = ['127.0.0.1', '[::1]', 'localhost']

/** What this API keeps of an answer, as one entry with it. */
export interface Kept {
  readonly sub: string
  /** Epoch seconds. */
  readonly until: number
  /** Requests that it served. */
  calls: number
}

export interface ApiConfig {
  readonly issuer: string
  /** Of this API, not of the RPs whose tokens it gets. */
  readonly clientId: string
  readonly clientSecret: string
  /** The logout store of the RP: in this process, or in the Redis or PostgreSQL that the RP uses. */
  readonly logoutStore: LogoutStore
  /** Hears of each answer that is kept from now on. */
  readonly onKept?: ((token: string, claims: TokenClaims, kept: Kept) => void) | undefined
}

export interface Api {
  readonly app: Express
  /** For an RP in the same process: its logouts reach the cache without a question to the store. */
  readonly claims: Claims<Kept>
}

/** The API as an Express app: `GET /orders`, for access tokens with the scope `orders`. */
export function createApi({ issuer, clientId, clientSecret, logoutStore, onKept }: ApiConfig): Api {
  const claims = createClaims<Kept>({
    introspection: {
      issuer,
      clientId,
      clientAuthentication: { method: 'client_secret_basic', clientSecret },
      dangerouslyAllowHttp: LOOPBACK.includes(new URL(issuer).hostname),
    },
    store: logoutStore,
    maximumLifetimeSeconds: KEPT_SECONDS,
    enrich: (answer, token) => {
      const now = Date.now() / 1000
      const kept = { sub: answer.sub ?? '', until: Math.min(answer.exp ?? Infinity, now + KEPT_SECONDS), calls: 0 }
      onKept?.(token, answer, kept)
      return kept
    },
  })

  const app = express()
  app.disable('x-powered-by')

  app.get('/orders', claims.requireToken({ scope: 'orders' }), (req, res) => {
    const kept = claims.tokenOf(req)?.application
    if (kept) kept.calls += 1
    res.set('Cache-Control', 'no-store').json({ orders: ['A lamp', 'Two chairs'], kept })
  })

  return { app, claims }
}

// What the API keeps of access tokens, for people to look at. It lists what the API would go by just now, and asks the
// OP nothing.
import { LRUCache } from 'lru-cache'
import type { Claims, TokenClaims } from 'oidc-backchannel-logout/claims'
import type { Kept } from './api.js'

export class KeptClaims {
  readonly #byToken = new LRUCache<string, Kept>({ max: 1000 })

  /** An answer that is asked for again, say after a logout of the same user elsewhere, goes on with its calls. */
  readonly add = (token: string, _claims: TokenClaims, kept: Kept): void => {
    kept.calls = this.#byToken.get(token)?.calls ?? 0
    this.#byToken.set(token, kept)
  }

  async list({ lookup }: Pick<Claims<Kept>, 'lookup'>) {
    const listed: { readonly claims: TokenClaims; readonly kept: Kept }[] = []
    for (const [token, { until }] of [...this.#byToken]) {
      const verdict = until > Date.now() / 1000 ? await lookup(token) : ({ active: false } as const)
      if (verdict.active) listed.push({ claims: verdict.claims, kept: verdict.application })
      else this.#byToken.delete(token)
    }
    return listed
  }
}

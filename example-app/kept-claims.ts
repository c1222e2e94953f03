// What the API keeps of access tokens, for people to look at. It lists what the API would go by just now, and asks the OP nothing.
import { LRUCache } from 'lru-cache'
import type { Claims, TokenClaims } from 'oidc-backchannel-logout/claims'
import type { Kept } from './api.js'

export class KeptClaims {
  readonly #untilByToken = new LRUCache<string, number>({ max: 1000 })

  readonly add = (token: string, _claims: TokenClaims, { until }: Kept): void => {
    this.#untilByToken.set(token, until)
  }

  async list({ lookup }: Pick<Claims<Kept>, 'lookup'>) {
    const listed: { readonly claims: TokenClaims; readonly kept: Kept }[] = []
    for (const [token, until] of [...this.#untilByToken]) {
      const verdict = until > Date.now() / 1000 ? await lookup(token) : ({ active: false } as const)
      if (verdict.active) listed.push({ claims: verdict.claims, kept: verdict.application })
      else this.#untilByToken.delete(token)
    }
    return listed
  }
}

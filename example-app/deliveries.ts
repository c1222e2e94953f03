// What was sent to each receiver last about each visitor, and how it was answered: the token in words, never the token
// itself, since it is good until it is used.
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { LRUCache } from 'lru-cache'
import type { Deliver } from './op.js'

/** One Logout Token on its way, decoded. */
export interface Exchange {
  readonly header: object
  readonly claims: object
  /** Of the answer; null where none came. */
  readonly status: number | null
  /** What the receiver gave as its reason, if it refused or failed: a `reason` or `code`. */
  readonly because: string | undefined
}

/** The id of the visitor of whom a token to that client speaks by this `sid`. */
export type Whose = (clientId: string, sid: unknown) => string | undefined

interface Kept {
  readonly exchanges: Map<string, Exchange>
  readonly sent: Map<string, { readonly url: string; readonly token: string }>
}

export class Deliveries {
  readonly #whose: Whose
  readonly #kept = new LRUCache<string, Kept>({ max: 1000 })
  readonly #because = new Map<string, string>()
  readonly #turns = new Map<string, Promise<unknown>>()

  constructor(whose: Whose) {
    this.#whose = whose
  }

  /** The last exchange with each client about this visitor, by client id. */
  last(visitorId: string): Readonly<Record<string, Exchange>> {
    return Object.fromEntries(this.#of(visitorId).exchanges)
  }

  /** To be told by a receiver, while it is at work. */
  refused(clientId: string, because: string): void {
    this.#because.set(clientId, because)
  }

  /** Makes the POST of the OP, and keeps its token for `again`. */
  readonly deliver: Deliver = async (clientId, url, init) => {
    const token = new URLSearchParams(String(init.body)).get('logout_token') ?? ''
    const visitorId = this.#whose(clientId, decodeJwt(token).sid)
    if (visitorId !== undefined) this.#of(visitorId).sent.set(clientId, { url, token })
    return this.#exchange(clientId, token, () => fetch(url, init))
  }

  /** Resolves to the status of the answer. */
  async send(clientId: string, url: string, token: string): Promise<number> {
    const body = new URLSearchParams({ logout_token: token })
    return (await this.#exchange(clientId, token, () => fetch(url, { method: 'POST', body }))).status
  }

  /** The very token that the OP sent this client last about this visitor, once more. */
  async again(visitorId: string, clientId: string): Promise<number | undefined> {
    const sent = this.#of(visitorId).sent.get(clientId)
    return sent && this.send(clientId, sent.url, sent.token)
  }

  /** One after the other at each client: whoever gives a reason does not say of which token. */
  #exchange(clientId: string, token: string, post: () => Promise<Response>): Promise<Response> {
    const before = this.#turns.get(clientId) ?? Promise.resolve()
    const exchanged = before.then(() => this.#exchangeNow(clientId, token, post))
    this.#turns.set(
      clientId,
      exchanged.catch(() => {}),
    )
    return exchanged
  }

  async #exchangeNow(clientId: string, token: string, post: () => Promise<Response>): Promise<Response> {
    this.#because.delete(clientId)
    const claims = decodeJwt(token)
    const visitorId = this.#whose(clientId, claims.sid)
    const keep = (status: number | null) => {
      if (visitorId === undefined) return
      const exchange = { header: decodeProtectedHeader(token), claims, status, because: this.#because.get(clientId) }
      this.#of(visitorId).exchanges.set(clientId, exchange)
    }
    try {
      const response = await post()
      keep(response.status)
      return response
    } catch (error) {
      keep(null)
      throw error
    }
  }

  #of(visitorId: string): Kept {
    const kept = this.#kept.get(visitorId) ?? { exchanges: new Map(), sent: new Map() }
    this.#kept.set(visitorId, kept)
    return kept
  }
}

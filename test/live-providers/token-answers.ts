// What a token endpoint answers: to the RPs of this process, which keep it to themselves, and to a refresh token that
// somebody kept. Knows no provider.
import { type MockInstance, vi } from 'vitest'
import type { Credentials } from './live-rp.js'

export interface TokenAnswer {
  readonly access_token: string
  readonly refresh_token: string
  readonly id_token: string
}

export class TokenAnswers {
  readonly #answers: Promise<TokenAnswer>[] = []
  readonly #spy: MockInstance<typeof fetch>

  /** Hears every answer of this endpoint until it is stopped. */
  constructor(endpoint: string) {
    const { fetch } = globalThis
    this.#spy = vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const response = await fetch(input, init)
      const url = input instanceof Request ? input.url : String(input)
      if (url === endpoint) this.#answers.push(response.clone().json() as Promise<TokenAnswer>)
      return response
    })
  }

  all(): Promise<readonly TokenAnswer[]> {
    return Promise.all(this.#answers)
  }

  /** Of the sign-in that was the last. */
  async last(): Promise<TokenAnswer> {
    const last = (await this.all()).at(-1)
    if (last === undefined) throw new Error('nobody has signed in')
    return last
  }

  stop(): void {
    this.#spy.mockRestore()
  }
}

/** An address out of the provider's metadata. */
export async function endpointOf(issuer: string, name: string): Promise<string> {
  const metadata = Object(await (await fetch(`${issuer}/.well-known/openid-configuration`)).json())
  const endpoint: unknown = metadata[name]
  if (typeof endpoint !== 'string') throw new Error(`${issuer} has no ${name}`)
  return endpoint
}

const basic = ({ clientId, clientSecret }: Credentials) =>
  `Basic ${Buffer.from([clientId, clientSecret].map(encodeURIComponent).join(':')).toString('base64')}`

/** What the introspection endpoint says, as it says it (RFC 7662 2.2). */
export async function introspectAt(
  endpoint: string,
  credentials: Credentials,
  token: string,
): Promise<Readonly<Record<string, unknown>>> {
  const headers = { authorization: basic(credentials) }
  const answer = await fetch(endpoint, { method: 'POST', headers, body: new URLSearchParams({ token }) })
  return Object(await answer.json())
}

/** The answer to a refresh token: 200 with tokens, or 400 with what is wrong. */
export interface Refreshed {
  readonly status: number
  readonly access_token?: string
  readonly error?: string
}

/** Throws nothing for a token that is refused. */
export async function refreshAt(
  tokenEndpoint: string,
  credentials: Credentials,
  refreshToken: string,
): Promise<Refreshed> {
  const answer = await fetch(tokenEndpoint, {
    method: 'POST',
    headers: { authorization: basic(credentials) },
    body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken }),
  })
  return { ...JSON.parse(await answer.text()), status: answer.status }
}

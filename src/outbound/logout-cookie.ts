// The cookie that a browser takes along on its way to the OP and back: sealed, and read with whatever else a neighbour
// on the domain has laid beside it. Knows what it holds, and neither where the browser goes
// nor what becomes of it.
import { cookieValues, hostCookieName, LONGEST_COOKIE } from '../http/cookies.js'
import type { TokensToRevoke } from './revoke-tokens.js'
import type { SealedValues } from './sealed-values.js'

/**
 * What became of the OP's session, for the page that the user sees. `unsupported`: the provider has no such endpoint.
 */
export type ProviderLogout = 'asked' | 'not-asked' | 'unsupported' | 'unreachable'

/** A logout whose browser is at the OP, and what is said to it when it comes back. */
export interface PendingLogout {
  readonly state?: string
  readonly provider: ProviderLogout
  readonly upstream: 'asked' | 'not-asked' | 'unsupported'
  readonly expiresAt: number
}

/** All that one cookie holds: the logout that is pending, and what outlives it. */
export interface LogoutCookieContent extends Partial<PendingLogout> {
  readonly askForPassword?: boolean
  /** To be revoked on return, and not before: revoked first, Keycloak keeps notices of the logout from being sent. */
  readonly revoke?: readonly TokensToRevoke[] | undefined
  /** Whose session is being ended, for a logout that is begun once more. */
  readonly client?: { readonly issuer: string; readonly clientId: string } | undefined
}

/** All that the cookies of one request hold. */
export interface PendingLogouts {
  readonly ways: readonly PendingLogout[]
  readonly askForPassword: boolean
  readonly revoke: readonly TokensToRevoke[]
  readonly client: LogoutCookieContent['client']
}

const PURPOSE = 'logout on its way'

export class LogoutCookie {
  readonly #sealed: SealedValues
  readonly #clock: () => number
  readonly #name: string
  readonly #attributes: string

  constructor(sealed: SealedValues, uris: readonly string[], clock: () => number) {
    this.#sealed = sealed
    this.#clock = clock
    const isSecure = uris.every((uri) => uri.startsWith('https:'))
    this.#name = hostCookieName('oidc_logout', uris.join(' '), isSecure)
    this.#attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
  }

  /** A whole `Set-Cookie` header; nothing where it is longer than a browser keeps. */
  header(content: LogoutCookieContent, maxAgeSeconds: number): string | undefined {
    const cookie = this.#with(this.#sealed.seal(PURPOSE, JSON.stringify(content)), maxAgeSeconds)
    return cookie.length <= LONGEST_COOKIE ? cookie : undefined
  }

  get cleared(): string {
    return this.#with('', 0)
  }

  /** Of several cookies of that name each that was sealed here counts: which of them is this browser's own, none says. */
  read(cookieHeader: string | undefined): PendingLogouts {
    const opened = cookieValues(cookieHeader, this.#name).flatMap((value): readonly LogoutCookieContent[] => {
      const text = this.#sealed.open(PURPOSE, value)
      return text === undefined ? [] : [JSON.parse(text)]
    })
    const tokens = new Map<string, TokensToRevoke>()
    for (const each of opened.flatMap(({ revoke }) => revoke ?? [])) tokens.set(JSON.stringify(each), each)
    return {
      ways: opened.flatMap((each) => this.#liveIn(each)),
      askForPassword: opened.some(({ askForPassword }) => askForPassword === true),
      revoke: [...tokens.values()],
      client: opened.find(({ client }) => client !== undefined)?.client,
    }
  }

  #liveIn({ provider, upstream, expiresAt = 0, state }: LogoutCookieContent): readonly PendingLogout[] {
    if (provider === undefined || upstream === undefined || expiresAt <= this.#clock()) return []
    return [{ provider, upstream, expiresAt, ...(state !== undefined && { state }) }]
  }

  #with(value: string, maxAgeSeconds: number): string {
    return `${this.#name}=${value}; ${this.#attributes}; Max-Age=${maxAgeSeconds}`
  }
}

// The cookie that a browser takes along on its way to the OP and back: sealed, no longer than browsers keep, and read
// with whatever else a neighbour on the domain has laid beside it. Knows what it holds, and neither where the browser
// goes nor what becomes of it.
import { cookieValues, hostCookieName, LONGEST_COOKIE } from '../http/cookies.js'
import { type PendingLogout, withoutToken } from './pending-logouts.js'
import type { SealedValues } from './sealed-values.js'

/** All that one cookie holds: the logouts that are pending, the oldest first, and what outlives them. */
export interface LogoutCookieContent {
  readonly logouts: readonly PendingLogout[]
  readonly askForPassword: boolean
}

/** A whole `Set-Cookie` header, and the tokens that are not in it. */
export interface PackedCookie {
  readonly cookie: string
  /** Older ones, for which there is no room: whose they are knows nobody but who reads this now. */
  readonly crowdedOut: readonly PendingLogout[]
  /** The latest, which no cookie holds. */
  readonly tooLong: PendingLogout | undefined
}

/** How long a browser may be on its way. */
export const ON_THE_WAY_SECONDS = 600
/** As long as a password is asked for, and as a token waits for a request that finds its logout to be over. */
const KEPT_SECONDS = 3600
const MOST_LOGOUTS = 5
const MOST_WAYS = 3

const PURPOSE = 'logouts on their way'

export class LogoutCookie {
  /** All pages to which the browser comes back are served over TLS. */
  readonly isSecure: boolean
  readonly #sealed: SealedValues
  readonly #name: string
  readonly #attributes: string

  constructor(sealed: SealedValues, uris: readonly string[]) {
    this.#sealed = sealed
    const isSecure = uris.every((uri) => new URL(uri).protocol === 'https:')
    this.isSecure = isSecure
    this.#name = hostCookieName('oidc_logout', uris.join(' '), isSecure)
    this.#attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
  }

  get cleared(): string {
    return this.#with('', 0)
  }

  /** The oldest give way: first their tokens, since those are long, then that they were on their way at all. */
  packed({ logouts, askForPassword }: LogoutCookieContent): PackedCookie {
    const crowdedOut = logouts.slice(0, -MOST_LOGOUTS)
    let kept: readonly PendingLogout[] = logouts
      .slice(-MOST_LOGOUTS)
      .map((each) => ({ ...each, ways: each.ways.slice(-MOST_WAYS) }))
    let tooLong: PendingLogout | undefined
    const latest = kept.at(-1)
    if (latest?.refreshToken !== undefined && !this.#fits({ logouts: [latest], askForPassword })) {
      tooLong = latest
      kept = kept.with(-1, withoutToken(latest))
    }
    while (kept.length > 0 && !this.#fits({ logouts: kept, askForPassword })) {
      const index = kept.slice(0, -1).findIndex(({ refreshToken }) => refreshToken !== undefined)
      const crowded = kept[index]
      if (crowded !== undefined) crowdedOut.push(crowded)
      kept = crowded === undefined ? kept.slice(1) : kept.with(index, withoutToken(crowded))
    }
    const isEmpty = kept.length === 0 && !askForPassword
    return { cookie: isEmpty ? this.cleared : this.#header({ logouts: kept, askForPassword }), crowdedOut, tooLong }
  }

  /** Of several cookies of that name each that was sealed here counts: which of them is this browser's own, none says. */
  read(cookieHeader: string | undefined): LogoutCookieContent {
    const opened = cookieValues(cookieHeader, this.#name).flatMap((value): readonly LogoutCookieContent[] => {
      const text = this.#sealed.open(PURPOSE, value)
      return text === undefined ? [] : [JSON.parse(text)]
    })
    const logouts = new Map<string, PendingLogout>()
    for (const each of opened.flatMap((content) => content.logouts)) logouts.set(JSON.stringify(each), each)
    return { logouts: [...logouts.values()], askForPassword: opened.some(({ askForPassword }) => askForPassword) }
  }

  #fits(content: LogoutCookieContent): boolean {
    return this.#header(content).length <= LONGEST_COOKIE
  }

  #header(content: LogoutCookieContent): string {
    const { logouts, askForPassword } = content
    const isKept = askForPassword || logouts.some(({ refreshToken }) => refreshToken !== undefined)
    const maxAgeSeconds = isKept ? KEPT_SECONDS : ON_THE_WAY_SECONDS
    return this.#with(this.#sealed.seal(PURPOSE, JSON.stringify(content)), maxAgeSeconds)
  }

  #with(value: string, maxAgeSeconds: number): string {
    return `${this.#name}=${value}; ${this.#attributes}; Max-Age=${maxAgeSeconds}`
  }
}

// Which LogoutRequests of ours a browser is on its way with, one of each tab: kept by the browser, sealed. Knows no
// message.
import { cookieValues, hostCookieName, LONGEST_COOKIE } from '../http/cookies.js'
import type { SealedValues } from '../outbound/sealed-values.js'
import type { SamlNameId } from './name-id.js'

/** What to keep of a SAML login in its session, to name it in a LogoutRequest. JSON. */
export interface SamlLoginRecord extends SamlNameId {
  readonly sessionIndex?: string | undefined
}

/** As long as an identity provider may take to ask its other service providers. */
const OPEN_SECONDS = 600
const PURPOSE = 'saml logout requests'
/** One cookie holds them: what a browser sends with every request has a bound. */
const MOST_OPEN = 8

type Open = readonly [id: string, until: number, login?: SamlLoginRecord]

export class OpenRequests {
  readonly #sealed: SealedValues
  readonly #name: string
  readonly #attributes: string
  readonly #clock: () => number

  constructor(sealed: SealedValues, url: string, clock: () => number) {
    const { protocol } = new URL(url)
    const isSecure = protocol === 'https:'
    this.#sealed = sealed
    this.#clock = clock
    this.#name = hostCookieName('saml_logout', url, isSecure)
    // A LogoutResponse may come by a form of the identity provider's, with which no browser sends a Lax cookie.
    this.#attributes = `Path=/; HttpOnly; ${isSecure ? 'SameSite=None; Secure' : 'SameSite=Lax'}`
  }

  /**
   * The cookie that says so, beside those that `cookies` know. `login`: whom it names, for a logout that is begun once
   * more.
   */
  opened(id: string, login: SamlLoginRecord, cookies: string | undefined): string {
    const until = this.#clock() + OPEN_SECONDS
    const others = this.#openIn(cookies).map(([other, end]): Open => [other, end])
    const whole = this.#cookie([[id, until, login], ...others])
    // With a shorter one a request that is begun once more is no longer known, and the way back is.
    return whole.length <= LONGEST_COOKIE ? whole : this.#cookie([[id, until], ...others])
  }

  /** The cookie that forgets it: an answer is taken once. */
  closed(id: string | undefined, cookies: string | undefined): string {
    const rest = this.#openIn(cookies).filter(([each]) => each !== id)
    return rest.length > 0 ? this.#cookie(rest) : `${this.#name}=; ${this.#attributes}; Max-Age=0`
  }

  #cookie(open: readonly Open[]): string {
    const value = this.#sealed.seal(PURPOSE, JSON.stringify(open.slice(0, MOST_OPEN)))
    return `${this.#name}=${value}; ${this.#attributes}; Max-Age=${OPEN_SECONDS}`
  }

  /** Whether this request is open: in any cookie that was sealed here, since a neighbour may lay one beside. */
  has(id: string | undefined, cookies: string | undefined): boolean {
    return this.#openIn(cookies).some(([each]) => each === id)
  }

  /** Whom the request names that is open. */
  loginIn(cookies: string | undefined): SamlLoginRecord | undefined {
    return this.#openIn(cookies)[0]?.[2]
  }

  /** The latest first. */
  #openIn(cookies: string | undefined): readonly Open[] {
    return cookieValues(cookies, this.#name).flatMap((value) => {
      const text = this.#sealed.open(PURPOSE, value)
      const open: readonly Open[] = text === undefined ? [] : JSON.parse(text)
      return open.filter(([, until]) => until > this.#clock())
    })
  }
}

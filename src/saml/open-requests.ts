// Which LogoutRequest of ours a browser is on its way with: kept by the browser, sealed. Knows no message.
import { cookieValues, hostCookieName, LONGEST_COOKIE } from '../http/cookies.js'
import type { SealedValues } from '../outbound/sealed-values.js'
import type { SamlNameId } from './name-id.js'

/** What to keep of a SAML login in its session, to name it in a LogoutRequest. JSON. */
export interface SamlLoginRecord extends SamlNameId {
  readonly sessionIndex?: string | undefined
}

/** As long as an identity provider may take to ask its other service providers. */
const OPEN_SECONDS = 600
const PURPOSE = 'saml logout request'

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

  /** The cookie that says so. `login`: whom it names, for a logout that is begun once more. */
  opened(id: string, login: SamlLoginRecord): string {
    const until = this.#clock() + OPEN_SECONDS
    const whole = this.#cookie([id, until, login])
    // With a shorter one a request that is begun once more is no longer known, and the way back is.
    return whole.length <= LONGEST_COOKIE ? whole : this.#cookie([id, until])
  }

  #cookie(open: Open): string {
    const value = this.#sealed.seal(PURPOSE, JSON.stringify(open))
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

  #openIn(cookies: string | undefined): readonly Open[] {
    return cookieValues(cookies, this.#name).flatMap((value) => {
      const text = this.#sealed.open(PURPOSE, value)
      const open: Open | undefined = text === undefined ? undefined : JSON.parse(text)
      return open !== undefined && open[1] > this.#clock() ? [open] : []
    })
  }

  /** The cookie that forgets it: an answer is taken once. */
  get closed(): string {
    return `${this.#name}=; ${this.#attributes}; Max-Age=0`
  }
}

// A browser without a screen: keeps cookies, follows redirects, fills in forms. It can go on where a real browser
// is, and that one can take over again, since both are the same host's cookies.

const MAX_REDIRECTS = 15

export class HttpBrowser {
  readonly #cookies = new Map<string, string>()
  readonly #lines = new Map<string, string>()

  /** `cookieHeader`: of the browser in whose place it goes on. */
  constructor(cookieHeader = '') {
    for (const pair of cookieHeader.split('; ')) {
      const at = pair.indexOf('=')
      if (at > 0) this.#cookies.set(pair.slice(0, at), pair.slice(at + 1))
    }
  }

  /** The `Set-Cookie` lines by which the browser in whose place it went takes over again. */
  get setCookies(): string[] {
    return [...this.#lines.values()]
  }

  get cookieHeader(): string {
    return [...this.#cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** One request, no redirect followed. */
  async request(url: string | URL, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers({ accept: 'text/html', ...Object.fromEntries(new Headers(init.headers)) })
    headers.set('cookie', this.cookieHeader)
    headers.set('sec-fetch-site', 'same-origin')
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) this.#keep(line)
    return response
  }

  /** Follows redirects until there is a page, or until the next hop is to `stopAt`. */
  async navigate(url: string | URL, init: RequestInit = {}, stopAt?: string) {
    let target = new URL(url)
    let request = init
    for (let hop = 0; hop < MAX_REDIRECTS; hop++) {
      if (target.pathname === stopAt) return { url: target, status: 0, text: '' }
      const response = await this.request(target, request)
      const text = await response.text()
      const location = response.headers.get('location')
      if (location === null) return { url: target, status: response.status, text }
      target = new URL(location, target)
      request = {}
    }
    throw new Error(`More than ${MAX_REDIRECTS} redirects`)
  }

  /** Signs in at an RP as `sub`, if the OP asks at all. With `stopAt` the last hop is left to the caller. */
  async signIn(rpUrl: string, sub: string, stopAt?: string) {
    const asked = await this.navigate(`${rpUrl}/login`, {}, stopAt)
    if (!asked.url.pathname.startsWith('/interaction/')) return asked
    return this.navigate(asked.url, { method: 'POST', body: new URLSearchParams({ sub }) }, stopAt)
  }

  /** The OP's own logout: its question, answered with yes. */
  async logOut(opUrl: string): Promise<void> {
    const { text } = await this.navigate(`${opUrl}/session/end`)
    const action = text.match(/<form id="op.logoutForm"[^>]* action="([^"]+)"/)?.[1]
    const xsrf = text.match(/name="xsrf" value="([^"]+)"/)?.[1]
    if (action === undefined || xsrf === undefined) return
    const { origin } = new URL(opUrl)
    const target = new URL(new URL(action, opUrl).pathname, origin)
    await this.navigate(target, { method: 'POST', body: new URLSearchParams({ xsrf, logout: 'yes' }) })
  }

  /** `GET /me` at an RP: 200 with who is signed in, 401, or 503 where nobody can tell. */
  async whoAt(rpUrl: string): Promise<{ status: number; sub?: string; sid?: string }> {
    const response = await this.request(`${rpUrl}/me`)
    const text = await response.text()
    return response.status === 200 ? { status: 200, ...JSON.parse(text) } : { status: response.status }
  }

  #keep(line: string): void {
    const [pair = '', ...attributes] = line.split('; ')
    const at = pair.indexOf('=')
    const [name, value] = [pair.slice(0, at), pair.slice(at + 1)]
    const path = attributes.find((attribute) => attribute.toLowerCase().startsWith('path=')) ?? 'path=/'
    this.#lines.set(`${name} ${path}`, line)
    const expires = attributes.find((attribute) => attribute.toLowerCase().startsWith('expires='))
    const isOver = expires !== undefined && new Date(expires.slice(8)).getTime() <= Date.now()
    if (isOver) this.#cookies.delete(name)
    else this.#cookies.set(name, value)
  }
}

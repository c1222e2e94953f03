// As much of a browser as a login takes: cookies by origin, and redirects followed, by their status alone.

export interface Page {
  readonly status: number
  readonly url: string
  readonly text: string
  readonly headers: Headers
}

export class Browser {
  readonly #jars = new Map<string, Map<string, string>>()

  get(url: string): Promise<Page> {
    return this.#visit(new URL(url), {})
  }

  post(url: string, form: Readonly<Record<string, string>> = {}): Promise<Page> {
    return this.#visit(new URL(url), { method: 'POST', body: new URLSearchParams(form) })
  }

  /** The `Cookie` header for an origin. */
  cookie(origin: string): string {
    return [...this.#jar(origin)].map(([name, value]) => `${name}=${value}`).join('; ')
  }

  /** Another browser that holds the same cookies from now on: a thief, or a tab that was not told. */
  copy(): Browser {
    const copy = new Browser()
    for (const [origin, jar] of this.#jars) copy.#jars.set(origin, new Map(jar))
    return copy
  }

  async #visit(url: URL, init: RequestInit, redirects = 0): Promise<Page> {
    const response = await fetch(url, {
      ...init,
      headers: { cookie: this.cookie(url.origin), accept: 'text/html' },
      redirect: 'manual',
    })
    this.#keep(url.origin, response.headers)
    const location = response.headers.get('location')
    // `Location` beside any other status leads nowhere (RFC 9110 10.2.2): a browser shows the page.
    if (location === null || response.status < 300 || response.status > 399 || redirects > 20) {
      return { status: response.status, url: url.href, text: await response.text(), headers: response.headers }
    }
    await response.body?.cancel()
    return this.#visit(new URL(location, url), {}, redirects + 1)
  }

  #keep(origin: string, headers: Headers): void {
    const jar = this.#jar(origin)
    for (const cookie of headers.getSetCookie()) {
      const [, name = '', value = '', attributes = ''] = /^([^=]+)=([^;]*)(.*)$/.exec(cookie) ?? []
      if (value === '' || isOver(attributes)) jar.delete(name)
      else jar.set(name, value)
    }
  }

  #jar(origin: string): Map<string, string> {
    const jar = this.#jars.get(origin) ?? new Map<string, string>()
    this.#jars.set(origin, jar)
    return jar
  }
}

function isOver(attributes: string): boolean {
  const maxAge = /;\s*max-age=(-?\d+)/i.exec(attributes)?.[1]
  if (maxAge !== undefined) return Number(maxAge) <= 0
  const expires = /;\s*expires=([^;]+)/i.exec(attributes)?.[1]
  return expires !== undefined && Date.parse(expires) <= Date.now()
}

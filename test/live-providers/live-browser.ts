// A browser of cookies, redirects and forms, enough for the login pages of the providers; runs no scripts. Knows no
// provider.
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'

export interface Page {
  readonly url: string
  /** 0 if the browser was held before it went there. */
  readonly status: number
  readonly text: string
}

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

interface Init {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

interface Cookie {
  readonly host: string
  readonly path: string
  readonly name: string
  readonly value: string
}

const MAX_REDIRECTS = 20

export class LiveBrowser {
  readonly #cookies = new Map<string, Cookie>()
  /** A redirect to an address that begins so is not followed: the page says where it would have gone. */
  holdAt: string | undefined
  /** What becomes of an address before it is asked; some providers take the user's name from a parameter. */
  readonly rewrite: (url: URL) => URL

  /** A page that is never asked for: whoever would go there is told where, as at `holdAt`. */
  readonly neverAsks: string | undefined

  constructor(rewrite: (url: URL) => URL = (url) => url, neverAsks?: string) {
    this.rewrite = rewrite
    this.neverAsks = neverAsks
  }

  /** Another browser with the cookies that this one has now: stolen, or kept. */
  copy(): LiveBrowser {
    const copy = new LiveBrowser(this.rewrite, this.neverAsks)
    for (const [key, cookie] of this.#cookies) copy.#cookies.set(key, cookie)
    return copy
  }

  get(url: string): Promise<Page> {
    return this.#go(url, {})
  }

  post(url: string, fields: Readonly<Record<string, string>> = {}): Promise<Page> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded', origin: new URL(url).origin }
    return this.#go(url, { method: 'POST', headers, body: new URLSearchParams(fields).toString() })
  }

  /** One request as a script of a page of that origin sends it, with JSON; no redirect followed. */
  async send(method: string, url: string, body?: object, more: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const asScript = { 'content-type': 'application/json', origin: new URL(url).origin, accept: 'application/json' }
    const headers = { ...asScript, ...more }
    const answer = await this.#request(new URL(url), { method, headers, body: body && JSON.stringify(body) })
    if (answer.status < 400) return answer
    throw new Error(`${method} ${new URL(url).pathname}: ${answer.status} ${answer.text}`)
  }

  /** Sends the page's first form: its hidden fields and the given ones. */
  submit(page: Page, fields: Readonly<Record<string, string>> = {}): Promise<Page> {
    const [, attributes = '', inner = ''] = /<form\b([^>]*)>([\s\S]*?)<\/form>/.exec(page.text) ?? []
    if (inner === '') throw new Error(`no form on ${page.url.replace(/\?.*/, '')} (${page.status})`)
    const hidden = [...inner.matchAll(/<input\b[^>]*type="hidden"[^>]*>/g)].map(([tag]): [string, string] => [
      attribute(tag, 'name'),
      attribute(tag, 'value'),
    ])
    const named = Object.fromEntries(hidden.filter(([name]) => name !== ''))
    return this.post(new URL(attribute(attributes, 'action'), page.url).href, { ...named, ...fields })
  }

  async #go(start: string, first: Init): Promise<Page> {
    let url = new URL(start)
    let init = first
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      url = this.rewrite(url)
      const { href } = url
      if ([this.holdAt, this.neverAsks].some((start) => start !== undefined && href.startsWith(start))) {
        return { url: href, status: 0, text: '' }
      }
      const { status, headers, text } = await this.#request(url, init)
      const location = headers.get('location')
      if (location === null || status < 300 || status > 399) return { url: url.href, status, text }
      url = new URL(location, url)
      init = {}
    }
    throw new Error(`more than ${MAX_REDIRECTS} redirects, the last to ${url.origin}${url.pathname}`)
  }

  /**
   * Not by `fetch`, which says of itself that it is a script: some providers answer a script in JSON instead of
   * redirecting.
   */
  async #request(url: URL, { method = 'GET', headers = {}, body }: Init): Promise<Answer> {
    const cookie = this.#cookiesFor(url)
    const sent = request(url, {
      method,
      agent: false,
      headers: { accept: 'text/html', ...(cookie !== '' && { cookie }), ...headers },
    })
    sent.end(body)
    const [response] = (await once(sent, 'response')) as [IncomingMessage]
    const received = new Headers()
    for (const [name, value] of Object.entries(response.headersDistinct)) {
      for (const each of value ?? []) received.append(name, each)
    }
    this.#keep(url, received)
    const chunks: Buffer[] = []
    for await (const chunk of response) chunks.push(Buffer.from(chunk))
    return { status: response.statusCode ?? 0, headers: received, text: Buffer.concat(chunks).toString() }
  }

  /** By host and path, not by port (RFC 6265 8.5): the longest path first. */
  #cookiesFor({ hostname, pathname }: URL): string {
    return [...this.#cookies.values()]
      .filter(({ host, path }) => host === hostname && isBelow(pathname, path))
      .sort((a, b) => b.path.length - a.path.length)
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
  }

  #keep({ hostname }: URL, headers: Headers): void {
    for (const line of headers.getSetCookie()) {
      const [pair = '', ...rest] = line.split(';').map((part) => part.trim())
      const attributes = new Map(rest.map((part) => [nameOf(part).toLowerCase(), part.slice(part.indexOf('=') + 1)]))
      const name = nameOf(pair)
      const value = pair.slice(pair.indexOf('=') + 1)
      const path = attributes.get('path') ?? '/'
      const over =
        value === '' ||
        Number(attributes.get('max-age') ?? 1) <= 0 ||
        Date.parse(attributes.get('expires') ?? '') <= Date.now()
      const key = `${hostname} ${path} ${name}`
      if (over) this.#cookies.delete(key)
      else this.#cookies.set(key, { host: hostname, path, name, value })
    }
  }
}

const nameOf = (part: string) => (part.includes('=') ? part.slice(0, part.indexOf('=')) : part)

function isBelow(pathname: string, path: string): boolean {
  return pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`)
}

function attribute(tag: string, name: string): string {
  return (new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? '').replaceAll('&amp;', '&')
}

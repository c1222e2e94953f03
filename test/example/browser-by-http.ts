// A browser without a screen: keeps cookies as browsers do, follows redirects by hand, presses buttons. Runs no
// scripts.

interface Cookie {
  readonly name: string
  readonly value: string
  readonly host: string
  readonly path: string
}

/** What a navigation ended at. */
export interface Page {
  readonly url: URL
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

const MAX_REDIRECTS = 15

export class Browser {
  readonly #cookies = new Map<string, Cookie>()
  readonly #userAgent: string

  constructor(userAgent = 'node') {
    this.#userAgent = userAgent
  }

  /** Another browser that has stolen, or kept, this one's cookies as they are now. */
  copy(): Browser {
    const copy = new Browser(this.#userAgent)
    for (const [key, cookie] of this.#cookies) copy.#cookies.set(key, cookie)
    return copy
  }

  /** Names of the cookies that a request to this URL would carry. */
  cookieNames(url: string): string[] {
    return this.#cookiesFor(new URL(url)).map(({ name }) => name)
  }

  /** What a request to this URL would carry. */
  cookieHeader(url: string | URL): string {
    return this.#cookiesFor(new URL(url))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')
  }

  get(url: string | URL): Promise<Page> {
    return this.#navigate(new URL(url), { method: 'GET' })
  }

  post(url: string | URL, fields: Readonly<Record<string, string>> = {}): Promise<Page> {
    return this.#navigate(new URL(url), { method: 'POST', body: new URLSearchParams(fields) })
  }

  /** One request, no redirect followed; its cookies are kept. */
  async request(url: string | URL, init: RequestInit = {}): Promise<Response> {
    const target = new URL(url)
    const headers = new Headers({
      accept: 'text/html',
      'user-agent': this.#userAgent,
      ...Object.fromEntries(new Headers(init.headers)),
    })
    const cookie = this.cookieHeader(target)
    if (cookie !== '') headers.set('cookie', cookie)
    const response = await fetch(target, { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) this.#keep(line, target)
    return response
  }

  /** Submits the page's form that has this button, or that the button names, as a click would. */
  press(page: Page, label: string): Promise<Page> {
    const button = elements(page.text, 'button').find(({ inner }) => textOf(inner) === label)
    if (!button) throw new Error(`No button "${label}" on ${page.url.href}: ${textOf(page.text)}`)
    const form = elements(page.text, 'form').find(({ attributes, inner, start, end }) => {
      if (button.attributes.form !== undefined) return attributes.id === button.attributes.form
      return inner !== '' && button.start > start && button.end < end
    })
    if (!form) throw new Error(`The button "${label}" on ${page.url.href} belongs to no form`)
    const fields = fieldsOf(form.inner)
    if (button.attributes.name !== undefined) fields[button.attributes.name] = button.attributes.value ?? ''
    const action = new URL(form.attributes.action ?? page.url, page.url)
    if (form.attributes.method?.toLowerCase() === 'post') return this.post(action, fields)
    action.search = new URLSearchParams(fields).toString()
    return this.get(action)
  }

  async #navigate(url: URL, init: RequestInit): Promise<Page> {
    let target = url
    let request = init
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await this.request(target, request)
      const location = response.headers.get('location')
      const text = await response.text()
      if (response.status < 300 || response.status > 399 || location === null) {
        return { url: target, status: response.status, headers: response.headers, text }
      }
      target = new URL(location, target)
      request = { method: 'GET' }
    }
    throw new Error(`More than ${MAX_REDIRECTS} redirects, the last to ${target.origin}${target.pathname}`)
  }

  /** By host and path, not by port (RFC 6265 section 8.5). */
  #cookiesFor(url: URL): Cookie[] {
    return [...this.#cookies.values()].filter(({ host, path }) => {
      if (host !== url.hostname) return false
      return url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`)
    })
  }

  #keep(line: string, url: URL): void {
    const [pair = '', ...rest] = line.split(';').map((part) => part.trim())
    const attributes = new Map(
      rest.map((part) => [part.split('=')[0]?.toLowerCase(), part.slice(part.indexOf('=') + 1)]),
    )
    const name = pair.slice(0, pair.indexOf('='))
    const path = attributes.get('path') ?? '/'
    const key = `${url.hostname} ${path} ${name}`
    const expires = attributes.get('expires')
    if (expires !== undefined && new Date(expires).getTime() <= Date.now()) this.#cookies.delete(key)
    else this.#cookies.set(key, { name, value: pair.slice(name.length + 1), host: url.hostname, path })
  }
}

interface Element {
  readonly attributes: Readonly<Record<string, string>>
  readonly inner: string
  readonly start: number
  readonly end: number
}

function elements(source: string, tag: string): Element[] {
  return [...source.matchAll(new RegExp(`<${tag}\\b([^>]*)>(.*?)</${tag}>`, 'gs'))].map((match) => ({
    attributes: attributesOf(match[1] ?? ''),
    inner: match[2] ?? '',
    start: match.index,
    end: match.index + match[0].length,
  }))
}

function attributesOf(source: string): Record<string, string> {
  return Object.fromEntries(
    [...source.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name, value]) => [name, decode(value ?? '')]),
  )
}

function fieldsOf(form: string): Record<string, string> {
  const inputs = [...form.matchAll(/<input\b([^>]*)>/g)].map(([, source]) => attributesOf(source ?? ''))
  return Object.fromEntries(inputs.flatMap(({ name, value }) => (name === undefined ? [] : [[name, value ?? '']])))
}

/** What a person reads of it. */
export function textOf(source: string): string {
  const visible = source
    .replace(/<(style|script|title)\b.*?<\/\1>/gs, '')
    .replace(/<[^>]*aria-hidden="true"[^>]*>[^<]*<\/\w+>/g, '')
  return decode(visible.replace(/<[^>]*>/g, ' '))
    .replace(/\s+/g, ' ')
    .trim()
}

function decode(text: string): string {
  const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'" }
  return text.replace(/&(amp|lt|gt|quot|#39);/g, (entity, name: string) => named[name] ?? entity)
}

/** Signs this browser in at an RP; at the OP it presses the button with that name, if the OP asks at all. */
export async function signIn(browser: Browser, rpUrl: string, name: string): Promise<Page> {
  const arrived = await browser.get(`${rpUrl}/login`)
  return arrived.url.pathname.startsWith('/interaction/') ? browser.press(arrived, name) : arrived
}

/** The OP's own logout, in this browser. */
export async function logOutAtOp(browser: Browser, issuer: string): Promise<Page> {
  return browser.press(await browser.get(`${issuer}/session/end`), 'Log out everywhere')
}

/** What `GET /me` says: the `sub` and `sid` of whoever is signed in, or 401. */
export async function whoIsAt(
  browser: Browser,
  rpUrl: string,
): Promise<{ status: number; sub?: string; sid?: string }> {
  const response = await browser.request(`${rpUrl}/me`)
  const { sub, sid } = (await response.json()) as { sub?: string; sid?: string }
  return { status: response.status, ...(sub !== undefined && { sub }), ...(sid !== undefined && { sid }) }
}

// A browser without a screen: keeps cookies as browsers do, follows redirects by hand. Runs no script and presses no
// button.

interface Cookie {
  readonly name: string
  readonly value: string
  /** Cookies are kept by host, not by port. */
  readonly host: string
  readonly path: string
}

/** What a navigation ended at. */
export interface TestPage {
  readonly url: URL
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** A browser by HTTP: it keeps cookies and follows redirects. */
export interface TestBrowser {
  get(url: string | URL): Promise<TestPage>
  /** Sends a form. */
  post(url: string | URL, fields?: Readonly<Record<string, string>>): Promise<TestPage>
  /** One request, no redirect followed; its cookies are kept. */
  request(url: string | URL, init?: RequestInit): Promise<Response>
  /** Another browser that has kept, or stolen, the cookies of this one as they are now. */
  copy(): TestBrowser
  /** `name=value`, as it would be sent. */
  setCookie(url: string | URL, cookie: string): void
}

const MAX_REDIRECTS = 15
const TIMEOUT_SECONDS = 10
/** Of a loop of redirects, as many as make it plain. */
const ADDRESSES_SHOWN = 6

/** A navigation that ended at no page. */
export class NoPageError extends Error {
  readonly kind: 'timeout' | 'redirects'

  constructor(kind: NoPageError['kind'], message: string, cause?: unknown) {
    super(message, { cause })
    this.kind = kind
  }
}

/** A browser with no cookies. */
export function createTestBrowser(): TestBrowser {
  return browserWith(new Map())
}

function browserWith(cookies: Map<string, Cookie>): TestBrowser {
  const keep = (line: string, { hostname }: URL): void => {
    const [pair = '', ...attributes] = line.split(';').map((part) => part.trim())
    const cut = pair.indexOf('=')
    const attribute = (name: string) =>
      attributes.find((each) => each.toLowerCase().startsWith(`${name}=`))?.slice(name.length + 1)
    const cookie = {
      name: pair.slice(0, cut),
      value: pair.slice(cut + 1),
      host: hostname,
      path: attribute('path') ?? '/',
    }
    const key = JSON.stringify([hostname, cookie.path, cookie.name])
    const expires = attribute('expires')
    const dead = Number(attribute('max-age') ?? 1) <= 0 || (expires !== undefined && Date.parse(expires) < Date.now())
    if (dead) cookies.delete(key)
    else cookies.set(key, cookie)
  }

  const headerFor = ({ hostname, pathname }: URL): string =>
    [...cookies.values()]
      .filter(({ host, path }) => host === hostname && isUnder(pathname, path))
      .map(({ name, value }) => `${name}=${value}`)
      .join('; ')

  async function request(url: string | URL, init: RequestInit = {}): Promise<Response> {
    const target = new URL(url)
    const headers = new Headers({ accept: 'text/html,application/json;q=0.9,*/*;q=0.8' })
    for (const [name, value] of new Headers(init.headers)) headers.set(name, value)
    const cookie = headerFor(target)
    if (cookie !== '') headers.set('cookie', cookie)
    const signal = init.signal ?? AbortSignal.timeout(TIMEOUT_SECONDS * 1000)
    const response = await fetch(target, { ...init, headers, signal, redirect: 'manual' }).catch((error: unknown) => {
      throw isTimeout(error) ? unanswered(target, init.method, error) : error
    })
    for (const line of response.headers.getSetCookie()) keep(line, target)
    return response
  }

  async function navigate(url: URL, init: RequestInit): Promise<TestPage> {
    let target = url
    let next = init
    const passed: string[] = []
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const response = await request(target, next)
      passed.push(addressOf(target))
      const location = response.headers.get('location')
      const text = await response.text().catch((error: unknown) => {
        throw isTimeout(error) ? unanswered(target, next.method, error) : error
      })
      if (response.status < 300 || response.status > 399 || location === null) {
        return { url: target, status: response.status, headers: response.headers, text }
      }
      target = new URL(location, target)
      if (response.status !== 307 && response.status !== 308) next = { method: 'GET' }
    }
    const last = passed.slice(-ADDRESSES_SHOWN).join(' > ')
    throw new NoPageError(
      'redirects',
      `more than ${MAX_REDIRECTS} redirects from ${addressOf(url)}, the last of them ${last}`,
    )
  }

  return {
    request,
    get: (url) => navigate(new URL(url), { method: 'GET' }),
    post: (url, fields = {}) => navigate(new URL(url), { method: 'POST', body: new URLSearchParams(fields) }),
    copy: () => browserWith(new Map(cookies)),
    setCookie: (url, cookie) => keep(cookie, new URL(url)),
  }
}

/** Without its query: that may hold a code. */
function addressOf({ origin, pathname }: URL): string {
  return `${origin}${pathname}`
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

function unanswered(target: URL, method = 'GET', cause: unknown): NoPageError {
  const words = `${method} ${addressOf(target)} was not answered to the end within ${TIMEOUT_SECONDS} s`
  return new NoPageError('timeout', words, cause)
}

/** RFC 6265 5.1.4. */
function isUnder(pathname: string, path: string): boolean {
  return pathname === path || pathname.startsWith(path.endsWith('/') ? path : `${path}/`)
}

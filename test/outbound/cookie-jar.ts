// What a browser keeps of `Set-Cookie` headers of one host, as far as tests of a logout need it.

export class CookieJar {
  readonly #values = new Map<string, string>()

  keep(setCookie: string): void {
    const [pair = '', ...attributes] = setCookie.split('; ')
    const [name = '', value = ''] = pair.split('=')
    if (attributes.includes('Max-Age=0')) this.#values.delete(name)
    else this.#values.set(name, value)
  }

  forget(names: RegExp): void {
    for (const name of this.#values.keys()) if (names.test(name)) this.#values.delete(name)
  }

  /** The oldest first (RFC 6265 5.4). */
  get header(): string {
    return [...this.#values].map((pair) => pair.join('=')).join('; ')
  }
}

/** The header `Cookie` after these answers. `before`: the one that was sent with them. */
export function cookieHeader(setCookies: readonly string[], before = ''): string {
  const jar = new CookieJar()
  for (const cookie of [...before.split('; ').filter(Boolean), ...setCookies]) jar.keep(cookie)
  return jar.header
}

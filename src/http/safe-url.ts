// To which URLs this package sends secrets and from which it takes keys: one rule for all. Fetches nothing.

/**
 * A URL that may be called: `https`, or plain `http` to this machine itself, or to anywhere if `dangerouslyAllowHttp`;
 * without user name and password. Throws a `TypeError` whose message goes on after the name of an option.
 */
export function safeUrl(value: unknown, dangerouslyAllowHttp: boolean): string {
  if (typeof value !== 'string' || /\s/.test(value) || !URL.canParse(value)) {
    throw new TypeError('it must be an absolute URL')
  }
  const { protocol, hostname, username, password } = new URL(value)
  if (username !== '' || password !== '') throw new TypeError('it must not hold a user name or password')
  if (protocol === 'https:' || (protocol === 'http:' && (dangerouslyAllowHttp || isLoopback(hostname)))) return value
  throw new TypeError('it must be an https URL; plain http is for loopback addresses')
}

/**
 * The same for a URL that the metadata of an issuer name: plain `http` only where the issuer itself is, or if
 * `dangerouslyAllowHttp`. Who writes an option means this machine; a document from elsewhere that names it would reach
 * what listens here for nobody else, with the client's secret.
 */
export function safeUrlOf(issuer: string, value: unknown, dangerouslyAllowHttp: boolean): string {
  const url = safeUrl(value, dangerouslyAllowHttp)
  const isAsSafe = new URL(url).protocol === 'https:' || new URL(issuer).protocol === 'http:' || dangerouslyAllowHttp
  if (!isAsSafe) throw new TypeError('it must be an https URL, as its issuer is')
  return url
}

export function isSafeUrlOf(issuer: string, value: unknown, dangerouslyAllowHttp: boolean): value is string {
  try {
    safeUrlOf(issuer, value, dangerouslyAllowHttp)
    return true
  } catch {
    return false
  }
}

/** The same for an option: the message names it, and what would allow plain `http` where that is not said yet. */
export function safeUrlOption(name: string, value: unknown, dangerouslyAllowHttp: boolean): string {
  try {
    return safeUrl(value, dangerouslyAllowHttp)
  } catch (error) {
    const why = error instanceof Error ? error.message : 'it is not usable'
    throw new TypeError(`${name}: ${why}${dangerouslyAllowHttp ? '' : ' (see dangerouslyAllowHttp)'}`)
  }
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

/** Whether a header, such as `Location`, can hold it as it is: a URL with other characters is percent-encoded first. */
export function fitsHeader(text: string): boolean {
  return /^[!-~]*$/.test(text)
}

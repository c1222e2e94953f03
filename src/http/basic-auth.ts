// HTTP Basic as OAuth uses it (RFC 7617, RFC 6749 2.3.1): written and read. Knows no client.

/** Who a request says it is; nothing of it is verified. */
export interface BasicCredentials {
  readonly id: string
  readonly secret: string
}

/**
 * The value of an `Authorization` header. Both parts are form-encoded first, so a colon in the id separates nothing.
 */
export function basicAuthorization({ id, secret }: BasicCredentials): string {
  return `Basic ${Buffer.from(`${formEncoded(id)}:${formEncoded(secret)}`).toString('base64')}`
}

/** The credentials in an `Authorization` header; `undefined` if there are none of this scheme. */
export function basicCredentials(header: string | undefined): BasicCredentials | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/]+=*)$/i.exec(header ?? '')?.[1]
  if (encoded === undefined) return undefined
  const decoded = Buffer.from(encoded, 'base64').toString()
  const colon = decoded.indexOf(':')
  if (colon < 0) return undefined
  return { id: formDecoded(decoded.slice(0, colon)), secret: formDecoded(decoded.slice(colon + 1)) }
}

function formEncoded(value: string): string {
  return new URLSearchParams({ v: value }).toString().slice(2)
}

function formDecoded(value: string): string {
  return new URLSearchParams(`v=${value.replaceAll('&', '%26')}`).get('v') ?? ''
}

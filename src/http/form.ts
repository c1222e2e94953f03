// From an HTTP body to one string (BCL 2.5): form-urlencoded, bounded, `logout_token` exactly once. Believes nothing else.
import { LogoutError } from '../errors.js'

/** Refuses a request for being anything but a form, before its body is looked at. */
export function assertForm(contentType: string | null | undefined, contentEncoding: string | null | undefined): void {
  const mediaType = contentType?.split(';', 1)[0]?.trim().toLowerCase()
  if (mediaType !== 'application/x-www-form-urlencoded') throw badRequest('content_type')
  if (contentEncoding && contentEncoding.trim().toLowerCase() !== 'identity') throw badRequest('content_encoding')
}

/** What nearly every OP sends: nothing but the token, and nothing in it to decode. */
const ONLY_A_TOKEN = /^logout_token=([\w.-]+)$/

/** The token of a body as it came over the wire. */
export function tokenOfForm(body: string): string {
  return ONLY_A_TOKEN.exec(body)?.[1] ?? theOne(new URLSearchParams(body).getAll('logout_token'))
}

/** The token of a body that the host application has parsed already, by whichever parser. */
export function tokenOfParsedBody(body: unknown): string {
  if (typeof body === 'string') return tokenOfForm(body)
  if (body instanceof Uint8Array) return tokenOfForm(Buffer.from(body).toString('latin1'))
  if (body instanceof URLSearchParams) return theOne(body.getAll('logout_token'))
  if (typeof body !== 'object' || body === null) throw badRequest('body_consumed')
  const value: unknown = Object.getOwnPropertyDescriptor(body, 'logout_token')?.value
  return theOne(value === undefined ? [] : [value])
}

function theOne(values: readonly unknown[]): string {
  const [value, ...more] = values
  if (value === undefined) throw badRequest('logout_token_missing')
  if (more.length > 0 || typeof value !== 'string') throw badRequest('logout_token_repeated')
  if (value === '') throw badRequest('logout_token_missing')
  return value
}

/** Collects a body up to a limit, and refuses it without reading on as soon as it is larger. */
export class BoundedBody {
  readonly #limitBytes: number
  readonly #chunks: Uint8Array[] = []
  #bytes = 0

  constructor(limitBytes: number, declaredLength: string | null | undefined) {
    if (Number(declaredLength ?? 0) > limitBytes) throw badRequest('body_too_large')
    this.#limitBytes = limitBytes
  }

  push(chunk: Uint8Array): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#limitBytes) throw badRequest('body_too_large')
    this.#chunks.push(chunk)
  }

  /** Latin 1, which no byte sequence can break: a token is ASCII, and what is not is refused as one. */
  text(): string {
    return Buffer.concat(this.#chunks).toString('latin1')
  }
}

const SENTENCES = {
  content_type: 'The body of a logout request is application/x-www-form-urlencoded',
  content_encoding: 'A logout request is not compressed',
  logout_token_missing: 'The form has no logout_token',
  logout_token_repeated: 'The form has more than one logout_token, or one that is no string',
  body_too_large: 'The body is larger than bodyLimitBytes',
  body_late: 'The body did not arrive in time',
  body_aborted: 'The sender went away before the body was complete',
  body_consumed: 'Something before the receiver has read the body and left nothing of it in req.body',
} as const

export type RequestRefusal = keyof typeof SENTENCES

export function badRequest(reason: RequestRefusal, cause?: unknown): LogoutError {
  return new LogoutError('ERR_REQUEST', SENTENCES[reason], { reason, cause })
}

// Bearer tokens over HTTP (RFC 6750): the one token of a request, and the answers to those that have no good one. Never reads a token
// from a URL or a body, and says nothing of it in an answer.
import type { IncomingHttpHeaders } from 'node:http'

/** What a bearer check reads of a request: Node's own, Express's, or any that looks like them. */
export interface TokenRequest {
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders?: readonly string[]
  readonly url?: string | undefined
  readonly body?: unknown
}

/** What a bearer check needs of a response. */
export interface TokenResponse {
  statusCode: number
  readonly headersSent?: boolean
  setHeader(name: string, value: string): unknown
  end(body?: string): unknown
}

/** A connect-style handler, for Express 4 and 5 and all that take the same. */
export type TokenHandler<Req extends TokenRequest = TokenRequest> = (
  req: Req,
  res: TokenResponse,
  next: (error?: unknown) => void,
) => void

export interface Refusal {
  readonly status: 400 | 401 | 403 | 503
  readonly error: string
  readonly description: string
}

export const INVALID_REQUEST = refusal(
  400,
  'invalid_request',
  'The access token must be given once, in the header Authorization',
)
export const NO_TOKEN = refusal(401, 'unauthorized', 'An access token is needed')
export const INVALID_TOKEN = refusal(401, 'invalid_token', 'The access token is not valid')
export const INSUFFICIENT_SCOPE = refusal(
  403,
  'insufficient_scope',
  'The access token does not have the scope that is needed',
)
export const NO_VERDICT = refusal(503, 'temporarily_unavailable', 'The access token could not be checked')

/** `token68` of RFC 7235 2.1, which a bearer token is (RFC 6750 2.1). */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/
const AUTHORIZATION = 'authorization'
/** Larger than any header that Node takes by default; no hash is computed over more. */
const MAX_TOKEN_CHARS = 16_384

/** The one bearer token of the request, or why there is none. */
export function tokenOf(req: TokenRequest, dpop: boolean): string | Refusal {
  const headers = authorizationHeaders(req)
  const elsewhere = hasQueryToken(req.url) || hasBodyToken(req.body)
  if (headers.length > 1 || (headers.length === 1 && elsewhere)) return INVALID_REQUEST
  const header = (headers[0] ?? '').trim()
  const end = header.indexOf(' ')
  const name = (end < 0 ? header : header.slice(0, end)).toLowerCase()
  if (name !== 'bearer' && !(dpop && name === 'dpop')) return NO_TOKEN
  const token = end < 0 ? '' : header.slice(end).trimStart()
  if (token === '' || token.includes(' ')) return INVALID_REQUEST
  return token.length <= MAX_TOKEN_CHARS && TOKEN68.test(token) ? token : INVALID_TOKEN
}

/** Whether its token comes by the scheme DPoP (RFC 9449 7.1). */
export function isDpop({ headers }: TokenRequest): boolean {
  return /^\s*dpop /i.test(headers.authorization ?? '')
}

/** Node keeps the first of several `Authorization` headers and drops the rest silently: only the raw list has them all. */
function authorizationHeaders({ rawHeaders, headers }: TokenRequest): readonly string[] {
  const raw: string[] = []
  for (let i = 0; rawHeaders !== undefined && i + 1 < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]]
    if (name.length === AUTHORIZATION.length && name.toLowerCase() === AUTHORIZATION) raw.push(value)
  }
  if (raw.length > 0) return raw
  return headers.authorization === undefined ? [] : [headers.authorization]
}

function hasQueryToken(url: string | undefined): boolean {
  const start = url?.indexOf('?') ?? -1
  // A query may hold further question marks (RFC 3986 3.4), and routers differ on what a second one means.
  return (
    start >= 0 &&
    (url ?? '')
      .slice(start)
      .split(/[?&]/)
      .some((pair) => new URLSearchParams(pair).has('access_token'))
  )
}

function hasBodyToken(body: unknown): boolean {
  return typeof body === 'object' && body !== null && Object.hasOwn(body, 'access_token')
}

export function answer(res: TokenResponse, { status, error, description }: Refusal, challenge: string): void {
  if (res.headersSent) return
  res.statusCode = status
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Type', 'application/json')
  if (status === 503) res.setHeader('Retry-After', '1')
  else if (error === NO_TOKEN.error) res.setHeader('WWW-Authenticate', challenge)
  else res.setHeader('WWW-Authenticate', `${challenge}, error="${error}", error_description="${description}"`)
  res.end(JSON.stringify({ error, error_description: description }))
}

function refusal(status: Refusal['status'], error: string, description: string): Refusal {
  return { status, error, description }
}

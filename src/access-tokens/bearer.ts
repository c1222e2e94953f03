// Bearer tokens over HTTP (RFC 6750): the one token of a request, and the answers to those that have no good one. Never
// reads a token from a URL or a body, and says nothing of it in an answer.
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

/** The tokens that requests were let in with: as `req.token` for the application, and by `tokenOf` with their type. */
export interface AdmittedTokens<Token> {
  readonly keep: (req: object, token: Token) => void
  readonly tokenOf: (req: object) => Token | undefined
}

export function admittedTokens<Token extends object>(): AdmittedTokens<Token> {
  const kept: unique symbol = Symbol('access token')
  interface Keeper {
    token?: unknown
    [kept]?: Token
  }
  return {
    // On the request and not beside it: a WeakMap would be an eighth of what a use of cached claims costs.
    keep(req, token) {
      const keeper: Keeper = req
      keeper[kept] = token
      keeper.token = token
    },
    tokenOf(req) {
      const keeper: Keeper = req
      return keeper[kept]
    },
  }
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
/** RFC 9449 7.1. */
export const INVALID_PROOF = refusal(401, 'invalid_dpop_proof', 'The DPoP proof is not valid for this request')
export const INSUFFICIENT_SCOPE = refusal(
  403,
  'insufficient_scope',
  'The access token does not have the scope that is needed',
)
export const NO_VERDICT = refusal(503, 'temporarily_unavailable', 'The access token could not be checked')

/** `token68` of RFC 7235 2.1, which a bearer token is (RFC 6750 2.1). */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/
const PLAIN_SCHEME = 'Bearer '
const AUTHORIZATION = 'authorization'
const SEVERAL = Symbol('several headers Authorization')
const NO_HEADERS: readonly string[] = []
/**
 * A parameter of that name, each letter of which may be percent-encoded. Found without parsing: a query of nothing but
 * separators is thousands of pairs. A query may hold further question marks (RFC 3986 3.4), and routers differ on what
 * a second one means.
 */
const QUERY_TOKEN = new RegExp(`[?&]${[...'access_token'].map(encodedOrNot).join('')}(?=[=?&]|$)`)
/** Larger than any header that Node takes by default; no hash is computed over more. */
const MAX_TOKEN_CHARS = 16_384

/** The one bearer token of the request, or why there is none. */
export function tokenOf(req: TokenRequest, dpop: boolean): string | Refusal {
  const sent = authorizationHeader(req)
  if (sent === undefined) return NO_TOKEN
  if (sent === SEVERAL || hasQueryToken(req.url) || hasBodyToken(req.body)) return INVALID_REQUEST
  // Most clients write it so; whatever is not so is read with more patience.
  const plain = sent.startsWith(PLAIN_SCHEME) ? sent.slice(PLAIN_SCHEME.length) : ''
  if (plain.length <= MAX_TOKEN_CHARS && TOKEN68.test(plain)) return plain
  const header = sent.trim()
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

/**
 * Node keeps the first of several `Authorization` headers and drops the rest silently: only the raw list has them all.
 */
function authorizationHeader(req: TokenRequest): string | typeof SEVERAL | undefined {
  const { rawHeaders = NO_HEADERS } = req
  let found: string | undefined
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length !== AUTHORIZATION.length || name.toLowerCase() !== AUTHORIZATION) continue
    if (found !== undefined) return SEVERAL
    found = rawHeaders[i + 1] ?? ''
  }
  // Node makes this object of the raw list when it is first asked for.
  return found ?? req.headers.authorization
}

function hasQueryToken(url: string | undefined): boolean {
  return url !== undefined && QUERY_TOKEN.test(url)
}

function encodedOrNot(letter: string): string {
  const code = letter.charCodeAt(0).toString(16)
  return `(?:${letter}|%${code}|%${code.toUpperCase()})`
}

function hasBodyToken(body: unknown): boolean {
  return typeof body === 'object' && body !== null && Object.hasOwn(body, 'access_token')
}

/** `challenges`: of each scheme that may be used, without an error. */
export function answer(
  res: TokenResponse,
  { status, error, description }: Refusal,
  challenges: readonly string[],
): void {
  if (res.headersSent) return
  res.statusCode = status
  res.setHeader('Cache-Control', 'no-store')
  res.setHeader('Content-Type', 'application/json')
  if (status === 503) res.setHeader('Retry-After', '1')
  else {
    const said = error === NO_TOKEN.error ? '' : `, error="${error}", error_description="${description}"`
    res.setHeader('WWW-Authenticate', challenges.map((challenge) => challenge + said).join(', '))
  }
  res.end(JSON.stringify({ error, error_description: description }))
}

function refusal(status: Refusal['status'], error: string, description: string): Refusal {
  return { status, error, description }
}

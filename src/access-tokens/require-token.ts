// The bearer check of a route (RFC 6750): which token, is it good, is it enough. Never reads a token from a URL or a body, and says
// nothing of it in an answer. Knows the cache by its one question only.
import type { IncomingHttpHeaders } from 'node:http'
import { assertOptions, type OptionNames } from '../option-checks.js'
import type { LookupOptions, Verdict } from './claims-cache.js'
import type { TokenClaims } from './token-claims.js'

/** What `requireToken` reads of a request: Node's own, Express's, or any that looks like them. */
export interface TokenRequest {
  readonly headers: IncomingHttpHeaders
  readonly rawHeaders?: readonly string[]
  readonly url?: string | undefined
  readonly body?: unknown
}

/** What `requireToken` needs of a response. */
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

/** What a route gets: `req.token`, or typed by `claims.tokenOf(req)`. */
export interface AccessToken<Application> {
  /** The introspection response, frozen and shared by all requests with this token. */
  readonly claims: TokenClaims
  /** What the `enrich` hook made of it; cached with it, so it is shared as well. */
  readonly application: Application
}

export interface RequireTokenOptions<Req = TokenRequest> {
  /** Scope values that the token must have, all of them. */
  readonly scope?: string | readonly string[]
  /** Audiences of which the token must have one. */
  readonly audience?: string | readonly string[]
  /** Longest time ago that the authorization server was asked, in seconds; 0: ask each time. */
  readonly maxAgeSeconds?: number
  /**
   * Proof of possession, at every request and never cached: called for tokens that are bound to a key or a certificate (`cnf`,
   * RFC 7800), and lets them in by `true` alone. It also lets the scheme `DPoP` in. Without it such tokens are refused: they are no
   * bearer tokens (RFC 9449 7.2, RFC 8705 3).
   */
  readonly confirm?: (req: Req, claims: TokenClaims) => boolean | Promise<boolean>
  /** Protection space named in `WWW-Authenticate`. Default `api`. */
  readonly realm?: string
}

interface Refusal {
  readonly status: 400 | 401 | 403 | 503
  readonly error: string
  readonly description: string
}

const INVALID_REQUEST = refusal(
  400,
  'invalid_request',
  'The access token must be given once, in the header Authorization',
)
const NO_TOKEN = refusal(401, 'unauthorized', 'An access token is needed')
const INVALID_TOKEN = refusal(401, 'invalid_token', 'The access token is not valid')
const INSUFFICIENT_SCOPE = refusal(403, 'insufficient_scope', 'The access token does not have the scope that is needed')
const NO_VERDICT = refusal(503, 'temporarily_unavailable', 'The access token could not be checked')

/** `token68` of RFC 7235 2.1, which a bearer token is (RFC 6750 2.1). */
const TOKEN68 = /^[A-Za-z0-9\-._~+/]+=*$/
/** Larger than any header that Node takes by default; no hash is computed over more. */
const MAX_TOKEN_CHARS = 16_384
const QUOTABLE = /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/
/** RFC 6749 3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/**
 * Lets a request with a good access token pass and answers all others: 401, 403 or 400 as RFC 6750 3.1 says, 503 with
 * `Retry-After` where nobody can tell. `TypeError` where the options cannot work.
 */
export function requireToken<Application, Req extends TokenRequest>(
  lookup: (token: string, options: LookupOptions) => Promise<Verdict<Application>>,
  keep: (req: Req, token: AccessToken<Application>) => void,
  options: RequireTokenOptions<Req>,
): TokenHandler<Req> {
  const { scopes, audiences, maxAgeSeconds, confirm, challenge } = resolve(options)
  const admit = async (req: Req): Promise<AccessToken<Application> | Refusal> => {
    const given = tokenOf(req, confirm !== undefined)
    if (typeof given !== 'string') return given
    const verdict = await lookup(given, { maxAgeSeconds })
    if (!verdict.active) return INVALID_TOKEN
    const { claims, application } = verdict
    if (!meetsAudience(claims.aud, audiences)) return INVALID_TOKEN
    if (!meetsScopes(claims.scope, scopes)) return INSUFFICIENT_SCOPE
    if (isBound(claims) && (await confirm?.(req, claims)) !== true) return INVALID_TOKEN
    return { claims, application }
  }
  return (req, res, next) => {
    admit(req)
      .catch((): Refusal => NO_VERDICT)
      .then((outcome) => {
        if ('status' in outcome) return answer(res, outcome, challenge)
        keep(req, outcome)
        next()
      })
      .catch(next)
  }
}

/** The one bearer token of the request, or why there is none. */
function tokenOf(req: TokenRequest, dpop: boolean): string | Refusal {
  const headers = authorizationHeaders(req)
  const elsewhere = hasQueryToken(req.url) || hasBodyToken(req.body)
  if (headers.length > 1 || (headers.length === 1 && elsewhere)) return INVALID_REQUEST
  const [scheme, token, ...more] = (headers[0] ?? '').trim().split(/ +/)
  const name = scheme?.toLowerCase()
  if (name !== 'bearer' && !(dpop && name === 'dpop')) return NO_TOKEN
  if (token === undefined || more.length > 0) return INVALID_REQUEST
  return token.length <= MAX_TOKEN_CHARS && TOKEN68.test(token) ? token : INVALID_TOKEN
}

/** Node keeps the first of several `Authorization` headers and drops the rest silently: only the raw list has them all. */
function authorizationHeaders({ rawHeaders, headers }: TokenRequest): readonly string[] {
  const raw = (rawHeaders ?? []).filter((_, i, all) => i % 2 === 1 && all[i - 1]?.toLowerCase() === 'authorization')
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

function isBound({ cnf, token_type: type }: TokenClaims): boolean {
  return (cnf !== undefined && cnf !== null) || (typeof type === 'string' && type.toLowerCase() === 'dpop')
}

function meetsAudience(aud: unknown, wanted: readonly string[]): boolean {
  return wanted.length === 0 || wanted.some((each) => aud === each || (Array.isArray(aud) && aud.includes(each)))
}

/** A string of space-separated values (RFC 7662 2.2); some servers send an array of them. */
function meetsScopes(scope: unknown, wanted: readonly string[]): boolean {
  const granted: readonly unknown[] = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope : []
  return wanted.every((each) => granted.includes(each))
}

function answer(res: TokenResponse, { status, error, description }: Refusal, challenge: string): void {
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

const NAMES: OptionNames<RequireTokenOptions> = {
  scope: true,
  audience: true,
  maxAgeSeconds: true,
  confirm: true,
  realm: true,
}

function resolve<Req>(options: RequireTokenOptions<Req>) {
  assertOptions('requireToken()', options, NAMES)
  const { maxAgeSeconds, confirm, realm = 'api' } = options
  const scopes = listOf(options.scope)
  const audiences = listOf(options.audience)
  for (const scope of scopes) {
    if (!SCOPE_TOKEN.test(scope)) throw new TypeError('requireToken: scope must be a scope value or a list of them')
  }
  for (const audience of audiences) {
    if (typeof audience !== 'string' || audience === '') {
      throw new TypeError('requireToken: audience must be a non-empty string or a list of them')
    }
  }
  if (maxAgeSeconds !== undefined && !(maxAgeSeconds >= 0)) {
    throw new TypeError('requireToken: maxAgeSeconds must be a number of seconds, 0 or more')
  }
  if (confirm !== undefined && typeof confirm !== 'function') {
    throw new TypeError('requireToken: confirm must be a function of the request and its claims')
  }
  if (!QUOTABLE.test(realm)) throw new TypeError('requireToken: realm must be printable ASCII without quotes')
  const scope = scopes.length === 0 ? '' : `, scope="${scopes.join(' ')}"`
  return { scopes, audiences, maxAgeSeconds, confirm, challenge: `Bearer realm="${realm}"${scope}` }
}

/** A string of several scope values is what people paste from an authorization request. */
function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return typeof value === 'string' ? value.split(' ') : (value ?? [])
}

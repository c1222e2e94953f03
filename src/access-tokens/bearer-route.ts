// What a route asks of a good access token: scope, audience, proof of possession. Knows neither how a token was found good nor where.
import {
  answer,
  INSUFFICIENT_SCOPE,
  INVALID_TOKEN,
  isDpop,
  NO_VERDICT,
  type Refusal,
  type TokenHandler,
  type TokenRequest,
  tokenOf,
} from './bearer.js'
import type { TokenClaims } from './token-claims.js'

/** What a route asks of an access token, however it was found good. */
export interface RouteOptions<Req = TokenRequest> {
  /** Scope values that the token must have, all of them. */
  readonly scope?: string | readonly string[]
  /** Audiences of which the token must have one. */
  readonly audience?: string | readonly string[]
  /**
   * Proof of possession, at every request and never cached: called for tokens that are bound to a key or a certificate (`cnf`,
   * RFC 7800), and lets them in by `true` alone. It also lets the scheme `DPoP` in. Without it such tokens are refused: they are no
   * bearer tokens (RFC 9449 7.2, RFC 8705 3). For DPoP there is `confirmDpop`.
   */
  readonly confirm?: (req: Req, claims: TokenClaims) => boolean | Promise<boolean>
  /** Protection space named in `WWW-Authenticate`. Default `api`. */
  readonly realm?: string
}

const QUOTABLE = /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/
/** RFC 6749 3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/** What a route asks of tokens, checked when the app boots. */
export interface BearerRoute<Req> {
  /** The token of a request, or the answer to it. */
  readonly tokenOf: (req: Req) => string | Refusal
  /** Why a good token is not good enough for this route, or nothing. */
  readonly refusalOf: (req: Req, claims: TokenClaims) => Promise<Refusal | undefined>
  readonly challenge: string
}

/** `TypeError` where the options cannot work; it names `caller` and the option. */
export function bearerRoute<Req extends TokenRequest>(options: RouteOptions<Req>, caller: string): BearerRoute<Req> {
  const { confirm, realm = 'api' } = options
  const scopes = listOf(options.scope)
  const audiences = listOf(options.audience)
  for (const scope of scopes) {
    if (!SCOPE_TOKEN.test(scope)) throw new TypeError(`${caller}: scope must be a scope value or a list of them`)
  }
  for (const audience of audiences) {
    if (typeof audience !== 'string' || audience === '') {
      throw new TypeError(`${caller}: audience must be a non-empty string or a list of them`)
    }
  }
  if (confirm !== undefined && typeof confirm !== 'function') {
    throw new TypeError(`${caller}: confirm must be a function of the request and its claims`)
  }
  if (!QUOTABLE.test(realm)) throw new TypeError(`${caller}: realm must be printable ASCII without quotes`)
  const scope = scopes.length === 0 ? '' : `, scope="${scopes.join(' ')}"`
  return {
    tokenOf: (req) => tokenOf(req, confirm !== undefined),
    async refusalOf(req, claims) {
      if (!meetsAudience(claims.aud, audiences)) return INVALID_TOKEN
      if (!meetsScopes(claims.scope, scopes)) return INSUFFICIENT_SCOPE
      // A token that is bound to nothing proves nothing by the scheme DPoP (RFC 9449 7.1).
      if (isBound(claims)) return (await confirm?.(req, claims)) === true ? undefined : INVALID_TOKEN
      return confirm !== undefined && isDpop(req) ? INVALID_TOKEN : undefined
    },
    challenge: `Bearer realm="${realm}"${scope}`,
  }
}

/** A handler that lets pass whom `admit` admits and answers all others; 503 where it rejects. */
export function bearerHandler<Req extends TokenRequest, Admitted extends object>(
  admit: (req: Req) => Promise<Admitted | Refusal>,
  keep: (req: Req, admitted: Admitted) => void,
  challenge: string,
): TokenHandler<Req> {
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

/** A string of several scope values is what people paste from an authorization request. */
function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return typeof value === 'string' ? value.split(' ') : (value ?? [])
}

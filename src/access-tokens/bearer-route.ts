// What a route asks of a good access token: scope, audience, proof of possession. Knows neither how a token was found
// good nor where.
import { isToCome, within } from '../deadline.js'
import { assertConnect } from '../http/node.js'
import { isText } from '../option-checks.js'
import {
  answer,
  INSUFFICIENT_SCOPE,
  INVALID_PROOF,
  INVALID_TOKEN,
  isDpop,
  NO_VERDICT,
  type Refusal,
  type TokenHandler,
  type TokenRequest,
  type TokenResponse,
  tokenOf,
} from './bearer.js'
import type { TokenClaims } from './token-claims.js'

/**
 * Says whether a request was made by who holds the key or the certificate that its token is bound to: by `true` alone.
 */
export interface Confirm<Req = TokenRequest> {
  (req: Req, claims: TokenClaims): boolean | Promise<boolean>
  /** The algorithms of the proofs that it takes, for the challenge `DPoP` (RFC 9449 7.1). */
  readonly dpopAlgorithms?: readonly string[]
}

/** What a route asks of an access token, however it was found good. */
export interface RouteOptions<Req = TokenRequest> {
  /** Scope values that the token must have, all of them. */
  readonly scope?: string | readonly string[]
  /** Audiences of which the token must have one. */
  readonly audience?: string | readonly string[]
  /**
   * Proof of possession, at every request and never cached: called for tokens that are bound to a key or a certificate
   * (`cnf`, RFC 7800), and lets them in by `true` alone. It also lets the scheme `DPoP` in. Without it such tokens are
   * refused: they are no bearer tokens (RFC 9449 7.2, RFC 8705 3). For DPoP there is `confirmDpop`. After five seconds
   * without an answer nobody can tell: 503.
   */
  readonly confirm?: Confirm<Req>
  /** Protection space named in `WWW-Authenticate`. Default `api`. */
  readonly realm?: string
}

/** What remembers the proofs may hang; then nobody can tell, and the request is not kept for ever. */
const CONFIRM_SECONDS = 5
const QUOTABLE = /^[\x20-\x21\x23-\x5B\x5D-\x7E]+$/
/** RFC 6749 3.3. */
const SCOPE_TOKEN = /^[\x21\x23-\x5B\x5D-\x7E]+$/

/** What a route asks of tokens, checked when the app boots. */
export interface BearerRoute<Req> {
  /** The token of a request, or the answer to it. */
  readonly tokenOf: (req: Req) => string | Refusal
  /** A good token, or why it is not good enough for this route. */
  readonly admitted: <Token extends { readonly claims: TokenClaims }>(
    req: Req,
    token: Token,
  ) => Token | Refusal | Promise<Token | Refusal>
  /** Of each scheme that a client may use here (RFC 9110 11.6.1). */
  readonly challenges: readonly string[]
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
    if (!isText(audience)) {
      throw new TypeError(`${caller}: audience must be a non-empty string or a list of them`)
    }
  }
  if (confirm !== undefined && typeof confirm !== 'function') {
    throw new TypeError(`${caller}: confirm must be a function of the request and its claims`)
  }
  if (!QUOTABLE.test(realm)) throw new TypeError(`${caller}: realm must be printable ASCII without quotes`)
  const unproven = async (req: Req, claims: TokenClaims): Promise<Refusal | undefined> => {
    if (confirm !== undefined && (await within(CONFIRM_SECONDS, confirm(req, claims))) === true) return undefined
    return algorithms !== undefined && isDpop(req) ? INVALID_PROOF : INVALID_TOKEN
  }
  const scope = scopes.length === 0 ? '' : `, scope="${scopes.join(' ')}"`
  const algorithms = confirm?.dpopAlgorithms?.join(' ')
  return {
    tokenOf: (req) => tokenOf(req, confirm !== undefined),
    admitted(req, token) {
      const { claims } = token
      if (!meetsAudience(claims.aud, audiences)) return INVALID_TOKEN
      if (!meetsScopes(claims.scope, scopes)) return INSUFFICIENT_SCOPE
      if (isBound(claims)) return unproven(req, claims).then((refusal) => refusal ?? token)
      // A token that is bound to nothing proves nothing by the scheme DPoP (RFC 9449 7.1).
      return confirm !== undefined && isDpop(req) ? INVALID_TOKEN : token
    },
    challenges: [
      `Bearer realm="${realm}"${scope}`,
      ...(algorithms === undefined ? [] : [`DPoP realm="${realm}"${scope}, algs="${algorithms}"`]),
    ],
  }
}

/**
 * A handler that lets pass whom `admit` admits and answers all others; 503 where it throws or rejects. What is known at
 * once is acted on at once.
 */
export function bearerHandler<Req extends TokenRequest, Admitted extends object>(
  admit: (req: Req) => Admitted | Refusal | Promise<Admitted | Refusal>,
  keep: (req: Req, admitted: Admitted) => void,
  challenges: readonly string[],
  [call, elsewhere]: readonly [call: string, elsewhere: string],
): TokenHandler<Req> {
  const act = (req: Req, res: TokenResponse, next: (error?: unknown) => void, outcome: Admitted | Refusal): void => {
    try {
      if ('status' in outcome) answer(res, outcome, challenges)
      else {
        keep(req, outcome)
        next()
      }
    } catch (error) {
      next(error)
    }
  }
  const tried = (req: Req): Admitted | Refusal | Promise<Admitted | Refusal> => {
    try {
      return admit(req)
    } catch {
      return NO_VERDICT
    }
  }
  return (req, res, next) => {
    assertConnect(call, elsewhere, req, res, next)
    const outcome = tried(req)
    if (!isToCome(outcome)) return act(req, res, next, outcome)
    outcome.then(
      (settled) => act(req, res, next, settled),
      () => act(req, res, next, NO_VERDICT),
    )
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
  if (wanted.length === 0) return true
  const granted: readonly unknown[] = typeof scope === 'string' ? scope.split(' ') : Array.isArray(scope) ? scope : []
  return wanted.every((each) => granted.includes(each))
}

/** A string of several scope values is what people paste from an authorization request. */
function listOf(value: string | readonly string[] | undefined): readonly string[] {
  return typeof value === 'string' ? value.split(' ') : (value ?? [])
}

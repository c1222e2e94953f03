// Token revocation (RFC 7009): the tokens of a sign-on that ended here die at the provider as well. Knows no session,
// and undoes no logout: what fails is said, nothing more.
import { processRevocationResponse, ResponseBodyError, revocationRequest } from 'oauth4webapi'
import { milliseconds, timeoutOr, unlessAborted } from '../deadline.js'
import { LogoutError } from '../errors.js'
import type { EventListener } from '../events.js'
import { collected } from '../http/bounded-body.js'
import type { Fetch } from '../http/fetched-documents.js'
import { outline } from '../http/outline.js'
import { NOT_NOW, retryAfterSecondsIn } from '../http/retry-after.js'
import { isSafeUrlOf } from '../http/safe-url.js'
import { assertOptions, isText, type OptionNames } from '../option-checks.js'
import { oauthClient, oauthTransport } from '../providers/oauth-transport.js'
import type { Authentication } from '../providers/provider.js'

/** What is to die, and whose it is. At least one token. */
export interface TokensToRevoke {
  /** Of the sign-on that the tokens came with, as configured. */
  readonly issuer: string
  readonly clientId: string
  /** Revoked first: most providers then end the access tokens of the same sign-on with it (RFC 7009 2.1). */
  readonly refreshToken?: string | undefined
  readonly accessToken?: string | undefined
}

/**
 * - `revoked`: the provider said so (RFC 7009 2.2). It says it of tokens that were dead before, too.
 * - `unsupported`: it has no revocation endpoint, or none for such a token. The token lives until it ends by itself.
 * - `failed`: it did not say so; the token may live.
 */
export type RevocationOutcome = 'revoked' | 'unsupported' | 'failed'

/** What became of the tokens. */
export interface TokensRevoked {
  /** `failed` if one of them failed; else `unsupported` if one of them cannot be revoked; else `revoked`. */
  readonly outcome: RevocationOutcome
  /** Of each token that was given. */
  readonly refreshToken?: RevocationOutcome
  readonly accessToken?: RevocationOutcome
  /** Why, where one failed: `ERR_REVOCATION`, never with a token in it. */
  readonly error?: LogoutError
  /** Where one failed and the provider said by `Retry-After` how long it wants to be left alone. */
  readonly retryAfterSeconds?: number
}

/** What a provider is known by here. */
export interface RevokingProvider {
  readonly authentication: Authentication | undefined
  readonly dangerouslyAllowHttp: boolean
  readonly fetch: Fetch | undefined
  /**
   * `revocation_endpoint` of the metadata, if it has one. Rejects if the metadata cannot be had. `closing`: nobody waits
   * from then on.
   */
  revocationEndpoint(closing?: AbortSignal): Promise<string | undefined>
}

export interface RevocationPorts {
  /** Rejects where nobody can say. */
  readonly provider: (issuer: string, clientId: string) => Promise<RevokingProvider | undefined>
  readonly emit: EventListener
  readonly clock: () => number
  /** For all of it. Default: 5. */
  readonly timeoutSeconds?: number
}

/** Metadata, and both requests. */
const TIMEOUT_SECONDS = 5
/** An OAuth error is a few words. */
const MAX_BODY_BYTES = 65_536

/** Of the provider, whatever the token or the client (RFC 6749 4.1.2.1): some say it with a 400. */
const IN_TROUBLE: readonly string[] = ['server_error', 'temporarily_unavailable']

const SENTENCES = {
  provider_unknown: 'The provider of the tokens is not configured',
  provider_unavailable: 'The provider of the tokens could not be looked up',
  authentication_missing: 'The provider of the tokens has no option clientAuthentication, so none can be revoked',
  metadata_unavailable: 'The metadata of the provider, which say where tokens are revoked, could not be had',
  endpoint_unsafe: 'The revocation endpoint of the provider is not one that may be called',
  unreachable: 'The revocation endpoint of the provider could not be reached',
  late: 'The provider did not answer the revocation in time',
  closed:
    'The receiver was closed before the provider said that the token is revoked; a logout store that outlives the process keeps the debt, if it took it',
  refused: 'The provider refused the revocation',
  not_done: 'The provider did not say that the token is revoked',
  row_unreadable: 'Rows of sessions that ended could not be read in time; a refresh token in them was not revoked',
  given_up: 'The provider did not say for so long that a refresh token is revoked that it is not tried again',
  token_too_long: 'The refresh token is too long for the cookie of the way back, so it was not revoked',
} as const

/** `ERR_REVOCATION`. `cause` holds no words of the provider's. */
export function notRevoked(reason: keyof typeof SENTENCES, cause?: Error): LogoutError {
  const option = reason === 'authentication_missing' ? 'clientAuthentication' : undefined
  return new LogoutError('ERR_REVOCATION', SENTENCES[reason], { reason, cause, option })
}

const NAMES: OptionNames<TokensToRevoke> = { issuer: true, clientId: true, refreshToken: true, accessToken: true }

/** @throws TypeError for what names no token, or no client */
export function assertTokens(tokens: TokensToRevoke): void {
  assertOptions('revokeTokens()', tokens, NAMES)
  const { issuer, clientId, refreshToken, accessToken } = tokens
  const given = [refreshToken, accessToken].filter((token) => token !== undefined)
  if (isText(issuer) && isText(clientId) && given.length > 0 && given.every(isText)) return
  throw new TypeError('revokeTokens() needs issuer and clientId, and a refreshToken or an accessToken or both')
}

/**
 * Revokes what is given, each token once and the refresh token first. Says by an event what came of it. Never rejects.
 * `closing`: nobody waits from then on, and somebody else will try again.
 */
export type RevokeTokens = (tokens: TokensToRevoke, closing?: AbortSignal) => Promise<TokensRevoked>

export function tokenRevocation({
  provider,
  emit,
  clock,
  timeoutSeconds = TIMEOUT_SECONDS,
}: RevocationPorts): RevokeTokens {
  return async (tokens, closing) => {
    const { issuer, clientId, refreshToken, accessToken } = tokens
    const signal =
      closing === undefined ? AbortSignal.timeout(milliseconds(timeoutSeconds)) : timeoutOr(timeoutSeconds, closing)
    let error: LogoutError | undefined
    let retryAfterSeconds: number | undefined
    const noteRetryAfter = (headers: Headers) => {
      const asked = retryAfterSecondsIn(headers, clock())
      if (asked !== undefined) retryAfterSeconds = Math.max(asked, retryAfterSeconds ?? 0)
    }
    const attempt = async <T>(work: Promise<T>, reason: keyof typeof SENTENCES): Promise<T | undefined> => {
      try {
        return await unlessAborted(work, signal)
      } catch (cause) {
        const isKnown = cause instanceof LogoutError && cause.code === 'ERR_REVOCATION'
        const why = closing?.aborted ? 'closed' : signal.aborted ? 'late' : reason
        error ??= isKnown && why !== 'closed' ? cause : notRevoked(why, outline(cause))
        return undefined
      }
    }
    const revoke = await attempt(
      prepared({ issuer, clientId }, { provider, clock, signal, closing, noteRetryAfter }),
      'unreachable',
    )
    const outcomeOf = async (token: string | undefined, hint: string): Promise<RevocationOutcome | undefined> => {
      if (token === undefined) return undefined
      if (revoke === undefined) return 'failed'
      return (await attempt(revoke(token, hint), 'unreachable')) ?? 'failed'
    }
    const refresh = await outcomeOf(refreshToken, 'refresh_token')
    const access = await outcomeOf(accessToken, 'access_token')
    const worst = (['failed', 'unsupported'] as const).find((each) => refresh === each || access === each)
    if (error === undefined) {
      emit({ type: 'tokens-revoked', issuer, clientId, outcome: worst === undefined ? 'revoked' : 'unsupported' })
    } else {
      emit({ type: 'tokens-revoked', issuer, clientId, outcome: 'failed', error })
    }
    return {
      outcome: worst ?? 'revoked',
      ...(refresh !== undefined && { refreshToken: refresh }),
      ...(access !== undefined && { accessToken: access }),
      ...(error !== undefined && { error }),
      ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
    }
  }
}

interface Asking {
  readonly signal: AbortSignal
  readonly closing: AbortSignal | undefined
  /** Looks for `Retry-After` in an answer that says "not now". */
  readonly noteRetryAfter: (headers: Headers) => void
}

type Revoke = (token: string, hint: string) => Promise<RevocationOutcome>

/** All that one request needs, found once for both. */
async function prepared(
  { issuer, clientId }: Pick<TokensToRevoke, 'issuer' | 'clientId'>,
  {
    provider: providerOf,
    clock,
    signal,
    closing,
    noteRetryAfter,
  }: Pick<RevocationPorts, 'provider' | 'clock'> & Asking,
): Promise<Revoke> {
  const provider = await providerOf(issuer, clientId).catch((cause: unknown) => {
    throw notRevoked('provider_unavailable', outline(cause))
  })
  if (provider === undefined) throw notRevoked('provider_unknown')
  const { authentication, dangerouslyAllowHttp, fetch } = provider
  if (authentication === undefined) throw notRevoked('authentication_missing')
  const endpoint = await provider.revocationEndpoint(closing).catch((cause: unknown) => {
    throw notRevoked('metadata_unavailable', outline(cause))
  })
  if (endpoint === undefined) return async () => 'unsupported'
  if (!isSafeUrlOf(issuer, endpoint, dangerouslyAllowHttp)) throw notRevoked('endpoint_unsafe')
  const server = { issuer, revocation_endpoint: endpoint }
  const http = { signal, ...oauthTransport(fetch, dangerouslyAllowHttp) }
  return async (token, hint) => {
    const client = oauthClient(clientId, clock)
    const additionalParameters = { token_type_hint: hint }
    const options = { ...http, additionalParameters }
    return outcomeIn(
      await revocationRequest(server, client, authentication.authenticate, token, options),
      noteRetryAfter,
    )
  }
}

/** RFC 7009 2.2: the status says it, and what else there is of a 200 is not read. */
async function outcomeIn(response: Response, noteRetryAfter: Asking['noteRetryAfter']): Promise<RevocationOutcome> {
  const { status, headers } = response
  const isRefusal = status >= 400 && status < 500 && !NOT_NOW.includes(status)
  if (!isRefusal) {
    response.body?.cancel().catch(() => {})
    if (status === 200) return 'revoked'
    noteRetryAfter(headers)
    throw notRevoked('not_done', new Error(`status ${status}`))
  }
  const tooLarge = () => notRevoked('refused', new Error(`status ${status}`))
  const body = await collected(response.body ?? [], MAX_BODY_BYTES, tooLarge)
  const type = headers.get('content-type') ?? ''
  try {
    await processRevocationResponse(new Response(body, { status, headers: { 'content-type': type } }))
  } catch (error) {
    const said = error instanceof ResponseBodyError ? error.error : undefined
    // RFC 7009 2.2.1: not of this kind, at this provider; mostly access tokens that APIs verify by themselves.
    if (said === 'unsupported_token_type') return 'unsupported'
    if (said !== undefined && IN_TROUBLE.includes(said)) {
      noteRetryAfter(headers)
      throw notRevoked('not_done', new Error(`status ${status}`))
    }
  }
  throw notRevoked('refused', new Error(`status ${status}`))
}

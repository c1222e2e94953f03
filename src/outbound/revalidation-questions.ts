// How a provider is asked whether a session still stands: by its refresh token, by introspection, by UserInfo. What it answers is one
// of three: it lives, it has ended, nobody knows. Keeps nothing.
import {
  type Client,
  type ClientAuth,
  ClientSecretBasic,
  getValidatedIdTokenClaims,
  introspectionRequest,
  processIntrospectionResponse,
  processRefreshTokenResponse,
  processUserInfoResponse,
  ResponseBodyError,
  refreshTokenGrantRequest,
  skipSubjectCheck,
  userInfoRequest,
} from 'oauth4webapi'
import type { Fetch } from '../http/fetched-documents.js'
import { safeUrlOption } from '../http/safe-url.js'
import { oauthTransport } from '../providers/oauth-transport.js'

/**
 * What a question found. `away`: no answer that says anything; `retryAfterSeconds` where the provider named a time;
 * `asked: false` where there was nothing to ask with, which says nothing of the provider.
 */
export type RevalidationFinding =
  | { readonly found: 'live'; readonly refreshToken?: string | undefined; readonly accessToken?: string | undefined }
  | { readonly found: 'ended' }
  | {
      readonly found: 'away'
      readonly asked?: false | undefined
      readonly retryAfterSeconds?: number | undefined
      readonly cause?: unknown
    }

/** What a question is asked with. */
export interface RevalidationTokens {
  readonly refreshToken?: string | undefined
  readonly accessToken?: string | undefined
  /** Of the user who signed in: an answer about another is no answer. */
  readonly sub?: string | undefined
}

/** Asks once. Rejections count as `away`; so does what comes after the signal. */
export type RevalidationQuestion = (tokens: RevalidationTokens, signal: AbortSignal) => Promise<RevalidationFinding>

/** The endpoint of a question, and who asks. */
export interface RevalidationQuestionOptions {
  readonly issuer: string
  readonly clientId: string
  /** The endpoint's URL, as in the provider's metadata. */
  readonly endpoint: string
  /** Sent by `client_secret_basic`. */
  readonly clientSecret?: string
  /** Any other way, as a `ClientAuth` of oauth4webapi: `None()`, `PrivateKeyJwt(key)`. */
  readonly authenticate?: ClientAuth
  readonly fetch?: Fetch
  readonly dangerouslyAllowHttp?: boolean
}

/**
 * Redeems the refresh token: `invalid_grant` (RFC 6749 5.2) is the end of the session, whatever the provider's reason. Every other
 * error is ours or the provider's own trouble, and ends nobody.
 */
export function byRefreshToken(options: RevalidationQuestionOptions): RevalidationQuestion {
  const { server, client, authenticate, http } = asked(options, 'token_endpoint')
  return async ({ refreshToken, sub }, signal) => {
    if (refreshToken === undefined) return { found: 'away', asked: false }
    const response = await refreshTokenGrantRequest(server, client, authenticate, refreshToken, { ...http, signal })
    return understood(response, async () => {
      const answer = await processRefreshTokenResponse(server, client, response)
      const { access_token: accessToken, refresh_token: next } = answer
      const subject = getValidatedIdTokenClaims(answer)?.sub
      if (sub !== undefined && subject !== undefined && subject !== sub) return { found: 'ended' }
      return { found: 'live', refreshToken: next ?? refreshToken, accessToken }
    })
  }
}

/** Asks about the refresh token, or where there is none the access token (RFC 7662): `active: false` is the end of the session. */
export function byIntrospection(options: RevalidationQuestionOptions): RevalidationQuestion {
  const { server, client, authenticate, http } = asked(options, 'introspection_endpoint')
  return async ({ refreshToken, accessToken }, signal) => {
    const token = refreshToken ?? accessToken
    if (token === undefined) return { found: 'away', asked: false }
    const response = await introspectionRequest(server, client, authenticate, token, { ...http, signal })
    return understood(response, async () => {
      const { active } = await processIntrospectionResponse(server, client, response)
      return { found: active ? 'live' : 'ended' }
    })
  }
}

/**
 * Asks UserInfo with the access token: 401 is the end of the session, so the token must be one that lives longer than the pause
 * between two questions. An answer about another `sub` ends it as well (OpenID Connect Core 5.3.2).
 */
export function byUserInfo(options: RevalidationQuestionOptions): RevalidationQuestion {
  const { server, client, http } = asked({ ...options, authenticate: () => {} }, 'userinfo_endpoint')
  return async ({ accessToken, sub }, signal) => {
    if (accessToken === undefined || sub === undefined) return { found: 'away', asked: false }
    const response = await userInfoRequest(server, client, accessToken, { ...http, signal })
    if (response.status === 401) {
      await response.body?.cancel()
      return { found: 'ended' }
    }
    return understood(response, async () => {
      const claims = await processUserInfoResponse(server, client, skipSubjectCheck, response)
      return { found: claims.sub === sub ? 'live' : 'ended' }
    })
  }
}

async function understood(response: Response, read: () => Promise<RevalidationFinding>): Promise<RevalidationFinding> {
  const retryAfterSeconds = secondsIn(response.headers.get('retry-after'))
  try {
    return await read()
  } catch (cause) {
    if (cause instanceof ResponseBodyError && cause.status === 400 && cause.error === 'invalid_grant') {
      return { found: 'ended' }
    }
    return { found: 'away', retryAfterSeconds, cause }
  } finally {
    if (!response.bodyUsed) await response.body?.cancel()
  }
}

function secondsIn(header: string | null): number | undefined {
  return header !== null && /^\d{1,6}$/.test(header) ? Number(header) : undefined
}

function asked(
  options: RevalidationQuestionOptions,
  name: 'token_endpoint' | 'introspection_endpoint' | 'userinfo_endpoint',
) {
  const { issuer, clientId, clientSecret, fetch, dangerouslyAllowHttp = false } = options
  const endpoint = safeUrlOption('endpoint', options.endpoint, dangerouslyAllowHttp)
  const authenticate =
    options.authenticate ?? (clientSecret === undefined ? undefined : ClientSecretBasic(clientSecret))
  if (authenticate === undefined) throw new TypeError('a question needs clientSecret, or authenticate such as None()')
  const client: Client = { client_id: clientId }
  const http = oauthTransport(fetch, dangerouslyAllowHttp)
  return { server: { issuer, [name]: endpoint }, client, authenticate, http }
}

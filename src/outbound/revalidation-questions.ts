// How a provider is asked whether a session still stands: by its refresh token, by introspection, by UserInfo. What it
// answers is one of three: it lives, it has ended, nobody knows. Keeps nothing.
import {
  type ClientAuth,
  ClientSecretBasic,
  getValidatedIdTokenClaims,
  introspectionRequest,
  processIntrospectionResponse,
  processRefreshTokenResponse,
  processUserInfoResponse,
  refreshTokenGrantRequest,
  skipSubjectCheck,
  userInfoRequest,
} from 'oauth4webapi'
import type { Fetch } from '../http/fetched-documents.js'
import { NOT_NOW, retryAfterSecondsIn } from '../http/retry-after.js'
import { safeUrlOption } from '../http/safe-url.js'
import { isJsonObject } from '../json-object.js'
import { assertOptions, type OptionNames } from '../option-checks.js'
import { oauthClient, oauthTransport } from '../providers/oauth-transport.js'

/**
 * What a question found. `away`: no answer that says anything; `retryAfterSeconds` where the provider named a time;
 * `asked: false` where there was nothing to ask with, which says nothing of the provider; `answered` where the provider
 * is there, and will not say yes or no of this one session; `refusesClient` where it refuses whoever asks, whatever the
 * session; `mayBeSpent` where the refresh token was sent and no answer
 * came: a provider that changes it at each use may have done so, and refuses it from then on though the session lives.
 * `refreshToken`: the provider changed it all the same, and this one is good from then on.
 */
export type RevalidationFinding =
  | { readonly found: 'live'; readonly refreshToken?: string | undefined; readonly accessToken?: string | undefined }
  | { readonly found: 'ended' }
  | {
      readonly found: 'away'
      readonly asked?: false | undefined
      readonly answered?: true | undefined
      readonly refusesClient?: true | undefined
      readonly mayBeSpent?: boolean | undefined
      readonly refreshToken?: string | undefined
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
  /** Judges ID Tokens, dates client assertions. Epoch seconds. Default: the system clock. */
  readonly clock?: () => number
}

/**
 * Redeems the refresh token: `invalid_grant` (RFC 6749 5.2) is the end of the session, whatever the provider's reason;
 * unless the answer before it was lost. Every other error ends nobody.
 */
export function byRefreshToken(options: RevalidationQuestionOptions): RevalidationQuestion {
  const { server, clientNow, authenticate, http, clock } = asked(options, 'token_endpoint')
  return async ({ refreshToken, sub }, signal) => {
    if (refreshToken === undefined) return { found: 'away', asked: false }
    const client = clientNow()
    let response: Response
    try {
      response = await refreshTokenGrantRequest(server, client, authenticate, refreshToken, { ...http, signal })
    } catch (cause) {
      return { found: 'away', cause, mayBeSpent: true }
    }
    const finding = await understood(response, clock, async (): Promise<RevalidationFinding> => {
      const read = (answer: Response) => processRefreshTokenResponse(server, client, answer)
      const text = response.status === 200 ? withoutUnused(await response.text()) : undefined
      const anew = (body: string) => new Response(body, { headers: response.headers })
      try {
        const answer = await read(text === undefined ? response : anew(text))
        const subject = getValidatedIdTokenClaims(answer)?.sub
        if (sub !== undefined && subject !== undefined && subject !== sub) return { found: 'ended' }
        return { found: 'live', refreshToken: answer.refresh_token ?? refreshToken, accessToken: answer.access_token }
      } catch (cause) {
        if (text === undefined) throw cause
        // Whatever is wrong with the ID Token alone: the provider has changed the refresh token with this answer.
        const { id_token: idToken, ...rest } = JSON.parse(text)
        const answer = await read(anew(JSON.stringify(rest))).catch(() => Promise.reject(cause))
        const tokens = { refreshToken: answer.refresh_token ?? refreshToken, accessToken: answer.access_token }
        // One that is encrypted says nothing to who has no key, as none at all would.
        if (isEncrypted(idToken)) return { found: 'live', ...tokens }
        return { found: 'away', refreshToken: tokens.refreshToken, mayBeSpent: false, cause }
      }
    })
    const isRefusal = response.status >= 400 && response.status < 500
    return finding.found === 'away' ? { mayBeSpent: !isRefusal, ...finding } : finding
  }
}

/**
 * Asks about the refresh token, or where there is none the access token (RFC 7662): `active: false` is the end of the
 * session.
 */
export function byIntrospection(options: RevalidationQuestionOptions): RevalidationQuestion {
  const { server, clientNow, authenticate, http, clock } = asked(options, 'introspection_endpoint')
  return async ({ refreshToken, accessToken }, signal) => {
    const token = refreshToken ?? accessToken
    if (token === undefined) return { found: 'away', asked: false }
    const client = clientNow()
    const response = await introspectionRequest(server, client, authenticate, token, { ...http, signal })
    return understood(response, clock, async () => {
      const { active } = await processIntrospectionResponse(server, client, response)
      return { found: active ? 'live' : 'ended' }
    })
  }
}

/**
 * Asks UserInfo with the access token: 401 is the end of the session, so the token must be one that lives longer than
 * the pause between two questions. An answer about another `sub` ends it as well (OpenID Connect Core 5.3.2).
 */
export function byUserInfo(options: RevalidationQuestionOptions): RevalidationQuestion {
  const { server, clientNow, http, clock } = asked({ ...options, authenticate: () => {} }, 'userinfo_endpoint')
  return async ({ accessToken, sub }, signal) => {
    if (accessToken === undefined || sub === undefined) return { found: 'away', asked: false }
    const client = clientNow()
    const response = await userInfoRequest(server, client, accessToken, { ...http, signal })
    if (response.status === 401) {
      await response.body?.cancel()
      return { found: 'ended' }
    }
    return understood(response, clock, async () => {
      const claims = await processUserInfoResponse(server, client, skipSubjectCheck, response)
      return { found: claims.sub === sub ? 'live' : 'ended' }
    })
  }
}

async function understood(
  response: Response,
  clock: () => number,
  read: () => Promise<RevalidationFinding>,
): Promise<RevalidationFinding> {
  const retryAfterSeconds = retryAfterSecondsIn(response.headers, clock())
  const refusal = await refusalIn(response)
  // RFC 6749 5.2 says 400, and some say it with 401 or 403.
  if (refusal === 'invalid_grant') return { found: 'ended' }
  try {
    return await read()
  } catch (cause) {
    // One session of which the provider will not say anything is no reason to ask it about no other.
    const answered = refusal !== undefined && retryAfterSeconds === undefined && OF_ONE_REQUEST.includes(refusal)
    const refusesClient = refusal !== undefined && OF_THIS_CLIENT.includes(refusal)
    const about = { ...(answered && { answered }), ...(refusesClient && { refusesClient }) }
    return { found: 'away', retryAfterSeconds, ...about, cause }
  } finally {
    // One that was given up by its size rejects once more.
    if (!response.bodyUsed) await response.body?.cancel().catch(() => {})
  }
}

/**
 * What a provider refuses of one request (RFC 6749 5.2, RFC 6750 3.1), or of one user: some say by which rule at the
 * token endpoint as well (RFC 6749 4.1.2.1, OpenID Connect Core 3.1.2.6). The others there are of this client: each
 * session would hear the same. And what is not there may be the word of a gateway, or of a provider in trouble.
 */
const OF_ONE_REQUEST: readonly string[] = [
  ...['invalid_request', 'invalid_grant', 'invalid_scope'],
  ...['invalid_token', 'insufficient_scope'],
  ...['access_denied', 'login_required', 'interaction_required', 'consent_required', 'account_selection_required'],
]

/** What it refuses of every session alike (RFC 6749 5.2): the client is not who it says, or may not ask. */
const OF_THIS_CLIENT: readonly string[] = ['invalid_client', 'unauthorized_client', 'unsupported_grant_type']

/** The OAuth error of an answer that is one: in its body (RFC 6749 5.2), or in its challenge (RFC 6750 3). */
async function refusalIn(response: Response): Promise<string | undefined> {
  const { status, headers } = response
  if (status < 400 || status >= 500 || NOT_NOW.includes(status)) return undefined
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => undefined)
  if (isJsonObject(body) && typeof body.error === 'string') return body.error
  return /\berror="([^"]+)"/.exec(headers.get('www-authenticate') ?? '')?.[1]
}

/**
 * Of a token answer, what is made use of. A `token_type` that is missing, a `scope` or `id_token` that is `null` (RFC
 * 6749 5.1 has neither) says nothing of the session, and the refresh token beside it is good from then on.
 */
function withoutUnused(text: string): string {
  const answer: unknown = JSON.parse(text)
  if (!isJsonObject(answer)) return text
  const { access_token, refresh_token, id_token } = answer
  const given = Object.entries({ access_token, refresh_token, id_token }).filter(([, value]) => value !== null)
  return JSON.stringify({ ...Object.fromEntries(given), token_type: 'bearer' })
}

/** The five parts of a JWE (RFC 7516 7.1); of a JWS there are three. */
function isEncrypted(token: unknown): boolean {
  return typeof token === 'string' && token.split('.').length === 5
}

const NAMES: OptionNames<RevalidationQuestionOptions> = {
  issuer: true,
  clientId: true,
  endpoint: true,
  clientSecret: true,
  authenticate: true,
  fetch: true,
  dangerouslyAllowHttp: true,
  clock: true,
}

function asked(
  options: RevalidationQuestionOptions,
  name: 'token_endpoint' | 'introspection_endpoint' | 'userinfo_endpoint',
) {
  assertOptions('a question', options, NAMES)
  const { issuer, clientId, clientSecret, fetch, dangerouslyAllowHttp = false } = options
  const { clock = () => Date.now() / 1000 } = options
  const endpoint = safeUrlOption('endpoint', options.endpoint, dangerouslyAllowHttp)
  const authenticate =
    options.authenticate ?? (clientSecret === undefined ? undefined : ClientSecretBasic(clientSecret))
  if (authenticate === undefined) throw new TypeError('a question needs clientSecret, or authenticate such as None()')
  const http = oauthTransport(fetch, dangerouslyAllowHttp)
  return {
    server: { issuer, [name]: endpoint },
    clientNow: () => oauthClient(clientId, clock),
    authenticate,
    http,
    clock,
  }
}

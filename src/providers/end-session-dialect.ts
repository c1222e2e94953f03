// How a provider wants to be asked to end its own session: data for presets, and the request that follows from it.
// Pure.
import { safeUrlOption } from '../http/safe-url.js'
import { assertNumber, assertOptions, type OptionNames } from '../option-checks.js'

/** OpenID Connect RP-Initiated Logout 1.0 as a provider speaks it. Each default is the letter of the specification. */
export interface EndSessionDialect {
  /**
   * - `standard` (default): RP-Initiated Logout 1.0, at the `end_session_endpoint` of the metadata.
   * - `auth0-v2`: `/v2/logout` with `returnTo`, for tenants without that endpoint.
   * - `cognito`: `/logout` of the user pool's domain with `logout_uri`; name it by `endpoint`.
   * - `none`: the provider has no such thing. The local logout is complete, and the result says so.
   */
  readonly kind?: 'standard' | 'auth0-v2' | 'cognito' | 'none'
  /** Where to send the browser, if the metadata does not say. */
  readonly endpoint?: string
  /** Longest URL that the provider takes. Characters; default 2,000. A longer one is made shorter as `tooLong` says. */
  readonly maxUrlLength?: number
  /**
   * `post` (default): the browser posts a form. `logout-hint`: the ID Token stays here, and `logout_hint` takes its
   * place.
   */
  readonly tooLong?: 'post' | 'logout-hint'
  /**
   * What to do with an ID Token that has expired: `send` (default, section 4) or `drop`, where the provider refuses it.
   */
  readonly expiredHint?: 'send' | 'drop'
  /** The claim of the ID Token that the provider takes as `logout_hint`. */
  readonly logoutHintClaim?: 'sid' | 'login_hint'
  /** The parameter that asks the provider to go on to the identity provider behind it. */
  readonly upstreamParameter?: 'federated'
}

const MAX_URL_LENGTH = 2000

const NAMES: OptionNames<EndSessionDialect> = {
  kind: true,
  endpoint: true,
  maxUrlLength: true,
  tooLong: true,
  expiredHint: true,
  logoutHintClaim: true,
  upstreamParameter: true,
}

const KINDS: readonly unknown[] = [undefined, 'standard', 'auth0-v2', 'cognito', 'none']

/** The option `endSession` of a provider, checked. Throws a `TypeError` that names what is wrong. */
export function endSessionDialect(given: unknown, dangerouslyAllowHttp: boolean): EndSessionDialect {
  if (given === undefined) return {}
  assertOptions('provider option endSession', given, NAMES)
  const dialect: EndSessionDialect = Object.freeze({ ...Object(given) })
  const { kind, endpoint, maxUrlLength = MAX_URL_LENGTH } = dialect
  if (!KINDS.includes(kind)) {
    throw new TypeError('provider option endSession.kind must be standard, auth0-v2, cognito or none')
  }
  // A browser takes the ID Token there.
  if (endpoint !== undefined) safeUrlOption('provider option endSession.endpoint', endpoint, dangerouslyAllowHttp)
  if ((kind === 'cognito' || kind === 'auth0-v2') && endpoint === undefined) {
    throw new TypeError(
      `provider option endSession.kind ${kind} needs endSession.endpoint: the metadata do not have it`,
    )
  }
  assertNumber('provider option endSession.maxUrlLength', maxUrlLength, { least: 256 })
  return dialect
}

/** What to send, before it is known how. */
export interface EndSessionParameters {
  readonly endpoint: string
  readonly clientId: string
  readonly postLogoutRedirectUri: string
  readonly state: string
  readonly idTokenHint: string | undefined
  readonly logoutHint: string | undefined
  readonly upstream: boolean
}

/** Where the browser goes: by a redirect, or by a form where a URL would be too long. */
export interface EndSessionRequest {
  readonly url: string
  /** Present: the browser posts these fields to `url`. */
  readonly form?: Readonly<Record<string, string>> | undefined
}

/** Whether the provider hands `state` back. */
export function returnsState({ kind = 'standard' }: EndSessionDialect): boolean {
  return kind === 'standard'
}

/** The request in the provider's own words. The endpoint's own query is kept (section 2). */
export function endSessionRequest(dialect: EndSessionDialect, parameters: EndSessionParameters): EndSessionRequest {
  const { endpoint, clientId, postLogoutRedirectUri, state, idTokenHint, logoutHint } = parameters
  const upstream: Readonly<Record<string, string>> =
    parameters.upstream && dialect.upstreamParameter ? { [dialect.upstreamParameter]: '' } : {}
  switch (dialect.kind) {
    case 'auth0-v2':
      return { url: withQuery(endpoint, { client_id: clientId, returnTo: postLogoutRedirectUri, ...upstream }) }
    case 'cognito':
      return { url: withQuery(endpoint, { client_id: clientId, logout_uri: postLogoutRedirectUri }) }
    default: {
      const bare = {
        client_id: clientId,
        post_logout_redirect_uri: postLogoutRedirectUri,
        state,
        ...(logoutHint !== undefined && { logout_hint: logoutHint }),
        ...upstream,
      }
      if (idTokenHint === undefined) return { url: withQuery(endpoint, bare) }
      const whole = { id_token_hint: idTokenHint, ...bare }
      const url = withQuery(endpoint, whole)
      if (url.length <= (dialect.maxUrlLength ?? MAX_URL_LENGTH)) return { url }
      return dialect.tooLong === 'logout-hint' ? { url: withQuery(endpoint, bare) } : { url: endpoint, form: whole }
    }
  }
}

function withQuery(endpoint: string, parameters: Readonly<Record<string, string>>): string {
  const url = new URL(endpoint)
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
  return url.href
}

// RP-Initiated Logout 1.0: from a session that has ended here to the OP that ends its own, and back to a page of ours. Knows no
// framework, and ends nothing itself.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { LogoutError } from '../errors.js'
import {
  type EndSessionDialect,
  type EndSessionRequest,
  endSessionRequest,
  returnsState,
} from '../providers/end-session-dialect.js'
import type { RevokeTokens, TokensRevoked, TokensToRevoke } from './revoke-tokens.js'
import { type SealedValues, sealedValues } from './sealed-values.js'

/** How far a logout reaches: this application; the OP as well; the identity provider behind the OP as well. */
export type LogoutScope = 'local' | 'provider' | 'upstream'

/** Options of `rpInitiatedLogout`: where browsers may come back to, and what seals the rest. */
export interface EndSessionOptions {
  /**
   * Where the browser may come back to: a name of yours, and the URI exactly as it is registered at the OP
   * (`post_logout_redirect_uris`). Whatever is asked for by another name is refused.
   */
  readonly redirectUris: Readonly<Record<string, string>>
  /** Seals ID Token hints and the way back. 32 characters or more; a list, the newest first, to change it. */
  readonly secret: string | readonly string[]
}

/**
 * What a logout needs to know of a login later on: plain JSON for the session, made by `record`. The ID Token in it is sealed.
 * It names the issuer that signed the user in, so that no other provider is ever sent there.
 */
export interface EndSessionRecord {
  readonly issuer: string
  readonly clientId: string
  readonly hint?: string
  /** `exp` of the ID Token, epoch seconds. */
  readonly hintExpiresAt?: number
  readonly logoutHint?: string
  /** Sealed, for this issuer and client alone. It is revoked when the browser is back. */
  readonly refreshToken?: string
}

/** Tokens that a record keeps beside the ID Token. */
export interface RecordedTokens {
  /** Revoked at the provider (RFC 7009) when the browser is back from it. The provider needs the option `clientAuthentication`. */
  readonly refreshToken?: string | undefined
}

/** How one logout goes: where to, how far, and what the next sign-in asks for. */
export interface EndSessionStart {
  /** A name out of `redirectUris`. */
  readonly to: string
  /** Default `provider`. */
  readonly scope?: LogoutScope | undefined
  /** The next sign-in of this browser is asked for a password: see `EndSession.promptOnce`. */
  readonly askForPassword?: boolean
}

/** What became of the OP's session, for the page that the user sees. `unsupported`: the provider has no such endpoint. */
export type ProviderLogout = 'asked' | 'not-asked' | 'unsupported' | 'unreachable'

/** Where the browser goes now, and the cookie that it takes along. */
export interface EndSessionDeparture extends EndSessionRequest {
  readonly provider: ProviderLogout
  readonly upstream: 'asked' | 'not-asked' | 'unsupported'
  /** A whole `Set-Cookie` header. */
  readonly cookie: string
}

/** What the page learns about a browser that came back. It is logged out here, whatever this says. */
export interface EndSessionReturn {
  /**
   * - `matched`: the OP handed back the `state` of this very browser.
   * - `missing`, `changed`: it should have, and did not. Nothing else happens; the page may say that the OP's answer is not certain.
   * - `not-expected`: nobody of this browser was on the way, or the provider hands none back.
   */
  readonly state: 'matched' | 'missing' | 'changed' | 'not-expected'
  readonly provider: ProviderLogout
  readonly upstream: 'asked' | 'not-asked' | 'unsupported'
  /** Whole `Set-Cookie` headers: the way back can be gone once only. */
  readonly cookies: readonly string[]
  /**
   * The refresh token of the sign-on is being revoked; resolves to what came of it, and never rejects. No page need wait for it.
   * Where a process stops with its answer, hand it to `waitUntil`. Absent: none was kept.
   */
  readonly revocation?: Promise<TokensRevoked>
}

/** What a provider is known by here. */
export interface EndSessionProvider {
  readonly client: { readonly issuer: string; readonly clientId: string }
  readonly endSession: EndSessionDialect
  /** Whether this client can revoke its tokens. Default: false. */
  readonly canRevoke?: boolean
  /** `end_session_endpoint` of the metadata, if it has one. Rejects if the metadata cannot be had. */
  endpoint(): Promise<string | undefined>
}

export interface EndSessionPorts {
  /** The providers of an issuer; all that are configured, without one. */
  readonly providers: (issuer?: string) => Promise<readonly EndSessionProvider[]>
  readonly clock: () => number
  readonly revocation?: RevocationOnReturn
}

/** What becomes of the refresh token in a record. */
export interface RevocationOnReturn {
  readonly revoke: RevokeTokens
  /** It does not fit into the cookie of the way back. */
  readonly tooLong: (client: { readonly issuer: string; readonly clientId: string }) => void
}

/** What travels in the browser's cookie, sealed. */
interface OnTheWay {
  readonly state?: string
  readonly provider: ProviderLogout
  readonly upstream: EndSessionReturn['upstream']
  readonly expiresAt: number
}

/** The sealed text: the way, and what outlives it. */
interface Travelling extends Partial<OnTheWay> {
  readonly askForPassword?: boolean
  /** To be revoked on return, and not before: revoked first, Keycloak keeps notices of the logout from being sent. */
  readonly revoke?: TokensToRevoke | undefined
}

const ON_THE_WAY_SECONDS = 600
const ASK_FOR_PASSWORD_SECONDS = 3600
const STATE_BYTES = 32
const HINT = 'id_token_hint'
const WAY = 'logout on its way'
/** Browsers drop a cookie that is longer. Bytes, its attributes included. */
const LONGEST_COOKIE = 4096

/** Sealed so that no change of a record sends the token to another provider. */
const refreshTokenOf = ({ issuer, clientId }: Pick<EndSessionRecord, 'issuer' | 'clientId'>) =>
  JSON.stringify(['refresh_token', issuer, clientId])

export class EndSessions {
  readonly #redirectUris: ReadonlyMap<string, string>
  readonly #sealed: SealedValues
  readonly #ports: EndSessionPorts
  readonly #cookieName: string
  readonly #attributes: string

  /** @throws TypeError for options that cannot be meant */
  constructor({ redirectUris, secret }: EndSessionOptions, ports: EndSessionPorts) {
    this.#redirectUris = checkedRedirectUris(redirectUris)
    this.#sealed = sealedValues(typeof secret === 'string' ? [secret] : secret, 'endSession: secret')
    this.#ports = ports
    // Browsers keep cookies per host, not per port: two applications on one host must not overwrite each other's.
    const uris = [...this.#redirectUris.values()]
    this.#cookieName = `oidc_logout_${createHash('sha256').update(uris.join(' ')).digest('hex').slice(0, 8)}`
    const isSecure = uris.every((uri) => uri.startsWith('https:'))
    this.#attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? '; Secure' : ''}`
  }

  /** Origins of the application's own pages. */
  get origins(): readonly string[] {
    return [...this.#redirectUris.values()].map((uri) => new URL(uri).origin)
  }

  /** Whether this is the name of a place to come back to. */
  knows(to: unknown): boolean {
    return typeof to === 'string' && this.#redirectUris.has(to)
  }

  async record(
    claims: Readonly<Record<string, unknown>> | undefined,
    idToken: string | undefined,
    before: EndSessionRecord | undefined,
    { refreshToken }: RecordedTokens = {},
  ): Promise<EndSessionRecord | undefined> {
    const issuer = claims?.iss
    if (typeof issuer !== 'string') return before
    const audiences: readonly unknown[] = [claims?.aud].flat()
    const provider = (await this.#ports.providers(issuer)).find(({ client }) => audiences.includes(client.clientId))
    if (provider === undefined) return before
    if (refreshToken !== undefined && provider.canRevoke !== true) {
      throw new TypeError(
        'record() has a refreshToken, which nobody can revoke: give the provider the option clientAuthentication',
      )
    }
    const { clientId } = provider.client
    const isSame = before?.issuer === issuer && before.clientId === clientId
    const { logoutHintClaim } = provider.endSession
    const logoutHint = logoutHintClaim === undefined ? undefined : claims?.[logoutHintClaim]
    return {
      issuer,
      clientId,
      ...(isSame && before),
      ...(idToken !== undefined && { hint: this.#sealed.seal(HINT, idToken) }),
      ...(idToken !== undefined && typeof claims?.exp === 'number' && { hintExpiresAt: claims.exp }),
      ...(typeof logoutHint === 'string' && { logoutHint }),
      ...(refreshToken !== undefined && {
        refreshToken: this.#sealed.seal(refreshTokenOf({ issuer, clientId }), refreshToken),
      }),
    }
  }

  async start(
    record: EndSessionRecord | undefined,
    { to, scope = 'provider', askForPassword = false }: EndSessionStart,
  ): Promise<EndSessionDeparture> {
    const back = this.#redirectUris.get(to)
    if (back === undefined) {
      throw new LogoutError('ERR_REQUEST', 'The logout names a place to come back to that is not configured', {
        reason: 'redirect_unknown',
      })
    }
    const state = randomBytes(STATE_BYTES).toString('base64url')
    const asked = scope === 'local' ? undefined : await this.#ask(record, back, state, scope === 'upstream')
    const departure = asked ?? {
      url: back,
      provider: 'not-asked' as const,
      upstream: 'not-asked' as const,
      hasState: false,
    }
    const { hasState, ...way } = departure
    const seconds = this.#ports.clock() + ON_THE_WAY_SECONDS
    const { provider, upstream } = way
    const onTheWay: OnTheWay = { ...(hasState && { state }), provider, upstream, expiresAt: seconds }
    const maxAgeSeconds = askForPassword ? ASK_FOR_PASSWORD_SECONDS : ON_THE_WAY_SECONDS
    const cookieWith = (revoke?: TokensToRevoke) =>
      this.#cookie(this.#seal({ ...onTheWay, askForPassword, revoke }), maxAgeSeconds)
    const tokens = this.#tokensOf(record)
    const cookie = cookieWith(tokens)
    if (tokens === undefined || cookie.length <= LONGEST_COOKIE) return { ...way, cookie }
    this.#ports.revocation?.tooLong(tokens)
    return { ...way, cookie: cookieWith() }
  }

  #seal(travelling: Travelling): string {
    return this.#sealed.seal(WAY, JSON.stringify(travelling))
  }

  #tokensOf(record: EndSessionRecord | undefined): TokensToRevoke | undefined {
    if (record?.refreshToken === undefined) return undefined
    const { issuer, clientId } = record
    const refreshToken = this.#sealed.open(refreshTokenOf(record), record.refreshToken)
    return refreshToken === undefined ? undefined : { issuer, clientId, refreshToken }
  }

  async #ask(record: EndSessionRecord | undefined, back: string, state: string, wantsUpstream: boolean) {
    const provider = await this.#providerOf(record)
    const nowhere = { url: back, upstream: 'not-asked' as const, hasState: false }
    if (provider === undefined) return { ...nowhere, provider: 'not-asked' as const }
    const dialect = provider.endSession
    if (dialect.kind === 'none') return { ...nowhere, provider: 'unsupported' as const }
    let endpoint: string | undefined
    try {
      endpoint = dialect.endpoint ?? (await provider.endpoint())
    } catch {
      return { ...nowhere, provider: 'unreachable' as const }
    }
    if (endpoint === undefined) return { ...nowhere, provider: 'unsupported' as const }
    const { clientId } = provider.client
    const request = endSessionRequest(dialect, {
      endpoint,
      clientId,
      postLogoutRedirectUri: back,
      state,
      idTokenHint: this.#hintOf(record, dialect),
      logoutHint: record?.logoutHint,
      upstream: wantsUpstream,
    })
    const upstream = !wantsUpstream ? 'not-asked' : dialect.upstreamParameter ? 'asked' : 'unsupported'
    return {
      ...request,
      provider: 'asked' as const,
      upstream: upstream as EndSessionReturn['upstream'],
      hasState: returnsState(dialect),
    }
  }

  /** The record names it. Without one there is no doubt only where a single provider is configured. */
  async #providerOf(record: EndSessionRecord | undefined): Promise<EndSessionProvider | undefined> {
    if (record === undefined) {
      const [only, another] = await this.#ports.providers()
      return another === undefined ? only : undefined
    }
    const found = await this.#ports.providers(record.issuer)
    return found.find(({ client }) => client.clientId === record.clientId)
  }

  #hintOf(record: EndSessionRecord | undefined, { expiredHint = 'send' }: EndSessionDialect): string | undefined {
    const isExpired = record?.hintExpiresAt !== undefined && record.hintExpiresAt <= this.#ports.clock()
    if (isExpired && expiredHint === 'drop') return undefined
    return this.#sealed.open(HINT, record?.hint)
  }

  returned(cookieHeader: string | undefined, state: string | null): EndSessionReturn {
    const { way, askForPassword, revoke } = this.#onTheWay(cookieHeader)
    const cookies = [
      askForPassword ? this.#cookie(this.#seal({ askForPassword }), ASK_FOR_PASSWORD_SECONDS) : this.#cookie('', 0),
    ]
    const revocation = revoke && this.#ports.revocation?.revoke(revoke)
    const back = { cookies, ...(revocation !== undefined && { revocation }) }
    if (way === undefined) return { state: 'not-expected', provider: 'not-asked', upstream: 'not-asked', ...back }
    const { provider, upstream } = way
    return { state: compared(way.state, state), provider, upstream, ...back }
  }

  /** Whether the sign-in that begins now must ask for the password, and the cookie that forgets it. */
  promptOnce(cookieHeader: string | undefined): {
    readonly prompt: 'login' | undefined
    readonly cookie: string | undefined
  } {
    const { askForPassword, revoke } = this.#onTheWay(cookieHeader)
    // The browser never came to the landing page, and what it was to bring there goes with the cookie.
    if (askForPassword && revoke) void this.#ports.revocation?.revoke(revoke)
    return askForPassword ? { prompt: 'login', cookie: this.#cookie('', 0) } : { prompt: undefined, cookie: undefined }
  }

  #onTheWay(cookieHeader: string | undefined): {
    readonly way: OnTheWay | undefined
    readonly askForPassword: boolean
    readonly revoke?: TokensToRevoke | undefined
  } {
    const text = this.#sealed.open(WAY, cookieValue(cookieHeader, this.#cookieName))
    if (text === undefined) return { way: undefined, askForPassword: false }
    const { askForPassword, revoke, ...way }: Travelling = JSON.parse(text)
    const { provider, upstream, expiresAt } = way
    const isLive =
      provider !== undefined && upstream !== undefined && expiresAt !== undefined && expiresAt > this.#ports.clock()
    return {
      way: isLive ? { provider, upstream, expiresAt, ...(way.state !== undefined && { state: way.state }) } : undefined,
      askForPassword: askForPassword === true,
      revoke,
    }
  }

  #cookie(value: string, maxAgeSeconds: number): string {
    return `${this.#cookieName}=${value}; ${this.#attributes}; Max-Age=${maxAgeSeconds}`
  }
}

function compared(expected: string | undefined, state: string | null): EndSessionReturn['state'] {
  if (expected === undefined) return 'not-expected'
  if (state === null || state === '') return 'missing'
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(expected), digest(state)) ? 'matched' : 'changed'
}

function cookieValue(header: string | undefined, name: string): string | undefined {
  for (const pair of header?.split(';') ?? []) {
    const [key, value] = pair.split('=', 2)
    if (key?.trim() === name) return value?.trim()
  }
  return undefined
}

function checkedRedirectUris(given: Readonly<Record<string, string>> | undefined): ReadonlyMap<string, string> {
  const uris = new Map(Object.entries(given ?? {}))
  if (uris.size === 0) {
    throw new TypeError(
      "endSession: redirectUris needs a name and a URI, e.g. { 'logged-out': 'https://app.example.com/logged-out' }",
    )
  }
  for (const [name, uri] of uris) {
    const url = typeof uri === 'string' && URL.canParse(uri) ? new URL(uri) : undefined
    if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.username || url.password || url.hash) {
      throw new TypeError(
        `endSession: redirectUris.${name} must be the whole http or https URI as it is registered at the OP, without a fragment`,
      )
    }
  }
  return uris
}

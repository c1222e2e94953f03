// RP-Initiated Logout 1.0: from a session that has ended here to the OP that ends its own, and back to a page of ours.
// Knows no framework, and ends nothing itself.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { LogoutError } from '../errors.js'
import { assertOptions, type OptionNames } from '../option-checks.js'
import {
  type EndSessionDialect,
  type EndSessionRequest,
  endSessionRequest,
  returnsState,
} from '../providers/end-session-dialect.js'
import { LogoutCookie, type PendingLogout, type ProviderLogout } from './logout-cookie.js'
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
  /**
   * Where the record is in a row of the session store: `(session) => session.logout`. With it, refresh tokens are
   * revoked (RFC 7009) also where the provider or an administrator ends the session, as the `policy` of the provider
   * says. It may return a promise. Whatever it returns is checked; what it throws counts as none.
   */
  readonly recordIn?: ((session: Readonly<Record<string, unknown>>) => unknown) | undefined
  /**
   * How long after such a logout its refresh token is revoked: while the provider is still telling others of a logout,
   * a revocation makes some (Keycloak) stop. Seconds; default 5, at most 300.
   */
  readonly revokeAfterSeconds?: number | undefined
}

/**
 * What a logout needs to know of a login later on: plain JSON for the session, made by `record`. The ID Token in it is
 * sealed. It names the issuer that signed the user in, so that no other provider is ever sent there.
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
  /** The refresh token was granted with `offline_access`. */
  readonly offlineAccess?: boolean
}

/** Tokens that a record keeps beside the ID Token. */
export interface RecordedTokens {
  /**
   * Revoked at the provider (RFC 7009) when the browser is back from it. The provider needs the option
   * `clientAuthentication`.
   */
  readonly refreshToken?: string | undefined
  /**
   * The `scope` that was granted: of the token response, or as it was asked for where the response has none. With
   * `offline_access` in it, a logout that the provider or an administrator begins keeps the refresh token, unless the
   * policy of the provider says otherwise. Default: that of the record before; else none.
   */
  readonly scope?: string | undefined
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
   * - `missing`, `changed`: it should have, and did not. Nothing else happens; the page may say that the OP's answer is
   *   not certain.
   * - `not-expected`: nobody of this browser was on the way, or the provider hands none back.
   */
  readonly state: 'matched' | 'missing' | 'changed' | 'not-expected'
  readonly provider: ProviderLogout
  readonly upstream: 'asked' | 'not-asked' | 'unsupported'
  /** Whole `Set-Cookie` headers: the way back can be gone once only. */
  readonly cookies: readonly string[]
  /**
   * The refresh token of the sign-on is being revoked; resolves to what came of it, and never rejects. No page need
   * wait for it. Where a process stops with its answer, hand it to `waitUntil`. Absent: none was kept.
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

const ON_THE_WAY_SECONDS = 600
const ASK_FOR_PASSWORD_SECONDS = 3600
const STATE_BYTES = 32

const START_NAMES: OptionNames<EndSessionStart> = { to: true, scope: true, askForPassword: true }

type ClientOfRecord = Pick<EndSessionRecord, 'issuer' | 'clientId'>

/** Sealed so that no change of a record sends a token to another provider. */
const refreshTokenOf = ({ issuer, clientId }: ClientOfRecord) => JSON.stringify(['refresh_token', issuer, clientId])
const hintOf = ({ issuer, clientId }: ClientOfRecord) => JSON.stringify(['id_token_hint', issuer, clientId])

export class EndSessions {
  readonly #redirectUris: ReadonlyMap<string, string>
  readonly #sealed: SealedValues
  readonly #ports: EndSessionPorts
  readonly #cookie: LogoutCookie

  /** @throws TypeError for options that cannot be meant */
  constructor({ redirectUris, secret }: EndSessionOptions, ports: EndSessionPorts) {
    this.#redirectUris = checkedRedirectUris(redirectUris)
    this.#sealed = sealedValues(typeof secret === 'string' ? [secret] : secret, 'endSession: secret')
    this.#ports = ports
    this.#cookie = new LogoutCookie(this.#sealed, [...this.#redirectUris.values()], ports.clock)
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
    { refreshToken, scope }: RecordedTokens = {},
  ): Promise<EndSessionRecord | undefined> {
    // A refresh without an ID Token has no claims (OpenID Connect Core 12.2), and may have rotated the refresh token.
    const issuer = claims === undefined ? before?.issuer : claims.iss
    if (typeof issuer !== 'string') return before
    const audiences: readonly unknown[] = [claims === undefined ? before?.clientId : claims.aud].flat()
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
      ...(claims !== undefined &&
        idToken !== undefined && {
          hint: this.#sealed.seal(hintOf({ issuer, clientId }), idToken),
        }),
      ...(idToken !== undefined && typeof claims?.exp === 'number' && { hintExpiresAt: claims.exp }),
      ...(typeof logoutHint === 'string' && { logoutHint }),
      ...(refreshToken !== undefined && {
        refreshToken: this.#sealed.seal(refreshTokenOf({ issuer, clientId }), refreshToken),
      }),
      ...(scope !== undefined && { offlineAccess: scope.split(' ').includes('offline_access') }),
    }
  }

  /** `cookieHeader`: of the request. What an earlier logout of the browser has left to do is not forgotten then. */
  async start(
    record: EndSessionRecord | undefined,
    start: EndSessionStart,
    cookieHeader?: string,
  ): Promise<EndSessionDeparture> {
    assertOptions('start', start, START_NAMES)
    const { to, scope = 'provider', askForPassword = false } = start
    const back = this.#redirectUris.get(to)
    if (back === undefined) {
      throw new LogoutError('ERR_REQUEST', 'The logout names a place to come back to that is not configured', {
        reason: 'redirect_unknown',
      })
    }
    const earlier = this.#cookie.read(cookieHeader)
    const own = this.tokensOf(record)
    // Begun once more, the session being gone already: the way that was begun then is now this one. In a later session
    // it is over: the browser never came to the landing page.
    const revoke = record === undefined ? earlier.revoke : own === undefined ? [] : [own]
    if (record !== undefined) this.#revoke(earlier.revoke.filter((each) => each.refreshToken !== own?.refreshToken))
    const client = record === undefined ? earlier.client : { issuer: record.issuer, clientId: record.clientId }
    const state = randomBytes(STATE_BYTES).toString('base64url')
    const asked = scope === 'local' ? undefined : await this.#ask(record ?? client, back, state, scope === 'upstream')
    const departure = asked ?? {
      url: back,
      provider: 'not-asked' as const,
      upstream: 'not-asked' as const,
      hasState: false,
    }
    const { hasState, ...way } = departure
    const seconds = this.#ports.clock() + ON_THE_WAY_SECONDS
    const { provider, upstream } = way
    const pending: PendingLogout = { ...(hasState && { state }), provider, upstream, expiresAt: seconds }
    const asksForPassword = askForPassword || earlier.askForPassword
    const maxAgeSeconds = asksForPassword ? ASK_FOR_PASSWORD_SECONDS : ON_THE_WAY_SECONDS
    const content = { ...pending, askForPassword: asksForPassword, client }
    const cookie = this.#cookie.header({ ...content, revoke }, maxAgeSeconds)
    if (cookie !== undefined) return { ...way, cookie }
    for (const each of revoke) this.#ports.revocation?.tooLong(each)
    return { ...way, cookie: this.#cookie.header(content, maxAgeSeconds) ?? this.#cookie.cleared }
  }

  #revoke(tokens: readonly TokensToRevoke[]): readonly Promise<TokensRevoked>[] {
    return tokens.flatMap((each) => this.#ports.revocation?.revoke(each) ?? [])
  }

  /** The token that a record keeps, opened; `undefined` where it has none, or none that was sealed here. */
  tokensOf(record: EndSessionRecord | undefined): TokensToRevoke | undefined {
    if (record?.refreshToken === undefined) return undefined
    const { issuer, clientId } = record
    const refreshToken = this.#sealed.open(refreshTokenOf(record), record.refreshToken)
    return refreshToken === undefined ? undefined : { issuer, clientId, refreshToken }
  }

  async #ask(record: EndSessionRecord | undefined, back: string, state: string, wantsUpstream: boolean) {
    const nowhere = { url: back, upstream: 'not-asked' as const, hasState: false }
    let provider: EndSessionProvider | undefined
    try {
      provider = await this.#providerOf(record)
    } catch {
      return { ...nowhere, provider: 'unreachable' as const }
    }
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
    return record && this.#sealed.open(hintOf(record), record.hint)
  }

  returned(cookieHeader: string | undefined, state: string | null): EndSessionReturn {
    const { ways, askForPassword, revoke } = this.#cookie.read(cookieHeader)
    const stillAsks = askForPassword ? this.#cookie.header({ askForPassword }, ASK_FOR_PASSWORD_SECONDS) : undefined
    const revocations = this.#revoke(revoke)
    const back = {
      cookies: [stillAsks ?? this.#cookie.cleared],
      ...(revocations.length > 0 && { revocation: Promise.all(revocations).then(worstOf) }),
    }
    const way = ways.find((each) => compared(each.state, state) === 'matched') ?? ways[0]
    if (way === undefined) return { state: 'not-expected', provider: 'not-asked', upstream: 'not-asked', ...back }
    const { provider, upstream } = way
    return { state: compared(way.state, state), provider, upstream, ...back }
  }

  /** Whether the sign-in that begins now must ask for the password, and the cookie that forgets it. */
  promptOnce(cookieHeader: string | undefined): {
    readonly prompt: 'login' | undefined
    readonly cookie: string | undefined
  } {
    const { askForPassword, revoke } = this.#cookie.read(cookieHeader)
    if (!askForPassword) return { prompt: undefined, cookie: undefined }
    // The browser never came to the landing page, and what it was to bring there goes with the cookie.
    this.#revoke(revoke)
    return { prompt: 'login', cookie: this.#cookie.cleared }
  }
}

/** There is one, as a rule. Of several a failure is told before a success. */
function worstOf(all: readonly TokensRevoked[]): TokensRevoked {
  const [first = { outcome: 'revoked' as const }] = all
  return all.find(({ outcome }) => outcome === 'failed') ?? all.find(({ outcome }) => outcome !== 'revoked') ?? first
}

function compared(expected: string | undefined, state: string | null): EndSessionReturn['state'] {
  if (expected === undefined) return 'not-expected'
  if (state === null || state === '') return 'missing'
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(expected), digest(state)) ? 'matched' : 'changed'
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

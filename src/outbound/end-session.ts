// RP-Initiated Logout 1.0: from a session that has ended here to the OP that ends its own, and back to a page of ours.
// Knows no framework, and ends nothing itself.
import { randomBytes } from 'node:crypto'
import { LogoutError } from '../errors.js'
import { shortHash } from '../http/cookies.js'
import { fitsHeader } from '../http/safe-url.js'
import { assertOptions, type OptionNames } from '../option-checks.js'
import {
  type EndSessionDialect,
  type EndSessionRequest,
  endSessionRequest,
  returnsState,
} from '../providers/end-session-dialect.js'
import { type HeldLogouts, LogoutCookies, type LogoutCookiesContent, ON_THE_WAY_SECONDS } from './logout-cookies.js'
import { cameBack, type PendingLogout, type ProviderLogout, settled, withoutToken } from './pending-logouts.js'
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

/** Where the browser goes now, and the cookies that it takes along. */
export interface EndSessionDeparture extends EndSessionRequest {
  readonly provider: ProviderLogout
  readonly upstream: 'asked' | 'not-asked' | 'unsupported'
  /** Whole `Set-Cookie` headers. */
  readonly cookies: readonly string[]
}

/** What the page learns about a browser that came back. It is logged out here, whatever this says. */
export interface EndSessionReturn {
  /**
   * - `matched`: the OP handed back the `state` of this very browser.
   * - `missing`, `changed`: it should have, and did not. Nothing else happens, since anybody can send a browser here:
   *   whoever is still at the OP is expected back. The page may say that the OP's answer is not certain.
   * - `not-expected`: nobody of this browser was on the way, or the provider hands none back.
   */
  readonly state: 'matched' | 'missing' | 'changed' | 'not-expected'
  readonly provider: ProviderLogout
  readonly upstream: 'asked' | 'not-asked' | 'unsupported'
  /** Whole `Set-Cookie` headers: the way back can be gone once only. None where nobody is back. */
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
  readonly #cookies: LogoutCookies

  /** @throws TypeError for options that cannot be meant */
  constructor({ redirectUris, secret }: EndSessionOptions, ports: EndSessionPorts) {
    this.#redirectUris = checkedRedirectUris(redirectUris)
    this.#sealed = sealedValues(typeof secret === 'string' ? [secret] : secret, 'endSession: secret')
    this.#ports = ports
    this.#cookies = new LogoutCookies(this.#sealed, [...this.#redirectUris.values()])
  }

  /** Origins of the application's own pages. */
  get origins(): readonly string[] {
    return [...this.#redirectUris.values()].map((uri) => new URL(uri).origin)
  }

  /** Whether these are all served over TLS. */
  get isSecure(): boolean {
    return this.#cookies.isSecure
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

  /** `cookieHeader`: of the request. What earlier logouts of the browser have left to do is not forgotten then. */
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
    const earlier = this.#cookies.read(cookieHeader)
    const own = this.tokensOf(record)
    // Begun once more, be it that the session is gone already or at the same moment: another way back from one logout.
    const again = earlier.logouts.findLast((each) => record === undefined || (own !== undefined && isOf(each, own)))
    const client = record === undefined ? again?.client : { issuer: record.issuer, clientId: record.clientId }
    const state = randomBytes(STATE_BYTES).toString('base64url')
    const asked = scope === 'local' ? undefined : await this.#ask(record ?? client, back, state, scope === 'upstream')
    const departure = asked ?? {
      url: back,
      provider: 'not-asked' as const,
      upstream: 'not-asked' as const,
      hasState: false,
    }
    const { hasState, ...way } = departure
    const { provider, upstream } = way
    const expiresAt = this.#ports.clock() + ON_THE_WAY_SECONDS
    const wayBack = { id: shortHash(state), ...(hasState && { state }), provider, upstream, expiresAt }
    const refreshToken = own?.refreshToken ?? again?.refreshToken
    const id = again?.id ?? shortHash(own === undefined ? state : JSON.stringify(own))
    const logout: PendingLogout = { id, client, refreshToken, ways: [...(again?.ways ?? []), wayBack] }
    const { due, rest } = settled(
      earlier.logouts.filter((each) => each !== again),
      this.#ports.clock(),
    )
    this.#revoke(due)
    const logouts = [...rest, ...settled([logout], this.#ports.clock()).rest]
    const isAsked = askForPassword || earlier.askForPassword
    return { ...way, cookies: this.#kept(earlier, { logouts, askForPassword: isAsked }) }
  }

  /** The cookies; no token is forgotten for which they have no room. */
  #kept(before: HeldLogouts, content: LogoutCookiesContent): readonly string[] {
    const { cookies, crowdedOut, tooLong } = this.#cookies.packed(before, content)
    this.#revoke(crowdedOut)
    if (tooLong?.client !== undefined) this.#ports.revocation?.tooLong(tooLong.client)
    return cookies
  }

  #revoke(logouts: readonly PendingLogout[]): readonly Promise<TokensRevoked>[] {
    const tokens = new Map<string, TokensToRevoke>()
    for (const { client, refreshToken } of logouts) {
      if (client === undefined || refreshToken === undefined) continue
      tokens.set(JSON.stringify([client, refreshToken]), { ...client, refreshToken })
    }
    return [...tokens.values()].flatMap((each) => this.#ports.revocation?.revoke(each) ?? [])
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

  returned(cookieHeader: string | undefined, given: string | null): EndSessionReturn {
    const before = this.#cookies.read(cookieHeader)
    const { logouts, askForPassword } = before
    const { state, way, due, rest } = cameBack(logouts, given, this.#ports.clock())
    const { provider, upstream } = way ?? { provider: 'not-asked' as const, upstream: 'not-asked' as const }
    const isNobodyBack = state === 'missing' || state === 'changed'
    const revocations = this.#revoke(due)
    return {
      ...{ state, provider, upstream },
      cookies: isNobodyBack && due.length === 0 ? [] : this.#kept(before, { logouts: rest, askForPassword }),
      ...(revocations.length > 0 && { revocation: Promise.all(revocations).then(worstOf) }),
    }
  }

  /** Whether the sign-in that begins now must ask for the password, and the cookies that forget it. */
  promptOnce(cookieHeader: string | undefined): {
    readonly prompt: 'login' | undefined
    readonly cookies: readonly string[]
  } {
    const before = this.#cookies.read(cookieHeader)
    const { logouts, askForPassword } = before
    const { due, rest } = settled(logouts, this.#ports.clock())
    if (!askForPassword && due.length === 0) return { prompt: undefined, cookies: [] }
    // A browser that is asked went on without the landing page. Should a tab of it come there still, it is known.
    this.#revoke(askForPassword ? [...due, ...rest] : due)
    const left = askForPassword ? rest.map(withoutToken) : rest
    const cookies = this.#kept(before, { logouts: left, askForPassword: false })
    return { prompt: askForPassword ? 'login' : undefined, cookies }
  }
}

/** There is one, as a rule. Of several a failure is told before a success. */
function worstOf(all: readonly TokensRevoked[]): TokensRevoked {
  const [first = { outcome: 'revoked' as const }] = all
  return all.find(({ outcome }) => outcome === 'failed') ?? all.find(({ outcome }) => outcome !== 'revoked') ?? first
}

function isOf({ client, refreshToken }: PendingLogout, own: TokensToRevoke): boolean {
  return client?.issuer === own.issuer && client.clientId === own.clientId && refreshToken === own.refreshToken
}

function checkedRedirectUris(given: Readonly<Record<string, string>> | undefined): ReadonlyMap<string, string> {
  const uris = new Map(Object.entries(given ?? {}))
  if (uris.size === 0) {
    throw new TypeError(
      "endSession: redirectUris needs a name and a URI, e.g. { 'logged-out': 'https://app.example.com/logged-out' }",
    )
  }
  for (const [name, uri] of uris) {
    if (typeof uri === 'string' && !fitsHeader(uri)) {
      throw new TypeError(
        `endSession: redirectUris.${name} has characters that no header can carry: write it percent-encoded, as it is registered at the OP`,
      )
    }
    const url = typeof uri === 'string' && URL.canParse(uri) ? new URL(uri) : undefined
    if (url === undefined || !['http:', 'https:'].includes(url.protocol) || url.username || url.password || url.hash) {
      throw new TypeError(
        `endSession: redirectUris.${name} must be the whole http or https URI as it is registered at the OP, without a fragment`,
      )
    }
  }
  return uris
}

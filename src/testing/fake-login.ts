// The half of the fake OP that signs people in: authorization code with PKCE, tokens, UserInfo, introspection,
// revocation and end session (OpenID Connect Core 3.1, RFC 7636, 7662, 7009, RP-Initiated Logout 1.0). Asks nobody for
// a password.
import { createHash, randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'

/** A browser that is signed in at the OP. */
export interface OpSession {
  readonly sub: string
  readonly sid: string
}

/** What an ID Token is about to say; a test may say something else in its place. */
export type IdTokenMaker = (claims: Readonly<Record<string, unknown>>) => Promise<string>

export interface FakeLoginOptions {
  readonly issuer: string
  /** Path of the issuer without a slash at its end. */
  readonly base: string
  readonly clientId: string
  /** Absent: whatever the client says of itself is believed. */
  readonly clientSecret: string | undefined
  /** Who comes without being signed in at the OP is this user. */
  readonly defaultSub: string
  /** False: the `sid` of Logout Tokens is in no ID Token. */
  readonly sidInIdToken: boolean
  /** Epoch seconds. */
  readonly now: () => number
  readonly signIdToken: IdTokenMaker
  /** The OP's session is over: its Logout Token is due. */
  readonly sessionEnded: (session: OpSession) => Promise<void>
}

interface Session extends OpSession {
  /** The ID Tokens are dated so long ago. */
  readonly secondsAgo: number
}

interface Grant {
  readonly session: Session
  readonly redirectUri: string
  readonly scope: string
  readonly nonce: string | undefined
  readonly challenge: string | undefined
}

interface Token {
  readonly kind: 'access' | 'refresh'
  readonly session: Session
  readonly scope: string
  readonly expiresAt: number
}

/** A refusal as OAuth writes it (RFC 6749 5.2). */
class OAuthError extends Error {
  readonly error: string
  readonly status: number

  constructor(error: string, status = 400) {
    super(error)
    this.error = error
    this.status = status
  }
}

const ACCESS_TOKEN_SECONDS = 3600
const REFRESH_TOKEN_SECONDS = 86_400

/** What the OP has seen of the login so far: where a sign-in ended that did not work. */
export type LoginStep = 'authorize' | 'token' | 'userinfo' | 'introspect' | 'revoke' | 'logout'

export class FakeLogin {
  readonly seen: Record<LoginStep, number> = {
    authorize: 0,
    token: 0,
    userinfo: 0,
    introspect: 0,
    revoke: 0,
    logout: 0,
  }
  readonly cookieName: string
  readonly #options: FakeLoginOptions
  readonly #sessions = new Map<string, Session>()
  readonly #grants = new Map<string, Grant>()
  readonly #tokens = new Map<string, Token>()
  #duringNextLogin: ((session: OpSession) => Promise<void>) | undefined
  #nextIdToken: IdTokenMaker | undefined

  constructor(options: FakeLoginOptions) {
    this.#options = options
    this.cookieName = `fake_op_${new URL(options.issuer).port}`
  }

  /** Paths of the metadata (OpenID Connect Discovery 3). */
  metadata(): Readonly<Record<string, unknown>> {
    const at = (path: string) => new URL(`${this.#options.base}${path}`, this.#options.issuer).href
    return {
      authorization_endpoint: at('/authorize'),
      token_endpoint: at('/token'),
      userinfo_endpoint: at('/userinfo'),
      introspection_endpoint: at('/introspect'),
      revocation_endpoint: at('/revoke'),
      end_session_endpoint: at('/logout'),
      scopes_supported: ['openid', 'profile', 'email', 'offline_access'],
      response_modes_supported: ['query'],
      grant_types_supported: ['authorization_code', 'refresh_token'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none'],
      authorization_response_iss_parameter_supported: true,
    }
  }

  /** A browser that presents the returned cookie is signed in at the OP. */
  signIn(
    sub: string,
    { secondsAgo = 0, sid = randomUUID() }: { readonly secondsAgo?: number; readonly sid?: string } = {},
  ): { readonly cookie: string; readonly session: OpSession } {
    const id = randomUUID()
    this.#sessions.set(id, { sub, sid, secondsAgo })
    return { cookie: `${this.cookieName}=${id}`, session: { sub, sid } }
  }

  /** Ends the OP's sessions that match, with the tokens issued in them. Nobody is told. */
  forget(matches: (session: OpSession) => boolean): readonly OpSession[] {
    const ended = [...this.#sessions].filter(([, session]) => matches(session))
    for (const [id] of ended) this.#sessions.delete(id)
    for (const [value, token] of this.#tokens) if (matches(token.session)) this.#tokens.delete(value)
    return ended.map(([, session]) => session)
  }

  /** Runs once, after the next authorization code was presented and before its tokens are given. */
  duringNextLogin(act: (session: OpSession) => Promise<void>): void {
    this.#duringNextLogin = act
  }

  /** The next ID Token of a login is what this makes of its claims. */
  nextIdToken(make: IdTokenMaker): void {
    this.#nextIdToken = make
  }

  /** Answers if the path is one of the login's; resolves to whether it was. */
  async handle(req: IncomingMessage, res: ServerResponse, url: URL): Promise<boolean> {
    const { base } = this.#options
    const step = url.pathname.startsWith(`${base}/`) ? url.pathname.slice(base.length + 1) : ''
    if (!isStep(step)) return false
    this.seen[step] += 1
    const form = new URLSearchParams(req.method === 'POST' ? await text(req) : '')
    for (const [name, value] of url.searchParams) if (!form.has(name)) form.append(name, value)
    try {
      await this[step](req, res, form)
    } catch (error) {
      if (!(error instanceof OAuthError)) throw error
      answerJson(res, { error: error.error }, error.status)
    }
    return true
  }

  private async authorize(req: IncomingMessage, res: ServerResponse, form: URLSearchParams): Promise<void> {
    const redirectUri = form.get('redirect_uri')
    if (form.get('client_id') !== this.#options.clientId) throw new OAuthError('unauthorized_client')
    if (redirectUri === null || !URL.canParse(redirectUri)) throw new OAuthError('invalid_request')
    const answer = (parameters: Readonly<Record<string, string>>) => {
      const target = new URL(redirectUri)
      const state = form.get('state')
      const all = { ...parameters, iss: this.#options.issuer, ...(state !== null && { state }) }
      for (const [name, value] of Object.entries(all)) target.searchParams.set(name, value)
      res.writeHead(303, { location: target.href }).end()
    }
    if (form.get('response_type') !== 'code') return answer({ error: 'unsupported_response_type' })
    const method = form.get('code_challenge_method') ?? 'plain'
    if (form.has('code_challenge') && method !== 'S256') return answer({ error: 'invalid_request' })
    const known = this.#sessionOf(req)
    if (known === undefined && form.get('prompt') === 'none') return answer({ error: 'login_required' })
    let session = known
    if (session === undefined || form.get('prompt') === 'login') {
      const signedIn = this.signIn(form.get('login_hint') ?? session?.sub ?? this.#options.defaultSub)
      session = { ...signedIn.session, secondsAgo: 0 }
      res.setHeader('set-cookie', `${signedIn.cookie}; Path=/; HttpOnly; SameSite=Lax`)
    }
    const code = randomUUID()
    this.#grants.set(code, {
      session,
      redirectUri,
      scope: form.get('scope') ?? '',
      nonce: form.get('nonce') ?? undefined,
      challenge: form.get('code_challenge') ?? undefined,
    })
    answer({ code })
  }

  private async token(req: IncomingMessage, res: ServerResponse, form: URLSearchParams): Promise<void> {
    this.#authenticate(req, form)
    const grantType = form.get('grant_type')
    if (grantType === 'refresh_token') {
      const old = this.#take(form.get('refresh_token') ?? '', 'refresh')
      return answerJson(res, await this.#tokensOf(old, undefined, this.#options.signIdToken))
    }
    if (grantType !== 'authorization_code') throw new OAuthError('unsupported_grant_type')
    const code = form.get('code') ?? ''
    const grant = this.#grants.get(code)
    // A code is good once, whatever comes of it (RFC 6749 4.1.2).
    this.#grants.delete(code)
    if (grant === undefined || form.get('redirect_uri') !== grant.redirectUri) throw new OAuthError('invalid_grant')
    if (grant.challenge !== undefined) {
      const verifier = form.get('code_verifier') ?? ''
      const challenge = createHash('sha256').update(verifier).digest('base64url')
      if (challenge !== grant.challenge) throw new OAuthError('invalid_grant')
    }
    const act = this.#duringNextLogin
    const make = this.#nextIdToken ?? this.#options.signIdToken
    this.#duringNextLogin = undefined
    this.#nextIdToken = undefined
    await act?.(grant.session)
    answerJson(res, await this.#tokensOf(grant, grant.nonce, make))
  }

  private async userinfo(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const token = this.#tokens.get(bearerOf(req))
    if (token?.kind !== 'access') throw new OAuthError('invalid_token', 401)
    answerJson(res, profileOf(token.session.sub))
  }

  private async introspect(req: IncomingMessage, res: ServerResponse, form: URLSearchParams): Promise<void> {
    this.#authenticate(req, form)
    const token = this.#tokens.get(form.get('token') ?? '')
    const { issuer, clientId, now } = this.#options
    if (token === undefined || token.expiresAt <= now()) return answerJson(res, { active: false })
    const { session, scope, expiresAt } = token
    const about = { iss: issuer, client_id: clientId, sub: session.sub, sid: session.sid, scope, token_type: 'Bearer' }
    answerJson(res, { active: true, ...about, exp: expiresAt, iat: expiresAt - ACCESS_TOKEN_SECONDS })
  }

  /** RFC 7009 2.2: also of a token that is not there, 200. */
  private async revoke(req: IncomingMessage, res: ServerResponse, form: URLSearchParams): Promise<void> {
    this.#authenticate(req, form)
    this.#tokens.delete(form.get('token') ?? '')
    res.writeHead(200).end()
  }

  private async logout(req: IncomingMessage, res: ServerResponse, form: URLSearchParams): Promise<void> {
    const hint = sidIn(form.get('id_token_hint') ?? '') ?? this.#sessionOf(req)?.sid
    const ended = hint === undefined ? [] : this.forget(({ sid }) => sid === hint)
    for (const session of ended) await this.#options.sessionEnded(session)
    const target = form.get('post_logout_redirect_uri')
    if (target === null || !URL.canParse(target)) {
      res.writeHead(200, { 'content-type': 'text/plain' }).end('You are logged out')
      return
    }
    const location = new URL(target)
    const state = form.get('state')
    if (state !== null) location.searchParams.set('state', state)
    res.writeHead(303, { location: location.href }).end()
  }

  async #tokensOf({ session, scope }: Pick<Grant, 'session' | 'scope'>, nonce: string | undefined, make: IdTokenMaker) {
    const { clientId, issuer, sidInIdToken, now } = this.#options
    const iat = Math.floor(now()) - session.secondsAgo
    const claims = {
      ...{ iss: issuer, aud: clientId, sub: session.sub, iat, auth_time: iat, exp: iat + ACCESS_TOKEN_SECONDS },
      ...(sidInIdToken && { sid: session.sid }),
      ...(nonce !== undefined && { nonce }),
    }
    return {
      access_token: this.#issue('access', session, scope, ACCESS_TOKEN_SECONDS),
      refresh_token: this.#issue('refresh', session, scope, REFRESH_TOKEN_SECONDS),
      id_token: await make(claims),
      token_type: 'Bearer',
      expires_in: ACCESS_TOKEN_SECONDS,
      scope,
    }
  }

  #issue(kind: Token['kind'], session: Session, scope: string, lifetimeSeconds: number): string {
    const value = randomUUID()
    this.#tokens.set(value, { kind, session, scope, expiresAt: Math.floor(this.#options.now()) + lifetimeSeconds })
    return value
  }

  #take(value: string, kind: Token['kind']): Token {
    const token = this.#tokens.get(value)
    if (token?.kind !== kind) throw new OAuthError('invalid_grant')
    this.#tokens.delete(value)
    return token
  }

  #sessionOf(req: IncomingMessage): Session | undefined {
    const cookies = (req.headers.cookie ?? '').split(';').map((each) => each.trim())
    const own = cookies.find((each) => each.startsWith(`${this.cookieName}=`))
    return own === undefined ? undefined : this.#sessions.get(own.slice(this.cookieName.length + 1))
  }

  #authenticate(req: IncomingMessage, form: URLSearchParams): void {
    const { clientId, clientSecret } = this.#options
    const basic = /^Basic (.+)$/i.exec(req.headers.authorization ?? '')?.[1]
    const [name, secret] = basic === undefined ? [] : Buffer.from(basic, 'base64').toString().split(':')
    const decoded = (value: string | undefined) => value && decodeURIComponent(value.replaceAll('+', ' '))
    const id = decoded(name) ?? form.get('client_id') ?? undefined
    const given = decoded(secret) ?? form.get('client_secret') ?? undefined
    // A client assertion may come without a client id; it is believed where no secret is registered.
    if (id !== undefined && id !== clientId) throw new OAuthError('invalid_client', 401)
    if (clientSecret !== undefined && given !== clientSecret) throw new OAuthError('invalid_client', 401)
  }
}

function isStep(step: string): step is LoginStep {
  return ['authorize', 'token', 'userinfo', 'introspect', 'revoke', 'logout'].includes(step)
}

function profileOf(sub: string) {
  return { sub, name: sub, preferred_username: sub, email: `${sub}@example.com` }
}

function bearerOf(req: IncomingMessage): string {
  return /^Bearer (.+)$/i.exec(req.headers.authorization ?? '')?.[1] ?? ''
}

/** Unverified: whoever asks ends a session of a test. */
function sidIn(idToken: string): string | undefined {
  try {
    const { sid } = JSON.parse(Buffer.from(idToken.split('.')[1] ?? '', 'base64url').toString())
    return typeof sid === 'string' ? sid : undefined
  } catch {
    return undefined
  }
}

function answerJson(res: ServerResponse, body: object, status = 200): void {
  res.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store' }).end(JSON.stringify(body))
}

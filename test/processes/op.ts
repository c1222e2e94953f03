// A real OpenID Provider (oidc-provider) whose access tokens outlive the logout, and which tells when a Relying Party
// confirmed one.
import { randomBytes } from 'node:crypto'
import { decodeJwt } from 'jose'
import type { ClientMetadata, Configuration } from 'oidc-provider'
import { createProvider, listen } from '../servers/oidc-provider.js'
import { Browser } from '../stacks/browser.js'
import type { Login } from './rp.js'

export const RP = { clientId: 'rp', clientSecret: randomBytes(32).toString('base64url') }
export const API = { clientId: 'api', clientSecret: randomBytes(32).toString('base64url') }

export interface OpLogin extends Login {
  readonly sub: string
  readonly accessToken: string
  readonly idToken: string
  readonly browser: Browser
}

export interface Op {
  readonly issuer: string
  /** From now on the OP knows its clients. */
  open(backchannelLogoutUri: string): Promise<void>
  /** How often it was asked about a token. */
  readonly introspections: () => number
  /** The answers of the Relying Party to its Logout Tokens, and when they were there (`performance.now()`). */
  readonly answers: readonly { readonly status: number; readonly at: number }[]
  signIn(sub: string): Promise<OpLogin>
  /** As a user who says yes to "log out everywhere". */
  signOut(login: OpLogin): Promise<void>
  /** What the OP itself says of a token. */
  isActive(accessToken: string): Promise<boolean>
  close(): Promise<void>
}

export async function startOp(): Promise<Op> {
  const { server, issuer, close } = await listen()
  const redirectUri = `${issuer}/landed`
  const answers: { status: number; at: number }[] = []
  let introspections = 0
  let nextUser = ''

  const post = async (path: string, { clientId, clientSecret }: typeof RP, form: Record<string, string>) => {
    const authorization = `Basic ${Buffer.from(`${clientId}:${clientSecret}`).toString('base64')}`
    const answer = await fetch(issuer + path, {
      method: 'POST',
      headers: { authorization },
      body: new URLSearchParams(form),
    })
    const said: Record<string, unknown> = Object(await answer.json())
    return said
  }
  return {
    issuer,
    answers,
    introspections: () => introspections,
    async open(backchannelLogoutUri) {
      const clients: ClientMetadata[] = [
        {
          client_id: RP.clientId,
          client_secret: RP.clientSecret,
          redirect_uris: [redirectUri],
          backchannel_logout_uri: backchannelLogoutUri,
          backchannel_logout_session_required: true,
        },
        {
          client_id: API.clientId,
          client_secret: API.clientSecret,
          redirect_uris: [],
          response_types: [],
          grant_types: [],
        },
      ]
      const provider = await createProvider(issuer, configuration(clients, answers))
      const protocol = provider.callback()
      server.on('request', (req, res) => {
        if (req.url?.startsWith('/landed')) return void res.end()
        if (req.url === '/token/introspection') introspections++
        if (!req.url?.startsWith('/interaction/')) return void protocol(req, res)
        provider.interactionFinished(req, res, { login: { accountId: nextUser } }).catch(() => res.destroy())
      })
    },
    async signIn(sub) {
      nextUser = sub
      const browser = new Browser()
      const query = new URLSearchParams({
        client_id: RP.clientId,
        response_type: 'code',
        scope: 'openid',
        redirect_uri: redirectUri,
      })
      const { url } = await browser.get(`${issuer}/auth?${query}`)
      const code = new URL(url).searchParams.get('code') ?? ''
      const tokens = await post('/token', RP, { grant_type: 'authorization_code', code, redirect_uri: redirectUri })
      const idToken = String(tokens.id_token)
      return { sub, browser, idToken, claims: decodeJwt(idToken), accessToken: String(tokens.access_token) }
    },
    async signOut({ browser, idToken }) {
      const page = await browser.get(`${issuer}/session/end?id_token_hint=${idToken}`)
      const xsrf = /name="xsrf" value="([^"]+)"/.exec(page.text)?.[1] ?? ''
      await browser.post(`${issuer}/session/end/confirm`, { xsrf, logout: 'yes' })
    },
    async isActive(token) {
      return (await post('/token/introspection', API, { token })).active === true
    },
    close,
  }
}

function configuration(clients: ClientMetadata[], answers: { status: number; at: number }[]): Configuration {
  return {
    clients,
    features: { introspection: { enabled: true, allowedPolicy: (_ctx, client) => client.clientId === API.clientId } },
    // So that nothing but the logout at the API can end them.
    expiresWithSession: () => false,
    // oidc-provider does not call loopback addresses, by the dispatcher that it passes here.
    async fetch(url, { dispatcher: _, ...init }: RequestInit & { dispatcher?: unknown } = {}) {
      const answer = await fetch(url, init)
      answers.push({ status: answer.status, at: performance.now() })
      return answer
    },
  }
}

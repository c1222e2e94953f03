// The demo's OpenID Provider: a real oidc-provider with three users and one-click login. Keeps everything in memory.
import { randomBytes } from 'node:crypto'
import express, { type Express } from 'express'
import type { Configuration, KoaContextWithOIDC, Provider } from 'oidc-provider'
import { createSigningKey, type SigningKey } from './op-key.js'
import { OpMemory, type OpSession } from './op-memory.js'
import { loginPage, logoutSource, postLogoutSuccessSource, renderError, USERS } from './op-pages.js'

const SESSION_COOKIE = 'op_session'
const RECEIVER_PATH = '/backchannel-logout'
const HOUR_SECONDS = 3600

export interface OpClient {
  readonly clientId: string
  readonly clientSecret: string
  readonly name: string
  /** Origin of the RP; its paths are those of `relying-party.ts`. */
  readonly baseUrl: string
  /** Origins of its further nodes, if it has several: Logout Tokens go to one after the other. */
  readonly moreNodes?: readonly string[] | undefined
  /** Further origins by which browsers reach the same nodes: for them only redirect URIs are registered. */
  readonly otherNames?: readonly string[] | undefined
}

/** An API: it may ask about access tokens, and nobody signs in there. */
export type OpApi = Pick<OpClient, 'clientId' | 'clientSecret' | 'name'>

export type OpEvent =
  | { readonly type: 'signed-in'; readonly sub: string; readonly clientId: string }
  /** `baseUrl`: the node of the client that gets the Logout Token. */
  | { readonly type: 'sending'; readonly clientId: string; readonly baseUrl: string }
  /** An API asked about an access token. */
  | { readonly type: 'introspected'; readonly clientId: string }
  /**
   * `refusedBy`: clients that did not answer 200 in time; as far as the OP knows, the user is still signed in there.
   */
  | {
      readonly type: 'logged-out'
      readonly sub: string | undefined
      readonly confirmedBy: readonly string[]
      readonly refusedBy: readonly string[]
    }

export interface OpOptions {
  /** Where this OP is reached, e.g. `http://127.0.0.1:3001`. */
  readonly issuer: string
  readonly onEvent?: ((event: OpEvent) => void) | undefined
  /** Makes the POST of a Logout Token to a client, instead of `fetch`. */
  readonly deliver?: Deliver | undefined
}

/** `url`: the receiver of the node whose turn it is. */
export type Deliver = (clientId: string, url: string, init: RequestInit) => Promise<Response>

export interface Op {
  readonly app: Express
  /** Adds a client, as an administrator of an OP does. */
  register(client: OpClient): Promise<void>
  registerApi(api: OpApi): Promise<void>
  /** Everybody who is signed in, one entry per browser. */
  sessions(): OpSession[]
  /** The session of the browser that sent this `Cookie` header. */
  sessionOf(cookieHeader: string | undefined): OpSession | undefined
  /** Claims signed by this OP's own key, whatever they say: what a trial needs that no sound OP would send. */
  readonly sign: SigningKey['sign']
  /** Of that key. */
  readonly kid: string
}

interface Receivers {
  readonly clientId: string
  /** Origins, the next one first. */
  readonly nodes: readonly string[]
}

type Client = KoaContextWithOIDC['oidc']['client'] & object

/** An OP with fresh keys, no clients and nobody signed in. */
export async function createOp(options: OpOptions): Promise<Op> {
  const { issuer, onEvent = () => {}, deliver = (_clientId, url, init) => fetch(url, init) } = options
  const memory = new OpMemory()
  const receivers = new Map<string, Receivers>()
  /** As a load balancer in front of the nodes would: each Logout Token to the next one. */
  const send: Hooks['send'] = (url, init) => {
    const { clientId, nodes } = receivers.get(url) ?? { nodes: [] }
    const [next, ...others] = nodes
    if (clientId === undefined || next === undefined) return fetch(url, init)
    receivers.set(url, { clientId, nodes: [...others, next] })
    onEvent({ type: 'sending', clientId, baseUrl: next })
    return deliver(clientId, next + RECEIVER_PATH, init)
  }
  const mayIntrospect = (client: Client) => {
    const isApi = (client.redirectUris ?? []).length === 0
    if (isApi) onEvent({ type: 'introspected', clientId: client.clientId })
    return isApi
  }
  const OidcProvider = await loadProvider()
  const key = await createSigningKey()
  const provider = new OidcProvider(issuer, configuration(memory, key, { send, mayIntrospect }))
  reportEvents(provider, onEvent)

  return {
    app: loginApp(provider),
    register: async (client) => {
      const metadata = clientMetadata(client)
      const nodes = [client.baseUrl, ...(client.moreNodes ?? [])]
      receivers.set(metadata.backchannel_logout_uri, { clientId: client.clientId, nodes })
      await memory.adapter('Client').upsert(client.clientId, metadata)
    },
    registerApi: ({ clientId, clientSecret, name }) =>
      memory.adapter('Client').upsert(clientId, {
        client_id: clientId,
        client_secret: clientSecret,
        client_name: name,
        ...{ redirect_uris: [], response_types: [], grant_types: [] },
      }),
    sessions: () => memory.sessions(),
    sessionOf: (cookieHeader) => {
      const value = cookieHeader?.match(new RegExp(`(?:^|; )${SESSION_COOKIE}=([^;]+)`))?.[1]
      return value === undefined ? undefined : memory.sessionByCookie(value)
    },
    kid: key.kid,
    sign: key.sign,
  }
}

/** What to register at an OP for the RP of this example. */
function clientMetadata({ clientId, clientSecret, name, baseUrl, moreNodes = [], otherNames = [] }: OpClient) {
  const origins = [baseUrl, ...moreNodes, ...otherNames]
  return {
    client_id: clientId,
    client_secret: clientSecret,
    client_name: name,
    redirect_uris: origins.map((origin) => `${origin}/callback`),
    post_logout_redirect_uris: origins.map((origin) => `${origin}/logged-out`),
    backchannel_logout_uri: baseUrl + RECEIVER_PATH,
    // Without it neither ID Token nor Logout Token has a `sid`, and one browser's logout would end them all.
    backchannel_logout_session_required: true,
  }
}

interface Hooks {
  readonly send: (url: string, init: RequestInit) => Promise<Response>
  readonly mayIntrospect: (client: Client) => boolean
}

function configuration(memory: OpMemory, key: SigningKey, { send, mayIntrospect }: Hooks): Configuration {
  return {
    adapter: memory.adapter,
    jwks: { keys: [key.jwk] },
    // Browsers keep cookies per host, not per port: all apps of this demo share one jar, so each has its own names.
    cookies: {
      names: { session: SESSION_COOKIE, interaction: 'op_interaction', resume: 'op_resume' },
      keys: [randomBytes(32).toString('base64url')],
    },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      introspection: { enabled: true, allowedPolicy: (_ctx, client) => mayIntrospect(client) },
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, sub) => (USERS.has(sub) ? { accountId: sub, claims: () => ({ sub }) } : undefined),
    loadExistingGrant: grantEverything,
    scopes: ['openid', 'orders'],
    // Access tokens outlive the logout here, as they do at many OPs: so one sees that it is the API which ends them.
    expiresWithSession: () => false,
    pkce: { required: () => true },
    // oidc-provider refuses to call loopback addresses, by the dispatcher that it passes here; in this demo every RP
    // has one.
    fetch: (input, init) => send(String(input), withoutDispatcher(init)),
    clientBasedCORS: () => false,
    renderError,
    ttl: {
      AccessToken: HOUR_SECONDS,
      AuthorizationCode: 60,
      Grant: 8 * HOUR_SECONDS,
      IdToken: HOUR_SECONDS,
      Interaction: HOUR_SECONDS,
      Session: 8 * HOUR_SECONDS,
    },
  }
}

function withoutDispatcher(init: RequestInit = {}): RequestInit {
  const plain: RequestInit & { dispatcher?: unknown } = { ...init }
  delete plain.dispatcher
  return plain
}

/** Consent without a question: everything that a client of this demo asks for is granted. */
async function grantEverything({ oidc }: KoaContextWithOIDC) {
  const { client, session, account, params, provider } = oidc
  if (!client || !account) return undefined
  const grantId = session?.grantIdFor(client.clientId)
  const existing = grantId === undefined ? undefined : await provider.Grant.find(grantId)
  const grant = existing ?? new provider.Grant({ clientId: client.clientId, accountId: account.accountId })
  grant.addOIDCScope(String(params?.scope ?? 'openid'))
  await grant.save()
  return grant
}

function reportEvents(provider: Provider, onEvent: (event: OpEvent) => void): void {
  const answers = new WeakMap<object, { readonly confirmedBy: string[]; readonly refusedBy: string[] }>()
  const answersTo = (ctx: object) => {
    const known = answers.get(ctx) ?? { confirmedBy: [], refusedBy: [] }
    answers.set(ctx, known)
    return known
  }
  provider.on('authorization.success', ({ oidc }) => {
    const sub = oidc.session?.accountId
    if (oidc.client && sub !== undefined) onEvent({ type: 'signed-in', sub, clientId: oidc.client.clientId })
  })
  provider.on('backchannel.success', (ctx, client) => answersTo(ctx).confirmedBy.push(client.clientId))
  provider.on('backchannel.error', (ctx, _error, client) => answersTo(ctx).refusedBy.push(client.clientId))
  provider.on('end_session.success', (ctx) => {
    onEvent({ type: 'logged-out', sub: ctx.oidc.session?.accountId, ...answersTo(ctx) })
  })
}

function loginApp(provider: Provider): Express {
  const app = express()
  app.disable('x-powered-by')
  app.get('/interaction/:uid', async (req, res) => {
    const { params } = await provider.interactionDetails(req, res)
    const client = await provider.Client.find(String(params.client_id))
    res.set('Cache-Control', 'no-store').send(loginPage(client?.clientName ?? 'an application'))
  })
  app.post('/interaction/:uid', express.urlencoded({ extended: false }), async (req, res) => {
    const accountId = String(req.body?.sub)
    const result = USERS.has(accountId) ? { login: { accountId } } : { error: 'access_denied' }
    await provider.interactionFinished(req, res, result)
  })
  app.use(provider.callback())
  return app
}

/**
 * On Node 20 oidc-provider says once, while it loads, that it prefers Node 22. It runs on 20 and our tests run it
 * there, so this one line is left out, and no other.
 */
async function loadProvider(): Promise<typeof Provider> {
  const warn = console.warn
  console.warn = (...said: unknown[]) => {
    if (!String(said[0]).includes('Unsupported runtime')) warn(...said)
  }
  try {
    return (await import('oidc-provider')).Provider
  } finally {
    console.warn = warn
  }
}

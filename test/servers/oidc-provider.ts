// What every real OpenID Provider of the tests needs: a port of its own, no pages in between, and silence. Its clients
// and what it tells about its logouts are those of the tests that start it.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { Configuration, KoaContextWithOIDC, Provider } from 'oidc-provider'

export interface Listening {
  readonly server: Server
  readonly issuer: string
  close(): Promise<void>
}

/** A server that answers nothing yet: the issuer identifier is known before the provider is made. */
export async function listen(): Promise<Listening> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    server,
    issuer: `http://127.0.0.1:${address.port}`,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** Signs in without asking, says yes to every logout, and calls loopback addresses. */
function configuration({ features, ...rest }: Configuration): Configuration {
  return {
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
      ...features,
    },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    loadExistingGrant: grantEverything,
    pkce: { required: () => false },
    // oidc-provider does not call loopback addresses, by the dispatcher that it passes here.
    fetch: (url, { dispatcher: _, ...init }: RequestInit & { dispatcher?: unknown } = {}) => fetch(url, init),
    ttl: { Session: 3600, Grant: 3600, Interaction: 600, AccessToken: 600, IdToken: 600 },
    ...rest,
  }
}

/** Without its remarks on Node 20 and on keys and memory for development, which are what these tests run with. */
export async function createProvider(issuer: string, options: Configuration): Promise<Provider> {
  // Loaded once: of two at a time, the second would take the silence of the first for what is to be restored.
  loaded ??= load()
  const { Provider } = await loaded
  const restore = silence()
  try {
    return new Provider(issuer, configuration(options))
  } finally {
    restore()
  }
}

let loaded: Promise<typeof import('oidc-provider')> | undefined

function load(): Promise<typeof import('oidc-provider')> {
  const restore = silence()
  return import('oidc-provider').finally(restore)
}

/** The console prints nothing until what is returned is called. */
function silence(): () => void {
  const { warn, info } = console
  Object.assign(console, { warn() {}, info() {} })
  return () => void Object.assign(console, { warn, info })
}

function logoutSource(ctx: KoaContextWithOIDC, form: string): void {
  ctx.body = `${form}<button form="op.logoutForm" name="logout" value="yes">Yes, log out</button>`
}

function postLogoutSuccessSource(ctx: KoaContextWithOIDC): void {
  ctx.body = 'logged out'
}

async function grantEverything({ oidc }: KoaContextWithOIDC) {
  const { client, account, params, provider } = oidc
  if (!client || !account) return undefined
  const grant = new provider.Grant({ clientId: client.clientId, accountId: account.accountId })
  grant.addOIDCScope(String(params?.scope ?? 'openid'))
  await grant.save()
  return grant
}

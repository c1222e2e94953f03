// A real OpenID Provider (oidc-provider) for the recipes' logins: signs in whom the test says, without a page in between. Not the
// example's, because passport-openidconnect knows no PKCE.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { ClientAuthMethod, Configuration, KoaContextWithOIDC } from 'oidc-provider'

export const CLIENT_ID = 'recipe'
export const CLIENT_SECRET = randomBytes(32).toString('base64url')

export interface Op {
  readonly issuer: string
  /** Who signs in next; `sub`. */
  nextUser: string
  /** How the RP answered each Logout Token. */
  readonly deliveries: readonly ('success' | 'error')[]
  close(): Promise<void>
}

export async function startOp(rpOrigin: string, authMethod: ClientAuthMethod): Promise<Op> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const issuer = `http://127.0.0.1:${address.port}`
  const provider = await quietly(async () => {
    const { Provider } = await import('oidc-provider')
    return new Provider(issuer, configuration(rpOrigin, authMethod))
  })
  const deliveries: ('success' | 'error')[] = []
  provider.on('backchannel.success', () => deliveries.push('success'))
  provider.on('backchannel.error', () => deliveries.push('error'))

  const op: Op = {
    issuer,
    nextUser: 'ada',
    deliveries,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  const protocol = provider.callback()
  server.on('request', (req, res) => {
    if (!req.url?.startsWith('/interaction/')) return void protocol(req, res)
    provider.interactionFinished(req, res, { login: { accountId: op.nextUser } }).catch(() => res.destroy())
  })
  return op
}

function configuration(rpOrigin: string, authMethod: ClientAuthMethod): Configuration {
  return {
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        token_endpoint_auth_method: authMethod,
        redirect_uris: [`${rpOrigin}/callback`],
        backchannel_logout_uri: `${rpOrigin}/backchannel-logout`,
        backchannel_logout_session_required: true,
      },
    ],
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true, logoutSource, postLogoutSuccessSource },
    },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
    loadExistingGrant: grantEverything,
    pkce: { required: () => false },
    // oidc-provider does not call loopback addresses, by the dispatcher that it passes here.
    fetch: (url, { dispatcher: _, ...init }: RequestInit & { dispatcher?: unknown } = {}) => fetch(url, init),
    ttl: { Session: 3600, Grant: 3600, Interaction: 600, AccessToken: 600, IdToken: 600 },
  }
}

function logoutSource(ctx: KoaContextWithOIDC, form: string): void {
  ctx.body = form
}

function postLogoutSuccessSource(ctx: KoaContextWithOIDC): void {
  ctx.body = 'logged out'
}

async function grantEverything({ oidc }: KoaContextWithOIDC) {
  const { client, account, provider } = oidc
  if (!client || !account) return undefined
  const grant = new provider.Grant({ clientId: client.clientId, accountId: account.accountId })
  grant.addOIDCScope('openid')
  await grant.save()
  return grant
}

/** Without its remarks on Node 20 and on keys and memory for development, which are what these tests run with. */
async function quietly<T>(work: () => Promise<T>): Promise<T> {
  const { warn, info } = console
  Object.assign(console, { warn() {}, info() {} })
  try {
    return await work()
  } finally {
    Object.assign(console, { warn, info })
  }
}

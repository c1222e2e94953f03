// A real OpenID Provider (oidc-provider) for the recipes' logins: signs in whom the test says, without a page in
// between. Not the example's, because passport-openidconnect knows no PKCE.
import { randomBytes } from 'node:crypto'
import type { ClientAuthMethod } from 'oidc-provider'
import { createProvider, listen } from '../servers/oidc-provider.js'

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
  const { server, issuer, close } = await listen()
  const provider = await createProvider(issuer, {
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        token_endpoint_auth_method: authMethod,
        redirect_uris: [`${rpOrigin}/callback`, `${rpOrigin}/auth/callback/op`],
        backchannel_logout_uri: `${rpOrigin}/backchannel-logout`,
        backchannel_logout_session_required: true,
      },
    ],
  })
  const deliveries: ('success' | 'error')[] = []
  provider.on('backchannel.success', () => deliveries.push('success'))
  provider.on('backchannel.error', () => deliveries.push('error'))

  const op: Op = {
    issuer,
    nextUser: 'ada',
    deliveries,
    close,
  }
  const protocol = provider.callback()
  server.on('request', (req, res) => {
    if (!req.url?.startsWith('/interaction/')) return void protocol(req, res)
    provider.interactionFinished(req, res, { login: { accountId: op.nextUser } }).catch(() => res.destroy())
  })
  return op
}

// The identity provider of the broker's tests, as a process: signs in whoever the browser's cookie names, and says on
// its last page whom it told.
import { createServer } from 'node:http'
import type { ClientMetadata, KoaContextWithOIDC } from 'oidc-provider'
import { createProvider } from '../servers/oidc-provider.js'

const { ISSUER = '', CLIENTS = '[]', SHORT_SECONDS = '10' } = process.env
const clients: ClientMetadata[] = JSON.parse(CLIENTS)
const told: string[] = []

const provider = await createProvider(ISSUER, {
  clients,
  claims: { openid: ['sub', 'session_expiry'] },
  // Who is in a hurry has a short session.
  findAccount: (_ctx, sub) => ({
    accountId: sub,
    claims: () => ({
      sub,
      ...(sub.startsWith('short') && { session_expiry: Math.floor(Date.now() / 1000) + Number(SHORT_SECONDS) }),
    }),
  }),
  features: {
    rpInitiatedLogout: {
      enabled: true,
      logoutSource(ctx: KoaContextWithOIDC, form: string) {
        told.length = 0
        ctx.body = form
      },
      postLogoutSuccessSource(ctx: KoaContextWithOIDC) {
        ctx.body = ['identity provider: ended', ...told.sort()].join('\n')
      },
    },
  },
})
provider.on('backchannel.success', (_ctx, client) => told.push(`${client.clientId}: ended`))
provider.on('backchannel.error', (_ctx, _error, client) => told.push(`${client.clientId}: not ended`))

const protocol = provider.callback()
createServer((req, res) => {
  const as = /^\/as\/(\w+)$/.exec(req.url ?? '')?.[1]
  if (as !== undefined) return void res.writeHead(200, { 'Set-Cookie': `user=${as}; Path=/` }).end(as)
  if (!req.url?.startsWith('/interaction/')) return void protocol(req, res)
  const accountId = /\buser=(\w+)/.exec(req.headers.cookie ?? '')?.[1] ?? 'ada'
  provider.interactionFinished(req, res, { login: { accountId } }).catch(() => res.destroy())
}).listen(0)

// An API as a process: it introspects at the OP, keeps the claims, and shares the logout store with the Relying Party. Two doors, a
// strict and a bounded one.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createClient } from 'redis'
import { createClaims, type MarksStore } from '../../src/access-tokens/index.js'
import { boundedReads } from '../../src/stores/bounded-reads.js'
import { redisStore } from '../../src/stores/redis/index.js'
import type { RpReady } from './rp.js'
import { sayReady, settings } from './settings.js'

export interface ApiSettings {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly storeUrl: string
  readonly boundSeconds: number
}

const { issuer, clientId, clientSecret, storeUrl, boundSeconds } = settings<ApiSettings>()
const client = createClient({ url: storeUrl, disableOfflineQueue: true })
client.on('error', () => {})
await client.connect()

async function door(store: MarksStore): Promise<number> {
  const clientAuthentication = { method: 'client_secret_basic', clientSecret } as const
  const claims = createClaims({
    introspection: { issuer, clientId, clientAuthentication, dangerouslyAllowHttp: true },
    store,
  })
  const requireToken = claims.requireToken()
  const server = createServer((req, res) => {
    requireToken(req, res, () => void res.end(claims.tokenOf(req)?.claims.sub))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

const strict = await door(redisStore(client))
const bounded = await door(boundedReads(redisStore(client), { seconds: boundSeconds }))
const ready: RpReady = { ports: { strict, bounded } }
sayReady(ready)

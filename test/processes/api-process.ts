// An API as a process that shares the logout store with the Relying Party. It introspects tokens at the OP and keeps
// the claims, or verifies JWTs by itself (`/jwt`). Two doors, a strict and a bounded one.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { createClaims, createJwtCheck, type MarksStore } from '../../src/access-tokens/index.js'
import { boundedReads } from '../../src/stores/bounded-reads.js'
import { postgresStore } from '../../src/stores/postgres/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { nodeRedis, postgresPool } from './clients.js'
import type { RpReady, RpSettings } from './rp.js'
import { sayReady, settings } from './settings.js'

export interface ApiSettings {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  readonly storeKind: RpSettings['storeKind']
  readonly storeUrl: string
  readonly boundSeconds: number
  /** Of the JWTs, and what this API is called in them. */
  readonly jwks: JSONWebKeySet
  readonly audience: string
}

const given = settings<ApiSettings>()
const { issuer, clientId, clientSecret, boundSeconds, jwks, audience } = given

async function openStore() {
  if (given.storeKind === 'postgres') return postgresStore(postgresPool(given.storeUrl))
  return redisStore(await nodeRedis(given.storeUrl))
}

async function door(store: MarksStore): Promise<number> {
  const clientAuthentication = { method: 'client_secret_basic', clientSecret } as const
  const claims = createClaims({
    introspection: { issuer, clientId, clientAuthentication, dangerouslyAllowHttp: true },
    store,
  })
  const requireToken = claims.requireToken()
  const requireJwt = createJwtCheck({ store }).requireJwt({
    ...{ issuer, audience, keys: createLocalJWKSet(jwks), dangerouslyAllowHttp: true },
  })
  const server = createServer((req, res) => {
    const check = req.url === '/jwt' ? requireJwt : requireToken
    check(req, res, () => void res.end('welcome'))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

const store = await openStore()
const strict = await door(store)
const bounded = await door(boundedReads(store, { seconds: boundSeconds }))
const ready: RpReady = { ports: { strict, bounded } }
sayReady(ready)

// A Relying Party whose relay tells an API, as a process of its own. On command it kills itself at a named step of the
// next logout.
import { createServer } from 'node:http'
import { importJWK, type JSONWebKeySet, type JWK } from 'jose'
import { createClient } from 'redis'
import { createRelay } from '../../src/access-tokens/index.js'
import { createBackchannelLogout } from '../../src/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { onTold, sayReady, settings } from './settings.js'

export interface RelayRpSettings {
  readonly redisUrl: string
  readonly issuer: string
  readonly clientId: string
  readonly jwks: JSONWebKeySet
  readonly relayIssuer: string
  readonly relayKey: JWK
  readonly apis: readonly { readonly endpoint: string; readonly audience: string }[]
}

export interface RelayRpReady {
  readonly port: number
}

/** `before complete`: the API was told, and the `jti` is not remembered. */
type RelayStep = 'before begin' | 'after begin' | 'before complete'

const { redisUrl, issuer, clientId, jwks, relayIssuer, relayKey, apis } = settings<RelayRpSettings>()
let dieAt: RelayStep | undefined
onTold((fate: { readonly dieAt: RelayStep }) => {
  dieAt = fate.dieAt
})

async function dieIfAt(step: RelayStep): Promise<void> {
  if (step !== dieAt) return
  process.kill(process.pid, 'SIGKILL')
  await new Promise(() => {})
}

const client = createClient({ url: redisUrl })
client.on('error', () => {})
await client.connect()
const store = redisStore(client)
const begin = store.begin.bind(store)
const complete = store.complete.bind(store)
store.begin = async (logout) => {
  await dieIfAt('before begin')
  const begun = await begin(logout)
  await dieIfAt('after begin')
  return begun
}
store.complete = async (logout) => {
  await dieIfAt('before complete')
  return complete(logout)
}

const privateKey = await importJWK(relayKey, 'ES256')
if (privateKey instanceof Uint8Array) throw new Error('The relay signs with a key pair')
const relay = createRelay({
  ...{ store, issuer: relayIssuer, privateKey, algorithm: 'ES256', apis, dangerouslyAllowHttp: true },
  ...{ everySeconds: 0.1, timeoutSeconds: 0.3 },
})
const logout = createBackchannelLogout({ provider: { issuer, clientId, jwks }, store, claims: relay })
await relay.refresh()

const server = createServer(logout.receiver()).listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const ready: RelayRpReady = { port: address.port }
  sayReady(ready)
})

// An API as a process that shares nothing with the Relying Party: what it knows of logouts, a relay has told it. Two
// doors, for JWTs that it verifies by itself and for tokens that it introspects (at a server that calls every token
// active).
import { createServer } from 'node:http'
import { createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { createClaims, createJwtCheck, createRelayReceiver } from '../../src/access-tokens/index.js'
import { sayReady, settings } from './settings.js'

export interface RelayApiSettings {
  readonly port: number
  readonly issuer: string
  readonly relayIssuer: string
  readonly audience: string
  readonly jwks: JSONWebKeySet
  readonly boundSeconds: number
}

export interface RelayApiReady {
  readonly port: number
}

const { port, issuer, relayIssuer, audience, jwks, boundSeconds } = settings<RelayApiSettings>()
const keys = createLocalJWKSet(jwks)
const relay = createRelayReceiver({ issuer: relayIssuer, audience, keys, boundSeconds })
const claims = createClaims({
  introspection: { issuer, introspect: async (token) => Object.assign(claimsIn(token), { active: true }) },
  store: relay.store,
})
const doors = {
  '/jwt': createJwtCheck({ store: relay.store }).requireJwt({ issuer, audience, keys }),
  '/introspected': claims.requireToken(),
}
const receive = relay.receiver()

function claimsIn(token: string) {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

const server = createServer((req, res) => {
  if (req.url === '/relay') return receive(req, res)
  const door = req.url === '/jwt' || req.url === '/introspected' ? doors[req.url] : undefined
  if (door === undefined) return void res.writeHead(404).end()
  door(req, res, () => void res.end('welcome'))
}).listen(port, '127.0.0.1', () => {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const ready: RelayApiReady = { port: address.port }
  sayReady(ready)
})

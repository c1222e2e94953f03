// An API of one route, whose access tokens are checked in one of several ways; or in none, which is what all of them
// stand on.
import { execFileSync } from 'node:child_process'
import { createPublicKey, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import express, { type RequestHandler } from 'express'
import { SignJWT } from 'jose'
import { createClaims, createJwtCheck, type MarksStore } from '../src/access-tokens/index.js'
import { boundedReads, memoryStore } from '../src/index.js'
import { redisStore } from '../src/stores/redis/index.js'
import { redisConnection } from './connections.js'
import { rsaKeyPair } from './key-pair.js'
import { CLIENT_ID, sidOf, subOf } from './op.js'
import { answer } from './remote.js'

const ISSUER = 'https://op.example.com'
const AUDIENCE = 'https://api.example.com'

let before = process.cpuUsage()

export type Store = 'none' | 'memory' | 'bounded' | 'redis'
export type Check =
  | 'nothing'
  | 'express-jwt'
  | 'express-jwt and a GET'
  | 'express-oauth2-jwt-bearer'
  | 'requireToken'
  | 'requireJwt'

interface Api {
  readonly check: Check
  /** Where the mark is asked for; `none`: it is not. */
  readonly store: Store
  readonly redisUrl: string
  readonly tokens: number
}

const commands = {
  /** Starts the API; gives access tokens of as many users. */
  async start({ check, store, redisUrl, tokens }: Api): Promise<{ port: number; tokens: readonly string[] }> {
    const { privateKey } = rsaKeyPair()
    const app = express()
    const marks = await storeOf(store, redisUrl)
    app.get('/', await handlerOf(check, marks, createPublicKey(privateKey), redisUrl), (_req, res) => {
      res.end('{}')
    })
    const server = createServer(app)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    return { port, tokens: await Promise.all(Array.from({ length: tokens }, (_, n) => tokenOf(n, privateKey))) }
  },
  measure() {
    before = process.cpuUsage()
  },
  measured() {
    const { user, system } = process.cpuUsage(before)
    return user + system
  },
}

export type AccessTokensProcess = typeof commands

function tokenOf(n: number, privateKey: KeyObject): Promise<string> {
  const iat = Math.floor(Date.now() / 1000)
  const claims = {
    client_id: CLIENT_ID,
    sub: subOf(n),
    sid: sidOf(n),
    scope: 'orders',
    jti: sidOf(n),
    iat,
    exp: iat + 3600,
  }
  return new SignJWT(claims)
    .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'bench-key' })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .sign(privateKey)
}

async function storeOf(store: Store, url: string): Promise<MarksStore | undefined> {
  if (store === 'none') return undefined
  if (store === 'memory') return memoryStore()
  const client = await redisConnection(url)
  if (store === 'redis') return redisStore(client)
  const bounded = boundedReads(redisStore(client), { seconds: 5 })
  await bounded.refresh()
  return bounded
}

async function handlerOf(
  check: Check,
  store: MarksStore | undefined,
  key: KeyObject,
  redisUrl: string,
): Promise<RequestHandler> {
  const publicKey = String(key.export({ type: 'spki', format: 'pem' }))
  const rules = { secret: publicKey, algorithms: ['RS256'], issuer: ISSUER, audience: AUDIENCE }
  switch (check) {
    case 'nothing':
      return (_req, _res, next) => next()
    case 'express-jwt': {
      const { expressjwt } = peer('express-jwt')
      return expressjwt({ ...rules, ...(store && { isRevoked: createJwtCheck({ store }).isRevoked }) })
    }
    case 'express-jwt and a GET': {
      const { expressjwt } = peer('express-jwt')
      const client = await redisConnection(redisUrl)
      return expressjwt({ ...rules, isRevoked: async () => (await client.get('nothing')) !== null })
    }
    case 'express-oauth2-jwt-bearer': {
      const { auth } = peer('express-oauth2-jwt-bearer')
      return auth({ issuer: ISSUER, audience: AUDIENCE, publicKey, tokenSigningAlg: 'RS256' })
    }
    case 'requireToken': {
      // A signature is not what is asked for here: any token is good, and its claims are those that it says.
      const introspect = async (token: string) => ({ ...claimsIn(token), active: true })
      const introspection = { issuer: ISSUER, introspect }
      return createClaims({ introspection, ...(store && { store }), maximumLifetimeSeconds: 3600 }).requireToken()
    }
    case 'requireJwt': {
      if (store === undefined) throw new Error('requireJwt asks a store')
      return createJwtCheck({ store }).requireJwt({ issuer: ISSUER, audience: AUDIENCE, keys: async () => key })
    }
  }
}

function claimsIn(token: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

/** As the packages are: installed apart, and typed by what is used of them. */
interface Peers {
  'express-jwt': { expressjwt(options: object): RequestHandler }
  'express-oauth2-jwt-bearer': { auth(options: object): RequestHandler }
}

function peer<Name extends keyof Peers>(name: Name): Peers[Name] {
  const folder = path.resolve('bench/peers')
  if (!existsSync(path.join(folder, 'node_modules'))) {
    execFileSync('npm', ['ci', '--prefix', folder, '--no-audit', '--no-fund', '--ignore-scripts'], { stdio: 'ignore' })
  }
  return createRequire(path.join(folder, 'package.json'))(name)
}

answer(commands)

// From a logout at the Relying Party to the refusal at the API: the engine, the stores and the cache together, nothing
// stood in for.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import session from 'express-session'
import { jwtVerify, SignJWT } from 'jose'
import { createClient } from 'redis'
import request from 'supertest'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type ClaimsEvictor,
  createClaims,
  createEvictionClient,
  createJwtCheck,
} from '../../src/access-tokens/index.js'
import { createBackchannelLogout, expressSessions, type LogoutStore, memoryStore } from '../../src/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { ecKeyPair } from '../../src/testing/key-pair.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'
import { active, ISSUER, promptServer, RP } from './hand-run.js'

const seconds = () => Math.floor(Date.now() / 1000)

/** Tokens of two sessions of one user, without a `sid` in the answer for those that are called so. */
function server(laterBy = 5) {
  const issuedAt = seconds() - 100
  return promptServer((token) =>
    active({
      sub: 'alice',
      sid: token.startsWith('nameless') ? undefined : token,
      iat: token.startsWith('later') ? seconds() + laterBy : issuedAt,
      exp: seconds() + 600,
    }),
  )
}

/** A Relying Party with two bound sessions, each with a token of which its answer says nothing. */
async function relyingParty(store: LogoutStore, claims?: ClaimsEvictor) {
  const rows = new session.MemoryStore()
  const logout = createBackchannelLogout({
    provider: RP,
    store,
    sessions: expressSessions(rows),
    ...(claims && { claims }),
  })
  for (const sid of ['s1', 's2']) {
    const idToken = { iss: ISSUER, aud: RP.clientId, sub: 'alice', sid, iat: seconds() - 100 }
    await logout.bind({ sessionId: `local-${sid}` }, idToken, { accessToken: `nameless-${sid}` })
  }
  return logout
}

async function alive(claims: { lookup(token: string): Promise<{ active: boolean }> }): Promise<readonly string[]> {
  const tokens = ['s1', 's2', 'nameless-s1', 'nameless-s2', 'later']
  const verdicts = await Promise.all(tokens.map((token) => claims.lookup(token)))
  return tokens.filter((_, i) => verdicts[i]?.active)
}

const EVERYTHING = ['s1', 's2', 'nameless-s1', 'nameless-s2', 'later']

describe('a logout at the Relying Party', () => {
  it('by sid ends the tokens of that session, also those that only bind knew of', async () => {
    const claims = createClaims({ introspection: server().introspection })
    const logout = await relyingParty(memoryStore(), claims)
    expect(await alive(claims)).toEqual(EVERYTHING)
    expect(await logout.terminate({ ...RP, sid: 's1' })).toMatchObject({ complete: true })
    expect(await alive(claims)).toEqual(['s2', 'nameless-s2', 'later'])
  })

  it('by sub ends the tokens of all sessions and of no later login', async () => {
    let passedSeconds = 0
    const clock = () => Date.now() / 1000 + passedSeconds
    const claims = createClaims({ introspection: server(65).introspection, clock })
    const logout = await relyingParty(memoryStore({ clock }), claims)
    await logout.terminate({ ...RP, sub: 'alice' })
    // beyond what the clocks of two servers may differ, since no date of the OP is behind this logout
    passedSeconds = 70
    expect(await alive(claims)).toEqual(['later'])
  })

  it('reaches an API without the store through its eviction endpoint, and is not complete before', async () => {
    const claims = createClaims({ introspection: server().introspection })
    const api = createServer(claims.evictionEndpoint({ clients: { rp: 'secret' } })).listen(0, '127.0.0.1')
    await once(api, 'listening')
    const { port }: AddressInfo = Object(api.address())
    const endpoint = `http://127.0.0.1:${port}/`
    const client = (clientSecret: string) =>
      createEvictionClient({ endpoint, clientId: 'rp', clientSecret, dangerouslyAllowHttp: true })
    try {
      expect(await alive(claims)).toEqual(EVERYTHING)
      const refused = await relyingParty(memoryStore(), client('wrong'))
      expect(await refused.terminate({ ...RP, sid: 's1' })).toMatchObject({ complete: false })
      refused.close()
      expect(await alive(claims)).toEqual(EVERYTHING)
      const logout = await relyingParty(memoryStore(), client('secret'))
      expect(await logout.terminate({ ...RP, sid: 's1' })).toMatchObject({ complete: true })
      // Without the store the API knows of tokens alone: that of the session whose answer has a `sid` was never
      // recorded.
      expect(await alive(claims)).toEqual(['s1', 's2', 'nameless-s2', 'later'])
    } finally {
      api.close()
    }
  })
})

/** The order of the group of P-256: with (r, s) the pair (r, n - s) is a good signature. */
const ORDER_OF_P256 = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** The same token, the same signature or its other half, in other texts. Each verifies. */
function otherSpellings(token: string): readonly string[] {
  const signed = token.slice(0, token.lastIndexOf('.') + 1)
  const signature = Buffer.from(token.slice(signed.length), 'base64url')
  const s = BigInt(`0x${signature.subarray(32).toString('hex')}`)
  const half = Buffer.from((ORDER_OF_P256 - s).toString(16).padStart(64, '0'), 'hex')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return [
    `${token}==`,
    token.slice(0, -1) + alphabet.charAt(alphabet.indexOf(token.slice(-1)) ^ 1),
    signed + Buffer.concat([signature.subarray(0, 32), half]).toString('base64url'),
  ]
}

describe('a JWT that ended', () => {
  const KEY = ecKeyPair()

  /** An API that verifies, and one whose authorization server does, over the store of the Relying Party. */
  async function world() {
    const store = memoryStore()
    const introspect = async (token: string) => {
      const verified = await jwtVerify(token, KEY.publicKey).catch(() => undefined)
      return verified === undefined ? { active: false } : { ...verified.payload, active: true }
    }
    const claims = createClaims({ introspection: { issuer: ISSUER, introspect }, store })
    const alone = createClaims({ introspection: { issuer: ISSUER, introspect } })
    const logout = createBackchannelLogout({
      provider: RP,
      store,
      sessions: expressSessions(new session.MemoryStore()),
      claims: alone,
    })
    // Nothing but the token itself says of which session it is.
    const token = await new SignJWT({ client_id: RP.clientId, sub: 'alice', exp: seconds() + 600 })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
      .setIssuer(ISSUER)
      .setAudience('api')
      .setIssuedAt()
      .sign(KEY.privateKey)
    const session_ = { sessionId: 'local' }
    const idToken = { iss: ISSUER, aud: RP.clientId, sub: 'alice', sid: 's1', iat: seconds() }
    const api = express()
    const keys = async () => KEY.publicKey
    api.get('/jwt', createJwtCheck({ store }).requireJwt({ issuer: ISSUER, audience: 'api', keys }))
    api.get('/claims', claims.requireToken())
    api.get('/alone', alone.requireToken())
    api.use((_req, res) => res.end())
    const answers = (path: string) =>
      Promise.all(
        [...otherSpellings(token), token].map(async (each) => {
          const { status } = await request(api).get(path).set('Authorization', `Bearer ${each}`)
          return status
        }),
      )
    return { logout, claims, alone, token, session: session_, idToken, answers }
  }

  const ENDS: Readonly<Record<string, (of: Awaited<ReturnType<typeof world>>) => Promise<unknown>>> = {
    'a local logout': async ({ logout, session: row, idToken, token }) => {
      await logout.bind(row, idToken, { accessToken: token })
      return () => logout.unbind(row)
    },
    'a logout of the session to which it was added': async ({ logout, session: row, idToken, token }) => {
      await logout.bind(row, idToken)
      await logout.addTokens(row, { accessToken: token })
      return () => logout.terminate({ ...RP, sid: 's1' })
    },
    'an eviction':
      async ({ claims, alone, token }) =>
      async () => {
        await claims.evictToken(token)
        await alone.evictToken(token)
      },
    'an eviction by another spelling':
      async ({ claims, alone, token }) =>
      async () => {
        await claims.evictToken(`${token}==`)
        await alone.evictToken(`${token}==`)
      },
  }

  for (const [name, prepare] of Object.entries(ENDS)) {
    for (const isMetBefore of [true, false]) {
      it(`by ${name} is refused under each spelling, ${isMetBefore ? 'cached' : 'never seen'} before`, async () => {
        const around = await world()
        const end = (await prepare(around)) as () => Promise<unknown>
        const paths = ['/jwt', '/claims', '/alone']
        if (isMetBefore) for (const path of paths) expect(await around.answers(path)).toEqual([200, 200, 200, 200])
        await end()
        for (const path of paths) expect(await around.answers(path), path).toEqual([401, 401, 401, 401])
        around.logout.close()
      })
    }
  }

  it('leaves no claims in memory', async () => {
    const { alone, token } = await world()
    await alone.lookup(token)
    expect(alone.size.active).toBe(1)
    await alone.evictToken(token)
    expect(alone.size.active).toBe(0)
  })

  it('does not let a forged signature find the answer of the good one', async () => {
    const { answers, claims, token } = await world()
    expect(await answers('/claims')).toEqual([200, 200, 200, 200])
    const forged = `${token.slice(0, token.lastIndexOf('.'))}.${Buffer.alloc(64, 1).toString('base64url')}`
    expect(await claims.lookup(forged)).toEqual({ active: false })
  })
})

describe.skipIf(redisServer === undefined)('an API that shares a real Redis with the Relying Party', () => {
  let redis: RunningRedis
  const connect = () => {
    const client = createClient({ url: redis.url })
    client.on('error', () => {})
    return client.connect()
  }
  const clients: Awaited<ReturnType<typeof connect>>[] = []

  beforeAll(async () => {
    redis = await startRedis()
  })
  afterAll(async () => {
    for (const client of clients) client.destroy()
    await redis?.stop()
  })
  async function node(prefix: string) {
    const client = await connect()
    clients.push(client)
    return redisStore(client, { prefix })
  }

  it('refuses what a logout ended, though nobody tells it and its entries are fresh', async () => {
    const op = server()
    const claims = createClaims({ introspection: op.introspection, store: await node('a:') })
    const logout = await relyingParty(await node('a:'))
    expect(await alive(claims)).toEqual(EVERYTHING)
    await logout.terminate({ ...RP, sid: 's1' })
    expect(await alive(claims)).toEqual(['s2', 'nameless-s2', 'later'])
    await logout.terminate({ ...RP, sub: 'alice' })
    // That one was in use before the logout, so it is of no later login, whatever a clock that is ahead has dated it.
    expect(await alive(claims)).toEqual([])
    expect(op.asked).toEqual(EVERYTHING)
  })

  it('ends a token on all its nodes by evicting it on one', async () => {
    const op = server()
    const one = createClaims({ introspection: op.introspection, store: await node('b:') })
    const other = createClaims({ introspection: op.introspection, store: await node('b:') })
    expect(await alive(other)).toEqual(EVERYTHING)
    await one.evictToken('s1')
    expect(await alive(other)).toEqual(EVERYTHING.slice(1))
  })

  it('has no verdict while Redis is down', async () => {
    const store = await node('c:')
    const claims = createClaims({ introspection: server().introspection, store, storeTimeoutSeconds: 2 })
    expect(await alive(claims)).toEqual(EVERYTHING)
    await redis.kill()
    await expect(claims.lookup('s1')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'store_failed' })
  })
})

// From a logout at the Relying Party to the refusal at the API: the engine, the stores and the cache together, nothing stood in for.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import session from 'express-session'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ClaimsEvictor, createClaims, createEvictionClient } from '../../src/access-tokens/index.js'
import { createBackchannelLogout, expressSessions, type LogoutStore, memoryStore } from '../../src/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
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
    passedSeconds = 70 // beyond what the clocks of two servers may differ, since no date of the OP is behind this logout
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
      // Without the store the API knows of tokens alone: that of the session whose answer has a `sid` was never recorded.
      expect(await alive(claims)).toEqual(['s1', 's2', 'nameless-s2', 'later'])
    } finally {
      api.close()
    }
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
    const claims = createClaims({ introspection: server().introspection, store, storeTimeoutSeconds: 0.2 })
    expect(await alive(claims)).toEqual(EVERYTHING)
    await redis.kill()
    await expect(claims.lookup('s1')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', reason: 'store_failed' })
  })
})

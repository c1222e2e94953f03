// The APIs of docs/recipes/local-jwts.md, run as the page has them, with the Redis of a Relying Party: a token that
// verifies is refused within one request of the logout, and no other; and where nobody can tell, the answer is 503.
import { createPublicKey, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { exportJWK, SignJWT } from 'jose'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BackchannelLogout, createBackchannelLogout } from '../../src/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'
import { rsaKeyPair } from '../../src/testing/key-pair.js'
import { removeFolder } from '../servers/folders.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'
import { filesOf, RECIPES, unpack } from '../stacks/recipe.js'
import { HERE } from './programs.js'

const ISSUER = 'https://op.example.com'
const CLIENT = { issuer: ISSUER, clientId: 'my-rp' }
const APIS = filesOf('local-jwts')
  .map(({ name }) => name)
  .filter((name) => name !== 'store.ts')

const now = () => Math.floor(Date.now() / 1000)

describe.skipIf(redisServer === undefined)('APIs that verify JWTs by themselves', () => {
  let redis: RunningRedis
  let client: ReturnType<typeof createClient>
  let logout: BackchannelLogout
  let mint: TokenMint
  let key: KeyObject
  let foreignKey: KeyObject
  let folder: string

  beforeAll(async () => {
    redis = await startRedis()
    client = createClient({ url: redis.url })
    client.on('error', () => {})
    await client.connect()
    mint = await createTokenMint(CLIENT)
    logout = createBackchannelLogout({ provider: { ...CLIENT, jwks: mint.jwks }, store: redisStore(client) })
    key = rsaKeyPair().privateKey
    foreignKey = rsaKeyPair().privateKey
    const jwk = { ...(await exportJWK(createPublicKey(key))), kid: 'k', alg: 'RS256' }
    folder = unpack('local-jwts', undefined, HERE.programs)
    Object.assign(process.env, {
      REDIS_URL: redis.url,
      ISSUER,
      OP_PUBLIC_KEY: createPublicKey(key).export({ type: 'spki', format: 'pem' }),
      OP_JWKS: JSON.stringify({ keys: [jwk] }),
      PORT: '0',
      NODE_ENV: 'production',
    })
  })

  afterAll(async () => {
    logout?.close()
    client?.destroy()
    if (folder !== undefined) (await import(path.join(folder, 'store.ts'))).client.destroy()
    await redis?.stop()
    removeFolder(folder)
  })

  function accessToken(claims: Record<string, unknown>, signedBy = key, typ = 'at+jwt'): Promise<string> {
    const payload = { iss: ISSUER, aud: 'https://api.example.com', azp: CLIENT.clientId, sub: 'ada', ...claims }
    return new SignJWT({ iat: now() - 10, exp: now() + 300, ...payload })
      .setProtectedHeader({ alg: 'RS256', typ, kid: 'k' })
      .sign(signedBy)
  }

  /** As the OP would: a Logout Token for one session, posted to the receiver. */
  async function logOut(sid: string, sub = 'ada'): Promise<void> {
    const body = new URLSearchParams({ logout_token: await mint.logoutToken({ payload: { sub, sid } }) })
    const answer = await logout.fetch(
      new Request('https://rp.example.com/backchannel-logout', { method: 'POST', body }),
    )
    expect(answer.status).toBe(200)
  }

  async function started(api: string) {
    const { server }: { server: Server } = await import(path.join(folder, api))
    if (!server.listening) await once(server, 'listening')
    const { port }: AddressInfo = Object(server.address())
    const get = async (token: string) => {
      const answer = await fetch(`http://127.0.0.1:${port}/orders`, { headers: { Authorization: `Bearer ${token}` } })
      return answer.status === 200 ? ((await answer.json()) as unknown) : answer.status
    }
    const stop = () => {
      server.closeAllConnections()
      server.close()
    }
    return { get, stop }
  }

  it.each(APIS)(
    '%s refuses a token within one request of its logout and no other, and answers 503 where nobody can tell',
    async (api) => {
      const { get, stop } = await started(api)
      try {
        const laptop = await accessToken({ sid: `${api} laptop` })
        const phone = await accessToken({ sid: `${api} phone` })
        expect(await get(laptop)).toEqual({ of: 'ada' })
        // What RFC 9068 demands, and what many authorization servers send in its place.
        const plain = await accessToken({ sid: `${api} laptop` }, key, 'JWT')
        expect(await get(plain)).toEqual({ of: 'ada' })
        expect(await get(await accessToken({ sid: 'x' }, foreignKey))).toBe(401)
        expect(await get(await accessToken({ sid: 'x', aud: 'another' }))).toBe(401)
        await logOut(`${api} laptop`)
        expect([await get(laptop), await get(plain)]).toEqual([401, 401])
        expect(await get(await accessToken({ sid: `${api} laptop`, iat: now() + 60 }))).toBe(401)
        expect(await get(phone)).toEqual({ of: 'ada' })
        expect(await get(await accessToken({ sid: `${api} laptop`, azp: 'another-rp' }))).toEqual({ of: 'ada' })
        // What cannot be judged is neither let in nor refused.
        expect(await get(await accessToken({ sid: 7 }))).toBe(503)
      } finally {
        stop()
      }
    },
  )

  it('four lines more, and an API with express-jwt refuses what it let in', async () => {
    const page = readFileSync(path.join(RECIPES, 'local-jwts.md'), 'utf8')
    const [, diff = ''] = /^```diff\n([\s\S]*?)^```$/m.exec(page) ?? []
    const added = diff.trimEnd().split('\n')
    expect(added).toHaveLength(4)
    const after = readFileSync(path.join(folder, 'express-jwt.ts'), 'utf8').split('\n')
    const lines = added.map((line) => {
      expect(line).toMatch(/^\+/)
      expect(after.filter((each) => each === line.slice(1))).toHaveLength(1)
      return line.slice(1)
    })
    const before = after.filter((line) => !lines.includes(line))
    writeFileSync(path.join(folder, 'before.ts'), before.join('\n'))
    const token = await accessToken({ sid: 'four lines' })
    const statuses: unknown[] = []
    for (const api of ['before.ts', 'express-jwt.ts']) {
      const { get, stop } = await started(`${api}?four-lines`)
      statuses.push(await get(token))
      if (api === 'before.ts') await logOut('four lines')
      statuses.push(await get(token))
      stop()
    }
    expect(statuses).toEqual([{ of: 'ada' }, { of: 'ada' }, 401, 401])
  })
})

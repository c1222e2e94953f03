// What a gateway must do that asks the verdict route of docs/recipes/gateways.md: the program as the page has it, a
// Relying Party's Redis, and whichever gateway is started in front. Knows no gateway.
import { createPublicKey } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { exportJWK, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createBackchannelLogout } from '../../src/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { rsaKeyPair } from '../../src/testing/key-pair.js'
import { removeFolder } from '../servers/folders.js'
import { freePort } from '../servers/processes.js'
import { type RunningRedis, startRedis } from '../servers/redis.js'
import { RECIPES, unpack } from '../stacks/recipe.js'

const CLIENT = { issuer: 'https://op.example.com', clientId: 'my-rp' }
const { privateKey: key } = rsaKeyPair()

export interface RunningGateway {
  stop(signal?: NodeJS.Signals): Promise<void>
}

/** The block of that language on the page, with the ports of this test in place of 8080, 3000 and 9000. */
export type ConfigurationOf = (language: string) => string

/** `start` resolves when the gateway answers at `origin`; `retryAfter`: what it says where there is no verdict. */
export function describeGateway(
  start: (configuration: ConfigurationOf, origin: string) => Promise<RunningGateway>,
  retryAfter: string | null,
): void {
  let redis: RunningRedis
  let folder: string
  let verdict: { client: { destroy(): void }; server: Server }
  let upstream: Server
  let gateway: RunningGateway
  let origin: string
  let logout: ReturnType<typeof createBackchannelLogout>
  const seen: IncomingHttpHeaders[] = []

  beforeAll(async () => {
    redis = await startRedis()
    const jwk = { ...(await exportJWK(createPublicKey(key))), kid: 'k', alg: 'RS256' }
    const env = { REDIS_URL: redis.url, ISSUER: CLIENT.issuer, OP_JWKS: JSON.stringify({ keys: [jwk] }), PORT: '0' }
    Object.assign(process.env, env)
    folder = unpack('gateways')
    verdict = await import(path.join(folder, 'verdict.ts'))
    if (!verdict.server.listening) await once(verdict.server, 'listening')
    upstream = createServer((req, res) => {
      seen.push(req.headers)
      res.end('orders')
    }).listen(0, '127.0.0.1')
    await once(upstream, 'listening')
    const port = await freePort()
    origin = `http://127.0.0.1:${port}`
    const ports: Readonly<Record<string, number>> = { 8080: port, 3000: portOf(upstream), 9000: portOf(verdict.server) }
    const page = readFileSync(path.join(RECIPES, 'gateways.md'), 'utf8')
    const configuration: ConfigurationOf = (language) => {
      const [, block = ''] = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page) ?? []
      return block.replaceAll(/\b(8080|3000|9000)\b/g, (shown) => String(ports[shown]))
    }
    gateway = await start(configuration, origin)
    logout = createBackchannelLogout({ provider: CLIENT, store: redisStore(verdict.client as never) })
  })

  afterAll(async () => {
    await gateway?.stop()
    logout?.close()
    for (const server of [upstream, verdict?.server]) {
      server?.closeAllConnections()
      server?.close()
    }
    verdict?.client.destroy()
    await redis?.stop()
    if (folder !== undefined) removeFolder(folder)
  })

  function portOf(server: Server): number {
    const { port }: AddressInfo = Object(server.address())
    return port
  }

  async function get(sid: string, headers: Record<string, string> = {}, claims: object = {}): Promise<Response> {
    const iat = Math.floor(Date.now() / 1000) - 10
    const token = await new SignJWT({ client_id: CLIENT.clientId, sub: 'ada', sid, iat, exp: iat + 300, ...claims })
      .setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k' })
      .setIssuer(CLIENT.issuer)
      .setAudience('https://api.example.com')
      .sign(key)
    const answer = await fetch(`${origin}/orders?page=1`, { headers: { Authorization: `Bearer ${token}`, ...headers } })
    await answer.text()
    return answer
  }

  it('lets a good token through, says whose it is, and believes no client about that', async () => {
    expect((await get('laptop', { 'Token-Sub': 'root', 'Token-Scope': 'all' })).status).toBe(200)
    expect(seen.at(-1)?.['token-sub']).toBe('ada')
    expect(seen.at(-1)?.['token-scope'] ?? '').toBe('')
  })

  it('asks for a token where there is none', async () => {
    const calls = seen.length
    const asked = await fetch(origin)
    await asked.text()
    expect(asked.status).toBe(401)
    expect(asked.headers.get('www-authenticate')).toBe('Bearer realm="api"')
    expect(seen.length).toBe(calls)
  })

  it('refuses the token within one request of its logout, with the challenge, and no other', async () => {
    await logout.terminate({ ...CLIENT, sid: 'laptop' })
    const calls = seen.length
    const refused = await get('laptop')
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toMatch(/^Bearer .*error="invalid_token"/)
    expect(seen.length).toBe(calls)
    expect((await get('phone')).status).toBe(200)
  })

  it('answers 503 where nobody can tell, or there is nobody to ask', async () => {
    const calls = seen.length
    const malformed = await get('phone', {}, { sid: 7 })
    expect([malformed.status, malformed.headers.get('retry-after')]).toEqual([503, retryAfter])
    await redis.kill()
    expect((await get('phone')).status).toBe(503)
    verdict.server.closeAllConnections()
    verdict.server.close()
    expect((await get('phone')).status).toBe(503)
    expect(seen.length).toBe(calls)
  })
}

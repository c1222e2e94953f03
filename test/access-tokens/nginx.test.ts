// The gateway of docs/recipes/gateways.md: the program and the configuration as the page has them, under the real nginx.
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { exportJWK, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createBackchannelLogout } from '../../src/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { dataDirectory, describeWith, freePort, installed, onPath, startProcess } from '../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'
import { RECIPES, unpack } from '../stacks/recipe.js'

const nginx = installed(...onPath('nginx'), '/usr/sbin/nginx')
const CLIENT = { issuer: 'https://op.example.com', clientId: 'my-rp' }
const key = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey

describeWith(redisServer && nginx, 'nginx, or redis-server,')('nginx that asks for a verdict', () => {
  const directory = dataDirectory('nginx')
  let redis: RunningRedis
  let folder: string
  let verdict: { client: { destroy(): void }; server: Server }
  let upstream: Server
  let gateway: { stop(signal?: NodeJS.Signals): Promise<void> }
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
    const ports = { 8080: port, 3000: portOf(upstream), 9000: portOf(verdict.server) }
    const file = path.join(directory.path, 'nginx.conf')
    writeFileSync(file, configuration(ports))
    const isUp = async () => (await fetch(origin)).status === 401
    gateway = await startProcess(nginx ?? '', ['-p', directory.path, '-c', file, '-e', 'stderr'], isUp)
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
    directory.remove()
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  })

  /** The page's server in what every nginx needs, with the ports of this test. */
  function configuration(ports: Readonly<Record<string, number>>): string {
    const page = readFileSync(path.join(RECIPES, 'gateways.md'), 'utf8')
    const [, server = ''] = /^```nginx\n([\s\S]*?)^```$/m.exec(page) ?? []
    const moved = server.replaceAll(/127\.0\.0\.1:(\d+)/g, (_, port: string) => `127.0.0.1:${ports[port]}`)
    const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((each) => `${each}_temp_path ${each};`)
    return [
      'daemon off; master_process off; pid nginx.pid; events {}',
      `http { access_log off; ${temporary.join(' ')}\n${moved} }`,
    ].join('\n')
  }

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
    const answer = await fetch(origin, { headers: { Authorization: `Bearer ${token}`, ...headers } })
    await answer.text()
    return answer
  }

  it('lets a good token through, says whose it is, and believes no client about that', async () => {
    expect((await get('laptop', { 'Token-Sub': 'root' })).status).toBe(200)
    expect(seen.at(-1)?.['token-sub']).toBe('ada')
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

  it('answers 503 where nobody can tell', async () => {
    const malformed = await get('phone', {}, { sid: 7 })
    expect(malformed.status).toBe(503)
    expect(malformed.headers.get('retry-after')).toBe('1')
    await redis.kill()
    expect((await get('phone')).status).toBe(503)
  })
})

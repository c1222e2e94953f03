// The client of the eviction endpoint, over real HTTP: what it sends, and what it makes of the answer.
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, describe, expect, it } from 'vitest'
import { createEvictionClient } from '../../src/access-tokens/index.js'
import { tokenKey } from '../../src/marks/target.js'
import { api, CLIENTS } from './eviction-api.js'
import { ended, NOW } from './hand-run.js'

describe('the eviction client', () => {
  const servers: { close(): unknown }[] = []
  afterAll(() => servers.map((server) => server.close()))

  async function listen(app: RequestListener) {
    const server = createServer(app).listen(0, '127.0.0.1')
    servers.push(server)
    await new Promise((resolve) => server.once('listening', resolve))
    const { port }: AddressInfo = Object(server.address())
    return `http://127.0.0.1:${port}/evict`
  }
  const client = (endpoint: string, clientSecret = CLIENTS.rp, timeoutSeconds = 10) =>
    createEvictionClient({ endpoint, clientId: 'rp', clientSecret, dangerouslyAllowHttp: true, timeoutSeconds })

  it('ends a token at the API', async () => {
    const { app, isAlive } = await api()
    await client(await listen(app)).evictToken('token')
    expect(await isAlive()).toBe(false)
  })

  it('sends its hash alone, in a body', async () => {
    const seen: string[] = []
    const endpoint = await listen((req, res) => {
      seen.push(`${req.method} ${req.url}`)
      req.on('data', (chunk) => seen.push(String(chunk))).on('end', () => res.end())
    })
    await client(endpoint).evictToken('token')
    expect(seen).toEqual(['POST /evict', `token_key=${tokenKey('token')}`])
  })

  it('as the receiver’s claims, ends all recorded tokens of a logout', async () => {
    const { app, isAlive } = await api()
    const endpoint = await listen(app)
    const tokens = Array.from({ length: 70 }, (_, i) => `token-${i}`)
    for (const token of tokens) await isAlive(token)
    await client(endpoint).evict(ended({ sid: 's1' }, NOW, {}, tokens))
    for (const token of tokens) expect(await isAlive(token)).toBe(false)
    expect(await isAlive()).toBe(true)
  })

  it('asks nobody where a logout had no tokens', async () => {
    await client('http://127.0.0.1:9/evict').evict(ended({ sid: 's1' }, NOW))
  })

  it('rejects where its secret is wrong, and nothing dies', async () => {
    const { app, isAlive } = await api()
    const evicting = client(await listen(app), 'wrong').evictToken('token')
    await expect(evicting).rejects.toMatchObject({ code: 'ERR_EVICT', reason: 'eviction_refused' })
    expect(await isAlive()).toBe(true)
  })

  const misbehaving: Record<string, RequestListener> = {
    fails: (_req, res) => res.writeHead(500).end(),
    redirects: (_req, res) => res.writeHead(302, { Location: '/' }).end(),
    'says 204': (_req, res) => res.writeHead(204).end(),
    hangs: () => {},
  }
  for (const [name, handler] of Object.entries(misbehaving)) {
    it(`rejects where the API ${name}`, async () => {
      const patience = name === 'hangs' ? 0.1 : undefined
      const evicting = client(await listen(handler), CLIENTS.rp, patience).evictToken('token')
      await expect(evicting).rejects.toMatchObject({ code: 'ERR_EVICT', reason: 'eviction_failed' })
    })
  }

  it('does not wait for a fetch that does not heed its signal', async () => {
    const endpoint = 'https://api.example.com/evict'
    const fetch = () => new Promise<Response>(() => {})
    const made = createEvictionClient({ endpoint, clientId: 'rp', clientSecret: 's', timeoutSeconds: 0.05, fetch })
    await expect(made.evictToken('token')).rejects.toMatchObject({ code: 'ERR_EVICT', reason: 'eviction_failed' })
  })

  it('refuses plain http and missing secrets at start-up', () => {
    const good = { endpoint: 'https://api.example.com/evict', clientId: 'rp', clientSecret: 's' }
    expect(() => createEvictionClient(good)).not.toThrow()
    for (const bad of [
      { endpoint: 'http://api.example.com' },
      { clientId: '' },
      { clientSecret: '' },
      { timeoutSeconds: 0 },
    ]) {
      expect(() => createEvictionClient({ ...good, ...bad })).toThrow(TypeError)
    }
  })
})

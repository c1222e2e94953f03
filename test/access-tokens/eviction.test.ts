// The eviction endpoint and its client, over real HTTP: who may evict, what is then dead, and what survives a refusal.
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import request from 'supertest'
import { afterAll, describe, expect, it } from 'vitest'
import { createClaims, createEvictionClient, type EvictionEndpointOptions } from '../../src/access-tokens/index.js'
import { tokenKey } from '../../src/marks/target.js'
import { active, ended, handClock, NOW, promptServer } from './hand-run.js'

const CLIENTS = { rp: 'correct horse: battery/staple é', other: 'x' }

function basic(id: string, secret: string) {
  const encode = (value: string) => new URLSearchParams({ v: value }).toString().slice(2)
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}

const authorization = basic('rp', CLIENTS.rp)

async function api(
  options: EvictionEndpointOptions = { clients: CLIENTS },
  parse = false,
  store?: Parameters<typeof createClaims>[0]['store'],
) {
  const claims = createClaims({
    introspection: promptServer(() => active()).introspection,
    clock: handClock(),
    ...(store && { store }),
  })
  const app = express()
  if (parse) app.use(express.urlencoded({ extended: true }))
  app.all('/evict', claims.evictionEndpoint(options))
  const isAlive = async (token = 'token') => (await claims.lookup(token)).active
  expect(await isAlive()).toBe(true)
  return { app, isAlive, claims }
}

for (const parse of [false, true]) {
  describe(`the eviction endpoint ${parse ? 'behind a body parser' : 'with the raw body'}`, () => {
    it('ends the token and says 200 with nothing else', async () => {
      const { app, isAlive } = await api(undefined, parse)
      const res = await request(app)
        .post('/evict')
        .set('Authorization', authorization)
        .type('form')
        .send('token=token&token_type_hint=access_token&unknown=1')
      expect(res.status).toBe(200)
      expect(res.text).toBe('')
      expect(res.headers['cache-control']).toBe('no-store')
      expect(await isAlive()).toBe(false)
      expect(await isAlive('another')).toBe(true)
    })

    it('says 200 for a token that it has never seen, and for one that it ended before', async () => {
      const { app, isAlive } = await api(undefined, parse)
      for (const token of ['unknown', 'unknown']) {
        await request(app).post('/evict').set('Authorization', authorization).type('form').send({ token }).expect(200)
      }
      expect(await isAlive('unknown')).toBe(false)
      expect(await isAlive()).toBe(true)
    })

    it('ends tokens by their hashes', async () => {
      const { app, isAlive } = await api(undefined, parse)
      const body = `token_key=${tokenKey('token')}&token_key=${tokenKey('second')}`
      await request(app).post('/evict').set('Authorization', authorization).type('form').send(body).expect(200)
      expect(await isAlive()).toBe(false)
      expect(await isAlive('second')).toBe(false)
    })

    for (const [name, body] of [
      ['no token', 'token_type_hint=access_token'],
      ['an empty token', 'token='],
      ['two tokens', 'token=token&token=other'],
      ['a token that is an object', 'token[a]=token'],
      ['a hash that is none', 'token_key=token'],
      ['one hash that is none', `token_key=${tokenKey('token')}&token_key=x`],
    ] as const) {
      it(`refuses ${name}, and nothing dies`, async () => {
        const { app, isAlive } = await api(undefined, parse)
        const res = await request(app).post('/evict').set('Authorization', authorization).type('form').send(body)
        expect(res.status).toBe(400)
        expect(res.body).toEqual({ error: 'invalid_request' })
        expect(res.headers['cache-control']).toBe('no-store')
        expect(await isAlive()).toBe(true)
      })
    }
  })
}

describe('the eviction endpoint', () => {
  for (const method of ['get', 'put', 'delete', 'head'] as const) {
    it(`refuses ${method.toUpperCase()} and a token in the URL, and nothing dies`, async () => {
      const { app, isAlive } = await api()
      const res = await request(app)[method]('/evict?token=token').set('Authorization', authorization)
      expect(res.status).toBe(405)
      expect(res.headers).toMatchObject({ allow: 'POST', 'cache-control': 'no-store' })
      expect(await isAlive()).toBe(true)
    })
  }

  it('does not take a token from the URL of a POST', async () => {
    const { app, isAlive } = await api()
    await request(app)
      .post('/evict?token=token')
      .set('Authorization', authorization)
      .type('form')
      .send('a=b')
      .expect(400)
    expect(await isAlive()).toBe(true)
  })

  it('refuses JSON', async () => {
    const { app, isAlive } = await api()
    await request(app).post('/evict').set('Authorization', authorization).send({ token: 'token' }).expect(400)
    expect(await isAlive()).toBe(true)
  })

  it('reads no more than it must', async () => {
    const { app, isAlive } = await api()
    const body = `token=token&filler=${'x'.repeat(70_000)}`
    await request(app).post('/evict').set('Authorization', authorization).type('form').send(body).expect(400)
    expect(await isAlive()).toBe(true)
  })

  for (const [name, header] of [
    ['nobody', undefined],
    ['an unknown client', basic('stranger', CLIENTS.rp)],
    ['a wrong secret', basic('rp', `${CLIENTS.rp}x`)],
    ['the secret of another client', basic('rp', CLIENTS.other)],
    ['an empty secret', basic('rp', '')],
    ['an unknown client with an empty secret', basic('stranger', '')],
    ['a member of every object', basic('constructor', '')],
    ['a bearer token', 'Bearer token'],
    ['credentials without a colon', `Basic ${Buffer.from('rp').toString('base64')}`],
  ] as const) {
    it(`refuses ${name} with a challenge, and nothing dies`, async () => {
      const { app, isAlive } = await api()
      const post = request(app).post('/evict').type('form')
      const res = await (header === undefined ? post : post.set('Authorization', header)).send('token=token')
      expect(res.status).toBe(401)
      expect(res.headers['www-authenticate']).toMatch(/^Basic /)
      expect(res.body).toEqual({ error: 'invalid_client' })
      expect(await isAlive()).toBe(true)
    })
  }

  it('takes another authentication in place of secrets, and a failure of it is no permission', async () => {
    const by = (authenticate: () => boolean | Promise<boolean>) => api({ authenticate })
    for (const [authenticate, status, alive] of [
      [() => true, 200, false],
      [() => Promise.resolve(false), 401, true],
      [() => Promise.reject(new Error('down')), 503, true],
    ] as const) {
      const { app, isAlive } = await by(authenticate)
      await request(app).post('/evict').type('form').send('token=token').expect(status)
      expect(await isAlive()).toBe(alive)
    }
  })

  it('says 503 where the store did not take the mark, and the token is dead here all the same', async () => {
    const store = { marks: async () => ({ now: NOW, marks: [] }), begin: () => Promise.reject(new Error('down')) }
    const { app, isAlive } = await api(undefined, false, store)
    const res = await request(app).post('/evict').set('Authorization', authorization).type('form').send('token=token')
    expect(res.status).toBe(503)
    expect(res.headers['retry-after']).toBe('1')
    expect(await isAlive()).toBe(false)
  })

  it('cannot be mounted without a client authentication that means something', async () => {
    const { claims } = await api()
    for (const options of [
      {},
      { clients: {} },
      { clients: { rp: '' } },
      { clients: CLIENTS, authenticate: () => true },
    ]) {
      expect(() => claims.evictionEndpoint(options)).toThrow(TypeError)
    }
  })
})

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
  const client = (endpoint: string, clientSecret = CLIENTS.rp) =>
    createEvictionClient({ endpoint, clientId: 'rp', clientSecret, dangerouslyAllowHttp: true, timeoutSeconds: 0.5 })

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
      const evicting = client(await listen(handler)).evictToken('token')
      await expect(evicting).rejects.toMatchObject({ code: 'ERR_EVICT', reason: 'eviction_failed' })
    })
  }

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

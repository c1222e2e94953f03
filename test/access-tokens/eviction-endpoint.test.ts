// The eviction endpoint over real HTTP: who may evict, what is then dead, and what survives a refusal.

import request from 'supertest'
import { describe, expect, it } from 'vitest'
import { tokenKey } from '../../src/marks/target.js'
import { api, authorization, basic, CLIENTS } from './eviction-api.js'
import { NOW } from './hand-run.js'

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

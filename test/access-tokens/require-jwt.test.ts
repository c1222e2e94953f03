// The check of a route for JWTs that the API verifies by itself, RFC 9068 rule by rule.
import { createHmac, createPublicKey, type KeyObject } from 'node:crypto'
import express from 'express'
import { createLocalJWKSet, exportJWK, SignJWT } from 'jose'
import request from 'supertest'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createJwtCheck, type RequireJwtOptions } from '../../src/access-tokens/index.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { rsaKeyPair } from '../../src/testing/key-pair.js'
import { ISSUER, NOW } from './hand-run.js'
import { checkOver, claimsOf } from './local-check.js'

describe('requireJwt', () => {
  let key: KeyObject
  let other: KeyObject
  let route: RequireJwtOptions

  beforeAll(async () => {
    key = rsaKeyPair().privateKey
    other = rsaKeyPair().privateKey
    const keys = [{ ...(await exportJWK(createPublicKey(key))), kid: 'k', alg: 'RS256' }]
    route = { issuer: ISSUER, audience: 'https://api.example.com', keys: createLocalJWKSet({ keys }) }
  })

  afterEach(() => void vi.useRealTimers())

  const signed = (payload: Record<string, unknown> = {}, header: Record<string, unknown> = {}, by = key) =>
    new SignJWT(claimsOf(payload)).setProtectedHeader({ alg: 'RS256', typ: 'at+jwt', kid: 'k', ...header }).sign(by)

  function api(more: Partial<RequireJwtOptions> = {}) {
    const { check, logOut } = checkOver()
    const app = express()
    app.get('/', check.requireJwt({ ...route, ...more }), (req, res) => {
      res.json(check.tokenOf(req)?.claims.sub)
    })
    const get = async (token: string) => {
      const res = await request(app).get('/').set('Authorization', `Bearer ${token}`)
      return res.status === 200 ? (res.body as string) : res.status
    }
    return { get, logOut, app }
  }

  it('lets a good token in until its logout', async () => {
    const { get, logOut, app } = api()
    const token = await signed()
    expect(await get(token)).toBe('alice')
    await logOut({ sid: 's1' })
    expect(await get(token)).toBe(401)
    const res = await request(app).get('/').set('Authorization', `Bearer ${token}`)
    expect(res.headers['www-authenticate']).toMatch(/error="invalid_token"/)
  })

  it('takes the media type in full, and a typ that is named', async () => {
    expect(await api().get(await signed({}, { typ: 'application/AT+JWT' }))).toBe('alice')
    expect(await api({ additionalTyp: 'JWT' }).get(await signed({}, { typ: 'JWT' }))).toBe('alice')
    expect(await api({ additionalTyp: 'JWT' }).get(await signed())).toBe('alice')
  })

  it.each<readonly [string, () => Promise<string>]>([
    ['of another type', () => signed({}, { typ: 'JWT' })],
    ['of no type', () => signed({}, { typ: undefined })],
    ['that is a Logout Token', () => signed({}, { typ: 'logout+jwt' })],
    ['with events', () => signed({ events: {} })],
    ['with at_hash', () => signed({ at_hash: 'x' })],
    ['of another issuer', () => signed({ iss: 'https://other.example.com' })],
    ['of no issuer', () => signed({ iss: undefined })],
    ['for another API', () => signed({ aud: 'another' })],
    ['for no API', () => signed({ aud: undefined })],
    ['that has expired', () => signed({ exp: NOW - 6 })],
    ['whose exp in microseconds is over', () => signed({ exp: (NOW - 6) * 1e6 })],
    ['whose exp is a date', () => signed({ exp: new Date((NOW + 60) * 1000).toISOString() })],
    ['without exp', () => signed({ exp: undefined })],
    ['without iat', () => signed({ iat: undefined })],
    ['without sub', () => signed({ sub: undefined })],
    ['without client', () => signed({ client_id: undefined })],
    ['not yet valid', () => signed({ nbf: NOW + 60 })],
    ['of a foreign key', () => signed({}, {}, other)],
    ['of an unknown key id', () => signed({}, { kid: 'unknown' })],
    ['that is not one', async () => 'abc'],
    ['signed by nobody', async () => unsigned('none', '')],
    [
      'signed by the public key as a secret',
      async () => {
        const pem = createPublicKey(key).export({ type: 'spki', format: 'pem' })
        return unsigned('HS256', undefined, String(pem))
      },
    ],
    ['that is bound to a key', () => signed({ cnf: { jkt: 'x' } })],
  ])('refuses a token %s', async (_name, token) => {
    expect(await api().get(await token())).toBe(401)
  })

  function unsigned(alg: string, signature: string | undefined, secret = ''): string {
    const segment = (json: unknown) => Buffer.from(JSON.stringify(json)).toString('base64url')
    const signing = `${segment({ alg, typ: 'at+jwt', kid: 'k' })}.${segment(claimsOf())}`
    return `${signing}.${signature ?? createHmac('sha256', secret).update(signing).digest('base64url')}`
  }

  it('verifies a signature once a minute at most, asks for the mark each time, and lets in nothing at its exp', async () => {
    let verified = 0
    const { check, clock, logOut } = checkOver()
    const keys: RequireJwtOptions['keys'] = (header, token) => {
      verified += 1
      return route.keys?.(header, token) ?? Promise.reject(new Error('no keys'))
    }
    const app = express().get('/', check.requireJwt({ ...route, keys, clockToleranceSeconds: 0 }), (_req, res) => {
      res.end()
    })
    const get = async (token: string) => (await request(app).get('/').set('Authorization', `Bearer ${token}`)).status
    const token = await signed({ exp: NOW + 100 })
    expect([await get(token), await get(token), verified]).toEqual([200, 200, 1])
    clock.advance(59)
    expect([await get(token), verified]).toEqual([200, 1])
    clock.advance(1)
    expect([await get(token), verified]).toEqual([200, 2])
    clock.advance(40)
    expect(await get(token)).toBe(401)
    clock.advance(-50)
    expect([await get(token), await get(`${token.slice(0, -8)}AAAAAAAA`)]).toEqual([200, 401])
    await logOut({ sid: 's1' })
    expect(await get(token)).toBe(401)
  })

  it('verifies it again after a minute, though the clock of the machine was put back', async () => {
    vi.useFakeTimers({ toFake: ['Date', 'performance'], now: NOW * 1000 })
    let verified = 0
    const keys: RequireJwtOptions['keys'] = (header, token) => {
      verified += 1
      return route.keys?.(header, token) ?? Promise.reject(new Error('no keys'))
    }
    const app = express().get(
      '/',
      createJwtCheck({ store: memoryStore() }).requireJwt({ ...route, keys }),
      (_, res) => {
        res.end()
      },
    )
    const token = await signed()
    const get = async () => (await request(app).get('/').set('Authorization', `Bearer ${token}`)).status
    expect([await get(), verified]).toEqual([200, 1])
    vi.advanceTimersByTime(60_000)
    vi.setSystemTime(NOW * 1000 + 30_000)
    expect([await get(), verified]).toEqual([200, 2])
  })

  it('asks for scope and proof as requireToken does', async () => {
    expect(await api({ scope: 'write' }).get(await signed({ scope: 'read' }))).toBe(403)
    expect(await api({ scope: 'read' }).get(await signed({ scope: 'read' }))).toBe('alice')
    expect(await api({ confirm: () => true }).get(await signed({ cnf: { jkt: 'x' } }))).toBe('alice')
  })

  it('has no verdict where the keys cannot be had', async () => {
    const iss = 'http://127.0.0.1:9'
    const unreachable = { keys: undefined, issuer: iss, dangerouslyAllowHttp: true } as never
    expect(await api(unreachable).get(await signed({ iss }))).toBe(503)
    // Whatever the keys are, these are none.
    for (const bad of [{ iss, exp: NOW - 6 }, { iss, aud: 'another' }, {}]) {
      expect(await api(unreachable).get(await signed(bad))).toBe(401)
    }
    const jwksUri = { keys: undefined, jwksUri: 'http://127.0.0.1:9/jwks', dangerouslyAllowHttp: true } as never
    expect(await api(jwksUri).get(await signed())).toBe(503)
  })

  it.each(['openid-configuration', 'jwks'])(
    'asks once for %s that cannot be had, however many tokens come',
    async (down) => {
      const asked: string[] = []
      const { get } = api({
        keys: undefined,
        fetch: async (url: string) => {
          asked.push(url)
          if (url.endsWith(down)) throw new Error('down')
          return Response.json({ issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` })
        },
      } as never)
      for (let i = 0; i < 20; i++) expect(await get(await signed({}, { kid: `invented-${i}` }))).toBe(503)
      expect(asked.filter((url) => url.endsWith(down))).toHaveLength(1)
      expect(asked.length).toBeLessThanOrEqual(2)
    },
  )

  it('takes no keys from plain http on loopback, where an https issuer names that', async () => {
    const asked: string[] = []
    const jwks = { keys: [{ ...(await exportJWK(createPublicKey(key))), kid: 'k' }] }
    const { get } = api({
      keys: undefined,
      fetch: async (url: string) => {
        asked.push(url)
        return Response.json(url.includes('.well-known') ? { issuer: ISSUER, jwks_uri: 'http://127.0.0.1/jwks' } : jwks)
      },
    } as never)
    expect(await get(await signed())).toBe(503)
    expect(asked).toEqual([expect.stringContaining('.well-known')])
  })

  /** An API that discovers its keys, and the server of it. */
  async function discovering() {
    const jwkOf = async (by: KeyObject, kid?: string) => ({ ...(await exportJWK(createPublicKey(by))), kid })
    const state = { at: '/jwks', keys: [await jwkOf(key, 'k')], isMetadataUp: true, discovered: 0 }
    const { check, clock } = checkOver()
    const handler = check.requireJwt({
      issuer: ISSUER,
      audience: 'https://api.example.com',
      fetch: async (url: string) => {
        if (!url.includes('.well-known')) {
          return url === ISSUER + state.at ? Response.json({ keys: state.keys }) : new Response(null, { status: 404 })
        }
        state.discovered += 1
        if (!state.isMetadataUp) throw new Error('down')
        return Response.json({ issuer: ISSUER, jwks_uri: ISSUER + state.at })
      },
    })
    const app = express().get('/', handler, (_req, res) => {
      res.end()
    })
    const get = async (token: string) => (await request(app).get('/').set('Authorization', `Bearer ${token}`)).status
    return { state, clock, get, jwkOf }
  }

  it('lets tokens of a new key in at once, whatever strangers have sent before', async () => {
    const { state, get, jwkOf } = await discovering()
    expect(await get(await signed())).toBe(200)
    expect(await get(await signed({}, { kid: 'invented' }))).toBe(401)
    state.keys = [await jwkOf(other, 'new')]
    expect(await get(await signed({}, { kid: 'new' }, other))).toBe(200)
    // The same id, another key.
    state.keys = [await jwkOf(key, 'new')]
    expect(await get(await signed({}, { kid: 'new' }))).toBe(200)
  })

  it('lets tokens in that do not say which of two keys signed them', async () => {
    const { state, get, jwkOf } = await discovering()
    state.keys = [await jwkOf(key), await jwkOf(other, 'named')]
    for (const by of [key, other]) expect(await get(await signed({}, { kid: undefined }, by))).toBe(200)
  })

  it('keeps what it knows of its server while that is down, whatever strangers send', async () => {
    const { state, clock, get } = await discovering()
    expect(await get(await signed())).toBe(200)
    state.isMetadataUp = false
    clock.advance(61)
    for (const kid of ['invented', 'another']) expect(await get(await signed({}, { kid }))).toBe(401)
    for (const jti of ['1', '2']) {
      expect(await get(await signed({ jti }))).toBe(200)
      clock.advance(10)
    }
  })

  it('finds keys that have moved', async () => {
    const { state, clock, get, jwkOf } = await discovering()
    expect(await get(await signed())).toBe(200)
    Object.assign(state, { at: '/v2/jwks', keys: [await jwkOf(other, 'new')] })
    clock.advance(61)
    const moved = await signed({}, { kid: 'new' }, other)
    expect(await get(moved)).toBe(503)
    clock.advance(2)
    expect(await get(moved)).toBe(200)
    expect(state.discovered).toBe(2)
  })

  it.each<readonly [string, object]>([
    ['issuer', { issuer: 'http://op.example.com' }],
    ['audience', { audience: [] }],
    ['algorithms', { algorithms: ['HS256'] }],
    ['algorithms', { algorithms: [] }],
    ['keys', { keys: {} }],
    ['jwksUri', { keys: undefined, jwksUri: 'http://op.example.com/jwks' }],
    ['additionalTyp', { additionalTyp: '' }],
    ['clockToleranceSeconds', { clockToleranceSeconds: 3600 }],
    ['scope', { scope: 'a"' }],
  ])('refuses at start-up what cannot work: %s %o', (option, bad) => {
    expect(() => api(bad)).toThrow(TypeError)
    expect(() => api(bad)).toThrow(option)
  })
})

// Tokens that are bound to a key, with the proofs of a real client (oauth4webapi); then one change each, none of which
// is let in.
import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { calculateJwkThumbprint, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { allowInsecureRequests, DPoP, protectedResourceRequest } from 'oauth4webapi'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { type ConfirmDpopOptions, confirmDpop, createClaims, createJwtCheck } from '../../src/access-tokens/index.js'
import { sha256 } from '../../src/marks/target.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { active, ISSUER, promptServer, RP } from './hand-run.js'

const AUDIENCE = 'https://api.example.com'
const own = await generateKeyPair('ES256', { extractable: true })
const stolen = await generateKeyPair('ES256', { extractable: true })
const op = await generateKeyPair('ES256')
const jkt = await calculateJwkThumbprint(await exportJWK(own.publicKey))
const seconds = () => Math.floor(Date.now() / 1000)

let server: Server
let origin: string
let jwt: string
let proofs = 0

/** Two routes of one API behind a router: opaque tokens that are introspected, and JWTs. */
beforeAll(async () => {
  const app = express()
  server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port }: AddressInfo = Object(server.address())
  origin = `http://127.0.0.1:${port}`
  app.use('/api', apiOf({ origin }))
  jwt = await jwtWith({ jkt })
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

function apiOf(options: ConfirmDpopOptions) {
  const answers: Record<string, object> = {
    opaque: { cnf: { jkt }, token_type: 'DPoP' },
    certificate: { cnf: { 'x5t#S256': 'x' } },
    free: {},
  }
  const { introspection } = promptServer((token) => active({ iat: seconds(), exp: seconds() + 600, ...answers[token] }))
  const store = memoryStore()
  const confirm = confirmDpop(options)
  const claims = createClaims({ introspection, store })
  const check = createJwtCheck({ store })
  const router = express.Router()
  const welcome: express.RequestHandler = (_req, res) => void res.end('welcome')
  router.all('/opaque', claims.requireToken({ confirm }), welcome)
  router.all(
    '/jwt',
    check.requireJwt({ issuer: ISSUER, audience: AUDIENCE, keys: async () => op.publicKey, confirm }),
    welcome,
  )
  return router
}

function jwtWith(cnf: object): Promise<string> {
  return new SignJWT({ client_id: RP.clientId, sub: 'alice', sid: 's1', cnf, iat: seconds(), exp: seconds() + 600 })
    .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
    .setIssuer(ISSUER)
    .setAudience(AUDIENCE)
    .sign(op.privateKey)
}

interface Change {
  readonly header?: object
  readonly payload?: Readonly<Record<string, unknown>>
  readonly by?: typeof own
  readonly proof?: (proof: string) => string | readonly string[]
  readonly scheme?: string
  readonly token?: string
  readonly method?: string
  readonly query?: string
}

async function proofWith(
  { header, payload, by = own, method = 'GET' }: Change,
  path = '/api/opaque',
  token = 'opaque',
) {
  const said = { jti: `proof ${++proofs}`, htm: method, htu: `${origin}${path}`, iat: seconds(), ath: sha256(token) }
  return new SignJWT({ ...said, ...payload })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await exportJWK(by.publicKey), ...header })
    .sign(by.privateKey)
}

async function send(
  proof: string | readonly string[],
  { scheme = 'DPoP', token = 'opaque', method = 'GET', query = '' }: Change = {},
) {
  const headers = new Headers({ Authorization: `${scheme} ${token}` })
  for (const each of [proof].flat()) if (each !== '') headers.append('DPoP', each)
  const answer = await fetch(`${origin}/api/opaque${query}`, { method, headers })
  await answer.text()
  return answer.status
}

async function get(change: Change = {}) {
  const proof = await proofWith(change, undefined, change.token)
  return send(change.proof?.(proof) ?? proof, change)
}

describe.each(['opaque', 'jwt'])('a token that is bound to a key, %s', (kind) => {
  const token = () => (kind === 'jwt' ? jwt : 'opaque')

  it('is let in with the proofs of a client', async () => {
    const handle = DPoP({}, { ...own })
    for (const method of ['GET', 'POST']) {
      const url = new URL(`${origin}/api/${kind}?page=1`)
      const options = { DPoP: handle, [allowInsecureRequests]: true }
      const answer = await protectedResourceRequest(token(), method, url, new Headers(), null, options)
      expect(answer.status).toBe(200)
      await answer.text()
    }
  })

  it('is refused as a bearer token, also with a proof', async () => {
    const proof = await proofWith({}, `/api/${kind}`, token())
    for (const dpop of [{}, { DPoP: proof }]) {
      const answer = await fetch(`${origin}/api/${kind}`, { headers: { Authorization: `Bearer ${token()}`, ...dpop } })
      expect(answer.status).toBe(401)
    }
  })
})

describe('who is refused', () => {
  const challenged = async (headers: Record<string, string>) => {
    const answer = await fetch(`${origin}/api/opaque`, { headers })
    await answer.text()
    return answer.headers.get('www-authenticate')
  }
  const ALGS = 'algs="ES256 ES384 ES512 Ed25519 EdDSA RS256 PS256"'

  it('is told which proofs are taken, beside Bearer, and no error where there was no token', async () => {
    expect(await challenged({})).toBe(`Bearer realm="api", DPoP realm="api", ${ALGS}`)
  })

  it.each([
    ['invalid_dpop_proof', 'DPoP opaque'],
    ['invalid_token', 'Bearer opaque'],
    ['invalid_token', 'DPoP free'],
  ])('hears %s: %s', async (error, authorization) => {
    const challenge = await challenged({ Authorization: authorization })
    expect(challenge?.match(/error="[^"]*"/g)).toEqual([`error="${error}"`, `error="${error}"`])
    expect(challenge).toContain(`DPoP realm="api", ${ALGS}, error=`)
  })
})

describe('a proof', () => {
  it('is good as it stands', async () => {
    expect(await get()).toBe(200)
    expect(await get({ query: '?a=1' })).toBe(200)
    expect(await get({ payload: { htu: `${origin}/api/opaque?b=2#c` } })).toBe(200)
    expect(await get({ payload: { iat: seconds() - 50 } })).toBe(200)
  })

  it.each<readonly [string, () => Change]>([
    ['is missing', () => ({ proof: () => '' })],
    ['comes twice', () => ({ proof: (proof) => [proof, proof] })],
    ['is no JWT', () => ({ proof: () => 'proof' })],
    ['was changed', () => ({ proof: (proof) => `${proof.slice(0, -8)}AAAAAAAA` })],
    ['is of another key', () => ({ by: stolen })],
    ['names a key that did not sign it', () => ({ header: { jwk: { kty: 'EC', crv: 'P-256', x: 'a', y: 'b' } } })],
    ['brings a private key', () => ({ header: { jwk: { kty: 'oct', k: 'c2VjcmV0' } } })],
    ['is of another type', () => ({ header: { typ: 'JWT' } })],
    ['is for another method', () => ({ payload: { htm: 'POST' } })],
    ['is for another address', () => ({ payload: { htu: `${origin}/api/jwt` } })],
    ['is for the address that the router shows', () => ({ payload: { htu: `${origin}/opaque` } })],
    ['is for another host', () => ({ payload: { htu: 'http://other.example.com/api/opaque' } })],
    ['is for no address', () => ({ payload: { htu: 'opaque' } })],
    ['is for another token', () => ({ payload: { ath: sha256('other') } })],
    ['is for no token', () => ({ payload: { ath: undefined } })],
    ['has no jti', () => ({ payload: { jti: undefined } })],
    ['has an empty jti', () => ({ payload: { jti: '' } })],
    ['has no date', () => ({ payload: { iat: undefined } })],
    ['is old', () => ({ payload: { iat: seconds() - 70 } })],
    ['is of the future', () => ({ payload: { iat: seconds() + 60 } })],
  ])('that %s lets nobody in', async (_what, change) => {
    expect(await get(change())).toBe(401)
  })

  it('is good once, also where it comes twice at one time', async () => {
    const proof = await proofWith({})
    const statuses = await Promise.all([send(proof), send(proof)])
    expect(statuses.sort()).toEqual([200, 401])
    expect(await send(proof)).toBe(401)
  })

  it('by another key than that of the token is refused before anything is computed with that key', async () => {
    const proof = await proofWith({ by: stolen })
    const verify = vi.spyOn(crypto.subtle, 'verify')
    onTestFinished(() => verify.mockRestore())
    expect(await send(proof)).toBe(401)
    expect(verify).not.toHaveBeenCalled()
    expect(await send(await proofWith({}))).toBe(200)
    expect(verify).toHaveBeenCalled()
  })

  it('is remembered for whole seconds, as Redis counts them', async () => {
    const asked: number[] = []
    const remember = (_key: string, seconds: number) => asked.push(seconds) > 0
    const confirm = confirmDpop({ origin, remember, maxAgeSeconds: 0.5 })
    const headers = { authorization: 'DPoP opaque', dpop: await proofWith({}) }
    const req = { headers, method: 'GET', url: '/api/opaque' }
    expect(await confirm(req, active({ cnf: { jkt } }))).toBe(true)
    expect(asked).toEqual([12])
  })

  it('that another key has used is not used up', async () => {
    expect(await get({ payload: { jti: 'same' }, by: stolen })).toBe(401)
    expect(await get({ payload: { jti: 'same' } })).toBe(200)
  })

  it('is good once for all processes that remember together', async () => {
    const used = new Map<string, number>()
    const remember = async (key: string, seconds: number) => !used.has(key) && Boolean(used.set(key, seconds))
    const confirms = [1, 2].map(() => confirmDpop({ origin, remember }))
    const proof = await proofWith({})
    const req = { headers: { authorization: 'DPoP opaque', dpop: proof }, method: 'GET', url: '/api/opaque' }
    const outcomes = await Promise.all(confirms.map((confirm) => confirm(req, active({ cnf: { jkt } }))))
    expect(outcomes.sort()).toEqual([false, true])
    expect([...used.values()]).toEqual([71])
    expect([...used.keys()].join()).toMatch(/^[A-Za-z0-9_-]{43}$/)
  })

  it.each([
    ...['/x/../api/opaque', '/x/%2e%2E/api/opaque', '/x/.%2e/api/opaque', '/./api/opaque', '/%2E/api/opaque'],
    ...['/x\\..\\api/opaque', '/api/opaque/.', '/api/opaque/x/..'],
  ])('is for no path that a router may read otherwise: %s', async (url) => {
    const confirm = confirmDpop({ origin })
    for (const htu of [`${origin}/api/opaque`, `${origin}/api/opaque/`, `${origin}${url}`]) {
      const headers = { authorization: 'DPoP opaque', dpop: await proofWith({ payload: { htu } }) }
      expect(await confirm({ headers, method: 'GET', url }, active({ cnf: { jkt } }))).toBe(false)
    }
  })

  it('is for a path with dots that are no segment of it', async () => {
    const url = '/api/..opaque/a.b/...'
    const dpop = await proofWith({}, url)
    const req = { headers: { authorization: 'DPoP opaque', dpop }, method: 'GET', url: `${url}?at=/../` }
    expect(await confirmDpop({ origin })(req, active({ cnf: { jkt } }))).toBe(true)
  })

  it('is no verdict where nobody can tell whether it was used', async () => {
    const app = express().use('/api', apiOf({ origin, remember: () => Promise.reject(new Error('away')) }))
    const other = app.listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port }: AddressInfo = Object(other.address())
    const headers = { Authorization: 'DPoP opaque', DPoP: await proofWith({}) }
    const answer = await fetch(`http://127.0.0.1:${port}/api/opaque`, { headers })
    expect(answer.status).toBe(503)
    other.closeAllConnections()
    other.close()
  })
})

it('the scheme DPoP makes nothing of a token that is bound to nothing, or to a certificate', async () => {
  for (const token of ['free', 'certificate']) expect(await get({ token })).toBe(401)
  expect(await get({ token: 'free', scheme: 'Bearer' })).toBe(200)
})

it.each<readonly [string, object]>([
  ['origin', { origin: 'api.example.com' }],
  ['origin', { origin: 'https://api.example.com/api' }],
  ['remember', { remember: new Map() }],
  ['maxAgeSeconds', { maxAgeSeconds: 0 }],
  ['algorithms', { algorithms: ['HS256'] }],
  ['nonce', { nonce: true }],
])('refuses at start-up what cannot work: %s %o', (option, bad) => {
  expect(() => confirmDpop({ origin: 'https://api.example.com', ...bad })).toThrow(TypeError)
  expect(() => confirmDpop({ origin: 'https://api.example.com', ...bad })).toThrow(option)
})

describe('a request', () => {
  const asked = async (path: string, htu: string) => {
    const proof = await proofWith({ payload: { htu } })
    const confirm = confirmDpop({ origin })
    const claims = { active: true, cnf: { jkt } } as const
    const request = () => ({ method: 'GET', url: path, headers: { authorization: 'DPoP opaque', dpop: proof } })
    return { ask: (req = request()) => confirm(req, claims), request }
  }

  it.each(['/api\\opaque', '\\api/opaque', '/api/opaque\\'])(
    'to a path with a backslash, which a URL reads as another: %s',
    async (path) => {
      const { ask } = await asked(path, new URL(path, origin).href)
      expect(await ask()).toBe(false)
      const { ask: plain } = await asked('/api/opaque', `${origin}/api/opaque`)
      expect(await plain()).toBe(true)
    },
  )

  it('may be asked about by two guards, and its proof is good for no other request', async () => {
    const { ask, request } = await asked('/api/opaque', `${origin}/api/opaque`)
    const req = request()
    expect([await ask(req), await ask(req)]).toEqual([true, true])
    expect(await ask()).toBe(false)
    expect(await ask({ ...req })).toBe(false)
  })
})

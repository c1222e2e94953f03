// Which of a server's keys are tried for a JWT, and when the server is asked for them again.
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  exportJWK,
  generateKeyPair,
  type JSONWebKeySet,
  type JWK,
  type JWTVerifyGetKey,
  SignJWT,
} from 'jose'
import { describe, expect, it } from 'vitest'
import { givenKeys, publishedKeys, verifiedJwt } from '../../src/access-tokens/verified-jwt.js'
import { handClock } from './hand-run.js'

const RULES = { algorithms: ['ES256'] }

async function pair(kid?: string) {
  const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
  const jwk: JWK = { ...(await exportJWK(publicKey)), ...(kid !== undefined && { kid }) }
  const sign = (named = kid) =>
    new SignJWT({}).setProtectedHeader({ alg: 'ES256', ...(named !== undefined && { kid: named }) }).sign(privateKey)
  return { jwk, sign }
}

/** A server whose keys are `state.jwks`, and what becomes of a token. */
function server(...keys: readonly JWK[]) {
  const state = { jwks: { keys: [...keys] } as JSONWebKeySet, asked: 0, isUp: true, putBack: 0 }
  const clock = handClock()
  const published = publishedKeys({
    issuer: 'https://op.example.com',
    jwksUri: 'https://op.example.com/jwks',
    fetch: async () => {
      state.asked++
      if (!state.isUp) throw new Error('down')
      return Response.json(state.jwks)
    },
    timeoutSeconds: 1.0001,
    clock: () => clock() - state.putBack,
    monotonic: clock,
  })
  return { state, clock, ask: (token: string) => outcomeOf(verifiedJwt(token, published, RULES)) }
}

async function outcomeOf(verified: Promise<unknown>): Promise<unknown> {
  return verified.then(
    (found) => (found === undefined ? 'refused' : 'good'),
    (error: { reason: string }) => error.reason,
  )
}

describe('published keys', () => {
  it('that cannot be had are asked for once in seconds, however many tokens come, and then found', async () => {
    const own = await pair()
    const { state, clock, ask } = server(own.jwk)
    state.isUp = false
    const token = await own.sign()
    for (let i = 0; i < 20; i++) expect(await ask(token)).toBe('keys_unavailable')
    expect(state.asked).toBe(1)
    state.isUp = true
    clock.advance(1)
    for (const _ of [1, 2]) expect(await ask(token)).toBe('good')
    expect(state.asked).toBe(2)
  })

  it('that cannot be had are asked for again after that time, though the clock was put back meanwhile', async () => {
    const own = await pair()
    const { state, clock, ask } = server(own.jwk)
    state.isUp = false
    expect(await ask(await own.sign())).toBe('keys_unavailable')
    state.isUp = true
    clock.advance(1)
    state.putBack = 1
    expect(await ask(await own.sign())).toBe('good')
  })

  it('are all tried where a token names none of them', async () => {
    const pairs = [await pair(), await pair(), await pair()]
    const { state, ask } = server(...pairs.map(({ jwk }) => jwk))
    for (const { sign } of pairs) expect(await ask(await sign())).toBe('good')
    expect(state.asked).toBe(1)
    expect(await ask(await (await pair()).sign())).toBe('refused')
  })

  it.each([
    ['under another id', 'old', 'new'],
    ['under the same id', 'k', 'k'],
    ['without an id', undefined, undefined],
  ])('are found at once when a new one takes the place of the old: %s', async (_how, before, after) => {
    const [old, fresh] = [await pair(before), await pair(after)]
    const { state, ask } = server(old.jwk)
    expect(await ask(await old.sign())).toBe('good')
    state.jwks = { keys: [fresh.jwk] }
    expect(await ask(await fresh.sign())).toBe('good')
    expect(state.asked).toBe(2)
    if (before === after) expect(await ask(await old.sign())).toBe('refused')
  })

  it('are found also after a stranger’s tokens: what was not looked for yet is not refused', async () => {
    const [old, fresh] = [await pair('old'), await pair('new')]
    const { state, clock, ask } = server(old.jwk)
    expect(await ask(await old.sign())).toBe('good')
    const junk = (await pair()).sign
    expect(await ask(await junk('invented'))).toBe('refused')
    state.jwks = { keys: [fresh.jwk] }
    expect(await ask(await fresh.sign())).toBe('good')
    // However many come, the server is asked a few times only; who cannot be asked about has no verdict.
    for (let i = 0; i < 50; i++) await ask(await junk(`invented-${i}`))
    expect(state.asked).toBeLessThan(8)
    expect(await ask(await junk('invented'))).toBe('keys_unavailable')
    expect(await ask(await junk('new'))).toBe('keys_unavailable')
    const newest = await pair('newest')
    state.jwks = { keys: [fresh.jwk, newest.jwk] }
    expect([await ask(await newest.sign()), await ask(await fresh.sign())]).toEqual(['keys_unavailable', 'good'])
    clock.advance(6)
    expect(await ask(await newest.sign())).toBe('good')
  })

  it('that are known are used while the server is down', async () => {
    const own = await pair('k')
    const { state, clock, ask } = server(own.jwk)
    expect(await ask(await own.sign())).toBe('good')
    state.isUp = false
    clock.advance(7200)
    expect(await ask(await own.sign())).toBe('good')
    expect(await ask(await (await pair('new')).sign())).toBe('keys_unavailable')
  })
})

describe('keys of another source', () => {
  it('are all tried where a token names none of them', async () => {
    const pairs = [await pair(), await pair()]
    const keys = givenKeys(createLocalJWKSet({ keys: pairs.map(({ jwk }) => jwk) }))
    for (const { sign } of pairs) expect(await outcomeOf(verifiedJwt(await sign(), keys, RULES))).toBe('good')
    expect(await outcomeOf(verifiedJwt(await (await pair()).sign(), keys, RULES))).toBe('refused')
  })

  it.each<readonly [string, JWTVerifyGetKey, string]>([
    ['has no such key', createLocalJWKSet({ keys: [] }), 'refused'],
    ['says so at once', () => failed(new errors.JWKSNoMatchingKey()), 'refused'],
    [
      'says so by a jose of its own',
      async () => failed(Object.assign(new Error(), { code: 'ERR_JWKS_NO_MATCHING_KEY' })),
      'refused',
    ],
    ['does not know the algorithm', async () => failed(new errors.JOSENotSupported()), 'refused'],
    ['has a server that answers 500', remote(async () => new Response(null, { status: 500 })), 'keys_unavailable'],
    ['has a server that answers nonsense', remote(async () => Response.json([])), 'keys_unavailable'],
    ['has no connection', remote(async () => failed(new TypeError('fetch failed'))), 'keys_unavailable'],
    ['fails at once', () => failed(new Error('broken')), 'keys_unavailable'],
  ])('are about the token or not: a source that %s', async (_name, source, outcome) => {
    expect(await outcomeOf(verifiedJwt(await (await pair('k')).sign(), givenKeys(source), RULES))).toBe(outcome)
  })

  function remote(answer: () => Promise<Response>): JWTVerifyGetKey {
    return createRemoteJWKSet(new URL('https://op.example.com/jwks'), { [customFetch]: answer })
  }

  function failed(error: Error): never {
    throw error
  }
})

// Whatever anybody sends: no exception, no 5xx, no 200, nobody logged out. Ten thousand cases and more, most of them
// without a socket, some through Express.
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LogoutEvent } from '../../src/index.js'
import { BACKCHANNEL_LOGOUT_EVENT } from '../../src/testing/index.js'
import { EVERYBODY, expectLoggedOut, type Rp, startRp } from './rp.js'

const RUNS = { bodies: 3000, forms: 2000, requests: 1000, mutations: 3000, payloads: 2000, headers: 1000, sockets: 500 }

const FORM = 'application/x-www-form-urlencoded'
const URL_OF_RP = 'https://rp.example.com/backchannel-logout'

let rp: Rp
let valid: string
const unhandled: unknown[] = []
const onUnhandled = (error: unknown) => void unhandled.push(error)

beforeAll(async () => {
  // ES256 signs fast, and most of these tokens are truly signed.
  rp = await startRp({ algorithm: 'ES256' })
  await rp.signInEverybody()
  valid = await rp.mint.logoutToken()
  process.on('unhandledRejection', onUnhandled)
})

afterAll(async () => {
  process.off('unhandledRejection', onUnhandled)
  await rp.close()
})

const post = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> =>
  rp.logout.fetch(new Request(URL_OF_RP, { method: 'POST', headers: { 'content-type': FORM, ...headers }, body }))

const postToken = (token: string): Promise<Response> => post(new URLSearchParams({ logout_token: token }).toString())

/**
 * One case: the answer is a refusal, no logout was reported, and the event is an error of the receiver's own family.
 */
async function expectRefused(response: Response): Promise<void> {
  expect(response.status).toBe(400)
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(await response.json()).toEqual({ error: 'invalid_request', error_description: expect.any(String) })
  // So much junk is told once, as a flood: that is a test of its own.
  const isFlood = (event: LogoutEvent) => event.type === 'warning' && event.error.reason === 'junk_flood'
  const [event, ...more] = rp.events.splice(0).filter((each) => each.type !== 'answer' && !isFlood(each))
  expect(more).toEqual([])
  expect(event).toMatchObject({ type: 'refused', error: { code: expect.stringMatching(/^ERR_(REQUEST|TOKEN)$/) } })
  if (event?.type === 'refused') expect(event.error.reason).not.toMatch(/^(unverifiable|unexpected)$/)
}

async function property(runs: number, arbitrary: fc.Arbitrary<() => Promise<Response>>): Promise<void> {
  rp.events.length = 0
  await fc.assert(
    fc.asyncProperty(arbitrary, async (send) => expectRefused(await send())),
    { numRuns: runs },
  )
  expect(await rp.alive()).toEqual(EVERYBODY)
  expect(rp.expressErrors).toEqual([])
  expect(unhandled).toEqual([])
}

const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Uint8Array.from(array))
const segment = fc.oneof(
  fc.constantFrom(...'.-_=+/%AzeyJ\u0000 \n'),
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.base64String({ maxLength: 40 }),
  fc.json().map((text) => Buffer.from(text).toString('base64url')),
)

describe('hostile input', () => {
  it('random bytes as the body', () =>
    property(
      RUNS.bodies,
      fc.oneof(
        bytes.map((body) => () => post(body)),
        bytes.map((body) => () => post(Buffer.concat([Buffer.from('logout_token='), body]))),
        fc.string({ unit: 'binary' }).map((text) => () => postToken(text)),
      ),
    ))

  it('random segments as the token, among random parameters', () =>
    property(
      RUNS.forms,
      fc
        .tuple(
          fc.array(segment, { maxLength: 7 }),
          fc.array(fc.tuple(fc.constantFrom('logout_token', 'a', '__proto__', 'logout_token[]'), fc.string())),
        )
        .map(([segments, parameters]) => () => {
          const form = new URLSearchParams({ logout_token: segments.join('.') })
          for (const [name, value] of parameters) form.append(name, value)
          return post(form.toString())
        }),
    ))

  it('random methods of saying what the body is', () =>
    property(
      RUNS.requests,
      fc
        .tuple(
          fc.oneof(
            fc.constantFrom('', 'application/json', 'multipart/form-data', 'text/plain', `${FORM}x`),
            fc.webPath(),
          ),
          fc.constantFrom('gzip', 'deflate', 'br', 'gzip, gzip', 'x'),
          fc.boolean(),
        )
        .map(([type, encoding, encoded]) => () => {
          const headers = encoded ? { 'content-encoding': encoding } : { 'content-type': type }
          return post(`logout_token=${valid}`, headers)
        }),
    ))

  it('a valid token with something changed by somebody who cannot sign', () => {
    const at = fc.nat({ max: valid.length - 1 })
    const changed: fc.Arbitrary<string> = fc.oneof(
      fc.tuple(at, fc.constantFrom(...'ABCabc019-_.=~ ')).map(([i, c]) => valid.slice(0, i) + c + valid.slice(i + 1)),
      fc.tuple(at, fc.string({ minLength: 1, maxLength: 9 })).map(([i, s]) => valid.slice(0, i) + s + valid.slice(i)),
      fc.tuple(at, fc.integer({ min: 1, max: 60 })).map(([i, n]) => valid.slice(0, i) + valid.slice(i + n)),
      at.map((i) => valid.slice(0, i)),
      at.map((i) => valid + valid.slice(i)),
      fc.shuffledSubarray(valid.split('.'), { minLength: 1 }).map((parts) => parts.join('.')),
      fc
        .tuple(fc.dictionary(fc.constantFrom('alg', 'kid', 'typ', 'crit', 'jwk', 'b64'), fc.jsonValue()), fc.boolean())
        .map(([header, unsigned]) => {
          const [, payload, signature] = valid.split('.')
          const encoded = Buffer.from(JSON.stringify(header)).toString('base64url')
          return `${encoded}.${payload}.${unsigned ? '' : signature}`
        }),
      fc.dictionary(fc.string(), fc.jsonValue()).map((claims) => {
        const [header, payload = '', signature] = valid.split('.')
        const believed = JSON.parse(Buffer.from(payload, 'base64url').toString())
        return `${header}.${Buffer.from(JSON.stringify({ ...believed, ...claims, sid: 'x' })).toString('base64url')}.${signature}`
      }),
    )
    const unlessTheSame = changed.filter((token) => token !== valid)
    return property(
      RUNS.mutations,
      unlessTheSame.map((token) => () => postToken(token)),
    )
  })

  it('a truly signed token of any JSON that is no logout', () =>
    property(
      RUNS.payloads,
      fc
        .oneof(
          // Claims from nowhere, and one of the valid claims replaced by a value of a type or content that it must not
          // have.
          fc.jsonValue().map((rawPayload) => ({ rawPayload: JSON.stringify(rawPayload) })),
          bytes.map((rawPayload) => ({ rawPayload })),
          fc
            .tuple(fc.constantFrom('iss', 'aud', 'azp', 'events', 'nonce'), fc.jsonValue())
            .map(([claim, value]) => ({ payload: { [claim]: value } })),
          fc
            .tuple(
              fc.constantFrom('iat', 'exp', 'nbf', 'jti', 'sub', 'sid'),
              fc.oneof(
                fc.boolean(),
                fc.array(fc.jsonValue()),
                fc.dictionary(fc.string(), fc.jsonValue()),
                fc.constant(''),
              ),
            )
            .map(([claim, value]) => ({ payload: { [claim]: value } })),
          fc
            .jsonValue()
            .filter((value) => typeof value !== 'object' || value === null || Array.isArray(value))
            .map((value) => ({ payload: { events: { [BACKCHANNEL_LOGOUT_EVENT]: value } } })),
          fc
            .tuple(
              fc.constantFrom('iat', 'exp'),
              fc.double({ max: 1_500_000_000, noNaN: true, noDefaultInfinity: true }),
            )
            .map(([claim, value]) => ({ payload: { [claim]: value } })),
        )
        .map((change) => async () => postToken(await rp.mint.logoutToken(change))),
    ))

  it('a truly signed token under any header that is not one of ours', () =>
    property(
      RUNS.headers,
      fc
        .oneof(
          fc
            .tuple(fc.constantFrom('alg', 'crit'), fc.jsonValue())
            .map(([name, value]) => ({ header: { [name]: value } })),
          fc.tuple(fc.constant('typ'), fc.jsonValue()).map(([name, value]) => ({ header: { [name]: value } })),
          fc
            .jsonValue()
            .filter((value) => value !== null)
            .map((value) => ({ header: { kid: value } })),
          fc.jsonValue().map((value) => ({ rawHeader: JSON.stringify(value) })),
          bytes.map((rawHeader) => ({ rawHeader })),
        )
        .map((change) => async () => postToken(await rp.mint.logoutToken(change))),
    ))

  it('through Express as well', () =>
    property(
      RUNS.sockets,
      fc
        .oneof(
          bytes,
          fc.string({ unit: 'binary' }).map((text) => Uint8Array.from(Buffer.from(`logout_token=${text}`))),
        )
        .map((body) => () => fetch(rp.logoutUrl, { method: 'POST', headers: { 'content-type': FORM }, body })),
    ))

  it('and after all that, the valid token is taken', async () => {
    expect(Object.values(RUNS).reduce((sum, runs) => sum + runs)).toBeGreaterThanOrEqual(10_000)
    const response = await postToken(valid)
    expectLoggedOut({ status: response.status, headers: response.headers, text: await response.text() })
    expect(await rp.alive()).toEqual(['alice-phone', 'bob-laptop'])
  })
})

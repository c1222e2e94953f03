import type { ClientAuth } from 'oauth4webapi'
import { describe, expect, it } from 'vitest'
import { type ProviderLookup, type ProviderSource, providerDirectory } from '../../src/providers/directory.js'
import type { ProviderOptions } from '../../src/providers/provider-options.js'
import { verifyLogoutToken } from '../../src/tokens/logout-token.js'
import {
  CLIENT_ID,
  directoryOf,
  ISSUER,
  mintOf,
  NOW,
  providerOf,
  refusalOf,
  ruleOf,
  UNHURRIED,
  verify,
} from '../tokens/verifying.js'

const LOOKUP_FAILED = {
  code: 'ERR_KEYS_UNAVAILABLE',
  reason: 'provider_lookup_failed',
  claim: undefined,
  option: undefined,
}

const newPrivateKey = async () =>
  (await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify'])).privateKey

/** As a caller without types would. */
const open = (source: unknown) => () => providerDirectory(source as ProviderSource)
const lookup = (answer: unknown) => directoryOf((() => answer) as ProviderLookup)

describe('one provider', () => {
  it('is found by its exact issuer alone', async () => {
    const directory = directoryOf({ issuer: ISSUER, clientId: CLIENT_ID })
    expect(directory.configured()).toHaveLength(1)
    expect(await directory.forIssuer(ISSUER)).toEqual(directory.configured())
    for (const other of [`${ISSUER}/`, ISSUER.toUpperCase(), '', '__proto__', 'toString']) {
      expect(await directory.forIssuer(other)).toEqual([])
    }
  })
})

describe('a list', () => {
  it('holds several issuers, and several clients of one', async () => {
    const directory = directoryOf([
      { issuer: ISSUER, clientId: 'a' },
      { issuer: 'https://other.example.com', clientId: 'a' },
      { issuer: ISSUER, clientId: 'b' },
    ])
    expect(directory.configured()).toHaveLength(3)
    expect((await directory.forIssuer(ISSUER)).map(({ client }) => client.clientId)).toEqual(['a', 'b'])
  })

  it.each<[string, unknown, RegExp]>([
    ['an empty list', [], /list is empty/],
    [
      'one client twice',
      [
        { issuer: ISSUER, clientId: 'a' },
        { issuer: ISSUER, clientId: 'a' },
      ],
      /given twice/,
    ],
    ['a hole', [undefined], /provider must be an object/],
    ['nothing', undefined, /provider must be an object/],
    ['a string', ISSUER, /provider must be an object/],
  ])('%s is misuse', (_, source, message) => {
    expect(open(source)).toThrow(message)
    expect(open(source)).toThrow(TypeError)
  })
})

describe('several clients of one issuer', () => {
  it('are told apart by the audience', async () => {
    const [a, b] = await Promise.all([mintOf({ clientId: 'a' }), mintOf({ clientId: 'b' })])
    const source = [providerOf(a), providerOf(b)]
    expect((await verify(await a.logoutToken(), source)).target.clientId).toBe('a')
    expect((await verify(await b.logoutToken(), source)).target.clientId).toBe('b')
    expect(await ruleOf(verify(await a.logoutToken({ payload: { aud: 'c' } }), source))).toMatchObject({
      reason: 'aud_mismatch',
      claim: 'aud',
    })
  })

  it('both in the audience: it is the token of both', async () => {
    const mint = await mintOf({ clientId: 'a' })
    const directory = directoryOf([providerOf(mint), providerOf(mint, { clientId: 'b' })])
    const token = await mint.logoutToken({ payload: { aud: ['a', 'b'] } })
    const tokens = await verifyLogoutToken(token, { directory, now: NOW })
    expect(tokens.map(({ target }) => target.clientId)).toEqual(['a', 'b'])
  })

  it('both in the audience and a stranger: it is the token of the one that trusts the stranger', async () => {
    const mint = await mintOf({ clientId: 'a' })
    const token = await mint.logoutToken({ payload: { aud: ['a', 'b', 'c'] } })
    const wary = [providerOf(mint), providerOf(mint, { clientId: 'b' })]
    expect(await ruleOf(verify(token, wary))).toMatchObject({ reason: 'aud_untrusted', option: 'trustedAudiences' })
    const directory = directoryOf([providerOf(mint), providerOf(mint, { clientId: 'b', trustedAudiences: ['c'] })])
    const tokens = await verifyLogoutToken(token, { directory, now: NOW })
    expect(tokens.map(({ target }) => target.clientId)).toEqual(['b'])
  })
})

describe('a function of the issuer', () => {
  it('is asked with the unverified issuer, and its answer is kept with its keys while it is the same', async () => {
    const asked: string[] = []
    const directory = directoryOf(async (issuer) => {
      asked.push(issuer)
      return issuer === ISSUER ? { issuer, clientId: CLIENT_ID } : undefined
    })
    const [first] = await directory.forIssuer(ISSUER)
    const [second] = await directory.forIssuer(ISSUER)
    expect(first).toBeDefined()
    expect(second).toBe(first)
    expect(await directory.forIssuer('https://other.example.com')).toEqual([])
    expect(asked).toEqual([ISSUER, ISSUER, 'https://other.example.com'])
  })

  it('may change its mind, also by changing the object that it gave', async () => {
    const options: { issuer: string; clientId: string } & ProviderOptions = { issuer: ISSUER, clientId: 'a' }
    const directory = directoryOf(() => options)
    const [before] = await directory.forIssuer(ISSUER)
    options.clientId = 'b'
    const [after] = await directory.forIssuer(ISSUER)
    expect([before?.client.clientId, after?.client.clientId]).toEqual(['a', 'b'])
  })

  it.each([
    ['a function', async () => ({ clientAuthentication: (() => {}) as ClientAuth })],
    [
      'a key',
      async () => ({ clientAuthentication: { method: 'private_key_jwt' as const, privateKey: await newPrivateKey() } }),
    ],
    ['another deadline', async (call: number) => ({ requestTimeoutSeconds: 1 + call / 1000 })],
  ] as const)('and %s that is made at each call: the budget stays, and the latest `fetch` is used', async (_, made) => {
    const mint = await mintOf()
    const fetchedBy: number[] = []
    let calls = 0
    const directory = directoryOf(async (issuer) => {
      const call = ++calls
      const fetch = async (url: string) => {
        fetchedBy.push(call)
        return Response.json(url.endsWith('/jwks') ? mint.jwks : { issuer, jwks_uri: `${issuer}/jwks` })
      }
      return { issuer, clientId: CLIENT_ID, fetch, ...(await made(call)) }
    })
    for (let i = 1; i <= 20; i++) {
      const forged = await mint.logoutToken({ header: { kid: `invented-${i}` }, signer: 'foreign' })
      expect(await ruleOf(verifyLogoutToken(forged, { directory, now: NOW }))).toMatchObject({
        code: i <= 6 ? 'ERR_TOKEN' : 'ERR_KEYS_UNAVAILABLE',
        reason: i <= 6 ? 'key_unknown' : 'lookups_used_up',
      })
    }
    expect(fetchedBy).toEqual([1, 1, 2, 3, 4, 5, 6])
  })

  it('may give several clients of that issuer', async () => {
    const [a, b] = await Promise.all([mintOf({ clientId: 'a' }), mintOf({ clientId: 'b' })])
    const source: ProviderLookup = () => [providerOf(a), providerOf(b)]
    expect((await verify(await b.logoutToken(), source)).target.clientId).toBe('b')
    const twice = directoryOf(() => [providerOf(a), providerOf(a)])
    expect(await ruleOf(twice.forIssuer(ISSUER))).toEqual(LOOKUP_FAILED)
  })

  it('may know more issuers than are kept: none of them is asked for its keys more often for it', async () => {
    let [time, fetches] = [NOW, 0]
    const directory = providerDirectory(
      (issuer) => ({
        issuer,
        clientId: CLIENT_ID,
        jwksUri: `${issuer}/jwks`,
        fetch: async () => {
          fetches++
          return Response.json({ keys: [{ kty: 'RSA', n: 'AQAB', e: 'AQAB', kid: 'another' }] })
        },
      }),
      { clock: () => time, monotonic: () => time },
    )
    const outcomes: string[] = []
    const ask = async () => {
      const [provider] = await directory.forIssuer(ISSUER)
      outcomes.push((await provider?.keys.keyFor({ alg: 'RS256', kid: 'invented' }))?.found ?? '')
      for (let i = 0; i < 1000; i++) await directory.forIssuer(`https://${i}.example.com`)
    }
    for (let i = 0; i < 8; i++) await ask()
    // The first, and five that a stranger caused. The others are not refused, but have to wait.
    expect([fetches, outcomes.slice(-2)]).toEqual([6, ['not now', 'not now']])
    time += 6
    for (let i = 0; i < 3; i++) await ask()
    expect(fetches).toBe(7)
  })

  it('is not asked with what can be no issuer', async () => {
    const directory = directoryOf(() => expect.fail('asked'))
    expect(await directory.forIssuer('')).toEqual([])
    expect(await directory.forIssuer(`https://${'x'.repeat(2048)}`)).toEqual([])
  })

  it('names no provider ahead', async () => {
    const directory = directoryOf(() => expect.fail('asked'))
    expect(directory.configured()).toEqual([])
    await directory.prepare(UNHURRIED)
  })

  it.each<[string, ProviderLookup, unknown]>([
    [
      'throws',
      () => {
        throw new Error('database down')
      },
      'database down',
    ],
    [
      'rejects',
      async () => {
        throw new Error('database down')
      },
      'database down',
    ],
    [
      'gives another issuer',
      () => ({ issuer: 'https://other.example.com', clientId: CLIENT_ID }),
      /asked for one issuer/,
    ],
    ['gives unusable options', () => ({ issuer: ISSUER, clientId: '' }), /clientId must be/],
  ])('that %s is no verdict on the token', async (_, source, message) => {
    const mint = await mintOf()
    const error = await refusalOf(verify(await mint.logoutToken(), source))
    expect(error).toMatchObject({ ...LOOKUP_FAILED, transientFailureStatus: 400 })
    expect(String(error.cause)).toMatch(message instanceof RegExp ? message : String(message))
  })

  it.each([null, 'https://op.example.com', [], () => ({})])(
    'that gives %s is no verdict on the token',
    async (answer) => {
      expect(await ruleOf(lookup(answer).forIssuer(ISSUER))).toEqual(LOOKUP_FAILED)
    },
  )

  it('that hangs is given up with the request', async () => {
    const request = new AbortController()
    const asked = ruleOf(directoryOf(() => new Promise(() => {})).forIssuer(ISSUER, () => request.signal))
    request.abort()
    expect(await asked).toEqual(LOOKUP_FAILED)
  })

  it('that hangs is given up by itself', async () => {
    expect(await ruleOf(directoryOf(() => new Promise(() => {})).forIssuer(ISSUER))).toEqual(LOOKUP_FAILED)
  })
})

// Which key verifies a token: one of its issuer, that fits; or the client secret, and then no other.

import type { JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { expected, weakKey } from './rules.js'
import { CLIENT_ID, mintOf, NOW, providerOf, ruleOf, verify } from './verifying.js'

describe('the key', () => {
  it('of one issuer never verifies the token of another', async () => {
    const mint = await mintOf()
    const other = await mintOf({ issuer: 'https://other.example.com', algorithm: 'ES256' })
    const both = [providerOf(mint, { algorithms: ['RS256', 'ES256'] }), providerOf(other, { algorithms: ['ES256'] })]
    const own = { ...providerOf(mint, { algorithms: ['ES256'] }), jwks: { keys: mint.jwks.keys.slice(0, 1) } }
    const forged = await other.logoutToken({ payload: { iss: mint.issuer }, header: { kid: undefined } })
    expect(await ruleOf(verify(forged, [own, ...both.slice(1)]))).toEqual(expected(['key_unknown', 'kid']))
    expect((await verify(await other.logoutToken(), both)).provider.client.issuer).toBe(other.issuer)
  })

  it('given twice under one id is refused rather than guessed', async () => {
    const mint = await mintOf()
    const jwks = { keys: [...mint.jwks.keys, ...mint.jwks.keys.slice(-1)] }
    expect(await ruleOf(verify(await mint.logoutToken(), providerOf(mint, { jwks })))).toEqual(
      expected(['kid_ambiguous', 'kid']),
    )
  })

  it('for another algorithm by its own word does not fit', async () => {
    const mint = await mintOf()
    const jwks = { keys: mint.jwks.keys.map((key) => ({ ...key, ...(key.alg ? {} : { alg: 'RS512' }) })) }
    expect(await ruleOf(verify(await mint.logoutToken(), providerOf(mint, { jwks })))).toEqual(
      expected(['key_unknown', 'kid']),
    )
  })

  it.each<[string, (key: JWK) => JWK]>([
    ['of 1024 bits', (key) => ({ ...weakKey(), kid: key.kid ?? '' })],
    ['that is no key', (key) => ({ kty: 'RSA', kid: key.kid ?? '', n: '!', e: '!' })],
  ])('%s cannot be used', async (_, spoil) => {
    const mint = await mintOf()
    const jwks = { keys: mint.jwks.keys.slice(-1).map(spoil) }
    expect(await ruleOf(verify(await mint.logoutToken(), providerOf(mint, { jwks })))).toMatchObject({
      code: 'ERR_TOKEN',
      reason: 'key_unusable',
    })
  })
})

describe('the client secret', () => {
  it.each([1, 16, 31, 32, 64, 200])('of %d characters is the key as it stands', async (length) => {
    const clientSecret = 'é'.padStart(length, 's')
    for (const algorithm of ['HS256', 'HS512'] as const) {
      const mint = await mintOf({ algorithm, clientSecret })
      const options = { algorithms: [algorithm], clientSecret }
      expect((await verify(await mint.logoutToken(), providerOf(mint, options))).issuedAt).toBe(NOW)
      expect(
        await ruleOf(
          verify(await mint.logoutToken(), providerOf(mint, { ...options, clientSecret: `${clientSecret}x` })),
        ),
      ).toEqual(expected(['signature_invalid']))
    }
  })

  it('is the only key of HMAC, whatever is published, also where RSA is allowed beside it', async () => {
    const mint = await mintOf()
    const options = { algorithms: ['RS256', 'HS256'], clientSecret: 'the-secret' }
    const confused = await mint.logoutToken({ signer: 'public-key-as-secret' })
    expect(await ruleOf(verify(confused, providerOf(mint, options)))).toEqual(expected(['signature_invalid']))
    expect((await verify(await mint.logoutToken(), providerOf(mint, options))).issuedAt).toBe(NOW)
  })

  it('demands a single audience', async () => {
    const mint = await mintOf({ algorithm: 'HS256', clientSecret: 'x' })
    const options = { algorithms: ['HS256'], clientSecret: 'x', trustedAudiences: ['api'] }
    const shared = await mint.logoutToken({ payload: { aud: [CLIENT_ID, 'api'] } })
    expect(await ruleOf(verify(shared, providerOf(mint, options)))).toEqual(expected(['aud_not_single', 'aud']))
  })
})

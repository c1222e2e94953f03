// The Logout Token as a whole: what a valid one says, and each defect of the mint by the rule that must refuse it.

import { describe, expect, it } from 'vitest'
import { DEFECTS } from '../../src/testing/defects.js'
import type { MintAlgorithm } from '../../src/testing/mint-keys.js'
import { believed, expected, RULES } from './rules.js'
import { CLIENT_ID, ISSUER, mintOf, NOW, providerOf, ruleOf, verify } from './verifying.js'

describe('a valid token', () => {
  it('is believed, with its provider, target, dates, id and claims', async () => {
    const token = await believed({ payload: { jti: 'bWJq', trace_id: 'x' } })
    expect(token).toMatchObject({
      provider: { client: { issuer: ISSUER, clientId: CLIENT_ID } },
      target: { issuer: ISSUER, clientId: CLIENT_ID, sid: '08a5019c-17e1-4977-8f42-65a12843ea02', sub: '248289761001' },
      issuedAt: NOW,
      jti: 'bWJq',
      replayUntil: NOW + 180,
      revokeOfflineAccess: false,
      claims: { iss: ISSUER, trace_id: 'x' },
    })
    expect([token, token.claims, token.provider].every(Object.isFrozen)).toBe(true)
  })

  it.each<MintAlgorithm>([
    ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const),
    ...(['HS256', 'HS384', 'HS512'] as const),
  ])('is believed by %s where that is registered, and by default only RS256', async (algorithm) => {
    const clientSecret = 's'.repeat(64)
    const mint = await mintOf({ algorithm, clientSecret })
    const token = await mint.logoutToken()
    expect((await verify(token, providerOf(mint, { algorithms: [algorithm], clientSecret }))).issuedAt).toBe(NOW)
    if (algorithm === 'RS256') return
    expect(await ruleOf(verify(token, providerOf(mint, { clientSecret })))).toEqual(
      expected(['alg_not_allowed', 'alg', 'algorithms']),
    )
  })

  it('may have a kid of any characters', async () => {
    const mint = await mintOf()
    const kid = 'wU3ifIIaLOUAReRB/FG6eM1P1QM='
    const jwks = { keys: mint.jwks.keys.map((key) => ({ ...key, ...(key.kty === 'RSA' && !key.alg ? { kid } : {}) })) }
    expect((await verify(await mint.logoutToken({ header: { kid } }), providerOf(mint, { jwks }))).issuedAt).toBe(NOW)
  })

  it('of a duplicate member name is read by the last, as it is signed', async () => {
    const { target } = await believed({ rawMembers: { sub: '"the-last"' } })
    expect(target.sub).toBe('the-last')
  })
})

describe('one defect of the mint', () => {
  it.each(DEFECTS.map(({ name }) => name))('%s is refused by its own rule', async (name) => {
    const mint = await mintOf()
    expect(await ruleOf(verify(await mint.defective(name), providerOf(mint)))).toEqual(expected(RULES[name]))
  })
})

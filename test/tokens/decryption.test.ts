// Encrypted Logout Tokens: what opens them, and that nothing is opened for another provider.

import type { JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import type { DecryptionOptions } from '../../src/providers/provider-options.js'
import type { Change } from '../../src/testing/token-change.js'
import { believed, expected, garbled, header, keyPair, type Rule } from './rules.js'
import { ISSUER, mintOf, NOW, providerOf, ruleOf, verify } from './verifying.js'

describe('an encrypted token', () => {
  const rsa = keyPair('rsa')
  const ec = keyPair('ec')
  const secret: JWK = { kty: 'oct', kid: 'secret', k: Buffer.alloc(32, 7).toString('base64url') }
  const decryption: DecryptionOptions = {
    keys: [ec.privateJwk, rsa.privateJwk, secret],
    keyManagementAlgorithms: ['RSA-OAEP-256', 'ECDH-ES', 'ECDH-ES+A128KW', 'dir', 'PBES2-HS256+A128KW'],
    contentEncryptionAlgorithms: ['A256GCM', 'A128CBC-HS256'],
  }
  const toRsa = { key: rsa.publicJwk }
  const decrypting = { decryption }

  it.each<[string, Change]>([
    ['RSA-OAEP-256', { encrypt: toRsa }],
    ['A128CBC-HS256', { encrypt: { ...toRsa, enc: 'A128CBC-HS256' } }],
    ['ECDH-ES', { encrypt: { key: ec.publicJwk, alg: 'ECDH-ES' } }],
    ['ECDH-ES+A128KW', { encrypt: { key: ec.publicJwk, alg: 'ECDH-ES+A128KW' } }],
    ['dir', { encrypt: { key: secret, alg: 'dir' } }],
    ['PBES2', { encrypt: { key: secret, alg: 'PBES2-HS256+A128KW' } }],
    ['no kid', { encrypt: { ...toRsa, header: { kid: undefined } } }],
    ['a kid that is not ours', { encrypt: { ...toRsa, header: { kid: 'theirs' } } }],
    ['no cty', { encrypt: { ...toRsa, header: { cty: undefined } } }],
    ['cty in lower case', { encrypt: { ...toRsa, header: { cty: 'jwt' } } }],
    ['its issuer in the header', { encrypt: { ...toRsa, header: { iss: ISSUER } } }],
  ])('by %s is believed', async (_, change) => {
    expect((await believed(change, decrypting)).issuedAt).toBe(NOW)
  })

  it.each<[string, Change, Rule]>([
    ['not encrypted', {}, ['encryption_required', undefined, 'decryption.allowPlainJws']],
    ['alg none', { encrypt: toRsa, segments: header({ alg: 'none' }) }, ['alg_none', 'alg']],
    ['another alg', { encrypt: { ...toRsa, alg: 'RSA-OAEP' } }, ['encryption_alg_not_allowed', 'alg', 'decryption']],
    ['another enc', { encrypt: { ...toRsa, enc: 'A128GCM' } }, ['encryption_alg_not_allowed', 'alg', 'decryption']],
    ['no enc', { encrypt: toRsa, segments: header({ enc: undefined }) }, ['alg_missing', 'enc']],
    ['crit', { encrypt: toRsa, segments: header({ crit: ['exp'], exp: 1 }) }, ['crit_unsupported', 'crit']],
    ['zip', { encrypt: toRsa, segments: header({ zip: 'DEF' }) }, ['zip_refused', 'zip']],
    [
      'p2c beyond measure',
      { encrypt: { key: secret, alg: 'PBES2-HS256+A128KW' }, segments: header({ p2c: 1e9 }) },
      ['p2c_too_large', 'p2c'],
    ],
    ['cty of something else', { encrypt: { ...toRsa, header: { cty: 'JSON' } } }, ['cty_invalid', 'cty']],
    ['cty a list', { encrypt: toRsa, segments: header({ cty: ['JWT'] }) }, ['cty_invalid', 'cty']],
    ['a header changed on the way', { encrypt: toRsa, segments: header({ more: 1 }) }, ['decryption_failed']],
    ['a tag changed on the way', { encrypt: toRsa, segments: garbled(4) }, ['decryption_failed']],
    ['to somebody else', { encrypt: { key: keyPair('rsa').publicJwk } }, ['decryption_failed']],
    ['content not signed', { encrypt: { ...toRsa, unsigned: true } }, ['nested_not_signed']],
    ['content signed by nobody', { encrypt: toRsa, signer: 'nobody' }, ['alg_none', 'alg']],
    ['content signed by a foreign key', { encrypt: toRsa, signer: 'foreign' }, ['signature_invalid']],
    ['content with a nonce', { encrypt: toRsa, payload: { nonce: 'n' } }, ['nonce_present', 'nonce']],
    [
      'an unknown issuer in the header',
      { encrypt: { ...toRsa, header: { iss: 'https://other.example.com' } } },
      ['iss_unknown', 'iss'],
    ],
    [
      'an issuer in the header that is no string',
      { encrypt: { ...toRsa, header: { iss: 1 } } },
      ['iss_unknown', 'iss'],
    ],
    [
      'an unknown issuer inside',
      { encrypt: toRsa, payload: { iss: 'https://other.example.com' } },
      ['iss_unknown', 'iss'],
    ],
  ])('%s is refused', async (_, change, rule) => {
    expect(await ruleOf(believed(change, decrypting))).toEqual(expected(rule))
  })

  it('is refused where no decryption is configured', async () => {
    expect(await ruleOf(believed({ encrypt: toRsa }))).toEqual(
      expected(['encryption_not_configured', undefined, 'decryption']),
    )
  })

  it('may be a signed one where that is said', async () => {
    const options = { decryption: { ...decryption, allowPlainJws: true } }
    expect((await believed({}, options)).issuedAt).toBe(NOW)
    expect((await believed({ encrypt: toRsa }, options)).issuedAt).toBe(NOW)
  })

  it('of one issuer in the header and another inside is refused', async () => {
    const [mint, other] = [await mintOf(), await mintOf({ issuer: 'https://other.example.com' })]
    const source = [providerOf(mint, decrypting), providerOf(other, decrypting)]
    const token = await other.logoutToken({ encrypt: { ...toRsa, header: { iss: ISSUER } } })
    expect(await ruleOf(verify(token, source))).toEqual(expected(['nested_iss_mismatch', 'iss']))
  })

  it('finds its provider by its content, where keys are shared', async () => {
    const [mint, other] = [await mintOf(), await mintOf({ issuer: 'https://other.example.com' })]
    const source = [providerOf(mint, decrypting), providerOf(other, decrypting)]
    const { provider } = await verify(await other.logoutToken({ encrypt: toRsa }), source)
    expect(provider.client.issuer).toBe(other.issuer)
  })

  it('is not opened for one provider by the key of another', async () => {
    const [mint, other] = [await mintOf(), await mintOf({ issuer: 'https://other.example.com' })]
    const source = [
      providerOf(mint, decrypting),
      providerOf(other, { decryption: { ...decryption, keys: [keyPair('rsa').privateJwk] } }),
    ]
    expect(await ruleOf(verify(await other.logoutToken({ encrypt: toRsa }), source))).toEqual(
      expected(['decryption_failed']),
    )
    expect((await verify(await mint.logoutToken({ encrypt: toRsa }), source)).issuedAt).toBe(NOW)
  })

  it('needs its issuer in the header where providers are looked up by it', async () => {
    const mint = await mintOf()
    const source = () => providerOf(mint, decrypting)
    expect(await ruleOf(verify(await mint.logoutToken({ encrypt: toRsa }), source))).toEqual(
      expected(['iss_missing', 'iss']),
    )
    const named = await mint.logoutToken({ encrypt: { ...toRsa, header: { iss: ISSUER } } })
    expect((await verify(named, source)).issuedAt).toBe(NOW)
  })
})

import { generateKeyPairSync } from 'node:crypto'
import type { JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import type { DecryptionOptions, ProviderOptions } from '../../src/providers/provider.js'
import { DEFECTS, type Defect } from '../../src/testing/defects.js'
import type { MintAlgorithm } from '../../src/testing/mint-keys.js'
import type { Change } from '../../src/testing/token-change.js'
import { verifyLogoutToken } from '../../src/tokens/logout-token.js'
import type { TokenRefusal } from '../../src/tokens/token-refusal.js'
import { CLIENT_ID, directoryOf, ISSUER, mintOf, NOW, providerOf, refusalOf, ruleOf, verify } from './verifying.js'

type Rule = readonly [reason: TokenRefusal, claim?: string | undefined, option?: string]

function expected([reason, claim, option]: Rule) {
  return { code: 'ERR_TOKEN', reason, claim, option }
}

async function believed(change: Change = {}, options: Partial<ProviderOptions> = {}) {
  const mint = await mintOf()
  return verify(await mint.logoutToken(change), providerOf(mint, options))
}

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

/** Each of the mint's defects by the rule that must refuse it: a valid token and this one change. */
const RULES: Record<Defect, Rule> = {
  'alg-none': ['alg_none', 'alg'],
  'alg-none-with-signature': ['alg_none', 'alg'],
  'alg-absent': ['alg_missing', 'alg'],
  'alg-wrong-case': ['alg_not_allowed', 'alg', 'algorithms'],
  'alg-of-another-published-key': ['alg_not_allowed', 'alg', 'algorithms'],
  'public-key-as-secret': ['alg_not_allowed', 'alg', 'algorithms'],
  'signature-of-foreign-key': ['signature_invalid'],
  'signature-removed': ['signature_invalid'],
  'signature-garbled': ['signature_invalid'],
  'payload-swapped': ['signature_invalid'],
  'key-in-header': ['signature_invalid'],
  'crit-unknown': ['crit_unsupported', 'crit'],
  'typ-access-token': ['typ_refused', 'typ', 'additionalTyp'],
  'typ-security-event': ['typ_refused', 'typ', 'additionalTyp'],
  'typ-dpop': ['typ_refused', 'typ', 'additionalTyp'],
  'typ-not-a-string': ['typ_invalid', 'typ'],
  'payload-not-json': ['payload_invalid'],
  'payload-not-an-object': ['payload_invalid'],
  'payload-not-utf8': ['payload_invalid'],
  'iss-absent': ['iss_missing', 'iss'],
  'iss-of-another': ['iss_unknown', 'iss'],
  'iss-with-trailing-slash': ['iss_unknown', 'iss'],
  'iss-not-a-string': ['iss_missing', 'iss'],
  'aud-absent': ['aud_missing', 'aud'],
  'aud-of-another': ['aud_mismatch', 'aud'],
  'aud-empty-array': ['aud_mismatch', 'aud'],
  'aud-with-untrusted-audience': ['aud_untrusted', 'aud', 'trustedAudiences'],
  'aud-not-strings': ['aud_invalid', 'aud'],
  'azp-of-another': ['azp_mismatch', 'azp'],
  'iat-absent': ['iat_missing', 'iat'],
  'iat-not-a-number': ['iat_invalid', 'iat'],
  'iat-in-the-future': ['iat_in_future', 'iat', 'clockToleranceSeconds'],
  'iat-too-old': ['too_old', 'iat', 'maxAgeSeconds'],
  'exp-absent': ['exp_missing', 'exp', 'allowMissingExp'],
  'exp-passed': ['exp_past', 'exp', 'clockToleranceSeconds'],
  'exp-not-a-number': ['exp_invalid', 'exp'],
  'exp-not-finite': ['exp_invalid', 'exp'],
  'nbf-in-the-future': ['nbf_in_future', 'nbf', 'clockToleranceSeconds'],
  'nbf-not-a-number': ['nbf_invalid', 'nbf'],
  'sub-and-sid-absent': ['target_missing', 'sub'],
  'sub-and-sid-null': ['target_missing', 'sub'],
  'sub-empty': ['sub_invalid', 'sub'],
  'sub-not-a-string': ['sub_invalid', 'sub'],
  'sub-too-long': ['sub_invalid', 'sub'],
  'sub-with-control-character': ['sub_invalid', 'sub'],
  'sid-empty': ['sid_invalid', 'sid'],
  'sid-not-a-string': ['sid_invalid', 'sid'],
  'sid-too-long': ['sid_invalid', 'sid'],
  'sid-with-control-character': ['sid_invalid', 'sid'],
  'events-absent': ['events_missing', 'events'],
  'events-null': ['events_invalid', 'events'],
  'events-empty': ['event_missing', 'events'],
  'events-an-array': ['events_invalid', 'events'],
  'events-a-string': ['events_invalid', 'events'],
  'events-of-another-kind': ['event_missing', 'events'],
  'event-null': ['event_invalid', 'events'],
  'event-an-array': ['event_invalid', 'events'],
  'event-true': ['event_invalid', 'events'],
  'event-in-prototype-member': ['event_missing', 'events'],
  nonce: ['nonce_present', 'nonce'],
  'nonce-null': ['nonce_present', 'nonce'],
  'nonce-empty': ['nonce_present', 'nonce'],
  'jti-absent': ['jti_missing', 'jti'],
  'jti-empty': ['jti_invalid', 'jti'],
  'jti-not-a-string': ['jti_invalid', 'jti'],
}

describe('one defect of the mint', () => {
  it.each(DEFECTS.map(({ name }) => name))('%s is refused by its own rule', async (name) => {
    const mint = await mintOf()
    expect(await ruleOf(verify(await mint.defective(name), providerOf(mint)))).toEqual(expected(RULES[name]))
  })
})

describe('the form of the token', () => {
  it.each<[string, (token: string) => unknown, Rule]>([
    ['nothing', () => '', ['token_malformed']],
    ['undefined', () => undefined, ['token_malformed']],
    ['an object', (token) => ({ toString: () => token }), ['token_malformed']],
    ['an array', (token) => [token], ['token_malformed']],
    ['dots', () => '..', ['header_invalid']],
    ['two segments', (token) => token.split('.').slice(0, 2).join('.'), ['token_malformed']],
    ['four segments', (token) => `${token}.AAAA`, ['token_malformed']],
    ['six segments', (token) => `${token}.AAAA.AAAA.AAAA`, ['token_malformed']],
    ['a space in front', (token) => ` ${token}`, ['token_malformed']],
    ['a line end behind', (token) => `${token}\n`, ['token_malformed']],
    ['padding', (token) => `${token}==`, ['token_malformed']],
    ['standard base64', (token) => token.replace(/.$/, '+'), ['token_malformed']],
    ['letters beyond ASCII', (token) => token.replace(/^./, '\uFF41'), ['token_malformed']],
    ['another spelling of the same signature', (token) => token.replace(/.$/, lastBitSet), ['token_malformed']],
    ['a length over the limit', (token) => token + 'A'.repeat(65_536), ['token_too_long']],
    ['a header that is an array', (token) => token.replace(/^[^.]+/, segment('["RS256"]')), ['header_invalid']],
    [
      'a header in Latin-1',
      (token) => token.replace(/^[^.]+/, segment(Buffer.from([0x7b, 0xe9, 0x7d]))),
      ['header_invalid'],
    ],
    ['brackets, thousands deep', () => `${segment('['.repeat(20_000))}.${segment('{}')}.AAAA`, ['header_invalid']],
  ])('%s is refused', async (_, spoil, rule) => {
    const mint = await mintOf()
    const token = spoil(await mint.logoutToken()) as string
    expect(await ruleOf(verify(token, providerOf(mint)))).toEqual(expected(rule))
  })

  it('of claims nested thousands deep does no harm', async () => {
    const deep = `${'['.repeat(15_000)}${']'.repeat(15_000)}`
    expect((await believed({ rawMembers: { deep } })).issuedAt).toBe(NOW)
  })
})

describe('the header', () => {
  it.each<[string, Change, Rule]>([
    ['alg None', { header: { alg: 'None' } }, ['alg_none', 'alg']],
    ['alg a number', { header: { alg: 256 } }, ['alg_missing', 'alg']],
    ['alg empty', { header: { alg: '' } }, ['alg_missing', 'alg']],
    ['alg of the prototype', { header: { alg: 'constructor' } }, ['alg_not_allowed', 'alg', 'algorithms']],
    ['crit empty', { header: { crit: [] } }, ['crit_unsupported', 'crit']],
    ['crit null', { header: { crit: null } }, ['crit_unsupported', 'crit']],
    ['crit of b64', { header: { crit: ['b64'], b64: true } }, ['crit_unsupported', 'crit']],
    ['crit of exp', { header: { crit: ['exp'], exp: NOW + 120 } }, ['crit_unsupported', 'crit']],
    ['kid a number', { header: { kid: 1 } }, ['kid_invalid', 'kid']],
    ['kid null', { header: { kid: null } }, ['kid_invalid', 'kid']],
    ['kid very long', { header: { kid: 'k'.repeat(1025) } }, ['kid_invalid', 'kid']],
    ['kid unknown', { header: { kid: '../../etc/passwd' } }, ['key_unknown', 'kid']],
    ['kid of the encryption key', { header: { kid: 'encryption' } }, ['key_unknown', 'kid']],
    ['kid of a key of another curve', { header: { kid: 'rare-curve' } }, ['key_unknown', 'kid']],
  ])('%s is refused', async (_, change, rule) => {
    expect(await ruleOf(believed(change))).toEqual(expected(rule))
  })

  it.each(['jku', 'x5u', 'x5c'])('%s is never followed', async (name) => {
    const keys = { [name]: 'https://attacker.example.com/keys' }
    expect(await ruleOf(believed({ header: keys, signer: 'foreign' }))).toEqual(expected(['signature_invalid']))
    expect((await believed({ header: keys })).issuedAt).toBe(NOW)
  })

  const INTEROP = [
    undefined,
    'JWT',
    'jwt',
    'logout+jwt',
    'Logout+JWT',
    'application/logout+jwt',
    'APPLICATION/LOGOUT+JWT',
  ]
  const STRICT = ['logout+jwt', 'LOGOUT+JWT', 'application/logout+jwt']

  it.each(INTEROP)('typ %s is taken by default', async (typ) => {
    expect((await believed({ header: { typ } })).issuedAt).toBe(NOW)
  })

  it.each(['', 'at+jwt', 'secevent+jwt', 'dpop+jwt', 'JOSE', 'application/jwt', 'logout+jwt ', 'xlogout+jwt'])(
    'typ "%s" is refused by default',
    async (typ) => {
      expect(await ruleOf(believed({ header: { typ } }))).toEqual(expected(['typ_refused', 'typ', 'additionalTyp']))
    },
  )

  it.each([null, 1, ['JWT'], {}, true])('typ %j is refused whatever the profile', async (typ) => {
    const options = { additionalTyp: ['null', '1', 'jwt', '[object Object]', 'true'] }
    expect(await ruleOf(believed({ header: { typ } }, options))).toEqual(expected(['typ_invalid', 'typ']))
  })

  it.each(STRICT)('typ %s is taken by the strict profile', async (typ) => {
    expect((await believed({ header: { typ } }, { typ: 'strict' })).issuedAt).toBe(NOW)
  })

  it('typ absent or JWT is refused by the strict profile', async () => {
    expect(await ruleOf(believed({ header: { typ: undefined } }, { typ: 'strict' }))).toEqual(
      expected(['typ_missing', 'typ', 'typ']),
    )
    expect(await ruleOf(believed({ header: { typ: 'JWT' } }, { typ: 'strict' }))).toEqual(
      expected(['typ_refused', 'typ', 'typ']),
    )
  })

  it('additionalTyp is taken in any case, and opens nothing else', async () => {
    const options = { additionalTyp: ['at+jwt'] }
    expect((await believed({ header: { typ: 'AT+jwt' } }, options)).issuedAt).toBe(NOW)
    expect(await ruleOf(believed({ header: { typ: 'dpop+jwt' } }, options))).toMatchObject({ reason: 'typ_refused' })
  })
})

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

describe('whatever is thrown', () => {
  it('comes out as a refusal, with its cause', async () => {
    const mint = await mintOf()
    const cause = new TypeError('inner')
    const broken = { ...directoryOf(providerOf(mint)), forIssuer: () => Promise.reject(cause) }
    const attempt = verifyLogoutToken(await mint.logoutToken(), { directory: broken, now: NOW })
    await expect(attempt).rejects.toMatchObject({ code: 'ERR_TOKEN', reason: 'unverifiable', cause })
  })

  it('says nothing of the token', async () => {
    const mint = await mintOf()
    for (const { name } of DEFECTS) {
      const { message } = await refusalOf(verify(await mint.defective(name), providerOf(mint)))
      for (const secret of ['248289761001', '08a5019c', ISSUER, CLIENT_ID]) expect(message).not.toContain(secret)
    }
  })
})

function keyPair(kind: 'rsa' | 'ec'): { readonly publicJwk: JWK; readonly privateJwk: JWK } {
  const { publicKey, privateKey } =
    kind === 'rsa'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    publicJwk: { ...(publicKey.export({ format: 'jwk' }) as JWK), kid: kind },
    privateJwk: { ...(privateKey.export({ format: 'jwk' }) as JWK), kid: kind },
  }
}

function weakKey(): JWK {
  return generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' }) as JWK
}

function segment(content: string | Uint8Array): string {
  return Buffer.from(content).toString('base64url')
}

/** Writes members into the header of a finished token. */
function header(members: Readonly<Record<string, unknown>>) {
  return ([first = '', ...rest]: readonly string[]) => {
    const read: unknown = JSON.parse(Buffer.from(first, 'base64url').toString())
    return [segment(JSON.stringify({ ...(read as object), ...members })), ...rest]
  }
}

function garbled(index: number) {
  return (segments: readonly string[]) =>
    segments.map((each, i) => (i === index ? (each.startsWith('A') ? 'B' : 'A') + each.slice(1) : each))
}

/** The last character of an RSA signature of 256 bytes has four bits that decode to nothing. */
function lastBitSet(character: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return alphabet[alphabet.indexOf(character) | 1] ?? ''
}

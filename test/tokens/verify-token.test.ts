// The ladder: what a header may say, for which client a token is, and that whatever is thrown is a refusal.

import { describe, expect, it } from 'vitest'
import { DEFECTS } from '../../src/testing/defects.js'
import type { Change } from '../../src/testing/token-change.js'
import { verifyLogoutToken } from '../../src/tokens/logout-token.js'
import { believed, expected, type Rule } from './rules.js'
import { CLIENT_ID, directoryOf, ISSUER, mintOf, NOW, providerOf, refusalOf, ruleOf, verify } from './verifying.js'

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

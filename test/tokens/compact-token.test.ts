// The form of a token: three segments of strict base64url, and JSON in them.

import { describe, expect, it } from 'vitest'
import { audiencesOf, claimedIssuerOf } from '../../src/tokens/compact-token.js'
import { believed, expected, lastBitSet, type Rule, segment } from './rules.js'
import { mintOf, NOW, providerOf, ruleOf, verify } from './verifying.js'

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

describe('audiencesOf', () => {
  it('reads a string and strings, and nothing else', () => {
    expect(audiencesOf({ aud: 'a' })).toEqual(['a'])
    expect(audiencesOf({ aud: ['a', 'b'] })).toEqual(['a', 'b'])
    expect(audiencesOf({ aud: ['a', 1] })).toBeUndefined()
    expect(audiencesOf({})).toBeUndefined()
  })
})

describe('claimedIssuerOf', () => {
  it.each([
    ['of the claims of a signed token', ['{"alg":"RS256"}', '{"iss":"https://op"}', ''], 'https://op'],
    [
      'of the header of an encrypted one',
      ['{"alg":"dir","enc":"A128GCM","iss":"https://op"}', '', '', '', ''],
      'https://op',
    ],
    ['of an encrypted one that does not say: none', ['{"alg":"dir","enc":"A128GCM"}', '', '', '', ''], ''],
    ['of what is no token: none', ['junk'], ''],
  ])('%s', (_, segments, issuer) => {
    expect(claimedIssuerOf(segments.map((each) => segment(each)).join('.'))).toBe(issuer)
  })
})

// What is no change of a token is refused: a test of it would prove nothing.
import { expect, it } from 'vitest'
import { assertChange, type Change } from '../../src/testing/token-change.js'

// What a program without types may hand over.
const check = (change: object) => () => assertChange('logoutToken()', change as Change)

it('a member that no change has is refused, and one that was meant is said', () => {
  expect(check({ claims: { sub: 'eve' } })).toThrow(/^logoutToken\(\) has no option "claims": it has header, payload, /)
  expect(check({ payloads: {} })).toThrow('logoutToken() has no option "payloads": it appears you mean payload')
  expect(check({ encrypt: { key: new Uint8Array(), algorithm: 'dir' } })).toThrow(/^encrypt has no option "algorithm"/)
  expect(check({ payload: { exp: undefined }, encrypt: undefined })).not.toThrow()
})

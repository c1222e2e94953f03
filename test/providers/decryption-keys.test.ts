import { describe, expect, it } from 'vitest'
import { DecryptionKeys } from '../../src/providers/decryption-keys.js'

describe('DecryptionKeys', () => {
  const rsa = { kty: 'RSA', kid: 'rsa', n: 'n', e: 'AQAB', d: 'd' }
  const ec = { kty: 'EC', kid: 'ec', crv: 'P-256', x: 'x', y: 'y', d: 'd' }
  const secret = { kty: 'oct', kid: 'secret', k: 'AA' }
  const keys = new DecryptionKeys([
    rsa,
    { ...rsa, kid: 'signing', use: 'sig' },
    { ...rsa, kid: 'oaep', alg: 'RSA-OAEP' },
    ec,
    secret,
    { ...secret, kid: 'gcm', alg: 'A256GCM' },
  ])

  it.each([
    ['RSA-OAEP-256', ['rsa']],
    ['RSA-OAEP', ['rsa', 'oaep']],
    ['ECDH-ES+A128KW', ['ec']],
    ['A256KW', ['secret']],
    ['dir', ['secret', 'gcm']],
  ])('%s is opened by keys that fit it', (alg, kids) => {
    expect(keys.keysFor({ alg, enc: 'A256GCM' }).map(({ kid }) => kid)).toEqual(kids)
  })
})

// HTTP Basic as OAuth has it: what is written is read again, whatever is in it.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { basicAuthorization, basicCredentials } from '../../src/http/basic-auth.js'

const header = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

describe('Basic', () => {
  it('form-encodes id and secret (RFC 6749 2.3.1)', () => {
    expect(basicAuthorization({ id: 'a:b', secret: 'é +/&=' })).toBe(header('a%3Ab:%C3%A9+%2B%2F%26%3D'))
  })

  it('is read as it was written', () => {
    const text = fc.string({ unit: 'grapheme' })
    fc.assert(
      fc.property(text, text, (id, secret) => {
        expect(basicCredentials(basicAuthorization({ id, secret }))).toEqual({ id, secret })
      }),
    )
  })

  it('is read where a client encodes nothing, a second colon included', () => {
    expect(basicCredentials(header('rp:a:b&c'))).toEqual({ id: 'rp', secret: 'a:b&c' })
  })

  it.each([undefined, '', 'Basic', `Bearer ${Buffer.from('a:b').toString('base64')}`, 'Basic a.b', header('no colon')])(
    '%j holds none',
    (value) => expect(basicCredentials(value)).toBeUndefined(),
  )
})

// What leaves the process sealed comes back as it was, or not at all.
import { describe, expect, it } from 'vitest'
import { sealedValues } from '../../src/outbound/sealed-values.js'

const OLD = 'an old secret of thirty-two characters'
const NEW = 'a new secret of more than thirty-two characters'

describe('a sealed value', () => {
  const values = sealedValues([NEW, OLD], 'secret')

  it('opens for its purpose, and for no other', () => {
    const sealed = values.seal('hint', 'ada é')
    expect(values.open('hint', sealed)).toBe('ada é')
    expect(values.open('state', sealed)).toBeUndefined()
  })

  it('opens by each secret that is still listed, and by no other', () => {
    const sealed = sealedValues([OLD], 'secret').seal('hint', 'ada')
    expect(values.open('hint', sealed)).toBe('ada')
    expect(sealedValues([NEW], 'secret').open('hint', sealed)).toBeUndefined()
    expect(sealedValues([OLD], 'secret').open('hint', values.seal('hint', 'ada'))).toBeUndefined()
  })

  it('with any one byte changed, cut or added does not open', () => {
    const bytes = Buffer.from(values.seal('hint', 'ada'), 'base64url')
    for (const [i, byte] of bytes.entries()) {
      const changed = Buffer.from(bytes)
      changed[i] = byte ^ 1
      expect(values.open('hint', changed.toString('base64url'))).toBeUndefined()
    }
    expect(values.open('hint', bytes.subarray(1).toString('base64url'))).toBeUndefined()
    expect(values.open('hint', Buffer.concat([bytes, Buffer.of(0)]).toString('base64url'))).toBeUndefined()
  })

  it.each([undefined, null, 7, {}, '', 'short', 'a'.repeat(100)])('%j was never sealed', (value) => {
    expect(values.open('hint', value)).toBeUndefined()
  })

  it('is another each time, and shows nothing', () => {
    const sealed = values.seal('hint', 'ada')
    expect(values.seal('hint', 'ada')).not.toBe(sealed)
    expect(Buffer.from(sealed, 'base64url').toString('latin1')).not.toContain('ada')
  })
})

it.each([[[]], [['short']], [[NEW, 'short']]])('%j are refused as secrets, by the name of the option', (secrets) => {
  expect(() => sealedValues(secrets, 'cookieSecret')).toThrow(/^cookieSecret must be a secret of 32/)
})

import { describe, expect, it } from 'vitest'
import { refusal, TOKEN_REFUSALS } from '../../src/tokens/token-refusal.js'

describe('refusal', () => {
  it('is an ERR_TOKEN that says by which rule, on which claim, and which option would accept it', () => {
    const cause = new Error('inner')
    expect(refusal('exp_missing', { claim: 'exp', option: 'allowMissingExp', cause })).toMatchObject({
      name: 'LogoutError',
      code: 'ERR_TOKEN',
      reason: 'exp_missing',
      claim: 'exp',
      option: 'allowMissingExp',
      message: TOKEN_REFUSALS.exp_missing.sentence,
      cause,
    })
  })
})

describe('TOKEN_REFUSALS', () => {
  it.each(Object.entries(TOKEN_REFUSALS))(
    '%s is a slug with a section and a sentence fit for RFC 6749 5.2',
    (slug, rule) => {
      expect(slug).toMatch(/^[a-z0-9]+(_[a-z0-9]+)*$/)
      expect(rule.section).not.toBe('')
      expect(rule.sentence).toMatch(/^[A-Z][\x20-\x21\x23-\x5B\x5D-\x7E]+[^.]$/)
    },
  )
})

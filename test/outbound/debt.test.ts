// The text of a debt in the logout store: what comes out is what went in, or nothing.
import { describe, expect, it } from 'vitest'
import { DEBTS, debtIn, debtOf, isToDie, textOf, wordOf } from '../../src/outbound/debt.js'
import { logoutPolicy } from '../../src/providers/logout-policy.js'

const RECORD = { issuer: 'https://op.example.com', clientId: 'rp', refreshToken: 'sealed' }
const DATES = { dueAt: 7, keptUntil: 3600 }

describe('a debt', () => {
  it.each([
    debtOf(RECORD, DATES, undefined),
    debtOf({ ...RECORD, offlineAccess: true }, DATES, undefined),
    debtOf(RECORD, DATES, { reason: 'terminated', revokeOfflineAccess: false }),
    debtOf(RECORD, DATES, { reason: 'logout-token', revokeOfflineAccess: true }),
  ])('is read as it was written', (debt) => {
    expect(debtIn(textOf(debt))).toEqual(debt)
  })

  it('keeps nothing of the record but what is needed to revoke', () => {
    const text = textOf(debtOf({ ...RECORD, hint: 'an ID Token', logoutHint: 'ada' }, DATES, undefined))
    expect(text).not.toMatch(/an ID Token|ada/)
  })

  it('of the same token has the same id, and is where no subject is', () => {
    const { id } = debtOf(RECORD, DATES, undefined)
    expect(debtOf(RECORD, { dueAt: 8, keptUntil: 9 }, { reason: 'terminated', revokeOfflineAccess: false }).id).toBe(id)
    expect(debtOf({ ...RECORD, refreshToken: 'another' }, DATES, undefined).id).not.toBe(id)
    expect(DEBTS).toMatch(/^[\w-]{22}$/)
  })

  it.each([undefined, '', '{', 'null', '[]', '{}', '{"issuer":"i","clientId":"c","refreshToken":1}'])(
    'is not %j',
    (text) => {
      expect(debtIn(text)).toBeUndefined()
    },
  )

  it('whose dates or questions are no such thing is due now, and decided', () => {
    for (const change of [{}, { dueAt: 'now', keptUntil: null, undecided: 1 }, { undecided: { reason: 1 } }]) {
      expect(debtIn(JSON.stringify({ ...RECORD, ...change }))).toEqual(
        debtOf(RECORD, { dueAt: 0, keptUntil: 0 }, undefined),
      )
    }
  })
})

describe('the word of a policy', () => {
  const policy = logoutPolicy({ logoutToken: { refreshTokens: 'kept' }, terminate: { refreshTokens: 'revoked' } })

  it.each([
    ['logout-token', true, 'kept'],
    ['front-channel', false, 'revoked-unless-offline'],
    ['front-channel', true, 'revoked'],
    ['terminated', false, 'revoked'],
    ['a word of the application', false, 'revoked'],
  ] as const)('of %s (revoke_offline_access: %s) is %s', (reason, revokeOfflineAccess, word) => {
    expect(wordOf(policy, { reason, revokeOfflineAccess })).toBe(word)
  })

  it('spares an offline token by revoked-unless-offline, and each by kept', () => {
    const dying = (['kept', 'revoked-unless-offline', 'revoked'] as const).map((word) => [
      isToDie(word, RECORD),
      isToDie(word, { ...RECORD, offlineAccess: true }),
    ])
    expect(dying).toEqual([
      [false, false],
      [true, false],
      [true, true],
    ])
  })
})

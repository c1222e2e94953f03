import { describe, expect, it } from 'vitest'
import { noVerdict } from '../src/access-tokens/no-verdict.js'
import { type ErrorCode, LogoutError, NoVerdictError } from '../src/errors.js'

describe('a LogoutError', () => {
  const cause = new Error('connect ECONNREFUSED redis://user:secret@host')
  const error = new LogoutError('ERR_TOKEN', 'The Logout Token has expired', {
    reason: 'exp_past',
    claim: 'exp',
    option: 'clockToleranceSeconds',
    remedy: 'Compare the clocks',
    cause,
  })

  it('is written by JSON.stringify with everything it says, and never with its cause', () => {
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      name: 'LogoutError',
      code: 'ERR_TOKEN',
      message: 'The Logout Token has expired',
      reason: 'exp_past',
      claim: 'exp',
      option: 'clockToleranceSeconds',
      remedy: 'Compare the clocks',
      page: 'docs/troubleshooting.md#every-logout-token-is-refused',
    })
    expect(error.cause).toBe(cause)
  })

  it('leaves out what it does not say', () => {
    expect(JSON.stringify(new LogoutError('ERR_REPLAY', 'Completed before'))).toBe(
      '{"name":"LogoutError","code":"ERR_REPLAY","message":"Completed before"}',
    )
  })
})

describe('the remedy of a LogoutError', () => {
  it('is what is known of its code and reason, with the page that has more', () => {
    expect(new LogoutError('ERR_TOKEN', 'Refused', { reason: 'exp_missing' })).toMatchObject({
      remedy: expect.stringContaining('allowMissingExp'),
      page: 'docs/troubleshooting.md#every-logout-token-is-refused',
    })
  })

  it('is that of its own code: reasons of another that bear the same name have theirs', () => {
    const remedies = ['ERR_TOKEN', 'ERR_ID_TOKEN'].map(
      (code) => new LogoutError(code as ErrorCode, 'No iat', { reason: 'iat_missing' }).remedy,
    )
    expect(remedies).toEqual([undefined, expect.stringContaining('UserInfo')])
  })

  it('is none where no setting of the application can be the cause', () => {
    const forged = new LogoutError('ERR_TOKEN', 'Forged', { reason: 'signature_invalid' })
    expect([forged.remedy, forged.page]).toEqual([undefined, undefined])
  })
})

describe('no verdict', () => {
  it.each([
    ['on a session', new NoVerdictError(new Error('down')), 'store_failed'],
    ['on an access token', noVerdict('introspection_late'), 'introspection_late'],
  ])('%s is one error with a reason, and 503 wherever it arrives', async (_, error, reason) => {
    expect(error).toBeInstanceOf(NoVerdictError)
    expect(error).toMatchObject({ code: 'ERR_NO_VERDICT', reason, status: 503, statusCode: 503 })
    const response = error.getResponse()
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.text()).toBe('')
  })
})

import { describe, expect, it } from 'vitest'
import { noVerdict } from '../src/access-tokens/no-verdict.js'
import { LogoutError, NoVerdictError } from '../src/errors.js'

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
    })
    expect(error.cause).toBe(cause)
  })

  it('leaves out what it does not say', () => {
    expect(JSON.stringify(new LogoutError('ERR_REPLAY', 'Completed before'))).toBe(
      '{"name":"LogoutError","code":"ERR_REPLAY","message":"Completed before"}',
    )
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

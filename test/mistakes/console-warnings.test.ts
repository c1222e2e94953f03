import { describe, expect, it } from 'vitest'
import { LogoutError } from '../../src/errors.js'
import { expressSessions } from '../../src/index.js'
import { consoleWarnings } from '../../src/mistakes/console-warnings.js'

describe('mistakes where nobody listens', () => {
  const printed: unknown[] = []
  const listener = consoleWarnings((text, { code, detail }) => printed.push([code, text, detail]))
  const refused = (reason: string) =>
    listener({ type: 'refused', status: 400, error: new LogoutError('ERR_TOKEN', 'Refused', { reason }) })

  it('are printed once each with code and remedy; what is routine is not', () => {
    refused('aud_mismatch')
    refused('aud_mismatch')
    refused('signature_invalid')
    listener({ type: 'unbound' })
    const detail = expect.stringMatching(/clientId[\s\S]*docs\/troubleshooting\.md#every-logout-token-is-refused/)
    expect(printed).toEqual([['BCL_AUD_MISMATCH', 'Refused', detail]])
  })
})

describe('a session of another store than the protected one', () => {
  const store = () => ({ get() {}, set() {}, destroy() {} })

  it('is refused with the line to change', () => {
    const mine = store()
    const sessions = expressSessions(mine)
    const req = { sessionID: 's1', session: {} }
    expect(() => sessions.sessionOf({ ...req, sessionStore: store() })).toThrow(/session\(\{ store \}\)/)
    expect(sessions.sessionOf({ ...req, sessionStore: mine })).toMatchObject({ sessionId: 's1' })
    expect(sessions.sessionOf(req)).toMatchObject({ sessionId: 's1' })
  })
})

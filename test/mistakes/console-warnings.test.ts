import express from 'express'
import session from 'express-session'
import supertest from 'supertest'
import { describe, expect, it } from 'vitest'
import { LogoutError } from '../../src/errors.js'
import { createBackchannelLogout, expressSessions } from '../../src/index.js'
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

  it('leaves nobody signed in, also where the user was saved before bind could be called', async () => {
    const used = new session.MemoryStore()
    const provider = { issuer: 'https://op.example.com', clientId: 'rp' }
    const logout = createBackchannelLogout<express.Request>({
      provider,
      sessions: expressSessions(new session.MemoryStore()),
      onEvent: () => {},
    })
    const app = express()
    app.use(session({ store: used, secret: 'k', resave: false, saveUninitialized: false }))
    app.get('/callback', async (req, res) => {
      Object.assign(req.session, { user: 'ada' })
      await new Promise<void>((saved) => req.session.save(() => saved())) // as passport does
      await logout.bind(req, { iss: provider.issuer, aud: 'rp', sub: 'ada', iat: 1_700_000_000 })
      res.end()
    })
    app.get('/me', (req, res) => void res.send(Reflect.get(req.session, 'user') ?? 'nobody'))
    app.use(
      ((error, _req, res, _next) => void res.status(500).send(error.message)) satisfies express.ErrorRequestHandler,
    )
    const browser = supertest.agent(app)
    expect((await browser.get('/callback')).text).toMatch(/one and the same store object/)
    expect((await browser.get('/me')).text).toBe('nobody')
    logout.close()
  })
})

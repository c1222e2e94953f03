// The application of the example, tried as its readers are told to try theirs, and looked at by `doctor`.
import { afterEach, describe, expect, it } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createRp } from '../../example-app/relying-party.js'
import type { EventListener, LogoutEvent } from '../../src/events.js'
import { assertLogoutWorks, createFakeOp } from '../../src/testing/index.js'
import { run } from '../cli/run.js'

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
})

async function startExample(issuer: string, onEvent?: EventListener): Promise<Listening> {
  const listening = await listen(0)
  toClose.push(listening.close)
  const config = { issuer, clientId: 'my-rp', clientSecret: 'a secret', sessionSecret: 'another' }
  const rp = createRp({ ...config, baseUrl: listening.url, onEvent })
  listening.server.on('request', rp.app)
  toClose.push(async () => rp.close())
  return listening
}

describe('the application of the example', () => {
  it('passes the trial of docs/testing.md, and doctor says all right of it', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    const url = `${(await startExample(op.issuer)).url}/backchannel-logout`
    const { passed, notTried } = await assertLogoutWorks({ op, url, signIn: '/login', isSignedIn: '/me' })
    expect(notTried).toEqual(['a logout closes open connections (no connect was given)'])
    expect(passed).toHaveLength(9)
    const { code, out } = await run(['doctor', op.issuer, '--uri', url])
    expect(out).toMatch(/\nall right\n$/)
    expect(code).toBe(0)
  })

  it('revokes its refresh token when the browser is back on the landing page, and not before', async () => {
    const op = await createFakeOp({ clientId: 'my-rp' })
    toClose.push(op.close)
    let say: (event: LogoutEvent) => void = () => {}
    const revoked = new Promise<LogoutEvent>((resolve) => {
      say = resolve
    })
    const onEvent: EventListener = (event) => {
      if (event.type === 'tokens-revoked') say(event)
    }
    const { url } = await startExample(op.issuer, onEvent)
    const browser = op.openBrowser('ada')
    expect((await browser.get(`${url}/login`)).status).toBe(200)
    const leaving = await browser.request(`${url}/logout`, { method: 'POST', redirect: 'manual' })
    const atOp = await browser.request(leaving.headers.get('location') ?? '', { redirect: 'manual' })
    expect(op.seen).toMatchObject({ logout: 1, revoke: 0 })
    expect((await browser.get(atOp.headers.get('location') ?? '')).text).toContain('logged out')
    expect(await revoked).toMatchObject({ issuer: op.issuer, clientId: 'my-rp', outcome: 'revoked' })
    expect(op.seen.revoke).toBe(1)
  })
})

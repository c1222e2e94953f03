// What nobody foresaw is a failed logout, and nothing to the application around it: the OP hears so, the event names
// it, and the next logout is done.
import { once } from 'node:events'
import { createServer } from 'node:http'
import express from 'express'
import { afterEach, expect, it } from 'vitest'
import { createBackchannelLogout, type LogoutEvent } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

const client = { issuer: 'https://op.example.com', clientId: 'rp' } as const
const mint = await createTokenMint({ ...client, sub: 'alice' })
const toClose: (() => void)[] = []
afterEach(() => {
  for (const close of toClose.splice(0)) close()
})

/** An application with a receiver that is broken for as long as `fault.is` is set. */
async function application() {
  const fault: { is?: Error | undefined } = {}
  const breakIf = () => {
    if (fault.is !== undefined) throw fault.is
  }
  const clock = () => {
    breakIf()
    return Date.now() / 1000
  }
  const events: LogoutEvent[] = []
  const onEvent = (event: LogoutEvent) => void events.push(event)
  const logout = createBackchannelLogout({ provider: { ...client, jwks: mint.jwks }, clock, onEvent })
  const app = express().all('/backchannel-logout', logout.receiver())
  app.get('/', (_req, res) => void res.send('alive'))
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  toClose.push(() => {
    logout.close()
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  return { fault, events, logout, url }
}

it('an unforeseen throw is answered as failed, with its code and cause in the event, and the host lives', async () => {
  const { fault, events, logout, url } = await application()
  const record = await logout.signOn(mint.idTokenClaims())
  const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
  const deliver = () => fetch(`${url}/backchannel-logout`, { method: 'POST', body })

  fault.is = new Error('secret of the machine room')
  const answer = await deliver()
  fault.is = undefined
  expect([answer.status, answer.headers.get('cache-control')]).toEqual([400, 'no-store'])
  const said = await answer.text()
  expect(JSON.parse(said)).toMatchObject({ error: 'logout_failed' })
  expect(said).not.toMatch(/secret|alice/)
  const refused = events.filter(({ type }) => type === 'refused')
  expect(refused).toMatchObject([
    { status: 400, error: { code: 'ERR_UNEXPECTED', cause: { message: 'secret of the machine room' } } },
  ])
  expect(await (await fetch(url)).text()).toBe('alive')
  expect(record && (await logout.isLive(record))).toBe(true)

  // The retry is no replay.
  expect((await deliver()).status).toBe(200)
  expect(record && (await logout.isLive(record))).toBe(false)
})

// The skin for Node's servers where a request is not read to its end: over HTTP/2 its stream is all there is to close.
import { once } from 'node:events'
import { connect, createServer, type ServerHttp2Stream } from 'node:http2'
import express, { type NextFunction, type Request, type Response } from 'express'
import { afterEach, describe, expect, it } from 'vitest'
import { createBackchannelLogout } from '../../src/index.js'

const toClose: (() => void)[] = []
afterEach(() => {
  for (const close of toClose.splice(0)) close()
})

async function over() {
  const provider = { issuer: 'https://op.example.com', clientId: 'rp' }
  const logout = createBackchannelLogout({
    provider,
    onEvent: () => {},
    answerDeadlineSeconds: 0.05,
    bodyLimitBytes: 9,
  })
  const receive = logout.receiver()
  const streams: ServerHttp2Stream[] = []
  const server = createServer((req, res) => {
    streams.push(req.stream)
    receive(Object(req), Object(res))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port }: { port: number } = Object(server.address())
  const client = connect(`http://127.0.0.1:${port}`)
  toClose.push(
    () => client.destroy(),
    () => server.close(),
  )
  return { client, streams }
}

describe('over HTTP/2', () => {
  it.each(['dawdles', 'is too large'])('the stream of a body that %s is closed with the answer', async (what) => {
    const { client, streams } = await over()
    const headers = { ':method': 'POST', ':path': '/', 'content-type': 'application/x-www-form-urlencoded' }
    const request = client.request(headers)
    request.write(what === 'dawdles' ? 'logout_' : 'logout_token=a')
    let body = ''
    request.setEncoding('utf8').on('data', (chunk) => (body += chunk))
    const [answer] = await once(request, 'response')
    await once(request, 'close')
    expect(answer[':status']).toBe(400)
    expect(JSON.parse(body)).toMatchObject({ error: 'invalid_request' })
    const [stream] = streams
    if (stream?.closed === false) await once(stream, 'close')
    expect([stream?.closed, stream?.rstCode, client.closed]).toEqual([true, 0, false])
  })
})

describe('a handler that is mounted without the parentheses of its call', () => {
  it.each([
    ['receiver', 'app.all(path, logout.receiver()), with the parentheses'],
    ['fetch', 'there is receiver()'],
  ] as const)(
    '%s: the first request hears of a failure at once, and the application with what to write',
    async (name, words) => {
      const logout = createBackchannelLogout({ provider: { issuer: 'https://op.example.com', clientId: 'rp' } })
      toClose.push(logout.close)
      const errors: Error[] = []
      const app = express()
      app.all('/backchannel-logout', logout[name] as never)
      app.use((error: Error, _req: Request, res: Response, _next: NextFunction) => {
        errors.push(error)
        res.sendStatus(500)
      })
      const server = app.listen(0, '127.0.0.1')
      toClose.push(() => server.close())
      await once(server, 'listening')
      const { port }: { port: number } = Object(server.address())
      const body = new URLSearchParams({ logout_token: 'a' })
      const answer = await fetch(`http://127.0.0.1:${port}/backchannel-logout`, { method: 'POST', body })
      expect(answer.status).toBe(500)
      expect(errors).toMatchObject([{ name: 'TypeError', message: expect.stringContaining(words) }])
    },
  )
})

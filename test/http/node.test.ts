// The skin for Node's servers where a request is not read to its end: over HTTP/2 its stream is all there is to close.
import { EventEmitter, once } from 'node:events'
import { connect, createServer, type ServerHttp2Stream } from 'node:http2'
import express, { type NextFunction, type Request, type Response } from 'express'
import { afterAll, afterEach, describe, expect, it } from 'vitest'
import { createClaims, createJwtCheck, createRelayReceiver } from '../../src/access-tokens/index.js'
import { createBackchannelLogout, memoryStore } from '../../src/index.js'
import { createSamlLogout } from '../../src/saml/index.js'
import { nodeSaml } from '../saml/world.js'

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

describe('a handler that is called with what is not of Node’s http', () => {
  const provider = { issuer: 'https://op.example.com', clientId: 'rp' }
  const secret = 'a secret of more than thirty-two characters'
  const logout = createBackchannelLogout({ provider, onEvent: () => {} })
  const saml = createSamlLogout(logout, {
    saml: nodeSaml(),
    url: 'https://app.example.com/slo',
    landingPage: '/',
    secret,
  })
  const endSession = logout.rpInitiatedLogout({ redirectUris: { out: 'https://app.example.com/out' }, secret })
  const introspection = { issuer: provider.issuer, introspect: async () => ({ active: true }) }
  const claims = createClaims({ introspection })
  const check = createJwtCheck({ store: memoryStore() })
  const keys = async () => Promise.reject(new Error('not asked'))
  const relay = createRelayReceiver({ issuer: 'https://rp.example.com', audience: 'api', keys, boundSeconds: 5 })
  afterAll(() => logout.close())

  /** Each is called with whatever the frameworks call it with, which its types forbid. */
  const HANDLERS: Readonly<Record<string, readonly [handler: unknown, elsewhere: string]>> = {
    'logout.receiver()': [logout.receiver(), 'logout.fetch(c.req.raw)'],
    'saml.receiver()': [saml.receiver(), 'saml.fetch(c.req.raw)'],
    'logout.frontchannelReceiver()': [logout.frontchannelReceiver(), 'c.env.incoming'],
    'claims.evictionEndpoint()': [claims.evictionEndpoint({ clients: { rp: 'secret' } }), 'c.env.incoming'],
    'relay.receiver()': [relay.receiver(), 'c.env.incoming'],
    'endSession.route()': [endSession.route({ start: { to: 'out' }, endLocally: async () => {} }), 'start()'],
    'saml.route()': [saml.route({ record: () => undefined, endLocally: async () => {} }), 'start()'],
    'logout.guard()': [logout.guard(() => undefined), 'logout.isLive(signOn)'],
    'requireToken()': [claims.requireToken(), 'claims.lookup(token)'],
    'requireJwt()': [check.requireJwt({ issuer: provider.issuer, audience: 'api' }), 'check.isRevoked(claims, token)'],
    'requireLive()': [check.requireLive(), 'check.isRevoked(claims, token)'],
  }
  const headers = { authorization: 'Bearer abc', 'content-type': 'application/x-www-form-urlencoded' }
  const fastify = [
    { method: 'POST', url: '/', headers, raw: {} },
    { headersSent: undefined, raw: {}, code() {}, header() {}, send() {}, hijack() {} },
  ]
  const GIVEN: Readonly<Record<string, readonly unknown[]>> = {
    'request and reply of Fastify': fastify,
    'request, reply and done of Fastify': [...fastify, () => {}],
    'a context of Hono': [{ req: { raw: new Request('https://rp.example.com'), url: '/' }, json() {} }, async () => {}],
    'a context of Koa': [{ method: 'POST', url: '/', headers, req: {}, res: {}, set() {} }, async () => {}],
    'a Web Request': [new Request('https://rp.example.com/', { method: 'POST', body: 'logout_token=a', headers })],
    nothing: [],
  }
  it.each(
    Object.entries(HANDLERS).flatMap(([call, [handler, elsewhere]]) =>
      Object.entries(GIVEN).map(([what, given]) => [call, what, handler, given, elsewhere] as const),
    ),
  )('%s, with %s: says at once what to give in its place', async (call, _what, handler, given, elsewhere) => {
    const failure = (): string => {
      try {
        Reflect.apply(Object(handler), undefined, given)
        return 'none'
      } catch (error) {
        return String(error)
      }
    }
    expect(failure()).toContain(`TypeError: ${call} takes the request and the response of Node's http`)
    expect(failure()).toContain(elsewhere)
  })

  it('and where the response is of Node’s http and the request is not, too', () => {
    const handler = logout.receiver()
    expect(() => handler(Object(fastify[0]), Object({ setHeader() {}, end() {} }))).toThrow(
      /request\.raw and reply\.raw/,
    )
  })

  it('a stand-in for a response that has half of its methods ends nothing else', async () => {
    const req = Object.assign(new EventEmitter(), { method: 'GET', url: '/', headers: {} })
    for (const handler of [logout.receiver(), logout.frontchannelReceiver(), relay.receiver()]) {
      await new Promise<void>((reached) => {
        // By the first of these that it looks at an answer is on its way, and the rest of them is not there.
        const res = { setHeader() {}, end() {}, removeHeader: reached, on: reached }
        handler(Object(req), Object({ ...res, writeHead: reached }))
      })
    }
    await new Promise(setImmediate) // what was rejected unheard by now fails the run
  })
})

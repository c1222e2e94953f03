// The receiver in front of a whole application: asked by HTTP, as an OP and a browser do.
import {
  Agent,
  createServer,
  IncomingMessage,
  type RequestOptions,
  request,
  type Server,
  ServerResponse,
} from 'node:http'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import express from 'express'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type BackchannelLogout, createBackchannelLogout, type ListenerOptions } from '../../src/index.js'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'

/** Express 4 has no types of its own here; what is used of it is the same in both. */
const express4: typeof express = createRequire(import.meta.url)('express4')

const path = '/backchannel-logout'

let mint: TokenMint
let logout: BackchannelLogout
let heard: number[]
const servers: Server[] = []

beforeAll(async () => {
  mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp' })
  logout = createBackchannelLogout({
    provider: { issuer: mint.issuer, clientId: mint.clientId, jwks: mint.jwks },
    onEvent: (event) => {
      if (event.type === 'answer') heard.push(event.status)
    },
  })
})

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close()
    server.closeAllConnections()
  }
})

/** In front of `app`, on a port of its own. */
async function serve(app: Parameters<BackchannelLogout['listener']>[0]): Promise<Server> {
  heard = []
  const server = createServer(logout.listener(app, { path }))
  servers.push(server)
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return server
}

interface Asked extends RequestOptions {
  /** As it goes over the wire: no client tidies it up. */
  readonly target?: string
  readonly body?: string
}

function ask(
  server: Server,
  { target = path, body, ...options }: Asked = {},
): Promise<{ status?: number; body: string }> {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port: address.port, path: target, ...options }, async (res) => {
      const chunks: Uint8Array[] = []
      for await (const chunk of res) chunks.push(chunk)
      resolve({ ...(res.statusCode && { status: res.statusCode }), body: Buffer.concat(chunks).toString() })
    })
    sent.on('error', reject)
    sent.end(body)
  })
}

const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** A good Logout Token, as an OP posts it. */
async function deliver(server: Server, target = path) {
  const body = new URLSearchParams({ logout_token: await mint.logoutToken() }).toString()
  return ask(server, { method: 'POST', headers: FORM, target, body })
}

/** Says where it was asked, and what of the body is still to be had. */
const echo = async (req: IncomingMessage, res: ServerResponse) => {
  const chunks: Uint8Array[] = []
  for await (const chunk of req) chunks.push(chunk)
  res.writeHead(202).end(`${req.method} ${req.url} ${Buffer.concat(chunks)}`)
}

describe.each([
  ['Express 5', express],
  ['Express 4', express4],
])('in front of %s', (_, make) => {
  const behind: Readonly<Record<string, [express.RequestHandler, number]>> = {
    'a login wall': [(_req, res) => res.redirect('/login'), 302],
    'a CSRF check': [(_req, res) => void res.status(403).end(), 403],
    'a JSON parser for every content type': [make.json({ type: () => true }), 400],
  }

  it.each(Object.entries(behind))('%s cannot stand before the receiver', async (_name, [middleware, status]) => {
    const app = make()
    app.use(middleware)
    app.all('*all', (_req, res) => void res.status(404).end())
    const server = await serve(app)
    expect(await deliver(server)).toEqual({ status: 200, body: '' })
    expect(await deliver(server, '/other')).toMatchObject({ status })
    expect(heard).toEqual([200])
  })

  it('leaves the application its own routes, their bodies and its answers to what it does not know', async () => {
    const app = make()
    app.post('/echo', make.json(), (req, res) => void res.json(req.body))
    const server = await serve(app)
    const body = '{"kept":"as it came"}'
    const headers = { 'content-type': 'application/json' }
    expect(await ask(server, { target: '/echo', method: 'POST', headers, body })).toEqual({ status: 200, body })
    expect(await ask(server, { target: '/nothing' })).toMatchObject({ status: 404 })
    expect(heard).toEqual([])
  })
})

describe('the path', () => {
  it.each([
    ['as it is', path],
    ['with a query, which says nothing', `${path}?logout_token=x&path=/other`],
    ['in a whole URL', `http://rp.example.com${path}`],
    ['in a whole URL, with a query', `HTTPS://rp.example.com:8443${path}?a=/b`],
  ])('%s is for the receiver', async (_, target) => {
    const server = await serve(echo)
    expect(await deliver(server, target)).toEqual({ status: 200, body: '' })
    expect(heard).toEqual([200])
  })

  it.each([
    '/backchannel-logout/',
    '//backchannel-logout',
    '/./backchannel-logout',
    '/a/../backchannel-logout',
    '/Backchannel-Logout',
    '/backchannel%2Dlogout',
    '/%2Fbackchannel-logout',
    '/backchannel-logout%2F',
    '/backchannel-logout%3Fa',
    '/backchannel-logout;a=b',
    '/backchannel-logout/more',
    '/my/backchannel-logout',
    '/backchannel',
    '/',
    '/?/backchannel-logout',
    'http://backchannel-logout',
    'http://rp.example.com//backchannel-logout',
    'http://rp.example.com?/backchannel-logout',
    'ftp://rp.example.com/backchannel-logout',
  ])('%s is for the application, as it came', async (target) => {
    const server = await serve(echo)
    expect(await ask(server, { method: 'POST', target, body: 'a=b' })).toEqual({
      status: 202,
      body: `POST ${target} a=b`,
    })
    expect(heard).toEqual([])
  })

  it.each(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])(
    '%s of it is answered by the receiver: 405',
    async (method) => {
      const server = await serve(echo)
      expect(await ask(server, { method })).toMatchObject({ status: 405 })
      expect(heard).toEqual([405])
    },
  )
})

it('a connection carries requests of both, one after the other', async () => {
  const server = await serve(echo)
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const body = new URLSearchParams({ logout_token: await mint.logoutToken() }).toString()
  expect(await ask(server, { agent, target: '/a' })).toMatchObject({ status: 202 })
  expect(await ask(server, { agent, method: 'POST', headers: FORM, body })).toMatchObject({ status: 200 })
  expect(await ask(server, { agent, target: '/b' })).toMatchObject({ status: 202 })
  agent.destroy()
  expect(connections).toBe(1)
})

it.each(['/socket', path])('an upgrade to a WebSocket at %s is left to the server', async (target) => {
  const server = await serve(() => expect.fail('an upgrade is no request'))
  server.on('upgrade', (req, socket) => {
    socket.end(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Url: ${req.url}\r\n\r\n`,
    )
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  const url = await new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: 'websocket' }
    const sent = request({ host: '127.0.0.1', port: address.port, path: target, headers })
    sent.on('error', reject).on('response', reject)
    sent.on('upgrade', (res, socket) => {
      socket.destroy()
      resolve(res.headers['x-url'])
    })
    sent.end()
  })
  expect(url).toBe(target)
  expect(heard).toEqual([])
})

it('what the application returns is handed on, such as the promise that Node watches for rejections', () => {
  const req = new IncomingMessage(new Socket())
  req.url = '/other'
  const returned = Promise.resolve()
  expect(logout.listener(() => returned, { path })(req, new ServerResponse(req))).toBe(returned)
})

describe('what cannot be meant is refused when the application boots', () => {
  it.each([
    ['no object', undefined],
    ['no path', {}],
    ['a path that is no string', { path: 7 }],
    ['an empty path', { path: '' }],
    ['no slash', { path: 'backchannel-logout' }],
    ['a whole URL', { path: 'https://rp.example.com/backchannel-logout' }],
    ['a host', { path: '//rp.example.com/backchannel-logout' }],
    ['a query', { path: '/backchannel-logout?a=b' }],
    ['an empty query', { path: '/backchannel-logout?' }],
    ['a fragment', { path: '/backchannel-logout#a' }],
    ['a space', { path: '/backchannel logout' }],
    ['letters that a URL encodes', { path: '/abmeldung-über' }],
    ['a folder that a URL leaves out', { path: '/a/../backchannel-logout' }],
    ['another option', { path, paths: [] }],
  ])('%s', (_, options) => {
    expect(() => logout.listener(echo, options as unknown as ListenerOptions)).toThrow(TypeError)
  })

  it('with words that say how it should be', () => {
    expect(() => logout.listener(echo, { path: 'backchannel-logout' })).toThrow(
      /^listener\(\): path must be the path of your backchannel_logout_uri .* e\.g\. '\/backchannel-logout'/,
    )
    expect(() => logout.listener({ callback: echo } as never, { path })).toThrow(/Koa's app\.callback\(\)/)
  })

  it.each(['/', '/a%2Fb', '/op/a/backchannel-logout', '/a/'])('%s is a path', (good) => {
    expect(logout.listener(echo, { path: good })).toBeTypeOf('function')
  })
})

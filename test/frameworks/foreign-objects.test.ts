// The 21st of docs/mistakes.md: a handler for Node's http given straight to a framework with objects of its own. One
// request must not end the process, and whoever made the mistake is told what to write.
import 'reflect-metadata'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { Controller, Module, Post, Req, Res } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import Fastify, { type FastifyInstance } from 'fastify'
import { Hono } from 'hono'
import Koa from 'koa'
import { afterEach, describe, expect, it } from 'vitest'
import { createJwtCheck } from '../../src/access-tokens/index.js'
import { createBackchannelLogout, memoryStore } from '../../src/index.js'

const PATH = '/backchannel-logout'
const ISSUER = 'https://op.example.com'
const logout = createBackchannelLogout({ provider: { issuer: ISSUER, clientId: 'rp' }, onEvent: () => {} })
/** As who casts a type error away, or writes JavaScript. */
const receiver = logout.receiver() as never
const check = createJwtCheck({ store: memoryStore() })
const checked = check.requireJwt({ issuer: ISSUER, audience: 'api' }) as never

const toClose: (() => unknown)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

async function served(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  toClose.push(() => server.close())
  await once(server, 'listening')
  const { port }: AddressInfo = Object(server.address())
  return `http://127.0.0.1:${port}${PATH}`
}

/** What an application mounts, and where; what it fails with, as the framework tells its owner. */
interface Application {
  readonly url: string
  readonly failures: readonly Error[]
}

async function fastify(mount: (app: FastifyInstance) => void): Promise<Application> {
  const failures: Error[] = []
  const app = Fastify({ routerOptions: { ignoreTrailingSlash: true } })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, _body, done) => done(null))
  app.addHook('onError', async (_request, _reply, error) => void failures.push(error))
  mount(app)
  toClose.push(() => app.close())
  return { url: `${await app.listen({ port: 0, host: '127.0.0.1' })}${PATH}`, failures }
}

async function hono(mount: (app: Hono<{ Bindings: HttpBindings }>) => void): Promise<Application> {
  const failures: Error[] = []
  const app = new Hono<{ Bindings: HttpBindings }>()
  app.onError((error, c) => {
    failures.push(error)
    return c.text('', 500)
  })
  mount(app)
  return { url: await served(getRequestListener(app.fetch)), failures }
}

async function koa(mount: (app: Koa) => void): Promise<Application> {
  const failures: Error[] = []
  const app = new Koa()
  app.on('error', (error) => failures.push(error))
  mount(app)
  return { url: await served(app.callback()), failures }
}

async function nestOnFastify(): Promise<Application> {
  class Logout {
    receive(req: never, res: never) {
      logout.receiver()(req, res)
    }
  }
  Req()(Logout.prototype, 'receive', 0)
  Res()(Logout.prototype, 'receive', 1)
  Post(PATH)(Logout.prototype, 'receive', Object.getOwnPropertyDescriptor(Logout.prototype, 'receive') ?? {})
  Controller()(Logout)
  class App {}
  Module({ controllers: [Logout] })(App)
  const failures: Error[] = []
  const error = (failure: unknown) => void failures.push(Object(failure))
  const logger = { log() {}, warn() {}, error }
  const app = await NestFactory.create<NestFastifyApplication>(App, new FastifyAdapter(), { logger })
  toClose.push(() => app.close())
  await app.listen(0, '127.0.0.1')
  return { url: `${await app.getUrl()}${PATH}`, failures }
}

const MISTAKEN: Readonly<Record<string, readonly [start: () => Promise<Application>, words: RegExp]>> = {
  'the receiver as a route of Fastify': [
    () => fastify((app) => app.all(PATH, receiver)),
    /request\.raw and reply\.raw/,
  ],
  'as a hook of Fastify': [() => fastify((app) => app.addHook('onRequest', receiver)), /request\.raw and reply\.raw/],
  'as a route of Hono': [() => hono((app) => app.all(PATH, receiver)), /logout\.fetch\(c\.req\.raw\)/],
  'as middleware of Hono': [() => hono((app) => app.use(PATH, receiver)), /logout\.fetch\(c\.req\.raw\)/],
  'as middleware of Koa': [() => koa((app) => app.use(receiver)), /ctx\.req and ctx\.res/],
  'in a controller of Nest on Fastify': [nestOnFastify, /request\.raw and reply\.raw/],
  'requireJwt as a hook of Fastify': [() => fastify((app) => app.addHook('onRequest', checked)), /check\.isRevoked/],
  'requireJwt as a route of Fastify': [() => fastify((app) => app.post(PATH, checked)), /check\.isRevoked/],
  'requireJwt as middleware of Hono': [() => hono((app) => app.use(checked)), /check\.isRevoked/],
}

const post = (url: string) =>
  fetch(url, {
    method: 'POST',
    body: new URLSearchParams({ logout_token: 'a' }),
    headers: { authorization: 'Bearer abc' },
  })

describe('a handler for Node’s http that is given to a framework with objects of its own', () => {
  it.each(Object.entries(MISTAKEN))(
    '%s: each request is answered 500, and said what to write',
    async (_, [start, words]) => {
      const { url, failures } = await start()
      // Twice: whatever the first left unheard would have ended the process, and fails this run.
      for (const _ of [1, 2]) expect((await post(url)).status).toBe(500)
      expect(failures.map(({ message }) => message)).toEqual([
        expect.stringMatching(words),
        expect.stringMatching(words),
      ])
    },
  )
})

it('docs/mistakes.md has the words', async () => {
  const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/mistakes.md'), 'utf8')
  const [, shown = ''] = /^## 21\. [\s\S]*?^```text\n([\s\S]*?)^```$/m.exec(page) ?? []
  const { url, failures } = await fastify((app) => app.all(PATH, receiver))
  await post(url)
  expect(failures.map(String)).toEqual([shown.replaceAll(/\s+/g, ' ').trim()])
})

describe('what is to be written in its place works', () => {
  const RIGHT: Readonly<Record<string, () => Promise<Application>>> = {
    'Fastify: request.raw and reply.raw': () =>
      fastify((app) =>
        app.all(PATH, (request, reply) => {
          reply.hijack()
          logout.receiver()(request.raw, reply.raw)
        }),
      ),
    'Hono: logout.fetch(c.req.raw)': () => hono((app) => app.all(PATH, (c) => logout.fetch(c.req.raw))),
    'Hono on Node: c.env.incoming and c.env.outgoing': () =>
      hono((app) =>
        app.all(PATH, ({ env }) => {
          logout.receiver()(env.incoming as never, env.outgoing as never)
          return RESPONSE_ALREADY_SENT
        }),
      ),
    'Koa: ctx.req and ctx.res': () =>
      koa((app) =>
        app.use((ctx) => {
          ctx.respond = false
          logout.receiver()(ctx.req, ctx.res)
        }),
      ),
  }
  it.each(Object.entries(RIGHT))('%s', async (_, start) => {
    const { url, failures } = await start()
    const answer = await post(url)
    expect([answer.status, answer.headers.get('cache-control'), failures]).toEqual([400, 'no-store', []])
    expect(await answer.json()).toMatchObject({ error: 'invalid_request' })
  })
})

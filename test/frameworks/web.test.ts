// `logout.fetch` on Hono behind the real @hono/node-server, and called as Next.js calls a route handler: the same rules
// and the same answers as the handler for Node.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type ServerType, serve } from '@hono/node-server'
import { Hono } from 'hono'
import { afterEach, describe, expect, it } from 'vitest'
import { createBackchannelLogout, type LogoutEvent, memoryStore, type StatelessSignOn } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

const ISSUER = 'https://op.example.com'
const CLIENT_ID = 'rp'
const FORM = 'application/x-www-form-urlencoded'
const BODY_LIMIT_BYTES = 4096

const servers: ServerType[] = []
const sockets: Socket[] = []

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy()
  for (const server of servers.splice(0)) {
    server.close()
    await once(server, 'close')
  }
})

async function webRp(answerDeadlineSeconds = 2) {
  const mint = await createTokenMint({ issuer: ISSUER, clientId: CLIENT_ID, sub: 'alice', sid: 'laptop' })
  const events: LogoutEvent[] = []
  const logout = createBackchannelLogout({
    provider: { issuer: ISSUER, clientId: CLIENT_ID, jwks: mint.jwks },
    bodyLimitBytes: BODY_LIMIT_BYTES,
    answerDeadlineSeconds,
    onEvent: (event) => events.push(event),
  })
  const signOn = await logout.signOn(mint.idTokenClaims())
  if (signOn === undefined) throw new Error('nobody was logged out yet')
  return { mint, events, logout, signOn, isLive: (record: StatelessSignOn = signOn) => logout.isLive(record) }
}

type Rp = Awaited<ReturnType<typeof webRp>>
type Handler = (request: Request) => Promise<Response>

/** A route module of Next.js: one exported function for each method, called with the request and a context. */
function nextStyle({ logout }: Rp): Handler {
  const route = { POST: logout.fetch }
  return (request) => Reflect.apply(route.POST, undefined, [request, { params: Promise.resolve({}) }])
}

async function listening(rp: Rp, configure: (app: Hono) => void = () => {}): Promise<number> {
  const app = new Hono()
  configure(app)
  app.all('/backchannel-logout', (c) => rp.logout.fetch(c.req.raw))
  const server = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
  servers.push(server)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function onHono(rp: Rp, configure?: (app: Hono) => void): Promise<Handler> {
  const port = await listening(rp, configure)
  return (request) => fetch(new Request(`http://127.0.0.1:${port}/backchannel-logout`, request))
}

const STACKS: Readonly<Record<string, (rp: Rp) => Handler | Promise<Handler>>> = {
  'Hono on @hono/node-server': (rp) => onHono(rp),
  'a Next.js route handler': nextStyle,
}

type Body = string | URLSearchParams | FormData | Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>

function post(body: Body | undefined, headers: Record<string, string> = { 'content-type': FORM }): Request {
  const init: RequestInit & { duplex: 'half' } = { method: 'POST', headers, duplex: 'half', ...(body && { body }) }
  return new Request('https://rp.example.com/backchannel-logout', init)
}

const formOf = (token: string) => `logout_token=${token}`

async function expectLoggedOut(response: Response): Promise<void> {
  expect(response.status).toBe(200)
  expect(await response.text()).toBe('')
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(response.headers.get('set-cookie')).toBeNull()
}

/** Refused in fixed sentences; nobody died, and the token without the change would have ended the sign-on. */
async function expectRefused(rp: Rp, response: Response, reason: string): Promise<void> {
  expect(response.status).toBe(400)
  expect(await response.json()).toEqual({ error: 'invalid_request', error_description: expect.any(String) })
  expect(response.headers.get('cache-control')).toBe('no-store')
  const refused = rp.events.find((event) => event.type === 'refused')
  expect(refused?.error).toMatchObject({ code: 'ERR_REQUEST', reason })
  expect(await rp.isLive()).toBe(true)
  await expectLoggedOut(await rp.logout.fetch(post(formOf(await rp.mint.logoutToken()))))
  expect(await rp.isLive()).toBe(false)
}

describe.each(Object.entries(STACKS))('%s', (_name, start) => {
  it.each([FORM, `${FORM}; charset=UTF-8`, 'Application/X-WWW-Form-Urlencoded'])(
    'takes a logout of %s: 200, empty, no-store, and the sign-on is dead',
    async (contentType) => {
      const rp = await webRp()
      const handler = await start(rp)
      const other = await rp.logout.signOn(rp.mint.idTokenClaims({ sid: 'phone' }))
      const body = `${formOf(await rp.mint.logoutToken())}&ignored=1`
      await expectLoggedOut(await handler(post(body, { 'content-type': contentType })))
      expect(await rp.isLive()).toBe(false)
      expect(other && (await rp.isLive(other))).toBe(true)
    },
  )

  it('refuses a token with a defect', async () => {
    const rp = await webRp()
    const handler = await start(rp)
    const response = await handler(post(formOf(await rp.mint.defective('signature-of-foreign-key'))))
    expect(response.status).toBe(400)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await rp.isLive()).toBe(true)
    await expectLoggedOut(await handler(post(formOf(await rp.mint.logoutToken()))))
    expect(await rp.isLive()).toBe(false)
  })

  it('refuses a replay', async () => {
    const rp = await webRp()
    const handler = await start(rp)
    const body = formOf(await rp.mint.logoutToken())
    await expectLoggedOut(await handler(post(body)))
    expect((await handler(post(body))).status).toBe(400)
    expect(rp.events.map(({ type }) => type)).toContain('replay')
  })

  it.each([
    { what: 'JSON', body: (token: string) => JSON.stringify({ logout_token: token }), type: 'application/json' },
    { what: 'a form called text', body: formOf, type: 'text/plain' },
    { what: 'no content type', body: (token: string) => new TextEncoder().encode(formOf(token)), type: undefined },
    {
      what: 'multipart',
      body: (token: string) => {
        const form = new FormData()
        form.set('logout_token', token)
        return form
      },
      type: undefined,
    },
  ])('refuses $what', async ({ body, type }) => {
    const rp = await webRp()
    const handler = await start(rp)
    const headers: Record<string, string> = type === undefined ? {} : { 'content-type': type }
    const response = await handler(post(body(await rp.mint.logoutToken()), headers))
    await expectRefused(rp, response, 'content_type')
  })

  it('refuses a compressed body', async () => {
    const rp = await webRp()
    const handler = await start(rp)
    const headers = { 'content-type': FORM, 'content-encoding': 'gzip' }
    const response = await handler(post(formOf(await rp.mint.logoutToken()), headers))
    await expectRefused(rp, response, 'content_encoding')
  })

  it.each([
    { what: 'no token', reason: 'logout_token_missing', body: () => 'other=1' },
    { what: 'an empty token', reason: 'logout_token_missing', body: () => 'logout_token=' },
    {
      what: 'the token twice',
      reason: 'logout_token_repeated',
      body: (token: string) => `${formOf(token)}&${formOf(token)}`,
    },
  ])('refuses $what', async ({ body, reason }) => {
    const rp = await webRp()
    const handler = await start(rp)
    await expectRefused(rp, await handler(post(body(await rp.mint.logoutToken()))), reason)
  })

  it('refuses no body at all', async () => {
    const rp = await webRp()
    const handler = await start(rp)
    await expectRefused(rp, await handler(post(undefined)), 'logout_token_missing')
  })

  it('refuses a body over the limit that says so', async () => {
    const rp = await webRp()
    const handler = await start(rp)
    const body = `${formOf(await rp.mint.logoutToken())}&padding=${'x'.repeat(BODY_LIMIT_BYTES)}`
    const response = await handler(post(body))
    await expectRefused(rp, response, 'body_too_large')
  })

  it('takes a body of exactly the limit, in one piece or byte by byte', async () => {
    for (const pieces of [1, BODY_LIMIT_BYTES]) {
      const rp = await webRp()
      const handler = await start(rp)
      const form = `${formOf(await rp.mint.logoutToken())}&padding=`
      await expectLoggedOut(await handler(post(streamOf(form.padEnd(BODY_LIMIT_BYTES, 'x'), pieces))))
      expect(await rp.isLive()).toBe(false)
    }
  })
})

/** The text in so many pieces, without a declared length. */
function streamOf(text: string, pieces: number): ReadableStream<Uint8Array> {
  const bytes = new TextEncoder().encode(text)
  const size = Math.ceil(bytes.length / pieces)
  let at = 0
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= bytes.length) return controller.close()
      controller.enqueue(bytes.subarray(at, at + size))
      at += size
    },
  })
}

describe('a body that never ends', () => {
  it('is read up to the limit and not further; the sender is told to stop', async () => {
    const rp = await webRp()
    let sent = 0
    let cancelled = false
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 1024
        controller.enqueue(new Uint8Array(1024).fill(0x61))
      },
      cancel() {
        cancelled = true
      },
    })
    await expectRefused(rp, await nextStyle(rp)(post(endless)), 'body_too_large')
    expect(cancelled).toBe(true)
    expect(sent).toBeLessThanOrEqual(BODY_LIMIT_BYTES + 3 * 1024)
  })

  it('is answered in time when nothing more comes', async () => {
    const rp = await webRp(0.05)
    let cancelled = false
    const stalled = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new TextEncoder().encode('logout_token=')),
      cancel() {
        cancelled = true
      },
    })
    const response = await nextStyle(rp)(post(stalled))
    expect(response.status).toBe(400)
    expect(rp.events).toContainEqual(
      expect.objectContaining({ type: 'refused', error: expect.objectContaining({ reason: 'body_late' }) }),
    )
    expect(cancelled).toBe(true)
    expect(await rp.isLive()).toBe(true)
  })

  it('is refused when the sender goes away', async () => {
    const rp = await webRp()
    const broken = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('logout_token='))
        controller.error(new Error('gone'))
      },
    })
    await expectRefused(rp, await nextStyle(rp)(post(broken)), 'body_aborted')
  })
})

describe('a sign-on in a cookie that nobody can judge', () => {
  it('is answered 503 by Hono itself, and no handler hears of it', async () => {
    const rp = await webRp()
    const down = Object.assign(memoryStore(), { marks: () => Promise.reject(new Error('the store is down')) })
    const logout = createBackchannelLogout({ provider: { issuer: ISSUER, clientId: CLIENT_ID }, store: down })
    const app = new Hono()
    let reached = false
    app.use(async (_c, next) => {
      if (await logout.isLive(rp.signOn)) await next()
    })
    app.get('/me', (c) => {
      reached = true
      return c.text('alice')
    })
    const response = await app.request('/me')
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(reached).toBe(false)
  })
})

describe('a body that was read before', () => {
  it('is refused, by text or by a reader that still holds it', async () => {
    for (const read of [(request: Request) => request.text(), async (request: Request) => request.body?.getReader()]) {
      const rp = await webRp()
      const request = post(formOf(await rp.mint.logoutToken()))
      await read(request)
      await expectRefused(rp, await rp.logout.fetch(request), 'body_consumed')
    }
  })

  it('is refused on Hono as well, where the receiver belongs in front', async () => {
    const rp = await webRp()
    const handler = await onHono(rp, (app) => {
      app.use(async (c, next) => {
        await c.req.parseBody()
        await next()
      })
    })
    await expectRefused(rp, await handler(post(formOf(await rp.mint.logoutToken()))), 'body_consumed')
  })
})

describe('other methods', () => {
  it.each(['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'])('%s: 405 with Allow: POST', async (method) => {
    const rp = await webRp()
    const token = await rp.mint.logoutToken()
    for (const handler of [nextStyle(rp), await onHono(rp)]) {
      const url = `https://rp.example.com/backchannel-logout?${formOf(token)}`
      const response = await handler(new Request(url, { method }))
      expect(response.status).toBe(405)
      expect(response.headers.get('allow')).toBe('POST')
      expect(response.headers.get('cache-control')).toBe('no-store')
    }
    expect(await rp.isLive()).toBe(true)
  })

  it('a token in the query is no token', async () => {
    const rp = await webRp()
    const url = `https://rp.example.com/backchannel-logout?${formOf(await rp.mint.logoutToken())}`
    const response = await rp.logout.fetch(
      new Request(url, { method: 'POST', headers: { 'content-type': FORM }, body: 'a=1' }),
    )
    await expectRefused(rp, response, 'logout_token_missing')
  })
})

describe('on the wire of @hono/node-server', () => {
  async function raw(port: number): Promise<{ socket: Socket; answer: Promise<string> }> {
    const socket = connect(port, '127.0.0.1')
    sockets.push(socket)
    await once(socket, 'connect')
    const answer = new Promise<string>((resolve) => {
      let text = ''
      socket.on('error', () => {}) // Cut by the server after its answer, as may be.
      socket.on('data', (chunk) => {
        text += chunk
        if (text.includes('\r\n\r\n')) resolve(text)
      })
    })
    return { socket, answer }
  }

  async function expectRefusedOnTheWire(rp: Rp, answer: Promise<string>, reason: string): Promise<void> {
    expect(await answer).toMatch(/^HTTP\/1\.1 400 /)
    expect(rp.events).toContainEqual(
      expect.objectContaining({ type: 'refused', error: expect.objectContaining({ reason }) }),
    )
    expect(await rp.isLive()).toBe(true)
  }

  const HEAD = `POST /backchannel-logout HTTP/1.1\r\nHost: rp\r\nContent-Type: ${FORM}\r\n`

  it('answers a sender that stalls', async () => {
    const rp = await webRp(0.05)
    const { socket, answer } = await raw(await listening(rp))
    socket.write(`${HEAD}Content-Length: 1000\r\n\r\nlogout_token=`)
    await expectRefusedOnTheWire(rp, answer, 'body_late')
  })

  it('answers a sender that announces too much, before it has sent it', async () => {
    const rp = await webRp(60)
    const { socket, answer } = await raw(await listening(rp))
    socket.write(`${HEAD}Content-Length: ${BODY_LIMIT_BYTES + 1}\r\n\r\n`)
    await expectRefusedOnTheWire(rp, answer, 'body_too_large')
  })

  it('answers a sender of endless chunks', async () => {
    const rp = await webRp(60)
    const { socket, answer } = await raw(await listening(rp))
    socket.write(`${HEAD}Transfer-Encoding: chunked\r\n\r\n`)
    const chunk = `${(1024).toString(16)}\r\n${'x'.repeat(1024)}\r\n`
    for (let i = 0; i < 8; i += 1) socket.write(chunk)
    await expectRefusedOnTheWire(rp, answer, 'body_too_large')
  })
})

it('never rejects, whatever the store does', async () => {
  const mint = await createTokenMint({ issuer: ISSUER, clientId: CLIENT_ID })
  const failing = () => Promise.reject(new Error('the store is down'))
  const store = Object.assign(memoryStore(), { begin: failing })
  const logout = createBackchannelLogout({
    provider: { issuer: ISSUER, clientId: CLIENT_ID, jwks: mint.jwks },
    store,
    retryForSeconds: 0,
  })
  const response = await logout.fetch(post(formOf(await mint.logoutToken())))
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ error: 'logout_failed' })
  logout.close()
})

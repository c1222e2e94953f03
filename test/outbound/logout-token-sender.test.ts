// The sending end of Back-Channel Logout: the token it makes, what it makes of each answer, and where it does not go.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { inspect } from 'node:util'
import { decodeJwt, decodeProtectedHeader, exportJWK } from 'jose'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  createBackchannelLogout,
  createLogoutTokenSender,
  type LogoutDelivery,
  type LogoutEvent,
  type LogoutTokenSenderOptions,
} from '../../src/index.js'
import { ecKeyPair } from '../../src/testing/key-pair.js'
import { describeWith, installed, onPath } from '../servers/processes.js'

const ISSUER = 'https://broker.example.com'
const { privateKey, publicKey } = ecKeyPair()

const toClose: (() => void)[] = []
afterEach(() => {
  for (const close of toClose.splice(0)) close()
})

async function listening(server: Server): Promise<string> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  toClose.push(() => {
    server.close()
    server.closeAllConnections()
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return `127.0.0.1:${address.port}`
}

const serve = async (listener: RequestListener) =>
  `http://${await listening(createServer(listener))}/backchannel-logout?tenant=1`

function sender(options: Partial<LogoutTokenSenderOptions> = {}) {
  const events: LogoutEvent[] = []
  const made = createLogoutTokenSender({
    issuer: ISSUER,
    privateKey,
    algorithm: 'ES256',
    keyId: 'one',
    firstRetryAfterSeconds: 0.01,
    dangerouslyAllowPrivateAddresses: true,
    onEvent: (event) => events.push(event),
    ...options,
  })
  toClose.push(() => made.close())
  return { ...made, send: made.send.bind(made), close: () => made.close(), waiting: () => made.waiting, events }
}

async function tokenIn(req: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of req.setEncoding('utf8')) body += chunk
  const form = new URLSearchParams(body)
  expect([...form.keys()]).toEqual(['logout_token'])
  return form.get('logout_token') ?? ''
}

/** An RP that answers each attempt in turn, the last answer for ever; and the tokens it was sent. */
async function answering(...answers: readonly (readonly [status: number, body?: string])[]) {
  const tokens: string[] = []
  const uri = await serve((req, res) => {
    tokenIn(req).then((token) => {
      tokens.push(token)
      const [status, body = ''] = answers[Math.min(tokens.length, answers.length) - 1] ?? [500]
      res.writeHead(status, { 'Content-Type': 'application/json', Location: '/elsewhere' })
      res.end(body)
    })
  })
  return { uri, tokens }
}

const outcomeOf = (send: ReturnType<typeof sender>['send'], uri: string) =>
  new Promise<LogoutDelivery>((resolve, reject) => {
    send({ clientId: 'app-b', uri, sid: 'laptop', sub: 'ada' }, resolve).catch(reject)
  })

describe('a Logout Token', () => {
  it('has the exact shape of BCL 2.4', async () => {
    const { uri, tokens } = await answering([200])
    const { send } = sender({ clock: () => 1_700_000_000.9 })
    await send({ clientId: 'app-b', uri, sid: 'laptop', sub: 'ada' })
    expect(decodeProtectedHeader(tokens[0] ?? '')).toEqual({ alg: 'ES256', typ: 'logout+jwt', kid: 'one' })
    expect(decodeJwt(tokens[0] ?? '')).toEqual({
      iss: ISSUER,
      aud: 'app-b',
      iat: 1_700_000_000,
      exp: 1_700_000_120,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sid: 'laptop',
      sub: 'ada',
      events: { 'http://schemas.openid.net/event/backchannel-logout': {} },
    })
  })

  it.each([
    [{ sid: 'laptop' }, { sid: 'laptop' }],
    [{ sub: 'ada' }, { sub: 'ada' }],
  ])('names what it is given and nothing else: %j', async (target, named) => {
    const { uri, tokens } = await answering([200])
    await sender().send({ clientId: 'app-b', uri, ...target })
    const { sid, sub } = decodeJwt(tokens[0] ?? '')
    expect(JSON.parse(JSON.stringify({ sid, sub }))).toEqual(named)
  })

  it('is believed by the receiver of this package, and ends that sign-on alone', async () => {
    const logout = createBackchannelLogout({
      provider: {
        issuer: ISSUER,
        clientId: 'app-b',
        typ: 'strict',
        algorithms: ['ES256'],
        jwks: { keys: [{ ...(await exportJWK(publicKey)), kid: 'one' }] },
      },
      onEvent: () => {},
    })
    const claims = { iss: ISSUER, aud: 'app-b', sub: 'ada', iat: Math.floor(Date.now() / 1000) - 10 }
    const [laptop, phone] = [
      await logout.signOn({ ...claims, sid: 'laptop' }),
      await logout.signOn({ ...claims, sid: 'phone' }),
    ]
    const uri = await serve(logout.receiver())
    const { send } = sender()
    expect(await send({ clientId: 'app-b', uri, sid: 'laptop', sub: 'ada' })).toEqual({
      outcome: 'done',
      attempts: 1,
      status: 200,
    })
    expect(laptop && (await logout.isLive(laptop))).toBe(false)
    expect(phone && (await logout.isLive(phone))).toBe(true)
  })

  it.each([
    [{ clientId: 'app-b' }],
    [{ clientId: 'app-b', sid: '' }],
    [{ clientId: '', sid: 'laptop' }],
    [{ clientId: 'app-b', sid: 'laptop', sub: '' }],
  ])('is not made for nobody: %j', async (target) => {
    const { uri, tokens } = await answering([200])
    // @ts-expect-error: what a program without types may hand over
    await expect(sender().send({ uri, ...target })).rejects.toThrow(TypeError)
    expect(tokens).toEqual([])
  })
})

describe('the answer', () => {
  it.each([200, 204])('%s is done, at the first attempt', async (status) => {
    const { uri, tokens } = await answering([status])
    const { send, events, waiting } = sender()
    expect(await outcomeOf(send, uri)).toEqual({ outcome: 'done', attempts: 1, status })
    expect(tokens).toHaveLength(1)
    expect(waiting()).toBe(0)
    expect(events).toEqual([{ type: 'logout-token-sent', clientId: 'app-b', outcome: 'done', attempts: 1, status }])
  })

  it.each(['', '{"error":"invalid_request"}', 'not JSON', `{"error":"logout_failed"${' '.repeat(20_000)}}`])(
    '400 is final (%#)',
    async (body) => {
      const { uri, tokens } = await answering([400, body], [200])
      const { send, waiting } = sender()
      expect(await outcomeOf(send, uri)).toMatchObject({
        outcome: 'refused',
        status: 400,
        error: { reason: 'refused' },
      })
      expect(waiting()).toBe(0)
      expect(tokens).toHaveLength(1)
    },
  )

  it('400 that says logout_failed is tried again, as is every other answer; each attempt is a token of its own', async () => {
    const failed = '{"error":"logout_failed"}'
    const { uri, tokens } = await answering([400, failed], [503], [302], [404], [201], [200])
    let now = 1000
    const { send, events } = sender({ clock: () => now++ })
    expect(await outcomeOf(send, uri)).toEqual({ outcome: 'done', attempts: 6, status: 200 })
    const claims = tokens.map((token) => decodeJwt(token))
    expect(new Set(claims.map(({ jti }) => jti)).size).toBe(6)
    expect(claims.map(({ iat }) => iat)).toEqual([1000, 1001, 1002, 1003, 1004, 1005])
    expect(events.map((event) => 'outcome' in event && event.outcome)).toEqual([
      ...['retrying', 'retrying', 'retrying', 'retrying', 'retrying', 'done'],
    ])
  })

  it('that does not come is no answer: tried again', async () => {
    let asked = 0
    const uri = await serve((_, res) => {
      asked++
      if (asked > 1) res.end()
    })
    const { send } = sender({ timeoutSeconds: 0.05 })
    const first = await send({ clientId: 'app-b', uri, sid: 'laptop' })
    expect(first).toMatchObject({ outcome: 'retrying', attempts: 1, error: { code: 'ERR_DELIVERY', reason: 'late' } })
  })

  it('that hands the connection over (101) is none: it ends the attempt before its deadline', async () => {
    const uri = await serve((req) => {
      req.socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n')
    })
    const { send } = sender({ timeoutSeconds: 60 })
    const first = await send({ clientId: 'app-b', uri, sid: 'laptop' })
    expect(first).toMatchObject({ outcome: 'retrying', error: { reason: 'unreachable' } })
  })

  it("that a fetch of the application's own failed to get leaves nothing of the token in the error", async () => {
    const { send } = sender({
      fetch: async (_url, { body }) => {
        throw Object.assign(new TypeError(`failed: ${String(body)}`), { body, code: 'ECONNRESET' })
      },
    })
    const delivery = await send({ clientId: 'app-b', uri: 'https://rp.example.com/logout', sid: 'laptop' })
    const { cause } = 'error' in delivery ? delivery.error : {}
    expect(inspect(cause)).toContain('TypeError ECONNRESET')
    expect(inspect(delivery, { depth: 9 })).not.toContain('logout_token')
  })

  it.each([
    ['neither answers nor heeds its signal', () => new Promise<Response>(() => {})],
    ['never ends its answer', async () => new Response(new ReadableStream(), { status: 400 })],
  ])('by a fetch that %s keeps no turn from the others', async (_, hangs) => {
    const { send } = sender({
      timeoutSeconds: 0.05,
      fetch: async (url) => (url.includes('bad') ? hangs() : new Response('')),
    })
    for (let i = 0; i < 32; i++) void send({ clientId: `bad-${i}`, uri: `https://bad-${i}.example.com/`, sid: 's' })
    const delivery = await send({ clientId: 'good', uri: 'https://good.example.com/', sid: 's' })
    expect(delivery).toMatchObject({ outcome: 'done' })
  })

  it('without an end is not read to it', async () => {
    const uri = await serve((_, res) => {
      const more = () => {
        while (res.write('x'.repeat(65_536)));
        res.once('drain', more)
      }
      more()
    })
    const { send } = sender()
    expect(await outcomeOf(send, uri)).toMatchObject({ outcome: 'done' })
  })
})

describe('an RP that does not answer', () => {
  it('is one host whatever port it is at: eight requests at one time', async () => {
    const held: ((answer: Response) => void)[] = []
    const { send } = sender({ fetch: () => new Promise((resolve) => held.push(resolve)), dangerouslyAllowHttp: true })
    const sends = Array.from({ length: 32 }, (_, i) =>
      send({ clientId: `app-${i}`, uri: `http://127.0.0.1:${20_000 + i}/logout`, sid: 'laptop' }),
    )
    await expect.poll(() => held.length).toBe(8)
    let most = held.length
    for (let answered = 0; answered < 32; answered++) {
      await expect.poll(() => held.length).toBeGreaterThan(answered)
      held[answered]?.(new Response())
      await new Promise(setImmediate)
      most = Math.max(most, held.length - answered - 1)
    }
    expect(await Promise.all(sends)).toHaveLength(32)
    expect(most).toBeLessThanOrEqual(8)
  })

  it('is tried ever more rarely, whatever another one makes of what it is sent', async () => {
    let attempts = 0
    const fetch = async (url: string) => {
      if (url.endsWith('/down')) attempts++
      return new Response(null, { status: 503 })
    }
    const ends = new Map<string, number>()
    const turning = async (url: string) => {
      const tries = (ends.get(url) ?? 0) + 1
      ends.set(url, tries)
      if (url.endsWith('/down')) return fetch(url)
      return new Response(null, { status: tries < 3 ? 503 : 200 })
    }
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    try {
      const { send } = sender({ fetch: turning, firstRetryAfterSeconds: 1 })
      await send({ clientId: 'down', uri: 'https://rp.example.com/down', sid: 'laptop' })
      for (let second = 0; second < 100; second++) {
        await send({ clientId: 'other', uri: `https://rp.example.com/other?${second}`, sid: 'laptop' })
        await vi.advanceTimersByTimeAsync(1000)
      }
      // At once, and after 1, 3, 7, 15, 31 and 63 seconds.
      expect(attempts).toBe(7)
    } finally {
      vi.useRealTimers()
    }
  })

  it('holds up no other, however many logouts it is sent, whoever sends them', async () => {
    const held: (() => void)[] = []
    const sent: string[] = []
    const fetch = (url: string) => {
      sent.push(new URL(url).host)
      if (!url.includes('hangs')) return Promise.resolve(new Response(null, { status: 200 }))
      return new Promise<Response>((resolve) => held.push(() => resolve(new Response(null, { status: 204 }))))
    }
    const one = sender({ fetch, retryForSeconds: 0 })
    const to = (host: string) => one.send({ clientId: 'app', uri: `https://${host}.example.com/logout`, sub: 'ada' })
    const slow = Array.from({ length: 100 }, () => to('hangs'))
    expect(await to('answers')).toMatchObject({ outcome: 'done' })
    expect(sent.filter((host) => host === 'hangs.example.com').length).toBeLessThanOrEqual(8)
    for (let i = 0; i < slow.length; i++) {
      while (held.length === 0) await new Promise(setImmediate)
      held.shift()?.()
    }
    expect((await Promise.all(slow)).map(({ outcome }) => outcome)).toEqual(slow.map(() => 'done'))
  })
})

describe('retries are bounded', () => {
  it('by time: the matter ends, and that is said once', async () => {
    const { uri } = await answering([500])
    const { send, events, waiting } = sender({ retryForSeconds: 0.05 })
    expect(await outcomeOf(send, uri)).toMatchObject({ outcome: 'given-up', error: { reason: 'time_over' } })
    expect(waiting()).toBe(0)
    expect(events.filter((event) => 'outcome' in event && event.outcome === 'given-up')).toHaveLength(1)
  })

  it('by number: what has no room is given up at its first failure', async () => {
    const { uri } = await answering([500])
    const { send, waiting } = sender({ maxWaiting: 1, firstRetryAfterSeconds: 60 })
    expect((await send({ clientId: 'app-b', uri, sid: 'laptop' })).outcome).toBe('retrying')
    expect(await send({ clientId: 'app-b', uri, sid: 'phone' })).toMatchObject({
      ...{ outcome: 'given-up', attempts: 1, status: 500, error: { reason: 'no_room', cause: { reason: 'not_done' } } },
    })
    expect(waiting()).toBe(1)
  })

  it('not at all with retryForSeconds 0, and not beyond close()', async () => {
    const { uri } = await answering([500])
    expect((await sender({ retryForSeconds: 0 }).send({ clientId: 'app-b', uri, sid: 'laptop' })).outcome).toBe(
      'given-up',
    )
    const { send, close } = sender({ firstRetryAfterSeconds: 60 })
    const outcome = outcomeOf(send, uri)
    while ((await send({ clientId: 'app-b', uri, sid: 'phone' })).outcome !== 'retrying');
    close()
    expect(await outcome).toMatchObject({ outcome: 'given-up' })
  })
})

describe('what waits for its turn', () => {
  it('is counted, and given up by close(), which ends what is under way; nothing is posted any more', async () => {
    let posted = 0
    const uri = await serve(() => void posted++)
    const { send, close, waiting, events } = sender({ timeoutSeconds: 60 })
    const outcomes: string[] = []
    const all = Array.from({ length: 80 }, (_, i) =>
      send({ clientId: 'app', uri, sub: `user-${i}` }, ({ outcome }) => outcomes.push(outcome)),
    )
    await expect.poll(() => posted).toBe(8)
    expect(waiting()).toBe(72)
    close()
    const deliveries = await Promise.all(all)
    expect(deliveries.filter(({ attempts }) => attempts === 1)).toHaveLength(8)
    for (const delivery of deliveries) {
      expect(delivery).toMatchObject({ outcome: 'given-up', error: { code: 'ERR_DELIVERY', reason: 'closed' } })
    }
    expect(await send({ clientId: 'app', uri, sub: 'later' })).toMatchObject({ outcome: 'given-up', attempts: 0 })
    expect({ posted, waiting: waiting(), outcomes: outcomes.length, events: events.length }).toEqual({
      ...{ posted: 8, waiting: 0, outcomes: 80, events: 81 },
    })
  })

  it("is given up by close() also where it goes by a fetch of the application's own, whose requests are cut off", async () => {
    const signals: (AbortSignal | null)[] = []
    const { send, close } = sender({
      fetch: (_url, { signal }) => {
        signals.push(signal)
        return new Promise(() => {})
      },
    })
    const all = Array.from({ length: 20 }, () =>
      send({ clientId: 'app', uri: 'https://rp.example.com/logout', sid: 'laptop' }),
    )
    await expect.poll(() => signals.length).toBe(8)
    close()
    expect((await Promise.all(all)).map(({ outcome }) => outcome)).toEqual(all.map(() => 'given-up'))
    expect(signals.map((signal) => signal?.aborted)).toEqual(signals.map(() => true))
    expect(signals).toHaveLength(8)
  })

  it('counts towards maxWaiting: beyond it a logout that would have to wait is given up at once, and no other', async () => {
    const answers: ((response: Response) => void)[] = []
    const { send, waiting } = sender({
      maxWaiting: 10,
      fetch: async (url) =>
        url.includes('hangs') ? new Promise((resolve) => answers.push(resolve)) : new Response(null, { status: 200 }),
    })
    const to = (host: string) => send({ clientId: 'app', uri: `https://${host}.example.com/logout`, sub: 'ada' })
    const first = Array.from({ length: 18 }, () => to('hangs'))
    for (let i = 0; i < 100; i++) {
      expect(await to('hangs')).toMatchObject({ outcome: 'given-up', attempts: 0, error: { reason: 'no_room' } })
    }
    expect(waiting()).toBe(10)
    expect(await to('answers')).toMatchObject({ outcome: 'done' })
    for (let i = 0; i < first.length; i++) {
      await expect.poll(() => answers.length).toBeGreaterThan(i)
      answers[i]?.(new Response(null, { status: 200 }))
    }
    expect((await Promise.all(first)).map(({ outcome }) => outcome)).toEqual(first.map(() => 'done'))
    expect(waiting()).toBe(0)
  })

  it('uses up the time for retries: it begins with send()', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
    try {
      let delivery: Promise<LogoutDelivery> | undefined
      const answer = await new Promise<(response: Response) => void>((asked) => {
        const fetch = () => new Promise<Response>((resolve) => asked(resolve))
        const { send } = sender({ fetch, timeoutSeconds: 60, retryForSeconds: 10 })
        delivery = send({ clientId: 'app', uri: 'https://rp.example.com/logout', sid: 'laptop' })
      })
      await vi.advanceTimersByTimeAsync(11_000)
      answer(new Response(null, { status: 503 }))
      expect(await delivery).toMatchObject({
        ...{ outcome: 'given-up', attempts: 1, status: 503, error: { reason: 'time_over' } },
      })
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('onOutcome', () => {
  it.each<readonly [string, () => unknown]>([
    [
      'throws',
      () => {
        throw new Error('hostile')
      },
    ],
    ['rejects', () => Promise.reject(new Error('hostile'))],
  ])('that %s is a warning, and changes nothing', async (_what, fail) => {
    const { uri } = await answering([500], [200])
    const { send, events } = sender()
    expect((await send({ clientId: 'app-b', uri, sid: 'laptop' }, () => void 0)).outcome).toBe('retrying')
    expect((await send({ clientId: 'app-b', uri, sid: 'phone' }, () => fail() as undefined)).outcome).toBe('done')
    await expect
      .poll(() => events.filter(({ type }) => type === 'warning'))
      .toMatchObject([{ error: { code: 'ERR_HOOK', option: 'onOutcome' } }])
  })

  it('is called once, also where close() meets an attempt under way', async () => {
    let answer = (): void => undefined
    let asked = 0
    const uri = await serve((_, res) => {
      asked++
      if (asked === 1) res.writeHead(500).end()
      else answer = () => void res.end()
    })
    const { send, close, events } = sender({
      // Connections of its own are cut off by close().
      fetch: (url, init) => fetch(url, init),
      dangerouslyAllowHttp: true,
    })
    const outcomes: string[] = []
    await send({ clientId: 'app-b', uri, sid: 'laptop' }, ({ outcome }) => outcomes.push(outcome))
    await expect.poll(() => asked).toBe(2)
    close()
    answer()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(outcomes).toEqual(['given-up'])
    expect(events.map((event) => 'outcome' in event && event.outcome)).toEqual(['retrying', 'given-up'])
  })
})

describe('where a token does not go', () => {
  it.each([
    'http://rp.example.com/logout',
    'https://user:secret@rp.example.com/logout',
    'https://rp.example.com/logout#part',
    'ftp://rp.example.com/',
    'logout',
  ])('%s', async (uri) => {
    const { send } = sender()
    expect(await send({ clientId: 'app-b', uri, sid: 'laptop' })).toMatchObject({
      outcome: 'given-up',
      error: { reason: 'uri_unsafe' },
    })
  })

  it.each([
    ...['127.0.0.1', '[::1]', '10.1.2.3', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0'],
    ...['[::ffff:127.0.0.1]', '[fd00::1]', '[fe80::1]', '[64:ff9b::7f00:1]', '[2002:7f00:1::]', '2130706433', '0x7f.1'],
    'localhost', // A name: refused by what it leads to.
  ])('https://%s, unless that is allowed', async (host) => {
    let reached = 0
    const port = new URL(await serve(() => reached++)).port
    const { send } = sender({ dangerouslyAllowPrivateAddresses: false })
    const delivery = await send({ clientId: 'app-b', uri: `https://${host}:${port}/logout`, sid: 'laptop' })
    expect(delivery).toMatchObject({ outcome: 'given-up', error: { reason: 'address_private' } })
    expect(reached).toBe(0)
  })

  it('to where a redirect leads', async () => {
    let elsewhere = 0
    const uri = await serve((req, res) => {
      if (req.url === '/elsewhere') elsewhere++
      res.writeHead(307, { Location: '/elsewhere' }).end()
    })
    expect(await sender().send({ clientId: 'app-b', uri, sid: 'laptop' })).toMatchObject({ outcome: 'retrying' })
    expect(elsewhere).toBe(0)
  })
})

describeWith(installed(...onPath('openssl')), 'openssl')('TLS', () => {
  it('is spoken, and a certificate that nobody vouches for is not believed', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'sender-tls-'))
    toClose.push(() => rmSync(folder, { recursive: true }))
    const [key, cert] = [`${folder}/key.pem`, `${folder}/cert.pem`]
    const subject = ['-subj', '/CN=rp', '-days', '1', '-addext', 'subjectAltName=IP:127.0.0.1']
    execFileSync(
      'openssl',
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject],
      { stdio: 'ignore' },
    )
    let reached = 0
    const server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, () => reached++)
    const host = await listening(server)
    const delivery = await sender().send({ clientId: 'app-b', uri: `https://${host}/logout`, sid: 'laptop' })
    expect(delivery).toMatchObject({
      outcome: 'retrying',
      error: { cause: { message: 'Error DEPTH_ZERO_SELF_SIGNED_CERT' } },
    })
    expect(reached).toBe(0)
  })
})

describe('options', () => {
  it.each([
    [{ issuer: '' }, /issuer/],
    [{ algorithm: 'HS256' }, /algorithm/],
    [{ algorithm: 'none' }, /algorithm/],
    [{ privateKey: publicKey }, /privateKey/],
    [{ tokenLifetimeSeconds: 121 }, /tokenLifetimeSeconds/],
    [{ timeoutSeconds: 0 }, /timeoutSeconds/],
    [{ retryForSeconds: -1 }, /retryForSeconds/],
    [{ retries: 3 }, /no option "retries"/],
  ])('%o are refused when the program boots', (options, message) => {
    expect(() => createLogoutTokenSender({ issuer: ISSUER, privateKey, algorithm: 'ES256', ...options })).toThrow(
      message,
    )
  })
})

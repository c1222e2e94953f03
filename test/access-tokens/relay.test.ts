// The relay and its receiver over real HTTP: what an API knows when, what it answers while it may not know all, and which notices it
// does not believe. Two processes that share nothing are in test/processes/relay.test.ts.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import {
  createJwtCheck,
  createRelay,
  createRelayReceiver,
  type EndedClaims,
  type RelayReceiverOptions,
} from '../../src/access-tokens/index.js'
import type { LogoutEvent } from '../../src/index.js'
import type { Mark } from '../../src/marks/covering.js'
import type { LogPage } from '../../src/stores/log-store.js'
import { ended, ISSUER, RP } from './hand-run.js'

const RELAY = 'https://rp.example.com'
const AUDIENCE = 'https://api.example.com/relay'
const seconds = () => Math.floor(Date.now() / 1000)

let own: Awaited<ReturnType<typeof generateKeyPair>>
let foreign: Awaited<ReturnType<typeof generateKeyPair>>
beforeAll(async () => {
  own = await generateKeyPair('ES256', { extractable: true })
  foreign = await generateKeyPair('ES256', { extractable: true })
})

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** A log as Redis and PostgreSQL keep one: its cursor is a count. */
function log() {
  const marks: Mark[] = []
  const state = { up: true, pulls: 0 }
  return {
    marks,
    state,
    async pull(cursor?: string): Promise<LogPage> {
      state.pulls += 1
      if (!state.up) throw new Error('the store is away')
      const since = Number(cursor ?? 0)
      const page = { cursor: String(marks.length), now: Date.now() / 1000, sessionIds: [], endedIds: [], moves: [] }
      return { ...page, reset: cursor === undefined, marks: marks.slice(since) }
    },
  }
}

/** An API of one process, whose clock moves on demand; `restart` forgets all it knew. */
async function api(more: Partial<RelayReceiverOptions> = {}) {
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(own.publicKey)), alg: 'ES256' }] })
  let passed = 0
  const make = () => {
    const options = { issuer: RELAY, audience: AUDIENCE, keys, boundSeconds: 5, ...more }
    const receiver = createRelayReceiver({ ...options, monotonic: () => performance.now() / 1000 + passed })
    return { receive: receiver.receiver(), check: createJwtCheck({ store: receiver.store }) }
  }
  let current = make()
  const state = { up: true, received: 0 }
  const server: Server = createServer((req, res) => {
    state.received += 1
    if (state.up) current.receive(req, res)
    else req.socket.destroy()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port }: AddressInfo = Object(server.address())
  const isRevoked = (claims: JWTPayload) =>
    current.check
      .isRevoked({ iss: ISSUER, client_id: RP.clientId, sub: 'alice', iat: seconds() - 100, ...claims })
      .catch((error: { reason: string }) => error.reason)
  return {
    endpoint: `http://127.0.0.1:${port}/relay`,
    state,
    isRevoked,
    pass: (by: number) => {
      passed += by
    },
    restart: () => {
      current = make()
    },
  }
}

function relay(store: ReturnType<typeof log>, ...endpoints: string[]) {
  const events: LogoutEvent[] = []
  const made = createRelay({
    store,
    issuer: RELAY,
    privateKey: own.privateKey,
    algorithm: 'ES256',
    apis: endpoints.map((endpoint) => ({ endpoint, audience: AUDIENCE })),
    everySeconds: 60, // what happens, happens because of the test
    timeoutSeconds: 0.5,
    dangerouslyAllowHttp: true,
    onEvent: (event) => void events.push(event),
  })
  closers.push(() => made.close())
  return { ...made, events }
}

/** What the engine does: the mark is in the store, then the evictor hears of it. */
function logOut(store: ReturnType<typeof log>, made: ReturnType<typeof relay>, subject: Parameters<typeof ended>[0]) {
  const evicted: EndedClaims = ended(subject, seconds())
  store.marks.push(evicted.mark)
  return made.evict(evicted)
}

describe('a logout', () => {
  it('is known to every API before the relay is done, and no other session ends', async () => {
    const store = log()
    const apis = [await api(), await api()]
    const made = relay(store, ...apis.map(({ endpoint }) => endpoint))
    await made.refresh()
    for (const { isRevoked } of apis) expect(await isRevoked({ sid: 's1' })).toBe(false)
    await logOut(store, made, { sid: 's1', sub: 'alice' })
    for (const { isRevoked } of apis) {
      expect(await isRevoked({ sid: 's1' })).toBe(true)
      expect(await isRevoked({ sid: 's2' })).toBe(false)
    }
    await logOut(store, made, { sub: 'alice' })
    for (const { isRevoked } of apis) {
      expect(await isRevoked({ sid: 's2' })).toBe(true)
      expect(await isRevoked({ sid: 's9', sub: 'bob' })).toBe(false)
    }
  })

  it('keeps nobody waiting for an API that is away: that one answers nobody when its bound is over, and is told before it serves', async () => {
    const store = log()
    const away = await api()
    const near = await api()
    const made = relay(store, away.endpoint, near.endpoint)
    await made.refresh()
    away.state.up = false
    await logOut(store, made, { sid: 's1' })
    expect(await near.isRevoked({ sid: 's1' })).toBe(true)
    expect(made.events).toMatchObject([{ type: 'warning', error: { code: 'ERR_EVICT', reason: 'relay_failed' } }])
    away.pass(5)
    expect(await away.isRevoked({ sid: 's1' })).toBe('store_failed')
    expect(await away.isRevoked({ sid: 's2' })).toBe('store_failed')
    away.state.up = true
    await made.refresh()
    expect(await away.isRevoked({ sid: 's1' })).toBe(true)
    expect(await away.isRevoked({ sid: 's2' })).toBe(false)
    expect(made.events).toHaveLength(1)
  })

  it('is told to a process of the API that has forgotten all, before it answers anybody', async () => {
    const store = log()
    const one = await api()
    const made = relay(store, one.endpoint)
    await logOut(store, made, { sid: 's1' })
    one.restart()
    expect(await one.isRevoked({ sid: 's2' })).toBe('store_failed')
    await made.refresh()
    expect(await one.isRevoked({ sid: 's1' })).toBe(true)
    expect(await one.isRevoked({ sid: 's2' })).toBe(false)
  })

  it('is told by a relay that was restarted, whatever the one before had told', async () => {
    const store = log()
    const one = await api()
    const before = relay(store, one.endpoint)
    await before.refresh()
    before.close()
    store.marks.push(ended({ sid: 's1' }, seconds()).mark)
    const after = relay(store, one.endpoint)
    await after.refresh()
    expect(await one.isRevoked({ sid: 's1' })).toBe(true)
  })

  it('that the store cannot say anything about lets the bound run out', async () => {
    const store = log()
    const one = await api()
    const made = relay(store, one.endpoint)
    await made.refresh()
    store.state.up = false
    await expect(made.refresh()).rejects.toMatchObject({ reason: 'relay_failed' })
    one.pass(5)
    expect(await one.isRevoked({ sid: 's1' })).toBe('store_failed')
  })
})

it('an API of several processes behind one address is never believed to be told', async () => {
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(own.publicKey)), alg: 'ES256' }] })
  const processes = [0, 1].map(() => createRelayReceiver({ issuer: RELAY, audience: AUDIENCE, keys }).receiver())
  let turn = 0
  const server = createServer((req, res) => processes[turn++ % 2]?.(req, res)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port }: AddressInfo = Object(server.address())
  const made = relay(log(), `http://127.0.0.1:${port}`)
  await expect(made.refresh()).rejects.toMatchObject({ reason: 'relay_failed' })
})

describe('a notice', () => {
  const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
  const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification'
  const { target } = ended({ sid: 's1' }, 0)

  async function scene() {
    const one = await api()
    const made = relay(log(), one.endpoint)
    await made.refresh()
    const send = async (change: { claims?: object; header?: object; by?: 'foreign'; type?: string; body?: string }) => {
      const payload = {
        iss: RELAY,
        aud: AUDIENCE,
        iat: seconds(),
        jti: 'j',
        sub_id: { format: 'complex', session: { format: 'opaque', id: target.key } },
        events: { [SESSION_REVOKED]: { event_timestamp: seconds(), seen_seconds_ago: 0, lasts_seconds: 3600 } },
        ...change.claims,
      }
      const notice = await new SignJWT(payload)
        .setProtectedHeader({ alg: 'ES256', typ: 'secevent+jwt', ...change.header })
        .sign(change.by === 'foreign' ? foreign.privateKey : own.privateKey)
      const headers = { 'Content-Type': change.type ?? 'application/secevent+jwt' }
      return fetch(one.endpoint, { method: 'POST', headers, body: change.body ?? notice })
    }
    return { ...one, send }
  }

  it('is believed as it stands, and again, to the same effect', async () => {
    const { send, isRevoked } = await scene()
    for (const _ of [1, 2]) expect((await send({})).status).toBe(202)
    expect(await isRevoked({ sid: 's1' })).toBe(true)
    expect(await isRevoked({ sid: 's2' })).toBe(false)
  })

  it.each<readonly [string, Parameters<Awaited<ReturnType<typeof scene>>['send']>[0]]>([
    ['of a foreign key', { by: 'foreign' }],
    ['of another type', { header: { typ: 'JWT' } }],
    ['of another relay', { claims: { iss: 'https://other.example.com' } }],
    ['for another API', { claims: { aud: 'https://other.example.com' } }],
    ['without iat', { claims: { iat: undefined } }],
    ['without jti', { claims: { jti: undefined } }],
    ['without a subject', { claims: { sub_id: undefined } }],
    ['about a subject in another format', { claims: { sub_id: { format: 'email', email: 'a@example.com' } } }],
    ['of another event', { claims: { events: { 'https://example.com/event': {} } } }],
    ['of two events', { claims: { events: { [SESSION_REVOKED]: {}, [VERIFICATION]: {} } } }],
    ['without its spans', { claims: { events: { [SESSION_REVOKED]: { event_timestamp: 1 } } } }],
    ['in another media type', { type: 'application/jwt' }],
    ['that is none', { body: 'notice' }],
    ['that is too large', { body: 'x'.repeat(20_000) }],
  ])('%s changes nothing, and gets no nonce', async (_name, change) => {
    const { send, isRevoked } = await scene()
    const answer = await send(change)
    expect(answer.status).toBe(400)
    expect(answer.headers.get('relay-nonce')).toBeNull()
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(await isRevoked({ sid: 's1' })).toBe(false)
  })

  it.each([
    ['no nonce', undefined],
    ['the nonce of another process', 'x.1_1'],
    ['a nonce of the future', 'future'],
  ])('that all has been said extends nothing with %s', async (_name, said) => {
    const { send, isRevoked, pass } = await scene()
    const given = (await send({})).headers.get('relay-nonce') ?? ''
    const state = said === 'future' ? `${given.split('.')[0]}.1e12_1e12` : said
    pass(5)
    const events = { [VERIFICATION]: state === undefined ? {} : { state } }
    expect((await send({ claims: { sub_id: { format: 'opaque', id: 'all' }, events } })).status).toBe(202)
    expect(await isRevoked({ sid: 's2' })).toBe('store_failed')
  })

  it('that all has been said extends it once: the same again, later, counts from the same moment', async () => {
    const { send, isRevoked, pass } = await scene()
    pass(6)
    const state = (await send({})).headers.get('relay-nonce') ?? ''
    const all = { claims: { sub_id: { format: 'opaque', id: 'all' }, events: { [VERIFICATION]: { state } } } }
    await send(all)
    expect(await isRevoked({ sid: 's2' })).toBe(false)
    pass(5)
    await send(all)
    expect(await isRevoked({ sid: 's2' })).toBe('store_failed')
  })
})

it('says nothing in clear of user, session or token', async () => {
  const bodies: string[] = []
  const server = createServer((req, res) => {
    req.on('data', (chunk) => bodies.push(String(chunk)))
    req.on('end', () => res.writeHead(202, { 'Relay-Nonce': 'instance.1_1' }).end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port }: AddressInfo = Object(server.address())
  const store = log()
  const made = relay(store, `http://127.0.0.1:${port}`)
  await logOut(store, made, { sid: 'the-session', sub: 'the-subject' })
  const texts = bodies.map((body) => Buffer.from(body.split('.')[1] ?? '', 'base64url').toString())
  expect(texts.some((text) => text.includes('session-revoked'))).toBe(true)
  expect(texts.join()).not.toMatch(/the-session|the-subject/)
})

it.each<readonly [string, object]>([
  ['store', { store: {} }],
  ['issuer', { issuer: '' }],
  ['algorithm', { algorithm: 'HS256' }],
  ['apis', { apis: [] }],
  ['endpoint', { apis: [{ endpoint: 'http://api.example.com' }], dangerouslyAllowHttp: false }],
  ['everySeconds', { everySeconds: 0 }],
  ['intervalSeconds', { intervalSeconds: 1 }],
])('createRelay refuses at start-up what cannot work: %s', (option, bad) => {
  const good = { store: log(), issuer: RELAY, privateKey: own.privateKey, algorithm: 'ES256' }
  const apis = [{ endpoint: 'https://api.example.com' }]
  expect(() => createRelay({ ...good, apis, ...bad })).toThrow(TypeError)
  expect(() => createRelay({ ...good, apis, ...bad })).toThrow(option)
})

it.each<readonly [string, object]>([
  ['issuer', { issuer: '' }],
  ['audience', { audience: undefined }],
  ['jwksUri', { jwksUri: 'https://rp.example.com/jwks' }],
  ['keys', { keys: undefined }],
  ['algorithms', { algorithms: ['HS256'] }],
  ['boundSeconds', { boundSeconds: 0 }],
])('createRelayReceiver refuses at start-up what cannot work: %s', (option, bad) => {
  const good = { issuer: RELAY, audience: AUDIENCE, keys: createLocalJWKSet({ keys: [] }) }
  expect(() => createRelayReceiver({ ...good, ...bad })).toThrow(TypeError)
  expect(() => createRelayReceiver({ ...good, ...bad })).toThrow(option)
})

// A relay, APIs of one process, and a log that is a list: what the tests of both ends share.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTPayload } from 'jose'
import { afterEach, beforeAll } from 'vitest'
import {
  createClaims,
  createJwtCheck,
  createRelay,
  createRelayReceiver,
  type EndedClaims,
  type RelayOptions,
  type RelayReceiverOptions,
} from '../../src/access-tokens/index.js'
import type { LogoutEvent } from '../../src/index.js'
import type { Mark } from '../../src/marks/covering.js'
import type { LogPage } from '../../src/stores/log-store.js'
import { ended, ISSUER, RP } from './hand-run.js'

export const RELAY = 'https://rp.example.com'
export const AUDIENCE = 'https://api.example.com/relay'
/** A machine that is busy is not what is tried. */
export const NOTICE_SECONDS = 10
export const seconds = () => Math.floor(Date.now() / 1000)

export let own: Awaited<ReturnType<typeof generateKeyPair>>
export let foreign: Awaited<ReturnType<typeof generateKeyPair>>
export const closers: (() => unknown)[] = []

/** Each test file calls it: this module is run once, for several of them. */
export function withKeysAndClosers(): void {
  beforeAll(async () => {
    own = await generateKeyPair('ES256', { extractable: true })
    foreign = await generateKeyPair('ES256', { extractable: true })
  })
  afterEach(async () => {
    for (const close of closers.splice(0)) await close()
  })
}

/** A log as Redis and PostgreSQL keep one: its cursor is a count. */
export function log() {
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
export async function api(more: Partial<RelayReceiverOptions> = {}) {
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(own.publicKey)), alg: 'ES256' }] })
  let passed = 0
  const make = () => {
    const options = { issuer: RELAY, audience: AUDIENCE, keys, boundSeconds: 5, ...more }
    const receiver = createRelayReceiver({ ...options, monotonic: () => performance.now() / 1000 + passed })
    const { store } = receiver
    const introspection = { issuer: ISSUER, introspect: async () => ({ active: true }) }
    const wall = more.clock && { clock: more.clock }
    const claims = createClaims({ store, introspection, ...wall })
    return { receive: receiver.receiver(), check: createJwtCheck({ store, ...wall }), claims }
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
  const isRevoked = (claims: JWTPayload, token?: string) =>
    current.check
      .isRevoked({ iss: ISSUER, client_id: RP.clientId, sub: 'alice', iat: seconds() - 100, ...claims }, token)
      .catch((error: { reason: string }) => error.reason)
  return {
    endpoint: `http://127.0.0.1:${port}/relay`,
    state,
    isRevoked,
    evictToken: (token: string) => current.claims.evictToken(token),
    pass: (by: number) => {
      passed += by
    },
    restart: () => {
      current = make()
    },
  }
}

export function relay(store: ReturnType<typeof log>, ...endpoints: string[]) {
  const events: LogoutEvent[] = []
  const made = relayTo({
    store,
    apis: endpoints.map((endpoint) => ({ endpoint, audience: AUDIENCE })),
    timeoutSeconds: NOTICE_SECONDS,
    dangerouslyAllowHttp: true,
    onEvent: (event) => void events.push(event),
  })
  return { ...made, events }
}

/** One that does nothing by itself: what happens, happens because of the test. */
export function relayTo(options: Pick<RelayOptions, 'store' | 'apis'> & Partial<RelayOptions>) {
  const signed = { issuer: RELAY, privateKey: own.privateKey, algorithm: 'ES256' }
  const made = createRelay({ ...signed, everySeconds: 60, ...options })
  closers.push(() => made.close())
  return made
}

/** What the engine does: the mark is in the store, then the evictor hears of it. */
export function logOut(
  store: ReturnType<typeof log>,
  made: ReturnType<typeof relay>,
  subject: Parameters<typeof ended>[0],
) {
  const evicted: EndedClaims = ended(subject, seconds())
  store.marks.push(evicted.mark)
  return made.evict(evicted)
}

// A guarded read asks for its row and for the verdict at once: on one connection both leave in one write, so that
// protection costs no packet and no wait of its own.
import { Socket } from 'node:net'
import session from 'express-session'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { createBackchannelLogout, expressSessions } from '../../../src/index.js'
import type { SessionRequest } from '../../../src/sessions/express-session.js'
import { redisStore } from '../../../src/stores/redis/index.js'
import { rsaKeyPair } from '../../../src/testing/key-pair.js'
import { describeWith } from '../../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../../servers/redis.js'

const issuer = 'https://op.example.com'
const { publicKey } = rsaKeyPair()

/** What both drivers have. */
interface Rows {
  get(key: string): Promise<string | null>
  set(key: string, value: string): Promise<unknown>
  del(key: string): Promise<unknown>
}

/** As connect-redis does it, for a client of either driver. */
class RowStore extends session.Store {
  readonly #rows: Rows

  constructor(rows: Rows) {
    super()
    this.#rows = rows
  }

  override get(id: string, done: (error: unknown, session?: session.SessionData | null) => void): void {
    this.#rows.get(`sess:${id}`).then((row) => done(null, row === null ? null : JSON.parse(row)), done)
  }

  override set(id: string, data: session.SessionData, done: (error?: unknown) => void = () => {}): void {
    this.#rows.set(`sess:${id}`, JSON.stringify(data)).then(() => done(), done)
  }

  override destroy(id: string, done: (error?: unknown) => void = () => {}): void {
    this.#rows.del(`sess:${id}`).then(() => done(), done)
  }
}

describeWith(redisServer, 'redis-server')('a guarded read', () => {
  let server: RunningRedis
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())
  afterEach(() => vi.restoreAllMocks())

  it('leaves in one write with node-redis', async () => {
    const client = await createClient({ url: server.url }).connect()
    try {
      expect(await writesOfOneRead(client, new RowStore(client))).toBe(1)
    } finally {
      client.destroy()
    }
  })

  it('leaves in one write with ioredis, where enableAutoPipelining is set', async () => {
    const client = new Redis(server.url, { enableAutoPipelining: true })
    try {
      expect(await writesOfOneRead(client, new RowStore(client))).toBe(1)
    } finally {
      client.disconnect()
    }
  })

  async function writesOfOneRead(client: Parameters<typeof redisStore>[0], sessionStore: session.Store) {
    const logout = createBackchannelLogout<SessionRequest>({
      provider: { issuer, clientId: 'rp', jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'key' }] } },
      store: redisStore(client),
      sessions: expressSessions(sessionStore),
    })
    const req = Object.assign(Object.create(null), {
      sessionID: 'a session of one user',
      session: { cookie: new session.Cookie(), user: 'alice' },
      sessionStore,
    })
    const iat = Math.floor(Date.now() / 1000)
    await promised<unknown>((done) => sessionStore.set(req.sessionID, req.session, done))
    await logout.bind(req, { iss: issuer, aud: 'rp', sub: 'alice', sid: 'one', iat, exp: iat + 300 })
    const read = () => promised<unknown>((done) => sessionStore.get(req.sessionID, done))
    // The first hands Redis the script.
    await read()
    const one = vi.spyOn(Socket.prototype, '_write')
    const several = vi.spyOn(Socket.prototype, '_writev')
    expect(await read()).toMatchObject({ user: 'alice' })
    return one.mock.calls.length + several.mock.calls.length
  }
})

function promised<T>(call: (done: (error: unknown, value?: T | null) => void) => void): Promise<T | null | undefined> {
  return new Promise((resolve, reject) => {
    call((error, value) => (error ? reject(error) : resolve(value)))
  })
}

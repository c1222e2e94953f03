// Two receivers over one session store, on each kind of logout store: a login that failed at one of them, and another
// under the same session id at the other.
import session from 'express-session'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, vi } from 'vitest'
import { createBackchannelLogout, expressSessions, type LogoutStore, memoryStore } from '../../src/index.js'
import { LOGOUT_STORES, type LogoutStoreServer } from '../servers/logout-stores.js'

const issuer = 'https://op.example'
const clientId = 'rp'
const row = { cookie: { originalMaxAge: null } } as unknown as session.SessionData

beforeEach(() => {
  // The servers have clocks of their own.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** Users and sessions of one test are known to no other: they share a server. */
let names = 0
const named = (name: string) => `${name} ${++names}`

/**
 * Two receivers over one session store, each of them for another OP. Away are the rows' deletions, and for the first
 * receiver its logout store.
 */
function twoReceivers(opened: LogoutStore, ofSecond = opened) {
  const rows = new session.MemoryStore()
  const { destroy } = rows
  let isAway = false
  rows.destroy = (id, callback) => (isAway ? callback?.(new Error('away')) : destroy.call(rows, id, callback))
  const tried: string[] = []
  const store = new Proxy(opened, {
    get: (inner, name) => {
      const value: unknown = Reflect.get(inner, name)
      if (typeof value !== 'function') return value
      return async (...given: unknown[]) => {
        try {
          if (isAway) throw new Error('away')
          return await Reflect.apply(value, inner, given)
        } finally {
          tried.push(`${String(name)} ${[given[0]].flat()[0]}`)
        }
      }
    },
  })
  const make = (iss: string, ofReceiver: LogoutStore) => {
    const provider = { issuer: iss, clientId, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] } }
    return createBackchannelLogout({ provider, store: ofReceiver, sessions: expressSessions(rows), warnings: false })
  }
  const [first, second] = [make(issuer, store), make('https://other.example', ofSecond)]
  const claimsOf = (iss: string, sub: string) => ({
    iss,
    aud: clientId,
    sub,
    sid: `session of ${sub}`,
    iat: 1_700_000_000,
  })
  return {
    first,
    bindAtFirst: (sessionId: string, sub: string) => first.bind({ sessionId }, claimsOf(issuer, sub)),
    bindAtSecond: (sessionId: string, sub: string) =>
      second.bind({ sessionId }, claimsOf('https://other.example', sub)),
    away: (away: boolean) => {
      isAway = away
    },
    /** Time passes until the first receiver has told its logout store so of a session, or has tried to. */
    async told(name: keyof LogoutStore, sessionId: string) {
      while (!tried.includes(`${name} ${sessionId}`)) {
        await vi.advanceTimersByTimeAsync(100)
        await new Promise((resolve) => setImmediate(resolve))
      }
    },
    save: (sessionId: string, user: string) =>
      new Promise((resolve) => rows.set(sessionId, { ...row, ...{ user } }, resolve)),
    whoIs: (sessionId: string) =>
      new Promise((resolve, reject) =>
        rows.get(sessionId, (error, found) => (error ? reject(error) : resolve(Object(found ?? {}).user ?? 'nobody'))),
      ),
    close: () => {
      first.close()
      second.close()
    },
  }
}

for (const { name, describe: describeStore, start } of LOGOUT_STORES) {
  describeStore()(`a login that failed at one of two receivers over one session store, on ${name}`, () => {
    let server: LogoutStoreServer
    beforeAll(async () => {
      server = await start()
    })
    afterAll(() => server?.stop())
    for (const apart of [false, true]) {
      const stores = apart ? ', each with a logout store of its own' : ''
      const open = () => twoReceivers(server.open(), apart ? memoryStore() : undefined)

      it(`is not undone once another is bound under the same id at the other one${stores}`, async () => {
        const receivers = open()
        const [id, later, alice, bob] = [named('id'), named('id'), named('alice'), named('bob')]
        for (const each of [id, later]) await receivers.save(each, alice)
        receivers.away(true)
        for (const each of [id, later]) {
          await expect(receivers.bindAtFirst(each, alice)).rejects.toMatchObject({ code: 'ERR_STORE' })
        }
        receivers.away(false)
        expect(await receivers.bindAtSecond(id, bob)).toEqual({ ended: false })
        await receivers.save(id, bob)
        // It failed after the other one, and is undone after it.
        await receivers.told('unbind', later)
        expect(await receivers.whoIs(id)).toBe(bob)
        receivers.close()
      })

      it(`leaves its id to nobody once that may be marked: who binds it is told so${stores}`, async () => {
        const receivers = open()
        const [id, alice, bob] = [named('id'), named('alice'), named('bob')]
        await receivers.save(id, alice)
        receivers.away(true)
        await expect(receivers.bindAtFirst(id, alice)).rejects.toMatchObject({ code: 'ERR_STORE' })
        await receivers.told('endSessions', id)
        receivers.away(false)
        const isRefused = async () => {
          const refused = { code: 'ERR_SESSIONS', reason: 'login_undone' }
          await expect(receivers.bindAtSecond(id, bob)).rejects.toMatchObject(refused)
          await receivers.save(id, bob)
          expect(await receivers.whoIs(id)).toBe('nobody')
        }
        await isRefused()
        await receivers.told('unbind', id)
        await isRefused()
        receivers.close()
      })
    }
  })
}

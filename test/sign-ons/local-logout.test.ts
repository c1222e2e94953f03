// The end of a session id, and how long it is kept: no row that was written before may outlive it.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout, type LocalSession, memoryStore, type SessionBackend } from '../../src/index.js'
import type { SessionGuard } from '../../src/sessions/session-backend.js'

const issuer = 'https://op.example'
const clientId = 'rp'
const START = 1_800_000_000
const lifetime = 1_000_000

beforeEach(() => void vi.useFakeTimers({ now: START * 1000 }))
afterEach(() => void vi.useRealTimers())

/** A receiver whose clock is a second behind the store's; its first call to the store may fail. */
function behind() {
  const store = memoryStore()
  let guard: SessionGuard | undefined
  let rowsAreAway = false
  const sessions: SessionBackend<LocalSession> = {
    sessionOf: (req) => req,
    destroy: async () => {
      if (rowsAreAway) throw new Error('away')
    },
    protect: (given) => {
      guard = given
    },
    bound() {},
    released() {},
  }
  const provider = { issuer, clientId, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] } }
  const clock = () => Date.now() / 1000 - 1
  const options = { provider, store, clock, sessions, sessionLifetimeSeconds: lifetime, onEvent: () => {} }
  const logout = createBackchannelLogout<LocalSession>(options)
  if (guard === undefined) throw new Error('it is protected at once')
  const claims = { iss: issuer, aud: clientId, sub: 'alice', sid: 'S1', iat: START - 60 }
  return { store, logout, guard, claims, rowsAreAway: (away: boolean) => (rowsAreAway = away) }
}

type Node = ReturnType<typeof behind>
const session = { sessionId: 'a' }

describe('with this node’s clock a second behind the store’s, a row of a whole lifetime is dead to its last moment', () => {
  it.each<[string, (node: Node) => Promise<unknown>]>([
    [
      'that a local logout ended',
      async ({ logout, claims }) => {
        await logout.bind(session, claims)
        await logout.unbind(session)
      },
    ],
    [
      'whose session id was changed',
      async ({ logout, guard, claims }) => {
        await logout.bind(session, claims)
        await guard.changeSessionId('a', async () => 'b')
      },
    ],
    [
      'whose login could not be bound',
      async ({ store, logout, claims, rowsAreAway }) => {
        const { bind } = store
        store.bind = () => Promise.reject(new Error('away'))
        rowsAreAway(true)
        await logout.bind(session, claims).catch(() => {})
        store.bind = bind
        await vi.advanceTimersByTimeAsync(500)
      },
    ],
  ])('%s', async (_, end) => {
    const node = behind()
    await end(node)
    const writtenAt = Date.now()
    vi.setSystemTime(writtenAt + (lifetime - 0.5) * 1000)
    expect(await node.store.read('a')).toMatchObject({ ended: true })
    node.logout.close()
  })
})

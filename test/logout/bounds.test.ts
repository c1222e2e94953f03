// The bound on how long somebody who is dead at the OP may stay, read off the configuration and printed by the doctor.
import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { boundedReads, createBackchannelLogout, expressSessions, memoryStore } from '../../src/index.js'
import type { LogStore } from '../../src/stores/log-store.js'

const one = { issuer: 'https://one.example', clientId: 'rp' }
const two = { issuer: 'https://two.example', clientId: 'rp', sessionMaxAgeSeconds: 3600, sessionIdleSeconds: 900 }

describe('bounds', () => {
  it('of sessions in a store: what the provider says, or none while they are used', () => {
    const sessions = expressSessions(new session.MemoryStore())
    expect(createBackchannelLogout({ provider: [one, two], sessions }).bounds()).toEqual({
      afterLogoutSeconds: 0,
      providers: [
        { ...one, withoutLogoutTokenSeconds: null, setBy: 'nothing', unusedSeconds: null },
        {
          issuer: two.issuer,
          clientId: 'rp',
          withoutLogoutTokenSeconds: 3600,
          setBy: 'sessionMaxAgeSeconds',
          unusedSeconds: 900,
        },
      ],
    })
  })

  it.each([
    [undefined, 1000, 1000, 'sessionLifetimeSeconds'],
    [2000, 1000, 1000, 'sessionLifetimeSeconds'],
    [500, 1000, 500, 'sessionMaxAgeSeconds'],
  ])('of sessions in cookies: the shorter of both (%s, %s)', (sessionMaxAgeSeconds, lifetime, seconds, setBy) => {
    const provider = { ...one, ...(sessionMaxAgeSeconds && { sessionMaxAgeSeconds }) }
    const logout = createBackchannelLogout({ provider, sessionLifetimeSeconds: lifetime })
    expect(logout.bounds().providers).toMatchObject([{ withoutLogoutTokenSeconds: seconds, setBy }])
  })

  it('of a store that is read within a bound: its seconds; of providers that a function names: none can be read', () => {
    const log: LogStore = Object.assign(memoryStore(), { pull: async () => Promise.reject(new Error('away')) })
    const store = boundedReads(log, { seconds: 7, pullEverySeconds: 1000 })
    const bounds = createBackchannelLogout({ provider: async () => undefined, store }).bounds()
    store.close()
    expect(bounds).toEqual({ afterLogoutSeconds: 7, providers: [] })
  })
})

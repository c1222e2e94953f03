// What this process tells its own application of ends that came by another node's hand, and what it may forget.
import session from 'express-session'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions, type LogoutEvent, memoryStore } from '../../src/index.js'
import { DeniedHere } from '../../src/logout/denied-here.js'
import { EndsElsewhere } from '../../src/logout/ends-elsewhere.js'
import { announceEnded } from '../../src/logout/hooks.js'
import { SignOns } from '../../src/sign-ons/sign-ons.js'
import { StoreClock } from '../../src/stores/store-clock.js'

function follower({ isEnded = async (_: string) => false } = {}) {
  const told: (readonly string[])[] = []
  const asked: string[] = []
  const ends = new EndsElsewhere({
    announce: async (ids) => void told.push(ids),
    isEnded: (id) => {
      asked.push(id)
      return isEnded(id)
    },
    onWarning: () => {},
    clock: () => 1_000,
    sessionLifetimeSeconds: 100,
  })
  return { ends, told, asked }
}

const nothing = { endedIds: [], moves: [] }
const turns = () => new Promise((resolve) => setImmediate(resolve))

describe('a log of which a part was missed', () => {
  it('has every session that was seen here asked about, and those that ended are told', async () => {
    const { ends, told, asked } = follower({ isEnded: async (id) => id === 'a' })
    ends.seen('a')
    ends.seen('b')
    ends.heard({ ...nothing, reset: true }) // the first page: nothing was followed before
    expect(asked).toEqual([])
    ends.heard({ ...nothing, reset: true })
    await turns()
    expect(asked).toEqual(['a', 'b'])
    expect(told).toEqual([['a']])
  })

  it('is asked about once at a time, however often it is missed', async () => {
    let answer = (_: boolean) => {}
    const { ends, asked } = follower({ isEnded: () => new Promise((resolve) => (answer = resolve)) })
    ends.seen('a')
    for (let page = 0; page < 5; page++) ends.heard({ ...nothing, reset: true })
    expect(asked).toEqual(['a'])
    answer(false)
    await turns()
    ends.heard({ ...nothing, reset: true })
    expect(asked).toEqual(['a', 'a'])
  })
})

describe('what this process is ending itself', () => {
  const page = (...endedIds: string[]) => ({ reset: false, moves: [], endedIds })

  it('is its own to tell, until it could not', async () => {
    const { ends, told } = follower()
    const tried = ends.endsHere(['a', 'b'])
    ends.heard(page('a', 'b', 'c'))
    await turns()
    expect(told).toEqual([['c']])
    ends.endedHere(['b'])
    tried()
    ends.heard(page())
    await turns()
    expect(told).toEqual([['c'], ['a']])
  })

  it('is its own to tell while any of its logouts is at it', async () => {
    const { ends, told } = follower()
    const [first, second] = [ends.endsHere(['a']), ends.endsHere(['a'])]
    first()
    ends.heard(page('a'))
    await turns()
    expect(told).toEqual([])
    second()
    ends.heard(page())
    await turns()
    expect(told).toEqual([['a']])
  })
})

describe('what a node knows of its own sessions', () => {
  function node() {
    const clock = () => 1_000
    const seen: string[] = []
    const settled: string[] = []
    const signOns = new SignOns({
      store: memoryStore({ clock }),
      destroySession: async () => {},
      deniedHere: new DeniedHere(clock),
      emit: () => {},
      clock,
      sessionLifetimeSeconds: 1_000,
      marksLifetimeSeconds: 1_000,
      stepTimeoutSeconds: 1,
      retryForSeconds: 0,
      storeClock: new StoreClock(clock),
      claims: undefined,
      seen: (id) => void seen.push(id),
      endedHere: (ids) => void settled.push(...ids),
    })
    const client = { issuer: 'https://op.example', clientId: 'rp' }
    const login = () =>
      signOns.bind({ sessionId: 'a' }, { client, sub: 'alice', sid: 'S', issuedAt: 990, tokenKeys: [] })
    return { signOns, seen, settled, login }
  }

  it('a session that is read alive was seen here, whoever bound it', async () => {
    const { signOns, seen, login } = node()
    await login()
    seen.length = 0
    expect(await signOns.judge('a', undefined)).toMatchObject({ verdict: 'bound' })
    expect(seen).toEqual(['a'])
  })

  it('a local logout that failed half-way is not taken for told: the log tells of it here as everywhere', async () => {
    const { signOns, settled, login } = node()
    await login()
    await expect(signOns.endLocally('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
    expect(settled).toEqual([])
    await signOns.endLocally('a', async () => {})
    expect(settled).toEqual(['a'])
  })
})

describe('the ids that a session had before', () => {
  it('are walked once for all sessions of one chain', async () => {
    const chain = Array.from({ length: 50 }, (_, i) => `id ${i}`)
    let walks = 0
    const named: string[] = []
    const error = await announceEnded(undefined, 'test', chain.toReversed(), {
      onSessionsEnded: ({ sessionIds }) => void named.push(...sessionIds),
      earlierIds: (id) => {
        walks++
        return chain.slice(0, chain.indexOf(id)).toReversed()
      },
      stepTimeoutSeconds: 1,
    })
    expect(error).toBeUndefined()
    expect(walks).toBe(1)
    expect(named.toSorted()).toEqual(chain.toSorted())
  })

  it('are known, also in a circle', () => {
    const { ends } = follower()
    // biome-ignore format: one line
    ends.heard({ ...nothing, reset: false, moves: [['a', 'b'], ['b', 'c'], ['c', 'a']] })
    expect(ends.earlierIds('c').toSorted()).toEqual(['a', 'b'])
  })
})

describe('a store whose renewal throws', () => {
  it('costs a warning, not the request and not the process', async () => {
    const events: LogoutEvent[] = []
    const inner = memoryStore({ clock: () => now })
    let now = Date.now() / 1000
    const renew = () => {
      throw new Error('pool is closed')
    }
    const store = new Proxy(inner, {
      get: (target, name) => (name === 'renew' ? renew : Reflect.get(target, name).bind(target)),
    })
    const rows = new session.MemoryStore()
    const logout = createBackchannelLogout({
      provider: {
        issuer: 'https://op.example',
        clientId: 'rp',
        jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] },
      },
      store,
      sessions: expressSessions(rows),
      clock: () => now,
      sessionLifetimeSeconds: 1000,
      onEvent: (event) => void events.push(event),
    })
    await logout.bind({ sessionId: 'a' }, { iss: 'https://op.example', aud: 'rp', sub: 'alice', sid: 'S', iat: now })
    const row = { cookie: { originalMaxAge: null }, user: 'alice' } as unknown as session.SessionData
    await new Promise((resolve) => rows.set('a', row, resolve))
    now += 900
    const found = await new Promise((resolve) => rows.get('a', (_, value) => resolve(value)))
    expect(found).toMatchObject({ user: 'alice' })
    await turns()
    const warnings = events.filter(({ type }) => type === 'warning')
    expect(warnings).toMatchObject([{ error: { code: 'ERR_STORE', message: 'A binding could not be renewed' } }])
    logout.close()
  })
})

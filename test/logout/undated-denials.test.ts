// A logout that the store did not take, at a process that has never heard what o'clock it is there: what came before it
// is dead, what came after it lives, and where nobody can tell nobody is let in or ended.
import session from 'express-session'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type BackchannelLogout,
  createBackchannelLogout,
  expressSessions,
  type LocalSession,
  type LogoutStore,
  memoryStore,
} from '../../src/index.js'
import { subKey } from '../../src/marks/target.js'

const provider = { issuer: 'https://op.example', clientId: 'rp' }
const TARGET = { ...provider, sub: 'alice' }
const NOW = 1_800_000_000
const claims = (iat: number) => ({ iss: provider.issuer, aud: 'rp', sub: 'alice', sid: `S${iat}`, iat })

type Logout = BackchannelLogout<LocalSession>
const toClose: Logout[] = []
afterEach(() => {
  for (const logout of toClose.splice(0)) logout.close()
  vi.restoreAllMocks()
})

/** A store that takes no mark, answers reads as bounded reads do, and counts who asks it for the time. */
class World {
  now = NOW
  /** By how much the clock of the process is behind: it may be set. */
  behind = 0
  isFull = true
  questions = 0
  answer: () => Promise<void> = async () => {}
  readonly inner = memoryStore({ clock: () => this.now })
  readonly store: LogoutStore
  readonly rows = new session.MemoryStore()

  constructor() {
    vi.spyOn(performance, 'now').mockImplementation(() => this.now * 1000)
    vi.spyOn(Date, 'now').mockImplementation(() => (this.now - this.behind) * 1000)
    const { inner } = this
    this.store = Object.assign(Object.create(inner), {
      ...Object.fromEntries(
        (
          [
            'bind',
            'rebind',
            'read',
            'complete',
            'endSessions',
            'unbind',
            'renew',
            'isBound',
            'list',
            'addTokens',
          ] as const
        ).map((method) => [method, Reflect.get(inner, method).bind(inner)]),
      ),
      begin: async (logout: Parameters<LogoutStore['begin']>[0]) => {
        if (this.isFull) throw new Error('no memory')
        return inner.begin(logout)
      },
      marks: async (keys: readonly string[]) => {
        if (keys.length > 0) return { ...(await inner.marks(keys)), lags: true }
        this.questions += 1
        await this.answer()
        return inner.marks(keys)
      },
    })
  }

  receiver(): Logout {
    const sessions = expressSessions(this.rows)
    const logout = createBackchannelLogout({ provider, store: this.store, sessions, warnings: false })
    toClose.push(logout as Logout)
    return logout as Logout
  }

  /** Of a session that another process bound: a row, and what the store has of it. */
  async boundElsewhere(sessionId: string): Promise<void> {
    this.rows.set(sessionId, { cookie: { originalMaxAge: null }, user: 'alice' } as never)
    const times = { issuedAt: this.now, expiresAt: this.now + 100_000 }
    await this.inner.bind({ sessionId, subKey: subKey(provider, 'alice'), ...times })
  }

  isServed(sessionId: string): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.rows.get(sessionId, (error, row) => (error ? reject(error) : resolve(row !== null && row !== undefined)))
    })
  }
}

async function denied(world: World): Promise<Logout> {
  const logout = world.receiver()
  expect(await logout.terminate(TARGET)).toMatchObject({ complete: false })
  return logout
}

describe('a logout that the store did not take', () => {
  it("ends no later login, whose request asks the store what o'clock it is, and the next one does not", async () => {
    const world = new World()
    await denied(world)
    world.now += 1
    await world.boundElsewhere('later')
    expect(await world.isServed('later')).toBe(true)
    expect(await world.isServed('later')).toBe(true)
    expect(world.questions).toBe(1)
  })

  it('is one question of many requests at once', async () => {
    const world = new World()
    await denied(world)
    world.now += 1
    await world.boundElsewhere('later')
    const served = await Promise.all(Array.from({ length: 50 }, () => world.isServed('later')))
    expect(new Set(served)).toEqual(new Set([true]))
    expect(world.questions).toBe(1)
  })

  it('ends what came before it, also where the clock of the process is set right in between', async () => {
    const world = new World()
    await world.boundElsewhere('earlier')
    world.now += 1
    world.behind = 60
    await denied(world)
    world.behind = 0
    expect(await world.isServed('earlier')).toBe(false)
  })

  it('ends what came before it for as long as it would be tried, though the clock is set forward by an hour', async () => {
    const world = new World()
    await world.boundElsewhere('earlier')
    world.now += 1
    const logout = await denied(world)
    logout.close()
    world.behind = -3600
    expect(await world.isServed('earlier')).toBe(false)
  })

  it('ends no later login at a receiver that is made once more', async () => {
    const world = new World()
    await denied(world)
    const again = world.receiver()
    world.now += 1
    for (const id of ['one', 'two'])
      expect(await again.bind({ sessionId: id }, claims(world.now))).toEqual({ ended: false })
    await world.boundElsewhere('three')
    expect(await world.isServed('three')).toBe(true)
  })

  it.each<[string, (world: World) => void]>([
    [
      "where the store does not say what o'clock it is",
      (world) => {
        world.answer = () => Promise.reject(new Error('down'))
      },
    ],
    [
      'where the clock is set forward while it is asked',
      (world) => {
        world.answer = async () => {
          world.behind = -60
        }
      },
    ],
    [
      'where the clock goes back while it is asked, so that the answer says nothing',
      (world) => {
        world.answer = async () => {
          world.behind = 5
        }
      },
    ],
  ])('is no verdict, and ends nobody: %s', async (_name, spoil) => {
    const world = new World()
    await denied(world)
    world.now += 1
    await world.boundElsewhere('later')
    spoil(world)
    await expect(world.isServed('later')).rejects.toMatchObject({ code: 'ERR_NO_VERDICT', status: 503 })
    world.answer = async () => {}
    expect(await world.isServed('later')).toBe(true)
  })
})

describe('a login that the store did not take', () => {
  it('is served to no request that was under way, though the clock is set forward by an hour', async () => {
    const world = new World()
    const logout = world.receiver()
    world.store.bind = () => Promise.reject(new Error('no memory'))
    await expect(logout.bind({ sessionId: 'one' }, claims(world.now))).rejects.toMatchObject({ code: 'ERR_STORE' })
    world.behind = -3600
    const row = { cookie: { originalMaxAge: null }, user: 'alice' }
    await new Promise<void>((written) => world.rows.set('one', row as never, () => written()))
    expect(await world.isServed('one')).toBe(false)
  })
})

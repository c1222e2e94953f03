// Session stores with manners of their own, and several receivers over one of them.
import session from 'express-session'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type BackchannelLogout,
  createBackchannelLogout,
  expressSessions,
  type LogoutStore,
  memoryStore,
} from '../../src/index.js'

const issuer = 'https://op.example'
const clientId = 'rp'
const claims = (sub = 'alice', iss = issuer) => ({
  iss,
  aud: clientId,
  sub,
  sid: `sid of ${sub}`,
  iat: Date.now() / 1000 - 10,
})
const target = (sub = 'alice', iss = issuer) => ({ issuer: iss, clientId, sub })

type Logout = BackchannelLogout<{ sessionId: string } | { sessionID: string; session: object }>
const toClose: Logout[] = []
afterEach(() => {
  for (const logout of toClose.splice(0)) logout.close()
})

function receiver(
  rows: session.Store,
  { store = memoryStore(), iss = issuer, mustBeBound }: ReceiverOptions = {},
): Logout {
  const logout = createBackchannelLogout({
    provider: { issuer: iss, clientId },
    sessions: expressSessions(rows, mustBeBound && { mustBeBound }),
    store,
    stepTimeoutSeconds: 0.5,
  })
  toClose.push(logout as Logout)
  return logout as Logout
}

interface ReceiverOptions {
  readonly store?: LogoutStore
  readonly iss?: string
  readonly mustBeBound?: (row: Readonly<Record<string, unknown>>) => boolean
}

const called = <T>(call: (done: (error?: unknown, value?: T) => void) => unknown) =>
  new Promise<T | undefined>((resolve, reject) => call((error, value) => (error ? reject(error) : resolve(value))))
const read = (rows: session.Store, id: string) => called((done) => rows.get(id, done as never))
const row = (more: object = {}) => ({ cookie: { originalMaxAge: null }, ...more }) as unknown as session.SessionData
const write = (rows: session.Store, id: string, more?: object) => called((done) => rows.set(id, row(more), done))

/** A request on which the application changes the session id; the store makes ids by `nextId`. */
async function regenerate(rows: session.Store, sessionID: string, nextId: () => string, req = { sessionID }) {
  Reflect.set(rows, 'generate', (given: object) => Object.assign(given, { sessionID: nextId(), session: row() }))
  await called((done) => rows.regenerate(req as never, done))
  return req.sessionID
}

describe('a read asks the session store and the logout store at the same time', () => {
  it('one does not wait for the other', async () => {
    const asked: string[] = []
    const rows = new session.MemoryStore()
    const { get } = rows
    rows.get = (id: string, callback: (error?: unknown, found?: session.SessionData | null) => void) => {
      asked.push('row')
      if (asked.length === 2) get.call(rows, id, callback)
      else waiting.push(() => get.call(rows, id, callback))
    }
    const waiting: (() => void)[] = []
    const inner = memoryStore()
    const store: LogoutStore = Object.assign(Object.create(inner), {
      read: async (id: string) => {
        asked.push('verdict')
        for (const go of waiting) go()
        return inner.read(id)
      },
    })
    await write(rows, 'a')
    receiver(rows, { store })
    await write(rows, 'a')
    asked.length = 0
    expect(await read(rows, 'a')).toMatchObject(row())
    expect(asked.toSorted()).toEqual(['row', 'verdict'])
  })

  it('once, also of a visitor where a rule says which sessions must be bound', async () => {
    const rows = new session.MemoryStore()
    const inner = memoryStore()
    let asked = 0
    const store: LogoutStore = Object.assign(Object.create(inner), {
      read: (id: string) => {
        asked++
        return inner.read(id)
      },
    })
    receiver(rows, { store, mustBeBound: (data) => data.user !== undefined })
    await write(rows, 'a')
    asked = 0
    expect(await read(rows, 'a')).toMatchObject(row())
    expect(asked).toBe(1)
  })

  it('and needs no verdict on a row that is not there', async () => {
    const rows = new session.MemoryStore()
    const away = () => Promise.reject(new Error('away'))
    receiver(rows, { store: Object.assign(Object.create(memoryStore()), { read: away }) as LogoutStore })
    expect(await read(rows, 'unknown')).toBeFalsy()
    await called((done) => rows.set('a', row(), done))
    await expect(read(rows, 'a')).rejects.toMatchObject({ status: 503 })
  })
})

describe('a store that reports a missing row as an error', () => {
  class Exacting extends session.MemoryStore {
    override destroy(id: string, callback?: (error?: unknown) => void) {
      this.#unlessMissing(id, callback, () => super.destroy(id, callback))
    }
    override touch(id: string, data: session.SessionData, callback?: (error?: unknown) => void) {
      this.#unlessMissing(id, callback, () => super.touch(id, data, callback as () => void))
    }
    #unlessMissing(id: string, callback: ((error?: unknown) => void) | undefined, go: () => void) {
      if (id in Object(Reflect.get(this, 'sessions'))) go()
      else callback?.(new Error('no such session'))
    }
  }

  it('at destroy: the logout is complete, since there is nothing to destroy', async () => {
    const rows = new Exacting()
    const logout = receiver(rows)
    await logout.bind({ sessionId: 'a' }, claims())
    expect(await logout.terminate(target())).toMatchObject({ complete: true, destroyed: 1, failed: 0 })
  })

  it('at destroy of a row that is still there: the logout failed', async () => {
    const rows = new session.MemoryStore()
    rows.destroy = (_id: string, callback?: (error?: unknown) => void) => callback?.(new Error('no such session'))
    const logout = receiver(rows)
    await logout.bind({ sessionId: 'a' }, claims())
    await write(rows, 'a')
    expect(await logout.terminate(target(), { deadlineSeconds: 1 })).toMatchObject({ complete: false, failed: 1 })
  })

  it('at touch, after a logout at another node: not an error of the application', async () => {
    const store = memoryStore()
    const here = new Exacting()
    const there = Object.assign(new Exacting(), { sessions: Reflect.get(here, 'sessions') })
    const [one, two] = [receiver(here, { store }), receiver(there, { store })]
    await one.bind({ sessionId: 'a' }, claims())
    await write(here, 'a')
    await two.terminate(target())
    await expect(called((done) => here.touch?.('a', row(), done as () => void))).resolves.toBeUndefined()
    await expect(called((done) => here.touch?.('never known', row(), done as () => void))).rejects.toThrow()
  })
})

describe('a store whose destroy reads the row first', () => {
  it('is not sent round in circles by a dead row, and removes it', async () => {
    let reads = 0
    class Reading extends session.MemoryStore {
      override get(id: string, callback: (error: unknown, data?: session.SessionData | null) => void) {
        reads++
        super.get(id, callback)
      }
      override destroy(id: string, callback?: (error?: unknown) => void) {
        this.get(id, (_, found) => (found ? super.destroy(id, callback) : callback?.()))
      }
    }
    const store = memoryStore()
    const rows = new Reading()
    const logout = receiver(rows, { store })
    await logout.bind({ sessionId: 'a' }, claims())
    await write(rows, 'a')
    await store.endSessions(['a'], Date.now() / 1000 + 60) // by another node, which could not destroy it
    expect(await read(rows, 'a')).toBeNull()
    expect(Object.keys(Reflect.get(rows, 'sessions'))).toEqual([])
    expect(reads).toBeLessThan(5)
  })
})

describe('two receivers over one session store', () => {
  it('a local logout at one leaves the sign-on of the other with the session when its id changes', async () => {
    const rows = new session.MemoryStore()
    const other = 'https://other.example'
    const [one, two] = [receiver(rows), receiver(rows, { iss: other })]
    const req = { sessionID: 'a', session: row() }
    await one.bind(req, claims())
    await two.bind(req, claims('alice', other))
    await write(rows, 'a')
    await one.unbind(req)
    const moved = await regenerate(rows, 'a', () => 'b', req)
    await write(rows, moved, { user: 'alice' })
    expect(await two.terminate(target('alice', other))).toMatchObject({ complete: true, found: 1 })
    expect(await read(rows, moved)).toBeFalsy()
  })
})

describe('two receivers over one session store, each with a logout store of its own', () => {
  const other = 'https://other.example'

  it('a login at the second provider takes the session, as at one receiver for both', async () => {
    const rows = new session.MemoryStore()
    const [one, two] = [receiver(rows), receiver(rows, { iss: other })]
    await one.bind({ sessionId: 'a' }, claims())
    await write(rows, 'a')
    const moved = await regenerate(rows, 'a', () => 'b')
    await two.bind({ sessionId: moved }, claims('bob', other))
    await write(rows, moved, { user: 'bob' })
    await one.terminate(target())
    expect(await read(rows, moved)).toMatchObject({ user: 'bob' })
    await two.terminate(target('bob', other))
    expect(await read(rows, moved)).toBeFalsy()
  })

  const away = () => Promise.reject(new Error('away'))
  const elsewhere = (rows: session.Store, stores: readonly LogoutStore[]) => {
    const there = Object.assign(new session.MemoryStore(), { sessions: Reflect.get(rows, 'sessions') })
    const [store = memoryStore(), itsStore = memoryStore()] = stores
    receiver(there, { store })
    receiver(there, { iss: other, store: itsStore })
    return there
  }

  it.each(['unbind', 'detach'] as const)(
    '%s by the one that did not bind ends the sign-on: no request under way at another node brings it back',
    async (how) => {
      const [rows, stores] = [new session.MemoryStore(), [memoryStore(), memoryStore()] as const]
      const [one, two] = [receiver(rows, { store: stores[0] }), receiver(rows, { iss: other, store: stores[1] })]
      const there = elsewhere(rows, stores)
      const req = { sessionID: 'a', session: row({ user: 'alice' }) }
      await one.bind(req, claims())
      await write(rows, 'a', req.session)
      await two[how](req)
      await write(there, 'a', req.session)
      expect(await read(there, 'a')).toBeFalsy()
      const moved = await regenerate(rows, 'a', () => 'b', req)
      await write(rows, moved, { user: 'bob' })
      expect(await one.terminate(target())).toMatchObject({ complete: true, found: 0 })
      expect(await read(rows, moved)).toMatchObject({ user: 'bob' })
    },
  )

  it.each([true, false])(
    'detach leaves nothing of the sign-on in data that are copied to the next id, where the other says so: %s',
    async (answers) => {
      const [rows, itsStore] = [new session.MemoryStore(), memoryStore()]
      const one = receiver(rows)
      receiver(rows, { iss: other, store: itsStore })
      const req = { sessionID: 'a', session: row({ user: 'alice' }) }
      await one.bind(req, claims())
      await write(rows, 'a', req.session)
      const { read: readIt } = itsStore
      if (!answers) itsStore.read = away
      await one.detach(req)
      itsStore.read = readIt
      const kept = { ...req.session, user: 'bob' }
      const moved = await regenerate(rows, 'a', () => 'b', req)
      await write(rows, moved, kept)
      if (answers) expect(await read(rows, moved)).toMatchObject({ user: 'bob' })
      else expect(await read(rows, moved)).toBeFalsy() // Fail closed: the other may know a sign-on of it.
    },
  )

  it('a login at one lives though the other could not record the change of id before it', async () => {
    const rows = new session.MemoryStore()
    const store = memoryStore()
    const { rebind } = store
    let isAway = false
    store.rebind = async (...args) => {
      if (isAway) throw new Error('away')
      return rebind.apply(store, args)
    }
    const one = receiver(rows)
    receiver(rows, { iss: other, store })
    await write(rows, 'a')
    isAway = true
    await expect(regenerate(rows, 'a', () => 'b')).rejects.toMatchObject({ status: 503 })
    isAway = false
    await one.bind({ sessionId: 'b' }, claims())
    await write(rows, 'b', { user: 'alice' })
    expect(await read(rows, 'b')).toMatchObject({ user: 'alice' })
  })
})

describe('a receiver that is made once more over one session store', () => {
  it('finishes a change of id that the first one had begun', async () => {
    const [rows, store] = [new session.MemoryStore(), memoryStore()]
    const first = receiver(rows, { store })
    await first.bind({ sessionId: 'a' }, claims())
    await write(rows, 'a')
    const moved = await regenerate(rows, 'a', () => 'b')
    const second = receiver(rows, { store })
    await write(rows, moved, { user: 'alice' })
    expect(await read(rows, moved)).toMatchObject({ user: 'alice' })
    expect(await second.terminate(target())).toMatchObject({ complete: true, found: 1 })
    expect(await read(rows, moved)).toBeFalsy()
  })

  const closed = (): LogoutStore & { isClosed: boolean } => {
    const store = Object.assign(memoryStore(), { isClosed: false })
    return new Proxy(store, {
      get: (inner, name) => {
        const value: unknown = Reflect.get(inner, name)
        if (typeof value !== 'function') return value
        return (...args: unknown[]) =>
          inner.isClosed ? Promise.reject(new Error('closed')) : Reflect.apply(value, inner, args)
      },
      set: (inner, name, value) => Reflect.set(inner, name, value),
    })
  }

  it.each([true, false])('serves logins though the first one with its store is gone (closed: %s)', async (isClosed) => {
    const rows = new session.MemoryStore()
    const gone = closed()
    const first = receiver(rows, { store: gone })
    if (isClosed) first.close()
    gone.isClosed = true
    const second = receiver(rows)
    await second.bind({ sessionId: 'a' }, claims())
    await write(rows, 'a', { user: 'alice' })
    expect(await read(rows, 'a')).toMatchObject({ user: 'alice' })
    await second.terminate(target())
    expect(await read(rows, 'a')).toBeFalsy()
  })

  it.each([true, false])(
    'serves logins though one of other clients was closed (its store is gone: %s)',
    async (isGone) => {
      const rows = new session.MemoryStore()
      const store = memoryStore()
      const itsStore = isGone ? closed() : store
      const other = receiver(rows, { iss: 'https://other.example', store: itsStore })
      other.close()
      Object.assign(itsStore, { isClosed: isGone })
      const second = receiver(rows, { store })
      await second.bind({ sessionId: 'a' }, claims())
      await write(rows, 'a', { user: 'alice' })
      const reads = vi.spyOn(store, 'read')
      expect(await read(rows, 'a')).toMatchObject({ user: 'alice' })
      // The one that is closed has nothing to say, and is not asked.
      expect(reads).toHaveBeenCalledTimes(1)
    },
  )

  it('serves the logins of one that is closed while another with its own store is still open', async () => {
    const rows = new session.MemoryStore()
    const first = receiver(rows)
    receiver(rows, { iss: 'https://other.example' })
    const req = { sessionID: 'a', session: row({ user: 'alice' }) }
    await first.bind(req, claims())
    await write(rows, 'a', req.session)
    first.close()
    expect(await read(rows, 'a')).toMatchObject({ user: 'alice' })
  })

  it('is guarded by one that was closed until then: requests are still under way while an app shuts down', async () => {
    const rows = new session.MemoryStore()
    const logout = receiver(rows)
    await logout.bind({ sessionId: 'a' }, claims())
    await write(rows, 'a')
    await logout.terminate(target())
    logout.close()
    await write(rows, 'a', { user: 'alice' })
    expect(await read(rows, 'a')).toBeFalsy()
  })

  it('does not take the place of a receiver of another provider', async () => {
    const rows = new session.MemoryStore()
    const first = receiver(rows)
    receiver(rows, { iss: 'https://other.example' })
    await first.bind({ sessionId: 'a' }, claims())
    await write(rows, 'a')
    await first.terminate(target())
    await write(rows, 'a', { user: 'alice' })
    expect(await read(rows, 'a')).toBeFalsy()
  })
})

describe('mustBeBound', () => {
  const mustBeBound = (data: Readonly<Record<string, unknown>>) => data.passport !== undefined

  it('a session that holds a user is not believed before its login is bound, and is afterwards', async () => {
    const rows = new session.MemoryStore()
    const logout = receiver(rows, { mustBeBound })
    await write(rows, 'a', { passport: { user: 'alice' } })
    expect(await read(rows, 'a')).toBeNull()
    await logout.bind({ sessionId: 'a' }, claims())
    expect(await read(rows, 'a')).toMatchObject({ passport: { user: 'alice' } })
  })

  it('leaves sessions alone that need no binding', async () => {
    const rows = new session.MemoryStore()
    receiver(rows, { mustBeBound })
    await write(rows, 'a', { basket: ['book'] })
    expect(await read(rows, 'a')).toMatchObject({ basket: ['book'] })
  })

  it('takes a rule that throws for one that says yes', async () => {
    const rows = new session.MemoryStore()
    receiver(rows, { mustBeBound: () => JSON.parse('no JSON') })
    await write(rows, 'a')
    expect(await read(rows, 'a')).toBeNull()
  })

  it('is refused where it is no function, and so is an option that is not known', () => {
    const rows = new session.MemoryStore()
    expect(() => Reflect.apply(expressSessions, undefined, [rows, { mustBeBound: true }])).toThrow(/mustBeBound/)
    expect(() => Reflect.apply(expressSessions, undefined, [rows, { mustBeBond: () => true }])).toThrow(/"mustBeBond"/)
  })
})

describe('session ids that the application chooses', () => {
  it('are refused at the change of id, in words', async () => {
    const rows = new session.MemoryStore()
    const logout = receiver(rows)
    await logout.bind({ sessionId: 'of alice' }, claims())
    await write(rows, 'of alice')
    await expect(regenerate(rows, 'of alice', () => 'of alice')).rejects.toMatchObject({
      code: 'ERR_SESSIONS',
      reason: 'session_id_reused',
    })
  })
})

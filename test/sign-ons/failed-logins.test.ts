// A login that could not be bound does not stand, here or elsewhere, whatever was away while it was undone.
import session from 'express-session'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout, expressSessions, type LogoutEvent, memoryStore } from '../../src/index.js'

const issuer = 'https://op.example'
const clientId = 'rp'
const claims = { iss: issuer, aud: clientId, sub: 'alice', sid: 'S1', iat: 1_800_000_000 }
const row = { cookie: { originalMaxAge: null }, user: 'alice' } as unknown as session.SessionData

beforeEach(() => {
  vi.useFakeTimers({ now: 1_800_000_000_000, toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})
/** The session store answers by `setImmediate`, which is left as it is. */
async function pass(seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    await vi.advanceTimersByTimeAsync(1000)
  }
}

type Nodes = ReturnType<typeof twoNodes>

/** Two nodes over the same rows and the same logout store; what the first one reaches of them can be cut. */
function twoNodes({ retryForSeconds = 3600 } = {}) {
  const events: LogoutEvent[] = []
  const rows = new session.MemoryStore()
  const rowsElsewhere = Object.assign(new session.MemoryStore(), { sessions: Reflect.get(rows, 'sessions') })
  const shared = memoryStore()
  let cut: boolean | 'rows' = false
  const { destroy } = rows
  rows.destroy = (id: string, callback?: (error?: unknown) => void) =>
    cut ? callback?.(new Error('away')) : destroy.call(rows, id, callback)
  const store = new Proxy(shared, {
    get: (inner, name) => {
      const value: unknown = Reflect.get(inner, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) =>
        cut === true ? Promise.reject(new Error('away')) : Reflect.apply(value, inner, args)
    },
  })
  // Its keys are given: a fetch of them would fail when it likes, and say so in the events.
  const provider = { issuer, clientId, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] } }
  const onEvent = (event: LogoutEvent) => void events.push(event)
  const here = createBackchannelLogout({ provider, store, sessions: expressSessions(rows), onEvent, retryForSeconds })
  const there = createBackchannelLogout({ provider, store: shared, sessions: expressSessions(rowsElsewhere) })
  const load = (from: session.Store) =>
    new Promise((resolve, reject) => from.get('a', (error, found) => (error ? reject(error) : resolve(found))))
  return {
    here,
    events,
    cut: (isCut: boolean | 'rows') => {
      cut = isCut
    },
    save: () => new Promise((resolve) => rows.set('a', row, resolve)),
    readHere: () => load(rows),
    readElsewhere: () => load(rowsElsewhere),
    isMarked: async () => (await shared.read('a')).ended,
    rowCount: () => Object.keys(Reflect.get(rows, 'sessions')).length,
    close: () => {
      here.close()
      there.close()
    },
  }
}

describe('a bind that rejects while both stores are away', () => {
  it('is undone as soon as they are back: marked for every node, and its row destroyed', async () => {
    const nodes = twoNodes()
    await nodes.save() // as passport does, with the user in it, before bind
    nodes.cut(true)
    await expect(nodes.here.bind({ sessionId: 'a' }, claims)).rejects.toMatchObject({ code: 'ERR_STORE' })
    await pass(40)
    expect(nodes.rowCount()).toBe(1)
    nodes.cut(false)
    expect(await nodes.readHere()).toBeFalsy()
    await pass(31)
    expect(nodes.rowCount()).toBe(0)
    expect(await nodes.isMarked()).toBe(true)
    await nodes.save() // a request elsewhere that had read it before writes it back
    expect(await nodes.readElsewhere()).toBeFalsy()
    nodes.close()
  })

  it('is denied here for as long as it is not undone, beyond what this process remembers otherwise', async () => {
    const nodes = twoNodes()
    await nodes.save()
    nodes.cut(true)
    await expect(nodes.here.bind({ sessionId: 'a' }, claims)).rejects.toThrow()
    await pass(2000)
    expect(await nodes.readHere()).toBeFalsy()
    nodes.close()
  })

  it('is said when its time is over', async () => {
    const nodes = twoNodes({ retryForSeconds: 60 })
    await nodes.save()
    nodes.cut(true)
    await expect(nodes.here.bind({ sessionId: 'a' }, claims)).rejects.toThrow()
    await pass(120)
    expect(nodes.events.at(-1)).toMatchObject({
      type: 'warning',
      error: { code: 'ERR_SESSIONS', reason: 'not_undone' },
    })
    expect(vi.getTimerCount()).toBe(0)
    nodes.close()
  })

  it('is denied here for as long as its row may be there, also once nobody undoes it any more', async () => {
    const closed = (nodes: Nodes) => nodes.here.close()
    const loggedOutHere = async (nodes: Nodes) => {
      closed(nodes)
      nodes.cut('rows')
      await nodes.here.unbind({ sessionId: 'a' }).catch(() => {})
    }
    for (const end of [closed, loggedOutHere, () => pass(120)]) {
      const nodes = twoNodes({ retryForSeconds: 60 })
      await nodes.save()
      nodes.cut(true)
      await expect(nodes.here.bind({ sessionId: 'a' }, claims)).rejects.toThrow()
      await pass(1)
      await end(nodes)
      expect(nodes.events).toContainEqual(
        expect.objectContaining({ error: expect.objectContaining({ reason: 'not_undone' }) }),
      )
      await pass(2000)
      nodes.cut(false)
      expect(await nodes.readHere()).toBeFalsy()
      nodes.close()
    }
  })

  it('stops being undone once a later attempt has bound the same session', async () => {
    const nodes = twoNodes()
    nodes.cut(true)
    await expect(nodes.here.bind({ sessionId: 'a' }, claims)).rejects.toThrow()
    nodes.cut(false)
    expect(await nodes.here.bind({ sessionId: 'a' }, claims)).toEqual({ ended: false })
    await nodes.save()
    await pass(60)
    expect(await nodes.readElsewhere()).toMatchObject({ user: 'alice' })
    nodes.close()
  })
})

describe('what was sent for a login that failed, and may still have its effect', () => {
  /** A call that comes to its store late: whoever waits for it no longer knows whether it ever will. */
  function heldBack() {
    let letGo = () => {}
    const held = new Promise<void>((resolve) => {
      letGo = resolve
    })
    return { held, letGo }
  }
  const refused = { code: 'ERR_SESSIONS', reason: 'login_undone' }
  const provider = { issuer, clientId, jwks: { keys: [{ kty: 'OKP', crv: 'Ed25519', x: 'AA' }] } }
  const bob = { ...claims, sub: 'bob', sid: 'S2' }

  it('is the binding: no other login takes the id before it is written or not', async () => {
    const { held, letGo } = heldBack()
    const store = memoryStore()
    const { bind } = store
    store.bind = async (binding) => {
      store.bind = bind
      await held
      return bind.call(store, binding)
    }
    const logout = createBackchannelLogout({ provider, store, sessions: expressSessions(new session.MemoryStore()) })
    const failed = expect(logout.bind({ sessionId: 'a' }, claims)).rejects.toMatchObject({ code: 'ERR_STORE' })
    await pass(10)
    await failed
    const early = expect(logout.bind({ sessionId: 'a' }, bob)).rejects.toMatchObject(refused)
    await pass(10)
    await early
    letGo()
    await pass(1)
    expect(await logout.bind({ sessionId: 'a' }, bob)).toEqual({ ended: false })
    const { complete, found } = await logout.terminate({ issuer, clientId, sid: 'S2' })
    expect({ complete, found }).toEqual({ complete: true, found: 1 })
    logout.close()
  })

  it('is the deletion of its row: no other login takes the id before the row is deleted or not', async () => {
    const { held, letGo } = heldBack()
    const rows = new session.MemoryStore()
    const { destroy } = rows
    rows.destroy = (id, callback) => void held.then(() => destroy.call(rows, id, callback))
    const sessions = expressSessions(rows)
    const logout = createBackchannelLogout({ provider, sessions, retryForSeconds: 0, store: memoryStore() })
    await expect(logout.bind({ sessionId: 'a' }, { ...claims, aud: 'another' })).rejects.toThrow()
    const early = expect(logout.bind({ sessionId: 'a' }, claims)).rejects.toMatchObject(refused)
    await pass(10)
    await early
    letGo()
    await pass(1)
    expect(await logout.bind({ sessionId: 'a' }, claims)).toEqual({ ended: false })
    await new Promise((resolve) => rows.set('a', row, resolve))
    await pass(10)
    expect(await new Promise((resolve) => rows.get('a', (_, found) => resolve(found)))).toMatchObject({ user: 'alice' })
    logout.close()
  })
})

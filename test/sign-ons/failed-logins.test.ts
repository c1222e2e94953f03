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

/** Two nodes over the same rows and the same logout store; what the first one reaches of them can be cut. */
function twoNodes({ retryForSeconds = 3600 } = {}) {
  const events: LogoutEvent[] = []
  const rows = new session.MemoryStore()
  const rowsElsewhere = Object.assign(new session.MemoryStore(), { sessions: Reflect.get(rows, 'sessions') })
  const shared = memoryStore()
  let cut = false
  const { destroy } = rows
  rows.destroy = (id: string, callback?: (error?: unknown) => void) =>
    cut ? callback?.(new Error('away')) : destroy.call(rows, id, callback)
  const store = new Proxy(shared, {
    get: (inner, name) => {
      const value: unknown = Reflect.get(inner, name)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => (cut ? Promise.reject(new Error('away')) : Reflect.apply(value, inner, args))
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
    cut: (isCut: boolean) => {
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

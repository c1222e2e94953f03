// The relay over real HTTP: what an API knows when, and what it answers while it may not know all. Two processes that
// share nothing are in test/processes/relay.test.ts.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createLocalJWKSet, exportJWK } from 'jose'
import { describe, expect, it, vi } from 'vitest'
import { createRelay, createRelayReceiver } from '../../src/access-tokens/index.js'
import { ended } from './hand-run.js'
import {
  AUDIENCE,
  api,
  closers,
  log,
  logOut,
  NOTICE_SECONDS,
  own,
  RELAY,
  relay,
  relayTo,
  seconds,
  withKeysAndClosers,
} from './relayed.js'

withKeysAndClosers()

describe('a logout', () => {
  it('is known to every API before the relay is done, and no other session ends', async () => {
    const store = log()
    const apis = [await api(), await api()]
    const made = relay(store, ...apis.map(({ endpoint }) => endpoint))
    await made.refresh()
    for (const { isRevoked } of apis) expect(await isRevoked({ sid: 's1' })).toBe(false)
    await logOut(store, made, { sid: 's1', sub: 'alice' })
    for (const { isRevoked } of apis) {
      expect(await isRevoked({ sid: 's1' })).toBe(true)
      expect(await isRevoked({ sid: 's2' })).toBe(false)
    }
    await logOut(store, made, { sub: 'alice' })
    for (const { isRevoked } of apis) {
      expect(await isRevoked({ sid: 's2' })).toBe(true)
      expect(await isRevoked({ sid: 's9', sub: 'bob' })).toBe(false)
    }
  })

  it('keeps nobody waiting for an API that is away: that one answers nobody when its bound is over, and is told before it serves', async () => {
    const store = log()
    const away = await api()
    const near = await api()
    const made = relay(store, away.endpoint, near.endpoint)
    await made.refresh()
    away.state.up = false
    await logOut(store, made, { sid: 's1' })
    expect(await near.isRevoked({ sid: 's1' })).toBe(true)
    expect(made.events).toMatchObject([{ type: 'warning', error: { code: 'ERR_EVICT', reason: 'relay_failed' } }])
    away.pass(5)
    expect(await away.isRevoked({ sid: 's1' })).toBe('store_failed')
    expect(await away.isRevoked({ sid: 's2' })).toBe('store_failed')
    away.state.up = true
    await made.refresh()
    expect(await away.isRevoked({ sid: 's1' })).toBe(true)
    expect(await away.isRevoked({ sid: 's2' })).toBe(false)
    expect(made.events).toHaveLength(1)
  })

  it('is told to a process of the API that has forgotten all, before it answers anybody', async () => {
    const store = log()
    const one = await api()
    const made = relay(store, one.endpoint)
    await logOut(store, made, { sid: 's1' })
    one.restart()
    expect(await one.isRevoked({ sid: 's2' })).toBe('store_failed')
    await made.refresh()
    expect(await one.isRevoked({ sid: 's1' })).toBe(true)
    expect(await one.isRevoked({ sid: 's2' })).toBe(false)
  })

  it('is told by a relay that was restarted, whatever the one before had told', async () => {
    const store = log()
    const one = await api()
    const before = relay(store, one.endpoint)
    await before.refresh()
    before.close()
    store.marks.push(ended({ sid: 's1' }, seconds()).mark)
    const after = relay(store, one.endpoint)
    await after.refresh()
    expect(await one.isRevoked({ sid: 's1' })).toBe(true)
  })

  it('that the store cannot say anything about lets the bound run out', async () => {
    const store = log()
    const one = await api()
    const made = relay(store, one.endpoint)
    await made.refresh()
    store.state.up = false
    await expect(made.refresh()).rejects.toMatchObject({ reason: 'relay_failed' })
    one.pass(5)
    expect(await one.isRevoked({ sid: 's1' })).toBe('store_failed')
  })
})

describe('a log of many marks', () => {
  it('may take longer to be read than a notice may take', async () => {
    const store = log()
    const one = await api()
    const cursors: unknown[] = []
    let release = () => {}
    const isReadable = new Promise<void>((resolve) => {
      release = resolve
    })
    let begun = () => {}
    const isBeingRead = new Promise<void>((resolve) => {
      begun = resolve
    })
    const slow = {
      ...store,
      pull: async (cursor?: string) => {
        cursors.push(cursor)
        begun()
        await isReadable
        return store.pull(cursor)
      },
    }
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    closers.push(() => vi.useRealTimers())
    const made = relay(slow, one.endpoint)
    await isBeingRead
    const logouts = [
      { sid: 's1', sub: 'alice' },
      { sid: 's2', sub: 'alice' },
    ].map((each) => logOut(store, made, each))
    // A logout waits for an API as long as a notice may take.
    await vi.advanceTimersByTimeAsync(NOTICE_SECONDS * 1000)
    await Promise.all(logouts)
    release()
    await made.refresh()
    expect(await one.isRevoked({ sid: 's1' })).toBe(true)
    expect(cursors.filter((cursor) => cursor === undefined)).toHaveLength(1)
    expect(made.events).toEqual([])
  })

  /** Of one notice, whatever its shape: the hashed `sid`s that it names. */
  function sessionsIn(notice: unknown): readonly string[] {
    const { sub_id: subject, events } = JSON.parse(
      Buffer.from(String(notice).split('.')[1] ?? '', 'base64url').toString(),
    )
    const subjects = [
      subject,
      ...Object.values(events)
        .flatMap((event) => Object(event).ended ?? [])
        .map(subIdOf),
    ]
    return subjects.flatMap((each) => Object(each).session?.id ?? [])
  }
  const subIdOf = (mark: object) => Object(mark).sub_id

  /** Tells `marks` marks; each so many-th message is lost. `takes`: how many marks the API says that it takes. */
  async function told({ marks, lostEach, takes }: { marks: number; lostEach: number; takes: string | undefined }) {
    const store = log()
    const one = await api()
    for (let i = 0; i < marks; i++) store.marks.push(ended({ sid: `s${i}`, sub: 'alice' }, seconds()).mark)
    const notices: (readonly string[])[] = []
    let sent = 0
    const made = relayTo({
      store,
      apis: [{ endpoint: one.endpoint, audience: AUDIENCE }],
      timeoutSeconds: NOTICE_SECONDS,
      dangerouslyAllowHttp: true,
      fetch: async (url, init) => {
        if (++sent % lostEach === 0) throw new Error('lost')
        const { status, headers: given } = await fetch(url, init)
        const headers = new Headers(given)
        const sessions = sessionsIn(init.body)
        if (sessions.length > 0) notices.push(sessions)
        if (takes === undefined) headers.delete('relay-marks')
        else headers.set('relay-marks', takes)
        return new Response(null, { status, headers })
      },
    })
    const untilTold = async () => {
      for (let rounds = 1; ; rounds++) {
        if (
          await made.refresh().then(
            () => true,
            () => false,
          )
        )
          return rounds
      }
    }
    return { one, notices, untilTold }
  }

  it.each([
    ['with the notice that was lost', { marks: 3000, lostEach: 5, takes: '256' }, 256],
    ['one by one to an API of an earlier version', { marks: 200, lostEach: 40, takes: undefined }, 1],
    ['one by one to an API that says nonsense', { marks: 20, lostEach: 10, takes: '-1' }, 1],
    ['not more at once than this relay puts into a notice', { marks: 600, lostEach: 3, takes: '1000000' }, 256],
  ])('is told on where it was left, each mark once: %s', async (_how, given, most) => {
    const { one, notices, untilTold } = await told(given)
    expect(await untilTold()).toBeGreaterThan(1)
    expect(Math.max(...notices.map((sessions) => sessions.length))).toBe(most)
    const sessions = notices.flat()
    expect(sessions).toHaveLength(given.marks)
    expect(new Set(sessions).size).toBe(given.marks)
    const some = ['s0', `s${given.marks >> 1}`, `s${given.marks - 1}`]
    for (const sid of some) expect(await one.isRevoked({ sid })).toBe(true)
    expect(await one.isRevoked({ sid: 'another' })).toBe(false)
    one.restart()
    expect(await one.isRevoked({ sid: 's0' })).toBe('store_failed')
    await untilTold()
    for (const sid of some) expect(await one.isRevoked({ sid })).toBe(true)
  })

  it('is not held up for ever by a `fetch` that does not heed its signal', async () => {
    const store = log()
    const apis = [{ endpoint: 'https://api.example.com/relay' }]
    const made = relayTo({ store, apis, timeoutSeconds: 0.05, fetch: () => new Promise(() => {}) })
    await expect(made.refresh()).rejects.toMatchObject({ reason: 'relay_failed' })
  })
})

it('a late answer of the process before does not make the new one believed to be told', async () => {
  const store = log()
  for (let i = 0; i < 20; i++) store.marks.push(ended({ sid: `s${i}`, sub: 'alice' }, seconds()).mark)
  const told: Record<'old' | 'new', Set<string>> = { old: new Set(), new: new Set() }
  const toldWhenComplete: number[] = []
  let notices = 0
  let releaseOld = () => {}
  const newHasAnswered = new Promise<void>((resolve) => {
    releaseOld = resolve
  })
  const made = relayTo({
    store,
    apis: [{ endpoint: 'https://api.example.com/relay' }],
    fetch: async (_, init) => {
      const claims = JSON.parse(Buffer.from(String(init.body).split('.')[1] ?? '', 'base64url').toString())
      const isNotice = claims.sub_id?.session !== undefined
      // The rolling restart: one notice of those under way reaches the new process, which answers first.
      const process = isNotice && ++notices === 2 ? 'new' : 'old'
      if (isNotice) told[process].add(claims.sub_id.session.id)
      else if (notices > 0) toldWhenComplete.push(told.old.size)
      if (process === 'new') setImmediate(releaseOld)
      else if (isNotice) await newHasAnswered
      return new Response(null, { status: 202, headers: { 'relay-nonce': `${process}.1_1` } })
    },
  })
  await made.refresh()
  expect(told.new.size).toBe(1)
  expect(toldWhenComplete[0]).toBe(20)
  expect(told.old.size).toBe(20)
})

it('an API of several processes behind one address is never believed to be told', async () => {
  const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(own.publicKey)), alg: 'ES256' }] })
  const processes = [0, 1].map(() => createRelayReceiver({ issuer: RELAY, audience: AUDIENCE, keys }).receiver())
  let turn = 0
  const server = createServer((req, res) => processes[turn++ % 2]?.(req, res)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port }: AddressInfo = Object(server.address())
  const made = relay(log(), `http://127.0.0.1:${port}`)
  await expect(made.refresh()).rejects.toMatchObject({ reason: 'relay_failed' })
})

it('says nothing in clear of user, session or token', async () => {
  const bodies: string[] = []
  const server = createServer((req, res) => {
    req.on('data', (chunk) => bodies.push(String(chunk)))
    req.on('end', () => res.writeHead(202, { 'Relay-Nonce': 'instance.1_1' }).end())
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port }: AddressInfo = Object(server.address())
  const store = log()
  const made = relay(store, `http://127.0.0.1:${port}`)
  await logOut(store, made, { sid: 'the-session', sub: 'the-subject' })
  const texts = bodies.map((body) => Buffer.from(body.split('.')[1] ?? '', 'base64url').toString())
  expect(texts.some((text) => text.includes('session-revoked'))).toBe(true)
  expect(texts.join()).not.toMatch(/the-session|the-subject/)
})

it.each<readonly [string, object]>([
  ['store', { store: {} }],
  ['issuer', { issuer: '' }],
  ['algorithm', { algorithm: 'HS256' }],
  ['apis', { apis: [] }],
  ['endpoint', { apis: [{ endpoint: 'http://api.example.com' }], dangerouslyAllowHttp: false }],
  ['everySeconds', { everySeconds: 0 }],
  ['intervalSeconds', { intervalSeconds: 1 }],
])('createRelay refuses at start-up what cannot work: %s', (option, bad) => {
  const good = { store: log(), issuer: RELAY, privateKey: own.privateKey, algorithm: 'ES256' }
  const apis = [{ endpoint: 'https://api.example.com' }]
  expect(() => createRelay({ ...good, apis, ...bad })).toThrow(TypeError)
  expect(() => createRelay({ ...good, apis, ...bad })).toThrow(option)
})

// A broker passes the end of a sign-on on: to whom, how often, in circles and in storms. In one process, by the real
// receivers, senders and tokens; only the wire is a function.
import { exportJWK } from 'jose'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type BackchannelLogout,
  createBackchannelLogout,
  createLogoutBroker,
  createLogoutTokenSender,
  type DownstreamSession,
  type LogoutBroker,
  type LogoutBrokerOptions,
  type LogoutEvent,
  type LogoutTokenSender,
  type LogoutTokenSenderOptions,
  type SessionBackend,
} from '../../src/index.js'
import { ecKeyPair } from '../../src/testing/key-pair.js'

const { privateKey, publicKey } = ecKeyPair()
const JWKS = { keys: [{ ...(await exportJWK(publicKey)), kid: 'one' }] }

const toClose: (() => void)[] = []
afterEach(() => {
  for (const close of toClose.splice(0)) close()
})

/** Local sessions as a test sees them: who is signed in. */
class Sessions implements SessionBackend<{ readonly sessionId: string }> {
  readonly alive = new Set<string>()
  sessionOf({ sessionId }: { readonly sessionId: string }) {
    return { sessionId }
  }
  async destroy(sessionId: string) {
    this.alive.delete(sessionId)
  }
  protect() {}
  bound() {}
  released() {}
}

/** What was sent over the wire, by the name of the receiving end. */
class Wire {
  readonly ends = new Map<string, (request: Request) => Promise<Response>>()
  readonly sent: string[] = []
  readonly post = async (url: string, init: RequestInit): Promise<Response> => {
    const { host } = new URL(url)
    this.sent.push(host)
    const end = this.ends.get(host)
    if (end === undefined) throw new Error('nobody there')
    return end(new Request(url, init))
  }
}

interface Party {
  readonly name: string
  readonly logout: BackchannelLogout<{ readonly sessionId: string }>
  readonly sessions: Sessions
  readonly events: LogoutEvent[]
  signIn(sessionId: string, sid?: string): Promise<void>
}

interface Broker extends Party {
  readonly broker: LogoutBroker
  readonly sender: LogoutTokenSender
  /** Who hangs on which session. */
  readonly hanging: Map<string, DownstreamSession[]>
}

const issuerOf = (name: string) => `https://${name}`
const uriOf = (name: string) => `https://${name}/backchannel-logout`

/** Signs in at `above`. */
function party(wire: Wire, name: string, above: string, hook?: LogoutBroker['sessionsEnded']): Party {
  const sessions = new Sessions()
  const events: LogoutEvent[] = []
  const logout = createBackchannelLogout<{ readonly sessionId: string }>({
    provider: { issuer: issuerOf(above), clientId: name, algorithms: ['ES256'], jwks: JWKS },
    sessions,
    onEvent: (event) => events.push(event),
    ...(hook && { onSessionsEnded: hook }),
  })
  wire.ends.set(name, logout.fetch)
  toClose.push(() => logout.close())
  const iat = Math.floor(Date.now() / 1000) - 30
  return {
    name,
    logout,
    sessions,
    events,
    async signIn(sessionId, sid = sessionId) {
      const claims = { iss: issuerOf(above), aud: name, sub: 'ada', sid, iat }
      expect(await logout.bind({ sessionId }, claims)).toEqual({ ended: false })
      sessions.alive.add(sessionId)
    },
  }
}

function senderOf(wire: Wire, name: string, options: Partial<LogoutTokenSenderOptions> = {}): LogoutTokenSender {
  const sender = createLogoutTokenSender({
    issuer: issuerOf(name),
    privateKey,
    algorithm: 'ES256',
    keyId: 'one',
    fetch: wire.post,
    firstRetryAfterSeconds: 0.01,
    ...options,
  })
  toClose.push(() => sender.close())
  return sender
}

function brokerOf(wire: Wire, name: string, above: string, options: Partial<LogoutBrokerOptions> = {}): Broker {
  const hanging = new Map<string, DownstreamSession[]>()
  const events: LogoutEvent[] = []
  const onEvent = (event: LogoutEvent) => void events.push(event)
  const sender = senderOf(wire, name, { onEvent })
  const broker = createLogoutBroker({
    sender,
    downstream: (sessionId) => hanging.get(sessionId) ?? [],
    onEvent,
    ...options,
  })
  return { ...party(wire, name, above, (ended) => broker.sessionsEnded(ended)), events, broker, sender, hanging }
}

/** The first event of a kind that a test waits for. */
async function eventually<T>(look: () => T | undefined | false): Promise<T> {
  for (;;) {
    const seen = look()
    if (seen !== undefined && seen !== false) return seen
    await new Promise((resolve) => setImmediate(resolve))
  }
}

const target = (above: string, name: string, sid: string) => ({ issuer: issuerOf(above), clientId: name, sid })

describe('a sign-on that ends at a broker', () => {
  async function twoApplications(options: Partial<LogoutBrokerOptions> = {}) {
    const wire = new Wire()
    const broker = brokerOf(wire, 'broker', 'idp', options)
    const [a, b] = [party(wire, 'app-a', 'broker'), party(wire, 'app-b', 'broker')]
    for (const who of ['laptop', 'phone']) {
      await broker.signIn(who)
      for (const app of [a, b]) await app.signIn(`${app.name} ${who}`, `${who} at ${app.name}`)
      const hangs = [a, b].map(({ name }) => ({ clientId: name, uri: uriOf(name), sid: `${who} at ${name}` }))
      broker.hanging.set(who, [...hangs, { clientId: 'old-app', sub: 'ada' }])
    }
    return { wire, broker, a, b }
  }

  it('ends at each application by its own sid, and nowhere else; the event and the page say of each what came of it', async () => {
    const { wire, broker, a, b } = await twoApplications()
    const { outcome } = await senderOf(wire, 'idp').send({ clientId: 'broker', uri: uriOf('broker'), sid: 'laptop' })
    expect(outcome).toBe('done')
    expect([...a.sessions.alive, ...b.sessions.alive]).toEqual(['app-a phone', 'app-b phone'])
    expect(wire.sent.sort()).toEqual(['app-a', 'app-b', 'broker'])
    const hops = [
      { clientId: 'app-a', outcome: 'done' },
      { clientId: 'app-b', outcome: 'done' },
      { clientId: 'old-app', outcome: 'not-registered' },
    ]
    expect(broker.broker.hopsOf('laptop')).toEqual(hops)
    expect(broker.broker.hopsOf('phone')).toEqual([])
    expect(broker.events.filter(({ type }) => type === 'passed-on')).toEqual([
      { type: 'passed-on', issuer: 'https://idp', clientId: 'broker', reason: 'logout-token', hops },
    ])
  })

  it('is not told to the application that began it', async () => {
    const { wire, broker, b } = await twoApplications()
    broker.broker.comesFrom('app-a', 'laptop')
    await broker.logout.unbind({ sessionId: 'laptop' })
    expect(wire.sent).toEqual(['app-b'])
    expect([...b.sessions.alive]).toEqual(['app-b phone'])
    expect(broker.broker.hopsOf('laptop')[0]).toEqual({ clientId: 'app-a', outcome: 'began-it' })
  })

  it.each([
    ['tab 2', ['done', 'began-it']],
    ['of nobody', ['done', 'done']],
    [undefined, ['done', 'done']],
  ])(
    'is told to the other sessions of the application that began it, and to all in doubt: %s',
    async (sid, outcomes) => {
      const { wire, broker } = await twoApplications()
      wire.ends.set('app-a', async () => new Response())
      const hangs = ['tab 1', 'tab 2'].map((each) => ({ clientId: 'app-a', uri: uriOf('app-a'), sid: each }))
      broker.hanging.set('laptop', hangs)
      broker.broker.comesFrom('app-a', 'laptop', sid)
      await broker.logout.unbind({ sessionId: 'laptop' })
      expect(broker.broker.hopsOf('laptop').map(({ outcome }) => outcome)).toEqual(outcomes)
      expect(wire.sent).toHaveLength(outcomes.filter((outcome) => outcome === 'done').length)
    },
  )

  it.each<readonly [string, (isBroken: () => boolean) => Partial<LogoutBrokerOptions>]>([
    [
      'passOn',
      (isBroken) => ({
        passOn: () => {
          if (isBroken()) throw new Error('hostile')
          return true
        },
      }),
    ],
    [
      'downstream',
      (isBroken) => ({
        downstream: () =>
          // What a program without types may hand over.
          (isBroken() ? undefined : ['a', 'b'].map((sid) => ({ clientId: `app-${sid}`, uri: uriOf(sid), sid }))) as [],
      }),
    ],
  ])(
    'counts as failed while %s is broken, is noted nowhere, and is told to all by the repeat',
    async (option, broken) => {
      let isBroken = true
      const { wire, broker } = await twoApplications(broken(() => isBroken))
      const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop'], reason: 'logout-token' }
      await expect(broker.broker.sessionsEnded(ended)).rejects.toMatchObject({ code: 'ERR_HOOK', option })
      expect(broker.broker.hopsOf('laptop')).toEqual([])
      expect(wire.sent).toEqual([])
      isBroken = false
      await broker.broker.sessionsEnded(ended)
      expect(wire.sent).toHaveLength(2)
    },
  )

  it('is kept to itself where policy says so, and that is said', async () => {
    const { wire, broker } = await twoApplications({ passOn: ({ reason }) => reason !== 'timeout' })
    await broker.logout.terminate(target('idp', 'broker', 'laptop'), { reason: 'timeout' })
    expect(wire.sent).toEqual([])
    expect(broker.broker.hopsOf('laptop').map(({ outcome }) => outcome)).toEqual([
      'left-alone',
      'left-alone',
      'left-alone',
    ])
    await broker.logout.terminate(target('idp', 'broker', 'phone'), { reason: 'administrator' })
    expect(wire.sent.sort()).toEqual(['app-a', 'app-b'])
  })

  it('is told once, however often the hook is called', async () => {
    const { wire, broker } = await twoApplications()
    const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop'], reason: 'logout-token' }
    await Promise.all([broker.broker.sessionsEnded(ended), broker.broker.sessionsEnded(ended)])
    await broker.broker.sessionsEnded(ended)
    expect(wire.sent.sort()).toEqual(['app-a', 'app-b'])
    expect(broker.events.filter(({ type }) => type === 'passed-on')).toHaveLength(1)
  })

  it('is told once while the hook is repeated for another session, however long', async () => {
    let now = 0
    const clock = () => now
    const { wire, broker } = await twoApplications({
      clock,
      downstream: (sessionId) => {
        if (sessionId === 'phone') throw new Error('away')
        return [{ clientId: 'app-a', uri: uriOf('app-a'), sub: 'ada' }]
      },
    })
    const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop', 'phone'], reason: 'logout-token' }
    for (; now < 7200; now += 30) {
      await expect(broker.broker.sessionsEnded(ended)).rejects.toMatchObject({ code: 'ERR_HOOK' })
    }
    expect(wire.sent).toEqual(['app-a'])
    now += 3600
    expect(broker.broker.hopsOf('laptop')).toEqual([])
  })

  it('is remembered by the monotonic clock: one that is set forward makes nobody be told again', async () => {
    const { wire, broker } = await twoApplications()
    const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop'], reason: 'logout-token' }
    await broker.broker.sessionsEnded(ended)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 86_400_000 })
    try {
      await broker.broker.sessionsEnded(ended)
    } finally {
      vi.useRealTimers()
    }
    expect(wire.sent.sort()).toEqual(['app-a', 'app-b'])
  })

  it('is not told to the application that began it, by a repeat an hour later either', async () => {
    let now = 0
    let isAway = true
    const { wire, broker } = await twoApplications({
      clock: () => now,
      downstream: () => {
        if (isAway) throw new Error('away')
        return ['a', 'b'].map((sid) => ({ clientId: `app-${sid}`, uri: uriOf(`app-${sid}`), sid }))
      },
    })
    broker.broker.comesFrom('app-a', 'laptop')
    const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop'], reason: 'local' }
    for (; now < 7200; now += 30) await broker.broker.sessionsEnded(ended).catch(() => {})
    isAway = false
    await broker.broker.sessionsEnded(ended)
    expect(wire.sent).toEqual(['app-b'])
  })

  it('is no complete logout while nobody knows who hangs on it, and is told as soon as somebody does', async () => {
    let isAway = true
    const wire = new Wire()
    const a = party(wire, 'app-a', 'broker')
    await a.signIn('a', 'a')
    const broker = brokerOf(wire, 'broker', 'idp', {
      downstream: () => {
        if (isAway) throw new Error('away')
        return [{ clientId: 'app-a', uri: uriOf('app-a'), sid: 'a' }]
      },
    })
    await broker.signIn('laptop')
    const first = await senderOf(wire, 'idp', { retryForSeconds: 0 }).send({
      clientId: 'broker',
      uri: uriOf('broker'),
      sid: 'laptop',
    })
    expect(first).toMatchObject({ outcome: 'given-up', status: 400 })
    isAway = false
    expect(await senderOf(wire, 'idp').send({ clientId: 'broker', uri: uriOf('broker'), sid: 'laptop' })).toMatchObject(
      {
        outcome: 'done',
      },
    )
    expect(a.sessions.alive.size).toBe(0)
  })

  it('waits for a slow application no longer than it says, and what is left is settled when all is told', async () => {
    const wire = new Wire()
    let answer: ((response: Response) => void) | undefined
    wire.ends.set('slow', () => new Promise((resolve) => (answer = resolve)))
    const settled: string[] = []
    const broker = brokerOf(wire, 'broker', 'idp', { waitSeconds: 0.01, settled: (id) => void settled.push(id) })
    broker.hanging.set('laptop', [{ clientId: 'slow', uri: uriOf('slow'), sub: 'ada' }])
    await broker.signIn('laptop')
    const { complete } = await broker.logout.terminate(target('idp', 'broker', 'laptop'))
    expect(complete).toBe(true)
    expect(broker.broker.hopsOf('laptop')).toEqual([{ clientId: 'slow', outcome: 'retrying' }])
    expect(settled).toEqual([])
    answer?.(new Response(null, { status: 503 }))
    await eventually(() => wire.sent.length === 2)
    expect(settled).toEqual([])
    answer?.(new Response(null, { status: 200 }))
    await eventually(() => settled.length === 1)
    expect(broker.broker.hopsOf('laptop')).toEqual([{ clientId: 'slow', outcome: 'done' }])
  })

  const isAway = async () => new Response(null, { status: 503 })

  it('is not settled by a sender that is closed: what a restart is to tell is still there, and is told', async () => {
    const settled: string[] = []
    const { wire, broker, a } = await twoApplications({ settled: (id) => void settled.push(id) })
    const back = wire.ends.get('app-a') ?? isAway
    wire.ends.set('app-a', isAway)
    await broker.logout.terminate(target('idp', 'broker', 'laptop'))
    expect(broker.broker.hopsOf('laptop')[0]).toEqual({ clientId: 'app-a', outcome: 'retrying' })
    broker.sender.close()
    await eventually(() => broker.broker.hopsOf('laptop')[0]?.outcome === 'given-up')
    await new Promise((resolve) => setImmediate(resolve))
    expect(settled).toEqual([])

    wire.ends.set('app-a', back)
    const restarted = brokerOf(wire, 'broker', 'idp', {
      downstream: (id) => broker.hanging.get(id) ?? [],
      settled: (id) => void settled.push(id),
    })
    const left = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop'], reason: 'restart' }
    await restarted.broker.sessionsEnded(left)
    expect([...a.sessions.alive]).toEqual(['app-a phone'])
    await eventually(() => settled.length > 0)
  })

  it('is no complete logout while a closed sender tells nobody: another node is asked, and tells all', async () => {
    const { wire, broker, a, b } = await twoApplications()
    broker.sender.close()
    const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop'], reason: 'logout-token' }
    const refusal = { code: 'ERR_DELIVERY', reason: 'closed' }
    for (let i = 0; i < 2; i++) await expect(broker.broker.sessionsEnded(ended)).rejects.toMatchObject(refusal)
    const answer = await senderOf(wire, 'idp', { retryForSeconds: 0 }).send({
      ...{ clientId: 'broker', uri: uriOf('broker'), sid: 'laptop' },
    })
    expect(answer).toMatchObject({ outcome: 'given-up', status: 400 })
    const other = brokerOf(wire, 'broker', 'idp', { downstream: (id) => broker.hanging.get(id) ?? [] })
    await other.broker.sessionsEnded(ended)
    expect([...a.sessions.alive, ...b.sessions.alive]).toEqual(['app-a phone', 'app-b phone'])
  })

  it.each([
    ['a turn', 10, true],
    ['another attempt', 2, false],
  ])(
    'is no complete logout while there is no room to wait for %s: the repeat tells whom it left out, and nobody twice',
    async (_, count, hangs) => {
      const wire = new Wire()
      const told = new Map<string, number>()
      const settled: string[] = []
      let isAway = true
      const open: ((response: Response) => void)[] = []
      wire.ends.set('app', async (request) => {
        const token = new URLSearchParams(await request.text()).get('logout_token') ?? ''
        const { sid } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
        if (isAway && !hangs) return new Response(null, { status: 503 })
        if (isAway) await new Promise<Response>((resolve) => open.push(resolve))
        told.set(sid, (told.get(sid) ?? 0) + 1)
        return new Response()
      })
      const sids = Array.from({ length: count }, (_, i) => `sid ${i}`)
      const broker = createLogoutBroker({
        sender: senderOf(wire, 'broker', { maxWaiting: 1, onEvent: () => {} }),
        downstream: () => sids.map((sid) => ({ clientId: 'app', uri: uriOf('app'), sid })),
        settled: (id) => void settled.push(id),
        waitSeconds: 0.2,
        onEvent: () => {},
      })
      const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop'], reason: 'logout-token' }
      await expect(broker.sessionsEnded(ended)).rejects.toMatchObject({ code: 'ERR_DELIVERY', reason: 'no_room' })
      isAway = false
      for (const answer of open) answer(new Response())
      await eventually(() => told.size === count - 1)
      expect(settled).toEqual([])
      await broker.sessionsEnded(ended)
      expect([...told.keys()].sort()).toEqual(sids)
      expect(new Set(told.values())).toEqual(new Set([1]))
      await eventually(() => settled.length > 0)
    },
  )

  it('is told once of an application session that hangs under two ids of it, and both are settled', async () => {
    const settled: string[] = []
    const { wire, broker } = await twoApplications({ settled: (id) => void settled.push(id) })
    const hangs = (sid: string) => [{ clientId: 'app-a', uri: uriOf('app-a'), sid }]
    wire.ends.set('app-a', async () => new Response())
    broker.hanging.set('new', hangs('one')).set('old', [...hangs('one'), ...hangs('two')])
    const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['new', 'old'], reason: 'logout-token' }
    await broker.broker.sessionsEnded(ended)
    await broker.broker.sessionsEnded(ended)
    expect(wire.sent).toEqual(['app-a', 'app-a'])
    expect(broker.events.flatMap((event) => (event.type === 'passed-on' ? [event.hops.length] : []))).toEqual([2])
    const done = { clientId: 'app-a', outcome: 'done' }
    expect([broker.broker.hopsOf('new'), broker.broker.hopsOf('old')]).toEqual([[done], [done, done]])
    await eventually(() => settled.includes('new') && settled.includes('old'))
  })

  it('is not told to the session that began it under another id of it either', async () => {
    const { wire, broker } = await twoApplications()
    const hangs = [{ clientId: 'app-a', uri: uriOf('app-a'), sid: 'one' }]
    broker.hanging.set('new', hangs).set('old', hangs)
    broker.broker.comesFrom('app-a', 'new')
    const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['new', 'old'], reason: 'local-logout' }
    await broker.broker.sessionsEnded(ended)
    expect(wire.sent).toEqual([])
  })

  it('is told once under two ids also where one of them is found by the repeat alone; another logout tells it anew', async () => {
    let isAway = true
    const { wire, broker } = await twoApplications({
      downstream: (id) => {
        if (id === 'old' && isAway) throw new Error('away')
        return [{ clientId: 'app-a', uri: uriOf('app-a'), sub: 'ada' }]
      },
    })
    wire.ends.set('app-a', async () => new Response())
    const ended = { issuer: 'https://idp', clientId: 'broker', sessionIds: ['new', 'old'], reason: 'logout-token' }
    await expect(broker.broker.sessionsEnded(ended)).rejects.toMatchObject({ code: 'ERR_HOOK' })
    isAway = false
    await broker.broker.sessionsEnded(ended)
    expect(wire.sent).toEqual(['app-a'])
    await broker.broker.sessionsEnded({ ...ended, sessionIds: ['new', 'phone'] })
    expect(wire.sent).toEqual(['app-a', 'app-a'])
  })

  it('is told to an application under the id where another one began it', async () => {
    const { wire, broker } = await twoApplications()
    wire.ends.set('app-a', async () => new Response())
    for (const id of ['laptop', 'phone']) {
      broker.hanging.set(id, [{ clientId: 'app-a', uri: uriOf('app-a'), sub: 'ada' }])
    }
    broker.broker.comesFrom('app-a', 'laptop')
    await broker.broker.sessionsEnded({
      ...{ issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop', 'phone'], reason: 'local-logout' },
    })
    expect(wire.sent).toEqual(['app-a'])
  })

  it.each<readonly [string, () => unknown]>([
    ['a promise', async () => false],
    ['a promise that rejects', () => Promise.reject(new Error('hostile'))],
    ['nothing', () => undefined],
    ['a text', () => ''],
  ])('is passed on where passOn gives %s in place of a boolean, and that is said once', async (_, passOn) => {
    // What a program without types may hand over.
    const { wire, broker } = await twoApplications({ passOn: passOn as () => boolean })
    for (const who of ['laptop', 'phone']) await broker.logout.terminate(target('idp', 'broker', who))
    expect(wire.sent).toHaveLength(4)
    const warnings = broker.events.filter(({ type }) => type === 'warning')
    expect(warnings).toMatchObject([{ error: { code: 'ERR_CONFIGURATION', reason: 'pass_on_unclear' } }])
  })

  it('is settled also where the last application hears of it long after everything else was forgotten', async () => {
    const wire = new Wire()
    let now = 0
    let answer: ((response: Response) => void) | undefined
    wire.ends.set('slow', () => new Promise((resolve) => (answer = resolve)))
    const settled: string[] = []
    const broker = brokerOf(wire, 'broker', 'idp', {
      ...{ waitSeconds: 0.01, clock: () => now, settled: (id: string) => void settled.push(id) },
    })
    broker.hanging.set('laptop', [{ clientId: 'slow', uri: uriOf('slow'), sub: 'ada' }])
    await broker.broker.sessionsEnded({
      ...{ issuer: 'https://idp', clientId: 'broker', sessionIds: ['laptop'], reason: 'logout-token' },
    })
    await eventually(() => answer !== undefined)
    now += 7200
    answer?.(new Response())
    await eventually(() => settled.length === 1)
  })

  it.each([
    [{ sender: undefined }, /sender/],
    [{ downstream: [] }, /downstream/],
    [{ waitSeconds: 1000 }, /waitSeconds/],
    [{ clients: [] }, /no option "clients"/],
  ])('options that cannot be meant are refused: %o', (options, message) => {
    const good = { sender: senderOf(new Wire(), 'broker'), downstream: () => [] }
    // @ts-expect-error: what a program without types may hand over
    expect(() => createLogoutBroker({ ...good, ...options })).toThrow(message)
  })
})

describe('brokers in a circle', () => {
  const names = ['one', 'two', 'three'] as const
  const after = { one: 'two', two: 'three', three: 'one' } as const
  const before = { one: 'three', two: 'one', three: 'two' } as const

  it.each(names)('come to rest, wherever it begins: %s', async (first) => {
    const wire = new Wire()
    const ring = Object.fromEntries(names.map((name) => [name, brokerOf(wire, name, before[name])]))
    for (const name of names) {
      await ring[name]?.signIn('session', 'session')
      const next = after[name]
      ring[name]?.hanging.set('session', [{ clientId: next, uri: uriOf(next), sid: 'session' }])
    }
    await ring[first]?.logout.terminate(target(before[first], first, 'session'))
    expect(names.flatMap((name) => [...(ring[name]?.sessions.alive ?? [])])).toEqual([])
    // Back at the first, which finds nobody and tells nobody.
    expect(wire.sent).toEqual([after[first], after[after[first]], first])
    expect(names.map((name) => ring[name]?.sender.waiting)).toEqual([0, 0, 0])
  })
})

describe('a thousand sign-ons through two brokers', () => {
  it.each([7])(
    'end once each; every hop is tried once for each attempt, and rests (one in %s fails at first)',
    async (nth) => {
      const COUNT = 1000
      const wire = new Wire()
      const app = party(wire, 'app', 'inner')
      const inner = brokerOf(wire, 'inner', 'outer')
      const outer = brokerOf(wire, 'outer', 'idp')
      // Fails some first attempts on the last hop; with 1, none.
      const failedOnce = new Set<string>()
      const attempts = new Map<string, number>()
      wire.ends.set('app', async (request) => {
        const token = new URLSearchParams(await request.clone().text()).get('logout_token') ?? ''
        const { sid } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
        attempts.set(sid, (attempts.get(sid) ?? 0) + 1)
        if (nth > 1 && Number(sid) % nth === 0 && !failedOnce.has(sid)) {
          failedOnce.add(sid)
          return new Response(null, { status: 503 })
        }
        return app.logout.fetch(request)
      })
      for (let i = 0; i < COUNT; i++) {
        const sid = String(i)
        for (const one of [outer, inner, app]) await one.signIn(sid, sid)
        outer.hanging.set(sid, [{ clientId: 'inner', uri: uriOf('inner'), sid }])
        inner.hanging.set(sid, [{ clientId: 'app', uri: uriOf('app'), sid }])
      }
      const { complete, found } = await outer.logout.terminate({ issuer: 'https://idp', clientId: 'outer', sub: 'ada' })
      expect({ complete, found }).toEqual({ complete: true, found: COUNT })
      await eventually(() => app.sessions.alive.size === 0 && inner.sender.waiting + outer.sender.waiting === 0)
      expect([...outer.sessions.alive, ...inner.sessions.alive]).toEqual([])
      const sent = (host: string) => wire.sent.filter((each) => each === host).length
      const failed = nth > 1 ? Math.ceil(COUNT / nth) : 0
      expect({ inner: sent('inner'), app: sent('app') }).toEqual({ inner: COUNT, app: COUNT + failed })
      expect(Math.max(...attempts.values())).toBe(nth > 1 ? 2 : 1)
      const ends = inner.events.filter((event) => event.type === 'logout-token-sent' && event.outcome !== 'retrying')
      expect(ends).toHaveLength(COUNT)
    },
  )
})

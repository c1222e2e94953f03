// Logouts in bad company, by the public API: beside others that hang, completed after the answer, after `close`, and of
// thousands of sessions.
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  type BackchannelLogoutOptions,
  createBackchannelLogout,
  type LocalSession,
  type LogoutEvent,
  type LogoutStore,
  memoryStore,
  type SessionBackend,
} from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

const issuer = 'https://op.example.com'
const clientId = 'rp'
const mint = await createTokenMint({ issuer, clientId, sub: 'alice', sid: 'S1' })
const ISSUED_AT = Math.floor(Date.now() / 1000) - 10
const claimsOf = (sub: string, sid: string) => mint.idTokenClaims({ sub, sid, iat: ISSUED_AT })

const never = () => new Promise<never>(() => {})

/** A store with other manners in some of its methods. */
function withManners(store: LogoutStore, manners: Partial<LogoutStore>): LogoutStore {
  return new Proxy(store, {
    get(inner, name) {
      const own: unknown = Reflect.get(manners, name) ?? Reflect.get(inner, name)
      return typeof own === 'function' ? own.bind(inner) : own
    },
  })
}

/** Rows, and what destroying one of them waits for. */
class Rows implements SessionBackend<LocalSession> {
  readonly ids = new Set<string>()
  wait: (sessionId: string) => Promise<void> = async () => {}
  sessionOf = (req: LocalSession) => req
  async destroy(sessionId: string) {
    await this.wait(sessionId)
    this.ids.delete(sessionId)
  }
  protect() {}
  bound({ sessionId }: LocalSession) {
    this.ids.add(sessionId)
  }
  released() {}
}

const closers: (() => void)[] = []
afterEach(() => {
  vi.useRealTimers()
  for (const close of closers.splice(0)) close()
})

function start(options: Omit<BackchannelLogoutOptions<LocalSession>, 'provider' | 'sessions' | 'onEvent'> = {}) {
  const rows = new Rows()
  const events: LogoutEvent[] = []
  const listeners = new Set<() => void>()
  const logout = createBackchannelLogout<LocalSession>({
    provider: { issuer, clientId, jwks: mint.jwks },
    sessions: rows,
    onEvent(event) {
      events.push(event)
      for (const listener of listeners) listener()
    },
    ...options,
  })
  closers.push(() => logout.close())
  const deliver = async (token: string) => {
    const body = new URLSearchParams({ logout_token: token })
    const { status } = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    return status
  }
  const completed = () => events.filter((event) => event.type === 'logout')
  const untilCompleted = () =>
    new Promise<void>((resolve) => {
      const look = () => completed().length > 0 && resolve()
      listeners.add(look)
      look()
    })
  const bind = async (sub: string, count: number) => {
    for (let i = 0; i < count; i++) await logout.bind({ sessionId: `${sub} ${i}` }, claimsOf(sub, `${sub} ${i}`))
  }
  return { logout, rows, events, deliver, completed, untilCompleted, bind }
}

describe('160 sessions whose destruction hangs', () => {
  it('hold up neither the mark of another user nor the end of his session, where all wait in the background', async () => {
    vi.useFakeTimers()
    let isDown = false
    const memory = memoryStore()
    const begin: LogoutStore['begin'] = async (logout) => {
      if (isDown) throw new Error('down')
      return memory.begin(logout)
    }
    const { logout, rows, bind, completed } = start({ store: withManners(memory, { begin }) })
    const stuck = Array.from({ length: 8 }, (_, i) => `stuck ${i}`)
    for (const sub of stuck) await bind(sub, 20)
    await bind('bob', 1)
    await vi.advanceTimersByTimeAsync(60_000)
    rows.wait = (sessionId) => (sessionId.startsWith('stuck') ? never() : Promise.resolve())

    isDown = true
    const results = await Promise.all([...stuck, 'bob'].map((sub) => logout.terminate({ issuer, clientId, sub })))
    for (const { complete, marked } of results) expect([complete, marked]).toEqual([false, false])
    isDown = false
    await vi.advanceTimersByTimeAsync(1500)

    expect((await memory.read('bob 0')).ended).toBe(true)
    expect(rows.ids.has('bob 0')).toBe(false)
    expect(completed()).toMatchObject([{ found: 1, destroyed: 1, background: true }])
    // Each of the others has its mark as well; only their rows are late.
    for (const sub of stuck) expect((await memory.read(`${sub} 19`)).ended).toBe(true)
    expect(rows.ids.size).toBe(160)
  })
})

describe('a logout that was completed after its answer', () => {
  it.each([
    ['was done in time and answered late', (work: () => Promise<void>, gate: Promise<void>) => work().then(() => gate)],
    ['was done late', (work: () => Promise<void>, gate: Promise<void>) => gate.then(work)],
  ])('is no replay at another node, where `complete` %s; what follows is', async (_, late) => {
    const memory = memoryStore()
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    let calls = 0
    const complete: LogoutStore['complete'] = (logout) =>
      calls++ === 0 ? late(() => memory.complete(logout), gate) : memory.complete(logout)
    const a = start({ store: withManners(memory, { complete }), answerDeadlineSeconds: 0.5, stepTimeoutSeconds: 3600 })
    const b = start({ store: memory })
    await a.bind('alice', 1)
    const token = await mint.logoutToken({ payload: { sid: undefined } })
    expect(await a.deliver(token)).toBe(400)
    open()
    await a.untilCompleted()
    expect(a.completed()).toMatchObject([{ destroyed: 1, background: true }])

    expect(await b.deliver(token)).toBe(200)
    expect(await b.deliver(token)).toBe(400)
    expect(b.events.filter(({ type }) => type === 'replay')).toHaveLength(1)
  })
})

describe('a store that completes a logout and does not say so', () => {
  const HANGS: readonly [string, 'begin' | 'complete', Partial<BackchannelLogoutOptions<LocalSession>>][] = [
    ['the answer is due first', 'complete', { answerDeadlineSeconds: 0.1, stepTimeoutSeconds: 3600 }],
    ['its own deadline passes first', 'complete', { answerDeadlineSeconds: 3600, stepTimeoutSeconds: 0.1 }],
    ['the answer is due first', 'begin', { answerDeadlineSeconds: 0.1, stepTimeoutSeconds: 3600 }],
    ['its own deadline passes first', 'begin', { answerDeadlineSeconds: 3600, stepTimeoutSeconds: 0.1 }],
  ]

  it.each(HANGS)(
    '%s, its reply to `%s` never comes: the next try at another node is no replay',
    async (_, hangs, set) => {
      const memory = memoryStore()
      let calls = 0
      // Where nobody is signed in, the store finishes in `begin` by itself.
      const a = start({
        ...set,
        store: withManners(memory, {
          [hangs]: async (logout: never) => {
            const done = await memory[hangs](logout)
            return calls++ === 0 ? never() : done
          },
        }),
      })
      const b = start({ store: memory })
      if (hangs === 'complete') await a.bind('alice', 1)
      const token = await mint.logoutToken({ payload: { sid: undefined } })
      expect(await a.deliver(token)).toBe(400)
      expect(await b.deliver(token)).toBe(200)
      expect(await b.deliver(token)).toBe(400)
    },
  )

  it.each(['begin', 'complete'] as const)(
    'where the store cannot be told at once either, it is told as soon as it answers (`%s`)',
    async (method) => {
      vi.useFakeTimers()
      const memory = memoryStore()
      let isLost = false
      let isDown = false
      const manners: Partial<LogoutStore> = {}
      for (const name of ['begin', 'complete'] as const) {
        manners[name] = async (logout: never): Promise<never> => {
          if (isDown) throw new Error('down')
          const done = await memory[name](logout)
          if (name !== method || isLost) return done as never
          isLost = isDown = true
          throw new Error('The connection broke before the reply')
        }
      }
      const a = start({ store: withManners(memory, manners) })
      const b = start({ store: memory })
      if (method === 'complete') await a.bind('alice', 1)
      const token = await mint.logoutToken({ payload: { sid: undefined } })
      expect(await a.deliver(token)).toBe(400)
      await vi.advanceTimersByTimeAsync(900)
      isDown = false
      await vi.advanceTimersByTimeAsync(600)
      expect(await b.deliver(token)).toBe(200)
      expect(await b.deliver(token)).toBe(400)
    },
  )
})

describe('after close', () => {
  it.each(['before it', 'after it'])('a logout that failed %s is denied here all the same', async (when) => {
    const memory = memoryStore()
    const { logout, deliver } = start({
      store: withManners(memory, { begin: () => Promise.reject(new Error('down')) }),
    })
    const signOn = await logout.signOn(claimsOf('alice', 'S1'))
    const other = await logout.signOn(claimsOf('bob', 'S2'))
    if (signOn === undefined || other === undefined) throw new Error('nobody was logged out yet')
    expect(await logout.isLive(signOn)).toBe(true)
    if (when === 'after it') logout.close()
    expect(await deliver(await mint.logoutToken())).toBe(400)
    if (when === 'before it') logout.close()
    expect(await logout.isLive(signOn)).toBe(false)
    expect(await logout.isLive(other)).toBe(true)
  })
})

describe('a subject with five thousand sessions', () => {
  const SESSIONS = 5000

  function paged() {
    const memory = memoryStore()
    const pages: number[] = []
    const begin: LogoutStore['begin'] = async (logout) => {
      const begun = await memory.begin(logout)
      if (!begun.replayed) pages.push(begun.sessionIds.length)
      return begun
    }
    return { memory, pages, store: withManners(memory, { begin }) }
  }

  const token = () => mint.logoutToken({ payload: { sid: undefined } })

  it('ends wholly at one Logout Token, in pages; each session is announced once, and nobody else dies', async () => {
    const { pages, store } = paged()
    const announced: string[] = []
    const { rows, bind, deliver, completed } = start({
      store,
      answerDeadlineSeconds: 30,
      onSessionsEnded: ({ sessionIds }) => void announced.push(...sessionIds),
    })
    await bind('alice', SESSIONS)
    await bind('bob', 1)
    expect(await deliver(await token())).toBe(200)
    expect([...rows.ids]).toEqual(['bob 0'])
    expect(pages).toEqual([1000, 1000, 1000, 1000, 1000])
    expect(completed()).toMatchObject([{ found: SESSIONS, destroyed: SESSIONS, failed: 0, background: false }])
    expect([announced.length, new Set(announced).size]).toEqual([SESSIONS, SESSIONS])
  })

  it('asks for no row of a page that the store has destroyed, and unbinds nothing of it again', async () => {
    const memory = memoryStore()
    const asked: { ids: number; done: boolean }[] = []
    const store = withManners(memory, {
      async begin(logout) {
        const begun = await memory.begin(logout)
        // The second page has a row that the store did not find.
        if (begun.replayed || !logout.mayDestroy || begun.sessionIds.includes('alice 1500')) return begun
        for (const id of begun.sessionIds) rows.ids.delete(id)
        await memory.unbind(begun.sessionIds)
        return { ...begun, destroyed: true }
      },
      complete(logout) {
        asked.push({ ids: logout.destroyedIds.length, done: logout.done })
        return memory.complete(logout)
      },
    })
    const { rows, bind, deliver, completed } = start({ store, answerDeadlineSeconds: 30 })
    await bind('alice', SESSIONS)
    const sent = await token()
    expect(await deliver(sent)).toBe(200)
    expect(rows.ids.size).toBe(0)
    expect(completed()).toMatchObject([{ found: SESSIONS, destroyed: SESSIONS, failed: 0 }])
    expect(asked).toEqual([
      { ids: 1000, done: false },
      { ids: 0, done: true },
    ])
    expect(await deliver(sent)).toBe(400) // It was completed.
  })

  it('ends wholly where the answer is due at its first page: the OP hears of a failure, the rest is done after it', async () => {
    const { memory, pages, store } = paged()
    const { rows, bind, deliver, completed, untilCompleted } = start({
      store,
      answerDeadlineSeconds: 1,
      stepTimeoutSeconds: 3600,
    })
    await bind('alice', SESSIONS)
    let open = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    rows.wait = () => gate
    const sent = await token()
    expect(await deliver(sent)).toBe(400)
    expect(pages).toEqual([1000])
    open()
    await untilCompleted()
    expect(rows.ids.size).toBe(0)
    expect(completed()).toMatchObject([{ found: SESSIONS, destroyed: SESSIONS, background: true }])
    const another = start({ store: memory })
    expect(await another.deliver(sent)).toBe(200)
    expect(await another.deliver(sent)).toBe(400)
  })
})

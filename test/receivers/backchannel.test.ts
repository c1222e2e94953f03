// Clocks that are set while a request is at work, or that disagree: the answer comes in time, and no replay is done
// again.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createBackchannelLogout, type LogoutStore, memoryStore } from '../../src/index.js'
import { createTokenMint } from '../../src/testing/index.js'

const issuer = 'https://op.example.com'
const clientId = 'rp'
const mint = await createTokenMint({ issuer, clientId, sub: 'alice' })

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }))
afterEach(() => void vi.useRealTimers())

const seconds = () => Date.now() / 1000
const setClock = (by: number) => void vi.setSystemTime(Date.now() + by * 1000)

function node(store: LogoutStore, answerDeadlineSeconds = 2) {
  return createBackchannelLogout({
    provider: { issuer, clientId, jwks: mint.jwks },
    store,
    clock: seconds,
    answerDeadlineSeconds,
    retryForSeconds: 0,
    onEvent: () => {},
  })
}

type Node = ReturnType<typeof node>

/** The status of the answer. `meanwhile` happens before the token is read, and after its request has begun. */
async function deliver(logout: Node, token: string, meanwhile = () => {}): Promise<number> {
  const body = new ReadableStream({
    pull(controller) {
      meanwhile()
      controller.enqueue(new TextEncoder().encode(`${new URLSearchParams({ logout_token: token })}`))
      controller.close()
    },
  })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const about = { method: 'POST', headers, body, duplex: 'half' } as const
  return (await logout.fetch(new Request('https://rp.example.com/', about))).status
}

describe('a clock that is set while a logout is at work', () => {
  it('back by ten seconds, stretches no deadline: the OP hears in time that the store hangs', async () => {
    const store = memoryStore()
    store.begin = () => new Promise(() => {})
    const logout = node(store, 0.2)
    const token = await mint.logoutToken({ payload: { iat: Math.floor(seconds()) - 20 } })
    const started = performance.now()
    expect(await deliver(logout, token, () => setClock(-10))).toBe(400)
    expect(performance.now() - started).toBeLessThan(5_000)
    logout.close()
  })

  it('ahead by ten seconds, cuts no deadline short: the logout is done', async () => {
    const store = memoryStore()
    const { begin } = store
    store.begin = async (order) => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      return begin.call(store, order)
    }
    const logout = node(store)
    const record = await logout.signOn(mint.idTokenClaims())
    expect(await deliver(logout, await mint.logoutToken(), () => setClock(10))).toBe(200)
    expect(record && (await logout.isLive(record))).toBe(false)
    logout.close()
  })
})

describe('a replay', () => {
  it('is refused where the clock was set ahead by an hour in between, and back', async () => {
    const logout = node(memoryStore({ clock: seconds }))
    const token = await mint.logoutToken()
    expect(await deliver(logout, token)).toBe(200)
    setClock(3_600)
    // Whoever looks now forgets what is over.
    expect(await deliver(logout, await mint.logoutToken({ payload: { sid: 'another' } }))).toBe(200)
    setClock(-3_600)
    expect(await deliver(logout, token)).toBe(400)
    logout.close()
  })

  it.each([
    ['whose store is five seconds ahead', 5, 0],
    ['whose store is reached 0.2 s later', 0, 0.2],
  ])('that comes in the last moment of its token is refused at a node %s', async (_, ahead, latency) => {
    const store = memoryStore({ clock: () => seconds() + ahead })
    const { begin } = store
    const logout = node(store)
    const iat = Math.floor(seconds())
    const token = await mint.logoutToken({ payload: { iat, exp: iat + 120 } })
    expect(await deliver(logout, token)).toBe(200)
    store.begin = (order) => {
      setClock(latency)
      return begin.call(store, order)
    }
    vi.setSystemTime((iat + 120 + 60 - 0.1) * 1000)
    expect(await deliver(logout, token)).toBe(400)
    logout.close()
  })
})

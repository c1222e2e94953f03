// Stores that fail, hang, or fail half-way, at each step of a logout (BCL 2.8): never 200, answered in time, denied
// from the first moment, nothing lost. A retry completes it, and where no provider ever retries, the receiver does.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type EndedSessions, memoryStore, type ProviderOptions } from '../../src/index.js'
import { createFakeOp, type FakeOp } from '../../src/testing/index.js'
import { BREAKAGES, BreakableSessionStore, type Breakage, breakableLogoutStore, PROMPT_BREAKAGES } from './breakage.js'
import {
  ALL_BUT_ALICES_LAPTOP,
  BOB_ALONE,
  EVERYBODY,
  expectLoggedOut,
  expectRefusal,
  type Rp,
  type RpOptions,
  testClock,
  withRp,
} from './rp.js'

/** Where a logout can break: two calls of the logout store, and the destruction of a row. */
const STEPS = ['begin', 'destroy', 'complete'] as const
type Step = (typeof STEPS)[number]

interface BrokenRp {
  readonly rp: Rp
  readonly sessionStore: BreakableSessionStore
  callsOf(step: Step): number
  break(step: Step, how: Breakage, only?: string): void
  mend(): void
  /** Rows of express-session that are still there. */
  rows(): Promise<number>
}

async function withBrokenRp(options: RpOptions, test: (broken: BrokenRp) => Promise<void>): Promise<void> {
  const clock = testClock()
  const logouts = breakableLogoutStore(memoryStore({ clock }))
  const sessionStore = new BreakableSessionStore()
  await withRp({ ...options, clock, store: logouts.store, sessionStore }, async (rp) => {
    await rp.signInEverybody()
    await test({
      rp,
      sessionStore,
      callsOf: (step) => (step === 'destroy' ? sessionStore.breakages.callsOf(step) : logouts.breakages.callsOf(step)),
      break: (step, how, only) => {
        if (step === 'destroy') sessionStore.breakages.break(step, how, only)
        else logouts.breakages.break(step, how)
      },
      mend: () => {
        logouts.breakages.mend()
        sessionStore.breakages.mend()
      },
      rows: async () => (await sessionStore.rows()).length,
    })
    expect(rp.expressErrors).toEqual([])
  })
}

const CODE = { begin: 'ERR_STORE', destroy: 'ERR_SESSIONS', complete: 'ERR_STORE' } as const

/** A row that is gone is destroyed, whatever the session store said of it: stores report a missing row as an error. */
const fails = ({ step, how }: { step: Step; how: Breakage }) => !(step === 'destroy' && how === 'does it and fails')

const GRID = STEPS.flatMap((step) => PROMPT_BREAKAGES.map((how) => ({ step, how }))).filter(fails)

describe('a row that was destroyed with an error', () => {
  it('is destroyed', () =>
    withBrokenRp({}, async ({ rp, rows, ...broken }) => {
      broken.break('destroy', 'does it and fails')
      expectLoggedOut(await rp.deliver(await rp.mint.logoutToken()))
      expect(await rows()).toBe(2)
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))
})

describe.each(GRID)('$step $how', ({ step, how }) => {
  it('is no success, and is denied at once; the retry completes it, once', () =>
    withBrokenRp({}, async ({ rp, rows, ...broken }) => {
      const token = await rp.mint.logoutToken()
      broken.break(step, how)
      expectRefusal(await rp.deliver(token), 400, 'logout_failed')
      expect(rp.eventsOf('logout')).toEqual([])
      expect(rp.eventsOf('logout-failed')).toMatchObject([
        { error: { code: CODE[step] }, retrying: true, background: false, scope: 'sid', reason: 'logout-token' },
      ])
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)

      broken.mend()
      // Also where `complete` did its work, and only its answer was lost.
      expectLoggedOut(await rp.deliver(token))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
      expect(await rows()).toBe(2)
      expectRefusal(await rp.deliver(token), 400, 'invalid_request')
    }))

  it('is answered 503 with Retry-After where the provider retries on that', () =>
    withBrokenRp({ provider: { transientFailureStatus: 503 } }, async ({ rp, ...broken }) => {
      broken.break(step, how)
      const answer = await rp.deliverChanged({})
      expectRefusal(answer, 503, 'logout_failed')
      expect(answer.headers.get('retry-after')).toBe('1')
      // A token that is not believed is no passing failure.
      expectRefusal(await rp.deliverChanged({ payload: { nonce: '' } }), 400, 'invalid_request')
    }))
})

describe('half of the sessions', () => {
  it('destroyed is no success; the retry finds the rest, and does not begin again with the others', () =>
    withBrokenRp({}, async ({ rp, rows, sessionStore, ...broken }) => {
      const token = await rp.mint.logoutToken({ payload: { sid: undefined } })
      const [first] = await sessionStore.rows()
      broken.break('destroy', 'refuses', first)
      expectRefusal(await rp.deliver(token), 400, 'logout_failed')
      expect(rp.eventsOf('logout-failed')).toMatchObject([{ found: 2, destroyed: 1, failed: 1 }])
      expect(await rows()).toBe(2)
      expect(await rp.alive()).toEqual(BOB_ALONE)

      broken.mend()
      const before = broken.callsOf('destroy')
      expectLoggedOut(await rp.deliver(token))
      expect(broken.callsOf('destroy') - before).toBe(1)
      expect(await rows()).toBe(1)
      expect(rp.eventsOf('logout')).toMatchObject([{ found: 1, destroyed: 1, failed: 0 }])
    }))
})

describe('a session store that reports a destruction which did not happen', () => {
  it('is believed by default, and the session is dead all the same', async () => {
    const lying = new LyingSessionStore()
    await withRp({ sessionStore: lying }, async (rp) => {
      await rp.signInEverybody()
      lying.lies = true
      expectLoggedOut(await rp.deliverChanged({}))
      expect(await lying.rows()).toHaveLength(3)
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    })
  })
})

class LyingSessionStore extends BreakableSessionStore {
  lies = false
  override destroy(sessionId: string, callback: (error?: unknown) => void = () => {}): void {
    if (this.lies) callback()
    else super.destroy(sessionId, callback)
  }
}

describe('a hook that fails', () => {
  it('is a logout that failed: retried, and told again of the same sessions', async () => {
    const told: EndedSessions[] = []
    let fails = true
    const onSessionsEnded = (ended: EndedSessions) => {
      told.push(ended)
      if (fails) throw new Error('the sockets would not close')
    }
    await withBrokenRp({ receiver: { onSessionsEnded } }, async ({ rp, rows }) => {
      const token = await rp.mint.logoutToken()
      expectRefusal(await rp.deliver(token), 400, 'logout_failed')
      expect(rp.eventsOf('logout-failed')).toMatchObject([{ error: { code: 'ERR_HOOK', option: 'onSessionsEnded' } }])
      fails = false
      expectLoggedOut(await rp.deliver(token))
      expect(told).toHaveLength(2)
      expect(told[0]).toEqual(told[1])
      expect(await rows()).toBe(2)
    })
  })
})

describe('keys that cannot be had', () => {
  interface Remote {
    readonly op: FakeOp
    readonly rp: Rp
  }

  /** The keys come from a real socket, and the issuer's metadata before them. */
  async function withRemoteKeys(
    { receiver = {}, ...provider }: Partial<ProviderOptions> & Pick<RpOptions, 'receiver'>,
    test: (remote: Remote) => Promise<void>,
    beforeSignIn: (op: FakeOp) => void = () => {},
  ): Promise<void> {
    const clock = testClock()
    const op = await createFakeOp({ clientId: 'rp', now: clock, sub: 'alice', sid: 'alice-laptop' })
    // A login fetches keys ahead: what keeps them away must do so by then.
    beforeSignIn(op)
    const { issuer } = op
    const options = { clock, issuer, receiver: { ...receiver, provider: { ...provider, issuer, clientId: 'rp' } } }
    try {
      await withRp(options, async (rp) => {
        await rp.signInEverybody()
        await test({ op, rp })
        expect(rp.expressErrors).toEqual([])
      })
    } finally {
      await op.close()
    }
  }

  const BEHAVIOURS = ['failing', 'closed', 'redirecting', 'html', 'malformed', 'huge', 'silent'] as const
  const WAYS = (['discovery', 'jwks'] as const).flatMap((endpoint) =>
    BEHAVIOURS.map((behaviour) => ({ endpoint, behaviour })),
  )

  it.each(WAYS)('$endpoint $behaviour: logout_failed, and nobody is logged out; later the same token is taken', (way) =>
    withRemoteKeys(
      // Where one is not answered it is waited for so long; the others must be answered in that.
      { requestTimeoutSeconds: way.behaviour === 'silent' ? 1 : 20 },
      async ({ op, rp }) => {
        const token = await op.mint.logoutToken()
        expectRefusal(await rp.deliver(token), 400, 'logout_failed')
        expect(rp.eventsOf('refused')).toMatchObject([{ error: { code: 'ERR_KEYS_UNAVAILABLE' } }])
        expect(await rp.alive()).toEqual(EVERYBODY)
        op.behave(way.endpoint, 'well')
        rp.clock.advance(10)
        expectLoggedOut(await rp.deliver(token))
        expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
      },
      (op) => op.behave(way.endpoint, way.behaviour),
    ),
  )

  it('are a passing failure: 503 with Retry-After where the provider retries on that', () =>
    withRemoteKeys(
      { transientFailureStatus: 503 },
      async ({ op, rp }) => {
        const answer = await rp.deliver(await op.mint.logoutToken())
        expectRefusal(answer, 503, 'logout_failed')
        expect(answer.headers.get('retry-after')).toBe('1')
      },
      (op) => op.behave('jwks', 'failing'),
    ))

  it('in time may come later: the answer does not wait for them, and the logout is done all the same', () =>
    withRemoteKeys(
      { requestTimeoutSeconds: 30, receiver: { answerDeadlineSeconds: 0.05 } },
      async ({ op, rp }) => {
        expectRefusal(await rp.deliver(await op.mint.logoutToken()), 400, 'logout_failed')
        expect(await rp.alive()).toEqual(EVERYBODY)
        op.behave('jwks', 'well')
        while (rp.eventsOf('logout').length === 0) await new Promise(setImmediate)
        expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
      },
      (op) => op.behave('jwks', 'silent'),
    ))

  it('are fetched once for many, and again for a key that is new', () =>
    withRemoteKeys({}, async ({ op, rp }) => {
      const tokens = await Promise.all(
        Array.from({ length: 10 }, (_, i) => op.mint.logoutToken({ payload: { sid: `gone-${i}` } })),
      )
      for (const answer of await Promise.all(tokens.map((token) => rp.deliver(token)))) expectLoggedOut(answer)
      // One at the login, and one since a token came: many tokens cost no more than one.
      expect(op.fetches).toEqual({ discovery: 1, jwks: 2 })
      await op.rotateKeys()
      expectLoggedOut(await rp.deliver(await op.mint.logoutToken()))
      expect(op.fetches.jwks).toBe(3)
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))

  it('are not fetched for anybody who invents key ids', () =>
    withRemoteKeys({}, async ({ op, rp }) => {
      for (let i = 0; i < 50; i++) {
        const token = await op.mint.logoutToken({ header: { kid: `invented-${i}` } })
        // Until a key set that was fetched after it came says no, nobody can say that there is no such key.
        expect((await rp.deliver(token)).status).toBe(400)
      }
      // One at the login, one for the first of them, and five looks for keys that are not there.
      expect(op.fetches.jwks).toBeLessThanOrEqual(7)
      expect(await rp.alive()).toEqual(EVERYBODY)
    }))
})

describe('by the clock of the timers', () => {
  // Only what the receiver waits by: sockets keep their own time.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }))
  afterEach(() => void vi.useRealTimers())

  /** Lets real input and output happen without any fake time passing. */
  async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) await new Promise(setImmediate)
  }

  /** Lets fake time pass until something is so; fails if it is not so for a long time. */
  async function timePassesUntil(condition: () => boolean | Promise<boolean>): Promise<number> {
    for (let seconds = 0; seconds <= 120; seconds += 0.5) {
      for (let i = 0; i < 100; i++) {
        if (await condition()) return seconds
        await new Promise(setImmediate)
      }
      await vi.advanceTimersByTimeAsync(500)
    }
    throw new Error('two minutes passed, and it was not so')
  }

  /** A dead session's own request tries to remove its row, and waits a little where that hangs. */
  async function aliveInTime(rp: Rp): Promise<string[]> {
    let names: string[] | undefined
    rp.alive().then((alive) => {
      names = alive
    })
    expect(await timePassesUntil(() => names !== undefined)).toBeLessThan(3)
    return names ?? []
  }

  const ALL = STEPS.flatMap((step) => BREAKAGES.map((how) => ({ step, how }))).filter(fails)

  const HANGING = ALL.filter(({ how }) => how === 'never answers' || how === 'waits')

  it.each(HANGING)('$step $how: 503 at the deadline where the provider retries on that', ({ step, how }) =>
    withBrokenRp({ provider: { transientFailureStatus: 503 } }, async ({ rp, ...broken }) => {
      const token = await rp.mint.logoutToken()
      const before = broken.callsOf(step)
      broken.break(step, how)
      const delivery = rp.deliver(token)
      await until(() => broken.callsOf(step) > before)
      await timePassesUntil(() => rp.eventsOf('answer').length > 0)
      const answer = await delivery
      expectRefusal(answer, 503, 'logout_failed')
      expect(answer.headers.get('retry-after')).toBe('1')
      broken.mend()
      await timePassesUntil(() => rp.eventsOf('logout').length > 0)
      expectLoggedOut(await rp.deliver(token))
      expectRefusal(await rp.deliver(token), 400, 'invalid_request')
    }),
  )

  it.each(ALL)('$step $how: answered within two seconds, and completed without any retry', ({ step, how }) =>
    withBrokenRp({}, async ({ rp, rows, ...broken }) => {
      const token = await rp.mint.logoutToken()
      const before = broken.callsOf(step)
      broken.break(step, how)
      const delivery = rp.deliver(token)
      await until(() => broken.callsOf(step) > before)
      expect(await timePassesUntil(() => rp.eventsOf('answer').length > 0)).toBeLessThanOrEqual(2)
      expectRefusal(await delivery, 400, 'logout_failed')
      expect(rp.eventsOf('logout')).toEqual([])
      expect(await aliveInTime(rp)).toEqual(ALL_BUT_ALICES_LAPTOP)

      broken.mend()
      await timePassesUntil(() => rp.eventsOf('logout').length > 0)
      expect(await rows()).toBe(2)
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
      for (const { background } of rp.eventsOf('logout')) expect(background).toBe(true)
      for (const { retrying } of rp.eventsOf('logout-failed')) expect(retrying).toBe(true)
      // The OP heard of a failure, so its retry is to hear of the success, once; what follows is a replay.
      expectLoggedOut(await rp.deliver(token))
      expectRefusal(await rp.deliver(token), 400, 'invalid_request')
    }),
  )

  it('a store that stays broken is tried again more and more rarely, and given up after its time; the marks still deny', () =>
    withBrokenRp({ receiver: { retryForSeconds: 600 } }, async ({ rp, rows, ...broken }) => {
      broken.break('destroy', 'refuses')
      const before = broken.callsOf('destroy')
      expectRefusal(await rp.deliverChanged({}), 400, 'logout_failed')
      for (let seconds = 0; seconds < 700; seconds++) {
        rp.clock.advance(1)
        await vi.advanceTimersByTimeAsync(1000)
        await new Promise(setImmediate)
        await new Promise(setImmediate)
      }
      const tries = broken.callsOf('destroy') - before
      expect(tries).toBeGreaterThan(15)
      expect(tries).toBeLessThan(40)
      expect(rp.eventsOf('logout-failed').map(({ retrying }) => retrying)).toEqual([true, false])
      expect(await rows()).toBe(3)
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))

  it('logouts of several users that failed together are all completed', () =>
    withBrokenRp({}, async ({ rp, rows, ...broken }) => {
      broken.break('begin', 'refuses')
      const sids = ['alice-laptop', 'alice-phone', 'bob-laptop']
      for (const sid of sids) {
        const sub = sid.split('-', 1)[0]
        expectRefusal(await rp.deliverChanged({ payload: { sub, sid } }), 400, 'logout_failed')
      }
      expect(await rows()).toBe(3)
      expect(await rp.alive()).toEqual([])
      broken.mend()
      await timePassesUntil(() => rp.eventsOf('logout').length === 3)
      expect(await rows()).toBe(0)
      expect(rp.eventsOf('logout').map(({ found, destroyed }) => [found, destroyed])).toEqual([
        [1, 1],
        [1, 1],
        [1, 1],
      ])
    }))
})

// A second use of a token after its logout was completed is a replay; everything before that is a retry, which must end
// with the user logged out. And whatever is repeated, a later login lives.
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions, memoryStore, preset } from '../../src/index.js'
import { type Change, createFakeOp, createTokenMint, type DeliveringProvider } from '../../src/testing/index.js'
import { BreakableSessionStore, breakableLogoutStore } from './breakage.js'
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

const SUB_ALONE: Change = { payload: { sid: undefined } }

async function signInAgain(rp: Rp): Promise<void> {
  rp.clock.advance(10)
  await rp.signIn('alice again', rp.mint.idTokenClaims({ sub: 'alice', sid: 'a new session' }))
  rp.clock.advance(10)
}

describe('a repeat of a completed logout', () => {
  it('is refused, and does nothing', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken(SUB_ALONE)
      expectLoggedOut(await rp.deliver(token))
      await signInAgain(rp)
      for (let i = 0; i < 3; i++) expectRefusal(await rp.deliver(token), 400, 'invalid_request')
      expect(await rp.alive()).toEqual(['bob-laptop', 'alice again'])
      expect(rp.eventsOf('logout')).toHaveLength(1)
      expect(rp.eventsOf('replay')).toMatchObject([{ status: 400 }, { status: 400 }, { status: 400 }])
      expect(rp.eventsOf('refused')).toEqual([])
    }))

  it('is refused where nobody was found as well', () =>
    withRp({}, async (rp) => {
      const token = await rp.mint.logoutToken()
      expectLoggedOut(await rp.deliver(token))
      expectRefusal(await rp.deliver(token), 400, 'invalid_request')
    }))

  it('is refused newly dated and signed (Zitadel), and does not end the login made in between', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      const jti = '312847561029384756'
      expectLoggedOut(await rp.deliverChanged({ payload: { sid: undefined, jti } }))
      await signInAgain(rp)
      expectRefusal(await rp.deliverChanged({ payload: { sid: undefined, jti } }), 400, 'invalid_request')
      expect(await rp.alive()).toEqual(['bob-laptop', 'alice again'])
    }))

  it('is refused for another target as well: a jti is one token', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await rp.deliverChanged({ payload: { jti: 'one' } }))
      expectRefusal(await rp.deliverChanged({ payload: { jti: 'one', sid: 'alice-phone' } }), 400, 'invalid_request')
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))

  it('is remembered for as long as the token could be used: then its age refuses it', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken(SUB_ALONE)
      expectLoggedOut(await rp.deliver(token))
      await signInAgain(rp)
      const untilExpiryAndTolerance = 120 + 60 - 20
      rp.clock.advance(untilExpiryAndTolerance - 0.001)
      expectRefusal(await rp.deliver(token), 400, 'invalid_request')
      expect(rp.eventsOf('replay')).toHaveLength(1)
      rp.clock.advance(0.001)
      expectRefusal(await rp.deliver(token), 400, 'invalid_request')
      expect(rp.eventsOf('refused')).toMatchObject([{ error: { reason: 'exp_past' } }])
      expect(await rp.alive()).toEqual(['bob-laptop', 'alice again'])
    }))

  it('is remembered by the age bound, where exp is absent or far away', async () => {
    for (const exp of [undefined, 4_000_000_000]) {
      await withRp({ provider: { allowMissingExp: true } }, async (rp) => {
        const token = await rp.mint.logoutToken({ payload: { exp } })
        expectLoggedOut(await rp.deliver(token))
        rp.clock.advance(359.9)
        expectRefusal(await rp.deliver(token), 400, 'invalid_request')
        expect(rp.eventsOf('replay')).toHaveLength(1)
        rp.clock.advance(0.1)
        expectRefusal(await rp.deliver(token), 400, 'invalid_request')
        expect(rp.eventsOf('refused')).toMatchObject([{ error: { reason: 'too_old' } }])
      })
    }
  })

  it("is answered 200 with replay: 'acknowledge', and does nothing either", () =>
    withRp({ provider: { replay: 'acknowledge' } }, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken(SUB_ALONE)
      expectLoggedOut(await rp.deliver(token))
      await signInAgain(rp)
      expectLoggedOut(await rp.deliver(token))
      expect(await rp.alive()).toEqual(['bob-laptop', 'alice again'])
      expect(rp.eventsOf('logout')).toHaveLength(1)
      expect(rp.eventsOf('replay')).toMatchObject([{ status: 200 }])
    }))

  it('is one thing, and a new token for the same target another', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      expectLoggedOut(await rp.deliverChanged(SUB_ALONE))
      await signInAgain(rp)
      expectLoggedOut(await rp.deliverChanged(SUB_ALONE))
      expect(await rp.alive()).toEqual(BOB_ALONE)
    }))

  it('does not begin with a token that was refused: the same jti in a good token is taken', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      const jti = 'burnt'
      for (const change of [{ payload: { jti, nonce: '' } }, { payload: { jti }, signer: 'foreign' }] as const) {
        expectRefusal(await rp.deliverChanged(change), 400, 'invalid_request')
      }
      expect(await rp.alive()).toEqual(EVERYBODY)
      expectLoggedOut(await rp.deliverChanged({ payload: { jti } }))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    }))
})

describe('one jti of several issuers and clients', () => {
  const clients = [
    { issuer: 'https://op.example.com', clientId: 'rp' },
    { issuer: 'https://op.example.com', clientId: 'rp-2' },
    { issuer: 'https://other.example.com', clientId: 'rp' },
    { issuer: 'https://op.example.co', clientId: 'mrp' },
  ]

  it('does not collide, and each logout ends its own', async () => {
    const clock = testClock()
    const mints = await Promise.all(clients.map((client) => createTokenMint({ ...client, now: clock })))
    const provider = mints.map(({ issuer, clientId, jwks }) => ({ issuer, clientId, jwks }))
    await withRp({ clock, receiver: { provider } }, async (rp) => {
      for (const mint of mints) await rp.signIn(`${mint.clientId} of ${mint.issuer}`, mint.idTokenClaims())
      const everybody = await rp.alive()
      expect(everybody).toHaveLength(mints.length)
      for (const [i, mint] of mints.entries()) {
        expectLoggedOut(await rp.deliver(await mint.logoutToken({ payload: { jti: 'the same' } })))
        expect(await rp.alive()).toEqual(everybody.slice(i + 1))
      }
      for (const mint of mints) {
        expectRefusal(
          await rp.deliver(await mint.logoutToken({ payload: { jti: 'the same' } })),
          400,
          'invalid_request',
        )
      }
      expect(rp.eventsOf('replay')).toHaveLength(mints.length)
    })
  })
})

describe('deliveries of one token at the same time', () => {
  it('are harmless, and at least one is answered 200', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      const answers = await Promise.all(Array.from({ length: 20 }, () => rp.deliver(token)))
      const statuses = answers.map(({ status }) => status)
      expect(statuses).toContain(200)
      for (const answer of answers) {
        if (answer.status === 200) expectLoggedOut(answer)
        else expectRefusal(answer, 400, 'invalid_request')
      }
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
      expect(rp.eventsOf('logout-failed')).toEqual([])
      expect(rp.eventsOf('replay')).toHaveLength(statuses.filter((status) => status === 400).length)
    }))

  it('are retries and no replays while the first is at work', async () => {
    const sessionStore = new BreakableSessionStore()
    await withRp({ sessionStore, receiver: { answerDeadlineSeconds: 20 } }, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      sessionStore.breakages.break('destroy', 'waits')
      const before = sessionStore.breakages.callsOf('destroy')
      const answers = [rp.deliver(token), rp.deliver(token), rp.deliver(token)]
      while (sessionStore.breakages.callsOf('destroy') < before + 3) await new Promise(setImmediate)
      sessionStore.breakages.mend()
      for (const answer of await Promise.all(answers)) expectLoggedOut(answer)
      expect(rp.eventsOf('replay')).toEqual([])
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    })
  })

  it('for several sessions of one user end them all (Open Liberty sends one token for each)', () =>
    withRp({}, async (rp) => {
      await rp.signInEverybody()
      const tokens = await Promise.all(
        ['alice-laptop', 'alice-phone'].map((sid) => rp.mint.logoutToken({ payload: { sid } })),
      )
      for (const answer of await Promise.all(tokens.map((token) => rp.deliver(token)))) expectLoggedOut(answer)
      expect(await rp.alive()).toEqual(BOB_ALONE)
    }))
})

describe('a retry', () => {
  it('after a failure completes the logout, and only then is the token used up', async () => {
    const sessionStore = new BreakableSessionStore()
    await withRp({ sessionStore }, async (rp) => {
      await rp.signInEverybody()
      const token = await rp.mint.logoutToken()
      sessionStore.breakages.break('destroy', 'refuses')
      expectRefusal(await rp.deliver(token), 400, 'logout_failed')
      expectRefusal(await rp.deliver(token), 400, 'logout_failed')
      sessionStore.breakages.mend()
      expectLoggedOut(await rp.deliver(token))
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
      expectRefusal(await rp.deliver(token), 400, 'invalid_request')
    })
  })

  it.each([
    ['before', 'begin', 'never answers'],
    ['behind', 'begin', 'does it and never answers'],
    ['before', 'complete', 'never answers'],
    // Only the store's reply was lost here, not the logout; but the OP had heard that it failed.
    ['behind', 'complete', 'does it and never answers'],
  ] as const)('after a crash %s %s is answered by another process', async (_, method, breakage) => {
    const clock = testClock()
    const { store, breakages } = breakableLogoutStore(memoryStore({ clock }))
    const sessionStore = new BreakableSessionStore()
    const token = await withCrash({ clock, store, sessionStore }, async (rp) => {
      await rp.signInEverybody()
      breakages.break(method, breakage)
      const token = await rp.mint.logoutToken()
      expectRefusal(await rp.deliver(token), 400, 'logout_failed')
      return token
    })
    breakages.mend()
    await withRp({ clock, store, sessionStore }, async (rp) => {
      expectLoggedOut(await rp.deliver(token))
      expect(await sessionStore.rows()).toHaveLength(2)
    })
  })

  it('after a crash in the middle of the destruction completes the logout in another process', async () => {
    const clock = testClock()
    const store = memoryStore({ clock })
    const sessionStore = new BreakableSessionStore()
    const token = await withCrash({ clock, store, sessionStore }, async (rp) => {
      await rp.signInEverybody()
      const [first] = await sessionStore.rows()
      sessionStore.breakages.break('destroy', 'never answers', first)
      const token = await rp.mint.logoutToken(SUB_ALONE)
      expectRefusal(await rp.deliver(token), 400, 'logout_failed')
      expect(await sessionStore.rows()).toHaveLength(2)
      return token
    })
    sessionStore.breakages.mend()
    await withRp({ clock, store, sessionStore }, async (rp) => {
      expectLoggedOut(await rp.deliver(token))
      expect(await sessionStore.rows()).toHaveLength(1)
    })
  })
})

/** Short deadlines, in which all but what hangs is done, and no background work after the test: as if the process had died. */
function withCrash<T>(options: RpOptions, test: (rp: Rp) => Promise<T>): Promise<T> {
  const receiver = { answerDeadlineSeconds: 0.5, stepTimeoutSeconds: 3600, retryForSeconds: 0 }
  return withRp({ ...options, receiver }, test)
}

describe('the habits of real providers', () => {
  interface Habit {
    readonly provider: DeliveringProvider & Parameters<typeof preset>[0]
    readonly change: Change
    readonly statuses: readonly number[]
  }
  const HABITS: readonly Habit[] = [
    {
      provider: 'ory-hydra',
      change: { header: { typ: 'JWT' }, payload: { sub: undefined, exp: undefined, aud: ['rp'] } },
      statuses: [503, 503, 200],
    },
    { provider: 'zitadel', change: { header: { typ: 'JWT' }, payload: { aud: ['rp'] } }, statuses: [503, 503, 200] },
    { provider: 'authentik', change: {}, statuses: [503, 503, 200] },
    { provider: 'govuk-one-login', change: { algorithm: 'ES256' }, statuses: [503, 503, 200] },
    { provider: 'rauthy', change: { payload: { sub: null } }, statuses: [503, 503, 200] },
  ]

  it.each(HABITS)('$provider retries, and its user ends up logged out', async ({ provider, change, statuses }) => {
    const algorithm = provider === 'govuk-one-login' ? 'ES256' : provider === 'rauthy' ? 'EdDSA' : 'RS256'
    const clock = testClock()
    const op = await createFakeOp({ clientId: 'rp', algorithm, now: clock, sub: 'alice', sid: 'alice-laptop' })
    const sessionStore = new BreakableSessionStore()
    const configured = { ...preset(provider), issuer: op.issuer, clientId: 'rp' }
    try {
      await withRp({ clock, sessionStore, issuer: op.issuer, receiver: { provider: configured } }, async (rp) => {
        await rp.signInEverybody()
        sessionStore.breakages.break('destroy', 'refuses')
        const { attempts, takenForDone } = await op.deliverAs(provider, rp.logoutUrl, {
          change,
          beforeRetry: (attempt) => {
            clock.advance(5)
            if (attempt === 2) sessionStore.breakages.mend()
          },
        })
        expect(attempts.map(({ status }) => status)).toEqual(statuses)
        expect(attempts[0]?.headers.get('retry-after')).toBe('1')
        expect(takenForDone).toBe(true)
        expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
        expect(op.fetches).toEqual({ discovery: 1, jwks: 2 }) // at the login, and since the token came
      })
    } finally {
      await op.close()
    }
  })

  it("Zitadel's retry keeps the date of its first attempt: a login made in between lives", async () => {
    const sessionStore = new BreakableSessionStore()
    const provider = preset('zitadel')
    await withRp({ sessionStore, provider }, async (rp) => {
      await rp.signInEverybody()
      const payload = { sid: undefined, jti: '312847561029384756' }
      const [first] = await sessionStore.rows()
      sessionStore.breakages.break('destroy', 'refuses', first)
      expectRefusal(await rp.deliverChanged({ payload }), 503, 'logout_failed')
      await signInAgain(rp)
      sessionStore.breakages.mend()
      expectLoggedOut(await rp.deliverChanged({ payload }))
      expect(await rp.alive()).toEqual(['bob-laptop', 'alice again'])
    })
  })

  it("Zitadel's retry at another process keeps that date as well: the store remembers it", async () => {
    const clock = testClock()
    const store = memoryStore({ clock })
    const sessionStore = new BreakableSessionStore()
    const payload = { sid: undefined, jti: '312847561029384756' }
    await withCrash({ clock, store, sessionStore }, async (rp) => {
      await rp.signInEverybody()
      const [first] = await sessionStore.rows()
      sessionStore.breakages.break('destroy', 'refuses', first)
      expectRefusal(await rp.deliverChanged({ payload }), 400, 'logout_failed')
    })
    sessionStore.breakages.mend()
    await withRp({ clock, store, sessionStore }, async (rp) => {
      await signInAgain(rp)
      expectLoggedOut(await rp.deliverChanged({ payload }))
      expect(rp.eventsOf('logout')).toMatchObject([{ found: 1, destroyed: 1 }])
      expect(await rp.alive()).toEqual(['alice again'])
      expect(await sessionStore.rows()).toHaveLength(2)
    })
  })

  it('a provider that takes 400 for final is not needed again: see the background in broken-store', async () => {
    const sessionStore = new BreakableSessionStore()
    await withRp({ sessionStore }, async (rp) => {
      await rp.signInEverybody()
      sessionStore.breakages.break('destroy', 'refuses')
      expectRefusal(await rp.deliverChanged({}), 400, 'logout_failed')
      // Denied from the first moment, row or no row.
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    })
  })
})

describe('two receivers on one store', () => {
  it('refuse at the second what was completed at the first', async () => {
    const clock = testClock()
    const store = memoryStore({ clock })
    await withRp({ clock, store }, async (rp) => {
      const second = createBackchannelLogout({
        provider: { issuer: rp.mint.issuer, clientId: rp.mint.clientId, jwks: rp.mint.jwks },
        store,
        sessions: expressSessions(new BreakableSessionStore()),
        clock,
      })
      const token = await rp.mint.logoutToken()
      const post = () =>
        second.fetch(
          new Request('https://rp.example.com/', {
            method: 'POST',
            body: new URLSearchParams({ logout_token: token }),
          }),
        )
      expectLoggedOut(await rp.deliver(token))
      expect((await post()).status).toBe(400)
      second.close()
    })
  })
})

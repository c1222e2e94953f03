// Every order of the steps of requests, a logout and a login, for tokens that the API verifies by itself and for those
// it introspects: the real check over a store of which each read and each write is a step of its own.
import { generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createClaims, createJwtCheck, type MarksStore, withLoginRecords } from '../../src/access-tokens/index.js'
import { covers } from '../../src/marks/covering.js'
import { targetKey, tokenKey } from '../../src/marks/target.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { everyInterleaving, type Scheduler } from '../interleavings/scheduler.js'
import { StepwiseStore } from '../interleavings/stepwise-store.js'
import { handClock, ISSUER, NOW, RP } from './hand-run.js'
import { AUDIENCE, askHandler, type Outcome } from './token-doors.js'

const keys = await generateKeyPair('EdDSA')
const FOREVER = NOW + 1e6
/** Further than any rule about clocks or codes that are under way reaches. */
const APART_SECONDS = 100

// A thread that verifies a signature could not be told from nothing left to do. Signatures are tried in
// jwt-check.test.ts.
beforeAll(() => void vi.spyOn(crypto.subtle, 'verify').mockImplementation(async () => true))
afterAll(() => void vi.restoreAllMocks())

function tokenOf(changes: Record<string, unknown> = {}): Promise<string> {
  const claims = { client_id: RP.clientId, sub: 'alice', sid: 's1', iat: NOW - 10, exp: NOW + 3600, ...changes }
  const signed = new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', typ: 'at+jwt' })
  return signed.setIssuer(ISSUER).setAudience(AUDIENCE).sign(keys.privateKey)
}

function claimsIn(token: string) {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
}

interface Given {
  readonly scheduler: Scheduler
  readonly store: MarksStore
  readonly clock: () => number
}

type Ask = (token: string) => Promise<Outcome>

function verified({ scheduler, store, clock }: Given): Ask {
  const handler = createJwtCheck({ store, clock }).requireJwt({
    ...{ issuer: ISSUER, audience: AUDIENCE },
    async keys() {
      await scheduler.step('keys')
      return keys.publicKey
    },
  })
  return (token) => askHandler(handler, token, () => {})
}

function introspected({ scheduler, store, clock }: Given): Ask {
  const introspect = async (token: string) => {
    await scheduler.step('answer')
    return { active: true, ...claimsIn(token) }
  }
  const claims = createClaims({ introspection: { issuer: ISSUER, introspect }, store, clock })
  return async (token) => ((await claims.lookup(token)).active ? 'in' : 'refused')
}

const remembers =
  (make: typeof verified): typeof verified =>
  (given) => {
    const right = make(given)
    const known = new Map<string, Outcome>()
    return async (token) => {
      const outcome = known.get(token) ?? (await right(token))
      known.set(token, outcome)
      return outcome
    }
  }

const shares =
  (make: typeof verified): typeof verified =>
  (given) => {
    const right = make(given)
    const open = new Map<string, Promise<Outcome>>()
    return (token) => {
      const question = open.get(token) ?? right(token).finally(() => open.delete(token))
      open.set(token, question)
      return question
    }
  }

/**
 * No logout touches the records of logins: of their steps only the writes can come before or after its own, and of
 * these only those that are dated by it: which login is the latest is not.
 */
const isAside = (step: string) =>
  step.includes('latest login of the ') || (step.includes('login of the ') && !step.startsWith('write '))

const logOutOf = (store: LogoutStore, target: Parameters<typeof targetKey>[0], issuedAt: number) =>
  store.begin({ target: targetKey(target), issuedAt, seenSecondsAgo: 0, marksExpireAt: FOREVER, mayDestroy: false })

describe('two requests and a logout', () => {
  async function enumerated(make: typeof verified) {
    const token = await tokenOf()
    return everyInterleaving(async (scheduler) => {
      const clock = handClock()
      const store = new StepwiseStore({ step: () => Promise.resolve(), clock })
      const marks: MarksStore['marks'] = async (names) => {
        await scheduler.step('read marks')
        const found = await store.marks(names)
        await scheduler.step('answer marks')
        return found
      }
      const ask = make({ scheduler, clock, store: { marks, begin: (order) => store.begin(order) } })
      let over = 0
      const found: string[] = []
      const request = async () => {
        await scheduler.step('begins')
        const begunAfter = over > 0
        const outcome = await ask(token)
        if (begunAfter && outcome === 'in') found.push('let in after the logout')
        if (over === 0 && outcome !== 'in') found.push('refused before the logout')
      }
      const logout = async () => {
        await scheduler.step('logout')
        await logOutOf(store, { ...RP, sid: 's1', sub: 'alice' }, NOW)
        over = 1
      }
      await scheduler.together(request, request, logout)
      if ((await ask(token)) !== 'refused') found.push('let in after the logout')
      return found
    })
  }

  it('never let in who begins after it, where the API verifies by itself', async () => {
    const { interleavings, findings } = await enumerated(verified)
    expect([...findings]).toEqual([])
    expect(interleavings).toBeGreaterThan(500)
  })

  it.each([
    ['remembers what it found', remembers],
    ['has requests share a question', shares],
  ] as const)('do, where the API %s', async (_does, wrong) => {
    const { findings } = await enumerated(wrong(verified))
    expect(findings.get('let in after the logout')?.times).toBeGreaterThan(0)
  })
})

/**
 * The one rule of both: a token that was recorded with a login lives exactly as long as the session of that login does.
 * The Relying Party ends the session by its store; the API finds the token by its claims and the records.
 */
describe.each([
  ['verified here', verified],
  ['introspected', introspected],
] as const)('tokens that are %s, of logins that are known', (_how, make) => {
  for (const [by, target] of [
    ['sub', { ...RP, sub: 'alice' }],
    ['sid and sub', { ...RP, sid: 's1', sub: 'alice' }],
  ] as const) {
    for (const [when, loginAt] of [
      ['before', NOW - APART_SECONDS],
      ['after', NOW + APART_SECONDS],
    ] as const) {
      it(`every order of a logout by ${by} and the bind of a login from ${when} it`, async () => {
        // Dates say nothing: that is what single sign-on without a password looks like.
        const said = { auth_time: NOW - 1000 }
        const [old, mine] = [await tokenOf(said), await tokenOf({ ...said, iat: loginAt })]
        const { interleavings, findings } = await everyInterleaving(async (scheduler) => {
          const clock = handClock(NOW + 2 * APART_SECONDS)
          const step = (name: string) => (isAside(name) ? Promise.resolve() : scheduler.step(name))
          const inner = new StepwiseStore({ step, clock })
          const store = withLoginRecords(inner)
          const login = (sessionId: string, token: string, issuedAt: number) =>
            store.bind({
              ...{ sessionId, issuedAt, expiresAt: FOREVER, tokenKeys: [tokenKey(token)] },
              ...{ subKey: targetKey({ ...RP, sub: 'alice' }).key, sidKey: targetKey({ ...RP, sid: 's1' }).key },
            })
          await login('a', old, NOW - APART_SECONDS - 1)
          await scheduler.together(
            () => login('b', mine, loginAt),
            () => logOutOf(store, target, NOW),
          )
          const ask = make({ scheduler, store, clock })
          const lives = async (sessionId: string) => {
            const { ended, binding, marks } = await store.read(sessionId)
            return !ended && binding !== undefined && !marks.some((mark) => covers(mark, binding))
          }
          const found: string[] = []
          if ((await ask(mine)) !== ((await lives('b')) ? 'in' : 'refused')) found.push('token and session differ')
          if ((await lives('b')) !== (when === 'after')) found.push('another login was meant')
          if ((await ask(old)) !== 'refused' || (await lives('a'))) found.push('the ended login lives')
          return found
        })
        expect([...findings]).toEqual([])
        expect(interleavings).toBeGreaterThan(50)
      })
    }
  }

  it('every order of a logout and a request with a refreshed token: after it nobody is let in, before it all are', async () => {
    const [old, refreshed] = [await tokenOf(), await tokenOf({ iat: NOW - 1, auth_time: NOW - 1000 })]
    const { interleavings, findings } = await everyInterleaving(async (scheduler) => {
      const clock = handClock()
      const inner = new StepwiseStore({ step: (name) => scheduler.step(name), clock })
      const store = withLoginRecords(inner)
      const subKey = targetKey({ ...RP, sub: 'alice' }).key
      const tokenKeys = [old, refreshed].map(tokenKey)
      await store.bind({ sessionId: 'a', subKey, issuedAt: NOW - APART_SECONDS, expiresAt: FOREVER, tokenKeys })
      const ask = make({ scheduler, store, clock })
      let over = false
      const found: string[] = []
      const request = async () => {
        await scheduler.step('begins')
        const begunAfter = over
        const outcome = await ask(refreshed)
        if (begunAfter && outcome === 'in') found.push('let in after the logout')
      }
      await scheduler.together(request, async () => {
        await logOutOf(store, { ...RP, sub: 'alice' }, NOW)
        over = true
      })
      for (const token of [old, refreshed]) if ((await ask(token)) !== 'refused') found.push('lives on')
      return found
    })
    expect([...findings]).toEqual([])
    expect(interleavings).toBeGreaterThan(10)
  })
})

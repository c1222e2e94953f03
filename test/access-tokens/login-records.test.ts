// Who is meant: a token of a later login and one that was refreshed from the ended login may say the same. Told apart
// by what `bind` and `addTokens` knew, else by dates; one rule for tokens that are introspected and those that the API
// verifies by itself.
import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { createClaims, createJwtCheck, withLoginRecords } from '../../src/access-tokens/index.js'
import {
  createBackchannelLogout,
  type LogoutEvent,
  type LogoutStore,
  memoryStore,
  type SessionBackend,
} from '../../src/index.js'
import { targetKey } from '../../src/marks/target.js'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'
import recordedLogins from '../conformance/recorded-logins.json' with { type: 'json' }
import { everyInterleaving } from '../interleavings/scheduler.js'
import type { RecordedLogins, SaidOfToken } from '../live-providers/seen.js'
import { type LogoutStoreServer, SHARED_STORES } from '../servers/logout-stores.js'
import { handClock, ISSUER, NOW, promptServer, RP } from './hand-run.js'

type Req = { readonly sessionId: string }
const sessions: SessionBackend<Req> = {
  protect() {},
  sessionOf: ({ sessionId }) => ({ sessionId }),
  bound() {},
  released() {},
  destroy: async () => {},
}
const AUTH_TIME = NOW - 1000

interface Given {
  readonly store?: LogoutStore
  readonly clock?: ReturnType<typeof handClock>
  readonly mint?: TokenMint
  readonly client?: { readonly issuer: string; readonly clientId: string }
}

const ownMint: TokenMint = await createTokenMint(RP)

/** A Relying Party and an API over one store, and a clock that the OP shares. */
function scene({
  clock = handClock(),
  store = withLoginRecords(memoryStore({ clock })),
  mint = ownMint,
  client = RP,
}: Given = {}) {
  const events: LogoutEvent[] = []
  const onEvent = (event: LogoutEvent) => void events.push(event)
  const rp = createBackchannelLogout({ provider: { ...client, jwks: mint.jwks }, store, sessions, clock })
  const answers = new Map<string, object>()
  /** Of tokens that say something else to who verifies them alone. */
  const payloads = new Map<string, object>()
  const { introspection } = promptServer((token) => Object.assign({ active: true }, answers.get(token)))
  const claims = createClaims({ introspection: { ...introspection, issuer: client.issuer }, store, clock, onEvent })
  const check = createJwtCheck({ store, clock, onEvent })
  /** A token as Keycloak makes it: `auth_time` stays that of the password, `iat` is now. */
  const issue = (name: string, changes: object = {}) => {
    const iat = Math.floor(clock())
    const said = { iss: ISSUER, azp: RP.clientId, client_id: RP.clientId, sub: 'ada', sid: 's1', iat, exp: iat + 3600 }
    answers.set(name, { ...said, auth_time: AUTH_TIME, ...changes })
  }
  const bind = (sessionId: string, accessToken?: string, changes: object = {}) =>
    rp.bind(
      { sessionId },
      { iss: ISSUER, aud: RP.clientId, sub: 'ada', sid: 's1', iat: Math.floor(clock()), ...changes },
      { accessToken },
    )
  const logOut = async (payload: Readonly<Record<string, unknown>>) => {
    const iat = Math.floor(clock())
    const token = await mint.logoutToken({
      payload: { sub: undefined, sid: undefined, iat, exp: iat + 120, ...payload },
    })
    const body = new URLSearchParams({ logout_token: token })
    const answer = await rp.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    expect(answer.status).toBe(200)
  }
  /** As an administrator does: nothing dates it but the store's clock. */
  const terminate = () => {
    const order = { target: targetKey({ ...RP, sub: 'ada' }), seenSecondsAgo: 0, mayDestroy: false }
    return store.begin({ ...order, marksExpireAt: clock() + 86_400 })
  }
  /** At both doors; they never differ. */
  const isLetIn = async (name: string): Promise<boolean> => {
    const revoked = await check.isRevoked({ ...(payloads.get(name) ?? answers.get(name)) }, name)
    expect((await claims.lookup(name)).active).toBe(!revoked)
    return !revoked
  }
  return { rp, terminate, clock, issue, bind, logOut, isLetIn, events, check, answers, payloads }
}

/** What `npm run providers:capture` recorded of that case. */
function recorded(circumstance: string) {
  const found = (recordedLogins as readonly RecordedLogins[]).find((each) => each.circumstance === circumstance)
  if (found === undefined) throw new Error(`nothing is recorded of ${circumstance}`)
  return found
}

/** Those tokens whose claims do not tell which of them is of the last login: the user, the `sid`, the `auth_time`. */
function alike({ steps }: RecordedLogins): string[] {
  const tokens = steps.filter((each) => each.step !== 'logout')
  const last = tokens.findLast((each) => each.step === 'sign-in')?.local
  const isAlike = ({ local }: SaidOfToken) => ['sub', 'sid', 'auth_time'].every((name) => local[name] === last?.[name])
  return tokens.filter(isAlike).map(({ name }) => name)
}

/** The tokens that are let in after each step of a recording, which is played at its own times; or only at the end. */
async function letIn({ issuer, clientId, steps }: RecordedLogins, asked: 'all along' | 'at the end') {
  const client = { issuer, clientId }
  const clock = handClock(steps[0]?.at)
  const { rp, logOut, isLetIn, answers, payloads } = scene({ client, clock, mint: await createTokenMint(client) })
  const served: string[][] = []
  for (const step of steps) {
    clock.advance(step.at - clock())
    if (step.step === 'logout') await logOut(step.logoutToken)
    else {
      answers.set(step.name, step.introspected)
      payloads.set(step.name, step.local)
    }
    if (step.step === 'sign-in') {
      const { name, idToken, startedAt } = step
      const bound = await rp.bind({ sessionId: name }, idToken, { accessToken: name, startedAt })
      expect(bound).toEqual({ ended: false })
    }
    if (asked === 'at the end' && step !== steps.at(-1)) continue
    const now: string[] = []
    for (const name of answers.keys()) if (await isLetIn(name)) now.push(name)
    served.push(now)
  }
  return served
}

describe('Keycloak, as it was recorded', () => {
  it('a silent sign-in in another browser after a logout of the user: its tokens are let in, the old ones are not', async () => {
    const recording = recorded('a logout of the user, then a silent sign-in in another browser')
    expect(alike(recording)).toEqual(['there', 'refreshed', 'there again', 'refreshed again'])
    expect(await letIn(recording, 'all along')).toEqual([
      ['here'],
      ['here', 'there'],
      [],
      [],
      ['there again'],
      ['there again'],
    ])
    expect(await letIn(recording, 'at the end')).toEqual([['there again']])
  })

  it('a consent was revoked, and the same sid signs in again: its tokens are let in at once', async () => {
    const recording = recorded('a revoked consent, then a sign-in with the same sid')
    expect(alike(recording)).toEqual(['old', 'new'])
    expect(await letIn(recording, 'all along')).toEqual([['old'], [], ['new']])
    expect(await letIn(recording, 'at the end')).toEqual([['new']])
  })
})

describe('where less is known of a login', () => {
  it('where the Relying Party records no tokens, the sid tells, but not of tokens that are older than the login', async () => {
    const { clock, issue, bind, logOut, isLetIn } = scene()
    issue('old')
    await bind('a')
    clock.advance(100)
    await logOut({ sub: 'ada' })
    clock.advance(10)
    issue('refreshed from the old one')
    expect(await isLetIn('refreshed from the old one')).toBe(false)
    clock.advance(10)
    await bind('b')
    clock.advance(-1) // within one answer of the token endpoint the access token may be the older one
    issue('new')
    clock.advance(1)
    expect(await isLetIn('new')).toBe(true)
    expect(await isLetIn('refreshed from the old one')).toBe(false)
    expect(await isLetIn('old')).toBe(false)
  })

  it('a refreshed token of the ended login is refused also where no auth_time gives it away', async () => {
    const { clock, issue, bind, logOut, isLetIn } = scene()
    await bind('a')
    clock.advance(100)
    await logOut({ sub: 'ada' })
    clock.advance(10)
    issue('refreshed', { auth_time: undefined })
    expect(await isLetIn('refreshed')).toBe(false)
  })
})

describe('where nothing else is known', () => {
  it('dates decide, a token that was issued after the logout is refused, and that is said once', async () => {
    const clock = handClock()
    const { issue, bind, logOut, isLetIn, events } = scene({ clock, store: memoryStore({ clock }) })
    issue('old')
    await bind('a', 'old')
    await logOut({ sub: 'ada' })
    expect(await isLetIn('old')).toBe(false)
    expect(events).toEqual([])
    clock.advance(10)
    issue('new')
    await bind('b', 'new')
    for (const _ of [1, 2]) expect(await isLetIn('new')).toBe(false)
    const said = { type: 'warning', error: { code: 'ERR_CONFIGURATION', reason: 'login_unknown' } }
    expect(events).toMatchObject([said, said]) // once by each of the two checks
    expect(JSON.stringify(events)).not.toMatch(/ada|s1/)
  })

  it('a logout without a Logout Token ends a token that was never met before it, and none that was issued later', async () => {
    const clock = handClock()
    const { terminate, issue, isLetIn } = scene({ clock, store: memoryStore({ clock }) })
    issue('old', { auth_time: undefined })
    clock.advance(10)
    await terminate()
    clock.advance(1)
    expect(await isLetIn('old')).toBe(false)
    clock.advance(60)
    issue('later', { auth_time: undefined })
    expect(await isLetIn('later')).toBe(true)
  })

  it('and the records say sooner that a login is a later one', async () => {
    const { terminate, clock, issue, bind, isLetIn } = scene()
    await terminate()
    clock.advance(1)
    issue('later', { auth_time: undefined })
    await bind('b', 'later')
    expect(await isLetIn('later')).toBe(true)
    issue('of no login', { auth_time: undefined, sid: 's2' })
    expect(await isLetIn('of no login')).toBe(false)
  })
})

describe('what the records do not say yet', () => {
  it('a refreshed token that is used before addTokens has recorded it is refused, and is let in from then on', async () => {
    const { clock, issue, bind, logOut, isLetIn, rp } = scene()
    await bind('a', 'old')
    await logOut({ sub: 'ada' })
    clock.advance(10)
    await bind('b', 'new')
    clock.advance(300)
    issue('refreshed')
    for (const _ of [1, 2]) expect(await isLetIn('refreshed')).toBe(false)
    await rp.addTokens({ sessionId: 'b' }, { accessToken: 'refreshed' })
    for (const _ of [1, 2]) expect(await isLetIn('refreshed')).toBe(true)
    await logOut({ sub: 'ada' })
    expect(await isLetIn('refreshed')).toBe(false)
  })

  it('so is the token of a login whose bind is late', async () => {
    const { clock, issue, bind, logOut, isLetIn } = scene()
    await bind('a')
    await logOut({ sub: 'ada' })
    clock.advance(10)
    issue('new')
    for (const _ of [1, 2]) expect(await isLetIn('new')).toBe(false)
    await bind('b')
    for (const _ of [1, 2]) expect(await isLetIn('new')).toBe(true)
  })
})

it('the later of two logins of one sid is known while it lives, though the earlier is bound last and ends first', async () => {
  const clock = handClock()
  const store = withLoginRecords(memoryStore({ clock }))
  const now = clock()
  const target = targetKey({ ...RP, sub: 'ada' })
  const logout = { target, issuedAt: now - 100, seenSecondsAgo: 100, marksExpireAt: now + 86_400, mayDestroy: false }
  await store.begin(logout)
  const keys = { subKey: target.key, sidKey: targetKey({ ...RP, sid: 's1' }).key }
  const login = (at: number, expiresAt: number) => ({ ...keys, issuedAt: at, startedAt: at, expiresAt })
  await store.bind({ sessionId: 'later', ...login(now - 50, now + 7200) })
  await store.bind({ sessionId: 'earlier', ...login(now - 200, now + 60) })
  clock.advance(120)
  const token = { iss: ISSUER, client_id: RP.clientId, sub: 'ada', sid: 's1', iat: now, exp: now + 3600 }
  const check = createJwtCheck({ store, clock })
  expect(await check.isRevoked({ ...token, auth_time: now - 1000 })).toBe(false)
})

describe.each([
  ['by when they were begun', true],
  ['by when they were answered', false],
])('of two logins of one sid the later one counts, %s', (_by, dated) => {
  it('also where the earlier one is bound last, a logout between them has ended it, and that is what it is told', async () => {
    const { clock, issue, logOut, isLetIn, rp } = scene()
    const login = () => {
      const [startedAt, iat] = [clock(), Math.floor(clock())]
      const named = { iss: ISSUER, aud: RP.clientId, sub: 'ada', sid: 's1', iat }
      return (sessionId: string) => rp.bind({ sessionId }, named, dated ? { startedAt } : {})
    }
    const slow = login()
    clock.advance(10)
    await logOut({ sub: 'ada' })
    clock.advance(10)
    expect(await login()('b')).toEqual({ ended: false })
    issue('later')
    expect(await isLetIn('later')).toBe(true)
    expect(await slow('a')).toEqual({ ended: true })
    for (const _ of [1, 2]) expect(await isLetIn('later')).toBe(true)
    clock.advance(10)
    await logOut({ sub: 'ada' })
    expect(await isLetIn('later')).toBe(false)
  })
})

describe.each([
  ['by when they were begun', true],
  ['by when they were answered', false],
])('of two logins of one sid that are bound at the same time the later one counts, %s', (_by, dated) => {
  const CALLS = ['read', 'bind', 'list', 'renew', 'unbind']

  /** Each with a node of its own; a logout came between their begins. Who is let in by claims alone, then and later. */
  async function outcome(nodes: readonly [LogoutStore, LogoutStore], together: Together) {
    const [store, other] = [withLoginRecords(nodes[0]), withLoginRecords(nodes[1])]
    const { now } = await store.marks([])
    const named = { sub: randomUUID(), sid: randomUUID() }
    const target = targetKey({ ...RP, sub: named.sub })
    const logout = { target, marksExpireAt: now + 86_400, mayDestroy: false }
    await store.begin({ ...logout, issuedAt: now - 100, seenSecondsAgo: 100 })
    const keys = { subKey: target.key, sidKey: targetKey({ ...RP, sid: named.sid }).key, expiresAt: now + 3600 }
    const login = (at: number) => ({
      sessionId: randomUUID(),
      ...keys,
      ...{ issuedAt: at, startedAt: dated ? at : undefined },
    })
    await together(
      () => store.bind(login(now - 200)),
      () => other.bind(login(now - 50)),
    )
    const check = createJwtCheck({ store: other, clock: () => now })
    const said = { iss: ISSUER, client_id: RP.clientId, ...named, exp: now + 3600, auth_time: now - 1000 }
    const letIn = async () => {
      const tokens = { earlier: now - 199, later: now - 49 }
      const revoked = await Promise.all(Object.values(tokens).map((iat) => check.isRevoked({ ...said, iat })))
      return Object.keys(tokens).filter((_, i) => revoked[i] === false)
    }
    const first = await letIn()
    await store.begin({ ...logout, issuedAt: now, seenSecondsAgo: 0 })
    return [first, await letIn()]
  }
  type Together = (...tasks: readonly (() => Promise<unknown>)[]) => Promise<void>

  /** Before each call the given one is awaited. */
  const stepwise = (store: LogoutStore, step: (name: string) => Promise<void>): LogoutStore =>
    new Proxy(store, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name, target)
        if (typeof member !== 'function') return member
        if (!CALLS.includes(String(name))) return member.bind(target)
        return async (...given: readonly unknown[]) => {
          await step(String(name))
          return Reflect.apply(member, target, given)
        }
      },
    })

  it('in every order of what they ask of the store', async () => {
    const { interleavings, findings } = await everyInterleaving(async (scheduler) => {
      const shared = memoryStore()
      const nodes = [0, 1].map((node) => stepwise(shared, (name) => scheduler.step(name, node)))
      const [one = shared, other = shared] = nodes
      const found = await outcome([one, other], (...tasks) => scheduler.together(...tasks))
      return found.flat().join() === 'later' ? [] : [`let in: ${found.flat()}`]
    })
    expect([...findings]).toEqual([])
    expect(interleavings).toBeGreaterThan(10)
  })

  for (const kind of SHARED_STORES) {
    kind.describe()(`over ${kind.name}`, () => {
      let server: LogoutStoreServer | undefined
      afterAll(() => server?.stop())

      it('also where each call of the earlier one is answered after the later one was bound', async () => {
        server = await kind.start()
        const [held, prompt] = [server.open(), server.open()]
        for (let last = 0; last < 3; last++) {
          let calls = 0
          let isBound = () => {}
          const laterIsBound = new Promise<void>((resolve) => (isBound = resolve))
          let arrived = () => {}
          const isThere = new Promise<void>((resolve) => (arrived = resolve))
          let isHeld = false
          const node = stepwise(held, async () => {
            if (!isHeld || calls++ < last) return
            arrived()
            await laterIsBound
          })
          const found = await outcome([node, prompt], async (earlier, later) => {
            isHeld = true
            const slow = earlier?.()
            await isThere
            await later?.()
            isBound()
            await slow
          })
          expect([last, ...found]).toEqual([last, ['later'], []])
        }
      })
    })
  }
})

describe('where the tokens of the latest login are recorded', () => {
  it('claims alone are judged by that login, and a token that is not recorded by its dates as well', async () => {
    const { clock, issue, bind, logOut, isLetIn, check, answers } = scene()
    await bind('a') // an earlier one without its token
    issue('old')
    await logOut({ sub: 'ada' })
    clock.advance(10)
    issue('refreshed from the old one')
    clock.advance(10)
    await bind('b', 'new')
    issue('new')
    issue('not recorded')
    const claimsAlone = (name: string) => check.isRevoked({ ...answers.get(name) })
    expect(await claimsAlone('new')).toBe(false)
    expect(await isLetIn('new')).toBe(true)
    expect(await isLetIn('not recorded')).toBe(false)
    for (const name of ['old', 'refreshed from the old one']) {
      expect([await claimsAlone(name), await isLetIn(name)]).toEqual([true, false])
    }
    await logOut({ sub: 'ada' })
    expect([await claimsAlone('new'), await isLetIn('new')]).toEqual([true, false])
  })

  it('a token of that login is refused with it, though it is not recorded and no auth_time gives it away', async () => {
    const { clock, issue, bind, logOut, isLetIn } = scene()
    await bind('a', 'recorded')
    await logOut({ sub: 'ada' })
    clock.advance(10)
    issue('refreshed', { auth_time: undefined })
    expect(await isLetIn('refreshed')).toBe(false)
  })
})

it('has no verdict where the records cannot be read', async () => {
  const clock = handClock()
  const store = withLoginRecords(memoryStore({ clock }))
  const { logOut, check, issue, answers } = scene({ clock, store })
  issue('token')
  await logOut({ sub: 'ada' })
  const failing = { marks: store.marks, read: () => Promise.reject(new Error('down')) }
  const other = createJwtCheck({ store: failing, clock })
  await expect(other.isRevoked({ ...answers.get('token') })).rejects.toMatchObject({ reason: 'store_failed' })
  expect(await check.isRevoked({ ...answers.get('token') })).toBe(true)
})

/**
 * A logout; a later login in two steps, its token and its bind; a refresh of the old login in two, its token and its
 * record.
 */
const STEPS = { logout: 1, login: 2, refresh: 2 } as const
type Who = keyof typeof STEPS

function* orders(left: Readonly<Record<Who, number>>, order: readonly Who[] = []): Generator<readonly Who[]> {
  const open = (Object.keys(left) as Who[]).filter((who) => left[who] > 0)
  if (open.length === 0) yield order
  for (const who of open) yield* orders({ ...left, [who]: left[who] - 1 }, [...order, who])
}

describe.each(['sub', 'sid and sub'] as const)('every order of a logout by %s, a login and a refresh', (by) => {
  it.each([10, 70])(
    'with %s s between steps: what was bound after the logout is let in, what was bound before it and is of the ended login is not',
    async (pause) => {
      let seen = 0
      for (const order of orders(STEPS)) {
        seen += 1
        const { clock, issue, bind, logOut, isLetIn, rp } = scene()
        issue('old')
        await bind('a', 'old')
        const done: Who[] = []
        for (const who of order) {
          clock.advance(pause)
          const again = done.includes(who)
          if (who === 'logout') await logOut(by === 'sub' ? { sub: 'ada' } : { sub: 'ada', sid: 's1' })
          else if (!again) issue(who)
          else if (who === 'login') await bind('b', 'login')
          else await rp.addTokens({ sessionId: 'a' }, { accessToken: 'refresh' })
          done.push(who)
          const over = (step: Who, times: number) => done.filter((each) => each === step).length === times
          if (!over('logout', 1)) continue
          expect(await isLetIn('old')).toBe(false)
          if (over('refresh', 2)) expect(await isLetIn('refresh')).toBe(false)
          const boundAfter = over('login', 2) && order.lastIndexOf('login') > order.indexOf('logout')
          // A sid mark also ends a login that was under way, for a minute.
          const isClear = by === 'sub' || pause > 60
          if (boundAfter && isClear) expect(await isLetIn('login')).toBe(true)
          if (over('login', 2) && !boundAfter) expect(await isLetIn('login')).toBe(false)
        }
      }
      expect(seen).toBe(30)
    },
  )
})

for (const kind of SHARED_STORES) {
  kind.describe()(`over ${kind.name}`, () => {
    let server: LogoutStoreServer | undefined
    afterAll(() => server?.stop())

    it('tells the same', async () => {
      server = await kind.start()
      const clock = handClock(Math.floor(Date.now() / 1000) - 500)
      const { issue, bind, logOut, isLetIn } = scene({ clock, store: withLoginRecords(server.open()) })
      issue('old')
      await bind('a', 'old')
      clock.advance(100)
      await logOut({ sub: 'ada' })
      clock.advance(100)
      issue('refreshed')
      issue('new')
      await bind('b', 'new')
      expect([await isLetIn('new'), await isLetIn('old'), await isLetIn('refreshed')]).toEqual([true, false, false])
    })
  })
}

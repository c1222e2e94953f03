// Who is meant: a token of a later login and one that was refreshed from the ended login may say the same. Told apart by what `bind` and
// `addTokens` knew, else by dates; one rule for tokens that are introspected and those that the API verifies by itself.
import { createClient } from 'redis'
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
import { redisStore } from '../../src/stores/redis/index.js'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'
import { handClock, ISSUER, NOW, promptServer, RP } from './hand-run.js'

type Req = { readonly sessionId: string }
const sessions: SessionBackend<Req> = {
  protect() {},
  sessionOf: ({ sessionId }) => ({ sessionId }),
  bound() {},
  released() {},
  destroy: async () => {},
}
const mint: TokenMint = await createTokenMint(RP)
const AUTH_TIME = NOW - 1000

interface Given {
  readonly store?: LogoutStore
  readonly clock?: ReturnType<typeof handClock>
}

/** A Relying Party and an API over one store, and a clock that the OP shares. */
function scene({ clock = handClock(), store = withLoginRecords(memoryStore({ clock })) }: Given = {}) {
  const events: LogoutEvent[] = []
  const onEvent = (event: LogoutEvent) => void events.push(event)
  const rp = createBackchannelLogout({ provider: { ...RP, jwks: mint.jwks }, store, sessions, clock })
  const answers = new Map<string, object>()
  const { introspection } = promptServer((token) => Object.assign({ active: true }, answers.get(token)))
  const claims = createClaims({ introspection, store, clock, onEvent })
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
  const logOut = async (payload: { sub?: string; sid?: string | undefined }) => {
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
    const revoked = await check.isRevoked({ ...answers.get(name) }, name)
    expect((await claims.lookup(name)).active).toBe(!revoked)
    return !revoked
  }
  return { rp, terminate, clock, issue, bind, logOut, isLetIn, events, check, answers }
}

describe('Keycloak', () => {
  it('a silent sign-in in another browser after a logout of the user: its tokens are let in, the old ones are not', async () => {
    const { clock, issue, bind, logOut, isLetIn } = scene()
    issue('old', { sid: 'other browser' })
    await bind('a', 'old', { sid: 'other browser' })
    clock.advance(100)
    await logOut({ sub: 'ada' })
    clock.advance(10)
    issue('refreshed from the old one', { sid: 'other browser' })
    clock.advance(10)
    issue('new', { sid: 'other browser' })
    await bind('b', 'new', { sid: 'other browser' })
    expect(await isLetIn('new')).toBe(true)
    expect(await isLetIn('old')).toBe(false)
    expect(await isLetIn('refreshed from the old one')).toBe(false)
  })

  it('a consent was revoked, and the same sid signs in again: its tokens are let in at once', async () => {
    const { clock, issue, bind, logOut, isLetIn } = scene()
    issue('old')
    await bind('a', 'old')
    clock.advance(100)
    await logOut({ sub: 'ada', sid: 's1' })
    clock.advance(70)
    issue('new')
    expect(await bind('b', 'new')).toEqual({ ended: false })
    expect(await isLetIn('new')).toBe(true)
    expect(await isLetIn('old')).toBe(false)
  })

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

/** A logout; a later login in two steps, its token and its bind; a refresh of the old login in two, its token and its record. */
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

describe.skipIf(redisServer === undefined)('over a real Redis', () => {
  let redis: RunningRedis | undefined
  let client: ReturnType<typeof createClient> | undefined
  afterAll(async () => {
    client?.destroy()
    await redis?.stop()
  })

  it('tells the same', async () => {
    redis = await startRedis()
    client = createClient({ url: redis.url })
    client.on('error', () => {})
    await client.connect()
    const clock = handClock(Math.floor(Date.now() / 1000) - 500)
    const { issue, bind, logOut, isLetIn } = scene({ clock, store: withLoginRecords(redisStore(client)) })
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

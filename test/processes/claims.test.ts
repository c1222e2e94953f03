// Claims in another process than the logout: a real OP, a real Redis, a Relying Party and an API. How late is the last use of a
// token after the OP had its 200?
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeWith } from '../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'
import { type Child, startChild } from './child.js'
import { API, type Op, type OpLogin, RP, startOp } from './op.js'
import { DOORS, type Door, type RpReady } from './rp.js'
import { eventually } from './site.js'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js'

const BOUND_SECONDS = 1
const LOGOUTS = 8
/** Uses of each token at each door at one time. */
const CALLERS = 2
/** In so many of the logouts the API hears nothing of its Redis from before the logout until the bound has passed. */
const UNHEARD = 2

describeWith(redisServer, 'redis-server')('claims in an API that shares a Redis with the Relying Party', () => {
  let redis: RunningRedis
  let op: Op
  let line: TcpProxy
  let rp: Child<RpReady>
  let api: Child<RpReady>

  beforeAll(async () => {
    redis = await startRedis()
    op = await startOp()
    line = await startTcpProxy(redis.port)
    const provider = { issuer: op.issuer, clientId: RP.clientId, dangerouslyAllowHttp: true }
    const urls = { storeUrl: redis.url, sessionsUrl: redis.url, boundSeconds: BOUND_SECONDS }
    ;[rp, api] = await Promise.all([
      startChild<RpReady>('rp-process.ts', { provider, storeKind: 'redis', driver: 'node-redis', ...urls }),
      startChild<RpReady>('api-process.ts', {
        ...{ issuer: op.issuer, ...API, boundSeconds: BOUND_SECONDS },
        storeUrl: `redis://127.0.0.1:${line.port}`,
      }),
    ])
    await op.open(`http://127.0.0.1:${rp.ready.ports.strict}/backchannel-logout`)
  })
  afterAll(async () => {
    await Promise.all([rp?.kill(), api?.kill()])
    await op?.close()
    await line?.close()
    await redis?.stop()
  })

  async function signIn(sub: string): Promise<OpLogin> {
    const login = await op.signIn(sub)
    const { claims, accessToken } = login
    const answer = await fetch(`http://127.0.0.1:${rp.ready.ports.strict}/login`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ claims, accessToken }),
    })
    expect(await answer.json()).toMatchObject({ ended: false })
    return login
  }

  async function call(door: Door, { accessToken }: OpLogin): Promise<number> {
    const headers = { authorization: `Bearer ${accessToken}` }
    const answer = await fetch(`http://127.0.0.1:${api.ready.ports[door]}/`, { headers })
    await answer.text()
    return answer.status
  }

  /** Seconds after the OP's 200 at which the last call that was let in began, for one user who is busy at both doors. */
  async function lastUses(login: OpLogin, isUnheard: boolean): Promise<Readonly<Record<Door, number>>> {
    const lastAllowed = { strict: Number.NEGATIVE_INFINITY, bounded: Number.NEGATIVE_INFINITY }
    const caller = async (door: Door) => {
      for (;;) {
        const begun = performance.now()
        const status = await call(door, login)
        if (status === 401) return
        if (status === 200) lastAllowed[door] = Math.max(lastAllowed[door], begun)
        await delay(2)
      }
    }
    for (const door of DOORS) expect(await call(door, login)).toBe(200)
    const told = op.answers.length
    const callers = DOORS.flatMap((door) => Array.from({ length: CALLERS }, () => caller(door)))
    if (isUnheard) line.stall()
    await op.signOut(login)
    const [answer, ...more] = op.answers.slice(told)
    const bound = (answer?.at ?? 0) + BOUND_SECONDS * 1000
    if (isUnheard) {
      await eventually('the end of the bound', async () => (performance.now() > bound ? true : undefined))
      line.restore()
    }
    await Promise.all(callers)
    expect(more).toEqual([])
    expect(answer?.status).toBe(200)
    const since = (at: number) => Math.max(0, at - (answer?.at ?? 0)) / 1000
    return { strict: since(lastAllowed.strict), bounded: since(lastAllowed.bounded) }
  }

  it('are used at no time after the 200 where reads are strict, and by B where they are bounded', async () => {
    const stranger = await signIn('stranger')
    for (const door of DOORS) expect(await call(door, stranger)).toBe(200)
    const worst = { strict: 0, bounded: 0 }
    for (let i = 0; i < LOGOUTS; i++) {
      const login = await signIn(`user ${i}`)
      const late = await lastUses(login, i < UNHEARD)
      for (const door of DOORS) {
        worst[door] = Math.max(worst[door], late[door])
        expect(await call(door, login)).toBe(401)
      }
      // The OP would let them in still: it is the logout that ends them at the API.
      expect(await op.isActive(login.accessToken)).toBe(true)
    }
    process.stdout.write(
      `claims: the last use began at most ${worst.strict.toFixed(3)} s (strict) and ` +
        `${worst.bounded.toFixed(3)} s (bounded, B = ${BOUND_SECONDS} s) after the OP's 200\n`,
    )
    expect(worst.strict).toBe(0)
    expect(worst.bounded).toBeLessThanOrEqual(BOUND_SECONDS)
    // The replica did answer for a while: otherwise this would show nothing.
    expect(worst.bounded).toBeGreaterThan(0)
    for (const door of DOORS) expect(await call(door, stranger)).toBe(200)
    // Each token was asked about once at each door, and once by this test: what was let in was let in from the cache.
    expect(op.introspections()).toBe(2 + LOGOUTS * 3)
  })

  it('are not used at all while nobody can tell, and again as soon as somebody can', async () => {
    const stranger = await signIn('another stranger')
    for (const door of DOORS) expect(await call(door, stranger)).toBe(200)
    await redis.kill()
    expect(await call('strict', stranger)).toBe(503)
    await eventually('an end of the bound', async () => ((await call('bounded', stranger)) === 503 ? true : undefined))
    await redis.restart()
    for (const door of DOORS) {
      await eventually('a verdict', async () => ((await call(door, stranger)) === 200 ? true : undefined))
    }
  })
})

// A Relying Party with a real Redis, and an API in another process that shares nothing with it: how late is the last
// use of a token after the OP had its 200, when the line is whole, cut or stalled, and when the API dies?
import { setTimeout as delay } from 'node:timers/promises'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { createClient } from 'redis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRelay, type Relay } from '../../src/access-tokens/index.js'
import { type BackchannelLogout, createBackchannelLogout } from '../../src/index.js'
import { targetKey } from '../../src/marks/target.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'
import { describeWith } from '../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'
import { type Child, startChild } from './child.js'
import type { RelayApiReady, RelayApiSettings } from './relay-api-process.js'
import type { RelayRpReady, RelayRpSettings } from './relay-rp-process.js'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js'

const CLIENT = { issuer: 'https://op.example.com', clientId: 'rp' }
const RELAY = 'https://rp.example.com'
const AUDIENCE = 'https://api.example.com'
const BOUND_SECONDS = 1
const DOORS = ['/jwt', '/introspected'] as const

describeWith(redisServer, 'redis-server')('an API that a relay tells', () => {
  let redis: RunningRedis
  let client: ReturnType<typeof createClient>
  let mint: TokenMint
  let keys: Awaited<ReturnType<typeof generateKeyPair>>
  let api: Child<RelayApiReady>
  let line: TcpProxy
  let relay: Relay
  let logout: BackchannelLogout
  let settings: RelayApiSettings
  let notices = 0

  beforeAll(async () => {
    redis = await startRedis()
    client = createClient({ url: redis.url })
    client.on('error', () => {})
    await client.connect()
    mint = await createTokenMint(CLIENT)
    keys = await generateKeyPair('ES256', { extractable: true })
    const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), alg: 'ES256' }] }
    const { issuer } = CLIENT
    settings = { port: 0, issuer, relayIssuer: RELAY, audience: AUDIENCE, jwks, boundSeconds: BOUND_SECONDS }
    api = await startChild<RelayApiReady>('relay-api-process.ts', settings)
    settings = { ...settings, port: api.ready.port }
    line = await startTcpProxy(api.ready.port)
    const store = redisStore(client)
    relay = createRelay({
      store,
      issuer: RELAY,
      privateKey: keys.privateKey,
      algorithm: 'ES256',
      apis: [{ endpoint: `http://127.0.0.1:${line.port}/relay`, audience: AUDIENCE }],
      everySeconds: 0.1,
      timeoutSeconds: 0.3,
      dangerouslyAllowHttp: true,
      fetch: (url, init) => {
        notices += 1
        return fetch(url, init)
      },
    })
    logout = createBackchannelLogout({ provider: { ...CLIENT, jwks: mint.jwks }, store, claims: relay })
    await relay.refresh()
  })

  afterAll(async () => {
    relay?.close()
    logout?.close()
    await api?.kill()
    await line?.close()
    client?.destroy()
    await redis?.stop()
  })

  function accessToken(sid: string): Promise<string> {
    const iat = Math.floor(Date.now() / 1000) - 10
    return new SignJWT({ client_id: CLIENT.clientId, sub: 'ada', sid, iat, exp: iat + 600 })
      .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
      .setIssuer(CLIENT.issuer)
      .setAudience(AUDIENCE)
      .sign(keys.privateKey)
  }

  async function call(door: string, token: string, port = settings.port): Promise<number> {
    const url = `http://127.0.0.1:${port}${door}`
    const answer = await fetch(url, { headers: { Authorization: `Bearer ${token}` } }).catch(() => undefined)
    await answer?.text()
    return answer?.status ?? 0
  }

  /** As the OP does; resolves to when it heard 200. */
  async function logOut(sid: string): Promise<number> {
    const body = new URLSearchParams({ logout_token: await mint.logoutToken({ payload: { sub: 'ada', sid } }) })
    const answer = await logout.fetch(
      new Request('https://rp.example.com/backchannel-logout', { method: 'POST', body }),
    )
    expect(answer.status).toBe(200)
    return performance.now()
  }

  /**
   * Seconds after the 200 at which the last call that was let in began, for a user who is busy at both doors until
   * refused at both. Each call has its verdict after it began, so the bound holds for these moments too.
   */
  async function lastUseAfter(
    sid: string,
    meanwhile: () => Promise<void> = async () => {},
    end: () => Promise<number> = () => logOut(sid),
    port = settings.port,
  ): Promise<number> {
    const token = await accessToken(sid)
    for (const door of DOORS) expect(await call(door, token, port)).toBe(200)
    let lastAllowed = Number.NEGATIVE_INFINITY
    const busy = DOORS.map(async (door) => {
      for (;;) {
        const begun = performance.now()
        const status = await call(door, token, port)
        if (status === 200) lastAllowed = Math.max(lastAllowed, begun)
        if (status === 401) return
        await delay(2)
      }
    })
    const heard = await end()
    await meanwhile()
    await Promise.all(busy)
    return (lastAllowed - heard) / 1000
  }

  /** Resolves when the API has no verdict any more at either door. */
  async function untilNoVerdict(): Promise<void> {
    const token = await accessToken('asks')
    for (const door of DOORS) while ((await call(door, token)) !== 503) await delay(10)
  }

  it('lets in no call that begins after the OP’s 200, and those of other sessions as before', async () => {
    const other = await accessToken('other')
    for (let i = 0; i < 5; i++) expect(await lastUseAfter(`whole ${i}`)).toBeLessThanOrEqual(0)
    for (const door of DOORS) expect(await call(door, other)).toBe(200)
  })

  for (const [how, fault] of [
    ['cut', () => line.cut()],
    ['stalled', () => line.stall()],
  ] as const) {
    it(`lets in no call after the bound while the line is ${how}, and is told before it serves again`, async () => {
      const other = await accessToken('other')
      fault()
      const late = await lastUseAfter(`line ${how}`, async () => {
        await untilNoVerdict()
        line.restore()
      })
      expect(late).toBeLessThanOrEqual(BOUND_SECONDS)
      for (const door of DOORS) while ((await call(door, other)) !== 200) await delay(10)
    })
  }

  for (const dieAt of ['before begin', 'after begin', 'before complete'] as const) {
    it(`lets in no call after the 200 to the retry, where the Relying Party was killed ${dieAt}`, async () => {
      const own = await startChild<RelayApiReady>('relay-api-process.ts', { ...settings, port: 0 })
      const { port } = own.ready
      const relying: RelayRpSettings = {
        ...{ ...CLIENT, redisUrl: redis.url, jwks: mint.jwks, relayIssuer: RELAY },
        relayKey: await exportJWK(keys.privateKey),
        apis: [{ endpoint: `http://127.0.0.1:${port}/relay`, audience: AUDIENCE }],
      }
      const start = () => startChild<RelayRpReady>('relay-rp-process.ts', relying)
      let rp = await start()
      try {
        const sid = `killed ${dieAt}`
        const token = await mint.logoutToken({ payload: { sub: 'ada', sid } })
        const deliver = async () => {
          const body = new URLSearchParams({ logout_token: token })
          const answer = await fetch(`http://127.0.0.1:${rp.ready.port}`, { method: 'POST', body }).catch(
            () => undefined,
          )
          return answer?.status
        }
        const killedOnce = async () => {
          await rp.tell({ dieAt })
          expect(await deliver()).toBe(undefined)
          await rp.gone
          rp = await start()
          expect(await deliver()).toBe(200)
          return performance.now()
        }
        expect(await lastUseAfter(sid, undefined, killedOnce, port)).toBeLessThanOrEqual(0)
        expect(await deliver()).toBe(400)
        const other = await accessToken('other')
        for (const door of DOORS) expect(await call(door, other, port)).toBe(200)
      } finally {
        await Promise.all([rp.kill(), own.kill()])
      }
    })
  }

  it('serves nobody after kill -9 until it was told what was ended before and meanwhile', async () => {
    const before = await accessToken('before the end')
    const meanwhile = await accessToken('meanwhile')
    const other = await accessToken('other')
    await logOut('before the end')
    await api.kill()
    await logOut('meanwhile')
    api = await startChild<RelayApiReady>('relay-api-process.ts', settings)
    const firstVerdict = async (door: string, token: string) => {
      for (;;) {
        const status = await call(door, token)
        if (status === 200 || status === 401) return status
        await delay(2)
      }
    }
    const verdicts = await Promise.all(
      DOORS.flatMap((door) => [before, meanwhile, other].map((token) => firstVerdict(door, token))),
    )
    expect(verdicts).toEqual([401, 401, 200, 401, 401, 200])
  })

  it('is told thousands of marks by a few notices when it comes back, and lets in no token of any of them', async () => {
    const MARKS = 3000
    const store = redisStore(client)
    await api.kill()
    const issuedAt = Math.floor(Date.now() / 1000)
    const order = { issuedAt, seenSecondsAgo: 0, marksExpireAt: issuedAt + 3600, mayDestroy: false }
    await Promise.all(
      Array.from({ length: MARKS }, (_, i) =>
        store.begin({ target: targetKey({ ...CLIENT, sid: `of many ${i}`, sub: 'ada' }), ...order }),
      ),
    )
    const ended = await Promise.all([0, MARKS >> 1, MARKS - 1].map((i) => accessToken(`of many ${i}`)))
    const other = await accessToken('other')
    notices = 0
    api = await startChild<RelayApiReady>('relay-api-process.ts', settings)
    const isTold = () =>
      relay.refresh().then(
        () => true,
        () => false,
      )
    while (!(await isTold()));
    for (const door of DOORS) {
      for (const token of ended) expect(await call(door, token)).toBe(401)
      expect(await call(door, other)).toBe(200)
    }
    expect(notices).toBeLessThan(MARKS / 10)
  })
})

// Access tokens in another process than the logout: a real OP, a real store, a Relying Party and an API that
// introspects tokens and verifies JWTs by itself. How late is the last use of either after the OP had its 200, when the
// API's line is whole, cut or stalled, and when the API is killed?
import { setTimeout as delay } from 'node:timers/promises'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Child, startChild } from './child.js'
import { API, type Op, type OpLogin, RP, startOp } from './op.js'
import { DOORS, type Door, type RpReady } from './rp.js'
import { BOUND_SECONDS, boundPassed, eventually } from './site.js'
import { POSTGRES, REDIS, type StoreKind, type StoreServer } from './store-servers.js'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js'

/** What happens to the API from before the logout until the bound has passed. */
/** One without twice: it alone is sure to show that the replica still answers for a while. */
const FAULTS = ['none', 'none', 'stalled', 'cut', 'killed'] as const
/** Uses of each token at each door at one time. */
const CALLERS = 2
const PATHS = { introspected: '/', jwt: '/jwt' } as const
const KINDS = ['introspected', 'jwt'] as const
type Kind = (typeof KINDS)[number]
const AUDIENCE = 'https://api.example.com'

/** A login with both kinds of token. */
type Known = OpLogin & { readonly tokens: Readonly<Record<Kind, string>> }

// Both stores at once, since most of the time is waiting for a bound to pass; at one of them one test after the other.
for (const kind of [REDIS, POSTGRES]) describeTokens(kind)

function describeTokens({ name: storeKind, describe, start }: StoreKind): void {
  describe().concurrent(`access tokens at an API that shares ${storeKind} with the Relying Party`, () => {
    let server: StoreServer
    let op: Op
    let line: TcpProxy
    let rp: Child<RpReady>
    let api: Child<RpReady>
    let keys: Awaited<ReturnType<typeof generateKeyPair>>
    let startApi: () => Promise<Child<RpReady>>

    beforeAll(async () => {
      server = await start()
      op = await startOp()
      line = await startTcpProxy(server.port)
      const provider = { issuer: op.issuer, clientId: RP.clientId, dangerouslyAllowHttp: true }
      const urls = { storeUrl: server.url(server.port), sessionsUrl: server.url(server.port) }
      const store = { storeKind, boundSeconds: BOUND_SECONDS }
      keys = await generateKeyPair('ES256', { extractable: true })
      const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), alg: 'ES256' }] }
      const settings = { ...store, issuer: op.issuer, ...API, jwks, audience: AUDIENCE }
      startApi = () => startChild<RpReady>('api-process.ts', { ...settings, storeUrl: server.url(line.port) })
      ;[rp, api] = await Promise.all([
        startChild<RpReady>('rp-process.ts', { ...store, ...urls, provider, driver: 'node-redis' }),
        startApi(),
      ])
      await op.open(`http://127.0.0.1:${rp.ready.ports.strict}/backchannel-logout`)
    })
    afterAll(async () => {
      await Promise.all([rp?.kill(), api?.kill()])
      await op?.close()
      await line?.close()
      await server?.stop()
    })

    /** As the authorization server would: for the same login, verifiable without asking anybody. */
    function jwtOf({ claims }: OpLogin): Promise<string> {
      const { sub, sid, auth_time, iat } = claims
      const payload = { client_id: RP.clientId, sub, sid, auth_time, iat, exp: Number(iat) + 600 }
      return new SignJWT(payload as never)
        .setProtectedHeader({ alg: 'ES256', typ: 'at+jwt' })
        .setIssuer(op.issuer)
        .setAudience(AUDIENCE)
        .sign(keys.privateKey)
    }

    async function signIn(sub: string): Promise<Known> {
      const login = await op.signIn(sub)
      const { claims, accessToken } = login
      const answer = await fetch(`http://127.0.0.1:${rp.ready.ports.strict}/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ claims, accessToken }),
      })
      expect(await answer.json()).toMatchObject({ ended: false })
      return { ...login, tokens: { introspected: accessToken, jwt: await jwtOf(login) } }
    }

    /** The status, or 0 where there is no API. */
    async function call(door: Door, kind: Kind, { tokens }: Known): Promise<number> {
      const headers = { authorization: `Bearer ${tokens[kind]}` }
      const url = `http://127.0.0.1:${api.ready.ports[door]}${PATHS[kind]}`
      const answer = await fetch(url, { headers }).catch(() => undefined)
      await answer?.text().catch(() => {})
      return answer?.status ?? 0
    }

    async function expectEverywhere(status: number, login: Known): Promise<void> {
      for (const door of DOORS) for (const kind of KINDS) expect(await call(door, kind, login)).toBe(status)
    }

    type Uses = Record<Door, Record<Kind, number>>
    const never = (): Uses => ({ strict: { introspected: 0, jwt: 0 }, bounded: { introspected: 0, jwt: 0 } })

    /** Seconds after the OP's 200 at which the last call that was let in began, for one user who is busy at all doors. */
    async function lastUses(login: Known, fault: (typeof FAULTS)[number]): Promise<Uses> {
      const last = never()
      const caller = async (door: Door, kind: Kind) => {
        for (;;) {
          const begun = performance.now()
          const status = await call(door, kind, login)
          if (status === 401) return
          if (status === 200) last[door][kind] = Math.max(last[door][kind], begun)
          await delay(2)
        }
      }
      await expectEverywhere(200, login)
      const told = op.answers.length
      const busy = Array.from({ length: CALLERS }, () =>
        DOORS.flatMap((door) => KINDS.map((kind) => caller(door, kind))),
      )
      if (fault === 'stalled') line.stall()
      if (fault === 'cut') line.cut()
      const killed = fault === 'killed' ? api.kill() : undefined
      try {
        await op.signOut(login)
        if (fault === 'stalled' || fault === 'cut') await boundPassed(op.answers[told]?.at ?? 0)
      } finally {
        line.restore()
      }
      if (killed) {
        await killed
        api = await startApi()
      }
      await Promise.all(busy.flat())
      const [answer, ...more] = op.answers.slice(told)
      expect(more).toEqual([])
      expect(answer?.status).toBe(200)
      const since = never()
      for (const door of DOORS) {
        for (const kind of KINDS) since[door][kind] = Math.max(0, last[door][kind] - (answer?.at ?? 0)) / 1000
      }
      return since
    }

    it.sequential('are used at no time after the 200 where reads are strict, and by B where they are bounded', async () => {
      const stranger = await signIn('stranger')
      await expectEverywhere(200, stranger)
      const worst = never()
      for (const [i, fault] of FAULTS.entries()) {
        const login = await signIn(`user ${i}`)
        const late = await lastUses(login, fault)
        for (const door of DOORS) {
          for (const kind of KINDS) worst[door][kind] = Math.max(worst[door][kind], late[door][kind])
        }
        await expectEverywhere(401, login)
        // The OP would let them in still: it is the logout that ends them at the API.
        expect(await op.isActive(login.accessToken)).toBe(true)
      }
      for (const kind of KINDS) {
        process.stdout.write(
          `tokens, ${storeKind}, ${kind}: the last use began at most ${worst.strict[kind].toFixed(3)} s (strict) and ` +
            `${worst.bounded[kind].toFixed(3)} s (bounded, B = ${BOUND_SECONDS} s) after the OP's 200\n`,
        )
        expect(worst.strict[kind]).toBe(0)
        expect(worst.bounded[kind]).toBeLessThanOrEqual(BOUND_SECONDS)
        // The replica did answer for a while: otherwise this would show nothing.
        expect(worst.bounded[kind]).toBeGreaterThan(0)
      }
      await expectEverywhere(200, stranger)
    })

    it.sequential('introspected ones are asked about once at each door: what was let in was let in from the cache', async () => {
      const [one, before] = [await signIn('one'), op.introspections()]
      for (let i = 0; i < 5; i++) await expectEverywhere(200, one)
      expect(op.introspections() - before).toBe(DOORS.length)
    })

    it.sequential('are not used at all while nobody can tell, and again as soon as somebody can', async () => {
      const stranger = await signIn('another stranger')
      await expectEverywhere(200, stranger)
      await server.kill()
      for (const kind of KINDS) {
        expect(await call('strict', kind, stranger)).toBe(503)
        const isOver = async () => ((await call('bounded', kind, stranger)) === 503 ? true : undefined)
        await eventually('an end of the bound', isOver)
      }
      await server.restart()
      for (const door of DOORS) {
        for (const kind of KINDS) {
          await eventually('a verdict', async () => ((await call(door, kind, stranger)) === 200 ? true : undefined))
        }
      }
    })
  })
}

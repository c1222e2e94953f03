// Users who come back with their sign-ons and an OP that logs them out, one after another, while servers die. Writes
// down what each was told and when; judges nothing.
import { setTimeout as delay } from 'node:timers/promises'
import { type BackchannelLogoutOptions, createBackchannelLogout } from 'oidc-backchannel-logout'
import { createTokenMint } from 'oidc-backchannel-logout/testing'

/** Pauses between two logouts, and between two page views. */
const LOGOUT_EVERY_MS = 20
const VIEW_EVERY_MS = 10

export interface Logout {
  readonly sid: string
  readonly askedAtMs: number
  readonly answeredAtMs: number
  readonly status: number
}

export interface View {
  readonly sid: string
  readonly askedAtMs: number
  readonly answeredAtMs: number
  /** Undefined: no verdict, which is answered 503. */
  readonly isLive: boolean | undefined
}

export interface Traffic {
  readonly logouts: readonly Logout[]
  readonly views: readonly View[]
  /** Whether that user is let in now; rejects where there is no verdict. */
  isLive(sid: string): Promise<boolean>
  /** No further requests; resolves when those under way are answered. */
  end(): Promise<void>
  close(): void
}

export async function startTraffic(store: BackchannelLogoutOptions['store']): Promise<Traffic> {
  const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'my-rp' })
  const logout = createBackchannelLogout({
    provider: { issuer: mint.issuer, clientId: mint.clientId, jwks: mint.jwks },
    ...(store && { store }),
  })
  const signOns = new Map<string, NonNullable<Awaited<ReturnType<typeof logout.signOn>>>>()
  const logouts: Logout[] = []
  const views: View[] = []
  let goesOn = true

  const isLive = async (sid: string) => {
    const signOn = signOns.get(sid)
    if (signOn === undefined) throw new Error('nobody signed in so')
    return logout.isLive(signOn)
  }
  async function logOutOne(n: number): Promise<void> {
    const [sub, sid] = [`sub ${n}`, `sid ${n}`]
    const signOn = await logout.signOn(mint.idTokenClaims({ sub, sid })).catch(() => undefined)
    // Nobody signs in while the store is away.
    if (!signOn) return
    signOns.set(sid, signOn)
    const body = new URLSearchParams({ logout_token: await mint.logoutToken({ payload: { sub, sid } }) })
    const askedAtMs = performance.now()
    const { status } = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    logouts.push({ sid, status, askedAtMs, answeredAtMs: performance.now() })
  }
  async function viewOne(): Promise<void> {
    const { sid } = logouts[Math.floor(Math.random() * logouts.length)] ?? {}
    if (sid === undefined) return
    const askedAtMs = performance.now()
    const verdict = await isLive(sid).catch(() => undefined)
    views.push({ sid, askedAtMs, answeredAtMs: performance.now(), isLive: verdict })
  }
  async function each(pauseMs: number, one: (n: number) => Promise<void>): Promise<void> {
    const underWay = new Set<Promise<void>>()
    for (let n = 0; goesOn; n++) {
      const work = one(n).finally(() => underWay.delete(work))
      underWay.add(work)
      await delay(pauseMs)
    }
    await Promise.all(underWay)
  }
  const running = Promise.all([each(LOGOUT_EVERY_MS, logOutOne), each(VIEW_EVERY_MS, viewOne)])
  running.catch(() => {})
  return {
    logouts,
    views,
    isLive,
    async end() {
      goesOn = false
      await running
    },
    close: () => logout.close(),
  }
}

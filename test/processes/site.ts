// A Relying Party of four nodes in front of one store, with the network between them in the test's hand. Knows how
// users and an OP behave towards it, and nothing of what must come of that.
import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'
import { type Child, startChild } from './child.js'
import {
  DOORS,
  type Door,
  type Login,
  type LoginStep,
  type ManyLogins,
  type RpReady,
  type RpSettings,
  type Step,
} from './rp.js'
import { startTcpProxy, type TcpProxy } from './tcp-proxy.js'

export const BOUND_SECONDS = 1
/** How long a request may stay without an answer before its sender gives up. */
const PATIENCE_MS = 4000
/** How long a fault's after-effects may take at most. */
const DEADLINE_MS = 60_000

const provider = { issuer: 'https://op.example', clientId: 'rp' }
const NODES = [0, 1, 2, 3] as const
export type NodeNumber = (typeof NODES)[number]

export interface Place {
  readonly node: NodeNumber
  readonly door: Door
}
export const PLACES: readonly Place[] = NODES.flatMap((node) => DOORS.map((door) => ({ node, door })))

/** What a browser holds after a login: the cookie of its session, and the record of a stateless one. */
export interface Browser {
  readonly user: string
  readonly cookie: string
  readonly record: string
}
/** The id of its express-session, which its signed cookie begins with. */
export function sessionIdOf({ cookie }: Browser): string {
  return decodeURIComponent(cookie).match(/^rp=s:([^.]+)\./)?.[1] ?? ''
}

/** The two ways in which a node knows a user. */
export const WAYS = ['cookie', 'record'] as const
export type Way = (typeof WAYS)[number]

export interface User {
  readonly sub: string
  readonly sid: string
  readonly browsers: readonly Browser[]
}

export type SiteOptions = Pick<RpSettings, 'storeKind'> & { readonly port: number; url(port: number): string }

export class Site {
  /** The lines of nodes 0 and 1, and of nodes 2 and 3: to the logout store, and to their sessions. */
  readonly lines: Readonly<Record<'nearStore' | 'nearSessions' | 'farStore' | 'farSessions' | 'doorbells', TcpProxy>>
  readonly #options: SiteOptions
  readonly #mint: TokenMint
  readonly #nodes = new Map<NodeNumber, Promise<Child<RpReady>>>()

  static async start(options: SiteOptions): Promise<Site> {
    const line = () => startTcpProxy(options.port)
    const lines = {
      nearStore: await line(),
      nearSessions: await line(),
      farStore: await line(),
      farSessions: await line(),
      doorbells: await line(),
    }
    const site = new Site(options, lines, await createTokenMint(provider))
    for (const node of NODES) site.#startNode(node)
    await site.ready()
    return site
  }

  private constructor(options: SiteOptions, lines: Site['lines'], mint: TokenMint) {
    this.#options = options
    this.lines = lines
    this.#mint = mint
  }

  /** Mends the network, starts dead nodes again, and waits until somebody who is signed in is served at every door. */
  async ready(): Promise<void> {
    this.restore()
    for (const node of NODES) if ((await this.#nodes.get(node))?.isGone()) this.#startNode(node)
    const somebody = await eventually('a login', () => this.signIn({ node: 0, door: 'strict' }).catch(() => undefined))
    await this.served(somebody)
  }

  /** Waits until a browser is served at every door, in both ways. */
  async served(browser: Browser): Promise<void> {
    await everywhere((place, way) =>
      eventually(`${browser.user} at ${place.node} ${place.door} by ${way}`, async () =>
        (await this.isServed(place, browser, way)) ? true : undefined,
      ),
    )
  }

  restore(): void {
    for (const line of Object.values(this.lines)) line.restore()
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#nodes.values()].map(async (node) => (await node).kill()))
    await Promise.all(Object.values(this.lines).map((line) => line.close()))
  }

  /** The node kills itself at this step of its next logout. */
  async doom(node: NodeNumber, dieAt: Step): Promise<void> {
    const child = await this.#nodes.get(node)
    await child?.tell({ dieAt })
  }

  /** Resolves when the process of the node is gone; another one is started in its place. */
  async death(node: NodeNumber): Promise<void> {
    await (await this.#nodes.get(node))?.gone
    this.#startNode(node)
  }

  /** A user with a browser at each of these doors, all of one OP session. */
  async signInUser(places: readonly Place[]): Promise<User> {
    const [sub, sid] = [`user ${randomUUID()}`, randomUUID()]
    return { sub, sid, browsers: await Promise.all(places.map((place) => this.signIn(place, sub, sid))) }
  }

  /** `issuedSecondsFromNow`: by how much the OP's date of this login is later. */
  async signIn(
    place: Place,
    sub = `user ${randomUUID()}`,
    sid: string = randomUUID(),
    issuedSecondsFromNow = 0,
  ): Promise<Browser> {
    const iat = Math.floor(Date.now() / 1000) + issuedSecondsFromNow
    const answer = await this.#fetch(place, '/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ claims: this.#mint.idTokenClaims({ sub, sid, iat }) } satisfies Login),
    })
    const { ended, record }: { ended?: unknown; record?: unknown } = Object(await answer.json())
    if (ended !== false || record === undefined) throw new Error('the login did not stand')
    const [cookie = ''] = answer.headers.get('set-cookie')?.split(';') ?? []
    return { user: sub, cookie, record: JSON.stringify(record) }
  }

  /** A login in the midst of which the node dies: what its browser holds by then. Another node is started. */
  async signInUntilDeath({ node, door }: Place, step: LoginStep): Promise<User> {
    const [sub, sid] = [`user ${randomUUID()}`, randomUUID()]
    await this.doom(node, step)
    const answer = await this.#fetch({ node, door }, '/login', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ claims: this.#mint.idTokenClaims({ sub, sid }) } satisfies Login),
    })
    const [cookie = ''] = answer.headers.get('set-cookie')?.split(';') ?? []
    await answer.text().catch(() => {})
    await this.death(node)
    return { sub, sid, browsers: [{ user: sub, cookie, record: '' }] }
  }

  /** So many more sessions of a user; resolves to their ids. */
  async signInMore(place: Place, { sub, sid }: User, count: number): Promise<readonly string[]> {
    const answer = await this.#fetch(place, '/many-logins', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ claims: this.#mint.idTokenClaims({ sub, sid }), count } satisfies ManyLogins),
      signal: AbortSignal.timeout(DEADLINE_MS),
    })
    const ids: unknown = await answer.json()
    if (!Array.isArray(ids) || ids.length !== count) throw new Error('not all logins stand')
    return ids.map(String)
  }

  /** Whether the browser is let in as its user. No answer, and no verdict, is no. */
  async isServed(place: Place, browser: Browser, way: Way): Promise<boolean> {
    return (await this.use(place, browser, way)) === 200
  }

  /** The status of one use; 0 without an answer. Fails if it serves somebody else. */
  async use(place: Place, { user, cookie, record }: Browser, way: Way): Promise<number> {
    try {
      const answer = await (way === 'cookie'
        ? this.#fetch(place, '/me', { headers: { cookie } })
        : this.#fetch(place, '/record', { headers: { 'x-sign-on': record } }))
      const said = await answer.text()
      if (answer.status === 200 && said !== user) throw new TypeError('somebody else was served')
      return answer.status
    } catch (error) {
      if (error instanceof TypeError && error.message === 'somebody else was served') throw error
      return 0
    }
  }

  /** A request that has read its session and will write it back when `finishSlowRequests` is called. */
  async slowRequest(place: Place, { cookie }: Browser): Promise<{ readonly answered: Promise<unknown> }> {
    const answer = await this.#fetch(place, '/slow', { headers: { cookie } })
    return { answered: answer.text() }
  }

  async finishSlowRequests(): Promise<void> {
    await Promise.all(PLACES.map((place) => this.#fetch(place, '/finish-slow', { method: 'POST' })))
  }

  logoutToken({ sub, sid }: User, scope: 'sub' | 'sid' = 'sub'): Promise<string> {
    return this.#mint.logoutToken({ payload: { sub, sid: scope === 'sid' ? sid : undefined } })
  }

  /** As an OP delivers: the status, or 0 without an answer. */
  async deliver(place: Place, token: string): Promise<{ readonly status: number; readonly said: string }> {
    const body = new URLSearchParams({ logout_token: token })
    try {
      const answer = await this.#fetch(place, '/backchannel-logout', { method: 'POST', body })
      return { status: answer.status, said: await answer.text() }
    } catch {
      return { status: 0, said: '' }
    }
  }

  /** As an OP that tries again: until the answer is 200, or says that the logout had been completed. */
  deliverUntilDone(place: Place, token: string): Promise<'done' | 'replay'> {
    return eventually('an acknowledgement', async () => {
      const { status, said } = await this.deliver(place, token)
      if (status === 200) return 'done'
      return said.includes('used before') ? 'replay' : undefined
    })
  }

  async #fetch({ node, door }: Place, path: string, init: RequestInit): Promise<Response> {
    const child = await this.#nodes.get(node)
    const signal = AbortSignal.timeout(PATIENCE_MS)
    return fetch(`http://127.0.0.1:${child?.ready.ports[door]}${path}`, { signal, ...init })
  }

  #startNode(node: NodeNumber): void {
    const { storeKind, url } = this.#options
    const { nearStore, nearSessions, farStore, farSessions, doorbells } = this.lines
    const isNear = node < 2
    const settings: RpSettings = {
      provider: { ...provider, jwks: this.#mint.jwks },
      storeKind,
      driver: node % 2 === 0 ? 'node-redis' : 'ioredis',
      storeUrl: url((isNear ? nearStore : farStore).port),
      sessionsUrl: url((isNear ? nearSessions : farSessions).port),
      doorbellUrl: node % 2 === 0 ? undefined : url(doorbells.port),
      boundSeconds: BOUND_SECONDS,
    }
    const starting = startChild<RpReady>('rp-process.ts', settings)
    starting.catch(() => {}) // Whoever needs this node hears of it.
    this.#nodes.set(node, starting)
  }
}

/** Every door in both ways. */
export function everywhere<T>(work: (place: Place, way: Way) => Promise<T>): Promise<readonly T[]> {
  return Promise.all(PLACES.flatMap((place) => WAYS.map((way) => work(place, way))))
}

/** Asks again and again until there is something. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS
  for (;;) {
    const found = await ask()
    if (found !== undefined) return found
    if (performance.now() > deadline) throw new Error(`there was never ${what}`)
    await delay(20)
  }
}

/** Waits until a bounded read could no longer be answered as before. */
export function boundPassed(acknowledged: number): Promise<true> {
  const passed = acknowledged + BOUND_SECONDS * 1000 + 100
  return eventually('the end of the bound', async () => (performance.now() > passed ? true : undefined))
}

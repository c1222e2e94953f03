// Random histories of browsers, requests held over, logouts, clocks and repeats agree with a model that says what
// should be.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { BeginLogout, LogoutStore, NewBinding } from '../../src/stores/logout-store.js'
import { type Node, type Request, type SignOnOfUser, userOf, World, type WorldOptions } from './world.js'

const RUNS = 10_000
const COMMANDS = 18
/** Machines of one OP disagree by so much at most; a login by the same sid may be under way for so long. */
const [SKEW, UNDER_WAY] = [5, 60]
const BROWSERS = ['alice', 'alice', 'bob'] as const

const browser = fc.nat({ max: BROWSERS.length - 1 })
const node = fc.nat({ max: 1 })
const skew = fc.constantFrom(-90, -2, -1, -0.5, 0, 0.5, 1, 2)
const sub = fc.constantFrom('alice', 'bob')
/** Absent: the login, or the Logout Token, names no `sid`. */
const session = fc.option(fc.nat({ max: 2 }), { nil: undefined, freq: 3 })
/** How long ago the user was sent to the OP. Absent: the application does not say. */
const begunSecondsAgo = fc.constantFrom(undefined, undefined, 0, 0.7, 3, 40)

const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('log in' as const), browser, node, session, skew, begunSecondsAgo }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('open' as const), browser, node }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('write' as const, 'touch' as const, 'regenerate' as const, 'log out' as const),
      held: fc.nat({ max: 9 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('log out by sid' as const),
      sub,
      session: fc.nat({ max: 2 }),
      namesSub: fc.boolean(),
      node,
      skew,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('log out by sub' as const), sub, node, skew }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('repeat the last token' as const), node }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('log out here' as const), browser, node }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('terminate' as const), sub, session, node }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('time passes' as const), seconds: fc.constantFrom(0.5, 1, 4, 30, 61) }),
  },
)
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

interface KnownSession {
  readonly signOn: SignOnOfUser
  readonly boundAt: number
  isEnded: boolean
  /** Its sign-on has another session id now. */
  isLeft: boolean
  /** The id that it had before. */
  readonly movedFrom?: string
}

type Target = { readonly sid: string; readonly sub?: string } | { readonly sub: string; readonly sid?: undefined }

interface Logout {
  readonly target: Target
  /** Absent: no token is behind it. */
  readonly iat: number | undefined
  readonly seenAt: number
  /** By the clock of the world, which goes on between two commands. */
  readonly seenAtClock: number
}

/** What should be: which session ids show whom. Order of events stands for the store's clock. */
class Model {
  readonly sessions = new Map<string, KnownSession>()
  readonly #marks: Logout[] = []
  /** What each node knows of the ids that a session had before: those that it changed itself. */
  readonly #earlier = new Map<Node, Map<string, readonly string[]>>()
  #event = 0

  whoIs(id: string): string | undefined {
    const known = this.sessions.get(id)
    return known === undefined || known.isEnded || known.isLeft ? undefined : userOf(known.signOn)
  }

  /**
   * A login changes the id: only where the browser signs in once more to the same sign-on does it keep what it had
   * before.
   */
  logIn(before: string, id: string, signOn: SignOnOfUser, node: Node): boolean {
    const old = this.sessions.get(before)
    const isSame = old !== undefined && !old.isEnded && old.signOn.sub === signOn.sub && old.signOn.sid === signOn.sid
    this.#noteEarlier(before, id, node)
    if (!isSame) this.#earlierAt(node).delete(id)
    this.leave(before)
    const fresh: KnownSession = { signOn, boundAt: ++this.#event, isEnded: false, isLeft: false }
    fresh.isEnded = this.#isCovered(fresh)
    this.sessions.set(id, fresh)
    return fresh.isEnded
  }

  changeId(from: string, to: string, node: Node): void {
    const known = this.sessions.get(from)
    if (known !== undefined) this.sessions.set(to, { ...known, isLeft: false, movedFrom: from })
    this.#noteEarlier(from, to, node)
    this.leave(from)
  }

  leave(id: string): void {
    const known = this.sessions.get(id)
    if (known !== undefined) known.isLeft = true
  }

  /** With the ids that it had before, as far as this node knows them, and with all that moved on from any of them. */
  logOutHere(id: string, node: Node): void {
    if (!this.sessions.has(id)) return
    for (const each of [id, ...(this.#earlierAt(node).get(id) ?? [])]) this.#endWithWhatMovedOn(each)
  }

  #endWithWhatMovedOn(id: string): void {
    const known = this.sessions.get(id)
    if (known === undefined) return
    known.isEnded = true
    for (const [to, { movedFrom }] of this.sessions) if (movedFrom === id) this.#endWithWhatMovedOn(to)
  }

  #earlierAt(node: Node): Map<string, readonly string[]> {
    const known = this.#earlier.get(node) ?? new Map<string, readonly string[]>()
    this.#earlier.set(node, known)
    return known
  }

  #noteEarlier(from: string, to: string, node: Node): void {
    if (!this.sessions.has(from)) return
    const known = this.#earlierAt(node)
    known.set(to, [from, ...(known.get(from) ?? [])])
    known.delete(from)
  }

  logOut(target: Target, iat: number | undefined, seenAtClock: number): void {
    const seenAt = ++this.#event
    this.#marks.push({ target, iat, seenAt, seenAtClock })
    for (const known of this.sessions.values()) known.isEnded ||= this.#isCovered(known)
  }

  #isCovered({ signOn: { sub, sid, iat, startedAt }, boundAt }: KnownSession): boolean {
    return this.#marks.some(({ target, seenAt, seenAtClock, ...mark }) => {
      const isNamed = target.sid !== undefined && target.sid === sid
      const isMeantPerhaps = target.sid !== undefined && sid === undefined && target.sub === sub
      if (!isNamed && !isMeantPerhaps && !(target.sid === undefined && target.sub === sub)) return false
      if (startedAt !== undefined && startedAt > seenAtClock) return false
      if (mark.iat === undefined) return boundAt < seenAt
      const after = iat - mark.iat
      return after <= 0 || (after <= SKEW && boundAt < seenAt) || (isNamed && after <= UNDER_WAY)
    })
  }
}

/** Does to the world and to the model what the commands say. */
class History {
  readonly world: World
  readonly model = new Model()
  readonly nodes: readonly [Node, Node]
  readonly #cookies: (string | undefined)[] = BROWSERS.map(() => undefined)
  readonly #held: { readonly request: Request; readonly browser: number }[] = []
  #last: { readonly target: Target; readonly iat: number } | undefined
  #tokens = 0

  constructor(options: WorldOptions = {}) {
    this.world = new World(options)
    this.nodes = [this.world.addNode(), this.world.addNode()]
  }

  async run(step: Command): Promise<void> {
    const { world, model } = this
    // Two commands never share a moment: what began in one of them began before the next.
    world.now += 0.01
    switch (step.do) {
      case 'log in': {
        const request = await this.#visit(step.browser, step.node)
        const sub = BROWSERS[step.browser] ?? ''
        const { session, skew, begunSecondsAgo } = step
        const startedAt = begunSecondsAgo === undefined ? undefined : world.now - begunSecondsAgo - 0.005
        const sid = session === undefined ? undefined : `${sub} ${session}`
        const signOn: SignOnOfUser = { sub, sid, iat: world.now + skew, startedAt }
        const before = request.sessionID
        const ended = await world.logIn(request, signOn)
        expect(ended).toBe(model.logIn(before, request.sessionID, signOn, request.node))
        this.#cookies[step.browser] = request.sessionID
        return
      }
      case 'open':
        this.#held.push({ request: await this.#visit(step.browser, step.node), browser: step.browser })
        return
      case 'write':
      case 'touch':
      case 'regenerate':
      case 'log out': {
        const held = this.#held[step.held % Math.max(1, this.#held.length)]
        if (held === undefined) return
        if (step.do === 'log out') {
          // The request has no session any more.
          this.#held.splice(this.#held.indexOf(held), 1)
          model.logOutHere(held.request.sessionID, held.request.node)
          return world.logOutLocally(held.request)
        }
        if (step.do !== 'regenerate') return world[step.do](held.request)
        const before = held.request.sessionID
        await world.regenerate(held.request)
        model.changeId(before, held.request.sessionID, held.request.node)
        this.#cookies[held.browser] = held.request.sessionID
        return
      }
      case 'log out by sid':
        return this.#logOut(
          { sid: `${step.sub} ${step.session}`, ...(step.namesSub && { sub: step.sub }) },
          step.node,
          world.now + step.skew,
        )
      case 'log out by sub':
        return this.#logOut({ sub: step.sub }, step.node, world.now + step.skew)
      case 'repeat the last token':
        if (this.#last === undefined) return
        await world.logOut(this.#node(step.node), this.#last.target, this.#last.iat, `jti ${this.#tokens}`)
        return
      case 'log out here': {
        const request = await this.#visit(step.browser, step.node)
        model.logOutHere(request.sessionID, request.node)
        return world.logOutLocally(request)
      }
      case 'terminate': {
        const target = step.session === undefined ? { sub: step.sub } : { sid: `${step.sub} ${step.session}` }
        await world.logOut(this.#node(step.node), target)
        return model.logOut(target, undefined, world.now)
      }
      case 'time passes':
        world.now += step.seconds
    }
  }

  /** The world as every node shows it, and as the model has it. */
  async check(): Promise<void> {
    const { world, model } = this
    const expected = world.ids.map((id) => model.whoIs(id))
    const rows = world.ids.map((id) => JSON.parse(world.rows.get(id) ?? '{}').signOn)
    expect(rows).toEqual(expected)
    for (const node of this.nodes) {
      const shown: (string | undefined)[] = []
      for (const id of world.ids.slice(0, expected.length)) shown.push(await world.whoIs(node, id))
      expect(shown).toEqual(expected)
    }
  }

  #node(index: number): Node {
    return this.nodes[index === 0 ? 0 : 1]
  }

  #visit(browser: number, node: number): Promise<Request> {
    return this.world.visit(this.#node(node), this.#cookies[browser])
  }

  async #logOut(target: Target, node: number, iat: number): Promise<void> {
    this.#last = { target, iat }
    await this.world.logOut(this.#node(node), target, iat, `jti ${++this.#tokens}`)
    this.model.logOut(target, iat, this.world.now)
  }
}

type Broken = NonNullable<WorldOptions['broken']>

/** A store that is told something else. */
function changed(changes: {
  bind?: (login: NewBinding) => NewBinding
  begin?: (logout: BeginLogout, now: number) => BeginLogout
}): Broken {
  return (store, clock) => {
    const { bind, begin } = store
    store.bind = (login) => bind.call(store, changes.bind?.(login) ?? login)
    store.begin = (logout) => begin.call(store, changes.begin?.(logout, clock()) ?? logout)
    return store
  }
}

/** The rule as it was: of the logouts of one target the one that the OP dated last stands for all. */
function merging(store: LogoutStore, clock: () => number): LogoutStore {
  const last = new Map<string, { readonly issuedAt: number | undefined; readonly seenAt: number }>()
  const { begin } = store
  store.begin = async (logout) => {
    const name = JSON.stringify(logout.target)
    const before = last.get(name)
    const isLast = before?.issuedAt === undefined || (logout.issuedAt ?? Number.POSITIVE_INFINITY) >= before.issuedAt
    const told = isLast
      ? logout
      : { ...logout, issuedAt: before.issuedAt, seenSecondsAgo: Math.max(0, clock() - before.seenAt) }
    const begun = await begin.call(store, told)
    if (!begun.replayed && isLast) last.set(name, { issuedAt: logout.issuedAt, seenAt: begun.mark.seenAt })
    return begun
  }
  return store
}

const histories = fc.array(command, { minLength: 4, maxLength: COMMANDS })

async function agrees(commands: readonly Command[], options: WorldOptions = {}): Promise<number> {
  const history = new History(options)
  try {
    for (const step of commands) await history.run(step)
    await history.check()
    return history.world.events.filter(({ type }) => type === 'resurrection-blocked').length
  } finally {
    history.world.close()
  }
}

describe('random histories', () => {
  it(`agree with the model in ${RUNS} runs`, { timeout: 300_000 }, async () => {
    let blocked = 0
    const property = fc.asyncProperty(histories, async (commands) => {
      blocked += await agrees(commands)
    })
    await fc.assert(property, { numRuns: RUNS })
    expect(blocked).toBeGreaterThan(RUNS / 10) // Histories in which nothing tried to come back would prove nothing.
  })

  it.each<[string, WorldOptions]>([
    ['sessions are not protected', { protection: 'none' }],
    ['one mark is kept for each target, with the greatest date of the OP', { broken: merging }],
    [
      'nobody knows when a login was begun',
      { broken: changed({ bind: (login) => ({ ...login, startedAt: undefined }) }) },
    ],
    [
      'a logout without a token is dated by our clock',
      { broken: changed({ begin: (logout, now) => ({ ...logout, issuedAt: logout.issuedAt ?? now }) }) },
    ],
    [
      'a logout by sid spares whoever signed in without one',
      {
        broken: changed({
          begin: ({ target, ...logout }) => ({ ...logout, target: { scope: target.scope, key: target.key } }),
        }),
      },
    ],
  ])('do not agree with it if %s', async (_, options) => {
    const property = fc.asyncProperty(histories, async (commands) => {
      await agrees(commands, options)
    })
    const { failed } = await fc.check(property, { numRuns: RUNS, endOnFailure: true })
    expect(failed).toBe(true)
  })
})

// Random sequences of everything that can happen to the cache, judged by a reference that knows all marks and nothing
// of caches.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Claims,
  createClaims,
  type EndedClaims,
  type TokenClaims,
  type Verdict,
} from '../../src/access-tokens/index.js'
import { sidKey, subKey, targetKey, tokenKey } from '../../src/marks/target.js'
import type { LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { active, handClock, INACTIVE, ISSUER, NOW, RP } from './hand-run.js'

const RUNS = 10_000
const MAX_COMMANDS = 30
const LIFETIME = 30
const NEGATIVE_LIFETIME = 5
const TOLERANCE = 60

interface Token {
  readonly sub: string
  readonly sid?: string
  readonly iat: number
  readonly auth_time?: number
  readonly exp: number
}

const OF_SESSION = 'recorded at login, without a sid in its answer'
const TOKENS: Record<string, Token> = {
  plain: { sub: 'alice', sid: 's1', iat: NOW - 10, exp: NOW + 3600 },
  'expires soon': { sub: 'alice', sid: 's1', iat: NOW - 10, exp: NOW + 40 },
  refreshed: { sub: 'alice', sid: 's1', iat: NOW + 200, exp: NOW + 4000 },
  'refreshed, with auth_time': { sub: 'alice', sid: 's2', iat: NOW + 200, auth_time: NOW - 10, exp: NOW + 4000 },
  'of a server whose clock is ahead': { sub: 'alice', sid: 's3', iat: NOW + 20, exp: NOW + 4000 },
  'of another user': { sub: 'bob', sid: 's9', iat: NOW - 10, exp: NOW + 3600 },
  [OF_SESSION]: { sub: 'alice', iat: NOW + 200, exp: NOW + 4000 },
}
const NAMES = Object.keys(TOKENS)

type Ended = { readonly sid: string; readonly sub?: string } | { readonly sub: string } | { readonly token: string }

type Command =
  | { readonly do: 'request'; readonly token: string; readonly maxAge?: number | undefined }
  /** The server decides about an open question, or its decision arrives, or the connection breaks. */
  | { readonly do: 'decide' | 'deliver' | 'fail'; readonly which: number }
  | { readonly do: 'revoke'; readonly token: string }
  | { readonly do: 'log out'; readonly ended: Ended; readonly issuedAgo: number }
  /** One of the notifications reaches the cache: late, in any order, again, or never. */
  | { readonly do: 'notify'; readonly which: number }
  | { readonly do: 'wait'; readonly seconds: number }
  | { readonly do: 'store'; readonly up: boolean }
  | { readonly do: 'restart' }

const which = fc.nat({ max: 5 })
const token = fc.constantFrom(...NAMES)
const logout = fc.constantFrom<Ended>(
  { sid: 's1' },
  { sid: 's1', sub: 'alice' },
  { sid: 's1', sub: 'bob' },
  { sid: 's2' },
  { sub: 'alice' },
  { sub: 'bob' },
  ...NAMES.map((name) => ({ token: name })),
)
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('request'), token, maxAge: fc.constantFrom(undefined, 0, 10) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('decide'), which }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('deliver'), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail'), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('revoke'), token }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('log out'), ended: logout, issuedAgo: fc.constantFrom(0, 0, 1, 5) }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('notify'), which }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait'), seconds: fc.constantFrom(0.001, 1, 6, 29.999, 30, 61) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('store'), up: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('restart') }) },
)

// ---- the reference

interface KnownMark {
  readonly ended: Ended
  readonly issuedAt: number
  /** When the cache under test could know of it. */
  readonly since: number
}

/** Whether a mark ends a token. In the tolerance, both answers are right: clocks alone cannot tell. */
function judge({ ended, issuedAt }: KnownMark, name: string): 'ends' | 'may end' | 'spares' {
  const { sub, sid, iat, auth_time: authTime } = TOKENS[name] ?? { sub: '', iat: 0 }
  if ('token' in ended) return ended.token === name ? 'ends' : 'spares'
  const ofSession = 'sid' in ended ? ended.sid === 's1' && ended.sub !== 'bob' : ended.sub === 'alice'
  if (name === OF_SESSION && ofSession) return 'ends'
  if ('sid' in ended) {
    return ended.sid === sid && (authTime ?? 0) <= issuedAt + TOLERANCE ? 'ends' : 'spares'
  }
  if (ended.sub !== sub) return 'spares'
  const date = authTime ?? iat
  if (date <= issuedAt) return 'ends'
  return date <= issuedAt + TOLERANCE ? 'may end' : 'spares'
}

interface Said {
  readonly active: boolean
  readonly askedAt: number
  readonly at: number
}

interface Request {
  readonly token: string
  readonly maxAge: number | undefined
  readonly step: number
  readonly at: number
}

interface World {
  readonly marks: readonly KnownMark[]
  readonly said: readonly Said[]
  readonly failedSince: boolean
  readonly step: number
  readonly now: number
}

/** Why an outcome is wrong, or nothing. */
function objection(request: Request, outcome: Verdict<undefined> | 'no verdict', world: World): string | undefined {
  const { exp } = TOKENS[request.token] ?? { exp: 0 }
  const marks = world.marks.map((mark) => ({ ...mark, judged: judge(mark, request.token) }))
  if (outcome === 'no verdict') return world.failedSince ? undefined : 'no verdict though nothing failed'
  if (outcome.active) {
    if (marks.some((mark) => mark.judged === 'ends' && mark.since < request.step)) return 'let in after its mark'
    if (exp <= world.now) return 'let in after its exp'
    const oldest = request.at - Math.min(LIFETIME, request.maxAge ?? LIFETIME)
    const recent = world.said.some((each) => each.active && each.askedAt >= oldest)
    return recent ? undefined : 'let in on an answer that is too old, or on none'
  }
  if (exp <= world.now) return undefined
  if (marks.some((mark) => mark.judged !== 'spares')) return undefined
  const refused = world.said.some((each) => !each.active && each.at >= request.at - NEGATIVE_LIFETIME)
  return refused ? undefined : 'refused for no reason'
}

// ---- the run

const LINKS = 40

async function drain(): Promise<void> {
  for (let i = 0; i < LINKS; i++) await null
}

interface Question {
  readonly token: string
  readonly askedAt: number
  readonly resolve: (claims: TokenClaims) => void
  readonly reject: (error: unknown) => void
  decided?: { readonly active: boolean; readonly at: number }
}

interface Counts {
  letIn: number
  refused: number
  noVerdict: number
  hits: number
}

async function play(commands: readonly Command[], shared: boolean, counts: Counts): Promise<void> {
  const clock = handClock()
  const store = memoryStore({ clock })
  const bound = { sessionId: 'x', subKey: subKey(RP, 'alice'), sidKey: sidKey(RP, 's1'), issuedAt: NOW - 10 }
  await store.bind({ ...bound, expiresAt: NOW + 1e6, tokenKeys: [tokenKey(OF_SESSION)] })
  const open: Question[] = []
  const marks: KnownMark[] = []
  const notifications: (() => void)[] = []
  const revoked = new Set<string>()
  const said = new Map<string, Said[]>(NAMES.map((name) => [name, []]))
  const running = new Set<{ readonly request: Request; failed: boolean }>()
  const objections: string[] = []
  let step = 0
  let storeUp = true
  let asked = 0

  const guarded = async <T>(work: () => T | Promise<T>): Promise<T> => {
    if (!storeUp) throw new Error('down')
    return work()
  }
  const flaky: Pick<LogoutStore, 'marks' | 'begin' | 'read'> = {
    marks: (keys) => guarded(() => store.marks(keys)),
    begin: (order) => guarded(() => store.begin(order)),
    read: (name) => guarded(() => store.read(name)),
  }
  const start = (): Claims<undefined> =>
    createClaims({
      introspection: {
        issuer: ISSUER,
        introspect: (name) =>
          new Promise((resolve, reject) => {
            asked += 1
            open.push({ token: name, askedAt: clock(), resolve, reject })
          }),
      },
      clock,
      maximumLifetimeSeconds: LIFETIME,
      negativeLifetimeSeconds: NEGATIVE_LIFETIME,
      maxEntries: 4,
      maxNegativeEntries: 2,
      ...(shared && { store: flaky }),
    })
  let claims = start()

  const failAll = (name?: string) => {
    for (const each of running) if (name === undefined || each.request.token === name) each.failed = true
  }
  const decide = (question: Question) => {
    question.decided ??= { active: !revoked.has(question.token), at: clock() }
    return question.decided
  }
  const request = (name: string, maxAge: number | undefined) => {
    const entry = { request: { token: name, maxAge, step, at: clock() }, failed: !storeUp }
    running.add(entry)
    const before = asked
    const finish = (outcome: Verdict<undefined> | 'no verdict') => {
      running.delete(entry)
      if (outcome === 'no verdict') counts.noVerdict += 1
      else if (outcome.active) counts.letIn += 1
      else counts.refused += 1
      if (outcome !== 'no verdict' && outcome.active && asked === before) counts.hits += 1
      const world = { marks, said: said.get(name) ?? [], failedSince: entry.failed, step, now: clock() }
      const wrong = objection(entry.request, outcome, world)
      if (wrong !== undefined)
        objections.push(`${name}: ${wrong} (begun at step ${entry.request.step}, over at ${step})`)
    }
    claims.lookup(name, { maxAgeSeconds: maxAge }).then(finish, () => finish('no verdict'))
  }
  const logOut = async (ended: Ended, issuedAgo: number) => {
    const issuedAt = clock() - issuedAgo
    const target =
      'token' in ended ? ({ scope: 'token', key: tokenKey(ended.token) } as const) : targetKey({ ...RP, ...ended })
    const begun = await store.begin({
      target,
      issuedAt,
      seenSecondsAgo: 0,
      marksExpireAt: NOW + 1e6,
      mayDestroy: false,
    })
    if (begun.replayed) return
    if (shared) marks.push({ ended, issuedAt, since: step })
    const told: EndedClaims = { target, mark: begun.mark, tokenKeys: begun.tokenKeys }
    notifications.push(() => {
      claims.evict(told)
      // Without the store, what was told before a restart is forgotten: then it is as if it had never been known.
      if (!shared) marks.push({ ended, issuedAt, since: step })
    })
  }

  for (const each of commands) {
    step += 1
    const question = 'which' in each ? open[each.which % Math.max(1, open.length)] : undefined
    switch (each.do) {
      case 'request':
        request(each.token, each.maxAge)
        break
      case 'decide':
        if (question !== undefined) decide(question)
        break
      case 'deliver':
        if (question !== undefined) {
          open.splice(open.indexOf(question), 1)
          const { active: isActive, at } = decide(question)
          said.get(question.token)?.push({ active: isActive, askedAt: question.askedAt, at: Math.max(at, clock()) })
          question.resolve(isActive ? active({ sid: undefined, ...TOKENS[question.token] }) : INACTIVE)
        }
        break
      case 'fail':
        if (question !== undefined) {
          open.splice(open.indexOf(question), 1)
          failAll(question.token)
          question.reject(new Error('reset'))
        }
        break
      case 'revoke':
        revoked.add(each.token)
        break
      case 'log out':
        await logOut(each.ended, each.issuedAgo)
        break
      case 'notify':
        notifications[each.which % Math.max(1, notifications.length)]?.()
        break
      case 'wait':
        clock.advance(each.seconds)
        break
      case 'store':
        storeUp = each.up
        if (!storeUp) failAll()
        break
      case 'restart':
        if (!shared) break
        claims = start()
        break
    }
    await drain()
  }
  // Nobody waits for ever: all that is open is answered, and everybody gets an outcome.
  step += 1
  for (let rounds = 0; open.length > 0 && rounds < 100; rounds++) {
    for (const question of open.splice(0)) {
      const { active: isActive, at } = decide(question)
      said.get(question.token)?.push({ active: isActive, askedAt: question.askedAt, at: Math.max(at, clock()) })
      question.resolve(isActive ? active({ sid: undefined, ...TOKENS[question.token] }) : INACTIVE)
    }
    await drain()
  }
  expect(running.size, 'requests without an outcome').toBe(0)
  expect(objections).toEqual([])
}

describe('random commands', { timeout: 300_000 }, () => {
  for (const shared of [true, false]) {
    it(`agree with the reference for ${RUNS} sequences ${shared ? 'with the shared store' : 'with notifications alone'}`, async () => {
      const counts = { letIn: 0, refused: 0, noVerdict: 0, hits: 0 }
      await fc.assert(
        fc.asyncProperty(fc.array(command, { minLength: 1, maxLength: MAX_COMMANDS, size: 'max' }), (commands) =>
          play(commands, shared, counts),
        ),
        { numRuns: RUNS },
      )
      // The sequences go where it matters: all outcomes are met, often, and the cache is used.
      expect(counts.letIn).toBeGreaterThan(RUNS / 10)
      expect(counts.refused).toBeGreaterThan(RUNS / 10)
      expect(counts.noVerdict).toBeGreaterThan(RUNS / 100)
      expect(counts.hits).toBeGreaterThan(RUNS / 100)
    })
  }
})

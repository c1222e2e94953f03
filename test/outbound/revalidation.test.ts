// Revalidation under a clock that is an argument: how often a provider is asked, what its silence does, and to whom.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  byIntrospection,
  byRefreshToken,
  byUserInfo,
  createRevalidation,
  type LogoutEvent,
  memoryRevalidationStates,
  NoVerdictError,
  type RevalidationFinding,
  type RevalidationOptions,
  type RevalidationTokens,
} from '../../src/index.js'

const SECRET = 'a secret of more than thirty-two characters'
const P = 300
const QUESTION = {
  issuer: 'https://op.example.com',
  clientId: 'rp',
  clientSecret: 's',
  endpoint: 'https://op.example.com/',
}

interface World {
  /** Seconds that have passed; a clock that jumps has `jumped` besides. */
  now: number
  jumped: number
  /** What the provider answers next. */
  answer: () => RevalidationFinding | Promise<RevalidationFinding>
  readonly asked: RevalidationTokens[]
}

/** Nodes that share the sessions, and a provider. */
function world(options: Partial<RevalidationOptions> = {}) {
  const it: World = { now: 1_000_000, jumped: 0, answer: () => ({ found: 'live' }), asked: [] }
  const clock = () => it.now + it.jumped
  const states = memoryRevalidationStates(clock)
  const events: LogoutEvent[] = []
  const node = () =>
    createRevalidation({
      everySeconds: P,
      secret: SECRET,
      states,
      clock,
      monotonic: () => it.now,
      random: () => 0,
      onEvent: (event) => events.push(event),
      ask: async (tokens) => {
        it.asked.push(tokens)
        return it.answer()
      },
      ...options,
    })
  return { it, events, nodes: [node(), node()] as const, states }
}

/** Two questions are under way; the provider has just answered the first by a pause of 600 seconds. */
async function paused() {
  const { it: w, nodes } = world()
  const answers: ((finding: RevalidationFinding) => void)[] = []
  w.answer = () => new Promise((resolve) => answers.push(resolve))
  const [first, second] = [nodes[0].check('s'), nodes[0].check('t')]
  await expect.poll(() => answers).toHaveLength(2)
  answers[0]?.({ found: 'away', retryAfterSeconds: 600 })
  await first
  const answerSecond = async (finding: RevalidationFinding) => {
    answers[1]?.(finding)
    await second
    w.answer = () => ({ found: 'live' })
  }
  return { w, nodes, answerSecond }
}

const noVerdict = (check: Promise<unknown>) => expect(check).rejects.toBeInstanceOf(NoVerdictError)

describe('a session in use', () => {
  it('is asked about once in each pause, from the login on, wherever its requests arrive', async () => {
    const { it: w, nodes } = world()
    await nodes[0].begin('s', { refreshToken: 'one', sub: 'ada' })
    for (let second = 0; second < 10 * P; second++) {
      for (const node of nodes) expect(await node.check('s')).toBe('live')
      w.now++
    }
    expect(w.asked).toHaveLength(9)
    expect(w.asked[0]).toEqual({ refreshToken: 'one', accessToken: undefined, sub: 'ada' })
  })

  it('is asked about by one request alone, while the others go on', async () => {
    const { it: w, nodes } = world()
    await nodes[0].begin('s')
    w.now += P
    let answer: ((finding: RevalidationFinding) => void) | undefined
    w.answer = () => new Promise((resolve) => (answer = resolve))
    const checks = Array.from({ length: 50 }, (_, i) => nodes[i % 2 === 0 ? 0 : 1].check('s'))
    const others = Promise.all(checks.slice(1))
    expect(new Set(await others)).toEqual(new Set(['live']))
    answer?.({ found: 'ended' })
    expect(await checks[0]).toBe('ended')
    expect(w.asked).toHaveLength(1)
    expect(await nodes[1].check('s')).toBe('ended')
    expect(w.asked).toHaveLength(1)
  })

  it('asks a little early, so that sessions of one morning do not stay together; never late', async () => {
    for (const [random, due] of [
      [0, P],
      [0.999, P * 0.9001],
    ] as const) {
      const { it: w, nodes } = world({ random: () => random })
      await nodes[0].begin('s')
      w.now += due - 1
      await nodes[0].check('s')
      expect(w.asked).toHaveLength(0)
      w.now += 1
      await nodes[0].check('s')
      expect(w.asked).toHaveLength(1)
    }
  })

  it('keeps the refresh token that the provider has changed, sealed, for whichever node asks next', async () => {
    const { it: w, nodes, states } = world()
    const written: string[] = []
    const { swap } = states
    states.swap = (key, previous, value, expiresAt) => {
      written.push(key, value)
      return swap(key, previous, value, expiresAt)
    }
    await nodes[0].begin('session id', { refreshToken: 'first token' })
    w.answer = () => ({ found: 'live', refreshToken: `token ${w.asked.length}` })
    for (const node of [nodes[0], nodes[1], nodes[0]]) {
      w.now += P
      await node.check('session id')
    }
    expect(w.asked.map(({ refreshToken }) => refreshToken)).toEqual(['first token', 'token 1', 'token 2'])
    expect(written.join()).not.toMatch(/token \d|first token|session id/)
  })

  it('that nobody remembers is asked about at once', async () => {
    const { it: w, nodes } = world()
    expect(await nodes[0].check('s')).toBe('live')
    expect(w.asked).toHaveLength(1)
  })
})

describe('a provider that is away', () => {
  it('logs nobody out, is asked ever more rarely by everybody together, and is believed when it is back', async () => {
    const { it: w, nodes, events } = world()
    const sessions = Array.from({ length: 20 }, (_, i) => `session ${i}`)
    for (const session of sessions) await nodes[0].begin(session)
    w.now += P
    w.answer = () => ({ found: 'away' })
    for (let second = 0; second < 3600; second++) {
      for (const session of sessions) expect(await nodes[0].check(session)).toBe('live')
      w.now++
    }
    // 1 + 2 + 4 … + 60 + 60 …
    expect(w.asked.length).toBeGreaterThan(50)
    expect(w.asked.length).toBeLessThan(70)
    expect(new Set(events.map((event) => event.type === 'revalidated' && event.found))).toEqual(new Set(['away']))
    w.answer = () => ({ found: 'ended' })
    w.now += 60
    // The one that tried last lets another one try first.
    for (const session of sessions) await nodes[0].check(session)
    for (const session of sessions) expect(await nodes[0].check(session)).toBe('ended')
  })

  it('that names a time by Retry-After is not asked before', async () => {
    const { it: w, nodes } = world()
    w.answer = () => ({ found: 'away', retryAfterSeconds: 120 })
    await nodes[0].check('s')
    w.now += 119
    await nodes[0].check('s')
    expect(w.asked).toHaveLength(1)
    w.now += 1
    await nodes[0].check('s')
    expect(w.asked).toHaveLength(2)
  })

  it.each<[string, RevalidationFinding]>([
    ['fails without naming one', { found: 'away' }],
    ['names a shorter one', { found: 'away', retryAfterSeconds: 10 }],
    ['has an answer', { found: 'live' }],
  ])('that names a time by Retry-After is not asked before, though a question from before then %s', async (_, then) => {
    const { w, nodes, answerSecond } = await paused()
    w.now += 5
    await answerSecond(then)
    w.now += 594
    await nodes[0].check('u')
    expect(w.asked).toHaveLength(2)
    w.now += 1
    await nodes[0].check('u')
    expect(w.asked).toHaveLength(3)
  })

  it.each([3600, 365 * 86_400, -14, -790, -10_000])(
    'that names a time is asked again that long after, also where the clock jumps meanwhile by %i seconds',
    async (seconds) => {
      const { w, nodes, answerSecond } = await paused()
      w.now += 1
      w.jumped = seconds
      await answerSecond({ found: 'away' })
      w.now += 598
      await nodes[0].check('u')
      expect(w.asked).toHaveLength(2)
      w.now += 1
      await nodes[0].check('u')
      expect(w.asked).toHaveLength(3)
    },
  )

  it('that throws is away', async () => {
    const { it: w, nodes } = world()
    w.answer = () => Promise.reject(new Error('connection refused'))
    expect(await nodes[0].check('s')).toBe('live')
  })

  it('that is slow keeps no request waiting, and its late answer counts', async () => {
    const { it: w, nodes } = world({ timeoutSeconds: 0.01 })
    await nodes[0].begin('s', { refreshToken: 'one' })
    await nodes[0].begin('t', { refreshToken: 'one' })
    w.now += P
    const late: ((finding: RevalidationFinding) => void)[] = []
    w.answer = () => new Promise((resolve) => late.push(resolve))
    expect([await nodes[0].check('s'), await nodes[0].check('t')]).toEqual(['live', 'live'])
    late[0]?.({ found: 'live', refreshToken: 'two' })
    late[1]?.({ found: 'ended' })
    await expect.poll(() => nodes[1].check('t')).toBe('ended')
    w.answer = () => ({ found: 'live' })
    w.now += P
    await nodes[1].check('s')
    expect(w.asked.at(-1)?.refreshToken).toBe('two')
  })

  it('an answer about an earlier login says nothing of this one', async () => {
    for (const found of ['ended', 'live'] as const) {
      const { it: w, nodes, events } = world({ timeoutSeconds: 0.01 })
      await nodes[0].begin('s', { refreshToken: 'earlier' })
      w.now += P
      let late: ((finding: RevalidationFinding) => void) | undefined
      w.answer = () => new Promise((resolve) => (late = resolve))
      expect(await nodes[0].check('s')).toBe('live')
      await nodes[1].begin('s', { refreshToken: 'of this login' })
      late?.({ found, ...(found === 'live' && { refreshToken: 'changed' }) })
      await expect.poll(() => events).toHaveLength(1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      w.answer = () => ({ found: 'live' })
      w.now += P
      expect(await nodes[1].check('s')).toBe('live')
      expect(w.asked.at(-1)?.refreshToken).toBe('of this login')
    }
  })

  it('is not what a session is that has nothing to ask with: the others are asked about', async () => {
    const { it: w, nodes } = world()
    w.answer = () => ({ found: 'away', asked: false })
    expect(await nodes[0].check('without a token')).toBe('live')
    w.answer = () => ({ found: 'ended' })
    expect(await nodes[0].check('s')).toBe('ended')
  })

  it.each([
    ['for it', { found: 'away', answered: true }, 5],
    // The longest rest, and the pause between its own requests.
    ['with a failure', { found: 'away' }, 65],
  ] as const)('%s alone keeps no other session from being asked about, however busy it is', async (_, said, within) => {
    const ended: number[] = []
    for (const lateSeconds of [0, 10, 100, 1000]) {
      const { it: w, nodes } = world()
      await nodes[0].begin('busy', { refreshToken: 'busy' })
      w.now += lateSeconds
      await nodes[0].begin('quiet', { refreshToken: 'quiet' })
      w.answer = () => (w.asked.at(-1)?.refreshToken === 'busy' ? said : { found: 'ended' })
      const begunAt = w.now
      let verdict = ''
      while (verdict !== 'ended' && w.now < begunAt + P + 3600) {
        w.now += 0.1
        expect(await nodes[0].check('busy')).toBe('live')
        if (Math.round((w.now - begunAt) * 10) % 50 === 0) verdict = await nodes[0].check('quiet')
      }
      ended.push(w.now - begunAt)
      // Nor is it asked about with each of its requests.
      expect(w.asked.length).toBeLessThan(30)
    }
    expect(Math.max(...ended)).toBeLessThanOrEqual(P + within + 1)
  })

  it('beyond a bound that the application has set: 503, the session is kept, and lives when the provider is back', async () => {
    const { it: w, nodes } = world({ failClosedAfterSeconds: 600 })
    await nodes[0].begin('s')
    w.answer = () => ({ found: 'away' })
    w.now += P + 600
    expect(await nodes[0].check('s')).toBe('live')
    w.now += 1
    await noVerdict(nodes[0].check('s'))
    await noVerdict(nodes[1].check('s'))
    w.answer = () => ({ found: 'live' })
    w.now += 60
    expect(await nodes[0].check('s')).toBe('live')
  })

  it('the bound of a session that nobody remembers begins with its first request, not with each', async () => {
    const { it: w, nodes } = world({ failClosedAfterSeconds: 600 })
    w.answer = () => ({ found: 'away' })
    for (const node of nodes) expect(await node.check('s')).toBe('live')
    w.now += P + 601
    await noVerdict(nodes[1].check('s'))
  })
})

describe('where the states cannot be had', () => {
  it.each(['read', 'swap'] as const)('nobody is let in or logged out: %s', async (method) => {
    const { it: w, nodes, states } = world()
    await nodes[0].begin('s')
    w.now += P
    Object.assign(states, { [method]: () => Promise.reject(new Error('away')) })
    await noVerdict(nodes[0].check('s'))
  })

  it('and are back, the provider is asked: nothing of the outage counts as a question under way', async () => {
    const { it: w, nodes, states } = world()
    await nodes[0].begin('s')
    w.now += P
    const { swap } = states
    states.swap = () => Promise.reject(new Error('away'))
    for (let i = 0; i < 40; i++) await noVerdict(nodes[0].check('s'))
    states.swap = swap
    w.answer = () => ({ found: 'ended' })
    expect(await nodes[0].check('s')).toBe('ended')
  })

  it('a refresh token that the provider has changed meanwhile is written again', async () => {
    const { it: w, nodes, states } = world()
    await nodes[0].begin('s', { refreshToken: 'one' })
    w.now += P
    const { swap } = states
    w.answer = () => {
      states.swap = () => {
        states.swap = swap
        return Promise.reject(new Error('away'))
      }
      return { found: 'live', refreshToken: 'two' }
    }
    expect(await nodes[0].check('s')).toBe('live')
    w.answer = () => ({ found: 'live' })
    w.now += P
    await nodes[1].check('s')
    expect(w.asked.map(({ refreshToken }) => refreshToken)).toEqual(['one', 'two'])
  })
})

describe('a clock that jumps', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('pass' as const), seconds: fc.integer({ min: 0, max: 2 * P }) }),
    fc.record({ do: fc.constant('jump' as const), seconds: fc.integer({ min: -1e6, max: 1e6 }) }),
    fc.record({ do: fc.constant('provider' as const), is: fc.constantFrom('up' as const, 'down' as const) }),
  )

  const pass = (seconds: number) => ({ do: 'pass' as const, seconds })

  it('logs nobody out whom the provider did not, and keeps nobody in beyond one pause once it is up', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 30 }), fc.boolean(), async (steps, isDisabled) => {
        const { it: w, nodes } = world({ failClosedAfterSeconds: 600 })
        let isUp = true
        w.answer = () => ({ found: isUp ? 'live' : 'away' })
        await nodes[0].begin('s')
        const check = (i: number) => nodes[i % 2 === 0 ? 0 : 1].check('s').catch(() => 'no verdict')
        for (const [i, each] of steps.entries()) {
          if (each.do === 'provider') isUp = each.is === 'up'
          else w[each.do === 'pass' ? 'now' : 'jumped'] += each.seconds
          expect(['live', 'no verdict']).toContain(await check(i))
        }
        // From here on the clock goes as it should, and the provider is up.
        w.answer = () => ({ found: isDisabled ? 'ended' : 'live' })
        let last = 'live'
        for (let second = 0; second <= P + 60 && last !== 'ended'; second += 10) {
          last = await check(second)
          w.now += 10
        }
        expect(last).toBe(isDisabled ? 'ended' : 'live')
      }),
      // A node has just been told no when the clock goes back, by less than a provider may ask for.
      {
        numRuns: 200,
        examples: [[[{ do: 'provider', is: 'down' }, pass(225), pass(75), { do: 'jump', seconds: -360 }], true]],
      },
    )
  })

  it('nobody stays in beyond the bound while the provider is away, however the clock went back before', async () => {
    const { it: w, nodes } = world({ failClosedAfterSeconds: 600 })
    await nodes[0].begin('s')
    w.jumped = -500_000
    w.answer = () => ({ found: 'away' })
    expect(await nodes[0].check('s')).toBe('live')
    w.now += P + 601
    await noVerdict(nodes[0].check('s'))
  })
})

describe('a demand', () => {
  it('sends the user to the provider at the next action, on every node, and logs nobody out', async () => {
    const { it: w, nodes } = world()
    await nodes[0].begin('s')
    await nodes[0].demand('s')
    expect(await nodes[1].check('s')).toBe('reassert')
    w.now += 10 * P
    expect(await nodes[1].check('s')).toBe('reassert')
    expect(w.asked).toHaveLength(0)
    await nodes[1].begin('s')
    expect(await nodes[0].check('s')).toBe('live')
  })

  it('that comes while the provider is asked is not lost', async () => {
    const { it: w, nodes } = world()
    w.answer = async () => {
      await nodes[1].demand('s')
      return { found: 'live' }
    }
    expect(await nodes[0].check('s')).toBe('reassert')
    expect(await nodes[1].check('s')).toBe('reassert')
  })
})

describe('by a top-level prompt=none', () => {
  const due = async () => {
    const { it: w, nodes } = world({ ask: 'browser' })
    await nodes[0].begin('s')
    w.now += P
    return { w, nodes }
  }

  it('one navigation is sent there; a script, a form and the next navigation are served', async () => {
    const { w, nodes } = await due()
    expect(await nodes[0].check('s')).toBe('live')
    expect(await nodes[0].check('s', { canNavigate: true })).toBe('ask-browser')
    expect(await nodes[1].check('s', { canNavigate: true })).toBe('live')
    w.now += 61
    expect(await nodes[1].check('s', { canNavigate: true })).toBe('ask-browser')
  })

  it.each([
    [undefined, 'live', P],
    ['interaction_required', 'live', P],
    ['consent_required', 'live', P],
    ['account_selection_required', 'live', P],
    ['login_required', 'ended', Number.POSITIVE_INFINITY],
    // An answer that says nothing is no reason to send the browser there with each navigation.
    ...['temporarily_unavailable', 'server_error', 'access_denied', 'invalid_request', 'anything'].map(
      (error) => [error, 'live', 2] as const,
    ),
  ] as const)('%s: %s, and it is sent there again after %d s', async (error, verdict, seconds) => {
    const { w, nodes } = await due()
    await nodes[0].check('s', { canNavigate: true })
    expect(await nodes[1].answered('s', { error })).toBe(verdict)
    const again = () => nodes[0].check('s', { canNavigate: true })
    w.now += Math.min(seconds, 1e6) - 0.1
    expect(await again()).toBe(verdict)
    w.now += 0.1
    expect(await again()).toBe(seconds === Number.POSITIVE_INFINITY ? 'ended' : 'ask-browser')
  })

  it('is tried ever more rarely while the answer says nothing, and no more than that after the first that does', async () => {
    const { w, nodes } = await due()
    let visits = 0
    const begunAt = w.now
    for (; w.now < begunAt + 3600; w.now += 0.5) {
      if ((await nodes[0].check('s', { canNavigate: true })) !== 'ask-browser') continue
      visits++
      expect(await nodes[1].answered('s', { error: 'server_error' })).toBe('live')
    }
    // 2 + 4 + … + 256 + 300 + 300 …
    expect(visits).toBeGreaterThan(15)
    expect(visits).toBeLessThan(22)
    w.now += P
    expect(await nodes[0].check('s', { canNavigate: true })).toBe('ask-browser')
    expect(await nodes[0].answered('s', {})).toBe('live')
    w.now += P
    expect(await nodes[0].check('s', { canNavigate: true })).toBe('ask-browser')
    expect(await nodes[0].answered('s', { error: 'server_error' })).toBe('live')
    w.now += 2
    expect(await nodes[0].check('s', { canNavigate: true })).toBe('ask-browser')
  })
})

describe('an answer that was lost', () => {
  it.each([
    ['live', { found: 'live' }, 'live'],
    ['away again', { found: 'away' }, 'live'],
    ['the end', { found: 'ended' }, 'reassert'],
  ] as const)('then %s: %s', async (_what, next, verdict) => {
    const { it: w, nodes } = world()
    await nodes[0].begin('s', { refreshToken: 'one' })
    w.now += P
    w.answer = () => ({ found: 'away', mayBeSpent: true })
    expect(await nodes[0].check('s')).toBe('live')
    w.now += P
    w.answer = () => next
    expect(await nodes[1].check('s')).toBe(verdict)
  })

  it('is doubt until the next good one', async () => {
    const { it: w, nodes } = world()
    await nodes[0].begin('s', { refreshToken: 'one' })
    const findings = [{ found: 'away', mayBeSpent: true }, { found: 'live' }, { found: 'ended' }] as const
    const verdicts = []
    for (const finding of findings) {
      w.now += P
      w.answer = () => finding
      verdicts.push(await nodes[0].check('s'))
    }
    expect(verdicts).toEqual(['live', 'live', 'ended'])
  })
})

it('an answer that cannot be used takes the place of no refresh token but the one it brings', async () => {
  const { it: w, nodes } = world()
  await nodes[0].begin('s', { refreshToken: 'one' })
  const findings = [
    { found: 'away', mayBeSpent: true },
    { found: 'away', mayBeSpent: false, refreshToken: 'two' },
    { found: 'ended' },
  ] as const
  const verdicts = []
  for (const finding of findings) {
    w.now += P
    w.answer = () => finding
    verdicts.push(await nodes[0].check('s'))
  }
  expect(w.asked.map(({ refreshToken }) => refreshToken)).toEqual(['one', 'one', 'two'])
  // The token at hand is no longer one that an answer may have been lost for: its refusal is the end.
  expect(verdicts).toEqual(['live', 'live', 'ended'])
})

describe('a page that the provider wants to show', () => {
  const begun = async (options: Partial<RevalidationOptions>) => {
    const { it: w, nodes } = world({ ask: 'browser', ...options })
    await nodes[0].begin('s')
    const round = async (error?: string) => {
      w.now += P
      const verdict = await nodes[0].check('s', { canNavigate: true })
      return verdict === 'ask-browser' ? nodes[1].answered('s', { error }) : verdict
    }
    return { w, nodes, round }
  }

  it('is no proof that the user is signed in there, however often it is claimed', async () => {
    const { w, nodes, round } = await begun({ failClosedAfterSeconds: 2 * P })
    for (let i = 0; i < 3; i++) expect(await round('interaction_required')).toBe('live')
    w.now += 1
    expect(await nodes[0].check('s')).toBe('reassert')
    expect(await nodes[1].answered('s', { error: 'consent_required' })).toBe('reassert')
    await nodes[0].begin('s')
    expect(await nodes[1].check('s')).toBe('live')
  })

  it('is forgotten with the first proof', async () => {
    const { w, nodes, round } = await begun({ failClosedAfterSeconds: 2 * P })
    expect(await round('interaction_required')).toBe('live')
    expect(await round()).toBe('live')
    w.now += 3 * P + 1
    await noVerdict(nodes[0].check('s'))
  })

  it('sends nobody anywhere by itself', async () => {
    const { round } = await begun({})
    for (let i = 0; i < 50; i++) expect(await round('interaction_required')).toBe('live')
  })
})

describe('a session that cannot be asked about is served, and that is said once, with its remedy', () => {
  const warned = (events: readonly LogoutEvent[]) =>
    events.flatMap((event) => (event.type === 'warning' ? [event.error.reason] : []))

  const hours = async (w: World, check: () => Promise<string>, count = 3) => {
    const begunAt = w.now
    for (; w.now < begunAt + count * 3600; w.now += 1) expect(await check()).toBe('live')
  }

  it('since no token is known of it; nor is its state written with each request', async () => {
    const { it: w, nodes, events, states } = world()
    w.answer = () => ({ found: 'away', asked: false })
    let written = 0
    const { swap } = states
    states.swap = (...values) => {
      written++
      return swap(...values)
    }
    await nodes[0].begin('s', { refreshToken: undefined, sub: 'ada' })
    await hours(w, () => nodes[0].check('s'))
    expect(warned(events)).toEqual(['revalidation_no_token'])
    expect(written).toBeLessThan(100)
    await nodes[0].begin('s', { refreshToken: 'one' })
    w.answer = () => ({ found: 'ended' })
    w.now += P
    expect(await nodes[0].check('s')).toBe('ended')
  })

  it.each<[string, RevalidationOptions['ask'], RevalidationTokens]>([
    ['refresh token', byRefreshToken(QUESTION), { sub: 'ada', accessToken: 'a' }],
    ['token to introspect', byIntrospection(QUESTION), { sub: 'ada' }],
    ['access token', byUserInfo(QUESTION), { sub: 'ada', refreshToken: 'one' }],
    ['sub', byUserInfo(QUESTION), { accessToken: 'one' }],
  ])('since its login brought no %s', async (_, ask, tokens) => {
    const { it: w, nodes, events } = world({ ask })
    await nodes[0].begin('s', tokens)
    w.now += P
    for (let i = 0; i < 3; i++) expect(await nodes[i === 1 ? 1 : 0].check('s')).toBe('live')
    expect(warned(events)).toEqual(['revalidation_no_token'])
  })

  it('since its tokens were sealed by a secret that is listed no more', async () => {
    const { it: w, nodes, events, states } = world({ secret: 'the secret from before, which is long as well' })
    w.answer = () => ({ found: 'away', asked: false })
    await nodes[0].begin('s', { refreshToken: 'one' })
    const changed = createRevalidation({
      ...{ everySeconds: P, secret: SECRET, states, clock: () => w.now, random: () => 0 },
      onEvent: (event) => events.push(event),
      ask: async ({ refreshToken }) => {
        expect(refreshToken).toBeUndefined()
        return { found: 'away', asked: false }
      },
    })
    await hours(w, () => changed.check('s'))
    expect(warned(events)).toEqual(['revalidation_secret_unlisted'])
  })

  it.each<[string, RevalidationFinding, string]>([
    ['the provider refuses this client', { found: 'away', refusesClient: true }, 'revalidation_client_refused'],
    ['the provider says nothing for an hour', { found: 'away' }, 'revalidation_unanswered'],
    ['the provider says nothing of it', { found: 'away', answered: true }, 'revalidation_unanswered'],
  ])('since %s', async (_, finding, reason) => {
    const { it: w, nodes, events } = world()
    w.answer = () => finding
    await nodes[0].begin('s', { refreshToken: 'one' })
    await hours(w, () => nodes[0].check('s'))
    expect(warned(events)).toEqual([reason])
  })

  it('since the browser is told nothing by the provider', async () => {
    const { it: w, nodes, events } = world({ ask: 'browser' })
    await nodes[0].begin('s')
    await hours(w, async () => {
      const verdict = await nodes[0].check('s', { canNavigate: true })
      return verdict === 'ask-browser' ? nodes[0].answered('s', { error: 'invalid_request' }) : verdict
    })
    expect(warned(events)).toEqual(['revalidation_unanswered'])
  })

  it('but nothing is said of an outage that is over sooner, however long nobody had come before it', async () => {
    const { it: w, nodes, events } = world()
    await nodes[0].begin('s', { refreshToken: 'one' })
    for (let i = 0; i < 3; i++) {
      w.now += 86_400
      w.answer = () => ({ found: 'away' })
      const begunAt = w.now
      for (; w.now < begunAt + 3000; w.now += 10) await nodes[0].check('s')
      w.now += 60
      w.answer = () => ({ found: 'live' })
      for (let j = 0; j < 30; j++, w.now += 10) await nodes[0].check('s')
    }
    expect(warned(events)).toEqual([])
  })
})

describe('a session whose id changes', () => {
  /** A provider that changes the refresh token at each use, and ends the grant where one is used twice. */
  const rotating = (options: Partial<RevalidationOptions> = {}) => {
    const made = world(options)
    const { it: w } = made
    let good = 'token 0'
    let isOver = false
    w.answer = () => {
      const { refreshToken } = w.asked.at(-1) ?? {}
      if (isOver || refreshToken !== good) {
        isOver = true
        return { found: 'ended' }
      }
      good = `token ${w.asked.length}`
      return { found: 'live', refreshToken: good }
    }
    return { ...made, w }
  }
  const sent = (w: World) => w.asked.map(({ refreshToken }) => refreshToken)

  it('is asked about by its new id, with the token as the provider changed it last, wherever it is asked', async () => {
    const { w, nodes } = rotating()
    await nodes[0].begin('first', { refreshToken: 'token 0', sub: 'ada' })
    const ids = ['first', 'second', 'third']
    for (const [i, id] of ids.entries()) {
      const before = ids[i - 1]
      if (before !== undefined) await nodes[i % 2 === 0 ? 0 : 1].move(before, id)
      for (const node of nodes) expect(await node.check(id)).toBe('live')
      w.now += P
      for (const node of nodes) expect(await node.check(id)).toBe('live')
    }
    expect(sent(w)).toEqual(['token 0', 'token 1', 'token 2'])
    expect(w.asked.every(({ sub }) => sub === 'ada')).toBe(true)
    w.answer = () => ({ found: 'ended' })
    w.now += P
    expect(await nodes[1].check('third')).toBe('ended')
    expect(await nodes[0].check('third')).toBe('ended')
  })

  it('while a question of it is under way is asked about once, and its answer counts', async () => {
    const { w, nodes } = rotating({ timeoutSeconds: 0.01 })
    await nodes[0].begin('old', { refreshToken: 'token 0' })
    w.now += P
    const { answer } = w
    let release = (): void => undefined
    w.answer = () => new Promise((resolve) => (release = () => resolve(answer())))
    const first = nodes[0].check('old')
    await expect.poll(() => w.asked.length).toBe(1)
    await nodes[1].move('old', 'new')
    for (const node of nodes) expect(await node.check('new')).toBe('live')
    expect(w.asked).toHaveLength(1)
    release()
    expect(await first).toBe('live')
    await new Promise((resolve) => setImmediate(resolve))
    w.answer = answer
    w.now += P
    expect(await nodes[1].check('new')).toBe('live')
    expect(sent(w)).toEqual(['token 0', 'token 1'])
  })

  it.each(['before', 'after'])(
    'is safe where the process dies %s the write: called again, it has moved once',
    async (when) => {
      const { w, nodes, states } = rotating()
      await nodes[0].begin('old', { refreshToken: 'token 0' })
      const { swap } = states
      states.swap = async (...values) => {
        states.swap = swap
        if (when === 'after') await swap(...values)
        throw new Error('killed')
      }
      await noVerdict(nodes[0].move('old', 'new'))
      for (const node of [nodes[1], nodes[0]]) await node.move('old', 'new')
      await Promise.all(nodes.map((node) => node.move('old', 'new')))
      for (let i = 0; i < 4; i++) {
        w.now += P
        expect(await nodes[1].check('new')).toBe('live')
      }
      expect(sent(w)).toEqual(['token 0', 'token 1', 'token 2', 'token 3'])
    },
  )

  it('takes a demand along, from before and after, and the requests that came before the move', async () => {
    const { nodes } = rotating()
    for (const [name, demand] of [
      ['before', () => nodes[0].demand('before')],
      ['between', () => nodes[0].demand('new between')],
      ['after', () => nodes[0].move('after', 'new after').then(() => nodes[0].demand('new after'))],
    ] as const) {
      await nodes[0].begin(name, { refreshToken: 'token 0' })
      await demand()
      await nodes[1].move(name, `new ${name}`)
      expect(await nodes[1].check(`new ${name}`)).toBe('reassert')
    }
  })

  it('is what the next login makes of it: that has tokens of its own, also where it comes first', async () => {
    for (const isFirst of [true, false]) {
      const { w, nodes } = rotating()
      await nodes[0].begin('old', { refreshToken: 'token of the earlier login' })
      const login = () => nodes[0].begin('new', { refreshToken: 'token 0' })
      if (isFirst) await login()
      await nodes[1].move('old', 'new')
      if (!isFirst) await login()
      await nodes[1].move('old', 'new')
      w.now += P
      expect(await nodes[0].check('new')).toBe('live')
      expect(sent(w)).toEqual(['token 0'])
    }
  })

  it('that nobody remembers is moved nowhere, nor is one to itself', async () => {
    const { w, nodes } = rotating()
    await nodes[0].move('unknown', 'new')
    await nodes[0].begin('new', { refreshToken: 'token 0' })
    await nodes[0].move('new', 'new')
    await nodes[0].move('new', 'unknown')
    await nodes[0].move('unknown', 'new')
    w.now += P
    expect(await nodes[0].check('new')).toBe('live')
    expect(sent(w)).toEqual(['token 0'])
  })

  it('is remembered for as long as it is asked about, and its ids are written nowhere', async () => {
    const written: string[] = []
    const { w, nodes, states } = rotating({ keptSeconds: 10 * P })
    const { swap } = states
    states.swap = (key, previous, value, expiresAt) => {
      written.push(key, value)
      return swap(key, previous, value, expiresAt)
    }
    await nodes[0].begin('session one', { refreshToken: 'token 0' })
    await nodes[0].move('session one', 'session two')
    for (let i = 0; i < 30; i++) {
      w.now += P
      expect(await nodes[1].check('session two')).toBe('live')
    }
    expect(w.asked).toHaveLength(30)
    expect(written.join()).not.toMatch(/session (one|two)|token \d/)
  })

  it('is asked about under a changed secret for as long as the old one is listed', async () => {
    const { w, nodes, states, events } = rotating()
    await nodes[0].begin('old', { refreshToken: 'token 0' })
    await nodes[0].move('old', 'new')
    const newer = 'another secret of more than thirty-two characters'
    const later = (secret: RevalidationOptions['secret']) =>
      createRevalidation({
        ...{ everySeconds: P, secret, states, clock: () => w.now, random: () => 0 },
        onEvent: (event) => events.push(event),
        ask: async (tokens) => {
          w.asked.push(tokens)
          return tokens.refreshToken === undefined ? { found: 'away', asked: false } : w.answer()
        },
      })
    w.now += P
    expect(await later([newer, SECRET]).check('new')).toBe('live')
    w.now += P
    // All that was sealed by the old one has been sealed anew.
    expect(await later(newer).check('new')).toBe('live')
    expect(sent(w)).toEqual(['token 0', 'token 1'])
    for (let i = 0; i < 3; i++, w.now += P) expect(await later(SECRET).check('new')).toBe('live')
    expect(sent(w).slice(2)).toEqual([undefined, undefined, undefined])
    // Nothing was lost by that.
    expect(await later([SECRET, newer]).check('new')).toBe('live')
    expect(w.asked.at(-1)?.refreshToken).toBe('token 2')
    const reasons = events.flatMap((event) => (event.type === 'warning' ? [event.error.reason] : []))
    expect(new Set(reasons)).toEqual(new Set(['revalidation_secret_unlisted']))
  })
})

describe('options', () => {
  it.each([
    [{ everySeconds: 0 }, /everySeconds/],
    [{ everySeconds: 300_000 }, /everySeconds/],
    [{ secret: 'short' }, /secret/],
    [{ ask: 'iframe' }, /ask/],
    [{ states: {} }, /states/],
    [{ failClosedAfterSeconds: -1 }, /failClosedAfterSeconds/],
    [{ interval: 5 }, /no option "interval"/],
  ])('%o are refused', (options, message) => {
    const good = { everySeconds: P, ask: 'browser', secret: SECRET } as const
    // @ts-expect-error: what a program without types may hand over
    expect(() => createRevalidation({ ...good, ...options })).toThrow(message)
  })
})

// Random histories of logins and logouts at a store agree with a rule that remembers every logout by itself; with marks
// that are merged to one, as they once were, they do not.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { covers, type Mark } from '../../src/marks/covering.js'
import type { Binding, LogoutStore } from '../../src/stores/logout-store.js'
import { memoryStore } from '../../src/stores/memory-store.js'
import { delegate } from '../testing/logout-store/broken-stores.js'

const RUNS = 3_000
const OP = 1_000_000

const subject = fc.constantFrom('alice', 'bob')
const sid = fc.constantFrom('one', 'two', undefined)
/** How far the clock of the OP's machine is ahead. */
const machine = fc.constantFrom(-3, -1, 0, 2)

const command = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('log in' as const),
      subject,
      sid,
      machine,
      /** Absent: the application does not say when the login was begun. */
      begunSecondsAgo: fc.option(fc.constantFrom(0, 3, 40), { nil: undefined }),
      dated: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('log out' as const),
      subject: fc.option(subject, { nil: undefined }),
      sid,
      machine,
      lateSeconds: fc.constantFrom(0, 0, 1, 40),
      token: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('change id' as const), which: fc.nat({ max: 9 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(0.5, 2, 10, 61) }) },
)
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never

interface Known {
  readonly sessionId: string
  readonly subject: string
  readonly sid: string | undefined
  readonly iat: number | undefined
  readonly begunAt: number | undefined
  readonly boundAt: number
}

interface Logout {
  readonly subject: string | undefined
  readonly sid: string | undefined
  readonly iat: number | undefined
  readonly seenAt: number
}

/** The rule once more, in the words of the people concerned. */
function isEndedBy(login: Known, logout: Logout): boolean {
  const isNamed = logout.sid !== undefined && logout.sid === login.sid
  const isNameless = logout.sid !== undefined && login.sid === undefined && logout.subject === login.subject
  const isEverySession = logout.sid === undefined && logout.subject === login.subject
  if (isNamed && logout.subject !== undefined && logout.subject !== login.subject) return false
  if (!isNamed && !isNameless && !isEverySession) return false
  if (login.begunAt !== undefined && login.begunAt > logout.seenAt) return false
  const wasThere = login.boundAt <= logout.seenAt
  if (logout.iat === undefined) return wasThere
  if (login.iat === undefined || login.iat <= logout.iat) return true
  return (wasThere && login.iat <= logout.iat + 5) || (isNamed && login.iat <= logout.iat + 60)
}

async function agrees(commands: readonly Command[], made: (clock: () => number) => LogoutStore): Promise<void> {
  let elapsed = 0
  const store = made(() => 5_000 + elapsed)
  const known: Known[] = []
  const logouts: Logout[] = []
  let ids = 0
  for (const step of commands) {
    elapsed += 0.01
    if (step.do === 'wait') elapsed += step.seconds
    if (step.do === 'log in') {
      const iat = step.dated ? OP + elapsed + step.machine : undefined
      const begunAt = step.begunSecondsAgo === undefined ? undefined : 5_000 + elapsed - step.begunSecondsAgo
      const login = { sessionId: `session ${++ids}`, subject: step.subject, sid: step.sid, iat, begunAt }
      const { binding } = await store.bind({
        sessionId: login.sessionId,
        subKey: step.subject,
        sidKey: step.sid,
        issuedAt: iat,
        startedAt: begunAt,
        expiresAt: 1e9,
      })
      known.push({ ...login, boundAt: binding.boundAt })
    }
    if (step.do === 'change id') {
      const moved = known[step.which % Math.max(1, known.length)]
      if (moved === undefined) continue
      const sessionId = `session ${++ids}`
      await store.rebind(moved.sessionId, sessionId, 1e9)
      known.splice(known.indexOf(moved), 1, { ...moved, sessionId })
    }
    if (step.do === 'log out' && (step.sid !== undefined || step.subject !== undefined)) {
      const iat = step.token ? OP + elapsed + step.machine - step.lateSeconds : undefined
      const begun = await store.begin({
        target:
          step.sid === undefined
            ? { scope: 'sub', key: step.subject ?? '' }
            : { scope: 'sid', key: step.sid, ...(step.subject !== undefined && { subKey: step.subject }) },
        issuedAt: iat,
        seenSecondsAgo: 0,
        marksExpireAt: 1e9,
        mayDestroy: false,
      })
      if (begun.replayed) throw new Error('nothing was repeated')
      logouts.push({ subject: step.subject, sid: step.sid, iat, seenAt: begun.mark.seenAt })
    }
  }
  for (const login of known) {
    const { ended, binding, marks } = await store.read(login.sessionId)
    const isDead = ended || (binding !== undefined && marks.some((mark) => covers(mark, binding)))
    expect({ login, isDead }).toEqual({ login, isDead: logouts.some((logout) => isEndedBy(login, logout)) })
  }
}

/** The store as it was: of two marks of one target the one with the greater dates stays, and judges. */
function merging(clock: () => number): LogoutStore {
  const store = memoryStore({ clock })
  const greatest = new Map<string, Mark>()
  const names = ({ scope, key, subKey }: Pick<Mark, 'scope' | 'key' | 'subKey'>) => `${scope} ${key} ${subKey}`
  const judged = (binding: Binding | undefined, marks: readonly Mark[]) =>
    binding === undefined ? marks : marks.map((mark) => greatest.get(names(mark)) ?? mark)
  return delegate(store, {
    read: async (id) => {
      const state = await store.read(id)
      return { ...state, marks: judged(state.binding, state.marks) }
    },
    async begin(logout) {
      const older = greatest.get(names(logout.target))
      const issuedAt = logout.issuedAt ?? OP + clock() - 5_000
      const isGreater = older?.issuedAt === undefined || issuedAt >= older.issuedAt
      const ago = isGreater ? 0 : clock() - older.seenAt
      const begun = await store.begin({
        ...logout,
        issuedAt: isGreater ? issuedAt : older.issuedAt,
        seenSecondsAgo: ago,
      })
      if (!begun.replayed && isGreater) greatest.set(names(logout.target), begun.mark)
      return begun
    },
  })
}

const histories = fc.array(command, { minLength: 2, maxLength: 14 })

describe('marks side by side', () => {
  it(`agree in ${RUNS} histories with a rule that remembers every logout`, async () => {
    await fc.assert(
      fc.asyncProperty(histories, (commands) => agrees(commands, (clock) => memoryStore({ clock }))),
      { numRuns: RUNS },
    )
  })

  it('are not what one mark for each target is, dated by our clock where no token is behind it', async () => {
    const { failed } = await fc.check(
      fc.asyncProperty(histories, (commands) => agrees(commands, merging)),
      { numRuns: RUNS, endOnFailure: true },
    )
    expect(failed).toBe(true)
  })
})

// The promises about access tokens, for every way in which an API can know them; and what breaks one of them, shown to
// break it.
import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import { createJwtCheck, type MarksStore } from '../../src/access-tokens/index.js'
import { ownKeys } from '../../src/access-tokens/token-claims.js'
import { LogoutError } from '../../src/errors.js'
import type { Mark } from '../../src/marks/covering.js'
import { sha256 } from '../../src/marks/target.js'
import {
  type Door,
  type Given,
  introspected,
  type Link,
  type MakeDoor,
  type Outcome,
  verifiedElsewhere,
  verifiedHere,
  world,
} from './token-doors.js'
import { PROMISES, type Promises } from './token-promises.js'

type Sentence = keyof typeof PROMISES

/** What a verification elsewhere does itself: the check behind it has no part in that. */
const NOT_OF_IS_REVOKED: readonly Sentence[] = [
  'an exp in milliseconds is read as what it means',
  'a token that is used often is verified or asked about once a minute at most',
]

const DOORS: readonly (readonly [name: string, make: MakeDoor, link: Link])[] = [
  ['introspected', introspected, 'shared store'],
  ['verified by requireJwt', verifiedHere, 'shared store'],
  ['verified elsewhere, then isRevoked', verifiedElsewhere, 'shared store'],
  ['introspected, told by a relay', introspected, 'relay'],
  ['verified by requireJwt, told by a relay', verifiedHere, 'relay'],
]

async function keeps(sentence: keyof Promises, make: MakeDoor, link: Link): Promise<void> {
  const around = await world(make, link)
  try {
    await PROMISES[sentence]?.(around)
  } finally {
    await around.close()
  }
}

describe.each(DOORS)('tokens that are %s', (_name, make, link) => {
  const sentences = Object.keys(PROMISES).filter(
    (sentence) => make !== verifiedElsewhere || !NOT_OF_IS_REVOKED.includes(sentence),
  )
  it.each(sentences)('%s', (sentence) => keeps(sentence, make, link))
})

/** A door that is right but for one thing. */
type Change = (given: Given) => Door

/** A store that is wrong about one thing. */
const withStore =
  (change: (right: MarksStore, given: Given) => Partial<MarksStore>, make: MakeDoor = verifiedHere): Change =>
  (given) =>
    make({ ...given, store: { ...given.store, ...change(given.store, given) } })

const withMarks = (change: (marks: readonly Mark[], now: number, keys: readonly string[]) => readonly Mark[]): Change =>
  withStore(({ marks }) => ({
    marks: async (keys) => {
      const found = await marks(keys)
      return { ...found, marks: change(found.marks, found.now, keys) }
    },
  }))

const withAsk =
  (change: (right: Door, given: Given) => Door['ask'], make: MakeDoor = verifiedHere): Change =>
  (given) => ({ ask: change(make(given), given) })

const remembering = (...outcomes: readonly Outcome[]): Change =>
  withAsk((right) => {
    const known = new Map<string, Outcome>()
    return async (token) => {
      const outcome = known.get(token) ?? (await right.ask(token))
      if (outcomes.includes(outcome)) known.set(token, outcome)
      return outcome
    }
  })

const where = (outcome: Outcome, becomes: Outcome): Change =>
  withAsk((right) => async (token) => {
    const right_ = await right.ask(token)
    return right_ === outcome ? becomes : right_
  })

const BROKEN: Readonly<Record<Sentence, readonly (readonly [does: string, change: Change])[]>> = {
  'no request that begins after the logout is let in with a token that it covers': [
    ['knows of no logout', withMarks(() => [])],
    ['has a denylist of tokens', withMarks((marks) => marks.filter(({ scope }) => scope === 'token'))],
    ['remembers who was let in', remembering('in')],
  ],
  'nothing that was asked before the logout is of use after it': [
    [
      'looks for marks first, and verifies then',
      ({ store, clock, source }) => ({
        async ask(token) {
          const revoked = await createJwtCheck({ store, clock }).isRevoked(decodeJwt(token), token)
          await source(token)
          return revoked ? 'refused' : 'in'
        },
      }),
    ],
  ],
  'a request after the logout waits for no question from before it': [
    [
      'has requests share a question',
      withAsk((right) => {
        const open = new Map<string, Promise<Outcome>>()
        return (token) => {
          const question = open.get(token) ?? right.ask(token).finally(() => open.delete(token))
          open.set(token, question)
          return question
        }
      }),
    ],
  ],
  'a mark denies, whatever else says that the token is good': [
    [
      'compares the date of issue with every mark',
      withAsk((right, { store, clock }) => async (token) => {
        const { iat = 0, ...claims } = decodeJwt(token)
        const { sid: _, auth_time: __, ...dated } = claims
        if ((await right.ask(token)) !== 'refused') return 'in'
        return (await createJwtCheck({ store, clock }).isRevoked({ ...dated, iat })) ? 'refused' : 'in'
      }),
    ],
    [
      'takes the latest login for the one that is meant',
      withMarks((marks, now) => marks.filter(({ seenAt }) => seenAt > now - 100)),
    ],
  ],
  'nothing is let in at or after its exp': [['remembers who was let in', remembering('in')]],
  'an exp in milliseconds is read as what it means': [
    ['leaves exp to the library that verifies', (given) => verifiedElsewhere(given)],
  ],
  'the store is asked by hashes, never by a token, a subject or a session': [
    [
      'asks by the subject',
      withAsk((right, { store }) => async (token) => {
        await store.marks([String(decodeJwt(token).sub)])
        return right.ask(token)
      }),
    ],
  ],
  'a failure is no verdict, and nobody’s later': [
    ['remembers failures', remembering('no verdict')],
    ['takes a failure for a refusal', where('no verdict', 'refused')],
  ],
  'while the store cannot tell, nobody is let in and nobody is refused': [
    ['lets in', where('no verdict', 'in')],
    ['refuses', where('no verdict', 'refused')],
    ['relies on what it knew', remembering('in')],
  ],
  'no number of later logouts makes the first one forgotten': [
    [
      'keeps the hundred marks that it heard of last',
      withStore((_, { heard, clock }) => ({
        marks: async (keys) => ({ now: clock(), marks: heard.slice(-100).filter(({ key }) => keys.includes(key)) }),
      })),
    ],
  ],
  'a token that is used often is verified or asked about once a minute at most': [
    ['verifies each time', (given) => verifiedElsewhere(given)],
  ],
  'the proof of a token that is bound to a key is asked for each time': [
    ['asks for it once', remembering('in')],
    ['takes it for a bearer token', (given) => verifiedHere({ ...given, confirm: () => true })],
  ],
  'every token of the session ends, and nobody else’s': [
    [
      'ends all when one ends',
      withAsk((right) => {
        let ended = false
        return async (token) => {
          const outcome = await right.ask(token)
          ended ||= outcome === 'refused'
          return ended ? 'refused' : outcome
        }
      }),
    ],
    ['spares who is called otherwise', withMarks((marks) => marks.filter(({ subKey }) => subKey === undefined))],
  ],
  'one token that is ended alone takes no other with it': [
    ['knows no single tokens', withMarks((marks) => marks.filter(({ scope }) => scope !== 'token'))],
  ],
  'what ended is ended under each spelling of its signature': [
    [
      'knows a token by its text',
      ({ store, source }) => ({
        async ask(token) {
          await source(token)
          const { marks } = await store.marks(ownKeys(sha256(token)))
          return marks.length > 0 ? 'refused' : 'in'
        },
      }),
    ],
  ],
  'one more logout never lets anybody in, in whatever order they come': [
    [
      'keeps the last mark of each key',
      withStore((_, { heard, clock }) => ({
        marks: async (keys) => ({
          now: clock(),
          marks: keys.flatMap((key) => heard.findLast((mark) => mark.key === key) ?? []),
        }),
      })),
    ],
  ],
  'a mark is kept as long as any token may live, and a token that lives longer is told of': [
    ['keeps marks for an hour', withMarks((marks, now) => marks.filter(({ seenAt }) => now - seenAt < 3600))],
    ['tells of nothing', (given) => verifiedHere({ ...given, onEvent: () => {} })],
  ],
  'nothing is said of a token, a subject or a session': [
    [
      'says whose token it was',
      withAsk((right, { onEvent }) => (token) => {
        const { sub = '' } = decodeJwt(token)
        onEvent({ type: 'warning', error: new LogoutError('ERR_NO_VERDICT', `The token of ${sub}`) })
        return right.ask(token)
      }),
    ],
  ],
}

describe.each(Object.entries(BROKEN))('%s', (sentence, doors) => {
  it.each(doors)('is not kept by an API that %s', async (_does, change) => {
    await expect(keeps(sentence, change, 'shared store')).rejects.toThrow(/expected/)
  })
})

it('each sentence is broken by somebody', () => {
  expect(Object.keys(BROKEN)).toEqual(Object.keys(PROMISES))
})

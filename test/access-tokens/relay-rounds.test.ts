// The rounds of a relay, enumerated: a logout at each moment of two rounds, and at each moment one thing that goes
// wrong. Time stands still until it is moved.
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { createLocalJWKSet, exportJWK, generateKeyPair } from 'jose'
import { describe, expect, it } from 'vitest'
import { createJwtCheck, createRelay, createRelayReceiver } from '../../src/access-tokens/index.js'
import type { Mark } from '../../src/marks/covering.js'
import { ended, ISSUER, NOW, RP } from './hand-run.js'

const RELAY = 'https://rp.example.com'
const AUDIENCE = 'https://api.example.com/relay'
const BOUND_SECONDS = 5
const { privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true })
const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] })

let receive: ReturnType<ReturnType<typeof createRelayReceiver>['receiver']>

/** The message as it stands: thousands of connections would try the operating system (relay.test.ts has some). */
function delivered(body: string, contentType: string): Promise<Pick<Response, 'status' | 'headers'>> {
  const req = new IncomingMessage(new Socket())
  req.method = 'POST'
  req.headers['content-type'] = contentType
  req.push(body)
  req.push(null)
  const res = new ServerResponse(req)
  return new Promise((resolve) => {
    res.writeHead = (status: number, headers?: unknown) => {
      resolve({ status, headers: new Headers(Object(headers)) })
      return res
    }
    receive(req, res)
  })
}

type Fault = 'the message is lost' | 'the API restarts' | 'time passes'
interface Plan {
  /** Of the moments of the rounds, which are counted: before and after each message and each look at the log. */
  readonly logoutAt: number
  readonly fault?: { readonly kind: Fault; readonly at: number }
  /** A relay that is wrong. */
  readonly wrong?: undefined | 'reads the log before it has a nonce' | 'takes a lost notice for told'
}

/** What the API answers that it must not, and how many moments there were. */
async function run({ logoutAt, fault, wrong }: Plan) {
  let passed = 0
  let moments = 0
  /** What comes then goes right. */
  let isOver = false
  let loggedOutAt: number | undefined
  const marks: Mark[] = []
  const clock = () => NOW + passed
  const findings: string[] = []
  let check: ReturnType<typeof createJwtCheck>
  const start = () => {
    const options = { issuer: RELAY, audience: AUDIENCE, keys, boundSeconds: BOUND_SECONDS }
    const receiver = createRelayReceiver({ ...options, clock, monotonic: () => passed })
    receive = receiver.receiver()
    check = createJwtCheck({ store: receiver.store, clock })
  }
  const verdictOn = (sid: string) =>
    check
      .isRevoked({ iss: ISSUER, client_id: RP.clientId, sub: 'alice', sid, iat: NOW - 100 })
      .catch(() => 'none' as const)
  const look = async (when: string) => {
    const isBoundOver = loggedOutAt !== undefined && passed - loggedOutAt > BOUND_SECONDS
    if (isBoundOver && (await verdictOn('s1')) === false) findings.push(`${when}: let in beyond the bound`)
    if (loggedOutAt === undefined && (await verdictOn('s1')) === true) findings.push(`${when}: refused before`)
    if ((await verdictOn('s2')) === true) findings.push(`${when}: refused another session`)
  }
  const logOut = () => {
    marks.push(ended({ sid: 's1' }, clock()).mark)
    loggedOutAt = passed
  }
  /** Resolves to whether the message is lost. */
  const moment = async (): Promise<boolean> => {
    const now = moments++
    const kind = now === fault?.at && !isOver ? fault.kind : undefined
    if (now === logoutAt && !isOver) logOut()
    if (kind === 'the API restarts') start()
    if (kind === 'time passes') passed += BOUND_SECONDS - 1
    await look(`moment ${now}`)
    return kind === 'the message is lost'
  }

  start()
  let before: readonly Mark[] = []
  let last: ResponseInit | undefined
  const relay = createRelay({
    store: {
      async pull(cursor) {
        await moment()
        const known = wrong === 'reads the log before it has a nonce' ? before : [...marks]
        const since = Number(cursor ?? 0)
        const none = { sessionIds: [], endedIds: [], moves: [] }
        const page = { ...none, cursor: String(known.length), now: clock(), reset: cursor === undefined }
        await moment()
        return { ...page, marks: known.slice(since) }
      },
    },
    issuer: RELAY,
    privateKey,
    algorithm: 'ES256',
    apis: [{ endpoint: 'https://api.example.com', audience: AUDIENCE }],
    everySeconds: 60,
    clock,
    fetch: async (_, { body, headers: given }) => {
      before = [...marks]
      const isLost = await moment()
      if (isLost && wrong === 'takes a lost notice for told') return new Response(null, last)
      if (isLost) throw new Error('lost')
      const { status, headers } = await delivered(String(body), new Headers(given).get('content-type') ?? '')
      if (await moment()) throw new Error('lost')
      last = { status, headers }
      return new Response(null, last)
    },
  })
  // The round that a relay begins with, and this one after it.
  await relay.refresh().catch(() => {})
  passed += 2
  await look('after two rounds')
  const inTwoRounds = moments
  isOver = true
  if (loggedOutAt === undefined) logOut()
  // What a round says is complete since the round before: the second of them begins where nothing is old.
  await relay.refresh()
  await relay.refresh()
  passed += BOUND_SECONDS - 1
  if ((await verdictOn('s1')) !== true) findings.push('in the end: let in')
  if ((await verdictOn('s2')) !== false) findings.push('in the end: another session is not let in')
  passed += 2
  if ((await verdictOn('s2')) !== 'none') findings.push('in the end: answers without having been told for too long')
  relay.close()
  return { findings, moments: inTwoRounds }
}

async function plans(wrong?: Plan['wrong']): Promise<readonly Plan[]> {
  const { moments } = await run({ logoutAt: 0 })
  const times = Array.from({ length: moments + 1 }, (_, at) => at)
  const kinds: readonly Fault[] = ['the message is lost', 'the API restarts', 'time passes']
  return times.flatMap((logoutAt) => [
    { logoutAt, wrong },
    ...kinds.flatMap((kind) => times.map((at) => ({ logoutAt, fault: { kind, at }, wrong }))),
  ])
}

/** The first plan by which the API answers what it must not. */
async function wrongOf(all: readonly Plan[]): Promise<string | undefined> {
  for (const plan of all) {
    const { findings } = await run(plan)
    if (findings.length > 0) return `${JSON.stringify(plan)}: ${findings.join(', ')}`
  }
  return undefined
}

describe('a logout in the rounds of a relay', () => {
  it('lets nobody in beyond the bound, refuses nobody else, and is known in the end, whatever goes wrong', async () => {
    const all = await plans()
    expect(all.length).toBeGreaterThan(300)
    expect(await wrongOf(all)).toBeUndefined()
  })

  it.each(['reads the log before it has a nonce', 'takes a lost notice for told'] as const)(
    'would be let in by a relay that %s',
    async (wrong) => {
      expect(await wrongOf(await plans(wrong))).toContain('let in')
    },
  )
})

// Access tokens at a route of Express: what asking for the mark adds to express-jwt, and what this package's own checks
// cost against those that an API would use in their place.
import type { AccessTokensProcess, Check, Store } from './access-tokens-process.js'
import type { Bench, RoundedSection } from './bench.js'
import type { Remote } from './remote.js'
import { median, ratioTarget, rotated, type Section } from './report.js'

const APIS = [
  { name: 'Express, no check', check: 'nothing', store: 'none' },
  { name: 'express-jwt', check: 'express-jwt', store: 'none' },
  { name: 'express-jwt + isRevoked, memory', check: 'express-jwt', store: 'memory' },
  { name: 'express-jwt + isRevoked, bounded', check: 'express-jwt', store: 'bounded' },
  { name: 'express-jwt + isRevoked, Redis', check: 'express-jwt', store: 'redis' },
  { name: 'express-jwt + one GET, Redis', check: 'express-jwt and a GET', store: 'none' },
  { name: 'express-oauth2-jwt-bearer', check: 'express-oauth2-jwt-bearer', store: 'none' },
  { name: 'requireJwt, memory', check: 'requireJwt', store: 'memory' },
  { name: 'requireToken, cached, memory', check: 'requireToken', store: 'memory' },
] as const satisfies readonly { readonly name: string; readonly check: Check; readonly store: Store }[]

type Name = (typeof APIS)[number]['name']

/** In these nothing is ours. */
const CONTROLS: readonly Name[] = [
  'Express, no check',
  'express-jwt',
  'express-jwt + one GET, Redis',
  'express-oauth2-jwt-bearer',
]

const CONNECTIONS = 16
/** Where one answer is waited for: with more in flight, a round trip hides behind the others. */
const ALONE = 1
/** The first rounds compile what is measured. */
const WARM_UP_ROUNDS = 2
/**
 * All take turns so often within a round, a few requests each, and the middle one counts: on a machine with others at
 * work a turn of seconds is as fast as they let it be, and a ratio of two such turns says who was lucky.
 */
const TURNS = 6

interface Running {
  readonly name: Name
  readonly process: Remote<AccessTokensProcess>
  readonly port: number
  readonly heads: readonly string[]
  readonly rounds: Round[]
}

interface Round {
  readonly cpuMicros: number
  readonly requestsPerSecond: number
  readonly aloneMs: number
}

export async function accessTokens(bench: Bench): Promise<RoundedSection> {
  const { url: redisUrl } = await bench.redis()
  const generator = bench.generator()
  const apis: Running[] = []
  for (const { name, check, store } of APIS) {
    const process = bench.startMeasured<AccessTokensProcess>('access-tokens-process.ts', `tokens-${name}`)
    const given = { check, store, redisUrl, tokens: bench.size(200, 5) }
    const { port, tokens } = await process.call('start', given)
    const heads = tokens.map((token) => `GET / HTTP/1.1\r\nHost: api.example.com\r\nAuthorization: Bearer ${token}`)
    apis.push({ name, process, port, heads, rounds: [] })
  }
  const turns = bench.size(TURNS, 1)
  const perTurn = bench.size(500, 40)
  const turnOf = async ({ process, port, heads }: Running): Promise<Round> => {
    const how = { port, heads, status: 200 }
    await process.call('measure', undefined)
    const { requestsPerSecond } = await generator.call('request', {
      ...how,
      count: perTurn,
      connections: CONNECTIONS,
    })
    const cpuMicros = (await process.call('measured', undefined)) / perTurn
    const alone = await generator.call('request', { ...how, count: bench.size(60, 10), connections: ALONE })
    return { cpuMicros, requestsPerSecond, aloneMs: alone.p50Ms }
  }
  return {
    name: 'access tokens',
    warmUpRounds: WARM_UP_ROUNDS,
    async round(round, isCounted) {
      const taken = new Map<Running, Round[]>(apis.map((api) => [api, []]))
      for (let turn = 0; turn < turns; turn++) {
        for (const api of rotated(apis, round * turns + turn)) taken.get(api)?.push(await turnOf(api))
      }
      if (!isCounted) return
      for (const [{ rounds }, all] of taken) {
        const middle = (of: keyof Round) => median(all.map((each) => each[of]))
        rounds.push({
          cpuMicros: middle('cpuMicros'),
          requestsPerSecond: middle('requestsPerSecond'),
          aloneMs: middle('aloneMs'),
        })
      }
    },
    report: () => report(apis),
    series: () =>
      apis.map(({ name, rounds }) => ({
        name,
        unit: 'CPU us',
        values: rounds.map(({ cpuMicros }) => cpuMicros),
        isControl: CONTROLS.includes(name),
      })),
  }
}

function report(apis: readonly Running[]): Section {
  const roundsOf = (name: Name) => apis.find((api) => api.name === name)?.rounds ?? []
  const cpu = (name: Name) => roundsOf(name).map(({ cpuMicros }) => cpuMicros)
  const bare = cpu('Express, no check')
  /** What a check costs, without the route it stands in front of. */
  const beyond = (name: Name) => cpu(name).map((micros, round) => micros - (bare[round] ?? Number.NaN))
  const alone = (name: Name) => roundsOf(name).map(({ aloneMs }) => aloneMs)
  const cached = beyond('requireToken, cached, memory')
  const added = { atLeast: 1.02, aim: 1.01 }
  return {
    name: 'access tokens',
    tables: [
      {
        title: 'A route of Express that checks an access token',
        note: `RS256, 2048 bits, 200 tokens in turns; processor time of the API per request with ${CONNECTIONS} connections; p50 of one connection. express-jwt and express-oauth2-jwt-bearer verify the signature each time and know of no logout; requireJwt verifies it once a minute for each token and asks for the mark each time; requireToken asks for the mark each time and finds the claims in its cache. One GET is the least that a question to Redis can be: nothing of it is ours.`,
        columns: ['route', 'CPU us', 'beyond Express', 'requests/s', 'p50 ms'],
        rows: apis.map(({ name, rounds }) => [
          name,
          median(cpu(name)),
          median(beyond(name)),
          median(rounds.map((round) => round.requestsPerSecond)),
          median(alone(name)),
        ]),
      },
    ],
    targets: [
      ratioTarget(
        { ...added, name: 'express-jwt with isRevoked vs without, CPU (memory)' },
        cpu('express-jwt + isRevoked, memory'),
        cpu('express-jwt'),
      ),
      ratioTarget(
        { ...added, name: 'express-jwt with isRevoked vs without, CPU (bounded)' },
        cpu('express-jwt + isRevoked, bounded'),
        cpu('express-jwt'),
      ),
      ratioTarget(
        { name: 'express-jwt with isRevoked vs without, p50 (Redis, strict)', atLeast: 1.15, aim: 1.1 },
        alone('express-jwt + isRevoked, Redis'),
        alone('express-jwt'),
      ),
      ratioTarget(
        { name: 'express-jwt with isRevoked vs with one bare GET, p50 (Redis)', atLeast: 1.1, aim: 1.05 },
        alone('express-jwt + isRevoked, Redis'),
        alone('express-jwt + one GET, Redis'),
      ),
      ratioTarget(
        { name: 'cached claims vs express-oauth2-jwt-bearer, CPU beyond Express', atLeast: 0.12, aim: 0.08 },
        cached,
        beyond('express-oauth2-jwt-bearer'),
      ),
      ratioTarget(
        { name: 'cached claims vs express-jwt, CPU beyond Express', atLeast: 0.05, aim: 0.03 },
        cached,
        beyond('express-jwt'),
      ),
      ratioTarget(
        { name: 'requireJwt vs express-oauth2-jwt-bearer, CPU per request', atLeast: 0.7, aim: 0.5 },
        cpu('requireJwt, memory'),
        cpu('express-oauth2-jwt-bearer'),
      ),
    ],
  }
}

import { afterAll, describe, expect, it } from 'vitest'
import { createClaims, createEvictionClient } from '../src/access-tokens/index.js'
import { createBackchannelLogout, expressSessions, memoryStore } from '../src/index.js'
import { assertNumber, assertNumberIfGiven, assertOptions, type NumberRange } from '../src/option-checks.js'
import { byRefreshToken } from '../src/outbound/revalidation-questions.js'
import { boundedReads } from '../src/stores/bounded-reads.js'
import { checkPostgres, postgresStore, prunePostgres } from '../src/stores/postgres/index.js'
import { checkRedis, redisStore } from '../src/stores/redis/index.js'
import { openTelemetry, traceStore } from '../src/telemetry/opentelemetry.js'
import { prometheusMetrics } from '../src/telemetry/prometheus.js'
import {
  assertLogoutWorks,
  assertSessionStoreIsSafe,
  createFakeOp,
  createTokenMint,
  logoutStoreContract,
  runSessionStoreMatrix,
} from '../src/testing/index.js'

const call = (factory: (...args: never[]) => unknown, ...args: unknown[]) => Reflect.apply(factory, undefined, args)

const provider = { issuer: 'https://op.example.com', clientId: 'my-rp' }
const sessionStore = () => ({ get() {}, set() {}, destroy() {} })
const redis = async () => null
const pool = { query: async () => ({ rows: [] }) }
const introspection = {
  issuer: provider.issuer,
  clientId: 'api',
  clientAuthentication: { method: 'client_secret_basic', clientSecret: 's' },
}
const evictor = { endpoint: 'https://api.example.com/evict', clientId: 'my-rp', clientSecret: 's' }
const logout = createBackchannelLogout({ provider })
const secret = 'a secret of thirty-two characters'
const endSession = logout.rpInitiatedLogout({ redirectUris: { home: 'https://rp.example.com/' }, secret })
const question = { ...provider, endpoint: 'https://op.example.com/token', clientSecret: 's' }
const loggedIn = { iss: provider.issuer, aud: provider.clientId, sub: 'alice', iat: 1_700_000_000 }
const overSessions = createBackchannelLogout({ provider, sessions: expressSessions(sessionStore()) })
const sessionRequest = { session: {}, sessionID: 'one' }
const claims = createClaims({ introspection: { issuer: provider.issuer, introspect: async () => ({ active: false }) } })
const op = await createFakeOp({ clientId: 'rp' })
afterAll(() => op.close())

/** Each factory, given options of which one name is mistyped, and the name that was meant. */
const FACTORIES: readonly [factory: string, make: (stranger: object) => unknown, mistyped: string, meant: string][] = [
  [
    'createBackchannelLogout()',
    (o) => call(createBackchannelLogout, { provider, ...o }),
    'bodyLimit',
    'bodyLimitBytes',
  ],
  [
    'provider',
    (o) => call(createBackchannelLogout, { provider: { ...provider, ...o } }),
    'client_secret',
    'clientSecret',
  ],
  [
    'provider option decryption',
    (o) => call(createBackchannelLogout, { provider: { ...provider, decryption: { keys: [], ...o } } }),
    'allowPlainJWS',
    'allowPlainJws',
  ],
  ['memoryStore()', (o) => call(memoryStore, o), 'clocks', 'clock'],
  ['redisStore()', (o) => call(redisStore, redis, o), 'keyPrefix', 'prefix'],
  ['checkRedis()', (o) => call(checkRedis, redis, o), 'isCluster', 'cluster'],
  ['postgresStore()', (o) => call(postgresStore, pool, o), 'table', 'sessionTable'],
  ['checkPostgres()', (o) => call(checkPostgres, pool, o), 'sessionsTable', 'sessionTable'],
  ['prunePostgres()', (o) => call(prunePostgres, pool, o), 'batches', 'batch'],
  ['boundedReads()', (o) => call(boundedReads, memoryStore(), o), 'second', 'seconds'],
  ['expressSessions()', (o) => call(expressSessions, sessionStore(), o), 'verifyDestroy', 'verifyDestroyed'],
  ['guard()', (o) => call(logout.guard, () => undefined, o), 'whenEnd', 'whenEnded'],
  ['terminate()', (o) => call(logout.terminate, { ...provider, sub: 'alice' }, o), 'reasons', 'reason'],
  ['createClaims()', (o) => call(createClaims, { introspection, ...o }), 'maxEntrys', 'maxEntries'],
  [
    'createClaims() option introspection',
    (o) => call(createClaims, { introspection: { ...introspection, ...o } }),
    'introspection_endpoint',
    'introspectionEndpoint',
  ],
  ['requireToken()', (o) => call(claims.requireToken, o), 'scopes', 'scope'],
  ['evictionEndpoint()', (o) => call(claims.evictionEndpoint, { clients: { rp: 's' }, ...o }), 'client', 'clients'],
  ['bind()', (o) => call(logout.signOn, loggedIn, o), 'startedAtSeconds', 'startedAt'],
  ['bind()', (o) => call(logout.signOn, loggedIn, o), 'access_token', 'accessToken'],
  ['addTokens()', (o) => call(overSessions.addTokens, sessionRequest, o), 'access_token', 'accessToken'],
  [
    'rpInitiatedLogout()',
    (o) => call(logout.rpInitiatedLogout, { redirectUris: {}, secret, ...o }),
    'secrets',
    'secret',
  ],
  ['route()', (o) => call(endSession.route, { start: { to: 'home' }, ...o }), 'recrod', 'record'],
  ['start', (o) => call(endSession.start, undefined, { to: 'home', ...o }), 'scopes', 'scope'],
  ['a question', (o) => call(byRefreshToken, { ...question, ...o }), 'client_secret', 'clientSecret'],
  ['prometheusMetrics()', (o) => call(prometheusMetrics, o), 'registry', 'register'],
  ['openTelemetry()', (o) => call(openTelemetry, o), 'tracers', 'tracer'],
  ['traceStore()', (o) => call(traceStore, memoryStore(), o), 'tracers', 'tracer'],
  ['createFakeOp()', (o) => call(createFakeOp, { clientId: 'rp', ...o }), 'issuer_path', 'issuerPath'],
  ['createTokenMint()', (o) => call(createTokenMint, { ...provider, ...o }), 'client_secret', 'clientSecret'],
  ['logoutToken()', (o) => call(op.mint.logoutToken, o), 'payloads', 'payload'],
  ['idToken()', (o) => call(op.mint.idToken, o), 'headers', 'header'],
  ['encrypt', (o) => call(op.mint.logoutToken, { encrypt: o }), 'algo', 'alg'],
  ['deliver()', (o) => call(op.deliver, 'http://127.0.0.1:1/', 'token', o), 'header', 'headers'],
  ['deliverAs()', (o) => call(op.deliverAs, 'ory-hydra', 'http://127.0.0.1:1/', o), 'changes', 'change'],
  ['openBrowser()', (o) => call(op.openBrowser, 'ada', o), 'seconds_ago', 'secondsAgo'],
  ['logOut()', (o) => call(op.logOut, { sid: 's' }, o), 'seconds_ago', 'secondsAgo'],
  ['logoutStoreContract()', (o) => call(logoutStoreContract, o), 'creates', 'create'],
  ['runSessionStoreMatrix()', (o) => call(runSessionStoreMatrix, o), 'sessions', 'session'],
  ['assertSessionStoreIsSafe()', (o) => call(assertSessionStoreIsSafe, o), 'create_store', 'createStore'],
  ['assertLogoutWorks()', (o) => call(assertLogoutWorks, o), 'isSigned_in', 'isSignedIn'],
  ['createEvictionClient()', (o) => call(createEvictionClient, { ...evictor, ...o }), 'clientID', 'clientId'],
]

/** What a call throws, at once or as a rejection. */
async function thrownBy(work: () => unknown): Promise<unknown> {
  try {
    await work()
    return undefined
  } catch (error) {
    return error
  }
}

describe('an option that a factory does not have is never silent', () => {
  it.each(FACTORIES)('%s', async (factory, make, mistyped, meant) => {
    const error = await thrownBy(() => make({ [mistyped]: 1 }))
    expect(error).toBeInstanceOf(TypeError)
    expect(error).toHaveProperty('message', `${factory} has no option "${mistyped}": it appears you mean ${meant}`)
  })

  it.each(FACTORIES)('%s says which options it has where none is near', async (factory, make) => {
    const error = await thrownBy(() => make({ xyzzy: 1 }))
    expect(error).toBeInstanceOf(TypeError)
    expect(String(error)).toMatch(`${factory} has no option "xyzzy": it has `)
  })

  it('refuses what is no object in place of options', () => {
    expect(() => call(redisStore, redis, 'myapp:')).toThrow(
      new TypeError('the options of redisStore() must be an object: prefix, sessionPrefix, cluster'),
    )
    expect(() => call(memoryStore, null)).toThrow(TypeError)
  })

  it('takes every option that is there, and none at all', () => {
    expect(() => memoryStore()).not.toThrow()
    expect(() => assertOptions('x()', { a: undefined }, { a: true, b: true })).not.toThrow()
  })

  it('does not take what every object has for an option', () => {
    expect(() => assertOptions('x()', JSON.parse('{"__proto__":1}'), { a: true })).toThrow(/no option "__proto__"/)
    expect(() => assertOptions('x()', { constructor: 1 }, { a: true })).toThrow(/no option "constructor"/)
  })
})

describe('a number', () => {
  it.each<[NumberRange, readonly unknown[], readonly unknown[]]>([
    [{}, [0, 0.5, 1e9], [-1, Number.NaN, Number.POSITIVE_INFINITY, '1', null, undefined]],
    [{ above: 0, most: 60 }, [0.001, 60], [0, 60.1]],
    [{ least: 5060 }, [5060], [5059]],
    [{ above: 0, isWhole: true }, [1], [1.5]],
  ])('in %o', (range, taken, refused) => {
    for (const value of taken) expect(() => assertNumber('a', value, range)).not.toThrow()
    for (const value of refused) expect(() => assertNumber('a', value, range)).toThrow(TypeError)
    expect(() => assertNumberIfGiven('a', undefined, range)).not.toThrow()
    expect(() => assertNumberIfGiven('a', null, range)).toThrow(TypeError)
  })

  it('has one sentence, with the unit where there is one', () => {
    const said = (name: string, range: NumberRange) => () => assertNumber(name, 'x', range)
    expect(said('maxEntries', { above: 0, isWhole: true })).toThrow(/^maxEntries must be a whole number above 0$/)
    expect(said('timeoutSeconds', { above: 0, most: 60 })).toThrow(
      /^timeoutSeconds must be a number of seconds, not milliseconds, above 0 and at most 60$/,
    )
    expect(said('retryForSeconds', { most: 9, remedy: '0 is for no retries' })).toThrow(
      /^retryForSeconds must be a number of seconds, not milliseconds, of 0 or more and at most 9; 0 is for no retries$/,
    )
  })
})

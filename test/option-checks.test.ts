import { describe, expect, it } from 'vitest'
import { createClaims, createEvictionClient } from '../src/access-tokens/index.js'
import { createBackchannelLogout, expressSessions, memoryStore } from '../src/index.js'
import { assertOptions } from '../src/option-checks.js'
import { boundedReads } from '../src/stores/bounded-reads.js'
import { checkPostgres, postgresStore, prunePostgres } from '../src/stores/postgres/index.js'
import { checkRedis, redisStore } from '../src/stores/redis/index.js'

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
const claims = createClaims({ introspection: { issuer: provider.issuer, introspect: async () => ({ active: false }) } })

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

// Looks at a Redis before it is relied on, and says in words what would lose a logout. Changes nothing.
import { assertOptions } from '../../option-checks.js'
import { connectionOf, isUndeclaredKey, type RedisClient, type RedisCommand, UNDECLARED_KEYS } from './command.js'

/** Options of `checkRedis`. */
export interface RedisCheckOptions {
  /** As for `redisStore`. */
  readonly cluster?: boolean
}

/** What `INFO` says, and under `save` what the configuration does, if it may be read. */
type Info = ReadonlyMap<string, string>
type Check = (info: Info, isCluster: boolean) => string | undefined

/** The commands of the store need `SET … PXAT GET`, `XTRIM … MINID` and `ZADD … GT`. */
const OLDEST_VERSION = [6, 2] as const

const CHECKS: readonly Check[] = [
  (info) =>
    /^(slave|replica)$/.test(info.get('role') ?? '')
      ? 'The client is connected to a replica. A replica may not have heard of a logout yet, so a session would live on: ' +
        'connect to the primary.'
      : undefined,
  (info) => {
    const policy = info.get('maxmemory_policy')
    return policy === undefined || policy === 'noeviction'
      ? undefined
      : `Redis may evict keys: maxmemory-policy is ${policy}. An evicted mark revives a session that was ended, an evicted ` +
          'binding cannot be found by a logout: set maxmemory-policy to noeviction, or use a Redis of its own.'
  },
  (info) =>
    info.get('aof_enabled') === '0' && info.get('save') === ''
      ? 'Redis forgets everything at a restart: appendonly is no, and save is empty. Sessions in cookies and access tokens that were ' +
        'ended then live again, and whoever has a session in a store must sign in again: set appendonly to yes, and appendfsync ' +
        'to always where a crash must not lose a logout either.'
      : undefined,
  (info, isCluster) =>
    info.get('cluster_enabled') === '1' && !isCluster
      ? 'This Redis is a cluster, but the client is not a cluster client: use createCluster of node-redis or Redis.Cluster ' +
        'of ioredis, or say cluster: true for a function of your own.'
      : undefined,
  (info) => {
    const version = info.get('redis_version') ?? ''
    const [major = 0, minor = 0] = version.split('.').map(Number)
    const isOld = major < OLDEST_VERSION[0] || (major === OLDEST_VERSION[0] && minor < OLDEST_VERSION[1])
    return version !== '' && isOld
      ? `Redis ${version} is too old: version ${OLDEST_VERSION.join('.')} or later is needed.`
      : undefined
  },
]

/**
 * What is amiss with this Redis, one sentence each with its remedy; empty if nothing is. For the start of your
 * application:
 *
 * `for (const problem of await checkRedis(client)) console.warn(problem)`
 *
 * Rejects if Redis does not answer `INFO`. Whether it keeps anything across a restart is said where `CONFIG GET` is
 * allowed, as it is not on most hosted ones. On a cluster one node is looked at.
 */
export async function checkRedis(client: RedisClient, options: RedisCheckOptions = {}): Promise<readonly string[]> {
  assertOptions('checkRedis()', options, { cluster: true })
  const { command, isCluster } = connectionOf(client, options.cluster)
  const info = new Map([...parseInfo(String(await command(['INFO'], 'bcl'))), ...(await savePoints(command))])
  const problems = CHECKS.flatMap((check) => check(info, isCluster) ?? [])
  const isApart = isCluster || info.get('cluster_enabled') === '1'
  return isApart || (await mayTouchAnyKey(command)) ? problems : [...problems, UNDECLARED_KEYS]
}

/** Scripts for one Redis find their keys on the way. */
async function mayTouchAnyKey(command: RedisCommand): Promise<boolean> {
  try {
    await command(['EVAL', "return redis.call('EXISTS', ARGV[1])", '0', 'bcl:any'], 'bcl')
    return true
  } catch (error) {
    return !isUndeclaredKey(error)
  }
}

/**
 * A pair in a list, or a map in RESP 3. Nothing where it may not be read: what cannot be seen is not reported as amiss.
 */
async function savePoints(command: RedisCommand): Promise<Info> {
  try {
    const reply = await command(['CONFIG', 'GET', 'save'], 'bcl')
    const save: unknown = Array.isArray(reply) ? reply[1] : Reflect.get(Object(reply), 'save')
    return new Map(typeof save === 'string' ? [['save', save]] : [])
  } catch {
    return new Map()
  }
}

function parseInfo(text: string): Info {
  return new Map(
    text.split('\r\n').flatMap((line): readonly (readonly [string, string])[] => {
      const colon = line.indexOf(':')
      return colon < 0 || line.startsWith('#') ? [] : [[line.slice(0, colon), line.slice(colon + 1)]]
    }),
  )
}

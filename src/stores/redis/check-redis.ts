// Looks at a Redis before it is relied on, and says in words what would lose a logout. Changes nothing.
import { assertOptions } from '../../option-checks.js'
import {
  connectionOf,
  isNotPermitted,
  isUndeclaredKey,
  type RedisClient,
  type RedisCommand,
  UNDECLARED_KEYS,
} from './command.js'

/** Options of `checkRedis`. */
export interface RedisCheckOptions {
  /** As for `redisStore`. */
  readonly cluster?: boolean
  /** As for `redisStore`: whether the ACL of this user lets it use such keys. Default `bcl:`. */
  readonly prefix?: string
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

const NO_INFO =
  'The user of this connection may not ask INFO, so that a Redis that evicts, or a replica, goes unnoticed: run ACL ' +
  'SETUSER <user> +info.'

const KEY = 'key'

/** Every command of the scripts in lua/, as it could be called. */
const CALLS: readonly (readonly string[])[] = [
  ['del', KEY],
  ['get', KEY],
  ['mget', KEY],
  ['pexpireat', KEY, '1'],
  ['pttl', KEY],
  ['sadd', KEY, 'a'],
  ['set', KEY, 'a'],
  ['smembers', KEY],
  ['time'],
  ['xadd', KEY, '*', 'a', 'b'],
  ['xrange', KEY, '-', '+'],
  ['xrevrange', KEY, '+', '-'],
  ['xtrim', KEY, 'MAXLEN', '1'],
  ['zadd', KEY, '1', 'a'],
  ['zcount', KEY, '1', '1'],
  ['zrange', KEY, '0', '0'],
  ['zrem', KEY, 'a'],
  ['zremrangebyrank', KEY, '0', '0'],
  ['zremrangebyscore', KEY, '0', '0'],
  ['zscore', KEY, 'a'],
]

/** Calls, each with an empty word behind it; gives the names of those that the user may not. */
const WHAT_IS_DENIED = `
if not redis.acl_check_cmd then return {} end
local denied, call = {}, {}
for _, word in ipairs(ARGV) do
  if word ~= '' then call[#call + 1] = word
  else
    if not redis.acl_check_cmd(unpack(call)) then denied[#denied + 1] = call[1] end
    call = {}
  end
end
return denied`

/**
 * What is amiss with this Redis, one sentence each with its remedy; empty if nothing is. For the start of your
 * application:
 *
 * `for (const problem of await checkRedis(client)) console.warn(problem)`
 *
 * Rejects if Redis does not answer. Whether it keeps anything across a restart is said where `CONFIG GET` is allowed, as
 * it is not on most hosted ones; what the user of this connection may not do, by Redis 7 and later. On a cluster one
 * node is looked at.
 */
export async function checkRedis(client: RedisClient, options: RedisCheckOptions = {}): Promise<readonly string[]> {
  assertOptions('checkRedis()', options, { cluster: true, prefix: true })
  const { command, isCluster } = connectionOf(client, options.cluster)
  const answered = await informationOf(command)
  const info = new Map([...(answered ?? []), ...(await savePoints(command))])
  const problems = [
    ...CHECKS.flatMap((check) => check(info, isCluster) ?? []),
    ...(answered === undefined ? [NO_INFO] : []),
    ...(await deniedBy(command, options.prefix ?? 'bcl:')),
  ]
  const isApart = isCluster || info.get('cluster_enabled') === '1'
  return isApart || (await mayTouchAnyKey(command)) ? problems : [...problems, UNDECLARED_KEYS]
}

/** Undefined where this user may not ask. */
async function informationOf(command: RedisCommand): Promise<Info | undefined> {
  try {
    return parseInfo(String(await command(['INFO'], 'bcl')))
  } catch (error) {
    if (isNotPermitted(error)) return undefined
    throw error
  }
}

/**
 * What the scripts of the store are denied by the ACL of this user. Asked in a script of its own, which runs none of
 * them: only Redis itself knows which rule comes last. A Redis before 7 cannot say.
 */
async function deniedBy(command: RedisCommand, prefix: string): Promise<readonly string[]> {
  const key = `${prefix}check`
  const denied = async (args: readonly string[]): Promise<readonly string[]> => {
    try {
      const reply = await command(args, key)
      return Array.isArray(reply) ? reply.map(String) : []
    } catch (error) {
      return isNotPermitted(error) ? [String(args[0]).toLowerCase()] : []
    }
  }
  const calls = CALLS.flatMap((call) => [...call.map((word) => (word === KEY ? key : word)), ''])
  const names = [
    ...(await denied(['EVALSHA', '0'.repeat(40), '0'])),
    ...(await denied(['EVAL', WHAT_IS_DENIED, '0', ...calls])),
  ]
  if (names.length === 0) return []
  return [
    'The user of this connection may not do what the logout store does, so that each login and each logout would fail: ' +
      `run ACL SETUSER <user> ~${prefix}* ${names.map((name) => `+${name}`).join(' ')}, where ${prefix} is the prefix of redisStore.`,
  ]
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

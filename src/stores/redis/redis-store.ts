// The logout store in Redis: options checked once, then one of two ways of running. Knows the drivers by their shape
// only.
import { assertOptions, type OptionNames } from '../../option-checks.js'
import type { LogStore } from '../log-store.js'
import { ClusterRedisStore } from './cluster-store.js'
import { connectionOf, type RedisClient } from './command.js'
import { StandaloneRedisStore } from './standalone-store.js'

/** Options of `redisStore`. */
export interface RedisStoreOptions {
  /** Put before every key. At most five characters keep a bound session within 600 bytes. Default `bcl:`. */
  readonly prefix?: string
  /**
   * The prefix of connect-redis, usually `sess:`, if its sessions are in this same Redis and nothing but destroying
   * them is to be done: a logout then destroys them in its one round trip. Not on a cluster, where it is refused.
   */
  readonly sessionPrefix?: string
  /** Whether the keys live apart (Redis Cluster). Seen from the client itself; say it for a function of your own. */
  readonly cluster?: boolean
}

const NAMES: OptionNames<RedisStoreOptions> = { prefix: true, sessionPrefix: true, cluster: true }

/**
 * A logout store for any number of nodes. One round trip per method on one Redis; on a cluster as many as slots demand.
 *
 * `client` is a connected client of node-redis or ioredis, or a function that sends a command to the **primary**: a
 * read from a replica would miss a logout. Redis must not evict (`maxmemory-policy noeviction`); `checkRedis` says what
 * is amiss. A fail-over can lose what Redis had acknowledged; where that must not be, use PostgreSQL or `WAIT` and AOF.
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): LogStore {
  assertOptions('redisStore()', options, NAMES)
  const { prefix = 'bcl:', sessionPrefix, cluster } = options
  const { command, isCluster } = connectionOf(client, cluster)
  if (!isCluster) return new StandaloneRedisStore(command, checkedPrefix(prefix), sessionPrefix)
  if (sessionPrefix !== undefined) {
    throw new TypeError('redisStore: sessionPrefix needs all keys on one Redis; leave it out on a cluster')
  }
  return new ClusterRedisStore(command, checkedPrefix(prefix))
}

/** Braces would decide which part of a key its slot is computed from. */
function checkedPrefix(prefix: string): string {
  if (/[{}]/.test(prefix)) throw new TypeError('redisStore: prefix must not contain braces; choose another')
  return prefix
}

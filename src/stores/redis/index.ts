// The face of `oidc-backchannel-logout/redis`: named re-exports, nothing else.
/** @module oidc-backchannel-logout/redis */
export type { LogPage, LogStore } from '../log-store.js'
export { checkRedis, type RedisCheckOptions } from './check-redis.js'
export type {
  IoRedisClient,
  NodeRedisClient,
  NodeRedisCluster,
  NodeRedisSentinel,
  RedisClient,
  RedisCommand,
} from './command.js'
export { type RedisStoreOptions, redisStore } from './redis-store.js'

// The seam to a Redis driver: one function that sends a command, and a script that is loaded when Redis forgot it. Knows
// the shapes of node-redis and ioredis, imports neither.
import { createHash } from 'node:crypto'

/**
 * Sends one command to the primary and resolves to its reply; rejects with an error whose `message` is Redis's own.
 * `key`: on a cluster, the key whose node is meant.
 */
export type RedisCommand = (args: readonly string[], key: string) => Promise<unknown>

/** node-redis 5 or later: a client or a pool. */
export interface NodeRedisClient {
  sendCommand(args: string[]): Promise<unknown>
}

/** node-redis 5 or later: a cluster client. */
export interface NodeRedisCluster {
  readonly masters: readonly unknown[]
  sendCommand(firstKey: string, isReadonly: boolean, args: string[]): Promise<unknown>
}

/** node-redis 5 or later: a client that finds its primary by Redis Sentinel. */
export interface NodeRedisSentinel {
  getMasterNode(): unknown
  sendCommand(isReadonly: boolean, args: string[]): Promise<unknown>
}

/** ioredis 5 or later: a client, by Redis Sentinel or not, or with `isCluster` a cluster client. */
export interface IoRedisClient {
  readonly isCluster?: boolean
  call(command: string, args: string[]): Promise<unknown>
}

/** A client of either driver, or a function of your own for any other. */
export type RedisClient = NodeRedisClient | NodeRedisCluster | NodeRedisSentinel | IoRedisClient | RedisCommand

export interface RedisConnection {
  readonly command: RedisCommand
  readonly isCluster: boolean
}

/** Recognizes a client by its shape. Throws a `TypeError` for anything else. */
export function connectionOf(client: RedisClient, cluster?: boolean): RedisConnection {
  if (typeof client === 'function') return { command: client, isCluster: cluster ?? false }
  if ('call' in client && typeof client.call === 'function') {
    return {
      command: async ([name = '', ...args]) => client.call(name, args),
      isCluster: cluster ?? client.isCluster === true,
    }
  }
  if ('masters' in client) {
    return { command: async (args, key) => client.sendCommand(key, false, [...args]), isCluster: cluster ?? true }
  }
  if ('getMasterNode' in client) {
    // Never read-only: with replicas such a command may go to one, and a replica may not have heard of a logout yet.
    return { command: async (args) => client.sendCommand(false, [...args]), isCluster: cluster ?? false }
  }
  if ('sendCommand' in client && typeof client.sendCommand === 'function') {
    return { command: async (args) => client.sendCommand([...args]), isCluster: cluster ?? false }
  }
  throw new TypeError(
    'redisStore(client): the client is neither of node-redis (5 or later) nor of ioredis (5 or later); ' +
      'for another driver give a function (args) => Promise',
  )
}

/** Lua scripts by name, each run by its digest. */
export class RedisScripts<Name extends string> {
  readonly #sources: Readonly<Record<Name, string>>
  readonly #digests = new Map<Name, string>()

  constructor(sources: Readonly<Record<Name, string>>) {
    this.#sources = sources
  }

  /** One round trip; one more where Redis does not know the script yet, or has forgotten it, as after a restart. */
  async run(command: RedisCommand, name: Name, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const rest = [String(keys.length), ...keys, ...args]
    const route = keys[0] ?? ''
    try {
      return await command(['EVALSHA', this.#digestOf(name), ...rest], route)
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
      return command(['EVAL', this.#sources[name], ...rest], route)
    }
  }

  #digestOf(name: Name): string {
    const known = this.#digests.get(name)
    if (known !== undefined) return known
    const digest = createHash('sha1').update(this.#sources[name]).digest('hex')
    this.#digests.set(name, digest)
    return digest
  }
}

// The seam to a Redis driver: one function that sends a command, and a script that is loaded when Redis forgot it.
// Knows the shapes of node-redis and ioredis, imports neither.
import { createHash } from 'node:crypto'
import { permissionDenied } from '../reply.js'

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
    return { command: lookingAround(client), isCluster: cluster ?? true }
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

/** How long a master is waited for before another one is asked where its slots are now. */
const LOOK_AROUND_MILLISECONDS = 1000
/** Keys of which nearly always some lie with another master than the one that is meant. */
const OTHER_ROUTES = ['a', 'b', 'c', 'd', 'e']

/**
 * A cluster client of node-redis learns that a replica took over from MOVED alone, and asks the dead master for ever.
 * So where there is no answer, the same key is asked for by way of other masters, which say where it is.
 */
function lookingAround(client: NodeRedisCluster): RedisCommand {
  let lookedAt = Number.NEGATIVE_INFINITY
  const look = (key: string): void => {
    const now = performance.now()
    if (now - lookedAt < LOOK_AROUND_MILLISECONDS) return
    lookedAt = now
    for (const route of OTHER_ROUTES) {
      client.sendCommand(route, false, ['EXISTS', key]).catch(() => {
        // That node does not know either, or is the one that is gone.
      })
    }
  }
  return async (args, key) => {
    const timer = setInterval(look, LOOK_AROUND_MILLISECONDS, key)
    timer.unref()
    try {
      return await client.sendCommand(key, false, [...args])
    } catch (error) {
      if (!isReply(error)) look(key)
      throw error
    } finally {
      clearInterval(timer)
    }
  }
}

/** Redis answered, with an error: its messages begin with a code in capitals. */
function isReply(error: unknown): boolean {
  return error instanceof Error && /^[A-Z]+ /.test(error.message)
}

/** What to do about a server that lets a script touch only the keys it names, such as Dragonfly by default. */
export const UNDECLARED_KEYS =
  'This server lets a script use only the keys that it names: give redisStore the option cluster: true, which names each.'

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
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw inWords(error)
      try {
        return await command(['EVAL', this.#sources[name], ...rest], route)
      } catch (cause) {
        throw inWords(cause)
      }
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

/** Whether a server refused a script for a key that it did not name. */
export function isUndeclaredKey(error: unknown): boolean {
  return error instanceof Error && /undeclared key/i.test(error.message)
}

/** Whether Redis refused a command, or a key, to the user of this connection (ACL). */
export function isNotPermitted(error: unknown): boolean {
  return (
    error instanceof Error && /\bNOPERM\b|ACL failure in script|The user executing the script can't/.test(error.message)
  )
}

function inWords(error: unknown): unknown {
  if (isNotPermitted(error)) return permissionDenied(error)
  return isUndeclaredKey(error) ? new Error(UNDECLARED_KEYS, { cause: error }) : error
}

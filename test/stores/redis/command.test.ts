// Which driver a client is of, and how a command reaches it: fakes of each driver's shape, which keep what they were
// sent.
import { describe, expect, it, vi } from 'vitest'
import { checkRedis } from '../../../src/stores/redis/check-redis.js'
import { connectionOf, type RedisClient } from '../../../src/stores/redis/command.js'
import { redisStore } from '../../../src/stores/redis/redis-store.js'

const COMMAND = ['EVALSHA', 'digest', '0', 'bcl:']

/** A client that keeps the arguments of each call and answers `PONG`. */
function recording(shape: 'sendCommand' | 'call', parts: object = {}) {
  const calls: (readonly unknown[])[] = []
  const send = async (...args: readonly unknown[]): Promise<unknown> => {
    calls.push(args)
    return 'PONG'
  }
  const client: RedisClient =
    shape === 'call'
      ? { ...parts, call: send }
      : { ...parts, sendCommand: (...args: readonly unknown[]) => send(...args) }
  return { client, calls }
}

const node = { isReady: true }

describe('a client of a driver', () => {
  it.each([
    { driver: 'node-redis', given: recording('sendCommand', { isReady: true }), sent: [COMMAND], isCluster: false },
    {
      driver: 'a cluster of node-redis',
      given: recording('sendCommand', { masters: [node] }),
      sent: ['key', false, COMMAND],
      isCluster: true,
    },
    {
      driver: 'a sentinel of node-redis, on the primary although reads may go to replicas',
      given: recording('sendCommand', { getMasterNode: () => node, getReplicaNodes: () => new Map([[node, 1]]) }),
      sent: [false, COMMAND],
      isCluster: false,
    },
    {
      driver: 'ioredis',
      given: recording('call'),
      sent: [COMMAND[0], COMMAND.slice(1)],
      isCluster: false,
    },
    {
      driver: 'a cluster of ioredis',
      given: recording('call', { isCluster: true }),
      sent: [COMMAND[0], COMMAND.slice(1)],
      isCluster: true,
    },
  ])('$driver', async ({ given, sent, isCluster }) => {
    const connection = connectionOf(given.client)
    expect(connection.isCluster).toBe(isCluster)
    expect(await connection.command(COMMAND, 'key')).toBe('PONG')
    expect(given.calls).toEqual([sent])
  })

  it('is refused where it is none', () => {
    expect(() => Reflect.apply(connectionOf, undefined, [{ send() {} }])).toThrow(
      /neither of node-redis.*nor of ioredis/,
    )
  })
})

describe('a cluster of node-redis whose master is gone', () => {
  it('is asked for the same key by way of other masters: once a second while there is no answer, and after a broken connection', async () => {
    vi.useFakeTimers()
    try {
      const looked: (readonly unknown[])[] = []
      let fail = (_: Error): void => {}
      const client: RedisClient = {
        masters: [node],
        sendCommand: (route: string, _: boolean, args: string[]) => {
          if (route !== 'dead') looked.push([route, ...args])
          if (route !== 'dead') return Promise.reject(new Error('MOVED 1 127.0.0.1:1'))
          return new Promise((_, reject) => {
            fail = reject
          })
        },
      }
      const { command } = connectionOf(client)
      const answer = command(COMMAND, 'dead')
      await vi.advanceTimersByTimeAsync(900)
      expect(looked).toEqual([])
      await vi.advanceTimersByTimeAsync(1200)
      expect(new Set(looked.map(([, ...args]) => args.join(' ')))).toEqual(new Set(['EXISTS dead']))
      const byTime = looked.length
      expect(new Set(looked.map(([route]) => route)).size).toBe(byTime / 2)
      await vi.advanceTimersByTimeAsync(950)
      const before = looked.length
      const refused = expect(answer).rejects.toThrow('Socket closed')
      await vi.advanceTimersByTimeAsync(1)
      fail(new Error('Socket closed'))
      await refused
      expect(looked.length).toBeGreaterThanOrEqual(before)
      const later = command(COMMAND, 'dead')
      const erred = expect(later).rejects.toThrow('WRONGTYPE')
      await vi.advanceTimersByTimeAsync(1)
      const soFar = looked.length
      fail(new Error('WRONGTYPE Operation against a key'))
      await erred
      await vi.advanceTimersByTimeAsync(5000)
      expect(looked.length).toBe(soFar)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('a server that lets scripts use only the keys that they name', () => {
  it('is refused in words, with what to set', async () => {
    const strict = async ([name]: readonly string[]) => {
      if (name?.startsWith('EVAL')) throw new Error('ERR Error running script: script tried accessing undeclared key')
      return ''
    }
    expect(await checkRedis(strict)).toContainEqual(expect.stringContaining('cluster: true'))
    expect(await checkRedis(strict, { cluster: true })).not.toContainEqual(expect.stringContaining('cluster: true'))
    await expect(redisStore(strict).read('id')).rejects.toThrow('cluster: true')
  })
})

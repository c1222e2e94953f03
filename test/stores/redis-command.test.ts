// Which driver a client is of, and how a command reaches it: fakes of each driver's shape, which keep what they were sent.
import { describe, expect, it } from 'vitest'
import { connectionOf, type RedisClient } from '../../src/stores/redis/command.js'

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

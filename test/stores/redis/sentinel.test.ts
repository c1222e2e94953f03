import { Redis } from 'ioredis'
import { createSentinel } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkRedis } from '../../../src/stores/redis/check-redis.js'
import { redisStore } from '../../../src/stores/redis/redis-store.js'
import { describeWith } from '../../servers/processes.js'
import {
  type RunningRedis,
  type RunningRedisSentinel,
  redisServer,
  startRedis,
  startRedisSentinel,
} from '../../servers/redis.js'
import { itKeepsTheContract } from '../redis-contract.js'

const describeRedis = describeWith(redisServer, 'redis-server')

describeRedis('Redis store behind a sentinel, with a replica that drivers may read from', () => {
  let primary: RunningRedis
  let replica: RunningRedis
  let sentinel: RunningRedisSentinel
  beforeAll(async () => {
    primary = await startRedis()
    replica = await startRedis(['--replicaof', `${primary.host} ${primary.port}`])
    sentinel = await startRedisSentinel(primary)
  })
  afterAll(async () => {
    await Promise.all([sentinel.stop(), replica.stop(), primary.stop()])
  })

  describe('with node-redis', () => {
    const open = async () => {
      const client = createSentinel({
        name: sentinel.name,
        sentinelRootNodes: [{ host: '127.0.0.1', port: sentinel.port }],
        replicaPoolSize: 1,
      })
      client.on('error', () => {}) // when the servers are stopped
      return client.connect()
    }
    let clients: Awaited<ReturnType<typeof open>>[] = []
    beforeAll(async () => {
      clients = await Promise.all([open(), open()])
    })
    afterAll(async () => {
      for (const client of clients) await client.destroy()
    })

    itKeepsTheContract(() => clients)

    it('asks the primary alone, where the client itself would send a read to the replica', async () => {
      const client = await open()
      try {
        await redisStore(client).read('anybody')
        expect(await checkRedis(client)).not.toContainEqual(expect.stringContaining('replica'))
        expect([await scriptsRunOn(primary), await scriptsRunOn(replica)]).toEqual([true, false])
        await client.sendCommand(true, ['EVAL', 'return 1', '0'])
        expect(await scriptsRunOn(replica)).toBe(true)
      } finally {
        await client.destroy()
      }
    })
  })

  it('takes a client of ioredis that a sentinel leads to the primary', async () => {
    const client = new Redis({ sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: sentinel.name })
    try {
      const store = redisStore(client)
      const { now } = await store.marks([])
      const login = { sessionId: 'a', subKey: 'sub of a', issuedAt: now, expiresAt: now + 60 }
      expect((await store.bind(login)).binding.boundAt).toBeGreaterThanOrEqual(now)
    } finally {
      client.disconnect()
    }
  })
})

/** What a replica repeats of its primary are the effects of scripts, never the scripts. */
async function scriptsRunOn(server: RunningRedis): Promise<boolean> {
  const client = new Redis(server.port)
  try {
    return /cmdstat_eval(sha)?:/.test(await client.info('commandstats'))
  } finally {
    client.disconnect()
  }
}

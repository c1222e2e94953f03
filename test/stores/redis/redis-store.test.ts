import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { redisStore } from '../../../src/stores/redis/redis-store.js'
import { logoutStoreContract } from '../../../src/testing/logout-store/contract.js'
import { describeWith } from '../../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../../servers/redis.js'

const describeRedis = describeWith(redisServer, 'redis-server')

/** The first answer of `TIME`, as seconds. */
function seconds(time: unknown): number {
  const [whole, micro] = Array.isArray(time) ? time : []
  return Number(whole) + Number(micro) / 1e6
}

describeRedis('Redis store', () => {
  let server: RunningRedis
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server.stop())

  describe('with node-redis', () => {
    const open = async () => createClient({ url: server.url }).connect()
    let clients: Awaited<ReturnType<typeof open>>[] = []
    beforeAll(async () => {
      clients = await Promise.all([open(), open()])
    })
    afterAll(() => {
      for (const client of clients) client.destroy()
    })
    const cases = logoutStoreContract({
      async create() {
        const [one, two] = clients
        if (one === undefined || two === undefined) throw new Error('not connected')
        return {
          store: redisStore(one),
          now: async () => seconds(await one.sendCommand(['TIME'])),
          another: async () => redisStore(two),
          dispose() {},
        }
      },
    })
    for (const { name, run } of cases) it(name, run)
  })

  describe('with ioredis', () => {
    let clients: Redis[] = []
    beforeAll(() => {
      clients = [new Redis(server.port), new Redis(server.port, { keyPrefix: 'app:' })]
    })
    afterAll(() => {
      for (const client of clients) client.disconnect()
    })
    const cases = logoutStoreContract({
      async create() {
        const [one, two] = clients
        if (one === undefined || two === undefined) throw new Error('not connected')
        return {
          store: redisStore(one),
          now: async () => seconds(await one.call('TIME')),
          another: async () => redisStore(two),
          dispose() {},
        }
      },
    })
    for (const { name, run } of cases) it(name, run)
  })
})

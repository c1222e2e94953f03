import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { redisStore } from '../../src/stores/redis/redis-store.js'
import { logoutStoreContract } from '../../src/testing/logout-store/contract.js'
import { describeWith } from '../servers/processes.js'
import { type RunningRedisCluster, redisServer, startRedisCluster } from '../servers/redis.js'

const describeRedis = describeWith(redisServer, 'redis-server')

describeRedis('Redis Cluster store', () => {
  let cluster: RunningRedisCluster
  beforeAll(async () => {
    cluster = await startRedisCluster()
  })
  afterAll(() => cluster.stop())

  describe('with node-redis', () => {
    const open = async () =>
      createCluster({ rootNodes: cluster.nodes.map(({ url }) => ({ url })), useReplicas: true }).connect()
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
        const store = redisStore(one)
        return {
          store,
          now: async () => (await store.marks([])).now,
          another: async () => redisStore(two),
          dispose() {},
        }
      },
    })
    for (const { name, run } of cases) it(name, run)
  })

  describe('with ioredis', () => {
    let clients: Cluster[] = []
    beforeAll(() => {
      const nodes = cluster.nodes.map(({ host, port }) => ({ host, port }))
      clients = [new Cluster(nodes), new Cluster(nodes, { scaleReads: 'slave' })]
    })
    afterAll(() => {
      for (const client of clients) client.disconnect()
    })
    const cases = logoutStoreContract({
      async create() {
        const [one, two] = clients
        if (one === undefined || two === undefined) throw new Error('not connected')
        const store = redisStore(one)
        return {
          store,
          now: async () => (await store.marks([])).now,
          another: async () => redisStore(two),
          dispose() {},
        }
      },
    })
    for (const { name, run } of cases) it(name, run)
  })
})

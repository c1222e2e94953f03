import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LogoutStore } from '../../../src/stores/logout-store.js'
import type { RedisCommand } from '../../../src/stores/redis/command.js'
import { redisStore } from '../../../src/stores/redis/redis-store.js'
import { describeWith } from '../../servers/processes.js'
import { type RunningRedisCluster, redisServer, startRedisCluster } from '../../servers/redis.js'
import { itKeepsTheContract } from '../redis-contract.js'

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
    itKeepsTheContract(() => clients)
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
    itKeepsTheContract(() => clients)
  })

  describe('a local logout while the sign-on moves on, twice', () => {
    let client: Cluster
    let made = 0
    beforeAll(() => {
      client = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
    })
    afterAll(() => client.disconnect())

    const command: RedisCommand = async ([name = '', ...args]) => client.call(name, args)
    const until = Date.now() / 1000 + 3600

    /** Runs one piece of work, and another as a whole before the first one's n-th command. Whether there was an n-th. */
    async function interrupted(
      n: number,
      work: (store: LogoutStore) => Promise<unknown>,
      other: (store: LogoutStore) => Promise<unknown>,
    ): Promise<boolean> {
      let sent = 0
      const whole = redisStore(command, { cluster: true })
      const counting: RedisCommand = async (args, key) => {
        if (sent++ === n) await other(whole)
        return command(args, key)
      }
      await work(redisStore(counting, { cluster: true }))
      return sent > n
    }

    const move = (ids: readonly string[]) => async (store: LogoutStore) => {
      for (const [i, id] of ids.slice(1).entries()) await store.rebind(ids[i] ?? '', id, until)
    }
    const end = (ids: readonly string[]) => (store: LogoutStore) => store.endSessions(ids.slice(0, 1), until)

    for (const which of ['the moves', 'the logout'] as const) {
      it(`leaves nothing alive, whichever command of ${which} the other comes before`, {
        timeout: 60_000,
      }, async () => {
        const store = redisStore(command, { cluster: true })
        let goesOn = true
        let n = 0
        for (; goesOn; n++) {
          const ids = ['first', 'second', 'third'].map((name) => `${name} ${made++}`)
          await store.bind({ sessionId: ids[0] ?? '', subKey: `sub ${made}`, sidKey: `sid ${made}`, expiresAt: until })
          const bystander = `bystander ${made}`
          await store.bind({ sessionId: bystander, subKey: `sub ${made}`, sidKey: `sid ${made}`, expiresAt: until })
          const [work, other] = which === 'the moves' ? [move(ids), end(ids)] : [end(ids), move(ids)]
          goesOn = await interrupted(n, work, other)
          if (!goesOn) await other(store)
          for (const id of ids)
            expect(await store.read(id), `${id}, before command ${n}`).toMatchObject({ ended: true })
          expect((await store.read(bystander)).ended).toBe(false)
        }
        expect(n).toBeGreaterThan(which === 'the moves' ? 12 : 1)
      })
    }
  })
})

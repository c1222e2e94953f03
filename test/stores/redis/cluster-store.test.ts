import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { BeginLogout, LogoutStore } from '../../../src/stores/logout-store.js'
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

  describe('with many sessions of one user', () => {
    let client: Cluster
    beforeAll(() => {
      client = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
    })
    afterAll(() => client.disconnect())
    const MANY = 50
    const until = Date.now() / 1000 + 3600
    let sent: string[][] = []
    const command: RedisCommand = async ([name = '', ...args]) => {
      sent.push([name, ...args])
      return client.call(name, args)
    }

    async function endedSessions(subKey: string) {
      const store = redisStore(command, { cluster: true })
      const ids = Array.from({ length: MANY }, (_, i) => `${subKey} ${i}`)
      for (const [i, sessionId] of ids.entries()) {
        await store.bind({ sessionId, subKey, sidKey: `${i}`.padEnd(16, subKey), issuedAt: 1, expiresAt: until })
      }
      const target = { scope: 'sub', key: subKey } as const
      const order = { target, issuedAt: 2, seenSecondsAgo: 0, marksExpireAt: until, mayDestroy: false }
      const begun = await store.begin(order)
      expect(begun.replayed === false && begun.sessionIds.length).toBe(MANY)
      expect(await left(subKey)).toBe(MANY)
      sent = []
      return ids
    }

    const left = (subKey: string) => client.zcard(`bcl:i{${subKey.slice(0, 16)}}`)

    it('takes all of them out of the index of their user in one step', async () => {
      const subKey = 'user-with-many-sessions'
      const destroyedIds = await endedSessions(subKey)
      await redisStore(command, { cluster: true }).complete({ destroyedIds, done: false })
      // Each session, and each index of a sid; one for the user.
      expect(sent.filter(([name]) => name === 'EVALSHA')).toHaveLength(2 * MANY + 1)
      expect(await left(subKey)).toBe(0)
    })

    it('takes out those that were unbound also where another could not be', async () => {
      const subKey = 'one-of-many-sessions-fails'
      const destroyedIds = await endedSessions(subKey)
      let calls = 0
      const failing: RedisCommand = async (args, key) => {
        if (++calls === 3) throw new Error('the node is gone')
        return command(args, key)
      }
      const store = redisStore(failing, { cluster: true })
      await expect(store.complete({ destroyedIds, done: false })).rejects.toThrow('the node is gone')
      expect(await left(subKey)).toBe(1)
      await store.complete({ destroyedIds, done: false })
      expect(await left(subKey)).toBe(0)
    })

    it('ends thousands in pages, also after a process that died between two of them', async () => {
      const [ids, key] = [Array.from({ length: 3000 }, (_, i) => `of-thousands ${i}`), 'user-with-thousands']
      const dying = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
      const [store, bystander] = [redisStore(client), 'beside-thousands']
      const bind = (sessionId: string, subKey = key) =>
        store.bind({ sessionId, subKey, sidKey: sessionId, issuedAt: 1, expiresAt: until })
      await bind(bystander, bystander)
      for (let i = 0; i < ids.length; i += 200) await Promise.all(ids.slice(i, i + 200).map((id) => bind(id)))
      const order: BeginLogout = {
        target: { scope: 'sub', key },
        issuedAt: 2,
        seenSecondsAgo: 0,
        marksExpireAt: until,
        jti: { key: 'jti of thousands', expiresAt: until },
        mayDestroy: false,
      }
      const first = await redisStore(dying).begin(order)
      dying.disconnect()
      expect(first).toMatchObject({ replayed: false, more: true })
      const marked = await Promise.all(ids.map((id) => store.read(id)))
      expect(marked.filter(({ ended, marks }) => !ended && marks.length === 0)).toEqual([])

      const [found, sizes] = [new Set<string>(), [] as number[]]
      for (let cursor: string | undefined, more = true; more; ) {
        const begun = await store.begin({ ...order, cursor })
        if (begun.replayed) throw new Error('a replay')
        ;({ cursor, more } = begun)
        sizes.push(begun.sessionIds.length)
        for (const id of begun.sessionIds) found.add(id)
        await store.complete({ jti: order.jti, destroyedIds: begun.sessionIds, done: !more })
      }
      expect([...found].sort()).toEqual(ids.toSorted())
      expect(Math.max(...sizes)).toBeLessThan(500)
      expect(await left(key)).toBe(0)
      expect(await store.begin(order)).toEqual({ replayed: true })
      expect((await store.read(bystander)).marks).toEqual([])
    })
  })

  describe('while the sign-on moves on', () => {
    let client: Cluster
    let made = 0
    beforeAll(() => {
      client = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
    })
    afterAll(() => client.disconnect())

    const command: RedisCommand = async ([name = '', ...args]) => client.call(name, args)
    const until = Date.now() / 1000 + 3600

    /**
     * Runs one piece of work, and another as a whole before the first one's n-th command. Whether there was an n-th.
     */
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

    it('a list that is under way names a session by an id that it had or has, whichever command of it the move comes before', async () => {
      let goesOn = true
      let n = 0
      for (; goesOn; n++) {
        const [from, to] = [`listed ${made++}`, `listed ${made++}`]
        const target = { scope: 'sub', key: `listed sub ${made}` } as const
        await redisStore(command, { cluster: true }).bind({ sessionId: from, subKey: target.key, expiresAt: until })
        let named: readonly string[] = []
        goesOn = await interrupted(
          n,
          async (store) => {
            named = (await store.list(target)).sessions.map(({ sessionId }) => sessionId)
          },
          move([from, to]),
        )
        expect([[from], [to]], `before command ${n}`).toContainEqual(named)
      }
      expect(n).toBeGreaterThan(2)
    })

    for (const which of ['the moves', 'the logout'] as const) {
      it(`twice, a local logout leaves nothing alive, whichever command of ${which} the other comes before`, async () => {
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

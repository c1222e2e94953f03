// The log of the Redis store, on one Redis and on a cluster, and bounded reads that follow it.
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { covers } from '../../../src/marks/covering.js'
import { subKey, tokenKey } from '../../../src/marks/target.js'
import { boundedReads } from '../../../src/stores/bounded-reads.js'
import type { LogStore } from '../../../src/stores/log-store.js'
import type { BeginLogout } from '../../../src/stores/logout-store.js'
import { redisStore } from '../../../src/stores/redis/redis-store.js'
import { logoutStoreContract } from '../../../src/testing/logout-store/contract.js'
import { describeWith } from '../../servers/processes.js'
import {
  type RunningRedis,
  type RunningRedisCluster,
  redisServer,
  startRedis,
  startRedisCluster,
} from '../../servers/redis.js'

const describeRedis = describeWith(redisServer, 'redis-server')
const client = { issuer: 'https://op.example.com', clientId: 'rp' }
const now = () => Date.now() / 1000

function login(name: string) {
  return { sessionId: `session ${name}`, subKey: subKey(client, name), issuedAt: 1000, expiresAt: now() + 3600 }
}

function logoutOf(name: string): BeginLogout {
  return {
    target: { scope: 'sub', key: subKey(client, name) },
    issuedAt: 2000,
    seenSecondsAgo: 0,
    marksExpireAt: now() + 7200,
    mayDestroy: false,
  }
}

describeRedis('the log of the Redis store', () => {
  let server: RunningRedis
  let cluster: RunningRedisCluster
  let redis: Redis
  let clusterClient: Cluster
  beforeAll(async () => {
    ;[server, cluster] = await Promise.all([startRedis(), startRedisCluster()])
    redis = new Redis(server.port)
    clusterClient = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
  })
  afterAll(async () => {
    redis.disconnect()
    clusterClient.disconnect()
    await Promise.all([server.stop(), cluster.stop()])
  })

  for (const kind of ['one Redis', 'a cluster'] as const) {
    describe(`on ${kind}`, () => {
      let prefixes = 0
      const open = (): LogStore => {
        const prefix = `t${prefixes++}:`
        return kind === 'a cluster' ? redisStore(clusterClient, { prefix }) : redisStore(redis, { prefix })
      }

      it('tells of marks, ended, moved, replaced and unbound sessions, and not of first logins', async () => {
        const store = open()
        let { cursor } = await store.pull()
        const told = async () => {
          const page = await store.pull(cursor)
          cursor = page.cursor
          expect(page.reset).toBe(false)
          return { marks: page.marks.map((mark) => mark.scope).sort(), ids: new Set(page.sessionIds) }
        }
        await store.bind({ ...login('a'), tokenKeys: [tokenKey('t')] })
        await store.read(login('a').sessionId)
        expect(await told()).toEqual({ marks: [], ids: new Set() })
        await store.bind({ ...login('b'), sessionId: login('a').sessionId, tokenKeys: [tokenKey('t')] })
        expect(await told()).toEqual({ marks: [], ids: new Set([login('a').sessionId]) })
        await store.rebind(login('a').sessionId, 'new id', now() + 60)
        expect((await told()).ids).toContain(login('a').sessionId)
        const begun = await store.begin(logoutOf('b'))
        expect(begun).toMatchObject({ sessionIds: ['new id'] })
        expect(await told()).toEqual({ marks: ['sub', 'token'], ids: new Set(['new id']) })
        await store.endSessions(['x'], now() + 60)
        await store.unbind(['new id'])
        expect((await told()).ids).toEqual(new Set(['x', 'new id']))
        expect(await told()).toEqual({ marks: [], ids: new Set() })
      })

      it('follows pages of any length', async () => {
        const store = open()
        const { cursor } = await store.pull()
        for (let i = 0; i < 600; i++) await store.endSessions([`${i}`], now() + 60)
        await store.endSessions(
          Array.from({ length: 1300 }, (_, i) => `all at once ${i}`),
          now() + 60,
        )
        expect(new Set((await store.pull(cursor)).sessionIds).size).toBe(1900)
      })

      it('starts afresh with all live marks without a cursor, or with one that is too old or of another log', async () => {
        const store = open()
        for (let i = 0; i < 700; i++) await store.begin(logoutOf(`user ${i}`))
        const fresh = await store.pull()
        expect(fresh.reset).toBe(true)
        expect(new Set(fresh.marks.map((mark) => mark.key)).size).toBe(700)
        const [last] = fresh.cursor.split('|')
        expect((await store.pull(`${last}|${(now() - 200) * 1e6}`)).reset).toBe(true)
        expect((await store.pull(`${Date.now() + 1e6}-0|${now() * 1e6}`)).reset).toBe(true)
        expect(await store.pull(`${last}|${now() * 1e6}`)).toMatchObject({ reset: false, marks: [] })
      })

      it('starts afresh where the log was deleted, or deleted and begun again', async () => {
        const prefix = `t${prefixes}:`
        const store = open()
        await store.begin(logoutOf('before'))
        const { cursor } = await store.pull()
        const connected = kind === 'a cluster' ? clusterClient : redis
        await connected.del(`${prefix}log`)
        expect((await store.pull(cursor)).reset).toBe(true)
        await store.begin(logoutOf('after'))
        const page = await store.pull(cursor)
        expect(page.reset).toBe(true)
        expect(page.marks).toHaveLength(2)
      })

      it.each(['empty', 'of long ago'])(
        'starts afresh where a log that was %s was deleted after a logout',
        async (how) => {
          const prefix = `t${prefixes}:`
          const store = open()
          const connected = kind === 'a cluster' ? clusterClient : redis
          if (how === 'of long ago') await connected.xadd(`${prefix}log`, `${Date.now() - 400_000}-0`, 's', 'a')
          const first = await store.pull()
          const { cursor, reset } = await store.pull(first.cursor)
          expect(reset).toBe(false)
          await store.begin(logoutOf('unheard'))
          await connected.del(`${prefix}log`)
          expect(await store.pull(cursor)).toMatchObject({ reset: true, marks: [{ scope: 'sub' }] })
        },
      )

      it('is written to by those who read it once in a while, where nothing happens', async () => {
        const store = open()
        let { cursor } = await store.pull()
        for (let i = 0; i < 5; i++) {
          const page = await store.pull(cursor)
          expect(page).toMatchObject({ reset: false, marks: [], sessionIds: [], endedIds: [], moves: [] })
          cursor = page.cursor
        }
        const connected = kind === 'a cluster' ? clusterClient : redis
        expect(await connected.xlen(`t${prefixes - 1}:log`)).toBe(1)
      })

      it('lets bounded reads see a logout of another node by the doorbell or the next pull', async () => {
        const store = open()
        const reads = boundedReads(store, { seconds: 60, pullEverySeconds: 1e6 })
        await reads.refresh()
        const { binding } = await store.bind(login('a'))
        expect((await reads.read(binding.sessionId)).marks).toEqual([])
        await store.begin(logoutOf('a'))
        expect((await reads.read(binding.sessionId)).ended).toBe(false)
        reads.ring()
        await reads.refresh()
        const { ended, marks } = await reads.read(binding.sessionId)
        expect(ended || marks.some((mark) => covers(mark, binding))).toBe(true)
        reads.close()
      })
    })
  }

  it('is followed where Redis takes no write any more', async () => {
    const store = redisStore(redis, { prefix: 'full:' })
    await redis.xadd('full:log', `${Date.now() - 250_000}-0`, 'e', 'ended')
    await redis.config('SET', 'maxmemory', '1')
    try {
      const { cursor } = await store.pull()
      expect(await store.pull(cursor)).toMatchObject({ reset: false, endedIds: [] })
      await expect(store.endSessions(['another'], now() + 60)).rejects.toThrow('OOM')
    } finally {
      await redis.config('SET', 'maxmemory', '0')
    }
  })

  it('rings a doorbell at each logout', async () => {
    const subscriber = redis.duplicate()
    await subscriber.subscribe('bcl:log')
    const rung = new Promise((resolve) => subscriber.once('message', resolve))
    await redisStore(redis).begin(logoutOf('a'))
    expect(await rung).toBe('bcl:log')
    subscriber.disconnect()
  })

  it('is trimmed by time, not by length', async () => {
    const store = redisStore(redis, { prefix: 'trim:' })
    const old = `${Date.now() - 400_000}-0`
    await redis.call('XADD', 'trim:log', old, 's', 'long ago')
    // Redis trims whole nodes of a stream, of some hundred entries each.
    for (let i = 1; i < 300; i++) await redis.call('XADD', 'trim:log', `${old.slice(0, -1)}${i}`, 's', 'long ago')
    for (let i = 0; i < 50; i++) await store.endSessions([`${i}`], now() + 60)
    expect(await redis.xlen('trim:log')).toBeLessThan(250)
    expect(await redis.xlen('trim:log')).toBeGreaterThanOrEqual(50)
  })

  it('is trimmed of any number of entries at once', async () => {
    const store = redisStore(redis, { prefix: 'many:' })
    const old = Date.now() - 400_000
    await redis.eval(
      "for i = 1, 30000 do redis.call('XADD', KEYS[1], ARGV[1] .. '-' .. i, 's', i) end",
      1,
      'many:log',
      `${old}`,
    )
    await store.endSessions(['last'], now() + 60)
    expect(await redis.xlen('many:log')).toBeLessThan(250)
  })

  describe('bounded reads on one node keep the whole contract', () => {
    const cases = logoutStoreContract({
      async create() {
        const store = boundedReads(redisStore(redis), { seconds: 5, pullEverySeconds: 0.02 })
        await store.refresh()
        return {
          store,
          async now() {
            const [whole, micro] = await redis.time()
            return Number(whole) + Number(micro) / 1e6
          },
          dispose: () => store.close(),
        }
      },
    })
    for (const { name, run } of cases) it(name, run)
  })
})

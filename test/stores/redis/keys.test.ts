// Which keys a store touches, as a real Redis sees it: those that a step names, and none outside its prefix.
import { RedisStore } from 'connect-redis'
import { Cluster, Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { redisStore } from '../../../src/stores/redis/redis-store.js'
import { type LogoutStoreCase, logoutStoreContract } from '../../../src/testing/logout-store/contract.js'
import { describeWith } from '../../servers/processes.js'
import {
  type RunningRedis,
  type RunningRedisCluster,
  redisServer,
  startRedis,
  startRedisCluster,
} from '../../servers/redis.js'
import { loggedOut } from '../rows-elsewhere.js'

const describeRedis = describeWith(redisServer, 'redis-server')

describeRedis('the keys of the Redis store', () => {
  let server: RunningRedis
  let cluster: RunningRedisCluster
  const clients: (Redis | Cluster)[] = []
  const opened = <Client extends Redis | Cluster>(client: Client): Client => {
    clients.push(client)
    return client
  }
  beforeAll(async () => {
    ;[server, cluster] = await Promise.all([startRedis(), startRedisCluster()])
  })
  afterAll(async () => {
    for (const client of clients) client.disconnect()
    await Promise.all([server.stop(), cluster.stop()])
  })

  it('cluster: true names each key that a step touches, in every case of the contract', async () => {
    const client = opened(new Redis(server.port))
    const undeclared = new Set<string>()
    let declared: readonly string[] = []
    let touched = 0
    let isOver = () => {}
    const watching = await createClient({ url: server.url }).connect()
    watching.on('error', () => {}) // when it is stopped, or the server is
    await watching.monitor((line) => {
      const [, source, text = ''] = /^\S+ \[\d+ (\S+)\] (.*)$/.exec(String(line)) ?? []
      const [name = '', ...rest] = [...text.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, arg = '']) => arg)
      if (/^echo$/i.test(name)) isOver()
      if (/^eval(sha)?$/i.test(name)) declared = rest.slice(2, 2 + Number(rest[1]))
      if (source !== 'lua') return
      const keys = keysOf(name, rest)
      touched += keys.length
      for (const key of keys) if (!declared.includes(key)) undeclared.add(`${name} ${key}`)
    })
    const seconds = async () => {
      const [whole, micro] = await client.time()
      return Number(whole) + Number(micro) / 1e6
    }
    const store = redisStore(client, { cluster: true })
    const cases = logoutStoreContract({ create: async () => ({ store, now: seconds, dispose() {} }) })
    for (const { run } of small(cases)) await run()
    await store.pull((await store.pull()).cursor)
    const over = new Promise<void>((resolve) => (isOver = resolve))
    await client.echo('over')
    await over
    watching.destroy()
    expect([...undeclared]).toEqual([])
    expect(touched).toBeGreaterThan(1_000)
  })

  it('a user who may touch nothing beyond the prefix is enough, the log included', async () => {
    const admin = opened(new Redis(server.port))
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>secret', '~bcl:*', '+@all', '-@admin', 'resetchannels')
    const [one, two] = [0, 1].map(() => opened(new Redis(server.port, { username: 'app', password: 'secret' })))
    if (one === undefined || two === undefined) throw new Error('not connected')
    await expect(one.get('another:key')).rejects.toThrow('NOPERM')
    for (const cluster of [false, true]) {
      const store = redisStore(one, { cluster })
      const now = async () => (await store.marks([])).now
      const another = async () => redisStore(two, { cluster })
      // With the keys apart the contract is kept by the test before: here are those that one Redis has of its own.
      const cases = cluster ? [] : logoutStoreContract({ create: async () => ({ store, now, another, dispose() {} }) })
      for (const { run } of small(cases)) await run()
      const { cursor } = await store.pull()
      await store.endSessions(['ended'], (await now()) + 60)
      expect((await store.pull(cursor)).endedIds).toContain('ended')
    }
  })

  describe('with the keyPrefix of ioredis, on a cluster', () => {
    const made: Cluster[] = []
    beforeAll(() => {
      const nodes = cluster.nodes.map(({ host, port }) => ({ host, port }))
      made.push(...[0, 1].map(() => opened(new Cluster(nodes, { keyPrefix: 'app:' }))))
    })

    it('the contract is kept, and each key has it', async () => {
      const [store, another] = made.map((client) => redisStore(client))
      if (store === undefined) throw new Error('not connected')
      const now = async () => (await store.marks([])).now
      const cases = logoutStoreContract({
        create: async () => ({ store, now, another: async () => another ?? store, dispose() {} }),
      })
      for (const { run } of small(cases)) await run()
      const keys = await Promise.all(cluster.nodes.map(({ port }) => opened(new Redis(port)).keys('*')))
      expect(keys.flat().length).toBeGreaterThan(0)
      expect(keys.flat().filter((key) => !key.startsWith('app:bcl:'))).toEqual([])
    })
  })

  it('rows of connect-redis behind a keyPrefix are deleted where sessionPrefix has it too, and else left to be destroyed and counted', async () => {
    const rows = await createClient({ url: server.url }).connect()
    const sessions = new RedisStore({ client: rows, prefix: 'app:sess:' })
    const client = opened(new Redis(server.port, { keyPrefix: 'app:' }))
    for (const [sessionPrefix, deleted] of [
      ['app:sess:', 1],
      ['sess:', 0],
    ] as const) {
      const store = redisStore(client, { prefix: `${deleted}:`, sessionPrefix })
      const { now } = await store.marks([])
      await sessions.set('a', { cookie: { originalMaxAge: null } } as never)
      await store.bind({ sessionId: 'a', subKey: 'alice', issuedAt: 1_000, expiresAt: now + 60 })
      const target = { scope: 'sub', key: 'alice' } as const
      const begun = await store.begin({
        target,
        issuedAt: 1_000,
        seenSecondsAgo: 0,
        marksExpireAt: now + 60,
        mayDestroy: true,
      })
      expect(begun).toMatchObject({ sessionIds: ['a'], finished: deleted === 1, notDeleted: 1 - deleted })
      expect(await rows.exists('app:sess:a')).toBe(1 - deleted)
    }
    rows.destroy()
  })

  it.each([
    ['of another application', 'other:', {}],
    ['without the keyPrefix of ioredis', 'sess:', { keyPrefix: 'app:' }],
    ['that is right', 'app:sess:', { keyPrefix: 'app:' }],
  ])(
    'a Logout Token where sessionPrefix is one %s: the row is gone, and it is said',
    async (which, sessionPrefix, options) => {
      const rows = await createClient({ url: server.url }).connect()
      const sessions = new RedisStore({ client: rows, prefix: 'app:sess:' })
      const store = redisStore(opened(new Redis(server.port, options)), { prefix: `${which}:`, sessionPrefix })
      const hasRow = async (id: string) => (await rows.exists(`app:sess:${id}`)) === 1
      const notDeleted = which === 'that is right' ? 0 : 1
      const about = { rows: [true, false], status: 200, said: [{ destroyed: 1, notDeleted }] }
      expect(await loggedOut(store, sessions, hasRow)).toEqual(about)
      rows.destroy()
    },
  )
})

/** Without those of thousands of sessions, which take the same steps more often. */
function small(cases: readonly LogoutStoreCase[]): readonly LogoutStoreCase[] {
  return cases.filter(({ name }) => !/many sessions|pages/.test(name))
}

/** The keys among the arguments of a command, as far as scripts of the store use any. */
function keysOf(name: string, [first = '', ...rest]: readonly string[]): readonly string[] {
  switch (name.toUpperCase()) {
    case 'TIME':
    case 'PUBLISH':
      return []
    case 'UNLINK':
    case 'DEL':
    case 'EXISTS':
    case 'MGET':
      return [first, ...rest]
    default:
      return [first]
  }
}

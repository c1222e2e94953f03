// Redis servers among which one takes over when another dies: a cluster of three masters with a replica each, and a
// primary with two replicas under three sentinels. Knows no driver but its own for setting up.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { dataDirectory, freePort, startProcess } from '../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'

/** After so long without an answer a server is taken for dead by the others. */
export const DEAD_AFTER_MILLISECONDS = 1000

export interface RedisGroup {
  /** Where a driver begins: the nodes of a cluster, or the sentinels. */
  readonly entries: readonly { readonly host: string; readonly port: number }[]
  /** Kills a master that has replicas, and resolves to its port. */
  killMaster(): Promise<number>
  stop(): Promise<void>
}

async function withClient<T>(port: number, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(port, { lazyConnect: true, maxRetriesPerRequest: 1 })
  client.on('error', () => {}) // a server that is not there yet
  try {
    return await work(client)
  } finally {
    client.disconnect()
  }
}

async function until(what: string, is: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await is().catch(() => false))) {
    if (Date.now() > deadline) throw new Error(`not so within 30 s: ${what}`)
    await delay(50)
  }
}

/** Before that, what is acknowledged is nowhere but on the primary. */
async function untilFollowing(replicas: readonly RunningRedis[]): Promise<void> {
  const follows = (client: Redis) => client.info('replication').then((info) => info.includes('master_link_status:up'))
  for (const { port } of replicas) await until('replicas follow', () => withClient(port, follows))
}

export async function startFailoverCluster(): Promise<RedisGroup> {
  const servers = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const bus = await freePort()
      const timeout = ['--cluster-node-timeout', String(DEAD_AFTER_MILLISECONDS)]
      const redis = await startRedis(['--cluster-enabled', 'yes', '--cluster-port', `${bus}`, ...timeout])
      return { redis, bus }
    }),
  )
  const stop = async () => {
    await Promise.all(servers.map(({ redis }) => redis.stop()))
  }
  try {
    const [first] = servers
    if (first === undefined) throw new Error('no servers')
    const masters = servers.slice(0, 3)
    const bounds = [0, 5461, 10923, 16384]
    for (const [i, { redis }] of servers.entries()) {
      await withClient(redis.port, async (client) => {
        const [from = 0, to = 0] = bounds.slice(i)
        if (i < masters.length) await client.call('CLUSTER', 'ADDSLOTSRANGE', from, to - 1)
        await client.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
        if (i > 0) await client.call('CLUSTER', 'MEET', '127.0.0.1', first.redis.port, first.bus)
      })
    }
    const knowsAll = (client: Redis) =>
      client.call('CLUSTER', 'INFO').then((info) => /known_nodes:6/.test(String(info)))
    for (const { redis } of servers) await until('all nodes know each other', () => withClient(redis.port, knowsAll))
    const ids = await Promise.all(
      masters.map(({ redis }) => withClient(redis.port, (client) => client.call('CLUSTER', 'MYID'))),
    )
    for (const [i, { redis }] of servers.slice(3).entries()) {
      await withClient(redis.port, (client) => client.call('CLUSTER', 'REPLICATE', String(ids[i])))
    }
    const isWhole = (client: Redis) =>
      client.call('CLUSTER', 'NODES').then((nodes) => String(nodes).match(/\bslave\b/g)?.length === 3)
    for (const { redis } of servers) await until('each master has a replica', () => withClient(redis.port, isWhole))
    await untilFollowing(servers.slice(3).map(({ redis }) => redis))
    return {
      entries: servers.map(({ redis: { host, port } }) => ({ host, port })),
      async killMaster() {
        await first.redis.kill()
        return first.redis.port
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

export const SENTINEL_NAME = 'watched'

export async function startSentinels(): Promise<RedisGroup> {
  const primary = await startRedis()
  const replicas = await Promise.all([0, 1].map(() => startRedis(['--replicaof', `${primary.host} ${primary.port}`])))
  const sentinels = await Promise.all([0, 1, 2].map(() => startSentinel(primary)))
  const stop = async () => {
    await Promise.all([...sentinels, ...replicas, primary].map((each) => each.stop()))
  }
  try {
    for (const { port } of sentinels) {
      await until('the sentinels know each other and the replicas', () =>
        withClient(port, async (client) => {
          const lists = ['SENTINELS', 'REPLICAS'].map((of) => client.call('SENTINEL', of, SENTINEL_NAME))
          return (await Promise.all(lists)).every((list) => Array.isArray(list) && list.length === 2)
        }),
      )
    }
    await untilFollowing(replicas)
    return {
      entries: sentinels.map(({ port }) => ({ host: '127.0.0.1', port })),
      async killMaster() {
        await primary.kill()
        return primary.port
      },
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

async function startSentinel({ host, port: primaryPort }: RunningRedis) {
  if (redisServer === undefined) throw new Error('redis-server is not installed')
  const directory = dataDirectory('sentinel')
  const port = await freePort()
  const file = join(directory.path, 'sentinel.conf') // which a sentinel rewrites
  const lines = [
    ...[`port ${port}`, 'bind 127.0.0.1', `dir ${directory.path}`],
    `sentinel monitor ${SENTINEL_NAME} ${host} ${primaryPort} 2`,
    `sentinel down-after-milliseconds ${SENTINEL_NAME} ${DEAD_AFTER_MILLISECONDS}`,
    `sentinel failover-timeout ${SENTINEL_NAME} 3000`,
  ]
  writeFileSync(file, `${lines.join('\n')}\n`)
  const answers = () => withClient(port, async (client) => (await client.ping()) === 'PONG')
  const running = await startProcess(redisServer, [file, '--sentinel'], answers)
  return {
    port,
    async stop() {
      await running.stop('SIGKILL')
      directory.remove()
    },
  }
}

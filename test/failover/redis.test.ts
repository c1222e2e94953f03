// A master dies under traffic and its replica takes over, in a cluster and under sentinels, with either driver: how
// long nobody gets a verdict, what is denied meanwhile, and that what the OP was told is done is lost only where
// replication had no time.
import { Cluster, Redis } from 'ioredis'
import { redisStore } from 'oidc-backchannel-logout/redis'
import { createCluster, createSentinel } from 'redis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { RedisClient } from '../../src/stores/redis/command.js'
import { type RedisGroup, SENTINEL_NAME, startFailoverCluster, startSentinels } from './redis-servers.js'
import { type Logout, startTraffic, type Traffic, type View } from './traffic.js'

/** Redis replicates after it has answered: what was acknowledged that shortly before a death may die with it. */
const REPLICATION_SECONDS = 1
/**
 * From the death to the last request that failed or waited: detection takes one, an election one, drivers and deadlines
 * the rest.
 */
const BACK_WITHIN_SECONDS = 20
const SETTLED_SECONDS = 3
/** A request that took longer has waited for the fail-over. */
const SLOW_MILLISECONDS = 500

interface Connected {
  readonly client: RedisClient
  close(): unknown
}

interface Case {
  readonly name: string
  readonly start: () => Promise<RedisGroup>
  readonly connect: (group: RedisGroup) => Promise<Connected>
}

const quietly = <Client extends { on(event: 'error', listener: () => void): unknown }>(client: Client): Client => {
  client.on('error', () => {}) // servers die here
  return client
}

const retryStrategy = (tries: number) => Math.min(50 * 2 ** tries, 500)

const CASES: readonly Case[] = [
  {
    name: 'a cluster, node-redis',
    start: startFailoverCluster,
    async connect({ entries }) {
      const client = quietly(
        createCluster({
          rootNodes: entries.map(({ host, port }) => ({ url: `redis://${host}:${port}` })),
          defaults: {
            disableOfflineQueue: true,
            socket: { connectTimeout: 1000, reconnectStrategy: (tries: number) => retryStrategy(tries) },
          },
        }),
      )
      await client.connect()
      return { client, close: () => client.destroy() }
    },
  },
  {
    name: 'a cluster, ioredis',
    start: startFailoverCluster,
    async connect({ entries }) {
      const client = quietly(
        new Cluster([...entries], {
          enableOfflineQueue: false,
          redisOptions: { connectTimeout: 1000, autoResendUnfulfilledCommands: false },
        }),
      )
      await new Promise<void>((resolve) => client.once('ready', () => resolve()))
      return { client, close: () => client.disconnect() }
    },
  },
  {
    name: 'sentinels, node-redis',
    start: startSentinels,
    async connect({ entries }) {
      const client = quietly(
        createSentinel({
          name: SENTINEL_NAME,
          sentinelRootNodes: [...entries],
          nodeClientOptions: { socket: { connectTimeout: 1000 } },
        }),
      )
      await client.connect()
      return { client, close: () => client.destroy() }
    },
  },
  {
    name: 'sentinels, ioredis',
    start: startSentinels,
    async connect({ entries }) {
      const client = quietly(
        new Redis({
          ...{ sentinels: [...entries], name: SENTINEL_NAME, retryStrategy, connectTimeout: 1000 },
          ...{ enableOfflineQueue: false, autoResendUnfulfilledCommands: false },
        }),
      )
      await new Promise<void>((resolve) => client.once('ready', () => resolve()))
      return { client, close: () => client.disconnect() }
    },
  },
]

describe.each(CASES)('$name', ({ name, start, connect }) => {
  let group: RedisGroup
  let connected: Connected
  let traffic: Traffic
  beforeAll(async () => {
    group = await start()
    connected = await connect(group)
    traffic = await startTraffic(redisStore(connected.client))
  })
  afterAll(async () => {
    await traffic?.end()
    traffic?.close()
    await connected?.close()
    await group?.stop()
  })

  it('verdicts come back, nobody who was logged out is let in, and failed logouts are made up for', async () => {
    await vi.waitFor(() => expect(traffic.logouts.length).toBeGreaterThan(50), { timeout: 20_000 })
    expect(traffic.logouts.filter(({ status }) => status !== 200)).toEqual([])
    const diedAtMs = performance.now()
    await group.killMaster()
    const hasSuffered = (request: View | Logout) =>
      request.answeredAtMs - request.askedAtMs > SLOW_MILLISECONDS ||
      ('status' in request ? request.status !== 200 : request.isLive === undefined)
    const failedAtMs = () =>
      [...traffic.views, ...traffic.logouts]
        .filter(hasSuffered)
        .reduce((latest, { answeredAtMs }) => Math.max(latest, answeredAtMs), diedAtMs)
    // Until nothing has failed for a while, though something was asked.
    const settledMs = SETTLED_SECONDS * 1000
    await vi.waitFor(
      () => {
        expect(performance.now() - failedAtMs()).toBeGreaterThan(settledMs)
        expect(traffic.views.at(-1)?.askedAtMs ?? 0).toBeGreaterThan(failedAtMs())
        expect(traffic.logouts.at(-1)?.answeredAtMs ?? 0).toBeGreaterThan(failedAtMs())
      },
      { timeout: 60_000, interval: 200 },
    )
    await traffic.end()

    const backAfterSeconds = (failedAtMs() - diedAtMs) / 1000
    const acknowledged = new Map(
      traffic.logouts.filter(({ status }) => status === 200).map(({ sid, answeredAtMs }) => [sid, answeredAtMs]),
    )
    const failed = traffic.logouts.filter(({ status }) => status !== 200)
    const lost: string[] = []
    for (const sid of acknowledged.keys()) if (await traffic.isLive(sid)) lost.push(sid)
    const denied = traffic.views.filter(({ isLive }) => isLive === undefined)
    const waited = [...traffic.views, ...traffic.logouts].filter(hasSuffered).length - denied.length - failed.length
    process.stderr.write(
      `${name}: back after ${backAfterSeconds.toFixed(1)} s; meanwhile ${denied.length} page views without a verdict and ` +
        `${failed.length} logouts answered as failed, ${waited} requests that waited; of ${acknowledged.size} acknowledged logouts ${lost.length} lost\n`,
    )

    for (const sid of lost) {
      expect(acknowledged.get(sid)).toBeGreaterThan(diedAtMs - REPLICATION_SECONDS * 1000)
      expect(acknowledged.get(sid)).toBeLessThan(diedAtMs + REPLICATION_SECONDS * 1000)
    }
    const letIn = traffic.views.filter(
      ({ sid, askedAtMs, isLive }) =>
        isLive === true && askedAtMs > (acknowledged.get(sid) ?? Number.POSITIVE_INFINITY),
    )
    expect(letIn.filter(({ sid }) => !lost.includes(sid))).toEqual([])
    for (const { sid } of failed) {
      await vi.waitFor(async () => expect(await traffic.isLive(sid)).toBe(false), { timeout: 30_000 })
    }
    expect(backAfterSeconds).toBeLessThan(BACK_WITHIN_SECONDS)
  })
})

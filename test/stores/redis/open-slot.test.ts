// A cluster whose slots are on their way to another master, and stay open in mid-migration: whoever has a session there
// goes on, and a logout ends it.
import { Cluster, Redis } from 'ioredis'
import { createCluster } from 'redis'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { covers } from '../../../src/marks/covering.js'
import { sidKey, subKey, tokenKey } from '../../../src/marks/target.js'
import type { NewBinding } from '../../../src/stores/logout-store.js'
import type { RedisClient } from '../../../src/stores/redis/command.js'
import { redisStore } from '../../../src/stores/redis/redis-store.js'
import { describeWith } from '../../servers/processes.js'
import { type RunningRedisCluster, redisServer, startRedisCluster } from '../../servers/redis.js'

const rp = { issuer: 'https://op.example.com', clientId: 'rp' }
const describeRedis = describeWith(redisServer, 'redis-server')

describeRedis('slots left open in mid-migration', () => {
  let cluster: RunningRedisCluster
  let nodes: Redis[] = []
  beforeEach(async () => {
    cluster = await startRedisCluster()
    nodes = cluster.nodes.map(({ port }) => new Redis(port))
  })
  afterEach(async () => {
    for (const node of nodes) node.disconnect()
    await cluster.stop()
  })

  /** Every slot that has keys now is on its way to the next master, with none of its keys. */
  async function openSlots(): Promise<number> {
    let opened = 0
    const ids = await Promise.all(nodes.map(async (node) => String(await node.call('CLUSTER', 'MYID'))))
    for (const [i, from] of nodes.entries()) {
      const to = (i + 1) % nodes.length
      const slots = new Set<number>()
      for (const key of await from.keys('*')) slots.add(Number(await from.call('CLUSTER', 'KEYSLOT', key)))
      for (const slot of slots) {
        await nodes[to]?.call('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[i] ?? '')
        await from.call('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[to] ?? '')
        opened++
      }
    }
    return opened
  }

  const drivers: [string, () => Promise<[RedisClient, () => void]>][] = [
    [
      'ioredis',
      async () => {
        const client = new Cluster(cluster.nodes.map(({ host, port }) => ({ host, port })))
        return [client, () => client.disconnect()]
      },
    ],
    [
      'node-redis',
      async () => {
        const client = await createCluster({ rootNodes: cluster.nodes.map(({ url }) => ({ url })) }).connect()
        return [client, () => client.destroy()]
      },
    ],
  ]
  it.each(drivers)('a session without tokens goes on, changes its id, and is ended (%s)', async (driver, connect) => {
    const [client, disconnect] = await connect()
    const store = redisStore(client)
    const { now } = await store.marks([])
    const login = (name: string, parts: Partial<NewBinding> = {}): NewBinding => ({
      sessionId: `${driver} ${name}`,
      subKey: subKey(rp, `${driver} ${name}`),
      sidKey: sidKey(rp, `${driver} ${name}`),
      issuedAt: 1_000,
      expiresAt: now + 600,
      ...parts,
    })
    const names = ['a', 'b', 'moves', 'leaves', 'with a token']
    for (const name of names)
      await store.bind(login(name, name === 'with a token' ? { tokenKeys: [tokenKey('t')] } : {}))
    expect(await openSlots()).toBeGreaterThan(8)
    const idOf = (name: string) => login(name).sessionId
    for (const name of names) {
      const { ended, binding } = await store.read(idOf(name))
      expect({ name, ended, sub: binding?.subKey }).toEqual({ name, ended: false, sub: login(name).subKey })
    }
    await store.renew(idOf('a'), now + 700)
    await store.bind(login('a'))
    await store.rebind(idOf('moves'), idOf('moved'), now + 600)
    await store.endSessions([idOf('leaves')], now + 600)
    await store.unbind([idOf('leaves')])
    const order = { issuedAt: 2_000, seenSecondsAgo: 0, marksExpireAt: now + 900, mayDestroy: false }
    for (const name of ['a', 'moves', 'with a token']) {
      const begun = await store.begin({ target: { scope: 'sub', key: login(name).subKey }, ...order })
      expect(begun).toMatchObject({ sessionIds: [idOf(name === 'moves' ? 'moved' : name)] })
    }
    const isDead = async (id: string) => {
      const { ended, binding, marks } = await store.read(id)
      return ended || (binding !== undefined && marks.some((mark) => covers(mark, binding)))
    }
    for (const name of ['a', 'moves', 'moved', 'leaves', 'with a token'])
      expect(await isDead(idOf(name)), name).toBe(true)
    expect(await isDead(idOf('b'))).toBe(false)
    await store.bind(login('after'))
    expect(await isDead(idOf('after'))).toBe(false)
    // One command must find both keys on one master: `redis-cli --cluster fix` ends that.
    await expect(store.addTokens(idOf('b'), [tokenKey('u')])).rejects.toThrow(/TRYAGAIN|redirections/)
    expect(await isDead(idOf('b'))).toBe(false)
    const slots = await Promise.all(nodes.map(async (node) => String(await node.call('CLUSTER', 'NODES'))))
    expect(slots.join('')).toMatch(/->-/) // they are open still
    disconnect()
  })
})

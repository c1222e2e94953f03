// What the Redis store promises beyond the port: round trips, names, memory, the log, and rows of connect-redis.
import { RedisStore as ConnectRedis } from 'connect-redis'
import session from 'express-session'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { jtiKey, sidKey, subKey, tokenKey } from '../../../src/marks/target.js'
import type { BeginLogout, BegunLogout, LogoutStore, NewBinding } from '../../../src/stores/logout-store.js'
import { checkRedis } from '../../../src/stores/redis/check-redis.js'
import type { RedisCommand } from '../../../src/stores/redis/command.js'
import { nameOfSession } from '../../../src/stores/redis/fields.js'
import { CLUSTER_SCRIPTS, STANDALONE_SCRIPTS } from '../../../src/stores/redis/generated/scripts.js'
import { redisStore } from '../../../src/stores/redis/redis-store.js'
import { describeWith } from '../../servers/processes.js'
import { type RunningRedis, redisServer, startRedis, startRedisCluster } from '../../servers/redis.js'

const describeRedis = describeWith(redisServer, 'redis-server')
const client = { issuer: 'https://op.example.com', clientId: 'rp' }
const now = () => Date.now() / 1000

function login(i: number | string, parts: Partial<NewBinding> = {}): NewBinding {
  return {
    sessionId: `session-${i}`.padEnd(32, '.'),
    subKey: subKey(client, `user ${i}`),
    sidKey: sidKey(client, `sid ${i}`),
    issuedAt: 1_700_000_000,
    expiresAt: Math.ceil(now()) + 86_400,
    ...parts,
  }
}

/** A session as connect-redis keeps it. */
function rowOf(user: string) {
  return { cookie: new session.Cookie(), user }
}

function logoutOf(key: string, parts: Partial<BeginLogout> = {}): BeginLogout {
  return {
    target: { scope: 'sub', key },
    issuedAt: 1_700_000_100,
    jti: { key: jtiKey(client, key), expiresAt: now() + 600 },
    seenSecondsAgo: 0,
    marksExpireAt: now() + 90_000,
    mayDestroy: true,
    ...parts,
  }
}

async function pagesOf(store: LogoutStore, key: string): Promise<readonly BegunPage[]> {
  const pages: BegunPage[] = []
  let cursor: string | undefined
  do {
    const begun = await store.begin(logoutOf(key, { cursor }))
    if (begun.replayed) throw new Error('a replay')
    pages.push(begun)
    cursor = begun.cursor
  } while (cursor !== undefined)
  return pages
}

type BegunPage = Exclude<BegunLogout, { readonly replayed: true }>

/** Each method has a script of its own, which Redis is given at its first use. */
async function useOnce(store: LogoutStore): Promise<void> {
  await store.bind(login('first'))
  await store.rebind('first', 'second', now() + 60)
  await store.read('first')
  await store.marks(['first'])
  await store.endSessions(['first'], now() + 60)
  await store.begin(logoutOf('first'))
  await store.complete({ destroyedIds: [], done: false })
}

describeRedis('Redis store, beyond the port', () => {
  let server: RunningRedis
  let redis: Awaited<ReturnType<typeof connect>>
  let sent: string[][] = []
  let store: LogoutStore
  const connect = async () => createClient({ url: server.url }).connect()
  const command: RedisCommand = async (args) => {
    sent.push([...args])
    return redis.sendCommand([...args])
  }

  beforeAll(async () => {
    server = await startRedis()
    redis = await connect()
  })
  afterAll(async () => {
    redis.destroy()
    await server.stop()
  })
  beforeEach(async () => {
    store = redisStore(command)
    await useOnce(store)
    await redis.flushAll()
    sent = []
  })

  it('needs no right to publish: without the doorbell a logout is a logout', async () => {
    await redis.sendCommand(['ACL', 'SETUSER', 'quiet', 'on', '>secret', '~*', '+@all', 'resetchannels'])
    const quiet = await createClient({ url: server.url, username: 'quiet', password: 'secret' }).connect()
    try {
      const silent = redisStore(quiet)
      const { sessionId, subKey } = await silent.bind(login(1)).then(({ binding }) => binding)
      expect(await silent.begin(logoutOf(subKey))).toMatchObject({ replayed: false, sessionIds: [sessionId] })
      await silent.unbind([sessionId])
      expect((await silent.read(sessionId)).ended).toBe(true)
    } finally {
      quiet.destroy()
    }
  })

  it('takes one round trip for each method, whatever the number of sessions', async () => {
    const subKey = login('one').subKey
    for (let i = 0; i < 200; i++) await store.bind(login(i, { subKey, tokenKeys: [tokenKey(`${i}`)] }))
    expect(sent).toHaveLength(200)
    sent = []
    await store.read(login(1).sessionId)
    expect(sent).toHaveLength(1)
    const begun = await store.begin(logoutOf(subKey))
    expect(sent).toHaveLength(2)
    expect(begun.replayed === false && begun.sessionIds.length).toBe(200)
    await store.complete({ destroyedIds: begun.replayed ? [] : begun.sessionIds, done: true })
    expect(sent).toHaveLength(3)
    await store.marks(['a', 'b', 'c'])
    await store.rebind(login(1).sessionId, 'new', now() + 60)
    await store.endSessions(['a', 'b'], now() + 60)
    expect(sent).toHaveLength(6)
  })

  it('asks little of Redis within a script: of a login nine commands, of a logout seventeen', async () => {
    const protecting = redisStore(command, { sessionPrefix: 'sess:' })
    const commandsOf = async (work: () => Promise<unknown>) => {
      await redis.configResetStat()
      await work()
      const counted = [...(await redis.info('commandstats')).matchAll(/^cmdstat_(\w+):calls=(\d+)/gm)]
      // The call itself, and what is pruned now and then.
      const others = /^(?:config|evalsha|zremrangebyscore)$/
      return counted.reduce((sum, [, name = '', calls]) => (others.test(name) ? sum : sum + Number(calls)), 0)
    }
    const saved = (i: number) => redis.set(`sess:${login(i).sessionId}`, '{}')
    // The first logout of all also gives log and registry their ends.
    for (const i of [1, 2]) await saved(i)
    const { sidKey = '', subKey } = login(1)
    await protecting.bind(login(1))
    await protecting.begin(logoutOf(sidKey, { target: { scope: 'sid', key: sidKey, subKey } }))
    const { sidKey: key = '', subKey: sub } = login(2)
    expect(await commandsOf(() => protecting.bind(login(2)))).toBe(9)
    const target = { scope: 'sid', key, subKey: sub } as const
    expect(await commandsOf(() => protecting.begin(logoutOf(key, { target })))).toBe(17)
    // A user who comes back: one write, although a mark lies there.
    await protecting.bind(login(3, { subKey: sub }))
    const again = { scope: 'sid', key: login(3).sidKey ?? '', subKey: sub } as const
    await saved(3)
    const later = { target: again, issuedAt: 1_700_000_200, marksExpireAt: now() + 90_010 }
    expect(await commandsOf(() => protecting.begin(logoutOf(again.key, later)))).toBe(17)
  })

  it('follows a sign-on that moved on any number of times, also in a circle, in scripts that are bounded', async () => {
    await store.bind(login('moved', { sessionId: 'id-0', tokenKeys: ['token'] }))
    for (let i = 0; i < 450; i++) await store.rebind(`id-${i}`, `id-${i + 1}`, now() + 60)
    sent = []
    const ended = await store.endSessions(['id-0'], now() + 60)
    expect(sent).toHaveLength(3)
    expect([...ended.sessionIds].sort()).toEqual(Array.from({ length: 451 }, (_, i) => `id-${i}`).sort())
    expect(ended.tokenKeys).toEqual(['token'])
    expect((await store.read('id-450')).ended).toBe(true)
    // A repeat follows once more, to the id that holds the sign-on.
    expect((await store.endSessions(['id-0'], now() + 60)).sessionIds).toEqual(['id-0', 'id-450'])

    await store.bind(login('circle', { sessionId: 'circle-0' }))
    for (let i = 0; i < 250; i++) await store.rebind(`circle-${i}`, `circle-${(i + 1) % 250}`, now() + 60)
    const circle = await store.endSessions(['circle-0'], now() + 60)
    expect(circle.sessionIds).toHaveLength(250)
    expect((await store.read('circle-0')).ended).toBe(true)
  })

  it('destroys the rows of connect-redis, unbinds and remembers the jti in that one round trip', async () => {
    const finishing = redisStore(command, { sessionPrefix: 'sess:' })
    const sessions = new ConnectRedis({ client: redis })
    const logins = [1, 2, 3].map((i) => login(i, { subKey: login('one').subKey }))
    const bystander = login('bystander')
    for (const each of [...logins, bystander]) {
      await finishing.bind(each)
      await redis.set(`sess:${each.sessionId}`, JSON.stringify(rowOf(each.sessionId)))
    }
    sent = []
    const begun = await finishing.begin(logoutOf(login('one').subKey))
    expect(sent).toHaveLength(1)
    expect(begun).toMatchObject({ replayed: false, finished: true })
    for (const { sessionId } of logins) {
      expect(await sessions.get(sessionId)).toBeFalsy()
      expect(await finishing.read(sessionId)).toEqual({ ended: true, marks: [] })
    }
    expect(await sessions.get(bystander.sessionId)).toMatchObject({ user: bystander.sessionId })
    expect((await finishing.read(bystander.sessionId)).ended).toBe(false)
    expect(await finishing.begin(logoutOf(login('one').subKey))).toEqual({ replayed: true })
  })

  it('keeps ids and keys of any characters, and destroys their rows', async () => {
    const finishing = redisStore(command, { sessionPrefix: 'sess:' })
    const ids = ['a b', 'a%20b', 'a\nb', 'a%', '%', 'ü ☃ 😀', "x 1 'y'", '"\\', '0x 9', 'tab\t'].map((id) => `${id} `)
    const subKey = 'sub key\nwith % and space'
    for (const sessionId of ids) {
      const written = { sessionId, subKey, sidKey: ` sid of ${sessionId}`, issuedAt: 1.5, expiresAt: now() + 60.25 }
      const { binding } = await finishing.bind({ ...written, tokenKeys: [`token of ${sessionId}`] })
      expect(binding).toMatchObject(written)
      expect(await finishing.read(sessionId)).toEqual({ ended: false, binding, marks: [] })
      await redis.set(`sess:${sessionId}`, '{}')
    }
    const begun = await finishing.begin(logoutOf(subKey))
    if (begun.replayed) throw new Error('a replay')
    expect([...begun.sessionIds].sort()).toEqual([...ids].sort())
    expect([...begun.tokenKeys].sort()).toEqual(ids.map((id) => `token of ${id}`).sort())
    expect(begun.mark).toMatchObject({ scope: 'sub', key: subKey })
    expect(await finishing.marks([subKey])).toMatchObject({ marks: [begun.mark] })
    expect(await redis.keys('sess:*')).toEqual([])
  })

  it('believes the count of Redis: rows that are somewhere else come back to be destroyed, and are counted', async () => {
    const misled = redisStore(command, { sessionPrefix: 'sess:' })
    const [here, elsewhere] = [login('here', { subKey: 'misled' }), login('elsewhere', { subKey: 'misled' })]
    for (const each of [here, elsewhere]) await misled.bind(each)
    await redis.set(`sess:${here.sessionId}`, '{}')
    await redis.set(`myapp:${elsewhere.sessionId}`, '{}')
    const begun = await misled.begin(logoutOf('misled'))
    if (begun.replayed) throw new Error('a replay')
    expect(begun).toMatchObject({ finished: false, notDeleted: 1 })
    expect(begun.sessionIds).toContain(elsewhere.sessionId)
    expect(await redis.exists(`sess:${here.sessionId}`)).toBe(0)
    const again = await misled.begin(logoutOf('misled'))
    expect(again).toMatchObject({ replayed: false, sessionIds: [elsewhere.sessionId], notDeleted: 1 })
  })

  it('ends a subject with many sessions in scripts that each look at no more than a page of them', async () => {
    const many = Array.from({ length: 3000 }, (_, i) => login(`many ${i}`, { subKey: 'many' }))
    for (let i = 0; i < many.length; i += 200) await Promise.all(many.slice(i, i + 200).map((each) => store.bind(each)))
    let [cursor, found]: [string | undefined, number] = [undefined, 0]
    do {
      const begun = await store.begin(logoutOf('many', { cursor }))
      if (begun.replayed) throw new Error('a replay')
      expect(begun.sessionIds.length).toBeLessThanOrEqual(200)
      found += begun.sessionIds.length
      cursor = begun.cursor
    } while (cursor !== undefined)
    expect(found).toBeGreaterThanOrEqual(many.length)
  })

  it('destroys the rows of each page by itself, and gives back a page of which one is somewhere else', async () => {
    const finishing = redisStore(command, { sessionPrefix: 'sess:' })
    const many = Array.from({ length: 700 }, (_, i) => login(`paged ${i}`, { subKey: 'paged' }))
    for (let i = 0; i < many.length; i += 100) {
      await Promise.all(many.slice(i, i + 100).map((each) => finishing.bind(each)))
      await Promise.all(many.slice(i, i + 100).map((each) => redis.set(`sess:${each.sessionId}`, '{}')))
    }
    const [, , elsewhere = login('none')] = many
    await redis.del(`sess:${elsewhere.sessionId}`)
    sent = []
    const pages = await pagesOf(finishing, 'paged')
    expect(sent).toHaveLength(pages.length)
    expect(pages.length).toBeGreaterThan(2)
    expect(pages.map(({ finished }) => finished)).not.toContain(true)
    const left = pages.filter(({ destroyed }) => !destroyed)
    expect(left.map(({ sessionIds }) => sessionIds.includes(elsewhere.sessionId))).toEqual([true])
    expect(left).toMatchObject([{ notDeleted: 1 }])
    expect(await redis.keys('sess:*')).toEqual([])
    const [again] = await pagesOf(finishing, 'paged')
    expect(again?.sessionIds).toEqual([elsewhere.sessionId])
    for (const { sessionId } of many) expect((await finishing.read(sessionId)).ended).toBe(true)
  })

  it('does not stop for the sessions of a user that ended at one time', async () => {
    const ending = Array.from({ length: 1000 }, (_, i) => login(`over ${i}`, { subKey: 'over', expiresAt: now() + 1 }))
    await Promise.all(ending.map((each) => store.bind(each)))
    await store.bind(login('over last', { subKey: 'over' }))
    const entries = () => redis.zCard('bcl:iover')
    await expect.poll(() => redis.exists(`bcl:s${nameOfSession(login('over 999').sessionId)}`)).toBe(0)
    await expect.poll(now).toBeGreaterThan(Math.ceil(ending.at(-1)?.expiresAt ?? 0))
    const before = await entries()
    const { ended } = await store.bind(login('over again', { subKey: 'over' }))
    expect(ended).toBe(false)
    expect(before - (await entries())).toBeLessThan(250)
    for (let i = 0; i < 5; i++) await store.bind(login(`over again ${i}`, { subKey: 'over' }))
    expect(await entries()).toBe(7)
  })

  it('leaves the rows alone where it may not finish', async () => {
    const finishing = redisStore(command, { sessionPrefix: 'sess:' })
    await finishing.bind(login(1))
    await redis.set(`sess:${login(1).sessionId}`, '{}')
    const begun = await finishing.begin(logoutOf(login(1).subKey, { mayDestroy: false }))
    expect(begun).toMatchObject({ finished: false, sessionIds: [login(1).sessionId] })
    expect(await redis.exists(`sess:${login(1).sessionId}`)).toBe(1)
  })

  it('loads its script again when Redis forgot it', async () => {
    await store.bind(login(1))
    await redis.sendCommand(['SCRIPT', 'FLUSH'])
    expect((await store.read(login(1).sessionId)).binding?.subKey).toBe(login(1).subKey)
    sent = []
    await store.read(login(1).sessionId)
    expect(sent.map(([name]) => name)).toEqual(['EVALSHA'])
  })

  it('names no session id, sub or sid in any key, and keeps every key under its prefix and with an end', async () => {
    const other = redisStore(command, { prefix: 'x:' })
    for (let i = 0; i < 20; i++) await other.bind(login(i, { tokenKeys: [tokenKey(`${i}`)] }))
    await other.rebind(login(3).sessionId, 'moved', now() + 60)
    await other.begin(logoutOf(login(1).subKey))
    const keys = (await redis.keys('*')).filter((key) => key !== '')
    expect(keys.length).toBeGreaterThan(60)
    for (const key of keys) {
      expect(key).toMatch(/^x:([simtj][\w-]{16,43}|log|marks)$/)
      expect(key).not.toMatch(/session|user|sid /)
      expect(await redis.pTTL(key)).toBeGreaterThan(0)
    }
  })

  it('needs at most 600 bytes for a bound session with keys of 22 characters', async () => {
    // A table of Redis is as full as with a million: both are 0.69 of a power of two.
    const sessions = 15_000
    const short = ({ subKey, sidKey = '', ...rest }: NewBinding) => ({
      ...rest,
      subKey: subKey.slice(0, 22),
      sidKey: sidKey.slice(0, 22),
    })
    // Scripts and buffers weigh as much for one session as for all.
    const bindFrom = (first: number) =>
      Promise.all(Array.from({ length: 1000 }, (_, i) => store.bind(short(login(first + i)))))
    await bindFrom(0)
    const before = await usedMemory()
    for (let first = 1000; first <= sessions; first += 1000) await bindFrom(first)
    const bytes = ((await usedMemory()) - before) / sessions
    process.stdout.write(`Redis: ${bytes.toFixed(0)} bytes per bound session\n`)
    expect(bytes).toBeLessThanOrEqual(600)
  })

  it('does not accumulate what expired: entries that are used prune themselves', async () => {
    const shared = login('service account').subKey
    for (let round = 0; round < 30; round++) {
      const soon = now() + 0.03
      await Promise.all(
        [1, 2, 3].map((i) =>
          store.bind(login(`${round} ${i}`, { subKey: shared, sidKey: undefined, expiresAt: soon })),
        ),
      )
      while (now() < Math.ceil(soon) && round === 29) await store.read('waiting')
    }
    await store.bind(login('last', { subKey: shared, sidKey: undefined }))
    const [index = ''] = await redis.keys('bcl:i*')
    expect(await redis.zCard(index)).toBe(1)
  })

  it('keeps an end on an index whose entries had all expired when the next came', async () => {
    const shared = { subKey: login('service account').subKey, sidKey: undefined }
    const soon = Math.ceil(now())
    await store.bind(login('soon gone', { ...shared, expiresAt: soon }))
    await store.bind(login('long', shared))
    await store.unbind([login('long').sessionId])
    while (now() <= soon) await store.read('waiting')
    await store.bind(login('last', { ...shared, expiresAt: now() + 3600 }))
    const [index = ''] = await redis.keys('bcl:i*')
    expect(await redis.zCard(index)).toBe(1)
    expect(await redis.pTTL(index)).toBeGreaterThan(0)
  })

  it('refuses what is no client, a session prefix on a cluster, and braces in a prefix', () => {
    expect(() => Reflect.apply(redisStore, undefined, [{}])).toThrow(TypeError)
    expect(() => redisStore(command, { cluster: true, sessionPrefix: 'sess:' })).toThrow(/sessionPrefix/)
    expect(() => redisStore(command, { prefix: 'a{b}' })).toThrow(/prefix/)
  })

  it('rejects when Redis does not answer as expected, and never reports an end that it did not write', async () => {
    const odd = redisStore(async () => '{"signon":7}')
    await expect(odd.read('a')).rejects.toThrow(/unexpected/)
    const failing = redisStore(async () => Promise.reject(new Error('LOADING')))
    await expect(failing.begin(logoutOf('k'))).rejects.toThrow('LOADING')
    await expect(failing.read('a')).rejects.toThrow('LOADING')
  })

  it('keeps nothing back when memory is full: it rejects, and what was written before stays', async () => {
    await store.bind(login(1))
    await redis.configSet('maxmemory', '1')
    try {
      await expect(store.bind(login(2))).rejects.toThrow(/OOM/)
      await expect(store.begin(logoutOf(login(1).subKey))).rejects.toThrow(/OOM/)
    } finally {
      await redis.configSet('maxmemory', '0')
    }
    expect((await store.read(login(1).sessionId)).binding).toBeDefined()
  })

  describe('checkRedis', () => {
    // So that each case below has one thing amiss.
    beforeAll(async () => {
      await redis.configSet('appendonly', 'yes')
    })
    afterAll(async () => {
      await redis.configSet('appendonly', 'no')
    })

    it('finds nothing to say about a Redis that keeps what it is given', async () => {
      expect(await checkRedis(redis)).toEqual([])
    })

    it('reports a Redis that keeps nothing across a restart, to either driver and in either protocol', async () => {
      const forgetful = await startRedis()
      const clients = [
        await createClient({ url: forgetful.url }).connect(),
        await createClient({ url: forgetful.url, RESP: 3 }).connect(),
      ]
      const connected = new Redis(forgetful.port)
      const [first] = clients
      try {
        for (const each of [...clients, connected]) {
          expect(await checkRedis(each)).toEqual([expect.stringMatching(/^Redis forgets.*restart.*appendonly to yes/)])
        }
        await first?.configSet('save', '3600 1')
        for (const each of [...clients, connected]) expect(await checkRedis(each)).toEqual([])
        await first?.configSet({ save: '', appendonly: 'yes' })
        for (const each of [...clients, connected]) expect(await checkRedis(each)).toEqual([])
      } finally {
        for (const each of clients) each.destroy()
        connected.disconnect()
        await forgetful.stop()
      }
    })

    it('says nothing of restarts where it may not look', async () => {
      const forgetful = await startRedis()
      const admin = await createClient({ url: forgetful.url }).connect()
      await admin.sendCommand(['ACL', 'SETUSER', 'app', 'on', '>secret', '~*', '+@all', '-config'])
      const app = await createClient({ url: forgetful.url, username: 'app', password: 'secret' }).connect()
      try {
        expect(await checkRedis(app)).toEqual([])
        expect(await checkRedis(admin)).toHaveLength(1)
      } finally {
        app.destroy()
        admin.destroy()
        await forgetful.stop()
      }
    })

    it.each([
      ['without a command of the scripts', '~* +@all -zadd', /\+zadd, /],
      ['without scripts', '~* +@all -@scripting', /\+evalsha \+eval, /],
      ['without the keys', '~sess:* +@all', /~bcl:\* \+del/],
      ['without anything that tells of the server', '~* +@all -@dangerous', /\+info/],
    ])('reports a user %s', async (_, rules, expected) => {
      await redis.sendCommand(['ACL', 'SETUSER', 'lacking', 'reset', 'on', '>secret', ...rules.split(' ')])
      const app = await createClient({ url: server.url, username: 'lacking', password: 'secret' }).connect()
      try {
        expect(await checkRedis(app)).toEqual([expect.stringMatching(expected)])
        if (String(expected).includes('info')) return
        await expect(redisStore(app).bind(login(1))).rejects.toMatchObject({
          reason: 'permission_denied',
          remedy: expect.stringContaining('checkRedis(client)'),
        })
      } finally {
        app.destroy()
      }
    })

    it('has nothing to say of a user who has what the store needs and no more', async () => {
      const [keys, commands] = [['~own:*'], scriptCommands().map((name) => `+${name}`)]
      const more = ['+eval', '+evalsha', '+info']
      await redis.sendCommand(['ACL', 'SETUSER', 'least', 'reset', 'on', '>secret', ...keys, ...commands, ...more])
      const app = await createClient({ url: server.url, username: 'least', password: 'secret' }).connect()
      try {
        expect(await checkRedis(app, { prefix: 'own:' })).toEqual([])
        for (const name of scriptCommands()) {
          await redis.sendCommand(['ACL', 'SETUSER', 'least', `-${name}`])
          expect(await checkRedis(app, { prefix: 'own:' })).toEqual([expect.stringContaining(` +${name},`)])
          await redis.sendCommand(['ACL', 'SETUSER', 'least', `+${name}`])
        }
        await redisStore(app, { prefix: 'own:' }).bind(login(1))
      } finally {
        app.destroy()
      }
    })

    it('reports a Redis that evicts', async () => {
      await redis.configSet('maxmemory-policy', 'allkeys-lru')
      try {
        expect(await checkRedis(redis)).toEqual([expect.stringMatching(/maxmemory-policy is allkeys-lru.*noeviction/)])
      } finally {
        await redis.configSet('maxmemory-policy', 'noeviction')
      }
    })

    it('reports a replica, and a replica refuses to write', async () => {
      const replica = await startRedis(['--replicaof', `127.0.0.1 ${server.port}`, '--appendonly', 'yes'])
      const connected = new Redis(replica.port)
      try {
        expect(await checkRedis(connected)).toEqual([expect.stringMatching(/replica.*primary/)])
        await expect(redisStore(connected).bind(login(1))).rejects.toThrow()
      } finally {
        connected.disconnect()
        await replica.stop()
      }
    })

    it('reports a cluster behind a client that is none', async () => {
      const cluster = await startRedisCluster()
      const [node] = cluster.nodes
      const connected = new Redis(node?.port ?? 0)
      await connected.config('SET', 'appendonly', 'yes')
      try {
        expect(await checkRedis(connected)).toEqual([expect.stringMatching(/cluster client/)])
      } finally {
        connected.disconnect()
        await cluster.stop()
      }
    })
  })

  async function usedMemory(): Promise<number> {
    const info = await redis.info('memory')
    return Number(/used_memory:(\d+)/.exec(info)?.[1])
  }
})

/** Read off the scripts themselves. */
function scriptCommands(): readonly string[] {
  const text = [...Object.values(STANDALONE_SCRIPTS), ...Object.values(CLUSTER_SCRIPTS)].join('\n')
  return [...new Set([...text.matchAll(/redis\.call\('([A-Z]+)'/g)].map(([, name = '']) => name.toLowerCase()))]
}

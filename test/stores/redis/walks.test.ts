// What is read page by page goes on where it was after Redis was started again: another process orders its hash tables
// otherwise, so a walk must not rest on them.
import { createClient } from 'redis'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { subKey } from '../../../src/marks/target.js'
import type { LogStore } from '../../../src/stores/log-store.js'
import { redisStore } from '../../../src/stores/redis/redis-store.js'
import { describeWith } from '../../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../../servers/redis.js'

const MANY = 900
const client = { issuer: 'https://op.example.com', clientId: 'rp' }
const now = () => Date.now() / 1000

describeWith(redisServer, 'redis-server')('a walk over a restart of Redis', () => {
  let server: RunningRedis
  let redis: ReturnType<typeof createClient>
  let store: LogStore
  let key: string
  beforeAll(async () => {
    server = await startRedis(['--appendonly', 'yes', '--appendfsync', 'always'])
  })
  afterAll(() => server.stop())
  beforeEach(async ({ task }) => {
    await connect()
    key = subKey(client, task.name)
    const expiresAt = Math.ceil(now()) + 3600
    // Most end in the same second, as after a morning's rush.
    const all = Array.from({ length: MANY }, (_, i) => ({
      sessionId: `${task.name} ${i}`,
      expiresAt: expiresAt + (i % 3),
    }))
    await Promise.all(all.map((each) => store.bind({ ...each, subKey: key, issuedAt: 1_700_000_000 })))
  })

  async function connect() {
    redis = createClient({ url: server.url })
    await redis.connect()
    store = redisStore(redis)
  }

  async function restart() {
    redis.destroy()
    await server.restart()
    await connect()
  }

  it('of a logout finds every session', async () => {
    const found = new Set<string>()
    let cursor: string | undefined
    let pages = 0
    do {
      const target = { scope: 'sub', key } as const
      const times = { issuedAt: 1_700_000_100, seenSecondsAgo: 0, marksExpireAt: now() + 7200 }
      const begun = await store.begin({ target, ...times, mayDestroy: false, cursor })
      if (begun.replayed) throw new Error('a replay')
      for (const id of begun.sessionIds) found.add(id)
      cursor = begun.cursor
      if (++pages % 2 === 0) await restart()
    } while (cursor !== undefined)
    expect(found.size).toBe(MANY)
    redis.destroy()
  })

  it('of a list finds every session', async () => {
    const found = new Set<string>()
    let cursor: string | undefined
    do {
      const page = await store.list({ scope: 'sub', key }, cursor)
      for (const { sessionId } of page.sessions) found.add(sessionId)
      cursor = page.cursor
      await restart()
    } while (cursor !== undefined)
    expect(found.size).toBe(MANY)
    redis.destroy()
  })
})

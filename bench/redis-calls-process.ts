// One process that talks to Redis: a bare SET NX and a logout take turns.
import { randomUUID } from 'node:crypto'
import { RedisStore } from 'connect-redis'
import { createBackchannelLogout } from '../src/index.js'
import { jtiKey, sidKey, subKey } from '../src/marks/target.js'
import { redisStore } from '../src/stores/redis/index.js'
import { type RedisConnection, redisConnection } from './connections.js'
import { FORMER_BEGIN } from './former.js'
import { quantile } from './http-load.js'
import { CLIENT_ID, sidOf, subOf } from './op.js'
import { absentProvider, bindUser, newSessionId, noSessions, saveSession } from './receivers.js'
import { answer } from './remote.js'

const issuer = 'https://op.example.com'
const client = { issuer, clientId: CLIENT_ID }
const provider = absentProvider(issuer)
let connection: RedisConnection

const commands = {
  async start({ url }: { url: string }): Promise<void> {
    connection = await redisConnection(url)
  },
  async round({ from, count }: { from: number; count: number }) {
    const { store, logout } = ours()
    const ids = Array.from({ length: 2 * count }, newSessionId)
    const sessions = new RedisStore({ client: connection })
    const logins = { save: [] as number[], bind: [] as number[] }
    for (const [i, id] of ids.entries()) {
      logins.save.push(await timed(() => saveSession(sessions, id, subOf(i))))
      logins.bind.push(await timed(() => bindUser(logout, issuer, id, 2 * from + i)))
    }
    await connection.configResetStat()
    const times = { set: [] as number[], begin: [] as number[], logout: [] as number[] }
    for (let n = 2 * from; n < 2 * (from + count); n += 2) {
      const now = Date.now() / 1000
      times.set.push(await timed(() => connection.set(`jti:${randomUUID()}`, '1', { NX: true, EX: 480 })))
      times.begin.push(
        await timed(() =>
          store.begin({
            target: { scope: 'sid', key: sidKey(client, sidOf(n)), subKey: subKey(client, subOf(n)) },
            issuedAt: Math.floor(now),
            seenSecondsAgo: 0,
            jti: { key: jtiKey(client, randomUUID()), expiresAt: now + 480 },
            marksExpireAt: now + 30 * 86_400,
            mayDestroy: true,
            ...FORMER_BEGIN,
          }),
        ),
      )
      times.logout.push(
        await timed(async () => {
          const { destroyed } = await logout.terminate({ ...client, sid: sidOf(n + 1), sub: subOf(n + 1) })
          if (destroyed !== 1) throw new Error('the session was not ended')
        }),
      )
    }
    const statistics = await connection.info('commandstats')
    const rows = await Promise.all(ids.map((id) => connection.exists(`sess:${id}`)))
    if (rows.some((found) => found > 0)) throw new Error('a session row survived its logout')
    return {
      saveMs: quantile(logins.save, 0.5),
      saveP99Ms: quantile(logins.save, 0.99),
      bindMs: quantile(logins.bind, 0.5),
      bindP99Ms: quantile(logins.bind, 0.99),
      setMs: quantile(times.set, 0.5),
      setP99Ms: quantile(times.set, 0.99),
      beginMs: quantile(times.begin, 0.5),
      beginP99Ms: quantile(times.begin, 0.99),
      logoutMs: quantile(times.logout, 0.5),
      logoutP99Ms: quantile(times.logout, 0.99),
      setInRedisMicros: microsInRedis(statistics, 'set'),
      logoutInRedisMicros: microsInRedis(statistics, 'evalsha'),
    }
  },
}

export type RedisCallsProcess = typeof commands

function ours() {
  const store = redisStore(connection, { sessionPrefix: 'sess:' })
  return { store, logout: createBackchannelLogout({ provider, store, sessions: noSessions }) }
}

/** What Redis says each call of a command took inside it. */
function microsInRedis(statistics: string, command: string): number {
  return Number(new RegExp(`cmdstat_${command}:.*usec_per_call=([\\d.]+)`).exec(statistics)?.[1])
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = performance.now()
  await work()
  return performance.now() - started
}

answer(commands)

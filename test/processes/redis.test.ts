// Four processes on one Redis whose acknowledged writes survive a crash.
import { createClient } from 'redis'
import { describeWith } from '../servers/processes.js'
import { redisServer, startRedis } from '../servers/redis.js'
import { describeFaults } from './faults.js'

describeFaults(describeWith(redisServer, 'redis-server'), 'redis', async () => {
  const redis = await startRedis(['--appendonly', 'yes', '--appendfsync', 'always'])
  return {
    port: redis.port,
    url: (port) => `redis://127.0.0.1:${port}`,
    async hasRow(sessionId) {
      const client = await createClient({ url: redis.url }).connect()
      try {
        return (await client.exists(`sess:${sessionId}`)) === 1
      } finally {
        client.destroy()
      }
    },
    kill: redis.kill,
    restart: redis.restart,
    stop: redis.stop,
  }
})

// The page's states in a real Redis: two nodes, one question.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createClient } from 'redis'
import ts from 'typescript'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createRevalidation, type RevalidationStates } from '../../src/index.js'
import { describeWith } from '../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'

type OnThePage = (client: ReturnType<typeof createClient>) => RevalidationStates

const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/revalidation.md'), 'utf8')

/** The block of the page, as it stands. */
async function redisStates(): Promise<OnThePage> {
  const [, code = ''] = /```ts\n(import \{ createClient \} from 'redis'[\s\S]*?)```/.exec(page) ?? []
  const js = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  }).outputText
  const module: { redisRevalidationStates: OnThePage } = await import(
    `data:text/javascript,${encodeURIComponent(js.replace(/^import.*$/gm, ''))}`
  )
  return module.redisRevalidationStates
}

describeWith(redisServer, 'redis-server')('the states of the page', () => {
  let server: RunningRedis
  beforeAll(async () => {
    server = await startRedis()
  })
  afterAll(() => server?.stop())

  it('let one request of all nodes ask, and hand the changed token to the next', async () => {
    const states = await redisStates()
    const clients = await Promise.all([0, 1].map(() => createClient({ url: server.url }).connect()))
    const asked: (string | undefined)[] = []
    let now = Date.now() / 1000
    const nodes = clients.map((client) =>
      createRevalidation({
        everySeconds: 300,
        secret: 'a secret of more than thirty-two characters',
        states: states(client),
        clock: () => now,
        monotonic: () => now,
        random: () => 0,
        ask: async ({ refreshToken }) => {
          asked.push(refreshToken)
          return { found: 'live', refreshToken: `token ${asked.length}` }
        },
      }),
    )
    try {
      await nodes[0]?.begin('s', { refreshToken: 'token 0' })
      for (let round = 0; round < 3; round++) {
        now += 300
        await Promise.all(Array.from({ length: 20 }, (_, i) => nodes[i % 2]?.check('s')))
      }
      expect(asked).toEqual(['token 0', 'token 1', 'token 2'])
      await Promise.all(nodes.map((node) => node.move('s', 'another id')))
      now += 300
      await Promise.all(Array.from({ length: 20 }, (_, i) => nodes[i % 2]?.check(i % 3 === 0 ? 's' : 'another id')))
      expect(asked).toEqual(['token 0', 'token 1', 'token 2', 'token 3'])
    } finally {
      for (const client of clients) client.destroy()
    }
  })
})

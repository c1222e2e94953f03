import { RedisStore } from 'connect-redis'
import pg from 'pg'
import { createClient } from 'redis'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Listening, listen } from '../../example-app/listen.js'
import { createOp, type OpEvent } from '../../example-app/op.js'
import { openStores } from '../../example-app/stores.js'
import { postgresServer, startPostgres } from '../servers/postgres.js'
import { describeWith } from '../servers/processes.js'
import { redisServer, startRedis } from '../servers/redis.js'
import { Browser, logOutAtOp, signIn, whoIsAt } from './browser-by-http.js'
import { type Program, startProgram } from './program.js'

const CLIENT = { clientId: 'rp', clientSecret: 'a secret' }
const SETTINGS = {
  CLIENT_ID: CLIENT.clientId,
  CLIENT_SECRET: CLIENT.clientSecret,
  SESSION_SECRET: 'another',
  PORT: '0',
}
/** Without turns about one round in two goes wrong. */
const ROUNDS = 10
const NOBODY = { status: 401 }

const programs: Program[] = []
const listenings: Listening[] = []

/** How many of each outlive a test, since they are of all tests of their `describe`. */
const shared = { programs: 0, listenings: 0 }

async function endAllButShared(): Promise<void> {
  await Promise.all(programs.splice(shared.programs).map((program) => program.stop('SIGKILL')))
  await Promise.all(listenings.splice(shared.listenings).map((listening) => listening.close()))
}
afterEach(endAllButShared)

function start(file: 'rp.ts' | 'start.ts', env: Record<string, string>): Program {
  const program = startProgram(file, env)
  programs.push(program)
  return program
}

/** An OP, and two processes of one RP that know of each other only by what they store. */
async function startNodes(env: Record<string, string>) {
  const listening = await listen(0)
  listenings.push(listening)
  const issuer = listening.url
  const events: OpEvent[] = []
  const op = await createOp({ issuer, onEvent: (event) => events.push(event) })
  listening.server.on('request', op.app)
  // At the same moment, on an empty server.
  const nodes = [0, 1].map(() => start('rp.ts', { ISSUER: issuer, ...SETTINGS, ...env }))
  const urlOf = async (node: Program | undefined) => (await node?.printed(/^listening on (http:\S+)$/m))?.[1] ?? ''
  const [one, two] = [await urlOf(nodes[0]), await urlOf(nodes[1])]
  await op.register({ ...CLIENT, name: 'RP', baseUrl: one, moreNodes: [two] })
  return { issuer, op, nodes, urls: [one, two] as const, events }
}

/** The nodes that Logout Tokens went to, in this order. */
const receivers = (events: readonly OpEvent[]) =>
  events.flatMap((event) => (event.type === 'sending' ? [event.baseUrl] : []))

interface Server {
  readonly env: Record<string, string>
  kill(): Promise<void>
  restart(): Promise<void>
  stop(): Promise<void>
}

interface Kind {
  readonly name: string
  readonly binary: string | undefined
  start(): Promise<Server>
  /** How many sessions of express-session there are. */
  sessions(env: Record<string, string>): Promise<number>
}

const REDIS: Kind = {
  name: 'redis-server',
  binary: redisServer,
  start: async () => {
    const redis = await startRedis(['--appendonly', 'yes'])
    return { ...redis, env: { REDIS_URL: redis.url } }
  },
  sessions: async ({ REDIS_URL = '' }) => {
    const client = await createClient({ url: REDIS_URL }).connect()
    const count = (await new RedisStore({ client }).ids()).length
    client.destroy()
    return count
  },
}

const POSTGRES: Kind = {
  name: 'postgres',
  binary: postgresServer,
  start: async () => {
    const postgres = await startPostgres()
    return { ...postgres, env: { DATABASE_URL: postgres.url } }
  },
  sessions: async ({ DATABASE_URL }) => {
    const client = new pg.Client(DATABASE_URL)
    await client.connect()
    const { rows } = await client.query('SELECT count(*)::integer AS count FROM session')
    await client.end()
    return rows[0].count
  },
}

for (const kind of [REDIS, POSTGRES]) {
  describeWith(kind.binary, kind.name)(`several nodes on ${kind.name}`, () => {
    let server: Server

    beforeAll(async () => {
      server = await kind.start()
    })

    afterAll(async () => {
      await server?.stop()
    })

    describe('that run', () => {
      let site: Awaited<ReturnType<typeof startNodes>>

      beforeAll(async () => {
        site = await startNodes(server.env)
        Object.assign(shared, { programs: programs.length, listenings: listenings.length })
      })

      afterAll(async () => {
        Object.assign(shared, { programs: 0, listenings: 0 })
        await endAllButShared()
      })

      it('are one RP: a logout that reaches either of them ends the session on both, and no other', async () => {
        const { issuer, nodes, urls, events } = site
        const elsewhere = new Browser()
        await signIn(elsewhere, urls[1], 'Ada')

        // Whoever signed in where: the Logout Token goes to the first node, then to the second, and so on.
        for (const [signedInAt, receiver] of [
          [urls[0], urls[0]],
          [urls[0], urls[1]],
          [urls[1], urls[0]],
          [urls[1], urls[1]],
        ]) {
          const browser = new Browser()
          await signIn(browser, signedInAt ?? '', 'Ada')
          const old = browser.copy()
          for (const url of urls) expect(await whoIsAt(browser, url)).toMatchObject({ status: 200, sub: 'ada' })
          const before = await kind.sessions(server.env)

          await logOutAtOp(browser, issuer)

          expect(receivers(events).at(-1)).toBe(receiver)
          expect(events.at(-1)).toMatchObject({ type: 'logged-out', confirmedBy: ['rp'], refusedBy: [] })
          expect(await kind.sessions(server.env)).toBe(before - 1)
          for (const url of urls) {
            expect(await whoIsAt(old, url)).toEqual(NOBODY)
            expect(await whoIsAt(elsewhere, url)).toMatchObject({ status: 200, sub: 'ada' })
          }
        }
        for (const { stderr } of nodes) expect(stderr).toBe('')
      })

      it('let nobody in and confirm no logout while the server is down, and go on when it is back', async () => {
        const { issuer, urls, events } = site
        const ada = new Browser()
        await signIn(ada, urls[0], 'Ada')
        const old = ada.copy()

        await server.kill()
        for (const url of urls) expect((await ada.request(`${url}/me`)).status).toBe(503)
        await logOutAtOp(ada, issuer)
        expect(events.at(-1)).toMatchObject({ type: 'logged-out', confirmedBy: [], refusedBy: ['rp'] })
        await server.restart()

        for (const url of urls) {
          // The drivers connect again by themselves, a little later than the server is there.
          await vi.waitFor(async () => expect(await whoIsAt(old, url)).toEqual(NOBODY), {
            timeout: 30_000,
            interval: 200,
          })
          const browser = new Browser()
          await signIn(browser, url, 'Linus')
          for (const each of urls) expect(await whoIsAt(browser, each)).toMatchObject({ status: 200, sub: 'linus' })
          await logOutAtOp(browser, issuer)
          for (const each of urls) expect(await whoIsAt(browser, each)).toEqual(NOBODY)
        }
      })
    })

    it('keep old cookies dead when they start again, and new sign-ins alive', async () => {
      const { issuer, op, nodes, urls } = await startNodes(server.env)
      const [leaves, stays] = [new Browser(), new Browser()]
      for (const browser of [leaves, stays]) await signIn(browser, urls[0], 'Grace')
      const old = leaves.copy()
      await logOutAtOp(leaves, issuer)
      for (const node of nodes) await node.stop('SIGKILL')

      const again = start('rp.ts', { ISSUER: issuer, ...SETTINGS, ...server.env })
      const [, url = ''] = await again.printed(/^listening on (http:\S+)$/m)
      expect(await whoIsAt(old, url)).toEqual(NOBODY)
      expect(await whoIsAt(stays, url)).toMatchObject({ status: 200, sub: 'grace' })
      await op.register({ ...CLIENT, name: 'RP', baseUrl: url })
      await logOutAtOp(stays, issuer)
      expect(await whoIsAt(stays, url)).toEqual(NOBODY)
      expect(await again.stop()).toEqual({ code: 0, signal: null })
      expect(again.stderr).toBe('')
    })

    it('are two of the Shop in npm start, one API, and an overview that shows only this run', async () => {
      const demo = start('start.ts', server.env)
      await demo.printed(/Ctrl-C/)
      const [op = '', shop = '', shopToo = ''] = ['overview', 'Shop', 'Shop, node 2'].map(
        (name) => demo.stdout.match(new RegExp(`^  ${name} +(http\\S+)$`, 'm'))?.[1],
      )
      expect(new Set([op, shop, shopToo]).size).toBe(3)
      const browser = new Browser()
      const state = async () => JSON.parse(await (await browser.request(`${op}/state`)).text())
      expect((await state()).signOns).toEqual([])

      for (const place of [shopToo, shop]) {
        await signIn(browser, place, 'Linus')
        const { signOns, thisBrowser } = await state()
        expect(signOns).toMatchObject([{ id: thisBrowser, name: 'Linus', signedInAt: ['shop'], hasToken: true }])
        const call = async () => (await browser.request(`${op}/call`, { method: 'POST' })).json()
        expect(await call()).toEqual({ status: 200 })

        await logOutAtOp(browser, op)

        expect(await call()).toEqual({ status: 401 })
        for (const node of [shop, shopToo]) expect(await whoIsAt(browser, node)).toEqual(NOBODY)
        expect((await state()).signOns).toEqual([])
      }
      const log = await fetch(`${op}/events`)
      const told = (await log.body?.getReader().read())?.value
      for (const node of [1, 2]) expect(Buffer.from(told ?? '').toString()).toContain(`received by node ${node}`)
      expect(await demo.stop()).toEqual({ code: 0, signal: null })
      expect(demo.stderr).toBe('')
    })
  })
}

describeWith(redisServer, 'redis-server')('a Redis', () => {
  it('that would lose a logout is reported in words when a node starts', async () => {
    const redis = await startRedis(['--maxmemory', '50mb', '--maxmemory-policy', 'allkeys-lru'])
    const node = start('rp.ts', { ISSUER: 'https://op.example', ...SETTINGS, REDIS_URL: redis.url })
    await node.printed(/^listening on/m)
    await node.stop()
    await redis.stop()
    expect(node.stderr).toContain('set maxmemory-policy to noeviction')
  })
})

describeWith(postgresServer, 'postgres')('a PostgreSQL', () => {
  it('is made ready by eight nodes that start at the same moment, again and again', async () => {
    const problems: string[] = []
    const postgres = await startPostgres()
    const admin = new pg.Client(postgres.url)
    await admin.connect()
    for (let round = 0; round < ROUNDS; round++) {
      const settings = { DATABASE_URL: postgres.url }
      const nodes = await Promise.all(
        Array.from({ length: 8 }, () => openStores(settings, (problem) => problems.push(problem))),
      )
      for (const node of nodes) {
        expect(await node.sessions()).toEqual([])
        await node.close()
      }
      await admin.query('DROP TABLE session')
    }
    await admin.end()
    await postgres.stop()
    expect(problems).toEqual([])
  })

  it('that would lose a logout is reported in words when a node starts', async () => {
    const postgres = await startPostgres(['-c', 'synchronous_commit=off'])
    const node = start('rp.ts', { ISSUER: 'https://op.example', ...SETTINGS, DATABASE_URL: postgres.url })
    await node.printed(/^listening on/m)
    await node.stop()
    await postgres.stop()
    expect(node.stderr).toContain('Set it to on for this role or database')
  })
})

describe('a node', () => {
  const CLOSED = '127.0.0.1:1'

  it.each([{ REDIS_URL: `redis://:hidden@${CLOSED}` }, { DATABASE_URL: `postgres://user:hidden@${CLOSED}/db` }])(
    'ends and says so if it cannot reach %o',
    async (env) => {
      const node = start('rp.ts', { ISSUER: 'https://op.example', ...SETTINGS, ...env })
      expect(await node.ended).toEqual({ code: 1, signal: null })
      expect(node.stderr).toMatch(/^(REDIS|DATABASE)_URL cannot be used: .*ECONNREFUSED.*\n$/)
      expect(node.stderr).not.toContain('hidden')
    },
  )

  it('does not choose between a Redis and a PostgreSQL', async () => {
    const both = { REDIS_URL: `redis://${CLOSED}`, DATABASE_URL: `postgres://${CLOSED}/db` }
    const node = start('rp.ts', { ISSUER: 'https://op.example', ...SETTINGS, ...both })
    expect(await node.ended).toEqual({ code: 1, signal: null })
    expect(node.stderr).toContain('keep one of them')
  })
})

// The table of docs/apis.md: what a logout ends, how soon, and for whom; each cell is tried as the page has it.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { createLocalJWKSet, exportJWK, generateKeyPair } from 'jose'
import { createClient } from 'redis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  createClaims,
  createJwtCheck,
  createRelay,
  createRelayReceiver,
  type MarksStore,
} from '../../src/access-tokens/index.js'
import { boundedReads, createBackchannelLogout, type LogoutStore, memoryStore } from '../../src/index.js'
import { redisStore } from '../../src/stores/redis/index.js'
import { createTokenMint, type TokenMint } from '../../src/testing/index.js'
import { describeWith } from '../servers/processes.js'
import { type RunningRedis, redisServer, startRedis } from '../servers/redis.js'
import { ISSUER, RP } from './hand-run.js'

const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/apis.md'), 'utf8')
const [, section = ''] = page.split('## Which tokens die when')
const rows = (section.split('\n## ')[0] ?? '')
  .split('\n')
  .filter((line) => line.startsWith('|'))
  .map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
const [, ...ways] = rows[0] ?? []
const cells = rows
  .slice(2)
  .flatMap(([kind = '', ...words]) => words.map((word, i) => [kind, ways[i] ?? '', word] as const))
const LOGOUTS = ['sid', 'sub', 'terminate'] as const

const seconds = () => Math.floor(Date.now() / 1000)

describeWith(redisServer, 'redis-server')('which tokens die when', () => {
  let redis: RunningRedis
  let client: ReturnType<typeof createClient>
  let mint: TokenMint
  const closers: (() => unknown)[] = []

  beforeAll(async () => {
    redis = await startRedis()
    client = createClient({ url: redis.url })
    client.on('error', () => {})
    await client.connect()
    mint = await createTokenMint(RP)
  })
  afterAll(async () => {
    for (const close of closers) await close()
    client?.destroy()
    await redis?.stop()
  })

  let scenes = 0
  /**
   * A Relying Party, and somebody who knows of its logouts in one of the ways; `catchUp` is what the bound gives time
   * for.
   */
  async function scene(way: string) {
    const prefix = `${++scenes}:`
    const shared = redisStore(client, { prefix })
    const relay = way === 'told by a relay' ? await relayed(shared) : undefined
    const provider = { ...RP, jwks: mint.jwks }
    const rp = createBackchannelLogout({ provider, store: shared, ...(relay && { claims: relay.relay }) })
    const bounded = way === '`boundedReads`' ? boundedReads(redisStore(client, { prefix }), { seconds: 60 }) : undefined
    await bounded?.refresh()
    closers.push(
      () => rp.close(),
      () => bounded?.close(),
    )
    const alone = way === 'no shared store' ? memoryStore() : undefined
    const known: MarksStore = relay?.store ?? bounded ?? alone ?? shared
    const node = createBackchannelLogout({ provider, store: (bounded ?? alone ?? shared) as LogoutStore })
    closers.push(() => node.close())
    return { rp, node, known, catchUp: async () => void (await bounded?.refresh()) }
  }

  async function relayed(store: ReturnType<typeof redisStore>) {
    const { publicKey, privateKey } = await generateKeyPair('ES256', { extractable: true })
    const keys = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: 'ES256' }] })
    const receiver = createRelayReceiver({ issuer: 'https://rp.example.com', audience: 'api', keys, boundSeconds: 60 })
    const server = createServer(receiver.receiver()).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port }: AddressInfo = Object(server.address())
    const relay = createRelay({
      store,
      issuer: 'https://rp.example.com',
      privateKey,
      algorithm: 'ES256',
      apis: [{ endpoint: `http://127.0.0.1:${port}`, audience: 'api' }],
      dangerouslyAllowHttp: true,
    })
    await relay.refresh()
    closers.push(() => {
      relay.close()
      server.closeAllConnections()
      server.close()
    })
    return { relay, store: receiver.store }
  }

  it('is a table of six kinds and four ways', () => {
    expect(ways).toHaveLength(4)
    expect(cells).toHaveLength(24)
  })

  it.each(cells)('%s, %s: %s', async (kind, way, cell) => {
    const [word = '', exception] = cell.split(', ')
    if (word === '-') return expect([kind, way]).toEqual(['session', 'told by a relay'])
    for (const by of LOGOUTS) {
      const { rp, node, known, catchUp } = await scene(way)
      const iat = seconds() - 10
      /** What was got after the logout, by somebody who signed in before it. */
      const later = { iat: seconds() + 60, auth_time: iat }
      const said = { iss: ISSUER, client_id: RP.clientId, sub: 'ada', sid: 's1', iat, exp: iat + 3600 }
      let revoked = false
      const claims = createClaims({
        introspection: { issuer: ISSUER, introspect: async () => ({ ...said, active: !revoked }) },
        store: known,
      })
      const check = createJwtCheck({ store: known })
      const session = await rp.signOn({ iss: ISSUER, aud: RP.clientId, sub: 'ada', sid: 's1', iat })
      if (session === undefined) throw new Error('nobody is signed in')
      const lives: Record<string, () => Promise<boolean>> = {
        session: () => node.isLive(session),
        'cached claims': async () => (await claims.lookup('token')).active,
        'JWT verified locally': async () => !(await check.isRevoked(said)),
        'opaque token, asked about each time (`maxAgeSeconds: 0`)': async () =>
          (await claims.lookup('token', { maxAgeSeconds: 0 })).active,
        'what a refresh token still gets': async () => !(await check.isRevoked({ ...said, ...later })),
        'what an offline token still gets': async () => !(await check.isRevoked({ ...said, ...later, sid: undefined })),
      }
      const isAlive = lives[kind] ?? (() => Promise.reject(new Error(`no such row: ${kind}`)))
      expect(await isAlive()).toBe(true)

      if (by === 'terminate') expect(await rp.terminate({ ...RP, sub: 'ada' })).toMatchObject({ complete: true })
      else {
        const payload = by === 'sid' ? { sub: 'ada', sid: 's1' } : { sub: 'ada', sid: undefined }
        const body = new URLSearchParams({ logout_token: await mint.logoutToken({ payload }) })
        const answer = await rp.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
        expect(answer.status).toBe(200)
      }

      if (exception !== undefined) expect(exception).toBe('by `sid` never')
      if (exception !== undefined && by === 'sid') {
        await catchUp()
        expect(await isAlive()).toBe(true)
      } else if (word === 'within the bound') {
        await catchUp()
        expect(await isAlive()).toBe(false)
      } else if (word === 'at once') expect(await isAlive()).toBe(false)
      else {
        expect(await isAlive()).toBe(true)
        if (word !== 'when the authorization server says so') continue
        revoked = true
        expect((await claims.lookup('token', { maxAgeSeconds: 0 })).active).toBe(false)
      }
    }
  })
})

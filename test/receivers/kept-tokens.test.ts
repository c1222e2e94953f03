// Logout Tokens that came while keys were not at hand: through HTTP to the sessions, with OPs that misbehave as real ones do.
import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { createBackchannelLogout, type LogoutEvent, memoryStore } from '../../src/index.js'
import { Rooms } from '../../src/receivers/waiting-rooms.js'
import { createTokenMint, mintKeys, type TokenMint } from '../../src/testing/index.js'
import {
  ALL_BUT_ALICES_LAPTOP,
  EVERYBODY,
  expectLoggedOut,
  expectRefusal,
  type Rp,
  type RpOptions,
  withRp,
} from '../conformance/rp.js'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

/** A server of keys whose manners a test decides. */
class KeyServer {
  asked = 0
  /** `undefined`: 503. A promise: answers when it resolves. */
  answer: () => unknown

  constructor(answer: () => unknown) {
    this.answer = answer
  }

  async open(): Promise<string> {
    const server = createServer(async (_req, res) => {
      this.asked += 1
      const keys = await this.answer()
      if (keys === undefined) res.writeHead(503).end()
      else res.setHeader('content-type', 'application/json').end(JSON.stringify(keys))
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    closers.push(() => {
      server.close()
      server.closeAllConnections()
    })
    return `http://127.0.0.1:${portOf(server)}/jwks`
  }
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new TypeError('no port')
  return address.port
}

/** A Relying Party whose keys come from such a server; everybody is signed in, and no key is at hand. */
async function withKeyServer(
  test: (rp: Rp, keys: KeyServer) => Promise<void>,
  provider: RpOptions['provider'] = {},
): Promise<void> {
  const keys = new KeyServer(() => undefined)
  const jwksUri = await keys.open()
  await withRp({ provider: { jwks: undefined, jwksUri, ...provider } }, async (rp) => {
    await rp.signInEverybody()
    await test(rp, keys)
  })
}

const until = async (condition: () => boolean | Promise<boolean>) => {
  while (!(await condition())) await new Promise((turn) => setTimeout(turn, 10))
}
const backgroundLogouts = (rp: Rp) => rp.eventsOf('logout').filter(({ background }) => background)

/** The clock of these tests stands still; the OP may be asked again only when it moves. */
async function untilEnded(rp: Rp) {
  await until(() => {
    rp.clock.advance(1)
    return backgroundLogouts(rp).length > 0
  })
}

describe('a token whose keys are not at hand', () => {
  it.each([400, 503] as const)(
    'is answered %d, kept, and ends its session when the keys come; the retry hears 200',
    async (status) => {
      await withKeyServer(
        async (rp, keys) => {
          const token = await rp.mint.logoutToken()
          expectRefusal(await rp.deliver(token), status, 'logout_failed')
          expect(await rp.alive()).toEqual(EVERYBODY)
          expect(rp.eventsOf('awaiting-keys')).toMatchObject([{ clientId: 'rp', waiting: 1 }])
          keys.answer = () => rp.mint.jwks
          await untilEnded(rp)
          expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
          expectLoggedOut(await rp.deliver(token))
          expectRefusal(await rp.deliver(token), 400, 'invalid_request')
        },
        { transientFailureStatus: status },
      )
    },
  )

  it('is kept once, however often it is sent', async () => {
    await withKeyServer(async (rp, keys) => {
      const token = await rp.mint.logoutToken()
      for (let i = 0; i < 3; i++) await rp.deliver(token)
      expect(rp.eventsOf('awaiting-keys')).toHaveLength(1)
      keys.answer = () => rp.mint.jwks
      await untilEnded(rp)
      expect(rp.eventsOf('logout')).toHaveLength(1)
    })
  })

  it('is judged by the rules of when it came, and given up when it is too old', async () => {
    await withKeyServer(async (rp) => {
      await rp.deliver(await rp.mint.logoutToken())
      rp.clock.advance(301)
      await until(() => rp.eventsOf('warning').some(({ error }) => error.reason === 'given_up'))
      expect(await rp.alive()).toEqual(EVERYBODY)
    })
  })

  it('ends no login that was begun after it came, though its keys came later still', async () => {
    const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp', sub: 'alice', sid: 'S1' })
    let deliverKeys = (_keys: unknown) => {}
    const keys = new KeyServer(() => new Promise((resolve) => (deliverKeys = resolve)))
    const events: LogoutEvent[] = []
    const logout = createBackchannelLogout({
      provider: { issuer: mint.issuer, clientId: mint.clientId, jwksUri: await keys.open() },
      answerDeadlineSeconds: 0.1,
      onEvent: (event) => events.push(event),
    })
    closers.push(() => logout.close())
    const now = () => Date.now() / 1000
    const before = await logout.signOn(mint.idTokenClaims(), { startedAt: now() - 1 })
    const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
    const { status } = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    expect([status, events.map(({ type }) => type)]).toEqual([400, expect.arrayContaining(['awaiting-keys'])])
    // At the same session of the OP, which may go on after a Logout Token.
    await new Promise((turn) => setTimeout(turn, 20))
    const after = await logout.signOn(mint.idTokenClaims(), { startedAt: now() })
    keys.answer = () => mint.jwks
    deliverKeys(mint.jwks)
    await until(() => events.some(({ type }) => type === 'logout'))
    expect(before && (await logout.isLive(before))).toBe(false)
    expect(after && (await logout.isLive(after))).toBe(true)
  })

  it('is not kept if it breaks a rule that needs no key', async () => {
    await withKeyServer(async (rp, keys) => {
      const asked = keys.asked
      for (const change of [{ payload: { aud: 'other' } }, { payload: { exp: 1 } }, { payload: { events: {} } }]) {
        expectRefusal(await rp.deliverChanged(change), 400, 'invalid_request')
      }
      expect(rp.eventsOf('awaiting-keys')).toEqual([])
      expect(keys.asked).toBe(asked)
    })
  })

  it('and that was forged is refused when the keys come, and nobody dies', async () => {
    await withKeyServer(async (rp, keys) => {
      await rp.deliverChanged({ signer: 'foreign' })
      keys.answer = () => rp.mint.jwks
      await until(() => {
        rp.clock.advance(1)
        return rp.eventsOf('warning').some(({ error }) => error.code === 'ERR_TOKEN')
      })
      expect(await rp.alive()).toEqual(EVERYBODY)
      expect(rp.eventsOf('logout')).toEqual([])
    })
  })

  it('in a flood of junk makes no more fetches than one in six seconds after the first five', async () => {
    await withKeyServer(async (rp, keys) => {
      keys.answer = () => rp.mint.jwks
      await rp.logout.prepare()
      const before = keys.asked
      for (let i = 0; i < 40; i++) await rp.deliverChanged({ header: { kid: `invented-${i}` }, signer: 'foreign' })
      expect(keys.asked - before).toBe(5)
      expect(rp.eventsOf('awaiting-keys').length).toBeGreaterThan(30)
    })
  })

  it('after a rotation is verified although invented key ids have used up the questions', async () => {
    await withKeyServer(async (rp, keys) => {
      keys.answer = () => rp.mint.jwks
      await rp.logout.prepare()
      const rotated = await rotatedMint(rp)
      for (let i = 0; i < 6; i++) await rp.deliverChanged({ header: { kid: `invented-${i}` }, signer: 'foreign' })
      keys.answer = () => ({ keys: [...rp.mint.jwks.keys, ...rotated.jwks.keys] })
      const token = await rotated.logoutToken()
      rp.events.length = 0
      expectRefusal(await rp.deliver(token), 400, 'logout_failed')
      await untilEnded(rp)
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    })
  })
})

describe('a login', () => {
  it('fetches the keys ahead of the logout', async () => {
    const keys = new KeyServer(() => undefined)
    const jwksUri = await keys.open()
    await withRp({ provider: { jwks: undefined, jwksUri } }, async (rp) => {
      keys.answer = () => rp.mint.jwks
      await rp.signIn('alice-laptop', rp.mint.idTokenClaims())
      await until(() => keys.asked === 1)
      await until(async () => (await rp.logout.health()).keys.every(({ atHand }) => atHand))
      keys.answer = () => undefined
      expectLoggedOut(await rp.deliverChanged({}))
      expect(keys.asked).toBe(1)
    })
  })
})

describe('LemonLDAP::NG in one process', () => {
  it('cannot serve its keys while it waits for our answer, and its user is logged out all the same', async () => {
    let isWaiting = Promise.resolve()
    const keys = new KeyServer(async () => undefined)
    const jwksUri = await keys.open()
    const provider = { jwks: undefined, jwksUri, requestTimeoutSeconds: 0.2, allowMissingExp: true }
    await withRp({ provider }, async (rp) => {
      await rp.signInEverybody()
      keys.answer = async () => {
        await isWaiting
        return rp.mint.jwks
      }
      const answered = rp.deliver(await rp.mint.logoutToken({ payload: { exp: undefined } }))
      isWaiting = answered.then(() => {})
      expectRefusal(await answered, 400, 'logout_failed')
      await untilEnded(rp)
      expect(await rp.alive()).toEqual(ALL_BUT_ALICES_LAPTOP)
    })
  })
})

describe('one token for two of our clients', () => {
  it('ends the sessions of both', async () => {
    const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'web' })
    const events: LogoutEvent[] = []
    const logout = createBackchannelLogout({
      provider: ['web', 'app'].map((clientId) => ({ issuer: mint.issuer, clientId, jwks: mint.jwks })),
      store: memoryStore(),
      onEvent: (event) => events.push(event),
    })
    const signOns = await Promise.all(
      ['web', 'app'].map((aud) => logout.signOn(mint.idTokenClaims({ aud, sub: 'alice', sid: 's' }))),
    )
    const token = await mint.logoutToken({ payload: { aud: ['web', 'app'], sub: 'alice', sid: 's' } })
    const body = new URLSearchParams({ logout_token: token })
    const answer = await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))
    expect(answer.status).toBe(200)
    for (const signOn of signOns) expect(signOn && (await logout.isLive(signOn))).toBe(false)
    expect(events.filter(({ type }) => type === 'logout')).toMatchObject([{ clientId: 'web' }, { clientId: 'app' }])
    logout.close()
  })
})

describe('the rooms of waiting tokens', () => {
  const kept = (id: string, { room = 'known', sender = 'op', length = 1024 } = {}) => {
    const token = id.padEnd(length, '.')
    return { id, token, room, sender, cameAt: 0, cameAtMonotonic: 0, expiresAt: 300, awaited: undefined }
  }

  it('keep the tokens of the OP however many a stranger sends', () => {
    const rooms = new Rooms()
    const real = Array.from({ length: 50 }, (_, i) => kept(`real-${i}`))
    for (const each of real) rooms.add(each)
    for (let i = 0; i < 20_000; i++) rooms.add(kept(`junk-${i}`, { sender: '192.0.2.1' }))
    expect(real.filter((each) => rooms.has(each))).toHaveLength(50)
    expect(rooms.size).toBeLessThanOrEqual(4096)
  })

  it('keep tokens of known key ids apart from those of invented ones, whoever sends them', () => {
    const rooms = new Rooms()
    const real = kept('real')
    rooms.add(real)
    for (let i = 0; i < 10_000; i++) rooms.add(kept(`junk-${i}`, { room: 'invented' }))
    expect(rooms.has(real)).toBe(true)
  })

  it('are bounded together, and take no token of a length that none has', () => {
    const rooms = new Rooms()
    for (let i = 0; i < 60_000; i++) rooms.add(kept(`junk-${i}`, { room: `${i % 20}` }))
    expect(rooms.size).toBeLessThanOrEqual(32 * 1024)
    expect(rooms.add(kept('long', { length: 20_000 }))).toMatchObject({ added: false })
  })
})

/** The same OP after it has changed its key. */
async function rotatedMint(rp: Rp): Promise<TokenMint> {
  const { issuer, clientId } = rp.mint
  const keys = await mintKeys('RS256', 'rotated')
  return createTokenMint({ issuer, clientId, now: rp.clock, sub: 'alice', sid: 'alice-laptop', keys })
}

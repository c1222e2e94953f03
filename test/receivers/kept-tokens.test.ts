// Logout Tokens that came while keys were not at hand: through HTTP to the sessions, with OPs that misbehave as real
// ones do.
import { createServer, type Server } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { createBackchannelLogout, LogoutError, type LogoutEvent, memoryStore } from '../../src/index.js'
import { KeysUnavailableError } from '../../src/providers/keys-unavailable.js'
import { resolveProvider } from '../../src/providers/provider.js'
import { KeptTokens } from '../../src/receivers/kept-tokens.js'
import { createTokenMint, mintKeys, type TokenMint } from '../../src/testing/index.js'
import { KeysAwaitedError } from '../../src/tokens/keys-awaited.js'
import type { LogoutToken } from '../../src/tokens/logout-token.js'
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

/** The same OP after it has changed its key. */
async function rotatedMint(rp: Rp): Promise<TokenMint> {
  const { issuer, clientId } = rp.mint
  const keys = await mintKeys('RS256', 'rotated')
  return createTokenMint({ issuer, clientId, now: rp.clock, sub: 'alice', sid: 'alice-laptop', keys })
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
    // At the same session of the OP, which may go on after a Logout Token; by more than a busy machine is unsure of.
    await new Promise((turn) => setTimeout(turn, 250))
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

describe('where the function of the issuer fails', () => {
  it('for ever for one that a stranger claims, and once for ours, ours is judged at the next look', async () => {
    const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp', sub: 'alice', sid: 's' })
    let isUp = true
    const logout = createBackchannelLogout({
      provider: (issuer) => {
        if (issuer === mint.issuer && isUp) return { issuer, clientId: 'rp', jwks: mint.jwks }
        throw new Error('no such tenant')
      },
    })
    closers.push(() => logout.close())
    const signOn = await logout.signOn(mint.idTokenClaims())
    const deliver = async (token: string) => {
      const body = new URLSearchParams({ logout_token: token })
      return (await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))).status
    }
    const junk = { payload: { iss: 'https://nobody.example.com' } }
    isUp = false
    expect(await deliver(await mint.logoutToken(junk))).toBe(400)
    expect(await deliver(await mint.logoutToken())).toBe(400)
    expect(signOn && (await logout.isLive(signOn))).toBe(true)
    isUp = true
    await until(async () => signOn !== undefined && !(await logout.isLive(signOn)))
  })

  it('asks for each issuer once in a round while it fails, and all of it are judged at once when it works', async () => {
    const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp' })
    const provider = resolveProvider({ issuer: mint.issuer, clientId: 'rp', jwks: mint.jwks }, () => 0)
    const failed = new KeysUnavailableError('provider_lookup_failed', undefined)
    const notNow = new KeysUnavailableError('jwks_fetch_failed', undefined)
    let [isUp, asked] = [false, 0]
    const kept = new KeptTokens({
      verify: async () => {
        asked++
        throw isUp ? new KeysAwaitedError(notNow, { provider, kid: undefined, asOf: 0 }) : failed
      },
      end: async () => {},
      emit: () => {},
      clock: () => 0,
      firstPauseSeconds: 0.01,
      longestPauseSeconds: 0.01,
    })
    closers.push(() => kept.close())
    for (let i = 0; i < 50; i++) kept.keep(await mint.logoutToken(), failed, '192.0.2.1')
    await until(() => asked > 0)
    expect(asked).toBeLessThan(50)
    await until(() => asked > 2)
    isUp = true
    const before = asked
    await until(() => asked > before)
    await new Promise((turn) => setImmediate(turn))
    // They have a provider from here on, though its keys are not at hand.
    expect(asked - before).toBeGreaterThanOrEqual(50)
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

describe('an address that a verified token came from', () => {
  it('keeps its tokens whatever comes from thousands of other networks, and each that has to go is counted', async () => {
    const mint = await createTokenMint({ issuer: 'https://op.example.com', clientId: 'rp' })
    const provider = resolveProvider({ issuer: mint.issuer, clientId: 'rp', jwks: mint.jwks }, () => 0)
    const notNow = new KeysUnavailableError('jwks_fetch_failed', undefined)
    let [isUp, done, displaced] = [false, 0, 0]
    const kept = new KeptTokens({
      verify: async (token) => {
        if (!isUp) throw notNow
        if (token.startsWith('junk')) throw new LogoutError('ERR_TOKEN', 'forged')
        return [{ provider } as LogoutToken]
      },
      end: async () => void done++,
      emit: (event) => {
        if (event.type === 'warning' && event.error.reason === 'displaced') displaced += event.times ?? 0
      },
      clock: () => 0,
      firstPauseSeconds: 0.01,
    })
    const awaited = new KeysAwaitedError(notNow, { provider, kid: undefined, asOf: 0 })
    kept.prove([{ provider } as LogoutToken], '192.0.2.1')
    for (let i = 0; i < 500; i++) kept.keep(`real-${i}`.padEnd(1024, '.'), awaited, '192.0.2.1')
    for (let i = 0; i < 8_000; i++) kept.keep(`junk-${i}`.padEnd(1024, '.'), awaited, `${1 + (i % 200)}.${i >> 8}.1.1`)
    expect(kept.size).toBe(8_500 - displaced)
    isUp = true
    await until(() => kept.size === 0)
    expect(done).toBe(500)
    kept.close()
  })
})

// The keys of a provider: where they are found, how old they may be, and how often they are asked for.

import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { type BackchannelLogout, createBackchannelLogout, type LogoutEvent } from '../../src/index.js'
import { providerDirectory } from '../../src/providers/directory.js'
import type { JWK } from '../../src/providers/jwk.js'
import type { ProviderOptions } from '../../src/providers/provider-options.js'
import { createTokenMint } from '../../src/testing/index.js'
import { verifyLogoutToken } from '../../src/tokens/logout-token.js'
import { CLIENT_ID, NOW, refusalOf, ruleOf, UNHURRIED } from '../tokens/verifying.js'
import { KEY_UNKNOWN, Scene, serve, unavailable, until, withClosers } from './op-and-rp.js'

withClosers()

describe('discovery', () => {
  it('finds the keys, once for many tokens', async () => {
    const scene = await Scene.open()
    for (let i = 0; i < 3; i++) await scene.verify()
    expect(scene.op.fetches).toEqual({ discovery: 1, jwks: 1 })
  })

  it.each(['', '/', '/realms/demo', '/application/o/my-app/'])(
    'takes an issuer with the path "%s"',
    async (issuerPath) => {
      const scene = await Scene.open({}, { issuerPath })
      expect((await scene.verify()).provider.client.issuer).toBe(scene.op.issuer)
    },
  )

  it('is left out where the jwksUri is given', async () => {
    const scene = await Scene.open()
    const direct = new Scene(scene.op, { jwksUri: scene.op.jwksUri })
    await direct.verify()
    expect(scene.op.fetches).toEqual({ discovery: 0, jwks: 1 })
  })

  it.each([
    ['failing', 'metadata_fetch_failed'],
    ['closed', 'metadata_fetch_failed'],
    ['redirecting', 'metadata_fetch_failed'],
    ['huge', 'metadata_fetch_failed'],
    ['html', 'metadata_invalid'],
    ['malformed', 'metadata_invalid'],
  ] as const)('that is %s is no verdict on the token', async (behaviour, reason) => {
    const scene = await Scene.open()
    scene.op.behave('discovery', behaviour)
    const error = await refusalOf(scene.verify())
    expect(error).toMatchObject({ ...unavailable(reason), transientFailureStatus: 400 })
    expect(error.cause).toBeInstanceOf(Error)
    expect(scene.op.fetches).toEqual({ discovery: 1, jwks: 0 })
  })

  it.each<[string, (origin: string) => object]>([
    ['of another issuer', (origin) => ({ issuer: `${origin}/other`, jwks_uri: `${origin}/jwks` })],
    ['of an issuer with a slash more', (origin) => ({ issuer: `${origin}/`, jwks_uri: `${origin}/jwks` })],
    ['without issuer', (origin) => ({ jwks_uri: `${origin}/jwks` })],
    ['without jwks_uri', (origin) => ({ issuer: origin })],
    ['with plain http to another machine', (origin) => ({ issuer: origin, jwks_uri: 'http://keys.example.com/jwks' })],
    ['with a file for keys', (origin) => ({ issuer: origin, jwks_uri: 'file:///etc/passwd' })],
    ['with a relative jwks_uri', (origin) => ({ issuer: origin, jwks_uri: '/jwks' })],
    ['that are a list', (origin) => [origin]],
  ])('refuses metadata %s', async (_, metadata) => {
    const { origin, asked } = await serve((url) => (url.startsWith('/.well-known') ? metadata(origin) : { keys: [] }))
    const directory = providerDirectory({ issuer: origin, clientId: CLIENT_ID }, { clock: () => NOW })
    expect(await ruleOf(directory.prepare(UNHURRIED))).toEqual(unavailable('metadata_invalid'))
    expect(asked).toEqual(['/.well-known/openid-configuration'])
  })
})

describe('metadata of an https issuer', () => {
  it.each(['http://127.0.0.1:8500/v1/agent', 'http://localhost/jwks', 'http://[::1]/jwks'])(
    'do not send this process to %s, unless it is said to be dangerous',
    async (jwksUri) => {
      const issuer = 'https://op.example.com'
      const preparing = async (dangerouslyAllowHttp: boolean) => {
        const asked: string[] = []
        const fetch = async (url: string) => {
          asked.push(url)
          return Response.json({ issuer, jwks_uri: jwksUri, keys: [] })
        }
        const provider = { issuer, clientId: CLIENT_ID, fetch, dangerouslyAllowHttp }
        const directory = providerDirectory(provider, { clock: () => NOW })
        return { rule: await ruleOf(directory.prepare(UNHURRIED)).catch(() => undefined), asked }
      }
      const metadata = `${issuer}/.well-known/openid-configuration`
      expect(await preparing(false)).toEqual({ rule: unavailable('metadata_invalid'), asked: [metadata] })
      expect((await preparing(true)).asked).toEqual([metadata, jwksUri])
    },
  )
})

describe('the key set', () => {
  it.each([
    ['failing', 'jwks_fetch_failed'],
    ['closed', 'jwks_fetch_failed'],
    ['redirecting', 'jwks_fetch_failed'],
    ['huge', 'jwks_fetch_failed'],
    ['html', 'jwks_invalid'],
    ['malformed', 'jwks_invalid'],
  ] as const)('that is %s is no verdict on the token', async (behaviour, reason) => {
    const scene = await Scene.open({ transientFailureStatus: 503 })
    scene.op.behave('jwks', behaviour)
    expect(await refusalOf(scene.verify())).toMatchObject({ ...unavailable(reason), transientFailureStatus: 503 })
    expect(scene.op.fetches.jwks).toBe(1)
  })

  describe.each<[string, readonly unknown[]]>([
    ['empty', []],
    ['for encryption alone', [{ kty: 'RSA', use: 'enc', n: 'AQAB', e: 'AQAB', kid: 'e' }]],
    ['of keys that wrap', [{ kty: 'RSA', key_ops: ['wrapKey'], n: 'AQAB', e: 'AQAB', kid: 'e' }]],
    [
      'of keys that sign and do not verify',
      [{ kty: 'RSA', use: 'sig', key_ops: ['sign'], n: 'AQAB', e: 'AQAB', kid: 'e' }],
    ],
    ['of what is no key', [null, {}, { kty: 'oct', k: 'AA' }, { kty: 'quantum' }]],
  ])('that is %s', (_, none) => {
    async function changing() {
      const scene = await Scene.open()
      const now = { keys: none }
      const { origin } = await serve(() => now)
      return { scene: new Scene(scene.op, { jwksUri: `${origin}/jwks` }), now, good: scene.op.mint.jwks.keys }
    }

    it('is no verdict on the token, which is good as soon as the keys are there', async () => {
      const { scene, now, good } = await changing()
      expect(await ruleOf(scene.verify())).toEqual(unavailable('jwks_invalid'))
      now.keys = good
      scene.now += 1
      expect((await scene.verify())?.issuedAt).toBe(NOW)
    })

    it('takes no older keys away, which are believed for an hour and no longer: they may have been withdrawn', async () => {
      const { scene, now, good } = await changing()
      now.keys = good
      await scene.verify()
      now.keys = none
      scene.now += 3599
      await scene.verify()
      await expect(scene.directory.prepare(UNHURRIED)).rejects.toMatchObject({ reason: 'jwks_invalid' })
      await scene.verify()
      scene.now += 1
      expect(await ruleOf(scene.verify())).toEqual(unavailable('jwks_invalid'))
      now.keys = good
      scene.now += 10
      await scene.verify()
    })
  })

  it('may hold what is no key', async () => {
    const scene = await Scene.open()
    const odd = [null, 'key', {}, { kty: 'quantum' }, { kty: 'oct', k: 'AA', kid: scene.op.mint.jwks.keys.at(-1)?.kid }]
    const { origin } = await serve(() => ({ keys: [...odd, ...scene.op.mint.jwks.keys] }))
    const directory = providerDirectory(
      { issuer: scene.op.issuer, clientId: CLIENT_ID, jwksUri: `${origin}/jwks` },
      { clock: () => NOW },
    )
    const token = await scene.op.mint.logoutToken()
    expect(await verifyLogoutToken(token, { directory, now: NOW })).toMatchObject([{ issuedAt: NOW }])
  })

  it('that nobody answers is given up at the deadline, and the request after it may ask again', async () => {
    const scene = await Scene.open({ requestTimeoutSeconds: 1 })
    scene.op.behave('jwks', 'silent')
    expect(await ruleOf(scene.verify())).toEqual(unavailable('jwks_fetch_failed'))
    scene.op.behave('jwks', 'well')
    scene.now += 1
    await scene.verify()
  })

  it('is asked for once by many requests at a time', async () => {
    const scene = await Scene.open()
    await Promise.all(Array.from({ length: 20 }, () => scene.verify()))
    expect(scene.op.fetches).toEqual({ discovery: 1, jwks: 1 })
  })

  it('comes to the others although one request gives up', async () => {
    const scene = await Scene.open()
    scene.op.behave('jwks', 'silent')
    const hurried = new AbortController()
    const [given, patient] = [ruleOf(scene.verify({}, hurried.signal)), scene.verify()]
    await until(() => scene.op.fetches.jwks === 1)
    hurried.abort()
    expect(await given).toEqual(unavailable('deadline'))
    scene.op.behave('jwks', 'well')
    expect((await patient).issuedAt).toBe(NOW)
    expect(scene.op.fetches.jwks).toBe(1)
  })

  it('is not asked for again within a second of a failure, and is after it, from the metadata on', async () => {
    const scene = await Scene.open()
    scene.op.behave('jwks', 'failing')
    await refusalOf(scene.verify())
    scene.op.behave('jwks', 'well')
    scene.now += 0.9
    expect(await ruleOf(scene.verify())).toEqual(unavailable('jwks_fetch_failed'))
    expect(scene.op.fetches).toEqual({ discovery: 1, jwks: 1 })
    scene.now += 0.1
    await scene.verify()
    expect(scene.op.fetches).toEqual({ discovery: 2, jwks: 2 })
  })
})

describe('age', () => {
  it('under ten minutes: used', async () => {
    const scene = await Scene.open()
    await scene.verify()
    scene.now += 599
    await scene.verify()
    expect(scene.op.fetches.jwks).toBe(1)
  })

  it('over ten minutes: used at once, and fetched beside it', async () => {
    const scene = await Scene.open()
    await scene.verify()
    scene.now += 600
    scene.op.behave('jwks', 'silent')
    await scene.verify()
    await until(() => scene.op.fetches.jwks === 2)
    scene.op.behave('jwks', 'well')
  })

  it('over an hour: fetched first, so a key that was withdrawn is believed no longer', async () => {
    const scene = await Scene.open()
    const withdrawn = await scene.op.mint.logoutToken()
    await scene.verify()
    await scene.op.rotateKeys()
    const verify = () => verifyLogoutToken(withdrawn, { directory: scene.directory, now: NOW })
    scene.now += 599
    await verify()
    scene.now += 3001
    expect(await ruleOf(verify())).toEqual(KEY_UNKNOWN)
  })

  it('over an hour, though the clock was put back by half of that: fetched first', async () => {
    const scene = await Scene.open()
    const withdrawn = await scene.op.mint.logoutToken()
    await scene.verify()
    await scene.op.rotateKeys()
    scene.now += 3600
    scene.putForward = -1800
    expect(await ruleOf(verifyLogoutToken(withdrawn, { directory: scene.directory, now: NOW }))).toEqual(KEY_UNKNOWN)
  })

  it('over an hour and the OP down: used all the same, for a day', async () => {
    const scene = await Scene.open()
    await scene.verify()
    scene.op.behave('jwks', 'failing')
    scene.now += 3600
    await scene.verify()
    expect(scene.op.fetches.jwks).toBe(2)
    scene.now += 82_799
    expect((await scene.verify()).issuedAt).toBe(NOW)
  })

  it('over a day without a fetch: not used', async () => {
    const scene = await Scene.open()
    await scene.verify()
    scene.now += 86_400
    scene.op.behave('jwks', 'failing')
    expect(await ruleOf(scene.verify())).toEqual(unavailable('jwks_fetch_failed'))
    scene.now += 1
    scene.op.behave('jwks', 'well')
    await scene.verify()
    expect(scene.op.fetches.jwks).toBe(3)
  })

  it('of a second, and another key under the same id: the newer one is fetched', async () => {
    const scene = await Scene.open()
    let keys = named(scene.op.mint.jwks.keys)
    const { origin, asked } = await serve(() => ({ keys }))
    const renaming = new Scene(scene.op, { jwksUri: `${origin}/jwks` })
    const change = { header: { kid: 'always-this' } }
    await renaming.verify(change)
    await scene.op.rotateKeys()
    keys = named(scene.op.mint.jwks.keys)
    renaming.now += 1
    expect((await renaming.verify(change)).issuedAt).toBe(NOW)
    expect(asked).toHaveLength(2)

    function named(published: readonly JWK[]) {
      return published.slice(-1).map((key) => ({ ...key, kid: 'always-this' }))
    }
  })

  it('of a clock that was set back by a day: fetched first', async () => {
    const scene = await Scene.open()
    await scene.verify()
    scene.now -= 86_400
    await scene.verify()
    expect(scene.op.fetches.jwks).toBe(2)
  })
})

describe('prepare', () => {
  it('fetches ahead, so that the OP is not called while it waits', async () => {
    const scene = await Scene.open()
    await scene.directory.prepare(UNHURRIED)
    scene.op.behave('discovery', 'closed')
    scene.op.behave('jwks', 'closed')
    expect((await scene.verify()).issuedAt).toBe(NOW)
  })

  it('asks an OP again after a second, though the clock of the machine was put back by as much', async () => {
    onTestFinished(() => void vi.useRealTimers())
    vi.useFakeTimers({ toFake: ['Date', 'performance'] })
    const began = Date.now()
    let asked = 0
    const fetch = async () => {
      asked += 1
      throw new Error('down')
    }
    const provider = { issuer: 'https://op.example.com', clientId: CLIENT_ID, fetch }
    const logout = createBackchannelLogout({ provider, warnings: false })
    onTestFinished(() => logout.close())
    for (const times of [1, 1]) {
      await logout.prepare()
      expect(asked).toBe(times)
    }
    vi.advanceTimersByTime(1000)
    vi.setSystemTime(began)
    await logout.prepare()
    expect(asked).toBe(2)
  })

  describe('of a receiver that is closed', () => {
    /** A provider that takes each request and answers none; the signals of those that were sent. */
    function silent() {
      const sent: (AbortSignal | null)[] = []
      const fetch: ProviderOptions['fetch'] = (_url, { signal }) => {
        sent.push(signal)
        return new Promise(() => {})
      }
      const provider = { issuer: 'https://op.example.com', clientId: CLIENT_ID, fetch, requestTimeoutSeconds: 10 }
      return { sent, provider }
    }
    const claims = { iss: 'https://op.example.com', aud: CLIENT_ID, sub: 'ada', sid: 's1', iat: NOW }

    it.each<[string, (logout: BackchannelLogout) => unknown]>([
      ['prepare()', (logout) => logout.prepare()],
      ['a login', (logout) => logout.signOn(claims)],
    ])('what %s began is given up, nothing is said of it, and no more is begun', async (_what, begin) => {
      const { sent, provider } = silent()
      const events: LogoutEvent[] = []
      const logout = createBackchannelLogout<{ sessionId: string }>({
        provider,
        onEvent: (event) => events.push(event),
      })
      const begun = begin(logout)
      await until(() => sent.length === 1)
      expect(sent[0]?.aborted).toBe(false)
      logout.close()
      expect(sent[0]?.aborted).toBe(true)
      await begun
      await begin(logout)
      expect(sent).toHaveLength(1)
      expect(events.filter(({ type }) => type === 'warning')).toEqual([])
    })

    it('what a request waits for is not, and the next one asks as well', async () => {
      const { sent, provider } = silent()
      const logout = createBackchannelLogout({ provider, warnings: false, answerDeadlineSeconds: 0.5 })
      const mint = await createTokenMint({ issuer: provider.issuer, clientId: CLIENT_ID })
      const receive = async () => {
        const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
        return (await logout.fetch(new Request('https://app.example.com/logout', { method: 'POST', body }))).status
      }
      const answer = receive()
      await until(() => sent.length === 1)
      void logout.prepare()
      logout.close()
      expect(await answer).toBe(400)
      expect(sent.map((signal) => signal?.aborted)).toEqual([false])
    })

    it('a provider that is looked up after that is asked by requests alone', async () => {
      const { sent, provider } = silent()
      const logout = createBackchannelLogout({ provider: () => provider, warnings: false, answerDeadlineSeconds: 0.5 })
      logout.close()
      const mint = await createTokenMint({ issuer: provider.issuer, clientId: CLIENT_ID })
      const body = new URLSearchParams({ logout_token: await mint.logoutToken() })
      const answer = logout.fetch(new Request('https://app.example.com/logout', { method: 'POST', body }))
      await until(() => sent.length === 1)
      expect((await answer).status).toBe(400)
      expect(sent[0]?.aborted).toBe(false)
    })
  })

  it('fetches nothing for a client secret or given keys', async () => {
    const scene = await Scene.open()
    await new Scene(scene.op, { algorithms: ['HS256'], clientSecret: 'x' }).directory.prepare(UNHURRIED)
    await new Scene(scene.op, { jwks: scene.op.mint.jwks }).directory.prepare(UNHURRIED)
    expect(scene.op.fetches).toEqual({ discovery: 0, jwks: 0 })
  })

  it('rejects if the OP is down, after trying every provider', async () => {
    const [down, well] = [await Scene.open(), await Scene.open()]
    down.op.behave('jwks', 'failing')
    const directory = providerDirectory(
      [down.op, well.op].map(({ issuer }) => ({ issuer, clientId: CLIENT_ID })),
      { clock: () => NOW },
    )
    expect(await ruleOf(directory.prepare(UNHURRIED))).toEqual(unavailable('jwks_fetch_failed'))
    expect(well.op.fetches.jwks).toBe(1)
  })

  it('ends with its signal, and what it began goes on', async () => {
    const scene = await Scene.open()
    scene.op.behave('jwks', 'silent')
    const boot = new AbortController()
    const prepared = ruleOf(scene.directory.prepare(boot.signal))
    await until(() => scene.op.fetches.jwks === 1)
    boot.abort()
    expect(await prepared).toEqual(unavailable('deadline'))
    scene.op.behave('jwks', 'well')
    await scene.verify()
    expect(scene.op.fetches.jwks).toBe(1)
  })
})

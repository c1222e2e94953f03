// What a scrape says after real logouts, and that its labels are words of closed lists.
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, type LogoutStore, memoryStore } from '../../src/index.js'
import { prometheusMetrics } from '../../src/telemetry/prometheus.js'
import { createTokenMint } from '../../src/testing/index.js'

const issuer = 'https://op.example.com'
const mint = await createTokenMint({ issuer, clientId: 'rp', algorithm: 'ES256' })

function start(store: LogoutStore = memoryStore()) {
  const register = new Registry()
  const metrics = prometheusMetrics({ register })
  const logout = createBackchannelLogout({
    provider: { issuer, clientId: 'rp', jwks: mint.jwks, algorithms: ['ES256'] },
    store,
    onEvent: metrics.onEvent,
  })
  metrics.watch(logout)
  const post = async (token: string) => {
    const body = new URLSearchParams({ logout_token: token })
    return (await logout.fetch(new Request('https://rp.example.com/', { method: 'POST', body }))).status
  }
  const value = async (line: string) => {
    const found = (await register.metrics()).split('\n').find((each) => each.startsWith(`${line} `))
    return found === undefined ? undefined : Number(found.slice(line.length + 1))
  }
  return { logout, post, value, register }
}

const outcome = (name: string) => `oidc_backchannel_logout_requests_total{outcome="${name}"}`

describe('prometheusMetrics', () => {
  it('says what to do where a registry has them already', () => {
    const register = new Registry()
    const metrics = prometheusMetrics({ register })
    const logout = createBackchannelLogout({ provider: { issuer, clientId: 'rp' } })
    metrics.watch(logout)
    expect(() => prometheusMetrics({ register })).toThrow(
      /registered already: call prometheusMetrics\(\) once.*register/,
    )
    expect(() => metrics.watch(logout)).toThrow(/registered already: call watch\(\) once.*register/)
    logout.close()
  })

  it('counts requests by what came of them, and times them', async () => {
    const { post, value } = start()
    const token = await mint.logoutToken()
    expect([await post(token), await post(token), await post(await mint.defective('nonce'))]).toEqual([200, 400, 400])
    expect(await value(outcome('done'))).toBe(1)
    expect(await value(outcome('replayed'))).toBe(1)
    expect(await value(outcome('refused'))).toBe(1)
    expect(await value(outcome('failed'))).toBe(0)
    expect(await value('oidc_backchannel_logout_duration_seconds_count')).toBe(3)
    expect(await value('oidc_backchannel_logout_errors_total{code="ERR_TOKEN",reason="nonce_present"}')).toBe(1)
  })

  it('counts what failed for want of the store, what is pending, and that the store is down', async () => {
    const store = memoryStore()
    const away = () => Promise.reject(new Error('away'))
    const { logout, post, value } = start({ ...bound(store), begin: away, marks: away })
    expect(await post(await mint.logoutToken())).toBe(400)
    expect(await value(outcome('failed'))).toBe(1)
    expect(await value('oidc_backchannel_logout_store_up')).toBe(0)
    expect(await value('oidc_backchannel_logout_pending')).toBe(1)
    expect(await logout.health()).toMatchObject({ status: 'down', store: 'unreachable', pending: 1 })
    logout.close()
  })

  it('says that all is well', async () => {
    const { logout, value } = start()
    expect(await value('oidc_backchannel_logout_store_up')).toBe(1)
    expect(await value('oidc_backchannel_logout_pending')).toBe(0)
    expect(await logout.health()).toEqual({
      status: 'ok',
      store: 'ok',
      keys: [{ issuer, clientId: 'rp', atHand: true }],
      pending: 0,
    })
  })

  it('has nothing of a token in it', async () => {
    const { post, register } = start()
    await post(await mint.logoutToken({ payload: { sub: 'a-secret-subject', sid: 'a-secret-session' } }))
    await post(await mint.logoutToken({ payload: { sub: 'a-secret-subject', nonce: 'a-secret-nonce' } }))
    expect(await register.metrics()).not.toContain('a-secret')
  })
})

describe('health', () => {
  it('is degraded until the keys are here, and says how old they are', async () => {
    const { createFakeOp } = await import('../../src/testing/fake-op.js')
    const op = await createFakeOp({ clientId: 'rp', algorithm: 'ES256' })
    let now = 1_800_000_000
    const provider = { issuer: op.issuer, clientId: 'rp', algorithms: ['ES256'] }
    const logout = createBackchannelLogout({ provider, clock: () => now })
    expect(await logout.health()).toMatchObject({ status: 'degraded', keys: [{ atHand: false }] })
    expect(op.fetches.jwks).toBe(0)
    await logout.prepare()
    now += 60
    expect(await logout.health()).toMatchObject({ status: 'ok', keys: [{ atHand: true, ageSeconds: 60 }] })
    await op.close()
  })
})

/** The methods of a store, free of it. */
function bound(store: LogoutStore): LogoutStore {
  return new Proxy(store, {
    get: (target, name) => Reflect.get(target, name).bind(target),
    ownKeys: () => METHODS,
    getOwnPropertyDescriptor: () => ({ enumerable: true, configurable: true }),
  })
}

const METHODS = [
  ...['bind', 'rebind', 'renew', 'addTokens', 'read', 'list', 'marks', 'isBound'],
  ...['endSessions', 'unbind', 'begin', 'complete'],
]

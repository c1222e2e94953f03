// The fake OP: what it publishes, how it fails, and that it delivers as the named providers do.
import { createServer } from 'node:http'
import { createRemoteJWKSet, decodeJwt, jwtVerify } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import { DELIVERY_HABITS } from '../../src/testing/delivery.js'
import type { Behaviour } from '../../src/testing/fake-endpoint.js'
import { createFakeOp, type FakeOp } from '../../src/testing/fake-op.js'

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0)) await close()
})

async function startOp(issuerPath = ''): Promise<FakeOp> {
  const op = await createFakeOp({ clientId: 'rp', algorithm: 'ES256', issuerPath })
  toClose.push(op.close)
  return op
}

/** A receiver of sorts: answers with the statuses given, one after another, and keeps what it was sent. */
async function startReceiver(...statuses: number[]): Promise<{ url: string; bodies: URLSearchParams[] }> {
  const bodies: URLSearchParams[] = []
  const server = createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    bodies.push(new URLSearchParams(body))
    const status = statuses.shift() ?? 200
    if (status === 0) req.socket.destroy()
    else res.writeHead(status, status === 302 ? { location: '/login' } : {}).end()
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  toClose.push(() => new Promise((closed) => server.close(() => closed())))
  const address = server.address()
  return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/logout`, bodies }
}

describe('createFakeOp', () => {
  it.each(['', '/', '/realms/demo', '/application/o/my-app/'])(
    'publishes metadata of the issuer at %j',
    async (path) => {
      const op = await startOp(path)
      const url = `${op.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
      const metadata = await (await fetch(url)).json()
      expect(metadata).toMatchObject({ issuer: op.issuer, jwks_uri: op.jwksUri, backchannel_logout_supported: true })
      expect(op.issuer.endsWith(path)).toBe(true)
      await jwtVerify(await op.mint.logoutToken(), createRemoteJWKSet(new URL(op.jwksUri)), { issuer: op.issuer })
      expect(op.fetches).toEqual({ discovery: 1, jwks: 1 })
    },
  )

  it('signs with the new key alone after a rotation', async () => {
    const op = await startOp()
    const before = op.mint.jwks.keys.map(({ kid }) => kid)
    const old = await op.mint.logoutToken()
    await op.rotateKeys()
    const keySet = createRemoteJWKSet(new URL(op.jwksUri))
    await jwtVerify(await op.mint.logoutToken(), keySet)
    await expect(jwtVerify(old, keySet)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })
    expect(op.mint.jwks.keys.filter(({ kid }) => before.includes(kid)).map(({ kid }) => kid)).toEqual([
      'encryption',
      'rare-curve',
    ])
  })

  it.each<[Behaviour, number]>([
    ['well', 200],
    ['failing', 500],
    ['redirecting', 302],
    ['html', 200],
    ['malformed', 200],
    ['huge', 200],
  ])('answers %s with %i', async (behaviour, status) => {
    const op = await startOp()
    op.behave('jwks', behaviour)
    const response = await fetch(op.jwksUri, { redirect: 'manual' })
    expect(response.status).toBe(status)
    const text = await response.text()
    if (behaviour === 'huge') expect(text.length).toBeGreaterThan(8_000_000)
    if (behaviour === 'malformed') expect(() => JSON.parse(text)).toThrow(SyntaxError)
  })

  it('cuts the connection when closed', async () => {
    const op = await startOp()
    op.behave('jwks', 'closed')
    await expect(fetch(op.jwksUri)).rejects.toThrow(TypeError)
    expect(op.fetches.jwks).toBe(1)
  })

  it('holds answers back while silent, and gives them when it behaves again', async () => {
    const op = await startOp()
    op.behave('jwks', 'silent')
    const answers = [fetch(op.jwksUri), fetch(op.jwksUri)]
    const untilSeen = (async () => {
      while (op.fetches.jwks < 2) await new Promise(setImmediate)
    })()
    expect(await Promise.race([...answers, untilSeen])).toBeUndefined()
    op.behave('jwks', 'well')
    for (const answer of await Promise.all(answers)) expect(await answer.json()).toEqual(op.mint.jwks)
  })
})

describe('deliver', () => {
  it('posts the token as a form and hands the answer back', async () => {
    const op = await startOp()
    const { url, bodies } = await startReceiver(400)
    const answer = await op.deliver(url, 'a.b.c', { parameters: { ignored_parameter: 'x' } })
    expect(answer.status).toBe(400)
    expect(bodies.map((body) => [...body])).toEqual([
      [
        ['logout_token', 'a.b.c'],
        ['ignored_parameter', 'x'],
      ],
    ])
  })

  it('never rejects, and reports that no answer came', async () => {
    const op = await startOp()
    const { url } = await startReceiver(0)
    expect(await op.deliver(url, 'a.b.c')).toMatchObject({ status: undefined })
  })
})

describe('deliverAs', () => {
  const jtiOf = (body: URLSearchParams) => decodeJwt(body.get('logout_token') ?? '').jti

  it('Ory Hydra: the identical token, at most three times, on 5xx and cut connections', async () => {
    const op = await startOp()
    const { url, bodies } = await startReceiver(503, 0, 500, 200)
    const { attempts, takenForDone } = await op.deliverAs('ory-hydra', url)
    expect(attempts.map(({ status }) => status)).toEqual([503, undefined, 500])
    expect(takenForDone).toBe(false)
    expect(new Set(bodies.map((body) => body.get('logout_token'))).size).toBe(1)
  })

  it('Ory Hydra: 400 is final', async () => {
    const op = await startOp()
    const { url, bodies } = await startReceiver(400)
    expect(await op.deliverAs('ory-hydra', url)).toMatchObject({ takenForDone: false, attempts: [{ status: 400 }] })
    expect(bodies).toHaveLength(1)
  })

  it('Zitadel: the same jti newly signed, and 400 taken for done', async () => {
    const op = await startOp()
    const { url, bodies } = await startReceiver(503, 400)
    expect((await op.deliverAs('zitadel', url)).takenForDone).toBe(true)
    expect(new Set(bodies.map((body) => body.get('logout_token'))).size).toBe(2)
    expect(new Set(bodies.map(jtiOf)).size).toBe(1)
  })

  it('GOV.UK One Login: a fresh jti on each attempt, anything but 200 retried', async () => {
    const op = await startOp()
    const { url, bodies } = await startReceiver(204, 400, 200)
    expect((await op.deliverAs('govuk-one-login', url)).takenForDone).toBe(true)
    expect(new Set(bodies.map(jtiOf)).size).toBe(3)
  })

  it('asks before each retry, so that a test can change the world meanwhile', async () => {
    const op = await startOp()
    const { url } = await startReceiver(503, 503)
    const retries: number[] = []
    await op.deliverAs('ory-hydra', url, { beforeRetry: (attempt) => void retries.push(attempt) })
    expect(retries).toEqual([1, 2])
  })

  it('Duende follows a redirect and takes the login page for success; oidc-provider does not', async () => {
    const op = await startOp()
    const { url } = await startReceiver(302, 200, 302)
    expect((await op.deliverAs('duende', url)).takenForDone).toBe(true)
    expect((await op.deliverAs('oidc-provider', url)).takenForDone).toBe(false)
  })

  it('knows no habit that retries without saying on what', () => {
    for (const habit of Object.values(DELIVERY_HABITS)) expect(habit.attempts > 1).toBe(habit.retriesOn.length > 0)
  })
})

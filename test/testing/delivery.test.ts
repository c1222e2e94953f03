// The fake OP delivers as the named providers do.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { decodeJwt } from 'jose'
import { describe, expect, it, vi } from 'vitest'
import { DELIVERY_HABITS } from '../../src/testing/delivery.js'
import { freePort } from '../servers/processes.js'
import { startOp, startReceiver, withClosers } from './op-and-receiver.js'

withClosers()

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
    expect(await op.deliver(url, 'a.b.c')).toMatchObject({ status: undefined, noAnswer: { how: 'cut' } })
  })

  it('says why no answer came: nothing listens, the time was over, or no connection was made', async () => {
    const op = await startOp()
    const nobody = `http://127.0.0.1:${await freePort()}/`
    expect((await op.deliver(nobody, 'a.b.c')).noAnswer).toMatchObject({ how: 'refused', code: 'ECONNREFUSED' })
    // A port that no browser calls, and no fetch.
    expect((await op.deliver('http://127.0.0.1:9/', 'a.b.c')).noAnswer).toMatchObject({ how: 'unreachable' })
    const mute = await startReceiver('never')
    expect((await op.deliver(mute.url, 'a.b.c', { timeoutSeconds: 0.2 })).noAnswer).toEqual({
      how: 'timed-out',
      code: undefined,
      withinSeconds: 0.2,
    })
  })

  it('does not take an address that takes no connections for one that does not answer', async () => {
    const op = await startOp()
    const timeOver = new AbortController()
    const server = createServer(() => {
      // From here on it is as where a firewall drops what comes.
      server.close()
      timeOver.abort(new DOMException('The time is over', 'TimeoutError'))
    })
    await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
    const { port } = server.address() as AddressInfo
    vi.spyOn(AbortSignal, 'timeout').mockReturnValueOnce(timeOver.signal)
    const { noAnswer } = await op.deliver(`http://127.0.0.1:${port}/`, 'a.b.c')
    vi.restoreAllMocks()
    expect(noAnswer).toMatchObject({ how: 'unreachable', code: undefined })
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

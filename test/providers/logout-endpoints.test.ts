import { describe, expect, it } from 'vitest'
import { logoutEndpoints } from '../../src/providers/logout-endpoints.js'

const issuer = 'https://op.example.com'

/** Endpoints of an OP that answers as a test says, and how often it was asked. */
function scene() {
  const state = { now: 0, asked: 0, isUp: true, endSession: `${issuer}/end` }
  const fetch = async () => {
    state.asked++
    if (!state.isUp) throw new Error('down')
    return Response.json({ issuer, end_session_endpoint: state.endSession })
  }
  const endpointsOf = logoutEndpoints(() => state.now)
  const ask = (dangerouslyAllowHttp = false) =>
    endpointsOf({ client: { issuer, clientId: 'rp' }, fetch, dangerouslyAllowHttp })
  return { state, ask }
}

describe('the logout endpoints of an OP', () => {
  it('are asked for once, by however many at a time, and kept for an hour', async () => {
    const { state, ask } = scene()
    await Promise.all([ask(), ask(), ask()])
    state.now += 3599
    expect(await ask()).toMatchObject({ endSession: `${issuer}/end` })
    expect(state.asked).toBe(1)
    state.now += 1
    await ask()
    expect(state.asked).toBe(2)
  })

  it('that cannot be had are asked for once in seconds, whoever opens the logout page', async () => {
    const { state, ask } = scene()
    state.isUp = false
    await Promise.allSettled(Array.from({ length: 50 }, () => ask()))
    for (let i = 0; i < 50; i++) await expect(ask()).rejects.toThrow('down')
    expect(state.asked).toBe(1)
    state.now += 1
    state.isUp = true
    expect(await ask()).toMatchObject({ endSession: `${issuer}/end` })
    expect(state.asked).toBe(2)
  })

  it.each([
    'http://op.example.com/end',
    'http://127.0.0.1:8080/end',
    'https://user@op.example.com/end',
    'javascript:0',
    '/end',
  ])('send no browser to %s', async (endSession) => {
    const { state, ask } = scene()
    state.endSession = endSession
    expect((await ask()).endSession).toBeUndefined()
  })

  it('are judged for each client by what is allowed for that one', async () => {
    const { state, ask } = scene()
    state.endSession = 'http://op.example.com/end'
    expect((await ask()).endSession).toBeUndefined()
    expect(await ask(true)).toMatchObject({ endSession: state.endSession })
    expect(state.asked).toBe(1)
  })
})

// Whatever a listener does, the logout goes on.

import { describe, expect, it } from 'vitest'
import { createBackchannelLogout, expressSessions } from '../src/index.js'
import { clientId, freshSession, issuer, rows } from './sign-ons/one-session.js'

freshSession()

describe('a listener of events', () => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('listener')
      },
    ],
    [
      'rejects',
      async () => {
        throw new Error('listener')
      },
    ],
  ])('that %s ends neither the logout nor the process', async (_, onEvent) => {
    const rejections: unknown[] = []
    const heard = (error: unknown) => rejections.push(error)
    process.on('unhandledRejection', heard)
    const logout = createBackchannelLogout({ provider: { issuer, clientId }, sessions: expressSessions(rows), onEvent })
    expect(await logout.terminate({ issuer, clientId, sub: 'alice' })).toMatchObject({ complete: true })
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', heard)
    expect(rejections).toEqual([])
  })
})
